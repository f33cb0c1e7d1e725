"""Schedules: the learning rate as a function of time.

Time t counts completed iterations (or epochs, with ``unit="epoch"``), so t = 0 is the first update. Any
optimizer takes a schedule as its ``lr``. :class:`ReduceOnPlateau` alone looks at what training comes to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from retrograd._arguments import Record, integer, real, text, unknown
from retrograd.errors import ArgumentError, StateError
from retrograd.metrics import larger_is_better

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "OneCycle",
    "Piecewise",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "WarmupCosine",
]


def _half_cosine(begin: float, end: float, part: float) -> float:
    """From begin at part 0 to end at part 1."""
    return end + (begin - end) * 0.5 * (1.0 + math.cos(math.pi * part))


class Schedule(Record):
    """A rate for every t."""

    kind: ClassVar[str]
    unit: str

    def _count(self, unit: str) -> None:
        if unit not in ("iteration", "epoch"):
            raise unknown(f"{type(self).__name__}: unit", unit, ("iteration", "epoch"))
        self._set(unit=unit)

    def _begin(self, lr: float, unit: str) -> None:
        self._set(lr=real(f"{type(self).__name__}: lr", lr, 0.0))
        self._count(unit)

    def settings(self) -> dict[str, float]:
        """The numbers it is made with, as the core takes them."""
        numbers = {name: float(value) for name, value in self.__dict__.items() if name != "unit"}
        return numbers | {"unit_epoch": float(self.unit == "epoch")}

    def lr_at(self, t: int) -> float:
        """The rate of the update that follows t completed iterations (or epochs)."""
        raise TypeError(f"{type(self).__name__}: no schedule by itself; use Constant, Step or Cosine")


class Constant(Schedule):
    """lr

    Raises
    ------
    ArgumentError
        lr below 0, or a unit that is neither "iteration" nor "epoch".
    """

    kind = "constant"
    lr: float

    def __init__(self, lr: float, unit: str = "iteration") -> None:
        self._begin(lr, unit)

    def lr_at(self, t: int) -> float:
        return self.lr


class Step(Schedule):
    """lr * gamma^floor(t / step_size): a jump every ``step_size``

    Raises
    ------
    ArgumentError
        step_size below 1, gamma or lr below 0.
    """

    kind = "step"
    lr: float
    step_size: int
    gamma: float

    def __init__(self, lr: float, step_size: int, gamma: float = 0.1, unit: str = "iteration") -> None:
        self._begin(lr, unit)
        self._set(step_size=integer("Step: step_size", step_size), gamma=real("Step: gamma", gamma, 0.0))

    def lr_at(self, t: int) -> float:
        return float(self.lr * self.gamma ** (t // self.step_size))


class Exponential(Schedule):
    """lr * gamma^t

    Raises
    ------
    ArgumentError
        gamma or lr below 0.
    """

    kind = "exponential"
    lr: float
    gamma: float

    def __init__(self, lr: float, gamma: float, unit: str = "iteration") -> None:
        self._begin(lr, unit)
        self._set(gamma=real("Exponential: gamma", gamma, 0.0))

    def lr_at(self, t: int) -> float:
        return float(self.lr * self.gamma**t)


class Cosine(Schedule):
    """min_lr + (lr - min_lr) (1 + cos(pi t / total)) / 2 up to t = total, then min_lr

    Without restarts (Loshchilov and Hutter, 2017).

    Raises
    ------
    ArgumentError
        total below 1, min_lr or lr below 0.
    """

    kind = "cosine"
    lr: float
    total: int
    min_lr: float

    def __init__(self, lr: float, total: int, min_lr: float = 0.0, unit: str = "iteration") -> None:
        self._begin(lr, unit)
        self._set(total=integer("Cosine: total", total), min_lr=real("Cosine: min_lr", min_lr, 0.0))

    def lr_at(self, t: int) -> float:
        return _half_cosine(self.lr, self.min_lr, min(t, self.total) / self.total)


class WarmupCosine(Schedule):
    """lr (t + 1) / (warmup + 1) while t < warmup, then Cosine's way from lr down to min_lr at t = total

    The first update has a rate above 0, and lr is reached at t = warmup (Goyal et al., 2017).

    Raises
    ------
    ArgumentError
        warmup not below total, min_lr or lr below 0.
    """

    kind = "warmup_cosine"
    lr: float
    warmup: int
    total: int
    min_lr: float

    def __init__(
        self, lr: float, warmup: int, total: int, min_lr: float = 0.0, unit: str = "iteration"
    ) -> None:
        self._begin(lr, unit)
        self._set(
            warmup=integer("WarmupCosine: warmup", warmup, 0),
            total=integer("WarmupCosine: total", total),
            min_lr=real("WarmupCosine: min_lr", min_lr, 0.0),
        )
        if self.warmup >= self.total:
            raise ArgumentError(
                f"WarmupCosine: warmup must be below total, got warmup={self.warmup} and total={self.total}; "
                "total counts the warmup too"
            )

    def lr_at(self, t: int) -> float:
        if t < self.warmup:
            return self.lr * (t + 1) / (self.warmup + 1)
        part = (t - self.warmup) / (self.total - self.warmup)
        return _half_cosine(self.lr, self.min_lr, min(part, 1.0))


class OneCycle(Schedule):
    """Up from max_lr / div_factor to max_lr and down to 1 / final_div_factor of where it began, by cosines

    The top is at t = pct_start total - 1, the end at t = total - 1, where the rate then stays: PyTorch's
    OneCycleLR with two phases (Smith and Topin, 2019). Momentum is not cycled: the optimizer's stands.

    Raises
    ------
    ArgumentError
        total below 1, pct_start outside of 0..1, a factor not above 0, max_lr below 0.
    """

    kind = "one_cycle"
    max_lr: float
    total: int
    pct_start: float
    div_factor: float
    final_div_factor: float

    def __init__(
        self,
        max_lr: float,
        total: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        unit: str = "iteration",
    ) -> None:
        self._set(
            max_lr=real("OneCycle: max_lr", max_lr, 0.0),
            total=integer("OneCycle: total", total),
            pct_start=real("OneCycle: pct_start", pct_start, 0.0, 1.0),
            div_factor=real("OneCycle: div_factor", div_factor, above=0.0),
            final_div_factor=real("OneCycle: final_div_factor", final_div_factor, above=0.0),
        )
        self._count(unit)

    def lr_at(self, t: int) -> float:
        first = self.max_lr / self.div_factor
        top, end = self.pct_start * self.total - 1, self.total - 1
        if t < top:
            return _half_cosine(first, self.max_lr, t / top)
        if top >= end:
            return self.max_lr
        return _half_cosine(self.max_lr, first / self.final_div_factor, min((t - top) / (end - top), 1.0))


class Piecewise(Schedule):
    """values[k] from t = boundaries[k - 1] on, values[0] before all of them

    Raises
    ------
    ArgumentError
        Boundaries that do not rise from at least 1, not one value more than boundaries, a value below 0.
    """

    kind = "piecewise"
    boundaries: tuple[int, ...]
    values: tuple[float, ...]

    def __init__(self, boundaries: Sequence[int], values: Sequence[float], unit: str = "iteration") -> None:
        self._set(
            boundaries=tuple(integer(f"Piecewise: boundaries[{i}]", t) for i, t in enumerate(boundaries)),
            values=tuple(real(f"Piecewise: values[{i}]", lr, 0.0) for i, lr in enumerate(values)),
        )
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"Piecewise: expected one value more than boundaries, got {len(self.boundaries)} boundaries "
                f"and {len(self.values)} values"
            )
        for before, after in zip(self.boundaries, self.boundaries[1:], strict=False):
            if before >= after:
                raise ArgumentError(f"Piecewise: boundaries must rise, but {before} is followed by {after}")
        self._count(unit)

    def settings(self) -> dict[str, float]:
        numbers = {f"value_{k}": lr for k, lr in enumerate(self.values)}
        numbers |= {f"boundary_{k}": float(t) for k, t in enumerate(self.boundaries, 1)}
        return numbers | {"unit_epoch": float(self.unit == "epoch")}

    def lr_at(self, t: int) -> float:
        return self.values[sum(t >= boundary for boundary in self.boundaries)]


class ReduceOnPlateau(Schedule):
    """lr, times factor each time that ``monitor`` was no better for more than ``patience`` epochs

    PyTorch's ReduceLROnPlateau. ``fit`` shows it each epoch's value; in a loop of one's own
    ``trainer.observe(value)`` does. ``trainer.schedule_state`` is what it remembers.

    Parameters
    ----------
    lr
        The first rate.
    factor
        Below 1.
    patience
        How many epochs without improvement are borne.
    monitor
        The quantity to watch, as it is called in the history.
    mode
        ``"min"``, ``"max"``, or ``"auto"``: max for accuracies and the like, else min.
    threshold, threshold_mode
        Better is below best (1 - threshold) for ``"rel"`` and below best - threshold for ``"abs"``; above
        best (1 + threshold) and best + threshold where the mode is max.
    cooldown
        So many epochs after a reduction do not count.
    min_lr
        The rate never falls below.
    eps
        A change of the rate no larger than this is left out.

    Raises
    ------
    ArgumentError
        A number that cannot be, or, when ``fit`` begins, a monitor that does not exist.
    """

    kind = "plateau"
    lr: float
    factor: float
    patience: int
    monitor: str
    mode: str
    threshold: float
    threshold_mode: str
    cooldown: int
    min_lr: float
    eps: float

    def __init__(
        self,
        lr: float,
        factor: float = 0.1,
        patience: int = 10,
        monitor: str = "val_loss",
        mode: str = "auto",
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("auto", "min", "max"):
            raise unknown("ReduceOnPlateau: mode", mode, ("auto", "min", "max"))
        if threshold_mode not in ("rel", "abs"):
            raise unknown("ReduceOnPlateau: threshold_mode", threshold_mode, ("rel", "abs"))
        self._begin(lr, "epoch")
        self._set(
            factor=real("ReduceOnPlateau: factor", factor, 0.0, below=1.0),
            patience=integer("ReduceOnPlateau: patience", patience, 0),
            monitor=text("ReduceOnPlateau: monitor", monitor),
            mode=mode,
            threshold=real("ReduceOnPlateau: threshold", threshold, 0.0),
            threshold_mode=threshold_mode,
            cooldown=integer("ReduceOnPlateau: cooldown", cooldown, 0),
            min_lr=real("ReduceOnPlateau: min_lr", min_lr, 0.0),
            eps=real("ReduceOnPlateau: eps", eps, 0.0),
        )

    def settings(self) -> dict[str, float]:
        largest = larger_is_better(self.monitor)
        return {
            "lr": self.lr,
            "factor": self.factor,
            "patience": float(self.patience),
            "maximise": float(largest if self.mode == "auto" else self.mode == "max"),
            "threshold": self.threshold,
            "relative": float(self.threshold_mode == "rel"),
            "cooldown": float(self.cooldown),
            "min_lr": self.min_lr,
            "eps": self.eps,
        }

    def lr_at(self, t: int) -> float:
        raise StateError("ReduceOnPlateau: its rate depends on what training came to; ask trainer.lr")


SCHEDULES: dict[str, type[Schedule]] = {
    rule.kind: rule
    for rule in (Constant, Step, Exponential, Cosine, WarmupCosine, OneCycle, Piecewise, ReduceOnPlateau)
}
