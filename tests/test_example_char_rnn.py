"""examples/char_rnn.py on a few names: what it feeds, what its loss means, what it invents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import retrograd as rg

Example = Callable[[str], ModuleType]


@pytest.fixture
def module(example: Example) -> ModuleType:
    return example("char_rnn")


def test_it_learns_and_invents(
    module: ModuleType, data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(data_file("names.txt")), "--epochs", "2", "--names", "5000", "--units", "32"]
    training, held_out, invented = module.main(arguments)
    assert len(training) == len(held_out) == 2
    assert training[1] < training[0] < np.log(27)
    assert held_out[1] < 2.7  # the letters' frequencies alone reach about 2.8
    assert len(invented) == 20
    assert set("".join(invented)) <= set(module.LETTERS[1:])
    printed = capsys.readouterr().out
    assert "4,500 names to train, 500 held out" in printed
    assert f"held out {held_out[1]:.3f}" in printed
    assert ", ".join(invented) in printed
    assert module.main(arguments) == (training, held_out, invented)


def test_what_is_read_and_what_follows(module: ModuleType) -> None:
    read, real, following = module.encode(["emma", "bo"], 6)
    spelt = ["".join(module.LETTERS[i] for i in row) for row in read]
    assert spelt == [".emma.", ".bo..."]
    assert real.sum(axis=1).tolist() == [5, 3]
    assert "".join(module.LETTERS[i] for i in following[0, :5]) == "emma."
    assert following[1].tolist() == [2, 15, 0, module.PADDING, module.PADDING, module.PADDING]


def test_the_loss_is_per_letter(module: ModuleType) -> None:
    """The mean over the letters that exist, whatever the length of the names, the padding and the batches."""
    names = ["emma", "bo", "maximilian", "io"]
    net = module.build(11, units=8, seed=1)
    read, real, following = module.encode(names, 11)
    scores = net.predict([read, real]).astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    rows, steps = np.nonzero(real)
    expected = -log_p[rows, steps, following[rows, steps]].mean()
    assert len(rows) == sum(map(len, names)) + len(names)
    for batch_size in (4, 3, 1):
        found = rg.Trainer(net, loss="cross_entropy").evaluate([read, real], following, batch_size=batch_size)
        assert found["loss"] == pytest.approx(expected, rel=1e-5)
