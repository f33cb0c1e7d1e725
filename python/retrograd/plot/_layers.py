"""Layer by layer: the sizes of gradients, and how weights, activations and deltas are distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.errors import ArgumentError
from retrograd.plot._canvas import PALETTE, axes_of, line_above, model_of, part, trace_of, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._core import Array
    from retrograd._trace import Trace
    from retrograd.model import Model
    from retrograd.trainer import Trainer

    Line = tuple[str, NDArray[np.float64]]  # the text of a row, its numbers

VANISHING, EXPLODING = 1e-7, 1e2
BINS = 60  # of many values; of few ones about as many as the root of their number
AFFINE = ("dense", "conv1d", "conv2d", "conv_transpose2d")
# beyond these outputs an activation is nearly flat
BOUNDS = {
    "sigmoid": (0.03, 0.97),
    "hard_sigmoid": (0.03, 0.97),
    "tanh": (-0.97, 0.97),
    "softsign": (-0.75, 0.75),
}


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def gradient_flow(trace: Trace, ax: Any = None) -> Any:
    """RMS dL/dW and RMS delta of each layer, on a logarithmic scale.

    RMS is the root of the mean of squares over all elements; of a layer with several weight arrays, over all
    of them. Two guides, where they come into view: below 1e-7 a float32 weight of size 1 no longer moves,
    above 1e2 a step is larger than most weights.

    Parameters
    ----------
    trace
        ``net.trace(x, y, loss)`` or ``trainer.trace(x, y)``.
    ax
        Axes to draw on. None: a new figure.

    Returns
    -------
    Axes
        Layers with weights from left (input) to right (output). A layer whose RMS is 0 has "0" at the bottom.

    Raises
    ------
    ArgumentError
        Not a Trace, or none of its layers has weights.
    """
    trace = trace_of("gradient_flow", trace)
    names = [name for name in trace.layers if weights_of(trace[name].gradients)]
    if not names:
        raise ArgumentError("gradient_flow: no layer of this trace has weights")
    ax = axes_of("gradient_flow", ax, max(6.4, 1.5 + 0.34 * len(names)), 4.2)
    gradients, deltas = [], []
    for name in names:
        layer = trace[name]
        shared = "@" in name  # dW is that of all calls and stands with the first
        parts = [part.ravel() for part in weights_of(layer.gradients)]
        gradients.append(np.nan if shared else _rms(np.concatenate(parts)))
        deltas.append(np.nan if layer.delta is None else _rms(layer.delta))
    x = np.arange(len(names))
    for values, label, marker, style, colour in (
        (gradients, "dL/dW", "s", "-", PALETTE.gradients.positive),
        (deltas, "delta = dL/dz", "o", "--", PALETTE.gradients.negative),
    ):
        row = np.asarray(values)
        if row[0] > 0 and row[-1] > 0 and len(row) > 1:
            label += f" (first / last: {row[0] / row[-1]:.2g})"
        above = np.where(row > 0, row, np.nan)
        ax.plot(x, above, marker=marker, linestyle=style, color=colour, markersize=5, label=label)
        for position in np.flatnonzero(row == 0):
            ax.text(position, 0.01, "0", color=colour, transform=ax.get_xaxis_transform(), ha="center")
    _log_limits(ax, np.array([*gradients, *deltas]))
    slanted = max(map(len, names)) * len(names) > 70
    ax.set_xticks(x, names, rotation=90 if slanted else 0)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_xlabel("layer, from input to output")
    ax.set_ylabel("RMS of dL/dW, of delta")
    ax.grid(axis="y", linewidth=0.4, alpha=0.5)
    line_above(ax)
    return ax


def _log_limits(ax: Any, values: NDArray[np.float64]) -> None:
    """A logarithmic axis of at least two decades around the values, and the guides that lie within."""
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    low, high = low / 3, high * 3
    if high < 100 * low:
        middle = np.sqrt(low * high)
        low, high = middle / 10, middle * 10
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    for guide, text in ((VANISHING, "vanishing"), (EXPLODING, "exploding")):
        if low < guide < high:
            ax.axhline(guide, color=PALETTE.ink, linewidth=0.8, linestyle=":")
            place = "top" if guide == VANISHING else "bottom"
            ax.text(
                0.995, guide, f" {text} ", transform=ax.get_yaxis_transform(), ha="right", va=place, size=8
            )


def weights(net: Model | Trainer, ax: Any = None) -> Any:
    """The distribution of each layer's weights: one histogram above the other.

    Biases and the factors of normalisation layers are left out. Beside each: the standard deviation, and the
    share of exact zeros if there are any.

    Parameters
    ----------
    net
        A Model, or a Trainer for its model.
    ax
        Axes to draw on. None: a new figure.

    Returns
    -------
    Axes
        One row for each array, the first layer on top; each row is scaled to its own highest bar.

    Raises
    ------
    ArgumentError
        Neither a Model nor a Trainer, or no parameter is a matrix.
    """
    model = model_of("weights", net)
    rows: list[Line] = []
    notes = []
    for layer in model.layers:
        for role, array in layer.parameters.items():
            if "weight" in role and array.ndim > 1:
                name = f"{layer.name}.{role}"
                rows.append((f"{name}\n{' x '.join(map(str, array.shape))}", _flat(array)))
                notes.append(_note(rows[-1][1], "std", float(rows[-1][1].std())))
    if not rows:
        raise ArgumentError("weights: the model has no weights, only biases or nothing that is trained")
    ax = _ridge_axes("weights", ax, len(rows))
    for position, (_, values) in enumerate(rows):
        counts, edges = _histogram(values)
        _step(ax, position, counts, edges, counts.max(), PALETTE.weights.positive)
    _finish(ax, rows, notes, "weight")
    return ax


def activations(trace: Trace, ax: Any = None) -> Any:
    """The distribution of each layer's activations a, over all samples and units of a trace.

    Exact zeros, of a ReLU for instance, are not drawn but counted: "zero 52 %". Beside each layer also the
    mean, the standard deviation and, for sigmoid, hard_sigmoid, tanh and softsign, the share of saturated
    values, where the function is nearly flat: below 0.03 and above 0.97, beyond 0.97, beyond 0.75.

    Parameters
    ----------
    trace
        ``net.trace(x, y, loss)`` or ``trainer.trace(x, y)``.
    ax
        Axes to draw on. None: a new figure.

    Returns
    -------
    Axes
        One row for each layer that has weights or an activation; each is scaled to its own highest bar. All
        share one scale of a: ``ax.set_xlim(0, 1)`` shows probabilities beside large activations.

    Raises
    ------
    ArgumentError
        Not a Trace, or there is nothing to draw.
    """
    trace = trace_of("activations", trace)
    rows: list[Line] = []
    notes = []
    for name in trace.layers:
        info = trace._infos[name.partition("@")[0]]
        kind = str(info.config.get("activation") or "")
        if trace[name].a is None or not (kind or trace[name].z is not None):
            continue
        values = _flat(trace[name].a)
        rows.append((f"{name}\n{kind or ('linear' if info.kind in AFFINE else info.kind)}", values))
        notes.append(
            _note(values, f"mean {values.mean():.2g}, std", float(values.std()))
            + (f", saturated {100 * _saturated(values, kind):.0f} %" if kind in BOUNDS else "")
        )
    if not rows:
        raise ArgumentError("activations: no layer of this trace has an activation")
    ax = _ridge_axes("activations", ax, len(rows))
    for position, (_, values) in enumerate(rows):
        counts, edges = _histogram(values[values != 0])
        _step(ax, position, counts, edges, counts.max(), PALETTE.weights.positive)
    _finish(ax, rows, notes, "activation a, without exact zeros")
    return ax


def _saturated(values: NDArray[np.float64], kind: str) -> float:
    low, high = BOUNDS[kind]
    return float(np.mean((values < low) | (values > high)))


def deltas(trace: Trace, ax: Any = None) -> Any:
    """The distribution of each layer's delta = dL/dz, over all samples and units, on a logarithmic scale.

    Negative values stand on top of positive ones. Beside each layer: RMS delta, and the share of exact zeros,
    which a logarithmic scale cannot show. A sample's delta carries its share of the mean loss, 1/n.

    Parameters
    ----------
    trace
        ``net.trace(x, y, loss)`` or ``trainer.trace(x, y)``.
    ax
        Axes to draw on. None: a new figure.

    Returns
    -------
    Axes
        One row for each layer; each is scaled to its own highest bar.

    Raises
    ------
    ArgumentError
        Not a Trace, or all deltas are 0.
    """
    trace = trace_of("deltas", trace)
    rows: list[Line] = []
    for name in trace.layers:
        delta = trace[name].delta
        if delta is not None:
            rows.append((f"{name}\n{' x '.join(map(str, delta.shape[1:]))} units", _flat(delta)))
    if not any(values.any() for _, values in rows):
        raise ArgumentError("deltas: every delta of this trace is 0 or missing, so there is nothing to draw")
    notes = [_note(values, "RMS", _rms(values)) for _, values in rows]
    ax = _ridge_axes("deltas", ax, len(rows))
    signs = PALETTE.gradients
    for position, (_, values) in enumerate(rows):
        sizes = np.abs(values[values != 0])
        if not len(sizes):
            continue
        edges = 10.0 ** _edges(np.log10(sizes))
        above, _ = np.histogram(values[values > 0], edges)
        below, _ = np.histogram(-values[values < 0], edges)
        highest = (above + below).max()
        _step(ax, position, above, edges, highest, signs.positive)
        _step(ax, position, below, edges, highest, signs.negative, under=above)
    ax.set_xscale("log")
    _finish(ax, rows, notes, "|delta| = |dL/dz|, without exact zeros")
    patches = part("patches")
    line_above(
        ax,
        [
            patches.Patch(facecolor=signs.positive, label="positive, below"),
            patches.Patch(facecolor=signs.negative, label="negative, on top"),
        ],
    )
    return ax


# ------------------------------------------------------------------------------- rows of histograms


def _flat(array: Any) -> NDArray[np.float64]:
    return np.asarray(array, np.float64).ravel()


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of bins that hold all values: few bins for few values, and a wide one where all are equal."""
    low, high = float(values.min()), float(values.max())
    room = max(1e-6 * (high - low), 1e-9 * max(abs(low), abs(high)))
    if high - low <= room:
        half = 0.01 * max(1.0, abs(low))
        return np.array([low - half, high + half])
    return np.linspace(low - room, high + room, int(np.clip(np.sqrt(values.size), 10, BINS)) + 1)


