"""Convolutions written apart from the library: whole arrays are shifted and multiplied, tap by tap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Size = int | Sequence[int]


def pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """x [batch, h, w, channels], weight [filters, kh, kw, channels / groups]."""
    filters, kh, kw, inner = weight.shape
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    if padding == "same":
        totals = dh * (kh - 1), dw * (kw - 1)
        sides = [(t // 2, t - t // 2) for t in totals]
    else:
        assert not isinstance(padding, str)
        sides = [(p, p) for p in pair(padding)]
    x = np.pad(x, [(0, 0), *sides, (0, 0)])
    oh = (x.shape[1] - dh * (kh - 1) - 1) // sh + 1
    ow = (x.shape[2] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((len(x), oh, ow, filters))
    some = filters // groups
    for group in range(groups):
        of, to = slice(group * inner, (group + 1) * inner), slice(group * some, (group + 1) * some)
        for ky in range(kh):
            for kx in range(kw):
                top, left = ky * dh, kx * dw
                seen = x[:, top : top + (oh - 1) * sh + 1 : sh, left : left + (ow - 1) * sw + 1 : sw, of]
                y[..., to] += seen @ weight[to, ky, kx].T
    return y if bias is None else y + bias


def conv1d(x: Array, weight: Array, bias: Array | None = None, **options: object) -> Array:
    """x [batch, time, channels], weight [filters, k, channels / groups]."""
    flat = {}
    for name, value in options.items():
        one = (0 if name == "padding" else 1, value)
        flat[name] = one if name in ("stride", "dilation", "padding") and value != "same" else value
    return conv2d(x[:, None], weight[:, None], bias, **flat)[:, 0]  # type: ignore[arg-type]


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """x [batch, h, w, channels], weight [channels, kh, kw, filters / groups]: each place is stamped."""
    channels, kh, kw, some = weight.shape
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    batch, h, w, _ = x.shape
    high, wide = pair(output_padding)
    full = np.zeros(
        (
            batch,
            (h - 1) * sh + dh * (kh - 1) + 1 + high,
            (w - 1) * sw + dw * (kw - 1) + 1 + wide,
            groups * some,
        )
    )
    inner = channels // groups
    for group in range(groups):
        of, to = slice(group * inner, (group + 1) * inner), slice(group * some, (group + 1) * some)
        for y in range(h):
            for column in range(w):
                for ky in range(kh):
                    for kx in range(kw):
                        full[:, y * sh + ky * dh, column * sw + kx * dw, to] += (
                            x[:, y, column, of] @ weight[of, ky, kx]
                        )
    z = full[:, ph : full.shape[1] - ph, pw : full.shape[2] - pw]
    return z if bias is None else z + bias
