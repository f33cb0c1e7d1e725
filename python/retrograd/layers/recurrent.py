"""Layers that walk along the time axis of sequences [batch, time, features].

>>> x = rg.Input((20, 27))
>>> mask = rg.Input(20, dtype="bool")       # 1 for a step that counts, 0 for padding
>>> h = rg.LSTM(128, return_sequences=True)(x, mask=mask)

With u units and the state h [batch, u], 0 before the first step, every step makes h' of its x and of h. The
result is h' of all times, or of the last step alone. With ``reverse`` the walk begins at the last time; every
h' still stands at its own time, and the last step is that of time 0.

A step whose mask is 0 leaves the state as it is, so its h' is the state of the step before, gradients pass it
unchanged, and what its x holds does not matter. A sample that is masked throughout keeps the state 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd._arguments import flag, integer, unknown
from retrograd.layers.base import Initials, Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd._core import Attributes
    from retrograd.graph import Node

__all__ = ["GRU", "LSTM", "SimpleRNN"]

# The argument that begins a parameter; bias_hh begins at 0, being added to the same sums as bias_ih.
_PARAMETERS = {"weight": "weight_ih", "recurrent": "weight_hh", "bias": "bias_ih"}


class _Recurrent(Layer):
    """What the recurrent layers share: their arguments, and a mask."""

    units: int
    return_sequences: bool
    reverse: bool
    weight_init: Any
    recurrent_init: Any
    bias_init: Any

    def __call__(self, *inputs: Node | Sequence[Node], mask: Node | None = None) -> Node:
        """The node of h'. x [batch, time, features], mask [batch, time] -> [batch, units], or [batch, time,
        units] with ``return_sequences``

        Raises
        ------
        DTypeError
            x or the mask holds indices.
        GraphError
            Something that is not a node, or more than x and a mask.
        ShapeError
            x without a time axis, or a mask of another shape than [batch, time].
        """
        return super().__call__(*inputs) if mask is None else super().__call__(*inputs, mask)

    def _make(
        self,
        kind: str,
        gates: int,
        units: int,
        return_sequences: bool,
        reverse: bool,
        initials: dict[str, Any],
        name: str | None,
        **config: str,
    ) -> None:
        who = name if isinstance(name, str) and name else type(self).__name__
        self._set(
            units=integer(f"{who}: units", units),
            return_sequences=flag(f"{who}: return_sequences", return_sequences),
            reverse=flag(f"{who}: reverse", reverse),
            **config,
            **{f"{role}_init": value for role, value in initials.items()},
            name=name,
        )
        attributes: Attributes = {
            "units": self.units,
            "return_sequences": self.return_sequences,
            "reverse": self.reverse,
            **config,
        }
        start, rows = Initials(who, attributes), gates * self.units
        start.add("weight", initials["weight"], (rows, "features"))
        start.add("recurrent", initials["recurrent"], (rows, self.units))
        start.add("bias", initials["bias"], (rows,))
        arrays = {_PARAMETERS[role]: array for role, array in start.arrays.items()}
        self._build(kind, attributes, None, arrays)


class SimpleRNN(_Recurrent):
    """h' = act(W_ih x + b_ih + W_hh h + b_hh) at every step (Elman, 1990).

    [batch, time, features] -> [batch, units], or [batch, time, units]; weight_ih is [units, features],
    weight_hh [units, units], bias_ih and bias_hh are [units].

    Parameters
    ----------
    units
        The size of the state h.
    activation
        ``"tanh"`` or ``"relu"``.
    return_sequences
        h' of every time instead of the last step's.
    reverse
        From the last time to the first.
    weight_init
        Where weight_ih begins, as for ``Dense``.
    recurrent_init
        Where weight_hh begins.
    bias_init
        Where bias_ih begins; bias_hh begins at 0.
    name
        Default: ``simple_rnn_0``, ``simple_rnn_1``, ... in the order of the model.

    Raises
    ------
    ArgumentError
        units below 1, an unknown activation or initialiser.
    ShapeError
        An array that has not its parameter's shape.
    """

    activation: str

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        return_sequences: bool = False,
        reverse: bool = False,
        weight_init: Any = "auto",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        name: str | None = None,
    ) -> None:
        if activation not in ("tanh", "relu"):
            raise unknown(f"{name or 'SimpleRNN'}: activation", activation, ("tanh", "relu"))
        initials = {"weight": weight_init, "recurrent": recurrent_init, "bias": bias_init}
        self._make("simple_rnn", 1, units, return_sequences, reverse, initials, name, activation=activation)


class LSTM(_Recurrent):
    """c' = f c + i g and h' = o tanh(c') at every step (Hochreiter and Schmidhuber, 1997; Gers et al., 2000).

    i, f, o = sigmoid and g = tanh of their rows of W_ih x + b_ih + W_hh h + b_hh. The memory c is handed on
    from step to step beside the state h. [batch, time, features] -> [batch, units], or [batch, time, units];
    weight_ih is [4 units, features], weight_hh [4 units, units], bias_ih and bias_hh are [4 units], all of
    them in the order i, f, g, o.

    Parameters
    ----------
    units
        The size of the state h and of the memory c.
    return_sequences
        h' of every time instead of the last step's.
    reverse
        From the last time to the first.
    weight_init
        Where weight_ih begins, as for ``Dense``; every gate counts as a matrix [units, features] of its own.
    recurrent_init
        Where weight_hh begins; every gate is a matrix [units, units] of its own.
    bias_init
        Where bias_ih begins; bias_hh begins at 0.
    name
        Default: ``lstm_0``, ``lstm_1``, ... in the order of the model.

    Raises
    ------
    ArgumentError
        units below 1, an unknown initialiser.
    ShapeError
        An array that has not its parameter's shape.
    """

    def __init__(
        self,
        units: int,
        return_sequences: bool = False,
        reverse: bool = False,
        weight_init: Any = "auto",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        name: str | None = None,
    ) -> None:
        initials = {"weight": weight_init, "recurrent": recurrent_init, "bias": bias_init}
        self._make("lstm", 4, units, return_sequences, reverse, initials, name)


class GRU(_Recurrent):
    """h' = (1 - z) n + z h at every step (Cho et al., 2014).

    r, z = sigmoid of their rows of W_ih x + b_ih + W_hh h + b_hh, and n = tanh(W_in x + b_in + r (W_hn h +
    b_hn)): r comes after the product, as in PyTorch. [batch, time, features] -> [batch, units], or [batch,
    time, units]; weight_ih is [3 units, features], weight_hh [3 units, units], bias_ih and bias_hh are
    [3 units], all of them in the order r, z, n.

    Parameters
    ----------
    units
        The size of the state h.
    return_sequences
        h' of every time instead of the last step's.
    reverse
        From the last time to the first.
    weight_init
        Where weight_ih begins, as for ``Dense``; every gate counts as a matrix [units, features] of its own.
    recurrent_init
        Where weight_hh begins; every gate is a matrix [units, units] of its own.
    bias_init
        Where bias_ih begins; bias_hh begins at 0.
    name
        Default: ``gru_0``, ``gru_1``, ... in the order of the model.

    Raises
    ------
    ArgumentError
        units below 1, an unknown initialiser.
    ShapeError
        An array that has not its parameter's shape.
    """

    def __init__(
        self,
        units: int,
        return_sequences: bool = False,
        reverse: bool = False,
        weight_init: Any = "auto",
        recurrent_init: Any = "orthogonal",
        bias_init: Any = "zeros",
        name: str | None = None,
    ) -> None:
        initials = {"weight": weight_init, "recurrent": recurrent_init, "bias": bias_init}
        self._make("gru", 3, units, return_sequences, reverse, initials, name)
