"""solver="lbfgs" of rg.sklearn: the numbers of scikit-learn, and what else holds of all rows at once."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import retrograd as rg

pytest.importorskip("sklearn", minversion="1.6")

from estimators import (
    BINARY,
    LABELS,
    NUMBERS,
    SEVERAL,
    WEIGHTS,
    Array,
    Classifier,
    Regressor,
    X,
    Y,
    same_bits,
    same_weights,
)
from retrograd.sklearn import _lbfgs
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GIVEN: dict[str, Any] = {"solver": "lbfgs", "hidden_layer_sizes": (6,), "random_state": 0}
SMOOTH = GIVEN | {"activation": "tanh"}  # where a gradient of 0 can be reached


# ------------------------------------------------------------------------------------ the same numbers


@pytest.mark.parametrize(
    ("kind", "y", "settings"),
    [
        ("MLPClassifier", Y, {}),
        ("MLPClassifier", Y, {"activation": "logistic", "hidden_layer_sizes": (7, 5), "alpha": 0.5}),
        ("MLPClassifier", BINARY, {"activation": "tanh"}),
        ("MLPClassifier", LABELS, {"alpha": 2.0}),
        ("MLPRegressor", NUMBERS, {}),
        ("MLPRegressor", NUMBERS, {"activation": "identity", "hidden_layer_sizes": ()}),
        ("MLPRegressor", Y, {"loss": "poisson"}),
    ],
)
@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_fifteen_iterations_are_equal(
    kind: str, y: Array, settings: dict[str, Any], weight: Array | None
) -> None:
    given = GIVEN | {"max_iter": 15} | settings
    ours = getattr(rg.sklearn, kind)(**given)
    try:
        other = getattr(theirs, kind)(**given)
        other.fit(X, y, **({} if weight is None else {"sample_weight": weight}))
    except TypeError:
        pytest.skip("scikit-learn before 1.7 takes neither sample_weight nor poisson")
    ours.fit(X, y, sample_weight=weight)
    same_weights(ours, other, rtol=0, atol=1e-7)
    assert ours.n_iter_ == other.n_iter_ == len(ours.loss_curve_)
    if weight is None or settings.get("loss") != "poisson":  # the part without a gradient is not weighted
        assert ours.loss_ == pytest.approx(other.loss_, abs=1e-9)


@pytest.mark.parametrize("max_fun", [1, 5, 10])
def test_max_fun_ends_where_theirs_ends(max_fun: int) -> None:
    given = GIVEN | {"max_fun": max_fun, "activation": "tanh"}
    ours, other = Classifier(**given), theirs.MLPClassifier(**given).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match=r"lbfgs failed to converge: STOP.*EVAL.*max_fun"):
        ours.fit(X, Y)
    assert ours.n_iter_ == other.n_iter_ <= max_fun
    assert not ours.converged_
    same_weights(ours, other, rtol=0, atol=1e-8)


def test_it_ends_at_the_solution_of_a_linear_problem() -> None:
    """No hidden layer: alpha/2 |w|^2 + 1/2 sum m (x w + b - y)^2 has its minimum where Ridge is."""
    x = X[:, 18:22]
    model = Regressor(solver="lbfgs", hidden_layer_sizes=(), alpha=3.0, tol=1e-9, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, NUMBERS, sample_weight=WEIGHTS)
    truth = Ridge(alpha=3.0, solver="cholesky").fit(x, NUMBERS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(model.coefs_[0][:, 0], truth.coef_, rtol=0, atol=1e-4)
    assert model.intercepts_[0][0] == pytest.approx(truth.intercept_, abs=1e-4)
    assert model.converged_
    assert model.history_.stop_reason.startswith("CONVERGENCE")


def test_several_outputs_are_minimised_by_their_own_gradient() -> None:
    """scikit-learn's value is a third of what its gradient belongs to; ours is not, only loss_."""
    given = GIVEN | {"activation": "tanh", "max_iter": 30}
    ours, other = Regressor(**given).fit(X, SEVERAL), theirs.MLPRegressor(**given).fit(X, SEVERAL)
    for model in (ours, other):
        square = sum((w**2).sum() for w in model.coefs_)
        expected = 0.5 * ((model.predict(X) - SEVERAL) ** 2).mean() + 0.5 * 1e-4 * square / len(X)
        assert model.loss_ == pytest.approx(expected, abs=1e-12)
    assert ours.loss_ < other.loss_


# ------------------------------------------------------------------------------- value and gradient


