"""Layers without parameters: what joins, scales and reshapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrograd._arguments import integer, real
from retrograd.errors import ArgumentError
from retrograd.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Add", "Concatenate", "Flatten", "Multiply", "Rescale", "Reshape"]


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
