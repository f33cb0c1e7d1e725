"""An epoch as scikit-learn has it: its order of the rows, and a penalty that each batch weighs by itself."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._feed import ArrayFeed, Pass, Watch
from retrograd.errors import ArgumentError
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from retrograd._core import Array
    from retrograd._feed import Core
    from retrograd.history import History
    from retrograd.model import Model
    from retrograd.sklearn._network import Goal
    from retrograd.sklearn._solver import Solver


def dense(x: Any) -> Array:
    """A sparse matrix as an array; an array as it is."""
    found: Array = x.toarray() if hasattr(x, "toarray") else x
    return found


def no_outputs() -> ArgumentError:
    return ArgumentError(
        "callbacks: ErrorBelow looks at the outputs of every sample, which estimators do not keep; use "
        "rg.stop.LossBelow"
    )


class Batches:
    """The rows of an epoch in batches, for ``Trainer.fit``.

    The penalty of a batch is alpha/2 sum w^2 / S, S being the sum of its sample weights, or how many rows it
    has. Full batches without weights have one S, which is the core's l2, and run within the core; the others
    are corrected one by one. A sparse x is made dense batch by batch.
    """

    def __init__(
        self,
        trainer: EstimatorTrainer,
        x: Any,
        y: Array,
        weight: NDArray[np.float64] | None,
        batch_size: int,
        random: np.random.RandomState | None,
    ) -> None:
        self._trainer, self._x, self._y, self._weight = trainer, x, y, weight
        self._batch_size, self._random = batch_size, random
        self._order: NDArray[np.int64] | None = None if random is None else np.arange(len(y), dtype=np.int64)
        self._within = isinstance(x, np.ndarray) and weight is None and trainer.fits(batch_size)

    def _bounds(self) -> list[int]:
        """Where batches begin, and the end. Normalisation over one row has no variance: it joins the rest."""
        bounds = [*range(0, len(self._y), self._batch_size), len(self._y)]
        if self._trainer.normalises and len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
            del bounds[-2]
        return bounds

    def train(self, core: Core, watch: Watch) -> Pass | None:
        """One epoch; None where it was broken off."""
        if self._random is not None and self._order is not None:
            # the draws of sklearn.utils.shuffle, whose checks would take as long as a batch
            places = np.arange(len(self._order))
            self._random.shuffle(places)
            self._order = self._order[places]
        if watch.collect:
            raise no_outputs()
        after = self._after(core, watch)
        total, before, bounds = _Total(), core.epoch, self._bounds()
        first = self._alike(bounds)
        if first:
            rows = bounds[first]
            order = np.arange(rows) if self._order is None else self._order[:rows]
            result = core.run_epoch(
                [self._x],
                [self._y],
                None,
                self._batch_size,
                False,
                order,
                False,
                False,
                after,
                watch.on_progress,
            )
            if core.epoch == before:
                return None
            mean, norm = result.loss.mean, result.gradient_norm
            total.add(result.samples, mean, result.penalty, norm, result.iterations)
        for begin, end in pairwise(bounds[first:]):
            if watch.stopped():
                return None
            chosen = slice(begin, end) if self._order is None else self._order[begin:end]
            self._one(core, chosen, total, after)
        if core.epoch == before:
            core.end_epoch()
        return total.means()

    def _alike(self, bounds: list[int]) -> int:
        """How many batches, from the first on, the core can do by itself."""
        if not self._within:
            return 0
        if self._trainer.alpha == 0.0 and not self._trainer.normalises:
            return len(bounds) - 1  # without a penalty the last, smaller batch is like any other
        return sum(end - begin == self._batch_size for begin, end in pairwise(bounds))

    def _after(self, core: Core, watch: Watch) -> Callable[[int, float], bool] | None:
        """What is called after each update."""
        change, tell = self._trainer.solver.before(core), watch.on_iteration
        if change is None:
            return tell

        def after(iteration: int, loss: float) -> bool:
            change(iteration, loss)
            return tell is not None and tell(iteration, loss)

        return after

    def _one(self, core: Core, rows: Any, total: _Total, after: Callable[[int, float], bool] | None) -> None:
        """Forward, backward, the batch's own penalty, update."""
        y = self._y[rows]
        weight = None if self._weight is None else self._weight[rows]
        mass = float(len(y) if weight is None else weight.sum())
        if mass == 0.0:
            return  # nobody counts
        loss = core.forward([dense(self._x[rows])], [y], weight)
        core.backward(False)
        share = self._trainer.alpha / mass
        penalty = self._trainer.penalise(share)
        norm = core.gradient_norm
        core.update()
        total.add(len(y), loss, penalty, norm, 1)
        if after is not None:
            after(core.iteration, loss)

    def evaluate(self, core: Core, collect: bool) -> tuple[float, list[Array], list[Array]]:
        """Not asked for: what is trained on is not evaluated."""
        raise NotImplementedError


