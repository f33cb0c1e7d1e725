"""What several networks are made of: initial values, and layers in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bench.work import Array, Floats


def uniform(rng: np.random.Generator, bound: float, *shape: int) -> Floats:
    """Between -bound and bound."""
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def he(rng: np.random.Generator, outputs: int, *inputs: int) -> Floats:
    """A weight (outputs, *inputs) before a ReLU (He et al., 2015)."""
    return uniform(rng, (6 / int(np.prod(inputs))) ** 0.5, outputs, *inputs)


def glorot(rng: np.random.Generator, outputs: int, inputs: int) -> Floats:
    """A weight (outputs, inputs) before anything else (Glorot and Bengio, 2010)."""
    return uniform(rng, (6 / (inputs + outputs)) ** 0.5, outputs, inputs)


def scale(rng: np.random.Generator, size: int) -> Floats:
    """Of a normalisation. Not all ones: a library that left them out would not be noticed."""
    return 1 + uniform(rng, 0.1, size)


def linear(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
    """x W^T + b in float64."""
    return x @ weight.T.astype(np.float64) + bias


def relu(z: Array) -> Array:
    """max(z, 0)."""
    return np.maximum(z, 0)
