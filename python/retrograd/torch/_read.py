"""A module of PyTorch as a model.

Modules are said in ONNX's operators, which have PyTorch's settings and PyTorch's order of axes, and which
:mod:`retrograd.onnx` reads; the package onnx is not needed for that.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import integer
from retrograd.errors import ArgumentError, GraphError, RetrogradError
from retrograd.graph import Input
from retrograd.model import Model
from retrograd.onnx._reader import Reader, Step, Value
from retrograd.onnx.load import READ
from retrograd.torch._functions import FUNCTIONS, METHODS, name_of
from retrograd.torch._modules import ACTIVATIONS, MODULES, Call
from retrograd.torch._state import package

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike


def from_module(
    module: Any,
    input_shape: int | Sequence[int] | Sequence[Sequence[int]],
    dtype: DTypeLike | Sequence[DTypeLike | None] | None = None,
) -> Model:
    """A model with the parameters of a ``torch.nn.Module``, that makes the same numbers of the same arrays.

    Layers have the names of the modules, so ``rg.torch.load_state_dict(net, module.state_dict())`` works
    later on, too. Modules that are none of PyTorch's own are traced by ``torch.fx``; docs/torch.md lists what
    is known.

    Parameters
    ----------
    module
        In training or evaluation: dropout and batch norm become layers that know both.
    input_shape
        Of one sample, without the batch, as the module takes it: images are (channels, height, width). A list
        of shapes for several inputs.
    dtype
        ``"int64"`` where the input is indices; None: floats of the parameters' own precision. A list for
        several inputs.

    Raises
    ------
    GraphError
        A module, function or method that is not known, or a setting that has no counterpart: the message
        names it and where it stands.
    ArgumentError
        No module, or the package torch is not installed.
    """
    torch = package()
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(f"torch.from_module: expected a torch.nn.Module, got {type(module).__name__}")
    return _Walk(torch, module).model(_shapes(input_shape), dtype)


def _shapes(given: Any) -> list[list[int]]:
    if isinstance(given, int):
        return [[integer("torch.from_module: input_shape", given)]]
    sizes = list(given)
    several = bool(sizes) and not isinstance(sizes[0], int | np.integer)
    return [
        [integer("torch.from_module: input_shape", n) for n in s] for s in (sizes if several else [sizes])
    ]


class _Walk:
    """The walk over what a module does, call by call."""

    def __init__(self, torch: Any, module: Any) -> None:
        self.torch = torch
        self.module = module
        floats = [p.dtype for p in module.parameters() if p.is_floating_point()]
        self.dtype = np.float64 if torch.float64 in floats else np.float32
        self.reader = Reader(opset=17, ours=False, dtype=self.dtype)
        self.reader.handlers = READ
        self.values: dict[Any, Any] = {}

    def model(self, shapes: list[list[int]], dtype: Any) -> Model:
        graph = self._graph()
        places = [node for node in graph.nodes if node.op == "placeholder"]
        required = [node for node in places if not node.args]
        if not len(required) <= len(shapes) <= len(places):
            raise ArgumentError(
                f"torch.from_module: {type(self.module).__name__} takes {len(required)} inputs, got "
                f"{len(shapes)} shapes"
            )
        inputs = []
        dtypes = dtype if isinstance(dtype, list | tuple) else [dtype] * len(shapes)
        if len(dtypes) != len(shapes):
            raise ArgumentError(f"torch.from_module: {len(dtypes)} dtypes for {len(shapes)} inputs")
        for node, shape, kind in zip(places, shapes, dtypes, strict=False):
            made = Input(shape, dtype=kind, name=str(node.name))
            inputs.append(made)
            self.values[node] = Value(str(node.name), node=made)
        for node in places[len(shapes) :]:
            self.values[node] = node.args[0] if node.args else None
        self._note_takers(graph)
        outputs: list[Any] = []
        for node in graph.nodes:
            if node.op == "output":
                found = self._argument(node.args[0])
                outputs = list(found) if isinstance(found, list | tuple) else [found]
            elif node.op != "placeholder":
                self.values[node] = self._call(node)
        return Model(inputs, [self._output(value) for value in outputs], dtype=self.dtype)

    def _output(self, value: Any) -> Any:
        if not isinstance(value, Value) or not value.batched:
            raise GraphError(
                f"torch.from_module: an output of {type(self.module).__name__} is {type(value).__name__} and "
                "does not depend on an input; return tensors alone"
            )
        return self.reader.node(value)

    # ----------------------------------------------------------------------------------- what is done

    def _graph(self) -> Any:
        import torch
        import torch.fx

        known = MODULES

        class Tracer(torch.fx.Tracer):  # type: ignore[misc]
            def is_leaf_module(self, m: Any, name: str) -> bool:
                return type(m).__name__ in known and type(m).__module__.startswith("torch.nn")

        root, self.prefix = self.module, ""
        if type(root).__name__ in known:  # a leaf has no inside to be traced
            root, self.prefix = torch.nn.Sequential(root), "0."
        self.root = root
        try:
            return Tracer().trace(root)
        except Exception as error:  # whatever the module's own code raises on a proxy
            raise GraphError(
                f"torch.from_module: {type(self.module).__name__} cannot be traced, since its forward "
                f"depends on the numbers it is given: {error}"
            ) from None

    def _note_takers(self, graph: Any) -> None:
        """Which activation alone follows a call, so that the layer takes it in."""
        for node in graph.nodes:
            users = list(node.users)
            if len(users) != 1 or users[0].op != "call_module":
                continue
            follower = self.root.get_submodule(users[0].target)
            op = ACTIVATIONS.get(type(follower).__name__)
            if op is not None:
                taker = SimpleNamespace(op_type=op, input=[node.name], output=[users[0].name])
                self.reader.takers[node.name] = [taker]

    def _argument(self, given: Any) -> Any:
        """A value for every node among the arguments."""
        if isinstance(given, list | tuple):
            return type(given)(self._argument(item) for item in given)
        if isinstance(given, dict):
            return {key: self._argument(item) for key, item in given.items()}
        return self.values[given] if isinstance(given, self.torch.fx.Node) else given

    def _call(self, node: Any) -> Any:
        if node.name in self.reader.values:  # an activation that is part of its layer
            return self.reader.values[node.name]
        args, kwargs = self._argument(list(node.args)), self._argument(dict(node.kwargs))
        call = Call(self, str(node.name))
        where = f"torch.from_module: {node.target if node.op != 'call_function' else name_of(node.target)}"
        try:
            if node.op == "get_attr":
                return call.tensor(_attribute(self.root, node.target), node.target.removeprefix(self.prefix))
            if node.op == "call_module":
                module = self.root.get_submodule(node.target)
                path = node.target.removeprefix(self.prefix) if node.target != "0" or not self.prefix else ""
                where += f" ({type(module).__name__})"
                return MODULES[type(module).__name__](call.within(path), module, *args, **kwargs)
            table = FUNCTIONS if node.op == "call_function" else METHODS
            name = name_of(node.target)
            if name not in table:
                raise GraphError(f"it is not known; known are {', '.join(sorted(table))}")
            return table[name](call, *args, **kwargs)
        except RetrogradError as error:
            raise type(error)(f"{where}: {error}") from None
        except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
            raise GraphError(f"{where}: called in a way that is not known: {error!r}") from error

    def operator(self, op: str, name: str, inputs: list[Value | None], attributes: dict[str, Any]) -> Any:
        """What an operator of ONNX makes of values."""
        step = Step(op, name, inputs, attributes, [name])
        found = READ[op](self.reader, step)
        return found[0] if isinstance(found, list) else found


def _attribute(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module
