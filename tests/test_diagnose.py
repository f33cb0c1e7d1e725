"""rg.diagnose: its numbers beside NumPy's, a network for each verdict, no alarm where training goes well."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd._diagnose import Diagnosis, Thresholds
from retrograd._flow import measure, sites
from test_example_bits import CASES, Case

Example = Callable[[str], ModuleType]

X, Y = rg.datasets.digits()
X = X[:256] / 8.0 - 1.0
Y = Y[:256]


def deep(depth: int, activation: str, scale: float = 1.0, dtype: str = "float32") -> rg.Model:
    hidden = [rg.Dense(32, activation=activation) for _ in range(depth - 1)]
    net = rg.Sequential([rg.Input(64), *hidden, rg.Dense(10)], dtype=dtype)
    for layer in net.layers:
        layer.weight[...] *= scale
    return net


def trained(net: rg.Model, optimizer: Any, epochs: int = 1) -> rg.Trainer:
    trainer = rg.Trainer(net, "cross_entropy", optimizer)
    trainer.fit(X, Y, epochs=epochs, batch_size=32, progress=False)
    return trainer


def rms(values: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(values))))


# ---------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_the_gains_are_those_of_numpy(activation: str) -> None:
    net = deep(4, activation, dtype="float64")
    slopes = {"sigmoid": lambda a: a * (1 - a), "tanh": lambda a: 1 - a**2, "relu": lambda a: a > 0}
    act = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}
    outputs, weights = [X], [layer.weight for layer in net.layers]
    for k, layer in enumerate(net.layers):
        z = outputs[-1] @ layer.weight.T + layer.bias
        outputs.append(act[activation](z) if k < 3 else z)
    p = np.exp(outputs[-1]) / np.exp(outputs[-1]).sum(axis=1, keepdims=True)
    delta = (p - np.eye(10)[Y]) / len(Y)
    found = rg.diagnose(net, X, Y, "cross_entropy")
    behind = back = delta
    for k in (3, 2, 1, 0):
        row = found[f"dense_{k}"]
        assert row.delta_rms == pytest.approx(rms(delta))
        dW = delta.T @ outputs[k]
        assert row.gradient_norm == pytest.approx(np.linalg.norm(dW))
        assert row.gradient_rms == pytest.approx(rms(dW))
        assert row.weight_rms == pytest.approx(rms(weights[k]))
        assert row.gradient_ratio == pytest.approx(rms(dW) / rms(weights[k]))
        assert row.activation_mean == pytest.approx(outputs[k + 1].mean())
        assert row.activation_std == pytest.approx(outputs[k + 1].std())
        assert math.isnan(row.update_ratio)
        if k < 3:
            assert row.next == f"dense_{k + 1}"
            assert row.weight_gain == pytest.approx(rms(back) / rms(behind))
            assert row.slope_gain == pytest.approx(rms(delta) / rms(back))
            assert row.other_gain == 1.0
        if k:
            behind, back = delta, delta @ weights[k]
            delta = back * slopes[activation](outputs[k])
    product = math.prod(row.weight_gain * row.slope_gain for row in found.layers[:-1])
    assert product == pytest.approx(found["dense_0"].delta_rms / found["dense_3"].delta_rms, rel=1e-12)
    assert product == pytest.approx(found["dense_0"].delta_ratio, rel=1e-12)


def test_the_product_is_exact_whatever_lies_between() -> None:
    x = rg.Input((8, 8, 1))
    h = rg.Conv2D(4, 3, padding=1)(x)
    h = rg.BatchNorm()(h)
    h = h0 = rg.Activation("relu")(h)
    h = rg.MaxPool2D(2)(rg.BatchNorm()(rg.Conv2D(4, 3, padding=1)(h) + h0))
    h = rg.Dropout(0.3)(rg.Dense(16, activation="gelu")(rg.Flatten()(h)))
    net = rg.Model(x, rg.Dense(10)(rg.LayerNorm()(h)), dtype="float64")
    found = rg.diagnose(net, X.reshape(-1, 8, 8, 1), Y, "cross_entropy")
    assert [row.name for row in found.layers] == ["conv2d_0", "conv2d_1", "dense_0", "dense_1"]
    assert [row.next for row in found.layers] == ["conv2d_1", "dense_0", "dense_1", ""]
    assert [row.activation for row in found.layers] == ["relu", "", "gelu", ""]
    for row in found.layers[:-1]:
        gains = row.weight_gain * row.slope_gain * row.other_gain
        assert row.delta_rms == pytest.approx(found[row.next].delta_rms * gains, rel=1e-12)
        assert row.other_gain != 1.0
    # dropout and layer norm lie behind the activation: what comes back to the last layer is W^T delta
    trace = net.trace(X.reshape(-1, 8, 8, 1), Y, "cross_entropy")
    back = trace["dense_1"].delta @ net["dense_1"].weight
    assert found["dense_0"].weight_gain == pytest.approx(rms(back) / rms(trace["dense_1"].delta))
    assert "other gain" in str(found)


def test_the_update_is_the_optimizers_own() -> None:
    trainer = trained(deep(3, "relu"), rg.SGD(0.1, momentum=0.9))
    found = rg.diagnose(trainer, X, Y)
    before = {name: value.astype(np.float64) for name, value in trainer.model.parameters.items()}
    trainer.step(X, Y)
    for row in found.layers:
        old, new = before[f"{row.name}.weight"], trainer.model.parameters[f"{row.name}.weight"]
        assert row.update_ratio == pytest.approx(rms(new - old) / rms(old), rel=1e-4)
        assert row.update_ratio > 2 * 0.1 * row.gradient_ratio  # momentum


OPTIMIZERS = [
    rg.SGD(0.05, momentum=0.9, nesterov=True),
    rg.RMSprop(1e-3, momentum=0.5, centered=True),
    rg.Adagrad(0.01),
    rg.Adadelta(1.0),
    rg.Adam(rg.schedules.Cosine(1e-3, 100), amsgrad=True),
    rg.AdamW(1e-3, weight_decay=0.1),
    rg.NAdam(1e-3),
    rg.RAdam(1e-3),
    rg.Adamax(1e-3),
    rg.Lion(1e-4),
    rg.Rprop(1e-3),
    rg.Adam(rg.schedules.ReduceOnPlateau(1e-2, patience=0, monitor="loss")),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_a_twin_makes_the_same_step_and_nothing_is_changed(optimizer: Any) -> None:
    net = rg.Sequential([rg.Input(64), rg.Dense(16, activation="relu"), rg.Dropout(0.2), rg.Dense(10)])
    groups = [rg.ParamGroup("dense_1", lr_scale=0.5)]
    trainer = rg.Trainer(net, "cross_entropy", optimizer, param_groups=groups, l2=1e-3, clip_norm=0.1)
    trainer.fit(X, Y, epochs=3, batch_size=64, progress=False)
    trainer.gradients(X, Y)

    def state() -> list[Any]:
        slots = [v.tobytes() for views in trainer.optimizer_state.values() for v in views.values()]
        flat = net.flat_parameters.tobytes(), net.flat_gradients.tobytes(), net.to_bytes()
        return [*slots, *flat, trainer.iteration, trainer.epoch, trainer.lr, trainer.history.to_dict()]

    before = state()
    rg.diagnose(trainer, X, Y)
    assert state() == before
    twin = trainer._twin("float32")
    assert twin.lr == trainer.lr
    assert twin.step(X, Y) == trainer.step(X, Y)
    assert twin.model.flat_parameters.tobytes() == net.flat_parameters.tobytes()


def test_a_twin_has_the_rate_that_was_set() -> None:
    trainer = rg.Trainer(deep(2, "relu"), "cross_entropy", rg.SGD(rg.schedules.Cosine(0.1, 100)))
    trainer.step(X, Y)
    trainer.lr = 0.007
    assert trainer._twin("float64").lr == pytest.approx(0.007)
    assert trainer.lr == pytest.approx(0.007)


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [("sigmoid", 0.03, 0.97), ("tanh", -0.97, 0.97), ("softsign", -0.75, 0.75), ("hard_sigmoid", 0.03, 0.97)],
)
def test_saturated_outputs_are_counted(activation: str, low: float, high: float) -> None:
    net = rg.Sequential([rg.Input(64), rg.Dense(20, activation=activation), rg.Dense(10)])
    net["dense_0"].weight[...] *= 3
    a = net.trace(X, Y, "cross_entropy")["dense_0"].a
    found = rg.diagnose(net, X, Y, "cross_entropy")["dense_0"]
    assert found.saturated == pytest.approx(np.mean((a <= low) | (a >= high)), abs=1e-3)
    assert 0.1 < found.saturated < 0.95
    assert found.dead_units is None


@pytest.mark.parametrize(
    "activation", ["relu", "hard_swish", "elu", "selu", "gelu", "silu", "softplus", "mish"]
)
def test_dead_units_are_named(activation: str) -> None:
    net = rg.Sequential([rg.Input(64), rg.Dense(6, activation=activation), rg.Dense(10)])
    net["dense_0"].bias[...] = [5, -300, 5, 5, -300, 300]
    found = rg.diagnose(net, X, Y, "cross_entropy")["dense_0"]
    assert found.dead_units == (1, 4)
    assert found.dead == pytest.approx(2 / 6)
    assert math.isnan(found.saturated)


@pytest.mark.parametrize("activation", ["leaky_relu", "exp", None])
def test_activations_that_neither_die_nor_saturate(activation: str | None) -> None:
    net = rg.Sequential([rg.Input(64), rg.Dense(6, activation=activation), rg.Dense(10)])
    net["dense_0"].bias[...] = -20
    found = rg.diagnose(net, X, Y, "cross_entropy")["dense_0"]
    assert found.dead_units is None
    assert math.isnan(found.saturated)


def test_an_activation_of_ones_own_is_judged_by_its_slope() -> None:
    def squash(z: rg.Node) -> rg.Node:
        return rg.ops.arctan(z) * 2

    def half(z: rg.Node) -> rg.Node:
        return rg.ops.relu(z) * 0.5

    for function, bias, dead, saturated in ((squash, 0.0, (), 0.0), (half, -1000.0, (0, 1), math.nan)):
        net = rg.Sequential([rg.Input(64), rg.Dense(4, activation=function), rg.Dense(10)])
        net["dense_0"].bias[:2] = bias
        found = rg.diagnose(net, X, Y, "cross_entropy")["dense_0"]
        assert found.activation == "own"
        assert found.dead_units == dead
        assert math.isnan(saturated) or found.saturated == saturated
    net["dense_0"].bias[...] = 0.0
    assert rg.diagnose(net, X, Y, "cross_entropy")["dense_0"].saturated == 0.0  # off is not flat
    net = rg.Sequential([rg.Input(64), rg.Dense(4, activation=squash), rg.Dense(10)])
    net["dense_0"].weight[...] *= 100
    z = net.trace(X, Y, "cross_entropy")["dense_0"].z
    found = rg.diagnose(net, X, Y, "cross_entropy")["dense_0"]
    assert found.saturated == pytest.approx(np.mean(2 / (1 + z**2) < 0.05), abs=2e-3)


def test_a_softmax_and_fused_outputs_are_no_alarm() -> None:
    for last, loss, y in (
        (rg.Dense(10, activation="softmax"), "cross_entropy", Y),
        (rg.Dense(1, activation="sigmoid"), "binary_cross_entropy", (Y > 4).astype(float)),
        (rg.Dense(1, activation="sigmoid"), "mean_squared_error", (Y > 4).astype(float)),
    ):
        net = rg.Sequential([rg.Input(64), rg.Dense(16, activation="relu"), last])
        net["dense_1"].weight[...] *= 100
        found = rg.diagnose(net, X, y, loss)
        assert found.healthy, found
    assert found["dense_1"].saturated > 0.9


def test_a_layer_that_is_called_twice_has_two_rows() -> None:
    shared = rg.Dense(64, activation="tanh")
    net = rg.Sequential([rg.Input(64), shared, shared, rg.Dense(10)])
    found = rg.diagnose(net, X, Y, "cross_entropy")
    assert [row.name for row in found.layers] == ["dense_0", "dense_0@1", "dense_1"]
    assert [row.next for row in found.layers] == ["dense_0@1", "dense_1", ""]
    assert found["dense_0"].gradient_rms == found["dense_0@1"].gradient_rms


def test_the_trace_of_a_site_tells_what_the_layers_trace_tells() -> None:
    net = deep(3, "tanh")
    trace = net.trace(X, Y, "cross_entropy")
    for site in sites(net):
        flow = measure(site, trace.values, trace.deltas)
        assert flow.delta_rms == pytest.approx(rms(trace[site.name].delta.astype(np.float64)))


def test_small_deltas_do_not_underflow() -> None:
    found = rg.diagnose(deep(20, "sigmoid", 0.1), X, Y, "cross_entropy")
    assert 0 < found["dense_0"].delta_ratio < 1e-25


# ---------------------------------------------------------------------------------------- the verdicts


def first(found: Diagnosis) -> Any:
    return found.findings[0]


def test_vanishing_by_the_activation_and_its_cure() -> None:
    found = rg.diagnose(deep(10, "sigmoid"), X, Y, "cross_entropy")
    assert found.verdict == "vanishing"
    assert first(found).layers == tuple(f"dense_{k}" for k in range(6))
    assert first(found).numbers["dense_0"] == found["dense_0"].delta_ratio
    assert first(found).threshold == 5e-3
    assert "It is the activation: use relu with weight_init='he_normal' in place of sigmoid" in str(found)
    assert rg.diagnose(deep(10, "relu"), X, Y, "cross_entropy").verdict == "healthy"


def test_vanishing_by_the_weights_and_its_cure() -> None:
    found = rg.diagnose(deep(10, "tanh", 0.1), X, Y, "cross_entropy")
    assert found.verdict == "vanishing"
    assert "It is the weights: begin dense_1, ..., dense_9 (9 layers)" in first(found).remedy
    assert "about 10 times larger" in first(found).remedy
    assert rg.diagnose(deep(10, "tanh"), X, Y, "cross_entropy").healthy


def test_exploding_by_the_weights() -> None:
    found = rg.diagnose(deep(10, "relu", 10.0), X, Y, "cross_entropy")
    assert found.verdict == "exploding"
    assert first(found).numbers["dense_0"] > 1e6
    assert "weight_init='auto' (about 9 times smaller)" in first(found).remedy
    assert "clip_norm=1" in first(found).remedy


def test_exploding_by_the_rate() -> None:
    trainer = rg.Trainer(deep(2, "relu"), "cross_entropy", rg.SGD(1000.0))
    found = rg.diagnose(trainer, X, Y)
    assert found.verdict == "exploding"
    assert first(found).threshold == 1.0
    assert "One update changes the weights of dense_" in first(found).text
    assert "Divide the learning rate by" in first(found).remedy
    trainer = rg.Trainer(deep(2, "relu"), "cross_entropy", rg.SGD(0.1))
    assert rg.diagnose(trainer, X, Y).healthy


def test_exploding_to_the_end() -> None:
    trainer = rg.Trainer(deep(5, "relu", 10.0), "cross_entropy", rg.SGD(10.0))
    with pytest.raises(rg.NonFiniteError):
        trainer.fit(X, Y, epochs=5, batch_size=32, progress=False)
    found = rg.diagnose(trainer, X, Y)
    assert found.verdict == "exploding"
    assert "training ended because it was no longer finite" in first(found).text


def test_an_overflow_is_reported_and_not_raised() -> None:
    net = deep(3, "relu")
    for layer in net.layers:
        layer.weight[...] *= 1e38 / np.abs(layer.weight).max()
    found = rg.diagnose(rg.Trainer(net, "mean_squared_error", rg.SGD(1e30)), X, np.eye(10)[Y])
    assert found.verdict == "exploding"


def test_weights_that_begin_at_zero_may_take_long_steps() -> None:
    layers = [rg.Dense(32, activation="relu"), rg.Dense(10, weight_init="zeros")]
    net = rg.Sequential([rg.Input(64), *layers])
    assert rg.diagnose(net, X, Y, "cross_entropy").healthy
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(1e-3))
    for steps in range(4):
        found = rg.diagnose(trainer, X, Y)
        assert found.healthy, (steps, found)
        trainer.step(X, Y)


def test_a_long_step_that_lowers_the_loss_is_no_alarm() -> None:
    layers = [rg.Dense(32, activation="relu"), rg.Dense(10, weight_init=rg.init.normal(1e-4))]
    trainer = rg.Trainer(rg.Sequential([rg.Input(64), *layers]), "cross_entropy", rg.Adam(1e-3))
    found = rg.diagnose(trainer, X, Y)
    assert found["dense_1"].update_ratio > 5
    assert found.healthy, found


def test_dead_units_and_their_cure() -> None:
    net = deep(3, "relu")
    net["dense_0"].bias[:24] = -100.0
    found = rg.diagnose(net, X, Y, "cross_entropy")
    assert found.verdict == "dead units"
    assert first(found).layers == ("dense_0",)
    assert first(found).numbers == {"dense_0": 0.75}
    assert "dense_0: 24 of 32 (units 0, 1, 2, 3, 4, 5, 6, 7, ...)" in first(found).text
    assert "activation='leaky_relu' in place of relu in dense_0" in first(found).remedy
    lenient = rg.diagnose(net, X, Y, "cross_entropy", thresholds=Thresholds(dead=0.8))
    assert lenient.healthy
    net["dense_0"].bias[:24] = 0.0
    assert rg.diagnose(net, X, Y, "cross_entropy").healthy


def test_saturated() -> None:
    net = deep(3, "tanh")
    net["dense_0"].weight[...] *= 100
    found = rg.diagnose(net, X, Y, "cross_entropy")
    assert found.verdict == "saturated"
    assert first(found).layers == ("dense_0",)
    assert "relu in place of tanh" in first(found).remedy


def test_not_learning_by_a_rate_that_is_too_small() -> None:
    found = rg.diagnose(trained(deep(3, "relu"), rg.SGD(1e-6)), X, Y)
    assert found.verdict == "not learning"
    assert "Take a learning rate" in first(found).remedy
    assert "times larger" in first(found).remedy


@pytest.mark.parametrize("init", ["zeros", "ones"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_not_learning_because_all_units_are_the_same(init: str, activation: str) -> None:
    layers = [rg.Dense(8, activation=activation, weight_init=init), rg.Dense(10, weight_init=init)]
    net = rg.Sequential([rg.Input(64), *layers])
    for found in (rg.diagnose(net, X, Y, "cross_entropy"), rg.diagnose(trained(net, rg.SGD(0.1)), X, Y)):
        assert found.verdict == "not learning"
        assert first(found).layers == ("dense_0",)  # an output layer may begin at zero
        assert "weights that differ" in first(found).remedy


def test_a_linear_model_may_begin_at_zero() -> None:
    net = rg.Sequential([rg.Input(64), rg.Dense(10, weight_init="zeros")])
    trainer = rg.Trainer(net, "cross_entropy", rg.SGD(0.1))
    trainer.step(X, Y)
    assert rg.diagnose(trainer, X, Y).healthy


def test_not_learning_because_the_inputs_are_all_equal() -> None:
    net = deep(2, "tanh")
    found = rg.diagnose(net, np.ones_like(X), Y, "cross_entropy")
    assert found.verdict == "not learning"
    assert "the same for all samples" in first(found).text


def test_not_learning_by_the_history() -> None:
    trainer = rg.Trainer(deep(3, "tanh"), "cross_entropy", rg.SGD(0.1))
    for _ in range(4):
        trainer.history.add({"loss": 2.302})
    found = rg.diagnose(trainer, X, Y)
    assert found.verdict == "not learning"
    assert "it fell by less than 1%" in first(found).text


def test_what_has_learned_may_be_sure_of_itself() -> None:
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([0.0, 1.0, 1.0, 0.0])
    net = rg.Sequential([rg.Input(2), rg.Dense(8, activation="tanh"), rg.Dense(1)])
    trainer = rg.Trainer(net, "binary_cross_entropy", rg.Adam(0.05))
    trainer.fit(x, y, epochs=2000, batch_size=4, progress=False)
    assert rg.diagnose(trainer, x, y).healthy
    trainer = trained(deep(3, "relu"), rg.Adam(3e-3), epochs=60)  # nothing is left to learn
    assert rg.diagnose(trainer, X, Y).healthy


# ------------------------------------------------------------------------------------- no false alarms


@pytest.mark.parametrize("build", CASES, ids=lambda case: case.__name__)
def test_the_examples_are_healthy(build: Callable[..., Case], example: Example) -> None:
    case = build(example, np.random.default_rng(0))
    net = case.network()
    found = rg.diagnose(net, case.x, case.y, case.loss)
    assert found.healthy, found
    trainer = rg.Trainer(net, case.loss, rg.Adam(1e-3))
    for _ in range(4):
        trainer.step(case.x, case.y)
        found = rg.diagnose(trainer, case.x, case.y)
        assert found.healthy, found


def test_the_cures_of_a_vanishing_gradient_are_told_apart(example: Example) -> None:
    module = example("vanishing")
    found = {
        name: rg.diagnose(module.network(*cure, 0), X * 8 + 8, Y, "cross_entropy")
        for name, cure in module.CURES.items()
    }
    assert {name: one.verdict for name, one in found.items()} == {
        "sigmoid": "vanishing",
        "+ ReLU": "vanishing",
        "+ He initialisation": "healthy",
        "+ batch norm": "healthy",
    }
    assert "It is the activation" in str(found["sigmoid"])
    assert "It is the weights" in str(found["+ ReLU"])


def test_recurrent_networks_have_rows() -> None:
    for layer in (rg.LSTM(12), rg.GRU(12), rg.SimpleRNN(12)):
        net = rg.Sequential([rg.Input((8, 8)), layer, rg.Dense(10)])
        found = rg.diagnose(net, X.reshape(-1, 8, 8), Y, "cross_entropy")
        assert found.healthy, found
        row = found.layers[0]
        assert row.delta_rms == pytest.approx(
            found["dense_0"].delta_rms * row.weight_gain * row.slope_gain * row.other_gain
        )


def test_half_of_a_grid_is_judged_right(example: Example) -> None:
    """The thresholds were set with seed 0."""
    module = example("diagnose")
    settings = [setting for setting in module.GRID if setting.depth in (2, 10)]
    found = [module.outcome(setting, seed=3) for setting in settings]
    assert Counter(one.ended for one in found).keys() == set(module.VERDICTS)
    right = sum(one.ended == one.verdict for one in found)
    assert right >= 0.9 * len(found), [one for one in found if one.ended != one.verdict]


# --------------------------------------------------------------------------------------- as it is shown


def test_it_prints() -> None:
    text = str(rg.diagnose(deep(3, "relu"), X, Y, "cross_entropy"))
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["layer", "activation", "RMS"]
    assert lines[2].startswith("dense_0  relu")
    assert "|dW|/|W|" in lines[0]
    assert "saturated" not in lines[0]  # nobody can
    assert lines[-1].startswith("verdict: healthy (loss 2.")
    found = rg.diagnose(trained(deep(10, "sigmoid"), rg.SGD(0.1)), X, Y)
    assert "|update|/|W|" in str(found)
    assert "updates of SGD(lr=0.1)" in str(found)
    assert repr(found) == str(found)


def test_html_and_dict() -> None:
    found = rg.diagnose(deep(10, "sigmoid"), X, Y, "cross_entropy")
    html = found._repr_html_()
    assert html.count("<tr>") == 11
    assert "<li><b>vanishing</b>: The error fades" in html
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["verdict"] == "vanishing"
    assert plain["layers"][0]["name"] == "dense_0"
    assert plain["layers"][0]["update_ratio"] is None
    assert plain["findings"][0]["layers"] == [f"dense_{k}" for k in range(6)]
    assert plain["thresholds"]["vanishing"] == 5e-3


def test_errors_are_sentences() -> None:
    net = deep(2, "relu")
    trainer = rg.Trainer(net, "cross_entropy")
    with pytest.raises(rg.ArgumentError, match=r"^diagnose: a network needs a loss=, 'cross_entropy'"):
        rg.diagnose(net, X, Y)
    with pytest.raises(rg.ArgumentError, match=r"^diagnose: a trainer has its own loss; leave loss= out"):
        rg.diagnose(trainer, X, Y, "cross_entropy")
    with pytest.raises(rg.ArgumentError, match=r"^diagnose: expected a Model or a Trainer, got ndarray"):
        rg.diagnose(X, X, Y, "cross_entropy")  # type: ignore[arg-type]
    with pytest.raises(rg.ArgumentError, match=r"^diagnose: thresholds must be a Thresholds\(...\), got 0.3"):
        rg.diagnose(trainer, X, Y, thresholds=0.3)  # type: ignore[arg-type]
    with pytest.raises(rg.ArgumentError, match=r"^Thresholds: dead"):
        Thresholds(dead=1.5)
    with pytest.raises(rg.ArgumentError, match=r"unknown name 'dense_7'; did you mean"):
        rg.diagnose(trainer, X, Y)["dense_7"]
    with pytest.raises(rg.ShapeError):
        rg.diagnose(trainer, X[:, :5], Y)
    x = rg.Input(3)
    plain = rg.Model(x, x * rg.Variable(np.ones(3), "scale"))
    with pytest.raises(rg.ArgumentError, match=r"^diagnose: the model has no layer with a pre-activation"):
        rg.diagnose(plain, np.ones((4, 3)), np.ones((4, 3)), "mse")


def test_sample_weights_count() -> None:
    net = deep(2, "tanh", dtype="float64")
    weight = np.r_[np.ones(128), np.zeros(128)]
    ours = rg.diagnose(net, X, Y, "cross_entropy", sample_weight=weight)
    half = rg.diagnose(net, X[:128], Y[:128], "cross_entropy")
    assert ours.loss == pytest.approx(half.loss)
    assert ours["dense_0"].gradient_rms == pytest.approx(half["dense_0"].gradient_rms)
