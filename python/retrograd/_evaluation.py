"""A computation graph with its numbers: values forward, gradients backward, local derivatives between."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._arguments import finite_numbers, nearest, numbers
from retrograd.errors import ArgumentError, GraphError, ShapeError, StateError
from retrograd.graph import Node, shape_text
from retrograd.model import home_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from retrograd._drawing import Cell
    from retrograd._symbolic import SymbolicReport

    Values = NDArray[np.float64]

__all__ = ["Graph", "GraphNode"]

JACOBIAN_LIMIT = 32_768  # numbers of a local derivative that is no elementwise array
_IN_USE = "this graph is in use in another thread; wait for that, or give each thread a graph of its own"
TEXT_LIMIT = 18  # letters that a box of the picture has room for

# Operations of which element i of the result depends on element i of each operand alone. ("linear" is the
# affine map of a layer in the core; the activation of that name is "identity".)
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_ELEMENTWISE = {*_core.op_list("unary"), *_core.op_list("binary"), *_COMPARISONS, "clip", "identity"}
_ELEMENTWISE = (_ELEMENTWISE | {"where", "dropout", "stop_gradient"}) - {"linear"}


class GraphNode:
    """A node of a :class:`Graph` and its numbers.

    Attributes
    ----------
    name
        Unique in the graph.
    op
        What it computes, ``"multiply"``; "" for a leaf.
    kind
        ``"input"``, ``"placeholder"``, ``"parameter"``, ``"constant"`` or ``"operation"``.
    inputs
        The nodes it is computed from, in the order of the operation's operands.
    node
        The expression itself.
    """

    def __init__(self, graph: Graph, position: int, node: Node, name: str) -> None:
        self._graph = graph
        self._position = position
        self.node = node
        self.name = name
        self.op = node.op
        self.kind = node.kind
        self.inputs = [graph[operand] for operand in node.inputs]

    @property
    def value(self) -> Any:
        """Its numbers in the last forward, of the node's shape; a float for a scalar.

        Raises
        ------
        StateError
            There was no forward.
        """
        return self._graph._value(self._position)

    @property
    def gradient(self) -> Any:
        """d result / d this, of the node's shape; None where backward does not come.

        Raises
        ------
        StateError
            There was no backward since the last forward.
        """
        return self._graph._gradient(self._position)

    @property
    def local_derivatives(self) -> list[Any]:
        """d this / d each of its inputs, in their order, from the core's own backward of this operation.

        For an elementwise operation an array of this node's shape, operands broadcast to it first: element i
        is d y_i / d x_i. Otherwise the Jacobian, [*shape of this, *shape of the input], of at most 32,768
        numbers. None where there is no derivative (an index, a condition).

        Raises
        ------
        StateError
            There was no forward.
        ShapeError
            A Jacobian of more numbers than that.
        """
        return [self._local(k) for k in range(len(self.inputs))]

    def _local(self, k: int) -> Any:
        if self.op in _ELEMENTWISE:
            return _elementwise(self, k)
        size = np.size(self.value) * np.size(self.inputs[k].value)
        if size > JACOBIAN_LIMIT:
            raise ShapeError(
                f"{self.name}: the derivative by {self.inputs[k].name} has {np.shape(self.value)} x "
                f"{np.shape(self.inputs[k].value)} = {size:,} numbers, and at most {JACOBIAN_LIMIT:,} are "
                "computed; look at a smaller graph, or at .gradient"
            )
        return _jacobian(self, k)

    def __repr__(self) -> str:
        operands = ", ".join(node.name for node in self.inputs)
        how = f" = {self.op}({operands})" if self.op else f" ({self.kind})"
        return f"<{self.name}{how}: shape {shape_text(self.node.shape)}>"


def _like(node: Node) -> Node:
    """A leaf that may stand in the place of a node."""
    if node.batched:
        return _core.input(node.sample_shape, node.dtype, "")
    return _core.placeholder(node.sample_shape, "")


def _spread(operand: GraphNode, shape: tuple[int, ...]) -> Any:
    """An operand's numbers, one for each element of the result; samples stay samples."""
    value = np.asarray(operand.value)
    if operand.node.batched:
        value = value.reshape(value.shape[0], *(1,) * (len(shape) - value.ndim), *value.shape[1:])
    return np.broadcast_to(value, shape)


