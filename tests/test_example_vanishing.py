"""The gradient vanishes by the two factors of the recursion, and the cures bring it back."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest


def test_vanishing(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    module = example("vanishing")
    figures = module.main([])
    before, relu, he, *batch_norm = figures.values()

    for row in (before, relu, he):
        ratio, weight_gain, slope_gain = np.array(row["gains"]).T
        assert len(ratio) == 19
        np.testing.assert_allclose(ratio, weight_gain * slope_gain, rtol=1e-10)
        np.testing.assert_allclose(np.prod(ratio), row["deltas"][0] / row["deltas"][-1], rtol=1e-10)

    assert before["norms"][0] < 1e-6 * before["norms"][-1]
    assert max(before["accuracy"]) < 0.2
    assert max(relu["norms"]) < 1e-6  # all alike, but tiny
    assert max(relu["accuracy"]) < 0.2
    for row in (he, *batch_norm):
        assert row["norms"][0] > 0.1 * row["norms"][-1]
        assert row["accuracy"][0] > 0.9
    for row in batch_norm:
        assert row["accuracy"][1] > 0.9 > he["accuracy"][1]  # at the larger rate

    printed = capsys.readouterr().out
    for value in before["norms"]:
        assert f"{value:.2e}" in printed
