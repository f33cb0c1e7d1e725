"""Pictures of training and of what is inside a network, with matplotlib.

>>> ax = rg.plot.history(trainer)
>>> ax.figure.savefig("training.png")

Every function draws on the Axes it is given, ``ax=``, or on those of a new figure, and returns them. Nothing
is shown and no setting of matplotlib is changed; a new figure belongs to pyplot, so a notebook shows it, and
``matplotlib.pyplot.close(ax.figure)`` frees it. Needs matplotlib: ``pip install "retrograd[plot]"``.

Orange is negative and blue positive for weights, z and a; purple and green are delta and gradients. No colour
stands alone: the sign is a dash too, a class a shape too.
"""

from __future__ import annotations

from retrograd.plot._activation import activation
from retrograd.plot._boundary import decision_boundary
from retrograd.plot._confusion import confusion_matrix
from retrograd.plot._graph import graph
from retrograd.plot._landscape import loss_landscape
from retrograd.plot._layers import activations, deltas, gradient_flow, weights
from retrograd.plot._network import network
from retrograd.plot._training import gradient_flow_over_epochs, history

__all__ = [
    "activation",
    "activations",
    "confusion_matrix",
    "decision_boundary",
    "deltas",
    "gradient_flow",
    "gradient_flow_over_epochs",
    "graph",
    "history",
    "loss_landscape",
    "network",
    "weights",
]
