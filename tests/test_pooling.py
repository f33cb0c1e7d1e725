"""Pooling and upsampling: what bad input gets, ties, NaN, and the same bits everywhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_pooling as pooling
import retrograd as rg
from retrograd import ops

LAYERS: dict[str, Callable[[], rg.layers.Layer]] = {
    "max": lambda: rg.MaxPool2D(2),
    "max 3/2/1": lambda: rg.MaxPool2D(3, 2, 1),
    "avg": lambda: rg.AvgPool2D(2),
    "avg 3/2/1": lambda: rg.AvgPool2D(3, 2, 1),
    "global": rg.GlobalAvgPool2D,
    "nearest": lambda: rg.UpSample2D(2),
    "bilinear": lambda: rg.UpSample2D(3, mode="bilinear"),
}


# ------------------------------------------------------------------------------------- what is refused

REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: rg.MaxPool2D(0), rg.ArgumentError, "MaxPool2D: size: expected at least 1, got 0"),
    (lambda: rg.MaxPool2D(2, stride=0), rg.ArgumentError, "MaxPool2D: stride: expected at least 1, got 0"),
    (
        lambda: rg.AvgPool2D(2, padding=-1),
        rg.ArgumentError,
        "AvgPool2D: padding: expected at least 0, got -1",
    ),
    (
        lambda: rg.AvgPool2D(3, padding=(1, 2), name="small"),
        rg.ArgumentError,
        "small: padding 2 is more than half of size 3, so that windows could lie outside of the image; "
        "use at most 1",
    ),
    (
        lambda: rg.MaxPool2D((1, 2, 3)),
        rg.ArgumentError,
        "MaxPool2D: size: expected a number or two of them, for rows and columns; got (1, 2, 3)",
    ),
    (lambda: rg.MaxPool2D("2"), rg.ArgumentError, "MaxPool2D: size: expected a whole number, got '2' (str)"),
    (
        lambda: rg.MaxPool2D(2.0),
        rg.ArgumentError,
        "MaxPool2D: size: expected a whole number, got 2.0 (float)",
    ),
    (lambda: rg.UpSample2D(0), rg.ArgumentError, "UpSample2D: factor: expected at least 1, got 0"),
    (
        lambda: rg.UpSample2D(2, mode="linear"),
        rg.ArgumentError,
        "UpSample2D: mode: unknown name 'linear'; did you mean 'bilinear'? choose one of nearest, bilinear",
    ),
    (
        lambda: rg.MaxPool2D(5, name="p")(rg.Input((4, 9, 3))),
        rg.ShapeError,
        "p: a window of 5 x 5 does not fit into (batch, 4, 9, 3) with padding (0, 0); expected at least 5 "
        "rows, got 4",
    ),
    (
        lambda: rg.AvgPool2D((2, 9), padding=(0, 1))(rg.Input((4, 6, 3))),
        rg.ShapeError,
        "avg_pool2d: a window of 2 x 9 does not fit into (batch, 4, 6, 3) with padding (0, 1); expected at "
        "least 9 columns, got 8",
    ),
    (
        lambda: rg.MaxPool2D(5000)(rg.Input((6000, 6000, 1))),
        rg.ArgumentError,
        "max_pool2d: a window of 5000 x 5000 is too large; expected at most 16777216 pixels",
    ),
    (
        lambda: rg.MaxPool2D(2)(rg.Input((28, 28))),
        rg.ShapeError,
        "max_pool2d: expected images (batch, height, width, channels), got (batch, 28, 28); a last axis of 1 "
        "makes images of one channel, as rg.Input((28, 28, 1)) does",
    ),
    (
        lambda: rg.UpSample2D(2, name="up")(rg.Input(784)),
        rg.ShapeError,
        "up: expected images (batch, height, width, channels), got (batch, 784); a last axis of 1 makes "
        "images of one channel, as rg.Input((28, 28, 1)) does",
    ),
    (
        lambda: rg.GlobalAvgPool2D()(rg.Input((7, 5))),
        rg.ShapeError,
        "global_avg_pool2d: expected images (batch, height, width, channels), got (batch, 7, 5)",
    ),
    (
        lambda: rg.MaxPool2D(2)(rg.Input((4, 4, 1)), rg.Input((4, 4, 1))),
        rg.GraphError,
        "max_pool2d: expected one input node, got 2",
    ),
    (
        lambda: rg.AvgPool2D(2)(rg.Input((4, 4, 1), dtype="int64")),
        rg.DTypeError,
        "avg_pool2d",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=[row[2][:60] for row in REFUSED])
def test_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as found:
        make()
    assert str(found.value).startswith(message)


def test_the_largest_window_and_padding_that_fit() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    whole = run(rg.MaxPool2D((6, 7), padding=(1, 1)), x)[0]
    np.testing.assert_array_equal(whole, x.max(axis=(1, 2), keepdims=True))


# ------------------------------------------------------------------------------------- values and slopes


def run(layer: rg.layers.Layer, x: np.ndarray, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The output, and the gradient of the sum of its squares with respect to a shift of all samples."""
    node = rg.Input(x.shape[1:])
    y = layer(node + rg.Variable(np.zeros(x.shape[1:]), name="shift"))
    net = rg.Model(node, y, dtype=x.dtype)

    def loss(found: rg.Node, _: rg.Node) -> rg.Node:
        return ops.sum(ops.square(rg.Flatten()(found)), axis=1)

    trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1), threads=threads)
    trainer.gradients(x, np.zeros((len(x), 1)))
    return net.predict(x, threads=threads), net.gradients["shift"].copy()


