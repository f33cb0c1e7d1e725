"""retrograd with one thread on as many CPUs as the others have: beside busy processes the system moves it to
the CPU with the most room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers import retrograd_peer
from bench.peers.retrograd_peer import NEEDS, variants, versions

if TYPE_CHECKING:
    from bench.peers import Prediction, Training
    from bench.work import Array, Work

__all__ = ["NEEDS", "build", "refuses", "variants", "versions"]


def refuses(work: Work) -> str:
    return "the row with one thread says it" if work.busy is None else ""


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> Training | Prediction:
    return retrograd_peer.build(work, arrays, 1, variant)
