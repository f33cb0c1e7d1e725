"""LeNet-5, run as a reader would, on fewer images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Example = Callable[[str], ModuleType]
DataFile = Callable[[str], Path]


def test_lenet(example: Example, data_file: DataFile, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(data_file("mnist.npz")), "--epochs", "2", "--rows", "8000"]
    accuracies = example("lenet").main(arguments)
    assert len(accuracies) == 2
    assert accuracies[-1] > 0.92  # of all 10,000 test images
    printed = capsys.readouterr().out
    assert "44,426 parameters" in printed
    assert f"test {accuracies[-1]:7.2%}" in printed
