"""Layers of units, and activations that stand alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import flag, integer
from retrograd.activations import resolve as resolve_activation
from retrograd.errors import ArgumentError
from retrograd.layers.base import Initials, Layer

if TYPE_CHECKING:
    from retrograd._core import Attributes
    from retrograd.layers.base import Activation_

__all__ = ["Activation", "Dense"]


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
        if isinstance(bias_init, np.ndarray) and not self.use_bias:
            raise ArgumentError(f"{who}: bias_init is an array but use_bias is False; leave one of them out")
        config: Attributes = {"units": self.units, "activation": activation_name, "use_bias": self.use_bias}
        initials = Initials(who, config)
        initials.add("weight", weight_init, (self.units, "inputs"))
        initials.add("bias", bias_init, (self.units,))
        self._build("dense", config, function, initials.arrays)


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
