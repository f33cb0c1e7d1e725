"""Convolutions against PyTorch: outputs and gradients of x, W and b in float64, over a grid of arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd as rg  # noqa: E402
from retrograd import ops  # noqa: E402

F = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore:Using padding=.same")  # theirs copies; no matter
LIMIT = 1e-10
BATCH = 3


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# kind, shape of a sample, filters, kernel, arguments
CASES: list[tuple[str, tuple[int, ...], int, Any, dict[str, Any]]] = [
    *[
        (
            "Conv2D",
            (9, 11, 4),
            6,
            kernel,
            {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
        )
        for kernel in (1, (2, 3))
        for stride in (1, (2, 3))
        for padding in (0, (2, 1))
        for dilation in (1, (3, 2))
        for groups in (1, 2)
    ],
    ("Conv2D", (28, 28, 1), 6, 5, {}),
    ("Conv2D", (28, 28, 1), 6, 5, {"padding": 2}),
    ("Conv2D", (12, 12, 6), 16, 5, {}),
    ("Conv2D", (10, 9, 3), 32, 3, {"padding": "same"}),
    ("Conv2D", (10, 9, 3), 5, (4, 2), {"padding": "same", "dilation": (1, 3)}),
    ("Conv2D", (8, 8, 24), 24, 3, {"padding": 1, "groups": 24}),
    ("Conv2D", (8, 8, 24), 48, 3, {"padding": 1, "groups": 24, "stride": 2}),
    ("Conv2D", (5, 5, 16), 120, 5, {}),
    ("Conv2D", (7, 7, 40), 33, 3, {"padding": 1, "stride": 2, "use_bias": False}),
    *[
        (
            "Conv1D",
            (23, 4),
            6,
            kernel,
            {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
        )
        for kernel in (1, 4)
        for stride, padding in ((1, 0), (1, "same"), (3, 2))
        for dilation in (1, 3)
        for groups in (1, 2)
    ],
    *[
        (
            "ConvTranspose2D",
            (4, 5, 4),
            6,
            kernel,
            {
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "groups": groups,
                "output_padding": more,
            },
        )
        for kernel in ((3, 2), 4)
        for stride, more in ((1, 0), ((2, 3), 0), ((2, 3), (1, 2)))
        for padding in (0, (1, 2))
        for dilation in (1, (2, 3))
        for groups in (1, 2)
    ],
]


def theirs(weight: Any) -> Any:
    """The order of PyTorch's axes: the last one second."""
    return np.ascontiguousarray(np.moveaxis(weight, -1, 1))


def ours(array: Any) -> Any:
    return np.moveaxis(array, 1, -1)


# Images of several bands, bands of several images, and more images than the parts of a batch.
LARGE: list[tuple[str, tuple[int, ...], int, Any, dict[str, Any], int]] = [
    ("Conv2D", (28, 28, 1), 6, 5, {"padding": 2}, 37),
    ("Conv2D", (150, 90, 1), 3, (3, 4), {"padding": 1, "dilation": (2, 1)}, 3),
    ("Conv2D", (12, 12, 6), 16, 5, {}, 70),
    ("Conv2D", (47, 45, 18), 20, 3, {"padding": 1, "dilation": (2, 1)}, 18),
    ("Conv2D", (47, 45, 18), 18, 3, {"padding": 1, "groups": 18, "stride": (1, 2)}, 3),
    ("Conv2D", (6, 6, 40), 90, 3, {"padding": 1}, 40),
    ("Conv1D", (3000, 14), 12, 5, {"padding": 2}, 2),
    ("ConvTranspose2D", (23, 22, 17), 18, 3, {"stride": 2, "padding": 1}, 18),
]


@pytest.mark.parametrize(("kind", "shape", "filters", "kernel", "options"), CASES)
def test_output_and_gradients(
    kind: str, shape: tuple[int, ...], filters: int, kernel: Any, options: dict[str, Any]
) -> None:
    compare(kind, shape, filters, kernel, options, BATCH)


