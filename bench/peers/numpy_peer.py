"""NumPy, as one writes it who knows it well: no temporary arrays, products into place, one parameter vector.

The optimizer goes over that vector in blocks that stay in the cache: on large networks it is several times
faster so than over whole arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.networks import batch_norm as norms
from bench.work import BETAS, EPS, weights_of

if TYPE_CHECKING:
    from bench.work import Array, Floats, Work

NEEDS = ("numpy",)
_BLOCK = 16384


def versions() -> dict[str, str]:
    found = {"NumPy": np.__version__}
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return found
    for pool in threadpool_info():
        if pool["user_api"] == "blas":
            found["BLAS of NumPy"] = f"{pool['internal_api']} {pool['version']}"
    return found


def refuses(work: Work) -> str:
    return "" if work.network in ("dense", "batch_norm") else "dense layers and normalisation only"


def variants(work: Work) -> tuple[str, ...]:
    return ("out=",)


class _Training:
    """Parameters in one vector, and the optimizer's pass over it. Each network computes its gradients."""

    def __init__(self, work: Work, arrays: dict[str, Array], trained: list[Array]) -> None:
        self.work = work
        self.start = np.concatenate([w.ravel() for w in trained])
        self.flat = self.start.copy()
        self.grad = np.zeros_like(self.flat)
        self.moments = [np.zeros_like(self.flat) for _ in range(2 if work.optimizer == "adam" else 0)]
        self.blocks = self._blocks()
        batch = work.batch
        self.ones = np.ones(batch, np.float32)
        self.index = np.arange(batch)
        self.a, self.d = ([np.empty((batch, n), np.float32) for n in work.sizes[1:]] for _ in range(2))
        self.mask = [np.empty((batch, n), np.bool_) for n in work.sizes[1:]]
        self.column = np.empty((batch, 1), np.float32)
        self.batches = [
            (arrays["x"][i : i + batch], arrays["y"][i : i + batch]) for i in range(0, work.rows, batch)
        ]

    @staticmethod
    def _views(flat: Floats, like: list[Array]) -> list[Floats]:
        views, place = [], 0
        for array in like:
            views.append(flat[place : place + array.size].reshape(array.shape))
            place += array.size
        return views

    def _blocks(self) -> list[tuple[Floats, ...]]:
        size = len(self.flat)
        spare = np.empty(min(size, _BLOCK), np.float32)
        ranges = [slice(i, min(i + _BLOCK, size)) for i in range(0, size, _BLOCK)]
        return [
            (self.flat[r], self.grad[r], *(m[r] for m in self.moments), spare[: r.stop - r.start])
            for r in ranges
        ]

    def reset(self) -> None:
        self.flat[:] = self.start
        for moment in self.moments:
            moment[:] = 0
        self.iteration = 0
        self.loss = 0.0

    def weights(self) -> list[Array]:
        raise NotImplementedError

    def _gradients(self, x: Array, y: Array) -> None:
        raise NotImplementedError

    def run(self, epochs: int) -> None:
        update = self._adam if self.work.optimizer == "adam" else self._sgd
        for _ in range(epochs):
            self.loss = 0.0
            for x, y in self.batches:
                self._gradients(x, y)
                update()

    def _loss(self, out: Floats, y: Array, d: Floats) -> None:
        batch = len(out)
        if self.work.loss == "cross_entropy":
            np.max(out, axis=1, keepdims=True, out=self.column)
            np.subtract(out, self.column, out=d)
            self.loss -= float(d[self.index, y].sum()) / batch
            np.exp(d, out=d)
            np.sum(d, axis=1, keepdims=True, out=self.column)
            d /= self.column
            self.loss += float(np.log(self.column).sum()) / batch
            d[self.index, y] -= 1
            d *= 1 / batch
            return
        np.subtract(out, y, out=d)
        flat = d.ravel()
        square = float(flat @ flat)
        if self.work.loss == "half_squared_error":
            self.loss += 0.5 * square / batch
            if batch > 1:
                d *= 1 / batch
        else:
            self.loss += square / d.size
            d *= 2 / d.size

    def _sgd(self) -> None:
        lr = self.work.lr
        for p, g, spare in self.blocks:
            np.multiply(g, lr, out=spare)
            p -= spare

    def _adam(self) -> None:
        self.iteration += 1
        b1, b2 = BETAS
        root = (1 - b2**self.iteration) ** 0.5
        # lr m/c1 / (sqrt(v/c2) + eps), with the square root of c2 taken out of the fraction
        rate, eps = self.work.lr * root / (1 - b1**self.iteration), EPS * root
        for p, g, m, v, spare in self.blocks:
            m *= b1
            np.multiply(g, 1 - b1, out=spare)
            m += spare
            v *= b2
            np.multiply(g, g, out=spare)
            spare *= 1 - b2
            v += spare
            np.sqrt(v, out=spare)
            spare += eps
            np.divide(m, spare, out=spare)
            spare *= rate
            p -= spare


