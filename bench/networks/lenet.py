"""LeNet-5 (LeCun et al., 1998) as it is trained today, with ReLU and maxima: twice a convolution of 5x5, ReLU
and the largest of each 2x2, then three dense layers.

Images are (height, width, channels). A weight of a convolution is (out, height, width, in).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.networks.parts import he, linear, relu, uniform

if TYPE_CHECKING:
    from bench.work import Array, Floats, Work

JUDGED = 1024
KERNEL = 5
POOL = 2


class Sizes(NamedTuple):
    """What ``Work.sizes`` are."""

    image: int = 28  # height and width
    first: int = 6  # filters
    second: int = 16
    units: int = 120
    more_units: int = 84
    classes: int = 10

    @property
    def edges(self) -> tuple[int, int, int]:
        """Heights after the first convolution, the second, and the second pooling."""
        after_first = self.image - KERNEL + 1
        after_second = after_first // POOL - KERNEL + 1
        return after_first, after_second, after_second // POOL


def shape(work: Work) -> tuple[int, ...]:
    return (work.sizes[0], work.sizes[0], 1)


def outputs(work: Work) -> int:
    return work.sizes[-1]


def multiply_adds(work: Work) -> tuple[int, int]:
    s = Sizes(*work.sizes)
    after_first, after_second, last = s.edges
    first = after_first**2 * s.first * KERNEL**2
    second = after_second**2 * s.second * KERNEL**2 * s.first
    dense = last**2 * s.second * s.units + s.units * s.more_units + s.more_units * s.classes
    return first + second + dense, first


def parameters(work: Work, rng: np.random.Generator) -> dict[str, Floats]:
    s = Sizes(*work.sizes)
    return {
        "conv2d_0.weight": he(rng, s.first, KERNEL, KERNEL, 1),
        "conv2d_0.bias": uniform(rng, 0.1, s.first),
        "conv2d_1.weight": he(rng, s.second, KERNEL, KERNEL, s.first),
        "conv2d_1.bias": uniform(rng, 0.1, s.second),
        "dense_0.weight": he(rng, s.units, s.edges[2] ** 2 * s.second),
        "dense_0.bias": uniform(rng, 0.1, s.units),
        "dense_1.weight": he(rng, s.more_units, s.units),
        "dense_1.bias": uniform(rng, 0.1, s.more_units),
        "dense_2.weight": he(rng, s.classes, s.more_units),
        "dense_2.bias": uniform(rng, 0.1, s.classes),
    }


def _convolve(x: Array, weight: Array, bias: Array) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, (KERNEL, KERNEL), axis=(1, 2))
    # windows: (batch, height, width, channel, row, column)
    return np.tensordot(windows, weight.astype(np.float64), ([4, 5, 3], [1, 2, 3])) + bias


def _pool(x: Array) -> Array:
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // POOL, POOL, width // POOL, POOL, channels).max(axis=(2, 4))


def output(work: Work, weights: list[Array], x: Array) -> Array:
    w1, b1, w2, b2, *dense = weights
    a = _pool(relu(_convolve(x.astype(np.float64), w1, b1)))
    a = _pool(relu(_convolve(a, w2, b2)))
    a = a.reshape(len(x), -1)
    a = relu(linear(a, dense[0], dense[1]))
    a = relu(linear(a, dense[2], dense[3]))
    return linear(a, dense[4], dense[5])


def small(work: Work) -> Work:
    # 2x2 are left of it: what is taken for a row has rows, columns and channels
    sizes = Sizes(image=20, first=2, second=2, units=4, more_units=4, classes=4)
    return replace(work, sizes=sizes, batch=min(work.batch, 8), batches=2, data="classes")
