"""What stands for the parts of a model: its arrays by name, and its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from retrograd._arguments import nearest
from retrograd.errors import GraphError, ShapeError
from retrograd.graph import Node, shape_text
from retrograd.layers.standardize import measured

if TYPE_CHECKING:
    from retrograd._core import Array, LayerInfo
    from retrograd.model import Model

__all__ = ["BoundLayer", "Views", "call_name"]

V = TypeVar("V")


class Views(Mapping[str, V]):
    """Names and what they stand for, in the order of the model; the arrays are views of the core's memory.

    The mapping is read-only, its arrays are not: ``net.parameters["dense_0.bias"][...] = 0`` writes into the
    model.
    """

    __slots__ = ("_items", "_what")

    def __init__(self, items: dict[str, V], what: str) -> None:
        self._items = items
        self._what = what

    def __getitem__(self, name: str) -> V:
        try:
            return self._items[name]
        except KeyError:
            known = ", ".join(self._items) or "none"
            raise KeyError(
                f"no {self._what} {name!r};{nearest(name, self._items)} there are {known}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __repr__(self) -> str:
        rows = [
            f"{name:32} {value.shape} {value.dtype}"
            if isinstance(value, np.ndarray)
            else f"{name:32} {value!r}"
            for name, value in self._items.items()
        ]
        return "\n".join(rows) or f"(no {self._what})"


class BoundLayer:
    """A layer within a model: ``net["dense_0"]``.

    Attributes
    ----------
    name, kind, config
        What it is called, ``"dense"`` for instance, and what it was made with.
    calls
        How often it stands in the graph with the same parameters.
    weight, bias, ...
        Views of its parameters, by their role.
    """

    def __init__(self, model: Model, info: LayerInfo) -> None:
        self._model = model
        self._info = info
        self.name = info.name
        self.kind = info.kind
        self.config = info.config
        self.calls = info.calls

    @property
    def parameters(self) -> Views[Array]:
        """Role -> view, ``{"weight": ..., "bias": ...}``."""
        views = self._model.parameters
        return Views(
            {role: views[name] for role, name in self._info.parameters.items()}, f"parameter of {self.name}"
        )

    @property
    def buffers(self) -> Views[Array]:
        """Role -> view of what is saved but not trained, ``{"running_mean": ..., "running_var": ...}``."""
        views = self._model.buffers
        return Views(
            {role: views[name] for role, name in self._info.buffers.items()}, f"buffer of {self.name}"
        )

    def __getattr__(self, role: str) -> Any:
        if not role.startswith("_"):
            for views in (self.parameters, self.buffers):
                if role in views:
                    return views[role]
        known = ", ".join([*self._info.parameters, *self._info.buffers]) or "no parameters"
        raise AttributeError(f"layer {self.name!r} has no {role!r}; it has {known}")

    def adapt(self, x: Any) -> None:
        """Measure the mean and std that a ``Standardize`` layer uses: see ``rg.Standardize``.

        Raises
        ------
        GraphError
            A layer of another kind.
        ShapeError, DTypeError, ArgumentError
            x does not fit, is not made of numbers, or has one that is not finite.
        """
        if self.kind != "standardize":
            raise GraphError(f"layer {self.name!r} is {self.kind}, which has nothing to adapt to data")
        mean, std = measured(self.name, x)
        if mean.shape != self.mean.shape:
            raise ShapeError(
                f"{self.name}: adapt: x has {mean.size} features on its last axis, expected {self.mean.size}"
            )
        self.mean[...], self.std[...] = mean, std

    @property
    def output(self) -> Node:
        """The node it makes of its input, in its first call; another model may be built from it."""
        self._model._lend()
        nodes = self._info.nodes
        return self._model._core.node(nodes.get("a") or nodes["z"])

    @property
    def inputs(self) -> list[Node]:
        """The nodes its first call was given."""
        self._model._lend()
        return [self._model._core.node(name) for name in self._info.inputs[0]]

    @property
    def input(self) -> Node:
        """The node its first call was given.

        Raises
        ------
        GraphError
            It was given several: see ``inputs``.
        """
        inputs = self.inputs
        if len(inputs) != 1:
            raise GraphError(f"layer {self.name!r} has {len(inputs)} inputs; use .inputs")
        return inputs[0]

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of ``output``; None is the batch."""
        return self._info.output_shape

    @property
    def cost(self) -> int:
        """Multiply-adds of forward for one sample."""
        return self._info.cost

    def __repr__(self) -> str:
        return f"<{self.kind} layer {self.name!r}: output {shape_text(self.output_shape)}>"


def call_name(info: LayerInfo, role: str, call: int) -> str:
    """The name of a layer's node in one of its calls: "dense_0.z", "dense_0@1.z"; "" for a role it lacks."""
    first = info.nodes.get(role, "")
    return f"{info.name}@{call}{first.removeprefix(info.name)}" if call and first else first
