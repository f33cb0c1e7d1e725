"""What the classifier and the regressor have in common."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from retrograd._arguments import flag, integer, real, unknown
from retrograd.data import sample_weights
from retrograd.errors import ArgumentError, NonFiniteError
from retrograd.sklearn._batches import EstimatorTrainer, dense
from retrograd.sklearn._course import Best, Course, Held
from retrograd.sklearn._lbfgs import DescentTrainer
from retrograd.sklearn._memory import Memory
from retrograd.sklearn._network import Hidden, Weights, coefs, intercepts, write
from retrograd.sklearn._solver import solver_of

try:  # scikit-learn 1.9
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """scikit-learn before 1.9 has no callbacks of its own."""

    def with_callbacks(method: Any) -> Any:
        return method


if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from retrograd._core import Array
    from retrograd.model import Model
    from retrograd.sklearn._network import Goal

_SPARSE_ROWS = 4096  # that are dense at a time in a prediction


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """The common parts: arguments, network, training, outputs."""

    model_: Model
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: Any
    validation_scores_: Any
    validation_loss_curve_: Any
    best_validation_score_: Any
    converged_: bool

    # What the two differ in.

    def _goal(self) -> Goal:
        raise NotImplementedError

    def _targets(self, X: Any, y: Any, reset: bool, incremental: bool, classes: Any) -> tuple[Any, Array]:
        """X and y as they are after scikit-learn's checks; learns the classes."""
        raise NotImplementedError

    def _encode(self, y: Array) -> Array:
        """What the loss compares with."""
        raise NotImplementedError

    def _answers(self, outputs: Array) -> Array:
        """What ``predict`` says of the network's outputs."""
        raise NotImplementedError

    def _metric(self, y: Array, predicted: Array, sample_weight: Any = None) -> float:
        raise NotImplementedError

    def _weigh(self, y: Array, weight: NDArray[np.float64] | None, incremental: bool) -> Any:
        """Sample weights times the weights of classes."""
        return weight

    def _stratify(self, y: Array) -> Array | None:
        return None

    # ------------------------------------------------------------------------------------ the face

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """Train for at most ``max_iter`` epochs.

        Parameters
        ----------
        X
            [rows, features]: an array, a frame or a sparse matrix, which is made dense batch by batch.
            float32 stays float32; everything else is float64.
        y
            A classifier's [rows] of labels, or [rows, labels] of 0 and 1; a regressor's [rows] or
            [rows, outputs] of numbers.
        sample_weight
            One weight of at least 0 for each row.
        validation_data
            ``(X, y)`` or ``(X, y, sample_weight)``, looked at after each epoch and never trained on.

        Raises
        ------
        ArgumentError, ValueError
            An argument that cannot be, or data that does not fit; numbers that would become infinite.
        """
        self._fit(X, y, sample_weight, validation_data, incremental=False)
        return self

    def predict(self, X: Any) -> Array:
        """A classifier's class of each row, or its labels; a regressor's numbers: shaped as y in ``fit``."""
        return self._answers(self._checked_outputs(X))

    # ------------------------------------------------------------------------------------ arguments

    def _take(self, given: dict[str, Any]) -> None:
        """The locals of ``__init__``, each as an attribute."""
        self.__dict__.update((name, value) for name, value in given.items() if name != "self")

    def _arrays(self, X: Any, y: Any, reset: bool, **kind: bool) -> tuple[Any, Array]:
        """X and y, a single column as a row, after the checks that both kinds of estimator need."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
            **kind,
        )
        y = y.toarray() if hasattr(y, "toarray") else y
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _check(self) -> Hidden:
        """All arguments but the loss.

        Raises
        ------
        ArgumentError
            One that cannot be.
        """
        who = type(self).__name__
        choices = {
            "solver": ("sgd", "adam", "lbfgs"),
            "learning_rate": ("constant", "invscaling", "adaptive"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise unknown(f"{who}: {name}", getattr(self, name), known)
        if self.batch_size != "auto":
            integer(f"{who}: batch_size", self.batch_size)
        for name in ("max_iter", "max_fun"):
            integer(f"{who}: {name}", getattr(self, name))
        if self.n_iter_no_change != np.inf:
            integer(f"{who}: n_iter_no_change", self.n_iter_no_change)
        for name in ("alpha", "tol", "power_t"):
            real(f"{who}: {name}", getattr(self, name), 0.0)
        for name in ("learning_rate_init", "epsilon"):
            real(f"{who}: {name}", getattr(self, name), above=0.0)
        for name in ("beta_1", "beta_2", "validation_fraction"):
            real(f"{who}: {name}", getattr(self, name), 0.0, below=1.0)
        real(f"{who}: momentum", self.momentum, 0.0, 1.0)
        for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping"):
            flag(f"{who}: {name}", getattr(self, name))
        if self.n_threads is not None:
            integer(f"{who}: n_threads", self.n_threads)
        hidden = Hidden(who, self.hidden_layer_sizes, self.activation, self.dropout, self.batch_norm)
        if self._whole:
            self._check_whole(hidden)
        return hidden

    @property
    def _whole(self) -> bool:
        """Whether all rows are taken at once."""
        return bool(self.solver == "lbfgs" and self.optimizer is None)

    def _check_whole(self, hidden: Hidden) -> None:
        """lbfgs compares values of one function, which must be the one that predicts."""
        reasons = {
            "dropout": (any(hidden.dropout), "draws another network at each look"),
            "batch_norm": (any(hidden.batch_norm), "predicts by running means, which it would not minimise"),
            "early_stopping": (self.early_stopping, "is for solver='adam', 'sgd' and optimizer="),
        }
        for name, (asked, reason) in reasons.items():
            if asked:
                raise ArgumentError(
                    f"{type(self).__name__}: solver='lbfgs' does not go with {name}={getattr(self, name)!r}, "
                    f"which {reason}; use solver='adam', or leave {name} out"
                )

    def _check_solver(self) -> bool:
        if self._whole:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    # ------------------------------------------------------------------------------------ the network

    @property
    def coefs_(self) -> Any:
        """Each layer's weights, [inputs, units], as writable views; set before ``fit``, where to begin."""
        return self._views("coefs")

    @coefs_.setter
    def coefs_(self, value: Any) -> None:
        self._write("coefs", value)

    @property
    def intercepts_(self) -> Any:
        """Each layer's biases, [units], as writable views; set before ``fit``, where to begin."""
        return self._views("intercepts")

    @intercepts_.setter
    def intercepts_(self, value: Any) -> None:
        self._write("intercepts", value)

    def _views(self, which: str) -> Any:
        if "model_" in self.__dict__:
            return (coefs if which == "coefs" else intercepts)(self.model_, self.n_layers_ - 1)
        given = self.__dict__.get("_given", {})
        if which not in given:
            raise AttributeError(f"{type(self).__name__}: there are no {which}_ before fit")
        return given[which]

    def _write(self, which: str, value: Any) -> None:
        if "model_" in self.__dict__:
            views: Weights = self._views(which)
            write(type(self).__name__, f"{which}_", value, views)
        else:
            self.__dict__.setdefault("_given", {})[which] = value

    def _begin(self, hidden: Hidden, goal: Goal, dtype: Any, random: np.random.RandomState) -> None:
        """The network, and all that is counted from 0."""
        who = type(self).__name__
        self._seed = int(random.randint(2**31 - 1)) if hidden.random else 0
        model = hidden.build(self.n_features_in_, goal.outputs, goal.output, dtype, self._seed)
        hidden.draw(model, random)
        layers = len(hidden.sizes) + 1
        given = self.__dict__.pop("_given", {})
        for which, first, views in (
            ("coefs", self.coefs_init, coefs(model, layers)),
            ("intercepts", self.intercepts_init, intercepts(model, layers)),
        ):
            if given.get(which) is not None:
                write(who, f"{which}_", given[which], views)
            if first is not None:
                write(who, f"{which}_init", first, views)
        self.model_ = model
        self.n_layers_ = layers + 1
        self.n_outputs_ = goal.outputs
        self.out_activation_ = goal.shown
        self._hidden_sizes = list(hidden.sizes)
        self.t_ = self.n_iter_ = 0
        self.loss_curve_ = []
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_ = self.validation_loss_curve_ = self.best_validation_score_ = None
        self._no_improvement_count = 0
        self._best: Best | None = Best(model) if self.early_stopping else None
        self._trainer: EstimatorTrainer | None = None
        self._memory: Memory | None = None

    # ------------------------------------------------------------------------------------ training

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool, classes: Any = None
    ) -> None:
        who = type(self).__name__
        hidden = self._check()
        metadata = {"sample_weight": sample_weight} if sample_weight is not None else {}
        given = {"X": X, "y": y, "metadata": metadata}
        fresh = not hasattr(self, "model_") or not (self.warm_start or incremental)
        X, y = self._targets(X, y, fresh, incremental, classes)
        weight = self._weights(sample_weight, len(y))
        random = check_random_state(self.random_state)
        goal = self._goal()
        if fresh:
            self._begin(hidden, goal, X.dtype, random)
        elif hidden.sizes != self._hidden_sizes:
            raise ArgumentError(
                f"{who}: the network has hidden layers of {self._hidden_sizes}, and hidden_layer_sizes is "
                f"now {hidden.sizes}; keep it, or fit anew with warm_start=False"
            )
        if self.early_stopping and self._best is None:
            self._best = Best(self.model_)
        if not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = np.inf
        X, y, weight, held = self._set_aside(X, y, weight, validation_data, random, incremental)
        targets = self._encode(y)
        constant, constant_held = goal.constant(targets), 0.0 if held is None else goal.constant(held.targets)
        weight = self._weigh(y, weight, incremental)
        rows = self._batch_rows(len(y))
        trainer = self._trainer_for(goal, rows, incremental)
        context = self._context()
        if context is not None:
            context.call_on_fit_task_begin(estimator=self, **given)
        course = Course(self, goal, trainer.solver, constant, constant_held, len(y), held, context, given)
        trainer.order_by(random if self.shuffle else None)
        if not incremental:
            self.n_iter_ = 0
        self.converged_ = False
        self._train(trainer, course, (X, targets, weight), rows, held, incremental)
        if context is not None:
            context.call_on_fit_task_end(estimator=self, **given, reconstruction_attributes=self._as_fitted)

    def _weights(self, given: Any, rows: int, name: str = "sample_weight") -> NDArray[np.float64] | None:
        if given is not None and not np.asarray(given).any():
            raise ArgumentError(
                f"{type(self).__name__}: {name}: every weight is zero, so no row counts; leave the weights "
                "out or give some rows a weight above 0"
            )
        return sample_weights(given, rows, name)

    def _batch_rows(self, n: int) -> int:
        """The batch size."""
        if self._whole:
            return n
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                f"{type(self).__name__}: batch_size={self.batch_size} is more than the {n} rows to train on; "
                "all of them are one batch",
                stacklevel=5,
            )
        return int(min(self.batch_size, n))

    def _set_aside(
        self, X: Any, y: Array, weight: Any, validation_data: Any, random: Any, incremental: bool
    ) -> tuple[Any, Array, Any, Held | None]:
        """What is trained on, and what is looked at after each epoch."""
        held: Held | None = None
        if validation_data is not None:
            held = self._given_validation(validation_data)
        elif self.early_stopping and incremental:
            raise ArgumentError(
                "partial_fit does not support early_stopping=True without validation_data: a set that is "
                "drawn anew from each call's rows says nothing; pass validation_data=(X_valid, y_valid)"
            )
        elif self.early_stopping:
            rows, aside = train_test_split(
                np.arange(len(y)),
                random_state=random,
                test_size=self.validation_fraction,
                stratify=self._stratify(y),
            )
            if len(aside) < 2:
                raise ArgumentError(
                    f"{type(self).__name__}: The validation set is too small: {self.validation_fraction:g} "
                    f"of {len(y)} rows is {len(aside)}, expected at least 2; increase validation_fraction or "
                    "pass validation_data=(X_valid, y_valid)"
                )
            held = Held(
                dense(X[aside]), self._encode(y[aside]), y[aside], None if weight is None else weight[aside]
            )
            X, y, weight = X[rows], y[rows], None if weight is None else weight[rows]
        if held is not None and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
            self.best_validation_score_ = -np.inf
        return X, y, weight, held

    def _given_validation(self, validation_data: Any) -> Held:
        if not isinstance(validation_data, list | tuple) or len(validation_data) not in (2, 3):
            raise ArgumentError(
                f"{type(self).__name__}: validation_data must be (X, y) or (X, y, sample_weight), got "
                f"{type(validation_data).__name__}"
                + (f" of {len(validation_data)}" if isinstance(validation_data, list | tuple) else "")
            )
        X, y, weight = (*validation_data, None)[:3]
        X, y = self._targets(X, y, False, True, None)
        weights = self._weights(weight, len(y), "validation sample_weight")
        return Held(dense(X), self._encode(y), y, weights)

    def _trainer_for(self, goal: Goal, batch_size: int, incremental: bool) -> EstimatorTrainer:
        """The trainer that goes on, or a new one, kept for ``partial_fit`` unless that cannot be."""
        trainer, memory = self._trainer, self._memory
        if trainer is None or not incremental:
            made = DescentTrainer if self._whole else EstimatorTrainer
            trainer = made(
                self.model_,
                goal,
                solver_of(self),
                float(self.alpha),
                batch_size,
                self.n_layers_ - 1,
                self.n_threads,
                self._seed,
            )
            if incremental and memory is not None:
                memory.restore(trainer)
        trainer.alpha = float(self.alpha)
        self._trainer, self._memory = None if self._whole else trainer, None
        self._optimizer = trainer.solver
        self.history_ = trainer.history
        return trainer

    def _train(
        self,
        trainer: EstimatorTrainer,
        course: Course,
        data: tuple[Any, Array, Any],
        batch_size: int,
        held: Held | None,
        incremental: bool,
    ) -> None:
        X, targets, weight = data
        extra = self.callbacks if isinstance(self.callbacks, list | tuple) else [self.callbacks]
        unfinished = ""
        try:
            trainer.fit(
                X,
                targets,
                epochs=1 if incremental else self.max_iter,
                batch_size=batch_size,
                sample_weight=weight,
                validation_data=None if held is None else (held.x, held.targets, held.weight),
                callbacks=[course, *(one for one in extra if one is not None)],
                progress=False,
            )
            unfinished = trainer.solver.unfinished(trainer.history.stop_reason, self.max_iter)
            self.converged_ |= trainer.solver.converged
        except NonFiniteError as error:
            self._diverged(course, error)
        except KeyboardInterrupt:
            warnings.warn(
                f"{type(self).__name__}: interrupted in epoch {self.n_iter_ + 1}; the weights of the last "
                "complete step stand",
                stacklevel=5,
            )
        if unfinished and not incremental:
            warnings.warn(f"{type(self).__name__}: {unfinished}", ConvergenceWarning, stacklevel=5)
        if self._best is not None and self.early_stopping and (self.converged_ or not incremental):
            self._best.restore(self.model_)

    def _diverged(self, course: Course, error: NonFiniteError) -> None:
        """A step that would have made numbers infinite: with early stopping the best ones stand."""
        if self.early_stopping and self._best is not None:
            self.n_iter_ += 1
            self.loss_curve_.append(float("nan"))
            course.look(float("nan"))
            warnings.warn(
                f"{type(self).__name__}: training diverged in epoch {self.n_iter_} ({error}); the best "
                "parameters so far are restored",
                ConvergenceWarning,
                stacklevel=5,
            )
            return
        # in the words that scikit-learn's users look for
        raise ArgumentError(
            "Solver produced non-finite parameter weights. The input data may contain large values and need "
            f"to be preprocessed. ({error})"
        ) from error

    def _context(self) -> Any:
        """scikit-learn's context of this fit, where it has callbacks and some are set."""
        if not getattr(self, "_skl_callbacks", None) and not hasattr(self, "_parent_callback_ctx"):
            return None
        return self._init_callback_context(max_subtasks=self.max_iter)

    def _as_fitted(self) -> dict[str, Any]:
        """What makes a copy of the estimator one that is fitted as far as this."""
        return {"model_": self.model_.copy(), "loss_curve_": list(self.loss_curve_)}

    # ------------------------------------------------------------------------------------ outputs

    def _outputs(self, X: Any) -> Array:
        """The network's outputs. [rows, outputs]"""
        if not hasattr(X, "toarray"):
            found: Array = self.model_.predict(X, threads=self.n_threads)
            return found
        parts = [
            self.model_.predict(X[i : i + _SPARSE_ROWS].toarray(), threads=self.n_threads)
            for i in range(0, X.shape[0], _SPARSE_ROWS)
        ]
        return np.concatenate(parts)

    def _checked_outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._outputs(validate_data(self, X, accept_sparse="csr", reset=False))

    # ------------------------------------------------------------------------------------ copies

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if state.get("_trainer") is not None:
            state["_memory"], state["_trainer"] = Memory(state["_trainer"]), None
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
