"""Pictures of a computation graph, as SVG and as DOT, without any other program."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from retrograd._layout import (
    ADVANCE,
    ARROW,
    LARGE,
    NORMAL,
    PAD,
    ROW,
    SMALL,
    Box,
    Cell,
    Layout,
    Route,
    columns,
    elided,
    layout,
    number_rows,
    sign,
    signed_name,
    text_width,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Box", "Cell", "Layout", "Route", "graph_dot", "graph_svg", "layout"]

# -------------------------------------------------------------------------------------------------- SVG

MARGIN = 16.0
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Names and numbers are monospaced, so that their widths are known whatever the font. Negative and positive
# gradients are purple and green; their sign and the word "gradient" say so too.
_STYLE = """
text{font:11px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328}
.card,.box{fill:#fff}
.box,.inner{stroke:#1f2328;stroke-width:1.2}
.fed,.constant{fill:#f3f4f6}
.constant{stroke-dasharray:4 3}
.inner{fill:none;stroke-width:.8}
.heading{font-size:13px;font-weight:600}
.sign{font-size:14px;font-weight:600}
.leaf{font-weight:600}
.local{font-style:italic}
.head,.visit text{font-size:9px;fill:#59636e}
.visit circle{fill:none;stroke:#59636e}
.minus{fill:#762a83}
.plus{fill:#1b7837}
.wire{fill:none;stroke:#6e7781;stroke-width:1.2}
.arrow{fill:#6e7781}
.halo{fill:none;stroke:#fff;stroke-width:5}
"""
_DARK_STYLE = """
text{fill:#e6e8eb}
.card,.box{fill:#14181f}
.box,.inner{stroke:#e6e8eb}
.fed,.constant{fill:#232a33}
.inner{fill:none}
.head,.visit text{fill:#a2abb5}
.visit circle{stroke:#a2abb5}
.minus{fill:#c58fd6}
.plus{fill:#5fc77a}
.wire{stroke:#8b949e}
.arrow{fill:#8b949e}
.halo{stroke:#14181f}
"""


def _style() -> str:
    """The rules, for elements of this picture alone: in a page they would hold for all others too."""
    selector = re.compile("(^|,)([a-z.][a-z. ]*)(?=[,{])", re.MULTILINE)
    light, dark = (
        selector.sub(r"\1.rg-graph \2", rules).replace("\n", "") for rules in (_STYLE, _DARK_STYLE)
    )
    return f"<style>{light}@media (prefers-color-scheme:dark){{{dark}}}</style>"


def _shape(cell: Cell) -> str:
    """The kinds that a picture tells apart."""
    return "fed" if cell.kind in ("input", "placeholder") else cell.kind


def _escaped(text: str) -> str:
    """Text for XML, which knows no control characters even as entities."""
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: str, kind: str = "", end: bool = False) -> str:
    style = f' class="{kind}"' if kind else ""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{_number(x)}" y="{_number(y)}"{style}{anchor}>{_escaped(text)}</text>'


def _rectangle(box: Box, kind: str, radius: float) -> str:
    x, y, width, height = map(_number, box)
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{_number(radius)}" class="{kind}"/>'


def _frame(box: Box, shape: str) -> str:
    """The border, which tells the kind: double, round, dashed or plain."""
    if shape == "parameter":
        inner = Box(box.x + 2.5, box.y + 2.5, box.width - 5, box.height - 5)
        return _rectangle(box, "box parameter", 3) + _rectangle(inner, "inner", 1)
    return _rectangle(box, f"box {shape}", {"fed": 12.0, "constant": 0.0}.get(shape, 3.0))


def _visit(x: float, y: float, visit: int) -> str:
    circle = f'<circle cx="{_number(x)}" cy="{_number(y)}" r="8.5"/>'
    width = columns(str(visit)) * ADVANCE * SMALL
    return f'<g class="visit">{circle}{_text(x - width / 2, y + 3.2, str(visit))}</g>'


def _shade(gradient: str) -> str:
    """The class of a gradient's text: by its sign where it is one number."""
    try:
        value = float(gradient)
    except ValueError:
        return ""
    return "minus" if value < 0 else "plus" if value > 0 else ""


def _tooltip(cell: Cell) -> str:
    lines = [f"{cell.name} = {cell.op}(...)" if cell.op else f"{cell.name}: {cell.kind}"]
    lines += [f"value {cell.value}"] if cell.value else []
    lines += [f"gradient {cell.gradient}"] if cell.gradient else []
    lines += [f"backward comes here as number {cell.visit}"] if cell.visit else []
    return f"<title>{_escaped(chr(10).join(lines))}</title>"


def _cell_svg(cell: Cell, box: Box) -> str:
    op, name = signed_name(cell)
    left, right = box.x + PAD, box.x + box.width - PAD
    parts = [_tooltip(cell), _frame(box, _shape(cell))]
    shift = 0.0
    if op:
        parts.append(_text(left, box.y + 18, op, "sign"))
        shift = text_width(op, LARGE) + PAD
    parts.append(_text(left + shift, box.y + 17.5, name, "leaf" if not op else ""))
    if cell.visit:
        parts.append(_visit(right - 6, box.y + 14, cell.visit))
    for row, (head, text) in enumerate(number_rows(cell)):
        y = box.y + 38 + ROW * row
        parts.append(_text(left, y, head, "head"))
        parts.append(_text(right, y, text, _shade(cell.gradient) if head == "gradient" else "", end=True))
    return f'<g class="node">{"".join(parts)}</g>'


def path_data(points: Sequence[tuple[float, float]]) -> str:
    """The way of a route in SVG's words."""
    (x, y), *rest = points
    parts = [f"M{_number(x)} {_number(y)}"]
    for i, (to_x, to_y) in enumerate(rest):
        if i % 2:
            parts.append(f"H{_number(to_x)}")
        else:
            middle = _number((x + to_x) / 2)
            parts.append(f"C{middle} {_number(y)} {middle} {_number(to_y)} {_number(to_x)} {_number(to_y)}")
        x, y = to_x, to_y
    return "".join(parts)


def _route_svg(cells: Sequence[Cell], route: Route) -> str:
    x, y = route.points[-1]
    wire = path_data([*route.points[:-1], (x - ARROW + 1, y)])
    head = f"M{_number(x)} {_number(y)}l-{_number(ARROW)} -3.5v7z"
    source, target = cells[route.source], cells[route.target]
    local = target.local[route.operand]
    tip = f"{source.name} -> {target.name}, operand {route.operand + 1}"
    tip += f"\nd {target.name} / d {source.name} = {local}" if local else ""
    text = _text(route.label.x, y - 4, route.text, "local") if route.label else ""
    return (
        f'<g class="edge" data-from="{route.source}" data-to="{route.target}">'
        f'<title>{_escaped(tip)}</title><path class="wire" d="{wire}"/>'
        f'<path class="arrow" d="{head}"/>{text}</g>'
    )


def _edges_svg(cells: Sequence[Cell], routes: Sequence[Route]) -> str:
    """All edges, those of one source together: a crossing one passes beneath or above them visibly."""
    parts = []
    for source in sorted({route.source for route in routes}):
        mine = [route for route in routes if route.source == source]
        halo = "".join(path_data(route.points) for route in mine)
        parts.append(f'<path class="halo" d="{halo}"/>')
        parts += [_route_svg(cells, route) for route in mine]
    return "".join(parts)


def _legend_items(cells: Sequence[Cell]) -> list[tuple[float, str, str]]:
    """Width of the sign, the sign drawn at (0, 0) with its middle at y = 0, and what it means."""
    items = []
    for shape in dict.fromkeys(map(_shape, cells)):
        items.append((26.0, _frame(Box(0.0, -8.0, 26.0, 16.0), shape), shape))
    if any(cell.gradient for cell in cells):
        signs = _text(0, 4, "−", "minus") + _text(11, 4, "+", "plus")
        items.append((18.0, signs, "gradient: d result / d node"))
    if any(text for cell in cells for text in cell.local):
        items.append((20.0, _text(0, 4, "0.5", "local"), "at an arrow: d node / d its operand"))
    if any(cell.visit for cell in cells):
        items.append((18.0, _visit(9.0, 0.0, 1), "order of backward"))
    return items


def _legend(cells: Sequence[Cell], width: float) -> tuple[str, float, float]:
    """The legend in lines no wider than the picture, its width and height."""
    parts, x, y, widest = [], 0.0, 0.0, 0.0
    for sign_width, drawn, meaning in _legend_items(cells):
        length = sign_width + 6.0 + text_width(meaning, NORMAL)
        if x and x + length > width:
            x, y = 0.0, y + 24.0
        parts.append(f'<g transform="translate({_number(x)} {_number(y)})">{drawn}')
        parts.append(f"{_text(sign_width + 6, 4, meaning)}</g>")
        widest = max(widest, x + length)
        x += length + 22.0
    return "".join(parts), widest, y + 20.0


def graph_svg(cells: Sequence[Cell], title: str, description: str) -> str:
    """The picture as one self-contained SVG, for light and dark surroundings.

    Parameters
    ----------
    cells
        In topological order.
    title, description
        What stands over the picture, and what a screen reader says of it.
    """
    drawn = layout(cells)
    legend, legend_width, legend_height = _legend(cells, max(drawn.width, 420.0))
    heading = elided(title, int(max(drawn.width, legend_width, 240.0) / (ADVANCE * 13)))
    inner = max(drawn.width, legend_width, text_width(heading, 13))
    width, top = inner + 2 * MARGIN, MARGIN + (30.0 if heading else 0.0)
    height = top + drawn.height + 28.0 + legend_height + MARGIN - 8.0
    size = f'width="{_number(width)}" height="{_number(height)}"'
    # a narrow page may shrink it as long as it can be read; then it scrolls, where the page lets it
    style = f"max-width:100%;min-width:{0.75 * width:.0f}px;height:auto"
    shift = MARGIN + (inner - drawn.width) / 2
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="rg-graph" role="img" {size} ',
            f'viewBox="0 0 {_number(width)} {_number(height)}" style="{style}">',
            f"<title>{_escaped(title)}</title><desc>{_escaped(description)}</desc>{_style()}",
            _rectangle(Box(0.0, 0.0, width, height), "card", 6),
            _text(MARGIN, MARGIN + 13, heading, "heading") if heading else "",
            f'<g class="graph" transform="translate({_number(shift)} {_number(top)})">',
            _edges_svg(cells, drawn.routes),
            *(_cell_svg(cell, box) for cell, box in zip(cells, drawn.boxes, strict=True)),
            f'</g><g class="legend" transform="translate({_number(MARGIN)} ',
            f'{_number(top + drawn.height + 36.0)})">{legend}</g></svg>\n',
        ]
    )


# -------------------------------------------------------------------------------------------------- DOT


def _quoted(text: str) -> str:
    """A string of DOT, where "&" would begin an entity and a backslash an escape."""
    text = _FORBIDDEN.sub("\ufffd", text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + text.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n") + '"'


_DOT_SHAPES = {
    "parameter": "peripheries=2",
    "fed": 'style="rounded"',
    "constant": 'style="dashed"',
    "operation": 'style="solid"',
}


def graph_dot(cells: Sequence[Cell], title: str) -> str:
    """The same as text for Graphviz: ``dot -Tsvg``."""
    lines = [
        "digraph {",
        f"  graph [rankdir=LR, label={_quoted(title)}, labelloc=t, fontname=monospace]",
        "  node [shape=box, fontname=monospace, fontsize=11]",
        "  edge [fontname=monospace, fontsize=10]",
    ]
    for position, cell in enumerate(cells):
        label = [f"{sign(cell.op)}  {cell.name}" if cell.op else cell.name]
        label += [f"value {cell.value}"] if cell.value else []
        label += [f"gradient {cell.gradient}"] if cell.gradient else []
        label += [f"backward {cell.visit}"] if cell.visit else []
        shape = _DOT_SHAPES[_shape(cell)]
        lines.append(f"  n{position} [label={_quoted(chr(10).join(label))}, {shape}]")
    for position, cell in enumerate(cells):
        for source, local in zip(cell.inputs, cell.local, strict=True):
            label_of = f" [label={_quoted(local)}]" if local else ""
            lines.append(f"  n{source} -> n{position}{label_of}")
    return "\n".join([*lines, "}", ""])
