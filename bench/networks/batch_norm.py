"""Dense layers with batch normalisation and ReLU between them; ``sizes`` as in ``dense``.

A layer before a normalisation has no bias: the mean that is subtracted contains it, its gradient is nothing
but rounding, and Adam would make steps of full length of that.

The loss that is compared is that of inference, with the running statistics: their updates are checked with
it. Of a batch they remember the unbiased variance, as PyTorch's do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.networks.dense import multiply_adds, outputs, shape
from bench.networks.parts import he, linear, relu, scale, uniform

if TYPE_CHECKING:
    from bench.work import Array, Floats, Work

__all__ = ["JUDGED", "multiply_adds", "output", "outputs", "parameters", "shape", "small"]

JUDGED = 1024
EPS = 1e-5
MOMENTUM = 0.1  # the part of a new batch in the running statistics
BUFFERS = ("running_mean", "running_var")  # of each normalisation: not trained


def parameters(work: Work, rng: np.random.Generator) -> dict[str, Floats]:
    given = {}
    last = len(work.sizes) - 2
    for k, (inputs, units) in enumerate(zip(work.sizes, work.sizes[1:], strict=False)):
        given[f"dense_{k}.weight"] = he(rng, units, inputs)
        if k == last:
            given[f"dense_{k}.bias"] = uniform(rng, 0.1, units)
        else:
            given[f"batch_norm_{k}.weight"] = scale(rng, units)
            given[f"batch_norm_{k}.bias"] = uniform(rng, 0.1, units)
            given[f"batch_norm_{k}.running_mean"] = np.zeros(units, np.float32)
            given[f"batch_norm_{k}.running_var"] = np.ones(units, np.float32)
    return given


def output(work: Work, weights: list[Array], x: Array) -> Array:
    a = x.astype(np.float64)
    *hidden, weight, bias = weights
    for k in range(0, len(hidden), 5):
        w, gain, shift, mean, variance = hidden[k : k + 5]
        normal = (linear(a, w) - mean) / np.sqrt(variance.astype(np.float64) + EPS)
        a = relu(gain * normal + shift)
    return linear(a, weight, bias)


def small(work: Work) -> Work:
    return replace(work, sizes=(4, 4, 4, 4), batch=min(work.batch, 8), batches=2, data="classes")
