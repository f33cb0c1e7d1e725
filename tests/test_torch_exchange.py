"""Modules of PyTorch and models: the same numbers of the same arrays, the same bytes of the parameters."""

from __future__ import annotations

import sys
import zlib
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import operation_cases  # noqa: E402
import retrograd as rg  # noqa: E402
import test_example_bits as examples  # noqa: E402
from retrograd import activations, ops  # noqa: E402
from rows import LAYERS, OPERATIONS, Row  # noqa: E402

nn = torch.nn
LIMIT = {"float32": 1e-5, "float64": 1e-12}
ROWS: dict[str, Row] = {
    **LAYERS,
    **OPERATIONS,
    **{f"activation {name}": Row(getattr(ops, name), abs) for name in activations.ACTIVATIONS},
}


def predicted(net: rg.Model, given: list[np.ndarray]) -> list[np.ndarray]:
    found = net.predict(given if len(given) > 1 else given[0])
    return found if isinstance(found, list) else [found]


def computed(module: Any, given: list[np.ndarray]) -> list[np.ndarray]:
    with torch.no_grad():
        found = module(*[torch.from_numpy(np.ascontiguousarray(x)) for x in given])
    return [y.numpy() for y in (found if isinstance(found, list | tuple) else [found])]


def assert_near(found: list[np.ndarray], expected: list[np.ndarray], limit: float) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=0, atol=limit * max(1.0, float(np.abs(b).max())))


def shaken(net: rg.Model, seed: int = 0) -> rg.Model:
    """Numbers in biases, norms and statistics, which begin at 0 and 1."""
    rng = np.random.default_rng(seed)
    for value in net.parameters.values():
        value[...] += 0.2 * rng.normal(size=value.shape)
    for name, value in net.buffers.items():
        if "running" in name:
            value[...] = rng.uniform(0.5, 2.0, size=value.shape)
    return net


def state_of(module: Any) -> dict[str, Any]:
    return {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}


