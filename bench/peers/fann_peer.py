"""FANN, a C library: only the tiny network, which is what its row-by-row training is for."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bench.work import Array, Work

NEEDS: tuple[str, ...] = ()


@cache
def _library() -> Path | str:
    """Where the compiled loop is, or why it is not."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        return "no C compiler"
    folder = Path(tempfile.gettempdir()) / f"retrograd-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    made = folder / "libbench_fann.so"
    source = Path(__file__).with_name("fann.c")
    flags = ["-O3", "-march=native", "-shared", "-fPIC"]
    command = [compiler, *flags, str(source), "-o", str(made), "-lfloatfann"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return "FANN does not compile (is its development package installed?)"
    return made


def unavailable() -> str:
    found = _library()
    return found if isinstance(found, str) else ""


def versions() -> dict[str, str]:
    done = subprocess.run(["pkg-config", "--modversion", "fann"], capture_output=True, text=True, check=False)
    return {"FANN": done.stdout.strip() or "unknown"}


def refuses(work: Work) -> str:
    return "" if work.row == "W1" else "only the tiny network, W1"


def variants(work: Work) -> tuple[str, ...]:
    return ("fann_train",)


class _Training:
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        library = ctypes.CDLL(str(_library()))
        library.bench_make.restype = ctypes.c_void_p
        library.bench_make.argtypes = [ctypes.c_uint] * 3 + [ctypes.c_float]
        for name in ("bench_set", "bench_get"):
            getattr(library, name).argtypes = [ctypes.c_void_p] * 2
        library.bench_run.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_uint] * 2
        library.bench_free.argtypes = [ctypes.c_void_p]
        self.library: Any = library
        self.work = work
        self.x, self.y = arrays["x"], arrays["y"]
        self.shapes = [arrays[f"w{k}"].shape for k in range(2)]
        rows = [np.column_stack([arrays[f"w{k}"], arrays[f"b{k}"]]).ravel() for k in range(2)]
        self.given = np.concatenate(rows).astype(np.float32)
        self.net: Any = None
        self.reset()

    def reset(self) -> None:
        if self.net:
            self.library.bench_free(self.net)
        self.net = self.library.bench_make(*self.work.sizes, self.work.lr)
        self.library.bench_set(self.net, self.given.ctypes.data)

    def run(self, epochs: int) -> None:
        self.library.bench_run(self.net, self.x.ctypes.data, self.y.ctypes.data, self.work.rows, epochs)

    def weights(self) -> list[Array]:
        got = np.empty_like(self.given)
        self.library.bench_get(self.net, got.ctypes.data)
        parts, place = [], 0
        for out, inputs in self.shapes:
            block = got[place : place + out * (inputs + 1)].reshape(out, inputs + 1)
            parts += [block[:, :-1].copy(), block[:, -1].copy()]
            place += block.size
        return parts


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> _Training:
    return _Training(work, arrays)
