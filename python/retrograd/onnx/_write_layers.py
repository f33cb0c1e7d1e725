"""Layers of features on the last axis: dense and normalised rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node
    from retrograd.onnx._writer import Writer

    Write = Callable[[Writer, Node], None]


def linear(w: Writer, node: Node) -> None:
    """x W^T + b: Gemm for rows, which keeps W as it is; a product with a turned W for more axes"""
    x, weight, *bias = node.inputs
    if len(x.shape) == 2 and len(weight.shape) == 2:
        w.put(node, "Gemm", [w.value(x), w.value(weight), *map(w.value, bias)], transB=1)
        return
    turned = [w.value(x), w.turned(weight, (1, 0))]
    if bias:
        w.put(node, "Add", [w.emit("MatMul", turned), w.value(bias[0])])
    else:
        w.put(node, "MatMul", turned)


def batch_norm(w: Writer, node: Node) -> None:
    x, mean, variance, *affine = node.inputs
    features = x.shape[-1] or 1
    scale, shift = (
        map(w.value, affine) if affine else (w.number(np.ones(features)), w.number(np.zeros(features)))
    )
    first = len(x.shape) > 2
    inputs = [w.images(x) if first else w.value(x), scale, shift, w.value(mean), w.value(variance)]
    momentum = 1.0 - float(str(node.attributes["momentum"]))  # the share of what was, in ONNX
    w.put(node, "BatchNormalization", inputs, first, epsilon=node.attributes["eps"], momentum=momentum)


def layer_norm(w: Writer, node: Node) -> None:
    w.put(
        node, "LayerNormalization", [w.value(x) for x in node.inputs], axis=-1, epsilon=node.attributes["eps"]
    )


def rms_norm(w: Writer, node: Node) -> None:
    """x / sqrt(mean(x^2) + eps) * weight, written out: opset 23 is the first to have it"""
    x, weight = (w.value(operand) for operand in node.inputs)
    square = w.emit("Mul", [x, x])
    if w.opset >= 18:
        mean = w.emit("ReduceMean", [square, w.integers([-1])], keepdims=1)
    else:
        mean = w.emit("ReduceMean", [square], axes=[-1], keepdims=1)
    root = w.emit("Sqrt", [w.emit("Add", [mean, w.number(node.attributes["eps"])])])
    w.put(node, "Mul", [w.emit("Div", [x, root]), weight])


def standardize(w: Writer, node: Node) -> None:
    """(x - mean) / std, times 0 where std is 0"""
    x, mean, std = node.inputs
    spread = w.net.buffers[w.name_of(std)]
    parts = [w.emit("Sub", [w.value(x), w.value(mean)]), w.number(np.where(spread == 0.0, 1.0, spread))]
    if (spread == 0.0).any():
        varies = w.number(spread != 0.0)
        w.put(node, "Mul", [w.emit("Div", parts), varies])
    else:
        w.put(node, "Div", parts)


WRITE: dict[str, Write] = {
    "linear": linear,
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "standardize": standardize,
}
