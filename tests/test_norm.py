"""LayerNorm and RMSNorm beyond their rows: real sizes, equal bits, hard numbers, errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_attention as att
import retrograd as rg
from retrograd import _core

Array = np.ndarray
DTYPES = ("float32", "float64")


def rows(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def norm_net(kind: str, shape: tuple[int, ...], dtype: str = "float64") -> tuple[rg.Model, dict[str, Array]]:
    rng = np.random.default_rng(7)
    parameters = {"weight": rng.normal(size=shape[-1])}
    if kind == "LayerNorm":
        parameters["bias"] = rng.normal(size=shape[-1])
    x = rg.Input(shape)
    layer = att.with_parameters(getattr(rg, kind)(), parameters)
    return rg.Model(x, layer(x), dtype=dtype), parameters


def value(kind: str, x: Array, parameters: dict[str, Array]) -> Array:
    if kind == "LayerNorm":
        return att.layer_norm_value(x, parameters["weight"], parameters["bias"], 1e-5)
    return att.rms_norm_value(x, parameters["weight"], 1e-6)


@pytest.mark.parametrize("columns", [1, 2, 3, 15, 16, 17, 31, 33, 128, 200])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm"])
def test_rows_of_every_length(kind: str, dtype: str, columns: int) -> None:
    net, parameters = norm_net(kind, (columns,), dtype)
    x = 3.0 * rows(9, columns) + 1.0
    found = net.predict(x)
    scale = max(1.0, float(np.abs(found).max()))
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found, value(kind, x, parameters), atol=tolerance * scale)


@pytest.mark.parametrize("samples", [1, 3, 31, 33, 64, 700])
@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm"])
def test_slopes_with_any_number_of_rows(kind: str, samples: int) -> None:
    """Sums over the rows are cut into parts from 64 rows on."""
    x = rg.Input((7,))
    h = rg.Dense(5)(x)
    net = rg.Model(x, h + getattr(rg, kind)()(h), dtype="float64", seed=2)
    report = rg.check_gradients(net, rows(samples, 7), rows(samples, 5, seed=1), "mse")
    assert report.max_relative_error < 1e-6


@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm"])
def test_slopes_of_a_layer_called_twice(kind: str) -> None:
    x, layer = rg.Input(7), getattr(rg, kind)()
    net = rg.Model(x, layer(rg.Dense(5)(layer(rg.Dense(5)(x)))), dtype="float64", seed=2)
    report = rg.check_gradients(net, rows(40, 7), rows(40, 5, seed=1), "mse")
    assert report.max_relative_error < 1e-6


@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm"])
@pytest.mark.parametrize("trained", ["dense_0", "*.weight", "*norm*"])
def test_slopes_of_frozen_parts(kind: str, trained: str) -> None:
    net = rg.Sequential([rg.Input(7), rg.Dense(5), getattr(rg, kind)()], dtype="float64", seed=2)
    net.freeze("*")
    net.unfreeze(trained)
    report = rg.check_gradients(net, rows(40, 7), rows(40, 5, seed=1), "mse")
    assert report.max_relative_error < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_mean_leaves_the_variance(dtype: str) -> None:
    """The square of the mean is far beyond the digits of the variance."""
    net, parameters = norm_net("LayerNorm", (64,), dtype)
    x = (rows(5, 64) + {"float32": 1e3, "float64": 1e7}[dtype]).astype(dtype)
    expected = value("LayerNorm", x.astype(np.float64), parameters)
    np.testing.assert_allclose(net.predict(x), expected, atol=1e-3 if dtype == "float32" else 1e-7)


@pytest.mark.parametrize("kind", ["LayerNorm", "RMSNorm"])
def test_rows_of_equal_numbers(kind: str) -> None:
    net, parameters = norm_net(kind, (6,))
    x = np.zeros((3, 6))
    np.testing.assert_array_equal(
        net.predict(x), np.broadcast_to(parameters.get("bias", np.zeros(6)), (3, 6))
    )
    rg.Trainer(net, loss="mse").gradients(x, np.ones((3, 6)))
    assert np.isfinite(net.flat_gradients).all()


def step_bytes(threads: int, dtype: str) -> bytes:
    x = rg.Input((128, 128))
    h = rg.RMSNorm()(rg.Dense(128, activation="gelu")(rg.LayerNorm()(x)))
    trainer = rg.Trainer(
        rg.Model(x, h, seed=1, dtype=dtype), loss="mse", optimizer=rg.Adam(1e-3), threads=threads
    )
    data = rows(5, 128, 128)
    for _ in range(2):
        trainer.step(data, 0.5 * data)
    assert trainer.threads_used == threads
    return trainer.model.flat_parameters.tobytes() + trainer.model.flat_gradients.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads(dtype: str) -> None:
    assert len({step_bytes(threads, dtype) for threads in range(1, 9)}) == 1


ISA_SCRIPT = """
import hashlib
from test_norm import DTYPES, norm_net, rows, step_bytes
parts = [step_bytes(1, dtype) for dtype in DTYPES]
for kind in ("LayerNorm", "RMSNorm"):
    for columns in range(1, 40):
        nets = [norm_net(kind, (columns,), dtype)[0] for dtype in DTYPES]
        parts += [net.predict(rows(9, columns)).tobytes() for net in nets]
