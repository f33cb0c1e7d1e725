"""The examples are the first thing a reader runs, so each is run here as a reader would."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Example = Callable[[str], ModuleType]


def test_the_table_has_every_example(examples_folder: Path) -> None:
    table = (examples_folder / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\w+\.py)\]\(\1\) \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in examples_folder.glob("*.py"))


def test_by_hand(example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("by_hand").main()
    printed = capsys.readouterr().out
    assert len(numbers) == 15
    for name, (by_numpy, by_retrograd) in numbers.items():
        np.testing.assert_allclose(by_retrograd, by_numpy, rtol=0, atol=1e-12, err_msg=name)
        assert name in printed


def test_xor(example: Example) -> None:
    probability = example("xor").main()
    np.testing.assert_allclose(probability, [0, 1, 1, 0], atol=0.05)


def test_mnist(example: Example, data_file: Callable[[str], Path]) -> None:
    accuracies = example("mnist").main([str(data_file("mnist.npz")), "--epochs", "2"])
    assert len(accuracies) == 2
    assert accuracies[-1] > 0.95


def test_california(example: Example, data_file: Callable[[str], Path]) -> None:
    rmse = example("california").main([str(data_file("california_housing.csv")), "--epochs", "15"])
    assert 40_000 < rmse < 62_000  # a straight line through the same features reaches about 68,000


def test_california_reads_the_same_table_without_pandas(
    example: Example, data_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    path, module = str(data_file("california_housing.csv")), example("california")
    with_pandas = module.read_table(path)
    monkeypatch.setitem(sys.modules, "pandas", None)  # what makes Python raise ImportError
    without = module.read_table(path)
    assert list(with_pandas) == list(without)
    for name, values in without.items():
        np.testing.assert_array_equal(with_pandas[name], values)


@pytest.mark.parametrize("name", ["by_hand", "xor"])
def test_runs_as_a_program(examples_folder: Path, name: str) -> None:
    result = subprocess.run(
        [sys.executable, examples_folder / f"{name}.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert result.stderr == ""
