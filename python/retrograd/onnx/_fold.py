"""Operators on numbers that are known when a file is read: shapes that it computes, weights it turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.errors import GraphError
from retrograd.onnx._reader import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd._core import Array
    from retrograd.onnx._reader import Step

    Fold = Callable[[Step, list[Array]], Any]

MOST = 1 << 26  # numbers that a constant of a few bytes may grow to


def _limited(shape: Any) -> tuple[int, ...]:
    sizes = tuple(1 if int(n) == BATCH else int(n) for n in shape)
    if any(n < 0 for n in sizes) or int(np.prod([float(n) for n in sizes])) > MOST:
        raise GraphError(f"a constant of shape {sizes} is too large; at most {MOST:,} numbers are made")
    return sizes


def _axes(step: Step, k: int = 1) -> tuple[int, ...] | None:
    found = step.setting("axes", k)
    return None if found is None else tuple(int(a) for a in found)


def unsqueezed(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with axes of 1 at these places of the result."""
    rank = len(shape) + len(axes)
    places = {axis % rank for axis in axes}
    rest = iter(shape)
    return tuple(1 if axis in places else next(rest) for axis in range(rank))


def _reshaped(step: Step, x: list[Array]) -> Array:
    given = step.attributes["shape"] if len(x) < 2 else x[1].tolist()
    sizes = [x[0].shape[i] if n == 0 else int(n) for i, n in enumerate(given)]
    return x[0].reshape(sizes)


def _sliced(step: Step, x: list[Array]) -> Array:
    return x[0][cuts(step, x[0].ndim)]


def cuts(step: Step, rank: int) -> tuple[slice, ...]:
    """The ranges of a Slice, one for each axis."""
    starts, ends = step.setting("starts", 1), step.setting("ends", 2)
    axes = step.setting("axes", 3) or list(range(len(starts)))
    steps = step.setting("steps", 4) or [1] * len(starts)
    found = [slice(None)] * rank
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        # a stop far before the first element means that the first one is part of it
        stop = None if stride < 0 and end < -(1 << 30) else int(end)
        found[axis] = slice(int(start), stop, int(stride))
    return tuple(found)


def parts(step: Step, size: int, count: int) -> list[int]:
    """The sizes that a Split makes of an axis."""
    given = step.setting("split", 1)
    if given:
        return [int(n) for n in given]
    each = -(-size // count)
    return [min(each, size - each * i) for i in range(count)]


def _split(step: Step, x: list[Array]) -> list[Array]:
    axis = step.attributes.get("axis", 0)
    sizes = parts(step, x[0].shape[axis], len(step.outputs))
    return np.split(x[0], np.cumsum(sizes)[:-1], axis)


def _cast(step: Step, x: list[Array]) -> Array:
    import onnx.helper

    return x[0].astype(onnx.helper.tensor_dtype_to_np_dtype(step.attributes["to"]))


def _filled(step: Step, x: list[Array]) -> Array:
    value = step.attributes.get("value")
    number = np.float32(0.0) if value is None else np.asarray(value).reshape(-1)[0]
    return np.full(_limited(x[0]), number)


def _expanded(step: Step, x: list[Array]) -> Array:
    shape = np.broadcast_shapes(x[0].shape, _limited(x[1]))
    return np.broadcast_to(x[0], _limited(shape))


def _range(step: Step, x: list[Array]) -> Array:
    first, end, stride = (a.item() for a in x)
    _limited([max(0, (end - first) / stride)])
    return np.arange(first, end, stride, dtype=x[0].dtype)


def _divided(step: Step, x: list[Array]) -> Array:
    return x[0] // x[1] if x[0].dtype.kind in "iu" else x[0] / x[1]


def _triangle(step: Step, x: list[Array]) -> Array:
    k = int(x[1]) if len(x) > 1 else 0
    return np.triu(x[0], k) if step.attributes.get("upper", 1) else np.tril(x[0], k)


def _whole(function: Callable[..., Array]) -> Fold:
    """A function of NumPy; a size of a batch takes no part in it, since nobody knows it yet."""

    def fold(step: Step, x: list[Array]) -> Array:
        for array in x:
            if array.dtype == np.int64 and array.ndim < 2 and (array == BATCH).any():
                raise GraphError("the size of the batch is computed with, which only a runtime knows")
        return function(*x)

    return fold


# These move numbers and leave them as they are, so a parameter that passes through them is still one.
MOVES: dict[str, Fold] = {
    "Identity": lambda step, x: x[0],
    "Transpose": lambda step, x: x[0].transpose(step.attributes.get("perm")),
    "Reshape": _reshaped,
    "Squeeze": lambda step, x: np.squeeze(x[0], _axes(step)),
    "Unsqueeze": lambda step, x: x[0].reshape(unsqueezed(x[0].shape, _axes(step) or ())),
    "Concat": lambda step, x: np.concatenate(x, step.attributes["axis"]),
    "Slice": _sliced,
    "Split": _split,
    "Gather": lambda step, x: np.take(x[0], x[1], step.attributes.get("axis", 0)),
    "Cast": _cast,
}

FOLD: dict[str, Fold] = {
    **MOVES,
    "ConstantOfShape": _filled,
    "Expand": _expanded,
    "Range": _range,
    "Trilu": _triangle,
    "Add": _whole(np.add),
    "Sub": _whole(np.subtract),
    "Mul": _whole(np.multiply),
    "Div": _divided,
    "Neg": _whole(np.negative),
    "Sqrt": _whole(np.sqrt),
    "Reciprocal": _whole(np.reciprocal),
    "Pow": _whole(lambda a, b: np.power(a, b).astype(a.dtype)),
    "Equal": lambda step, x: np.equal(*x),
    "Less": _whole(np.less),
    "LessOrEqual": _whole(np.less_equal),
    "Greater": _whole(np.greater),
    "GreaterOrEqual": _whole(np.greater_equal),
    "Not": _whole(np.logical_not),
    "And": _whole(np.logical_and),
    "Where": lambda step, x: np.where(*x),
    "Max": _whole(lambda *x: np.max(np.broadcast_arrays(*x), axis=0)),
    "Min": _whole(lambda *x: np.min(np.broadcast_arrays(*x), axis=0)),
    "Floor": _whole(np.floor),
}
