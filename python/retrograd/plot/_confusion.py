"""Which classes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.data import as_array, same_length
from retrograd.errors import ArgumentError, ShapeError
from retrograd.plot._canvas import axes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from retrograd._core import Array

_DARK = 0.5  # the share from which on a cell's text is white


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike, labels: Sequence[Any] | None = None, ax: Any = None
) -> Any:
    """How often each true class (row) was taken for each class (column).

    A cell has the count and its share of the row, and the share is its colour: the diagonal is the recall of
    each class. Cells without any sample stay empty.

    Parameters
    ----------
    y_true
        Labels [n], or probabilities [n, classes].
    y_pred
        Labels [n], or scores [n, classes] of which the largest counts, or one probability [n] or [n, 1] of
        class 1 as floats (above 0.5 is class 1).
    labels
        How the classes 0, 1, ... are called. None: by their numbers.
    ax
        Axes to draw on. None: a new figure.

    Returns
    -------
    Axes
        Its image holds the shares, ``ax.images[0].get_array()``.

    Raises
    ------
    ShapeError
        y_true and y_pred do not fit together.
    ArgumentError
        A label below 0, or fewer names than classes.
    """
    true, predicted = _classes("y_true", y_true), _classes("y_pred", y_pred)
    same_length({"y_true": true, "y_pred": predicted})
    widths = [np.shape(y)[1] for y in (y_true, y_pred) if np.ndim(y) == 2]
    count = int(max(true.max() + 1, predicted.max() + 1, *widths, len(labels or ()), 2))
    names = [str(k) for k in range(count)] if labels is None else [str(label) for label in labels]
    if len(names) != count:
        raise ArgumentError(f"confusion_matrix: there are {count} classes, got {len(names)} labels")
    counts = np.bincount(true * count + predicted, minlength=count * count).reshape(count, count)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    side = max(3.6, 0.58 * count)
    ax = axes_of("confusion_matrix", ax, side + 1.6, side + 0.6)
    image = ax.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues")
    size = 10.0 if count <= 6 else 8.0 if count <= 12 else 7.5
    for i, j in np.argwhere(counts):
        ax.text(
            j,
            i,
            f"{counts[i, j]:,}\n{_percent(shares[i, j])}",
            ha="center",
            va="center",
            size=size,
            color="white" if shares[i, j] > _DARK else "black",
        )
    long = max(map(len, names)) > 3
    ax.set_xticks(range(count), names, rotation=90 if long and count > 5 else 0)
    ax.set_yticks(range(count), names)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    right, total = np.trace(counts), counts.sum()
    ax.set_title(f"{right:,} of {total:,} right ({100 * right / total:.1f} %)")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, label="share of the true class [%]")
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25", "50", "75", "100"])
    return ax


def _percent(share: float) -> str:
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{100 * share:.0f} %"


def _classes(name: str, values: Any) -> NDArray[np.int64]:
    """Labels, from labels or from scores."""
    array: Array = as_array(values, f"confusion_matrix: {name}")
    if array.ndim == 2 and array.shape[1] > 1:
        found: NDArray[np.int64] = array.argmax(axis=1)
        return found
    if array.ndim == 2:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(
            f"confusion_matrix: {name} has shape {array.shape}, expected labels (n,) or scores (n, classes)"
        )
    if array.dtype.kind == "f" and (array != np.round(array)).any():
        if array.min() < 0 or array.max() > 1:
            raise ArgumentError(
                f"confusion_matrix: {name} has values from {array.min():.4g} to {array.max():.4g}, expected "
                "labels, or probabilities between 0 and 1; for logits use net.predict_proba"
            )
        array = array > 0.5
    labels = array.astype(np.int64)
    if labels.min() < 0:
        raise ArgumentError(f"confusion_matrix: {name} has the label {labels.min()}, expected 0, 1, 2, ...")
    return labels
