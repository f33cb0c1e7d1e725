"""PyTorch through ``torch.compile``: forward, loss and backward are compiled, the optimizer is not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bench.peers.torch_peer import NEEDS, Module, TorchPrediction, TorchTraining, versions

if TYPE_CHECKING:
    from bench.work import Array, Work

__all__ = ["NEEDS", "build", "refuses", "unavailable", "variants", "versions"]


def unavailable() -> str:
    return "" if shutil.which("g++") or shutil.which("clang++") else "no C++ compiler for torch.compile"


def refuses(work: Work) -> str:
    return ""


def variants(work: Work) -> tuple[str, ...]:
    if work.kind == "predict":
        return ("compiled",)
    return ("fused", "foreach", *(("fused, channels last",) if work.network == "lenet" else ()))


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> Module:
    made = TorchPrediction if work.kind == "predict" else TorchTraining
    return made(work, arrays, threads, variant, compiled=True)
