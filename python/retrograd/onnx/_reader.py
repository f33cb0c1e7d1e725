"""What the small functions that read operators work with: values, their axes, parameters, layers so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import ops
from retrograd.errors import GraphError, ShapeError
from retrograd.graph import Node, Variable, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd._core import Array

BATCH = -1  # stands for the size of the batch in a shape that a file computes


class Value:
    """A tensor of a file: numbers that are known, or a node whose axes may be in another order.

    Attributes
    ----------
    array
        The numbers, where no input has a part in them.
    node, order
        Axis i of the tensor is axis ``order[i]`` of the node, whose axis 0 is the batch. So a transpose costs
        nothing, and two of them that undo each other leave no trace.
    step
        What computes it of parameters: only where a layer does not take the array itself.
    """

    def __init__(
        self,
        name: str,
        array: Array | None = None,
        node: Node | None = None,
        order: Sequence[int] | None = None,
        trained: bool = False,
        step: Step | None = None,
    ) -> None:
        self.name = name
        self.array = array
        self.node = node
        self.order = (
            tuple(range(len(node.shape))) if order is None and node is not None else tuple(order or ())
        )
        self.trained = trained
        self.step = step

    @property
    def batched(self) -> bool:
        """Whether an input has a part in it."""
        return self.node is not None and self.node.batched

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape; ``BATCH`` for the batch."""
        if self.node is None:
            assert self.array is not None
            return self.array.shape
        sizes = [BATCH if n is None else n for n in self.node.shape]
        return tuple(sizes[axis] for axis in self.order)

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)


class Step:
    """An operator of a file with its operands."""

    def __init__(
        self, op: str, name: str, inputs: list[Value | None], attributes: dict[str, Any], outputs: list[str]
    ) -> None:
        self.op = op
        self.name = name
        self.inputs = inputs
        self.attributes = attributes
        self.outputs = outputs

    def __len__(self) -> int:
        return len(self.inputs)

    def value(self, k: int) -> Value:
        """Operand k.

        Raises
        ------
        GraphError
            It has none.
        """
        found = self.given(k)
        if found is None:
            raise GraphError(f"operand {k} is missing")
        return found

    def given(self, k: int) -> Value | None:
        """Operand k, or None."""
        return self.inputs[k] if k < len(self.inputs) else None

    def numbers(self, k: int, what: str) -> Array:
        """Operand k, which must be known when the file is read.

        Raises
        ------
        GraphError
            It depends on an input, or is missing.
        """
        found = self.value(k)
        if found.array is None:
            raise GraphError(f"{what} depends on the input, and has to be known when the file is read")
        return found.array

    def setting(self, attribute: str, k: int, default: Any = None) -> Any:
        """What older opsets have as an attribute and newer ones as operand k; as a list where it is a row."""
        if attribute in self.attributes:
            return self.attributes[attribute]
        if self.given(k) is None:
            return default
        return self.numbers(k, attribute).tolist()

    def only(self, attribute: str, expected: Any, default: Any = None) -> None:
        """Refuse a setting that has no counterpart here.

        Raises
        ------
        GraphError
            It is another one.
        """
        found = self.attributes.get(attribute, default)
        if found is not None and found != expected:
            raise GraphError(f"{attribute} is {found!r}, and only {expected!r} can be read")


