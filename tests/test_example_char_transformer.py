"""The transformer of letters: what it sees, and a short run that writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Example = Callable[[str], ModuleType]
DataFile = Callable[[str], Path]


def test_it_learns_and_writes(
    example: Example, data_file: DataFile, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(data_file("tinyshakespeare.txt")), "--letters", "60000", "--epochs", "2"]
    losses = example("char_transformer").main([*arguments, "--batch-size", "8", "--write", "150"])
    assert losses[1] < losses[0]
    assert losses[1] < 2.9  # the letters' frequencies alone reach about 3.3
    printed = capsys.readouterr().out
    assert "54,000 letters to learn from, 6,000 to be tested on" in printed
    _, _, written = printed.partition(f"validation {losses[1]:.4f} nats a letter\n")
    assert len(written) == 20 + 150 + len("\n")


def test_what_comes_later_is_not_looked_at(example: Example) -> None:
    module = example("char_transformer")
    net = module.transformer(30, 0)
    x = np.random.default_rng(0).integers(0, 30, size=(2, module.LENGTH))
    other = x.copy()
    other[:, 50:] = (other[:, 50:] + 1) % 30
    one, two = net.predict(x), net.predict(other)
    np.testing.assert_array_equal(one[:, :50], two[:, :50])
    assert (one[:, 50:] != two[:, 50:]).any(axis=-1).all()


def test_windows(example: Example) -> None:
    module = example("char_transformer")
    text = np.arange(5 * module.LENGTH)
    for start, count in ((0, 4), (7, 4), (module.LENGTH, 3)):
        x, y = module.windows(text, start)
        assert x.shape == y.shape == (count, module.LENGTH)
        np.testing.assert_array_equal(x.ravel(), text[start : start + x.size])
        np.testing.assert_array_equal(y, x + 1)