def test_the_first_of_equals_has_the_whole_derivative() -> None:
    for channels in (1, 6, 16, 21):
        _, gradient = run(rg.MaxPool2D(2), np.ones((1, 4, 4, channels)))
        expected = np.zeros((4, 4, channels))
        expected[::2, ::2] = 2.0
        np.testing.assert_array_equal(gradient, expected)
    # overlapping windows of equals, with padding: the first pixel of each window that is in the image
    _, gradient = run(rg.MaxPool2D(3, 1, 1), np.ones((1, 3, 3, 2)))
    np.testing.assert_array_equal(gradient[..., 0], [[8.0, 4.0, 0.0], [4.0, 2.0, 0.0], [0.0, 0.0, 0.0]])


def test_nan_is_handed_on() -> None:
    """By operations within the network: what comes in from outside is refused."""
    node = rg.Input((4, 4, 3))
    made = ops.log(node)
    x = np.ones((1, 4, 4, 3))
    x[0, 1, 2, 1] = -1.0
    for layer, alone in (
        (rg.MaxPool2D(2), True),
        (rg.MaxPool2D(3, 1, 1), False),
        (rg.AvgPool2D(2), True),
        (rg.UpSample2D(2, mode="bilinear"), False),
    ):
        y = rg.Model(node, layer(made), dtype="float64").predict(x)
        assert np.isnan(y[..., 1]).any()
        assert not np.isnan(y[..., [0, 2]]).any()
        if alone:
            assert np.isnan(y).sum() == 1
            assert np.isnan(y[0, 0, 1, 1])


def test_minus_infinity_is_the_largest_of_its_kind() -> None:
    node = rg.Input((2, 2, 1))
    net = rg.Model(node, rg.MaxPool2D(2)(ops.log(node)), dtype="float64")
    assert net.predict(np.zeros((1, 2, 2, 1)))[0, 0, 0, 0] == -np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 16, 17, 33])
def test_any_number_of_channels(channels: int, dtype: str) -> None:
    """Fewer than the lanes, as many, more, and a rest: for the last pixel of the last image too."""
    x = np.random.default_rng(channels).normal(size=(3, 7, 5, channels)).astype(dtype)
    wide = x.astype(np.float64)
    limit = 1e-5 if dtype == "float32" else 1e-13
    for layer, expected in (
        (rg.MaxPool2D(2), pooling.max_pool(wide, (2, 2), (2, 2))),
        (rg.MaxPool2D(3, 2, 1), pooling.max_pool(wide, (3, 3), (2, 2), (1, 1))),
        (rg.AvgPool2D(3, 1, 1), pooling.avg_pool(wide, (3, 3), (1, 1), (1, 1))),
        (rg.UpSample2D((2, 3)), pooling.nearest(wide, (2, 3))),
        (rg.UpSample2D((2, 3), mode="bilinear"), pooling.bilinear(wide, (2, 3))),
    ):
        np.testing.assert_allclose(run(layer, x)[0], expected, rtol=0, atol=limit)


def test_a_gradient_is_added_where_the_input_is_used_twice() -> None:
    x = np.random.default_rng(1).normal(size=(2, 6, 6, 5))
    for name, make in LAYERS.items():
        alone = run(make(), x)[1]
        joined = run_beside(make(), x)
        np.testing.assert_allclose(joined, alone + 2.0 * x.mean(axis=0), rtol=0, atol=1e-12, err_msg=name)


def run_beside(layer: rg.layers.Layer, x: np.ndarray) -> np.ndarray:
    node = rg.Input(x.shape[1:])
    h = node + rg.Variable(np.zeros(x.shape[1:]), name="shift")
    net = rg.Model(node, rg.Concatenate()([rg.Flatten()(h), rg.Flatten()(layer(h))]), dtype="float64")

    def loss(found: rg.Node, _: rg.Node) -> rg.Node:
        return ops.sum(ops.square(found), axis=1)

    rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1)).gradients(x, np.zeros((len(x), 1)))
    return net.gradients["shift"]


# ------------------------------------------------------------------------------------------ the same bits


def digest(threads: int) -> str:
    """Of outputs and gradients of all layers, at the sizes of LeNet and of a small residual network."""
    total = hashlib.sha256()
    for dtype in (np.float32, np.float64):
        for shape in ((24, 24, 6), (8, 8, 16), (13, 9, 5)):
            x = np.random.default_rng(shape[0]).normal(size=(64, *shape)).astype(dtype)
            for make in LAYERS.values():
                for array in run(make(), x, threads):
                    total.update(array.tobytes())
    return total.hexdigest()


def test_the_same_bits_for_any_number_of_threads() -> None:
    assert len({digest(threads) for threads in range(1, 9)}) == 1


def test_the_same_bits_for_any_instruction_set() -> None:
    found = {}
    for isa in ("avx2", "avx512", "neon"):
        code = "import test_pooling, retrograd; print(retrograd._core.isa(), test_pooling.digest(1))"
        path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "RETROGRAD_ISA": isa, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        level, bits = result.stdout.split()
        found[level] = bits
    if set(found) <= {"baseline"}:
        pytest.skip("no instruction set with fused multiply-add")
    found.pop("baseline", None)
    assert len(set(found.values())) == 1, found
