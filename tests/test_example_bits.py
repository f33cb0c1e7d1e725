"""The networks of the examples train to the same bytes with any number of threads, and outlive a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import retrograd as rg

Example = Callable[[str], ModuleType]
Rng = np.random.Generator


@dataclass
class Case:
    """A network as its example builds it, its loss, and one batch of numbers as they might be."""

    network: Callable[[], rg.Model]
    loss: Any
    x: Any
    y: Any
    tiny: bool = False  # too small to be worth a second thread: it gets one, whatever is asked for


def pictures(n: int, rng: Rng) -> np.ndarray:
    return rng.integers(0, 256, size=(n, 28, 28, 1), dtype=np.uint8)


def numbers(n: int, features: int, rng: Rng) -> np.ndarray:
    return rng.random((n, features), dtype=np.float32)


def digits(n: int, rng: Rng) -> np.ndarray:
    return rng.integers(0, 10, size=n)


def mnist(example: Example, rng: Rng) -> Case:
    x = pictures(128, rng).reshape(-1, 784)
    return Case(lambda: example("mnist").network(0), "cross_entropy", x, digits(128, rng))


def california(example: Example, rng: Rng) -> Case:
    x, y = numbers(128, 14, rng), rng.normal(size=128)
    return Case(lambda: example("california").network(14, 0), "mean_squared_error", x, y)


def perceptron(example: Example, rng: Rng) -> Case:
    module = example("perceptron")
    return Case(module.two_layer_network, "hinge", module.X, module.XOR, tiny=True)


def lenet(example: Example, rng: Rng) -> Case:
    return Case(example("lenet").network, "cross_entropy", pictures(64, rng), digits(64, rng))


def resnet(example: Example, rng: Rng) -> Case:
    return Case(example("resnet").network, "cross_entropy", pictures(64, rng), digits(64, rng))


def segment(example: Example, rng: Rng) -> Case:
    module = example("segment")
    x, y = module.scenes(pictures(8, rng)[..., 0], digits(8, rng), 2, rng)
    return Case(module.network, "cross_entropy", x, y)


def transfer(example: Example, rng: Rng) -> Case:
    module = example("transfer")
    y = rng.integers(0, 5, size=100)
    old = module.network(5, 0)
    return Case(lambda: module.with_new_head(old, 5, 1), "cross_entropy", pictures(100, rng), y)


def char_rnn(example: Example, rng: Rng) -> Case:
    module = example("char_rnn")
    names = ["".join(rng.choice(list("aeilmno"), rng.integers(1, 8))) for _ in range(64)]
    read, real, following = module.encode(names, 8)
    return Case(lambda: module.build(8, 128, 0), "cross_entropy", [read, real], following)


def char_transformer(example: Example, rng: Rng) -> Case:
    module = example("char_transformer")
    x, y = module.windows(rng.integers(0, 65, size=2 * module.LENGTH + 1), 0)
    return Case(lambda: module.transformer(65, 0), "cross_entropy", x, y)


def recommender(example: Example, rng: Rng) -> Case:
    """Sixty-four times its own batch, which one thread looks up faster than two."""
    n = 64 * 256
    x = [rng.integers(0, 943, size=n), rng.integers(0, 1682, size=n)]
    y = rng.integers(1, 6, size=n)
    return Case(lambda: example("recommender").build(943, 1682, 3.5, 0), "mean_squared_error", x, y)


def ppo(example: Example, rng: Rng) -> Case:
    pytest.importorskip("gymnasium")
    module, n = example("ppo_cartpole"), 256
    targets = [rng.integers(0, 2, size=n), *rng.normal(size=(3, n))]
    return Case(lambda: module.network(0), module.ppo_loss, rng.normal(size=(n, 4)), targets)


def autoencoder(example: Example, rng: Rng) -> Case:
    x = numbers(128, 784, rng)
    return Case(lambda: example("autoencoder").networks(32, 0)[0], "binary_cross_entropy", x, x)


def vanishing(example: Example, rng: Rng) -> Case:
    module = example("vanishing")
    cure = module.CURES["+ batch norm"]
    return Case(lambda: module.network(*cure, 0), "cross_entropy", numbers(256, 64, rng), digits(256, rng))


def regularisation(example: Example, rng: Rng) -> Case:
    module = example("regularisation")
    dropout = module.WAYS["dropout"]["dropout"]
    x, y = numbers(256, 64, rng), digits(256, rng)
    return Case(lambda: module.network(dropout, 0), "cross_entropy", x, y)


CASES = [
    mnist,
    california,
    perceptron,
    lenet,
    resnet,
    segment,
    transfer,
    char_rnn,
    char_transformer,
    recommender,
    ppo,
    autoencoder,
    vanishing,
    regularisation,
]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def case(request: pytest.FixtureRequest, example: Example) -> Case:
    made: Case = request.param(example, np.random.default_rng(0))
    return made


def train(net: rg.Model, case: Case, steps: int, threads: int = 1) -> tuple[bytes, bytes]:
    """The losses, and what a file would hold: every parameter and buffer."""
    trainer = rg.Trainer(net, case.loss, rg.Adam(1e-3), threads=threads)
    losses = [trainer.step(case.x, case.y) for _ in range(steps)]
    assert trainer.threads_used == (1 if case.tiny else threads)
    return np.array(losses).tobytes(), net.to_bytes()


def test_same_bytes_for_any_number_of_threads(case: Case) -> None:
    untrained = case.network().to_bytes()
    found = {threads: train(case.network(), case, 3, threads) for threads in range(1, 9)}
    assert found[1][1] != untrained
    assert [threads for threads in found if found[threads] != found[1]] == []


def test_save_load_and_continue(case: Case, tmp_path: Path) -> None:
    net = case.network()
    train(net, case, 2)
    again = rg.load(net.save(tmp_path / "net"))
    assert again.to_bytes() == net.to_bytes()
    saved = net.to_bytes()
    assert train(again, case, 2) == train(net, case, 2)
    assert net.to_bytes() != saved
