"""After every epoch of an estimator: its curves, the best so far, when to stop, scikit-learn's callbacks."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import get_scorer

from retrograd.callbacks import Callback

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._core import Array
    from retrograd.model import Model
    from retrograd.sklearn._estimator import BaseMLP
    from retrograd.sklearn._network import Goal
    from retrograd.sklearn._solver import Solver
    from retrograd.trainer import Trainer


class Held:
    """Rows that are set aside: x, targets as the loss takes them, what the user called them, weights."""

    def __init__(self, x: Any, targets: Array, y: Array, weight: NDArray[np.float64] | None) -> None:
        self.x, self.targets, self.y, self.weight = x, targets, y, weight


class Best:
    """The parameters and buffers of a moment."""

    def __init__(self, model: Model) -> None:
        self._parameters = model.flat_parameters.copy()
        self._buffers = {name: buffer.copy() for name, buffer in model.buffers.items()}

    def restore(self, model: Model) -> None:
        np.copyto(model.flat_parameters, self._parameters)
        for name, buffer in self._buffers.items():
            np.copyto(model.buffers[name], buffer)


class Course(Callback):
    """One call of ``fit`` or ``partial_fit``, epoch by epoch.

    Parameters
    ----------
    estimator
        Whose attributes are kept up to date.
    goal, solver
        What is minimised, and by what.
    constant, constant_held
        What scikit-learn adds to the loss of the training and the held rows.
    rows
        How many are trained on.
    held
        The validation set.
    task
        scikit-learn's context of this fit; None where there are no callbacks of its kind.
    data
        X, y and metadata, for those callbacks.
    """

    def __init__(
        self,
        estimator: BaseMLP,
        goal: Goal,
        solver: Solver,
        constant: float,
        constant_held: float,
        rows: int,
        held: Held | None,
        task: Any,
        data: dict[str, Any],
    ) -> None:
        self._estimator, self._goal, self._solver = estimator, goal, solver
        self._constant, self._constant_held, self._rows = constant, constant_held, rows
        self._held, self._task, self._data = held, task, data
        self._epoch: Any = None

    def on_epoch_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        if self._task is not None:
            self._epoch = self._task.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        estimator = self._estimator
        estimator.n_iter_ += 1
        estimator.t_ += self._rows
        estimator.loss_ = self._goal.scale * logs["loss"] + self._constant + logs["penalty"]
        estimator.loss_curve_.append(estimator.loss_)
        self._show(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if self._held is not None:
            self.look(self._goal.scale * logs["val_loss"] + self._constant_held)
        if not estimator.early_stopping:
            self._count(-estimator.loss_, -estimator.best_loss_)
            estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)
        self._solver.epoch_ends(trainer, estimator.t_)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            what = "validation score" if estimator.early_stopping else "loss"
            message = (
                f"the {what} has not become better by tol={estimator.tol:g} for "
                f"{estimator._no_improvement_count} epochs"
            )
            if self._solver.stops(trainer, message, self._show):
                estimator.converged_ = True
                trainer.stop(message)
            else:
                estimator._no_improvement_count = 0
        if self._epoch is not None and self._epoch.call_on_fit_task_end(
            estimator=estimator, **self._data, reconstruction_attributes=estimator._as_fitted
        ):
            trainer.stop("a callback of scikit-learn asked for it")

    def look(self, loss: float) -> None:
        """Note the loss and the score of the validation set, and the best parameters."""
        estimator = self._estimator
        estimator.validation_loss_curve_.append(loss)
        score = self._score(loss)
        estimator.validation_scores_.append(score)
        self._show(f"Validation score: {score:f}")
        if estimator.early_stopping:
            self._count(score, estimator.best_validation_score_)
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            if estimator.early_stopping:
                estimator._best = Best(estimator.model_)

    def _count(self, value: float, best: float) -> None:
        """Epochs that were not better than the best by tol; larger is better."""
        estimator = self._estimator
        worse = value < best + estimator.tol
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0

    def _score(self, loss: float) -> float:
        held, estimator = self._held, self._estimator
        assert held is not None
        if estimator.scoring == "loss":
            return -loss
        if estimator.scoring is not None:
            scorer = get_scorer(estimator.scoring)
            weights = {} if held.weight is None else {"sample_weight": held.weight}
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "X does not have valid feature names")  # they were checked
                return float(scorer(estimator, held.x, held.y, **weights))
        outputs = estimator._outputs(held.x)
        if not np.isfinite(outputs).all():
            return float("nan")
        return float(estimator._metric(held.y, estimator._answers(outputs), sample_weight=held.weight))

    def _show(self, text: str) -> None:
        if self._estimator.verbose:
            print(text)
