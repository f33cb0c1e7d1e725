"""Each way against overfitting lowers the loss on data that was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


def test_regularisation(example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]) -> None:
    module = example("regularisation")
    means = module.main([])
    assert list(means) == list(module.WAYS)
    assert set(means) >= {"none", "L1", "L2", "early stopping"}
    unregularised = means.pop("none")
    printed = capsys.readouterr().out
    for name, loss in means.items():
        assert loss < 0.95 * unregularised, name
        assert f"{loss:.3f}" in printed
