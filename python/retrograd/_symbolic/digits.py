"""The number that an expression has at a point, with 30 digits that can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrograd._symbolic.rules import hidden_expression, sympy

DIGITS = 30
_WORKING = 80  # digits that are computed with: 50 may cancel


class UndefinedError(ArithmeticError):
    """The expression has no real number there."""


class Point:
    """Values of symbols, and with them the values of expressions, each part of them once.

    Parameters
    ----------
    values
        Symbol -> float, taken for exactly the fraction that it is.
    held
        Symbol -> the expression it stands for.

    Attributes
    ----------
    corners
        Conditions met with equality: the point lies on a corner of a function.
    """

    def __init__(self, values: Mapping[Any, float], held: Mapping[Any, Any]) -> None:
        from importlib import import_module

        self._mp = import_module("mpmath").mp.clone()
        self._mp.dps = _WORKING
        self._memo: dict[Any, Any] = {symbol: self._mp.mpf(value) for symbol, value in values.items()}
        self._held = held
        self.corners: set[Any] = set()

    def value(self, expression: Any) -> Any:
        """An mpf.

        Raises
        ------
        UndefinedError
            A division by 0, the logarithm of a negative number.
        """
        if expression not in self._memo:
            try:
                number = self._computed(expression)
            except (ZeroDivisionError, ValueError, OverflowError) as error:
                raise UndefinedError(f"{expression}: {error}") from None
            if not self._mp.isfinite(number) or not isinstance(number, self._mp.mpf):
                raise UndefinedError(f"{expression} is {number}")
            self._memo[expression] = number
        return self._memo[expression]

    def magnitude(self, e: Any) -> Any:
        """What rounding errors of the value are relative to: sums of sizes in place of sums.

        Raises
        ------
        UndefinedError
            There is no value.
        """
        sp = sympy()
        if e.is_Add:
            return self._mp.fsum(map(self.magnitude, e.args))
        if e.is_Mul:
            return self._mp.fprod(map(self.magnitude, e.args))
        if e.is_Pow and e.exp.is_Integer and e.exp > 0:
            return self.magnitude(e.base) ** int(e.exp)
        if isinstance(e, sp.Piecewise):
            return next(self.magnitude(value) for value, condition in e.args if self._holds(condition))
        return abs(self.value(e))

    def number(self, expression: Any) -> float:
        """Rounded; 0 where all 30 digits of what is added up cancel.

        Raises
        ------
        UndefinedError
            There is no value.
        """
        value, scale = self.value(expression), self.magnitude(expression)
        return float(value) if abs(value) > scale * self._mp.mpf(10) ** -DIGITS else 0.0

    def agree(self, a: Any, b: Any) -> bool:
        """Whether two numbers are the same to 30 digits, of 1 where they are smaller."""
        scale = max(abs(a), abs(b), 1)
        return bool(abs(a - b) <= scale * self._mp.mpf(10) ** -DIGITS)

    def _computed(self, e: Any) -> Any:
        sp, mp = sympy(), self._mp
        if e.is_Rational:
            return mp.mpf(int(e.p)) / int(e.q)
        if isinstance(e, hidden_expression()):
            return self.value(e.expression)
        if e in self._held:
            return self.value(self._held[e])
        if isinstance(e, sp.Piecewise):
            for value, condition in e.args:
                if self._holds(condition):
                    return self.value(value)
            raise ValueError("no branch holds")
        x = [self.value(part) for part in e.args]
        if e.is_Add:
            return mp.fsum(x)
        if e.is_Mul:
            return mp.fprod(x)
        if e.is_Pow:
            return x[0] ** (int(e.exp) if e.exp.is_Integer else x[1])
        if isinstance(e, sp.Max | sp.Min):
            return max(x) if isinstance(e, sp.Max) else min(x)
        if isinstance(e, sp.Heaviside | sp.sign):
            return self._step(e, x[0])
        names = {"Abs": "fabs", "Pi": "pi", "Exp1": "e"}
        name = type(e).__name__
        function = getattr(mp, names.get(name, name), None)
        if function is None:
            raise ValueError(f"{name} has no number here")
        return function(*x) if x else +function

    def _step(self, e: Any, x: Any) -> Any:
        if x == 0:
            self.corners.add(e)
        if isinstance(e, sympy().sign):
            return self._mp.sign(x)
        return self._mp.mpf(0 if x < 0 else 1 if x > 0 else 0.5)

    def _holds(self, c: Any) -> bool:
        sp = sympy()
        if c in (True, False):
            return bool(c)
        if isinstance(c, sp.And):
            return all(map(self._holds, c.args))
        if isinstance(c, sp.Or):
            return any(map(self._holds, c.args))
        if isinstance(c, sp.Not):
            return not self._holds(c.args[0])
        if isinstance(c, sp.ITE):
            return self._holds(c.args[1] if self._holds(c.args[0]) else c.args[2])
        left, right = self.value(c.lhs), self.value(c.rhs)
        if left == right:
            self.corners.add(c)
        results = {
            sp.Gt: left > right,
            sp.Ge: left >= right,
            sp.Lt: left < right,
            sp.Le: left <= right,
            sp.Eq: left == right,
            sp.Ne: left != right,
        }
        return bool(results[type(c)])
