"""The course of a run, read from its losses: its phases, and whether it was long enough, or too long."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from retrograd._arguments import Record, unknown
from retrograd.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Phase", "Phases", "RunVerdict"]

SHARES = {"early": 0.63, "middle": 0.95, "late": 0.99}  # of the whole fall of the loss, where a phase ends

TOO_FEW, UNDERFITTING, GOOD, OVERFITTING, TOO_MANY = (
    "too few epochs",
    "underfitting",
    "good",
    "overfitting",
    "too many epochs",
)
NO_FALL = 0.01
RISE = 0.1
FELT = 0.01
STILL_FALLING = 0.05
LEFT = 0.5
GAP = 0.1
ACCURATE = 0.9


class Phase(Record):
    """Some epochs of a run.

    Attributes
    ----------
    name
        ``"early"``, ``"middle"``, ``"late"`` or ``"plateau"``.
    first, last
        Epochs counted from 1, both included; last = first - 1 where the phase has none.
    loss
        The lowest loss up to its end; NaN where it has no epochs.
    update_ratio
        The mean of RMS update / RMS weight over its epochs and all parameters; NaN where it was not recorded
        (``fit(record="layers")``).
    """

    name: str
    first: int
    last: int
    loss: float
    update_ratio: float

    def __init__(self, name: str, first: int, last: int, loss: float, update_ratio: float) -> None:
        self._set(name=name, first=first, last=last, loss=loss, update_ratio=update_ratio)

    @property
    def epochs(self) -> range:
        """Its epochs, counted from 1."""
        return range(self.first, self.last + 1)

    def __len__(self) -> int:
        return self.last + 1 - self.first

    def __bool__(self) -> bool:
        return len(self) > 0

    def __str__(self) -> str:
        if not self:
            return f"{self.name:8} none"
        span = f"epoch {self.first}" if len(self) == 1 else f"epochs {self.first} to {self.last}"
        step = "" if math.isnan(self.update_ratio) else f", updates {self.update_ratio:.1e} of the weights"
        return f"{self.name:8} {span}, loss down to {self.loss:.4g}{step}"


class Phases(Record):
    """The four phases of a run, in order; ``phases["early"].epochs``. Print it."""

    phases: tuple[Phase, ...]

    def __init__(self, phases: tuple[Phase, ...]) -> None:
        self._set(phases=phases)

    def __getitem__(self, name: str) -> Phase:
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise unknown("phases", name, [phase.name for phase in self.phases])

    def to_dict(self) -> dict[str, Any]:
        """Name -> first and last epoch, loss and update ratio (None where unknown)."""
        return {
            phase.name: {
                "first": phase.first,
                "last": phase.last,
                "loss": None if math.isnan(phase.loss) else phase.loss,
                "update_ratio": None if math.isnan(phase.update_ratio) else phase.update_ratio,
            }
            for phase in self.phases
        }

    def __str__(self) -> str:
        return "\n".join(map(str, self.phases))

    __repr__ = __str__


class RunVerdict(Record):
    """How a run went; prints as a sentence, and equals its name: ``verdict == "overfitting"``.

    Attributes
    ----------
    name
        ``"underfitting"``, ``"good"``, ``"overfitting"``, ``"too few epochs"`` or ``"too many epochs"``.
    best_epoch
        Counted from 1.
    text
        The sentence, with its numbers.
    """

    name: str
    best_epoch: int
    text: str

    def __init__(self, name: str, best_epoch: int, text: str) -> None:
        self._set(name=name, best_epoch=best_epoch, text=text)

    def __eq__(self, other: object) -> bool:
        return self.name == other if isinstance(other, str) else super().__eq__(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"

    __repr__ = __str__


def phases(history: Mapping[str, Sequence[float]]) -> Phases:
    """See :meth:`retrograd.History.phases`."""
    losses = history.get("loss", [])
    lowest = list(accumulate(losses, _lower))
    known = [value for value in lowest if not math.isnan(value)]
    if not known:
        raise StateError("phases: the history has no loss yet; train for an epoch first")
    count, start, fall = len(losses), known[0], known[0] - known[-1]
    ends: list[int] = []
    for share in SHARES.values():
        if fall > 0:
            # the lowest loss itself is reached exactly, so that rounding cannot leave a phase open
            level = start - share * fall
            ends.append(next(k for k, value in enumerate(lowest, 1) if value <= level or value == known[-1]))
        else:
            ends.append(1 if count == 1 else 0)
    ends.append(count)
    made, first = [], 1
    for name, last in zip([*SHARES, "plateau"], ends, strict=True):
        loss = lowest[last - 1] if last >= first else math.nan
        made.append(Phase(name, first, last, loss, _mean_update(history, first, last)))
        first = last + 1
    return Phases(tuple(made))


def _lower(a: float, b: float) -> float:
    return b if math.isnan(a) else a if math.isnan(b) else min(a, b)


def _mean_update(history: Mapping[str, Sequence[float]], first: int, last: int) -> float:
    values = [
        value
        for name, column in history.items()
        if name.startswith("update_ratio/")
        for value in column[first - 1 : last]
        if math.isfinite(value)
    ]
    return sum(values) / len(values) if values else math.nan


def verdict(history: Mapping[str, Sequence[float]]) -> RunVerdict:
    """See :meth:`retrograd.History.verdict`."""
    loss, judged = history.get("loss", []), history.get("val_loss") or history.get("loss", [])
    rows = [
        (epoch, a, b)
        for epoch, (a, b) in enumerate(zip(loss, judged, strict=True), 1)
        if not (math.isnan(a) or math.isnan(b))
    ]
    if not rows:
        raise StateError("verdict: the history has no loss yet; train for an epoch first")
    validated = bool(history.get("val_loss"))
    epochs, train, seen = (list(column) for column in zip(*rows, strict=True))
    best = min(range(len(rows)), key=lambda k: seen[k])
    what = "validation loss" if validated else "training loss"
    at = f"epoch {epochs[best]} of {epochs[-1]}"

    def say(name: str, text: str) -> RunVerdict:
        return RunVerdict(name, epochs[best], text)

    if len(rows) < 3:
        return say(TOO_FEW, f"{len(rows)} epochs with a {what} say little; train for at least 3.")
    last = sorted(seen[-min(3, len(rows) - best) :])
    end = last[(len(last) - 1) // 2]
    rise, fall = end - seen[best], seen[0] - seen[best]
    if validated and rise > max(RISE * abs(seen[best]), FELT * fall) and train[-1] < train[best]:
        return say(
            OVERFITTING,
            f"the validation loss was lowest in {at}, {seen[best]:.4g}, and rose to {end:.4g}, while the "
            f"training loss fell on from {train[best]:.4g} to {train[-1]:.4g}.",
        )
    if min(train) >= (1 - NO_FALL) * train[0]:
        return say(
            UNDERFITTING,
            f"the training loss did not fall: {train[0]:.4g} in the first epoch, {min(train):.4g} in the "
            "best; rg.diagnose may say why.",
        )
    back = max(1, len(rows) // 5)
    gained = min(seen[:-back]) - min(seen)
    if fall > 0 and gained >= STILL_FALLING * fall:
        return say(
            TOO_FEW,
            f"the {what} was still falling: {gained / fall:.0%} of its whole fall, from {seen[0]:.4g} to "
            f"{seen[best]:.4g}, came in the last {f'{back} of ' if back > 1 else 'of '}{len(rows)} epochs.",
        )
    accuracy = history.get("accuracy", [math.nan])[-1]
    close = not validated or end <= (1 + GAP) * train[-1]
    if min(train) > LEFT * train[0] and close and not accuracy >= ACCURATE:
        beside = f", and the validation loss is no worse: {end:.4g}" if validated else ""
        return say(
            UNDERFITTING,
            f"the training loss stopped falling at {min(train):.4g}, {min(train) / train[0]:.0%} of that of "
            f"the first epoch{beside}; a larger network or another learning rate may do better.",
        )
    if validated and epochs[best] <= epochs[-1] // 2:
        return say(
            TOO_MANY,
            f"the validation loss was lowest in {at}, {seen[best]:.4g}, and gained nothing since: it "
            f"is {end:.4g} at the end.",
        )
    return say(GOOD, f"the {what} was lowest in {at}, {seen[best]:.4g}, and is {end:.4g} at the end.")
