"""Layers: functions from nodes to nodes that bring their own parameters.

>>> dense = rg.Dense(64, activation="relu")
>>> h = dense(x)                            # makes dense.weight and dense.bias
>>> k = dense(h2)                           # the same weight and bias again

A layer object is a description; the parameters it made belong to the model that is built of the nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._arguments import Record, flag, integer, real, text
from retrograd.activations import resolve as resolve_activation
from retrograd.errors import ArgumentError, GraphError, ShapeError
from retrograd.graph import Node
from retrograd.init import Initializer
from retrograd.init import resolve as resolve_init

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd._core import Attributes

    Activation_ = str | Callable[[Node], Node] | None

__all__ = [
    "Activation",
    "Add",
    "Concatenate",
    "Dense",
    "Flatten",
    "Layer",
    "Multiply",
    "Rescale",
    "Reshape",
]


class Layer(Record):
    """What every layer can do: be called with nodes, and be shown."""

    name: str | None
    _builder: _core.Layer

    def _build(
        self,
        kind: str,
        config: Attributes,
        activation: Callable[[Node], Node] | None = None,
        initial: dict[str, np.ndarray[Any, np.dtype[np.float64]]] | None = None,
    ) -> None:
        name = text(f"{type(self).__name__}: name", self.name)
        self._set(_builder=_core.Layer(kind, config, name, activation, initial))

    def __call__(self, *inputs: Node | Sequence[Node]) -> Node:
        """The layer's output node for these input nodes; a list of nodes is taken apart.

        Raises
        ------
        GraphError
            Something that is not a node, or the wrong number of them.
        ShapeError
            A node whose shape the layer cannot take.
        """
        nodes: Sequence[Any] = inputs
        if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
            nodes = inputs[0]
        for node in nodes:
            if not isinstance(node, Node):
                raise GraphError(
                    f"{self!r}: called with {type(node).__name__}, expected a node such as rg.Input(...); "
                    "to compute numbers, build a model and call net.predict(x)"
                )
        return self._builder(list(nodes))

    def _shown(self) -> dict[str, Any]:
        return {
            name: str(value) if isinstance(value, Initializer) else value
            for name, value in self.__dict__.items()
        }

    # two layers of equal arguments are still two layers, each with its own weights
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"{self!r}: a layer cannot be pickled or copied; pickle the model built of it")


class Dense(Layer):
    """Every unit sees every input: z = x W^T + b, a = activation(z).

    [batch, ..., inputs] -> [batch, ..., units]; W is [units, inputs], b is [units].

    Parameters
    ----------
    units
        How many outputs.
    activation
        A name (see :mod:`retrograd.activations`) or a function of a node; None: a = z.
    use_bias
        Whether there is a b.
    weight_init, bias_init
        Where W and b begin: a name, ``"normal(0.02)"``, an object of :mod:`retrograd.init` or an array of the
        parameter's own shape.
    name
        Default: ``dense_0``, ``dense_1``, ... in the order of the model.

    Raises
    ------
    ArgumentError
        units below 1, an unknown activation or initialiser.
    ShapeError
        An array that is not [units, inputs] (or [units] for b).
    """

    units: int
    activation: Activation_
    use_bias: bool
    weight_init: Any
    bias_init: Any

    def __init__(
        self,
        units: int,
        activation: Activation_ = None,
        use_bias: bool = True,
        weight_init: Any = "auto",
        bias_init: Any = "zeros",
        name: str | None = None,
    ) -> None:
        who = name if isinstance(name, str) and name else "Dense"
        self._set(
            units=integer(f"{who}: units", units),
            activation=activation,
            use_bias=flag(f"{who}: use_bias", use_bias),
            weight_init=weight_init,
            bias_init=bias_init,
            name=name,
        )
        activation_name, function = resolve_activation(who, activation)
        config: Attributes = {"units": self.units, "activation": activation_name, "use_bias": self.use_bias}
        initial = {}
        for role, value in (("weight", weight_init), ("bias", bias_init)):
            rule = resolve_init(f"{who}: {role}_init", value)
            if not isinstance(rule, Initializer):
                self._check_shape(who, role, rule)
                initial[role] = rule
                rule = Initializer("zeros")
            elif role == "bias" and rule.name not in ("zeros", "ones", "normal", "uniform"):
                raise ArgumentError(
                    f"{who}: bias_init is {str(rule)!r}, which needs a matrix; "
                    "choose zeros, ones, normal(std), uniform(low, high) or an array"
                )
            config[f"{role}_init"] = rule.name
            for letter, number in zip("ab", rule.values, strict=False):
                config[f"{role}_init_{letter}"] = number
        self._build("dense", config, function, initial)

    def _check_shape(self, who: str, role: str, array: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        # the core knows the number of elements only, and a transposed weight has as many
        rank, expected = (2, f"({self.units}, inputs)") if role == "weight" else (1, f"({self.units},)")
        if array.ndim != rank or array.shape[0] != self.units:
            turned = role == "weight" and array.ndim == 2 and array.shape[1] == self.units
            raise ShapeError(
                f"{who}: {role}_init has shape {array.shape}, expected {expected}"
                + ("; transpose it: weight_init=W.T" if turned else "")
            )
        if role == "bias" and not self.use_bias:
            raise ArgumentError(f"{who}: bias_init is an array but use_bias is False; leave one of them out")


class Activation(Layer):
    """a = activation(x), element by element (softmax: over the last axis).

    Raises
    ------
    ArgumentError
        An unknown name.
    """

    activation: Activation_

    def __init__(self, activation: Activation_, name: str | None = None) -> None:
        self._set(activation=activation, name=name)
        who = name if isinstance(name, str) and name else "Activation"
        known, function = resolve_activation(who, activation)
        self._build("activation", {"activation": known or "linear"}, function)


class Flatten(Layer):
    """All axes of a sample become one. [batch, a, b, ...] -> [batch, a * b * ...]"""

    def __init__(self, name: str | None = None) -> None:
        self._set(name=name)
        self._build("flatten", {})


class Reshape(Layer):
    """A sample gets another shape with its elements in the same order; one size may be -1.

    Raises
    ------
    ArgumentError
        Sizes below 1, or more than one -1.
    ShapeError
        A sample whose number of elements does not fit (when called).
    """

    shape: tuple[int, ...]

    def __init__(self, shape: int | Sequence[int], name: str | None = None) -> None:
        sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        sizes = tuple(n if n == -1 else integer("Reshape: shape", n) for n in sizes)
        if sizes.count(-1) > 1:
            raise ArgumentError(
                f"Reshape: shape {sizes} has more than one -1; only one size can be worked out"
            )
        self._set(shape=sizes, name=name)
        self._build("reshape", {"shape": list(sizes)})


class Rescale(Layer):
    """a = x * scale + offset: 8-bit images, say, into 0..1 by ``Rescale(1 / 255)``.

    Raises
    ------
    ArgumentError
        scale or offset is not a finite number.
    """

    scale: float
    offset: float

    def __init__(self, scale: float, offset: float = 0.0, name: str | None = None) -> None:
        self._set(scale=real("Rescale: scale", scale), offset=real("Rescale: offset", offset), name=name)
        self._build("rescale", {"scale": self.scale, "offset": self.offset})


class Add(Layer):
    """The sum of two or more nodes: the short cut of a residual block. ``rg.Add()(h, f(h))``"""

    def __init__(self, name: str | None = None) -> None:
        self._set(name=name)
        self._build("add", {})


class Multiply(Layer):
    """The product of two or more nodes, element by element: a gate. ``rg.Multiply()(gate, h)``"""

    def __init__(self, name: str | None = None) -> None:
        self._set(name=name)
        self._build("multiply", {})


class Concatenate(Layer):
    """Two or more nodes side by side along ``axis``; -1: the last one.

    Raises
    ------
    GraphError
        ``axis`` is the batch (when called).
    """

    axis: int

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        self._set(axis=integer("Concatenate: axis", axis, -8, 8), name=name)
        self._build("concatenate", {"axis": self.axis})
