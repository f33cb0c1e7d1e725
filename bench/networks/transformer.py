"""A causal transformer over characters: an embedding and learned positions; blocks of attention and of two
dense layers with GELU (by erf), both behind a layer normalisation and added to what they were given; a last
normalisation; logits.

The loss is the mean over all characters. The keys' part of ``in_proj_bias`` changes no output, because the
softmax does not see what it adds: its gradient is nothing but rounding, and so is what training makes of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.networks.parts import glorot, linear, scale, uniform

if TYPE_CHECKING:
    from bench.work import Array, Floats, Work

JUDGED = 16
EPS = 1e-5
MLP = 4  # units of a block's hidden layer, in widths


class Sizes(NamedTuple):
    """What ``Work.sizes`` are."""

    vocabulary: int = 65
    time: int = 128  # characters of an example
    width: int = 128
    heads: int = 4
    blocks: int = 4


def shape(work: Work) -> tuple[int, ...]:
    return (work.sizes[1],)


def outputs(work: Work) -> int:
    return work.sizes[0]


def multiply_adds(work: Work) -> tuple[int, int]:
    """Attention has two products of a query with as many positions as it sees: half of them, and itself."""
    s = Sizes(*work.sizes)
    weights = (3 + 1 + 2 * MLP) * s.width**2
    attention = (s.time + 1) * s.width
    return s.time * (s.blocks * (weights + attention) + s.width * s.vocabulary), 0


def parameters(work: Work, rng: np.random.Generator) -> dict[str, Floats]:
    s = Sizes(*work.sizes)
    d = s.width
    given = {
        "embedding_0.weight": uniform(rng, 0.5, s.vocabulary, d),
        "positional_embedding_0.weight": uniform(rng, 0.5, s.time, d),
    }

    def norm(k: int) -> None:
        given[f"layer_norm_{k}.weight"] = scale(rng, d)
        given[f"layer_norm_{k}.bias"] = uniform(rng, 0.1, d)

    def product(weight: str, bias: str, units: int, inputs: int) -> None:
        given[weight] = glorot(rng, units, inputs)
        given[bias] = uniform(rng, 0.1, units)

    for n in range(s.blocks):
        attention, first, second = f"multi_head_attention_{n}", f"dense_{2 * n}", f"dense_{2 * n + 1}"
        norm(2 * n)
        product(f"{attention}.in_proj_weight", f"{attention}.in_proj_bias", 3 * d, d)
        product(f"{attention}.out_proj.weight", f"{attention}.out_proj.bias", d, d)
        norm(2 * n + 1)
        product(f"{first}.weight", f"{first}.bias", MLP * d, d)
        product(f"{second}.weight", f"{second}.bias", d, MLP * d)
    norm(2 * s.blocks)
    product(f"dense_{2 * s.blocks}.weight", f"dense_{2 * s.blocks}.bias", s.vocabulary, d)
    return given


def _normal(x: Array, gain: Array, shift: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return gain * centred / np.sqrt(variance + EPS) + shift


def _attend(x: Array, heads: int, weights: list[Array]) -> Array:
    in_weight, in_bias, out_weight, out_bias = weights
    batch, time, width = x.shape
    # (q, k or v; batch, head, time, feature)
    packed = linear(x, in_weight, in_bias).reshape(batch, time, 3, heads, width // heads)
    q, k, v = packed.transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) / (width // heads) ** 0.5
    scores = np.where(np.tri(time, dtype=bool), scores, -np.inf)
    parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
    parts /= parts.sum(axis=-1, keepdims=True)
    return linear((parts @ v).swapaxes(1, 2).reshape(batch, time, width), out_weight, out_bias)


def _gelu(z: Array) -> Array:
    erf = np.fromiter(map(math.erf, (z / 2**0.5).ravel()), np.float64, z.size)
    return 0.5 * z * (1 + erf.reshape(z.shape))


def output(work: Work, weights: list[Array], x: Array) -> Array:
    heads = Sizes(*work.sizes).heads
    table, positions, *blocks = weights
    *blocks, gain, shift, weight, bias = blocks
    h = table.astype(np.float64)[x] + positions
    for n in range(0, len(blocks), 12):
        block = blocks[n : n + 12]
        h = h + _attend(_normal(h, *block[:2]), heads, block[2:6])
        z = linear(_normal(h, *block[6:8]), *block[8:10])
        h = h + linear(_gelu(z), *block[10:])
    return linear(_normal(h, gain, shift), weight, bias)


def small(work: Work) -> Work:
    sizes = Sizes(vocabulary=4, time=4, width=4, heads=2, blocks=1)
    return replace(work, sizes=sizes, batch=min(work.batch, 8), batches=2)
