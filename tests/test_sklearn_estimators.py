"""What rg.sklearn has besides scikit-learn's multi-layer perceptron, and how it is at home there."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg

pytest.importorskip("sklearn", minversion="1.6")

import joblib
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
    run,
    same_bits,
    same_weights,
)
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import compute_sample_weight

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# ------------------------------------------------------------------------ what theirs does not take


def test_an_activation_for_each_layer() -> None:
    def squared(z: rg.Node) -> rg.Node:
        return z * z

    model = Regressor(
        "squared_error", (4, 3, 2), ["logistic", "leaky_relu", squared], max_iter=3, random_state=0
    )
    model.fit(X, NUMBERS)
    a = X
    functions = [
        lambda z: 1.0 / (1.0 + np.exp(-z)),
        lambda z: np.where(z > 0, z, 0.01 * z),
        np.square,
        lambda z: z,
    ]
    for weight, bias, function in zip(model.coefs_, model.intercepts_, functions, strict=True):
        a = function(a @ weight + bias)
    np.testing.assert_allclose(model.predict(X), a[:, 0], rtol=1e-12, atol=1e-12)


def test_first_weights_of_our_activations_are_ours() -> None:
    """He's for gelu (variance 2 / inputs, biases 0), scikit-learn's for tanh."""
    model = Regressor(
        "mse", (400, 300), ["gelu", "tanh"], learning_rate_init=1e-12, max_iter=1, random_state=5
    )
    model.fit(X, NUMBERS)
    assert model.coefs_[0].std() == pytest.approx(np.sqrt(2 / 64), rel=0.05)
    assert np.abs(model.intercepts_[0]).max() < 1e-9
    bound = np.sqrt(6 / 700)
    assert 0.99 * bound < np.abs(model.coefs_[1]).max() <= bound + 1e-9
    again = clone(model).fit(X, NUMBERS)
    same_bits(model, again)
    other = clone(model).set_params(random_state=6).fit(X, NUMBERS)
    assert not np.array_equal(other.coefs_[0], model.coefs_[0])


def test_dropout_is_of_training_alone() -> None:
    given = {"hidden_layer_sizes": (30, 20), "max_iter": 5, "random_state": 0}
    plain, dropped = Classifier(**given).fit(X, Y), Classifier(**given, dropout=[0.5, 0.0]).fit(X, Y)
    assert [layer.kind for layer in dropped.model_.layers] == ["dense", "dropout", "dense", "dense"]
    assert not np.allclose(plain.coefs_[0], dropped.coefs_[0])
    np.testing.assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))
    same_bits(dropped, clone(dropped).fit(X, Y))


def test_batch_norm_and_a_last_batch_of_one_row() -> None:
    model = Classifier((20,), batch_norm=True, batch_size=100, max_iter=30, learning_rate_init=0.02)
    model.fit(X[:301], Y[:301])
    assert [layer.kind for layer in model.model_.layers] == ["dense", "batch_norm", "activation", "dense"]
    assert model.score(X[:301], Y[:301]) > 0.95
    assert model.history_.iterations == 3 * model.n_iter_
    assert not np.allclose(model.model_["batch_norm_0"].running_mean, 0.0)


@pytest.mark.parametrize(
    "loss",
    [
        "log_loss", "cross_entropy", "binary_cross_entropy", "hinge", "mse", "mae", "half_squared_error",
        "huber", "kl_divergence", "cosine_similarity", rg.CrossEntropy(label_smoothing=0.1),
        lambda p, t: rg.ops.mean((p - t) ** 2),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("y", [Y, BINARY], ids=["ten", "two"])
def test_classifier_learns_by_any_loss(loss: Any, y: Array) -> None:
    if loss == "cosine_similarity" and y is BINARY:
        pytest.skip("the cosine of two numbers says nothing")
    model = Classifier((40,), loss=loss, learning_rate_init=0.01, max_iter=60, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.93
    assert set(model.predict(X)) <= set(y)
    if loss == "hinge":
        assert not hasattr(model, "predict_proba")
    else:
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge", "mse"])
def test_several_labels_by_any_loss(loss: str) -> None:
    model = Classifier((40,), loss=loss, learning_rate_init=0.01, max_iter=60, random_state=0).fit(X, LABELS)
    assert model.score(X, LABELS) > 0.9
    assert model.predict(X).shape == LABELS.shape


@pytest.mark.parametrize(
    "loss",
    ["mse", "mae", rg.Huber(0.5), "poisson", rg.Poisson(), lambda p, t: rg.ops.mean((p - t) ** 4)],
    ids=str,
)
@pytest.mark.parametrize("y", [np.abs(NUMBERS), np.abs(SEVERAL)], ids=["one", "three"])
def test_regressor_learns_by_any_loss(loss: Any, y: Array) -> None:
    model = Regressor(loss, (40,), learning_rate_init=0.01, max_iter=100, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.45
    assert model.predict(X).shape == y.shape


def test_any_optimizer_is_the_trainers_own() -> None:
    """Without a penalty and in the order of the rows, fit is what rg.Trainer does, bit for bit."""
    optimizer = rg.RMSprop(rg.schedules.Cosine(0.01, 20), momentum=0.9)
    model = Regressor(
        "mse", (6,), "tanh", alpha=0.0, shuffle=False, max_iter=5, optimizer=optimizer, random_state=0
    )
    model.fit(X, NUMBERS)
    first = clone(model).set_params(optimizer=rg.SGD(0.0), max_iter=1).fit(X, NUMBERS)
    net = first.model_
    rg.Trainer(net, "mse", optimizer).fit(X, NUMBERS, epochs=5, batch_size=200, shuffle=False)
    assert net.flat_parameters.tobytes() == model.model_.flat_parameters.tobytes()


@pytest.mark.parametrize("given", ["balanced", dict.fromkeys(range(10), 1.0) | {3: 5.0}])
def test_class_weights_are_sample_weights(given: Any) -> None:
    settings = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
    weight = compute_sample_weight(given, Y)
    same_bits(
        Classifier(**settings, class_weight=given).fit(X, Y, sample_weight=WEIGHTS),
        Classifier(**settings).fit(X, Y, sample_weight=WEIGHTS * weight),
    )


def test_balanced_in_partial_fit_counts_all_rows_so_far() -> None:
    settings = {"hidden_layer_sizes": (8,), "random_state": 0}
    ours, other = Classifier(**settings, class_weight="balanced"), Classifier(**settings)
    for rows in (slice(0, 100), slice(100, 150)):
        counts = np.bincount(Y[: rows.stop], minlength=10)
        weight = (rows.stop / (10 * counts))[Y[rows]]
        ours.partial_fit(X[rows], Y[rows], classes=range(10))
        other.partial_fit(X[rows], Y[rows], classes=range(10), sample_weight=weight)
    same_weights(ours, other)


def test_a_validation_set_is_only_looked_at() -> None:
    x, xv, y, yv = train_test_split(X, Y, random_state=0)
    settings = {"hidden_layer_sizes": (12,), "max_iter": 6, "random_state": 0}
    plain, seen = Classifier(**settings).fit(x, y), Classifier(**settings).fit(x, y, validation_data=(xv, yv))
    same_bits(plain, seen)
    assert plain.validation_loss_curve_ is None
    assert len(seen.validation_loss_curve_) == len(seen.validation_scores_) == 6
    assert seen.validation_loss_curve_[-1] == pytest.approx(log_loss(yv, seen.predict_proba(xv)), abs=1e-12)
    assert seen.validation_scores_[-1] == seen.score(xv, yv)
    assert seen.best_validation_score_ == max(seen.validation_scores_)
    weight = np.arange(len(yv)) % 3
    seen.fit(x, y, validation_data=(xv, yv, weight))
    expected = log_loss(yv, seen.predict_proba(xv), sample_weight=weight)
    assert seen.validation_loss_curve_[-1] == pytest.approx(expected, abs=1e-12)


def test_regressors_validation_loss_is_half_the_squared_error() -> None:
    model = Regressor(hidden_layer_sizes=(5,), alpha=10.0, max_iter=3, random_state=0)
    model.fit(X[:200], SEVERAL[:200], validation_data=(X[200:], SEVERAL[200:]))
    expected = 0.5 * mean_squared_error(SEVERAL[200:], model.predict(X[200:]))
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, abs=1e-12)


def test_early_stopping_on_the_validation_loss_goes_back_to_the_best() -> None:
    x, xv, y, yv = train_test_split(X, Y, test_size=0.5, random_state=0)
    model = Classifier(
        (60,), learning_rate_init=0.02, early_stopping=True, scoring="loss", tol=0.0, n_iter_no_change=5,
        random_state=0,
    ).fit(x, y, validation_data=(xv, yv))  # fmt: skip
    best = int(np.argmin(model.validation_loss_curve_))
    assert model.converged_
    assert best == model.n_iter_ - 1 - 6
    assert log_loss(yv, model.predict_proba(xv)) == pytest.approx(
        min(model.validation_loss_curve_), abs=1e-12
    )
    assert model.best_validation_score_ == -min(model.validation_loss_curve_)


def test_early_stopping_by_a_scorer() -> None:
    model = Classifier((9,), early_stopping=True, scoring="roc_auc", max_iter=8, random_state=0)
    model.fit(X, BINARY, validation_data=(X[:100], BINARY[:100]))
    assert model.best_validation_score_ == pytest.approx(
        roc_auc_score(BINARY[:100], model.predict_proba(X[:100])[:, 1]), abs=1e-12
    )
    assert len(model.validation_scores_) == model.n_iter_
    pandas = pytest.importorskip("pandas")
    model.fit(pandas.DataFrame(X).add_prefix("pixel"), BINARY)
    assert len(model.feature_names_in_) == 64


def test_a_loop_of_partial_fit_is_a_fit_with_early_stopping() -> None:
    x, xv, y, yv = train_test_split(X, Y, test_size=0.5, random_state=0)
    model = Classifier(
        (30,), learning_rate_init=0.02, early_stopping=True, scoring="loss", tol=0.0, n_iter_no_change=3,
        dropout=0.2, shuffle=False, random_state=0,
    )  # fmt: skip
    whole, step = clone(model).fit(x, y, validation_data=(xv, yv)), clone(model)
    while not getattr(step, "converged_", False):
        step.partial_fit(x, y, classes=range(10), validation_data=(xv, yv))
        step = pickle.loads(pickle.dumps(step))
    assert step.validation_loss_curve_ == whole.validation_loss_curve_
    same_bits(step, whole)
    with pytest.raises(rg.ArgumentError, match="partial_fit does not support early_stopping=True without"):
        step.partial_fit(x, y)


def test_first_weights_of_ones_own() -> None:
    rng = np.random.default_rng(0)
    coefs = [rng.normal(size=(64, 5)), rng.normal(size=(5, 10))]
    intercepts = [rng.normal(size=5), rng.normal(size=10)]
    still = {"hidden_layer_sizes": (5,), "max_iter": 1, "optimizer": rg.SGD(0.0), "alpha": 0.0}
    model = Classifier(**still, coefs_init=coefs, intercepts_init=intercepts).fit(X, Y)
    for mine, given in zip(model.coefs_ + model.intercepts_, coefs + intercepts, strict=True):
        np.testing.assert_array_equal(mine, given)
    before = Classifier(**still)
    before.coefs_, before.intercepts_ = coefs, intercepts
    same_bits(before.fit(X, Y), model)
    wrong = Classifier(**still, coefs_init=coefs[:1] + coefs[:1])
    with pytest.raises(rg.ShapeError, match=r"coefs_init\[1\] has shape \(64, 5\), expected \(5, 10\)"):
        wrong.fit(X, Y)


def test_weights_are_views_of_the_network() -> None:
    model = Regressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0).fit(X, NUMBERS)
    model.coefs_[1] = np.zeros((3, 1))
    model.intercepts_ = [np.zeros(3), np.array([7.0])]
    np.testing.assert_array_equal(model.predict(X), np.full(len(X), 7.0))
    np.testing.assert_array_equal(model.model_["dense_1"].weight, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="broadcast"):
        model.coefs_[0] = np.zeros((3, 2))


def test_float32_stays() -> None:
    x = X.astype(np.float32)
    for model, y in ((Classifier(max_iter=3), Y), (Regressor(max_iter=3), NUMBERS)):
        model.fit(x, y)
        assert {array.dtype for array in model.coefs_ + model.intercepts_} == {np.dtype(np.float32)}
        assert model.model_.dtype == np.float32
        assert model.fit(X, y).model_.dtype == np.float64
    assert Regressor(max_iter=3).fit(x, NUMBERS).predict(x).dtype == np.float32
    assert Classifier(max_iter=3).fit(x, Y).predict_proba(x).dtype == np.float32


# ------------------------------------------------------------------------------- at home in scikit-learn


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_sparse_rows_are_dense_rows(kind: Any) -> None:
    model = Classifier((7,), max_iter=4, random_state=0, early_stopping=True)
    dense = clone(model).fit(X, Y)
    thin = clone(model).fit(kind(X), Y)
    same_weights(thin, dense, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(thin.predict_proba(kind(X)), thin.predict_proba(X))


def test_copies_go_on_bit_for_bit(tmp_path: Path) -> None:
    model = Classifier((7,), solver="sgd", learning_rate="adaptive", dropout=0.1, max_iter=5, random_state=0)
    model.fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(tmp_path / "model.joblib")]
    proba = model.predict_proba(X)
    for _ in range(3):
        model.partial_fit(X, Y)
    for other in copies:
        np.testing.assert_array_equal(other.predict_proba(X), proba)
        for _ in range(3):
            other.partial_fit(X, Y)
        same_bits(other, model)
        assert other.history_.epochs == model.history_.epochs == 8


def test_grid_search_in_two_processes() -> None:
    pipeline = make_pipeline(StandardScaler(), Classifier((10,), max_iter=15, random_state=0))
    grid = {
        "mlpclassifier__optimizer": [rg.SGD(1e-6), rg.AdamW(0.02)],
        "mlpclassifier__activation": [["gelu"]],
        "mlpclassifier__loss": [rg.CrossEntropy(0.05)],
    }
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, Y)
    assert search.best_params_["mlpclassifier__optimizer"] == rg.AdamW(0.02)
    assert search.best_score_ > 0.7
    assert isinstance(search.best_estimator_[-1].model_, rg.Model)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    fits = [Classifier(max_iter=3, random_state=0, n_threads=n).fit(X, Y) for n in (1, 2, 3)]
    same_bits(fits[0], fits[1])
    same_bits(fits[0], fits[2])


class Told:
    """A callback of scikit-learn's kind."""

    def __init__(self, last: int = 10**9) -> None:
        self.events: list[tuple[str, str]] = []
        self.scores: list[float] = []
        self.last = last

    def setup(self, estimator: Any, context: Any) -> None:
        self.events.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any = None, y: Any = None, fitted_estimator: Any = None
    ) -> bool:
        self.events.append(("end", context.task_name))
        self.scores.append(fitted_estimator.score(X, y))
        return estimator.n_iter_ == self.last

    def teardown(self, estimator: Any, context: Any) -> None:
        self.events.append(("teardown", context.task_name))


