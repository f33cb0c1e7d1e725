"""The order of axes: channels come last here, and first in PyTorch and ONNX."""

from __future__ import annotations

__all__ = ["to_first", "to_last"]


def to_first(rank: int) -> list[int]:
    """The axes of (batch, ..., channels) in the order (batch, channels, ...); a kernel is (out, ..., in)."""
    return [0, rank - 1, *range(1, rank - 1)]


def to_last(rank: int) -> list[int]:
    """The axes of (batch, channels, ...) in the order (batch, ..., channels): the way back."""
    return [0, *range(2, rank), 1]
