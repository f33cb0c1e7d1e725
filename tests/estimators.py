"""What the tests of the estimators have in common: their data, and how two of them are compared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.datasets import load_digits

Array = np.ndarray
Classifier, Regressor = rg.sklearn.MLPClassifier, rg.sklearn.MLPRegressor
TIGHT = {"rtol": 0.0, "atol": 1e-10}

DIGITS, DIGIT = load_digits(return_X_y=True)
X, Y = DIGITS[:305] / 16.0, DIGIT[:305]  # 305: a last batch of its own size
BINARY = Y > 4
LABELS = (Y[:, None] > np.array([1, 4, 7])).astype(int)
NUMBERS = np.sin(X[:, 20] * 3.0) + X[:, 30]
SEVERAL = np.stack([NUMBERS, 2.0 * X[:, 10], X[:, 40] - 1.0], axis=1)
WEIGHTS = np.random.default_rng(0).integers(0, 4, len(Y)).astype(float)


def same_weights(ours: Any, other: Any, **tolerance: float) -> None:
    for mine, yours in zip(ours.coefs_ + ours.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(mine, yours, **(tolerance or TIGHT))


def same_bits(a: Any, b: Any) -> None:
    assert a.model_.flat_parameters.tobytes() == b.model_.flat_parameters.tobytes()


def run(program: str, folder: Path, **environment: str) -> str:
    """What a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
