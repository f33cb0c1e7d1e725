"""The networks in retrograd, as a user would write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import retrograd as rg

from bench.networks import batch_norm as norms
from bench.networks import lenet as lenets
from bench.networks import transformer as transformers

if TYPE_CHECKING:
    from bench.work import Work


def dense(work: Work) -> Any:
    last = len(work.sizes) - 2
    layers: list[Any] = [rg.Input(work.sizes[0])]
    layers += [
        rg.Dense(units, activation=work.output if k == last else work.hidden)
        for k, units in enumerate(work.sizes[1:])
    ]
    return rg.Sequential(layers)


def batch_norm(work: Work) -> Any:
    inputs, *hidden, classes = work.sizes
    layers: list[Any] = [rg.Input(inputs)]
    for units in hidden:
        layers += [rg.Dense(units, use_bias=False), rg.BatchNorm(norms.EPS, norms.MOMENTUM)]
        layers += [rg.Activation("relu")]
    return rg.Sequential([*layers, rg.Dense(classes)])


def lenet(work: Work) -> Any:
    s = lenets.Sizes(*work.sizes)
    return rg.Sequential(
        [
            rg.Input((s.image, s.image, 1)),
            rg.Conv2D(s.first, lenets.KERNEL, activation="relu"),
            rg.MaxPool2D(lenets.POOL),
            rg.Conv2D(s.second, lenets.KERNEL, activation="relu"),
            rg.MaxPool2D(lenets.POOL),
            rg.Flatten(),
            rg.Dense(s.units, activation="relu"),
            rg.Dense(s.more_units, activation="relu"),
            rg.Dense(s.classes),
        ]
    )


def transformer(work: Work) -> Any:
    s = transformers.Sizes(*work.sizes)
    x = rg.Input((s.time,), dtype="int64")
    h = rg.Embedding(s.vocabulary, s.width)(x)
    h = rg.PositionalEmbedding(s.time)(h)
    for _ in range(s.blocks):
        h = h + rg.MultiHeadAttention(s.heads, causal=True)(rg.LayerNorm(transformers.EPS)(h))
        mlp = rg.Dense(transformers.MLP * s.width, activation="gelu")(rg.LayerNorm(transformers.EPS)(h))
        h = h + rg.Dense(s.width)(mlp)
    return rg.Model(inputs=x, outputs=rg.Dense(s.vocabulary)(rg.LayerNorm(transformers.EPS)(h)))


_BUILDERS = {"dense": dense, "batch_norm": batch_norm, "lenet": lenet, "transformer": transformer}


def build(work: Work) -> Any:
    """The network, untrained."""
    return _BUILDERS[work.network](work)


def name_of(name: str) -> str:
    """retrograd's name of a parameter: those of ``bench.networks`` are already, but "w0", "b0", ..."""
    if "." in name:
        return name
    return f"dense_{name[1:]}.{'weight' if name[0] == 'w' else 'bias'}"
