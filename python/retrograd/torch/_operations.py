"""Our operations in PyTorch: each takes tensors in our layout and makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._axes import to_first, to_last
from retrograd.onnx._write_images import pads
from retrograd.torch._state import package

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node

    # the node, its operands, whether the module is in training
    Forward = Callable[..., Any]


def _one(name: str, **options: Any) -> Forward:
    """A function of torch, or of torch.nn.functional."""

    def forward(node: Node, *x: Any, training: bool) -> Any:
        torch = package()
        function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
        return function(*x, **options)

    return forward


def _compared(name: str) -> Forward:
    return lambda node, a, b, training: getattr(package(), name)(a, b).to(a.dtype)


def _axes(node: Node) -> list[int]:
    x = node.inputs[0]
    rank = len(x.shape)
    given: Any = node.attributes.get("axis", list(range(1 if x.batched else 0, rank)))
    return [int(a) % rank for a in (given if isinstance(given, list) else [given])]


def _reduced(name: str) -> Forward:
    def forward(node: Node, x: Any, training: bool) -> Any:
        kept = bool(node.attributes.get("keepdims", False))
        return getattr(package(), name)(x, dim=_axes(node), keepdim=kept)

    return forward


def _reshape(node: Node, x: Any, training: bool) -> Any:
    return x.reshape([x.shape[0], *node.sample_shape] if node.batched else list(node.sample_shape))


def _expand(node: Node, x: Any, training: bool) -> Any:
    return x.expand(list(node.sample_shape))


def _transpose(node: Node, x: Any, training: bool) -> Any:
    first = [0] if node.batched else []
    axes: Any = node.attributes.get("axes", [*first, *range(x.ndim - 1, len(first) - 1, -1)])
    return x.permute([int(a) % x.ndim for a in axes])


def _concatenate(node: Node, *x: Any, training: bool) -> Any:
    if node.batched:  # what has no batch meets every sample
        rows = next(t.shape[0] for t, k in zip(x, node.inputs, strict=True) if k.batched)
        x = tuple(
            t if k.batched else t.expand(rows, *k.sample_shape) for t, k in zip(x, node.inputs, strict=True)
        )
    return package().cat(x, int(str(node.attributes["axis"])))


def _slice(node: Node, x: Any, training: bool) -> Any:
    a: Any = node.attributes
    axis = int(a["axis"]) % x.ndim
    taken = range(x.shape[axis])[slice(a.get("start"), a.get("stop"), int(a["step"]))]
    if taken.step == 1:
        return x.narrow(axis, taken.start, len(taken))
    return x.index_select(axis, package().tensor(list(taken), device=x.device))


def _one_hot(node: Node, x: Any, training: bool) -> Any:
    torch = package()
    return torch.nn.functional.one_hot(x, int(str(node.attributes["count"]))).to(torch.get_default_dtype())


def _clip(node: Node, x: Any, training: bool) -> Any:
    return x.clamp(node.attributes["low"], node.attributes["high"])


def _where(node: Node, condition: Any, a: Any, b: Any, training: bool) -> Any:
    return package().where(condition != 0, a, b)


def _softplus(node: Node, x: Any, training: bool) -> Any:
    """PyTorch's own becomes a straight line at 20"""
    return package().logaddexp(x, package().zeros_like(x))


def _dropout(node: Node, x: Any, training: bool) -> Any:
    return package().nn.functional.dropout(x, node.attributes["rate"], training)


def _batch_norm(node: Node, x: Any, mean: Any, variance: Any, *affine: Any, training: bool) -> Any:
    weight, bias = affine or (None, None)
    momentum, eps = node.attributes["momentum"], node.attributes["eps"]
    y = package().nn.functional.batch_norm(
        x.permute(to_first(x.ndim)), mean, variance, weight, bias, training, momentum, eps
    )
    return y.permute(to_last(x.ndim))


def _layer_norm(node: Node, x: Any, weight: Any, bias: Any, training: bool) -> Any:
    return package().nn.functional.layer_norm(x, x.shape[-1:], weight, bias, node.attributes["eps"])


def _rms_norm(node: Node, x: Any, weight: Any, training: bool) -> Any:
    return x * (x.square().mean(-1, keepdim=True) + node.attributes["eps"]).rsqrt() * weight


def _standardize(node: Node, x: Any, mean: Any, std: Any, training: bool) -> Any:
    torch = package()
    varies = std != 0
    return torch.where(varies, (x - mean) / torch.where(varies, std, torch.ones_like(std)), 0.0)


