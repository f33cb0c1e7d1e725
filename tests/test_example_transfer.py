"""Transfer, run as a reader would but shorter, and what is frozen in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import retrograd as rg

Example = Callable[[str], ModuleType]
DataFile = Callable[[str], Path]


def test_transfer(example: Example, data_file: DataFile, capsys: pytest.CaptureFixture[str]) -> None:
    found = example("transfer").main([str(data_file("mnist.npz")), "--epochs", "1", "--choices", "3"])
    assert list(found) == [1, 5, 20, 100]
    gains = {shots: transferred - anew for shots, (transferred, anew) in found.items()}
    assert gains[5] > 0.02
    assert gains[20] > 0.01
    assert found[20][0] > 0.8
    assert "with transfer   without" in capsys.readouterr().out


def test_the_convolutions_are_carried_over_and_stay(example: Example) -> None:
    module = example("transfer")
    old = module.network(5, 0)
    net = module.with_new_head(old, 3, 1)
    carried = [f"{layer}.{role}" for layer in ("strokes", "forms") for role in ("weight", "bias")]
    assert list(net.frozen) == carried
    head = net.parameters["new_hidden.weight"].copy()

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, size=(30, 28, 28, 1), dtype=np.uint8), rng.integers(0, 3, size=30)
    rg.Trainer(net, "cross_entropy", rg.Adam(1e-3)).step(x, y)
    for name in carried:
        np.testing.assert_array_equal(net.parameters[name], old.parameters[name])
    assert (net.parameters["new_hidden.weight"] != head).any()
