"""Backpropagation against differences, and against the reference's own backpropagation.

Every activation meets every loss, in the middle of a network and at its end. Points nearer than KINK to a
place where a derivative jumps are drawn again: a difference across a kink is not a derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import reference as ref
import retrograd as rg
from networks import gradient_errors, layers_of, random_layers, sequential

KINK = 1e-3
BATCH = 5
LIMIT = 1e-7

Point = tuple[list[ref.DenseLayer], np.ndarray, np.ndarray]


def draw(
    seed: int, sizes: Sequence[int], activations: Sequence[str], loss: str, scale: float = 0.7, **options: Any
) -> Point:
    """Layers, inputs and targets at a point where differences are good derivatives.

    That is: away from kinks, every layer has a gradient at all, and no exponential of an exponential is so
    steep that a step of 1e-5 is no longer small.
    """
    rng = np.random.default_rng([seed, len(sizes)])
    for _ in range(1000):
        layers = random_layers(rng, sizes, activations)
        x = scale * rng.normal(size=(BATCH, sizes[0]))
        y = ref.LOSSES[loss].draw(rng, BATCH, sizes[-1])
        if max(np.abs(t.z).max() for t in ref.mlp_forward(layers, x)) > 4.5:
            continue
        if ref.kink_distance(layers, x, y, loss, **options) < KINK:
            continue
        if min(np.abs(t.dW).max() for t in ref.mlp(layers, x, y, loss, **options).layers) > KINK:
            return layers, x, y
    raise AssertionError(f"no smooth point for {activations} and {loss}")


@pytest.mark.parametrize("loss", ref.LOSSES)
@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_every_activation_with_every_loss(activation: str, loss: str, seeds: range) -> None:
    """Hidden: 3-7-4-2 with linear output, nothing square. Output: the activation meets the loss itself."""
    for seed in seeds:
        for sizes, activations in (
            ((3, 7, 4, 2), (activation, activation, "linear")),
            ((3, 6, 4), ("tanh", activation)),
        ):
            layers, x, y = draw(seed, sizes, activations, loss)
            report = rg.check_gradients(sequential(layers), x, y, loss)
            assert report.max_relative_error < LIMIT, (seed, activations, report.worst)
            assert report.passed


@pytest.mark.parametrize("loss", ref.LOSSES)
@pytest.mark.parametrize("activation", ref.ACTIVATIONS)
def test_against_the_reference(activation: str, loss: str, seeds: range) -> None:
    """Loss and gradients of trainer.gradients equal those of reference.mlp to 1e-12."""
    activations = (activation, "tanh", "linear")
    for seed in seeds:
        layers, x, y = draw(seed, (4, 7, 5, 3), activations, loss)
        weight = np.random.default_rng(seed).random(BATCH) + 0.1
        net = sequential(layers)
        trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))
        expected = ref.mlp(layers, x, y, loss)
        assert trainer.gradients(x, y) == pytest.approx(expected.loss, rel=1e-12)
        assert max(gradient_errors(net, expected).values()) < 1e-12

        weighted = ref.mlp(layers, x, y, loss, weight)
        assert trainer.forward(x, y, sample_weight=weight) == pytest.approx(weighted.loss, rel=1e-12)
        trainer.backward()
        assert max(gradient_errors(net, weighted).values()) < 1e-12


@pytest.mark.parametrize(
    ("loss", "make"),
    [
        ("cross_entropy", lambda: rg.losses.CrossEntropy(label_smoothing=0.1)),
        ("cross_entropy", lambda: rg.losses.CrossEntropy(ignore_index=1)),
        ("huber", lambda: rg.losses.Huber(delta=0.3)),
    ],
    ids=["label_smoothing", "ignore_index", "delta"],
)
def test_options_of_losses(loss: str, make: Callable[[], Any], seeds: range) -> None:
    rule = make()
    options = {
        name: getattr(rule, name)
        for name in ("label_smoothing", "ignore_index", "delta")
        if hasattr(rule, name)
    }
    for seed in seeds:
        layers, x, y = draw(seed, (4, 6, 3), ("tanh", "linear"), loss, **options)
        if loss == "cross_entropy":
            y[0], y[1] = 1, 2  # one sample to ignore and one to keep
        net = sequential(layers)
        expected = ref.mlp(layers, x, y, loss, **options)
        assert rg.Trainer(net, loss=rule, optimizer=rg.SGD(0.1)).gradients(x, y) == pytest.approx(
            expected.loss, rel=1e-12
        )
        assert max(gradient_errors(net, expected).values()) < 1e-12
        assert rg.check_gradients(net, x, y, rule).max_relative_error < LIMIT


@pytest.mark.parametrize(("last", "loss"), sorted(ref.PAIRED))
def test_paired_outputs(last: str, loss: str, seeds: range) -> None:
    """A softmax or sigmoid output is undone by the loss: probabilities out, the exact gradient back."""
    for seed in seeds:
        layers, x, y = draw(seed, (4, 6, 3), ("tanh", last), loss)
        net = sequential(layers)
        expected = ref.mlp(layers, x, y, loss)
        trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))
        assert trainer.gradients(x, y) == pytest.approx(expected.loss, rel=1e-12)
        assert max(gradient_errors(net, expected).values()) < 1e-12
        np.testing.assert_allclose(net.predict(x), expected.yhat, rtol=1e-13)
        np.testing.assert_array_equal(net.predict_proba(x), net.predict(x))


@pytest.mark.parametrize(("last", "loss"), sorted(ref.PAIRED))
def test_paired_outputs_stay_exact_when_saturated(last: str, loss: str) -> None:
    """Logits of +-60: the probability rounds to 0 or 1, its logarithm must not."""
    layers = [ref.DenseLayer(60.0 * np.eye(2), np.zeros(2), last)]
    x, y = np.array([[-1.0, 1.0]]), np.array([[1.0, 0.0]])
    expected = ref.mlp(layers, x, y, loss)
    trainer = rg.Trainer(sequential(layers), loss=loss, optimizer=rg.SGD(0.1))
    assert trainer.gradients(x, y) == pytest.approx(expected.loss, rel=1e-14)
    assert expected.loss > 50.0


def test_cross_entropy_of_labels_and_of_probabilities_agree() -> None:
    layers, x, labels = draw(0, (4, 6, 3), ("tanh", "linear"), "cross_entropy")
    gradients = []
    for y in (labels, np.eye(3)[labels], labels.astype(np.int32)):
        net = sequential(layers)
        rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.1)).gradients(x, y)
        gradients.append(net.flat_gradients.copy())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-13, atol=1e-16)
    np.testing.assert_array_equal(gradients[2], gradients[0])


def test_trace_against_the_reference(seeds: range) -> None:
    activations = ("relu", "gelu", "tanh", "linear")
    for seed in seeds:
        layers, x, y = draw(seed, (3, 7, 6, 5, 2), activations, "mean_squared_error")
        trace = sequential(layers).trace(x, y, "mean_squared_error")
        expected = ref.mlp(layers, x, y, "mean_squared_error")
        assert trace.loss == pytest.approx(expected.loss, rel=1e-12)
        np.testing.assert_allclose(trace.yhat, expected.yhat, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(trace.da, expected.layers[-1].da, rtol=1e-12, atol=1e-13)
        for number, layer in enumerate(expected.layers):
            for name in ("z", "a", "da", "delta", "dW", "db", "dx"):
                found = getattr(trace[f"dense_{number}"], name)
                np.testing.assert_allclose(
                    found, getattr(layer, name), rtol=1e-11, atol=1e-13, err_msg=f"dense_{number}.{name}"
                )


def test_float32_gradients_against_the_reference(seeds: range) -> None:
    """Single precision is compared with the float64 truth: differences would only measure rounding."""
    activations = ("relu", "gelu", "softplus", "linear")
    for seed in seeds:
        layers, x, y = draw(seed, (20, 40, 30, 20, 10), activations, "cross_entropy")
        net = sequential(layers, dtype="float32")
        layers = layers_of(net, activations)
        x = x.astype(np.float32)
        expected = ref.mlp(layers, x, y, "cross_entropy")
        loss = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.1)).gradients(x, y)
        assert loss == pytest.approx(expected.loss, rel=1e-5)
        assert max(gradient_errors(net, expected).values()) < 1e-5


# --------------------------------------------------------------------------------------- other graphs
# Smooth activations only, or a check of every pre-activation: a whole DAG has no reference to redraw by.


def shared(rng: np.random.Generator) -> rg.Model:
    """One layer called twice: its gradient is the sum over both calls."""
    x = rg.Input(4)
    layer = rg.Dense(4, activation="tanh")
    return rg.Model(
        inputs=x, outputs=rg.Dense(3)(layer(layer(x))), seed=int(rng.integers(99)), dtype="float64"
    )


def shared_in_two_branches(rng: np.random.Generator) -> rg.Model:
    x = rg.Input(4)
    layer, front = rg.Dense(5, activation="sigmoid"), rg.Dense(4, activation="silu")
    both = rg.Concatenate()(layer(x), layer(front(x)))
    return rg.Model(inputs=x, outputs=rg.Dense(3)(both), seed=int(rng.integers(99)), dtype="float64")


def residual(rng: np.random.Generator) -> rg.Model:
    """h is read three times, so three gradients meet in it."""
    x = rg.Input(4)
    h = rg.Dense(5, activation="tanh")(x)
    h = rg.Add()(h, rg.Dense(5, activation="gelu")(h))
    h = rg.Add()(h, rg.Dense(5, activation="softplus")(h), h)
    return rg.Model(inputs=x, outputs=rg.Dense(3)(h), seed=int(rng.integers(99)), dtype="float64")


def dense_net(rng: np.random.Generator) -> rg.Model:
    """Every layer sees all before it, the input included."""
    x = rg.Input(4)
    h = rg.Concatenate()(x, rg.Dense(3, activation="mish")(x))
    h = rg.Concatenate()(x, h, rg.Dense(2, activation="softsign")(h))
    return rg.Model(inputs=x, outputs=rg.Dense(3)(h), seed=int(rng.integers(99)), dtype="float64")


def gated(rng: np.random.Generator) -> rg.Model:
    x = rg.Input(4)
    gate, value = rg.Dense(5, activation="sigmoid")(x), rg.Dense(5, activation="tanh")(x)
    h = rg.Multiply()(gate, value) + (1.0 - gate) * rg.Dense(5)(x)
    return rg.Model(inputs=x, outputs=rg.Dense(3)(h), seed=int(rng.integers(99)), dtype="float64")


def same_input_twice(rng: np.random.Generator) -> rg.Model:
    """x * x and x + x: an operation whose two inputs are one node."""
    x = rg.Input(4)
    h = rg.Dense(5, activation="tanh")(x)
    h = rg.ops.multiply(h, h) + rg.ops.add(h, h)
    return rg.Model(inputs=x, outputs=rg.Dense(3)(h), seed=int(rng.integers(99)), dtype="float64")


GRAPHS = [shared, shared_in_two_branches, residual, dense_net, gated, same_input_twice]


@pytest.mark.parametrize("loss", ["mean_squared_error", "cross_entropy", "cosine_similarity"])
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_graphs(graph: Callable[[np.random.Generator], rg.Model], loss: str, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        net = graph(rng)
        for _ in range(1000):
            x = rng.normal(size=(BATCH, 4))
            y = ref.LOSSES[loss].draw(rng, BATCH, 3)
            smooth = np.abs(net.trace(x, y, loss)["dense_0"].z).min() > KINK
            if smooth and ref.LOSSES[loss].kink_distance(net.predict(x), y) > KINK:
                break
        report = rg.check_gradients(net, x, y, loss)
        assert report.max_relative_error < LIMIT, (seed, report.worst)
        assert report.passed


def test_a_shared_layer_has_one_weight_and_two_traces() -> None:
    rng = np.random.default_rng(0)
    net = shared(rng)
    assert list(net.parameters) == ["dense_0.weight", "dense_0.bias", "dense_1.weight", "dense_1.bias"]
    x, y = rng.normal(size=(BATCH, 4)), rng.normal(size=(BATCH, 3))
    trainer = rg.Trainer(net, loss="mean_squared_error", optimizer=rg.SGD(0.1))
    trainer.gradients(x, y)
    trace = net.trace(x, y, "mean_squared_error")
    first, second = trace["dense_0"], trace["dense_0@1"]
    expected = first.delta.T @ x + second.delta.T @ first.a
    np.testing.assert_allclose(net.gradients["dense_0.weight"], expected, rtol=1e-12, atol=1e-14)


def test_several_inputs_and_outputs(seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        left, right = rg.Input(3), rg.Input(2)
        h = rg.Concatenate()(rg.Dense(4, activation="tanh")(left), rg.Dense(3, activation="silu")(right))
        price = rg.Dense(1)(h)
        kind = rg.Dense(3)(rg.Concatenate()(h, price))  # one output also feeds the other
        net = rg.Model(inputs=[left, right], outputs=[price, kind], seed=seed, dtype="float64")
        x = [rng.normal(size=(BATCH, 3)), rng.normal(size=(BATCH, 2))]
        y = [rng.normal(size=(BATCH, 1)), rng.integers(0, 3, size=BATCH)]
        losses = ["mean_squared_error", "cross_entropy"]
        report = rg.check_gradients(net, x, y, losses)
        assert report.max_relative_error < LIMIT, (seed, report.worst)

        trainer = rg.Trainer(net, loss=losses, optimizer=rg.SGD(0.1), loss_weights=[0.3, 2.0])
        a, b = net.predict(x)
        expected = 0.3 * ref.mean_squared_error(a, y[0]).mean() + 2.0 * ref.cross_entropy(b, y[1]).mean()
        assert trainer.gradients(x, y) == pytest.approx(expected, rel=1e-12)
        both = net.flat_gradients.copy()
        parts = []
        for weights in ([1.0, 0.0], [0.0, 1.0]):
            rg.Trainer(net, loss=losses, optimizer=rg.SGD(0.1), loss_weights=weights).gradients(x, y)
            parts.append(net.flat_gradients.copy())
        np.testing.assert_allclose(both, 0.3 * parts[0] + 2.0 * parts[1], rtol=1e-11, atol=1e-14)


OPERATIONS: dict[str, Callable[[rg.Node, rg.Node], rg.Node]] = {
    "add": lambda a, b: rg.ops.add(a, b),
    "subtract": lambda a, b: rg.ops.subtract(a, b),
    "multiply": lambda a, b: rg.ops.multiply(a, b),
    "divide": lambda a, b: rg.ops.divide(a, 2.0 + rg.ops.square(b)),
    "power": lambda a, b: rg.ops.power(1.5 + rg.ops.square(a), b),
    "negative": lambda a, b: rg.ops.negative(a) * b,
    "exp": lambda a, b: rg.ops.exp(a) * b,
    "log": lambda a, b: rg.ops.log(1.0 + rg.ops.square(a)) * b,
    "sqrt": lambda a, b: rg.ops.sqrt(1.0 + rg.ops.square(a)) * b,
    "square": lambda a, b: rg.ops.square(a) * b,
    "abs": lambda a, b: rg.ops.abs(a + 3.0) * b,
    "maximum": lambda a, b: rg.ops.maximum(a + 3.0, b),
    "minimum": lambda a, b: rg.ops.minimum(a + 3.0, b),
    "operators": lambda a, b: -a * 2.0 / (3.0 + b**2) + (1.0 - a) - b / 4.0,
    "broadcasting": lambda a, b: a * rg.ops.mean(b, axis=-1, keepdims=True) + rg.constant(np.arange(4.0)),
    "sum": lambda a, b: rg.ops.sum(a * b, axis=-1, keepdims=True) * a,
    "mean": lambda a, b: rg.ops.mean(a * a, axis=-1, keepdims=True) + b,
    "max": lambda a, b: rg.ops.max(a, axis=-1, keepdims=True) * b,
    "reshape": lambda a, b: rg.ops.reshape(rg.ops.sum(rg.ops.reshape(a * b, (2, 2)), axis=-1), (2,)),
    "concatenate": lambda a, b: rg.ops.concatenate([a, a * b, b], axis=-1),
    "softmax": lambda a, b: rg.ops.softmax(a) * b,
    "log_softmax": lambda a, b: rg.ops.log_softmax(a) * b,
    "logsumexp": lambda a, b: rg.ops.logsumexp(a, axis=-1, keepdims=True) * b,
    "variable": lambda a, b: a * rg.Variable(np.array([0.5, -1.0, 2.0, 0.1]), "scale") + b,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name: str, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        x = rg.Input(3)
        a, b = rg.Dense(4, activation="tanh")(x), rg.Dense(4, activation="sigmoid")(x)
        net = rg.Model(inputs=x, outputs=rg.Dense(2)(OPERATIONS[name](a, b)), seed=seed, dtype="float64")
        for _ in range(1000):
            values = rng.normal(size=(BATCH, 3))
            y = rng.normal(size=(BATCH, 2))
            largest = np.sort(net.trace(values, y, "mse")["dense_0"].a, axis=1)
            if (largest[:, -1] - largest[:, -2]).min() > KINK:  # max has a kink where two entries are equal
                break
        report = rg.check_gradients(net, values, y, "mean_squared_error")
        assert report.max_relative_error < LIMIT, (seed, report.worst)


def test_custom_activation_and_custom_loss(seeds: range) -> None:
    """Functions of nodes: what they compute is differentiated like everything else."""

    def swish(z: rg.Node) -> rg.Node:
        return z * rg.ops.sigmoid(1.7 * z)

    def log_cosh(outputs: rg.Node, targets: rg.Node) -> rg.Node:
        e = outputs - targets
        return rg.ops.mean(rg.ops.log(0.5 * (rg.ops.exp(e) + rg.ops.exp(-e))), axis=-1)

    for seed in seeds:
        rng = np.random.default_rng(seed)
        net = rg.Sequential(
            [rg.Input(3), rg.Dense(5, activation=swish), rg.Dense(2)], seed=seed, dtype="float64"
        )
        x, y = rng.normal(size=(BATCH, 3)), rng.normal(size=(BATCH, 2))
        report = rg.check_gradients(net, x, y, log_cosh)
        assert report.max_relative_error < LIMIT, (seed, report.worst)
        trainer = rg.Trainer(net, loss=log_cosh, optimizer=rg.SGD(0.1))
        expected = np.log(np.cosh(net.predict(x) - y)).mean()
        assert trainer.gradients(x, y) == pytest.approx(expected, rel=1e-12)


def test_the_check_notices_a_wrong_gradient() -> None:
    """stop_gradient makes backward disagree with forward on purpose: the check has to see it."""
    x = rg.Input(3)
    h = rg.Dense(4, activation="tanh")(x)
    net = rg.Model(inputs=x, outputs=rg.Dense(2)(h * rg.ops.stop_gradient(h)), seed=0, dtype="float64")
    rng = np.random.default_rng(0)
    report = rg.check_gradients(net, rng.normal(size=(BATCH, 3)), rng.normal(size=(BATCH, 2)), "mse")
    assert not report.passed
    assert report.max_relative_error > 1e-2
    assert "dense_0" in str(report.worst)


def test_the_check_leaves_the_model_alone() -> None:
    layers, x, y = draw(0, (3, 5, 2), ("relu", "linear"), "mean_squared_error")
    net = sequential(layers, dtype="float32")
    before = net.flat_parameters.copy()
    assert rg.check_gradients(net, x, y, "mean_squared_error").max_relative_error < LIMIT
    np.testing.assert_array_equal(net.flat_parameters, before)
    assert np.dtype(net.dtype) == np.float32
