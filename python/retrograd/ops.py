"""Operations on nodes: the same names, broadcasting and axes as in NumPy.

An operand is a node, a number or an array; at least one is a node. In a graph with ``Input``, axis 0 is the
batch: no operation may reduce, move or contract it (``GraphError``). Every activation is an operation as well
(``rg.ops.relu``, ...; see :mod:`retrograd.activations`). Shapes are checked at once: ``ShapeError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrograd._arguments import integer, real
from retrograd.graph import Node, operation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd._core import Attributes
    from retrograd.graph import Operand

    def __getattr__(name: str) -> Callable[..., Node]: ...  # the activations: activations.py puts them here


__all__ = [
    "abs",
    "add",
    "arctan",
    "clip",
    "concatenate",
    "cos",
    "divide",
    "equal",
    "exp",
    "gather",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "one_hot",
    "power",
    "reshape",
    "sin",
    "slice",
    "softmax",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "sum",
    "transpose",
    "where",
]


# ------------------------------------------------------------------------------------- two operands


def matmul(a: Operand, b: Operand) -> Node:
    """a @ b, the sum over a's last axis and b's last but one. [..., n, k] x [..., k, m] -> [..., n, m]

    Axes before the matrices broadcast.
    """
    return operation("matmul", a, b)


def add(a: Operand, b: Operand) -> Node:
    """a + b"""
    return operation("add", a, b)


def subtract(a: Operand, b: Operand) -> Node:
    """a - b"""
    return operation("subtract", a, b)


def multiply(a: Operand, b: Operand) -> Node:
    """a * b, element by element"""
    return operation("multiply", a, b)


def divide(a: Operand, b: Operand) -> Node:
    """a / b, element by element"""
    return operation("divide", a, b)


def power(a: Operand, b: Operand) -> Node:
    """a ** b, element by element; for 2, ``square`` is faster and exact"""
    return operation("power", a, b)


def maximum(a: Operand, b: Operand) -> Node:
    """The larger of a and b; where they are equal each has half of the derivative. NaN is handed on."""
    return operation("maximum", a, b)


def minimum(a: Operand, b: Operand) -> Node:
    """The smaller of a and b; where they are equal each has half of the derivative. NaN is handed on."""
    return operation("minimum", a, b)


def less(a: Operand, b: Operand) -> Node:
    """1 where a < b, else 0; without a derivative"""
    return operation("less", a, b)


def less_equal(a: Operand, b: Operand) -> Node:
    """1 where a <= b, else 0; without a derivative"""
    return operation("less_equal", a, b)


def greater(a: Operand, b: Operand) -> Node:
    """1 where a > b, else 0; without a derivative"""
    return operation("greater", a, b)


def greater_equal(a: Operand, b: Operand) -> Node:
    """1 where a >= b, else 0; without a derivative"""
    return operation("greater_equal", a, b)


def equal(a: Operand, b: Operand) -> Node:
    """1 where a == b, else 0; without a derivative"""
    return operation("equal", a, b)


def not_equal(a: Operand, b: Operand) -> Node:
    """1 where a != b, else 0; without a derivative"""
    return operation("not_equal", a, b)


def where(condition: Operand, a: Operand, b: Operand) -> Node:
    """a where the condition is not 0, else b; the derivative goes to the one that was taken."""
    return operation("where", condition, a, b)


# -------------------------------------------------------------------------------------- one operand


def negative(x: Operand) -> Node:
    """-x"""
    return operation("negative", x)


def exp(x: Operand) -> Node:
    """e ** x"""
    return operation("exp", x)


def log(x: Operand) -> Node:
    """The natural logarithm."""
    return operation("log", x)


def sqrt(x: Operand) -> Node:
    """The square root."""
    return operation("sqrt", x)


def square(x: Operand) -> Node:
    """x * x"""
    return operation("square", x)


def abs(x: Operand) -> Node:
    """|x|, with derivative 0 at 0"""
    return operation("abs", x)


def sin(x: Operand) -> Node:
    """The sine of x in radians."""
    return operation("sin", x)


def cos(x: Operand) -> Node:
    """The cosine of x in radians."""
    return operation("cos", x)


def arctan(x: Operand) -> Node:
    """The angle in -pi/2..pi/2 whose tangent is x."""
    return operation("arctan", x)


def clip(x: Operand, low: float, high: float) -> Node:
    """min(max(x, low), high); no gradient passes where x is outside.

    Raises
    ------
    ArgumentError
        low is above high.
    """
    return operation("clip", x, low=real("clip: low", low), high=real("clip: high", high))


def stop_gradient(x: Operand) -> Node:
    """x itself, through which no gradient passes."""
    return operation("stop_gradient", x)


# --------------------------------------------------------------------------------------- reductions


def _axes(axis: int | Sequence[int] | None, keepdims: bool) -> Attributes:
    attributes: Attributes = {"keepdims": bool(keepdims)}
    if axis is not None:
        attributes["axis"] = [axis] if isinstance(axis, int) else [int(a) for a in axis]
    return attributes


def sum(x: Operand, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """The sum over ``axis``; None: over all axes but the batch.

    Axes are counted as in NumPy: in a graph with ``Input``, 0 is the batch, which cannot be reduced.
    """
    return operation("sum", x, **_axes(axis, keepdims))


def mean(x: Operand, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """The mean over ``axis``, counted as in ``sum``."""
    return operation("mean", x, **_axes(axis, keepdims))


def max(x: Operand, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """The largest over ``axis``, counted as in ``sum``; equal largest ones share the derivative."""
    return operation("max", x, **_axes(axis, keepdims))


def logsumexp(x: Operand, axis: int | Sequence[int] | None = -1, keepdims: bool = False) -> Node:
    """log(sum(exp(x))) over ``axis``, without overflow."""
    return operation("logsumexp", x, **_axes(axis, keepdims))


def softmax(x: Operand) -> Node:
    """exp(x) / sum(exp(x)) over the last axis: positive, with sum 1"""
    return operation("softmax", x)


def log_softmax(x: Operand) -> Node:
    """x - log(sum(exp(x))) over the last axis: the logarithm of ``softmax``, exact where that rounds to 0"""
    return operation("log_softmax", x)


# ------------------------------------------------------------------------------------------- shapes


def reshape(x: Operand, shape: int | Sequence[int]) -> Node:
    """The same numbers in the same order, in another shape.

    Parameters
    ----------
    shape
        Of one sample where x has a batch (which stays as it is); one size may be -1 and is worked out.
    """
    wanted = [shape] if isinstance(shape, int) else [int(n) for n in shape]
    return operation("reshape", x, shape=wanted)


def transpose(x: Operand, axes: Sequence[int] | None = None) -> Node:
    """Axis i of the result is axis ``axes[i]`` of x; None: all axes but the batch reversed.

    Axes are counted as in NumPy; where there is a batch, axis 0 stays first.
    """
    if axes is None:
        return operation("transpose", x)
    return operation("transpose", x, axes=[int(a) for a in axes])


def concatenate(nodes: Sequence[Operand], axis: int = -1) -> Node:
    """The operands one after another along ``axis``."""
    return operation("concatenate", *nodes, axis=int(axis))


def slice(x: Operand, axis: int, start: int | None = None, stop: int | None = None, step: int = 1) -> Node:
    """``x[..., start:stop:step, ...]`` along one axis, with Python's rules for what is None or negative."""
    attributes: Attributes = {"axis": int(axis), "step": int(step)}
    if start is not None:
        attributes["start"] = int(start)
    if stop is not None:
        attributes["stop"] = int(stop)
    return operation("slice", x, **attributes)


def gather(table: Operand, index: Node) -> Node:
    """Rows of a table: ``table[index]``. [rows, ...] and [batch, ...] of indices -> [batch, ..., ...]

    Raises
    ------
    DTypeError
        ``index`` does not come from an input of an integer dtype.
    """
    return operation("gather", table, index)


def one_hot(index: Node, count: int) -> Node:
    """A row of ``count`` zeros with a 1 at the index. [batch, ...] of indices -> [batch, ..., count]

    Raises
    ------
    ArgumentError
        ``count`` is not at least 1.
    DTypeError
        ``index`` does not come from an input of an integer dtype.
    """
    return operation("one_hot", index, count=integer("one_hot: count", count))