def same_bytes(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(a[k].numpy().tobytes() == b[k].numpy().tobytes() for k in a)


# ----------------------------------------------------------------------------------- a model as a module


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("name", ROWS)
def test_a_module_has_the_same_numbers(name: str, dtype: str) -> None:
    row, rng = ROWS[name], np.random.default_rng(zlib.crc32(name.encode()))
    inputs, given = [], []
    for k, shape in enumerate(row.shapes):
        index = row.index and k == len(row.shapes) - 1
        inputs.append(rg.Input(shape, dtype="int64" if index else None))
        size = (3, *shape)
        draw = row.draw or (lambda g, s: g.normal(size=s))
        given.append(rng.integers(0, 4, size=size) if index else draw(rng, size).astype(dtype))
    net = shaken(rg.Model(inputs, row.make(*inputs), dtype=dtype))
    module = rg.torch.to_module(net)
    assert_near(computed(module, given), predicted(net, given), LIMIT[dtype])
    assert same_bytes(state_of(module), rg.torch.state_dict(net))


@pytest.mark.parametrize("case", operation_cases.CASES, ids=str)
def test_broadcasting_axes_and_slices(case: operation_cases.Case) -> None:
    net, given = case.build(case.draw())
    assert_near(computed(rg.torch.to_module(net), given), predicted(net, given), 1e-12)


@pytest.mark.parametrize("make", examples.CASES, ids=lambda make: make.__name__)
def test_networks_of_the_examples(make: Any, example: Any) -> None:
    case = make(example, np.random.default_rng(0))
    net = case.network()
    given = [np.asarray(x)[:4] for x in (case.x if isinstance(case.x, list) else [case.x])]
    given = [x if x.dtype == np.int64 else x.astype(np.float32) for x in given]
    module = rg.torch.to_module(net)
    assert_near(computed(module, given), predicted(net, given), 1e-5)
    other = case.network()
    shaken(other)
    rg.torch.load_state_dict(other, module.state_dict())
    assert other.flat_parameters.tobytes() == net.flat_parameters.tobytes()


def test_a_chain_is_a_sequential() -> None:
    layers = [
        rg.Dense(8, activation="relu"),
        rg.BatchNorm(),
        rg.Dropout(0.2),
        rg.Dense(3, activation="softmax"),
    ]
    module = rg.torch.to_module(rg.Sequential([rg.Input(4), *layers]))
    assert isinstance(module, nn.Sequential)
    assert [type(m).__name__ for m in module] == [
        "Linear",
        "ReLU",
        "BatchNorm1d",
        "Dropout",
        "Linear",
        "Softmax",
    ]
    assert list(dict(module.named_parameters()))[:2] == ["dense_0.weight", "dense_0.bias"]


def test_a_chain_of_images_turns_them_once() -> None:
    layers = [rg.Conv2D(4, 3, activation="relu"), rg.MaxPool2D(2), rg.Flatten(), rg.Dense(3)]
    net = rg.Sequential([rg.Input((8, 8, 2)), *layers])
    module = rg.torch.to_module(net)
    kinds = ["Channels", "Conv2d", "ReLU", "MaxPool2d", "Channels", "Flatten", "Linear"]
    assert [type(m).__name__ for m in module] == kinds
    turned = net.parameters["conv2d_0.weight"].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(module.conv2d_0.weight.detach().numpy(), turned)


def test_gradients_and_statistics_in_training() -> None:
    """One step of each, with batch norm in training: the same gradients and running statistics."""
    x, y = np.random.default_rng(0).normal(size=(6, 5, 5, 2)), np.arange(6) % 3
    image = rg.Input((5, 5, 2))
    h = rg.BatchNorm()(rg.Conv2D(4, 3, activation="tanh")(image))
    net = rg.Model(image, rg.Dense(3)(rg.Flatten()(h) + 0.0), dtype="float64", seed=5)
    module = rg.torch.to_module(net).train()
    assert not isinstance(module, nn.Sequential)
    nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    trainer = rg.Trainer(net, "cross_entropy", rg.SGD(0.0))
    trainer.step(x, y)
    kernels = {"conv2d_0.weight"}
    for name, parameter in module.named_parameters():
        ours = net.gradients[name]
        ours = ours.transpose(0, 3, 1, 2) if name in kernels else ours
        np.testing.assert_allclose(parameter.grad.numpy(), ours, rtol=0, atol=1e-12)
    for name, value in net.buffers.items():
        if "running" in name:
            np.testing.assert_allclose(module.state_dict()[name].numpy(), value, rtol=0, atol=1e-12)


def test_what_is_frozen_stays_so() -> None:
    net = rg.Sequential([rg.Input(3), rg.Dense(4), rg.Dense(2)])
    net.freeze("dense_0")
    module = rg.torch.to_module(net)
    assert [p.requires_grad for p in module.parameters()] == [False, False, True, True]


def test_a_module_has_its_own_memory() -> None:
    net = rg.Sequential([rg.Input(3), rg.Dense(4)])
    before = net.flat_parameters.copy()
    with torch.no_grad():
        for parameter in rg.torch.to_module(net).parameters():
            parameter.zero_()
    rg.torch.state_dict(net)["dense_0.weight"].zero_()
    np.testing.assert_array_equal(net.flat_parameters, before)


# ----------------------------------------------------------------------------------- a module as a model


class Residual(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding="same")
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        h = torch.relu(self.norm(self.a(x)))
        return self.head((h + torch.relu(self.b(h))).mean((2, 3)))


class Walk(nn.Module):  # type: ignore[misc]
    def __init__(self, kind: Any, **options: Any) -> None:
        super().__init__()
        self.walk = kind(5, 7, num_layers=2, bidirectional=True, batch_first=True, **options)
        self.head = nn.Linear(14, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.walk(x)[0][:, -1])


class LastState(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.walk = nn.GRU(5, 7, bidirectional=True, batch_first=True)

    def forward(self, x: Any) -> Any:
        states = self.walk(x)[1]
        return torch.cat([states[-1], states[0]], dim=-1)


class Transformer(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(11, 8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, index: Any) -> Any:
        x = self.table(index)
        n = self.norm(x)
        x = x + self.attention(n, n, n)[0]
        x = (x + self.mlp(x)).view(x.size(0), -1)
        return torch.cat([x[:, :4] * 0.5, torch.tanh(x)], 1)


class Shared(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.once = nn.Linear(4, 4)
        self.shift = nn.Parameter(torch.randn(4))

    def forward(self, x: Any) -> Any:
        return self.once(torch.relu(self.once(x))) + self.shift


def _images(*layers: Any) -> Any:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *layers, nn.Flatten())


ACTIVATIONS = [
    "ReLU6",
    "Hardtanh",
    "ELU",
    "SELU",
    "CELU",
    "LeakyReLU",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
]
ACTIVATIONS += ["Softsign", "Hardswish", "Hardsigmoid", "Mish", "SiLU", "LogSigmoid", "Identity", "GELU"]
MODULES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "rows": (
        lambda: nn.Sequential(
            nn.Linear(4, 8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.BatchNorm1d(8),
            nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.LayerNorm(8), nn.RMSNorm(8)),
            nn.Linear(8, 3, bias=False),
            nn.Softmax(-1),
        ),
        (4,),
    ),
    "images": (
        lambda: _images(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, 2, 1, 1, 2), nn.SiLU(), nn.AvgPool2d(3, 2, 1)),
        (3, 14, 14),
    ),
    "larger images": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(3, 4, 3, 2, 1, 1),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Upsample(scale_factor=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ),
        (3, 5, 5),
    ),
    "sequences": (
        lambda: nn.Sequential(
            nn.Conv1d(3, 4, 3), nn.Tanh(), nn.MaxPool1d(2), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(16, 2)
        ),
        (3, 10),
    ),
    "activations": (
        lambda: nn.Sequential(
            nn.Linear(4, 4), *[getattr(nn, name)() for name in ACTIVATIONS], nn.LogSoftmax(1)
        ),
        (4,),
    ),
    "residual": (Residual, (3, 8, 8)),
    "LSTM": (lambda: Walk(nn.LSTM), (6, 5)),
    "GRU": (lambda: Walk(nn.GRU), (6, 5)),
    "RNN": (lambda: Walk(nn.RNN, nonlinearity="relu"), (6, 5)),
    "last state": (LastState, (6, 5)),
    "transformer": (Transformer, (6,)),
    "shared": (Shared, (4,)),
}


