"""Objects that are nothing but their arguments, and the checks that arguments pass through.

Dense, Adam or Huber are records: made once, never changed, shown as the call that makes them again. The
standard library's dataclasses would do, but importing and building them costs a third of our import time.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.errors import ArgumentError, DTypeError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Record:
    """An object made of its arguments: read-only, compared by value, shown as the call that makes it."""

    def _set(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"{type(self).__name__}.{name} cannot be changed: what was made of it would not follow; "
            f"make a new {type(self).__name__} with {name}={value!r}"
        )

    def _shown(self) -> dict[str, Any]:
        """The arguments as they were given; what differs from the default is part of the repr."""
        return self.__dict__

    def __repr__(self) -> str:
        from inspect import Parameter, signature

        values, parts = self._shown(), []
        for name, parameter in signature(type(self)).parameters.items():
            value = values[name]
            if parameter.default is Parameter.empty:
                parts.append(show(value))
            elif not same(value, parameter.default):
                parts.append(f"{name}={show(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        theirs = other.__dict__
        return all(same(value, theirs[name]) for name, value in self.__dict__.items())

    def __hash__(self) -> int:
        return hash((type(self), *(show(value) for value in self.__dict__.values())))


def same(a: Any, b: Any) -> bool:
    """Equality that is one truth value for arrays too."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)


def show(value: Any) -> str:
    """A value as one would type it; large arrays by dtype and shape only."""
    if isinstance(value, np.ndarray):
        if value.size <= 16:
            return f"np.array({value.tolist()!r})"
        return f"<{value.dtype} array of shape {value.shape}>"
    if callable(value) and not isinstance(value, Record):
        return str(getattr(value, "__name__", None) or repr(value))
    return repr(value)


def unknown(what: str, name: object, names: Iterable[str]) -> ArgumentError:
    """The error for a name that is not in a list: the nearest one, and all there are."""
    known = list(names)
    return ArgumentError(
        f"{what}: unknown name {name!r};{nearest(name, known)} choose one of {', '.join(known)}"
    )


def nearest(name: object, names: Iterable[str]) -> str:
    """ " did you mean 'relu'?" or nothing."""
    from difflib import get_close_matches

    found = get_close_matches(str(name), list(names), n=1, cutoff=0.5)
    return f" did you mean {found[0]!r}?" if found else ""


def integer(who: str, value: object, low: int = 1, high: int = 2**63 - 1) -> int:
    """``value`` as an int in low..high."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError(
            f"{who}: expected a whole number, got {value!r} ({type(value).__name__})"
        ) from None
    if not low <= number <= high:
        limit = f"at least {low}" if high >= 2**63 - 1 else f"{low} to {high}"
        raise ArgumentError(f"{who}: expected {limit}, got {number}")
    return number


def seed_of(who: str, value: object) -> int:
    """A seed: a whole number of at most 64 bits."""
    return integer(f"{who}: seed", value, 0, 2**64 - 1)


def real(
    who: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """``value`` as a finite float with low <= value <= high, above < value, value < below."""
    refused = bool | np.bool_ | str | bytes | complex | np.ndarray
    if isinstance(value, refused) or not hasattr(value, "__float__"):
        raise ArgumentError(f"{who}: expected a number, got {value!r} ({type(value).__name__})")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    limits = [
        (number >= low, f"at least {low:g}"),
        (number <= high, f"at most {high:g}"),
        (above is None or number > above, f"more than {above}"),
        (below is None or number < below, f"less than {below}"),
    ]
    if not math.isfinite(number):
        raise ArgumentError(f"{who}: expected a finite number, got {number}")
    for holds, expected in limits:
        if not holds:
            raise ArgumentError(f"{who}: expected {expected}, got {number:g}")
    return number


def flag(who: str, value: object) -> bool:
    """``value`` as a bool; only True and False are."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise ArgumentError(f"{who}: expected True or False, got {value!r}")


def text(who: str, value: object) -> str:
    """``value`` as a str; None is the empty one."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise ArgumentError(f"{who}: expected a string, got {value!r} ({type(value).__name__})")


def finite_numbers(who: str, value: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Plain numbers as float64, none of them NaN or infinite."""
    array = numbers(who, value)
    bad = ~np.isfinite(array)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f" at {list(index)}" if index else ""
        raise ArgumentError(f"{who}: {array[index]}{where}, expected finite numbers")
    return array


def numbers(who: str, value: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Plain numbers (a number, an array, a list) as float64."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            f"{who}: a masked array has elements that are no numbers; fill them first (.filled(value))"
        )
    if isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
        try:
            array = np.asarray(value)
        except ValueError as error:  # rows of different lengths
            raise DTypeError(f"{who}: expected numbers in rows of equal length ({error})") from None
        if array.dtype.kind in "fiub":
            return array.astype(np.float64)
        raise DTypeError(f"{who}: expected numbers, got dtype {array.dtype}")
    raise DTypeError(f"{who}: expected a number or an array of numbers, got {type(value).__name__}")
