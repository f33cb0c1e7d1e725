"""rg.plot: what is drawn is what the core computed, and nothing of matplotlib is left changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from figures import assert_sound, plt, texts, trained_on_moons, untouched  # noqa: F401
from matplotlib import collections, colors, patches
from retrograd.plot._canvas import PALETTE


@pytest.fixture(scope="module")
def digits() -> rg.Trainer:
    """A small network that was trained for some epochs, with everything recorded."""
    x, y = rg.datasets.digits()
    net = rg.Sequential(
        [rg.Input(64), rg.Rescale(1 / 16), rg.Dense(12, "relu"), rg.Dense(8, "tanh"), rg.Dense(10)]
    )
    schedule = rg.schedules.Piecewise([3], [1e-2, 1e-3], unit="epoch")
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(schedule), metrics=["accuracy"])
    trainer.fit(
        x[:400], y[:400], epochs=5, validation_data=(x[400:600], y[400:600]), record="layers", progress=False
    )
    return trainer


@pytest.fixture(scope="module")
def trace(digits: rg.Trainer) -> Any:
    x, y = rg.datasets.digits()
    return digits.trace(x[:50], y[:50])


@pytest.fixture(scope="module")
def moons() -> rg.Trainer:
    x, y = rg.datasets.moons(100)
    net = rg.Sequential([rg.Input(2), rg.Dense(8, "tanh"), rg.Dense(1)])
    trainer = rg.Trainer(net, "bce", rg.Adam(0.03))
    trainer.fit(x, y, epochs=40, progress=False)
    return trainer


# ------------------------------------------------------------------------------------------ history


def test_history_draws_what_was_recorded(digits: rg.Trainer) -> None:
    recorded = digits.history.history
    ax = rg.plot.history(digits)
    loss, accuracy, rate = ax.figure.axes
    assert loss is ax
    for panel, name in ((loss, "loss"), (accuracy, "accuracy")):
        for line, key in zip(panel.lines[:2], (name, f"val_{name}"), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
            np.testing.assert_array_equal(line.get_ydata(), recorded[key])
        assert panel.lines[0].get_linestyle() != panel.lines[1].get_linestyle()
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), [0.01] * 3 + [0.001] * 2)
    assert [panel.get_ylabel() for panel in ax.figure.axes] == ["loss [nats]", "accuracy", "learning rate"]
    assert rate.get_xlabel() == "epoch"
    best = int(np.argmin(recorded["val_loss"])) + 1
    star = next(line for line in loss.lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (best, recorded["val_loss"][best - 1])
    changes = [line for line in loss.lines if line.get_label() == "learning rate changes"]
    assert [line.get_xdata()[0] for line in changes] == [3.5]  # between epoch 3 and epoch 4
    assert_sound(ax)


def test_history_on_given_axes(digits: rg.Trainer) -> None:
    figure, (one, two) = plt.subplots(1, 2)
    assert rg.plot.history(digits.history, ax=one) is one
    assert one.get_ylabel() == "loss"  # a history does not know the loss
    assert rg.plot.history(digits.history, "accuracy", log=True, ax=[one, two]) is one
    assert (one.get_yscale(), two.get_ylabel()) == ("log", "accuracy")
    assert (one.get_xlabel(), two.get_xlabel()) == ("epoch", "epoch")  # they stand side by side
    assert plt.get_fignums() == [figure.number]


def test_history_without_validation_or_changes() -> None:
    x, y = rg.datasets.xor()
    trainer = rg.Trainer(rg.Sequential([rg.Input(2), rg.Dense(1)]), "mse", rg.SGD(0.1))
    trainer.fit(x, y, epochs=1, progress=False)
    ax = rg.plot.history(trainer)
    assert ax.figure.axes == [ax]
    assert ax.get_ylabel() == "loss"
    assert_sound(ax)


# ------------------------------------------------------------------------------------ gradient flow


def rms(values: np.ndarray) -> float:
    numbers = [float(value) for value in values.ravel()]
    return math.sqrt(math.fsum(value * value for value in numbers) / len(numbers))


def test_gradient_flow(trace: Any) -> None:
    ax = rg.plot.gradient_flow(trace)
    layers = ["dense_0", "dense_1", "dense_2"]
    gradients, deltas = ax.lines[:2]
    np.testing.assert_allclose(gradients.get_ydata(), [rms(trace[name].dW) for name in layers], rtol=1e-6)
    np.testing.assert_allclose(deltas.get_ydata(), [rms(trace[name].delta) for name in layers], rtol=1e-6)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == layers
    assert ax.get_yscale() == "log"
    assert gradients.get_marker() != deltas.get_marker()
    assert_sound(ax)


def test_gradient_flow_marks_what_vanishes() -> None:
    small = rg.init.uniform(-0.1, 0.1)
    layers = [rg.Dense(8, "sigmoid", weight_init=small) for _ in range(9)]
    net = rg.Sequential([rg.Input(8), *layers, rg.Dense(2)], dtype="float64")
    x = np.random.default_rng(0).normal(size=(6, 8))
    ax = rg.plot.gradient_flow(net.trace(x, [0, 1] * 3, "cross_entropy"))
    assert " vanishing " in texts(ax)
    assert any(set(line.get_ydata()) == {1e-7} for line in ax.lines)
    assert_sound(ax)


def test_gradient_flow_says_where_a_gradient_is_0() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(3, "relu", bias_init=-np.full(3, 100.0)), rg.Dense(1)])
    ax = rg.plot.gradient_flow(net.trace(np.ones((4, 2)), np.ones((4, 1)), "mse"))
    assert texts(ax).count("0") >= 2  # dW and delta of the dead layer
    assert_sound(ax)


def test_gradient_flow_over_epochs(digits: rg.Trainer) -> None:
    ax = rg.plot.gradient_flow_over_epochs(digits)
    names = ["dense_0.weight", "dense_1.weight", "dense_2.weight"]
    mesh = next(part for part in ax.collections if isinstance(part, collections.QuadMesh))
    expected = [digits.history.history[f"gradient_norm/{name}"] for name in names]
    np.testing.assert_array_equal(np.reshape(mesh.get_array(), (3, 5)), expected)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == names
    assert isinstance(mesh.norm, colors.LogNorm)
    assert ax.get_ylim() == (2.5, -0.5)  # the first layer is on top
    assert ax.figure.axes[1].get_ylabel() == "norm of dL/dW"
    assert_sound(ax)


def test_other_quantities_have_their_own_scale() -> None:
    history = rg.History()
    for mean, share in ((-0.5, 0.25), (0.1, 1.0)):
        history.add({"loss": 1.0, "activation_mean/a": mean, "saturated/a": share, "delta_rms/a": 0.0})
    for name, expected, limits in (
        ("activation_mean", [-0.5, 0.1], (-0.5, 0.5)),
        ("saturated", [25.0, 100.0], (0.0, 100.0)),
    ):
        mesh = rg.plot.gradient_flow_over_epochs(history, name).collections[0]
        np.testing.assert_allclose(np.ravel(mesh.get_array()), expected)
        assert (mesh.norm.vmin, mesh.norm.vmax) == limits
    zero = rg.plot.gradient_flow_over_epochs(history, "delta_rms")
    assert np.ma.getmaskarray(zero.collections[0].get_array()).all()  # no logarithm of 0
    assert_sound(zero)


# ------------------------------------------------------------------------------------ distributions


def steps(ax: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Heights, lower ends and edges of each histogram; rows count downwards."""
    found = []
    for patch in ax.patches:
        if isinstance(patch, patches.StepPatch):
            values, edges, base = patch.get_data()
            found.append((base - values, base, edges))
    return found