class _Dense(_Training):
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        given = weights_of(arrays)
        super().__init__(work, arrays, given)
        self.parameters = self._views(self.flat, given)
        gradients = self._views(self.grad, given)
        self.w, self.b = self.parameters[0::2], self.parameters[1::2]
        self.gw, self.gb = gradients[0::2], gradients[1::2]
        self.wt = [w.T for w in self.w]
        self.reset()

    def weights(self) -> list[Array]:
        return [w.copy() for w in self.parameters]

    def _gradients(self, x: Array, y: Array) -> None:
        hidden, last = self.work.hidden, len(self.w) - 1
        before = x
        for k, a in enumerate(self.a):
            np.matmul(before, self.wt[k], out=a)
            a += self.b[k]
            self._activate(self.work.output if k == last else hidden, a, self.mask[k])
            before = a
        self._loss(self.a[last], y, self.d[last])
        if self.work.output == "sigmoid":
            self._through_sigmoid(self.a[last], self.d[last])
        for k in range(last, -1, -1):
            d = self.d[k]
            np.matmul(d.T, self.a[k - 1] if k else x, out=self.gw[k])
            np.dot(self.ones, d, out=self.gb[k])
            if k == 0:
                break
            a, below = self.a[k - 1], self.d[k - 1]
            np.matmul(d, self.w[k], out=below)
            if hidden == "relu":
                below *= self.mask[k - 1]
            elif hidden == "tanh":
                np.multiply(a, a, out=a)  # the activation is not needed any more
                np.subtract(1, a, out=a)
                below *= a
            elif hidden == "sigmoid":
                self._through_sigmoid(a, below)

    @staticmethod
    def _activate(name: str, a: Floats, mask: Array) -> None:
        if name == "relu":
            np.greater(a, 0, out=mask)
            np.maximum(a, 0, out=a)
        elif name == "tanh":
            np.tanh(a, out=a)
        elif name == "sigmoid":
            np.negative(a, out=a)
            np.exp(a, out=a)
            a += 1
            np.reciprocal(a, out=a)

    @staticmethod
    def _through_sigmoid(a: Floats, d: Floats) -> None:
        d *= a
        np.subtract(1, a, out=a)
        d *= a


