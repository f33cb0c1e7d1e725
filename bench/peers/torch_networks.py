"""The networks as PyTorch modules, their parameters and buffers in the order of ``bench.networks``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bench.networks import batch_norm as norms
from bench.networks import lenet as lenets
from bench.networks import transformer as transformers

if TYPE_CHECKING:
    from bench.work import Array, Work

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def dense(work: Work) -> nn.Module:
    last = len(work.sizes) - 2
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(zip(work.sizes, work.sizes[1:], strict=False)):
        layers.append(nn.Linear(a, b))
        name = work.output if k == last else work.hidden
        if name != "linear":
            layers.append(_ACTIVATIONS[name]())
    return nn.Sequential(*layers)


def batch_norm(work: Work) -> nn.Module:
    *hidden, units, classes = work.sizes
    layers: list[nn.Module] = []
    for inputs, outputs in zip(hidden, [*hidden[1:], units], strict=True):
        layers += [nn.Linear(inputs, outputs, bias=False)]
        layers += [nn.BatchNorm1d(outputs, norms.EPS, norms.MOMENTUM), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(units, classes))


def lenet(work: Work) -> nn.Module:
    s = lenets.Sizes(*work.sizes)
    return nn.Sequential(
        *(nn.Conv2d(1, s.first, lenets.KERNEL), nn.ReLU(), nn.MaxPool2d(lenets.POOL)),
        *(nn.Conv2d(s.first, s.second, lenets.KERNEL), nn.ReLU(), nn.MaxPool2d(lenets.POOL)),
        nn.Flatten(),
        *(nn.Linear(s.edges[2] ** 2 * s.second, s.units), nn.ReLU()),
        *(nn.Linear(s.units, s.more_units), nn.ReLU()),
        nn.Linear(s.more_units, s.classes),
    )


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inner = nn.Linear(width, 3 * width)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        batch, time, width = x.shape
        packed = self.inner(x).view(batch, time, 3, self.heads, width // self.heads)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        # written as products and a softmax it is slower, eager by a fifth and compiled by half
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.outer(out.transpose(1, 2).reshape(batch, time, width))


class _Block(nn.Module):
    def __init__(self, s: transformers.Sizes) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(s.width, transformers.EPS)
        self.attention = _Attention(s.width, s.heads)
        self.more_norm = nn.LayerNorm(s.width, transformers.EPS)
        units = transformers.MLP * s.width
        self.mlp = nn.Sequential(nn.Linear(s.width, units), nn.GELU(), nn.Linear(units, s.width))

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm(x))
        return x + self.mlp(self.more_norm(x))


class _Positions(nn.Module):
    def __init__(self, time: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(time, width))

    def forward(self, x: Any) -> Any:
        return x + self.weight


def transformer(work: Work) -> nn.Module:
    """With a row of logits for each character of the batch: the loss is of rows."""
    s = transformers.Sizes(*work.sizes)
    return nn.Sequential(
        nn.Embedding(s.vocabulary, s.width),
        _Positions(s.time, s.width),
        *(_Block(s) for _ in range(s.blocks)),
        nn.LayerNorm(s.width, transformers.EPS),
        nn.Linear(s.width, s.vocabulary),
        nn.Flatten(0, 1),
    )


_BUILDERS = {"dense": dense, "batch_norm": batch_norm, "lenet": lenet, "transformer": transformer}


def build(work: Work, variant: str) -> nn.Module:
    """The network, untrained. "channels last" in a variant is how images and filters lie in memory."""
    net = _BUILDERS[work.network](work)
    return net.to(memory_format=torch.channels_last) if "channels last" in variant else net


def inputs(work: Work, x: Array, variant: str) -> Any:
    """The examples, images with their one channel where PyTorch has it."""
    given = torch.from_numpy(x)
    if work.network != "lenet":
        return given
    images = given.permute(0, 3, 1, 2)
    return images.contiguous(
        memory_format=torch.channels_last if "channels last" in variant else torch.contiguous_format
    )


def targets(y: Any) -> Any:
    """Of a batch, one for each row of the output; integers are labels."""
    return y if y.is_floating_point() else y.flatten()


def tensors(net: nn.Module) -> list[Any]:
    """Parameters and running statistics, the memory of the module itself."""
    return [value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")]


_FILTERS = (0, 2)  # the weights of LeNet's convolutions
_BEHIND_FLATTEN = 4  # the weight whose inputs are the numbers of an image


def to_torch(work: Work, weights: list[Array]) -> list[Any]:
    """Weights in PyTorch's layouts, which has channels before height and width."""
    turned = list(weights)
    if work.network == "lenet":
        for k in _FILTERS:
            turned[k] = turned[k].transpose(0, 3, 1, 2)
        rows = turned[_BEHIND_FLATTEN]
        images = rows.reshape(-1, *_last_image(work)).transpose(0, 3, 1, 2)
        turned[_BEHIND_FLATTEN] = images.reshape(rows.shape)
    return [torch.from_numpy(w) for w in turned]


def from_torch(work: Work, found: list[Any]) -> list[Array]:
    """The reverse: copies."""
    weights = [np.array(t.detach().numpy()) for t in found]
    if work.network == "lenet":
        for k in _FILTERS:
            weights[k] = weights[k].transpose(0, 2, 3, 1)
        rows = weights[_BEHIND_FLATTEN]
        height, width, channels = _last_image(work)
        images = rows.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        weights[_BEHIND_FLATTEN] = images.reshape(rows.shape)
    return weights


def _last_image(work: Work) -> tuple[int, int, int]:
    s = lenets.Sizes(*work.sizes)
    return s.edges[2], s.edges[2], s.second