def assert_counts(step: tuple[np.ndarray, np.ndarray, np.ndarray], values: np.ndarray, row: int) -> None:
    heights, base, edges = step
    counts, _ = np.histogram(np.asarray(values, np.float64), edges)
    assert counts.sum() == values.size
    np.testing.assert_allclose(heights, 0.85 * counts / counts.max(), atol=1e-12)
    assert (base == row).all()


def test_weights(digits: rg.Trainer) -> None:
    ax = rg.plot.weights(digits)
    rows = [digits.model.parameters[f"dense_{k}.weight"] for k in range(3)]
    for k, (step, values) in enumerate(zip(steps(ax), rows, strict=True)):
        assert_counts(step, values, k)
        assert texts(ax)[k] == f"std {float(np.std(values, dtype=np.float64)):.2g}"
    assert ax.get_yticklabels()[0].get_text() == "dense_0.weight\n12 x 64"
    assert ax.get_xlabel() == "weight"
    assert_sound(ax)


def test_weights_that_are_all_equal() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(3, weight_init="ones"), rg.Dense(1, weight_init="zeros")])
    ax = rg.plot.weights(net)
    assert texts(ax) == ["std 0", "std 0, zero 100 %"]
    for step, values in zip(steps(ax), (np.ones(6), np.zeros(3)), strict=True):
        assert np.histogram(values, step[2])[0].sum() == values.size
    assert_sound(ax)


