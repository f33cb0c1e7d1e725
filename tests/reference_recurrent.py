"""The recurrent cells in NumPy, sample by sample and step by step: the truth for the rows of the layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Cell = Callable[[Array, Array, Array, Array], tuple[Array, Array]]  # (x part, h part, h, c) -> (h', c')


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def _tanh_rnn(z: Array, p: Array, h: Array, c: Array) -> tuple[Array, Array]:
    return np.tanh(z + p), c


def _relu_rnn(z: Array, p: Array, h: Array, c: Array) -> tuple[Array, Array]:
    return np.maximum(z + p, 0.0), c


def _lstm(z: Array, p: Array, h: Array, c: Array) -> tuple[Array, Array]:
    i, f, g, o = np.split(z + p, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _gru(z: Array, p: Array, h: Array, c: Array) -> tuple[Array, Array]:
    z_r, z_u, z_n = np.split(z, 3)
    p_r, p_u, p_n = np.split(p, 3)
    n = np.tanh(z_n + _sigmoid(z_r + p_r) * p_n)
    u = _sigmoid(z_u + p_u)
    return (1.0 - u) * n + u * h, c


CELLS: dict[str, Cell] = {"tanh_rnn": _tanh_rnn, "relu_rnn": _relu_rnn, "lstm": _lstm, "gru": _gru}
GATES = {"tanh_rnn": 1, "relu_rnn": 1, "lstm": 4, "gru": 3}


def walk(
    cell: str,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array,
    mask: Array | None = None,
    return_sequences: bool = False,
    reverse: bool = False,
) -> Array:
    """x [batch, time, features] -> [batch, units] or [batch, time, units]; bias_hh is 0, as it begins."""
    batch, time, _ = x.shape
    units = weight_hh.shape[1]
    all_times = np.zeros((batch, time, units))
    last = np.zeros((batch, units))
    for sample in range(batch):
        h, c = np.zeros(units), np.zeros(units)
        for t in reversed(range(time)) if reverse else range(time):
            if mask is None or mask[sample, t]:
                h, c = CELLS[cell](weight_ih @ x[sample, t] + bias_ih, weight_hh @ h, h, c)
            all_times[sample, t] = h
        last[sample] = h
    return all_times if return_sequences else last
