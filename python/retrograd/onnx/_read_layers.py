"""Operators with weights for the features of the last axis: dense layers and norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core, ops
from retrograd._arguments import finite_numbers
from retrograd.errors import GraphError, ShapeError
from retrograd.graph import operation
from retrograd.layers import BatchNorm, Dense, LayerNorm
from retrograd.onnx._read_elementwise import ACTIVATIONS
from retrograd.onnx._reader import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd._core import Array
    from retrograd.onnx._reader import Reader, Step

    Read = Callable[[Reader, Step], Any]


def activation_after(r: Reader, name: str) -> tuple[str | None, str]:
    """The activation that a layer may take in, and the tensor that is then its output."""
    taker = r.only_taker(name)
    if taker is not None and taker.op_type in ACTIVATIONS and len(taker.input) == 1:
        return ACTIVATIONS[taker.op_type], str(taker.output[0])
    return None, name


def settled(r: Reader, name: str, value: Value) -> Value:
    """A value that also stands for a later tensor: what came between is part of the layer."""
    if name != value.name:
        r.values[name] = Value(name, node=value.node, order=value.order)
    return value


def with_parameters(layer: Any, parameters: dict[str, Array]) -> Any:
    """The layer, beginning at these numbers: norms have no argument that says where."""
    made = layer._builder
    initial = {role: finite_numbers(role, np.asarray(array)) for role, array in parameters.items()}
    layer._set(_builder=_core.Layer(made.kind, made.config, layer.name or "", None, initial))
    return layer


def dense(r: Reader, output: str, x: Value, weight: Value, bias: Value | None, turned: bool = False) -> Value:
    """z = x W^T + b for a weight [units, inputs], or the transpose of one (`turned`)."""
    assert weight.array is not None
    array = weight.array.T if turned else weight.array
    shift = None if bias is None or bias.array is None else bias.array.reshape(-1)
    units = array.shape[0]
    named = r.names_of(("weight", weight), ("bias", bias))
    if r.is_tied(weight, bias) or (named is None and r.ours):
        node = r.node(weight)
        parts = [ops.transpose(node) if turned else node]
        if bias is not None:
            flat = r.node(bias)
            parts.append(flat if flat.shape == (units,) else ops.reshape(flat, (units,)))
        return Value(output, node=operation("linear", r.node(x), *parts))
    activation, last = activation_after(r, output)

    def make(name: str | None) -> Dense:
        return Dense(
            units,
            activation,
            shift is not None,
            np.ascontiguousarray(array, np.float64),
            "zeros" if shift is None else np.float64(shift),
            name,
        )

    key = ("dense", weight.name, turned, None if bias is None else bias.name, activation)
    made = r.layer(key, named, make)(r.node(x))
    return settled(r, last, Value(output, node=made))


def _gemm(r: Reader, step: Step) -> Value:
    a, b, c = step.value(0), step.value(1), step.given(2)
    alpha, beta = (float(step.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    turned_b = not step.attributes.get("transB", 0)
    if step.attributes.get("transA", 0):
        a = Value(a.name, node=a.node, order=a.order[::-1])
    plain = alpha == 1.0 and (c is None or beta == 1.0)
    if plain and _is_matrix(b) and (c is None or _is_row(c, b, turned_b)):
        return dense(r, step.outputs[0], a, b, c, turned_b)
    right = r.node(b)
    product = ops.matmul(r.node(a), right if turned_b else ops.transpose(right))
    product = product if alpha == 1.0 else product * alpha
    if c is None or beta == 0.0:
        return Value(step.outputs[0], node=product)
    shift = r.node(c)
    return Value(step.outputs[0], node=product + (shift if beta == 1.0 else shift * beta))


def _is_matrix(value: Value) -> bool:
    return value.array is not None and value.array.ndim == 2 and value.trained


def _is_row(bias: Value, weight: Value, turned: bool) -> bool:
    """Whether it has a number for each unit."""
    assert weight.array is not None
    units = weight.array.shape[1 if turned else 0]
    return bias.array is not None and bias.trained and bias.shape in ((units,), (1, units))


def _matmul(r: Reader, step: Step) -> Value:
    a, b = step.value(0), step.value(1)
    if not (_is_matrix(b) and a.batched and a.rank >= 2):
        return Value(step.outputs[0], node=ops.matmul(r.node(a), r.node(b)))
    bias, output = _bias_after(r, step.outputs[0], b)
    weight, turned = _unturned(b)
    made = dense(r, output, a, weight, bias, turned)
    return settled(r, output, Value(step.outputs[0], node=made.node)) if output != step.outputs[0] else made


def _unturned(weight: Value) -> tuple[Value, bool]:
    """The parameter behind a transpose: a dense layer's own weight is [units, inputs]."""
    step = weight.step
    if step is not None and step.op == "Transpose" and step.value(0).trained:
        return step.value(0), False
    return weight, True


