"""rg.explain: every number against plain Python, every printed line against itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import retrograd as rg
from explained import (
    HALF,
    RATE,
    ROWS,
    TARGET,
    TARGETS,
    X,
    check_dict,
    check_lines,
    printed,
    small,
    two_two_one,
)
from retrograd.activations import ACTIVATIONS
from retrograd.losses import LOSSES

if TYPE_CHECKING:
    from retrograd._explain import Explanation

# ---------------------------------------------------------------- one step of training, in plain Python


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def softmax(z: list[float]) -> list[float]:
    powers = [math.exp(one) for one in z]
    return [power / sum(powers) for power in powers]


class Plain:
    """A network of lists: sigmoid in hidden layers, and every number of a step under the report's symbols."""

    def __init__(self, weights: list[list[list[float]]], biases: list[list[float]]) -> None:
        self.weights = weights
        self.biases = biases
        self.symbols: dict[str, float] = {}

    def note(self, letter: str, number: float, *index: int, sample: int = 0, layer: int = 0) -> None:
        parts = [letter, *([f"s{sample}"] if sample else []), *map(str, index)]
        self.symbols["_".join([*parts, f"L{layer}"] if layer else parts)] = number

    def forward(self, x: list[float], softmax_output: bool) -> tuple[list[list[float]], list[list[float]]]:
        zs, values = [], [x]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            row = [
                sum(w * a for w, a in zip(to_unit, values[-1], strict=True)) + b
                for to_unit, b in zip(weight, bias, strict=True)
            ]
            zs.append(row)
            last = layer == len(self.weights)
            values.append(softmax(row) if last and softmax_output else [sigmoid(z) for z in row])
        return zs, values

    def note_parameters(self, new: str = "") -> None:
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            for j, row in enumerate(weight, 1):
                for k, w in enumerate(row, 1):
                    self.symbols[f"w_{j}_{k}_L{layer}{new}"] = w
                self.symbols[f"b_{j}_L{layer}{new}"] = bias[j - 1]


def test_every_number_of_the_2_2_1_network_is_that_of_plain_python() -> None:
    plain = Plain([HALF[0], [[0.3, 0.9]]], [HALF[1], [0.2]])
    plain.note_parameters()
    zs, values = plain.forward(X, softmax_output=False)
    for k, x in enumerate(X, 1):
        plain.note("x", x, k)
    for layer in (1, 2):
        for j, (z, a) in enumerate(zip(zs[layer - 1], values[layer], strict=True), 1):
            plain.note("z", z, j, layer=layer)
            plain.note("a", a, j, layer=layer)
    hidden, output = values[1], values[2][0]
    loss = 0.5 * (output - TARGET) ** 2
    da = output - TARGET
    delta = da * output * (1 - output)
    da_hidden = [0.3 * delta, 0.9 * delta]
    deltas = [d * a * (1 - a) for d, a in zip(da_hidden, hidden, strict=True)]
    plain.symbols |= {
        "yhat_1": output,
        "y_1": TARGET,
        "L": loss,
        "da_1_L2": da,
        "delta_1_L2": delta,
        "eta": RATE,
    }
    for j in (1, 2):
        plain.symbols |= {f"da_{j}_L1": da_hidden[j - 1], f"delta_{j}_L1": deltas[j - 1]}
        plain.symbols[f"db_{j}_L1"] = deltas[j - 1]
        plain.symbols[f"dw_1_{j}_L2"] = delta * hidden[j - 1]
        for k in (1, 2):
            plain.symbols[f"dw_{j}_{k}_L1"] = deltas[j - 1] * X[k - 1]
    plain.symbols["db_1_L2"] = delta
    for name in [name for name in plain.symbols if name.startswith(("w_", "b_"))]:
        plain.symbols[f"{name}_new"] = plain.symbols[name] - RATE * plain.symbols[f"d{name}"]
    new = plain.symbols
    plain.weights = [
        [[new["w_1_1_L1_new"], new["w_1_2_L1_new"]], [new["w_2_1_L1_new"], new["w_2_2_L1_new"]]],
        [[new["w_1_1_L2_new"], new["w_1_2_L2_new"]]],
    ]
    plain.biases = [[new["b_1_L1_new"], new["b_2_L1_new"]], [new["b_1_L2_new"]]]
    after = plain.forward(X, softmax_output=False)[1][2][0]
    new |= {"yhat_1_new": after, "L_new": 0.5 * (after - TARGET) ** 2}
    new["change"] = new["L_new"] - loss

    report = rg.explain(two_two_one(), [X], [[TARGET]], "half_squared_error", rg.SGD(RATE))
    assert compared(report, plain) == 48
    assert check_dict(report) == 33
    assert check_lines(report) > 25
    assert report["dense_0"].delta[0, 1] == pytest.approx(deltas[1], abs=1e-12)
    assert (report.loss, report.loss_after) == pytest.approx((loss, new["L_new"]), abs=1e-12)


