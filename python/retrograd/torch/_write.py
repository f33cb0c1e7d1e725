"""A model as a module of PyTorch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._axes import to_last
from retrograd.errors import GraphError
from retrograd.onnx._write_sequences import WALKS, operands
from retrograd.onnx._writer import constant_value
from retrograd.onnx.export import walk
from retrograd.torch._chain import chain
from retrograd.torch._operations import FORWARD
from retrograd.torch._state import check_model, keys, package, state_dict
from retrograd.torch._walks import stepwise, whole

if TYPE_CHECKING:
    from retrograd.graph import Node
    from retrograd.model import Model


def to_module(net: Model) -> Any:
    """The model as a ``torch.nn.Module`` with parameters of its own, ready to be trained there.

    It takes the arrays that the model takes (as tensors; images are [batch, height, width, channels]) and
    makes the same numbers. A chain of layers that PyTorch has becomes a ``torch.nn.Sequential``, any other
    graph a module that walks it. ``module.state_dict()`` has the names of ``rg.torch.state_dict(net)``.

    Returns
    -------
    torch.nn.Module
        In evaluation mode; ``module.train()`` drops and normalises as in training. What is frozen in the
        model has no ``requires_grad``.

    Raises
    ------
    GraphError
        An operation of a loss, or a name that a module cannot have.
    ArgumentError
        No model, or the package torch is not installed.
    """
    torch = package()
    check_model("to_module", net)
    module = chain(net) or _network()(net)
    frozen = {keys(net)[name][0] for name in net.frozen if name in keys(net)}
    module.load_state_dict(state_dict(net), strict=False)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
    assert isinstance(module, torch.nn.Module)
    return module.eval()


@cache
def _network() -> Any:
    """The class of modules that walk a graph; made when torch is there."""
    import torch

    class Network(torch.nn.Module):  # type: ignore[misc]
        """A graph of operations of retrograd, computed by PyTorch."""

        def __init__(self, net: Model) -> None:
            super().__init__()
            self.graph = walk(net.outputs)
            self.inputs, self.outputs = net.inputs, net.outputs
            self.places: dict[Node, tuple[str, bool]] = {}
            dtype = torch.float64 if net.dtype == np.float64 else torch.float32
            self.numbers = dtype
            found = keys(net)
            tensors = state_dict(net)
            for node in self.graph:
                if node.kind in ("parameter", "constant"):
                    name = net._core.name_of(node)
                    key, kernel = found.get(name, (f"constants.{name.replace('.', '_')}", False))
                    self.places[node] = (key, kernel)
                    if key in tensors:
                        _put(self, key, tensors[key], node.kind == "parameter")
                    else:
                        value = net.buffers[name] if name in net.buffers else constant_value(node)
                        _put(self, key, torch.from_numpy(np.array(value)).to(dtype), None)
                elif node.kind == "operation" and node.op not in FORWARD and node.op not in WALKS:
                    raise GraphError(
                        f"torch: {net._core.name_of(node)} ({node.op}) has no counterpart in a module; it is "
                        "part of a loss"
                    )

        def forward(self, *given: Any) -> Any:
            values = {}
            for node, x in zip(self.inputs, given, strict=True):
                values[node] = x.long() if node.dtype == "index" else x.to(self.numbers)
            for node in self.graph:
                if node.kind == "operation":
                    values[node] = self._computed(node, values)
                elif node.kind != "input":
                    values[node] = self._leaf(node)
            outputs = [values[node] for node in self.outputs]
            return outputs[0] if len(outputs) == 1 else outputs

        def _computed(self, node: Node, values: dict[Node, Any]) -> Any:
            if node.op not in WALKS:
                x = [values[operand] for operand in node.inputs]
                y = FORWARD[node.op](node, *x, training=self.training)
                return y.to(self.numbers) if node.op == "one_hot" else y
            needed = [values[operand] for operand in operands(node)]
            return stepwise(node, *needed) if operands(node) == node.inputs else whole(node, *needed)

        def _leaf(self, node: Node) -> Any:
            key, kernel = self.places[node]
            path, _, last = key.rpartition(".")
            tensor = getattr(self.get_submodule(path), last)
            return tensor.permute(to_last(tensor.ndim)) if kernel else tensor

    return Network


def _put(module: Any, key: str, tensor: Any, trained: bool | None) -> None:
    """Register a tensor under a name with dots: a parameter, a buffer, or one that is no state (None)."""
    torch = package()
    *path, last = key.split(".")
    try:
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        if trained:
            module.register_parameter(last, torch.nn.Parameter(tensor.clone()))
        else:
            module.register_buffer(last, tensor.clone(), persistent=trained is not None)
    except KeyError as error:
        raise GraphError(f"torch: a module can have nothing of the name {key!r}: {error}") from None