def test_callbacks_of_scikit_learn() -> None:
    callback = pytest.importorskip("sklearn.callback")
    told = Told(last=3)
    model = Classifier((9,), max_iter=5, random_state=0).set_callbacks(told).fit(X, Y)
    assert model.n_iter_ == 3
    epochs = [("begin", "epoch"), ("end", "epoch")] * 3
    assert told.events == [("setup", "fit"), ("begin", "fit"), *epochs, ("end", "fit"), ("teardown", "fit")]
    assert told.scores[-1] == told.scores[-2] == model.score(X, Y)
    assert told.scores[0] == Classifier((9,), max_iter=1, random_state=0).fit(X, Y).score(X, Y)
    assert hasattr(callback, "ScoringMonitor")


def test_callbacks_of_ours(tmp_path: Path) -> None:
    log = rg.callbacks.CSVLogger(tmp_path / "log.csv")
    model = Regressor(hidden_layer_sizes=(9,), callbacks=[log, rg.stop.LossBelow(0.05)], random_state=0)
    model.fit(X, NUMBERS, validation_data=(X, NUMBERS))
    assert model.history_.stop_reason.startswith("LossBelow")
    assert model.history_.history["loss"][-1] < 0.05 <= model.history_.history["loss"][-2]
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,loss,val_loss")
    assert len(lines) == 1 + model.n_iter_
    with pytest.raises(rg.ArgumentError, match="ErrorBelow looks at the outputs of every sample"):
        Regressor(callbacks=rg.stop.ErrorBelow(0.1)).fit(X, NUMBERS)