def compared(report: Explanation, plain: Plain) -> int:
    """All symbols of a report beside those of plain Python."""
    found = report.to_dict()["symbols"]
    assert sorted(found) == sorted(plain.symbols)
    for name, number in found.items():
        assert number == pytest.approx(plain.symbols[name], rel=1e-12, abs=1e-12), name
    return len(found)


BATCH = [[0.5, -1.2, 0.3], [1.0, 0.2, -0.7], [-0.4, 0.9, 0.1], [0.0, -0.5, 1.5], [2.0, 0.3, -0.1]]
LABELS = [0, 1, 1, 0, 1]
LAYERS = [3, 4, 3, 2]
ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def deep_weights() -> tuple[list[list[list[float]]], list[list[float]]]:
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=(j, k)).tolist() for k, j in itertools.pairwise(LAYERS)]
    return weights, [rng.normal(size=j).tolist() for j in LAYERS[1:]]


def plain_gradients(
    plain: Plain, noted: bool
) -> tuple[list[list[list[float]]], list[list[float]], list[list[float]]]:
    """dW and db of softmax and cross-entropy over the batch, and the outputs; each number noted if asked."""
    depth, n = len(plain.weights), len(BATCH)
    dw = [[[0.0] * len(row) for row in weight] for weight in plain.weights]
    db = [[0.0] * len(bias) for bias in plain.biases]
    outputs = []
    for i, (x, label) in enumerate(zip(BATCH, LABELS, strict=True), 1):
        zs, values = plain.forward(x, softmax_output=True)
        y = [float(k == label) for k in range(2)]
        outputs.append(values[-1])
        deltas = [[(p - t) / n for p, t in zip(values[-1], y, strict=True)]]
        das = [[-t / p / n for p, t in zip(values[-1], y, strict=True)]]
        for layer in range(depth - 1, 0, -1):
            da = [
                sum(row[k] * d for row, d in zip(plain.weights[layer], deltas[0], strict=True))
                for k in range(LAYERS[layer])
            ]
            das.insert(0, da)
            deltas.insert(0, [d * a * (1 - a) for d, a in zip(da, values[layer], strict=True)])
        for layer in range(depth):
            for j, delta in enumerate(deltas[layer]):
                db[layer][j] += delta
                for k, a in enumerate(values[layer]):
                    dw[layer][j][k] += delta * a
        if noted:
            note_sample(plain, i, zs, values, das, deltas, y)
    return dw, db, outputs


def note_sample(plain: Plain, i: int, zs: Any, values: Any, das: Any, deltas: Any, y: list[float]) -> None:
    for k, x in enumerate(values[0], 1):
        plain.note("x", x, k, sample=i)
    for k in (1, 2):
        plain.note("yhat", values[-1][k - 1], k, sample=i)
        plain.note("y", y[k - 1], k, sample=i)
    plain.note("L", -math.log(values[-1][y.index(1.0)]), sample=i)
    for layer in range(1, len(LAYERS)):
        for j in range(LAYERS[layer]):
            plain.note("z", zs[layer - 1][j], j + 1, sample=i, layer=layer)
            plain.note("a", values[layer][j], j + 1, sample=i, layer=layer)
            plain.note("da", das[layer - 1][j], j + 1, sample=i, layer=layer)
            plain.note("delta", deltas[layer - 1][j], j + 1, sample=i, layer=layer)


def plain_adam(
    plain: Plain, state: dict[str, tuple[float, float]], dw: Any, db: Any, t: int
) -> dict[str, float]:
    """One update in place; all numbers of it by symbol."""
    found: dict[str, float] = {"eta": ADAM["lr"], "t": t}
    found |= {name: ADAM[name] for name in ("beta1", "beta2", "eps")}

    def update(kind: str, place: str, w: float, g: float) -> float:
        m, v = state.get(kind + place, (0.0, 0.0))
        found[f"m{place}"], found[f"v{place}"] = m, v
        m = ADAM["beta1"] * m + (1 - ADAM["beta1"]) * g
        v = ADAM["beta2"] * v + (1 - ADAM["beta2"]) * g * g
        mhat, vhat = m / (1 - ADAM["beta1"] ** t), v / (1 - ADAM["beta2"] ** t)
        state[kind + place] = (m, v)
        found.update({f"m{place}_new": m, f"v{place}_new": v, f"mhat{place}": mhat, f"vhat{place}": vhat})
        found[f"d{kind}{place}"] = g
        return w - ADAM["lr"] * mhat / (math.sqrt(vhat) + ADAM["eps"])

    for layer, (weight, bias) in enumerate(zip(plain.weights, plain.biases, strict=True), 1):
        for j, row in enumerate(weight):
            for k in range(len(row)):
                row[k] = update("w", f"_{j + 1}_{k + 1}_L{layer}", row[k], dw[layer - 1][j][k])
            bias[j] = update("b", f"_{j + 1}_L{layer}", bias[j], db[layer - 1][j])
    return found


