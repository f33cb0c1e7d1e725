"""Convolutions, pools and enlarged images; ours have the channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import ops
from retrograd.errors import GraphError, ShapeError
from retrograd.layers import AvgPool2D, Conv1D, Conv2D, ConvTranspose2D, MaxPool2D, UpSample2D
from retrograd.onnx._read_layers import activation_after, settled
from retrograd.onnx._read_shapes import padded
from retrograd.onnx._reader import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd.graph import Node
    from retrograd.onnx._reader import Reader, Step

    Read = Callable[[Reader, Step], Any]

_LOWEST = -3.0e38  # what padding is to a maximum


def _windows(
    step: Step, node: Node, kernel: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Stride, dilation, and the padding before and behind each axis."""
    axes = len(kernel)
    stride = [int(n) for n in step.attributes.get("strides", [1] * axes)]
    dilation = [int(n) for n in step.attributes.get("dilations", [1] * axes)]
    how = step.attributes.get("auto_pad", "NOTSET")
    if how in ("NOTSET", ""):
        pads = [int(n) for n in step.attributes.get("pads", [0] * 2 * axes)]
        return stride, dilation, pads[:axes], pads[axes:]
    if how == "VALID":
        return stride, dilation, [0] * axes, [0] * axes
    before, behind = [], []
    for size, k, s, d in zip(node.shape[1:-1], kernel, stride, dilation, strict=True):
        whole = max(0, (-(-(size or 1) // s) - 1) * s + d * (k - 1) + 1 - (size or 1))
        less, more = whole // 2, whole - whole // 2
        before.append(less if how == "SAME_UPPER" else more)
        behind.append(more if how == "SAME_UPPER" else less)
    return stride, dilation, before, behind


def _even(
    node: Node, before: list[int], behind: list[int], value: float = 0.0, window: Sequence[int] = ()
) -> tuple[Node, list[int]]:
    """An image and a padding that is the same on both sides, and at most half of a window; any other is put
    there element by element."""
    narrow = all(pad <= k // 2 for pad, k in zip(before, window, strict=False))
    if before == behind and narrow:
        return node, before
    for axis, (first, last) in enumerate(zip(before, behind, strict=True), 1):
        node = padded(node, axis, first, last, value)
    return node, [0] * len(before)


def _channels_last(weight: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(weight, 1, -1), np.float64)


def _conv(r: Reader, step: Step) -> Value:
    weight, bias = step.numbers(1, "the weight"), step.given(2)
    kernel = list(weight.shape[2:])
    if len(kernel) not in (1, 2):
        raise GraphError(f"its weight has shape {weight.shape}, and images of 1 and 2 axes can be read")
    node = r.channels_last(step.value(0))
    stride, dilation, before, behind = _windows(step, node, kernel)
    same = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    halves = [n // 2 for n in same], [n - n // 2 for n in same]
    padding: Any = before
    if before != behind and (before, behind) == halves and set(stride) == {1}:
        padding = "same"
    else:
        node, padding = _even(node, before, behind)
    group = int(step.attributes.get("group", 1))
    activation, last = activation_after(r, step.outputs[0])
    shift = None if bias is None else step.numbers(2, "the bias")
    kind = Conv2D if len(kernel) == 2 else Conv1D

    def make(name: str | None) -> Any:
        return kind(
            weight.shape[0],
            kernel if len(kernel) == 2 else kernel[0],
            stride if len(kernel) == 2 else stride[0],
            padding if isinstance(padding, str) or len(kernel) == 2 else padding[0],
            dilation if len(kernel) == 2 else dilation[0],
            group,
            activation,
            shift is not None,
            _channels_last(weight),
            "zeros" if shift is None else np.float64(shift),
            name,
        )

    key = ("conv", *_names(step), *stride, *dilation, str(padding), group, activation)
    made = r.layer(key, r.names_of(("weight", step.value(1)), ("bias", bias)), make)(node)
    return settled(r, last, r.images(made, step.outputs[0]))


def _names(step: Step) -> list[str]:
    return [value.name for value in step.inputs[1:] if value is not None]


def _conv_transpose(r: Reader, step: Step) -> Value:
    weight, bias = step.numbers(1, "the weight"), step.given(2)
    node = r.channels_last(step.value(0))
    line = weight.ndim == 3  # a sequence becomes an image of one row
    if weight.ndim not in (3, 4):
        raise GraphError(f"its weight has shape {weight.shape}, and images of 1 and 2 axes can be read")
    stride, dilation, before, behind, more = _enlarged(step, node, list(weight.shape[2:]))
    if line:
        node, weight = ops.reshape(node, (1, *node.sample_shape)), weight[:, :, None]
        stride, dilation = [1, *stride], [1, *dilation]
        before, behind, more = [0, *before], [0, *behind], [0, *more]
    kernel = list(weight.shape[2:])
    group = int(step.attributes.get("group", 1))
    shift = None if bias is None else step.numbers(2, "the bias")
    padding = [max(0, min(pair)) for pair in zip(before, behind, strict=True)]

    def make(name: str | None) -> ConvTranspose2D:
        return ConvTranspose2D(
            weight.shape[1] * group,
            kernel,
            stride,
            padding,
            more,
            dilation,
            group,
            None,
            shift is not None,
            _channels_last(weight),
            "zeros" if shift is None else np.float64(shift),
            name,
        )

    key = ("conv_transpose", *_names(step), *stride, *dilation, *padding, *more, group)
    made = r.layer(key, r.names_of(("weight", step.value(1)), ("bias", bias)), make)(node)
    for axis in (1, 2):  # where less is left out on one side there is too much on the other
        extra = padding[axis - 1]
        made = padded(made, axis, extra - before[axis - 1], extra - behind[axis - 1])
    return _image(r, made, line, step.outputs[0])


def _enlarged(step: Step, node: Node, kernel: list[int]) -> tuple[list[int], ...]:
    """Stride, dilation, what is left out before and behind each axis, and what is put behind it."""
    stride, dilation, before, behind = _windows(step, node, kernel)
    more = [int(n) for n in step.attributes.get("output_padding", [0] * len(kernel))]
    how = step.attributes.get("auto_pad", "NOTSET")
    sizes = [n or 1 for n in node.shape[1:-1]]
    wanted = step.attributes.get("output_shape")
    if how in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = [n * s for n, s in zip(sizes, stride, strict=True)]
    if wanted is None:
        return stride, dilation, before, behind, more
    before, behind = [], []
    for size, k, s, d, m, n in zip(
        sizes, kernel, stride, dilation, more, wanted[-len(kernel) :], strict=True
    ):
        whole = s * (size - 1) + m + d * (k - 1) + 1 - n
        less, rest = whole // 2, whole - whole // 2
        before.append(less if how == "SAME_UPPER" else rest)
        behind.append(rest if how == "SAME_UPPER" else less)
    if min(before + behind) < 0:
        raise GraphError(f"output_shape {wanted} is larger than what the image and the weight make")
    return stride, dilation, before, behind, more


def _pooled(r: Reader, step: Step) -> tuple[Node, list[int], list[int], list[int], list[int], bool]:
    """The images, sizes, strides, padding before and behind; a sequence becomes an image of one row."""
    kernel = [int(n) for n in step.attributes["kernel_shape"]]
    node = r.channels_last(step.value(0))
    if len(kernel) not in (1, 2):
        raise GraphError(f"windows of {len(kernel)} axes cannot be read, only of 1 and 2")
    stride, dilation, before, behind = _windows(step, node, kernel)
    if set(dilation) != {1}:
        raise GraphError(f"dilations are {dilation}, and windows have no gaps here")
    line = len(kernel) == 1
    if line:
        node = ops.reshape(node, (1, *node.sample_shape))
        kernel, stride, before, behind = [1, *kernel], [1, *stride], [0, *before], [0, *behind]
    if step.attributes.get("ceil_mode", 0):
        rest = [
            ((n or 1) + a + b - k) % s
            for n, a, b, k, s in zip(node.shape[1:-1], before, behind, kernel, stride, strict=True)
        ]
        if any(rest):
            raise GraphError("ceil_mode is 1, and windows that reach beyond the image are left out here")
    return node, kernel, stride, before, behind, line


def _image(r: Reader, node: Node, line: bool, name: str) -> Value:
    return r.images(ops.reshape(node, node.sample_shape[1:]) if line else node, name)


def _max_pool(r: Reader, step: Step) -> Value:
    if len(step.outputs) > 1 and step.outputs[1] in r.takers:
        raise GraphError("its indices are used, and only the result can be read")
    node, kernel, stride, before, behind, line = _pooled(r, step)
    node, padding = _even(node, before, behind, _LOWEST, kernel)
    return _image(r, MaxPool2D(kernel, stride, padding)(node), line, step.outputs[0])


def _average_pool(r: Reader, step: Step) -> Value:
    node, kernel, stride, before, behind, line = _pooled(r, step)
    sizes = [n or 1 for n in node.shape[1:-1]]
    node, padding = _even(node, before, behind, 0.0, kernel)
    mean = AvgPool2D(kernel, stride, padding)(node)
    if not step.attributes.get("count_include_pad", 0) and any(before + behind):
        counts = [
            _inside(*axis) for axis in zip(sizes, kernel, stride, before, mean.shape[1:-1], strict=True)
        ]
        share = np.outer(*counts) / (kernel[0] * kernel[1])
        mean = mean / share[..., None]
    return _image(r, mean, line, step.outputs[0])


def _inside(size: int, kernel: int, stride: int, before: int, count: int | None) -> Any:
    """How many elements of each window along an axis are no padding."""
    starts = np.arange(count or 1) * stride - before
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


def _resize(r: Reader, step: Step) -> Value:
    x = step.value(0)
    node = r.channels_last(x)
    if x.rank != 4:
        raise ShapeError(f"only images can be enlarged, got shape {x.shape}")
    factors = _factors(step, x)
    mode = step.attributes.get("mode", "nearest")
    where = step.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "linear" and where in ("half_pixel", "pytorch_half_pixel"):
        return r.images(UpSample2D(factors, "bilinear")(node), step.outputs[0])
    how = step.attributes.get("nearest_mode", "round_prefer_floor")
    known = {
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
    }
    old = step.op == "Upsample" or r.opset < 11
    if mode != "nearest" or not (old or (where, how) in known):
        raise GraphError(f"mode {mode!r}, {where!r}, {how!r} cannot be read; see docs/onnx.md")
    return r.images(UpSample2D(factors, "nearest")(node), step.outputs[0])


def _factors(step: Step, x: Value) -> list[int]:
    at = 1 if step.op == "Upsample" or len(step) == 2 else 2
    scales = step.setting("scales", at)
    if scales is None or len(scales) == 0:
        step.only("keep_aspect_ratio_policy", "stretch", "stretch")
        sizes = step.numbers(3, "sizes").tolist()
        places = step.attributes.get("axes", range(x.rank))
        scales = [1 if k == 0 else n / x.shape[k] for k, n in zip(places, sizes, strict=True)]
    if "axes" in step.attributes:
        given = dict(zip((k % x.rank for k in step.attributes["axes"]), scales, strict=True))
        scales = [given.get(k, 1) for k in range(x.rank)]
    whole = [round(s) for s in scales]
    if any(abs(s - n) > 1e-6 or n < 1 for s, n in zip(scales, whole, strict=True)) or whole[:2] != [1, 1]:
        raise GraphError(f"scales are {scales}, and images grow by whole numbers here")
    return whole[2:]


READ: dict[str, Read] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "Resize": _resize,
    "Upsample": _resize,
}
