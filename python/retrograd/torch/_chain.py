"""A chain of layers as torch.nn.Sequential, which those who read the module know."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._axes import to_first, to_last
from retrograd.onnx._write_images import pads
from retrograd.torch._state import COUNTER, keys, package

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node
    from retrograd.model import Model

ACTIVATIONS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "softsign": "Softsign",
    "mish": "Mish",
    "hard_sigmoid": "Hardsigmoid",
    "hard_swish": "Hardswish",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
}


def chain(net: Model) -> Any:
    """The module, or None where the graph is no chain of layers that PyTorch has as modules."""
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        return None
    path = _path(net)
    if path is None:
        return None
    torch = package()
    dtype = torch.float64 if net.dtype == np.float64 else torch.float32
    made = torch.nn.Sequential()
    first = False  # whether the channels of an image are first at this point
    for node in path:
        layer = _layer(torch, node)
        if layer is None:
            return None
        module, wants = layer
        if wants is not None and wants != first:
            _append(made, "channels_first" if wants else "channels_last", _turn()(wants))
            first = wants
        name = _name(net, node)
        if "." in name or not name:
            return None
        _append(made, name, module.to(dtype))
    if first:
        _append(made, "channels_last", _turn()(False))
    # parameters that are not named as those of modules are belong to something else: to attention, say
    theirs = {key for key in made.state_dict() if not key.endswith(COUNTER)}
    return made if theirs == {key for key, _ in keys(net).values()} else None


def _path(net: Model) -> list[Node] | None:
    """The operations from the input to the output, each of which takes the one before it first."""
    path = []
    node = net.outputs[0]
    while node.kind == "operation":
        path.append(node)
        moving = [x for x in node.inputs if x.batched]
        if len(moving) != 1 or not all(
            x.kind in ("parameter", "constant") for x in node.inputs if not x.batched
        ):
            return None
        node = moving[0]
    names = [net._core.name_of(x) for n in path for x in n.inputs if x.kind == "parameter"]
    return path[::-1] if len(names) == len(set(names)) else None


def _name(net: Model, node: Node) -> str:
    """The layer's name for what has its parameters; else the node's own."""
    for x in node.inputs:
        if x.kind == "parameter":
            return net._core.name_of(x).rpartition(".")[0]
    return net._core.name_of(node).replace(".", "_")


def _append(made: Any, name: str, module: Any) -> None:
    unique, count = name, 0
    while unique in made._modules:
        count += 1
        unique = f"{name}_{count}"
    made.add_module(unique, module)


@cache
def _turn() -> Any:
    """The class of modules that move the channels of images."""
    import torch

    class Channels(torch.nn.Module):  # type: ignore[misc]
        """(batch, height, width, channels) with the channels first, or back."""

        def __init__(self, first: bool) -> None:
            super().__init__()
            self.first = first

        def forward(self, x: Any) -> Any:
            return x.permute(to_first(x.ndim) if self.first else to_last(x.ndim))

    return Channels


def _layer(torch: Any, node: Node) -> tuple[Any, bool | None] | None:
    """The module of a node, and where it has the channels (None: anywhere)."""
    nn, a = torch.nn, node.attributes
    if node.op in ACTIVATIONS:
        softmax = "softmax" in node.op
        return getattr(nn, ACTIVATIONS[node.op])(
            **({"dim": -1} if softmax else {})
        ), False if softmax else None
    make = _MAKERS.get(node.op)
    return None if make is None else make(nn, node, a)


def _linear(nn: Any, node: Node, a: Any) -> Any:
    units, inputs = node.inputs[1].shape
    return nn.Linear(inputs, units, bias=len(node.inputs) == 3), False


def _convolution(kind: str) -> Callable[..., Any]:
    def make(nn: Any, node: Node, a: Any) -> Any:
        out, *kernel, per_group = node.inputs[1].shape
        half = len(kernel)
        before, behind = pads(node)[:half], pads(node)[half:]
        if before != behind:
            return None
        channels = (per_group or 1) * a["groups"]
        bias = len(node.inputs) == 3
        module = getattr(nn, kind)(
            channels, out, kernel, a["stride"], before, a["dilation"], a["groups"], bias=bias
        )
        return module, True

    return make


def _batch_norm(nn: Any, node: Node, a: Any) -> Any:
    kinds = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d"}
    rank = len(node.shape)
    if rank not in kinds:
        return None
    affine = len(node.inputs) == 5
    module = getattr(nn, kinds[rank])(node.shape[-1], a["eps"], a["momentum"], affine)
    return (module, rank > 2) if affine else None


def _flatten(nn: Any, node: Node, a: Any) -> Any:
    return (nn.Flatten(), False) if len(node.shape) == 2 else None


def _pool(kind: str) -> Callable[..., Any]:
    return lambda nn, node, a: (
        getattr(nn, kind)(tuple(a["size"]), tuple(a["stride"]), tuple(a["padding"])),
        True,
    )


_MAKERS: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    "conv1d": _convolution("Conv1d"),
    "conv2d": _convolution("Conv2d"),
    "batch_norm": _batch_norm,
    "layer_norm": lambda nn, node, a: (nn.LayerNorm(node.shape[-1], a["eps"]), False),
    "dropout": lambda nn, node, a: (nn.Dropout(a["rate"]), None),
    "reshape": _flatten,
    "max_pool2d": _pool("MaxPool2d"),
    "avg_pool2d": _pool("AvgPool2d"),
}
