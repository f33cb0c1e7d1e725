"""The reference is only worth comparing with if it is right: every derivative against differences here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import reference as ref

H = 1e-5
KINK = 1e-3


def central_difference(f: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """df/dx, one entry at a time: the definition of a derivative, and nothing cleverer."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + H
        above = f(x)
        x[index] = kept - H
        below = f(x)
        x[index] = kept
        gradient[index] = (above - below) / (2.0 * H)
    return gradient


def away_from(kinks: tuple[float, ...], z: np.ndarray) -> np.ndarray:
    for kink in kinks:
        z = np.where(np.abs(z - kink) < KINK, z + 2.0 * KINK, z)
    return z


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))


CONTRACT = {
    "activations": "linear sigmoid tanh relu leaky_relu elu selu gelu silu softplus softsign mish"
    " hard_sigmoid hard_swish softmax log_softmax exp",
    "losses": "half_squared_error mean_squared_error mean_absolute_error huber binary_cross_entropy poisson"
    " hinge cross_entropy kl_divergence cosine_similarity",
    "optimizers": "SGD RMSprop Adagrad Adam AdamW Adadelta NAdam RAdam Adamax Lion Rprop",
    "schedules": "Constant Step Exponential Cosine WarmupCosine OneCycle Piecewise ReduceOnPlateau",
    "initialisers": "he_normal he_uniform glorot_normal glorot_uniform lecun_normal lecun_uniform normal"
    " uniform zeros ones orthogonal",
    "metrics": "accuracy top_k_accuracy binary_accuracy precision recall f1 auc iou mean_squared_error"
    " mean_absolute_error r2",
}


@pytest.mark.parametrize("kind", CONTRACT)
def test_the_reference_lists_what_the_contract_lists(kind: str) -> None:
    assert set(getattr(ref, kind.upper())) == set(CONTRACT[kind].split())


@pytest.mark.parametrize("name", ref.ACTIVATIONS)
def test_activation_derivative(name: str, seeds: range) -> None:
    rule = ref.ACTIVATIONS[name]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        z = away_from(rule.kinks, rng.normal(scale=2.0, size=(4, 5)))
        da = rng.normal(size=z.shape)
        expected = central_difference(lambda z, da=da: float((da * rule.value(z)).sum()), z)
        assert relative_error(rule.vjp(z, da), expected) < 1e-8
        if rule.derivative is not None:
            np.testing.assert_array_equal(rule.vjp(z, da), da * rule.derivative(z))


