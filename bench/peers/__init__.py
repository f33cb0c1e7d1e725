"""One module for each implementation. Each has

- ``NEEDS``: the packages it imports, by which it is found;
- ``versions()``: what of them is here;
- ``refuses(work)``: why it cannot do a row, or "";
- ``variants(work)``: ways of doing it that are worth trying, the usual one first: the fastest counts;
- ``build(work, arrays, threads, variant)``: a ``Training`` or a ``Prediction``; ``threads`` 0 leaves the
  choice to the library.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bench.work import Array

# name -> module; the order of columns in the tables
MODULES = {
    "retrograd": "retrograd_peer",
    "retrograd-auto": "retrograd_auto_peer",
    "retrograd-one": "retrograd_one_peer",
    "numpy": "numpy_peer",
    "sklearn": "sklearn_peer",
    "torch": "torch_peer",
    "torch-compile": "torch_compile_peer",
    "jax": "jax_peer",
    "fann": "fann_peer",
}
OURS = ("retrograd", "retrograd-auto", "retrograd-one")
TITLES = {
    "numpy": "NumPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch",
    "torch-compile": "PyTorch compiled",
    "jax": "JAX",
    "fann": "FANN",
}
# what a reader may look for and this harness does not run
NOT_RUN = {
    "KANN, genann, tinn": "C sources, not packaged by distributions; none is copied or downloaded here",
    "onnxruntime": "prediction only, and needs a model file made by a further package",
    "SimpleChains.jl": "needs Julia",
}


class Training(Protocol):
    """Trains from the given weights, over and over."""

    def reset(self) -> None:
        """The given weights again, and an optimizer that remembers nothing."""

    def run(self, epochs: int) -> None:
        """Trains; returns when all is computed."""

    def weights(self) -> list[Array]:
        """w0 (out, in), b0, w1, ..."""


class Prediction(Protocol):
    """Predicts one row after the other."""

    def reset(self) -> None:
        """Nothing to do."""

    def run(self, epochs: int) -> None:
        """Predicts every row, one by one, ``epochs`` times."""

    def outputs(self) -> Array:
        """What it predicts for every row."""


def module(name: str) -> Any:
    """The module of an implementation."""
    return import_module(f"bench.peers.{MODULES[name]}")


def missing(name: str) -> str:
    """Why an implementation cannot run here, or "". Imports none of the libraries."""
    peer = module(name)
    absent = [package for package in peer.NEEDS if find_spec(package) is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    reason: str = peer.unavailable() if hasattr(peer, "unavailable") else ""
    return reason
