"""Inputs that are mostly zeros: the products that are passed over change no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import retrograd as rg

SHARES = [0.0, 0.5, 0.7, 0.81, 0.99, 1.0]  # of zeros; from 0.65 on they are passed over


def data(rows: int, features: int, zeros: float, dtype: str, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features))
    x[rng.random(x.shape) < zeros] = 0
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("zeros", SHARES)
@pytest.mark.parametrize(("features", "units"), [(64, 32), (784, 128), (500, 100), (65, 33)])
def test_small_batches_predict_the_same(features: int, units: int, zeros: float, dtype: str) -> None:
    """A batch of 63 rows is too small for lists of what is not zero, one of 256 is not."""
    net = rg.Sequential([rg.Input(features), rg.Dense(units, activation="tanh")], dtype=dtype, seed=3)
    x = data(256, features, zeros, dtype)
    np.testing.assert_array_equal(net.predict(x, batch_size=63), net.predict(x, batch_size=256))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("zeros", SHARES)
@pytest.mark.parametrize(("features", "units"), [(784, 128), (301, 45)])
def test_gradients(features: int, units: int, zeros: float, threads: int) -> None:
    x, y = data(192, features, zeros, "float64"), data(192, units, 0, "float64", seed=1)
    net = rg.Sequential([rg.Input(features), rg.Dense(units)], dtype="float64", seed=3)
    trainer = rg.Trainer(net, "half_squared_error", rg.SGD(0.1), threads=threads)
    trainer.forward(x, y)
    trainer.backward()
    weight, bias = net.parameters["dense_0.weight"], net.parameters["dense_0.bias"]
    delta = (x @ weight.T + bias - y) / len(x)
    expected = {"dense_0.weight": delta.T @ x, "dense_0.bias": delta.sum(0)}
    for name, gradient in expected.items():
        np.testing.assert_allclose(net.gradients[name], gradient, rtol=1e-10, atol=1e-12)
    trainer.forward(x, y)
    trainer.backward(accumulate=True)
    for name, gradient in expected.items():
        np.testing.assert_allclose(net.gradients[name], 2 * gradient, rtol=1e-10, atol=1e-12)


def test_any_number_of_threads_trains_the_same() -> None:
    x, y = data(300, 784, 0.81, "float32"), np.arange(300) % 10
    found = []
    for threads in (1, 2, 3, 5):
        layers = [rg.Input(784), rg.Dense(96, activation="relu"), rg.Dense(10)]
        net = rg.Sequential(layers, seed=1)
        trainer = rg.Trainer(net, "cross_entropy", rg.Adam(1e-3), threads=threads)
        trainer.fit(x, y, epochs=2, batch_size=128, progress=False)
        assert trainer.threads_used == threads
        found.append(net.flat_parameters.tobytes())
    assert found == found[:1] * len(found)