def test_divergence_is_said() -> None:
    model = Regressor(
        solver="sgd", activation="identity", learning_rate_init=50.0, max_iter=50, random_state=0
    )
    with pytest.raises(
        rg.ArgumentError, match=r"Solver produced non-finite parameter weights.*is infinite in row"
    ):
        model.fit(X, NUMBERS)
    with pytest.warns(ConvergenceWarning, match="training diverged in epoch"):
        model.set_params(early_stopping=True).fit(X, NUMBERS)
    assert np.isnan(model.validation_scores_[-1])
    assert np.isfinite(model.predict(X)).all()


def test_ctrl_c_keeps_what_was_learned() -> None:
    def interrupt(trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        if trainer.epoch == 3:
            raise KeyboardInterrupt

    model = Classifier((4,), callbacks=rg.callbacks.LambdaCallback(on_epoch_end=interrupt), random_state=0)
    with pytest.warns(UserWarning, match="interrupted in epoch 4; the weights of the last"):
        model.fit(X, Y)
    assert len(model.loss_curve_) == model.n_iter_ == 3
    same_bits(model, Classifier((4,), max_iter=3, random_state=0).fit(X, Y))


def test_it_prints_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Classifier((3,), max_iter=2, random_state=0).fit(X, Y)
    assert capsys.readouterr() == ("", "")
    model = Classifier((3,), max_iter=2, random_state=0, verbose=True).fit(X, Y)
    assert capsys.readouterr().out.splitlines()[1] == f"Iteration 2, loss = {model.loss_:.8f}"
    model.set_params(solver="sgd", learning_rate="adaptive", tol=9.0, n_iter_no_change=1, max_iter=4).fit(
        X, Y
    )
    last = capsys.readouterr().out.splitlines()[-2]
    assert last == "the loss has not become better by tol=9 for 2 epochs: the learning rate is now 0.0002"


def test_unfinished_training_is_said() -> None:
    with pytest.warns(ConvergenceWarning, match=r"MLPClassifier: all 2 epochs \(max_iter\) are done"):
        Classifier((3,), max_iter=2).fit(X, Y)
    with pytest.warns(UserWarning, match="batch_size=500 is more than the 305 rows"):
        Classifier((3,), max_iter=2, batch_size=500).fit(X, Y)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"activation": "rleu"}, "MLPClassifier: activation: unknown name 'rleu'; did you mean 'relu'"),
        ({"activation": ["relu", "tanh"]}, "activation has 2 entries but there are 1 hidden layers"),
        ({"hidden_layer_sizes": (10, 0)}, "hidden_layer_sizes: expected at least 1, got 0"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes: expected a whole number, got 2.5"),
        ({"dropout": 1.0}, "dropout: expected less than 1.0, got 1"),
        ({"solver": "adm"}, "solver: unknown name 'adm'; did you mean 'adam'"),
        ({"alpha": -1.0}, "alpha: expected at least 0, got -1"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"max_iter": 0}, "max_iter: expected at least 1, got 0"),
        ({"early_stopping": "loss"}, "early_stopping: expected True or False, got 'loss'"),
        ({"loss": "mes"}, "MLPClassifier: loss: unknown name 'mes'; did you mean 'mse'"),
        ({"optimizer": "adem"}, "optimizer: unknown name 'adem'; did you mean 'adam'"),
        ({"n_threads": 0}, "n_threads: expected at least 1, got 0"),
        ({"coefs_init": [np.ones((64, 10))]}, "coefs_init has 1 arrays, expected 2, one for each layer"),
    ],
)
def test_wrong_arguments_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises((rg.ArgumentError, rg.ShapeError), match=text):
        Classifier(**settings).fit(X, Y)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Classifier().fit(X, Y, validation_data=X), r"must be \(X, y\) or .*, got ndarray"),
        (lambda: Classifier().fit(X, Y, validation_data=(X, Y + 1)), r"y has the classes .*10.*, expected"),
        (lambda: Classifier().fit(X, np.c_[Y, Y]), "y has 2 columns of classes, expected one"),
        (lambda: Classifier(loss="cross_entropy").fit(X, LABELS), "is for one class a row"),
        (lambda: Classifier().fit(X, Y, sample_weight=np.zeros(len(Y))), "every weight is zero"),
        (lambda: Classifier().partial_fit(X, Y), "the first partial_fit needs classes="),
        (lambda: Regressor("poisson").fit(X, -NUMBERS), "but loss='poisson' expects at least 0"),
    ],
)  # fmt: skip
def test_wrong_data_are_named(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(rg.ArgumentError, match=text):
        call()


def test_partial_fit_refuses_other_targets() -> None:
    model = Regressor(max_iter=1).partial_fit(X, SEVERAL)
    with pytest.raises(rg.ArgumentError, match="y has 1 outputs, expected 3 as before"):
        model.partial_fit(X, NUMBERS)
    assert not hasattr(Regressor(solver="lbfgs"), "partial_fit")


# --------------------------------------------------------------------------------------- the module


WITHOUT = """
import sys
sys.modules["sklearn"] = None
import retrograd as rg
from retrograd import sklearn
assert sklearn is rg.sklearn
try:
    rg.sklearn.MLPClassifier
except rg.ArgumentError as error:
    print(error)
"""


def test_without_scikit_learn(tmp_path: Path) -> None:
    said = run(WITHOUT, tmp_path)
    assert said.startswith(
        'rg.sklearn.MLPClassifier needs scikit-learn 1.6 or newer; pip install "retrograd[sklearn]"'
    )
    assert run("import retrograd, sys; print('sklearn' in sys.modules)", tmp_path).strip() == "False"
    with pytest.raises(AttributeError, match=r"module 'retrograd\.sklearn' has no attribute 'MLP'"):
        rg.sklearn.MLP  # noqa: B018


def test_names_stand_in_the_module() -> None:
    assert Classifier.__module__ == Regressor.__module__ == "retrograd.sklearn"
    assert {"MLPClassifier", "MLPRegressor"} <= set(dir(rg.sklearn))
    buffer = io.BytesIO()
    pickle.dump(Classifier(), buffer)
    assert b"retrograd.sklearn" in buffer.getvalue()
    assert b"_classifier" not in buffer.getvalue()
