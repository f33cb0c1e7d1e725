"""Pooling and upsampling by their definitions, one output at a time; images are [batch, h, w, c]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]


def _pool(
    x: Array, size: Pair, stride: Pair, padding: Pair, outside: float, of: Callable[..., Array]
) -> Array:
    (kh, kw), (sh, sw), (ph, pw) = size, stride, padding
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), constant_values=outside)
    rows, columns = (padded.shape[1] - kh) // sh + 1, (padded.shape[2] - kw) // sw + 1
    y = np.empty((len(x), rows, columns, x.shape[3]))
    for i in range(rows):
        for j in range(columns):
            y[:, i, j] = of(padded[:, i * sh : i * sh + kh, j * sw : j * sw + kw], axis=(1, 2))
    return y


def max_pool(x: Array, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> Array:
    return _pool(x, size, stride, padding, -np.inf, np.max)


def avg_pool(x: Array, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> Array:
    return _pool(x, size, stride, padding, 0.0, np.mean)


def nearest(x: Array, factor: Pair) -> Array:
    return x.repeat(factor[0], axis=1).repeat(factor[1], axis=2)


def _weights(n: int, factor: int) -> Array:
    """[n factor, n]: how much of each input is in each output."""
    s = np.clip((np.arange(n * factor) + 0.5) / factor - 0.5, 0.0, n - 1.0)
    return np.maximum(0.0, 1.0 - np.abs(s[:, None] - np.arange(n)[None, :]))


def bilinear(x: Array, factor: Pair) -> Array:
    down, along = _weights(x.shape[1], factor[0]), _weights(x.shape[2], factor[1])
    return np.einsum("ik,jl,nklc->nijc", down, along, x)


def standardize(x: Array, data: Array) -> Array:
    flat = data.reshape(-1, data.shape[-1])
    constant = np.ptp(flat, axis=0) == 0.0  # std of seven times 0.1 is 1e-17
    std = np.where(constant, 1.0, flat.std(axis=0))
    return np.where(constant, 0.0, (x - flat.mean(axis=0)) / std)
