"""The loss around the parameters a network has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import integer, real, seed_of
from retrograd.errors import ArgumentError, NonFiniteError
from retrograd.plot._canvas import PALETTE, axes_of, line_above, loss_label, model_of, part
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from retrograd.model import Model

    Vector = NDArray[np.float64]

LEVELS = 16


def loss_landscape(
    net: Model | Trainer,
    x: Any,
    y: Any,
    loss: Any,
    ax: Any = None,
    radius: float = 1.0,
    resolution: int = 31,
    seed: int = 0,
    trajectory: Sequence[ArrayLike] | None = None,
) -> Any:
    """The loss over a plane through the parameters: L(w + s d1 + t d2), in inference mode, on a copy.

    Without a trajectory d1 and d2 are random and filter-normalised: each filter (a row of a Dense weight, an
    output channel of a convolution) of d is as long as that of w; biases, factors of normalisation and frozen
    parameters stay (Li et al., 2018, section 4). With a trajectory d1 and d2 are the first two principal
    directions of its way to w (ibid., section 7), since two random directions are almost at right angles to
    any way through many parameters, and would show none of it.

    Parameters
    ----------
    net
        A Model, or a Trainer of one; it is not touched.
    x, y, loss
        Samples, targets and a loss as for :class:`retrograd.Trainer`. They are evaluated resolution^2 times.
    ax
        Axes to draw on. None: a new figure.
    radius
        How far s and t go, in lengths of the filters; not used with a trajectory, which sets the extent.
    resolution
        Points on each side; an odd number has w itself among them.
    seed
        Of the random directions.
    trajectory
        Vectors like ``net.flat_parameters`` from the course of training, at least 2, in order: copies,
        ``trajectory.append(net.flat_parameters.copy())``.

    Returns
    -------
    Axes
        The contours are spaced logarithmically where all losses are above 0. Points whose loss is not finite
        stay white.

    Raises
    ------
    ArgumentError
        All weights are 0, the trajectory has other lengths, fewer than 2 vectors or no extent, the loss is
        the same or not finite wherever it was evaluated, or a number is out of range.
    ShapeError, DTypeError
        x or y does not fit.
    """
    model = model_of("loss_landscape", net)
    count = integer("loss_landscape: resolution", resolution, 2, 1000)
    reach = real("loss_landscape: radius", radius, above=0.0)
    rng = np.random.default_rng(seed_of("loss_landscape", seed))
    center = model.flat_parameters.astype(np.float64)
    path = None
    if trajectory is None:
        directions = np.stack([_filter_normalised(model, rng) for _ in range(2)])
        ticks = [np.linspace(-reach, reach, count)] * 2
        names = ["s, in lengths of the filters of w", "t, in lengths of the filters of w"]
    else:
        directions, path, shares = _principal(center, trajectory)
        ticks = [_around(path[:, k], count) for k in range(2)]
        names = [f"principal direction {k + 1} ({100 * shares[k]:.0f} % of the way)" for k in range(2)]
    trainer = Trainer(model.copy(), loss, "sgd")
    table = _table(trainer, x, y, center, directions, *ticks)
    ax = axes_of("loss_landscape", ax, 6.2, 5.0)
    _draw(ax, ticks, table, loss_label(trainer._objective.losses))
    if path is not None:
        ax.plot(
            path[:, 0],
            path[:, 1],
            color=PALETTE.ink,
            linewidth=1.2,
            marker="o",
            markersize=3.0,
            path_effects=[part("patheffects").withStroke(linewidth=2.6, foreground="white")],
            label="way of the training",
        )
    here = _loss_at(trainer, x, y, center)
    ax.plot(
        [0.0],
        [0.0],
        linestyle="",
        marker="*",
        markersize=14,
        color=PALETTE.series[1],
        markeredgecolor="white",
        label=f"the model: loss {here:.4g}",
    )
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    line_above(ax)
    return ax


def _filter_normalised(model: Model, rng: np.random.Generator) -> Vector:
    """A random direction whose filters are as long as the model's; 0 for what is no filter or is frozen."""
    frozen = set(model.frozen)
    parts = []
    for name, weight in model.parameters.items():
        if weight.ndim < 2 or name in frozen:
            parts.append(np.zeros(weight.size))
            continue
        rows = weight.astype(np.float64).reshape(len(weight), -1)
        drawn = rng.normal(size=rows.shape)
        lengths = np.linalg.norm(rows, axis=1) / np.linalg.norm(drawn, axis=1)
        parts.append((drawn * lengths[:, None]).ravel())
    direction = np.concatenate(parts)
    if not direction.any():
        raise ArgumentError(
            "loss_landscape: every weight that is trained is 0, so a direction of the same length is 0 too"
        )
    return direction