@pytest.mark.parametrize("name", sorted(set(ref.ACTIVATIONS) - {"exp"}))
def test_activation_is_finite_far_out(name: str) -> None:
    z = np.array([[-1e4, -800.0, -40.0, 0.0, 40.0, 800.0, 1e4]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(ref.ACTIVATIONS[name].value(z)).all()
        assert np.isfinite(ref.ACTIVATIONS[name].vjp(z, np.ones_like(z))).all()


def test_activation_values_known_by_heart() -> None:
    value = {name: rule.value for name, rule in ref.ACTIVATIONS.items()}
    one = np.array([[1.0]])
    assert value["sigmoid"](0 * one) == 0.5
    assert value["relu"](-one) == 0.0
    assert value["leaky_relu"](-one) == -0.01
    assert value["hard_sigmoid"](0 * one) == 0.5
    assert value["hard_swish"](3 * one) == 3.0
    assert value["softsign"](one) == 0.5
    np.testing.assert_allclose(value["softplus"](0 * one), math.log(2.0), rtol=1e-15)
    np.testing.assert_allclose(value["gelu"](one), 0.8413447460685429, rtol=1e-15)  # the normal table
    np.testing.assert_allclose(value["elu"](-one), 1.0 / math.e - 1.0, rtol=1e-15)
    np.testing.assert_allclose(value["silu"](one), 1.0 / (1.0 + math.exp(-1.0)), rtol=1e-15)
    np.testing.assert_allclose(value["softmax"](np.array([[0.0, math.log(3.0)]])), [[0.25, 0.75]], rtol=1e-15)


OPTIONS: list[tuple[str, dict[str, float]]] = [
    *[(name, {}) for name in ref.LOSSES],
    ("huber", {"delta": 0.3}),
    ("cross_entropy", {"label_smoothing": 0.1}),
    ("cross_entropy", {"ignore_index": 1}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_loss_derivative(name: str, options: dict[str, float], seeds: range) -> None:
    rule = ref.LOSSES[name]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        distance = 0.0
        while distance < KINK:
            z, t = rng.normal(size=(6, 3)), rule.draw(rng, 6, 3)
            distance = rule.kink_distance(z, t, **options)
        values = rule.value(z, t, **options)
        assert values.shape == (6,)
        expected = central_difference(lambda z, t=t: float(rule.value(z, t, **options).sum()), z)
        assert relative_error(rule.derivative(z, t, **options), expected) < 1e-8


def test_cross_entropy_takes_labels_and_probabilities() -> None:
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(5, 4)), np.array([0, 3, 1, 2, 2])
    one_hot = np.eye(4)[labels]
    for smoothing in (0.0, 0.2):
        np.testing.assert_allclose(
            ref.cross_entropy(z, labels, smoothing), ref.cross_entropy(z, one_hot, smoothing), rtol=1e-15
        )
        np.testing.assert_allclose(
            ref.d_cross_entropy(z, labels, smoothing), ref.d_cross_entropy(z, one_hot, smoothing), rtol=1e-14
        )
    np.testing.assert_allclose(ref.kl_divergence(z, one_hot), ref.cross_entropy(z, labels), rtol=1e-14)


def test_losses_vanish_where_they_should() -> None:
    t = np.array([[0.2, -0.4], [1.0, 0.3]])
    for name in ("half_squared_error", "mean_squared_error", "mean_absolute_error", "huber"):
        np.testing.assert_array_equal(ref.LOSSES[name].value(t, t), 0.0)
    np.testing.assert_allclose(ref.cosine_similarity(3.0 * t, t), 0.0, atol=1e-15)
    np.testing.assert_array_equal(ref.hinge(np.array([[2.0, -2.0]]), np.array([[1.0, -1.0]])), 0.0)
    p = np.array([[0.25, 0.75]])
    np.testing.assert_allclose(ref.kl_divergence(np.log(p), p), 0.0, atol=1e-15)


def test_weighted_mean() -> None:
    assert ref.weighted_mean(np.array([1.0, 2.0, 6.0])) == 3.0
    assert ref.weighted_mean(np.array([1.0, 2.0, 6.0]), np.array([1.0, 3.0, 0.0])) == 1.75


@pytest.mark.parametrize("loss", ref.LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_mlp_against_differences(loss: str, weighted: bool, seeds: range) -> None:
    """All dW and db of a whole network with different activations, a batch and weights for the samples."""
    activations = itertools.cycle(sorted(set(ref.ACTIVATIONS) - {"exp"}))
    for _ in range(sorted(ref.LOSSES).index(loss)):
        next(activations)  # so that every loss starts with another pair
    for seed in seeds:
        rng = np.random.default_rng(seed)
        distance = 0.0
        while distance < KINK:
            layers = [
                ref.DenseLayer(rng.normal(size=(4, 3)) * 0.6, rng.normal(size=4) * 0.1, next(activations)),
                ref.DenseLayer(rng.normal(size=(5, 4)) * 0.6, rng.normal(size=5) * 0.1, next(activations)),
                ref.DenseLayer(rng.normal(size=(2, 5)) * 0.6, rng.normal(size=2) * 0.1, "linear"),
            ]
            x, t = rng.normal(size=(6, 3)), ref.LOSSES[loss].draw(rng, 6, 2)
            distance = ref.kink_distance(layers, x, t, loss)
        weight = rng.random(6) + 0.1 if weighted else None

        def value(_: np.ndarray, layers=layers, x=x, t=t, weight=weight) -> float:
            return ref.mlp(layers, x, t, loss, weight).loss

        found = ref.mlp(layers, x, t, loss, weight)
        largest = max(np.abs(trace.dW).max() for trace in found.layers)
        for layer, trace in zip(layers, found.layers, strict=True):
            for gradient, array in ((trace.dW, layer.weight), (trace.db, layer.bias)):
                assert np.abs(gradient - central_difference(value, array)).max() < 1e-8 * max(largest, 1e-2)
        assert np.abs(found.layers[0].dx - central_difference(value, x)).max() < 1e-8 * max(largest, 1e-2)


@pytest.mark.parametrize(("last", "loss"), sorted(ref.PAIRED))
def test_paired_output_equals_logits(last: str, loss: str) -> None:
    rng = np.random.default_rng(0)
    weight, bias, x = rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=(4, 2))
    t = ref.LOSSES[loss].draw(rng, 4, 3)
    logits = ref.mlp([ref.DenseLayer(weight, bias)], x, t, loss)
    paired = ref.mlp([ref.DenseLayer(weight, bias, last)], x, t, loss)
    assert logits.loss == paired.loss
    np.testing.assert_array_equal(logits.layers[0].dW, paired.layers[0].dW)
    np.testing.assert_array_equal(paired.yhat, ref.ACTIVATIONS[last].value(logits.yhat))


def test_ignored_samples_leave_the_mean() -> None:
    rng = np.random.default_rng(0)
    layer = ref.DenseLayer(rng.normal(size=(3, 2)), rng.normal(size=3))
    x, t = rng.normal(size=(4, 2)), np.array([0, -100, 2, -100])
    some = ref.mlp([layer], x, t, "cross_entropy")
    rest = ref.mlp([layer], x[[0, 2]], t[[0, 2]], "cross_entropy")
    assert some.loss == pytest.approx(rest.loss, rel=1e-15)
    np.testing.assert_allclose(some.layers[0].dW, rest.layers[0].dW, rtol=1e-14)


VARIANTS: list[tuple[str, dict]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    (
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.5, "centered": True},
    ),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adam", {}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True}),
]


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_optimizer_against_pytorch(name: str, settings: dict) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 4))
    parameter = torch.tensor(w, requires_grad=True)
    theirs = getattr(torch.optim, name)([parameter], **settings)
    state: ref.State = {}
    for t in range(1, 51):
        g = rng.normal(size=w.shape) * 0.3 + 0.1 * w
        parameter.grad = torch.tensor(g)
        theirs.step()
        w, state = ref.OPTIMIZERS[name](t, w, g, state, **settings)
        np.testing.assert_allclose(w, parameter.detach().numpy(), rtol=1e-12, atol=1e-13)
    for key, value in state.items():
        np.testing.assert_allclose(value, theirs.state[parameter][key].numpy(), rtol=1e-12, atol=1e-14)


