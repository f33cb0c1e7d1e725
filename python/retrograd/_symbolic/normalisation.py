"""Numbers brought to mean 0 and variance 1: ``norm.cpp``, ``batch_norm.cpp``, ``standardize.cpp``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retrograd._symbolic.rules import (
    Call,
    Expressions,
    Rule,
    each,
    exact,
    expressions,
    summed_to,
    sympy,
    total,
)

Gradients = Sequence[Expressions | None]


def _mean(x: Any, axes: Sequence[int]) -> Expressions:
    """Over axes, which stay as 1."""
    count = int(np.prod([np.shape(x)[axis] for axis in axes], dtype=int))
    return expressions(total(x, axes, keepdims=True) / sympy().Integer(count))


def _inverse_root(x: Any, eps: Any) -> Expressions:
    """1 / sqrt(x + eps)"""
    sp = sympy()
    return each(lambda v: 1 / sp.sqrt(v + exact(eps)), x)


# ------------------------------------------------------------------------------ rows of the last axis


def _unit_rows(call: Call, x: Expressions) -> tuple[Expressions, Expressions]:
    """u = (x - mean) s and s = 1 / sqrt(variance + eps); rms_norm leaves the mean where it is."""
    centred = x - _mean(x, [-1]) if call.op == "layer_norm" else x
    s = _inverse_root(_mean(centred * centred, [-1]), call.attributes["eps"])
    return centred * s, s


def _row_norm_value(
    call: Call, x: Expressions, weight: Expressions, bias: Expressions | None = None
) -> Expressions:
    u, _ = _unit_rows(call, x)
    return expressions(u * weight if bias is None else u * weight + bias)


def _row_norm_gradients(
    call: Call, dy: Expressions, y: Expressions, x: Expressions, weight: Expressions, *bias: Expressions
) -> Gradients:
    u, s = _unit_rows(call, x)
    g = dy * weight
    inner = g - u * _mean(g * u, [-1])
    dx = s * (inner - _mean(g, [-1]) if call.op == "layer_norm" else inner)
    return [dx, summed_to(dy * u, np.shape(weight)), *(summed_to(dy, np.shape(b)) for b in bias)]


# ---------------------------------------------------------------------------------------- batch norm


def _batch_unit(
    call: Call, x: Expressions, mean: Expressions, var: Expressions
) -> tuple[Expressions, Expressions]:
    """xhat = (x - mean) r and r = 1 / sqrt(var + eps), by the batch's statistics in training."""
    if call.training:
        rows = list(range(np.ndim(x) - 1))
        mean = _mean(x, rows)
        var = _mean((x - mean) * (x - mean), rows)
    r = _inverse_root(var, call.attributes["eps"])
    return (x - mean) * r, r


def _batch_norm_value(
    call: Call, x: Expressions, mean: Expressions, var: Expressions, *affine: Expressions
) -> Expressions:
    xhat, _ = _batch_unit(call, x, mean, var)
    return expressions(xhat * affine[0] + affine[1] if affine else xhat)


def _batch_norm_gradients(
    call: Call,
    dy: Expressions,
    y: Expressions,
    x: Expressions,
    mean: Expressions,
    var: Expressions,
    *affine: Expressions,
) -> Gradients:
    xhat, r = _batch_unit(call, x, mean, var)
    rows = list(range(np.ndim(x) - 1))
    n = sympy().Integer(np.size(x) // np.shape(x)[-1])
    db, dw = total(dy, rows), total(dy * xhat, rows)
    factor = r * affine[0] if affine else r
    dx = factor * (dy - db / n - xhat * dw / n if call.training else dy)
    return [dx, None, None, *([dw, db] if affine else [])]


# --------------------------------------------------------------------------------------- standardize


def _scales(std: Expressions) -> Expressions:
    """1 / std, and 0 where std is 0"""
    sp = sympy()
    return each(lambda s: sp.Integer(0) if s == 0 else 1 / s, std)


def rules() -> dict[str, Rule]:
    """Operation -> rule."""
    return {
        "layer_norm": Rule(_row_norm_value, _row_norm_gradients),
        "rms_norm": Rule(_row_norm_value, _row_norm_gradients),
        "batch_norm": Rule(_batch_norm_value, _batch_norm_gradients, held=(1, 2)),
        "standardize": Rule(
            lambda call, x, mean, std: (x - mean) * _scales(std),
            lambda call, dy, y, x, mean, std: [dy * _scales(std), None, None],
            held=(1, 2),
        ),
    }
