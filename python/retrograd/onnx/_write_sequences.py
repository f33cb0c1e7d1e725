"""Layers of sequences: recurrent walks and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.onnx._cells import body, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd._core import Array
    from retrograd.graph import Node
    from retrograd.onnx._writer import Writer

    Write = Callable[[Writer, Node], None]

# Operation: ONNX's operator, and our gates in its order (LSTM: i, o, f, c; GRU: z, r, h).
OPERATORS: dict[str, tuple[str, tuple[int, ...]]] = {
    "simple_rnn": ("RNN", (0,)),
    "lstm": ("LSTM", (0, 3, 1, 2)),
    "gru": ("GRU", (1, 0, 2)),
}
WALKS = tuple(OPERATORS)


def operands(node: Node) -> list[Node]:
    """x, W_ih, b_ih, W_hh, b_hh of a walk that ONNX has as an operator; else what the node itself takes."""
    z, weight, bias, *mask = node.inputs
    if mask or z.op != "linear" or len(z.inputs) != 3:
        return node.inputs
    return [*z.inputs, weight, bias]


def in_gates(array: Array, gates: tuple[int, ...]) -> Array:
    """The rows of a weight, or a bias, with its gates in another order; a first axis for the direction."""
    parts = np.split(array, len(gates))
    return np.concatenate([parts[gate] for gate in gates])[None]


def _in_gates(w: Writer, node: Node, parameter: Node, gates: tuple[int, ...]) -> str:
    name = w.rearranged(parameter, node.op, lambda a: in_gates(a, gates))
    if name:
        return name
    units = (parameter.shape[0] or 1) // len(gates)  # a layer that is called with a mask and without
    rows = [gate * units + i for gate in gates for i in range(units)]
    moved = w.emit("Gather", [w.value(parameter), w.integers(rows)], axis=0)
    return w.emit("Unsqueeze", [moved, w.integers([0])])


def _walk(w: Writer, node: Node) -> None:
    op, gates = OPERATORS[node.op]
    given = operands(node)
    if given == node.inputs:
        _scan(w, node)
        return
    x = w.turned(given[0], (1, 0, 2))  # (time, batch, features)
    weight_ih, bias_ih, weight_hh, bias_hh = (_in_gates(w, node, p, gates) for p in given[1:])
    bias = w.joined(bias_ih, bias_hh)
    attributes: dict[str, Any] = {"hidden_size": given[3].shape[-1]}
    if node.attributes["reverse"]:
        attributes["direction"] = "reverse"
    if op == "GRU":
        attributes["linear_before_reset"] = 1
    if op == "RNN":
        attributes["activations"] = [str(node.attributes["activation"]).capitalize()]
    sequences = bool(node.attributes["return_sequences"])
    outputs = [w.fresh(f"{w.name_of(node)}:Y"), ""] if sequences else ["", w.fresh(f"{w.name_of(node)}:Y_h")]
    made = w.onnx.helper.make_node(
        op, [x, weight_ih, weight_hh, bias], outputs, name=outputs[0] or outputs[1], **attributes
    )
    w.nodes.append(made)
    if sequences:  # (time, direction, batch, units)
        w.put(node, "Transpose", [w.emit("Squeeze", [outputs[0], w.integers([1])])], perm=[1, 0, 2])
    else:
        w.put(node, "Squeeze", [outputs[1], w.integers([0])])


def _scan(w: Writer, node: Node) -> None:
    """Step by step: ONNX's own operators have lengths of sequences, and no mask that has gaps."""
    z, weight, bias, *mask = node.inputs
    units = weight.shape[-1] or 1
    cell = str(node.attributes["activation"]) if node.op == "simple_rnn" else node.op
    batch = w.emit("Shape", [w.value(z)], start=0, end=1)
    zero = w.onnx.numpy_helper.from_array(np.zeros(1, w.dtype))
    start = w.emit("ConstantOfShape", [w.emit("Concat", [batch, w.integers([units])], axis=0)], value=zero)
    inputs = [start] * len(states(cell)) + [w.value(z)]
    if mask:
        truth = w.emit("Cast", [w.value(mask[0])], to=w.onnx.TensorProto.BOOL)
        inputs.append(w.emit("Unsqueeze", [truth, w.integers([2])]))
    taken = len(inputs) - len(states(cell))
    sequences, reverse = bool(node.attributes["return_sequences"]), int(bool(node.attributes["reverse"]))
    steps = body(
        w.onnx, cell, w.turned(weight, (1, 0)), w.value(bias), w.element, bool(mask), sequences, w.opset
    )
    name = w.result(node)
    attributes: dict[str, Any] = {
        "body": steps,
        "num_scan_inputs": taken,
        "scan_input_axes": [1] * taken,
        "scan_input_directions": [reverse] * taken,
    }
    outputs = [w.fresh(f"{name}:{state}") for state in states(cell)]
    if sequences:
        attributes |= {"scan_output_axes": [1], "scan_output_directions": [reverse]}
        outputs.append(name)
    else:
        outputs[0] = name
    w.nodes.append(w.onnx.helper.make_node("Scan", inputs, outputs, name=name, **attributes))


