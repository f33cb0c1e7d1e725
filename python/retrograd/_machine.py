"""What this machine does at most: multiply-adds and bytes a second, and the time of the smallest step."""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from retrograd._arguments import Record
from retrograd._core import available_threads
from retrograd._table import bytes_text, count_text
from retrograd.graph import Input
from retrograd.layers import Dense
from retrograd.model import Sequential
from retrograd.optim import SGD
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Machine", "Seconds", "copy_rate", "machine", "median_time", "smallest"]

PRODUCT = 512  # rows and columns of the matrices whose product is timed
FAR = 2**26  # bytes that lie in no cache


class Machine(Record):
    """The roofline: what this machine does at most, measured with the library's own kernels.

    Attributes
    ----------
    dtype, threads
        For which this holds.
    multiply_adds
        A second, in the product of two matrices of 512 rows and columns, by one thread or all of them.
    bytes
        A second, read and written, in a copy of 64 MiB.
    """

    dtype: str
    threads: int
    multiply_adds: float
    bytes: float

    def __init__(self, dtype: str, threads: int, multiply_adds: float, bytes: float) -> None:
        self._set(dtype=dtype, threads=threads, multiply_adds=multiply_adds, bytes=bytes)

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{count_text(self.multiply_adds)} multiply-adds and {bytes_text(self.bytes)} a second "
            f"({self.dtype}, {threads})"
        )


class Seconds(Record):
    """Of a prediction and of a training step."""

    forward: float
    step: float

    def __init__(self, forward: float, step: float) -> None:
        self._set(forward=forward, step=step)


@cache
def machine(dtype: str = "float32", threads: int = 0) -> Machine:
    """Measure the machine's roofline; once a process for each dtype and number of threads (0: all)."""
    threads = threads or available_threads()
    net = Sequential([Input(PRODUCT), Dense(PRODUCT, use_bias=False)], dtype=dtype)
    x = [np.ones((PRODUCT, PRODUCT), dtype)]
    out = [np.empty_like(x[0])]

    def best_of(members: int) -> float:
        return min(_times(lambda: net._core.predict(x, PRODUCT, members, out), 0.04))

    # beside busy processes several threads may be slower than one
    best = min(best_of(members) for members in {1, threads})
    return Machine(dtype, threads, PRODUCT**3 / best, copy_rate(FAR))


def copy_rate(size: int) -> float:
    """Bytes a second, read and written, in a copy between two arrays that fill ``size`` together.

    The next power of 2 is measured, 64 kiB to 64 MiB, each once a process.
    """
    bits = min(max(int(size) - 1, 2**16 - 1).bit_length(), FAR.bit_length() - 1)
    return _rate_of_copies(2**bits)


@cache
def _rate_of_copies(size: int) -> float:
    source = np.ones(size // 16)
    target = np.zeros_like(source)
    repeat = max(1, 2**20 // size)

    def copies() -> None:
        for _ in range(repeat):
            np.copyto(target, source)

    return repeat * size / min(_times(copies, 0.02))


@cache
def smallest() -> Seconds:
    """What a prediction and a step take where there is next to nothing to compute."""
    net = Sequential([Input(1), Dense(1)])
    trainer = Trainer(net, "mse", SGD(0.0))
    x, y = [np.ones((1, 1), np.float32)], [np.ones((1, 1), np.float32)]
    return Seconds(
        median_time(lambda: net._core.predict(x, 1, 1, None), 0.01),
        median_time(lambda: trainer.step(x, y), 0.01),
    )


def _times(run: Callable[[], object], seconds: float) -> list[float]:
    """The times of repeated runs, at least 3, after one that is not counted."""
    run()
    times: list[float] = []
    started = perf_counter()
    while len(times) < 3 or perf_counter() - started < seconds:
        before = perf_counter()
        run()
        times.append(perf_counter() - before)
    return times


def median_time(run: Callable[[], object], seconds: float) -> float:
    """The median of the times of repeated runs, in as many seconds."""
    return float(np.median(_times(run, seconds)))
