"""L-BFGS-B of all rows at once: SciPy carries it out, and its iterations are the epochs of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import optim
from retrograd._feed import ArrayFeed, Pass
from retrograd._run import Run
from retrograd.errors import ArgumentError
from retrograd.sklearn._batches import EstimatorTrainer, dense, no_outputs
from retrograd.sklearn._solver import Solver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from retrograd._core import Array
    from retrograd.trainer import Trainer

_ROWS = 1024  # that are propagated at a time: faster than all at once, and memory does not grow with the data


class LBFGS(Solver):
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu, 1995), as scikit-learn sets it up; ends where max |g| <= tol.

    Attributes
    ----------
    message
        SciPy's, once it has come to an end of its own.
    converged
        Whether that was an end to its liking.
    """

    def __init__(self, tol: float, max_fun: int) -> None:
        super().__init__(optim.SGD(1.0))  # which is never asked: the trainer wants one
        self._tol, self._max_fun = tol, max_fun
        self.message, self.converged = "", False

    def minimise(
        self,
        objective: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]],
        start: NDArray[np.float64],
        iterations: int,
        after: Callable[[NDArray[np.float64]], None],
    ) -> None:
        """At most so many iterations; ``after`` is called with the point of each."""
        from scipy.optimize import minimize

        options = {"maxfun": self._max_fun, "maxiter": iterations, "gtol": self._tol}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", callback=after, options=options)
        self.message, self.converged = str(found.message), found.status == 0

    def stops(self, trainer: Trainer, message: str, show: Callable[[str], None]) -> bool:
        return False  # it has a test of its own

    def unfinished(self, reason: str, epochs: int) -> str:
        if self.converged or (not self.message and not reason.startswith("all ")):
            return ""
        return (
            f"lbfgs failed to converge: {self.message or f'all {epochs} iterations (max_iter) are done'}; "
            "scale the inputs, or raise max_iter and max_fun"
        )


class Whole(ArrayFeed):
    """All rows: the loss and its gradient as functions of the parameters, in float64.

    L = sum_b m_b / m L_b + alpha/2 sum w^2 / m over blocks b of rows, m_b being the sum of their weights.
    """

    def __init__(
        self, trainer: EstimatorTrainer, x: Any, y: Array, weight: NDArray[np.float64] | None
    ) -> None:
        super().__init__(([x], [y], weight), len(y))
        self._trainer, self._core = trainer, trainer._core
        self._mass = float(len(y) if weight is None else weight.sum())
        if self._mass == 0.0:
            raise ArgumentError("fit: the weights of all rows are 0, so there is nothing to learn from")
        parts = [slice(begin, begin + _ROWS) for begin in range(0, len(y), _ROWS)]
        self._blocks = [(x[part], y[part], None if weight is None else weight[part]) for part in parts]
        self.rows = len(y)
        self.loss = self.penalty = self.norm = float("nan")  # where it was looked at last

    def at(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """L and dL/d point; the parameters are then this point, rounded to their dtype."""
        model = self._trainer.model
        model.flat_parameters[...] = point
        gradient, self.loss = np.zeros_like(point), 0.0
        for x, y, weight in self._blocks:
            share = (len(y) if weight is None else float(weight.sum())) / self._mass
            if share:
                self.loss += share * self._core.gradients([dense(x)], [y], weight)
                self.penalty = self._trainer.penalise(self._trainer.alpha / self._mass)
                gradient += share * model.flat_gradients
        self.norm = float(np.linalg.norm(gradient))
        return self.loss + self.penalty, gradient


class _Over(Exception):
    """Somebody has had enough."""


class Descent(Run):
    """A fit within SciPy's loop: what is between two epochs goes on from within its calls."""

    trainer: DescentTrainer
    feed: Whole

    def _train(self) -> None:
        if self.collects:
            raise no_outputs()
        model, solver = self.trainer.model, self.trainer.solver
        assert isinstance(solver, LBFGS)
        self._point = model.flat_parameters.astype(np.float64)
        try:
            solver.minimise(self._look, self._point, self.epochs, self._stepped)
            if not self.done:  # it began where it ends, and there is no row yet
                self._stepped(self._point)
            self.trainer.stop(solver.message)
            self.phase = "train_end"
        except _Over:
            pass
        finally:
            model.flat_parameters[...] = self._point

    def _look(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if self.phase == "epoch_begin":
            self._epoch_begin()
            self._check()
        return self.feed.at(point)

    def _stepped(self, point: NDArray[np.float64]) -> None:
        """An iteration is done: its row, its callbacks."""
        trainer, feed, core = self.trainer, self.feed, self.trainer._core
        self._point = trainer.model.flat_parameters[...] = point
        self._training_time.total = self._epoch_time.read()
        core.iteration += 1
        trainer.history.iterations += 1
        core.end_epoch()
        self._iterated(core.iteration, feed.loss)
        self._result = Pass(feed.loss, feed.penalty, feed.norm, feed.rows, {}, [], [])
        self.phase = "measure"
        while self.phase in ("measure", "validate", "epoch_end"):
            getattr(self, f"_{self.phase}")()
        self._check()

    def _check(self) -> None:
        if self.phase == "train_end":
            raise _Over


class DescentTrainer(EstimatorTrainer):
    """A trainer whose fit is a :class:`Descent`."""

    def _run_of(self, x: Any, y: Any, settings: dict[str, Any], validation_data: Any, callbacks: Any) -> Run:
        weight = settings["sample_weight"]
        data = self._whole(x, y, weight)
        validation = self._array_feeds(data, len(y), False, validation_data, 0.0, None)[1]
        self._monitors = self._names(validation is not None, None)
        return Descent(self, settings, Whole(self, x, y, weight), validation, callbacks, None)
