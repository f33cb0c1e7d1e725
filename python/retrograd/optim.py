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

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "ParamGroup",
    "RAdam",
    "RMSprop",
    "Rprop",
]

# What the core calls the numbers of a pair.
PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}


class Optimizer(Record):
    """A rule of updates by its numbers."""

    name: ClassVar[str]  # in files, and wherever an optimizer is given by name
    lr: float | Schedule

    def _check(self, what: str, value: float, low: float = 0.0) -> float:
        return real(f"{type(self).__name__}: {what}", value, low)

    def _rate(self, lr: float | Schedule) -> None:
        self._set(lr=lr if isinstance(lr, Schedule) else self._check("lr", lr))

    def _begin(self, lr: float | Schedule, weight_decay: float) -> None:
        self._rate(lr)
        self._set(weight_decay=self._check("weight_decay", weight_decay))

    def _pair(self, what: str, given: Sequence[float], example: str) -> tuple[float, float]:
        who = f"{type(self).__name__}: {what}"
        if isinstance(given, str) or not hasattr(given, "__len__") or len(given) != 2:
            raise ArgumentError(f"{who} must be two numbers such as {example}, got {given!r}")
        return real(f"{who}[0]", given[0], 0.0), real(f"{who}[1]", given[1], 0.0)

    def _betas(self, betas: Sequence[float]) -> None:
        pair = self._pair("betas", betas, "(0.9, 0.999)")
        who = f"{type(self).__name__}: betas"
        self._set(betas=tuple(real(f"{who}[{i}]", beta, 0.0, below=1.0) for i, beta in enumerate(pair)))

    def hyper(self) -> dict[str, float]:
        """All numbers but the rate, as the core takes them; switches are 0 or 1."""
        numbers: dict[str, float] = {}
        for name, value in self.__dict__.items():
            if name in PAIRS:
                numbers |= zip(PAIRS[name], value, strict=True)
            elif name != "lr":
                numbers[name] = float(value)
        return numbers

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
        self._betas(betas)
        self._set(
            eps=self._check("eps", eps),
            amsgrad=flag(f"{type(self).__name__}: amsgrad", amsgrad),
        )


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


