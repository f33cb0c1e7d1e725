"""Convolutions: what bad arguments get, equal bits at the sizes of real networks, and training."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _core, ops

THREADS = range(1, 9)


# ---------------------------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rg.Conv2D(0, 3), r"Conv2D: filters: expected at least 1, got 0"),
        (lambda: rg.Conv2D(4, 0), r"Conv2D: kernel_size: expected 1 to 1073741824, got 0"),
        (lambda: rg.Conv2D(4, (3, -1)), r"Conv2D: kernel_size: expected 1 to 1073741824, got -1"),
        (
            lambda: rg.Conv2D(4, (3, 3, 3)),
            r"Conv2D: kernel_size: expected a number or 2 of them, got \(3, 3, 3\)",
        ),
        (lambda: rg.Conv2D(4, "3"), r"Conv2D: kernel_size: expected whole numbers, got '3'"),
        (lambda: rg.Conv2D(4, 3, stride=0), r"Conv2D: stride: expected 1 to 1073741824, got 0"),
        (lambda: rg.Conv2D(4, 3, stride=1.5), r"Conv2D: stride: expected a whole number, got 1\.5"),
        (lambda: rg.Conv2D(4, 3, padding=-1), r"Conv2D: padding: expected 0 to 1073741824, got -1"),
        (
            lambda: rg.Conv2D(4, 3, padding=2**31),
            r"Conv2D: padding: expected 0 to 1073741824, got 2147483648",
        ),
        (
            lambda: rg.Conv2D(4, 3, padding="valid"),
            r"Conv2D: padding is 'valid', expected 'same' or whole numbers",
        ),
        (
            lambda: rg.Conv2D(4, 3, padding="same", stride=2),
            r"Conv2D: padding='same' needs stride 1, got stride=2; give the padding in numbers",
        ),
        (lambda: rg.Conv2D(4, 3, dilation=(1, 0)), r"Conv2D: dilation: expected 1 to 1073741824, got 0"),
        (lambda: rg.Conv2D(4, 3, groups=3), r"Conv2D: groups=3 does not divide filters=4"),
        (lambda: rg.Conv2D(4, 3, groups=0, name="c"), r"c: groups: expected at least 1, got 0"),
        (lambda: rg.Conv2D(4, 3, activation="rel"), r"Conv2D: activation: unknown name 'rel'; did you mean"),
        (lambda: rg.Conv1D(4, (3, 3)), r"Conv1D: kernel_size: expected one number, got \(3, 3\)"),
        (
            lambda: rg.ConvTranspose2D(4, 3, padding="same"),
            r"ConvTranspose2D: padding is 'same', expected whole numbers",
        ),
        (
            lambda: rg.ConvTranspose2D(4, 3, stride=2, output_padding=2),
            r"ConvTranspose2D: output_padding=2 must be smaller than stride=2 or dilation=1",
        ),
        (
            lambda: rg.Conv2D(4, 3, use_bias=False, bias_init=np.zeros(4)),
            r"Conv2D: bias_init is an array but use_bias is False",
        ),
    ],
)
def test_arguments_that_no_input_can_mend(make: Any, message: str) -> None:
    with pytest.raises(rg.ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            rg.Conv2D(4, 3),
            (28, 28),
            r"conv2d: input has shape \(batch, 28, 28\), expected \(batch, height, width, channels\); "
            r"rg.Reshape can add the axis of channels",
        ),
        (
            rg.Conv1D(4, 3),
            (5, 4, 2),
            r"conv1d: input has shape \(batch, 5, 4, 2\), expected \(batch, time, channels\)",
        ),
        (
            rg.Conv2D(4, 5, name="first"),
            (4, 9, 1),
            r"first: the kernel covers \(5, 5\) but the input \(batch, 4, 9, 1\) with padding \(0, 0\) has "
            r"only \(4, 9\); choose a smaller kernel_size or dilation, or a larger padding",
        ),
        (
            rg.Conv2D(4, 3, dilation=4, padding=1),
            (6, 9, 1),
            r"conv2d: the kernel covers \(9, 9\) but the input \(batch, 6, 9, 1\) with padding \(1, 1\) has "
            r"only \(8, 11\)",
        ),
        (
            rg.Conv1D(4, 7),
            (6, 2),
            r"conv1d: the kernel covers \(7\) but the input \(batch, 6, 2\) with padding \(0\) has only "
            r"\(6\)",
        ),
        (
            rg.Conv2D(4, 3, groups=2),
            (8, 8, 3),
            r"conv2d: groups=2 does not divide the 3 channels of the input \(batch, 8, 8, 3\)",
        ),
        (
            rg.ConvTranspose2D(4, 3, padding=4),
            (3, 3, 2),
            r"conv_transpose2d: padding \(4, 4\) leaves nothing of the result: \(-3, -3\) from the input "
            r"\(batch, 3, 3, 2\) and a kernel \(3, 3\)",
        ),
        (
            rg.Conv2D(4, 3, weight_init=np.zeros((4, 3, 3, 2))),
            (8, 8, 3),
            r"conv2d: weight_init has 72 elements, expected shape \(4, 3, 3, 3\)",
        ),
    ],
)
def test_inputs_that_do_not_fit(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(rg.ShapeError, match=message):
        layer(rg.Input(shape))


def test_a_second_call_needs_as_many_channels() -> None:
    layer = rg.Conv2D(4, 3)
    layer(rg.Input((8, 8, 3)))
    with pytest.raises(rg.ShapeError, match=r"its weight has shape \(4, 3, 3, 3\) from the first call"):
        layer(rg.Input((8, 8, 2)))


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        (
            "conv2d",
            {"stride": [2**62, 1]},
            r"conv2d: stride is \(4611686018427387904, 1\), expected numbers from 1",
        ),
        (
            "conv2d",
            {"padding": [2**62, 2**62]},
            r"conv2d: padding is .*, expected numbers from 0 to 1073741824",
        ),
        ("conv2d", {"dilation": [1]}, r"conv2d: dilation is \(1\), expected 2 numbers, one for each axis"),
        ("conv2d", {"padding": "full"}, r"conv2d: padding is 'full', expected 'same' or 2 numbers"),
        (
            "conv2d",
            {"padding": "same", "stride": [2, 1]},
            r"conv2d: padding 'same' needs stride 1, got \(2, 1\)",
        ),
        ("conv1d", {"groups": 0}, r"conv1d: groups is 0, expected at least 1"),
        ("conv2d", {"output_padding": [1, 1]}, r"conv2d: has no attribute 'output_padding'"),
        (
            "conv_transpose2d",
            {"output_padding": [2, 0], "stride": [2, 2]},
            r"conv_transpose2d: output_padding \(2, 0\) must be smaller than stride \(2, 2\) or "
            r"dilation \(1, 1\)",
        ),
    ],
)
def test_attributes_of_a_file(op: str, attributes: dict[str, Any], message: str) -> None:
    x = rg.Input((9, 3) if op == "conv1d" else (9, 9, 3))
    weight = rg.Variable(np.zeros((3, 2, 3) if op == "conv1d" else (3, 2, 2, 3)))
    with pytest.raises(rg.ArgumentError, match=message):
        _core.apply(op, attributes, [x, weight])


def test_sizes_that_no_memory_holds() -> None:
    x = rg.Input((9, 9, 3))
    with pytest.raises(rg.ShapeError, match=r"a size of \d+ x \d+ elements is not possible"):
        rg.Conv2D(2**20, 2, padding=2**30)(x)
    with pytest.raises(rg.ShapeError, match=r"a size of \d+ x \d+ elements is not possible"):
        rg.ConvTranspose2D(2**10, 2, stride=2**30)(x)


# -------------------------------------------------------------------------- gradients that are added up


@pytest.mark.parametrize(
    ("shape", "make"),
    [
        ((5, 6, 3), lambda: rg.Conv2D(4, 3)),
        ((5, 6, 3), lambda: rg.Conv2D(4, 3, padding=1, stride=2)),
        ((4, 5, 4), lambda: rg.Conv2D(6, 2, groups=2)),
        ((4, 5, 4), lambda: rg.Conv2D(4, 3, groups=4, padding=1)),
        ((6, 5, 4), lambda: rg.Conv2D(4, 3, groups=4, stride=2)),
        ((5, 11, 1), lambda: rg.Conv2D(3, 3)),
        ((5, 11, 1), lambda: rg.Conv2D(5, 3, padding="same")),
        ((9, 2), lambda: rg.Conv1D(3, 4, padding=2)),
        ((3, 4, 2), lambda: rg.ConvTranspose2D(3, 3, stride=2)),
        ((3, 4, 2), lambda: rg.ConvTranspose2D(3, 3, stride=2, padding=1)),
        ((3, 4, 3), lambda: rg.ConvTranspose2D(3, 3, groups=3)),
        ((3, 9, 4), lambda: rg.ConvTranspose2D(1, 3)),
    ],
)
def test_a_layer_called_twice_with_one_node(shape: tuple[int, ...], make: Any) -> None:
    """Both calls add to the gradients of W, b and of the node."""
    x, shift = rg.Input(shape), rg.Variable(np.full(shape, 0.1), name="shift")
    layer, h = make(), ops.add(x, shift)
    z = ops.add(layer(h), ops.tanh(layer(h)))
    net = rg.Model(x, rg.Dense(2)(rg.Flatten()(z)), dtype="float64", seed=2)
    rng = np.random.default_rng(5)
    data, target = rng.normal(size=(3, *shape)), rng.normal(size=(3, 2))
    assert rg.check_gradients(net, data, target, "mse").max_relative_error < 1e-6


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_with_its_activation_in_one_pass(activation: str) -> None:
    """The plan makes one operation of the pair; looking inside needs both, and finds the same bits."""
    x = rg.Input((9, 12, 1))
    a = rg.Conv2D(5, 3, activation=activation)(x)
    net = rg.Model(x, rg.Dense(2)(rg.Flatten()(rg.Conv2D(7, 2, activation=activation)(a))), seed=4)
    rng = np.random.default_rng(5)
    data, target = rng.normal(size=(4, 9, 12, 1)), rng.normal(size=(4, 2))
    trace = net.trace(data, target, "mse")
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
    trainer.gradients(data, target)
    assert trace["dense_0"].z.tobytes() == net.predict(data).tobytes()
    for name in ("conv2d_0", "conv2d_1"):
        assert trace[name].dW.tobytes() == net.gradients[f"{name}.weight"].tobytes()
        assert trace[name].db.tobytes() == net.gradients[f"{name}.bias"].tobytes()
        assert trace[name].z.shape == trace[name].delta.shape == trace[name].a.shape


# ------------------------------------------------------------------------------------------- equal bits


def lenet(**options: Any) -> rg.Model:
    """Two convolutions of LeNet-5, with strides where it pools."""
    return rg.Sequential(
        [
            rg.Input((28, 28, 1)),
            rg.Conv2D(6, 5, activation="tanh"),
            rg.Conv2D(6, 2, stride=2, groups=6),
            rg.Conv2D(16, 5, activation="relu"),
            rg.Conv2D(16, 2, stride=2),
            rg.Flatten(),
            rg.Dense(10),
        ],
        seed=0,
        **options,
    )


def wide(**options: Any) -> rg.Model:
    return rg.Sequential(
        [
            rg.Input((9, 11, 3)),
            rg.Conv2D(40, 3, padding="same", activation="relu"),
            rg.Conv2D(40, 3, padding=1, groups=40),
            rg.Conv2D(70, (3, 2), stride=2, dilation=(1, 2), padding=2, activation="silu"),
            rg.ConvTranspose2D(24, 3, stride=2, padding=1, output_padding=1),
            rg.Flatten(),
            rg.Dense(10),
        ],
        seed=0,
        **options,
    )


def sequence(**options: Any) -> rg.Model:
    return rg.Sequential(
        [
            rg.Input((96, 5)),
            rg.Conv1D(24, 5, padding=2, activation="gelu"),
            rg.Conv1D(33, 3, stride=2, dilation=2),
            rg.Flatten(),
            rg.Dense(10),
        ],
        seed=0,
        **options,
    )


def large(**options: Any) -> rg.Model:
    """Images whose padded rows are more than one band."""
    return rg.Sequential(
        [
            rg.Input((60, 50, 13)),
            rg.Conv2D(8, 3, padding=1, activation="relu"),
            rg.Conv2D(4, 3, stride=3, padding=2),
            rg.Flatten(),
            rg.Dense(10),
        ],
        seed=0,
        **options,
    )


NETWORKS = {"lenet": lenet, "wide": wide, "sequence": sequence, "large": large}


def digest(name: str, dtype: str, threads: int, batch: int = 32) -> str:
    """Parameters, gradients and outputs after two steps."""
    net = NETWORKS[name](dtype=dtype)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(batch, *net.inputs[0].sample_shape)).astype(dtype)
    y = rng.integers(0, 10, batch)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-3), threads=threads)
    for _ in range(2):
        trainer.step(x, y)
    assert trainer.threads_used == threads
    parts = [net.flat_parameters, net.flat_gradients, net.predict(x)]
    return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_of_threads_gives_the_same_bits(name: str, dtype: str) -> None:
    assert len({digest(name, dtype, threads) for threads in THREADS}) == 1


def test_a_batch_of_one_is_shared_by_threads() -> None:
    """Rows of one image go to several members, whose bands of padded rows lap over each other."""
    assert len({digest("wide", "float32", threads, batch=2) for threads in THREADS}) == 1


SCRIPT = """
from test_convolution import NETWORKS, digest
for name in NETWORKS:
    for dtype in ("float32", "float64"):
        print(name, dtype, digest(name, dtype, 1, batch=8))
"""


def test_instruction_sets_give_the_same_bits() -> None:
    folder = os.path.dirname(__file__)

    def printed(isa: str) -> str:
        environment = {**os.environ, "RETROGRAD_ISA": isa}
        environment["PYTHONPATH"] = os.pathsep.join([folder, *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    levels = [isa for isa in _core.runnable_isas() if isa != "baseline"]  # which has no fused multiply-add
    assert len({printed(isa) for isa in levels}) <= 1
