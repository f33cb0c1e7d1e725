"""A graph walked forward and backward with expressions in place of numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._core import Node
from retrograd._symbolic.rules import Call, Expressions, exact, expressions, rule_of, sympy
from retrograd.errors import GraphError
from retrograd.graph import shape_text

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Passes:
    """The expressions of all nodes that ``result`` reaches.

    Parameters
    ----------
    names
        Leaf -> name; an element of an array is ``w[0, 1]``.
    shapes
        Leaf -> shape of its values; of the leaves with a batch, of which a node does not know the size.
    given
        Leaf -> numbers that stand in place of symbols: indices, and constants that the caller knows.
    wanted
        Leaves that will be differentiated by: what the engine takes as constant is then held (see ``held``).
    training
        Batch norm takes the statistics of the batch, as a training step does, but where its running ones are
        among ``still``.

    Attributes
    ----------
    symbols
        Leaf -> its symbols.
    held
        Dummy -> the expression it stands for: a loss's target and what went through stop_gradient, which have
        no derivative in the engine and must have none in SymPy.
    """

    def __init__(
        self,
        result: Node,
        names: Mapping[Node, str],
        shapes: Mapping[Node, tuple[int, ...]],
        given: Mapping[Node, NDArray[Any]],
        wanted: tuple[Node, ...] = (),
        training: bool = False,
        still: Collection[Node] = (),
    ) -> None:
        self.result = result
        self.nodes = _ordered(result)
        self.wanted = wanted
        self.training = training
        self._still = set(still)
        self.symbols: dict[Node, Expressions] = {}
        self.held: dict[Any, Any] = {}
        self._moving = _readers(self.nodes, wanted)
        self._batch = _batch_of(self.nodes, shapes)
        self._given = {**_constants(self.nodes, given), **given}
        self._named = _unique_names(self.nodes, names)
        self.values: dict[Node, Any] = {}
        self._operands: dict[Node, list[Any]] = {}
        for node in self.nodes:
            self.values[node] = self._operation(node) if node.kind == "operation" else self._leaf(node)

    def shape(self, node: Node) -> tuple[int, ...]:
        """Of the values, with the batch."""
        return ((self._batch,) if node.batched else ()) + tuple(node.sample_shape)

    def _leaf(self, node: Node) -> Any:
        if node.dtype == "index":
            if node not in self._given:
                raise GraphError(
                    f"{self._named[node]}: indices choose elements and have no symbol; give their numbers"
                )
            return np.asarray(self._given[node]).astype(np.int64).reshape(self.shape(node))
        if node in self._given:
            numbers = np.asarray(self._given[node], dtype=np.float64).reshape(self.shape(node))
            return expressions(np.vectorize(exact, otypes=[object])(numbers))
        symbol, name = sympy().Symbol, self._named[node]
        made = np.empty(self.shape(node), dtype=object)
        for at in np.ndindex(made.shape):
            made[at] = symbol(element_name(name, at), real=True)
        self.symbols[node] = made
        return made

    def _call(self, node: Node) -> Call:
        return Call(
            node.op,
            node.attributes,
            self.shape(node),
            node.batched,
            tuple(operand.batched for operand in node.inputs),
            tuple(operand in self._moving for operand in node.inputs),
            self.training and self._still.isdisjoint(node.inputs),
        )

    def _operation(self, node: Node) -> Expressions:
        rate: Any = node.attributes.get("rate", 0.0)
        if node.op == "dropout" and self.training and rate > 0:
            raise GraphError(
                f"dropout of rate {rate:g} leaves numbers out by chance in training, which no expression can "
                "say; check the network without its Dropout layer, or use rg.check_gradients"
            )
        rule = rule_of(node.op)
        operands = [self.values[operand] for operand in node.inputs]
        for i in rule.held:
            if i < len(operands) and node.inputs[i] in self._moving:
                operands[i] = self._hold(operands[i])
        self._operands[node] = operands
        return np.asarray(rule.value(self._call(node), *operands), dtype=object)

    def _hold(self, values: Expressions) -> Expressions:
        dummy, result = sympy().Dummy, np.empty(values.shape, dtype=object)
        for at, value in np.ndenumerate(values):
            result[at] = value if value.is_number else dummy(f"held_{len(self.held)}", real=True)
            if not value.is_number:
                self.held[result[at]] = value
        return result

    def name(self, leaf: Node) -> str:
        """As it stands in symbols."""
        return self._named[leaf]

    def shown(self, expression: Any) -> Any:
        """Without dummies."""
        while self.held and expression.free_symbols & self.held.keys():
            expression = expression.xreplace(self.held)
        return expression

    def backward(self, seed: Expressions) -> dict[Node, Expressions]:
        """d sum(seed * result) / d each wanted leaf, by the backward rules of the operations alone."""
        deltas: dict[Node, Any] = {self.result: seed}
        for node in reversed(self.nodes):
            if node.kind != "operation" or node not in deltas or node not in self._moving:
                continue
            rule, operands = rule_of(node.op), self._operands[node]
            found = rule.gradients(self._call(node), deltas.pop(node), self.values[node], *operands)
            for i, (operand, share) in enumerate(zip(node.inputs, found, strict=True)):
                if share is None or i in rule.held or operand not in self._moving:
                    continue
                share = np.asarray(share, dtype=object)
                deltas[operand] = deltas[operand] + share if operand in deltas else share
        zero = sympy().Integer(0)
        return {
            leaf: np.asarray(
                deltas.get(leaf, np.full(self.shape(leaf), zero, dtype=object)), dtype=object
            ).reshape(self.shape(leaf))
            for leaf in self.wanted
        }


def element_name(name: str, at: tuple[int, ...]) -> str:
    """``w`` of a scalar, else ``w[0, 1]``."""
    return f"{name}[{', '.join(map(str, at))}]" if at else name


def _ordered(result: Node) -> list[Node]:
    """All that the result reaches, operands first."""
    done: dict[Node, None] = {}
    open_nodes = [(result, False)]
    while open_nodes:
        node, visited = open_nodes.pop()
        if node in done:
            continue
        if visited:
            done[node] = None
            continue
        open_nodes.append((node, True))
        open_nodes.extend((operand, False) for operand in reversed(node.inputs))
    return list(done)


def _readers(nodes: list[Node], leaves: tuple[Node, ...]) -> set[Node]:
    """The leaves and all that depends on them."""
    moving = set(leaves)
    for node in nodes:
        if any(operand in moving for operand in node.inputs):
            moving.add(node)
    return moving


def _batch_of(nodes: list[Node], shapes: Mapping[Node, tuple[int, ...]]) -> int:
    batched = [node for node in nodes if node.batched and node.kind != "operation"]
    sizes = {shapes[node][0] for node in batched if node in shapes}
    if len(sizes) > 1:
        raise GraphError(f"the leaves have batches of {' and '.join(map(str, sorted(sizes)))} samples")
    if batched and not sizes:
        raise GraphError(
            f"{batched[0]!r} has a batch: give shapes={{node: (samples, ...)}}, since an expression is of "
            "so many samples"
        )
    return sizes.pop() if sizes else 1


def _constants(nodes: list[Node], given: Mapping[Node, Any]) -> dict[Node, NDArray[Any]]:
    """The numbers of constants, asked of the core: each meets a 1."""
    found = [node for node in nodes if node.kind == "constant" and node not in given]
    if not found:
        return {}
    ones, products = [], []
    for node in found:
        one = _core.input([1] * max(1, len(node.sample_shape)), "real", "")
        ones.append(one)
        products.append(_core.apply("multiply", {}, [node, one]))
    model = _core.Model64(ones, products, 0)
    numbers = model.predict([np.ones((1, *one.sample_shape)) for one in ones], 1, 1, None)
    return {node: number.reshape(node.sample_shape) for node, number in zip(found, numbers, strict=True)}


def _unique_names(nodes: list[Node], names: Mapping[Node, str]) -> dict[Node, str]:
    """A name for every leaf; a second one of the same name gets a number."""
    taken: dict[Node, str] = {}
    for node in nodes:
        if node.kind == "operation":
            continue
        wish = names.get(node) or node.name or "x"
        name, number = wish, 2
        while name in taken.values():
            name, number = f"{wish}_{number}", number + 1
        taken[node] = name
    return taken


def to_sympy(
    result: Node,
    names: Mapping[Node, str],
    shapes: Mapping[Node, tuple[int, ...]] | None = None,
    given: Mapping[Node, NDArray[Any]] | None = None,
) -> Any:
    """A node as an expression of SymPy.

    Parameters
    ----------
    names
        Leaf -> name. A scalar leaf is a symbol of that name, an array has symbols like ``w[0, 1]``.
    shapes
        Leaf -> shape of its values, needed of leaves with a batch.
    given
        Leaf -> numbers in place of symbols, needed of indices.

    Returns
    -------
    Expr or ndarray
        An expression where the result is a scalar, else an object array of them.

    Raises
    ------
    ArgumentError
        SymPy is not installed.
    GraphError
        An operation that has no expression, or a batch of unknown size.
    """
    passes = Passes(result, names, known_shapes(result, shapes, given), given or {})
    values = passes.values[result]
    return values if passes.shape(result) else values[()]


def known_shapes(
    result: Node, shapes: Mapping[Node, tuple[int, ...]] | None, given: Mapping[Node, Any] | None
) -> dict[Node, tuple[int, ...]]:
    known = {node: np.shape(values) for node, values in (given or {}).items()}
    known |= {node: tuple(shape) for node, shape in (shapes or {}).items()}
    for node, shape in known.items():
        fits = shape[1:] == tuple(node.sample_shape) if node.batched else shape == tuple(node.sample_shape)
        if not fits:
            raise GraphError(f"{node!r}: got values of shape {shape}, expected {shape_text(node.shape)}")
    return known
