"""What all layers share: being called, being shown, and where their parameters begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from retrograd import _core
from retrograd._arguments import Record, text
from retrograd.errors import ArgumentError, GraphError, ShapeError
from retrograd.graph import Node
from retrograd.init import Initializer
from retrograd.init import resolve as resolve_init

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd._core import Attributes

    Activation_: TypeAlias = str | Callable[[Node], Node] | None
    Initial: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["Layer"]


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


class Initials:
    """Where the parameters of a layer begin: rules for its config, arrays for the core.

    Parameters
    ----------
    who
        Begins the message of an error.
    config
        Gets the rules.
    """

    def __init__(self, who: str, config: Attributes) -> None:
        self.who = who
        self.config = config
        self.arrays: dict[str, Initial] = {}

    def add(self, role: str, value: Any, shape: Sequence[int | str]) -> None:
        """``{role}_init`` is ``value``: a name, an object of :mod:`retrograd.init` or an array.

        Parameters
        ----------
        shape
            Of the parameter; a word stands for a size that is known when the layer is called.

        Raises
        ------
        ArgumentError
            An unknown name, or one that needs a matrix for a parameter that is none.
        ShapeError
            An array of another shape.
        """
        rule = resolve_init(f"{self.who}: {role}_init", value)
        if not isinstance(rule, Initializer):
            self._check_shape(role, rule, shape)
            self.arrays[role] = rule
            rule = Initializer("zeros")
        elif len(shape) == 1 and rule.name not in ("zeros", "ones", "normal", "uniform"):
            raise ArgumentError(
                f"{self.who}: {role}_init is {str(rule)!r}, which needs a matrix; "
                "choose zeros, ones, normal(std), uniform(low, high) or an array"
            )
        self.config[f"{role}_init"] = rule.name
        for letter, number in zip("ab", rule.values, strict=False):
            self.config[f"{role}_init_{letter}"] = number

    def _check_shape(self, role: str, array: Initial, shape: Sequence[int | str]) -> None:
        # the core knows the number of elements only, and a transposed weight has as many
        def fits(found: Sequence[int]) -> bool:
            return len(found) == len(shape) and all(
                isinstance(size, str) or size == n for n, size in zip(found, shape, strict=True)
            )

        if fits(array.shape):
            return
        expected = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        turned = array.ndim == 2 and fits(array.shape[::-1])
        raise ShapeError(
            f"{self.who}: {role}_init has shape {array.shape}, expected ({expected})"
            + (f"; transpose it: {role}_init=W.T" if turned else "")
        )
