"""Layers that make images smaller or larger without weights; images are [batch, height, width, channels]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from retrograd._arguments import integer, unknown
from retrograd.errors import ArgumentError
from retrograd.layers.base import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    Pair: TypeAlias = int | Sequence[int]

__all__ = ["AvgPool2D", "GlobalAvgPool2D", "MaxPool2D", "UpSample2D"]

_MODES = ("nearest", "bilinear")


def _pair(who: str, value: Any, low: int) -> list[int]:
    """One number for rows and columns, or one for each."""
    if isinstance(value, str) or not isinstance(value, list | tuple | np.ndarray):
        return [integer(who, value, low)] * 2
    if len(value) != 2:
        raise ArgumentError(
            f"{who}: expected a number or two of them, for rows and columns; got {tuple(value)!r}"
        )
    return [integer(who, n, low) for n in value]


def _as_given(value: Pair) -> Pair:
    """Something that is shown as it was given, and that nobody else can change."""
    return value if isinstance(value, int) else tuple(int(n) for n in value)


class _Pool(Layer):
    """What the windows of ``MaxPool2D`` and ``AvgPool2D`` share."""

    size: Pair
    stride: Pair | None
    padding: Pair

    def _windows(self, kind: str, size: Pair, stride: Pair | None, padding: Pair, name: str | None) -> None:
        who = name if isinstance(name, str) and name else type(self).__name__
        sizes = _pair(f"{who}: size", size, 1)
        strides = sizes if stride is None else _pair(f"{who}: stride", stride, 1)
        paddings = _pair(f"{who}: padding", padding, 0)
        for n, pad in zip(sizes, paddings, strict=True):
            if pad > n // 2:
                raise ArgumentError(
                    f"{who}: padding {pad} is more than half of size {n}, so that windows could lie outside "
                    f"of the image; use at most {n // 2}"
                )
        self._set(
            size=_as_given(size),
            stride=None if stride is None else _as_given(stride),
            padding=_as_given(padding),
            name=name,
        )
        self._build(kind, {"size": sizes, "stride": strides, "padding": paddings})


class MaxPool2D(_Pool):
    """The largest of each window, channel by channel.

    a[i, j] = max x[i stride - padding + k, j stride - padding + l] over 0 <= k, l < size

    [batch, h, w, c] -> [batch, (h + 2 padding - size) // stride + 1, the same of w, c]. Padding is never the
    largest. Among equals the first one has the derivative, and a NaN is handed on, as in PyTorch.

    Parameters
    ----------
    size, stride, padding
        A number, or two of them for rows and columns. No stride means ``size``: windows side by side. What is
        left at the end, too narrow for a window, is left out.

    Raises
    ------
    ArgumentError
        size or stride below 1, or padding of more than half the size.
    ShapeError
        Not images, or images smaller than a window (when called).
    """

    def __init__(
        self, size: Pair, stride: Pair | None = None, padding: Pair = 0, name: str | None = None
    ) -> None:
        self._windows("max_pool2d", size, stride, padding, name)


class AvgPool2D(_Pool):
    """The mean of each window, channel by channel.

    a[i, j] = 1 / size^2 sum x[i stride - padding + k, j stride - padding + l] over 0 <= k, l < size

    [batch, h, w, c] -> [batch, (h + 2 padding - size) // stride + 1, the same of w, c]. Padding counts as
    zeros, as in PyTorch (``count_include_pad=True``).

    Parameters
    ----------
    size, stride, padding
        A number, or two of them for rows and columns. No stride means ``size``: windows side by side. What is
        left at the end, too narrow for a window, is left out.

    Raises
    ------
    ArgumentError
        size or stride below 1, or padding of more than half the size.
    ShapeError
        Not images, or images smaller than a window (when called).
    """

    def __init__(
        self, size: Pair, stride: Pair | None = None, padding: Pair = 0, name: str | None = None
    ) -> None:
        self._windows("avg_pool2d", size, stride, padding, name)


class GlobalAvgPool2D(Layer):
    """The mean of each channel over the whole image (Lin et al., 2014). [batch, h, w, c] -> [batch, c]

    Raises
    ------
    ShapeError
        Not images (when called).
    """

    def __init__(self, name: str | None = None) -> None:
        self._set(name=name)
        self._build("global_avg_pool2d", {})


class UpSample2D(Layer):
    """Images that are ``factor`` times as high and as wide. [batch, h, w, c] -> [batch, h f, w f, c]

    ``"nearest"`` repeats each pixel; ``"bilinear"`` weighs the four nearest ones: a[i, j] = sum of w(i, k)
    w(j, l) x[k, l] with w(i, k) = max(0, 1 - |s - k|), s = (i + 1/2) / factor - 1/2 kept within the image.
    Those are PyTorch's Upsample with ``align_corners=False``.

    Parameters
    ----------
    factor
        A number, or two of them for rows and columns.
    mode
        ``"nearest"`` or ``"bilinear"``.

    Raises
    ------
    ArgumentError
        factor below 1, or an unknown mode.
    ShapeError
        Not images (when called).
    """

    factor: Pair
    mode: str

    def __init__(self, factor: Pair, mode: str = "nearest", name: str | None = None) -> None:
        who = name if isinstance(name, str) and name else "UpSample2D"
        factors = _pair(f"{who}: factor", factor, 1)
        if mode not in _MODES:
            raise unknown(f"{who}: mode", mode, _MODES)
        self._set(factor=_as_given(factor), mode=mode, name=name)
        self._build("up_sample2d", {"factor": factors, "mode": mode})