class Reader:
    """A graph that is being read."""

    def __init__(self, opset: int, ours: bool, dtype: Any) -> None:
        self.opset = opset
        self.ours = ours  # written by export: every initializer is a parameter, and no constant is one
        self.dtype = dtype
        self.fixed = 0  # the size of the batch where the file has one
        self.values: dict[str, Value] = {}
        self.takers: dict[str, list[Any]] = {}  # tensor -> the operators that take it
        self.makers: dict[str, Any] = {}  # tensor -> the operator that makes it
        self.outputs: set[str] = set()
        self.uses: dict[str, set[str]] = {}  # parameter -> the kinds of operators that take it
        self.layers: dict[Any, Any] = {}
        self.layer_names: set[str] = set()
        self.handlers: dict[str, Callable[[Reader, Step], Any]] = {}

    # ----------------------------------------------------------------------------------------- nodes

    def node(self, value: Value) -> Node:
        """The node of a value, its axes in the order of the tensor.

        Raises
        ------
        GraphError
            The batch is not its first axis.
        """
        if value.node is None:
            value.node = self._made(value)
            value.order = tuple(range(len(value.node.shape)))
        return self.in_order(value, range(len(value.order)))

    def _made(self, value: Value) -> Node:
        if value.step is not None:
            computed = self.handlers[value.step.op](self, value.step)
            values = computed if isinstance(computed, list) else [computed]
            return self.node(values[value.step.outputs.index(value.name)])
        assert value.array is not None
        array = np.asarray(value.array, np.float64)
        if not np.isfinite(array).all() and value.trained:
            raise GraphError(f"parameter {value.name!r} has a number that is not finite")
        return Variable(array, name=value.name) if value.trained else constant(array)

    def in_order(self, value: Value, order: Sequence[int]) -> Node:
        """The node with axis i of the tensor as its axis ``order[i]``.

        Raises
        ------
        GraphError
            The batch would not be its first axis.
        """
        node = self.node(value) if value.node is None else value.node
        if tuple(order) == value.order:
            return node
        axes = [0] * len(order)
        for ours, wanted in zip(value.order, order, strict=True):
            axes[wanted] = ours
        if node.batched and axes[0] != 0:
            raise GraphError(
                f"the batch is axis {value.order.index(0)} of tensor {value.name!r}, and has to be axis "
                f"{list(order).index(0)} here"
            )
        return node if axes == list(range(len(axes))) else ops.transpose(node, axes)

    def channels_last(self, value: Value) -> Node:
        """The node of (batch, channels, ...) as (batch, ..., channels)."""
        rank = value.rank
        if rank < 2 or not value.batched:
            raise ShapeError(f"expected a batch of (channels, ...), got shape {value.shape}")
        return self.in_order(value, last_order(rank))

    def images(self, node: Node, name: str) -> Value:
        """A value with the channels first, of a node that has them last."""
        return Value(name, node=node, order=last_order(len(node.shape)))

    def batch_first(self, value: Value) -> tuple[Node, int]:
        """The node with the batch first and the other axes in the order of the tensor, and where the batch
        is in the tensor."""
        node = value.node if value.node is not None else self.node(value)
        if not node.batched:
            return self.node(value), 0
        at = value.order.index(0)
        rest = [axis for axis in range(value.rank) if axis != at]
        order = [0] * value.rank
        for place, axis in enumerate(rest, 1):
            order[axis] = place
        return self.in_order(value, order), at

    def like(self, value: Value, model: Value) -> Node:
        """The node of an operand that meets another one, in that one's order of axes."""
        order = model.order
        if value.batched or order == tuple(range(len(order))):
            return self.in_order(value, order) if value.batched else self.node(value)
        if int(np.prod(value.shape)) == 1:
            node = self.node(value)
            return ops.reshape(node, (1,)) if node.shape else node
        node = self.node(value)
        full = [1] * (len(order) - value.rank) + list(value.shape)
        if len(full) > len(order) or full[order.index(0)] != 1:
            raise GraphError(f"{value.name!r} of shape {value.shape} meets the batch")
        axes = [0] * len(order)
        for tensor_axis, wanted in enumerate(order):
            axes[wanted] = tensor_axis
        turned = ops.transpose(ops.reshape(node, full), axes)
        return ops.reshape(turned, [full[axis] for axis in axes[1:]])

    # ---------------------------------------------------------------------------- parameters and layers

    def is_tied(self, *values: Value | None) -> bool:
        """Whether a parameter among these is taken by operators of several kinds, so no layer owns it."""
        return any(
            len(self.uses.get(root, ())) > 1 for value in values if value is not None for root in roots(value)
        )

    def names_of(self, *pairs: tuple[str, Value | None]) -> str | None:
        """The layer's name that its parameters' names speak of: "fc" for "fc.weight" and "fc.bias"."""
        found = set()
        for role, value in pairs:
            for root in roots(value) if value is not None else ():
                head, dot, tail = root.rpartition(f".{role}")
                found.add(head if dot and not tail else "")
        name = found.pop() if len(found) == 1 else ""
        return name or None

    def layer(self, key: Any, name: str | None, make: Callable[[str | None], Any]) -> Any:
        """The layer of these parameters and settings: one that is called twice is one."""
        if key not in self.layers:
            if name in self.layer_names:
                name = None
            if name is not None:
                self.layer_names.add(name)
            self.layers[key] = make(name)
        return self.layers[key]

    def only_taker(self, name: str) -> Any:
        """The one operator that takes a tensor, where there is only one and it is no output."""
        takers = self.takers.get(name, [])
        return takers[0] if len(takers) == 1 and name not in self.outputs else None


def roots(value: Value) -> list[str]:
    """The parameters that a known value is made of."""
    if value.step is not None:
        return [root for operand in value.step.inputs if operand is not None for root in roots(operand)]
    return [value.name] if value.trained else []


def last_order(rank: int) -> tuple[int, ...]:
    """The axes of (batch, channels, ...) in a node with the channels last."""
    return (0, rank - 1, *range(1, rank - 1))


def first_taken(values: Sequence[Value]) -> Value:
    """The operand whose order of axes the others follow."""
    batched = [value for value in values if value.batched]
    return max(batched or values, key=lambda value: value.rank)
