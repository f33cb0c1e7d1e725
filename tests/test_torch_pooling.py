"""Pooling, upsampling and standardising beside PyTorch, in float64: outputs and gradients to 1e-10."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd as rg  # noqa: E402
from retrograd import ops  # noqa: E402

F = torch.nn.functional
LIMIT = 1e-10

CASES: dict[str, tuple[Callable[[], rg.layers.Layer], Callable[[Any], Any]]] = {
    "max": (lambda: rg.MaxPool2D(2), lambda x: F.max_pool2d(x, 2)),
    "max 3": (lambda: rg.MaxPool2D(3), lambda x: F.max_pool2d(x, 3)),
    "max 3/2/1": (lambda: rg.MaxPool2D(3, 2, 1), lambda x: F.max_pool2d(x, 3, 2, 1)),
    "max 3/1/1": (lambda: rg.MaxPool2D(3, 1, 1), lambda x: F.max_pool2d(x, 3, 1, 1)),
    "max 2/3": (lambda: rg.MaxPool2D(2, 3), lambda x: F.max_pool2d(x, 2, 3)),
    "max rectangular": (
        lambda: rg.MaxPool2D((2, 5), (3, 1), (1, 2)),
        lambda x: F.max_pool2d(x, (2, 5), (3, 1), (1, 2)),
    ),
    "avg": (lambda: rg.AvgPool2D(2), lambda x: F.avg_pool2d(x, 2)),
    "avg 3/2/1": (lambda: rg.AvgPool2D(3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1)),
    "avg 2/3": (lambda: rg.AvgPool2D(2, 3), lambda x: F.avg_pool2d(x, 2, 3)),
    "avg rectangular": (
        lambda: rg.AvgPool2D((4, 3), (1, 2), (2, 1)),
        lambda x: F.avg_pool2d(x, (4, 3), (1, 2), (2, 1)),
    ),
    "global": (rg.GlobalAvgPool2D, lambda x: F.adaptive_avg_pool2d(x, 1)),
    "nearest 2": (lambda: rg.UpSample2D(2), lambda x: F.interpolate(x, scale_factor=2)),
    "nearest 3x1": (lambda: rg.UpSample2D((3, 1)), lambda x: F.interpolate(x, scale_factor=(3, 1))),
    **{
        f"bilinear {factor}": (
            lambda factor=factor: rg.UpSample2D(factor, mode="bilinear"),
            lambda x, factor=factor: F.interpolate(x, scale_factor=factor, mode="bilinear"),
        )
        for factor in (1, 2, 3, 4, (2, 5))
    },
}


@pytest.mark.parametrize("shape", [(9, 7, 6), (6, 10, 16), (5, 8, 1), (8, 6, 37)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_images(name: str, shape: tuple[int, int, int]) -> None:
    make, theirs = CASES[name]
    rng = np.random.default_rng(len(name) + shape[0])
    x = rng.normal(size=(3, *shape))
    xt = torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    yt = theirs(xt)
    expected = yt.detach().numpy().transpose(0, 2, 3, 1)
    weigh = rng.normal(size=expected.shape)
    (yt * torch.tensor(weigh.transpose(0, 3, 1, 2).copy())).sum().backward()

    y, dx = value_and_gradient(make(), x, weigh)
    assert np.abs(y.reshape(expected.shape) - expected).max() < LIMIT
    assert np.abs(dx - xt.grad.numpy().transpose(0, 2, 3, 1)).max() < LIMIT


def value_and_gradient(
    layer: rg.layers.Layer, x: np.ndarray, weigh: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The layer's output, and the gradient of the weighed sum of it, for every sample apart."""
    node, chosen = rg.Input(x.shape[1:]), rg.Input(len(x))
    shift = rg.Variable(np.zeros(x.shape), name="shift")
    # each sample has a shift of its own, so that its gradient can be read: a row of a table
    own = ops.reshape(ops.matmul(chosen, ops.reshape(shift, (len(x), -1))), x.shape[1:])
    y = layer(node + own)
    net = rg.Model([node, chosen], y, dtype="float64")

    def loss(found: rg.Node, target: rg.Node) -> rg.Node:
        return ops.sum(rg.Flatten()(found) * target, axis=1)

    trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))
    trainer.gradients([x, np.eye(len(x))], weigh.reshape(len(x), -1))
    return net.predict([x, np.eye(len(x))]), net.gradients["shift"] * len(x)


def test_the_first_of_equals_has_the_gradient() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 3, size=(4, 9, 9, 5)).astype(np.float64)
    for size, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 0)):
        xt = torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)
        yt = F.max_pool2d(xt, size, stride, padding)
        weigh = rng.normal(size=yt.permute(0, 2, 3, 1).shape)
        (yt * torch.tensor(weigh.transpose(0, 3, 1, 2).copy())).sum().backward()
        _, dx = value_and_gradient(rg.MaxPool2D(size, stride, padding), x, weigh)
        assert np.abs(dx - xt.grad.numpy().transpose(0, 2, 3, 1)).max() < LIMIT


def test_standardize() -> None:
    rng = np.random.default_rng(4)
    data = rng.normal(3.0, 5.0, size=(50, 6, 4))
    x = rng.normal(size=(3, 6, 4))
    mean, std = torch.tensor(data).mean(dim=(0, 1)), torch.tensor(data).std(dim=(0, 1), correction=0)
    weigh = rng.normal(size=x.shape)
    y, dx = value_and_gradient(rg.Standardize().adapt(data), x, weigh)
    assert np.abs(y - ((torch.tensor(x) - mean) / std).numpy()).max() < LIMIT
    assert np.abs(dx - weigh / std.numpy()).max() < LIMIT
