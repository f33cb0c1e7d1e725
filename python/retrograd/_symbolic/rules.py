"""What an operation computes, and its backward pass as the core writes it, in SymPy's expressions.

Values are NumPy arrays of expressions, of the shapes that the engine has: axis 0 is the batch where there is
one. The gradients are no derivative taken here: they copy the formulas of the core (``cpp/src/functions`` and
``cpp/src/ops``), so that SymPy's own derivative of the whole expression can be held against them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from retrograd.errors import ArgumentError, GraphError

if TYPE_CHECKING:
    from retrograd._core import Attributes

Expressions: TypeAlias = np.ndarray[Any, Any]


class Call(NamedTuple):
    """One use of an operation: what a rule may have to know besides the values."""

    op: str
    attributes: Attributes
    shape: tuple[int, ...]  # of the result, with the batch
    batched: bool  # the result has a batch
    batches: tuple[bool, ...]  # each operand has one
    wanted: tuple[bool, ...]  # a gradient of each operand is asked for
    training: bool  # batch norm takes the statistics of the batch


class Rule(NamedTuple):
    """value(call, *x) -> y, and gradients(call, dy, y, *x) -> dL/dx of each operand; None: there is none.

    ``held``: operands that the engine takes as constants, a loss's target for one.
    """

    value: Callable[..., Expressions]
    gradients: Callable[..., Sequence[Expressions | None]]
    held: tuple[int, ...] = ()


def sympy() -> Any:
    """The package, which only this needs.

    Raises
    ------
    ArgumentError
        It is not installed.
    """
    try:
        return import_module("sympy")
    except ImportError:
        raise ArgumentError(
            'this needs SymPy, which is not installed: pip install "retrograd[symbolic]"; '
            "rg.check_gradients compares with differences and needs nothing"
        ) from None


@cache
def all_rules() -> dict[str, Rule]:
    """Operation -> rule, of all that can be written as an expression."""
    from retrograd._symbolic import arrays, elementwise, images, losses, normalisation

    return {
        **elementwise.rules(),
        **arrays.rules(),
        **normalisation.rules(),
        **losses.rules(),
        **images.rules(),
    }


# Walks over many steps of numbers: as expressions they would be too long to read or to differentiate.
NOT_EXPRESSED = {
    "attention": "a softmax over all pairs of steps",
    "gru": "a walk over the steps of a sequence",
    "lstm": "a walk over the steps of a sequence",
    "simple_rnn": "a walk over the steps of a sequence",
}


def rule_of(op: str) -> Rule:
    """The rule of an operation.

    Raises
    ------
    GraphError
        There is none.
    """
    rules = all_rules()
    if op in rules:
        return rules[op]
    reason = NOT_EXPRESSED.get(op, "an operation that is not known here")
    raise GraphError(
        f"{op}: {reason}, which is not written as an expression of SymPy; check a network that has it with "
        f"rg.check_gradients(net, x, y, loss). Expressions there are of {', '.join(sorted(rules))}"
    )


def exact(value: float) -> Any:
    """A float as a fraction: 0.01 is 1/100, and what is no short decimal is what the float exactly holds.

    Raises
    ------
    GraphError
        NaN or infinite.
    """
    sp = sympy()
    number = float(value)
    if not np.isfinite(number):
        raise GraphError(f"a constant of the graph is {number}, which has no place in an expression")
    if number.is_integer():
        return sp.Integer(int(number))
    digits = repr(number).partition("e")[0].replace(".", "").lstrip("-0")
    return sp.Rational(repr(number)) if len(digits) <= 12 else sp.Rational(number)


@cache
def hidden_expression() -> Any:
    """The class of symbols that are called as the expression they stand for prints."""
    return type("Hidden", (sympy().Symbol,), {})


def in_condition(x: Any) -> Any:
    """x as it may stand in a condition: SymPy multiplies out a Piecewise there, branch by branch."""
    if not x.has(sympy().Piecewise):
        return x
    hidden = hidden_expression()(str(x), real=True)
    hidden.expression = x
    return hidden


def expressions(array: Any) -> Expressions:
    """A number, an expression or an array of either as an array of expressions."""
    given = np.asarray(array, dtype=object)
    to_expression = sympy().sympify
    flat = [to_expression(part) for part in given.flat]
    result = np.empty(given.shape, dtype=object)
    result.ravel()[:] = flat if given.shape else [flat[0]]
    return result


def each(function: Callable[..., Any], *arrays: Any) -> Expressions:
    """A function of expressions at every element, broadcast as in NumPy."""
    return np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), dtype=object)


def total(x: Any, axes: Sequence[int] | None = None, keepdims: bool = False) -> Expressions:
    """The sum over axes; None: over all."""
    array, add = np.asarray(x, dtype=object), sympy().Add
    chosen = range(array.ndim) if axes is None else [axis % array.ndim for axis in axes]
    kept = [axis for axis in range(array.ndim) if axis not in chosen]
    rows = array.transpose([*kept, *chosen]).reshape([array.shape[axis] for axis in kept] + [-1])
    result = np.empty(rows.shape[:-1], dtype=object)
    for at in np.ndindex(result.shape):
        result[at] = add(*rows[at])
    if not keepdims:
        return result
    return result.reshape([1 if axis in chosen else n for axis, n in enumerate(array.shape)])


def summed_to(gradient: Any, shape: tuple[int, ...]) -> Expressions:
    """The gradient of an operand that was repeated to meet the others: the sum over its copies."""
    g = np.asarray(gradient, dtype=object)
    more = g.ndim - len(shape)
    axes = [*range(more), *(more + i for i, n in enumerate(shape) if n == 1 and g.shape[more + i] != 1)]
    return (total(g, axes) if axes else g).reshape(shape)
