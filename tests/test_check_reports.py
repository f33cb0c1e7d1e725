"""The report of a gradient check: the worst place, both numbers, a verdict, advice that fits the fault."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _check

BATCH = 5


def data(inputs: int = 3, outputs: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, inputs)), rng.normal(size=(BATCH, outputs))


def network(activation: str = "tanh") -> rg.Model:
    return rg.Sequential([rg.Input(3), rg.Dense(4, activation=activation), rg.Dense(2)], seed=1)


def falsify(monkeypatch: pytest.MonkeyPatch, **factors: float) -> None:
    """Backpropagation multiplies the gradients of some parameters: role of the first layer -> factor."""

    class Wrong(rg.Trainer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            core, model = self._core, self.model

            class Core:
                iteration = 0

                def gradients(self, *arrays: Any) -> float:
                    loss = core.gradients(*arrays)
                    for name, factor in factors.items():
                        model.gradients[f"dense_0.{name}"][...] *= factor
                    return loss

                def forward(self, *arrays: Any) -> float:
                    return core.forward(*arrays)

                def plan(self) -> dict[str, Any]:
                    return core.plan()

            self._core = Core()

    monkeypatch.setattr(_check, "Trainer", Wrong)


def test_a_report_that_passed() -> None:
    report = rg.check_gradients(network(), *data(), "mse")
    assert report.passed
    assert report.verdict == "passed"
    assert (report.cause, report.advice) == ("", "")
    assert list(report.errors) == ["dense_0.weight", "dense_0.bias", "dense_1.weight", "dense_1.bias"]
    assert max(report.errors.values()) == report.max_relative_error
    assert report.errors[report.worst.parameter] == report.max_relative_error
    lines = str(report).splitlines()
    assert lines[0].startswith("gradient check passed: largest relative error ")
    assert lines[1].startswith(f"worst: {report.worst.parameter}[")
    assert [line.split()[0] for line in lines[4:]] == list(report.errors)
    assert len(lines) == 8


def test_many_parameters_make_no_long_report() -> None:
    net = rg.Sequential([rg.Input(3), *[rg.Dense(3, activation="tanh") for _ in range(5)], rg.Dense(2)])
    report = rg.check_gradients(net, *data(), "mse")
    assert len(report.errors) == 12
    assert len(str(report).splitlines()) == 2


def test_errors_are_differences_over_the_largest_gradient() -> None:
    """The numeric derivative of a linear network with one weight is known: 2 x (w x + b - y) in the mean."""
    net = rg.Sequential([rg.Input(1), rg.Dense(1, weight_init=np.array([[0.5]]))], dtype="float64")
    x, y = np.array([[2.0]]), np.array([[0.25]])
    report = rg.check_gradients(net, x, y, "mse")
    worst = report.worst
    exact = {"dense_0.weight": 2 * 2.0 * 0.75, "dense_0.bias": 2 * 0.75}[worst.parameter]
    assert worst.analytic == pytest.approx(exact, rel=1e-15)
    assert worst.numeric == pytest.approx(exact, rel=1e-8)
    assert report.max_relative_error == abs(worst.analytic - worst.numeric) / 3.0


def test_a_wrong_factor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    falsify(monkeypatch, weight=1.5)
    report = rg.check_gradients(network(), *data(), "mse")
    assert not report.passed
    assert report.cause == "derivative"
    assert report.worst.parameter == "dense_0.weight"
    assert "wrong are dense_0.weight alone; all of dense_0.weight is 1.5 times" in report.advice
    assert report.errors["dense_0.weight"] > 0.1
    assert report.errors["dense_0.bias"] < report.tolerance
    wrong = [line for line in str(report).splitlines() if line.endswith("too large")]
    assert len(wrong) == 1
    assert wrong[0].startswith("dense_0.weight")


def test_a_gradient_that_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    falsify(monkeypatch, weight=0.0, bias=0.0)
    report = rg.check_gradients(network(), *data(), "mse")
    assert report.cause == "derivative"
    assert "all of dense_0.weight is 0 times what it should be" in report.advice


def test_stop_gradient_is_named() -> None:
    x = rg.Input(3)
    h = rg.Dense(4, activation="tanh")(x)
    net = rg.Model(inputs=x, outputs=rg.Dense(2)(h * rg.ops.stop_gradient(h)), seed=0)
    report = rg.check_gradients(net, *data(), "mse")
    assert report.cause == "stop_gradient"
    assert "rg.ops.stop_gradient (stop_gradient_0)" in report.advice
    assert report.errors["dense_0.weight"] > 1e-2
    assert report.errors["dense_1.weight"] < report.tolerance


def test_stop_gradient_in_the_loss_is_named() -> None:
    def loss(output: rg.Node, target: rg.Node) -> rg.Node:
        error = output - target
        return rg.ops.mean(rg.ops.stop_gradient(error) * error, axis=-1)

    report = rg.check_gradients(network(), *data(), loss)
    assert report.cause == "stop_gradient"
    assert "stop_gradient" in report.advice


def test_a_corner_is_left_out_and_said() -> None:
    net = rg.Sequential(
        [
            rg.Input(3),
            rg.Dense(2, activation="relu", weight_init=np.ones((2, 3))),
            rg.Dense(2, weight_init=np.ones((2, 2))),
        ]
    )
    x = np.array([[1.0, -2.0, 1.0], [1.0, 1.0, 1.0]])  # z of the first sample is 0
    report = rg.check_gradients(net, x, np.ones((2, 2)), "mse")
    assert report.kinks == 8  # weights and biases of both units: each moves z off 0
    assert report.passed
    assert list(report.errors) == ["dense_1.weight", "dense_1.bias"]
    assert "8 elements left out: the loss has a corner there" in str(report)


def test_corners_everywhere_are_no_success() -> None:
    net = rg.Sequential([rg.Input(1), rg.Dense(1, activation="relu", weight_init="zeros")])
    report = rg.check_gradients(net, np.ones((2, 1)), np.ones((2, 1)), "mse")
    assert not report.passed
    assert report.worst is None
    assert report.cause == "corner"
    assert report.advice.startswith("Nothing could be compared")
    assert report.to_dict()["worst"] is None


def test_a_failure_beside_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    falsify(monkeypatch, weight=1.5)
    net = rg.Sequential(
        [
            rg.Input(3),
            rg.Dense(2, activation="relu", weight_init=np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 1.0]])),
            rg.Dense(2, weight_init=np.ones((2, 2))),
        ]
    )
    x = np.array([[1.0, -2.0, 1.0], [1.0, 1.0, 1.0]])
    report = rg.check_gradients(net, x, np.zeros((2, 2)), "mse")
    assert report.kinks > 0
    assert report.cause == "corner"
    assert "Take other samples" in report.advice


def test_a_loss_that_is_not_finite() -> None:
    net = network("relu")
    net.parameters["dense_0.weight"][...] = 1e30
    x, y = data()
    report = rg.check_gradients(net, np.abs(x) * 1e300, y, "mse")
    assert not report.passed
    assert report.cause == "not finite"
    assert report.max_relative_error == math.inf
    assert "no finite number: dense_0.z is infinite in row 0" in report.advice


def test_a_loss_that_is_not_finite_nearby() -> None:
    """log(w): a number at w = 1e-6, none one step of the difference to the left."""
    w = rg.Variable(np.array([1e-6, 1.0]), "w")
    x = rg.Input(2)
    net = rg.Model(x, x + rg.ops.log(w), dtype="float64")
    report = rg.check_gradients(net, np.ones((1, 2)), np.ones((1, 2)), "mse")
    assert report.cause == "not finite"
    assert report.worst.parameter == "w"
    assert report.worst.index == (0,)
    assert report.max_relative_error == report.errors["w"] == math.inf
    assert "no finite number within 1e-05 of w" in report.advice


def test_elements_that_were_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    falsify(monkeypatch, weight=1.5)
    monkeypatch.setattr(_check, "_chosen", lambda weights, limit, rng: [("dense_1.bias", (0,))])
    report = rg.check_gradients(network(), *data(), "mse")
    assert report.cause == "unseen elements"
    assert report.worst.parameter.startswith("random direction")
    assert "more samples=" in report.advice


def test_as_dict_and_html(monkeypatch: pytest.MonkeyPatch) -> None:
    good = rg.check_gradients(network(), *data(), "mse")
    data_of = json.loads(json.dumps(good.to_dict()))
    assert data_of["passed"] is True
    assert data_of["errors"] == good.errors
    assert data_of["worst"] == {
        "parameter": good.worst.parameter,
        "index": list(good.worst.index),
        "analytic": good.worst.analytic,
        "numeric": good.worst.numeric,
    }
    falsify(monkeypatch, bias=2.0)
    bad = rg.check_gradients(network(), *data(), "mse")
    page = bad._repr_html_()
    assert "gradient check FAILED" in page
    assert page.count("<tr>") == 5
    assert bad.advice.replace("'", "&#x27;") in page
    assert bad.to_dict()["cause"] == "derivative"
