"""What training recorded, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import unknown
from retrograd.errors import ArgumentError
from retrograd.plot._canvas import PALETTE, axes_of, history_of, line_above, loss_label, part, whole_numbers
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd.history import History

_NO_METRICS = ("loss", "lr", "penalty", "gradient_norm", "seconds", "samples_per_second")
_FEW = 10  # changes of the learning rate that can be marked one by one


class Quantity:
    """How a quantity of ``record="layers"`` is shown: its label, its scale, its factor."""

    def __init__(self, label: str, scale: str, factor: float = 1.0) -> None:
        self.label = label
        self.scale = scale
        self.factor = factor


QUANTITIES = {
    "gradient_norm": Quantity("norm of dL/dW", "log"),
    "update_norm": Quantity("norm of the update of W", "log"),
    "update_ratio": Quantity("norm of update / norm of W", "log"),
    "delta_rms": Quantity("RMS delta", "log"),
    "activation_mean": Quantity("mean of a", "signs"),
    "activation_std": Quantity("standard deviation of a", "linear"),
    "saturated": Quantity("share of values that are saturated [%]", "share", 100.0),
    "dead": Quantity("share of units that are dead [%]", "share", 100.0),
}


def history(history: History | Trainer, metrics: Any = None, log: bool = False, ax: Any = None) -> Any:
    """Loss and metrics over the epochs: training, validation, the best epoch, changes of the learning rate.

    One panel for the loss, one for each metric, and one for the learning rate if it changes.

    Parameters
    ----------
    history
        A History or a Trainer; a trainer also knows the unit of its loss.
    metrics
        A name of ``history.history`` or a list of names, without "val_". None: all of them, or none where
        ``ax`` is one Axes. ``()``: none.
    log
        Whether the loss has a logarithmic scale.
    ax
        One Axes, for the loss alone; or a list of them, for the loss and each metric, with one more if the
        learning rate is to be shown. None: a new figure.

    Returns
    -------
    Axes
        That of the loss; the panels below it, with the same epochs, are ``ax.figure.axes[1:]``.

    Raises
    ------
    ArgumentError
        Neither a History nor a Trainer, no epoch yet, an unknown metric, another number of Axes, or log=True
        with a loss that is not above 0.
    """
    record = history_of("history", history)
    values = {name: np.asarray(row, np.float64) for name, row in record.history.items()}
    names = _metrics(values, metrics, ax)
    changes = _changes(values.get("lr"))
    panels = ["loss", *names]
    axes = _panels(ax, panels, len(changes) > 0)
    losses = np.concatenate([values[name] for name in ("loss", "val_loss") if name in values])
    lowest = float(np.fmin.reduce(losses))  # NaN only where all are
    if log and not lowest > 0:
        raise ArgumentError(
            f"history: log=True needs losses above 0, the lowest is {lowest:.4g}; leave log out"
        )
    epochs = np.arange(1, record.epochs + 1)
    for panel, name in zip(axes, [*panels, "lr"], strict=False):
        _draw_series(panel, epochs, values, name)
        _mark_events(panel, epochs, record.best_epoch, changes)
        panel.set_xlim(0.5, record.epochs + 0.5)
        whole_numbers(panel.xaxis)
    objective = history._objective if isinstance(history, Trainer) else None
    axes[0].set_ylabel(loss_label(objective.losses if objective else None))
    if log:
        axes[0].set_yscale("log")
    _mark_best(axes[0], values, record.best_epoch)
    line_above(axes[0])
    for panel in axes:
        panel.set_xlabel("epoch")
        if ax is None:  # given ones may stand side by side
            panel.label_outer()
    return axes[0]


def _metrics(values: dict[str, NDArray[np.float64]], metrics: Any, ax: Any) -> list[str]:
    known = [
        name for name in values if not name.startswith("val_") and "/" not in name and name not in _NO_METRICS
    ]
    if metrics is None:
        return [] if ax is not None and not isinstance(ax, list | tuple | np.ndarray) else known
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    for name in names:
        if name not in known:
            raise unknown("history: metrics", name, known or ["none, since fit recorded no metric"])
    return names


def _changes(lr: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """The positions of epochs that began with another learning rate than the one before."""
    if lr is None:
        return np.zeros(0, np.int64)
    changed = (lr[1:] != lr[:-1]) & ~np.isnan(lr[1:]) & ~np.isnan(lr[:-1])
    return np.flatnonzero(changed) + 1


def _panels(ax: Any, names: list[str], rate_changes: bool) -> list[Any]:
    if ax is None:
        count = len(names) + rate_changes
        heights = [1.6, *[1.0] * (count - 1)]
        _, axes = part("pyplot").subplots(
            count,
            1,
            sharex=True,
            squeeze=False,
            figsize=(6.4, 2.0 + 1.5 * count),
            height_ratios=heights,
            layout="constrained",
        )
        return list(axes[:, 0])
    given = list(np.ravel(ax)) if isinstance(ax, list | tuple | np.ndarray) else [ax]
    if len(given) not in (len(names), len(names) + rate_changes):
        raise ArgumentError(
            f"history: {len(names)} panels are to be drawn ({', '.join(names)}), got {len(given)} Axes; "
            f"pass ax= a list of {len(names)}, or choose other metrics="
        )
    return [axes_of("history", one) for one in given]


def _draw_series(
    ax: Any, epochs: NDArray[np.int64], values: dict[str, NDArray[np.float64]], name: str
) -> None:
    marker = "o" if len(epochs) <= 25 else ""
    style: dict[str, Any] = {"marker": marker, "markersize": 3.0, "linewidth": 1.5}
    if name == "lr":
        ax.plot(epochs, values[name], color=PALETTE.ink, drawstyle="steps-mid", **style)
        if (values[name][~np.isnan(values[name])] > 0).all():
            ax.set_yscale("log")
        ax.set_ylabel("learning rate")
        return
    ax.plot(epochs, values[name], color=PALETTE.series[0], label="training", **style)
    if f"val_{name}" in values:
        ax.plot(
            epochs,
            values[f"val_{name}"],
            color=PALETTE.series[1],
            linestyle="--",
            label="validation",
            **style,
        )
    ax.set_ylabel(name)


def _mark_events(
    ax: Any,
    epochs: NDArray[np.int64],
    best: int | None,
    changes: NDArray[np.int64],
) -> None:
    if best is not None:
        ax.axvline(best, color=PALETTE.faint, linewidth=0.8, zorder=0)
    if len(changes) <= _FEW:
        for k, position in enumerate(changes):
            ax.axvline(
                epochs[position] - 0.5,  # between two epochs
                color=PALETTE.faint,
                linewidth=1.0,
                linestyle=":",
                zorder=0,
                label="" if k else "learning rate changes",
            )


def _mark_best(ax: Any, values: dict[str, NDArray[np.float64]], best: int | None) -> None:
    if best is None:
        return
    row = values["val_loss" if "val_loss" in values else "loss"]
    ax.plot(
        [best],
        [row[best - 1]],
        linestyle="",
        marker="*",
        markersize=12,
        color=PALETTE.series[4],
        markeredgecolor=PALETTE.ink,
        label=f"best: epoch {best}, {row[best - 1]:.4g}",
    )


def gradient_flow_over_epochs(
    history: History | Trainer, quantity: str = "gradient_norm", ax: Any = None
) -> Any:
    """A row for each layer, a column for each epoch, the quantity as colour.

    Parameters
    ----------
    history
        Of ``trainer.fit(..., record="layers")``.
    quantity
        ``"gradient_norm"`` or ``"update_norm"`` of the weights, or another one that was recorded:
        ``update_ratio``, ``delta_rms``, ``activation_mean``, ``activation_std``, ``saturated``, ``dead``.
        Of parameters only weights are shown, where there are any.
    ax
        Axes to draw on. None: a new figure.

    Returns
    -------
    Axes
        Layers from top to bottom, epochs from left to right. Grey: 0 on a logarithmic scale, or an epoch
        without a number.

    Raises
    ------
    ArgumentError
        Neither a History nor a Trainer, an unknown quantity, or one that was not recorded.
    """
    record = history_of("gradient_flow_over_epochs", history)
    if quantity not in QUANTITIES:
        raise unknown("gradient_flow_over_epochs: quantity", quantity, QUANTITIES)
    rows = {
        name.removeprefix(f"{quantity}/"): row
        for name, row in record.history.items()
        if name.startswith(f"{quantity}/")
    }
    if not rows:
        raise ArgumentError(
            f"gradient_flow_over_epochs: the history has no {quantity} of layers; record it with "
            'trainer.fit(..., record="layers")'
        )
    weights = {name: row for name, row in rows.items() if "weight" in name.rpartition(".")[2]}
    rows = weights or rows
    ax = axes_of("gradient_flow_over_epochs", ax, 6.8, 1.4 + 0.32 * max(len(rows), 4))
    shown = QUANTITIES[quantity]
    table = np.array(list(rows.values()), np.float64) * shown.factor
    norm, colours = _scale(table, shown.scale)
    edges = np.arange(table.shape[1] + 1) + 0.5
    image = ax.pcolormesh(
        edges,
        np.arange(len(rows) + 1) - 0.5,
        np.ma.masked_invalid(np.where(table > 0, table, np.nan) if shown.scale == "log" else table),
        norm=norm,
        cmap=colours,
    )
    ax.set_facecolor("#d0d0d0")
    ax.set_yticks(np.arange(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set_xlabel("epoch")
    whole_numbers(ax.xaxis)
    ax.figure.colorbar(image, ax=ax, label=shown.label)
    return ax


def _scale(table: NDArray[np.float64], scale: str) -> tuple[Any, Any]:
    """The norm and the map of colours."""
    colors = part("colors")
    finite = table[np.isfinite(table)]
    if scale == "log":
        positive = finite[finite > 0]
        low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
        return colors.LogNorm(low, high if high > low else 10 * low), PALETTE.sequence
    if scale == "share":
        return colors.Normalize(0.0, 100.0), PALETTE.sequence
    high = float(np.abs(finite).max(initial=0.0)) or 1.0
    if scale == "signs":
        return colors.Normalize(-high, high), PALETTE.weights.colormap()
    return colors.Normalize(0.0, high), PALETTE.sequence
