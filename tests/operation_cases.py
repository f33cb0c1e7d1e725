"""Calls of rg.ops through broadcasting, axes and slices, each with its NumPy and its PyTorch.

An operand has a letter and a shape: b is given with a batch, v is a Variable, c a constant.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import retrograd as rg
from retrograd import ops

Array = np.ndarray
Operand = tuple[str, tuple[int, ...]]
BATCH = 3


@dataclass(frozen=True)
class Case:
    name: str
    operands: tuple[Operand, ...]
    node: Callable[..., rg.Node]
    value: Callable[..., Array]
    torch: Callable[..., Any] | None = None  # with the module as its first argument
    low: float = -2.0  # operands lie in low .. 2
    differentiable: bool = True

    def __str__(self) -> str:
        shown = [f"{kind}{list(shape)}" for kind, shape in self.operands]
        return f"{self.name} {' '.join(shown)}"

    def draw(self) -> list[Array]:
        """Numbers that are apart from each other, and from every kink."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        sizes = [int(np.prod(shape)) * (BATCH if kind == "b" else 1) for kind, shape in self.operands]
        apart = np.linspace(self.low + 0.013, 2.0, sum(sizes))
        apart = rng.permutation(
            apart + rng.uniform(0.0, 0.2) * (apart[1] - apart[0] if len(apart) > 1 else 0)
        )
        apart[np.abs(apart) < 0.01] = 0.01
        parts = np.split(apart, np.cumsum(sizes)[:-1])
        return [
            part.reshape((BATCH, *shape) if kind == "b" else shape)
            for part, (kind, shape) in zip(parts, self.operands, strict=True)
        ]

    def build(self, arrays: list[Array]) -> tuple[rg.Model, list[Array]]:
        """A model of the result, and what it is given; each input with a batch has a shift to learn."""
        inputs, given, nodes = [], [], []
        for i, ((kind, shape), array) in enumerate(zip(self.operands, arrays, strict=True)):
            if kind == "b":
                node = rg.Input(shape)
                inputs.append(node)
                given.append(array)
                nodes.append(ops.add(node, rg.Variable(np.zeros(shape), name=f"shift{i}")))
            elif kind == "v":
                nodes.append(rg.Variable(array, name=f"v{i}"))
            else:
                nodes.append(array)
        made = self.node(*nodes)
        if not inputs:  # a model needs a batch: the result meets a 1 of each sample
            one = rg.Input((1,) * max(1, len(made.shape)))
            inputs, given = [one], [np.ones((BATCH, *one.shape[1:]))]
            made = ops.multiply(made, one)
        return rg.Model(inputs, made, dtype="float64"), given

    def expected(self, arrays: list[Array]) -> Array:
        y = np.asarray(self.value(*arrays), np.float64)
        if all(kind != "b" for kind, _ in self.operands):
            y = np.broadcast_to(y, (BATCH, *(y.shape or (1,))))
        return y


BROADCAST: list[tuple[Operand, Operand]] = [
    (("b", (3, 4)), ("b", (3, 4))),
    (("b", (3, 4)), ("b", (1, 4))),
    (("b", (3, 1)), ("b", (1, 4))),
    (("b", (1, 1)), ("b", (3, 4))),
    (("b", (3, 4)), ("v", (4,))),
    (("b", (3, 4)), ("v", (3, 1))),
    (("b", (3, 1)), ("v", (1, 4))),
    (("b", (1,)), ("v", (5,))),
    (("v", (3, 4)), ("b", (1, 4))),
    (("v", (1, 3, 4)), ("b", (3, 4))),
    (("v", ()), ("b", (3, 4))),
    (("b", ()), ("v", ())),
    (("b", ()), ("v", (1,))),
    (("b", (2, 3, 4)), ("v", (3, 1))),
    (("b", (2, 1, 4)), ("b", (1, 3, 1))),
    (("b", (3, 4)), ("c", (4,))),
    (("c", ()), ("b", (3, 4))),
    (("c", (3, 1)), ("v", (1, 4))),
    (("v", (3, 1)), ("v", (4,))),
    (("v", (2, 3, 4)), ("v", (3, 1))),
    (("v", ()), ("v", ())),
    (("v", ()), ("v", (2, 3))),
]


