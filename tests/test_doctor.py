"""``retrograd doctor``: what it says, and that its own checks can fail."""

from __future__ import annotations

import re

import pytest
import retrograd as rg
from retrograd import cli


def test_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^speed +[\d.]+ [MGT] multiply-adds and [\d.]+ [MG]B a second \(float32, ", shown, re.M)
    assert re.search(r"^found besides +.*\S", shown, re.M)
    assert "gradient check passed" in shown
    assert "same bytes with 1 and 2 threads after 20 steps: passed" in shown


def test_optional_packages_are_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {"sympy", "IPython", "anywidget", "websockets", "onnxruntime", "matplotlib"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in wanted or None)
    cli.main(["doctor"])
    line = re.search(r"^found besides +(.*)$", capsys.readouterr().out, re.M)
    assert line is not None
    assert set(line[1].split(", ")) == wanted


def test_bytes_that_differ_are_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Drifting(rg.Trainer):
        def step(self, *arguments: object) -> float:
            loss = super().step(*arguments)
            self.model.flat_parameters[0] += 1e-3 * self.threads_used
            return loss

    monkeypatch.setattr(rg, "Trainer", Drifting)
    assert cli.main(["doctor"]) == 1
    assert "after 20 steps: FAILED" in capsys.readouterr().out


def test_threads_that_were_not_lent_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rg.Trainer, "threads_used", property(lambda self: 1))
    assert cli._same_bytes() == "not tested, this process was lent 1"
