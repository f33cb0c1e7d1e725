"""Formulas as trees of quantities: written with symbols, written with numbers, evaluated.

A tree is built with Python's operators, ``w * x + b``, and says everything that a line of the report shows:
its leaves have a symbol and a number each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from retrograd._arguments import Record

__all__ = [
    "Call",
    "Expression",
    "Negative",
    "Number",
    "Power",
    "Product",
    "Quantity",
    "Quotient",
    "Sum",
    "call",
    "product_of",
    "sum_of",
]


def _sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else math.exp(z) / (1.0 + math.exp(z))


def _sign(z: float) -> float:
    return (z > 0) - (z < 0) + 0.0


FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "log": math.log,
    "tanh": math.tanh,
    "erf": math.erf,
    "sqrt": math.sqrt,
    "abs": abs,
    "sign": _sign,
    "sigmoid": _sigmoid,
    "max": max,
    "min": min,
}


class Expression(Record):
    """A tree; operators make larger ones."""

    def value(self) -> float:
        """The number it stands for, in float64 from the full precision of its leaves."""
        raise NotImplementedError

    def parts(self) -> Sequence[Expression]:
        """The trees right below."""
        return ()

    def leaves(self) -> Iterator[Expression]:
        """Quantities and numbers, from left to right."""
        parts = self.parts()
        if not parts:
            yield self
        for part in parts:
            yield from part.leaves()

    def __add__(self, other: Expression | float) -> Expression:
        return Sum((*_terms(self), *_terms(_expression(other))))

    def __radd__(self, other: float) -> Expression:
        return _expression(other) + self

    def __sub__(self, other: Expression | float) -> Expression:
        return Sum((*_terms(self), (-1, _expression(other))))

    def __rsub__(self, other: float) -> Expression:
        return _expression(other) - self

    def __mul__(self, other: Expression | float) -> Expression:
        if isinstance(self, Negative):  # the sign stays in front
            return -(self.of * other)
        return Product((*_factors(self), *_factors(_expression(other))))

    def __rmul__(self, other: float) -> Expression:
        return _expression(other) * self

    def __truediv__(self, other: Expression | float) -> Expression:
        if isinstance(self, Negative):
            return -(self.of / other)
        return Quotient(self, _expression(other))

    def __rtruediv__(self, other: float) -> Expression:
        return Quotient(_expression(other), self)

    def __pow__(self, other: Expression | int) -> Expression:
        return Power(self, _expression(other))

    def __neg__(self) -> Expression:
        return Negative(self)


class Number(Expression):
    """A number that is part of a formula: the 1 of 1 - a^2."""

    number: float

    def __init__(self, number: float) -> None:
        self._set(number=number)

    def value(self) -> float:
        return self.number


class Quantity(Expression):
    """A symbol and its number: z of sample 2, unit 1, layer 1.

    Parameters
    ----------
    letter
        Its name in :data:`retrograd._explain.notation.LETTERS`; "dw" is the derivative dL/dw.
    number
        What it is.
    index
        Unit, or unit and input; counted from 1.
    sample, layer
        Counted from 1; 0 where it has none.
    new
        Whether it is what an update made: written with a prime.
    """

    letter: str
    number: float
    index: tuple[int, ...]
    sample: int
    layer: int
    new: bool

    def __init__(
        self,
        letter: str,
        number: Any,
        index: tuple[int, ...] = (),
        sample: int = 0,
        layer: int = 0,
        new: bool = False,
    ) -> None:
        self._set(letter=letter, number=float(number), index=index, sample=sample, layer=layer, new=new)

    def value(self) -> float:
        return self.number


class Sum(Expression):
    """Terms with their signs, 1 or -1."""

    terms: tuple[tuple[int, Expression], ...]

    def __init__(self, terms: tuple[tuple[int, Expression], ...]) -> None:
        self._set(terms=terms)

    def value(self) -> float:
        return math.fsum(sign * term.value() for sign, term in self.terms)

    def parts(self) -> Sequence[Expression]:
        return [term for _, term in self.terms]


class Product(Expression):
    """Factors."""

    factors: tuple[Expression, ...]

    def __init__(self, factors: tuple[Expression, ...]) -> None:
        self._set(factors=factors)

    def value(self) -> float:
        return math.prod(factor.value() for factor in self.factors)

    def parts(self) -> Sequence[Expression]:
        return self.factors


class Quotient(Expression):
    """top / bottom"""

    top: Expression
    bottom: Expression

    def __init__(self, top: Expression, bottom: Expression) -> None:
        self._set(top=top, bottom=bottom)

    def value(self) -> float:
        return self.top.value() / self.bottom.value()

    def parts(self) -> Sequence[Expression]:
        return (self.top, self.bottom)


class Power(Expression):
    """base ^ exponent"""

    base: Expression
    exponent: Expression

    def __init__(self, base: Expression, exponent: Expression) -> None:
        self._set(base=base, exponent=exponent)

    def value(self) -> float:
        result: float = self.base.value() ** self.exponent.value()
        return result

    def parts(self) -> Sequence[Expression]:
        return (self.base, self.exponent)


class Negative(Expression):
    """-of"""

    of: Expression

    def __init__(self, of: Expression) -> None:
        self._set(of=of)

    def value(self) -> float:
        return -self.of.value()

    def parts(self) -> Sequence[Expression]:
        return (self.of,)


class Call(Expression):
    """A function of :data:`FUNCTIONS` and its arguments."""

    function: str
    arguments: tuple[Expression, ...]

    def __init__(self, function: str, arguments: tuple[Expression, ...]) -> None:
        self._set(function=function, arguments=arguments)

    def value(self) -> float:
        return FUNCTIONS[self.function](*(argument.value() for argument in self.arguments))

    def parts(self) -> Sequence[Expression]:
        return self.arguments


def call(function: str, *arguments: Expression | float) -> Expression:
    """``call("max", 0, z)``"""
    return Call(function, tuple(_expression(argument) for argument in arguments))


def sum_of(terms: Sequence[Expression]) -> Expression:
    """One term is itself; none are 0."""
    if len(terms) == 1:
        return terms[0]
    return Sum(tuple(signed for term in terms for signed in _terms(term))) if terms else Number(0)


def product_of(factors: Sequence[Expression]) -> Expression:
    """One factor is itself; none are 1."""
    if len(factors) == 1:
        return factors[0]
    return Product(tuple(factors)) if factors else Number(1)


def _expression(value: Expression | float) -> Expression:
    return value if isinstance(value, Expression) else Number(value)


def _terms(expression: Expression) -> tuple[tuple[int, Expression], ...]:
    if isinstance(expression, Sum):
        return expression.terms
    if isinstance(expression, Negative):
        return ((-1, expression.of),)
    return ((1, expression),)


def _factors(expression: Expression) -> tuple[Expression, ...]:
    return expression.factors if isinstance(expression, Product) else (expression,)
