"""What a run remembers: states to go back to, what was changed by hand, and curves."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Change", "Curve", "Edited", "Snapshot", "Snapshots"]

RECENT = 256  # steps that are all kept
MOST = 600
BYTES = 64 * 2**20


class Snapshot:
    """All that the next steps depend on, after ``step`` steps.

    Attributes
    ----------
    iteration
        What the optimizer counts by; less than step where another optimizer began later.
    epoch, row
        Where in the data: passes done, and the next row of the present one.
    changes
        How many changes by hand stand before it.
    parameters, slots, buffers
        Copies: the network's parameters, the optimizer's memory, and what is not trained.
    """

    __slots__ = ("buffers", "changes", "epoch", "iteration", "parameters", "row", "slots", "step")

    def __init__(
        self,
        step: int,
        iteration: int,
        epoch: int,
        row: int,
        changes: int,
        parameters: NDArray[Any],
        slots: list[NDArray[Any]],
        buffers: list[NDArray[Any]],
    ) -> None:
        self.step = step
        self.iteration = iteration
        self.epoch = epoch
        self.row = row
        self.changes = changes
        self.parameters = parameters
        self.slots = slots
        self.buffers = buffers

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return int(self.parameters.nbytes + sum(part.nbytes for part in (*self.slots, *self.buffers)))


@dataclass(frozen=True)
class Change:
    """What was done by hand after ``step`` steps: "set" with the new settings, "edit" with a place and value.

    Replaying from a snapshot does the same again at the same step.
    """

    step: int
    kind: str
    data: Any


@dataclass(frozen=True)
class Edited:
    """An edit that can still be gone on with: as long as the run's version is the one that it left.

    ``before`` is the value where it began; change and mark are None where it has come back to it.
    """

    version: int
    name: str
    index: tuple[int, ...]
    before: float
    change: Change | None = None
    mark: dict[str, Any] | None = None


class Snapshots:
    """States in the order of their steps: the last 256, and of older ones evenly many.

    When there are too many, every second of the old ones goes, so that going back costs at most a small share
    of what the way there did.
    """

    def __init__(self) -> None:
        self._old: list[Snapshot] = []
        self._recent: deque[Snapshot] = deque()
        self._stride = 1

    def copy(self) -> Snapshots:
        """The same states, which never change, in a list of its own."""
        other = Snapshots()
        other._old, other._recent, other._stride = list(self._old), deque(self._recent), self._stride
        return other

    def __len__(self) -> int:
        return len(self._old) + len(self._recent)

    def __iter__(self) -> Iterator[Snapshot]:
        return chain(self._old, self._recent)

    @property
    def first(self) -> int:
        """The earliest step."""
        return (self._old or self._recent)[0].step

    @property
    def last(self) -> int:
        """The latest step."""
        return (self._recent or self._old)[-1].step

    def add(self, snapshot: Snapshot) -> None:
        """A state later than all others, or in place of the last one."""
        recent = self._recent
        if recent and recent[-1].step == snapshot.step:
            recent.pop()
        elif not recent and self._old and self._old[-1].step == snapshot.step:
            self._old.pop()
        recent.append(snapshot)
        if len(recent) > RECENT:
            self._age(recent.popleft())
            if len(self) > MOST:
                self._thin()
        if snapshot.nbytes * len(self) > BYTES and len(self) > 3:
            self._shrink(snapshot.nbytes)

    def _age(self, snapshot: Snapshot) -> None:
        if snapshot.step % self._stride == 0 or not self._old:
            self._old.append(snapshot)

    def _thin(self) -> None:
        self._stride *= 2
        self._old = self._old[:1] + [s for s in self._old[1:] if s.step % self._stride == 0]

    def _shrink(self, size: int) -> None:
        while size * len(self) > BYTES and len(self._old) > 2:
            self._thin()
        while size * len(self) > BYTES and len(self._recent) > 2:
            snapshot = self._recent.popleft()
            if not self._old:
                self._old.append(snapshot)

    def at_or_before(self, step: int) -> Snapshot:
        """The nearest state that is not later."""
        for snapshot in reversed(self._recent):
            if snapshot.step <= step:
                return snapshot
        place = bisect_right(self._old, step, key=lambda s: s.step)
        return self._old[max(place - 1, 0)]

    def forget_after(self, step: int) -> None:
        """Drop what is later."""
        while self._recent and self._recent[-1].step > step:
            self._recent.pop()
        while self._old and self._old[-1].step > step:
            self._old.pop()


class Curve:
    """Values at steps; where there are many, of each four old ones the lowest and the highest stay."""

    LIMIT = 16_384

    def __init__(self) -> None:
        self.steps = array("q")
        self.values = array("d")

    def copy(self) -> Curve:
        """An independent copy."""
        other = Curve()
        other.steps, other.values = self.steps[:], self.values[:]
        return other

    def add(self, step: int, value: float) -> None:
        """A value later than all others, or in place of the last one."""
        if self.steps and self.steps[-1] == step:
            self.values[-1] = value
            return
        self.steps.append(step)
        self.values.append(value)
        if len(self.steps) > self.LIMIT:
            half = self.LIMIT // 2
            old = thinned(self.steps[:half], self.values[:half], half // 2)
            self.steps = array("q", [s for s, _ in old]) + self.steps[half:]
            self.values = array("d", [v for _, v in old]) + self.values[half:]

    def forget_after(self, step: int) -> None:
        """Drop what is later."""
        place = bisect_right(self.steps, step)
        del self.steps[place:], self.values[place:]

    def since(self, step: int, limit: int = 600) -> list[tuple[int, float]]:
        """The pairs later than a step, thinned to a number that can be drawn."""
        place = bisect_right(self.steps, step)
        return thinned(self.steps[place:], self.values[place:], limit)


def thinned(steps: array[int], values: array[float], limit: int) -> list[tuple[int, float]]:
    """At most ``limit`` pairs: of each stretch the lowest and the highest, in their order."""
    count = len(steps)
    if count <= limit:
        return list(zip(steps, values, strict=True))
    stretches = max(limit // 2, 1)
    found: list[tuple[int, float]] = []
    for k in range(stretches):
        first, last = k * count // stretches, (k + 1) * count // stretches
        part = range(first, last)
        low, high = min(part, key=values.__getitem__), max(part, key=values.__getitem__)
        found += [(steps[i], values[i]) for i in sorted({low, high})]
    return found
