"""JAX: one compiled function for a whole epoch, a scan over its batches, the old state given away.

The variants are how far the scan is unrolled: it matters where a step is a few operations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.work import BETAS, EPS

if TYPE_CHECKING:
    from bench.work import Array, Work

NEEDS = ("jax", "jaxlib")


def versions() -> dict[str, str]:
    import jax
    import jaxlib

    return {"JAX": jax.__version__, "jaxlib": jaxlib.__version__}


def refuses(work: Work) -> str:
    return ""


def variants(work: Work) -> tuple[str, ...]:
    if work.kind == "predict" or work.batches == 1 or work.multiply_adds > 1_000_000:
        return ("unroll 1",)
    if work.multiply_adds > 10_000:
        return ("unroll 1", "unroll 4")
    return ("unroll 1", "unroll 8", "unroll 32")


class _Net:
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        import jax

        self.jax, self.jnp = jax, jax.numpy
        self.work = work
        # (in, out): the layout that its matrix product takes without a transpose
        self.given = [
            (np.ascontiguousarray(arrays[f"w{k}"].T), arrays[f"b{k}"]) for k in range(len(work.sizes) - 1)
        ]

    def forward(self, layers: Any, x: Any) -> Any:
        jax, work = self.jax, self.work
        acts = {"relu": jax.nn.relu, "tanh": self.jnp.tanh, "sigmoid": jax.nn.sigmoid, "linear": lambda z: z}
        for w, b in layers[:-1]:
            x = acts[work.hidden](x @ w + b)
        w, b = layers[-1]
        return acts[work.output](x @ w + b)


class _Training(_Net):
    def __init__(self, work: Work, arrays: dict[str, Array], variant: str) -> None:
        super().__init__(work, arrays)
        jnp = self.jnp
        cut = (work.batches, work.batch)
        self.x = jnp.asarray(arrays["x"].reshape(*cut, -1))
        y = arrays["y"]
        labels = work.loss == "cross_entropy"
        self.y = jnp.asarray(y.astype(np.int32).reshape(cut) if labels else y.reshape(*cut, -1))
        unroll = int(variant.split()[1])
        self.epoch = self.jax.jit(lambda state, x, y: self._epoch(state, x, y, unroll), donate_argnums=0)
        self.reset()

    def _loss(self, layers: Any, x: Any, y: Any) -> Any:
        out = self.forward(layers, x)
        if self.work.loss == "cross_entropy":
            wanted = (out * self.jax.nn.one_hot(y, out.shape[1])).sum(1)
            return (self.jax.scipy.special.logsumexp(out, axis=1) - wanted).mean()
        square = (out - y) ** 2
        return 0.5 * square.sum(1).mean() if self.work.loss == "half_squared_error" else square.mean()

    def _epoch(self, state: Any, xs: Any, ys: Any, unroll: int) -> Any:
        jax, jnp, work = self.jax, self.jnp, self.work
        b1, b2 = BETAS

        def step(state: Any, batch: Any) -> Any:
            layers, m, v, t = state
            loss, grads = jax.value_and_grad(self._loss)(layers, *batch)
            if work.optimizer == "sgd":
                layers = jax.tree.map(lambda p, g: p - work.lr * g, layers, grads)
                return (layers, m, v, t), loss
            t = t + 1
            # 1 - beta^t, without losing the digits that float32 would lose
            c1, c2 = -jnp.expm1(t * math.log(b1)), -jnp.expm1(t * math.log(b2))
            rate, eps = work.lr * jnp.sqrt(c2) / c1, EPS * jnp.sqrt(c2)
            m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
            v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
            layers = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + eps), layers, m, v)
            return (layers, m, v, t), loss

        return jax.lax.scan(step, state, (xs, ys), unroll=unroll)

    def reset(self) -> None:
        def fresh(array: Any) -> Any:
            return self.jnp.array(array, copy=True)

        tree = self.jax.tree
        layers = tree.map(fresh, self.given)
        adam = self.work.optimizer == "adam"
        moments = [tree.map(self.jnp.zeros_like, self.given) if adam else () for _ in range(2)]
        self.state = (layers, *moments, self.jnp.zeros((), np.float32))

    def run(self, epochs: int) -> None:
        state, x, y = self.state, self.x, self.y
        loss = None
        for _ in range(epochs):
            state, loss = self.epoch(state, x, y)
        self.state = self.jax.block_until_ready((state, loss))[0]

    def weights(self) -> list[Array]:
        return [part for w, b in self.state[0] for part in (np.array(w).T, np.array(b))]


class _Prediction(_Net):
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        super().__init__(work, arrays)
        layers = self.jax.tree.map(self.jnp.asarray, self.given)
        self.layers = layers
        self.predict = self.jax.jit(self.forward)
        self.rows = list(arrays["x"].reshape(work.rows, 1, -1))

    def reset(self) -> None:
        pass

    def run(self, epochs: int) -> None:
        predict, layers = self.predict, self.layers
        for _ in range(epochs):
            for row in self.rows:
                predict(layers, row).block_until_ready()

    def outputs(self) -> Array:
        return np.concatenate([np.asarray(self.predict(self.layers, row)) for row in self.rows])


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> _Training | _Prediction:
    return _Prediction(work, arrays) if work.kind == "predict" else _Training(work, arrays, variant)
