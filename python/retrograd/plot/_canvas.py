"""Colours, axes and the checks that all plots share."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from retrograd._trace import Trace
from retrograd.errors import ArgumentError
from retrograd.history import History
from retrograd.losses import BinaryCrossEntropy, CrossEntropy, KLDivergence
from retrograd.model import Model
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd._core import Array


class Signs(NamedTuple):
    """The colours of what is negative, 0 and positive."""

    negative: str
    zero: str
    positive: str

    def colormap(self) -> Any:
        """A map from -1 to 1 through these three; it is not registered with matplotlib."""
        colors = part("colors")
        return colors.LinearSegmentedColormap.from_list("signs", [self.negative, self.zero, self.positive])


class Palette(NamedTuple):
    """What each colour stands for, in every plot."""

    weights: Signs  # and z and a
    gradients: Signs  # and delta
    series: tuple[
        str, ...
    ]  # eight of Okabe and Ito, 2008: told apart by people of any colour vision; two more
    sequence: str  # a map of matplotlib for what has no sign
    ink: str
    faint: str


PALETTE = Palette(
    weights=Signs("#c2500a", "#f4f2ec", "#1565a7"),
    gradients=Signs("#762a83", "#f4f2ec", "#1b7837"),
    series=(
        "#0072b2",
        "#d55e00",
        "#009e73",
        "#cc79a7",
        "#e69f00",
        "#56b4e9",
        "#f0e442",
        "#000000",
        "#882255",
        "#999933",
    ),
    sequence="cividis",
    ink="#222222",
    faint="#8a8a8a",
)
MARKERS = "osD^vPX<>p"  # classes differ by shape too


def part(name: str) -> Any:
    """A module of matplotlib, which is imported when something is drawn and not before.

    Raises
    ------
    ArgumentError
        It is not installed.
    """
    try:
        return import_module(f"matplotlib.{name}")
    except ImportError:
        raise ArgumentError(
            'plot: this needs matplotlib, which is not installed; pip install "retrograd[plot]"'
        ) from None


def axes_of(who: str, ax: Any, width: float = 6.4, height: float = 4.8) -> Any:
    """The Axes that were given, or those of a new figure of this size in inches."""
    if ax is None:
        figure = part("pyplot").figure(figsize=(width, height), layout="constrained")
        return figure.add_subplot()
    if not isinstance(ax, part("axes").Axes):
        raise ArgumentError(
            f"{who}: ax must be one Axes of matplotlib or None, got {type(ax).__name__}; "
            "of an array of them pass one, ax=axes[0]"
        )
    return ax


def model_of(who: str, net: Any) -> Model:
    """A model, or that of a trainer."""
    if isinstance(net, Trainer):
        return net.model
    if isinstance(net, Model):
        return net
    raise ArgumentError(f"{who}: expected a Model or a Trainer, got {type(net).__name__}")


def trace_of(who: str, trace: Any) -> Trace:
    """A trace and nothing else: a model alone has no samples to show."""
    if isinstance(trace, Trace):
        return trace
    if isinstance(trace, History):
        hint = "; for the epochs of a History there is gradient_flow_over_epochs"
    else:
        hint = "; make one with net.trace(x, y, loss) or trainer.trace(x, y)"
    raise ArgumentError(f"{who}: expected a Trace, got {type(trace).__name__}{hint}")


def history_of(who: str, source: Any) -> History:
    """A history with at least one epoch, or that of a trainer."""
    history = source.history if isinstance(source, Trainer) else source
    if not isinstance(history, History):
        raise ArgumentError(f"{who}: expected a History or a Trainer, got {type(source).__name__}")
    if not history.epochs:
        raise ArgumentError(f"{who}: the history has no complete epoch yet; call trainer.fit first")
    return history


def loss_label(losses: Sequence[Any] | None) -> str:
    """ "loss", with its unit where all losses are logarithms of probabilities."""
    logarithms = CrossEntropy | BinaryCrossEntropy | KLDivergence
    if losses and all(isinstance(loss, logarithms) for loss in losses):
        return "loss [nats]"
    return "loss"


def whole_numbers(axis: Any) -> None:
    """Ticks of an axis at whole numbers only."""
    axis.set_major_locator(part("ticker").MaxNLocator(integer=True, min_n_ticks=1))


def line_above(ax: Any, handles: Sequence[Any] | None = None) -> None:
    """A legend in one or two lines above the axes, where no data can be."""
    count = len(ax.get_legend_handles_labels()[0] if handles is None else handles)
    given = {} if handles is None else {"handles": handles}
    ax.legend(
        **given,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=count if count <= 3 else -(-count // 2),
        frameon=False,
        borderaxespad=0.2,
        handlelength=2.2 if count <= 4 else 1.0,
        columnspacing=1.2,
    )


def weights_of(gradients: dict[str, Array]) -> list[Array]:
    """Of a layer's arrays by role those that are matrices: not biases, not the factors of a normalisation."""
    return [array for role, array in gradients.items() if "weight" in role and array.ndim > 1]