print(hashlib.sha256(b"".join(parts)).hexdigest())
"""


def test_instruction_sets() -> None:
    with_fma = [isa for isa in _core.runnable_isas() if isa != "baseline"]
    if len(with_fma) < 2:
        pytest.skip(f"this machine runs one instruction set with fused multiply-add at most: {with_fma}")
    found = set()
    for isa in with_fma:
        paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        environment = {**os.environ, "RETROGRAD_ISA": isa, "PYTHONPATH": paths}
        command = [sys.executable, "-c", ISA_SCRIPT]
        found.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


def test_what_normalises_is_not_penalised() -> None:
    x, y = rows(4, 5), np.zeros((4, 3))
    found = []
    for l2 in (0.0, 0.5):
        net = rg.Sequential([rg.Input(5), rg.LayerNorm(), rg.RMSNorm(), rg.Dense(3)], seed=1)
        rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1), l2=l2).step(x, y)
        found.append({name: np.array(value) for name, value in net.parameters.items()})
    for name in ("layer_norm_0.weight", "layer_norm_0.bias", "rms_norm_0.weight"):
        assert np.array_equal(found[0][name], found[1][name])
    assert not np.array_equal(found[0]["dense_0.weight"], found[1]["dense_0.weight"])


BAD: dict[str, tuple[Callable[[], Any], type[Exception], list[str]]] = {
    "eps 0": (lambda: rg.LayerNorm(0.0), rg.ArgumentError, ["LayerNorm: eps", "more than 0", "got 0"]),
    "eps below 0": (lambda: rg.RMSNorm(-1.0, name="n"), rg.ArgumentError, ["n: eps", "got -1"]),
    "eps NaN": (lambda: rg.RMSNorm(float("nan")), rg.ArgumentError, ["RMSNorm: eps", "nan"]),
    "no axis": (
        lambda: rg.LayerNorm()(rg.Input(())),
        rg.ShapeError,
        ["layer_norm: expected an input with features on its last axis"],
    ),
    "indices": (
        lambda: rg.RMSNorm()(rg.Input(4, dtype="int64")),
        rg.DTypeError,
        ["rms_norm", "(batch, 4)", "indices"],
    ),
    "two nodes": (
        lambda: rg.LayerNorm()(rg.Input(4), rg.Input(4)),
        rg.GraphError,
        ["layer_norm: expected one input node, got 2"],
    ),
    "another size later": (
        lambda: [layer := rg.LayerNorm(name="n"), layer(rg.Input(4)), layer(rg.Input(5))],
        rg.ShapeError,
        ["n: its weight has shape (4)", "needs (5)"],
    ),
    "a weight of a file": (
        lambda: _core.apply("rms_norm", {"eps": 1e-5}, [rg.Input(4), rg.Variable(np.ones(5))]),
        rg.ShapeError,
        ["rms_norm: weight is (5) but the input is (batch, 4); expected (4)"],
    ),
    "eps of a file": (
        lambda: _core.apply("rms_norm", {"eps": 0.0}, [rg.Input(4), rg.Variable(np.ones(4))]),
        rg.ArgumentError,
        ["rms_norm: eps is 0"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_errors(case: str) -> None:
    make, kind, words = BAD[case]
    with pytest.raises(kind) as error:
        make()
    assert isinstance(error.value, rg.RetrogradError)
    for word in words:
        assert word in str(error.value)
