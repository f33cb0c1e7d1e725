"""What a network is, whoever computes it: one module for each. Each has

- ``shape(work)``: of one example, without the batch;
- ``outputs(work)``: how many numbers, or classes, the network tells of an example;
- ``multiply_adds(work)``: of the forward pass of one example, all of them and those of the first product,
  whose input needs no gradient;
- ``parameters(work, rng)``: initial values by name, in the order in which weights are handed about. Names and
  layouts are retrograd's but in ``dense``, where they are "w0", "b0", "w1", ...;
- ``output(work, weights, x)``: the network in inference mode, in float64, by NumPy: it judges all libraries;
- ``small(work)``: the same kind of training with next to no memory;
- ``JUDGED``: of how many rows, at most, the loss is taken that is compared.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.work import Work

NAMES = ("dense", "batch_norm", "lenet", "transformer")


def of(work: Work) -> Any:
    """The module of its network."""
    if work.network not in NAMES:
        raise ValueError(work.network)
    return import_module(f"bench.networks.{work.network}")
