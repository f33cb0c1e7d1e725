"""A history in a notebook: small curves, and the last numbers."""

from __future__ import annotations

import math
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from retrograd._table import html_paragraph, html_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Protocol

    class History(Protocol):
        """What is needed of ``retrograd.History``, which is made later."""

        history: dict[str, list[float]]
        epochs: int
        iterations: int
        stop_reason: str

        @property
        def best_epoch(self) -> int | None: ...


# Both are at least three times brighter or darker than a white and a black page; dashes tell them apart too.
_STROKES = (("#2f7fd1", ""), ("#d0621a", ' stroke-dasharray="5 3"'), ("#1a9a6c", ' stroke-dasharray="1.5 3"'))
LEFT, TOP, BOTTOM = 52.0, 18.0, 20.0
POINTS = 400  # more than a picture of this size can show


def curve_svg(
    series: Mapping[str, Sequence[float]],
    marked: int | None = None,
    width: float = 420.0,
    height: float = 150.0,
) -> str:
    """Curves over epochs, in the colours of the page around them; gaps where a number is not finite.

    Parameters
    ----------
    series
        Name -> a number for each epoch, from epoch 1; at most three are drawn.
    marked
        An epoch with a line through it, called the best.
    width, height
        In pixels, the names at the right end not included.
    """
    drawn = {name: list(values) for name, values in list(series.items())[: len(_STROKES)]}
    epochs = max(map(len, drawn.values()), default=0)
    finite = [value for values in drawn.values() for value in values if math.isfinite(value)]
    total = width + 8.0 + 6.2 * max(map(len, drawn), default=0)
    # thousandfold losses would press all that matters into one line
    logarithmic = bool(finite) and min(finite) > 0 and max(finite) > 50 * min(finite)
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)

    def at(epoch: int) -> float:
        return LEFT + (width - LEFT) * ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5)

    def level(value: float) -> float:
        bounds = (low, high, value)
        bottom, top, here = map(math.log, bounds) if logarithmic else bounds
        share = (here / 2 - bottom / 2) / (top / 2 - bottom / 2) if top > bottom else 0.5
        return height - BOTTOM - (height - BOTTOM - TOP) * share

    words = f"{' and '.join(drawn)} of {epochs} epochs" + (f"; best epoch {marked}" if marked else "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(words)}" ',
        f'width="{total:.0f}" height="{height:.0f}" viewBox="0 0 {total:.0f} {height:.0f}" ',
        'font-family="sans-serif" font-size="11" fill="currentColor" style="max-width:100%">',
        f'<path d="M{LEFT:.1f} {TOP:.1f}V{height - BOTTOM:.1f}H{width:.1f}" fill="none" ',
        'stroke="currentColor" opacity="0.4"/>',
    ]
    if finite:
        parts += _scale(low, high, level, logarithmic)
        parts += _epochs(epochs, at, marked, height)
    else:
        parts.append(_text((LEFT + width) / 2, height / 2, "no finite number yet", "middle"))
    ends: list[float] = []
    for (name, values), (colour, dashes) in zip(drawn.items(), _STROKES, strict=False):
        last = [value for value in values if math.isfinite(value)][-1:]
        if last:
            parts += _curve(values, at, level, colour, dashes)
            ends.append(_free(level(last[0]) + 4.0, ends, height / 2))
            parts.append(f'<g fill="{colour}">{_text(width + 6, ends[-1], name)}</g>')
    return "".join([*parts, "</svg>"])


def _free(y: float, taken: list[float], middle: float) -> float:
    """The place for a line of text nearest to y, towards the middle."""
    step = 1.0 if y < middle else -1.0
    while any(abs(y - other) < 12.0 for other in taken):
        y += step
    return y


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _scale(low: float, high: float, level: Callable[[float], float], logarithmic: bool) -> Iterator[str]:
    """The lowest and the highest number; between them a curve need only be seen."""
    for value in dict.fromkeys((low, high)):
        yield _text(LEFT - 6, level(value) + 4, f"{value:.3g}", "end")
    if logarithmic:
        yield f'<g opacity="0.75">{_text(LEFT - 6, (level(low) + level(high)) / 2 + 4, "log", "end")}</g>'


def _epochs(epochs: int, at: Callable[[int], float], marked: int | None, height: float) -> Iterator[str]:
    for epoch in dict.fromkeys((1, epochs)):
        anchor = "start" if epoch < epochs else "middle"
        yield _text(at(epoch), height - 5, f"epoch {epoch}" if epoch == 1 else str(epoch), anchor)
    if marked is not None:
        x = at(marked)
        yield f'<path class="best" d="M{x:.1f} {TOP:.1f}V{height - BOTTOM:.1f}" fill="none" '
        yield 'stroke="currentColor" stroke-dasharray="2 3" opacity="0.75"/>'
        yield _text(x, TOP - 6, f"best: {marked}", "start" if x < LEFT + 24 else "middle")


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lowest and the highest of each stretch, where there are more points than pixels."""
    size = -(-len(points) // (POINTS // 2))
    if len(points) <= POINTS:
        return points
    kept = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept


def _curve(
    values: list[float],
    at: Callable[[int], float],
    level: Callable[[float], float],
    colour: str,
    dashes: str,
) -> Iterator[str]:
    """A line for each stretch of finite numbers, a dot for one that stands alone."""
    for finite, stretch in groupby(enumerate(values, 1), key=lambda pair: math.isfinite(pair[1])):
        if not finite:
            continue
        points = _thinned([(at(epoch), level(value)) for epoch, value in stretch])
        if len(points) == 1:
            yield f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2.5" fill="{colour}"/>'
        else:
            way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>'


def history_html(history: History) -> str:
    """Loss and validation loss as curves, the rest by its last number and that of the best epoch."""
    best = history.best_epoch
    shown = {name: values for name, values in history.history.items() if "/" not in name}
    losses = {name: values for name, values in shown.items() if name in ("loss", "val_loss")}
    rows = []
    for name, values in shown.items():
        row = [name, _number(values[-1:])]
        rows.append([*row, _number(values[best - 1 : best])] if best else row)
    head = ["", "last epoch", f"epoch {best} (best)"] if best else ["", "last epoch"]
    layers = len(history.history) - len(shown)
    return "".join(
        [
            '<div style="overflow-x:auto">',
            html_paragraph([_summary(history)]),
            curve_svg(losses, best) if history.epochs else "",
            html_table(head, rows) if history.epochs else "",
            html_paragraph([f"and {layers} series of single parameters in .history"], True) if layers else "",
            "</div>",
        ]
    )


def _number(values: list[float]) -> str:
    return f"{values[0]:.4g}" if values else ""


def _summary(history: History) -> str:
    counts = {"epoch": history.epochs, "iteration": history.iterations}
    parts = [f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items()]
    parts += [f"stopped: {history.stop_reason}"] if history.stop_reason else []
    return "; ".join(parts)
