"""The transfer example, run as a reader would, but shorter."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest


def test_transfer(
    examples_folder: Path, data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("example_transfer", examples_folder / "transfer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main([str(data_file("mnist.npz")), "--epochs", "1", "--choices", "3"])
    assert "with transfer   without" in capsys.readouterr().out
    assert list(found) == [1, 3, 10, 30]
    assert found[3][0] > found[3][1]
    assert sum(transferred - anew for transferred, anew in found.values()) > 0.03
