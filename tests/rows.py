"""Layers and operations have no formula of their own in reference.py: here each has a call and its NumPy.

A name may stand several times, with a word behind a colon: "Conv2D:stride". Each is walked through every
property by ``test_contract.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import reference as ref
import reference_attention as att
import reference_convolution as conv
import reference_pooling as pooling
import reference_recurrent
import retrograd as rg
from retrograd import ops

Array = np.ndarray


@dataclass(frozen=True)
class Row:
    make: Callable[..., rg.Node]
    value: Callable[..., Array]
    shapes: tuple[tuple[int, ...], ...] = ((3, 4),)  # of a sample of each input
    differentiable: bool = True
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array] | None = None
    index: bool = False  # the last input holds indices 0..3


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.5, 2.0, size=shape)


def _either_sign(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """As many numbers as one likes without one near the kinks that rows keep away from."""
    return rng.uniform(0.8, 2.0, size=shape) * rng.choice([-1.0, 1.0], size=shape)


def _two(make: Callable[..., rg.Node], value: Callable[..., Array], **options: Any) -> Row:
    return Row(make, value, shapes=((3, 4), (3, 4)), **options)


def _flag(value: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *x: value(*x).astype(np.float64)


def _twice(index: rg.Node) -> rg.Node:
    layer = rg.Embedding(5, 4, weight_init=W)
    return ops.tanh(layer(index)) * layer(index)


def _tied(table: rg.Node, index: rg.Node) -> rg.Node:
    return ops.gather(table, index) @ ops.transpose(table)


W = np.linspace(-1.0, 1.0, 20).reshape(5, 4)
B = np.linspace(0.3, -0.2, 5)
SEEN = np.stack([np.linspace(-1.0, 3.0, 7), np.full(7, 0.1), np.cos(np.arange(7.0)), np.arange(7.0)], axis=-1)

SCALES, SHIFTS = np.linspace(0.5, 2.0, 4), np.linspace(-1.0, 1.0, 4)
PLACES = np.linspace(-1.0, 1.0, 28).reshape(7, 4)
VISIBLE = np.array([[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]])


def _attention(mask: Array | None = None, **options: Any) -> Row:
    """Self-attention of 5 steps of 4 features, 2 heads."""
    return Row(
        lambda x: att.multi_head(4, 2, **options)(x, mask=mask),
        lambda x: att.multi_head_value(x, x, x, 2, mask=mask, **options),
        shapes=((5, 4),),
    )


def _cross_attention(keys: int, mask: Array | None = None, **options: Any) -> Row:
    """Of 3 queries to some keys and their values."""
    return Row(
        lambda q, k, v: att.multi_head(4, 2, **options)(q, k, v, mask=mask),
        lambda q, k, v: att.multi_head_value(q, k, v, 2, mask=mask, **options),
        shapes=((3, 4), (keys, 4), (keys, 4)),
    )


def _convolution(
    kind: str, shape: tuple[int, ...], filters: int, kernel: int | tuple[int, ...], **options: Any
) -> Row:
    """A layer of the kind with weights that are not random, and its NumPy."""
    sizes = (kernel,) * (len(shape) - 1) if isinstance(kernel, int) else kernel
    layer = {"Conv2D": rg.Conv2D, "Conv1D": rg.Conv1D, "ConvTranspose2D": rg.ConvTranspose2D}[kind]
    value = {"Conv2D": conv.conv2d, "Conv1D": conv.conv1d, "ConvTranspose2D": conv.conv_transpose2d}[kind]
    groups = options.get("groups", 1)
    first, last = (shape[-1], filters) if kind == "ConvTranspose2D" else (filters, shape[-1])
    dims = (first, *sizes, last // groups)
    weight = np.sin(1.3 * np.arange(np.prod(dims))).reshape(dims)
    use_bias = options.pop("use_bias", True)
    bias = np.linspace(0.4, -0.3, filters) if use_bias else None
    activation = options.pop("activation", None)

    def make(x: rg.Node) -> rg.Node:
        return layer(
            filters,
            kernel,
            **options,
            activation=activation,
            use_bias=use_bias,
            weight_init=weight,
            bias_init="zeros" if bias is None else bias,
        )(x)

    def truth(x: Array) -> Array:
        z = value(x, weight, bias, **options)
        return np.tanh(z) if activation == "tanh" else z

    return Row(make, truth, shapes=(shape,), draw=_either_sign)


# Each variant of an argument, and some together; edges that no step reaches, and sizes that fill no vector.
CONVOLUTIONS: dict[str, Row] = {
    "Conv2D": _convolution("Conv2D", (5, 6, 3), 4, 3),
    "Conv2D:tanh": _convolution("Conv2D", (5, 6, 3), 4, 3, activation="tanh"),
    "Conv2D:stride": _convolution("Conv2D", (6, 7, 2), 3, 3, stride=2),
    "Conv2D:strides": _convolution("Conv2D", (7, 8, 2), 3, (2, 3), stride=(3, 2)),
    "Conv2D:stride_larger_than_kernel": _convolution("Conv2D", (7, 7, 2), 3, 2, stride=3),
    "Conv2D:padding": _convolution("Conv2D", (4, 5, 3), 2, 3, padding=1),
    "Conv2D:paddings": _convolution("Conv2D", (4, 5, 3), 2, 3, padding=(0, 2)),
    "Conv2D:padding_larger_than_kernel": _convolution("Conv2D", (2, 3, 2), 3, 2, padding=3),
    "Conv2D:same": _convolution("Conv2D", (4, 5, 2), 3, 3, padding="same"),
    "Conv2D:same_even": _convolution("Conv2D", (4, 5, 2), 3, (2, 4), padding="same"),
    "Conv2D:dilation": _convolution("Conv2D", (6, 7, 2), 3, 3, dilation=2),
    "Conv2D:dilations": _convolution("Conv2D", (7, 6, 2), 3, (3, 2), dilation=(1, 3), padding=(1, 2)),
    "Conv2D:dilation_stride": _convolution("Conv2D", (8, 8, 2), 3, 3, dilation=2, stride=3, padding=1),
    "Conv2D:groups": _convolution("Conv2D", (5, 5, 4), 6, 3, groups=2, padding=1),
    "Conv2D:groups_stride": _convolution("Conv2D", (6, 5, 6), 3, (3, 2), groups=3, stride=2, dilation=(1, 2)),
    "Conv2D:depthwise": _convolution("Conv2D", (5, 4, 19), 19, 3, groups=19, padding=1),
    "Conv2D:depthwise_stride": _convolution("Conv2D", (6, 7, 5), 5, 3, groups=5, stride=2, padding=1),
    "Conv2D:depthwise_dilation": _convolution("Conv2D", (6, 7, 5), 5, (2, 3), groups=5, dilation=2),
    "Conv2D:depthwise_multiplied": _convolution("Conv2D", (5, 5, 3), 6, 3, groups=3),
    "Conv2D:1x1": _convolution("Conv2D", (3, 4, 5), 18, 1),
    "Conv2D:1x1_stride": _convolution("Conv2D", (5, 4, 3), 2, 1, stride=2),
    "Conv2D:rectangle": _convolution("Conv2D", (3, 9, 2), 3, (1, 4)),
    "Conv2D:column": _convolution("Conv2D", (9, 3, 2), 3, (4, 1)),
    "Conv2D:whole_image": _convolution("Conv2D", (4, 3, 3), 7, (4, 3)),
    "Conv2D:no_bias": _convolution("Conv2D", (4, 4, 2), 3, 2, use_bias=False),
    "Conv2D:one_channel": _convolution("Conv2D", (9, 8, 1), 6, 5, activation="tanh"),
    "Conv2D:one_channel_padded": _convolution(
        "Conv2D", (6, 19, 1), 5, (3, 2), padding=(2, 1), dilation=(2, 1)
    ),
    "Conv2D:one_channel_dilated": _convolution("Conv2D", (7, 9, 1), 4, 3, padding="same", dilation=(1, 2)),
    "Conv2D:one_filter": _convolution("Conv2D", (5, 5, 3), 1, 3),
    "Conv2D:many_filters": _convolution("Conv2D", (3, 18, 2), 35, 2),
    "Conv2D:many_channels": _convolution("Conv2D", (3, 3, 37), 20, 2),
    "Conv1D": _convolution("Conv1D", (9, 3), 4, 3),
    "Conv1D:stride": _convolution("Conv1D", (10, 2), 3, 3, stride=2, padding=1),
    "Conv1D:same": _convolution("Conv1D", (7, 2), 3, 4, padding="same", activation="tanh"),
    "Conv1D:dilation": _convolution("Conv1D", (12, 2), 3, 3, dilation=3, padding=2),
    "Conv1D:groups": _convolution("Conv1D", (8, 4), 6, 3, groups=2),
    "Conv1D:depthwise": _convolution("Conv1D", (8, 5), 5, 3, groups=5, padding=2),
    "Conv1D:whole_sequence": _convolution("Conv1D", (6, 3), 4, 6),
    "Conv1D:no_bias": _convolution("Conv1D", (6, 1), 4, 2, use_bias=False),
    "ConvTranspose2D": _convolution("ConvTranspose2D", (4, 3, 3), 4, 3),
    "ConvTranspose2D:stride": _convolution("ConvTranspose2D", (3, 4, 2), 3, 3, stride=2, activation="tanh"),
    "ConvTranspose2D:stride_larger_than_kernel": _convolution("ConvTranspose2D", (3, 4, 2), 3, 2, stride=3),
    "ConvTranspose2D:padding": _convolution("ConvTranspose2D", (3, 4, 2), 3, 3, stride=2, padding=1),
    "ConvTranspose2D:output_padding": _convolution(
        "ConvTranspose2D", (3, 4, 2), 3, 3, stride=(2, 3), padding=1, output_padding=(1, 2)
    ),
    "ConvTranspose2D:output_padding_dilation": _convolution(
        "ConvTranspose2D", (3, 4, 2), 3, 2, dilation=3, padding=1, output_padding=(2, 1)
    ),
    "ConvTranspose2D:dilation": _convolution("ConvTranspose2D", (4, 3, 2), 3, (2, 3), dilation=(2, 1)),
    "ConvTranspose2D:groups": _convolution("ConvTranspose2D", (3, 3, 4), 6, 3, groups=2, stride=2),
    "ConvTranspose2D:depthwise": _convolution(
        "ConvTranspose2D", (3, 3, 5), 5, 3, groups=5, stride=2, padding=1
    ),
    "ConvTranspose2D:no_bias": _convolution("ConvTranspose2D", (3, 3, 2), 3, 2, use_bias=False),
}

LAYERS: dict[str, Row] = {
    "Dense": Row(
        lambda x: rg.Dense(5, activation="tanh", weight_init=W, bias_init=B)(x),
        lambda x: np.tanh(x @ W.T + B),
        shapes=((4,),),
    ),
    "Activation": Row(lambda x: rg.Activation("sigmoid")(x), ref.sigmoid),
    "Flatten": Row(lambda x: rg.Flatten()(x), lambda x: x.reshape(len(x), -1)),
    "Reshape": Row(lambda x: rg.Reshape((2, -1))(x), lambda x: x.reshape(len(x), 2, 6)),
    "Rescale": Row(lambda x: rg.Rescale(0.5, offset=-1.0)(x), lambda x: x * 0.5 - 1.0),
    "BatchNorm": Row(lambda x: rg.BatchNorm()(x), lambda x: x / np.sqrt(1.0 + 1e-5)),
    "BatchNorm:plain": Row(
        lambda x: rg.BatchNorm(eps=0.1, affine=False)(x), lambda x: x / np.sqrt(1.1), shapes=((2, 3, 5),)
    ),
    "BatchNorm:rows": Row(
        lambda x: rg.BatchNorm(momentum=0.5)(x), lambda x: x / np.sqrt(1.0 + 1e-5), shapes=((7,),)
    ),
    "Dropout": Row(lambda x: rg.Dropout(0.3)(x), lambda x: x),  # predictions drop nothing
    "Dropout:none": Row(lambda x: rg.Dropout(0.0)(x), lambda x: x),
    "Add": _two(lambda a, b: rg.Add()(a, b, a), lambda a, b: a + b + a),
    "Multiply": _two(lambda a, b: rg.Multiply()(a, b), lambda a, b: a * b),
    "Concatenate": Row(
        lambda a, b: rg.Concatenate()(a, b),
        lambda a, b: np.concatenate([a, b], axis=-1),
        shapes=((3, 4), (3, 2)),
    ),
    "MaxPool2D": Row(
        lambda x: rg.MaxPool2D(2)(x), lambda x: pooling.max_pool(x, (2, 2), (2, 2)), shapes=((4, 6, 3),)
    ),
    "MaxPool2D:rest": Row(
        lambda x: rg.MaxPool2D(2)(x), lambda x: pooling.max_pool(x, (2, 2), (2, 2)), shapes=((5, 7, 2),)
    ),
    "MaxPool2D:overlap": Row(
        lambda x: rg.MaxPool2D(3, stride=2, padding=1)(x),
        lambda x: pooling.max_pool(x, (3, 3), (2, 2), (1, 1)),
        shapes=((5, 6, 3),),
    ),
    "MaxPool2D:gaps": Row(
        lambda x: rg.MaxPool2D(2, stride=3)(x),
        lambda x: pooling.max_pool(x, (2, 2), (3, 3)),
        shapes=((6, 9, 2),),
    ),
    "MaxPool2D:rectangular": Row(
        lambda x: rg.MaxPool2D((3, 2), stride=(1, 2), padding=(1, 0))(x),
        lambda x: pooling.max_pool(x, (3, 2), (1, 2), (1, 0)),
        shapes=((4, 5, 5),),
    ),
    "AvgPool2D": Row(
        lambda x: rg.AvgPool2D(2)(x), lambda x: pooling.avg_pool(x, (2, 2), (2, 2)), shapes=((4, 6, 3),)
    ),
    "AvgPool2D:rest": Row(
        lambda x: rg.AvgPool2D(3)(x), lambda x: pooling.avg_pool(x, (3, 3), (3, 3)), shapes=((4, 8, 2),)
    ),
    "AvgPool2D:overlap": Row(
        lambda x: rg.AvgPool2D(3, stride=2, padding=1)(x),
        lambda x: pooling.avg_pool(x, (3, 3), (2, 2), (1, 1)),
        shapes=((5, 6, 3),),
    ),
    "AvgPool2D:gaps": Row(
        lambda x: rg.AvgPool2D(2, stride=3)(x),
        lambda x: pooling.avg_pool(x, (2, 2), (3, 3)),
        shapes=((6, 9, 2),),
    ),
    "AvgPool2D:rectangular": Row(
        lambda x: rg.AvgPool2D((2, 4), stride=(2, 1), padding=(1, 2))(x),
        lambda x: pooling.avg_pool(x, (2, 4), (2, 1), (1, 2)),
        shapes=((4, 5, 5),),
    ),
    "GlobalAvgPool2D": Row(
        lambda x: rg.GlobalAvgPool2D()(x), lambda x: x.mean(axis=(1, 2)), shapes=((3, 4, 5),)
    ),
    "UpSample2D": Row(
        lambda x: rg.UpSample2D(2)(x), lambda x: pooling.nearest(x, (2, 2)), shapes=((3, 2, 3),)
    ),
    "UpSample2D:rectangular": Row(
        lambda x: rg.UpSample2D((1, 3))(x), lambda x: pooling.nearest(x, (1, 3)), shapes=((2, 3, 2),)
    ),
    "UpSample2D:bilinear": Row(
        lambda x: rg.UpSample2D(2, mode="bilinear")(x),
        lambda x: pooling.bilinear(x, (2, 2)),
        shapes=((3, 4, 3),),
    ),
    "UpSample2D:bilinear by 3": Row(
        lambda x: rg.UpSample2D((3, 4), mode="bilinear")(x),
        lambda x: pooling.bilinear(x, (3, 4)),
        shapes=((2, 3, 2),),
    ),
    "UpSample2D:bilinear of a line": Row(
        lambda x: rg.UpSample2D((2, 5), mode="bilinear")(x),
        lambda x: pooling.bilinear(x, (2, 5)),
        shapes=((1, 4, 9),),
    ),
    "Standardize": Row(
        lambda x: rg.Standardize().adapt(SEEN)(x), lambda x: pooling.standardize(x, SEEN), shapes=((3, 4),)
    ),
    "Embedding": Row(
        lambda i: rg.Embedding(5, 4, weight_init=W)(i), lambda i: W[i], shapes=((2, 3),), index=True
    ),
    "Embedding:one index": Row(
        lambda i: rg.Embedding(5, 4, weight_init=W)(i), lambda i: W[i], shapes=((),), index=True
    ),
    "Embedding:called twice": Row(_twice, lambda i: np.tanh(W[i]) * W[i], shapes=((3,),), index=True),
    "LayerNorm": Row(
        lambda x: att.with_parameters(rg.LayerNorm(), {"weight": SCALES, "bias": SHIFTS})(x),
        lambda x: att.layer_norm_value(x, SCALES, SHIFTS, 1e-5),
    ),
    "LayerNorm:eps": Row(
        lambda x: att.with_parameters(rg.LayerNorm(0.3), {"weight": SCALES, "bias": SHIFTS})(x),
        lambda x: att.layer_norm_value(x, SCALES, SHIFTS, 0.3),
        shapes=((4,),),
    ),
    "RMSNorm": Row(
        lambda x: att.with_parameters(rg.RMSNorm(), {"weight": SCALES})(x),
        lambda x: att.rms_norm_value(x, SCALES, 1e-6),
    ),
    "RMSNorm:eps": Row(
        lambda x: att.with_parameters(rg.RMSNorm(0.3), {"weight": SCALES})(x),
        lambda x: att.rms_norm_value(x, SCALES, 0.3),
        shapes=((2, 3, 4),),
    ),
    "PositionalEmbedding": Row(
        lambda x: rg.PositionalEmbedding(7, weight_init=PLACES)(x),
        lambda x: x + PLACES,
        shapes=((7, 4),),
    ),
    "PositionalEmbedding:shorter": Row(
        lambda x: rg.PositionalEmbedding(7, weight_init=PLACES)(x), lambda x: x + PLACES[:3]
    ),
    "MultiHeadAttention": _attention(),
    "MultiHeadAttention:causal": _attention(causal=True),
    "MultiHeadAttention:mask": _attention(VISIBLE),
    "MultiHeadAttention:causal and mask": _attention(VISIBLE, causal=True),
    "MultiHeadAttention:three": _cross_attention(5),
    "MultiHeadAttention:three, causal": _cross_attention(5, causal=True),
    "MultiHeadAttention:three, causal, fewer keys": _cross_attention(2, causal=True),
    "MultiHeadAttention:three and mask": _cross_attention(5, VISIBLE[:3]),
    "MultiHeadAttention:one head": Row(
        lambda x: att.multi_head(3, 1)(x), lambda x: att.multi_head_value(x, x, x, 1), shapes=((5, 3),)
    ),
    "MultiHeadAttention:heads of one": Row(
        lambda x: att.multi_head(3, 3)(x), lambda x: att.multi_head_value(x, x, x, 3), shapes=((1, 3),)
    ),
    "MultiHeadAttention:keys are values": Row(
        lambda q, k: att.multi_head(4, 2)(q, k, k),
        lambda q, k: att.multi_head_value(q, k, k, 2),
        shapes=((3, 4), (5, 4)),
    ),
    **CONVOLUTIONS,
}


def _recurrent(layer: Callable[..., Any], cell: str, masked: bool = False, **options: Any) -> Row:
    """Sequences of six steps; a mask looks at the first feature, so a step may be padding anywhere."""
    activation = {"activation": cell.partition("_")[0]} if layer is rg.SimpleRNN else {}
    walk = {name: value for name, value in options.items() if name in ("return_sequences", "reverse")}
    rng = np.random.default_rng(0)
    rows = 3 * reference_recurrent.GATES[cell]
    weights = rng.normal(size=(rows, 4)), rng.normal(size=(rows, 3)), rng.normal(size=rows)
    initial = dict(zip(("weight_init", "recurrent_init", "bias_init"), weights, strict=True))

    def make(x: rg.Node) -> rg.Node:
        first = ops.reshape(ops.slice(x, 2, 0, 1), 6)
        mask = ops.greater(first, 0.0) if masked else None
        return layer(3, **activation, **walk, **initial)(x, mask=mask)

    def value(x: Array) -> Array:
        mask = x[:, :, 0] > 0 if masked else None
        return reference_recurrent.walk(cell, x, *weights, mask=mask, **walk)

    return Row(make, value, shapes=((6, 4),))


for _name, _layer, _cell in (
    ("SimpleRNN", rg.SimpleRNN, "tanh_rnn"),
    ("LSTM", rg.LSTM, "lstm"),
    ("GRU", rg.GRU, "gru"),
):
    _all = {"return_sequences": True}
    LAYERS |= {
        _name: _recurrent(_layer, _cell),
        f"{_name}:sequences": _recurrent(_layer, _cell, **_all),
        f"{_name}:reverse": _recurrent(_layer, _cell, reverse=True),
        f"{_name}:reverse sequences": _recurrent(_layer, _cell, reverse=True, **_all),
        f"{_name}:mask": _recurrent(_layer, _cell, masked=True),
        f"{_name}:mask sequences": _recurrent(_layer, _cell, masked=True, **_all),
        f"{_name}:mask reverse": _recurrent(_layer, _cell, masked=True, reverse=True),
        f"{_name}:mask reverse sequences": _recurrent(_layer, _cell, masked=True, reverse=True, **_all),
    }
LAYERS["SimpleRNN:relu"] = _recurrent(rg.SimpleRNN, "relu_rnn", return_sequences=True)
LAYERS["SimpleRNN:relu mask"] = _recurrent(rg.SimpleRNN, "relu_rnn", masked=True)

OPERATIONS: dict[str, Row] = {
    "add": _two(ops.add, np.add),
    "subtract": _two(ops.subtract, np.subtract),
    "multiply": _two(ops.multiply, np.multiply),
    "divide": _two(ops.divide, np.divide, draw=_positive),
    "power": _two(ops.power, np.power, draw=_positive),
    "maximum": _two(ops.maximum, np.maximum),
    "minimum": _two(ops.minimum, np.minimum),
    "matmul": Row(ops.matmul, np.matmul, shapes=((3, 4), (4, 2))),
    "less": _two(ops.less, _flag(np.less), differentiable=False),
    "less_equal": _two(ops.less_equal, _flag(np.less_equal), differentiable=False),
    "greater": _two(ops.greater, _flag(np.greater), differentiable=False),
    "greater_equal": _two(ops.greater_equal, _flag(np.greater_equal), differentiable=False),
    "equal": _two(ops.equal, _flag(np.equal), differentiable=False),
    "not_equal": _two(ops.not_equal, _flag(np.not_equal), differentiable=False),
    "where": _two(lambda a, b: ops.where(ops.greater(a, 0.0), a, b), lambda a, b: np.where(a > 0, a, b)),
    "negative": Row(ops.negative, np.negative),
    "log": Row(ops.log, np.log, draw=_positive),
    "sqrt": Row(ops.sqrt, np.sqrt, draw=_positive),
    "square": Row(ops.square, np.square),
    "abs": Row(ops.abs, np.abs),
    "sin": Row(ops.sin, np.sin),
    "cos": Row(ops.cos, np.cos),
    "arctan": Row(ops.arctan, np.arctan),
    "clip": Row(lambda x: ops.clip(x, -0.5, 0.75), lambda x: np.clip(x, -0.5, 0.75)),
    "stop_gradient": Row(ops.stop_gradient, lambda x: x, differentiable=False),
    "sum": Row(lambda x: ops.sum(x, axis=1), lambda x: x.sum(axis=1)),
    "mean": Row(lambda x: ops.mean(x, axis=(1, 2), keepdims=True), lambda x: x.mean((1, 2), keepdims=True)),
    "max": Row(lambda x: ops.max(x, axis=2), lambda x: x.max(axis=2)),
    "logsumexp": Row(ops.logsumexp, lambda x: np.log(np.exp(x).sum(axis=-1))),
    "reshape": Row(lambda x: ops.reshape(x, (6, 2)), lambda x: x.reshape(len(x), 6, 2)),
    "transpose": Row(ops.transpose, lambda x: x.transpose(0, 2, 1)),
    "concatenate": _two(lambda a, b: ops.concatenate([a, b], 1), lambda a, b: np.concatenate([a, b], 1)),
    "slice": Row(lambda x: ops.slice(x, 2, 0, None, 2), lambda x: x[:, :, ::2]),
    "gather": Row(lambda i: ops.gather(rg.Variable(W), i), lambda i: W[i], shapes=((2,),), index=True),
    "gather:numbers": Row(
        lambda i: ops.gather(rg.Variable(B), i), lambda i: B[i], shapes=((2, 2),), index=True
    ),
    "gather:matrices": Row(
        lambda i: ops.gather(rg.Variable(W.reshape(5, 2, 2)), i),
        lambda i: W.reshape(5, 2, 2)[i],
        shapes=((3,),),
        index=True,
    ),
    "gather:tied": Row(lambda i: _tied(rg.Variable(W), i), lambda i: W[i] @ W.T, shapes=((2,),), index=True),
    "one_hot": Row(
        lambda i: ops.one_hot(i, 4), lambda i: np.eye(4)[i], shapes=((2,),), index=True, differentiable=False
    ),
}

# Operations that layers, losses and operators are made of, without a name in rg.ops.
INNER_OPERATIONS = {
    "linear": "z = x W^T + b of a dense layer",
    "conv1d": "of Conv1D",
    "conv2d": "of Conv2D",
    "conv_transpose2d": "of ConvTranspose2D",
    "identity": "the activation 'linear'",
    "flatten": "of saved graphs",
    "expand": "a number or row that meets every sample",
    "label_weight": "the share of labels that are not ignored",
    "weighted_mean": "the mean over the batch",
    "max_pool2d": "of the layer MaxPool2D",
    "avg_pool2d": "of the layer AvgPool2D",
    "upsample2d": "of the layer UpSample2D",
    "standardize": "of the layer Standardize",
    "simple_rnn": "the walk of the layer SimpleRNN",
    "lstm": "the walk of the layer LSTM",
    "gru": "the walk of the layer GRU",
    "batch_norm": "of BatchNorm",
    "dropout": "of Dropout",
    "layer_norm": "of LayerNorm",
    "rms_norm": "of RMSNorm",
    "attention": "of MultiHeadAttention",
}

# Objects of each layer, for their repr.
LAYER_OBJECTS: dict[str, list[Any]] = {
    "Dense": [
        rg.Dense(5),
        rg.Dense(5, activation="relu", use_bias=False, weight_init="normal(0.02)", name="hidden"),
        rg.Dense(2, weight_init=np.array([[1.0, 2.0], [3.0, 4.0]]), bias_init="ones"),
    ],
    "BatchNorm": [rg.BatchNorm(), rg.BatchNorm(eps=0.001, momentum=0.2, affine=False, name="norm")],
    "Dropout": [rg.Dropout(0.5), rg.Dropout(0.25, name="d")],
    "Activation": [rg.Activation("gelu"), rg.Activation("relu", name="r")],
    "Flatten": [rg.Flatten(), rg.Flatten(name="f")],
    "Reshape": [rg.Reshape((2, -1)), rg.Reshape(6)],
    "Rescale": [rg.Rescale(0.5), rg.Rescale(0.5, offset=-1.0)],
    "Add": [rg.Add(), rg.Add(name="sum")],
    "Multiply": [rg.Multiply()],
    "Concatenate": [rg.Concatenate(), rg.Concatenate(axis=1)],
    "MaxPool2D": [rg.MaxPool2D(2), rg.MaxPool2D((3, 2), stride=(1, 2), padding=1, name="p")],
    "AvgPool2D": [rg.AvgPool2D(2), rg.AvgPool2D(3, stride=2, padding=(1, 0))],
    "GlobalAvgPool2D": [rg.GlobalAvgPool2D(), rg.GlobalAvgPool2D(name="g")],
    "UpSample2D": [rg.UpSample2D(2), rg.UpSample2D((2, 3), mode="bilinear", name="u")],
    "Standardize": [rg.Standardize(), rg.Standardize(name="s")],
    "Embedding": [
        rg.Embedding(5, 4),
        rg.Embedding(3, 2, weight_init="normal(0.1)", name="users"),
        rg.Embedding(2, 2, weight_init=np.array([[1.0, 2.0], [3.0, 4.0]])),
    ],
    "SimpleRNN": [rg.SimpleRNN(5), rg.SimpleRNN(5, "relu", return_sequences=True, weight_init="he_normal")],
    "LSTM": [rg.LSTM(5), rg.LSTM(5, reverse=True, recurrent_init="glorot_uniform", name="memory")],
    "GRU": [rg.GRU(5), rg.GRU(5, return_sequences=True, bias_init="normal(0.1)")],
    "LayerNorm": [rg.LayerNorm(), rg.LayerNorm(1e-3, name="n")],
    "RMSNorm": [rg.RMSNorm(), rg.RMSNorm(eps=1e-3)],
    "PositionalEmbedding": [rg.PositionalEmbedding(7), rg.PositionalEmbedding(7, weight_init="zeros")],
    "MultiHeadAttention": [
        rg.MultiHeadAttention(4),
        rg.MultiHeadAttention(4, causal=True, dropout=0.1, name="a"),
    ],
    "Conv2D": [
        rg.Conv2D(8, 3),
        rg.Conv2D(8, (3, 5), stride=2, padding=(1, 2), dilation=2, groups=4, activation="relu", name="c"),
        rg.Conv2D(8, 3, padding="same", use_bias=False, weight_init="normal(0.02)"),
    ],
    "Conv1D": [rg.Conv1D(8, 3), rg.Conv1D(8, 3, stride=2, padding=1, dilation=2, groups=2, name="c")],
    "ConvTranspose2D": [
        rg.ConvTranspose2D(8, 3),
        rg.ConvTranspose2D(8, 3, stride=2, padding=1, output_padding=1, activation="relu"),
    ],
}
