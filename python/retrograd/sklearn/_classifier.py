"""The classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from retrograd.errors import ArgumentError
from retrograd.sklearn._estimator import BaseMLP, with_callbacks
from retrograd.sklearn._network import Goal, classes_goal

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from retrograd._core import Array


def _has_probabilities(estimator: Any) -> bool:
    if getattr(estimator, "out_activation_", "") == "identity":
        raise AttributeError(f"predict_proba: the scores of loss={estimator.loss!r} are no probabilities")
    return True


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multi-layer perceptron that tells classes apart.

    The arguments of ``sklearn.neural_network.MLPClassifier`` mean the same here, and the same
    ``random_state`` draws the same weights, the same split and the same order of rows. The rest is ours.

    Parameters
    ----------
    hidden_layer_sizes, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, \
    random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, validation_fraction, beta_1, \
    beta_2, epsilon, n_iter_no_change
        As in scikit-learn.
    activation
        ``"identity"``, ``"logistic"`` or any activation of :mod:`retrograd.activations`, by name or as a
        function of a node; a list has one for each hidden layer.
    solver
        ``"adam"`` or ``"sgd"``, with scikit-learn's arithmetic, or ``"lbfgs"``, SciPy's L-BFGS-B: all rows at
        once, an iteration counts as an epoch, ends where no gradient is above ``tol``. That goes without
        dropout, batch_norm and early_stopping.
    early_stopping
        Stop where ``scoring`` has not become better by ``tol`` for ``n_iter_no_change`` epochs on the
        validation set, and go back to the best. Without ``validation_data``, validation_fraction of the rows
        are set aside.
    max_fun
        How often ``"lbfgs"`` may compute the loss.
    loss
        ``"log_loss"``, or any loss of :mod:`retrograd.losses` by name, object or function of nodes. Cross
        entropies are taken of probabilities or logits as they should be, ``Hinge`` of scores; any other loss
        compares probabilities with 0 and 1.
    optimizer
        An optimizer of :mod:`retrograd.optim` in place of ``solver`` and what belongs to it.
    dropout
        The rate after each hidden layer, or a list of rates.
    batch_norm
        Whether each hidden layer is normalised before its activation, or a list. A last batch of one row then
        joins the batch before.
    class_weight
        ``{class: weight}`` or ``"balanced"``; with ``partial_fit`` balanced over all rows so far. Does not
        enter the validation loss.
    scoring
        What early stopping watches: None, accuracy; ``"loss"``, the validation loss (its negative stands in
        ``validation_scores_``); or the name of a scorer, or a scorer.
    coefs_init, intercepts_init
        Where weights [inputs, units] and biases [units] of the layers begin.
    callbacks
        Callbacks and rules of :mod:`retrograd.stop`; scikit-learn's own kind goes into ``set_callbacks``
        (1.9).
    n_threads
        None: chosen by the work. Any number gives the same bits.

    Attributes
    ----------
    classes_, coefs_, intercepts_, loss_, loss_curve_, best_loss_, n_iter_, t_, n_layers_, n_outputs_, \
    out_activation_, n_features_in_, feature_names_in_, validation_scores_, best_validation_score_
        As in scikit-learn. coefs_ and intercepts_ are views of the network.
    validation_loss_curve_
        The loss of the validation set after each epoch, without the penalty; None without such a set.
    converged_
        Whether the last call ended because nothing became better.
    model_
        The network, an ``rg.Model``.
    history_
        What its trainer recorded, an ``rg.History``.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        optimizer: Any = None,
        dropout: Any = 0.0,
        batch_norm: Any = False,
        class_weight: Any = None,
        scoring: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self._take(locals())

    @available_if(lambda estimator: estimator._check_solver())
    @with_callbacks
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, validation_data: Any = None
    ) -> Self:
        """One epoch over these rows, with the optimizer as the last call left it.

        With ``early_stopping`` it takes validation_data: ``converged_`` is True where ``fit`` would have
        stopped, and the best parameters are then back.

        Parameters
        ----------
        X, y, sample_weight, validation_data
            As for ``fit``.
        classes
            All classes there will ever be; the first call needs it, unless y has several labels a row.

        Raises
        ------
        ArgumentError, ValueError
            As ``fit``; no classes in the first call, or others than before.
        """
        self._fit(X, y, sample_weight, validation_data, incremental=True, classes=classes)
        return self

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, [rows, classes], in the order of ``classes_``."""
        outputs = self._checked_outputs(X)
        if outputs.shape[1] == 1:
            return np.hstack([1.0 - outputs, outputs])
        if self.out_activation_ == "logistic" and not self._multilabel:  # each class against the others
            outputs = outputs / np.maximum(outputs.sum(axis=1, keepdims=True), np.finfo(outputs.dtype).tiny)
        return outputs

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> Array:
        """log of ``predict_proba``; -inf for a probability of 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    # ------------------------------------------------------------------------------------ its own parts

    classes_: Array
    _multilabel: bool
    _seen: Any  # how often each class was there, over all calls of partial_fit

    def _goal(self) -> Goal:
        return classes_goal(type(self).__name__, self.loss, len(self.classes_), self._multilabel)

    def _targets(self, X: Any, y: Any, reset: bool, incremental: bool, classes: Any) -> tuple[Any, Array]:
        X, y = self._arrays(X, y, reset)
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ArgumentError(
                f"{type(self).__name__}: y has {y.shape[1]} columns of classes, expected one, or columns of "
                "0 and 1; wrap it in sklearn.multioutput.MultiOutputClassifier"
            )
        self._learn_classes(y, kind == "multilabel-indicator", reset, incremental, classes)
        return X, y

    def _learn_classes(
        self, y: Array, multilabel: bool, reset: bool, incremental: bool, classes: Any
    ) -> None:
        """What classes there are, or that y has no others."""
        who = type(self).__name__
        if reset:
            self._multilabel, self._seen = multilabel, None
            if incremental and classes is None and not multilabel:
                raise ArgumentError(
                    f"{who}: the first partial_fit needs classes=, all classes there will ever be"
                )
            self.classes_ = unique_labels(y if classes is None or multilabel else classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ArgumentError(
                f"{who}: classes={np.asarray(classes)} is not what the first call was given: {self.classes_}"
            )
        if multilabel != self._multilabel:
            raise ArgumentError(
                f"{who}: y has {'several labels' if multilabel else 'one class'} a row, and before it was "
                "the other way"
            )
        if multilabel:
            if y.shape[1] != len(self.classes_):
                raise ArgumentError(f"{who}: y has {y.shape[1]} labels, expected {len(self.classes_)}")
            return
        found = unique_labels(y)
        if not (reset or incremental or np.array_equal(found, self.classes_)):
            raise ArgumentError(  # in the words that scikit-learn's users look for
                f"{who}: warm_start can only be used where `y` has the same classes as in the previous call "
                f"to fit. Previously got {self.classes_}, `y` has {found}"
            )
        if len(np.setdiff1d(found, self.classes_)):
            raise ArgumentError(f"{who}: y has the classes {found}, expected {self.classes_}")

    def _codes(self, y: Array) -> NDArray[np.int64]:
        return np.searchsorted(self.classes_, y)

    def _encode(self, y: Array) -> Array:
        goal = self._goal()
        if goal.targets == "labels":
            return self._codes(y)
        if self._multilabel:
            columns = y != 0
        elif goal.outputs == 1:
            columns = self._codes(y)[:, None] > 0
        else:
            columns = np.eye(goal.outputs, dtype=bool)[self._codes(y)]
        signs = goal.targets == "signs"
        return np.where(columns, 1.0, -1.0 if signs else 0.0)

    def _stratify(self, y: Array) -> Array | None:
        # with more than two classes scikit-learn's split is not stratified either
        return self._codes(y)[:, None] > 0 if len(self.classes_) <= 2 and not self._multilabel else None

    def _weigh(self, y: Array, weight: NDArray[np.float64] | None, incremental: bool) -> Any:
        if self.class_weight is None:
            return weight
        if self.class_weight == "balanced" and incremental and not self._multilabel:
            counts = np.bincount(self._codes(y), minlength=len(self.classes_))
            self._seen = counts if self._seen is None else self._seen + counts
            present = np.count_nonzero(self._seen)
            factor = (self._seen.sum() / (present * np.maximum(self._seen, 1)))[self._codes(y)]
        else:
            factor = compute_sample_weight(self.class_weight, y)
        return factor if weight is None else weight * factor

    def _answers(self, outputs: Array) -> Array:
        threshold = 0.0 if self.out_activation_ == "identity" else 0.5
        if self._multilabel:
            return (outputs > threshold).astype(int)
        if outputs.shape[1] > 1:
            codes = outputs.argmax(axis=1)
        else:
            codes = (outputs[:, 0] > threshold).astype(np.int64)
        found: Array = self.classes_[
            np.minimum(codes, len(self.classes_) - 1)
        ]  # there may be one class alone
        return found

    def _metric(self, y: Array, predicted: Array, sample_weight: Any = None) -> float:
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


MLPClassifier.__module__ = "retrograd.sklearn"
