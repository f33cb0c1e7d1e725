"""The computation graph of the focus sample, node by node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import activations, ops
from retrograd._drawing import Cell, graph_svg
from retrograd._evaluation import Graph
from retrograd._explain.expression import Quantity
from retrograd._explain.notation import TEXT
from retrograd._play.look import before_update
from retrograd._play.run import UPDATE
from retrograd.errors import RetrogradError
from retrograd.graph import Input, Node, Variable

if TYPE_CHECKING:
    from retrograd._evaluation import GraphNode
    from retrograd._play.run import Run
    from retrograd._play.views import Views

    Named = dict[Node, str]

__all__ = ["graph"]

NODES = 150
MOST = 6  # numbers of an array that are written out


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
    names: Named = {}
    targets: dict[Any, dict[str, Any]] = {
        name: {"kind": "layer", "layer": layer}
        for layer, column in enumerate(views.columns, 1)
        for name in (column.weight, column.bias, column.z, column.a)
    }
    x, y = run.scene.x[views.focus][None], np.asarray(run.scene.y[views.focus])[None]
    fed: dict[Any, Any] = {run.model.inputs[0]: x}
    output = run.model.outputs[0]
    if _single_numbers(run, views):
        output, fed = _numbers_alone(run, views, names, targets)
    target = Input(y.shape[1:], dtype="int64" if y.dtype.kind in "iu" else None)
    result = loss(output, target)
    names[target], names[result], targets[result] = "y", "L", {"kind": "loss"}
    made = Graph(result)
    if len(made.nodes) > NODES:
        raise RetrogradError(f"the graph has {len(made.nodes)} nodes; up to {NODES} are drawn")
    made.forward({**fed, target: y})
    made.backward()
    names = {node.node: names.get(node.node, node.name) for node in made.nodes}
    cells = [_renamed(cell, names[node.node]) for cell, node in zip(made._cells(), made.nodes, strict=True)]
    text = f"Sample #{views.focus}, weights of step {run.step - (run.phase == UPDATE)}: inputs left, loss "
    text += "right. The arrow keys go from node to node."
    return {
        "svg": graph_svg(cells, f"Computation graph, {len(cells)} nodes", text),
        "text": text,
        "targets": [targets.get(node.node, targets.get(node.name)) for node in made.nodes],
        "steps": _steps(made, names),
    }


def _single_numbers(run: Run, views: Views) -> bool:
    """Whether each node can be one number: units of sums and activations, and few of them."""
    columns = views.columns
    count = sum(column.units * (3 * column.inputs + 1) for column in columns) + columns[0].inputs + 2
    plain = all(column.direct and hasattr(activations, column.activation) for column in columns)
    return plain and count <= NODES and columns[0].x == run.model._core.input_names[0]


def _numbers_alone(run: Run, views: Views, names: Named, targets: dict[Any, Any]) -> tuple[Node, Any]:
    """The network of one sample as products and sums of numbers, and the numbers of the sample."""

    def named(node: Node, letter: str, layer: int, *index: int, kind: str = "unit") -> Node:
        names[node] = TEXT.write(Quantity(letter, 0.0, tuple(k + 1 for k in index), 0, layer))
        targets[node] = {"kind": kind, "layer": layer, **dict(zip(("unit", "input"), index, strict=False))}
        return node

    row = [named(Input(1), "x", 0, k) for k in range(run.scene.inputs)]
    fed = {node: [[value]] for node, value in zip(row, run.scene.x[views.focus], strict=True)}
    for layer, column in enumerate(views.columns, 1):
        sums: list[Node] = []
        total = row[0]
        for (j, k), w in np.ndenumerate(run.model.parameters[column.weight]):
            weight = named(Variable([w]), "w", layer, j, k, kind="weight")
            term = weight * row[k]
            names[term] = f"{names[weight]}·{names[row[k]]}"
            total = total + term if k else term
            if k:
                names[total] = f"{k + 1} terms of {TEXT.write(Quantity('z', 0.0, (j + 1,), 0, layer))}"
            if k + 1 == column.inputs:
                if column.bias:
                    b = run.model.parameters[column.bias][j]
                    total = total + named(Variable([b]), "b", layer, j, kind="bias")
                sums.append(named(total, "z", layer, j))
        function = getattr(activations, column.activation)
        if column.activation in ("softmax", "log_softmax"):
            z = named(ops.concatenate(sums), "z", layer, kind="layer")
            return named(function(z), "a", layer, kind="layer"), fed
        row = sums
        if column.activation != "linear":
            row = [named(function(z), "a", layer, j) for j, z in enumerate(sums)]
    return row[0] if len(row) == 1 else named(ops.concatenate(row), "a", layer, kind="layer"), fed


def _renamed(cell: Cell, name: str) -> Cell:
    """With the name that the page has for it, and its numbers without brackets."""
    value, gradient, *local = (re.sub(r"[][]", "", t) for t in (cell.value, cell.gradient, *cell.local))
    return Cell(name, cell.op, cell.kind, value, gradient, cell.inputs, tuple(local), cell.visit)


# ------------------------------------------------------------------------------------------ node by node


def _steps(made: Graph, names: Named) -> list[dict[str, Any]]:
    """The operations as forward computes them; all nodes as backward knows their gradients."""
    consumers: dict[GraphNode, list[tuple[GraphNode, int]]] = {node: [] for node in made.nodes}
    for node in made.nodes:
        for k, operand in enumerate(node.inputs):
            consumers[operand].append((node, k))
    # a leaf is not visited: its gradient is known when its last consumer has been
    last = {operand: node for node in made.order for operand in node.inputs if not operand.op}
    ahead = [node for node in made.nodes if node.op]
    back = []
    for node in made.order:
        back += [node, *(leaf for leaf in last if last[leaf] is node and leaf.gradient is not None)]
    lines = [("Forward", i, ahead, _forward(node, names)) for i, node in enumerate(ahead)]
    lines += [("Backward", i, back, _backward(node, consumers[node], names)) for i, node in enumerate(back)]
    return [
        {
            "node": made.nodes.index(nodes[i]),
            "back": nodes is back,
            "text": f"{way}, {i + 1} of {len(nodes)}: {words}",
        }
        for way, i, nodes, words in lines
    ]


def _forward(node: GraphNode, names: Named) -> str:
    """z = 2 terms of z + b ≈ 0.4 + 0.1 ≈ 0.5"""
    name, symbols = names[node.node], _applied(node.op, [names[operand.node] for operand in node.inputs])
    pieces = [name] if symbols.replace(" ", "") == name else [f"{name} = {symbols}"]
    if all(np.size(operand.value) <= MOST for operand in node.inputs):
        pieces.append(_applied(node.op, [_text(operand.value) for operand in node.inputs]))
    return " ≈ ".join([*pieces, _text(node.value)])


def _backward(node: GraphNode, consumers: list[tuple[GraphNode, int]], names: Named) -> str:
    """∂L/∂a = gradient · local derivative, summed over its consumers b, c ≈ 0.4 · 0.2 + 1 · 0.3 ≈ 0.38"""
    name = names[node.node]
    start = f"∂L/∂({name})" if " " in name or "·" in name else f"∂L/∂{name}"
    if not consumers:
        return f"{start} = 1: backward begins here"
    above = ", ".join(dict.fromkeys(names[consumer.node] for consumer, _ in consumers))
    if np.size(node.gradient) > 1:
        return f"{start} ≈ {_text(node.gradient)}, from {above}"
    terms = []
    for consumer, k in consumers:
        local = consumer._local(k)
        if local is not None and consumer.gradient is not None:
            pairs = zip(np.ravel(consumer.gradient), np.ravel(local), strict=True)
            terms += [_applied("multiply", [_text(g), _text(d)]) for g, d in pairs]
    where = "summed over its consumers" if len(consumers) > 1 else "at its consumer"
    words = f"gradient · local derivative {where} {above}"
    return f"{start} = {words} ≈ {' + '.join(terms)} ≈ {_text(node.gradient)}"


def _applied(op: str, operands: list[str]) -> str:
    sign = {"add": " + ", "multiply": " · "}.get(op)
    if sign:
        return sign.join(f"({text})" if text.startswith("-") else text for text in operands)
    return f"{op}({', '.join(operands)})"


def _text(value: Any) -> str:
    """A number as the picture writes it, a few numbers, or how many they are."""
    texts = [f"{number:.4g}" for number in np.ravel(value)]
    if len(texts) > MOST:
        return f"{len(texts)} numbers"
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
