"""Optimizers: how a gradient g changes a weight w. Arguments, defaults and arithmetic are PyTorch's.

An optimizer here is a description; what it remembers of each weight belongs to the trainer
(``trainer.optimizer_state``). ``lr`` is a number or a schedule (:mod:`retrograd.schedules`); t counts updates
from 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from retrograd._arguments import Record, flag, real, unknown
from retrograd.errors import ArgumentError
from retrograd.schedules import Constant, Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "ParamGroup", "RMSprop"]


class Optimizer(Record):
    """A rule of updates by its numbers."""

    name: ClassVar[str]  # in files, and wherever an optimizer is given by name
    lr: float | Schedule

    def _check(self, what: str, value: float, low: float = 0.0) -> float:
        return real(f"{type(self).__name__}: {what}", value, low)

    def _begin(self, lr: float | Schedule, weight_decay: float) -> None:
        rate = lr if isinstance(lr, Schedule) else self._check("lr", lr)
        self._set(lr=rate, weight_decay=self._check("weight_decay", weight_decay))

    def hyper(self) -> dict[str, float]:
        """All numbers but the rate, as the core takes them; switches are 0 or 1."""
        return {name: float(value) for name, value in self.__dict__.items() if name != "lr"}

    def schedule(self) -> Schedule:
        """The rate as a schedule."""
        return self.lr if isinstance(self.lr, Schedule) else Constant(self.lr)


class SGD(Optimizer):
    """w -= lr v with v = momentum v + (1 - dampening) g, and v = g without momentum or at t = 1

    Nesterov's variant steps along g + momentum v (Sutskever et al., 2013). weight_decay adds weight_decay * w
    to g.

    Raises
    ------
    ArgumentError
        A negative number, or nesterov without momentum or with dampening.
    """

    name = "sgd"
    momentum: float
    dampening: float
    nesterov: bool
    weight_decay: float

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(lr, weight_decay)
        self._set(
            momentum=self._check("momentum", momentum),
            dampening=self._check("dampening", dampening, -float("inf")),
            nesterov=flag("SGD: nesterov", nesterov),
        )
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ArgumentError(
                f"SGD: nesterov=True needs momentum above 0 and dampening 0, got momentum={self.momentum:g} "
                f"and dampening={self.dampening:g}"
            )


class RMSprop(Optimizer):
    """w -= lr g / (sqrt(s) + eps) with s = alpha s + (1 - alpha) g^2 (Tieleman and Hinton, 2012)

    centered: s - m^2 in place of s, with m = alpha m + (1 - alpha) g (Graves, 2013). momentum: v = momentum v
    + step and w -= lr v. weight_decay adds weight_decay * w to g.

    Raises
    ------
    ArgumentError
        A negative number.
    """

    name = "rmsprop"
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool

    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        self._begin(lr, weight_decay)
        self._set(
            alpha=self._check("alpha", alpha),
            eps=self._check("eps", eps),
            momentum=self._check("momentum", momentum),
            centered=flag("RMSprop: centered", centered),
        )


class Adagrad(Optimizer):
    """w -= lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps) with s += g^2 (Duchi et al., 2011)

    s begins at initial_accumulator_value. weight_decay adds weight_decay * w to g.

    Raises
    ------
    ArgumentError
        A negative number.
    """

    name = "adagrad"
    lr_decay: float
    weight_decay: float
    initial_accumulator_value: float
    eps: float

    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        self._begin(lr, weight_decay)
        self._set(
            lr_decay=self._check("lr_decay", lr_decay),
            initial_accumulator_value=self._check("initial_accumulator_value", initial_accumulator_value),
            eps=self._check("eps", eps),
        )


class Adam(Optimizer):
    """w -= lr m' / (sqrt(v') + eps) with m' = m / (1 - beta1^t), v' = v / (1 - beta2^t) (Kingma and Ba, 2015)

    m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2. amsgrad: the largest v so far in place of v
    (Reddi et al., 2018). weight_decay adds weight_decay * w to g.

    Raises
    ------
    ArgumentError
        A negative number, or a beta outside of 0 <= beta < 1.
    """

    name = "adam"
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    amsgrad: bool

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        self._begin(lr, weight_decay)
        who = type(self).__name__
        if isinstance(betas, str) or not hasattr(betas, "__len__") or len(betas) != 2:
            raise ArgumentError(f"{who}: betas must be two numbers such as (0.9, 0.999), got {betas!r}")
        self._set(
            betas=tuple(real(f"{who}: betas[{i}]", beta, 0.0, below=1.0) for i, beta in enumerate(betas)),
            eps=self._check("eps", eps),
            amsgrad=flag(f"{who}: amsgrad", amsgrad),
        )

    def hyper(self) -> dict[str, float]:
        return {
            "beta1": self.betas[0],
            "beta2": self.betas[1],
            "eps": self.eps,
            "weight_decay": self.weight_decay,
            "amsgrad": float(self.amsgrad),
        }


class AdamW(Adam):
    """Adam whose decay shrinks the weight itself: w -= lr weight_decay w, then Adam's step without decay

    So the decay is not divided by sqrt(v) (Loshchilov and Hutter, 2019).

    Raises
    ------
    ArgumentError
        A negative number, or a beta outside of 0 <= beta < 1.
    """

    name = "adamw"

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad)


class ParamGroup(Record):
    """Settings of their own for the parameters whose name, or whose layer's name, matches a pattern.

    Parameters
    ----------
    pattern
        ``"dense_0"``, ``"conv*"``, ``"*.bias"``: * is any text, ? one character.
    lr_scale
        A factor on the learning rate.
    weight_decay
        In place of the optimizer's; None leaves it.

    Raises
    ------
    ArgumentError
        A pattern that is no string, or a negative number.
    """

    pattern: str
    lr_scale: float
    weight_decay: float | None

    def __init__(self, pattern: str, lr_scale: float = 1.0, weight_decay: float | None = None) -> None:
        if not isinstance(pattern, str) or not pattern:
            raise ArgumentError(f"ParamGroup: pattern must be a string such as 'conv*', got {pattern!r}")
        self._set(
            pattern=pattern,
            lr_scale=real("ParamGroup: lr_scale", lr_scale, 0.0),
            weight_decay=None
            if weight_decay is None
            else real("ParamGroup: weight_decay", weight_decay, 0.0),
        )

    def settings(self) -> dict[str, float]:
        """The numbers as the core takes them."""
        decay = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        return {"lr_scale": self.lr_scale, **decay}


OPTIMIZERS: dict[str, type[Optimizer]] = {rule.name: rule for rule in (SGD, RMSprop, Adagrad, Adam, AdamW)}


def resolve(who: str, optimizer: Any) -> Optimizer:
    """A name (with default numbers) or an object, as an object.

    Raises
    ------
    ArgumentError
        An unknown name, or neither.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        if optimizer.lower() not in OPTIMIZERS:
            raise unknown(f"{who}: optimizer", optimizer, OPTIMIZERS)
        return OPTIMIZERS[optimizer.lower()]()
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()
    raise ArgumentError(
        f"{who}: optimizer must be a name or an object such as rg.Adam(1e-3), got {optimizer!r} "
        f"({type(optimizer).__name__}); names are {', '.join(OPTIMIZERS)}"
    )
