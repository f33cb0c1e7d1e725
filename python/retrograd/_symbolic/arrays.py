"""Sums, products and what moves numbers.

After ``reductions.cpp``, ``softmax.cpp``, ``matmul.cpp``, ``linear.cpp``, ``shapes.cpp`` and ``lookup.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from retrograd._symbolic.rules import Call, Expressions, Rule, each, expressions, summed_to, sympy, total

Gradients = Sequence[Expressions | None]


# -------------------------------------------------------------------------------- reductions, softmax


def reduced_axes(call: Call, x: Expressions) -> list[int]:
    """The axes that are summed, counted as in NumPy; by default all but the batch."""
    given: Any = call.attributes.get("axis")
    if given is None:
        return list(range(1 if call.batches[0] else 0, np.ndim(x)))
    return [int(axis) % np.ndim(x) for axis in (given if isinstance(given, list) else [given])]


def _reduction(call: Call, x: Expressions) -> tuple[list[int], bool]:
    return reduced_axes(call, x), bool(call.attributes.get("keepdims", False))


def _opened(call: Call, y: Expressions, x: Expressions) -> Expressions:
    """A result with the axes back that were summed away, as 1."""
    axes = reduced_axes(call, x)
    return np.asarray(y, dtype=object).reshape([1 if i in axes else n for i, n in enumerate(np.shape(x))])


def _count(call: Call, x: Expressions) -> int:
    return int(np.prod([np.shape(x)[axis] for axis in reduced_axes(call, x)], dtype=int))


def largest(*x: Any) -> Any:
    """Max, without the time that SymPy takes to ask which of them could be left out."""
    return sympy().Max(*x, evaluate=len(x) < 3)


def share_of(x: Any, others: Sequence[Any]) -> Any:
    """1 where x is the largest, 0 where it is not, 1/2 where another one is equal."""
    return sympy().Heaviside(x - largest(*others)) if others else 1


def _max_value(call: Call, x: Expressions) -> Expressions:
    return _rows(largest, call, x)


def _rows(function: Any, call: Call, x: Expressions) -> Expressions:
    """function(*elements) of each row that is reduced."""
    axes, keepdims = _reduction(call, x)
    kept = [axis for axis in range(np.ndim(x)) if axis not in axes]
    rows = np.transpose(x, [*kept, *axes]).reshape([np.shape(x)[axis] for axis in kept] + [-1])
    result = np.empty(rows.shape[:-1], dtype=object)
    for at in np.ndindex(result.shape):
        result[at] = function(*rows[at])
    return _opened(call, result, x) if keepdims else result


def _max_gradients(call: Call, dy: Expressions, y: Expressions, x: Expressions) -> Gradients:
    # dy goes to the largest one; 1/2 where two are equal, as in the core
    result = np.broadcast_to(_opened(call, dy, x), np.shape(x)).copy()
    axes = reduced_axes(call, x)
    for at in np.ndindex(result.shape):
        row = tuple(slice(None) if axis in axes else i for axis, i in enumerate(at))
        inside = tuple(i for axis, i in enumerate(at) if axis in axes)
        others = [value for j, value in np.ndenumerate(x[row]) if j != inside]
        result[at] = result[at] * share_of(x[at], others)
    return [result]


def _logsumexp_value(call: Call, x: Expressions) -> Expressions:
    axes, keepdims = _reduction(call, x)
    return each(sympy().log, total(each(sympy().exp, x), axes, keepdims))


def _logsumexp_gradients(call: Call, dy: Expressions, y: Expressions, x: Expressions) -> Gradients:
    return [_opened(call, dy, x) * shares(x, reduced_axes(call, x))]


def shares(x: Expressions, axes: Sequence[int] = (-1,)) -> Expressions:
    """softmax over some axes"""
    exponentials = each(sympy().exp, x)
    result: Expressions = exponentials / total(exponentials, axes, keepdims=True)
    return result


def log_total(x: Expressions) -> Expressions:
    """log(sum(exp(x))) over the last axis, which stays as 1"""
    return each(sympy().log, total(each(sympy().exp, x), [-1], keepdims=True))


def _softmax_gradients(call: Call, dy: Expressions, y: Expressions, x: Expressions) -> Gradients:
    return [y * (dy - total(dy * y, [-1], keepdims=True))]


def _log_softmax_gradients(call: Call, dy: Expressions, y: Expressions, x: Expressions) -> Gradients:
    return [dy - shares(x) * total(dy, [-1], keepdims=True)]


# ------------------------------------------------------------------------------------ sums of products


def sum_of_products(
    triples: Iterable[tuple[int, int, int]], a: Expressions, b: Expressions, shape: Sequence[int]
) -> Expressions:
    """y[i] = sum of a[j] b[k] over the triples (i, j, k), all of them places in arrays that are laid flat."""
    add = sympy().Add
    terms: list[list[Any]] = [[] for _ in range(int(np.prod(shape, dtype=int)))]
    first, second = np.ravel(a), np.ravel(b)
    for i, j, k in triples:
        if first[j] != 0 and second[k] != 0:
            terms[i].append(first[j] * second[k])
    result = np.empty(len(terms), dtype=object)
    result[:] = [add(*parts) for parts in terms]
    return result.reshape(shape)


def matrix_triples(call: Call, a: Any, b: Any) -> list[tuple[int, int, int]]:
    """Of y = a @ b."""
    left, right = (np.arange(np.size(x)).reshape(np.shape(x)) for x in (a, b))
    left = left[None] if left.ndim == 1 else left
    right = right[:, None] if right.ndim == 1 else right
    places = np.arange(int(np.prod(call.shape, dtype=int)))
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    results = places.reshape((*lead, left.shape[-2], right.shape[-1]))
    # axes: ..., row, column, term
    meet = np.broadcast_arrays(
        results[..., None], left[..., :, None, :], np.swapaxes(right, -1, -2)[..., None, :, :]
    )
    return list(zip(*(part.ravel().tolist() for part in meet), strict=True))


def dense_triples(call: Call, x: Any, weight: Any) -> list[tuple[int, int, int]]:
    """Of z = x W^T."""
    units, inputs = np.shape(weight)
    rows = np.size(x) // inputs
    return [
        (row * units + unit, row * inputs + k, unit * inputs + k)
        for row in range(rows)
        for unit in range(units)
        for k in range(inputs)
    ]


def product_rule(triples: Any) -> Rule:
    """z = sum of products, and a bias of the last axis where there is one; dx = delta W, dW = delta^T x."""

    def value(call: Call, x: Expressions, w: Expressions, *bias: Expressions) -> Expressions:
        z = sum_of_products(triples(call, x, w), x, w, call.shape)
        return expressions(z + bias[0]) if bias else z

    def gradients(
        call: Call, dy: Expressions, y: Expressions, x: Expressions, w: Expressions, *bias: Expressions
    ) -> Gradients:
        meet = triples(call, x, w)
        dx = sum_of_products([(j, i, k) for i, j, k in meet], dy, w, np.shape(x)) if call.wanted[0] else None
        dw = sum_of_products([(k, i, j) for i, j, k in meet], dy, x, np.shape(w)) if call.wanted[1] else None
        return [dx, dw, *(summed_to(dy, np.shape(b)) for b in bias)]

    return Rule(value, gradients)


# --------------------------------------------------------------------------------------- moved numbers


def _places(x: Any) -> Any:
    return np.arange(np.size(x)).reshape(np.shape(x))


def _moved(call: Call, *x: Any) -> Any:
    """What each operation of this family does to an array, of numbers or of expressions."""
    a: Any = call.attributes
    if call.op in ("reshape", "flatten"):
        return np.reshape(x[0], call.shape)
    if call.op == "transpose":
        first = [0] if call.batches[0] else []
        behind = [*first, *range(np.ndim(x[0]) - 1, len(first) - 1, -1)]
        return np.transpose(x[0], a.get("axes", behind))
    if call.op == "slice":
        cut = [slice(None)] * np.ndim(x[0])
        cut[a["axis"]] = slice(a.get("start"), a.get("stop"), a.get("step", 1))
        return x[0][tuple(cut)]
    if call.op == "expand":
        return np.broadcast_to(x[0], call.shape)
    samples = call.shape[0] if call.batched else 0
    parts = [
        part if batched or not samples else np.broadcast_to(part, (samples, *np.shape(part)))
        for part, batched in zip(x, call.batches, strict=True)
    ]
    return np.concatenate(parts, axis=a["axis"])


def _moved_gradients(call: Call, dy: Expressions, y: Expressions, *x: Expressions) -> Gradients:
    """Each number's gradient is the sum over the places it went to."""
    begins = np.cumsum([0, *(np.size(part) for part in x)])
    origins = _moved(call, *(_places(part) + begin for part, begin in zip(x, begins, strict=False)))
    gathered: list[list[Any]] = [[] for _ in range(int(begins[-1]))]
    for origin, g in zip(np.ravel(origins), np.ravel(dy), strict=True):
        gathered[origin].append(g)
    flat = np.empty(len(gathered), dtype=object)
    flat[:] = [sympy().Add(*parts) for parts in gathered]
    return [
        flat[begin : begin + np.size(part)].reshape(np.shape(part))
        for part, begin in zip(x, begins, strict=False)
    ]