def _binary() -> Iterator[Case]:
    for name in ("add", "subtract", "multiply", "maximum", "minimum", "divide", "power"):
        low = 0.5 if name in ("divide", "power") else -2.0
        other = {"power": "pow"}.get(name, name)
        for pair in BROADCAST:
            yield Case(
                name,
                pair,
                getattr(ops, name),
                getattr(np, name),
                lambda torch, a, b, other=other: getattr(torch, other)(a, b),
                low=low,
            )
    for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"):
        for pair in BROADCAST[:8]:
            f = getattr(np, name)
            yield Case(name, pair, getattr(ops, name), f, differentiable=False)
    for pair in BROADCAST:
        if pair[0][0] == "c":
            continue
        yield Case(
            "where",
            pair,
            lambda a, b: ops.where(ops.greater(a, 0.0), a, b),
            lambda a, b: np.where(a > 0.0, a, b),
            lambda torch, a, b: torch.where(a > 0.0, a, b),
        )
    for shapes in (("b", (3, 1)), ("v", (1, 4)), ("b", (1, 4))), (("v", (3, 1)), ("b", (3, 4)), ("v", ())):
        yield Case(
            "where of three",
            shapes,
            lambda c, a, b: ops.where(c, a, b) * c + ops.where(ops.less(c, 0.0), b, a),
            lambda c, a, b: np.where(c != 0.0, a, b) * c + np.where(c < 0.0, b, a),
            lambda torch, c, a, b: torch.where(c != 0.0, a, b) * c + torch.where(c < 0.0, b, a),
        )


def _unary() -> Iterator[Case]:
    for name in ("negative", "exp", "log", "sqrt", "square", "abs", "sin", "cos", "arctan"):
        for operand in (("b", ()), ("b", (5,)), ("b", (2, 3, 4)), ("v", ()), ("v", (3, 1))):
            yield Case(
                name,
                (operand,),
                getattr(ops, name),
                getattr(np, name),
                lambda torch, x, name=name: getattr(torch, name)(x),
                low=0.5 if name in ("log", "sqrt") else -2.0,
            )
    for operand in (("b", (5,)), ("v", (2, 3))):
        yield Case(
            "clip",
            (operand,),
            lambda x: ops.clip(x, -0.503, 0.707),
            lambda x: np.clip(x, -0.503, 0.707),
            lambda torch, x: torch.clamp(x, -0.503, 0.707),
        )
        yield Case(
            "stop_gradient",
            (operand,),
            lambda x: ops.stop_gradient(x) * x,
            lambda x: x * x,
            lambda torch, x: x.detach() * x,
            differentiable=False,
        )


def _logsumexp(x: Array, axis: Any, keepdims: bool) -> Array:
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def _reductions() -> Iterator[Case]:
    batched = [1, 3, -1, -2, (1, 3), (-1, -3), (3, 2), (1, 2, 3), None]
    plain = [0, 2, -1, -3, (0, 2), (-1, 0), (0, 1, 2), None]
    for name in ("sum", "mean", "max", "logsumexp"):
        for operand, axes in ((("b", (3, 4, 2)), batched), (("v", (3, 4, 2)), plain)):
            for axis in axes:
                for keepdims in (False, True):
                    if axis is None and operand[0] == "b":
                        numbers: Any = (1, 2, 3)
                    else:
                        numbers = tuple(range(3)) if axis is None else axis
                    f = _logsumexp if name == "logsumexp" else getattr(np, name)
                    yield Case(
                        f"{name} axis={axis} keepdims={keepdims}",
                        (operand,),
                        lambda x, name=name, a=axis, k=keepdims: getattr(ops, name)(x, axis=a, keepdims=k),
                        lambda x, f=f, a=numbers, k=keepdims: f(x, axis=a, keepdims=k),
                        lambda torch, x, name=name, a=numbers, k=keepdims: getattr(
                            torch, {"max": "amax"}.get(name, name)
                        )(x, dim=a, keepdim=k),
                    )
    for name in ("softmax", "log_softmax"):
        for operand in (("b", (4,)), ("b", (2, 3)), ("v", (3, 2)), ("b", (1,))):
            shifted = lambda x: x - _logsumexp(x, -1, True)  # noqa: E731
            yield Case(
                name,
                (operand,),
                getattr(ops, name),
                shifted if name == "log_softmax" else lambda x, f=shifted: np.exp(f(x)),
                lambda torch, x, name=name: getattr(torch, name)(x, dim=-1),
            )


PRODUCTS: list[tuple[Operand, Operand]] = [
    (("b", (3, 4)), ("b", (4, 2))),
    (("b", (2, 3, 4)), ("b", (2, 4, 5))),
    (("b", (2, 3, 4)), ("b", (1, 4, 5))),
    (("b", (1, 3, 4)), ("b", (2, 4, 5))),
    (("b", (4,)), ("v", (4, 2))),
    (("b", (3, 4)), ("v", (4, 2))),
    (("b", (2, 3, 4)), ("v", (4, 5))),
    (("b", (2, 3, 4)), ("v", (2, 4, 5))),
    (("b", (2, 1, 3, 4)), ("v", (5, 4, 2))),
    (("b", (3, 4)), ("v", (4,))),
    (("b", (4,)), ("v", (4,))),
    (("v", (2, 3)), ("b", (3, 4))),
    (("v", (3,)), ("b", (3, 4))),
    (("v", (2, 5, 3)), ("b", (2, 3, 4))),
    (("c", (2, 3)), ("b", (3, 4))),
    (("b", (3, 4)), ("c", (4, 1))),
    (("v", (2, 3)), ("v", (3, 4))),
    (("v", (3,)), ("v", (3,))),
    (("v", (3,)), ("v", (3, 4))),
    (("v", (2, 3)), ("v", (3,))),
    (("v", (5, 2, 3)), ("v", (3, 4))),
    (("v", (2, 1, 2, 3)), ("v", (5, 3, 4))),
    (("b", (2, 1, 3, 4)), ("b", (1, 5, 4, 2))),
    (("v", (1, 2, 3, 4)), ("b", (2, 4, 5))),
    (("b", (3, 4)), ("v", (1, 4, 5))),
]