class _Total:
    """Means over an epoch, each batch by the number of its rows."""

    def __init__(self) -> None:
        self._rows = self._count = 0
        self._loss = self._penalty = self._norm = 0.0

    def add(self, rows: int, loss: float, penalty: float, norm: float, count: int) -> None:
        self._rows += rows
        self._count += count
        self._loss += rows * loss
        self._penalty += rows * penalty
        self._norm += count * norm

    def means(self) -> Pass:
        rows, count = max(self._rows, 1), max(self._count, 1)
        return Pass(self._loss / rows, self._penalty / rows, self._norm / count, self._rows, {}, [], [])


class EstimatorTrainer(Trainer):
    """A trainer whose epochs are scikit-learn's.

    Parameters
    ----------
    alpha
        The penalty of one sample.
    batch_size
        Of which l2 is made; other batches are corrected.
    layers
        How many dense layers there are.
    """

    def __init__(
        self,
        model: Model,
        goal: Goal,
        solver: Solver,
        alpha: float,
        batch_size: int,
        layers: int,
        threads: int | None,
        seed: int,
    ) -> None:
        super().__init__(
            model,
            goal.loss,
            solver.optimizer,
            loss_weights=None if goal.weight == 1.0 else [goal.weight],
            l2=alpha / batch_size,
            threads=threads,
            seed=seed,
        )
        self.solver, self.alpha = solver, alpha
        self._l2 = alpha / batch_size
        self.normalises = any(layer.kind == "batch_norm" for layer in model.layers)
        self._weights = [f"dense_{i}.weight" for i in range(layers)]
        self.iteration = solver.first_iteration
        self._random: np.random.RandomState | None = None

    def fits(self, batch_size: int) -> bool:
        """Whether the core's l2 is that of a full batch."""
        return self.alpha == 0.0 == self._l2 or self.alpha / batch_size == self._l2

    def penalise(self, share: float) -> float:
        """Make the gradient that of ``share``/2 sum w^2 where the core took l2; that penalty."""
        square = 0.0
        for name in self._weights:
            weight = self._model.parameters[name]
            if share != self._l2:
                self._model.gradients[name][...] += (share - self._l2) * weight
            square += float(np.vdot(weight, weight))
        return 0.5 * share * square

    def go_on(self, solver: Solver, history: History) -> None:
        """From where another trainer was."""
        self.solver, self._history = solver, history
        solver.resume(self)

    def order_by(self, random: np.random.RandomState | None) -> None:
        """Shuffle the rows of the next ``fit`` by this; None: as they come."""
        self._random = random

    def _whole(
        self, x: Any, y: Any, sample_weight: Any, prefix: str = ""
    ) -> tuple[list[Array], list[Array], NDArray[np.float64] | None]:
        return [x], [y], sample_weight  # the estimator has looked at them

    def _array_feeds(
        self,
        arrays: tuple[list[Array], list[Array], NDArray[np.float64] | None],
        batch_size: int,
        shuffle: bool,
        validation_data: Any,
        validation_split: float,
        class_weight: Any,
    ) -> tuple[Any, ArrayFeed | None]:
        (x,), (y,), weight = arrays
        validation = None
        if validation_data is not None:
            xv, yv, wv = validation_data
            validation = ArrayFeed(([xv], [yv], wv), 256)
        return Batches(self, x, y, weight, batch_size, self._random), validation
