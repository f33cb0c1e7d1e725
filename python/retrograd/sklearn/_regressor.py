"""The regressor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d, validate_data

from retrograd.errors import ArgumentError
from retrograd.sklearn._estimator import BaseMLP, with_callbacks
from retrograd.sklearn._network import Goal, numbers_goal

if TYPE_CHECKING:
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
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.optimizer = optimizer
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.scoring = scoring
        self.coefs_init = coefs_init
        self.intercepts_init = intercepts_init
        self.callbacks = callbacks
        self.n_threads = n_threads

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> MLPRegressor:
        """Train for at most ``max_iter`` epochs.

        Parameters
        ----------
        X
            [rows, features]: an array, a frame or a sparse matrix, which is made dense batch by batch.
            float32 stays float32; everything else is float64.
        y
            [rows] or [rows, outputs] of numbers.
        sample_weight
            One weight of at least 0 for each row.
        validation_data
            ``(X, y)`` or ``(X, y, sample_weight)``, looked at after each epoch and never trained on.

        Raises
        ------
        ArgumentError, ValueError
            An argument that cannot be, or data that does not fit; numbers that would become infinite.
        """
        fitted: MLPRegressor = self._fit(X, y, sample_weight, validation_data, incremental=False)
        return fitted

    @available_if(lambda estimator: estimator._check_solver())
    @with_callbacks
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None
    ) -> MLPRegressor:
        """One epoch over these rows, with the optimizer as the last call left it.

        With ``early_stopping`` it takes validation_data: ``converged_`` is True where ``fit`` would have
        stopped, and the best parameters are then back.

        Raises
        ------
        ArgumentError, ValueError
            As ``fit``.
        """
        fitted: MLPRegressor = self._fit(X, y, sample_weight, validation_data, incremental=True)
        return fitted

    def predict(self, X: Any) -> Array:
        """The numbers of each row, [rows] or [rows, outputs]."""
        return self._answers(self._checked_outputs(X))

    # ------------------------------------------------------------------------------------ its own parts

    def _goal(self) -> Goal:
        return numbers_goal(type(self).__name__, self.loss, self._columns)

    def _targets(self, X: Any, y: Any, reset: bool, incremental: bool, classes: Any) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        y = y.toarray() if hasattr(y, "toarray") else y
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
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