def test_first_optimizer_steps_by_hand() -> None:
    """The first step of each rule, where the averages are still simple enough to do in the head."""
    w, g = np.array([1.0, -2.0]), np.array([0.5, -4.0])
    np.testing.assert_allclose(ref.sgd(1, w, g, {}, lr=0.1)[0], [0.95, -1.6], rtol=1e-15)
    np.testing.assert_allclose(ref.sgd(1, w, g, {}, lr=0.1, momentum=0.9, nesterov=True)[0], w - 0.19 * g)
    np.testing.assert_allclose(ref.adam(1, w, g, {}, lr=0.1)[0], w - 0.1 * np.sign(g), rtol=1e-7)
    np.testing.assert_allclose(ref.adagrad(1, w, g, {}, lr=0.1)[0], w - 0.1 * np.sign(g), rtol=1e-7)
    np.testing.assert_allclose(
        ref.rmsprop(1, w, g, {}, lr=0.1, alpha=0.75)[0], w - 0.2 * np.sign(g), rtol=1e-6
    )
    np.testing.assert_allclose(
        ref.adamw(1, w, g, {}, lr=0.1, weight_decay=0.5)[0], 0.95 * w - 0.1 * np.sign(g), rtol=1e-7
    )


def test_schedules() -> None:
    assert [ref.step(t, 1.0, 2, 0.5) for t in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert [ref.exponential(t, 8.0, 0.5) for t in range(4)] == [8.0, 4.0, 2.0, 1.0]
    assert [ref.constant(t, 0.3) for t in range(2)] == [0.3, 0.3]
    np.testing.assert_allclose([ref.cosine(t, 3.0, 4, 1.0) for t in (0, 2, 4, 9)], [3.0, 2.0, 1.0, 1.0])


@pytest.mark.parametrize("name", sorted(set(ref.INITIALISERS) - {"zeros", "ones", "orthogonal"}))
def test_initialiser_moments_agree_with_each_other(name: str) -> None:
    law = ref.INITIALISERS[name](300, 200)
    if law.low is not None:
        assert law.high is not None
        assert law.mean == pytest.approx((law.low + law.high) / 2.0, abs=1e-15)
        assert law.std == pytest.approx((law.high - law.low) / math.sqrt(12.0), rel=1e-15)
    if name.startswith("he"):
        assert law.std == pytest.approx(math.sqrt(2.0 / 300.0))
    if name.startswith("glorot"):
        assert law.std == pytest.approx(math.sqrt(2.0 / 500.0))


def test_orthogonality_error() -> None:
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 4)))
    assert ref.orthogonality_error(q) < 1e-14
    assert ref.orthogonality_error(q.T) < 1e-14
    assert ref.orthogonality_error(2.0 * q) == pytest.approx(3.0)


