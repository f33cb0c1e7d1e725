"""Nodes: expressions whose shapes are known and whose numbers are not yet.

>>> x = rg.Input(2)
>>> h = rg.Dense(3, activation="tanh")(x)
>>> h * 0.5 + 1                             # NumPy's operators and broadcasting

A node never changes. ``Input`` has a batch of samples on axis 0; ``Variable``, ``Placeholder`` and constants
have none, and meet every sample of a batch alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from retrograd import _core
from retrograd._arguments import finite_numbers, integer, numbers, text
from retrograd._core import Node
from retrograd.errors import ArgumentError, DTypeError, GraphError
from retrograd.init import Initializer
from retrograd.init import resolve as resolve_init

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, DTypeLike

    from retrograd._core import Attribute

    Operand: TypeAlias = Node | ArrayLike

__all__ = ["Input", "Node", "Placeholder", "Variable", "constant"]

_INDEX_DTYPES = ("int32", "int64")
_REAL_DTYPES = ("float16", "float32", "float64", "uint8", "bool")


def shape_text(shape: Sequence[int | None]) -> str:
    """``(None, 10)`` as "(batch, 10)"."""
    parts = ["batch" if n is None else str(n) for n in shape]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def dims_of(who: str, shape: object) -> list[int]:
    """A shape argument (a number or a sequence of them) as a list of sizes."""
    if isinstance(shape, str | bytes) or not hasattr(shape, "__iter__"):
        return [integer(f"{who}: shape", shape)]
    return [integer(f"{who}: shape", n) for n in shape]


def Input(shape: int | Sequence[int], dtype: DTypeLike | None = None, name: str | None = None) -> Node:
    """A place for a batch of samples: what a model is given.

    Parameters
    ----------
    shape
        The shape of one sample, without the batch axis; ``784`` means ``(784,)``.
    dtype
        None for floats (the model's own precision). ``"int32"`` and ``"int64"`` make indices; ``"uint8"`` and
        ``"bool"`` count as their value, 0 to 255 and 0 or 1.
    name
        How errors and files call it.

    Returns
    -------
    Node
        Of shape [batch, *shape].

    Raises
    ------
    ArgumentError
        A size that is no whole number above 0.
    DTypeError
        A dtype that is none of those above.
    """
    kind = "real"
    if dtype is not None:
        try:
            wanted = np.dtype(dtype).name
        except TypeError:
            wanted = str(dtype)
        if wanted not in _INDEX_DTYPES + _REAL_DTYPES:
            raise DTypeError(
                f"Input: dtype is {wanted!r}, expected None (floats) or one of "
                f"{', '.join(_REAL_DTYPES + _INDEX_DTYPES)}"
            )
        kind = "index" if wanted in _INDEX_DTYPES else "real"
    return _core.input(dims_of("Input", shape), kind, text("Input: name", name))


def Placeholder(shape: int | Sequence[int] = (), name: str | None = None) -> Node:
    """An array that is given anew whenever the graph runs, and that has no batch axis.

    Raises
    ------
    ArgumentError
        A size that is no whole number above 0.
    """
    return _core.placeholder(dims_of("Placeholder", shape), text("Placeholder: name", name))


def Variable(
    value: ArrayLike | Initializer, name: str | None = None, shape: int | Sequence[int] | None = None
) -> Node:
    """An array that training changes: a parameter, beginning at ``value``.

    It has no batch axis; every sample meets the same one.

    Parameters
    ----------
    value
        Numbers; or, with ``shape``, how to begin: a name (``"he_normal"``) or an object of
        :mod:`retrograd.init`. Each model then draws its own numbers by its ``seed``.
    name
        The key of ``net.parameters``, which is no other's: ``"gate.weight"``. Default: ``variable_0``, ...
        What ends in "weight" is penalised by ``l1`` and ``l2``, like the weights of layers.
    shape
        Of the parameter. For the rules that count inputs and units it is [units, ..., inputs].

    Raises
    ------
    ArgumentError
        A number that is not finite, an unknown initialiser, or one without a shape or for another shape.
    DTypeError
        ``value`` is not made of numbers.
    """
    title = text("Variable: name", name)
    if shape is not None:
        return _by_rule(title, value, dims_of("Variable", shape))
    if isinstance(value, Initializer | str):
        raise ArgumentError(f"Variable: to begin by {str(value)!r} it needs its shape=, (4, 3) for instance")
    return _core.variable(finite_numbers("Variable", value), title)


def _by_rule(name: str, value: Any, dims: list[int]) -> Node:
    who = name or "Variable"
    rule = resolve_init(who, value)
    if not isinstance(rule, Initializer):
        raise ArgumentError(f"{who}: numbers have a shape of their own; leave shape= out")
    kind = "glorot_uniform" if rule.name == "auto" else rule.name
    if len(dims) < 2 and kind not in ("zeros", "ones", "normal", "uniform"):
        raise ArgumentError(
            f"{who}: {kind} needs at least two axes, [units, ..., inputs], got shape {tuple(dims)}; "
            "choose zeros, ones, normal(std) or uniform(low, high)"
        )
    a, b = (*rule.values, 0.0, 0.0)[:2]
    between = math.prod(dims[1:-1])
    fan_in, fan_out = (between * dims[-1], between * dims[0]) if dims else (1, 1)
    return _core.variable_by_rule(dims, kind, a, b, fan_in, fan_out, name)


def constant(value: ArrayLike, name: str | None = None) -> Node:
    """An array that never changes. Numbers and arrays in expressions become constants by themselves.

    Raises
    ------
    DTypeError
        ``value`` is not made of numbers.
    """
    return _core.constant(numbers("constant", value), text("constant: name", name))


def operation(op: str, *operands: Operand, **attributes: Attribute) -> Node:
    """The node of an operation of the core; numbers and arrays among the operands become constants."""
    if not any(isinstance(operand, Node) for operand in operands):
        kinds = " and ".join(type(operand).__name__ for operand in operands)
        raise DTypeError(f"{op}: expected a node, got {kinds}; for plain numbers use NumPy")
    nodes = [
        operand if isinstance(operand, Node) else _core.constant(numbers(op, operand), "")
        for operand in operands
    ]
    return _core.apply(op, attributes, nodes)


def _power(base: Operand, exponent: Operand) -> Node:
    # a square has an exact derivative everywhere; the general power goes through a logarithm
    if isinstance(exponent, int | float) and exponent == 2:
        return operation("square", base)
    return operation("power", base, exponent)


def _no_truth(self: Node) -> bool:
    raise GraphError(
        f"{self!r} is neither true nor false: it has no value while the graph is built; "
        "put the choice into the graph with rg.ops.where"
    )


def _no_parts(self: Node, index: object) -> Node:
    raise GraphError(
        f"{self!r} is one node and can be neither indexed nor unpacked; rg.ops.slice takes a range along an "
        "axis, rg.ops.gather takes rows, and rg.ops.sum(x, axis=-1) drops a last axis of 1"
    )


def _repr(self: Node) -> str:
    what = self.name or (self.op if self.kind == "operation" else self.kind)
    return f"<Node {what}: shape {shape_text(self.shape)}>"


def _binary(op: str) -> Callable[[Node, Any], Node]:
    return lambda self, other: operation(op, self, other)


def _reflected(op: str) -> Callable[[Node, Any], Node]:
    return lambda self, other: operation(op, other, self)


# Written here and not in C++: numbers and arrays become constants by the same rule as in `operation`. ==
# stays Python's own, since nodes are keys of dictionaries; rg.ops.equal compares values.
_METHODS: dict[str, Any] = {
    f"__{name}__": method
    for operator, op in (
        ("add", "add"),
        ("sub", "subtract"),
        ("mul", "multiply"),
        ("truediv", "divide"),
        ("matmul", "matmul"),
    )
    for name, method in ((operator, _binary(op)), (f"r{operator}", _reflected(op)))
}
_METHODS |= {
    "__pow__": _power,
    "__rpow__": lambda self, other: _power(other, self),
    "__neg__": lambda self: operation("negative", self),
    "__pos__": lambda self: self,
    "__abs__": lambda self: operation("abs", self),
    "__lt__": _binary("less"),
    "__le__": _binary("less_equal"),
    "__gt__": _binary("greater"),
    "__ge__": _binary("greater_equal"),
    "__bool__": _no_truth,
    "__getitem__": _no_parts,  # iteration and unpacking come here as well
    "__repr__": _repr,
    "__array_ufunc__": None,  # array * node is for us to answer, not an array of nodes
}
for _name, _method in _METHODS.items():
    setattr(Node, _name, _method)
