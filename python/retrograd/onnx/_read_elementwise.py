"""Operators whose element i depends on element i of each operand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrograd import activations, ops
from retrograd.errors import GraphError
from retrograd.graph import Node
from retrograd.layers import Dropout
from retrograd.onnx._gelu import through_erf
from retrograd.onnx._reader import Value, first_taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.onnx._reader import Reader, Step

    Read = Callable[[Reader, Step], Value]

# Operators without settings (or with the ones that our activation has) that a layer may end with.
ACTIVATIONS = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "HardSwish": "hard_swish",
    "Mish": "mish",
    "Exp": "exp",
}


def _one(function: Callable[[Node], Node]) -> Read:
    def read(r: Reader, step: Step) -> Value:
        x = step.value(0)
        node = r.node(x) if x.node is None else x.node
        return Value(step.outputs[0], node=function(node), order=x.order)

    return read


def _several(function: Callable[..., Node]) -> Read:
    """Operands that meet each other: all in the order of axes of one of them."""

    def read(r: Reader, step: Step) -> Value:
        values = [step.value(k) for k in range(len(step))]
        model = first_taken(values)
        nodes = [r.node(value) if not model.batched else r.like(value, model) for value in values]
        return Value(step.outputs[0], node=function(*nodes), order=model.order if model.batched else None)

    return read


def _pairwise(function: Callable[[Node, Node], Node]) -> Callable[..., Node]:
    def fold(first: Node, *others: Node) -> Node:
        for other in others:
            first = function(first, other)
        return first

    return fold


def _mean(*nodes: Node) -> Node:
    return _pairwise(ops.add)(*nodes) / len(nodes)


def _power(r: Reader, step: Step) -> Value:
    exponent = step.value(1).array
    if exponent is not None and exponent.size == 1 and exponent.item() == 2:
        return _one(ops.square)(r, step)
    return _several(ops.power)(r, step)


def _with_slope(name: str, plain: float, default: float, general: Callable[[Node, float], Node]) -> Read:
    """An activation with a number of its own; ours has one fixed."""

    def read(r: Reader, step: Step) -> Value:
        alpha = float(step.attributes.get("alpha", default))
        ours = np.float32(alpha) == np.float32(plain)
        return _one(getattr(activations, name) if ours else lambda x: general(x, alpha))(r, step)

    return read


def _leaky(x: Node, alpha: float) -> Node:
    return ops.where(ops.greater(x, 0.0), x, x * alpha)


def _elu(x: Node, alpha: float) -> Node:
    return ops.maximum(x, 0.0) + activations.elu(ops.minimum(x, 0.0)) * alpha


def _celu(x: Node, alpha: float) -> Node:
    return ops.maximum(x, 0.0) + activations.elu(ops.minimum(x, 0.0) / alpha) * alpha


def _selu(r: Reader, step: Step) -> Value:
    alpha = float(step.attributes.get("alpha", 1.67326319217681884765625))
    gamma = float(step.attributes.get("gamma", 1.05070102214813232421875))
    ours = abs(alpha - 1.6732632) < 1e-6 and abs(gamma - 1.0507010) < 1e-6
    return _one(activations.selu if ours else lambda x: _elu(x, alpha) * gamma)(r, step)


def _hard_sigmoid(r: Reader, step: Step) -> Value:
    alpha, beta = float(step.attributes.get("alpha", 0.2)), float(step.attributes.get("beta", 0.5))
    ours = abs(alpha - 1 / 6) < 1e-6 and beta == 0.5
    return _one(activations.hard_sigmoid if ours else lambda x: ops.clip(x * alpha + beta, 0.0, 1.0))(r, step)


def _gelu(r: Reader, step: Step) -> Value:
    step.only("approximate", "none", "none")
    return _one(activations.gelu)(r, step)


def _prelu(r: Reader, step: Step) -> Value:
    return _several(lambda x, slope: ops.where(ops.greater(x, 0.0), x, x * slope))(r, step)


def _clip(r: Reader, step: Step) -> Value:
    low, high = step.setting("min", 1), step.setting("max", 2)
    low, high = (None if end is None else float(np.asarray(end).item()) for end in (low, high))

    def clipped(x: Node) -> Node:
        largest = float(np.finfo(np.float32).max)
        low_, high_ = (-np.inf if low is None else low), (np.inf if high is None else high)
        if low_ <= -largest:
            return x if high_ >= largest else ops.minimum(x, high_)
        return ops.maximum(x, low_) if high_ >= largest else ops.clip(x, low_, high_)

    return _one(clipped)(r, step)


def _cast(r: Reader, step: Step) -> Value:
    """Truth values are 1 and 0 here; other numbers keep the model's type."""
    import onnx

    x, to = step.value(0), step.attributes["to"]
    kinds = onnx.TensorProto
    if to == kinds.BOOL:
        return _one(lambda node: ops.not_equal(node, 0.0))(r, step)
    if x.node is not None and x.node.dtype == "index":
        if to in (kinds.INT32, kinds.INT64):
            return Value(step.outputs[0], node=x.node, order=x.order)
        raise GraphError("an input of indices cannot become floats; use it in a Gather or OneHot")
    if to in (kinds.FLOAT, kinds.DOUBLE, kinds.FLOAT16, kinds.BFLOAT16):
        return Value(step.outputs[0], node=r.node(x) if x.node is None else x.node, order=x.order)
    raise GraphError("floats cannot become whole numbers, which have no derivative")


