"""The networks of the examples train to the same bytes with any number of threads, and outlive a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import retrograd as rg

Case = tuple[Callable[[], rg.Model], Any, Any, Any]


def images(n: int, pixels: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((n, pixels), dtype=np.float32)


def autoencoder(example: Callable[[str], ModuleType], rng: np.random.Generator) -> Case:
    x = images(128, 784, rng)
    return lambda: example("autoencoder").networks(32, 0)[0], "binary_cross_entropy", x, x


def ppo(example: Callable[[str], ModuleType], rng: np.random.Generator) -> Case:
    pytest.importorskip("gymnasium")
    module, n = example("ppo_cartpole"), 256
    targets = [rng.integers(0, 2, size=n), *rng.normal(size=(3, n))]
    return lambda: module.network(0), module.ppo_loss, rng.normal(size=(n, 4)), targets


def vanishing(example: Callable[[str], ModuleType], rng: np.random.Generator) -> Case:
    module = example("vanishing")
    cure = list(module.CURES.values())[-1]
    y = rng.integers(0, 10, size=256)
    return lambda: module.network(*cure, 0), "cross_entropy", images(256, 64, rng), y


def regularisation(example: Callable[[str], ModuleType], rng: np.random.Generator) -> Case:
    module = example("regularisation")
    dropout = module.WAYS.get("dropout", {"dropout": 0.0})["dropout"]
    y = rng.integers(0, 10, size=256)
    return lambda: module.network(dropout, 0), "cross_entropy", images(256, 64, rng), y


CASES = [autoencoder, ppo, vanishing, regularisation]


def outputs(net: rg.Model, x: np.ndarray) -> list[np.ndarray]:
    found = net.predict(x)
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
def test_same_bytes_for_any_number_of_threads(
    case: Callable[..., Case], example: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    network, loss, x, y = case(example, np.random.default_rng(0))
    found = []
    for threads in (1, 2, 3, 8):
        net = network()
        trainer = rg.Trainer(net, loss, rg.Adam(1e-3), threads=threads)
        losses = [trainer.step(x, y) for _ in range(3)]
        found.append((np.array(losses).tobytes(), net.flat_parameters.tobytes(), net.to_bytes()))
    assert all(one == found[0] for one in found)

    again = rg.load(net.save(tmp_path / "net"))
    assert again.to_bytes() == net.to_bytes()
    for one, other in zip(outputs(again, x), outputs(net, x), strict=True):
        np.testing.assert_array_equal(one, other)
    trainers = [rg.Trainer(model, loss, rg.SGD(0.01)) for model in (net, again)]  # both begin anew
    assert [trainers[0].step(x, y) for _ in range(3)] == [trainers[1].step(x, y) for _ in range(3)]
    assert again.flat_parameters.tobytes() == net.flat_parameters.tobytes()