class Adadelta(Optimizer):
    """w -= lr d with d = sqrt(a + eps) / sqrt(s + eps) g, s = rho s + (1 - rho) g^2, a the same of d^2

    A step has the unit of w by itself (Zeiler, 2012). weight_decay adds weight_decay * w to g.

    Raises
    ------
    ArgumentError
        A negative number, or rho above 1.
    """

    name = "adadelta"
    rho: float
    eps: float
    weight_decay: float

    def __init__(
        self,
        lr: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(lr, weight_decay)
        self._set(rho=real("Adadelta: rho", rho, 0.0, 1.0), eps=self._check("eps", eps))


class NAdam(Optimizer):
    """w -= lr ((1 - mu) / (1 - M) g + mu' / (1 - M mu') m) / (sqrt(v') + eps): Adam with Nesterov's momentum

    m and v' are Adam's; mu = beta1 (1 - 0.96^(t momentum_decay) / 2), mu' the next one, M the product of all
    mu up to t (Dozat, 2016). weight_decay adds weight_decay * w to g; with decoupled_weight_decay the weight
    is shrunk instead, as in AdamW. M depends on t alone and is no state here.

    Raises
    ------
    ArgumentError
        A negative number, or a beta outside of 0 <= beta < 1.
    """

    name = "nadam"
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    momentum_decay: float
    decoupled_weight_decay: bool

    def __init__(
        self,
        lr: float | Schedule = 2e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        self._begin(lr, weight_decay)
        self._betas(betas)
        self._set(
            eps=self._check("eps", eps),
            momentum_decay=self._check("momentum_decay", momentum_decay),
            decoupled_weight_decay=flag("NAdam: decoupled_weight_decay", decoupled_weight_decay),
        )


class RAdam(Optimizer):
    """w -= lr r m' / (sqrt(v') + eps), Adam's step times r; w -= lr m' while v is of too few gradients

    r = sqrt((n - 4)(n - 2) N / ((N - 4)(N - 2) n)) with N = 2 / (1 - beta2) - 1 and
    n = N - 2 t beta2^t / (1 - beta2^t), from n > 5 on (Liu et al., 2020); as in PyTorch eps is added before v
    is corrected. weight_decay adds weight_decay * w to g; with decoupled_weight_decay the weight is shrunk
    instead, as in AdamW.

    Raises
    ------
    ArgumentError
        A negative number, or a beta outside of 0 <= beta < 1.
    """

    name = "radam"
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    decoupled_weight_decay: bool

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        self._begin(lr, weight_decay)
        self._betas(betas)
        self._set(
            eps=self._check("eps", eps),
            decoupled_weight_decay=flag("RAdam: decoupled_weight_decay", decoupled_weight_decay),
        )


class Adamax(Optimizer):
    """w -= lr m' / u with m' = m / (1 - beta1^t) and u = max(beta2 u, |g| + eps) (Kingma and Ba, 2015)

    m = beta1 m + (1 - beta1) g. weight_decay adds weight_decay * w to g.

    Raises
    ------
    ArgumentError
        A negative number, or a beta outside of 0 <= beta < 1.
    """

    name = "adamax"
    betas: tuple[float, float]
    eps: float
    weight_decay: float

    def __init__(
        self,
        lr: float | Schedule = 2e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(lr, weight_decay)
        self._betas(betas)
        self._set(eps=self._check("eps", eps))


class Lion(Optimizer):
    """w -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay w), then m = beta2 m + (1 - beta2) g

    Every weight moves by lr, so lr is to be 3 to 10 times smaller and weight_decay as many times larger than
    for AdamW (Chen et al., 2023).

    Raises
    ------
    ArgumentError
        A negative number, or a beta outside of 0 <= beta < 1.
    """

    name = "lion"
    betas: tuple[float, float]
    weight_decay: float

    def __init__(
        self,
        lr: float | Schedule = 1e-4,
        betas: Sequence[float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        self._begin(lr, weight_decay)
        self._betas(betas)


class Rprop(Optimizer):
    """w -= step sign(g): a step for each weight, larger while g keeps its sign, smaller where it turns

    The step begins at lr and is multiplied by etas[1] or etas[0] within step_sizes; where the sign turned, g
    counts as 0 once (Riedmiller and Braun, 1993). It wants gradients without noise: whole batches. Only the
    first rate of a schedule is ever looked at.

    Raises
    ------
    ArgumentError
        etas without 0 < etas[0] < 1 < etas[1], step_sizes without 0 < step_sizes[0] <= step_sizes[1].
    """

    name = "rprop"
    etas: tuple[float, float]
    step_sizes: tuple[float, float]

    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        etas: Sequence[float] = (0.5, 1.2),
        step_sizes: Sequence[float] = (1e-6, 50.0),
    ) -> None:
        self._rate(lr)
        slower, faster = self._pair("etas", etas, "(0.5, 1.2)")
        low, high = self._pair("step_sizes", step_sizes, "(1e-6, 50)")
        if not 0.0 < slower < 1.0 < faster:
            raise ArgumentError(
                f"Rprop: etas: expected 0 < etas[0] < 1 < etas[1], got {slower:g} and {faster:g}"
            )
        if not 0.0 < low <= high:
            raise ArgumentError(
                f"Rprop: step_sizes: expected 0 < step_sizes[0] <= step_sizes[1], got {low:g} and {high:g}"
            )
        self._set(etas=(slower, faster), step_sizes=(low, high))


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


OPTIMIZERS: dict[str, type[Optimizer]] = {
    rule.name: rule
    for rule in (SGD, RMSprop, Adagrad, Adam, AdamW, Adadelta, NAdam, RAdam, Adamax, Lion, Rprop)
}


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
