"""Recurrent operators, and the Scan that export writes for a walk with a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import ops
from retrograd.errors import GraphError
from retrograd.graph import operation
from retrograd.layers import GRU, LSTM, SimpleRNN
from retrograd.onnx._cells import CELLS, body, states
from retrograd.onnx._read_layers import with_parameters
from retrograd.onnx._reader import Value
from retrograd.onnx._writer import package

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd._core import Array
    from retrograd.graph import Node
    from retrograd.onnx._reader import Reader, Step

    Read = Callable[[Reader, Step], Any]

# ONNX's gates in our order: i, f, g, o of i, o, f, c; r, z, n of z, r, h.
_GATES = {"RNN": (0,), "LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}
_ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _walk(r: Reader, step: Step) -> list[Value | None]:
    _refuse_others(r, step)
    x = step.value(0)
    node = r.in_order(x, (0, 1, 2) if step.attributes.get("layout", 0) else (1, 0, 2))
    both = step.attributes.get("direction", "forward") == "bidirectional"
    backward = [False, True] if both else [step.attributes.get("direction") == "reverse"]
    wanted = [bool(name) and (name in r.takers or name in r.outputs) for name in [*step.outputs, "", ""]][:2]
    walks = [_layer(r, step, k, reverse, wanted[0])(node) for k, reverse in enumerate(backward)]
    return [
        _sequences(step, walks) if wanted[0] else None,
        _last(step, walks, backward, sequences=wanted[0]) if wanted[1] else None,
    ]


def _refuse_others(r: Reader, step: Step) -> None:
    """What ONNX can say and our layers cannot do."""
    time = step.value(0).shape[1 if step.attributes.get("layout", 0) else 0]
    lengths = step.given(4)
    if lengths is not None and (lengths.array is None or (lengths.array != time).any()):
        raise GraphError("sequence_lens are given; a mask does that here, and none is made of lengths")
    for k in (5, 6):
        start = step.given(k)
        if start is not None and (start.array is None or np.any(start.array)):
            raise GraphError("the state before the first step is given, and it is 0 here")
    if step.given(7) is not None and np.any(step.numbers(7, "P")):
        raise GraphError("it has peepholes, which the LSTM here has not")
    if any(name in r.takers or name in r.outputs for name in step.outputs[2:] if name):
        raise GraphError("the last memory of the cells is used, and only the state can be read")
    step.only("input_forget", 0, 0)
    step.only("clip", None)
    if step.op == "GRU":
        step.only("linear_before_reset", 1, 0)


def _activation(step: Step) -> dict[str, str]:
    expected = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
    given = step.attributes.get("activations")
    if step.op == "RNN":
        names = {name.lower() for name in given or ["Tanh"]}
        if len(names) != 1 or not names <= {"tanh", "relu"}:
            raise GraphError(f"activations are {given!r}, and only Tanh or Relu can be read")
        return {"activation": names.pop()}
    if given and given not in (expected[step.op], expected[step.op] * 2):
        raise GraphError(f"activations are {given!r}, and only {expected[step.op]!r} can be read")
    return {}


def _in_our_gates(array: Array, gates: tuple[int, ...]) -> Array:
    parts = np.split(array, len(gates))
    return np.concatenate([parts[gate] for gate in gates])


def _layer(r: Reader, step: Step, k: int, reverse: bool, sequences: bool) -> Any:
    """The layer of one direction."""
    weight, recurrent = step.numbers(1, "W")[k], step.numbers(2, "R")[k]
    gates = _GATES[step.op]
    rows = len(weight)
    bias = np.zeros(2 * rows) if step.given(3) is None else step.numbers(3, "B")[k]
    parts = (weight, recurrent, bias[:rows], bias[rows:])
    parameters = {role: _in_our_gates(part, gates) for role, part in zip(_ROLES, parts, strict=True)}
    units = recurrent.shape[1]
    if r.is_tied(*step.inputs[1:4]):
        return _tied(r, step, k, reverse, sequences)
    kind: Any = {"RNN": SimpleRNN, "LSTM": LSTM, "GRU": GRU}[step.op]
    more = _activation(step)

    def make(name: str | None) -> Any:
        layer = kind(units, return_sequences=sequences, reverse=reverse, name=name, **more)
        return with_parameters(layer, parameters)

    name = r.names_of(("weight_ih", step.value(1)), ("weight_hh", step.value(2)))
    names = [value.name for value in step.inputs[1:4] if value is not None]
    return r.layer((step.op, *names, k, reverse, sequences, *more.values()), name, make)


def _tied(r: Reader, step: Step, k: int, reverse: bool, sequences: bool) -> Callable[[Node], Node]:
    """The walk as operations, on parameters that another operator has as well."""
    gates = _GATES[step.op]

    def ours(value: Value, part: slice | None = None) -> Node:
        node = r.node(value)
        node = ops.reshape(ops.slice(node, 0, k, k + 1), value.shape[1:])
        if part is not None:
            node = ops.slice(node, 0, part.start, part.stop)
        size = (node.shape[0] or 1) // len(gates)
        return ops.concatenate([ops.slice(node, 0, gate * size, (gate + 1) * size) for gate in gates], 0)

    rows = step.numbers(1, "W").shape[1]
    weight, recurrent = ours(step.value(1)), ours(step.value(2))
    biases = [ours(step.value(3), slice(start, start + rows)) for start in (0, rows)]
    op = {"RNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}[step.op]
    attributes: dict[str, Any] = {"return_sequences": sequences, "reverse": reverse, **_activation(step)}

    def walk(x: Node) -> Node:
        z = operation("linear", x, weight, biases[0])
        return operation(op, z, recurrent, biases[1], **attributes)

    return walk


def _sequences(step: Step, walks: list[Node]) -> Value:
    """Y: (time, directions, batch, units), or (batch, time, directions, units)"""
    parts = [ops.reshape(walk, (walk.shape[1] or 1, 1, walk.shape[2] or 1)) for walk in walks]
    node = parts[0] if len(parts) == 1 else ops.concatenate(parts, 2)
    return Value(step.outputs[0], node=node, order=(0, 1, 2, 3) if _batch_first(step) else (1, 2, 0, 3))


def _last(step: Step, walks: list[Node], backward: list[bool], sequences: bool) -> Value:
    """Y_h: (directions, batch, units), or (batch, directions, units)"""
    parts = []
    for walk, reverse in zip(walks, backward, strict=True):
        node = walk
        if sequences:
            at = 0 if reverse else (walk.shape[1] or 1) - 1
            node = ops.slice(walk, 1, at, at + 1)
        parts.append(ops.reshape(node, (1, node.shape[-1] or 1)))
    node = parts[0] if len(parts) == 1 else ops.concatenate(parts, 1)
    return Value(step.outputs[1], node=node, order=(0, 1, 2) if _batch_first(step) else (1, 0, 2))


def _batch_first(step: Step) -> bool:
    return bool(step.attributes.get("layout", 0))


def _scan(r: Reader, step: Step) -> list[Value | None]:
    """A Scan whose body is one of ours, node for node."""
    onnx = package()
    found = step.attributes["body"]
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(r.dtype))
    if len(found.node) < 3 or any(len(inner.input) < 2 for inner in found.node[:2]):
        raise GraphError("its body is none of those that retrograd writes for a recurrent layer with a mask")
    weight, bias = found.node[0].input[1], found.node[1].input[1]
    for cell in CELLS:
        count = len(states(cell))
        for masked in (False, True):
            for sequences in (False, True):
                ours = body(onnx, cell, weight, bias, element, masked, sequences, r.opset)
                if len(step.outputs) == count + sequences and ours == found:
                    return _masked(r, step, cell, masked, sequences, [weight, bias])
    raise GraphError("its body is none of those that retrograd writes for a recurrent layer with a mask")


def _masked(
    r: Reader, step: Step, cell: str, masked: bool, sequences: bool, captured: list[str]
) -> list[Value | None]:
    count = len(states(cell))
    op = cell if cell in ("lstm", "gru") else "simple_rnn"
    weight = r.values[captured[0]]
    turned = weight.step is not None and weight.step.op == "Transpose"
    matrix = r.node(weight.step.value(0)) if turned and weight.step else ops.transpose(r.node(weight))
    nodes = [r.node(step.value(count)), matrix, r.node(r.values[captured[1]])]
    if masked:
        mask = r.node(step.value(count + 1))
        nodes.append(ops.reshape(mask, (mask.shape[1] or 1,)))
    attributes: dict[str, Any] = {"return_sequences": sequences}
    attributes["reverse"] = bool(step.attributes.get("scan_input_directions", [0])[0])
    if op == "simple_rnn":
        attributes["activation"] = cell
    node = operation(op, *nodes, **attributes)
    value = Value(step.outputs[count if sequences else 0], node=node)
    return [*[None] * count, value] if sequences else [value, *[None] * (count - 1)]


READ: dict[str, Read] = {"LSTM": _walk, "GRU": _walk, "RNN": _walk, "Scan": _scan}