def _histogram(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if not values.size:
        return np.zeros(1, np.int64), np.array([0.0, 1.0])
    return np.histogram(values, _edges(values))


def _note(values: NDArray[np.float64], what: str, number: float) -> str:
    zero = float(np.mean(values == 0))
    return f"{what} {number:.2g}" + (f", zero {100 * zero:.0f} %" if zero else "")


def _ridge_axes(who: str, ax: Any, rows: int) -> Any:
    return axes_of(who, ax, 8.0, 1.2 + 0.55 * max(rows, 2))


def _step(
    ax: Any,
    row: int,
    counts: NDArray[np.int64],
    edges: NDArray[np.float64],
    highest: int,
    colour: str,
    under: NDArray[np.int64] | None = None,
) -> None:
    """One histogram on the line y = row, at most 0.85 high; rows count downwards."""
    if not highest:
        return
    base = np.zeros(len(counts)) if under is None else under.astype(np.float64)
    unit = 0.85 / highest
    ax.stairs(row - unit * (base + counts), edges, baseline=row - unit * base, fill=True, color=colour)


def _finish(ax: Any, rows: list[Line], notes: list[str], label: str) -> None:
    positions = np.arange(len(rows))
    ax.set_yticks(positions, [name for name, _ in rows], va="bottom", size=8)
    ax.set_ylim(len(rows) - 0.9, -1.0)
    ax.hlines(positions, 0, 1, transform=ax.get_yaxis_transform(), color=PALETTE.faint, linewidth=0.5)
    for position, note in zip(positions, notes, strict=True):
        ax.text(1.01, position, note, transform=ax.get_yaxis_transform(), va="bottom", size=8)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)