def _principal(
    center: Vector, trajectory: Sequence[ArrayLike]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Vector]:
    """Two directions, the way projected on them, and which share of its squared distances they show."""
    if len(trajectory) < 2:
        raise ArgumentError(f"loss_landscape: a trajectory has at least 2 vectors, got {len(trajectory)}")
    rows = []
    for position, vector in enumerate(trajectory):
        row = np.asarray(vector, np.float64)
        if row.shape != center.shape:
            raise ArgumentError(
                f"loss_landscape: trajectory[{position}] has shape {row.shape}, expected {center.shape} like "
                "net.flat_parameters"
            )
        rows.append(row - center)
    way = np.stack(rows)
    _, lengths, found = np.linalg.svd(way, full_matrices=False)
    if not lengths[0] > 0:
        raise ArgumentError(
            "loss_landscape: all vectors of the trajectory are the model's own parameters; append copies, "
            "net.flat_parameters.copy()"
        )
    return found[:2], way @ found[:2].T, np.square(lengths[:2]) / np.square(lengths).sum()


def _around(values: Vector, count: int) -> Vector:
    """Ticks around these values and 0, with room on both sides."""
    low, high = min(0.0, values.min()), max(0.0, values.max())
    room = 0.2 * (high - low) or 1.0
    return np.linspace(low - room, high + room, count)


def _loss_at(trainer: Trainer, x: Any, y: Any, vector: Vector) -> float:
    """The loss with these parameters; NaN where it is not finite."""
    trainer.model.flat_parameters[...] = vector
    try:
        value = trainer.evaluate(x, y)["loss"]
    except NonFiniteError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")


def _table(
    trainer: Trainer, x: Any, y: Any, center: Vector, directions: NDArray[np.float64], s: Vector, t: Vector
) -> NDArray[np.float64]:
    """The loss for each t (row) and s (column)."""
    return np.array(
        [[_loss_at(trainer, x, y, center + a * directions[0] + b * directions[1]) for a in s] for b in t]
    )


def _draw(ax: Any, ticks: Sequence[Vector], table: NDArray[np.float64], label: str) -> None:
    finite = table[np.isfinite(table)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if not high > low and len(finite) < table.size:
        raise ArgumentError(
            f"loss_landscape: the loss is finite at {len(finite)} of {table.size} points only; choose a "
            "smaller radius"
        )
    if not high > low:
        raise ArgumentError(
            "loss_landscape: the loss is the same at every point of the plane, so there is no contour to draw"
        )
    levels = np.geomspace(low, high, LEVELS) if low > 0 else np.linspace(low, high, LEVELS)
    masked = np.ma.masked_invalid(table)

    colors = part("colors")
    norm = colors.LogNorm(low, high) if low > 0 else colors.Normalize(low, high)
    filled = ax.contourf(*ticks, masked, levels=levels, norm=norm, cmap="viridis", extend="neither")
    ax.contour(*ticks, masked, levels=levels, colors="white", linewidths=0.4, alpha=0.6)
    bar = ax.figure.colorbar(filled, ax=ax, label=label)
    shown = levels[::3]
    bar.set_ticks(shown, labels=[f"{level:.3g}" for level in shown])
    bar.ax.minorticks_off()
