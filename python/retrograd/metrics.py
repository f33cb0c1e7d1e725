"""Metrics: what a whole pass over the data came to, as one number.

A metric is a function ``f(y_true, y_pred) -> float`` of two arrays with one row per sample. A trainer calls
it once per pass with everything it saw, never batch by batch, since most metrics of a whole are not the mean
of their parts. It is given probabilities wherever the loss makes probabilities of the output (so 0.5 is the
threshold for logits too), and the output itself otherwise.

All axes but that of the classes (or columns), which is the last one, count samples: the pixels of images too.
Counts of hits and misses for several classes are joined by ``average=``: ``"macro"`` is the mean over
classes, ``"weighted"`` the mean weighted by how often each class is true, ``"micro"`` counts all classes in
one pot and ``"binary"`` is for one column of yes or no. ``"auto"``: binary for one column, else macro. A
class that neither occurs nor is predicted has no value and is left out of the mean; without any the result is
0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import unknown
from retrograd.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from retrograd._core import Array

    Metric = Callable[[Any, Any], Any]

__all__ = [
    "accuracy",
    "auc",
    "binary_accuracy",
    "f1",
    "iou",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2",
    "recall",
    "top_k_accuracy",
]

_AVERAGES = ("auto", "binary", "macro", "weighted", "micro")


# --------------------------------------------------------------------------------- right or wrong


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """The share of samples whose class is right.

    Parameters
    ----------
    y_true
        Labels [n, ...], one row of probabilities per label [n, ..., classes], or 0 and 1.
    y_pred
        A score for each class [n, ..., classes] (the largest counts), one probability (above 0.5 is 1), or
        labels.

    Raises
    ------
    ShapeError
        The two do not fit together.
    """
    true, predicted = _arrays("accuracy", y_true, y_pred)
    if _has_classes(true, predicted):
        if true.ndim == predicted.ndim:
            true = true.argmax(axis=-1)
        return float(np.mean(predicted.argmax(axis=-1) == true))
    true, predicted = _same_shape("accuracy", true, predicted)
    if predicted.dtype.kind in "iu":
        return float(np.mean(predicted == true))
    return float(np.mean((predicted > 0.5) == (true > 0.5)))


def top_k_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> float:
    """The share of samples where fewer than k classes score above the right one. [n], [n, classes]

    Raises
    ------
    ShapeError
        y_pred has no axis of classes.
    """
    true, predicted = _arrays("top_k_accuracy", y_true, y_pred)
    if not _has_classes(true, predicted):
        raise ShapeError(
            f"top_k_accuracy: y_pred has shape {predicted.shape}, expected (n, classes) for labels "
            f"{true.shape}"
        )
    if true.ndim == predicted.ndim:
        true = true.argmax(axis=-1)
    right = np.take_along_axis(predicted, true[..., None].astype(np.int64), axis=-1)
    return float(np.mean((predicted > right).sum(axis=-1) < k))


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """The share of entries on the right side of 0.5.

    Raises
    ------
    ShapeError
        Two different shapes.
    """
    true, predicted = _same_shape("binary_accuracy", *_arrays("binary_accuracy", y_true, y_pred))
    return float(np.mean((predicted > 0.5) == (true > 0.5)))


def precision(y_true: ArrayLike, y_pred: ArrayLike, average: str = "auto") -> float:
    """Hits / (hits + false alarms): how many of those found are right.

    Raises
    ------
    ShapeError
        The two do not fit together.
    ArgumentError
        An unknown average.
    """
    hits, alarms, misses = _counts("precision", y_true, y_pred, average)
    return _average(hits, hits + alarms, hits + misses, average, hits + alarms + misses)


def recall(y_true: ArrayLike, y_pred: ArrayLike, average: str = "auto") -> float:
    """Hits / (hits + misses): how many of those that are there were found.

    Raises
    ------
    ShapeError
        The two do not fit together.
    ArgumentError
        An unknown average.
    """
    hits, alarms, misses = _counts("recall", y_true, y_pred, average)
    return _average(hits, hits + misses, hits + misses, average, hits + alarms + misses)


def f1(y_true: ArrayLike, y_pred: ArrayLike, average: str = "auto") -> float:
    """2 hits / (2 hits + false alarms + misses): the harmonic mean of precision and recall.

    Raises
    ------
    ShapeError
        The two do not fit together.
    ArgumentError
        An unknown average.
    """
    hits, alarms, misses = _counts("f1", y_true, y_pred, average)
    return _average(2 * hits, 2 * hits + alarms + misses, hits + misses, average, hits + alarms + misses)


def iou(y_true: ArrayLike, y_pred: ArrayLike, average: str = "auto") -> float:
    """Hits / (hits + false alarms + misses): intersection over union (Jaccard's index).

    Raises
    ------
    ShapeError
        The two do not fit together.
    ArgumentError
        An unknown average.
    """
    hits, alarms, misses = _counts("iou", y_true, y_pred, average)
    return _average(hits, hits + alarms + misses, hits + misses, average, hits + alarms + misses)


def auc(y_true: ArrayLike, y_pred: ArrayLike, average: str = "auto") -> float:
    """The chance that a sample of the class scores above one of another: the area under the ROC curve.

    Equal scores count half. Several classes: each against the rest, joined by ``average``. Any scores will
    do, not only probabilities.

    Raises
    ------
    ShapeError
        The two do not fit together.
    ArgumentError
        An unknown average, or no class that has both members and others.
    """
    _check_average("auc", average)
    true, predicted = _arrays("auc", y_true, y_pred)
    if _has_classes(true, predicted) and true.ndim < predicted.ndim:
        true = true[..., None] == np.arange(predicted.shape[-1])
    true, predicted = _columns("auc", true, predicted)
    if average == "micro":
        true, predicted = true.reshape(-1, 1), predicted.reshape(-1, 1)
    true = true > 0.5
    if average == "binary" and predicted.shape[1] != 1:
        raise ArgumentError(
            f"auc: average='binary' is for one column, got {predicted.shape[1]}; choose macro, weighted or "
            "micro"
        )
    areas, sizes = [], []
    for column in range(predicted.shape[1]):
        area = _area(true[:, column], predicted[:, column])
        if area is not None:
            areas.append(area)
            sizes.append(int(true[:, column].sum()))
    if not areas:
        raise ArgumentError(
            "auc: y_true is one class only; it takes members of the class and others to compare"
        )
    return float(np.average(areas, weights=sizes if average == "weighted" else None))


def _area(true: Array, score: Array) -> float | None:
    members = int(true.sum())
    others = len(true) - members
    if members == 0 or others == 0:
        return None
    # Mann and Whitney: the sum of the members' ranks, where equal scores share the mean of their ranks
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks = (last - (count - 1) / 2.0)[place.reshape(-1)]
    return float((ranks[true].sum() - members * (members + 1) / 2.0) / (members * others))


# --------------------------------------------------------------------------------------- how far off


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """The mean of (y_true - y_pred)^2 over all entries.

    Raises
    ------
    ShapeError
        Two different shapes.
    """
    true, predicted = _values("mean_squared_error", y_true, y_pred)
    return float(np.mean((true - predicted) ** 2))


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """The mean of |y_true - y_pred| over all entries.

    Raises
    ------
    ShapeError
        Two different shapes.
    """
    true, predicted = _values("mean_absolute_error", y_true, y_pred)
    return float(np.mean(np.abs(true - predicted)))


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """1 - sum (y_true - y_pred)^2 / sum (y_true - mean)^2: 1 is perfect, 0 as good as each column's mean.

    Constant targets give 1 where they are met exactly and 0 otherwise.

    Raises
    ------
    ShapeError
        Two different shapes.
    """
    true, predicted = _values("r2", y_true, y_pred)
    error = float(((true - predicted) ** 2).sum())
    spread = float(((true - true.mean(axis=0)) ** 2).sum())
    if spread == 0.0:
        return 1.0 if error == 0.0 else 0.0
    return 1.0 - error / spread


# -------------------------------------------------------------------------------------------- inside


def _arrays(who: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim == 0 or predicted.ndim == 0 or len(true) != len(predicted) or len(true) == 0:
        raise ShapeError(
            f"{who}: y_true has shape {true.shape} and y_pred {predicted.shape}; expected as many rows, at "
            "least one"
        )
    return true, predicted


def _has_classes(true: Array, predicted: Array) -> bool:
    """Whether y_pred's last axis is one score per class, for labels or for probabilities."""
    if predicted.ndim < 2 or predicted.shape[-1] < 2:
        return False
    return bool(true.shape in (predicted.shape, predicted.shape[:-1]))


def _same_shape(who: str, true: Array, predicted: Array) -> tuple[Array, Array]:
    """A column (n, 1) is also (n,); nothing else is broadcast."""
    if true.shape != predicted.shape:
        if true.ndim == predicted.ndim + 1 and true.shape[-1] == 1:
            true = true[..., 0]
        elif predicted.ndim == true.ndim + 1 and predicted.shape[-1] == 1:
            predicted = predicted[..., 0]
    if true.shape != predicted.shape:
        raise ShapeError(
            f"{who}: y_true has shape {true.shape} but y_pred {predicted.shape}; expected the same"
        )
    return true, predicted


def _columns(who: str, true: Array, predicted: Array) -> tuple[Array, Array]:
    """Both as [n, columns]: the last axis has the columns, and (n, ...) beside (n, ..., 1) is one of them."""
    one = true.ndim != predicted.ndim or predicted.ndim == 1
    true, predicted = _same_shape(who, true, predicted)
    columns = 1 if one else predicted.shape[-1]
    return true.reshape(-1, columns), predicted.reshape(-1, columns)


def _values(who: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    true, predicted = _same_shape(who, *_arrays(who, y_true, y_pred))
    return true.astype(np.float64), predicted.astype(np.float64)


def _check_average(who: str, average: str) -> None:
    if average not in _AVERAGES:
        raise unknown(f"{who}: average", average, _AVERAGES)


def _counts(who: str, y_true: ArrayLike, y_pred: ArrayLike, average: str) -> tuple[Array, Array, Array]:
    """Hits, false alarms and misses of each class (of each column)."""
    _check_average(who, average)
    true, predicted = _arrays(who, y_true, y_pred)
    if _has_classes(true, predicted) and true.ndim < predicted.ndim:
        classes, label = predicted.shape[-1], true.astype(np.int64).ravel()
        choice = predicted.argmax(axis=-1).ravel()
        hits = np.bincount(label[label == choice], minlength=classes)
        counts = (
            hits,
            np.bincount(choice, minlength=classes) - hits,
            np.bincount(label, minlength=classes) - hits,
        )
    else:
        true, predicted = _columns(who, true, predicted)
        there, said = true > 0.5, predicted > 0.5
        counts = (
            (there & said).sum(axis=0),
            (~there & said).sum(axis=0),
            (there & ~said).sum(axis=0),
        )
    if average == "binary" and len(counts[0]) != 1:
        raise ArgumentError(
            f"{who}: average='binary' is for one column, got {len(counts[0])}; choose macro, weighted or "
            "micro"
        )
    return counts


def _average(above: Array, below: Array, support: Array, average: str, seen: Array) -> float:
    if average == "micro":
        total = float(below.sum())
        return float(above.sum()) / total if total else 0.0
    present = seen > 0
    if not present.any():
        return 0.0
    ratio = np.divide(above, below, out=np.zeros(len(above)), where=below > 0)[present]
    if average == "weighted":
        weight = support[present].astype(np.float64)
        return float((ratio * weight).sum() / weight.sum()) if weight.sum() else 0.0
    return float(ratio.mean())


METRICS: dict[str, Metric] = {
    function.__name__: function
    for function in (
        accuracy,
        top_k_accuracy,
        binary_accuracy,
        precision,
        recall,
        f1,
        auc,
        iou,
        mean_squared_error,
        mean_absolute_error,
        r2,
    )
}
ALIASES: dict[str, str] = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}
# larger is better, for whoever watches a metric without being told
MAXIMISED = ("accuracy", "top_k_accuracy", "binary_accuracy", "precision", "recall", "f1", "auc", "iou", "r2")


def larger_is_better(monitor: str) -> bool:
    """Of a quantity as the history calls it."""
    return monitor.removeprefix("val_").endswith(MAXIMISED)


def resolve(who: str, metrics: Any) -> dict[str, Metric]:
    """Names and functions (a list, or a mapping from names of one's own) as name -> function.

    Raises
    ------
    ArgumentError
        An unknown name, something that is no function, or one name twice.
    """
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    pairs = metrics.items() if hasattr(metrics, "items") else ((None, metric) for metric in metrics)
    found: dict[str, Metric] = {}
    for given, metric in pairs:
        if isinstance(metric, str):
            if ALIASES.get(metric, metric) not in METRICS:
                raise unknown(f"{who}: metrics", metric, [*METRICS, *ALIASES])
            name, function = metric, METRICS[ALIASES.get(metric, metric)]
        elif callable(metric):
            inner = getattr(metric, "func", metric)  # a partial is named after what it completes
            name, function = str(getattr(inner, "__name__", type(inner).__name__)), metric
        else:
            raise ArgumentError(
                f"{who}: a metric must be a name or a function f(y_true, y_pred), got {metric!r}; "
                f"names are {', '.join([*METRICS, *ALIASES])}"
            )
        name = given or name
        if name in found:
            raise ArgumentError(
                f"{who}: two metrics are called {name!r}; give a mapping with a name for each"
            )
        found[name] = function
    return found


def is_built_in(metric: Metric) -> bool:
    """Whether this is a function of this module, perhaps with some of its arguments already given."""
    return getattr(metric, "func", metric) in METRICS.values()


def probabilities(outputs: Array, link: str) -> Array:
    """Softmax or sigmoid of logits as float64, or the outputs themselves where ``link`` is neither."""
    if link == "softmax":
        z = outputs.astype(np.float64)
        z -= z.max(axis=-1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=-1, keepdims=True)
        return z
    if link == "sigmoid":
        z = outputs.astype(np.float64)
        e = np.exp(-np.abs(z))
        result: Array = np.where(z >= 0, 1.0, e) / (1.0 + e)
        return result
    return outputs
