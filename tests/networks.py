"""Networks for the tests, built twice: in retrograd and as the layers of ``reference.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import reference as ref
import retrograd as rg


def random_layers(
    rng: np.random.Generator, sizes: Sequence[int], activations: Sequence[str]
) -> list[ref.DenseLayer]:
    """Dense layers of these sizes whose pre-activations have a variance near 1."""
    return [
        ref.DenseLayer(
            rng.normal(size=(units, inputs)) / np.sqrt(inputs), 0.2 * rng.normal(size=units), activation
        )
        for inputs, units, activation in zip(sizes, sizes[1:], activations, strict=False)
    ]


def sequential(layers: Sequence[ref.DenseLayer], dtype: str = "float64", **options: Any) -> rg.Model:
    """The same network in retrograd; its layers have the default names dense_0, dense_1, ..."""
    return rg.Sequential(
        [
            rg.Input(layers[0].weight.shape[1]),
            *[
                rg.Dense(
                    len(layer.bias),
                    activation=layer.activation,
                    weight_init=layer.weight.astype(dtype),
                    bias_init=layer.bias.astype(dtype),
                )
                for layer in layers
            ],
        ],
        dtype=dtype,
        **options,
    )


def layers_of(net: rg.Model, activations: Sequence[str]) -> list[ref.DenseLayer]:
    """A float64 copy of the present parameters of a network of dense layers."""
    p = net.parameters
    return [
        ref.DenseLayer(
            p[f"dense_{number}.weight"].astype(np.float64), p[f"dense_{number}.bias"].astype(np.float64), name
        )
        for number, name in enumerate(activations)
    ]


def parameter_bytes(net: rg.Model) -> bytes:
    return net.flat_parameters.tobytes()


def gradient_errors(net: rg.Model, found: ref.NetworkTrace) -> dict[str, float]:
    """|retrograd - reference| of every gradient array, relative to the largest entry of them all."""
    largest = max(max(np.abs(t.dW).max(), np.abs(t.db).max()) for t in found.layers)
    errors = {}
    for number, trace in enumerate(found.layers):
        for name, expected in (("weight", trace.dW), ("bias", trace.db)):
            gradient = net.gradients[f"dense_{number}.{name}"]
            assert gradient.shape == expected.shape
            errors[f"dense_{number}.{name}"] = float(np.abs(gradient - expected).max() / largest)
    return errors
