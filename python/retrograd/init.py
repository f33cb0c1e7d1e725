"""Where weights begin.

A layer takes a name (``weight_init="he_normal"``, ``"normal(0.02)"``), an object of this module
(``rg.init.normal(0.02)``) or a NumPy array. With n_in inputs and n_out units:

======================  ==========================================================================
``auto``                He for the ReLU family, LeCun for selu, Glorot otherwise
``he_normal``           N(0, 2 / n_in): keeps the variance through a ReLU (He et al., 2015)
``he_uniform``          the same variance, uniform
``glorot_normal``       N(0, 2 / (n_in + n_out)) (Glorot and Bengio, 2010)
``glorot_uniform``      the same variance, uniform
``lecun_normal``        N(0, 1 / n_in): keeps the variance of linear units (LeCun et al., 1998)
``lecun_uniform``       the same variance, uniform
``normal(std)``         N(0, std^2)
``uniform(low, high)``  between low and high
``zeros``, ``ones``     all alike: for biases
``orthogonal``          rows (or columns, if fewer) of length 1 at right angles (Saxe et al., 2014)
======================  ==========================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrograd._arguments import Record, finite_numbers, real, unknown
from retrograd.errors import ArgumentError

# The arguments of each rule, with their defaults.
_RULES: dict[str, tuple[float, ...]] = {
    "auto": (),
    "he_normal": (),
    "he_uniform": (),
    "glorot_normal": (),
    "glorot_uniform": (),
    "lecun_normal": (),
    "lecun_uniform": (),
    "normal": (0.05,),
    "uniform": (-0.05, 0.05),
    "zeros": (),
    "ones": (),
    "orthogonal": (),
}

__all__ = ["Initializer", *_RULES]


class Initializer(Record):
    """A rule by its name and numbers.

    Raises
    ------
    ArgumentError
        An unknown name, too many numbers, a negative std or low >= high.
    """

    name: str
    values: tuple[float, ...]

    def __init__(self, name: str, *values: float) -> None:
        if name not in _RULES:
            raise unknown("weight_init", name, _RULES)
        defaults = _RULES[name]
        if len(values) > len(defaults):
            raise ArgumentError(
                f"weight_init: {name!r} takes {len(defaults)} numbers, got {len(values)}: {values}"
            )
        given = tuple(real(f"weight_init: {name}", value) for value in values)
        complete = given + defaults[len(given) :]
        if name == "normal" and complete[0] < 0:
            raise ArgumentError(f"weight_init: normal(std) needs std >= 0, got {complete[0]:g}")
        if name == "uniform" and complete[0] >= complete[1]:
            raise ArgumentError(
                f"weight_init: uniform(low, high) needs low < high, got {complete[0]:g} and {complete[1]:g}"
            )
        self._set(name=name, values=complete)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.values))})" if self.values else self.name

    def __repr__(self) -> str:
        return f"Initializer({', '.join(map(repr, (self.name, *self.values)))})"


auto = Initializer("auto")
he_normal = Initializer("he_normal")
he_uniform = Initializer("he_uniform")
glorot_normal = Initializer("glorot_normal")
glorot_uniform = Initializer("glorot_uniform")
lecun_normal = Initializer("lecun_normal")
lecun_uniform = Initializer("lecun_uniform")
zeros = Initializer("zeros")
ones = Initializer("ones")
orthogonal = Initializer("orthogonal")


def normal(std: float = 0.05) -> Initializer:
    """N(0, std^2)"""
    return Initializer("normal", std)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform between low and high."""
    return Initializer("uniform", low, high)


def resolve(who: str, value: Any) -> Initializer | np.ndarray[Any, np.dtype[np.float64]]:
    """A name, ``"normal(0.02)"``, ``("normal", 0.02)``, an Initializer or an array, as one of the last two.

    Raises
    ------
    ArgumentError
        Not an initialiser, or an array with a number that is not finite.
    DTypeError
        An array that is not made of numbers.
    """
    if isinstance(value, Initializer):
        return value
    if isinstance(value, str):
        return _parse(who, value)
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return Initializer(*value)
    if isinstance(value, np.ndarray | list):
        return finite_numbers(who, value)
    raise ArgumentError(
        f"{who}: expected a name, an object of rg.init or an array, got {value!r} ({type(value).__name__}); "
        f"names are {', '.join(_RULES)}"
    )


def _parse(who: str, text: str) -> Initializer:
    name, bracket, rest = text.partition("(")
    name = name.strip()
    if name not in _RULES:
        raise unknown(who, text, _RULES)
    if not bracket:
        return Initializer(name)
    inside = rest.strip()
    try:
        if not inside.endswith(")"):
            raise ValueError
        parts = [part.rpartition("=")[2] for part in inside[:-1].split(",") if part.strip()]
        values = [float(part) for part in parts]
    except ValueError:
        raise ArgumentError(f"{who}: cannot read {text!r}; write for instance 'normal(0.02)'") from None
    return Initializer(name, *values)