class _BatchNorm(_Training):
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        self.given = {name: array for name, array in arrays.items() if name not in ("x", "y")}
        trained = {n: array for n, array in self.given.items() if not n.endswith(norms.BUFFERS)}
        super().__init__(work, arrays, list(trained.values()))
        p = dict(zip(trained, self._views(self.flat, list(trained.values())), strict=True))
        self.p = p | {name: self.given[name].copy() for name in self.given if name not in trained}
        self.g = dict(zip(trained, self._views(self.grad, list(trained.values())), strict=True))
        self.wt = [self.p[f"dense_{k}.weight"].T for k in range(len(work.sizes) - 1)]
        self.normal = [np.empty_like(a) for a in self.a[:-1]]
        self.spare = [np.empty_like(a) for a in self.a[:-1]]
        self.inverse: list[Any] = [None] * len(self.normal)  # 1 / standard deviation
        self.reset()

    def reset(self) -> None:
        super().reset()
        for name, array in self.given.items():
            if name not in self.g:
                self.p[name][:] = array

    def weights(self) -> list[Array]:
        return [self.p[name].copy() for name in self.given]

    def _normalise(self, k: int) -> None:
        """normal[k] becomes a[k] with mean 0 and variance 1, a[k] the output of the layer after its ReLU."""
        p, z, a, name = self.p, self.normal[k], self.a[k], f"batch_norm_{k}"
        batch = len(z)
        mean = self.ones @ a / batch
        np.subtract(a, mean, out=z)
        np.multiply(z, z, out=a)
        variance = self.ones @ a / batch
        self.inverse[k] = 1 / np.sqrt(variance + np.float32(norms.EPS))
        z *= self.inverse[k]
        for kind, now in (("running_mean", mean), ("running_var", variance * (batch / (batch - 1)))):
            running = p[f"{name}.{kind}"]
            running *= 1 - norms.MOMENTUM
            running += norms.MOMENTUM * now
        np.multiply(z, p[f"{name}.weight"], out=a)
        a += p[f"{name}.bias"]
        np.greater(a, 0, out=self.mask[k])
        np.maximum(a, 0, out=a)

    def _through_normalise(self, k: int) -> None:
        """d[k]: from the gradient of what the normalisation made to that of what it was given."""
        z, d, spare, name = self.normal[k], self.d[k], self.spare[k], f"batch_norm_{k}"
        gain, shift = self.g[f"{name}.weight"], self.g[f"{name}.bias"]
        np.dot(self.ones, d, out=shift)
        np.multiply(d, z, out=spare)
        np.dot(self.ones, spare, out=gain)
        np.multiply(z, gain / len(z), out=spare)
        d -= spare
        d -= shift / len(z)
        d *= self.p[f"{name}.weight"] * self.inverse[k]

    def _gradients(self, x: Array, y: Array) -> None:
        p, g, last = self.p, self.g, len(self.wt) - 1
        before = x
        for k, a in enumerate(self.a):
            np.matmul(before, self.wt[k], out=a)
            if k < last:
                self._normalise(k)
            before = a
        self.a[last] += p[f"dense_{last}.bias"]
        self._loss(self.a[last], y, self.d[last])
        np.dot(self.ones, self.d[last], out=g[f"dense_{last}.bias"])
        for k in range(last, -1, -1):
            d = self.d[k]
            if k < last:
                d *= self.mask[k]
                self._through_normalise(k)
            np.matmul(d.T, self.a[k - 1] if k else x, out=g[f"dense_{k}.weight"])
            if k:
                np.matmul(d, p[f"dense_{k}.weight"], out=self.d[k - 1])


class _Prediction:
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        last = len(work.sizes) - 2
        self.layers = [
            (arrays[f"w{k}"], arrays[f"b{k}"], np.empty(n, np.float32), k < last)
            for k, n in enumerate(work.sizes[1:])
        ]
        self.rows = list(arrays["x"])

    def reset(self) -> None:
        pass

    def _predict(self, row: Floats) -> Floats:
        a = row
        for w, b, out, hidden in self.layers:
            np.dot(w, a, out=out)
            out += b
            if hidden:
                np.maximum(out, 0, out=out)
            a = out
        return a.copy()

    def run(self, epochs: int) -> None:
        for _ in range(epochs):
            for row in self.rows:
                self._predict(row)

    def outputs(self) -> Array:
        return np.array([self._predict(row) for row in self.rows])


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> _Training | _Prediction:
    if work.kind == "predict":
        return _Prediction(work, arrays)
    return _BatchNorm(work, arrays) if work.network == "batch_norm" else _Dense(work, arrays)
