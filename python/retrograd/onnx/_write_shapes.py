"""Operations on axes: reductions, shapes, parts, rows of tables. They need a tensor as the model has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node
    from retrograd.onnx._writer import Writer

    Write = Callable[[Writer, Node], None]

_FAR = 2**63 - 1


def _reduced(op: str) -> Write:
    def write(w: Writer, node: Node) -> None:
        x = node.inputs[0]
        rank = len(x.shape)
        given = node.attributes.get("axis", list(range(1 if x.batched else 0, rank)))
        axes = sorted(int(a) % rank for a in (given if isinstance(given, list) else [given]))
        kept = int(bool(node.attributes.get("keepdims", False)))
        if w.only_first(x) and axes == list(range(1, rank - 1)) and not kept:
            name, axes = w.images(x), list(range(2, rank))  # the mean of each channel needs no transpose
        else:
            name = w.value(x)
        if op == "ReduceSum" or w.opset >= 18:
            w.put(node, op, [name, w.integers(axes)], keepdims=kept)
        else:
            w.put(node, op, [name], axes=axes, keepdims=kept)

    return write


def _reshape(w: Writer, node: Node) -> None:
    """A size of 0 stands for the operand's own: the batch"""
    sizes = [0, *node.sample_shape] if node.batched else list(node.sample_shape)
    w.put(node, "Reshape", [w.value(node.inputs[0]), w.integers(sizes)])


def _expand(w: Writer, node: Node) -> None:
    if node.batched:
        raise w.refuse(node, "an operand with a batch axis does not grow")
    w.put(node, "Expand", [w.value(node.inputs[0]), w.integers(list(node.sample_shape))])


def _transpose(w: Writer, node: Node) -> None:
    x = node.inputs[0]
    rank = len(x.shape)
    first = [0] if x.batched else []
    given = node.attributes.get("axes", [*first, *range(rank - 1, len(first) - 1, -1)])
    assert isinstance(given, list)
    w.put(node, "Transpose", [w.value(x)], perm=[int(a) % rank for a in given])


def _concatenate(w: Writer, node: Node) -> None:
    axis = int(str(node.attributes["axis"])) % len(node.shape)
    if axis == len(node.shape) - 1 and all(w.only_first(x) for x in node.inputs):
        w.put(node, "Concat", [w.images(x) for x in node.inputs], True, axis=1)
    else:
        w.put(node, "Concat", [_of_every_sample(w, node, x) for x in node.inputs], axis=axis)


def _of_every_sample(w: Writer, node: Node, x: Node) -> str:
    """What has no batch, once for each sample"""
    if x.batched or not node.batched:
        return w.value(x)
    sample = next(operand for operand in node.inputs if operand.batched)
    batch = w.emit("Shape", [w.value(sample)], start=0, end=1)
    shape = w.emit("Concat", [batch, w.integers(list(x.sample_shape))], axis=0)
    return w.emit("Expand", [w.value(x), shape])


def _slice(w: Writer, node: Node) -> None:
    a = {name: int(str(value)) for name, value in node.attributes.items()}
    step = a["step"]
    start = a.get("start", 0 if step > 0 else _FAR)
    stop = a.get("stop", _FAR if step > 0 else -_FAR)
    parts = [w.integers([n]) for n in (start, stop, a["axis"] % len(node.shape), step)]
    w.put(node, "Slice", [w.value(node.inputs[0]), *parts])


def _gather(w: Writer, node: Node) -> None:
    table, index = node.inputs
    if table.batched:
        raise w.refuse(node, "the table has a batch axis")
    w.put(node, "Gather", [w.value(table), w.value(index)], axis=0)


def _one_hot(w: Writer, node: Node) -> None:
    count = w.integers([int(str(node.attributes["count"]))])
    values = w.number(np.array([0.0, 1.0]))
    w.put(node, "OneHot", [w.value(node.inputs[0]), count, values], axis=-1)


def _matmul(w: Writer, node: Node) -> None:
    w.put(node, "MatMul", [w.value(x) for x in node.inputs])


WRITE: dict[str, Write] = {
    "sum": _reduced("ReduceSum"),
    "mean": _reduced("ReduceMean"),
    "max": _reduced("ReduceMax"),
    "logsumexp": _reduced("ReduceLogSumExp"),
    "reshape": _reshape,
    "flatten": _reshape,
    "expand": _expand,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "slice": _slice,
    "gather": _gather,
    "one_hot": _one_hot,
    "matmul": _matmul,
}
