"""What a network of two inputs says about every point of the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import integer
from retrograd.data import as_array, match_inputs, same_length
from retrograd.errors import ArgumentError, ShapeError, StateError
from retrograd.graph import shape_text
from retrograd.plot._canvas import MARKERS, PALETTE, axes_of, line_above, model_of, part

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from retrograd._core import Array
    from retrograd.model import Model
    from retrograd.trainer import Trainer

MARGIN = 0.1  # of the extent of the points, on every side
PALE = 0.55  # how far class colours go towards white behind the points


def decision_boundary(
    net: Model | Trainer, x: ArrayLike, y: ArrayLike, ax: Any = None, resolution: int = 200
) -> Any:
    """The prediction over the plane of two inputs, with the samples on it.

    Two classes and one output: the probability of class 1 (``predict_proba``; ``predict`` where the loss made
    values of the output), and the line where it is 0.5 (0 for labels -1 and 1). Several outputs: the
    probabilities of the classes mix their colours, and lines are where another class becomes the likeliest.
    Other targets are values: the output as colour, and the targets in the same colours.

    Parameters
    ----------
    net
        A Model with one input of shape (2,) and one output, or a Trainer of one.
    x, y
        The samples [n, 2], and their labels, values or one-hot rows.
    ax
        Axes to draw on. None: a new figure.
    resolution
        Points on each side of the grid.

    Returns
    -------
    Axes
        Its image is the prediction at the middle of each cell, ``ax.images[0].get_array()``.

    Raises
    ------
    ShapeError
        The model or x has not two inputs, or the model several outputs of values.
    ArgumentError
        A label without an output, or not a model.
    """
    model = model_of("decision_boundary", net)
    width = _outputs(model)
    points = match_inputs(x, model._core.inputs)[0].astype(np.float64)
    targets = as_array(y, "y")
    same_length({"x": points, "y": targets})
    count = integer("decision_boundary: resolution", resolution, 2, 4000)
    labels = _labels(targets, width)
    if labels is None and width > 1:
        raise ShapeError(
            f"decision_boundary: the model has {width} outputs and y of shape {targets.shape} has no class "
            "labels; draw one output of values, rg.Model(net.inputs, output)"
        )
    grid, extent = _grid(points, count)
    values, probability = _predicted(model, grid, labels is not None)
    ax = axes_of("decision_boundary", ax, 6.2, 5.0)
    if width > 1 and labels is not None:
        _draw_classes(ax, values.reshape(count, count, width), extent)
    elif labels is not None:
        _draw_two(ax, values.reshape(count, count), extent, probability, bool((labels < 0).any()))
    else:
        _draw_values(ax, values.reshape(count, count), extent, points, targets.ravel())
    if labels is not None:
        _draw_points(ax, points, labels, width)
    ax.set_xlim(extent[:2])
    ax.set_ylim(extent[2:])
    ax.set_xlabel("input 0")
    ax.set_ylabel("input 1")
    return ax


def _outputs(model: Model) -> int:
    inputs, outputs = model._core.inputs, model._core.outputs
    if len(inputs) != 1 or inputs[0].sample_shape != (2,) or inputs[0].dtype == "index":
        shapes = ", ".join(shape_text(node.shape) for node in inputs)
        raise ShapeError(
            f"decision_boundary: it draws the plane of two inputs, (batch, 2), but the model takes {shapes}"
        )
    if len(outputs) != 1 or len(outputs[0].sample_shape) != 1:
        shapes = ", ".join(shape_text(node.shape) for node in outputs)
        raise ShapeError(
            "decision_boundary: it draws one output, (batch, classes) or (batch, 1), but the model has "
            f"{shapes}"
        )
    return outputs[0].sample_shape[0]


def _labels(y: Array, width: int) -> NDArray[np.int64] | None:
    """The class of each sample, or None where y has values."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and width > 1 and y.shape[1] == width:
        one_hot = np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()
        return y.argmax(axis=1).astype(np.int64) if one_hot else None
    if y.ndim != 1 or (y != np.round(y)).any():
        return None
    found = y.astype(np.int64)
    if width == 1:
        two = np.isin(found, (0, 1)).all() or np.isin(found, (-1, 1)).all()
        return found if two else None
    if found.min() < 0 or found.max() >= width:
        wrong = found.min() if found.min() < 0 else found.max()
        raise ArgumentError(
            f"decision_boundary: y has the label {wrong}, but the model's classes are 0 to {width - 1}"
        )
    return found


