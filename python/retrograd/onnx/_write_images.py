"""Layers of images and sequences, which ONNX has with the channels first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd._axes import to_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node
    from retrograd.onnx._writer import Writer

    Write = Callable[[Writer, Node], None]


def _sizes(node: Node, name: str) -> list[int]:
    value: Any = node.attributes[name]
    return [int(n) for n in value]


def pads(node: Node) -> list[int]:
    """Zeros before each axis, then zeros behind each."""
    if node.attributes["padding"] == "same":
        kernel = node.inputs[1].shape[1:-1]
        all_of_it = [d * ((k or 1) - 1) for k, d in zip(kernel, _sizes(node, "dilation"), strict=True)]
        return [n // 2 for n in all_of_it] + [n - n // 2 for n in all_of_it]
    return _sizes(node, "padding") * 2


def _kernel(w: Writer, node: Node) -> str:
    """(out, ..., in) as (out, in, ...); for a transposed convolution "in" and "out" are the other way."""
    weight = node.inputs[1]
    axes = to_first(len(weight.shape))
    return w.rearranged(weight, node.op, lambda a: a.transpose(axes)) or w.turned(weight, axes)


def _convolution(w: Writer, node: Node) -> None:
    x, _, *bias = node.inputs
    inputs = [w.images(x), _kernel(w, node), *map(w.value, bias)]
    w.put(
        node,
        "Conv",
        inputs,
        True,
        strides=_sizes(node, "stride"),
        dilations=_sizes(node, "dilation"),
        pads=pads(node),
        group=node.attributes["groups"],
    )


def _transposed(w: Writer, node: Node) -> None:
    x, _, *bias = node.inputs
    inputs = [w.images(x), _kernel(w, node), *map(w.value, bias)]
    more = _sizes(node, "output_padding")
    attributes: dict[str, Any] = {
        "strides": _sizes(node, "stride"),
        "dilations": _sizes(node, "dilation"),
        "pads": pads(node),
        "group": node.attributes["groups"],
    }
    if all(n < stride for n, stride in zip(more, attributes["strides"], strict=True)):
        w.put(node, "ConvTranspose", inputs, True, output_padding=more, **attributes)
        return
    # runtimes want it below the stride, and below the dilation is enough here: less is cut off at the end,
    # and where that is not enough there is nothing but the bias
    after = attributes["pads"][2:]
    attributes["pads"][2:] = [max(0, pad - n) for pad, n in zip(after, more, strict=True)]
    rest = [max(0, n - pad) for pad, n in zip(after, more, strict=True)]
    image = w.emit("ConvTranspose", inputs[:2], **attributes)
    if bias:
        image = w.emit("Pad", [image, w.integers([0] * 6 + rest)])
        column = w.emit("Reshape", [inputs[2], w.integers([-1, 1, 1])])
        w.put(node, "Add", [image, column], True)
    else:
        w.put(node, "Pad", [image, w.integers([0] * 6 + rest)], True)


def _pool(op: str, **more: int) -> Write:
    def write(w: Writer, node: Node) -> None:
        w.put(
            node,
            op,
            [w.images(node.inputs[0])],
            True,
            kernel_shape=_sizes(node, "size"),
            strides=_sizes(node, "stride"),
            pads=pads(node),
            **more,
        )

    return write


def _upsample(w: Writer, node: Node) -> None:
    scales = w.number32([1.0, 1.0, *map(float, _sizes(node, "factor"))])
    inputs = [w.images(node.inputs[0]), "", scales]
    if node.attributes["mode"] == "bilinear":
        w.put(node, "Resize", inputs, True, mode="linear", coordinate_transformation_mode="half_pixel")
    else:
        w.put(
            node,
            "Resize",
            inputs,
            True,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )


WRITE: dict[str, Write] = {
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "max_pool2d": _pool("MaxPool"),
    "avg_pool2d": _pool("AveragePool", count_include_pad=1),
    "upsample2d": _upsample,
}
