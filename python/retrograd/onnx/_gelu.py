"""Gelu, which programs write as x / 2 (1 + erf(x / sqrt 2)) in one order or another.

There is no erf here beside gelu's own. So whatever follows an Erf is computed with a few numbers until it is
gelu of them.
"""

from __future__ import annotations

from math import erf
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import activations
from retrograd.errors import GraphError
from retrograd.onnx._reader import Value

if TYPE_CHECKING:
    from retrograd._core import Array
    from retrograd.onnx._reader import Reader, Step

_X = np.array([-3.0, -1.3, -0.4, 0.7, 1.9, 2.5])
_GELU = np.array([0.5 * x * (1.0 + erf(x * 0.5**0.5)) for x in _X])
_RULES = {"Add": np.add, "Mul": np.multiply, "Div": np.divide, "Sub": np.subtract}
_DEPTH = 4


def through_erf(r: Reader, step: Step) -> Value:
    """Read an Erf and what follows it as one gelu; the Erf itself has no value of its own.

    Raises
    ------
    GraphError
        It is part of something else.
    """
    scaled = r.makers.get(step.value(0).name)
    for name in scaled.input if scaled is not None else []:
        x = r.values.get(name)
        if x is None or not x.batched:
            continue
        found = _gelu_of(r, name, step)
        if found:
            node = x.node
            assert node is not None
            r.values[found] = Value(found, node=activations.gelu(node), order=x.order)
            return Value(step.outputs[0])
    raise GraphError("it is read only as a part of gelu, x / 2 (1 + erf(x / sqrt 2))")


def _gelu_of(r: Reader, x: str, step: Step) -> str:
    """The tensor that is gelu of tensor x, or "" """
    known: dict[str, Array] = {x: _X}
    candidates = [node for node in r.takers.get(x, []) if node.op_type in _RULES]
    for node in candidates:
        _computed(r, node, known)
    u = step.value(0).name
    if u not in known:
        return ""
    known[step.outputs[0]] = np.array([erf(value) for value in known[u]])
    between = [step.outputs[0]]
    for _ in range(_DEPTH):
        for node in [taker for name in between for taker in r.takers.get(name, [])]:
            if node.output[0] in known or not _computed(r, node, known):
                continue
            if np.allclose(known[node.output[0]], _GELU, rtol=1e-6, atol=1e-7):
                inner = all(taker.output[0] in known for name in between for taker in r.takers[name])
                for name in between:
                    r.values.setdefault(name, Value(name))
                return str(node.output[0]) if inner else ""
            between.append(node.output[0])
    return ""


def _computed(r: Reader, node: Any, known: dict[str, Array]) -> bool:
    """Compute an operator with the numbers of its operands, where they are known."""
    if node.op_type not in _RULES:
        return False
    operands = []
    for name in node.input:
        value = r.values.get(name)
        if name in known:
            operands.append(known[name])
        elif value is not None and value.array is not None and value.array.size == 1:
            operands.append(np.full(_X.shape, value.array.item()))
        else:
            return False
    known[node.output[0]] = _RULES[node.op_type](*operands)
    return True
