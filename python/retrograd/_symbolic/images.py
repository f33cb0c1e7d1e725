"""Convolutions, pooling, upsampling as the sums they are: ``conv.cpp``, ``pooling.cpp``, ``upsample.cpp``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from retrograd._symbolic.arrays import largest, product_rule, share_of
from retrograd._symbolic.rules import Call, Expressions, Rule, expressions, sympy

Gradients = Sequence[Expressions | None]
Triples = list[tuple[int, int, int]]


def _padding(call: Call, kernel: Sequence[int]) -> list[int]:
    """Zeros before the first pixel of each axis; of an odd number the larger half stands behind."""
    a: Any = call.attributes
    if a["padding"] == "same":
        return [d * (k - 1) // 2 for d, k in zip(a["dilation"], kernel, strict=True)]
    return list(a["padding"])


def _taps(
    image: Sequence[int], small: Sequence[int], kernel: Sequence[int], call: Call
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Pixel i = o stride + t dilation - padding, place o and tap t, of all that lie in the image."""
    a: Any = call.attributes
    padding = _padding(call, kernel)
    for o in product(*map(range, small)):
        for t in product(*map(range, kernel)):
            i = tuple(
                p * s + q * d - before
                for p, s, q, d, before in zip(o, a["stride"], t, a["dilation"], padding, strict=True)
            )
            if all(0 <= at < n for at, n in zip(i, image, strict=True)):
                yield i, o, t


def _triples(transposed: bool, call: Call, x: Any, weight: Any) -> Triples:
    """(z, x, W) of z[o, f] = sum of x[i, c] W[f, t, c]; transposed, of z[i, c] = sum of x[o, f] W[f, t, c]"""
    filters, *kernel, inner = np.shape(weight)
    image, small = (call.shape, np.shape(x)) if transposed else (np.shape(x), call.shape)
    pixels, places, weights = _numbered(image), _numbered(small), _numbered(np.shape(weight))
    lead = image[: len(image) - len(kernel) - 1]
    groups: Any = call.attributes["groups"]
    some = filters // groups
    found = []
    for i, o, t in _taps(image[len(lead) : -1], small[len(lead) : -1], kernel, call):
        for n, f, c in product(list(np.ndindex(lead)), range(filters), range(inner)):
            pixel, place = int(pixels[(*n, *i, f // some * inner + c)]), int(places[(*n, *o, f)])
            w = int(weights[(f, *t, c)])
            found.append((pixel, place, w) if transposed else (place, pixel, w))
    return found


def _numbered(shape: tuple[int, ...]) -> Any:
    return np.arange(int(np.prod(shape, dtype=int))).reshape(shape)


# ------------------------------------------------------------------------------------ windows, copies


def _windows(call: Call, x: Any) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """Each place of the result, and the pixels that its window holds."""
    a: Any = call.attributes
    high, wide = np.shape(x)[-3:-1]
    for at in np.ndindex(call.shape):
        *n, i, j, c = at
        rows = [i * a["stride"][0] - a["padding"][0] + k for k in range(a["size"][0])]
        columns = [j * a["stride"][1] - a["padding"][1] + k for k in range(a["size"][1])]
        yield at, [(*n, r, s, c) for r in rows for s in columns if 0 <= r < high and 0 <= s < wide]


def _max_pool_value(call: Call, x: Expressions) -> Expressions:
    y = np.empty(call.shape, dtype=object)
    for at, pixels in _windows(call, x):
        y[at] = largest(*(x[pixel] for pixel in pixels))
    return y


def _max_pool_gradients(call: Call, dy: Expressions, y: Expressions, x: Expressions) -> Gradients:
    dx = expressions(np.zeros(np.shape(x), dtype=int))
    for at, pixels in _windows(call, x):
        for pixel in pixels:
            others = [x[other] for other in pixels if other != pixel]
            dx[pixel] = dx[pixel] + dy[at] * share_of(x[pixel], others)
    return [dx]


def _average(call: Call, x: Any) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Any]]:
    """(place of y, pixel of x, weight), padding counted as zeros."""
    size: Any = call.attributes["size"]
    weight = sympy().Rational(1, int(np.prod(size)))
    return ((at, pixel, weight) for at, pixels in _windows(call, x) for pixel in pixels)


def _copies(call: Call, x: Any) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Any]]:
    """(place of y, pixel of x, weight) of larger images."""
    factor: Any = call.attributes["factor"]
    high, wide = np.shape(x)[-3:-1]
    weights = [_line_weights(call, n, f) for n, f in zip((high, wide), factor, strict=True)]
    for at in np.ndindex(call.shape):
        *n, i, j, c = at
        for (k, down), (m, along) in product(weights[0][i], weights[1][j]):
            yield at, (*n, k, m, c), down * along


def _line_weights(call: Call, n: int, factor: int) -> list[list[tuple[int, Any]]]:
    """Of each output of a line: its inputs and their weights, which are max(0, 1 - |s - k|)."""
    sp = sympy()
    if call.attributes["mode"] == "nearest":
        return [[(o // factor, sp.Integer(1))] for o in range(n * factor)]
    lines = []
    for o in range(n * factor):
        s = min(max(sp.Rational(2 * o + 1 - factor, 2 * factor), 0), n - 1)
        lines.append([(k, 1 - abs(s - k)) for k in range(n) if abs(s - k) < 1])
    return lines


def _linear_rule(weights: Any) -> Rule:
    """y = sum of weight x, dx = sum of weight dy."""

    def value(call: Call, x: Expressions) -> Expressions:
        y = expressions(np.zeros(call.shape, dtype=int))
        for at, pixel, weight in weights(call, x):
            y[at] = y[at] + weight * x[pixel]
        return y

    def gradients(call: Call, dy: Expressions, y: Expressions, x: Expressions) -> Gradients:
        dx = expressions(np.zeros(np.shape(x), dtype=int))
        for at, pixel, weight in weights(call, x):
            dx[pixel] = dx[pixel] + weight * dy[at]
        return [dx]

    return Rule(value, gradients)


def rules() -> dict[str, Rule]:
    """Operation -> rule."""
    return {
        "conv1d": product_rule(partial(_triples, False)),
        "conv2d": product_rule(partial(_triples, False)),
        "conv_transpose2d": product_rule(partial(_triples, True)),
        "max_pool2d": Rule(_max_pool_value, _max_pool_gradients),
        "avg_pool2d": _linear_rule(_average),
        "upsample2d": _linear_rule(_copies),
    }
