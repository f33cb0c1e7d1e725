"""The computation graph of the focus sample, one number on each node, and the way through it node by node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import activations, ops
from retrograd._drawing import graph_svg
from retrograd._evaluation import Graph
from retrograd._explain.expression import Quantity
from retrograd._explain.notation import TEXT
from retrograd._layout import Cell
from retrograd._play.look import before_update
from retrograd._play.run import UPDATE
from retrograd.errors import RetrogradError
from retrograd.graph import Input, Node, Variable

if TYPE_CHECKING:
    from retrograd._evaluation import GraphNode
    from retrograd._play.run import Run
    from retrograd._play.views import Views

__all__ = ["graph"]

NODES = 150
MOST = 6  # numbers of an array that are written out
_INFIX = {"add": " + ", "multiply": " · "}


class _Scalars:
    """The network of one sample as products and sums of single numbers.

    Attributes
    ----------
    names, targets
        By node: what it is called, and what it stands for in the inspector.
    fed
        The numbers of the sample.
    output
        The last activations, [1, outputs].
    """

    def __init__(self, run: Run, views: Views) -> None:
        self.names: dict[Node, str] = {}
        self.targets: dict[Node, dict[str, Any]] = {}
        self.fed: dict[Node, Any] = {}
        row = [self._input(k, value) for k, value in enumerate(run.scene.x[views.focus])]
        for layer, column in enumerate(views.columns, 1):
            W = run.model.parameters[column.weight]
            b = run.model.parameters[column.bias] if column.bias else None
            sums = [self._sum(layer, j, W[j], None if b is None else b[j], row) for j in range(len(W))]
            row = self._activated(layer, column.activation, sums)
        self.output = row[0] if len(row) == 1 else self._together("a", layer, ops.concatenate(row))

    def _named(self, node: Node, letter: str, layer: int, *index: int) -> Node:
        self.names[node] = TEXT.write(Quantity(letter, 0.0, tuple(k + 1 for k in index), 0, layer))
        return node

    def _together(self, letter: str, layer: int, node: Node) -> Node:
        self.targets[node] = {"kind": "layer", "layer": layer}
        return self._named(node, letter, layer)

    def _input(self, k: int, value: float) -> Node:
        node = self._named(Input(1), "x", 0, k)
        self.fed[node] = np.array([[value]])
        self.targets[node] = {"kind": "unit", "layer": 0, "unit": k}
        return node

    def _sum(self, layer: int, j: int, weights: Any, bias: Any, row: list[Node]) -> Node:
        unit = {"layer": layer, "unit": j}
        terms: list[Node] = []
        for k, (w, a) in enumerate(zip(weights, row, strict=True)):
            weight = self._named(Variable(np.array([w])), "w", layer, j, k)
            self.targets[weight] = {"kind": "weight", **unit, "input": k}
            terms.append(weight * a)
            self.names[terms[-1]] = f"{self.names[weight]}·{self.names[a]}"
        if bias is not None:
            terms.append(self._named(Variable(np.array([bias])), "b", layer, j))
            self.targets[terms[-1]] = {"kind": "bias", **unit}
        total = terms[0]
        name = TEXT.write(Quantity("z", 0.0, (j + 1,), 0, layer))
        for count, term in enumerate(terms[1:], 2):
            total = total + term
            self.names[total] = f"{count} terms of {name}"
        self.names[total] = name
        self.targets[total] = {"kind": "unit", **unit}
        return total

    def _activated(self, layer: int, activation: str, sums: list[Node]) -> list[Node]:
        if activation == "linear":
            return sums
        function = getattr(activations, activation)
        if activation in ("softmax", "log_softmax"):
            return [self._together("a", layer, function(self._together("z", layer, ops.concatenate(sums))))]
        row = [function(z) for z in sums]
        for j, (z, a) in enumerate(zip(sums, row, strict=True)):
            self._named(a, "a", layer, j)
            self.targets[a] = self.targets[z]
        return row


def graph(run: Run, views: Views) -> dict[str, Any]:
    """A picture of the graph for the focus sample and the steps through it, or why there is none."""
    objective = run.trainer._objective
    if objective.losses is None or len(objective.losses) != 1:
        return {"refused": "the loss is a function of one's own; its graph is not drawn here"}
    try:
        with before_update(run):
            return _drawn(run, views, objective.losses[0])
    except (RetrogradError, ImportError) as error:
        return {"refused": str(error)}


def _drawn(run: Run, views: Views, loss: Any) -> dict[str, Any]:
    x, y = run.scene.x[views.focus : views.focus + 1], run.scene.y[views.focus : views.focus + 1]
    labels = np.asarray(y).dtype.kind in "iu" and np.asarray(y).ndim == 1
    y = np.asarray(y).reshape((1,) if labels else (1, -1))
    names, targets = {}, {}
    output, fed = run.model.outputs[0], {run.model.inputs[0]: x}
    if _single_numbers(run, views):
        scalars = _Scalars(run, views)
        names, targets = scalars.names, scalars.targets
        output, fed = scalars.output, scalars.fed
    target = Input(y.shape[1:], dtype="int64" if labels else None, name="y")
    result = loss(output, target)
    names[result], targets[result] = "L", {"kind": "loss"}
    made = Graph(result)
    if len(made.nodes) > NODES:
        raise RetrogradError(f"the graph has {len(made.nodes)} nodes; up to {NODES} are drawn")
    made.forward({**fed, target: y})
    made.backward()
    cells = [_renamed(cell, names.get(node.node)) for cell, node in zip(made._cells(), made.nodes, strict=True)]
    layers = {
        name: {"kind": "layer", "layer": layer}
        for layer, column in enumerate(views.columns, 1)
        for name in (column.weight, column.bias, column.z, column.a)
    }
    step = run.step - (run.phase == UPDATE)
    text = f"Sample #{views.focus}, weights of step {step}: {len(cells)} nodes, inputs left, loss right."
    text += " The arrow keys go from node to node."
    return {
        "svg": graph_svg(cells, "", text),
        "text": text,
        "targets": [targets.get(node.node, layers.get(node.name)) for node in made.nodes],
        "steps": _steps(made, [cell.name for cell in cells]),
    }


def _single_numbers(run: Run, views: Views) -> bool:
    """Whether the network can be drawn with one number on each node, and is small enough for it."""
    columns = views.columns
    plain = columns[0].x == run.model._core.input_names[0] and all(
        column.direct and hasattr(activations, column.activation) for column in columns
    )
    # a weight, its product and its sum; an activation and a bias of each unit; x; y and the loss
    count = sum(column.units * (3 * column.inputs + 1) for column in columns) + columns[0].inputs + 2
    return plain and count <= NODES


def _renamed(cell: Cell, name: str | None) -> Cell:
    """With the name that the page has for it, and one number without its brackets."""
    if name is None:
        return cell
    value, gradient, *local = (re.sub(r"[][]", "", t) for t in (cell.value, cell.gradient, *cell.local))
    return Cell(name, cell.op, cell.kind, value, gradient, cell.inputs, tuple(local), cell.visit)


# ------------------------------------------------------------------------------------------ node by node


def _steps(made: Graph, names: list[str]) -> list[dict[str, Any]]:
    """The operations as forward computes them; all nodes as backward knows their gradients."""
    nodes = made.nodes
    places = {node.node: k for k, node in enumerate(nodes)}
    consumers: list[list[tuple[GraphNode, int]]] = [[] for _ in nodes]
    for node in nodes:
        for k, operand in enumerate(node.inputs):
            consumers[places[operand.node]].append((node, k))
    ahead = [k for k, node in enumerate(nodes) if node.op]
    back = []
    left = [len(found) for found in consumers]
    for visited in made.order:
        back.append(places[visited.node])
        for operand in visited.inputs:
            place = places[operand.node]
            left[place] -= 1
            # a leaf is not visited: its gradient is known when its last consumer has been
            if not operand.op and left[place] == 0 and operand.gradient is not None:
                back.append(place)
    called = {node.node: name for node, name in zip(nodes, names, strict=True)}
    lines = [(k, "Forward", i, len(ahead), _forward(nodes[k], called)) for i, k in enumerate(ahead, 1)]
    lines += [
        (k, "Backward", i, len(back), _backward(nodes[k], consumers[k], called)) for i, k in enumerate(back, 1)
    ]
    return [
        {"node": k, "back": way == "Backward", "text": f"{way}, {i} of {count}: {words}"}
        for k, way, i, count, words in lines
    ]


def _forward(node: GraphNode, called: dict[Node, str]) -> str:
    """z = 2 terms of z + b ≈ 0.4 + 0.1 ≈ 0.5"""
    name = called[node.node]
    symbols = _applied(node.op, [called[operand.node] for operand in node.inputs])
    pieces = [name] if symbols.replace(" ", "") == name else [f"{name} = {symbols}"]
    if all(np.size(operand.value) <= MOST for operand in node.inputs):
        pieces.append(_applied(node.op, [_text(operand.value) for operand in node.inputs]))
    return " ≈ ".join([*pieces, _text(node.value)])


def _applied(op: str, operands: list[str]) -> str:
    if op in _INFIX:
        return _INFIX[op].join(f"({text})" if text.startswith("-") else text for text in operands)
    return f"{op}({', '.join(operands)})"


def _backward(node: GraphNode, consumers: list[tuple[GraphNode, int]], called: dict[Node, str]) -> str:
    """∂L/∂a = gradient · local derivative, summed over its consumers b and c, ≈ 0.4 · 0.2 + 1 · 0.3 ≈ 0.38"""
    start = f"∂L/∂{_held(called[node.node])}"
    if not consumers:
        return f"{start} = 1: backward begins here"
    if np.size(node.gradient) > 1:
        return f"{start} ≈ {_text(node.gradient)}, from {_listed(consumers, called)}"
    factors = []
    for consumer, k in consumers:
        local = consumer._local(k)
        if local is not None and consumer.gradient is not None:
            factors += zip(np.ravel(consumer.gradient), np.ravel(local), strict=True)
    terms = " + ".join(_applied("multiply", [_text(g), _text(d)]) for g, d in factors)
    where = "summed over its consumers" if len(consumers) > 1 else "at its consumer"
    words = f"gradient · local derivative {where} {_listed(consumers, called)}"
    return f"{start} = {words} ≈ {terms} ≈ {_text(node.gradient)}"


def _held(name: str) -> str:
    return f"({name})" if " " in name or "·" in name else name


def _listed(consumers: list[tuple[GraphNode, int]], called: dict[Node, str]) -> str:
    return ", ".join(dict.fromkeys(called[consumer.node] for consumer, _ in consumers))


def _text(value: Any) -> str:
    """A number as the picture writes it, a few numbers, or how many they are."""
    flat = np.ravel(value)
    if flat.size > MOST:
        return f"{flat.size} numbers"
    texts = [f"{number:.4g}" for number in flat]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