def _attention(w: Writer, node: Node) -> None:
    """softmax(q k^T / sqrt(width)) v for each head, all heads at once: (batch, heads, time, width)"""
    heads = int(str(node.attributes["heads"]))
    features = node.shape[-1] or 1
    packed = bool(node.attributes["packed"])
    if packed:
        joint = w.value(node.inputs[0])
        parts = w.split(joint, 3, features)
        queries = keys = node.shape[1] or 1
        mask = node.inputs[1:]
    else:
        parts = [w.value(x) for x in node.inputs[:3]]
        queries, keys = node.shape[1] or 1, node.inputs[1].shape[1] or 1
        mask = node.inputs[3:]
    split = w.integers([0, 0, heads, features // heads])
    q, k, v = (w.emit("Reshape", [part, split]) for part in parts)
    q, v = (w.emit("Transpose", [part], perm=[0, 2, 1, 3]) for part in (q, v))
    k = w.emit("Transpose", [k], perm=[0, 2, 3, 1])
    scale = (features / heads) ** -0.5
    scores = w.emit("MatMul", [w.emit("Mul", [q, w.number(scale)]), k])
    allowed = _allowed(w, mask, queries, keys, bool(node.attributes["causal"]))
    if allowed:
        # a query that may look at nothing gets zeros, not the mean of all
        truth = w.emit("Cast", [allowed], to=w.onnx.TensorProto.BOOL)
        scores = w.emit("Where", [truth, scores, w.number(-1e30)])
        shares = w.emit("Mul", [w.emit("Softmax", [scores], axis=-1), allowed])
    else:
        shares = w.emit("Softmax", [scores], axis=-1)
    heads_last = w.emit("Transpose", [w.emit("MatMul", [shares, v])], perm=[0, 2, 1, 3])
    w.put(node, "Reshape", [heads_last, w.integers([0, 0, features])])


def _allowed(w: Writer, mask: list[Node], queries: int, keys: int, causal: bool) -> str:
    """1 where a query may look at a key, else 0, with an axis for the heads; "" where all may."""
    below = w.number(np.tri(queries, keys)) if causal else ""
    if not mask:
        return below
    name = w.value(mask[0])
    if mask[0].batched:  # (batch, keys) or (batch, queries, keys)
        name = w.emit("Unsqueeze", [name, w.integers([1, 2] if len(mask[0].shape) == 2 else [1])])
    truth = w.emit("Cast", [name], to=w.onnx.TensorProto.BOOL)  # whatever is not 0 counts as 1
    name = w.emit("Cast", [truth], to=w.element)
    return w.emit("Mul", [name, below]) if below else name


WRITE: dict[str, Write] = {**dict.fromkeys(WALKS, _walk), "attention": _attention}
