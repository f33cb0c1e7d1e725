"""Layers of tables: an index becomes a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd._arguments import integer
from retrograd.layers.base import Initials, Layer

if TYPE_CHECKING:
    from retrograd._core import Attributes

__all__ = ["Embedding"]


class Embedding(Layer):
    """A table with a trained row for each index: a[i] = W[x[i]].

    [batch, ...] of indices -> [batch, ..., units]; W is [count, units]. The input is made by
    ``rg.Input(shape, dtype="int64")`` (or ``"int32"``), its data may be of any integer type.

    Only the rows of a batch have a gradient. Where the optimizer leaves a weight alone whose gradient is 0
    (``SGD`` without momentum, ``Adagrad``; both without weight decay and penalty), a step on a large table
    takes time for those rows only. The bits are those of a visit to all.

    Parameters
    ----------
    count
        How many rows: indices are 0 to count - 1.
    units
        Numbers in a row.
    weight_init
        Where W begins: ``"auto"`` is N(0, 1), as in PyTorch; else as for :class:`Dense`, with units inputs
        and count outputs.
    name
        Default: ``embedding_0``, ``embedding_1``, ... in the order of the model.

    Raises
    ------
    ArgumentError
        count or units below 1, an unknown initialiser; when data are given, an index outside of the table.
    DTypeError
        The input does not hold indices.
    ShapeError
        An array that is not [count, units].
    """

    count: int
    units: int
    weight_init: Any

    def __init__(self, count: int, units: int, weight_init: Any = "auto", name: str | None = None) -> None:
        who = name if isinstance(name, str) and name else "Embedding"
        self._set(
            count=integer(f"{who}: count", count),
            units=integer(f"{who}: units", units),
            weight_init=weight_init,
            name=name,
        )
        config: Attributes = {"count": self.count, "units": self.units}
        initials = Initials(who, config)
        initials.add("weight", weight_init, (self.count, self.units))
        self._build("embedding", config, None, initials.arrays)
