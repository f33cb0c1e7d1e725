"""JAX: one compiled function for a whole epoch, a scan over its batches, the old state given away.

The variants are how far the scan is unrolled: it matters where a step is a few operations; "step", a compiled
function for one step instead, called for each batch: convolutions are several times slower in a scan; and
those of the networks (``jax_networks.build``)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.work import BETAS, EPS, WEIGHT_DECAY

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
    if work.network == "lenet":
        return ("step", "step, products", "unroll 1, products")
    if work.kind == "predict" or work.batches == 1 or work.multiply_adds > 1_000_000:
        return ("unroll 1",)
    if work.multiply_adds > 10_000:
        return ("unroll 1", "unroll 4")
    return ("unroll 1", "unroll 8", "unroll 32")


class _Net:
    def __init__(self, work: Work, arrays: dict[str, Array], variant: str) -> None:
        import jax

        from bench.peers import jax_networks

        self.jax, self.jnp = jax, jax.numpy
        self.work = work
        self.network = jax_networks.build(work, arrays, variant)


class _Training(_Net):
    def __init__(self, work: Work, arrays: dict[str, Array], variant: str) -> None:
        super().__init__(work, arrays, variant)
        jnp = self.jnp
        cut = (work.batches, work.batch)
        x, y = arrays["x"], arrays["y"]
        self.x = jnp.asarray(x.reshape(*cut, *x.shape[1:]))
        labels = work.loss == "cross_entropy"
        self.y = jnp.asarray(y.astype(np.int32).reshape(work.batches, -1) if labels else y.reshape(*cut, -1))
        how = variant.partition(",")[0]
        if how == "step":
            self.step = self.jax.jit(lambda state, x, y: self._step(state, (x, y)), donate_argnums=0)
            self.batches = list(zip(self.x, self.y, strict=True))
            self.epoch = self._epoch_of_calls
        else:
            unroll = int(how.split()[1])
            self.epoch = self.jax.jit(lambda state, x, y: self._epoch(state, x, y, unroll), donate_argnums=0)
        self.reset()

    def _loss(self, parameters: Any, buffers: Any, x: Any, y: Any) -> Any:
        out, buffers = self.network.forward(parameters, buffers, x)
        if self.work.loss == "cross_entropy":
            wanted = (out * self.jax.nn.one_hot(y, out.shape[1])).sum(1)
            return (self.jax.scipy.special.logsumexp(out, axis=1) - wanted).mean(), buffers
        square = (out - y) ** 2
        half = self.work.loss == "half_squared_error"
        return 0.5 * square.sum(1).mean() if half else square.mean(), buffers

    def _step(self, state: Any, batch: Any) -> Any:
        jax, jnp, work = self.jax, self.jnp, self.work
        b1, b2 = BETAS
        layers, buffers, m, v, t = state
        gradient = jax.value_and_grad(self._loss, has_aux=True)
        (loss, buffers), grads = gradient(layers, buffers, *batch)
        if work.optimizer == "sgd":
            layers = jax.tree.map(lambda p, g: p - work.lr * g, layers, grads)
            return (layers, buffers, m, v, t), loss
        t = t + 1
        # 1 - beta^t, without losing the digits that float32 would lose
        c1, c2 = -jnp.expm1(t * math.log(b1)), -jnp.expm1(t * math.log(b2))
        rate, eps = work.lr * jnp.sqrt(c2) / c1, EPS * jnp.sqrt(c2)
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
        if work.optimizer == "adamw":
            layers = jax.tree.map(lambda p: (1 - work.lr * WEIGHT_DECAY) * p, layers)
        layers = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + eps), layers, m, v)
        return (layers, buffers, m, v, t), loss

    def _epoch(self, state: Any, xs: Any, ys: Any, unroll: int) -> Any:
        return self.jax.lax.scan(self._step, state, (xs, ys), unroll=unroll)

    def _epoch_of_calls(self, state: Any, xs: Any, ys: Any) -> Any:
        loss = None
        for x, y in self.batches:
            state, loss = self.step(state, x, y)
        return state, loss

    def reset(self) -> None:
        def fresh(array: Any) -> Any:
            return self.jnp.array(array, copy=True)

        tree, given = self.jax.tree, self.network.parameters
        remembers = self.work.optimizer != "sgd"
        moments = [tree.map(self.jnp.zeros_like, given) if remembers else () for _ in range(2)]
        start = [tree.map(fresh, part) for part in (given, self.network.buffers)]
        self.state = (*start, *moments, self.jnp.zeros((), np.float32))

    def run(self, epochs: int) -> None:
        state, x, y = self.state, self.x, self.y
        loss = None
        for _ in range(epochs):
            state, loss = self.epoch(state, x, y)
        self.state = self.jax.block_until_ready((state, loss))[0]

    def weights(self) -> list[Array]:
        return list(self.network.weights(*self.state[:2]))


class _Prediction(_Net):
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        super().__init__(work, arrays, "")
        self.layers = self.jax.tree.map(self.jnp.asarray, self.network.parameters)
        self.predict = self.jax.jit(lambda layers, x: self.network.forward(layers, (), x)[0])
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
