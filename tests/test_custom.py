"""Layers, activations and losses of one's own: functions of nodes, which do all that built-in members do."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import ops

Array = np.ndarray


def snake(z: rg.Node) -> rg.Node:
    return z + ops.sin(z) ** 2


def snake_of(z: Array) -> Array:
    return z + np.sin(z) ** 2


class Gate:
    """x * sigmoid(x W^T + b)"""

    def __init__(self, units: int, name: str | None = None) -> None:
        names = (f"{name}.weight", f"{name}.bias") if name else (None, None)
        self.weight = rg.Variable("glorot_uniform", names[0], shape=(units, units))
        self.bias = rg.Variable("ones", names[1], shape=units)

    def __call__(self, x: rg.Node) -> rg.Node:
        return x * ops.sigmoid(x @ ops.transpose(self.weight) + self.bias)


def quantile(output: rg.Node, target: rg.Node) -> rg.Node:
    error = target - output
    return ops.mean(ops.maximum(0.9 * error, -0.1 * error), axis=1)


def gated(seed: int = 0, dtype: str = "float64") -> rg.Model:
    layers = [rg.Input(4), Gate(4, "first"), rg.Dense(5, activation=snake), snake, Gate(5, "second")]
    return rg.Sequential([*layers, rg.Dense(2)], seed=seed, dtype=dtype)


def data(rows: int = 12) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(rows, 4)), rng.normal(size=(rows, 2))


def by_hand(p: dict[str, Array], x: Array) -> Array:
    def gate(name: str, x: Array) -> Array:
        return x / (1 + np.exp(-(x @ p[f"{name}.weight"].T + p[f"{name}.bias"])))

    h = snake_of(snake_of(gate("first", x) @ p["dense_0.weight"].T + p["dense_0.bias"]))
    return gate("second", h) @ p["dense_1.weight"].T + p["dense_1.bias"]


# ------------------------------------------------------------------------------------ layers, activations


def test_computes_what_it_says() -> None:
    net, (x, y) = gated(), data()
    np.testing.assert_allclose(net.predict(x), by_hand(dict(net.parameters), x), rtol=0, atol=1e-13)
    error = y - net.predict(x)
    trainer = rg.Trainer(net, loss=quantile, optimizer=rg.SGD(0.1))
    expected = np.maximum(0.9 * error, -0.1 * error).mean()
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(expected, rel=1e-13)
    assert trainer.forward(x, y) == pytest.approx(expected, rel=1e-13)


def test_names_of_two_instances() -> None:
    net = gated()
    assert list(net.parameters) == [  # in the order in which they were made
        *("first.weight", "first.bias", "second.weight", "second.bias"),
        *("dense_0.weight", "dense_0.bias", "dense_1.weight", "dense_1.bias"),
    ]
    assert "first.weight (variable)" in str(net.summary())
    unnamed = rg.Sequential([rg.Input(4), Gate(4), Gate(4)])
    assert list(unnamed.parameters) == [f"variable_{i}" for i in range(4)]
    with pytest.raises(rg.GraphError, match=r"two parameters are named 'gate\.weight'; give each its own"):
        rg.Sequential([rg.Input(4), Gate(4, "gate"), Gate(4, "gate")])


def test_one_object_called_twice_shares_its_parameters() -> None:
    gate = Gate(4, "gate")
    net = rg.Sequential([rg.Input(4), gate, gate], dtype="float64")
    assert list(net.parameters) == ["gate.weight", "gate.bias"]
    assert rg.check_gradients(net, data()[0], data()[0], "mse").max_relative_error < 1e-6


def test_frozen_by_name() -> None:
    net, (x, y) = gated(), data()
    net.freeze("first.*")
    before = {name: value.copy() for name, value in net.parameters.items()}
    rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1)).step(x, y)
    for name, value in net.parameters.items():
        assert np.array_equal(value, before[name]) is name.startswith("first"), name


def test_parameter_groups_and_penalty_by_name() -> None:
    x, y = data()
    net = gated()
    before = {name: value.copy() for name, value in net.parameters.items()}
    groups = [rg.ParamGroup("first.*", lr_scale=0.0)]
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1), param_groups=groups, l2=0.5)
    trainer.step(x, y)
    weights = [value for name, value in before.items() if name.endswith("weight")]
    assert len(weights) == 4
    assert trainer.penalty == pytest.approx(0.25 * sum((w**2).sum() for w in weights), rel=1e-12)
    assert np.array_equal(net.parameters["first.weight"], before["first.weight"])
    assert not np.array_equal(net.parameters["second.weight"], before["second.weight"])


def test_gradients_and_trace() -> None:
    net, (x, y) = gated(), data()
    for loss in ("mse", quantile):
        assert rg.check_gradients(net, x, y, loss).max_relative_error < 1e-6
    trace = net.trace(x, y, quantile)
    np.testing.assert_allclose(trace["dense_1"].z, net.predict(x), atol=1e-14)
    error = y - net.predict(x)
    delta = np.where(error > 0, -0.9, 0.1) / error.size
    np.testing.assert_allclose(trace["dense_1"].delta, delta, atol=1e-15)
    rg.Trainer(net, loss=quantile).gradients(x, y)
    np.testing.assert_allclose(net.gradients["dense_1.bias"], delta.sum(axis=0), atol=1e-14)


def test_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 64)), rng.normal(size=(600, 64))
    found = set()
    for threads in (1, 2, 3, 5, 8):
        net = rg.Sequential([rg.Input(64), Gate(64, "a"), rg.Dense(64, activation=snake), Gate(64, "b")])
        trainer = rg.Trainer(net, loss=quantile, optimizer=rg.Adam(1e-2), threads=threads)
        for _ in range(3):
            trainer.step(x, y)
        assert trainer.threads_used == threads
        found.add(net.flat_parameters.tobytes())
    assert len(found) == 1


def test_saved_without_the_function(tmp_path: Path) -> None:
    net, (x, y) = gated(dtype="float32"), data()
    rg.Trainer(net, loss=quantile, optimizer=rg.SGD(0.1)).fit(x, y, epochs=2, progress=False)
    for again in (rg.load(net.save(tmp_path / "own")), rg.Model.from_bytes(net.to_bytes()), net.copy()):
        assert again.predict(x).tobytes() == net.predict(x).tobytes()
        assert list(again.parameters) == list(net.parameters)
        trainers = [rg.Trainer(model.copy(), loss=quantile, optimizer=rg.SGD(0.1)) for model in (net, again)]
        for trainer in trainers:
            trainer.step(x, y)
        assert trainers[0].model.to_bytes() == trainers[1].model.to_bytes()


# ------------------------------------------------------------------------------------ parameters by a rule


@pytest.mark.parametrize(
    ("rule", "shape", "bound"),
    [
        ("glorot_uniform", (30, 50), math.sqrt(6 / 80)),
        (rg.init.he_uniform, (30, 50), math.sqrt(6 / 50)),
        ("lecun_uniform", (16, 3, 3, 8), math.sqrt(3 / 72)),
        ("glorot_uniform", (16, 3, 3, 8), math.sqrt(6 / (72 + 144))),
        ("auto", (30, 50), math.sqrt(6 / 80)),
        (rg.init.uniform(-0.5, 0.5), 1500, 0.5),
    ],
)
def test_variable_by_rule(rule: Any, shape: Any, bound: float) -> None:
    def model(seed: int) -> rg.Model:
        x = rg.Input(1)
        return rg.Model(x, x * ops.sum(rg.Variable(rule, "v", shape=shape)), seed=seed, dtype="float64")

    v = model(1).parameters["v"]
    assert v.shape == (shape if isinstance(shape, tuple) else (shape,))
    assert 0.98 * bound < np.abs(v).max() <= bound
    assert np.array_equal(model(1).parameters["v"], v)
    assert not np.array_equal(model(2).parameters["v"], v)


def test_variable_begins_as_a_layers_weight() -> None:
    x = rg.Input(7)
    own = rg.Model(x, x @ ops.transpose(rg.Variable("he_normal", shape=(5, 7))), seed=4)
    dense = rg.Sequential([rg.Input(7), rg.Dense(5, weight_init="he_normal", use_bias=False)], seed=4)
    assert own.flat_parameters.tobytes() == dense.flat_parameters.tobytes()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: rg.Variable("he_normal"), rg.ArgumentError, "to begin by 'he_normal' it needs its shape="),
        (lambda: rg.Variable(rg.init.ones), rg.ArgumentError, "to begin by 'ones' it needs its shape="),
        (
            lambda: rg.Variable("he_normal", "w", shape=4),
            rg.ArgumentError,
            r"w: he_normal needs at least two axes, \[units, ..., inputs\], got shape \(4,\)",
        ),
        (lambda: rg.Variable("he", shape=(4, 4)), rg.ArgumentError, "'he'"),
        (lambda: rg.Variable(np.ones(3), shape=3), rg.ArgumentError, "numbers have a shape of their own"),
        (lambda: rg.Variable("ones", shape=(3, 0)), rg.ArgumentError, "Variable: shape"),
    ],
)
def test_variable_refuses(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# -------------------------------------------------------------------------------------------------- losses


def two_outputs(dtype: str = "float64") -> rg.Model:
    x = rg.Input(4)
    h = rg.Dense(8, activation=snake)(x)
    return rg.Model(x, [rg.Dense(3)(h), rg.Dense(2)(h)], seed=2, dtype=dtype)


def log_softmax(z: Array) -> Array:
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def test_one_loss_of_all_outputs_and_targets() -> None:
    """Integer targets are indices; there may be more targets than outputs."""
    rng = np.random.default_rng(0)
    x, _ = data(20)
    label, reward, ratio = rng.integers(0, 3, 20), rng.normal(size=20), rng.normal(size=(20, 2))

    def own(outputs: list[rg.Node], targets: list[rg.Node]) -> rg.Node:
        (logits, values), (label, reward, ratio) = outputs, targets
        table = rg.constant([0.5, 1.0, 2.0])
        picked = ops.sum(ops.log_softmax(logits) * ops.one_hot(label, 3), axis=1)
        return ops.mean((values - ratio) ** 2, axis=1) - ops.gather(table, label) * picked * reward

    net = two_outputs()
    trainer = rg.Trainer(net, loss=own, optimizer=rg.SGD(0.1))
    logits, values = net.predict(x)
    picked = log_softmax(logits)[np.arange(20), label]
    each = ((values - ratio) ** 2).mean(axis=1) - np.array([0.5, 1.0, 2.0])[label] * picked * reward
    y = [label, reward, ratio]
    assert trainer.forward(x, y) == pytest.approx(each.mean(), rel=1e-12)
    weight = rng.uniform(0.5, 2.0, 20)
    expected = (each * weight).sum() / weight.sum()
    assert trainer.forward(x, y, sample_weight=weight) == pytest.approx(expected, rel=1e-12)
    assert rg.check_gradients(net, x, y, own).max_relative_error < 1e-6
    with pytest.raises(rg.ArgumentError, match=r"y\[0\]: 3 in row 7 is outside of the expected range 0\.\.2"):
        trainer.step(x, [np.where(np.arange(20) == 7, 3, label), reward, ratio])
    trainer.fit(x, y, epochs=2, batch_size=7, progress=False)
    assert trainer.evaluate(x, y)["loss"] < each.mean()


def test_in_a_list_with_weights() -> None:
    rng = np.random.default_rng(0)
    x, _ = data(20)
    label, target = rng.integers(0, 3, 20), rng.normal(size=(20, 2))
    net = two_outputs()
    trainer = rg.Trainer(net, loss=["cross_entropy", quantile], loss_weights=[0.25, 2.0])
    logits, values = net.predict(x)
    error = target - values
    each = 2.0 * np.maximum(0.9 * error, -0.1 * error).mean(axis=1)
    each -= 0.25 * log_softmax(logits)[np.arange(20), label]
    assert trainer.forward(x, [label, target]) == pytest.approx(each.mean(), rel=1e-12)
    weight = rng.uniform(0.5, 2.0, 20)
    expected = (each * weight).sum() / weight.sum()
    assert trainer.forward(x, [label, target], sample_weight=weight) == pytest.approx(expected, rel=1e-12)
    before = trainer.evaluate(x, [label, target])["loss"]
    trainer.fit(x, [label, target], epochs=3, batch_size=6, progress=False)
    assert trainer.evaluate(x, [label, target])["loss"] < before
    assert "quantile" in repr(trainer)
    both = rg.Trainer(two_outputs(), loss=[quantile_of_all, quantile_of_all])
    assert np.isfinite(both.step(x, [rng.normal(size=(20, 3)), target]))


def quantile_of_all(output: rg.Node, target: rg.Node) -> rg.Node:
    return ops.mean(ops.maximum(target - output, 0.0))


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (
            lambda y, t: 1.0,
            rg.ArgumentError,
            "loss <lambda> must return a node with one value per sample, got f",
        ),
        (lambda y, t: y - t, rg.ShapeError, r"one value per sample, shape \(batch,\), got \(batch, 2\)"),
        (lambda y, t: ops.mean(y - t, axis=0), rg.GraphError, "batch"),
        (
            lambda y, t: ops.mean((y - t) * rg.Variable(1.0, "scale"), axis=1),
            rg.GraphError,
            "parameter 'scale' belongs to the loss only",
        ),
    ],
)
def test_a_loss_that_is_none(loss: Callable[..., Any], error: type[Exception], message: str) -> None:
    net, (x, y) = gated(), data()
    before = net.flat_parameters.tobytes()
    with pytest.raises(error, match=message):
        rg.Trainer(net, loss=loss).step(x, y)
    assert net.flat_parameters.tobytes() == before


def test_one_of_a_list_that_is_none() -> None:
    x, _ = data(20)
    trainer = rg.Trainer(two_outputs(), loss=["mse", lambda y, t: None])
    with pytest.raises(rg.ArgumentError, match="must return a node with one value per sample, got NoneType"):
        trainer.step(x, [np.zeros((20, 3)), np.zeros((20, 2))])