def _identity(r: Reader, step: Step) -> Value:
    x = step.value(0)
    return Value(step.outputs[0], array=x.array, node=x.node, order=x.order, trained=x.trained, step=x.step)


def _dropout(r: Reader, step: Step) -> Value:
    """What it kept, its second output, is read only in training"""
    x = step.value(0)
    rate = float(np.asarray(step.setting("ratio", 1, 0.5)).item())
    node = r.node(x) if x.node is None else x.node
    return Value(step.outputs[0], node=Dropout(round(rate, 7))(node), order=x.order)


def _by_classes(name: str) -> Read:
    """Softmax and its logarithm over one axis, which is the last one of our node."""

    def read(r: Reader, step: Step) -> Value:
        x = step.value(0)
        node = r.node(x) if x.node is None else x.node
        axis = int(step.attributes.get("axis", -1 if r.opset >= 13 else 1)) % x.rank
        if r.opset < 13 and axis != x.rank - 1:
            raise GraphError(
                f"before opset 13 it goes over all axes from {axis} on, and over the last one here"
            )
        at, last = x.order[axis], x.rank - 1
        if at == 0 and node.batched:
            raise GraphError("it goes over the batch")
        if at == last:
            return Value(step.outputs[0], node=getattr(ops, name)(node), order=x.order)
        # the axis moves to the end, and the others close up
        order = [last if i == axis else o - (o > at) for i, o in enumerate(x.order)]
        return Value(step.outputs[0], node=getattr(ops, name)(r.in_order(x, order)), order=order)

    return read


READ: dict[str, Read] = {
    **{op: _one(getattr(activations, name)) for op, name in ACTIVATIONS.items()},
    "Add": _several(ops.add),
    "Sub": _several(ops.subtract),
    "Mul": _several(ops.multiply),
    "Div": _several(ops.divide),
    "Pow": _power,
    "Max": _several(_pairwise(ops.maximum)),
    "Min": _several(_pairwise(ops.minimum)),
    "Sum": _several(_pairwise(ops.add)),
    "Mean": _several(_mean),
    "Less": _several(ops.less),
    "LessOrEqual": _several(ops.less_equal),
    "Greater": _several(ops.greater),
    "GreaterOrEqual": _several(ops.greater_equal),
    "Equal": _several(ops.equal),
    "And": _several(ops.multiply),
    "Or": _several(ops.maximum),
    "Xor": _several(ops.not_equal),
    "Where": _several(ops.where),
    "Not": _one(lambda x: 1.0 - x),
    "Neg": _one(ops.negative),
    "Log": _one(ops.log),
    "Sqrt": _one(ops.sqrt),
    "Reciprocal": _one(lambda x: 1.0 / x),
    "Abs": _one(ops.abs),
    "Sign": _one(lambda x: ops.greater(x, 0.0) - ops.less(x, 0.0)),
    "Sin": _one(ops.sin),
    "Cos": _one(ops.cos),
    "Tan": _one(lambda x: ops.sin(x) / ops.cos(x)),
    "Atan": _one(ops.arctan),
    "Sinh": _one(lambda x: (ops.exp(x) - ops.exp(-x)) * 0.5),
    "Cosh": _one(lambda x: (ops.exp(x) + ops.exp(-x)) * 0.5),
    "Erf": through_erf,
    "Gelu": _gelu,
    "LeakyRelu": _with_slope("leaky_relu", 0.01, 0.01, _leaky),
    "Elu": _with_slope("elu", 1.0, 1.0, _elu),
    "Celu": _with_slope("elu", 1.0, 1.0, _celu),
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "PRelu": _prelu,
    "Clip": _clip,
    "Cast": _cast,
    "Identity": _identity,
    "Dropout": _dropout,
    "Softmax": _by_classes("softmax"),
    "LogSoftmax": _by_classes("log_softmax"),
}
