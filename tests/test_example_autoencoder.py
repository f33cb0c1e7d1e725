"""A code by a network is better than one of the same size by PCA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


def test_autoencoder(
    example: Callable[[str], ModuleType],
    data_file: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = tmp_path / "digits.pgm"
    arguments = [str(data_file("mnist.npz")), "--epochs", "2", "--pgm", str(picture)]
    figures = example("autoencoder").main(arguments)
    assert figures["autoencoder"] < 0.7 * figures["pca"]
    assert f"{figures['pca']:.5f}" in capsys.readouterr().out

    header, pixels = picture.read_bytes().split(b"\n", 1)
    assert header == b"P5 280 84 255"
    assert len(pixels) == 280 * 84


def test_pca_with_all_directions_loses_nothing(example: Callable[[str], ModuleType]) -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)) @ np.diag([5, 4, 3, 2, 1, 0.5])
    pca = example("autoencoder").pca
    np.testing.assert_allclose(pca(x, x, 6), x, atol=1e-12)
    errors = [float(np.mean((pca(x, x, code) - x) ** 2)) for code in range(1, 6)]
    assert errors == sorted(errors, reverse=True)
    left = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[2:]  # what two directions leave
    assert errors[1] == pytest.approx(np.sum(left**2) / x.size)
