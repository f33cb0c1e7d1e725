"""Layers of sequences in which every step may look at every other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import flag, integer, numbers, real
from retrograd.errors import ArgumentError, GraphError
from retrograd.graph import Node, constant
from retrograd.layers.base import Initials, Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from retrograd._core import Attributes

__all__ = ["MultiHeadAttention", "PositionalEmbedding"]


class PositionalEmbedding(Layer):
    """a = x + weight[:time]: a trained row for each step of a sequence, since attention knows no order.

    [batch, time, features] -> [batch, time, features]; weight is [length, features].

    Parameters
    ----------
    length
        The longest sequence; shorter ones use the first rows.
    weight_init
        Where the rows begin: a name, an object of :mod:`retrograd.init` or an array [length, features].
    name
        Default: ``positional_embedding_0``, ...

    Raises
    ------
    ArgumentError
        length below 1, an unknown initialiser.
    ShapeError
        A sequence longer than length, an input that is not [batch, time, features] (when called).
    """

    length: int
    weight_init: Any

    def __init__(self, length: int, weight_init: Any = "normal(0.02)", name: str | None = None) -> None:
        who = name if isinstance(name, str) and name else "PositionalEmbedding"
        self._set(length=integer(f"{who}: length", length), weight_init=weight_init, name=name)
        config: Attributes = {"length": self.length}
        initials = Initials(who, config)
        initials.add("weight", weight_init, (self.length, "features"))
        self._build("positional_embedding", config, None, initials.arrays)


class MultiHeadAttention(Layer):
    """Each step becomes a mean of all steps, weighted by how well its query fits their keys, in some heads.

    For each head, a slice of d / heads features: softmax(q k^T / sqrt(d / heads)) v, with q, k, v the input
    times the three parts of in_proj_weight^T, plus in_proj_bias; the heads side by side, times
    out_proj.weight^T, plus out_proj.bias, are the result (Vaswani et al., "Attention is all you need", 2017).

    Called with x [batch, time, d], or with q [batch, queries, d], k and v [batch, keys, d]; the result is
    [batch, queries, d]. Parameters as in PyTorch: in_proj_weight [3 d, d], in_proj_bias [3 d],
    out_proj.weight [d, d], out_proj.bias [d]. The weights of attention are never stored: backward makes them
    again, a block of queries at a time, so memory grows with the length of the sequence and not with its
    square (Dao et al., "FlashAttention", 2022).

    Parameters
    ----------
    heads
        How many; they divide d.
    causal
        Whether a query attends to no key behind its own position.
    dropout
        The share of weights that are 0 in training, the others being divided by 1 - dropout.
    name
        Default: ``multi_head_attention_0``, ...

    Raises
    ------
    ArgumentError
        heads below 1, dropout outside of [0, 1).
    ShapeError
        heads that do not divide d, sequences or a mask that do not fit (when called).
    """

    heads: int
    causal: bool
    dropout: float

    def __init__(
        self, heads: int, causal: bool = False, dropout: float = 0.0, name: str | None = None
    ) -> None:
        who = name if isinstance(name, str) and name else "MultiHeadAttention"
        self._set(
            heads=integer(f"{who}: heads", heads),
            causal=flag(f"{who}: causal", causal),
            dropout=real(f"{who}: dropout", dropout, 0.0, below=1.0),
            name=name,
        )
        self._build(
            "multi_head_attention", {"heads": self.heads, "causal": self.causal, "dropout": self.dropout}
        )

    def __call__(self, *inputs: Node | Sequence[Node], mask: Node | ArrayLike | None = None) -> Node:
        """The layer's output node for x, or for q, k and v.

        Parameters
        ----------
        mask
            1 where a key may be attended to, 0 where not: a node (``rg.Input(..., dtype="bool")``) or an
            array of shape [queries, keys], or a node of shape [batch, keys], for keys that are padding, or
            [batch, queries, keys]. What ``causal`` hides stays hidden. (PyTorch's layer means the opposite by
            a mask: True hides.) A query that may attend to nothing gets attended values of 0, so its result
            is out_proj.bias, and hands no gradient back to queries, keys and values.

        Raises
        ------
        GraphError
            Something that is not a node, or two of them.
        ShapeError, DTypeError, ArgumentError
            A node or a mask that the layer cannot take.
        """
        nodes: Sequence[Any] = inputs
        if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
            nodes = inputs[0]
        if len(nodes) not in (1, 3):
            raise GraphError(
                f"{self!r}: called with {len(nodes)} nodes, expected (x) or (q, k, v); a mask goes to mask="
            )
        if mask is None:
            return super().__call__(*nodes)
        return super().__call__(*nodes, mask if isinstance(mask, Node) else self._mask_of(mask))

    def _mask_of(self, mask: ArrayLike) -> Node:
        array = numbers(f"{self!r}: mask", mask)
        others = array[(array != 0) & (array != 1)]
        if others.size:
            raise ArgumentError(
                f"{self!r}: mask has the number {others[0]:g}, expected 1 where a key may be attended to and "
                "0 elsewhere; nothing is added to the scores"
            )
        return constant(np.ascontiguousarray(array))