def _grid(points: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """The middles of count x count cells, row by row from below, and the edges of the whole."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, MARGIN * (high - low), 1.0)
    low, high = low - margin, high + margin
    ticks = (np.arange(count) + 0.5) / count
    across, up = (low[k] + ticks * (high[k] - low[k]) for k in range(2))
    columns, rows = np.meshgrid(across, up)
    return np.column_stack([columns.ravel(), rows.ravel()]), (low[0], high[0], low[1], high[1])


def _predicted(model: Model, grid: NDArray[np.float64], classes: bool) -> tuple[Array, bool]:
    """The prediction for each point, and whether it is a probability."""
    if classes:
        try:
            return model.predict_proba(grid), True
        except StateError:  # the loss took outputs as values
            return model.predict(grid), False
    return model.predict(grid), False


def _contour(ax: Any, values: Array, extent: tuple[float, ...], level: float) -> None:
    if values.min() < level < values.max():
        height, width = values.shape
        x = extent[0] + (np.arange(width) + 0.5) / width * (extent[1] - extent[0])
        y = extent[2] + (np.arange(height) + 0.5) / height * (extent[3] - extent[2])
        ax.contour(x, y, values, levels=[level], colors=PALETTE.ink, linewidths=1.5)


def _image(ax: Any, values: Array, extent: tuple[float, ...], **style: Any) -> Any:
    return ax.imshow(values, origin="lower", extent=extent, aspect="auto", interpolation="bilinear", **style)


def _draw_two(
    ax: Any, values: Array, extent: tuple[float, ...], probability: bool, around_zero: bool
) -> None:
    middle = 0.0 if around_zero and not probability else 0.5
    reach = 0.5 if probability else max(float(np.abs(values - middle).max()), 1e-12)
    image = _image(
        ax,
        values,
        extent,
        vmin=middle - reach,
        vmax=middle + reach,
        cmap=PALETTE.weights.colormap(),
        alpha=0.6,
    )
    _contour(ax, values, extent, middle)
    ax.figure.colorbar(image, ax=ax, label="probability of class 1" if probability else "output")


def _class_colours(width: int) -> list[str]:
    """Of class 0, 1, ...: two classes with one output have the colours of 0 and 1 on its scale."""
    if width == 1:
        return [PALETTE.weights.negative, PALETTE.weights.positive]
    return [PALETTE.series[k % len(PALETTE.series)] for k in range(width)]


def _draw_classes(ax: Any, values: Array, extent: tuple[float, ...]) -> None:
    to_rgb = part("colors").to_rgb
    colours = np.array([to_rgb(colour) for colour in _class_colours(values.shape[-1])])
    share = (
        values / values.sum(axis=-1, keepdims=True).clip(1e-30) if (values >= 0).all() else _winner(values)
    )
    _image(ax, np.clip(PALE + (1 - PALE) * (share @ colours), 0, 1), extent)
    for k in range(values.shape[-1]):
        others = np.delete(values, k, axis=-1).max(axis=-1)
        _contour(ax, values[..., k] - others, extent, 0.0)


def _winner(values: Array) -> Array:
    found: Array = np.eye(values.shape[-1])[values.argmax(axis=-1)]
    return found


def _draw_values(
    ax: Any, values: Array, extent: tuple[float, ...], points: NDArray[np.float64], targets: Array
) -> None:
    low, high = min(values.min(), targets.min()), max(values.max(), targets.max())
    image = _image(ax, values, extent, vmin=low, vmax=high, cmap=PALETTE.sequence)
    ax.scatter(
        points[:, 0],
        points[:, 1],
        c=targets,
        vmin=low,
        vmax=high,
        cmap=PALETTE.sequence,
        s=_size(len(points)),
        edgecolors=PALETTE.ink,
        linewidths=0.8,
        path_effects=_halo(),
    )
    ax.figure.colorbar(image, ax=ax, label="output, and targets of the samples")


def _draw_points(ax: Any, points: NDArray[np.float64], labels: NDArray[np.int64], width: int) -> None:
    colours = _class_colours(width)
    for k, label in enumerate(np.unique(labels)):
        place = int(label > 0) if width == 1 else int(label)
        chosen = labels == label
        ax.scatter(
            points[chosen, 0],
            points[chosen, 1],
            color=colours[place],
            marker=MARKERS[place % len(MARKERS)],
            s=_size(len(points)),
            edgecolors=PALETTE.ink,
            linewidths=0.8,
            path_effects=_halo(),
            label=f"class {label}",
            zorder=3 + 0.01 * k,
        )
    line_above(ax)


def _size(count: int) -> float:
    """Of a marker in square points: smaller where there are many."""
    return float(np.clip(12000.0 / count, 12.0, 60.0))


def _halo() -> list[Any]:
    effects = part("patheffects")
    return [effects.withStroke(linewidth=2.4, foreground="white")]