def test_metrics_by_hand() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [0.0, 5.0, 4.0], [1.0, 2.0, 0.0], [9.0, 8.0, 7.0]])
    labels = np.array([0, 2, 1, 2])
    assert ref.accuracy(labels, scores) == 0.5
    assert ref.top_k_accuracy(labels, scores, k=2) == 0.75
    assert ref.top_k_accuracy(labels, scores, k=3) == 1.0
    truth = np.array([1, 1, 1, 0, 0])
    probability = np.array([0.9, 0.8, 0.2, 0.7, 0.1])
    assert ref.binary_accuracy(truth, probability) == 0.6
    assert ref.precision(truth, probability) == ref.recall(truth, probability) == 2.0 / 3.0
    assert ref.f1(truth, probability) == 2.0 / 3.0
    assert ref.precision(truth, 0.0 * probability) == 0.0
    y, yhat = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])
    assert ref.r2(y, yhat) == 0.5
    assert ref.METRICS["mean_squared_error"](y, yhat) == pytest.approx(1.0 / 3.0)
    assert ref.METRICS["mean_absolute_error"](y, yhat) == pytest.approx(1.0 / 3.0)


def test_penalty_and_clipping() -> None:
    w = np.array([[1.0, -2.0]])
    assert ref.penalty([w], l1=0.5, l2=2.0) == 1.5 + 5.0
    expected = central_difference(lambda w: ref.penalty([w], 0.5, 2.0), w.copy())
    np.testing.assert_allclose(ref.d_penalty(w, 0.5, 2.0), expected, rtol=1e-9)
    clipped = ref.clip_by_norm([np.array([3.0]), np.array([4.0])], 1.0)
    np.testing.assert_allclose(np.concatenate(clipped), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(ref.clip_by_norm([np.array([3.0])], 5.0)[0], [3.0])
    np.testing.assert_allclose(ref.balanced_class_weights(np.array([0, 0, 0, 1]), 2), [2.0 / 3.0, 2.0])