def _gather_gradients(
    call: Call, dy: Expressions, y: Expressions, table: Expressions, index: Any
) -> Gradients:
    dtable = expressions(np.zeros(np.shape(table), dtype=int))
    for at, row in np.ndenumerate(index):
        dtable[row] = dtable[row] + dy[at]
    return [dtable, None]


def _one_hot(call: Call, index: Any) -> Expressions:
    count: Any = call.attributes["count"]
    return expressions(np.eye(count, dtype=int)[index])


def rules() -> dict[str, Rule]:
    """Operation -> rule."""
    moved = Rule(lambda call, *x: expressions(_moved(call, *x)), _moved_gradients)
    return {
        "sum": Rule(
            lambda call, x: total(x, *_reduction(call, x)),
            lambda call, dy, y, x: [np.broadcast_to(_opened(call, dy, x), np.shape(x))],
        ),
        "mean": Rule(
            lambda call, x: expressions(total(x, *_reduction(call, x)) / sympy().Integer(_count(call, x))),
            lambda call, dy, y, x: [
                np.broadcast_to(_opened(call, dy, x) / sympy().Integer(_count(call, x)), np.shape(x))
            ],
        ),
        "max": Rule(_max_value, _max_gradients),
        "logsumexp": Rule(_logsumexp_value, _logsumexp_gradients),
        "softmax": Rule(lambda call, x: shares(x), _softmax_gradients),
        "log_softmax": Rule(lambda call, x: x - log_total(x), _log_softmax_gradients),
        "matmul": product_rule(matrix_triples),
        "linear": product_rule(dense_triples),
        **dict.fromkeys(("reshape", "flatten", "transpose", "slice", "expand", "concatenate"), moved),
        "gather": Rule(lambda call, table, index: expressions(table[index]), _gather_gradients),
        "one_hot": Rule(_one_hot, lambda call, dy, y, index: [None]),
    }