def numpys(point: Array, x: Array, y: Array, weight: Array, alpha: float) -> float:
    """sum m 1/2 (yhat - y)^2 / sum m + alpha/2 sum w^2 / sum m of a 3-4-1 network with tanh."""
    w, b, v, c = point[:12].reshape(4, 3), point[12:16], point[16:20], point[20]
    error = np.tanh(x @ w.T + b) @ v + c - y
    return float((0.5 * weight @ error**2 + 0.5 * alpha * ((w**2).sum() + (v**2).sum())) / weight.sum())


@pytest.mark.parametrize("rows", [1024, 4])
def test_value_and_gradient_are_those_of_the_formula(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one block and in blocks of which one does not count, the last has a row of its own."""
    monkeypatch.setattr(_lbfgs, "_ROWS", rows)
    rng = np.random.default_rng(3)
    x, y, weight = rng.normal(size=(13, 3)), rng.normal(size=13), rng.integers(1, 4, 13).astype(float)
    weight[4:8] = 0.0
    seen: list[tuple[Array, float, Array]] = []
    look = _lbfgs.Whole.at

    def at(self: _lbfgs.Whole, point: Array) -> tuple[float, Array]:
        value, gradient = look(self, point)
        seen.append((point.copy(), value, gradient))
        return value, gradient

    monkeypatch.setattr(_lbfgs.Whole, "at", at)
    given = {"solver": "lbfgs", "hidden_layer_sizes": (4,), "activation": "tanh", "random_state": 1}
    model = Regressor(**given, alpha=0.7, max_iter=4).fit(x, y, sample_weight=weight)
    for point, value, gradient in seen:
        assert value == pytest.approx(numpys(point, x, y, weight, 0.7), abs=1e-13)
        for i, step in enumerate(1e-5 * np.eye(21)):
            upper, lower = (numpys(point + sign * step, x, y, weight, 0.7) for sign in (1, -1))
            assert gradient[i] == pytest.approx((upper - lower) / 2e-5, abs=1e-8)
    assert len(seen) >= 5
    assert model.loss_ == pytest.approx(numpys(model.model_.flat_parameters, x, y, weight, 0.7), abs=1e-13)
    assert model.history_.history["gradient_norm"][-1] == pytest.approx(np.linalg.norm(seen[-1][2]))


def test_float32_stays_and_comes_as_far() -> None:
    x = X.astype(np.float32)
    model = Classifier(**SMOOTH, alpha=9.0).fit(x, Y)
    assert model.model_.dtype == np.float32
    assert model.converged_
    assert model.loss_ == pytest.approx(clone(model).fit(X, Y).loss_, rel=0.01)


def test_sparse_rows_and_any_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lbfgs, "_ROWS", 100)
    model = Classifier(**GIVEN, max_iter=20).fit(X, Y)
    same_weights(Classifier(**GIVEN, max_iter=20).fit(sparse.csr_matrix(X), Y), model)
    same_bits(Classifier(**GIVEN, max_iter=20, n_threads=3).fit(X, Y), model)


@pytest.mark.parametrize("settings", [
    {"loss": "hinge"}, {"loss": rg.CrossEntropy(label_smoothing=0.1)}, {"activation": ["gelu"]},
    {"class_weight": "balanced"}, {"loss": lambda p, t: rg.ops.mean((p - t) ** 2)},
], ids=str)  # fmt: skip
def test_what_is_ours_goes_with_it(settings: dict[str, Any]) -> None:
    assert Classifier(**GIVEN | {"hidden_layer_sizes": 20} | settings).fit(X, Y).score(X, Y) > 0.95


# ------------------------------------------------------------------------------- an iteration is an epoch


def test_curves_have_a_value_for_each_iteration() -> None:
    model = Classifier(**GIVEN, alpha=5.0, max_iter=12).fit(X, Y, validation_data=(X[:90], Y[:90]))
    assert model.n_iter_ == model.history_.iterations == model.history_.epochs == 12
    assert model.loss_curve_ == sorted(model.loss_curve_, reverse=True)
    assert model.loss_ == model.best_loss_ == model.loss_curve_[-1]
    assert model.t_ == 12 * len(X)
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == 12
    assert model.validation_scores_[-1] == model.score(X[:90], Y[:90])
    same_bits(model, clone(model).fit(X, Y))


def test_rules_and_callbacks_are_asked_after_each_iteration() -> None:
    steps: list[int] = []
    heard = rg.callbacks.LambdaCallback(
        on_epoch_begin=lambda trainer, logs: steps.append(trainer.epoch),
        on_iteration_end=lambda trainer, logs: steps.append(-logs["iteration"]),
    )
    model = Regressor(**GIVEN, callbacks=[heard, rg.stop.LossBelow(0.05)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, NUMBERS)
    losses = model.history_.history["loss"]
    assert losses[-1] < 0.05 <= losses[-2]
    assert model.history_.stop_reason.startswith("LossBelow")
    assert steps == [step for k in range(model.n_iter_) for step in (k, -k - 1)]
    same_bits(Regressor(**GIVEN, max_iter=model.n_iter_).fit(X, NUMBERS), model)
    with pytest.raises(rg.ArgumentError, match="ErrorBelow looks at the outputs of every sample"):
        Regressor(**GIVEN, callbacks=rg.stop.ErrorBelow(0.1)).fit(X, NUMBERS)


def test_callbacks_of_scikit_learn_are_told() -> None:
    pytest.importorskip("sklearn.callback")
    events: list[str] = []

    class Told:
        def setup(self, estimator: Any, context: Any) -> None: ...

        def teardown(self, estimator: Any, context: Any) -> None: ...

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            events.append("begin " + context.task_name)

        def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
            events.append("end " + context.task_name)
            return False

    model = Classifier(**SMOOTH, alpha=9.0).set_callbacks(Told()).fit(X, Y)
    assert model.converged_
    assert events == ["begin fit", *["begin epoch", "end epoch"] * model.n_iter_, "end fit"]


def test_unfinished_training_is_said() -> None:
    with pytest.warns(ConvergenceWarning, match="MLPClassifier: lbfgs failed to converge: all 3 iterations"):
        model = Classifier(**GIVEN, max_iter=3).fit(X, Y)
    assert model.n_iter_ == 3
    assert not model.converged_


def test_a_warm_start_goes_on() -> None:
    model = Classifier(**SMOOTH, alpha=9.0, warm_start=True, max_iter=5).fit(X, Y)
    first = model.loss_curve_[:]
    model.fit(X, Y)
    assert model.loss_curve_[:5] == first
    assert model.loss_curve_[5] < first[4]
    model.set_params(max_iter=400).fit(X, Y)
    assert model.converged_
    where = model.model_.flat_parameters.copy()
    model.fit(X, Y)  # there is nothing left to do: one row says so
    assert model.n_iter_ == 1
    assert model.converged_
    np.testing.assert_array_equal(model.model_.flat_parameters, where)


def test_other_solvers_go_on_from_there() -> None:
    model = Classifier(**GIVEN, max_iter=10).fit(X, Y)
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.set_params(solver="adam").partial_fit(X, Y)
    same_bits(model, copy)
    plain = Classifier(
        hidden_layer_sizes=(6,), random_state=0, warm_start=True, shuffle=False, max_iter=1
    ).partial_fit(X, Y, classes=range(10))
    assert model.loss_curve_[-1] < 0.5 * plain.loss_


def test_ctrl_c_keeps_the_last_iteration() -> None:
    def interrupt(self: Any, point: Array) -> Any:
        if len(model.loss_curve_) == 3:
            self._trainer.model.flat_parameters[...] = 7.0
            raise KeyboardInterrupt
        return look(self, point)

    look = _lbfgs.Whole.at
    model = Classifier(**GIVEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lbfgs.Whole, "at", interrupt)
        with pytest.warns(UserWarning, match="interrupted in epoch 4; the weights of the last"):
            model.fit(X, Y)
    same_bits(model, Classifier(**GIVEN, max_iter=3).fit(X, Y))


def test_numbers_that_become_infinite_are_said() -> None:
    with pytest.raises(
        rg.ArgumentError, match=r"Solver produced non-finite parameter weights.*infinite in row"
    ):
        Regressor(**GIVEN).fit(X * np.finfo(float).max, NUMBERS)


# ---------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"dropout": 0.2}, "does not go with dropout=0.2, which draws another network at each look; use"),
        ({"batch_norm": True}, "does not go with batch_norm=True, which predicts by running means"),
        ({"early_stopping": True}, "does not go with early_stopping=True, which is for solver='adam'"),
        ({"max_fun": 0}, "max_fun: expected at least 1, got 0"),
        ({"class_weight": dict.fromkeys(range(10), 0.0)}, "the weights of all rows are 0"),
    ],
)
def test_what_does_not_go_with_it(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(rg.ArgumentError, match=text):
        Classifier(**GIVEN | settings).fit(X, Y)


def test_no_part_of_a_fit() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as error:
        Classifier(solver="lbfgs").partial_fit(X, Y)
    assert "only available for stochastic optimizers. lbfgs is not stochastic." in str(error.value.__cause__)
    changed = clone(Classifier(**GIVEN, warm_start=True)).fit(X, Y)
    with pytest.raises(
        rg.ArgumentError, match=r"the same classes as in the previous call to fit\. Previously"
    ):
        changed.fit(X, Y % 9)
    assert hasattr(Classifier(solver="lbfgs", optimizer=rg.Adam()), "partial_fit")
