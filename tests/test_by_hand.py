"""The 2-2-1 sigmoid network with every formula written out, one scalar at a time, against net.trace."""

from __future__ import annotations

import math

import numpy as np
import pytest
import retrograd as rg

TOLERANCE = {"rtol": 0.0, "atol": 1e-12}
X1, X2, TARGET, RATE = 0.35, 0.9, 0.5, 0.5
W11, W12, W21, W22 = 0.1, 0.8, 0.4, 0.6  # hidden: w_ij leads from input j to unit i
B1, B2 = 0.05, -0.1
V1, V2, C = 0.3, 0.9, 0.2  # output


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


# forward
ZH1 = W11 * X1 + W12 * X2 + B1
ZH2 = W21 * X1 + W22 * X2 + B2
H1, H2 = sigmoid(ZH1), sigmoid(ZH2)
ZY = V1 * H1 + V2 * H2 + C
Y = sigmoid(ZY)
LOSS = 0.5 * (Y - TARGET) ** 2
# backward
DY = Y - TARGET
DELTA_Y = DY * Y * (1.0 - Y)
DH1, DH2 = V1 * DELTA_Y, V2 * DELTA_Y
DELTA_H1 = DH1 * H1 * (1.0 - H1)
DELTA_H2 = DH2 * H2 * (1.0 - H2)


@pytest.fixture
def net() -> rg.Model:
    return rg.Sequential(
        [
            rg.Input(2),
            rg.Dense(
                2,
                activation="sigmoid",
                weight_init=np.array([[W11, W12], [W21, W22]]),
                bias_init=np.array([B1, B2]),
            ),
            rg.Dense(1, activation="sigmoid", weight_init=np.array([[V1, V2]]), bias_init=np.array([C])),
        ],
        dtype="float64",
    )


@pytest.fixture
def x() -> np.ndarray:
    return np.array([[X1, X2]])


@pytest.fixture
def y() -> np.ndarray:
    return np.array([[TARGET]])


def test_forward_numbers(net: rg.Model, x: np.ndarray, y: np.ndarray) -> None:
    trace = net.trace(x, y, "half_squared_error")
    np.testing.assert_allclose(trace["dense_0"].z, [[ZH1, ZH2]], **TOLERANCE)
    np.testing.assert_allclose(trace["dense_0"].a, [[H1, H2]], **TOLERANCE)
    np.testing.assert_allclose(trace["dense_1"].z, [[ZY]], **TOLERANCE)
    np.testing.assert_allclose(trace["dense_1"].a, [[Y]], **TOLERANCE)
    np.testing.assert_allclose(trace.yhat, [[Y]], **TOLERANCE)
    np.testing.assert_allclose(trace.y, y, **TOLERANCE)
    np.testing.assert_allclose(trace.loss, LOSS, **TOLERANCE)
    np.testing.assert_allclose(net.predict(x), [[Y]], **TOLERANCE)
    np.testing.assert_allclose(net(x), [[Y]], **TOLERANCE)


def test_backward_numbers(net: rg.Model, x: np.ndarray, y: np.ndarray) -> None:
    trace = net.trace(x, y, "half_squared_error")
    hidden, output = trace["dense_0"], trace["dense_1"]
    np.testing.assert_allclose(trace.da, [[DY]], **TOLERANCE)
    np.testing.assert_allclose(output.da, [[DY]], **TOLERANCE)
    np.testing.assert_allclose(output.delta, [[DELTA_Y]], **TOLERANCE)
    np.testing.assert_allclose(output.dW, [[DELTA_Y * H1, DELTA_Y * H2]], **TOLERANCE)
    np.testing.assert_allclose(output.db, [DELTA_Y], **TOLERANCE)
    np.testing.assert_allclose(output.dx, [[DH1, DH2]], **TOLERANCE)
    np.testing.assert_allclose(hidden.da, [[DH1, DH2]], **TOLERANCE)
    np.testing.assert_allclose(hidden.delta, [[DELTA_H1, DELTA_H2]], **TOLERANCE)
    np.testing.assert_allclose(
        hidden.dW, [[DELTA_H1 * X1, DELTA_H1 * X2], [DELTA_H2 * X1, DELTA_H2 * X2]], **TOLERANCE
    )
    np.testing.assert_allclose(hidden.db, [DELTA_H1, DELTA_H2], **TOLERANCE)
    np.testing.assert_allclose(
        hidden.dx, [[W11 * DELTA_H1 + W21 * DELTA_H2, W12 * DELTA_H1 + W22 * DELTA_H2]], **TOLERANCE
    )


def test_updated_weights(net: rg.Model, x: np.ndarray, y: np.ndarray) -> None:
    trainer = rg.Trainer(net, loss="half_squared_error", optimizer=rg.SGD(RATE))
    assert trainer.step(x, y) == pytest.approx(LOSS, rel=0.0, abs=1e-12)
    p = net.parameters
    np.testing.assert_allclose(
        p["dense_0.weight"],
        [
            [W11 - RATE * DELTA_H1 * X1, W12 - RATE * DELTA_H1 * X2],
            [W21 - RATE * DELTA_H2 * X1, W22 - RATE * DELTA_H2 * X2],
        ],
        **TOLERANCE,
    )
    np.testing.assert_allclose(p["dense_0.bias"], [B1 - RATE * DELTA_H1, B2 - RATE * DELTA_H2], **TOLERANCE)
    np.testing.assert_allclose(
        p["dense_1.weight"], [[V1 - RATE * DELTA_Y * H1, V2 - RATE * DELTA_Y * H2]], **TOLERANCE
    )
    np.testing.assert_allclose(p["dense_1.bias"], [C - RATE * DELTA_Y], **TOLERANCE)


def test_trace_of_net_and_of_trainer_agree_and_change_nothing(
    net: rg.Model, x: np.ndarray, y: np.ndarray
) -> None:
    trainer = rg.Trainer(net, loss="half_squared_error", optimizer=rg.SGD(RATE))
    before = net.flat_parameters.copy()
    one, other = net.trace(x, y, "half_squared_error"), trainer.trace(x, y)
    for layer in ("dense_0", "dense_1"):
        for name in ("z", "a", "da", "delta", "dW", "db", "dx"):
            np.testing.assert_array_equal(getattr(one[layer], name), getattr(other[layer], name))
    np.testing.assert_array_equal(net.flat_parameters, before)


def test_two_samples_are_averaged(net: rg.Model, x: np.ndarray, y: np.ndarray) -> None:
    """delta_i carries the 1/n of the mean, so that dW is simply delta^T a: a sample twice, the same dW."""
    one = net.trace(x, y, "half_squared_error")
    two = net.trace(np.vstack([x, x]), np.vstack([y, y]), "half_squared_error")
    assert two["dense_1"].delta.shape == (2, 1)
    np.testing.assert_allclose(two["dense_1"].delta, [[DELTA_Y / 2], [DELTA_Y / 2]], **TOLERANCE)
    np.testing.assert_allclose(two["dense_0"].dW, one["dense_0"].dW, **TOLERANCE)
    np.testing.assert_allclose(two.loss, LOSS, **TOLERANCE)