def test_every_number_of_a_3_4_3_2_network_with_adam_is_that_of_plain_python() -> None:
    plain = Plain(*deep_weights())
    weights, biases = deep_weights()
    acts = ["sigmoid", "sigmoid", "softmax"]
    dense = [
        rg.Dense(len(b), activation=act, weight_init=np.array(w), bias_init=np.array(b))
        for w, b, act in zip(weights, biases, acts, strict=True)
    ]
    net = rg.Sequential([rg.Input(3), *dense], dtype="float64")
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(0.01))
    x, y = np.array(BATCH), np.array(LABELS)
    state: dict[str, tuple[float, float]] = {}
    trainer.step(x, y)  # so that m and v are not 0 when the report begins
    dw, db, _ = plain_gradients(plain, noted=False)
    plain_adam(plain, state, dw, db, 1)

    plain.note_parameters()
    dw, db, outputs = plain_gradients(plain, noted=True)
    loss = sum(-math.log(p[label]) for p, label in zip(outputs, LABELS, strict=True)) / 5
    plain.symbols |= plain_adam(plain, state, dw, db, 2)
    plain.note_parameters("_new")
    outputs = plain_gradients(plain, noted=False)[2]
    plain.symbols["L"] = loss
    losses = [-math.log(p[label]) for p, label in zip(outputs, LABELS, strict=True)]
    plain.symbols["L_new"] = sum(losses) / 5
    plain.symbols["change"] = plain.symbols["L_new"] - loss
    for i, (p, label) in enumerate(zip(outputs, LABELS, strict=True), 1):
        plain.symbols |= {f"L_s{i}_new": losses[i - 1], f"yhat_s{i}_{label + 1}_new": p[label]}

    report = rg.explain(trainer, x, y)
    assert compared(report, plain) > 580
    check_dict(report)
    assert check_lines(report) > 300


def test_the_example_of_mazur() -> None:
    """The 2-2-2 network of the most read example of backpropagation, with its published numbers."""
    net = rg.Sequential(
        [
            rg.Input(2),
            rg.Dense(
                2,
                activation="sigmoid",
                weight_init=np.array([[0.15, 0.20], [0.25, 0.30]]),
                bias_init=np.array([0.35, 0.35]),
            ),
            rg.Dense(
                2,
                activation="sigmoid",
                weight_init=np.array([[0.40, 0.45], [0.50, 0.55]]),
                bias_init=np.array([0.60, 0.60]),
            ),
        ],
        dtype="float64",
    )
    report = rg.explain(net, [[0.05, 0.10]], [[0.01, 0.99]], "half_squared_error", rg.SGD(0.5), digits=9)
    assert round(report.loss, 9) == 0.298371109
    assert round(report.after["dense_1.weight"][0, 0], 8) == 0.35891648
    published = [[0.149780716, 0.19956143], [0.24975114, 0.29950229]]
    np.testing.assert_allclose(report.after["dense_0.weight"], published, rtol=0, atol=5e-9)
    text = report.to_text()
    for number in ("0.298371109", "0.35891648", "0.149780716", "0.593269992", "0.75136507"):
        assert number in text
    check_lines(report)


# ------------------------------------------------------------------------ every member, by its own lines


@pytest.mark.parametrize("digits", [4, 17])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_lines_of_every_activation(activation: str, digits: int) -> None:
    report = rg.explain(
        small(activation, activation),
        ROWS,
        TARGETS["half_squared_error"],
        "half_squared_error",
        digits=digits,
    )
    assert check_lines(report) > 60
    assert check_dict(report) > 80


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("output", ["linear", "sigmoid", "softmax"])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_lines_of_every_loss(loss: str, output: str, weight: list[float] | None) -> None:
    y = TARGETS.get(loss, TARGETS["half_squared_error"])
    report = rg.explain(small("tanh", output), ROWS, y, loss, sample_weight=weight, digits=17)
    assert check_lines(report) > 60
    assert check_dict(report) > 80