def _bias_after(r: Reader, name: str, weight: Value) -> tuple[Value | None, str]:
    """The row that is added to a product and to nothing else, and the tensor of the sum."""
    taker = r.only_taker(name)
    if taker is None or taker.op_type != "Add":
        return None, name
    other = r.values.get(taker.input[0] if taker.input[1] == name else taker.input[1])
    if other is None or other.array is None or not _is_row(other, weight, True):
        return None, name
    return other, str(taker.output[0])


def _batch_norm(r: Reader, step: Step) -> Value:
    step.only("training_mode", 0, 0)
    step.only("spatial", 1, 1)
    x = step.value(0)
    roles = ("weight", "bias", "running_mean", "running_var")
    values = [step.value(k) for k in range(1, 5)]
    arrays = [step.numbers(k, role) for k, role in enumerate(roles, 1)]
    if any(array.ndim != 1 for array in arrays):
        raise ShapeError(f"its parameters have shapes {[array.shape for array in arrays]}, expected rows")
    eps, momentum = (float(step.attributes.get(n, d)) for n, d in (("epsilon", 1e-5), ("momentum", 0.9)))
    affine = not r.ours or values[0].trained
    used = dict(zip(roles, arrays, strict=True)) if affine else dict(zip(roles[2:], arrays[2:], strict=True))

    def make(name: str | None) -> Any:
        layer = BatchNorm(_decimal(eps), min(1.0, max(0.0, _decimal(1.0 - momentum))), affine, name)
        return with_parameters(layer, used)

    name = r.names_of((roles[0], values[0]), (roles[1], values[1]))
    key = ("batch_norm", *(value.name for value in values), eps)
    node = r.layer(key, name, make)(r.channels_last(x))
    return r.images(node, step.outputs[0])


def _decimal(number: float) -> float:
    """A float32 attribute as the number somebody wrote: 1e-05, and not 9.999999747378752e-06."""
    return float(f"{np.float32(number):.7g}")


def _layer_norm(r: Reader, step: Step) -> Value | list[Value]:
    x, weight, bias = step.value(0), step.value(1), step.given(2)
    first = int(step.attributes.get("axis", -1)) % x.rank
    eps = _decimal(float(step.attributes.get("epsilon", 1e-5)))
    more = any(name in r.takers or name in r.outputs for name in step.outputs[1:])
    features = x.shape[-1]
    owned = weight.trained and weight.array is not None and weight.array.shape == (features,)
    if more or not owned or first != x.rank - 1:
        return _normed(r, step, first, eps)
    assert weight.array is not None
    shift = np.zeros(features) if bias is None or bias.array is None else bias.array
    parameters = {"weight": weight.array, "bias": np.broadcast_to(shift, (features,))}
    layer = r.layer(
        ("layer_norm", weight.name, None if bias is None else bias.name, eps),
        r.names_of(("weight", weight), ("bias", bias)),
        lambda name: with_parameters(LayerNorm(eps, name), parameters),
    )
    return Value(step.outputs[0], node=layer(r.node(x)))


def _normed(r: Reader, step: Step, first: int, eps: float) -> list[Value]:
    """Over several axes, or where the mean and the inverse deviation are wanted too."""
    if first == 0:
        raise GraphError("it goes over the batch")
    node, bias = r.node(step.value(0)), step.given(2)
    axes = list(range(first, len(node.shape)))
    mean = ops.mean(node, axis=axes, keepdims=True)
    centred = node - mean
    inverse = 1.0 / ops.sqrt(ops.mean(ops.square(centred), axis=axes, keepdims=True) + eps)
    scaled = centred * inverse * r.node(step.value(1))
    made = [scaled if bias is None else scaled + r.node(bias), mean, inverse]
    return [Value(name, node=part) for name, part in zip(step.outputs, made, strict=False)]


READ: dict[str, Read] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
}
