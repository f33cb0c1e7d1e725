"""Dense layers: ``sizes`` are the numbers of inputs, of the units of each layer, and of outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.networks.parts import linear, relu, uniform

if TYPE_CHECKING:
    from bench.work import Array, Floats, Work

JUDGED = 1024


def shape(work: Work) -> tuple[int, ...]:
    return (work.sizes[0],)


def outputs(work: Work) -> int:
    return work.sizes[-1]


def multiply_adds(work: Work) -> tuple[int, int]:
    pairs = [a * b for a, b in zip(work.sizes, work.sizes[1:], strict=False)]
    return sum(pairs), pairs[0]


def parameters(work: Work, rng: np.random.Generator) -> dict[str, Floats]:
    """ "w0" (out, in), "b0" (out,), ..."""
    given = {}
    for k, (fan_in, fan_out) in enumerate(zip(work.sizes, work.sizes[1:], strict=False)):
        bound = (6 / fan_in if work.hidden == "relu" else 6 / (fan_in + fan_out)) ** 0.5
        given[f"w{k}"] = uniform(rng, bound, fan_out, fan_in)
        given[f"b{k}"] = uniform(rng, 0.1, fan_out)
    return given


def _activate(name: str, z: Array) -> Array:
    if name == "relu":
        return relu(z)
    if name == "tanh":
        return np.asarray(np.tanh(z))
    if name == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-z)))
    return z


def output(work: Work, weights: list[Array], x: Array) -> Array:
    a = x.astype(np.float64)
    last = len(work.sizes) - 2
    for k in range(last + 1):
        z = linear(a, weights[2 * k], weights[2 * k + 1])
        a = _activate(work.output if k == last else work.hidden, z)
    return a


def small(work: Work) -> Work:
    classes = work.loss == "cross_entropy"
    data = "classes" if classes else "regression"
    sizes = (4, 4, 4 if classes else 1)
    return replace(work, sizes=sizes, batch=min(work.batch, 8), batches=2, data=data)
