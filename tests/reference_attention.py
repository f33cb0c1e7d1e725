"""Attention and normalised rows in NumPy, written apart from the library: one sample, one head, one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import retrograd as rg
from retrograd import _core

Array = np.ndarray


def with_parameters(layer: Any, parameters: dict[str, Array]) -> Any:
    """The layer, beginning at these numbers: no argument of it could say so."""
    builder = layer._builder
    layer._set(_builder=_core.Layer(builder.kind, builder.config, builder.name, None, parameters))
    return layer


def attention_parameters(d: int, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {
        "in_proj_weight": (3 * d, d),
        "in_proj_bias": (3 * d,),
        "out_proj.weight": (d, d),
        "out_proj.bias": (d,),
    }
    return {role: rng.normal(scale=d**-0.5, size=shape) for role, shape in shapes.items()}


def multi_head(d: int, heads: int, causal: bool = False, **more: Any) -> Any:
    return with_parameters(rg.MultiHeadAttention(heads, causal, **more), attention_parameters(d))


def one_head(q: Array, k: Array, v: Array, allowed: Array) -> Array:
    """q [queries, w], k and v [keys, w], allowed [queries, keys]."""
    result = np.zeros((len(q), v.shape[1]))
    for i, query in enumerate(q):
        keys = np.flatnonzero(allowed[i])
        if len(keys) == 0:
            continue
        scores = np.array([query @ k[j] for j in keys]) / np.sqrt(len(query))
        weights = np.exp(scores - scores.max())
        result[i] = sum(w * v[j] for w, j in zip(weights / weights.sum(), keys, strict=True))
    return result


def multi_head_value(
    q: Array,
    k: Array,
    v: Array,
    heads: int,
    causal: bool = False,
    mask: Array | None = None,
    parameters: dict[str, Array] | None = None,
) -> Array:
    """Every sample and head by itself; the mask meets [batch, queries, keys] as NumPy has it."""
    d = q.shape[-1]
    p = parameters or attention_parameters(d)
    parts = [
        x @ p["in_proj_weight"][i * d : (i + 1) * d].T + p["in_proj_bias"][i * d : (i + 1) * d]
        for i, x in enumerate((q, k, v))
    ]
    batch, queries, keys = len(q), q.shape[1], k.shape[1]
    allowed = np.ones((batch, queries, keys), bool)
    if mask is not None:
        allowed &= mask.astype(bool)
    if causal:
        allowed &= np.arange(keys)[None, :] <= np.arange(queries)[:, None]
    attended = np.zeros((batch, queries, d))
    w = d // heads
    for n in range(batch):
        for h in range(heads):
            one = slice(h * w, (h + 1) * w)
            attended[n, :, one] = one_head(*(part[n, :, one] for part in parts), allowed[n])
    return attended @ p["out_proj.weight"].T + p["out_proj.bias"]


def layer_norm_value(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    return np.array([(row - row.mean()) / np.sqrt(row.var() + eps) * weight + bias for row in rows]).reshape(
        x.shape
    )


def rms_norm_value(x: Array, weight: Array, eps: float) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    return np.array([row / np.sqrt(np.mean(row**2) + eps) * weight for row in rows]).reshape(x.shape)
