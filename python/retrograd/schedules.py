"""Schedules: the learning rate as a function of time.

Time t counts completed iterations (or epochs, with ``unit="epoch"``), so t = 0 is the first update. Any
optimizer takes a schedule as its ``lr``.
"""

from __future__ import annotations

import math
from typing import ClassVar

from retrograd._arguments import Record, integer, real, unknown

__all__ = ["Constant", "Cosine", "Exponential", "Schedule", "Step"]


class Schedule(Record):
    """A rate for every t."""

    kind: ClassVar[str]
    lr: float
    unit: str

    def _begin(self, lr: float, unit: str) -> None:
        if unit not in ("iteration", "epoch"):
            raise unknown(f"{type(self).__name__}: unit", unit, ("iteration", "epoch"))
        self._set(lr=real(f"{type(self).__name__}: lr", lr, 0.0), unit=unit)

    def settings(self) -> dict[str, float]:
        """The numbers it is made with, as the core takes them."""
        numbers = {name: float(value) for name, value in self.__dict__.items() if name != "unit"}
        return numbers | {"unit_epoch": float(self.unit == "epoch")}

    def lr_at(self, t: int) -> float:
        """The rate of the update that follows t completed iterations (or epochs)."""
        raise TypeError(
            f"{type(self).__name__}: no schedule by itself; use Constant, Step, Exponential or Cosine"
        )


class Constant(Schedule):
    """lr

    Raises
    ------
    ArgumentError
        lr below 0, or a unit that is neither "iteration" nor "epoch".
    """

    kind = "constant"

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
    total: int
    min_lr: float

    def __init__(self, lr: float, total: int, min_lr: float = 0.0, unit: str = "iteration") -> None:
        self._begin(lr, unit)
        self._set(total=integer("Cosine: total", total), min_lr=real("Cosine: min_lr", min_lr, 0.0))

    def lr_at(self, t: int) -> float:
        part = min(t, self.total) / self.total
        return self.min_lr + (self.lr - self.min_lr) * 0.5 * (1.0 + math.cos(math.pi * part))