def test_activations(trace: Any) -> None:
    ax = rg.plot.activations(trace)
    relu, tanh = trace["dense_0"].a.ravel(), trace["dense_1"].a.ravel()
    assert_counts(steps(ax)[0], relu[relu != 0], 0)
    assert_counts(steps(ax)[1], tanh, 1)
    zero = sum(value == 0 for value in relu.tolist()) / relu.size
    assert texts(ax)[0].endswith(f"zero {100 * zero:.0f} %")
    saturated = sum(abs(value) > 0.97 for value in tanh.tolist()) / tanh.size
    assert texts(ax)[1].endswith(f"saturated {100 * saturated:.0f} %")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "dense_0\nrelu",
        "dense_1\ntanh",
        "dense_2\nlinear",
    ]
    assert_sound(ax)


@pytest.mark.parametrize(("name", "beyond"), [("tanh", 0.97), ("softsign", 0.75)])
def test_saturated_on_either_side(name: str, beyond: float) -> None:
    net = rg.Sequential([rg.Input(1), rg.Dense(1, name, weight_init="ones")])
    x = np.array([[-9.0], [-0.5], [0.1], [0.5], [9.0]])
    trace = net.trace(x, x, "mse")
    assert sum(abs(float(a)) > beyond for a in trace["dense_0"].a.ravel()) == 2
    assert texts(rg.plot.activations(trace))[0].endswith("saturated 40 %")


def test_deltas(trace: Any) -> None:
    ax = rg.plot.deltas(trace)
    assert ax.get_xscale() == "log"
    found = steps(ax)
    for k in range(3):
        delta = np.asarray(trace[f"dense_{k}"].delta, np.float64).ravel()
        (above, base, edges), (below, top, _) = found[2 * k : 2 * k + 2]
        positive, _ = np.histogram(delta[delta > 0], edges)
        negative, _ = np.histogram(-delta[delta < 0], edges)
        highest = (positive + negative).max()
        assert positive.sum() + negative.sum() + (delta == 0).sum() == delta.size
        np.testing.assert_allclose(above, 0.85 * positive / highest, atol=1e-12)
        np.testing.assert_allclose(below, 0.85 * negative / highest, atol=1e-12)
        np.testing.assert_allclose(top, base - above)  # negative ones stand on positive ones
        assert texts(ax)[k].startswith(f"RMS {rms(delta):.2g}")
    assert_sound(ax)


# ------------------------------------------------------------------------------------------ network


def edges_of(ax: Any) -> list[Any]:
    return [part for part in ax.collections if isinstance(part, collections.LineCollection)]


def test_network_edges_are_the_weights() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(3, "tanh"), rg.Dense(1, "sigmoid")])
    hidden = np.array([[1.0, -2.0], [0.5, 0.0], [-0.25, 4.0]])
    net.parameters["dense_0.weight"][...] = hidden
    net.parameters["dense_1.weight"][...] = [[-1.0, 2.0, 3.0]]
    ax = rg.plot.network(net)
    first, second = edges_of(ax)
    for lines, weight in ((first, hidden), (second, np.array([[-1.0, 2.0, 3.0]]))):
        np.testing.assert_allclose(lines.get_linewidths(), np.abs(weight).ravel())  # 4 points for 4.0
        signs = PALETTE.weights
        wanted = [signs.negative if w < 0 else signs.positive for w in weight.ravel()]
        np.testing.assert_allclose(lines.get_colors()[:, :3], [colors.to_rgb(c) for c in wanted])
        dashed = [dashes is not None for _, dashes in lines.get_linestyles()]
        assert dashed == [bool(w < 0) for w in weight.ravel()]
    # weight[i, j] leads from input j to unit i
    begin, end = first.get_segments()[2 * 2 + 1]
    assert (begin[0], end[0]) == (0.0, 1.0)
    assert (begin[1], end[1]) == (0.5, 1.0)
    assert texts(ax) == ["input_0\n2 units", "dense_0\ntanh\n3 units", "dense_1\nsigmoid\n1 unit"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "weight > 0, widest 4",
        "weight < 0, widest -4",
    ]
    assert_sound(ax)


def test_network_leaves_units_out_and_says_how_many() -> None:
    net = rg.Sequential(
        [rg.Input((8, 8, 1)), rg.Flatten(), rg.Dense(128, "relu"), rg.Dropout(0.5), rg.Dense(3)]
    )
    ax = rg.plot.network(net)
    assert "... 52 more" in texts(ax)
    assert "... 116 more" in texts(ax)
    assert "dense_0\nrelu\n+ dropout_0\n128 units" in texts(ax)
    shown = [*range(6), *range(122, 128)]
    weight = net.parameters["dense_1.weight"][:, shown]
    widths = edges_of(ax)[1].get_linewidths()
    assert len(edges_of(ax)[0].get_segments()) == 144
    np.testing.assert_allclose(
        np.asarray(widths) / np.max(widths), np.abs(weight).ravel() / np.abs(weight).max(), rtol=1e-5
    )
    assert_sound(ax)


