"""The gallery draws each picture of rg.plot that needs no other module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import retrograd as rg
from figures import untouched  # noqa: F401


def test_plots(
    example: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = example("plots").main([str(tmp_path / "pictures")])
    assert {path.stem for path in written} == {*rg.plot.__all__, "way_of_the_training"} - {"graph"}
    assert len(capsys.readouterr().out.splitlines()) == len(written)
    for path in written:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 5000