def _elementwise(node: GraphNode, k: int) -> Any:
    shape = np.shape(node.value)
    values = [_spread(operand, shape) for operand in node.inputs]
    leaves = [_like(node.node) for _ in values]
    core = _core.Evaluation(_core.apply(node.op, node.node.attributes, leaves))
    _feed(core, leaves, values)
    core.backward(np.ones(shape))
    found = core.gradient(core.nodes.index(leaves[k]))
    return None if found is None else _number(found)


def _jacobian(node: GraphNode, k: int) -> Any:
    # what an operation keeps as a constant of the graph (running means) has to be one here too
    leaves = [
        _core.constant(np.asarray(operand.value), "")
        if operand.kind == "constant" and position != k
        else _like(operand.node)
        for position, operand in enumerate(node.inputs)
    ]
    try:
        core = _core.Evaluation(_core.apply(node.op, node.node.attributes, leaves))
    except GraphError:  # a running mean in the place of which no other leaf may stand
        return None
    _feed(core, leaves, [operand.value for operand in node.inputs])
    seed = np.zeros(np.shape(node.value))
    rows = []
    for i in np.ndindex(seed.shape):
        seed[i] = 1.0
        core.backward(seed)
        row = core.gradient(core.nodes.index(leaves[k]))
        if row is None:
            return None
        rows.append(row)
        seed[i] = 0.0
    return _number(np.reshape(np.stack(rows), (*seed.shape, *rows[0].shape)))


def _number(array: Values) -> Any:
    """A float for an array without axes."""
    return array if array.ndim else float(array)


def _feed(core: _core.Evaluation, leaves: list[Node], values: list[Any]) -> None:
    places = {node: position for position, node in enumerate(core.nodes)}
    core.forward(
        [
            (places[leaf], np.asarray(value))
            for leaf, value in zip(leaves, values, strict=True)
            if leaf.kind != "constant"
        ]
    )


