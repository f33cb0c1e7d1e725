"""What the small functions that write operators work with: names, layouts, constants, nodes so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._axes import to_first, to_last
from retrograd.errors import ArgumentError, GraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd._core import Array
    from retrograd.graph import Node
    from retrograd.model import Model


def package() -> Any:
    """The package onnx.

    Raises
    ------
    ArgumentError
        It is not installed.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise ArgumentError(
            'onnx: this needs the package onnx, which is not installed; pip install "retrograd[onnx]"'
        ) from None
    return onnx


class Writer:
    """A graph that is being written.

    A node of a model has a tensor of its own name. An image may have a second one with the channels first,
    which is how ONNX's convolutions have them: each of the two is made of the other when it is first asked
    for, so no transpose follows another.
    """

    def __init__(self, net: Model, opset: int) -> None:
        self.onnx = package()
        self.net = net
        self.opset = opset
        self.dtype = net.dtype
        self.element = self.onnx.helper.np_dtype_to_tensor_dtype(net.dtype)
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.users: dict[Node, set[str]] = {}  # the operations that take a node
        self._plain: dict[Node, str] = {}
        self._first: dict[Node, str] = {}
        self._made: dict[Any, str] = {}  # constants and rearranged parameters
        self._taken = set(net._core.node_names)

    # ---------------------------------------------------------------------------------------- names

    def name_of(self, node: Node) -> str:
        """What the model calls it."""
        return self.net._core.name_of(node)

    def fresh(self, hint: str) -> str:
        """A name that no tensor has yet."""
        name, count = hint, 0
        while name in self._taken:
            count += 1
            name = f"{hint}:{count}"
        self._taken.add(name)
        return name

    # ---------------------------------------------------------------------------------------- nodes

    def emit(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append an operator with one output, and return the name of that."""
        output = output or self.fresh(f"{inputs[0]}:{op}")
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def result(self, node: Node, first: bool = False) -> str:
        """The name that the tensor of a node gets; it is there from now on."""
        name = self.name_of(node)
        if first:
            name = self.fresh(f"{name}:channels_first")
        (self._first if first else self._plain)[node] = name
        return name

    def put(self, node: Node, op: str, inputs: Sequence[str], first: bool = False, **attributes: Any) -> None:
        """Append the operator whose output is the node."""
        self.emit(op, inputs, self.result(node, first), **attributes)

    def refuse(self, node: Node, why: str) -> GraphError:
        """The error for what ONNX cannot say."""
        return GraphError(f"onnx: {self.name_of(node)} ({node.op}) cannot be written: {why}")

    # -------------------------------------------------------------------------------------- layouts

    def value(self, node: Node) -> str:
        """The tensor of a node, its axes as in the model."""
        if node not in self._plain:
            if node in self._first:
                rank = len(node.shape)
                self.emit("Transpose", [self._first[node]], self.result(node), perm=to_last(rank))
            else:
                self._plain[node] = self._leaf(node)
        return self._plain[node]

    def images(self, node: Node) -> str:
        """The same numbers with the channels first."""
        if node not in self._first:
            source = self.value(node)
            rank = len(node.shape)
            self.emit("Transpose", [source], self.result(node, first=True), perm=to_first(rank))
        return self._first[node]

    def only_first(self, node: Node) -> bool:
        """Whether its channels are first and no tensor as the model has it was asked for."""
        return node in self._first and node not in self._plain

    def operands(self, node: Node) -> tuple[list[str], bool]:
        """The tensors of an operation that has no axes of its own, and whether their channels are first."""

        def either(x: Node) -> bool:
            return not x.batched and int(np.prod(x.sample_shape)) == 1

        first = any(map(self.only_first, node.inputs)) and all(
            either(x) or (x in self._first and x.shape == node.shape) for x in node.inputs
        )
        names = [
            self._first[x] if first and not either(x) else self.flat(x) if first else self.value(x)
            for x in node.inputs
        ]
        return names, first

    def flat(self, node: Node) -> str:
        """A single number as a tensor of no more than one axis, which fits every layout."""
        name = self.value(node)
        if len(node.shape) > 1:
            return self.emit("Reshape", [name, self.integers([1])])
        return name

    # -------------------------------------------------------------------- numbers that are in the file

    def _leaf(self, node: Node) -> str:
        name = self.name_of(node)
        if node.kind == "constant":
            buffers = self.net.buffers
            array = buffers[name] if name in buffers else constant_value(node)
            self._constant(array, name)
        else:
            self._initializer(name, self.net.parameters[name])
        return name

    def _initializer(self, name: str, array: Array) -> None:
        self.initializers[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)

    def _constant(self, array: Any, name: str) -> None:
        tensor = self.onnx.numpy_helper.from_array(np.asarray(array, self.dtype), name)
        self.emit("Constant", [], name, value=tensor)

    def number(self, array: Any) -> str:
        """A constant of the model's dtype."""
        key = np.asarray(array, self.dtype)
        known = (key.shape, key.tobytes())
        if known not in self._made:
            shown = f"{key.item():g}" if key.ndim == 0 else "x".join(map(str, key.shape))
            self._made[known] = self.fresh(f"constant:{shown}")
            self._constant(key, self._made[known])
        return self._made[known]

    def integers(self, values: Sequence[int]) -> str:
        """A row of indices, sizes or axes."""
        known = ("integers", *values)
        if known not in self._made:
            name = self._made[known] = self.fresh(f"integers:{'_'.join(map(str, values))}")
            self._initializer(name, np.array(values, np.int64))
        return self._made[known]

    def number32(self, values: Sequence[float]) -> str:
        """A row of float32, whatever the model's dtype: the scales of a Resize."""
        known = ("float32", *values)
        if known not in self._made:
            name = self._made[known] = self.fresh(f"scales:{'_'.join(f'{v:g}' for v in values)}")
            tensor = self.onnx.numpy_helper.from_array(np.array(values, np.float32), name)
            self.emit("Constant", [], name, value=tensor)
        return self._made[known]

    def joined(self, *names: str) -> str:
        """Tensors side by side on their last axis; made once."""
        known = ("joined", *names)
        if known not in self._made:
            self._made[known] = self.emit("Concat", names, axis=-1)
        return self._made[known]

    def split(self, name: str, count: int, size: int) -> list[str]:
        """The equal parts of a tensor's last axis."""
        outputs = [self.fresh(f"{name}:part") for _ in range(count)]
        inputs = [name, self.integers([size] * count)]
        self.nodes.append(self.onnx.helper.make_node("Split", inputs, outputs, name=outputs[0], axis=-1))
        return outputs

    def rearranged(self, node: Node, op: str, arrange: Callable[[Array], Array]) -> str:
        """A parameter in the layout of the only operation that takes it; "" where there are others too."""
        if node.kind != "parameter" or self.users[node] != {op}:
            return ""
        name = self.name_of(node)
        if name not in self.initializers:
            self._initializer(name, arrange(self.net.parameters[name]))
        return name

    def turned(self, node: Node, axes: Sequence[int]) -> str:
        """A tensor with its axes in another order; made once."""
        known = ("turned", node, *axes)
        if known not in self._made:
            source = self.value(node)
            self._made[known] = self.emit("Transpose", [source], perm=list(axes))
        return self._made[known]


def constant_value(node: Node) -> Array:
    """The numbers of a constant of a graph."""
    from retrograd import _core

    run = _core.Evaluation(_core.apply("identity", {}, [node]))
    run.forward([])
    value = run.value(run.result)
    assert value is not None
    return value
