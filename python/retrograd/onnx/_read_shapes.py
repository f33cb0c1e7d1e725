"""Operators that move, cut and join: axes are only renamed where that is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import ops
from retrograd.errors import GraphError, ShapeError
from retrograd.layers import Embedding
from retrograd.onnx._fold import cuts, parts
from retrograd.onnx._reader import BATCH, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd.graph import Node
    from retrograd.onnx._reader import Reader, Step

    Read = Callable[[Reader, Step], Any]


def _node(r: Reader, value: Value) -> Node:
    return r.node(value) if value.node is None else value.node


def _transpose(r: Reader, step: Step) -> Value:
    x = step.value(0)
    node = _node(r, x)
    perm = step.attributes.get("perm") or list(range(x.rank))[::-1]
    return Value(step.outputs[0], node=node, order=[x.order[axis] for axis in perm])


def without(order: Sequence[int], tensor_axes: Sequence[int]) -> list[int]:
    """The order of a tensor that has lost these axes, the node too."""
    gone = {order[axis] for axis in tensor_axes}
    return [axis - sum(g < axis for g in gone) for axis in order if axis not in gone]


def _sample(node: Node, shape: Sequence[int | None]) -> Node:
    """The node with another shape, given with its batch if it has one."""
    return ops.reshape(node, [int(n or 1) for n in (shape[1:] if node.batched else shape)])


def _squeeze(r: Reader, step: Step) -> Value:
    x = step.value(0)
    node = _node(r, x)
    given = step.setting("axes", 1)
    axes = [i for i, n in enumerate(x.shape) if n == 1] if given is None else [a % x.rank for a in given]
    lost = {x.order[axis] for axis in axes}
    if node.batched and 0 in lost:
        raise GraphError("it drops the axis of the batch")
    if any(x.shape[axis] != 1 for axis in axes):
        raise ShapeError(f"it drops axes {axes} of shape {x.shape}, which are not all 1")
    kept = [n for axis, n in enumerate(node.shape) if axis not in lost]
    return Value(step.outputs[0], node=_sample(node, kept), order=without(x.order, axes))


def _unsqueeze(r: Reader, step: Step) -> Value:
    x = step.value(0)
    node = _node(r, x)
    given = step.setting("axes", 1)
    rank = x.rank + len(given)
    new = {a % rank for a in given}
    old, fresh = iter(x.order), iter(range(x.rank, rank))  # new axes are the last ones of the node
    order = [next(fresh) if axis in new else next(old) for axis in range(rank)]
    return Value(step.outputs[0], node=_sample(node, [*node.shape, *[1] * len(given)]), order=order)


def _reshape(r: Reader, step: Step) -> Value:
    given = step.attributes["shape"] if "shape" in step.attributes else step.numbers(1, "shape").tolist()
    x = step.value(0)
    if not step.attributes.get("allowzero", 0):
        given = [x.shape[i] if n == 0 else int(n) for i, n in enumerate(given)]
    return reshaped(r, step, given)


def reshaped(r: Reader, step: Step, wanted: Sequence[int]) -> Value:
    """A tensor with the same numbers in the same order, in another shape; the batch stays one axis.

    Raises
    ------
    GraphError
        The batch would be cut, or joined with another axis.
    """
    x = step.value(0)
    node, at = r.batch_first(x)
    if not node.batched:
        return Value(step.outputs[0], node=ops.reshape(node, list(wanted)))
    sizes = [int(n or 1) for n in node.shape[1:]]
    before, whole = int(np.prod(sizes[:at])), int(np.prod(sizes))
    for place in _places_of_batch(wanted, r.fixed):
        ahead, behind = list(wanted[:place]), list(wanted[place + 1 :])
        rest = [*ahead, *behind]
        if rest.count(-1) > 1:
            continue
        filled = int(np.prod([n for n in rest if n != -1]))
        if -1 in rest and filled and whole % filled == 0:
            rest = [whole // filled if n == -1 else n for n in rest]
        if int(np.prod(rest)) == whole and int(np.prod(rest[:place])) == before:
            order = [*range(1, place + 1), 0, *range(place + 1, len(rest) + 1)]
            return Value(step.outputs[0], node=ops.reshape(node, rest), order=order)
    raise GraphError(
        f"shape {x.shape} becomes {tuple(wanted)} ({BATCH} the batch or what is left), which would cut the "
        "batch or join it with another axis"
    )


def _places_of_batch(wanted: Sequence[int], fixed: int) -> list[int]:
    """Where the batch may be: at a -1 first, and else at the size the file has for it."""
    free = [place for place, n in enumerate(wanted) if n == -1]
    return [*free, *(place for place, n in enumerate(wanted) if n == fixed)]


def _flatten(r: Reader, step: Step) -> Value:
    x = step.value(0)
    axis = int(step.attributes.get("axis", 1))
    axis = axis + x.rank if axis < 0 else axis
    if axis != 1:
        raise GraphError(f"it joins the batch with other axes: axis is {axis}, and only 1 can be read")
    return reshaped(r, step, [-1, int(np.prod(x.shape[1:]))])


def _concat(r: Reader, step: Step) -> Value:
    values = [step.value(k) for k in range(len(step))]
    batched = [value for value in values if value.batched]
    axis = int(step.attributes["axis"]) % values[0].rank
    order = batched[0].order if batched else tuple(range(values[0].rank))
    nodes = [_beside(r, value, batched[0]) if batched else r.node(value) for value in values]
    joined = ops.concatenate(nodes, order[axis])
    return Value(step.outputs[0], node=joined, order=order)


def _beside(r: Reader, value: Value, model: Value) -> Node:
    """An operand in the order of another; what has no batch stands beside every sample."""
    if value.batched:
        return r.in_order(value, model.order)
    node = r.like(value, model)
    return _sample(node, node.shape[1:]) if len(node.shape) == model.rank else node  # a batch of 1


def _slice(r: Reader, step: Step) -> Value:
    x = step.value(0)
    node = _node(r, x)
    for axis, part in enumerate(cuts(step, x.rank)):
        if part != slice(None) and not _is_all(part, x.shape[axis]):
            node = ops.slice(node, x.order[axis], part.start, part.stop, part.step)
    return Value(step.outputs[0], node=node, order=x.order)


def _is_all(part: slice, size: int) -> bool:
    """Whether a range leaves nothing out, the batch included, whose size nobody knows."""
    full = part.stop is not None and part.stop >= (size if size != BATCH else 1 << 30)
    return part.start == 0 and part.step == 1 and full


def _split(r: Reader, step: Step) -> list[Value]:
    x = step.value(0)
    node = _node(r, x)
    axis = int(step.attributes.get("axis", 0)) % x.rank
    sizes = parts(step, x.shape[axis], len(step.outputs))
    ends = np.cumsum(sizes).tolist()
    return [
        Value(name, node=ops.slice(node, x.order[axis], end - size, end), order=x.order)
        for name, end, size in zip(step.outputs, ends, sizes, strict=True)
    ]


def _gather(r: Reader, step: Step) -> Value:
    table, index = step.value(0), step.value(1)
    axis = int(step.attributes.get("axis", 0)) % table.rank
    if index.array is not None:
        return _taken(r, step, table, index.array, axis)
    if axis != 0 or table.batched:
        raise GraphError("indices of the input choose rows of a table alone: axis 0 of a parameter")
    array, named = table.array, r.names_of(("weight", table))
    owned = table.trained and not r.is_tied(table) and (named is not None or not r.ours)
    if array is not None and array.ndim == 2 and owned:
        layer = r.layer(
            ("embedding", table.name),
            named,
            lambda name: Embedding(array.shape[0], array.shape[1], weight_init=np.float64(array), name=name),
        )
        return Value(step.outputs[0], node=layer(r.node(index)))
    return Value(step.outputs[0], node=ops.gather(r.node(table), r.node(index)))


def _taken(r: Reader, step: Step, x: Value, index: Any, axis: int) -> Value:
    """Elements of one axis that are known when the file is read."""
    node = _node(r, x)
    at, size = x.order[axis], x.shape[axis]
    if node.batched and at == 0:
        raise GraphError("it takes some samples of the batch")
    if index.ndim > 1:
        raise GraphError(f"indices of shape {index.shape} cannot be read, only one or a row of them")
    places = [int(i) % size for i in index.reshape(-1)]
    pieces = [ops.slice(node, at, i, i + 1) for i in places]
    node = pieces[0] if len(pieces) == 1 else ops.concatenate(pieces, at)
    if index.ndim == 1:
        return Value(step.outputs[0], node=node, order=x.order)
    kept = [n for k, n in enumerate(node.shape) if k != at]
    return Value(step.outputs[0], node=_sample(node, kept), order=without(x.order, [axis]))


def _one_hot(r: Reader, step: Step) -> Value:
    index = step.value(0)
    rank = index.rank + 1
    axis = int(step.attributes.get("axis", -1)) % rank
    low, high = step.numbers(2, "values").tolist()
    node = ops.one_hot(r.node(index), int(step.numbers(1, "depth").item()))
    if (low, high) != (0, 1):
        node = node * (high - low) + low
    others = iter(range(rank - 1))
    order = [rank - 1 if k == axis else next(others) for k in range(rank)]
    return Value(step.outputs[0], node=node, order=order)


def _expand(r: Reader, step: Step) -> Value:
    """What grows meets zeros of the shape"""
    x = step.value(0)
    shape = [int(n) for n in step.numbers(1, "shape")]
    node = r.node(x)
    if not node.batched and shape[:1] == [BATCH] and tuple(shape[1:]) == x.shape:
        return Value(step.outputs[0], node=node)  # once for each sample, which it is anyway
    wanted = [1] * (x.rank - len(shape)) + shape
    if len(wanted) > x.rank or wanted[0] not in (1, BATCH):
        raise GraphError(f"shape {x.shape} grows to {tuple(shape)}, which the batch cannot")
    zeros = np.zeros([max(1, n) for n in wanted[1:]])
    return Value(step.outputs[0], node=ops.add(node, zeros))


def _pad(r: Reader, step: Step) -> Value:
    step.only("mode", "constant", "constant")
    x = step.value(0)
    pads = [int(n) for n in step.setting("pads", 1)]
    value = float(np.asarray(step.setting("value", 2, 0.0)).item())
    axes = step.setting("axes", 3) or list(range(x.rank))
    node = _node(r, x)
    for k, axis in enumerate(axes):
        node = padded(node, x.order[axis % x.rank], pads[k], pads[k + len(axes)], value)
    return Value(step.outputs[0], node=node, order=x.order)


def padded(node: Node, axis: int, before: int, behind: int, value: float = 0.0) -> Node:
    """The node with so many elements more along an axis; negative numbers cut some off."""
    if before < 0 or behind < 0:
        size = node.shape[axis] or 0
        node = ops.slice(node, axis, max(0, -before), size - max(0, -behind))
    if before > 0 or behind > 0:
        one = ops.slice(node, axis, 0, 1)
        number = ops.less(one, one) + value if value else ops.less(one, one)  # 0 also where it is no number
        node = ops.concatenate([*[number] * max(0, before), node, *[number] * max(0, behind)], axis)
    return node


READ: dict[str, Read] = {
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "OneHot": _one_hot,
    "Expand": _expand,
    "Pad": _pad,
}
