"""An activation function and its derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import ops
from retrograd._arguments import finite_numbers
from retrograd.activations import ACTIVATIONS
from retrograd.activations import resolve as resolve_activation
from retrograd.errors import ArgumentError
from retrograd.graph import Input, Variable, operation
from retrograd.model import Model
from retrograd.plot._canvas import PALETTE, axes_of, line_above

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node

POINTS = 801


def activation(
    name: str | Callable[[Node], Node], ax: Any = None, limits: tuple[float, float] = (-4.0, 4.0)
) -> Any:
    """f(z) and its derivative f'(z), as the core computes them in float64.

    Parameters
    ----------
    name
        A name as for ``activation=`` of a layer, or a function of a node.
    ax
        Axes to draw on. None: a new figure.
    limits
        Of z.

    Returns
    -------
    Axes
        Two lines: f, and f' dashed.

    Raises
    ------
    ArgumentError
        An unknown name, a function that mixes several z (softmax), or limits that are not two rising numbers.
    """
    low, high = _limits(limits)
    known, function = resolve_activation("activation", name)
    if known in ("softmax", "log_softmax"):
        raise ArgumentError(
            f"activation: {known} takes all classes at once, so it is no curve over one z; "
            f"choose one of {', '.join(one for one in ACTIVATIONS if 'softmax' not in one)}"
        )
    own = getattr(name, "__name__", "")
    title = name if isinstance(name, str) else own if own.isidentifier() else "f"
    z = np.linspace(low, high, POINTS)  # has 0 in the middle where the limits are symmetric
    if function is None:
        f, slope = _curves(z, lambda node: operation(known or "identity", node))
    else:
        f, slope = _curves(z, function)
    ax = axes_of("activation", ax)
    ax.axhline(0.0, color=PALETTE.faint, linewidth=0.6)
    ax.axvline(0.0, color=PALETTE.faint, linewidth=0.6)
    ax.plot(z, f, color=PALETTE.series[0], label=f"{title}(z)")
    ax.plot(z, slope, color=PALETTE.series[1], linestyle="--", label=f"d {title} / dz")
    ax.set_xlim(low, high)
    ax.set_xlabel("z")
    line_above(ax)
    return ax


def _limits(limits: Any) -> tuple[float, float]:
    values = finite_numbers("activation: limits", limits)
    if values.shape != (2,) or values[0] >= values[1]:
        raise ArgumentError(f"activation: limits must be two rising numbers, got {limits!r}")
    return float(values[0]), float(values[1])


def _curves(z: Any, function: Callable[[Node], Node]) -> tuple[Any, Any]:
    """f(z) and f'(z): the gradient of the sum of f over a variable that has all z."""
    nothing, variable = Input(1), Variable(z, "z")
    model = Model(nothing, function(nothing + variable), dtype="float64")
    trace = model.trace(np.zeros((1, 1)), np.zeros((1, 1)), lambda output, _: ops.sum(output, axis=-1))
    return trace.yhat[0], trace.gradients["z"]