def _products() -> Iterator[Case]:
    for pair in PRODUCTS:
        yield Case("matmul", pair, ops.matmul, np.matmul, lambda torch, a, b: torch.matmul(a, b))
    for pair in PRODUCTS[:2]:
        yield Case("@", pair, lambda a, b: a @ b, np.matmul, lambda torch, a, b: a @ b)


def _cut(axis: int, start: int | None, stop: int | None, step: int, rank: int) -> tuple[slice, ...]:
    return (*[slice(None)] * (axis % rank), slice(start, stop, step))


def _shapes() -> Iterator[Case]:
    for operand, shape in (
        (("b", (3, 4)), (2, -1)),
        (("b", (3, 4)), 12),
        (("b", (3, 4)), (-1,)),
        (("b", ()), (1, 1)),
        (("b", (1, 6)), (3, 1, 2)),
    ):
        sizes = (shape,) if isinstance(shape, int) else shape
        yield Case(
            f"reshape {shape}",
            (operand,),
            lambda x, shape=shape: ops.reshape(x, shape),
            lambda x, sizes=sizes: x.reshape((len(x), *sizes)),
            lambda torch, x, sizes=sizes: x.reshape((len(x), *sizes)),
        )
    yield Case(
        "reshape (4, -1)",
        (("v", (3, 4)),),
        lambda x: ops.reshape(x, (4, -1)),
        lambda x: x.reshape(4, -1),
        lambda torch, x: x.reshape(4, -1),
    )
    for operand, axes in (
        (("b", (2, 3, 4)), None),
        (("b", (2, 3, 4)), (0, 2, 3, 1)),
        (("b", (2, 3, 4)), (0, -1, 1, -2)),
        (("b", (5,)), None),
        (("v", (2, 3, 4)), None),
        (("v", (2, 3, 4)), (1, 0, 2)),
        (("v", (2, 3, 4)), (-1, -3, -2)),
    ):
        rank = len(operand[1]) + (operand[0] == "b")
        behind = (0, *range(rank - 1, 0, -1)) if operand[0] == "b" else tuple(range(rank))[::-1]
        order = behind if axes is None else axes
        yield Case(
            f"transpose {axes}",
            (operand,),
            lambda x, axes=axes: ops.transpose(x, axes),
            lambda x, order=order: x.transpose(order),
            lambda torch, x, order=order: x.permute(order),
        )
    for operands, axis in (
        ((("b", (3, 4)), ("b", (3, 2))), -1),
        ((("b", (3, 4)), ("b", (1, 4)), ("b", (2, 4))), 1),
        ((("b", (3, 4)), ("b", (1, 4))), -2),
        ((("v", (3, 4)), ("v", (2, 4))), 0),
        ((("v", (3, 4)), ("c", (3, 1))), 1),
    ):
        yield Case(
            f"concatenate axis={axis}",
            operands,
            lambda *x, axis=axis: ops.concatenate(list(x), axis),
            lambda *x, axis=axis: np.concatenate(x, axis),
            lambda torch, *x, axis=axis: torch.cat(x, axis),
        )
    cuts = [
        (("b", (5, 4)), 1, 1, 4, 1),
        (("b", (5, 4)), -1, None, None, 2),
        (("b", (5, 4)), 1, -3, None, 1),
        (("b", (5, 4)), -2, None, -1, 3),
        (("b", (5, 4)), 1, None, None, -1),
        (("b", (5, 4)), 1, 4, 0, -2),
        (("b", (5, 4)), 2, -1, -4, -1),
        (("b", (5, 4)), 1, -100, 100, 1),
        (("v", (5, 4)), 0, None, None, -2),
        (("v", (5,)), 0, 3, 4, 1),
    ]
    for operand, axis, start, stop, step in cuts:
        rank = len(operand[1]) + (operand[0] == "b")
        at = _cut(axis, start, stop, step, rank)
        size = operand[1][axis % rank - (operand[0] == "b")]
        taken = list(range(size))[at[-1]]
        yield Case(
            f"slice {axis} {start}:{stop}:{step}",
            (operand,),
            lambda x, a=(axis, start, stop, step): ops.slice(x, *a),
            lambda x, at=at: x[at],
            lambda torch, x, axis=axis, taken=taken: torch.index_select(x, axis, torch.tensor(taken)),
        )


CASES: list[Case] = [*_binary(), *_unary(), *_reductions(), *_products(), *_shapes()]