class Graph:
    """An expression that is run forward and backward, with every number of every node.

    >>> g = rg.Graph((w * x + b - y) ** 2)
    >>> g.forward({w: 2, x: 3, b: 1, y: 5})
    >>> g.backward()
    >>> g.gradient(w)

    It runs in float64 on the operations that train, as in prediction (nothing is dropped). A parameter of a
    model has that model's present value unless it is given another; a ``Variable`` of no model the value it
    begins with.

    Parameters
    ----------
    result
        What is computed: any node that is an operation.
    seed
        Of variables that begin by a random rule.

    Attributes
    ----------
    nodes
        All nodes, each after those it is computed from.
    result
        The last one.

    Raises
    ------
    GraphError
        No node, a leaf, or two nodes with one name.
    """

    def __init__(self, result: Node, seed: int = 0) -> None:
        if not isinstance(result, Node):
            raise GraphError(f"Graph: expected a node, got {type(result).__name__}")
        self._core = _core.Evaluation(result, seed)
        self._places = {node: position for position, node in enumerate(self._core.nodes)}
        self._names = {name: position for position, name in enumerate(self._core.names)}
        self._fed: dict[int, Any] = {}
        self._phase = ""
        self._seed: Values | None = None
        self._running = threading.Lock()
        self._runs = 0
        self.nodes: list[GraphNode] = []
        for position, (node, name) in enumerate(zip(self._core.nodes, self._core.names, strict=True)):
            self.nodes.append(GraphNode(self, position, node, name))
        self.result = self.nodes[self._core.result]

    # --------------------------------------------------------------------------------------- running

    def forward(self, values: Mapping[Node | str, ArrayLike] | None = None) -> Any:
        """Compute every node.

        Parameters
        ----------
        values
            A number or an array for each input [samples, ...] and placeholder, by node or name; and for
            variables that shall have another value than their own, now and in later calls.

        Returns
        -------
        float or ndarray
            The result's value.

        Raises
        ------
        ArgumentError
            A node or name that is no leaf of this graph, or a number that is not finite.
        ShapeError, DTypeError
            A value of another shape or kind.
        StateError
            An input or placeholder without a value, or the graph is running in another thread.
        """
        with self._alone("forward"):
            return self._forward(values)

    def _forward(self, values: Mapping[Node | str, ArrayLike] | None) -> Any:
        fed = self._own_values()
        for key, value in (values or {}).items():
            position = self._leaf_position(key)
            fed[position] = self._fitting(self.nodes[position], value)
        missing = [
            node.name
            for position, node in enumerate(self.nodes)
            if node.kind in ("input", "placeholder") and position not in fed
        ]
        if missing:
            raise StateError(
                f"forward: {', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no value; "
                f"call forward({{{missing[0]}: ..., ...}}) with a number or an array for each"
            )
        self._phase = ""
        self._core.forward(list(fed.items()))
        self._fed = fed
        self._phase = "forward"
        return self.result.value

    @contextmanager
    def _alone(self, who: str) -> Iterator[None]:
        """One run at a time: the numbers of two would be mixed."""
        if not self._running.acquire(blocking=False):
            raise StateError(f"{who}: {_IN_USE}")
        self._runs += 1
        try:
            yield
        finally:
            self._running.release()

    def _own_values(self) -> dict[int, Any]:
        """What the parameters and buffers of models have learned."""
        found: dict[int, Any] = {}
        for position, node in enumerate(self.nodes):
            value = home_value(node.node) if node.kind in ("parameter", "constant") else None
            if value is not None:
                found[position] = np.asarray(value, np.float64)
        return found

    def _leaf_position(self, key: Node | str) -> int:
        position = self._names.get(key, -1) if isinstance(key, str) else self._places.get(key, -1)
        if position < 0:
            leaves = [node.name for node in self.nodes if node.kind not in ("operation", "constant")]
            hint = nearest(key, leaves) if isinstance(key, str) else ""
            raise ArgumentError(
                f"forward: {key!r} is no leaf of this graph;{hint} there are {', '.join(leaves)}"
            )
        if self.nodes[position].kind in ("operation", "constant"):
            raise ArgumentError(
                f"forward: {self.nodes[position].name!r} is computed by the graph or constant, so it takes "
                "no value"
            )
        return position

    def _fitting(self, node: GraphNode, value: Any) -> Any:
        if node.node.batched:
            return np.asarray(value)
        array = finite_numbers(f"forward: {node.name}", value)
        if array.shape != node.node.shape:
            raise ShapeError(
                f"forward: {node.name}: expected shape {shape_text(node.node.shape)}, got {array.shape}"
            )
        return array

    def backward(self, seed: ArrayLike | None = None) -> None:
        """Compute d result / d node for every node the result has a derivative by.

        Parameters
        ----------
        seed
            dL/d result, of the result's shape: the gradients are those of L = sum(seed * result). A result of
            one number needs none: dL/d result = 1.

        Raises
        ------
        StateError
            There was no forward, or the graph is running in another thread.
        ShapeError
            No seed for a result of several numbers, or a seed of another shape.
        """
        with self._alone("backward"):
            self._backward(seed)

    def _backward(self, seed: ArrayLike | None) -> None:
        if not self._phase:
            raise StateError("backward: call forward first, the derivatives are taken at its values")
        shape = np.shape(self.result.value)
        if seed is None:
            if np.size(self.result.value) != 1:
                raise ShapeError(
                    f"backward: the result has shape {shape}, so a gradient needs a seed, dL/d result of "
                    "that shape: backward(np.ones(...)) is the gradient of its sum"
                )
            given = np.ones(shape)
        else:
            given = numbers("backward: seed", seed)
            if given.shape != shape:
                raise ShapeError(f"backward: the seed has shape {given.shape}, the result has {shape}")
        self._core.backward(given)
        self._seed = given
        self._phase = "backward"

    @property
    def order(self) -> list[GraphNode]:
        """The operations in the order in which backward visits them."""
        return [self.nodes[position] for position in self._core.visits]

    def __getitem__(self, key: Node | str) -> GraphNode:
        position = self._names.get(key) if isinstance(key, str) else self._places.get(key)
        if position is None:
            names = list(self._names)
            hint = nearest(key, names) if isinstance(key, str) else ""
            raise GraphError(f"graph: {key!r} is none of its nodes;{hint} there are {', '.join(names)}")
        return self.nodes[position]

    def value(self, node: Node | str) -> Any:
        """A node's numbers in the last forward.

        Raises
        ------
        GraphError
            No node of this graph.
        StateError
            There was no forward.
        """
        return self[node].value

    def gradient(self, node: Node | str) -> Any:
        """d result / d node; None where the result has no derivative by it.

        Raises
        ------
        GraphError
            No node of this graph.
        StateError
            There was no backward since the last forward.
        """
        return self[node].gradient

    def _value(self, position: int) -> Any:
        if not self._phase:
            raise StateError(f"{self.nodes[position].name}: no value yet; call forward first")
        found = self._core.value(position)
        return self._fed.get(position) if found is None else _number(found)

    def _gradient(self, position: int) -> Any:
        runs = self._runs
        if self._phase != "backward":
            raise StateError(f"{self.nodes[position].name}: no gradient yet; call backward first")
        found = self._core.gradient(position)
        if self._runs != runs:  # the next run has begun, and with it all gradients
            raise StateError(f"gradient: {_IN_USE}")
        return None if found is None else _number(found)

    # ----------------------------------------------------------------------------------- expressions

    def _leaf_names(self) -> dict[Node, str]:
        return {node.node: node.name for node in self.nodes if not node.op}

    def to_sympy(self) -> Any:
        """The result as a SymPy expression of the leaves, an object array of them where it is an array.

        A leaf w of several elements is the symbols ``w[0]``, ``w[1]``, ... Needs SymPy; batched inputs need a
        forward before, which says how many samples there are.

        Raises
        ------
        ArgumentError
            SymPy is not installed.
        GraphError
            An operation that has no formula.
        """
        from retrograd._symbolic import to_sympy

        leaves = [node for node in self.nodes if not node.op] if self._phase else []
        shapes = {leaf.node: np.shape(leaf.value) for leaf in leaves}
        indices = {leaf.node: leaf.value for leaf in leaves if leaf.node.dtype == "index"}
        return to_sympy(self.result.node, self._leaf_names(), shapes, indices)

    def verify_symbolically(self) -> SymbolicReport:
        """Compare the gradients of the last backward with SymPy's derivatives; print the report.

        Raises
        ------
        StateError
            There was no backward.
        ArgumentError
            SymPy is not installed.
        GraphError
            An operation that has no formula.
        """
        from retrograd._symbolic import verify

        if self._phase != "backward":
            raise StateError("verify_symbolically: call forward and backward first")
        leaves = [node for node in self.nodes if not node.op]
        values = {leaf.node: np.asarray(leaf.value) for leaf in leaves}
        gradients = {leaf.node: np.asarray(leaf.gradient) for leaf in leaves if leaf.gradient is not None}
        return verify(self.result.node, self._leaf_names(), values, gradients, self._seed)

    # -------------------------------------------------------------------------------------- pictures

    def _cells(self) -> list[Cell]:
        from retrograd._drawing import Cell

        visits = {position: count for count, position in enumerate(self._core.visits, 1)}
        return [
            Cell(
                name=node.name,
                op=node.op,
                kind=node.kind,
                value=_text(node.value) if self._phase else "",
                gradient=_text(node.gradient) if self._phase == "backward" else "",
                inputs=tuple(self._places[operand.node] for operand in node.inputs),
                local=tuple(_local_text(node, k) if self._phase else "" for k in range(len(node.inputs))),
                visit=visits.get(position),
            )
            for position, node in enumerate(self.nodes)
        ]

    def _title(self) -> str:
        return f"Computation graph of {self.result.name}, {len(self.nodes)} nodes"

    def to_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """A self-contained picture: value and gradient on each node, the local derivative on each edge.

        Parameters
        ----------
        path
            Where to write it as well; None: nowhere.
        """
        from retrograd._drawing import graph_svg

        known = {"": "no values yet", "forward": "values", "backward": "values and gradients"}[self._phase]
        picture = graph_svg(self._cells(), self._title(), f"Leaves left, result right; {known}.")
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(picture)
        return picture

    def to_dot(self) -> str:
        """The same as text for Graphviz."""
        from retrograd._drawing import graph_dot

        return graph_dot(self._cells(), self._title())

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _repr_html_(self) -> str:
        # a notebook shrinks a wide picture until it cannot be read; here it scrolls
        return f'<div style="overflow-x: auto">{self.to_svg()}</div>'

    def __repr__(self) -> str:
        leaves = [node.name for node in self.nodes if node.kind not in ("operation", "constant")]
        return f"<Graph {self.result.name}({', '.join(leaves)}): {len(self.nodes)} nodes>"


def _short(number: float) -> str:
    return f"{number:.4g}"


def _text(value: Any) -> str:
    """A number, a few numbers, or the shape of many."""
    if value is None:
        return ""
    array = np.asarray(value)
    if array.size <= 4:
        shown = str(np.vectorize(_short, otypes=[object])(array).tolist()).replace("'", "")
        if len(shown) <= TEXT_LIMIT:
            return shown
    return f"shape {array.shape}"


def _local_text(node: GraphNode, k: int) -> str:
    try:
        return _text(node._local(k))
    except ShapeError:  # a Jacobian too large to compute is too large to show
        return ""
