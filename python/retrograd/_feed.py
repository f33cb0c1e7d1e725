"""What an epoch is made of: arrays, which the core walks through by itself, or one batch after another.

Both kinds train and evaluate alike, and give the same bits for the same batches.
"""

from __future__ import annotations

from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._checkpoint import fingerprint_of_arrays, fingerprint_of_source
from retrograd.errors import ArgumentError, DTypeError, ShapeError, StateError
from retrograd.stream import Indexed, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from numpy.typing import NDArray

    from retrograd._core import Array, EpochResult, Trainer32, Trainer64

    Core: TypeAlias = Trainer32 | Trainer64
    Ready: TypeAlias = tuple[list[Array], list[Array], NDArray[np.float64] | None]

_SHOWN = 0.1  # seconds between two looks at the progress, as in the core
_SAMPLE = 256  # rows that layers are looked at with


class Pass:
    """What one whole pass of training came to: means over its batches, and what was kept for metrics."""

    def __init__(
        self,
        loss: float,
        penalty: float,
        gradient_norm: float,
        samples: int,
        norms: dict[str, float],
        targets: list[Array],
        outputs: list[Array],
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.gradient_norm = gradient_norm
        self.samples = samples
        self.norms = norms
        self.targets = targets
        self.outputs = outputs


class Watch:
    """What a pass of training is asked to keep, and whom it tells."""

    def __init__(
        self,
        collect: bool,
        record: bool,
        on_iteration: Callable[[int, float], bool] | None,
        on_progress: Callable[[int, int, float], None] | None,
        stopped: Callable[[], bool],
        resume: bool = False,
    ) -> None:
        self.collect = collect
        self.record = record
        self.on_iteration = on_iteration
        self.on_progress = on_progress
        self.stopped = stopped
        self.resume = resume  # go on within an epoch


class ArrayFeed:
    """Whole arrays, or some of their rows; ``seed`` is the trainer's, whose core shuffles."""

    def __init__(
        self,
        data: Ready,
        batch_size: int,
        shuffle: bool = False,
        rows: NDArray[np.int64] | None = None,
        seed: int = 0,
    ) -> None:
        self._x, self._y, self._weight = data
        self._batch_size, self._shuffle, self._rows, self._seed = batch_size, shuffle, rows, seed
        self.sample: Ready | None = None  # the first rows of the first epoch that was watched closely
        self._sampled: int | None = None  # which epoch that was

    def state(self) -> dict[str, Any]:
        """What a feed of the same data needs to go on where this one stands; the core has its own part."""
        return {"sampled": self._sampled}

    def restore(self, state: dict[str, Any]) -> None:
        self._sampled = state["sampled"]
        if self._sampled is not None:
            self.sample = self._first(self._sampled)

    def fingerprint(self, prefix: str = "") -> dict[str, Any]:
        return fingerprint_of_arrays(self._x, self._y, prefix)

    def prepare(self, core: Core) -> None:
        """Let a loss function see the targets, so that a file has its graph from the beginning."""
        core.prepare(self._x, self._y, self._weight)

    def train(self, core: Core, watch: Watch) -> Pass | None:
        """One epoch; None where it was broken off."""
        before = core.epoch
        if watch.record and self.sample is None:
            self.sample, self._sampled = self._first(before), before
        done, total = core.unfinished if watch.resume else (0, 0)
        if watch.stopped() and done < total:
            return None
        result = core.run_epoch(
            self._x,
            self._y,
            self._weight,
            self._batch_size,
            self._shuffle,
            self._rows,
            watch.collect,
            watch.record,
            watch.on_iteration,
            watch.on_progress,
            done > 0,
        )
        if core.epoch == before:
            return None
        return Pass(
            result.loss.mean,
            result.penalty,
            result.gradient_norm,
            result.samples,
            _norms(result),
            [target[result.order] for target in self._y] if watch.collect else [],
            result.outputs,
        )

    def _first(self, epoch: int) -> Ready:
        total = len(self._x[0]) if self._rows is None else len(self._rows)
        order = _core.permutation(total, self._seed, epoch) if self._shuffle else np.arange(total)
        chosen = order[:_SAMPLE] if self._rows is None else self._rows[order[:_SAMPLE]]
        weight = None if self._weight is None else self._weight[chosen]
        return [x[chosen] for x in self._x], [y[chosen] for y in self._y], weight

    def evaluate(self, core: Core, collect: bool) -> tuple[float, list[Array], list[Array]]:
        """The loss in inference mode; with ``collect`` also targets and outputs."""
        loss, outputs = core.evaluate(self._x, self._y, self._weight, self._batch_size, self._rows, collect)
        targets = self._y if self._rows is None or not collect else [y[self._rows] for y in self._y]
        return loss.mean, targets, outputs


class BatchFeed:
    """Batches of a stream, each one iteration.

    Parameters
    ----------
    source
        Where they come from.
    prepare
        Makes ``(x, y, sample_weight)`` what the core takes.
    batch_size, shuffle, seed
        Of an :class:`~retrograd.stream.Indexed`; a stream has batches of its own.
    name
        How errors call a batch.
    """

    def __init__(
        self,
        source: Stream | Indexed,
        prepare: Callable[[Any, Any, Any], Ready],
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        name: str = "batch",
    ) -> None:
        self._source, self._prepare, self._name = source, prepare, name
        self._batch_size, self._shuffle, self._seed = batch_size, shuffle, seed
        self._running: Iterator[Any] | None = None  # where the next epoch goes on
        self._passes = 0
        self._steps = 0  # of an epoch; 0 while it is not known
        self._asked = 0  # rows of the present batch of an Indexed
        self.sample: Ready | None = None  # as of ArrayFeed
        self._taken = 0  # batches of the present pass of a stream with steps_per_epoch
        self._begin()
        if isinstance(source, Indexed):
            self._steps = -(-len(source) // batch_size)
        elif source.steps_per_epoch is not None:
            self._steps = source.steps_per_epoch

    def _begin(self) -> None:
        """Where an epoch begins."""
        self._total, self._kept = _Total(), _Kept()
        self._ahead = 0  # steps of the core that are not in the total
        self._firsts: list[Ready] = []  # of which the sample will be made

    def state(self) -> dict[str, Any]:
        """As of ArrayFeed: how many batches were taken, and what they came to.

        Raises
        ------
        StateError
            It was interrupted between a step and the note of its loss.
        """
        if self._ahead:
            raise StateError(
                "the fit was interrupted just after a step on a stream's batch, before its loss was noted; "
                "load the last checkpoint, or begin a new fit"
            )
        return {
            "passes": self._passes,
            "taken": self._taken,
            "steps": self._steps,
            "total": self._total.state(),
            "kept": self._kept.whole(),
            "firsts": self._firsts,
            "sample": self.sample,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._begin()
        self._passes, self._taken, self._steps = state["passes"], state["taken"], state["steps"]
        self._total.restore(state["total"])
        if state["kept"][1]:
            self._kept.add(*state["kept"])
        self._firsts, self.sample = state["firsts"], state["sample"]
        if self._passes and isinstance(self._source, Stream):
            self._running = islice(self._source.batches(self._passes - 1), self._taken, None)

    def fingerprint(self, prefix: str = "") -> dict[str, Any]:
        return fingerprint_of_source(self._source, prefix)

    def train(self, core: Core, watch: Watch) -> Pass | None:
        """One epoch; None where it was broken off."""
        if not watch.resume:
            self._begin()
        before = core.iteration - self._total.count
        try:
            return self._train(core, watch)
        except BaseException:
            # not 0 where Ctrl-C came between a step and the note of its loss
            self._ahead = core.iteration - before - self._total.count
            raise

    def _train(self, core: Core, watch: Watch) -> Pass | None:
        total, kept, first = self._total, self._kept, self._firsts
        shown = perf_counter()
        stopped = watch.stopped()  # where a fit is resumed that was stopped
        for batch in () if stopped else self._epoch(core.epoch, total.count):
            number = total.count
            try:
                x, y, weight = self._ready(batch)
                recorded = watch.record and number % _core.recorded_every == 0  # as run_epoch does
                result = core.run_batch(x, y, weight, watch.collect, recorded)
            except (ShapeError, DTypeError, ArgumentError) as error:
                raise self._named(error, number) from None
            total.add(result)
            self._taken += 1
            if recorded:
                total.add_norms(_norms(result))
            if watch.record and self.sample is None and sum(len(part[0][0]) for part in first) < _SAMPLE:
                first.append(_copied((x, y, weight)))
            if watch.collect:
                kept.add(y, result.outputs)
            if watch.on_iteration is not None:
                watch.on_iteration(core.iteration, result.last_loss)
            now = perf_counter()
            if watch.on_progress is not None and now - shown >= _SHOWN:
                shown = now
                watch.on_progress(number + 1, max(self._steps, number + 2), total.loss())
            if watch.stopped():
                break
        if total.count == 0:
            raise self._nothing(core.epoch)
        if watch.stopped() and total.count != self._steps:
            return None
        self._steps = total.count
        if first:
            self.sample = _joined(first)
        core.end_epoch()
        self._begin()
        return total.means(*kept.whole())

    def evaluate(self, core: Core, collect: bool) -> tuple[float, list[Array], list[Array]]:
        """The loss in inference mode, of one pass from the beginning; as ``ArrayFeed.evaluate``."""
        loss = mass = 0.0
        kept = _Kept()
        number = -1
        for number, batch in enumerate(self._once()):
            try:
                x, y, weight = self._ready(batch)
                part, outputs = core.evaluate(x, y, weight, len(x[0]), None, collect)
            except (ShapeError, DTypeError, ArgumentError) as error:
                raise self._named(error, number) from None
            loss += part.sum
            mass += part.weight
            if collect:
                kept.add(y, outputs)
        if number < 0:
            raise self._nothing(0)
        return loss / mass if mass > 0 else 0.0, *kept.whole()

    def _epoch(self, epoch: int, done: int) -> Iterator[Any]:
        """The batches of an epoch after those that are done."""
        source = self._source
        if isinstance(source, Indexed):
            order = _core.permutation(len(source), self._seed, epoch) if self._shuffle else None
            return self._fetched(source, order, done)
        if source.steps_per_epoch is None:
            return islice(source.batches(epoch), done, None)
        return islice(self._endless(source), source.steps_per_epoch - done)

    def _once(self) -> Iterator[Any]:
        if isinstance(self._source, Indexed):
            return self._fetched(self._source, None, 0)
        return islice(self._source.batches(0), self._source.steps_per_epoch)

    def _fetched(self, source: Indexed, order: NDArray[np.int64] | None, done: int) -> Iterator[Any]:
        rows = np.arange(len(source)) if order is None else order
        for first in range(done * self._batch_size, len(rows), self._batch_size):
            chosen = rows[first : first + self._batch_size]
            self._asked = len(chosen)
            yield source[chosen]

    def _endless(self, source: Stream) -> Iterator[Any]:
        """Batches from where the epoch before ended, over as many passes as it takes."""
        while True:
            fresh = self._running is None
            if self._running is None:
                self._running = source.batches(self._passes)
                self._passes += 1
                self._taken = 0
            for batch in self._running:
                fresh = False
                yield batch
            self._running = None
            if fresh:
                raise self._nothing(self._passes - 1)

    def _ready(self, batch: Any) -> Ready:
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3):
            of = f" of {len(batch)}" if isinstance(batch, list | tuple) else ""
            raise ArgumentError(f"expected (x, y) or (x, y, sample_weight), got {type(batch).__name__}{of}")
        x, y, weight = self._prepare(*(*batch, None)[:3])
        if self._asked and len(x[0]) != self._asked:
            raise ShapeError(f"x: it has {len(x[0])} rows, expected {self._asked}, one for each row number")
        return x, y, weight

    def _named(self, error: Exception, number: int) -> Exception:
        return type(error)(f"{self._name} {number}: {error}")

    def _nothing(self, number: int) -> ArgumentError:
        again = "; its factory must make a new iterator at each call" if number > 0 else ""
        return ArgumentError(f"{self._source!r}: it yielded nothing in pass {number}{again}")


class _Total:
    """Sums over the batches of an epoch, in the order and the arithmetic of the core's own loop."""

    def __init__(self) -> None:
        self.count = self.samples = 0
        self._sum = self._weight = self._penalty = self._norm = 0.0
        self._norms: dict[str, float] = {}
        self._recorded = 0

    def add(self, result: EpochResult) -> None:
        self.count += 1
        self.samples += result.samples
        loss = result.loss
        self._sum += loss.sum
        self._weight += loss.weight
        self._penalty += result.penalty
        self._norm += result.gradient_norm

    def add_norms(self, norms: dict[str, float]) -> None:
        self._recorded += 1
        for name, norm in norms.items():
            self._norms[name] = self._norms.get(name, 0.0) + norm

    def state(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def restore(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def loss(self) -> float:
        return self._sum / self._weight if self._weight > 0 else 0.0

    def means(self, targets: list[Array], outputs: list[Array]) -> Pass:
        n = self.count
        norms = {name: norm / self._recorded for name, norm in self._norms.items()}
        return Pass(self.loss(), self._penalty / n, self._norm / n, self.samples, norms, targets, outputs)


class _Kept:
    """Targets and outputs of batches, until they are one array each."""

    def __init__(self) -> None:
        self._targets: list[list[Array]] = []
        self._outputs: list[list[Array]] = []

    def add(self, targets: list[Array], outputs: list[Array]) -> None:
        self._targets.append([target.copy() for target in targets])  # the next batch may reuse their memory
        self._outputs.append(outputs)

    def whole(self) -> tuple[list[Array], list[Array]]:
        found = [
            [np.concatenate(parts) for parts in zip(*batches, strict=True)]
            for batches in (self._targets, self._outputs)
        ]
        return found[0], found[1]


def _copied(batch: Ready) -> Ready:
    """The first rows of a batch; the next batch may reuse its memory."""
    x, y, weight = batch
    part = slice(_SAMPLE)
    return (
        [array[part].copy() for array in x],
        [array[part].copy() for array in y],
        None if weight is None else weight[part].copy(),
    )


def _joined(batches: list[Ready]) -> Ready:
    x, y = (
        [np.concatenate(parts)[:_SAMPLE] for parts in zip(*(batch[k] for batch in batches), strict=True)]
        for k in (0, 1)
    )
    weights = [np.ones(len(part[0])) if weight is None else weight for part, _, weight in batches]
    known = any(weight is not None for _, _, weight in batches)
    return x, y, np.concatenate(weights)[:_SAMPLE] if known else None


def _norms(result: EpochResult) -> dict[str, float]:
    return {f"gradient_norm/{name}": value for name, value in result.gradient_norms.items()} | {
        f"update_norm/{name}": value for name, value in result.update_norms.items()
    }
