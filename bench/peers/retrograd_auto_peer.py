"""retrograd choosing the number of threads itself, up to the number that the others are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers import retrograd_peer
from bench.peers.retrograd_peer import NEEDS, variants, versions

if TYPE_CHECKING:
    from bench.peers import Prediction, Training
    from bench.work import Array, Work

__all__ = ["NEEDS", "build", "refuses", "variants", "versions"]


def refuses(work: Work) -> str:
    return "" if work.kind == "train" and work.threads != (0,) else "the same as retrograd there"


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> Training | Prediction:
    return retrograd_peer.build(work, arrays, 0, variant)
