"""Parameters by PyTorch's names and in its layouts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._axes import to_first, to_last
from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrograd.model import Model

_CONVOLUTIONS = ("conv1d", "conv2d", "conv_transpose2d")
_WALKS = ("lstm", "gru", "simple_rnn")
COUNTER = ".num_batches_tracked"  # of PyTorch's batch norm, which only a momentum of None reads


def package() -> Any:
    """The package torch.

    Raises
    ------
    ArgumentError
        It is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ArgumentError(
            'torch: this needs the package torch, which is not installed; pip install "retrograd[torch]"'
        ) from None
    return torch


def keys(net: Model) -> dict[str, tuple[str, bool]]:
    """Our name of every parameter and buffer -> PyTorch's, and whether it is a kernel."""
    found = {name: (name, False) for name in [*net.parameters, *net.buffers] if not _is_constant(net, name)}
    for info in net._core.layers():
        for role, name in info.parameters.items():
            if info.kind in _CONVOLUTIONS and role == "weight":
                found[name] = (name, True)
            if info.kind in _WALKS:
                found[name] = (_walk_key(name, role), False)
    return found


def _walk_key(name: str, role: str) -> str:
    """PyTorch has the depth and the direction at the end: "lstm.l1_reverse.bias_hh" is
    "lstm.bias_hh_l1_reverse", and "lstm_0.weight_ih" is "lstm_0.weight_ih_l0"."""
    layer = name.removesuffix(f".{role}")
    head, _, tail = layer.rpartition(".")
    if head and re.fullmatch(r"l\d+(_reverse)?", tail):
        return f"{head}.{role}_{tail}"
    return f"{name}_l0"


def _is_constant(net: Model, name: str) -> bool:
    """Whether a buffer is a constant of the graph, which belongs to no layer."""
    if name in net.parameters:
        return False
    return not any(name in info.buffers.values() for info in net._core.layers())


def state_dict(net: Model) -> dict[str, Any]:
    """The parameters and buffers of a model as PyTorch has them.

    Kernels of convolutions are (out, in, height, width) there; the others have the same shape. Names are
    ours, with ``_l0`` behind those of recurrent layers: those of ``to_module(net)``, and of a module that
    ``net`` was made from.

    Returns
    -------
    dict
        Name -> tensor, copies.

    Raises
    ------
    ArgumentError
        No model, or the package torch is not installed.
    """
    torch = package()
    check_model("state_dict", net)
    arrays = {**net.parameters, **net.buffers}
    made = {}
    for name, (key, kernel) in keys(net).items():
        array = arrays[name]
        if kernel:
            array = array.transpose(to_first(array.ndim))
        made[key] = torch.from_numpy(np.array(array, order="C"))
    return made


def load_state_dict(net: Model, state_dict: Mapping[str, Any], strict: bool = True) -> None:
    """Write a state dict of PyTorch into a model, in place; on an error nothing is changed.

    Parameters
    ----------
    net
        The model.
    state_dict
        Name -> tensor or array, with the names of ``rg.torch.state_dict(net)``.
    strict
        Whether every parameter must be given, and no other name; else what is common is written.

    Raises
    ------
    ArgumentError
        Missing and unexpected names, all of them listed, or a number that is not finite.
    ShapeError
        A tensor of another shape.
    DTypeError
        A tensor that is not made of real numbers.
    """
    check_model("load_state_dict", net)
    names = {key: (name, kernel) for name, (key, kernel) in keys(net).items()}
    given = {}
    for key, tensor in state_dict.items():
        if key.endswith(COUNTER):
            continue
        name, kernel = names.get(key, (key, False))
        array = tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)
        given[name] = array.transpose(to_last(array.ndim)) if kernel and array.ndim > 2 else array
    net.set_parameters(given, strict=strict)


def check_model(who: str, net: Any) -> None:
    """Refuse what is no model.

    Raises
    ------
    ArgumentError
        It is none.
    """
    from retrograd.model import Model

    if not isinstance(net, Model):
        raise ArgumentError(f"torch.{who}: expected a model, got {type(net).__name__}")