@pytest.mark.parametrize(("kind", "shape", "filters", "kernel", "options", "batch"), LARGE)
def test_large_images_and_batches(
    kind: str, shape: tuple[int, ...], filters: int, kernel: Any, options: dict[str, Any], batch: int
) -> None:
    compare(kind, shape, filters, kernel, options, batch)


def compare(
    kind: str, shape: tuple[int, ...], filters: int, kernel: Any, options: dict[str, Any], batch: int
) -> None:
    rng = np.random.default_rng(0)
    options = dict(options)
    layer = getattr(rg, kind)(filters, kernel, **options, bias_init="normal(0.3)")
    use_bias = options.pop("use_bias", True)
    node = rg.Input(shape)
    shift = rg.Variable(np.zeros(shape), name="shift")  # its gradient is that of x, summed over the batch
    z = layer(ops.add(node, shift))
    net = rg.Model(node, z, dtype="float64", seed=3)
    factors = rng.normal(size=z.sample_shape)
    size = int(np.prod(z.sample_shape))

    def loss(found: Any, _: Any) -> rg.Node:
        return ops.sum(ops.multiply(ops.reshape(ops.square(found), size), factors.reshape(-1)), axis=1)

    trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))
    x = rng.normal(size=(batch, *shape))
    trainer.gradients(x, np.zeros((batch, 1)))

    names = {name.rpartition(".")[2]: name for name in net.parameters}
    tensors = {
        "x": torch.tensor(theirs(x), requires_grad=True),
        "weight": torch.tensor(theirs(net.parameters[names["weight"]]), requires_grad=True),
    }
    bias = None
    if use_bias:
        bias = tensors["bias"] = torch.tensor(np.array(net.parameters[names["bias"]]), requires_grad=True)
    function = {"Conv2D": F.conv2d, "Conv1D": F.conv1d, "ConvTranspose2D": F.conv_transpose2d}[kind]
    output = function(tensors["x"], tensors["weight"], bias, **options)
    (((output**2) * torch.tensor(theirs(factors[None]))).sum() / batch).backward()

    def close(found: Any, expected: Any) -> None:
        expected = np.asarray(expected)
        np.testing.assert_allclose(found, expected, rtol=0, atol=LIMIT * max(1.0, np.abs(expected).max()))

    close(net.predict(x), ours(output.detach().numpy()))
    close(net.gradients["shift"], ours(tensors["x"].grad.numpy().sum(axis=0, keepdims=True))[0])
    close(net.gradients[names["weight"]], ours(tensors["weight"].grad.numpy()))
    if bias is not None:
        close(net.gradients[names["bias"]], bias.grad.numpy())


@pytest.mark.parametrize("kind", ["Conv2D", "Conv1D", "ConvTranspose2D"])
def test_fans_are_pytorchs(kind: str) -> None:
    """he_uniform has its bound at sqrt(6 / fan_in), glorot_uniform at sqrt(6 / (fan_in + fan_out))."""
    axes = 1 if kind == "Conv1D" else 2
    shape = (*(9,) * axes, 8)
    module = {
        "Conv2D": torch.nn.Conv2d,
        "Conv1D": torch.nn.Conv1d,
        "ConvTranspose2D": torch.nn.ConvTranspose2d,
    }
    weight = module[kind](8, 32, 3, groups=2).weight
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(weight)
    for rule, fan in (("he_uniform", fan_in), ("glorot_uniform", fan_in + fan_out)):
        node = rg.Input(shape)
        net = rg.Model(node, getattr(rg, kind)(32, 3, groups=2, weight_init=rule)(node))
        found = next(value for name, value in net.parameters.items() if name.endswith("weight"))
        assert found.shape == ours(weight.detach().numpy()).shape
        bound = np.sqrt(6.0 / fan)
        assert 0.97 * bound < np.abs(found).max() <= bound
