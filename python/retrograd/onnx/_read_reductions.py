"""Operators that make one number of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd import ops
from retrograd.errors import GraphError
from retrograd.onnx._read_shapes import without
from retrograd.onnx._reader import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node
    from retrograd.onnx._reader import Reader, Step

    Read = Callable[[Reader, Step], Any]


def _over(function: Callable[..., Node]) -> Read:
    """Over some axes of the tensor, which are others of the node; none given means all."""

    def read(r: Reader, step: Step) -> Value:
        x = step.value(0)
        node = r.node(x) if x.node is None else x.node
        given = step.setting("axes", 1)
        if not given and step.attributes.get("noop_with_empty_axes", 0):
            return Value(step.outputs[0], node=node, order=x.order)
        axes = [a % x.rank for a in given] if given else list(range(x.rank))
        kept = bool(step.attributes.get("keepdims", 1))
        ours = [x.order[axis] for axis in axes]
        if node.batched and 0 in ours:
            raise GraphError("it goes over the batch")
        made = function(node, axis=ours, keepdims=kept)
        return Value(step.outputs[0], node=made, order=x.order if kept else without(x.order, axes))

    return read


def _global(function: Callable[..., Node]) -> Read:
    """Over all axes of an image but its channels"""

    def read(r: Reader, step: Step) -> Value:
        x = step.value(0)
        node = r.channels_last(x)
        made = function(node, axis=list(range(1, x.rank - 1)), keepdims=True)
        return r.images(made, step.outputs[0])

    return read


def _of(before: Callable[[Node], Node], after: Callable[[Node], Node] = lambda y: y) -> Callable[..., Node]:
    """The sum of something, and something of it."""
    return lambda x, **axes: after(ops.sum(before(x), **axes))


def _smallest(x: Node, **axes: Any) -> Node:
    return -ops.max(-x, **axes)


READ: dict[str, Read] = {
    "ReduceSum": _over(ops.sum),
    "ReduceMean": _over(ops.mean),
    "ReduceMax": _over(ops.max),
    "ReduceMin": _over(_smallest),
    "ReduceLogSumExp": _over(ops.logsumexp),
    "ReduceSumSquare": _over(_of(ops.square)),
    "ReduceL1": _over(_of(ops.abs)),
    "ReduceL2": _over(_of(ops.square, ops.sqrt)),
    "ReduceLogSum": _over(_of(lambda x: x, ops.log)),
    "GlobalAveragePool": _global(ops.mean),
    "GlobalMaxPool": _global(ops.max),
}
