"""Metrics beside scikit-learn's: classes, one column, several columns, weights of classes, pixels, ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from retrograd import metrics

sk = pytest.importorskip("sklearn.metrics")

Array = np.ndarray
AVERAGES = ("macro", "weighted", "micro")
CLASSES = 5

pytestmark = pytest.mark.filterwarnings("ignore")  # of scikit-learn, for classes that nobody predicts


def scores(seed: int, rows: tuple[int, ...], classes: int = CLASSES) -> tuple[Array, Array]:
    """Labels of uneven classes, and probabilities that lean towards the right ones."""
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, size=rows, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    z = rng.normal(size=(*rows, classes)) + 1.5 * np.eye(classes)[y]
    return y, np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def yes_or_no(seed: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    y = (rng.random(shape) < 0.3).astype(np.int64)
    return y, np.clip(rng.normal(0.3 + 0.3 * y, 0.25), 0.0, 1.0).round(2)  # rounded: scores that are equal


COUNTS = {
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "iou": sk.jaccard_score,
}


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_classes(name: str, average: str) -> None:
    y, p = scores(0, (400,))
    expected = COUNTS[name](y, p.argmax(axis=1), average=average)
    assert metrics.METRICS[name](y, p, average=average) == pytest.approx(expected, abs=1e-12)
    one_hot = np.eye(CLASSES)[y]
    assert metrics.METRICS[name](one_hot.argmax(axis=1), p, average=average) == pytest.approx(expected)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_columns(name: str, average: str) -> None:
    """Several yes-or-no outputs: each column is a class of its own."""
    y, p = yes_or_no(1, (200, 4))
    expected = COUNTS[name](y, p > 0.5, average=average)
    assert metrics.METRICS[name](y, p, average=average) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_yes_or_no(name: str) -> None:
    y, p = yes_or_no(2, (300,))
    expected = COUNTS[name](y, p > 0.5)
    for shape in ((300,), (300, 1)):
        for average in ("auto", "binary"):
            found = metrics.METRICS[name](y.reshape(shape), p.reshape(shape), average=average)
            assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", COUNTS)
def test_a_class_that_is_missing(name: str) -> None:
    """Neither true nor predicted: it has no value, as in scikit-learn, whose labels are those that occur."""
    y, p = scores(3, (200,))
    y, p = y[y != 2], p[y != 2].copy()
    p[:, 2] = 0.0
    for average in AVERAGES:
        expected = COUNTS[name](y, p.argmax(axis=1), average=average)
        assert metrics.METRICS[name](y, p, average=average) == pytest.approx(expected, abs=1e-12)
    p[:, 0] = 0.0  # true but never predicted: 0, and counted
    for average in AVERAGES:
        expected = COUNTS[name](y, p.argmax(axis=1), average=average, zero_division=0)
        assert metrics.METRICS[name](y, p, average=average) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_pixels(name: str, average: str) -> None:
    """Labels [batch, h, w] and a score for each class: every pixel is a sample."""
    y, p = scores(4, (3, 8, 9))
    expected = COUNTS[name](y.ravel(), p.argmax(axis=-1).ravel(), average=average)
    assert metrics.METRICS[name](y, p, average=average) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_yes_or_no_pixels(name: str) -> None:
    y, p = yes_or_no(5, (3, 8, 9, 1))
    expected = COUNTS[name](y.ravel(), p.ravel() > 0.5)
    assert metrics.METRICS[name](y, p) == pytest.approx(expected, abs=1e-12)
    assert metrics.METRICS[name](y[..., 0], p) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(400,), (20, 20), (4, 10, 10)])
def test_accuracies(shape: tuple[int, ...]) -> None:
    y, p = scores(6, shape)
    flat = p.reshape(-1, CLASSES)
    assert metrics.accuracy(y, p) == pytest.approx(sk.accuracy_score(y.ravel(), flat.argmax(axis=1)))
    for k in (1, 2, 3, CLASSES):
        expected = sk.top_k_accuracy_score(y.ravel(), flat, k=k, labels=range(CLASSES))
        assert metrics.top_k_accuracy(y, p, k=k) == pytest.approx(expected)
    t, q = yes_or_no(7, shape)
    assert metrics.binary_accuracy(t, q) == pytest.approx(sk.accuracy_score(t.ravel(), q.ravel() > 0.5))


def test_auc() -> None:
    y, p = yes_or_no(8, (500,))
    assert metrics.auc(y, p) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-12)
    assert metrics.auc(y, 100.0 * p - 30.0) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-12)
    columns, q = yes_or_no(9, (200, 4))
    labels, s = scores(10, (300,))
    for average in AVERAGES:
        found = metrics.auc(columns, q, average=average)
        assert found == pytest.approx(sk.roc_auc_score(columns, q, average=average), abs=1e-12)
        found = metrics.auc(labels, s, average=average)
        expected = sk.roc_auc_score(labels, s, average=average, multi_class="ovr")
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3), (10, 4, 5)])
def test_how_far_off(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(11)
    y = rng.normal(size=shape)
    z = y + 0.3 * rng.normal(size=shape)
    flat: Any = (y.reshape(shape[0], -1), z.reshape(shape[0], -1))
    assert metrics.mean_squared_error(y, z) == pytest.approx(sk.mean_squared_error(*flat), rel=1e-12)
    assert metrics.mean_absolute_error(y, z) == pytest.approx(sk.mean_absolute_error(*flat), rel=1e-12)


def test_r2() -> None:
    """Several columns share one sum of squares: scikit-learn's variance_weighted."""
    rng = np.random.default_rng(12)
    for columns in (1, 3):
        y = rng.normal(size=(80, columns)) * np.arange(1, columns + 1)
        z = y + 0.5 * rng.normal(size=y.shape)
        expected = sk.r2_score(y, z, multioutput="variance_weighted")
        assert metrics.r2(y, z) == pytest.approx(expected, rel=1e-12)
    same = np.ones(5)
    assert metrics.r2(same, same) == sk.r2_score(same, same) == 1.0
    assert metrics.r2(same, same + 1) == sk.r2_score(same, same + 1) == 0.0


def test_auc_of_pixels() -> None:
    y, p = yes_or_no(13, (3, 8, 9, 1))
    expected = sk.roc_auc_score(y.ravel(), p.ravel())
    assert metrics.auc(y, p) == pytest.approx(expected, abs=1e-12)
    assert metrics.auc(y[..., 0], p) == pytest.approx(expected, abs=1e-12)
