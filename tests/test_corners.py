"""Derivatives at corners, and sums that only come together in odd places: what planted faults asked for."""

from __future__ import annotations

import numpy as np
import retrograd as rg
from retrograd.graph import operation


def test_power_at_zero() -> None:
    """Where a factor 0 meets an infinite one the derivative is 0."""
    base, exponent = rg.Variable(np.array([0.0, 0.0, 2.0])), rg.Variable(np.array([0.0, 2.0, 0.0]))
    x = rg.Input(3)
    net = rg.Model(x, x + rg.ops.power(base, exponent), dtype="float64")
    trainer = rg.Trainer(net, loss=lambda y, _: rg.ops.sum(y, axis=1))
    trainer.gradients(np.zeros((1, 3)), np.zeros((1, 1)))
    np.testing.assert_allclose(net.flat_gradients, [0.0, 0.0, 0.0, 0.0, 0.0, np.log(2.0)], rtol=1e-14)


def test_hinge_at_the_kink() -> None:
    """t z = 1: the derivative is 0."""
    net = rg.Sequential([rg.Input(1), rg.Dense(1, weight_init="ones", use_bias=False)], dtype="float64")
    rg.Trainer(net, loss="hinge").gradients(np.ones((1, 1)), np.ones((1, 1)))
    assert net.flat_gradients[0] == 0.0


def test_targets_that_do_not_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    net = rg.Sequential([rg.Input(3), rg.Dense(4)], seed=0, dtype="float64")
    for loss in (rg.CrossEntropy(), rg.CrossEntropy(label_smoothing=0.1)):
        report = rg.check_gradients(net, rng.normal(size=(5, 3)), rng.random((5, 4)), loss)
        assert report.passed, report


def test_a_layer_in_parts() -> None:
    """Few weights, many rows: dW is the sum of parts, and more than one member adds them up."""
    rng = np.random.default_rng(0)
    x, t, w = rng.normal(size=(2050, 40)), rng.normal(size=(2050, 30)), rng.normal(size=(30, 40))
    delta = 2.0 * (x @ w.T - t) / t.size
    for threads in (1, 2, 3):
        net = rg.Sequential([rg.Input(40), rg.Dense(30, weight_init=w, bias_init="zeros")], dtype="float64")
        trainer = rg.Trainer(net, loss="mse", threads=threads)
        trainer.gradients(x, t)
        assert trainer.threads_used == threads
        np.testing.assert_allclose(net.gradients["dense_0.weight"], delta.T @ x, rtol=0, atol=1e-12)
        np.testing.assert_allclose(net.gradients["dense_0.bias"], delta.sum(axis=0), rtol=0, atol=1e-12)


def test_expanded_to_its_own_shape() -> None:
    """Nothing is repeated, so nothing is summed; its gradient joins another."""
    rng = np.random.default_rng(0)
    x = rg.Input(3)
    h = rg.Dense(4, activation="tanh")(x)
    y = operation("expand", h, shape=[4]) + rg.Dense(4)(h)
    net = rg.Model(x, rg.Dense(2)(y), seed=0, dtype="float64")
    report = rg.check_gradients(net, rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), "mse")
    assert report.passed, report


def test_clip_at_the_bounds() -> None:
    """What is not outside has a gradient."""
    x, v = rg.Input(3), rg.Variable(np.array([-1.0, 1.0, 2.0]))
    net = rg.Model(x, x + rg.ops.clip(v, -1.0, 1.0), dtype="float64")
    trainer = rg.Trainer(net, loss=lambda y, _: rg.ops.sum(y, axis=1))
    trainer.gradients(np.zeros((1, 3)), np.zeros((1, 1)))
    np.testing.assert_array_equal(net.flat_gradients, [1.0, 1.0, 0.0])


def test_a_weight_twice_accumulated() -> None:
    """w * w in two backward passes whose gradients are added."""
    rng = np.random.default_rng(0)
    x, w = rg.Input(3), rg.Variable(np.array([0.5, -1.0, 2.0]))
    net = rg.Model(x, x * rg.ops.multiply(w, w), dtype="float64")
    trainer = rg.Trainer(net, loss="mse")
    batches = [(rng.normal(size=(4, 3)), rng.normal(size=(4, 3))) for _ in range(2)]
    expected = np.zeros(3)
    for batch in batches:
        trainer.gradients(*batch)
        expected += net.flat_gradients
    for number, batch in enumerate(batches):
        trainer.forward(*batch)
        trainer.backward(accumulate=number > 0)
    np.testing.assert_allclose(net.flat_gradients, expected, rtol=1e-14)


def test_an_operand_three_times() -> None:
    rng = np.random.default_rng(0)
    x = rg.Input(3)
    h = rg.Dense(5, activation="tanh")(x)
    net = rg.Model(x, rg.Dense(2)(rg.ops.concatenate([h, h, h])), seed=0, dtype="float64")
    report = rg.check_gradients(net, rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), "mse")
    assert report.passed, report
