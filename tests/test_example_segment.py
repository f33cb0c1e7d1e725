"""Segmentation: what a scene is, and a short run on a few scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Example = Callable[[str], ModuleType]
DataFile = Callable[[str], Path]


def test_segment(example: Example, data_file: DataFile, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(data_file("mnist.npz")), "--epochs", "3", "--scenes", "700"]
    test = example("segment").main(arguments)
    assert test["iou"] > 0.13  # who calls every pixel background has 0.084, and 92.7 % of the pixels
    assert test["accuracy"] > 0.936
    *_, picture = capsys.readouterr().out.partition(f"test IoU {test['iou']:.3f}")
    rows = picture.splitlines()[1:]
    assert len(rows) == 32
    assert {len(row) for row in rows} == {3 * 32 + 2 * len(" | ")}


def test_a_pixel_belongs_to_the_digit_whose_ink_it_is(example: Example) -> None:
    module = example("segment")
    digits = np.zeros((2, 28, 28), np.uint8)
    digits[0, 10:12, 10:12], digits[1, 20:22, 5:7] = 255, 200
    x, y = module.scenes(digits, np.array([3, 7]), 5, np.random.default_rng(0))
    assert x.shape == (5, 64, 64, 1)
    assert y.shape == (5, 64, 64)
    assert set(np.unique(y)) == {0, 4, 8}
    for picture, classes in zip(x[..., 0], y, strict=True):
        assert 4 <= np.count_nonzero(classes) <= 16  # two to four digits of four pixels, or one on another
        assert abs(picture[classes == 0].mean()) < 0.02
        assert picture[classes > 0].mean() > 0.6
