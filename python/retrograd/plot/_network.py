"""Neurons and the weights between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import integer, unknown
from retrograd.errors import ArgumentError, GraphError
from retrograd.plot._canvas import PALETTE, axes_of, model_of, part, trace_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._core import LayerInfo
    from retrograd._trace import Trace
    from retrograd.model import Model
    from retrograd.trainer import Trainer

WIDEST = 4.0  # points, of the edge with the largest magnitude
SHOWS = ("weights", "gradients")
# layers that hand on as many values as they are given, each to its own place
UNITWISE = (
    "activation",
    "batch_norm",
    "dropout",
    "flatten",
    "layer_norm",
    "rescale",
    "reshape",
    "rms_norm",
    "standardize",
)


class Column:
    """Units of one layer as they are drawn: which of them, where, and how they are called."""

    def __init__(self, title: str, size: int, values: NDArray[np.float64] | None, most: int) -> None:
        self.title = title
        self.size = size
        self.values = values  # one for each unit
        if size <= most:
            self.units = np.arange(size)
            self.y = np.arange(size) - (size - 1) / 2
        else:
            upper, lower = most - most // 2, most // 2
            self.units = np.concatenate([np.arange(upper), np.arange(size - lower, size)])
            places = np.concatenate([np.arange(upper), upper + 1 + np.arange(lower)])
            self.y = places - most / 2
        self.hidden = size - len(self.units)

    @property
    def gap(self) -> float:
        """Where the text for the units that are left out stands."""
        upper = len(self.units) - len(self.units) // 2
        return float(self.y[upper - 1] + 1)


def network(
    net: Model | Trainer,
    trace: Trace | None = None,
    show: str = "weights",
    max_units: int = 12,
    sample: int = 0,
    ax: Any = None,
) -> Any:
    """The units of a chain of Dense layers, and an edge for each weight between those that are shown.

    An edge is as wide as its number is large, on one scale for all layers, which the legend states. Blue and
    solid (green for gradients) is positive, orange (purple) and dashed is negative. Biases are not drawn.

    Parameters
    ----------
    net
        A Model, or a Trainer for its model. Activations, normalisation, Dropout and Flatten between Dense
        layers stand in the label of the layer before; other layers cannot be drawn this way.
    trace
        ``net.trace(x, y, loss)`` of this model: units are filled by the activation a of one sample, or by
        its delta where gradients are shown.
    show
        ``"weights"``, or ``"gradients"`` for dL/dW of the trace.
    max_units
        Of a wider layer only so many are drawn, its first and last ones.
    sample
        The row of the trace whose values fill the units.
    ax
        Axes to draw on. None: a new figure.

    Returns
    -------
    Axes
        One LineCollection for each pair of layers.

    Raises
    ------
    GraphError
        The model is no chain of Dense layers.
    ArgumentError
        An unknown ``show``, gradients without a trace, a trace of another model, or a number out of range.
    """
    model = model_of("network", net)
    if show not in SHOWS:
        raise unknown("network: show", show, SHOWS)
    most = integer("network: max_units", max_units, 2, 64)
    if show == "gradients" and trace is None:
        raise ArgumentError("network: show='gradients' needs trace=net.trace(x, y, loss)")
    chain, titles = _chain(model)
    if trace is not None:
        trace = trace_of("network", trace)
        _check_trace(trace, model)
        integer("network: sample", sample, 0, len(trace.values[chain[0].inputs[0][0]]) - 1)
    tables = [_table(model, trace, info, show) for info in chain]
    columns = _columns(model, chain, titles, trace, show, most, sample)
    tallest = max(len(column.units) + (column.hidden > 0) for column in columns)
    ax = axes_of("network", ax, 2.0 + 1.9 * len(columns), 1.9 + 0.42 * max(tallest, 3))
    signs = PALETTE.weights if show == "weights" else PALETTE.gradients
    _draw_edges(ax, columns, tables, signs, "weight" if show == "weights" else "dL/dW")
    _draw_units(ax, columns, signs, f"{'a' if show == 'weights' else 'delta'} of sample {sample}")
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(tallest / 2 + 0.1, -tallest / 2 - 1.1)
    ax.set_axis_off()
    return ax


def _chain(model: Model) -> tuple[list[LayerInfo], list[str]]:
    """The Dense layers in order, and for each of them and the input before what its label says."""
    infos = model._core.layers()
    source: dict[str, LayerInfo] = {name: info for info in infos for name in info.nodes.values()}
    if len(model._core.inputs) != 1:
        raise GraphError(
            f"network: it draws one chain of layers, but the model has {len(model._core.inputs)} inputs"
        )
    chain: list[LayerInfo] = []
    titles = [model._core.input_names[0]]
    here = model._core.input_names[0]
    for info in infos:
        if info.calls != 1 or info.inputs[0] != [here]:
            raise GraphError(
                f"network: it draws one chain of layers, but {info.name} takes "
                f"{', '.join(info.inputs[0])}{' and is called again' if info.calls > 1 else ''}; "
                "print(net.summary()) shows any model"
            )
        if info.kind == "dense" and len(info.output_shape) == 2:
            chain.append(info)
            titles.append(f"{info.name}{_with(info.config.get('activation'))}")
        elif info.kind in UNITWISE:
            named = info.config.get("activation") or info.name
            titles[-1] += "" if info.kind in ("flatten", "reshape") else f"\n+ {named}"
        else:
            raise GraphError(
                f"network: it draws Dense layers of (batch, units), and {info.name} is {info.kind}; "
                "print(net.summary()) shows any model"
            )
        here = info.nodes.get("a") or info.nodes["z"]
    if not chain or here not in source:
        raise GraphError("network: the model has no Dense layer")
    return chain, titles


def _with(activation: Any) -> str:
    return f"\n{activation}" if activation else "\nlinear"


def _check_trace(trace: Trace, model: Model) -> None:
    for name, weight in model.parameters.items():
        if name not in trace.values or trace.values[name].shape != weight.shape:
            raise ArgumentError(
                f"network: the trace is of another model, it has no {name} of shape {weight.shape}"
            )


def _table(model: Model, trace: Trace | None, info: LayerInfo, show: str) -> NDArray[np.float64]:
    name = info.parameters["weight"]
    if show == "weights":
        return np.asarray(model.parameters[name], np.float64)
    assert trace is not None
    if name not in trace.gradients:
        raise ArgumentError(f"network: the trace has no gradient of {name}, which is frozen")
    return np.asarray(trace.gradients[name], np.float64)


def _columns(
    model: Model,
    chain: list[LayerInfo],
    titles: list[str],
    trace: Trace | None,
    show: str,
    most: int,
    sample: int,
) -> list[Column]:
    widths = [model.parameters[info.parameters["weight"]].shape for info in chain]
    sizes = [widths[0][1], *(width[0] for width in widths)]
    values: list[NDArray[np.float64] | None] = [None] * len(sizes)
    if trace is not None:
        rows = [trace[info.name] for info in chain]
        if show == "weights":
            found = [rows[0].x, *(row.a for row in rows)]
        else:
            found = [None, *(row.delta for row in rows)]
        values = [None if one is None else np.asarray(one[sample], np.float64).ravel() for one in found]
    return [
        Column(f"{title}\n{size} unit{'s' if size > 1 else ''}", size, row, most)
        for title, size, row in zip(titles, sizes, values, strict=True)
    ]


def _draw_edges(
    ax: Any, columns: list[Column], tables: list[NDArray[np.float64]], signs: Any, what: str
) -> None:
    collections, lines = part("collections"), part("lines")
    shown = [
        table[np.ix_(right.units, left.units)]
        for table, left, right in zip(tables, columns, columns[1:], strict=False)
    ]
    scale = max(float(np.abs(table).max()) for table in shown) or 1.0
    for k, table in enumerate(shown):
        left, right = columns[k], columns[k + 1]
        segments = [
            [(k, left.y[j]), (k + 1, right.y[i])]
            for i in range(len(right.units))
            for j in range(len(left.units))
        ]
        flat = table.ravel()
        share = np.abs(flat) / scale
        ax.add_collection(
            collections.LineCollection(
                segments,
                linewidths=WIDEST * share,
                colors=np.where(flat < 0, signs.negative, signs.positive),
                linestyles=["--" if value < 0 else "-" for value in flat],
                alpha=0.25 + 0.75 * share,
                zorder=1,
            )
        )
    ax.legend(
        handles=[
            lines.Line2D(
                [], [], color=signs.positive, linewidth=WIDEST, label=f"{what} > 0, widest {scale:.3g}"
            ),
            lines.Line2D(
                [],
                [],
                color=signs.negative,
                linewidth=WIDEST,
                linestyle="--",
                label=f"{what} < 0, widest {-scale:.3g}",
            ),
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=2,
        frameon=False,
        handlelength=4.0,
    )


def _draw_units(ax: Any, columns: list[Column], signs: Any, what: str) -> None:
    given = [column.values[column.units] for column in columns if column.values is not None]
    reach = max((float(np.abs(values).max()) for values in given), default=0.0) or 1.0
    norm = part("colors").Normalize(-reach, reach)
    marks = None
    top = min(column.y[0] for column in columns) - 0.6
    for k, column in enumerate(columns):
        style: dict[str, Any] = {"s": 560.0, "edgecolors": PALETTE.ink, "linewidths": 1.0, "zorder": 2}
        x = np.full(len(column.units), float(k))
        if column.values is None:
            ax.scatter(x, column.y, color="white", **style)
        else:
            numbers = column.values[column.units]
            marks = ax.scatter(x, column.y, c=numbers, norm=norm, cmap=signs.colormap(), **style)
            for y, number in zip(column.y, numbers, strict=True):
                dark = abs(number) > 0.6 * reach
                ax.text(
                    k,
                    y,
                    _short(number),
                    ha="center",
                    va="center",
                    size=7,
                    color="white" if dark else "black",
                    zorder=3,
                )
        if column.hidden:
            ax.text(
                k,
                column.gap,
                f"... {column.hidden:,} more",
                ha="center",
                va="center",
                size=8,
                zorder=3,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )
        ax.text(k, top, column.title, ha="center", va="bottom", size=9)
    if marks is not None:
        ax.figure.colorbar(marks, ax=ax, label=what, shrink=0.7)


def _short(number: float) -> str:
    """At most five characters, to fit into a circle."""
    text = f"{number:.2g}"
    return text if len(text) <= 5 else f"{number:.0e}".replace("e-0", "e-").replace("e+0", "e")