def _convolution(node: Node, x: Any, weight: Any, *bias: Any, training: bool) -> Any:
    functional, a = package().nn.functional, node.attributes
    before, behind = np.split(np.array(pads(node)), 2)
    around = [int(n) for pair in zip(before[::-1], behind[::-1], strict=True) for n in pair]
    image = functional.pad(x.permute(to_first(x.ndim)), around)
    function = functional.conv2d if x.ndim == 4 else functional.conv1d
    kernel = weight.permute(to_first(weight.ndim))
    y = function(image, kernel, *bias, stride=a["stride"], dilation=a["dilation"], groups=a["groups"])
    return y.permute(to_last(x.ndim))


def _transposed(node: Node, x: Any, weight: Any, *bias: Any, training: bool) -> Any:
    names = ("stride", "padding", "output_padding", "groups", "dilation")
    y = package().nn.functional.conv_transpose2d(
        x.permute(to_first(4)),
        weight.permute(to_first(4)),
        *bias,
        **{name: node.attributes[name] for name in names},
    )
    return y.permute(to_last(4))


def _pool(name: str) -> Forward:
    def forward(node: Node, x: Any, training: bool) -> Any:
        a = node.attributes
        function = getattr(package().nn.functional, name)
        return function(x.permute(to_first(4)), a["size"], a["stride"], a["padding"]).permute(to_last(4))

    return forward


def _upsample(node: Node, x: Any, training: bool) -> Any:
    mode = str(node.attributes["mode"])
    more: dict[str, Any] = {"align_corners": False} if mode == "bilinear" else {}
    size = [int(n or 1) for n in node.shape[1:3]]
    y = package().nn.functional.interpolate(x.permute(to_first(4)), size=size, mode=mode, **more)
    return y.permute(to_last(4))


def _attention(node: Node, *operands: Any, training: bool) -> Any:
    torch, a = package(), node.attributes
    heads, count = int(str(a["heads"])), 1 if a["packed"] else 3
    parts = operands[0].chunk(3, -1) if a["packed"] else operands[:3]
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    allowed = torch.ones_like(scores, dtype=torch.bool)
    if a["causal"]:
        allowed = allowed.tril()
    for mask in operands[count:]:
        shown = mask != 0
        if node.inputs[count].batched:
            shown = shown[:, None, None, :] if mask.ndim == 2 else shown[:, None]
        allowed = allowed & shown
    # a query that may look at nothing gets zeros, not the mean of all
    shares = scores.masked_fill(~allowed, -1e30).softmax(-1) * allowed
    shares = torch.nn.functional.dropout(shares, a["dropout"], training)
    return (shares @ v).transpose(1, 2).flatten(2)


FORWARD: dict[str, Forward] = {
    **{
        name: _one(name) for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "matmul")
    },
    **{name: _one(name) for name in ("negative", "exp", "log", "sqrt", "square", "abs", "sin", "cos")},
    **{name: _one(name) for name in ("arctan", "sigmoid", "tanh", "relu", "elu", "selu", "gelu", "silu")},
    **{name: _one(name) for name in ("softsign", "mish", "leaky_relu", "linear")},
    **{
        name: _compared(theirs)
        for name, theirs in {
            "less": "lt",
            "less_equal": "le",
            "greater": "gt",
            "greater_equal": "ge",
            "equal": "eq",
            "not_equal": "ne",
        }.items()
    },
    "power": _one("pow"),
    "hard_sigmoid": _one("hardsigmoid"),
    "hard_swish": _one("hardswish"),
    "softplus": _softplus,
    "softmax": _one("softmax", dim=-1),
    "log_softmax": _one("log_softmax", dim=-1),
    "identity": lambda node, x, training: x,
    "stop_gradient": lambda node, x, training: x.detach(),
    "gather": lambda node, table, index, training: table[index],
    "sum": _reduced("sum"),
    "mean": _reduced("mean"),
    "max": _reduced("amax"),
    "logsumexp": _reduced("logsumexp"),
    "reshape": _reshape,
    "flatten": _reshape,
    "expand": _expand,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "slice": _slice,
    "one_hot": _one_hot,
    "clip": _clip,
    "where": _where,
    "dropout": _dropout,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "standardize": _standardize,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "max_pool2d": _pool("max_pool2d"),
    "avg_pool2d": _pool("avg_pool2d"),
    "upsample2d": _upsample,
    "attention": _attention,
}
