"""The networks in JAX. Each has

- ``parameters``: a tree of arrays, trained; ``buffers``: one that a step changes otherwise;
- ``forward(parameters, buffers, x)``: output in training mode, and the buffers after it;
- ``weights(parameters, buffers)``: in the order of ``bench.networks``.

A dense weight is (in, out) here, the layout that JAX's matrix product takes without a transpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench.networks import batch_norm as norms
from bench.networks import lenet as lenets
from bench.networks import transformer as transformers

if TYPE_CHECKING:
    from bench.work import Array, Work

_ACTIVATIONS: dict[str, Any] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "linear": lambda z: z,
}


class Dense:
    def __init__(self, work: Work, arrays: dict[str, Array], variant: str) -> None:
        self.work = work
        self.parameters = [
            (np.ascontiguousarray(arrays[f"w{k}"].T), arrays[f"b{k}"]) for k in range(len(work.sizes) - 1)
        ]
        self.buffers = ()

    def forward(self, parameters: Any, buffers: Any, x: Any) -> Any:
        for w, b in parameters[:-1]:
            x = _ACTIVATIONS[self.work.hidden](x @ w + b)
        w, b = parameters[-1]
        return _ACTIVATIONS[self.work.output](x @ w + b), buffers

    def weights(self, parameters: Any, buffers: Any) -> list[Array]:
        return [part for w, b in parameters for part in (np.array(w).T, np.array(b))]


class Named:
    """Trees are dicts by name."""

    def __init__(self, work: Work, arrays: dict[str, Array], variant: str) -> None:
        self.work, self.variant = work, variant
        self.names = [name for name in arrays if name not in ("x", "y")]
        given = {name: self._turned(name, arrays[name]) for name in self.names}
        self.buffers = {name: given.pop(name) for name in self.names if name.endswith(norms.BUFFERS)}
        self.parameters = given

    def _turned(self, name: str, array: Array) -> Array:
        """(out, ..., in) to (..., in, out): filters of convolutions too."""
        if array.ndim == 1 or "embedding" in name:
            return array
        return np.ascontiguousarray(np.moveaxis(array, 0, -1))

    def _back(self, name: str, array: Array) -> Array:
        return array if array.ndim == 1 or "embedding" in name else np.moveaxis(array, -1, 0)

    def weights(self, parameters: Any, buffers: Any) -> list[Array]:
        found = parameters | buffers
        return [self._back(name, np.array(found[name])) for name in self.names]


class BatchNorm(Named):
    def forward(self, parameters: Any, buffers: Any, x: Any) -> Any:
        p, after = parameters, {}
        last = len(self.work.sizes) - 2
        for k in range(last):
            z = x @ p[f"dense_{k}.weight"]
            mean = z.mean(axis=0)
            variance = ((z - mean) ** 2).mean(axis=0)
            unbiased = variance * (len(z) / (len(z) - 1))
            for name, now in (("running_mean", mean), ("running_var", unbiased)):
                key = f"batch_norm_{k}.{name}"
                after[key] = (1 - norms.MOMENTUM) * buffers[key] + norms.MOMENTUM * now
            gain = p[f"batch_norm_{k}.weight"] * lax.rsqrt(variance + norms.EPS)
            x = jax.nn.relu((z - mean) * gain + p[f"batch_norm_{k}.bias"])
        return x @ p[f"dense_{last}.weight"] + p[f"dense_{last}.bias"], after


def _rows(x: Any) -> Any:
    """All axes but the last as one: products of matrices are much faster than those of more axes."""
    return x.reshape(-1, x.shape[-1])


def _convolve(x: Any, filters: Any) -> Any:
    return lax.conv_general_dilated(x, filters, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _convolve_by_product(x: Any, filters: Any) -> Any:
    """All windows side by side, and one matrix product."""
    rows, columns, _, out = filters.shape
    height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
    windows = [x[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    product = _rows(jnp.concatenate(windows, axis=-1)) @ _rows(filters)
    return product.reshape(len(x), height, width, out)


def _pool(x: Any) -> Any:
    batch, height, width, channels = x.shape
    size = lenets.POOL
    return x.reshape(batch, height // size, size, width // size, size, channels).max(axis=(2, 4))


class LeNet(Named):
    def forward(self, parameters: Any, buffers: Any, x: Any) -> Any:
        p = parameters
        convolve = _convolve_by_product if "products" in self.variant else _convolve
        for k in range(2):
            x = _pool(jax.nn.relu(convolve(x, p[f"conv2d_{k}.weight"]) + p[f"conv2d_{k}.bias"]))
        x = x.reshape(len(x), -1)
        for k in range(3):
            x = x @ p[f"dense_{k}.weight"] + p[f"dense_{k}.bias"]
            x = jax.nn.relu(x) if k < 2 else x
        return x, buffers


def _normal(x: Any, gain: Any, shift: Any) -> Any:
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + transformers.EPS) * gain + shift


class Transformer(Named):
    """A row for each character of the batch, but within attention."""

    def forward(self, parameters: Any, buffers: Any, x: Any) -> Any:
        s = transformers.Sizes(*self.work.sizes)
        p = parameters

        def linear(name: str, x: Any) -> Any:
            # attention's names end as PyTorch's do: in_proj_weight, out_proj.weight
            return x @ p[f"{name}weight"] + p[f"{name}bias"]

        def normal(k: int, x: Any) -> Any:
            return _normal(x, p[f"layer_norm_{k}.weight"], p[f"layer_norm_{k}.bias"])

        h = _rows(p["embedding_0.weight"][x] + p["positional_embedding_0.weight"])
        for n in range(s.blocks):
            name = f"multi_head_attention_{n}"
            packed = linear(f"{name}.in_proj_", normal(2 * n, h))
            h = h + linear(f"{name}.out_proj.", self._attend(packed, s))
            z = linear(f"dense_{2 * n}.", normal(2 * n + 1, h))
            # jax.nn.gelu computes erfc, which costs more
            h = h + linear(f"dense_{2 * n + 1}.", 0.5 * z * (1 + lax.erf(z * 0.5**0.5)))
        return linear(f"dense_{2 * s.blocks}.", normal(2 * s.blocks, h)), buffers

    def _attend(self, packed: Any, s: transformers.Sizes) -> Any:
        features = s.width // s.heads
        # (q, k or v; batch, head, time, feature)
        q, k, v = packed.reshape(-1, s.time, 3, s.heads, features).transpose(2, 0, 3, 1, 4)
        scores = (q * features**-0.5) @ k.swapaxes(-1, -2)
        parts = jax.nn.softmax(jnp.where(np.tri(s.time, dtype=bool), scores, -jnp.inf), axis=-1)
        return (parts @ v).swapaxes(1, 2).reshape(-1, s.width)


_CLASSES: dict[str, Any] = {
    "dense": Dense,
    "batch_norm": BatchNorm,
    "lenet": LeNet,
    "transformer": Transformer,
}


def build(work: Work, arrays: dict[str, Array], variant: str) -> Any:
    """The network with its initial values. "products" in a variant: convolutions as matrix products."""
    return _CLASSES[work.network](work, arrays, variant)