def made(name: str, dtype: str) -> tuple[Any, rg.Model, np.ndarray]:
    torch.manual_seed(zlib.crc32(name.encode()))
    build, shape = MODULES[name]
    module = build().to(getattr(torch, dtype)).eval()
    for inner in module.modules():
        if isinstance(inner, nn.BatchNorm1d | nn.BatchNorm2d):
            inner.running_mean.normal_()
            inner.running_var.uniform_(0.5, 2.0)
    index = name == "transformer"
    rng = np.random.default_rng(0)
    x = rng.integers(0, 11, size=(3, *shape)) if index else rng.normal(size=(3, *shape)).astype(dtype)
    return module, rg.torch.from_module(module, shape, "int64" if index else None), x


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("name", MODULES)
def test_a_model_has_the_same_numbers(name: str, dtype: str) -> None:
    module, net, x = made(name, dtype)
    assert_near(predicted(net, [x]), computed(module, [x]), LIMIT[dtype])


@pytest.mark.parametrize("name", MODULES)
def test_the_state_goes_back_and_forth_unchanged(name: str) -> None:
    module, net, _ = made(name, "float32")
    state = state_of(module)
    assert same_bytes(rg.torch.state_dict(net), state)
    blank = rg.torch.to_module(shaken(net))  # other numbers
    assert not same_bytes(state_of(blank), state)
    rg.torch.load_state_dict(net, state)
    assert same_bytes(rg.torch.state_dict(net), state)
    assert same_bytes(state_of(rg.torch.to_module(net)), state)


@pytest.mark.parametrize("name", MODULES)
def test_there_and_back(name: str) -> None:
    module, net, x = made(name, "float64")
    again = rg.torch.to_module(net)
    assert_near(computed(again, [x]), computed(module, [x]), 1e-12)
    if name != "transformer" and isinstance(again, nn.Sequential):
        assert_near(predicted(rg.torch.from_module(again, x.shape[1:]), [x]), predicted(net, [x]), 1e-12)


def test_layers_have_the_names_of_modules_and_take_in_activations() -> None:
    _, net, _ = made("rows", "float32")
    assert [layer.name for layer in net.layers] == ["0", "2", "3", "4.0", "4.2", "4.3", "5"]
    assert net["0"].config["activation"] == "relu"
    assert net["4.0"].config["activation"] == ""


