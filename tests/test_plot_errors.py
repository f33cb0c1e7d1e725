"""Errors of rg.plot: sentences that say what came, what was expected and what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from figures import plt, untouched  # noqa: F401


def small(inputs: int = 2, outputs: int = 1) -> rg.Model:
    return rg.Sequential([rg.Input(inputs), rg.Dense(outputs)])


def history_with(**row: float) -> rg.History:
    history = rg.History()
    history.add(row)
    return history


X, Y = np.zeros((4, 2)), np.array([0, 1, 0, 1])

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: rg.plot.history([1.0]), rg.ArgumentError, "history: expected a History or a Trainer, got list"),
    (
        lambda: rg.plot.history(rg.History()),
        rg.ArgumentError,
        "the history has no complete epoch yet; call trainer.fit first",
    ),
    (
        lambda: rg.plot.history(history_with(loss=1.0, accuracy=0.5), "acuracy"),
        rg.ArgumentError,
        "did you mean 'accuracy'?",
    ),
    (
        lambda: rg.plot.history(history_with(loss=-1.0), log=True),
        rg.ArgumentError,
        "log=True needs losses above 0, the lowest is -1",
    ),
    (
        lambda: rg.plot.history(history_with(loss=1.0, accuracy=0.5), "accuracy", ax=plt.subplots()[1]),
        rg.ArgumentError,
        "history: 2 panels are to be drawn (loss, accuracy), got 1 Axes; pass ax= a list of 2",
    ),
    (
        lambda: rg.plot.history(history_with(loss=1.0), ax="ax"),
        rg.ArgumentError,
        "history: ax must be one Axes of matplotlib or None, got str",
    ),
    (
        lambda: rg.plot.gradient_flow(history_with(loss=1.0)),
        rg.ArgumentError,
        "gradient_flow: expected a Trace, got History; for the epochs of a History there is "
        "gradient_flow_over_epochs",
    ),
    (
        lambda: rg.plot.deltas(small()),
        rg.ArgumentError,
        "deltas: expected a Trace, got Model; make one with net.trace(x, y, loss)",
    ),
    (
        lambda: rg.plot.gradient_flow_over_epochs(history_with(loss=1.0)),
        rg.ArgumentError,
        'the history has no gradient_norm of layers; record it with trainer.fit(..., record="layers")',
    ),
    (
        lambda: rg.plot.gradient_flow_over_epochs(history_with(loss=1.0), "update_nrm"),
        rg.ArgumentError,
        "gradient_flow_over_epochs: quantity: unknown name 'update_nrm'; did you mean 'update_norm'?",
    ),
    (lambda: rg.plot.weights("net"), rg.ArgumentError, "weights: expected a Model or a Trainer, got str"),
    (
        lambda: rg.plot.weights(rg.Sequential([rg.Input(2), rg.Activation("relu")])),
        rg.ArgumentError,
        "weights: the model has no weights",
    ),
    (
        lambda: rg.plot.gradient_flow(rg.Sequential([rg.Input(2), rg.BatchNorm()]).trace(X, X, "mse")),
        rg.ArgumentError,
        "gradient_flow: no layer of this trace has weights",
    ),
    (
        lambda: rg.plot.activations(rg.Sequential([rg.Input(2), rg.Dropout(0.5)]).trace(X, X, "mse")),
        rg.ArgumentError,
        "activations: no layer of this trace has an activation",
    ),
    (
        lambda: rg.plot.deltas(rg.Sequential([rg.Input(2), rg.Dropout(0.5)]).trace(X, X, "mse")),
        rg.ArgumentError,
        "deltas: every delta of this trace is 0 or missing",
    ),
    (
        lambda: rg.plot.network(small(), show="weight"),
        rg.ArgumentError,
        "network: show: unknown name 'weight'; did you mean 'weights'?",
    ),
    (
        lambda: rg.plot.network(small(), show="gradients"),
        rg.ArgumentError,
        "show='gradients' needs trace=net.trace(x, y, loss)",
    ),
    (
        lambda: rg.plot.network(small(), max_units=1),
        rg.ArgumentError,
        "network: max_units: expected 2 to 64, got 1",
    ),
    (
        lambda: rg.plot.network(small(), small().trace(X, Y, "mse"), sample=4),
        rg.ArgumentError,
        "network: sample: expected 0 to 3, got 4",
    ),
    (
        lambda: rg.plot.network(small(), small(3).trace(np.zeros((4, 3)), Y, "mse")),
        rg.ArgumentError,
        "network: the trace is of another model, it has no dense_0.weight of shape (1, 2)",
    ),
    (
        lambda: rg.plot.network(
            rg.Sequential([rg.Input((6, 6, 1)), rg.Conv2D(2, 3), rg.Flatten(), rg.Dense(1)])
        ),
        rg.GraphError,
        "network: it draws Dense layers of (batch, units), and conv2d_0 is conv2d",
    ),
    (
        lambda: rg.plot.network(rg.Sequential([rg.Input(2), rg.Dropout(0.5)])),
        rg.GraphError,
        "network: the model has no Dense layer",
    ),
    (
        lambda: rg.plot.network(forked()),
        rg.GraphError,
        "network: it draws one chain of layers, but dense_1 takes input_0",
    ),
    (
        lambda: rg.plot.decision_boundary(small(3), X, Y),
        rg.ShapeError,
        "decision_boundary: it draws the plane of two inputs, (batch, 2), but the model takes (batch, 3)",
    ),
    (
        lambda: rg.plot.decision_boundary(rg.Sequential([rg.Input(2), rg.Reshape((2, 1))]), X, Y),
        rg.ShapeError,
        "decision_boundary: it draws one output, (batch, classes) or (batch, 1), but the model has "
        "(batch, 2, 1)",
    ),
    (
        lambda: rg.plot.decision_boundary(small(), np.zeros((4, 3)), Y),
        rg.ShapeError,
        "x: expected shape (batch, 2), got (4, 3)",
    ),
    (
        lambda: rg.plot.decision_boundary(small(2, 3), X, Y + 2),
        rg.ArgumentError,
        "decision_boundary: y has the label 3, but the model's classes are 0 to 2",
    ),
    (
        lambda: rg.plot.decision_boundary(small(2, 3), X, Y + 0.5),
        rg.ShapeError,
        "decision_boundary: the model has 3 outputs and y of shape (4,) has no class labels",
    ),
    (
        lambda: rg.plot.loss_landscape(
            rg.Sequential([rg.Input(2), rg.Dense(1, weight_init="zeros")]), X, Y, "mse"
        ),
        rg.ArgumentError,
        "loss_landscape: every weight that is trained is 0",
    ),
    (
        lambda: rg.plot.loss_landscape(small(), X, Y, "mse"),
        rg.ArgumentError,
        "loss_landscape: the loss is the same at every point",
    ),
    (
        lambda: rg.plot.loss_landscape(small(), X + 1, Y, "mse", radius=1e30, resolution=3),
        rg.ArgumentError,
        "loss_landscape: the loss is finite at 1 of 9 points only; choose a smaller radius",
    ),
    (
        lambda: rg.plot.loss_landscape(small(), X, Y, "mse", radius=0),
        rg.ArgumentError,
        "loss_landscape: radius: expected more than 0",
    ),
    (
        lambda: rg.plot.loss_landscape(small(), X, Y, "mse", trajectory=[np.zeros(3)]),
        rg.ArgumentError,
        "loss_landscape: a trajectory has at least 2 vectors, got 1",
    ),
    (
        lambda: rg.plot.loss_landscape(small(), X, Y, "mse", trajectory=[np.zeros(3), np.zeros(2)]),
        rg.ArgumentError,
        "loss_landscape: trajectory[1] has shape (2,), expected (3,) like net.flat_parameters",
    ),
    (
        lambda: rg.plot.loss_landscape(small(), X, Y, "mse", trajectory=[small().flat_parameters] * 2),
        rg.ArgumentError,
        "loss_landscape: all vectors of the trajectory are the model's own parameters",
    ),
    (
        lambda: rg.plot.confusion_matrix([0, 1], [0, 1, 1]),
        rg.ShapeError,
        "y_pred: it has 3 rows but y_true has 2",
    ),
    (
        lambda: rg.plot.confusion_matrix([0, 1], [0, 1], ["a"]),
        rg.ArgumentError,
        "confusion_matrix: there are 2 classes, got 1 labels",
    ),
    (
        lambda: rg.plot.confusion_matrix([0, -1], [0, 1]),
        rg.ArgumentError,
        "confusion_matrix: y_true has the label -1",
    ),
    (
        lambda: rg.plot.confusion_matrix([0, 1], [-1.5, 2.5]),
        rg.ArgumentError,
        "y_pred has values from -1.5 to 2.5, expected labels, or probabilities between 0 and 1; "
        "for logits use net.predict_proba",
    ),
    (
        lambda: rg.plot.confusion_matrix([0], np.zeros((1, 2, 2))),
        rg.ShapeError,
        "confusion_matrix: y_pred has shape (1, 2, 2)",
    ),
    (lambda: rg.plot.activation("rellu"), rg.ArgumentError, "did you mean 'relu'?"),
    (
        lambda: rg.plot.activation("softmax"),
        rg.ArgumentError,
        "activation: softmax takes all classes at once",
    ),
    (
        lambda: rg.plot.activation("relu", limits=(1, 0)),
        rg.ArgumentError,
        "activation: limits must be two rising numbers, got (1, 0)",
    ),
]


def forked() -> rg.Model:
    x = rg.Input(2)
    return rg.Model(x, rg.Dense(2)(x) + rg.Dense(2)(x))


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[text for _, _, text in ERRORS])
def test_errors_are_sentences(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_matplotlib_is_imported_when_something_is_drawn() -> None:
    source = "import sys, retrograd.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib.axes", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    text = r"plot: this needs matplotlib, which is not installed; pip install \"retrograd\[plot\]\""
    with pytest.raises(rg.ArgumentError, match=text):
        rg.plot.activation("relu")
