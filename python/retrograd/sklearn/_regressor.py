"""The regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if

from retrograd.errors import ArgumentError
from retrograd.sklearn._estimator import BaseMLP, with_callbacks
from retrograd.sklearn._network import Goal, numbers_goal

if TYPE_CHECKING:
    from typing import Self

    from retrograd._core import Array


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multi-layer perceptron that predicts numbers.

    The arguments of ``sklearn.neural_network.MLPRegressor`` mean the same here, and the same
    ``random_state`` draws the same weights, the same split and the same order of rows. The rest is ours, and
    is explained at :class:`retrograd.sklearn.MLPClassifier`.

    Parameters
    ----------
    loss
        ``"squared_error"``, ``"poisson"`` (predictions are exp of the network's output), or any loss of
        :mod:`retrograd.losses` by name, object or function of nodes.
    scoring
        What early stopping watches: None, R^2; ``"loss"``, the validation loss; or the name of a scorer, or a
        scorer.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, \
    max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun, optimizer, dropout, batch_norm, \
    coefs_init, intercepts_init, callbacks, n_threads
        As for the classifier.

    Attributes
    ----------
    coefs_, intercepts_, loss_, loss_curve_, best_loss_, n_iter_, t_, n_layers_, n_outputs_, \
    out_activation_, n_features_in_, feature_names_in_, validation_scores_, best_validation_score_, \
    validation_loss_curve_, converged_, model_, history_
        As for the classifier.
    """

    def __init__(
        self,
        loss: Any = "squared_error",
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
        optimizer: Any = None,
        dropout: Any = 0.0,
        batch_norm: Any = False,
        scoring: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self._take(locals())

    @available_if(lambda estimator: estimator._check_solver())
    @with_callbacks
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """One epoch over these rows, with the optimizer as the last call left it.

        With ``early_stopping`` it takes validation_data: ``converged_`` is True where ``fit`` would have
        stopped, and the best parameters are then back.

        Raises
        ------
        ArgumentError, ValueError
            As ``fit``.
        """
        self._fit(X, y, sample_weight, validation_data, incremental=True)
        return self

    # ------------------------------------------------------------------------------------ its own parts

    def _goal(self) -> Goal:
        return numbers_goal(type(self).__name__, self.loss, self._columns)

    def _targets(self, X: Any, y: Any, reset: bool, incremental: bool, classes: Any) -> tuple[Any, Array]:
        X, y = self._arrays(X, y, reset, y_numeric=True)
        columns = 1 if y.ndim == 1 else y.shape[1]
        if reset:
            self._columns = columns
        elif columns != self._columns:
            raise ArgumentError(
                f"{type(self).__name__}: y has {columns} outputs, expected {self._columns} as before"
            )
        return X, y

    def _encode(self, y: Array) -> Array:
        targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if self.out_activation_ == "exp" and (targets < 0).any():
            raise ArgumentError(
                f"{type(self).__name__}: y has {targets.min():g}, but loss='poisson' expects at least 0"
            )
        return targets

    def _answers(self, outputs: Array) -> Array:
        found = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return found[:, 0] if found.shape[1] == 1 else found

    def _metric(self, y: Array, predicted: Array, sample_weight: Any = None) -> float:
        return float(r2_score(y, predicted, sample_weight=sample_weight))


MLPRegressor.__module__ = "retrograd.sklearn"