RULES: dict[str, rg.optim.Optimizer] = {
    "sgd": rg.SGD(0.1),
    "momentum": rg.SGD(0.1, momentum=0.9, dampening=0.1),
    "nesterov": rg.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "rmsprop": rg.RMSprop(0.01),
    "rmsprop_centered_momentum": rg.RMSprop(0.01, momentum=0.9, centered=True, weight_decay=0.01),
    "adagrad": rg.Adagrad(0.01, lr_decay=0.1),
    "adadelta": rg.Adadelta(1.0),
    "adam": rg.Adam(0.01),
    "amsgrad": rg.Adam(0.01, amsgrad=True, weight_decay=0.1),
    "adamw": rg.AdamW(0.01),
    "nadam": rg.NAdam(0.01),
    "nadam_decoupled": rg.NAdam(0.01, weight_decay=0.1, decoupled_weight_decay=True),
    "radam": rg.RAdam(0.01),
    "adamax": rg.Adamax(0.01, weight_decay=0.1),
    "lion": rg.Lion(0.01, weight_decay=0.1),
    "rprop": rg.Rprop(0.01),
}


@pytest.mark.parametrize("steps", [0, 7])
@pytest.mark.parametrize("rule", RULES)
def test_lines_of_every_optimizer(rule: str, steps: int) -> None:
    trainer = rg.Trainer(small("tanh", "linear"), "mse", RULES[rule])
    for i in range(steps):
        trainer.step(ROWS + 0.1 * i, TARGETS["half_squared_error"])
    report = rg.explain(trainer, ROWS, TARGETS["half_squared_error"], digits=17)
    check_lines(report)
    check_dict(report)
    trainer.step(ROWS, TARGETS["half_squared_error"])
    for name, view in trainer.model.parameters.items():  # what it foretold is what happens
        np.testing.assert_array_equal(report.after[name], view)


def test_every_optimizer_is_among_those() -> None:
    assert {optimizer.name for optimizer in RULES.values()} == set(rg.optim.OPTIMIZERS)


@pytest.mark.parametrize("rule", ["sgd", "amsgrad", "rprop"])
def test_penalties_clipping_and_groups_are_written(rule: str) -> None:
    groups = [] if rule == "rprop" else [rg.ParamGroup("dense_1", lr_scale=0.1, weight_decay=0.3)]
    trainer = rg.Trainer(
        small("tanh", "linear"),
        "mse",
        RULES[rule],
        param_groups=groups,
        l1=0.01,
        l2=0.1,
        clip_norm=0.5,
        clip_value=0.2,
    )
    trainer.step(ROWS, TARGETS["half_squared_error"])
    report = rg.explain(trainer, ROWS, TARGETS["half_squared_error"], digits=17)
    assert check_dict(report) > 80
    check_lines(report)
    text = report.to_text()
    assert "λ₁·sign(w₁₁⁽¹⁾) + λ₂·w₁₁⁽¹⁾" in text
    assert "k = min(1, C / (‖g‖ + " in text
    assert "max(−V, min(V, k·g₁₁⁽¹⁾))" in text
    trainer.step(ROWS, TARGETS["half_squared_error"])
    np.testing.assert_array_equal(report.after["dense_1.weight"], trainer.model.parameters["dense_1.weight"])


# ------------------------------------------------------------------------------------- other networks


def branched(x: rg.Node) -> rg.Node:
    h = rg.Dense(2, activation="tanh")(x)
    both = rg.Add()([h, rg.Activation("softmax")(h), rg.Activation("mish")(h), h])
    return rg.Dense(2)(rg.Concatenate()([both, x, rg.Dense(1, use_bias=False)(x)]))


def prepared(x: rg.Node) -> rg.Node:
    scaled = rg.Standardize().adapt(ROWS)(rg.Rescale(0.5, 0.1)(x))
    return rg.Dense(2)(rg.Dropout(0.5)(rg.Dense(4, activation="relu")(scaled)))


def ends_in_activation(x: rg.Node) -> rg.Node:
    return rg.Activation("softmax")(rg.Dense(2)(rg.Dense(2, activation="elu")(x)))


@pytest.mark.parametrize(
    ("build", "loss"),
    [
        (branched, "mse"),
        (prepared, "huber"),
        (ends_in_activation, "cross_entropy"),
        (ends_in_activation, "mse"),
    ],
)
def test_lines_of_other_dense_networks(build: Callable[[rg.Node], rg.Node], loss: str) -> None:
    x = rg.Input(2)
    net = rg.Model(x, build(x), seed=1, dtype="float64")
    y = TARGETS["cross_entropy"] if loss == "cross_entropy" else TARGETS["half_squared_error"]
    report = rg.explain(net, ROWS, y, loss, digits=17)
    check_lines(report)
    assert check_dict(report) > 80