@pytest.mark.parametrize(("show", "name"), [("weights", "a"), ("gradients", "delta")])
def test_network_with_a_trace(digits: rg.Trainer, trace: Any, show: str, name: str) -> None:
    ax = rg.plot.network(digits, trace, show, max_units=12, sample=3)
    marks = [part for part in ax.collections if part.get_array() is not None]
    for part, layer in zip(marks[-3:], ("dense_0", "dense_1", "dense_2"), strict=True):
        np.testing.assert_allclose(part.get_array(), getattr(trace[layer], name)[3], rtol=1e-6)
    if show == "gradients":
        widths = np.asarray(edges_of(ax)[2].get_linewidths())
        dW = np.abs(trace["dense_2"].dW).ravel()
        np.testing.assert_allclose(widths / widths.max(), dW / dW.max(), rtol=1e-5)
    assert ax.figure.axes[1].get_ylabel() == f"{name} of sample 3"
    assert_sound(ax)


# ------------------------------------------------------------------------------------- activation


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("sigmoid", lambda z: 1 / (1 + math.exp(-z))),
        ("tanh", math.tanh),
        ("gelu", lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2),
        ("linear", lambda z: z),
        (lambda z: z * rg.ops.sin(z), lambda z: z * math.sin(z)),
    ],
)
def test_activation(name: Any, f: Callable[[float], float]) -> None:
    ax = rg.plot.activation(name, limits=(-2.0, 3.0))
    value, slope = (line.get_ydata() for line in ax.lines[2:])
    z = ax.lines[2].get_xdata()
    h = 1e-5
    np.testing.assert_allclose(value, [f(float(one)) for one in z], atol=1e-12)
    np.testing.assert_allclose(
        slope, [(f(float(one) + h) - f(float(one) - h)) / (2 * h) for one in z], atol=1e-8
    )
    assert ax.get_xlim() == (-2.0, 3.0)
    title = name if isinstance(name, str) else "f"
    assert [line.get_label() for line in ax.lines[2:]] == [f"{title}(z)", f"d {title} / dz"]
    assert_sound(ax)


# ------------------------------------------------------------------------------------------ graph


def test_graph_shows_every_number() -> None:
    pytest.importorskip("retrograd._layout")
    w, b, x, y = (rg.Placeholder((), name=n) for n in "wbxy")
    g = rg.Graph((w * x + b - y) ** 2)
    g.forward({w: 2, x: 3, b: 1, y: 5})
    g.backward()
    ax = rg.plot.graph(g)
    written = [patch.get_gid() for patch in ax.patches if patch.get_gid()]
    for name in ("w", "b", "x", "y", "multiply_0", "add_0", "subtract_0", "square_0"):
        assert name in written
    # dL/dw = 2 (w x + b - y) x = 12, dL/dx = 8, dL/db = 4, dL/dy = -4
    for number in ("12", "8", "4", "-4"):
        assert number in written
    assert (
        sum(
            isinstance(patch, patches.Polygon) and not isinstance(patch, patches.Rectangle)
            for patch in ax.patches
        )
        == 7
    )
    assert len([gid for gid in written if "->" in gid]) == 7
    assert_sound(ax)
    _, given = plt.subplots()
    assert rg.plot.graph(w * x, ax=given) is given
    assert len(plt.get_fignums()) == 2


# ------------------------------------------------------------------------------------ all of them


def test_one_figure_for_each_call_without_axes(digits: rg.Trainer, trace: Any) -> None:
    x, y = rg.datasets.moons(100)
    moons = trained_on_moons()
    calls: list[Callable[[Any], Any]] = [
        lambda ax: rg.plot.history(digits, ax=ax),
        lambda ax: rg.plot.gradient_flow(trace, ax=ax),
        lambda ax: rg.plot.gradient_flow_over_epochs(digits, ax=ax),
        lambda ax: rg.plot.weights(digits, ax=ax),
        lambda ax: rg.plot.activations(trace, ax=ax),
        lambda ax: rg.plot.deltas(trace, ax=ax),
        lambda ax: rg.plot.network(moons, ax=ax),
        lambda ax: rg.plot.decision_boundary(moons, x, y, ax=ax, resolution=5),
        lambda ax: rg.plot.loss_landscape(moons, x, y, "bce", ax=ax, resolution=3),
        lambda ax: rg.plot.confusion_matrix(y, y, ax=ax),
        lambda ax: rg.plot.activation("relu", ax=ax),
    ]
    for call in calls:
        plt.close("all")
        own = call(None)
        assert plt.get_fignums() == [own.figure.number]
        _, (given, other) = plt.subplots(1, 2)
        assert call(given) is given
        assert len(plt.get_fignums()) == 2
        assert not other.has_data()
