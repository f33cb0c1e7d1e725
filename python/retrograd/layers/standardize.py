"""Features with mean 0 and standard deviation 1, by what was measured of the training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._arguments import text
from retrograd.errors import ArgumentError, DTypeError, ShapeError, StateError
from retrograd.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from retrograd.graph import Node

__all__ = ["Standardize"]

_PART = 1 << 20  # elements that are looked at together: what is larger than memory is never copied whole


class Standardize(Layer):
    """a = (x - mean) / std for each feature, and 0 where std is 0. [batch, ..., n] -> [batch, ..., n]

    ``adapt(x)`` measures ``mean`` and ``std`` of data, over all axes but the last; they are buffers of the
    model, saved with it and not trained. A feature that never varied (std 0) tells nothing and becomes 0,
    whatever it is later. std is that of all data given, sqrt(mean((x - mean)^2)), as in scikit-learn.

    >>> scale = rg.Standardize().adapt(x)
    >>> net = rg.Sequential([rg.Input(13), scale, rg.Dense(1)])

    or, where the data comes later, ``net["standardize_0"].adapt(x)``. Until then mean and std are NaN, and a
    prediction or a training step is refused: to hand x on as it is would only look as if it worked.

    Raises
    ------
    ShapeError
        Data of another number of features (when called).
    StateError
        A model that was never given data (when it predicts, trains or is saved).
    """

    _called: bool

    def __init__(self, name: str | None = None) -> None:
        self._set(name=name, _called=False)
        self._build("standardize", {})

    def adapt(self, x: Any) -> Standardize:
        """Measure mean and std of x before the layer is called, and return the layer itself.

        Parameters
        ----------
        x
            [rows, ..., features] of numbers: an array, also memory-mapped, or a frame. The sums are float64.

        Raises
        ------
        StateError
            The layer was called before: its buffers belong to the model, ``net["standardize_0"].adapt(x)``.
        ShapeError, DTypeError, ArgumentError
            No rows, no axis of features; not numbers; a number that is not finite.
        """
        who = self.name or "Standardize"
        if self._called:
            raise StateError(
                f"{who}: it was called already, so that its mean and std belong to the model; "
                'use net["standardize_0"].adapt(x), or adapt before calling'
            )
        mean, std = measured(who, x)
        made = _core.Layer("standardize", {}, text(who, self.name), None, {"mean": mean, "std": std})
        self._set(_builder=made)
        return self

    def __call__(self, *inputs: Node | Sequence[Node]) -> Node:
        """The standardised input; from here on mean and std belong to the model.

        Raises
        ------
        GraphError, ShapeError
            As of every layer.
        """
        node = super().__call__(*inputs)
        self._set(_called=True)
        return node


def measured(who: str, x: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the features on the last axis of x, in float64.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        See ``Standardize.adapt``.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{who}: adapt: x has dtype {array.dtype}, expected numbers")
    if array.ndim < 2 or array.size == 0:
        raise ShapeError(
            f"{who}: adapt: x has shape {array.shape}, expected (rows, ..., features) with a row at least"
        )
    features = array.shape[-1]
    low, high, total = np.full(features, np.inf), np.full(features, -np.inf), np.zeros(features)
    for part in _parts(array):
        np.minimum(low, part.min(axis=0), out=low)
        np.maximum(high, part.max(axis=0), out=high)
        total += part.sum(axis=0)
    bad = np.flatnonzero(~np.isfinite(low + high))
    if bad.size:
        raise ArgumentError(
            f"{who}: adapt: feature {bad[0]} of x has a value that is NaN or infinite; clean the data first"
        )
    count = array.size // features
    # a rounded sum of equal numbers need not be their multiple, and would leave a std that is not quite 0
    varies = high > low
    mean = np.where(varies, total / count, low)
    spread = np.where(varies, high - low, 1.0)  # so that no square is too large or too small
    squares = np.zeros(features)
    for part in _parts(array):
        squares += np.square((part - mean) / spread).sum(axis=0)
    return mean, np.where(varies, spread * np.sqrt(squares / count), 0.0)


def _parts(array: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Rows of features in float64, so many at a time."""
    rows = max(1, _PART // (array.size // len(array)))
    for first in range(0, len(array), rows):
        part = array[first : first + rows].astype(np.float64)
        yield part.reshape(-1, array.shape[-1])