def test_axes_before_flatten_are_counted_through() -> None:
    net = rg.Sequential([rg.Input((2, 2)), rg.Rescale(2.0), rg.Flatten(), rg.Dense(2)], dtype="float64")
    x = np.arange(12.0).reshape(3, 2, 2) / 10
    assert check_dict(rg.explain(net, x, TARGETS["half_squared_error"], "mse")) > 40


def test_dropout_keeps_the_mask_it_drew() -> None:
    x = rg.Input(2)
    trainer = rg.Trainer(rg.Model(x, prepared(x), seed=2, dtype="float64"), "mse", rg.SGD(0.1), seed=2)
    trainer.iteration = 3
    report = rg.explain(trainer, ROWS, TARGETS["half_squared_error"])
    assert trainer.step(ROWS, TARGETS["half_squared_error"]) == report.loss
    dropped = report["dropout_0"].a == 0
    assert dropped.any()
    assert not dropped.all()


def test_label_smoothing_and_ignored_labels_are_written() -> None:
    loss = rg.CrossEntropy(label_smoothing=0.1)
    for output in ("linear", "softmax"):
        report = rg.explain(small("tanh", output), ROWS, np.array([0, -100, 1]), loss, digits=17)
        check_lines(report)
        assert check_dict(report) > 80
        assert "L₂ = 0    (its label is ignored)" in report.to_text()


def test_probabilities_that_rounded_to_0_are_not_divided_by() -> None:
    net = small("tanh", "softmax")
    net.parameters["dense_1.weight"][...] *= 2000
    report = rg.explain(net, ROWS, 1 - TARGETS["cross_entropy"], "cross_entropy", digits=17)
    assert check_dict(report) > 60
    text = " ".join(report.to_text().split())
    assert "One after the other: first" not in text
    assert "would divide by 0." in text
    assert "of z, because a probability was rounded to 0 or 1" in text


def test_float32_is_shown_as_it_is() -> None:
    report = rg.explain(small("gelu", "sigmoid", dtype="float32"), ROWS, TARGETS["hinge"], "mse", "adam")
    assert report.trace.yhat.dtype == np.float32
    assert report.to_dict()["dtype"] == "float32"
    check_dict(report, 2e-6)


def test_nothing_of_the_users_is_changed() -> None:
    trainer = rg.Trainer(small("tanh", "linear"), "mse", rg.Adam(0.01), seed=3)
    trainer.step(ROWS, TARGETS["half_squared_error"])
    net, links = trainer.model, trainer.model._links
    before = [net.flat_parameters.copy(), net.flat_gradients.copy()]
    before += [array.copy() for slots in trainer.optimizer_state.values() for array in slots.values()]
    rg.explain(trainer, ROWS, TARGETS["half_squared_error"])
    rg.explain(net, ROWS, TARGETS["cross_entropy"], "cross_entropy")
    after = [net.flat_parameters, net.flat_gradients]
    after += [array for slots in trainer.optimizer_state.values() for array in slots.values()]
    for old, now in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, now)
    assert trainer.iteration == 1
    assert net._links == links


def test_frozen_parameters_stay() -> None:
    net = small("tanh", "linear")
    net.freeze("dense_0")
    report = rg.explain(net, ROWS, TARGETS["half_squared_error"], "mse")
    np.testing.assert_array_equal(report.after["dense_0.weight"], report.before["dense_0.weight"])
    assert "Frozen: it has no gradient." in report.to_text()
    assert "Frozen: it stays as it is." in report.to_text()


def test_roundings_that_are_shown_are_marked_and_go_no_further() -> None:
    lines = {line[0]: line for line in printed(rg.explain(two_two_one(), [X], [[TARGET]], "mse", digits=3))}
    text = rg.explain(two_two_one(), [X], [[TARGET]], "mse", digits=3).to_text()
    assert "z₁⁽¹⁾ = w₁₁⁽¹⁾·x₁ + w₁₂⁽¹⁾·x₂ + b₁⁽¹⁾ = 0.1·0.35 + 0.8·0.9 + 0.05 = 0.805" in text
    assert "a₁⁽¹⁾ = 1 / (1 + exp(−z₁⁽¹⁾)) = 1 / (1 + exp(−0.805)) ≈ 0.691" in text
    assert lines["L"][-1] == "0.052"  # 0.0519636, of the exact output; 0.728 as shown would give 0.0520