class Rated(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.users, self.head = nn.Embedding(5, 3), nn.Linear(5, 1)

    def forward(self, user: Any, features: Any) -> Any:
        return self.head(torch.cat([self.users(user), features], dim=1)).squeeze(-1)


def test_several_inputs() -> None:
    torch.manual_seed(0)
    module = Rated()
    net = rg.torch.from_module(module, [(), (2,)], ["int64", None])
    given = [np.array([4, 0, 2]), np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)]
    assert_near(predicted(net, given), computed(module, given), 1e-6)
    with pytest.raises(rg.ArgumentError, match="1 dtypes for 2 inputs"):
        rg.torch.from_module(module, [(), (2,)], ["int64"])


def test_training_goes_on_here() -> None:
    """Gradients of a step of the model are those of the module."""
    module, net, x = made("residual", "float64")
    y = np.array([0, 2, 1])
    module.eval()
    net.freeze("norm")  # statistics as they are, like a module in evaluation
    nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    rg.Trainer(net, "cross_entropy", rg.SGD(0.1)).gradients(x, y)
    gradient = net.gradients["b.weight"].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(gradient, module.b.weight.grad.numpy(), rtol=0, atol=1e-12)


# ------------------------------------------------------------------------------------------------ errors


class Choosing(nn.Module):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


class Sorting(nn.Module):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return torch.sort(x)[0]


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(3, 2), nn.Threshold(1, 2)), 3, "Threshold|threshold"),
        (nn.Sequential(nn.MaxPool2d(2, dilation=2)), (1, 8, 8), r"0 \(MaxPool2d\): dilations are \[2, 2\]"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding_mode="reflect")), (1, 8, 8), "padding_mode is 'reflect'"),
        (nn.Sequential(nn.Flatten(0)), 3, "the batch would be joined"),
        (
            nn.Sequential(nn.LSTM(3, 2)),
            (4, 3),
            r"0 \(LSTM\): it takes the time before the batch, .* batch_first=True",
        ),
        (nn.Sequential(nn.LayerNorm((2, 3))), (2, 3), "it goes over axes of"),
        (Choosing(), 3, "Choosing cannot be traced"),
        (Sorting(), 3, "sort: it is not known; known are"),
    ],
)
def test_what_is_not_known_is_named(module: Any, shape: Any, message: str) -> None:
    with pytest.raises(rg.GraphError, match=message):
        rg.torch.from_module(module, shape)


def test_wrong_arguments() -> None:
    net = rg.Sequential([rg.Input(3), rg.Dense(2)])
    with pytest.raises(rg.ArgumentError, match=r"expected a torch\.nn\.Module, got int"):
        rg.torch.from_module(3, 4)
    with pytest.raises(rg.ArgumentError, match="Sequential takes 1 inputs, got 2 shapes"):
        rg.torch.from_module(nn.Sequential(nn.Linear(3, 2)), [(3,), (3,)])
    for call in (rg.torch.to_module, rg.torch.state_dict):
        with pytest.raises(rg.ArgumentError, match="expected a model, got int"):
            call(3)  # type: ignore[arg-type]
    with pytest.raises(rg.ArgumentError, match=r"missing: dense_0\.bias; unexpected: fc\.bias"):
        rg.torch.load_state_dict(net, {"dense_0.weight": torch.zeros(2, 3), "fc.bias": torch.zeros(2)})
    with pytest.raises(rg.ShapeError, match=r"dense_0\.weight is \(3, 2\), expected \(2, 3\)"):
        rg.torch.load_state_dict(net, {"dense_0.weight": torch.zeros(3, 2), "dense_0.bias": torch.zeros(2)})


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(rg.ArgumentError, match=r'pip install "retrograd\[torch\]"'):
        rg.torch.from_module(object(), 3)


def test_losses_are_no_part_of_a_module() -> None:
    from retrograd.graph import operation

    x, y = rg.Input(3), rg.Input(3)
    net = rg.Model([x, y], operation("half_squared_error", x, y))
    with pytest.raises(rg.GraphError, match=r"half_squared_error_0 .* has no counterpart in a module"):
        rg.torch.to_module(net)
