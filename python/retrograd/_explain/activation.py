"""What each activation makes of z, and its slope, as formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from retrograd._explain.expression import Expression, Number, Quantity, call, sum_of

__all__ = ["activated", "log_sum", "slope", "softmax", "through"]

# The formula, and why this branch of it
Branch: TypeAlias = tuple[Expression, str]

_EXP_FITS = 700  # exp of more is no float64
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717
_SCALE = Quantity("selu_scale", SELU_SCALE)
_ALPHA = Quantity("selu_alpha", SELU_ALPHA)


def _plain(formula: Callable[[Quantity], Expression]) -> Callable[[Quantity], Branch]:
    return lambda z: (formula(z), "")


def _exp(x: Expression | float) -> Expression:
    return call("exp", x)


def _softplus(z: Expression) -> Expression:
    return call("log", 1 + _exp(z))


def _gauss(z: Expression) -> Expression:
    """The probability that a standard normal number is at most z."""
    return (1 + call("erf", z / call("sqrt", 2))) / 2


def _six(z: Expression) -> Expression:
    return call("min", call("max", z + 3, 0), 6) / 6


def _sided(z: Quantity, right: Expression, left: Expression) -> Branch:
    return (right, "z > 0") if z.number > 0 else (left, "z ≤ 0")


_VALUES: dict[str, Callable[[Quantity], Branch]] = {
    "linear": _plain(lambda z: z),
    "sigmoid": _plain(lambda z: 1 / (1 + _exp(-z))),
    "tanh": _plain(lambda z: call("tanh", z)),
    "relu": _plain(lambda z: call("max", 0, z)),
    "leaky_relu": lambda z: _sided(z, z, 0.01 * z),
    "elu": lambda z: _sided(z, z, _exp(z) - 1),
    "selu": lambda z: _sided(z, _SCALE * z, _SCALE * _ALPHA * (_exp(z) - 1)),
    "gelu": _plain(lambda z: z * _gauss(z)),
    "silu": _plain(lambda z: z / (1 + _exp(-z))),
    "softplus": _plain(_softplus),
    "softsign": _plain(lambda z: z / (1 + call("abs", z))),
    "mish": _plain(lambda z: z * call("tanh", _softplus(z))),
    "hard_sigmoid": _plain(_six),
    "hard_swish": _plain(lambda z: z * _six(z)),
    "exp": _plain(_exp),
}


def _number(z: Quantity) -> float:
    return z.number


def _fits(z: Sequence[Quantity]) -> bool:
    return abs(max(z, key=_number).number) < _EXP_FITS


def exponentials(z: Sequence[Quantity]) -> list[Expression]:
    """exp(z_k), each divided by that of the largest z where exp would overflow."""
    if _fits(z):
        return [_exp(one) for one in z]
    largest = max(z, key=_number)
    return [_exp(one - largest) for one in z]


def log_sum(z: Sequence[Quantity]) -> Expression:
    """The logarithm of the sum of exp(z_k)."""
    total = call("log", sum_of(exponentials(z)))
    return total if _fits(z) else max(z, key=_number) + total


def softmax(z: Sequence[Quantity], j: int) -> Expression:
    """exp(z_j) / sum of exp(z_k)"""
    powers = exponentials(z)
    return powers[j] / sum_of(powers)


def activated(activation: str, z: Sequence[Quantity], j: int) -> Branch:
    """a_j of all z of its layer, and why the formula is this one where it depends on z."""
    shifted = "" if _fits(z) else "the largest z is taken from each, as exp would overflow"
    if activation == "softmax":
        return softmax(z, j), shifted
    if activation == "log_softmax":
        return z[j] - log_sum(z), shifted
    return _VALUES[activation](z[j])


def _mish_slope(z: Quantity) -> Expression:
    t = call("tanh", _softplus(z))
    return t + z * (1 - t**2) * call("sigmoid", z)


def _hard_sigmoid_slope(z: Quantity) -> Branch:
    return (Number(1) / 6, "|z| < 3") if abs(z.number) < 3 else (Number(0), "|z| ≥ 3")


def _hard_swish_slope(z: Quantity) -> Branch:
    if z.number <= -3:
        return Number(0), "z ≤ −3"
    return (Number(1), "z ≥ 3") if z.number >= 3 else (z / 3 + Number(1) / 2, "|z| < 3")


def slope(activation: str, z: Quantity, a: Quantity) -> Branch:
    """da/dz of an activation that acts on each z alone."""
    one, zero = Number(1), Number(0)
    gauss_slope = z * _exp(-(z**2) / 2) / call("sqrt", 2 * Quantity("pi", math.pi))
    formulas: dict[str, Callable[[], Branch]] = {
        "linear": lambda: (one, ""),
        "sigmoid": lambda: (a * (1 - a), ""),
        "tanh": lambda: (1 - a**2, ""),
        "relu": lambda: _sided(z, one, zero),
        "leaky_relu": lambda: _sided(z, one, Number(0.01)),
        "elu": lambda: _sided(z, one, a + 1),
        "selu": lambda: _sided(z, _SCALE, a + _SCALE * _ALPHA),
        "gelu": lambda: (_gauss(z) + gauss_slope, ""),
        "silu": lambda: (call("sigmoid", z) * (1 + z * (1 - call("sigmoid", z))), ""),
        "softplus": lambda: (call("sigmoid", z), ""),
        "softsign": lambda: (1 / (1 + call("abs", z)) ** 2, ""),
        "mish": lambda: (_mish_slope(z), ""),
        "hard_sigmoid": lambda: _hard_sigmoid_slope(z),
        "hard_swish": lambda: _hard_swish_slope(z),
        "exp": lambda: (a, ""),
    }
    return formulas[activation]()


def through(
    activation: str, z: Sequence[Quantity], a: Sequence[Quantity], da: Sequence[Quantity], j: int
) -> Branch:
    """dL/dz_j of dL/da of all units of the layer."""
    if activation == "softmax":
        mean = sum_of([one * other for one, other in zip(da, a, strict=True)])
        return a[j] * (da[j] - mean), ""
    if activation == "log_softmax":
        return da[j] - _exp(a[j]) * sum_of(da), ""
    formula, note = slope(activation, z[j], a[j])
    return da[j] * formula, note
