"""Losses and their mean: ``cpp/src/functions/losses.hpp`` and ``cpp/src/ops/losses.cpp``.

No loss has a gradient for its target: it is held as a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from retrograd._symbolic.arrays import log_total, shares
from retrograd._symbolic.elementwise import absolute, sign
from retrograd._symbolic.rules import (
    Call,
    Expressions,
    Rule,
    each,
    exact,
    expressions,
    in_condition,
    sympy,
    total,
)

Gradients = Sequence[Expressions | None]


@cache
def loss_functions() -> dict[str, tuple[Callable[..., Any], Callable[..., Any], bool]]:
    """Operation -> value(z, t, p) of one output, its derivative by z, and whether a sample has the mean."""
    sp = sympy()
    half = sp.Rational(1, 2)

    def within(d: Any, delta: Any, inside: Any, outside: Any) -> Any:
        return sp.Piecewise((inside, in_condition(absolute(d)) <= delta), (outside, True))

    def huber(z: Any, t: Any, delta: Any) -> Any:
        d = absolute(z - t)
        return within(z - t, delta, half * d * d, delta * (d - half * delta))

    def hinge(z: Any, t: Any, outside: Any) -> Any:
        return sp.Piecewise((0, in_condition(1 - t * z) <= 0), (outside, True))

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + sp.exp(-z))

    return {
        "half_squared_error": (
            lambda z, t, p: half * (z - t) ** 2,
            lambda z, t, p: z - t,
            False,
        ),
        "mean_squared_error": (lambda z, t, p: (z - t) ** 2, lambda z, t, p: 2 * (z - t), True),
        "mean_absolute_error": (lambda z, t, p: absolute(z - t), lambda z, t, p: sign(z - t), True),
        "huber": (huber, lambda z, t, p: within(z - t, p, z - t, p * sign(z - t)), True),
        "binary_cross_entropy": (
            # -t log s - (1 - t) log(1 - s), where 1 - s would round to 0
            lambda z, t, p: sp.log(1 + sp.exp(z)) - t * z,
            lambda z, t, p: sigmoid(z) - t,
            True,
        ),
        "poisson": (lambda z, t, p: sp.exp(z) - t * z, lambda z, t, p: sp.exp(z) - t, True),
        "hinge": (lambda z, t, p: hinge(z, t, 1 - t * z), lambda z, t, p: hinge(z, t, -t), True),
    }


def _samples(call: Call, x: Expressions) -> Expressions:
    """A row of all outputs for each sample."""
    return np.reshape(x, (*call.shape, -1))


def _parameter(call: Call) -> Any:
    given: Any = list(call.attributes.values())
    return exact(given[0]) if given else None


def _loss(name: str) -> Rule:
    def value(call: Call, z: Expressions, t: Expressions) -> Expressions:
        function, _, mean = loss_functions()[name]
        p = _parameter(call)
        terms = each(lambda a, b: function(a, b, p), _samples(call, z), _samples(call, t))
        values = total(terms, [-1])
        return expressions(values / sympy().Integer(terms.shape[-1])) if mean else values

    def gradients(call: Call, dy: Expressions, y: Expressions, z: Expressions, t: Expressions) -> Gradients:
        _, slope, mean = loss_functions()[name]
        p = _parameter(call)
        slopes = each(lambda a, b: slope(a, b, p), _samples(call, z), _samples(call, t))
        count = sympy().Integer(slopes.shape[-1] if mean else 1)
        return [(dy[..., None] / count * slopes).reshape(np.shape(z)), None]

    return Rule(value, gradients, held=(1,))


# ------------------------------------------------------------------------------------- cross-entropy


def _wanted(call: Call, z: Expressions, target: Any) -> tuple[Expressions, Any]:
    """q of every position [samples, positions, classes], and how much each position counts in its sample."""
    classes = np.shape(z)[-1]
    smoothing = exact(call.attributes["label_smoothing"])  # type: ignore[arg-type]
    if np.asarray(target).dtype == object:
        q, counts = target, np.ones(np.shape(z)[:-1], dtype=int)
    else:
        counts = (np.asarray(target) != call.attributes["ignore_index"]).astype(int)
        q = expressions(np.eye(classes, dtype=int)[np.where(counts == 1, target, 0)])
    smooth = expressions(q * (1 - smoothing) + smoothing / sympy().Integer(classes))
    counts = counts.reshape((*call.shape, -1))
    count = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    share = each(lambda c, n: sympy().Rational(int(c), int(n)), counts, count)
    return smooth.reshape((*call.shape, -1, classes)), share


def _cross_entropy_value(call: Call, z: Expressions, target: Any) -> Expressions:
    q, share = _wanted(call, z, target)
    rows = z.reshape(q.shape)
    return total(share * total(q * (log_total(rows) - rows), [-1]), [-1])


def _cross_entropy_gradients(
    call: Call, dy: Expressions, y: Expressions, z: Expressions, target: Any
) -> Gradients:
    q, share = _wanted(call, z, target)
    p = shares(z.reshape(q.shape))
    each_row = (dy[..., None] * share)[..., None]
    return [(each_row * (p * total(q, [-1], keepdims=True) - q)).reshape(np.shape(z)), None]


def _label_weight(call: Call, labels: Any) -> Expressions:
    counts = (np.asarray(labels) != call.attributes["ignore_index"]).astype(int).reshape((*call.shape, -1))
    return each(lambda c: sympy().Rational(int(c), counts.shape[-1]), counts.sum(axis=-1))


# ---------------------------------------------------------------------------------- the weighted mean


def _weights(value: Expressions, *given: Expressions) -> Expressions:
    product = expressions(np.ones(np.shape(value), dtype=int))
    for weight in given:
        product = product * weight
    return product


def _weighted_mean_value(call: Call, value: Expressions, *given: Expressions) -> Expressions:
    w = _weights(value, *given)
    whole = total(w)[()]
    return expressions(0 if whole == 0 else total(w * value)[()] / whole)


def _weighted_mean_gradients(
    call: Call, dy: Expressions, y: Expressions, *operands: Expressions
) -> Gradients:
    whole = total(_weights(*operands))[()]
    if whole == 0:
        return [expressions(np.zeros(np.shape(x), dtype=int)) for x in operands]
    found: list[Expressions | None] = []
    for i, wanted in enumerate(call.wanted):
        if not wanted:
            found.append(None)
            continue
        factor = _weights(operands[0], *(w for k, w in enumerate(operands) if k not in (0, i)))
        if i > 0:
            factor = factor * (operands[0] - y[()])
        found.append(factor / whole * dy[()])
    return found


def rules() -> dict[str, Rule]:
    """Operation -> rule."""
    return {
        **{name: _loss(name) for name in loss_functions()},
        "cross_entropy": Rule(_cross_entropy_value, _cross_entropy_gradients, held=(1,)),
        "label_weight": Rule(_label_weight, lambda call, dy, y, labels: [None]),
        "weighted_mean": Rule(_weighted_mean_value, _weighted_mean_gradients),
    }
