"""Activation functions: what a layer makes of its pre-activation z.

A layer takes the name (``activation="relu"``) or any function of a node. Each name below is also a function
of a node, here and in :mod:`retrograd.ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retrograd import ops
from retrograd._arguments import unknown
from retrograd.errors import ArgumentError
from retrograd.graph import Node, operation

if TYPE_CHECKING:
    from retrograd.graph import Operand

    def __getattr__(name: str) -> Callable[..., Node]: ...  # made of the list below


# Name: formula, and where it comes from.
ACTIVATIONS: dict[str, str] = {
    "linear": "z itself",
    "sigmoid": "1 / (1 + exp(-z)): between 0 and 1",
    "tanh": "(exp(z) - exp(-z)) / (exp(z) + exp(-z)): between -1 and 1",
    "relu": "max(z, 0), derivative 0 at 0 (Nair and Hinton, 2010)",
    "leaky_relu": "z for z > 0, else 0.01 z (Maas et al., 2013)",
    "elu": "z for z > 0, else exp(z) - 1 (Clevert et al., 2015)",
    "selu": "1.0507 z for z > 0, else 1.7581 (exp(z) - 1): mean 0, variance 1 stay (Klambauer et al., 2017)",
    "gelu": "z P(N(0, 1) <= z), by the error function (Hendrycks and Gimpel, 2016)",
    "silu": "z / (1 + exp(-z)), also known as swish (Elfwing et al., 2017)",
    "softplus": "log(1 + exp(z)), a smooth relu (Dugas et al., 2000)",
    "softsign": "z / (1 + |z|): between -1 and 1 (Bergstra et al., 2009)",
    "mish": "z tanh(log(1 + exp(z))) (Misra, 2019)",
    "hard_sigmoid": "min(max(z + 3, 0), 6) / 6: straight lines near sigmoid (Howard et al., 2019)",
    "hard_swish": "z min(max(z + 3, 0), 6) / 6: straight lines near silu (Howard et al., 2019)",
    "softmax": "exp(z) / sum(exp(z)) over the last axis: probabilities of classes",
    "log_softmax": "z - log(sum(exp(z))) over the last axis: logarithms of probabilities",
    "exp": "e ** z, for outputs that are positive",
}

__all__ = ["ACTIVATIONS", *ACTIVATIONS]


def _activation(name: str, formula: str) -> Callable[[Operand], Node]:
    # the core calls the affine map of a layer "linear", and what changes nothing "identity"
    op = "identity" if name == "linear" else name

    def function(z: Operand) -> Node:
        return operation(op, z)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{formula}\n"
    return function


_FUNCTIONS: dict[str, Callable[..., Node]] = {
    name: getattr(ops, name) if name in ops.__all__ else _activation(name, formula)
    for name, formula in ACTIVATIONS.items()
}
globals().update(_FUNCTIONS)
for _name, _function in _FUNCTIONS.items():
    if _name not in ops.__all__:
        setattr(ops, _name, _function)
        ops.__all__.append(_name)


def resolve(who: str, activation: Any) -> tuple[str, Callable[[Node], Node] | None]:
    """What the core is told: a name ("" for none) or a function of a node.

    Raises
    ------
    ArgumentError
        A name that is not in the list, or neither a name nor a function.
    """
    if activation is None or activation == "linear":
        return "", None
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise unknown(f"{who}: activation", activation, sorted(ACTIVATIONS))
        return activation, None
    name = getattr(activation, "__name__", "")
    if _FUNCTIONS.get(name) is activation:  # rg.ops.relu is "relu": initialisers and files know it by name
        return ("" if name == "linear" else name), None
    if callable(activation):
        return "", _checked(who, activation)
    raise ArgumentError(
        f"{who}: activation must be a name or a function of a node, got {activation!r} "
        f"({type(activation).__name__}); names are {', '.join(sorted(ACTIVATIONS))}"
    )


def _checked(who: str, function: Callable[[Node], Any]) -> Callable[[Node], Node]:
    def activation(z: Node) -> Node:
        a = function(z)
        if not isinstance(a, Node):
            raise ArgumentError(
                f"{who}: activation {getattr(function, '__name__', function)!s} must return a node, "
                f"got {type(a).__name__}; build it from rg.ops"
            )
        return a

    return activation
