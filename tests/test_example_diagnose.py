"""The example that diagnoses networks early: what it says of 108 networks is what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


def test_most_verdicts_are_right(
    example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    found = example("diagnose").main(["--seed", "1"])
    right = sum(one.ended == one.verdict for one in found)
    assert len(found) == 108
    assert right >= 0.9 * len(found)
    healthy = [one for one in found if one.ended == "healthy"]
    assert len(healthy) >= 10
    assert all(one.verdict == "healthy" for one in healthy)  # no false alarm
    assert f"right: {right} of 108" in capsys.readouterr().out
