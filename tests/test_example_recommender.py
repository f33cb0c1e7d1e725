"""The recommender, run as a reader would: shorter, and still better than what its figure promises."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest


def test_recommender(
    examples_folder: Path, data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("example_recommender", examples_folder / "recommender.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rmse = module.main([str(data_file("movielens_100k.npz")), "--epochs", "5"])
    assert 0.8 < rmse < 0.94
    printed = capsys.readouterr().out
    assert f"test RMSE {rmse:.4f}" in printed
    assert "always the mean: 1.1" in printed
