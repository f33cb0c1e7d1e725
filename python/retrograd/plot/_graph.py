"""A computation graph with its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd.errors import ArgumentError
from retrograd.graph import Node
from retrograd.plot._canvas import PALETTE, axes_of, part

if TYPE_CHECKING:
    from retrograd._evaluation import Graph
    from retrograd._layout import Box, Cell, Route

INCH = 90.0  # units of the layout for each inch of a new figure
MARGIN = 10.0
EDGE, FED = "#6e7781", "#f0f1f3"


def graph(graph: Graph | Node, ax: Any = None) -> Any:
    """The nodes of an expression from left to right, each with value and gradient.

    On an edge stands d node / d operand, in a corner the place in the order of backward. What is fed (inputs,
    placeholders) has round corners, a parameter a double border, a constant a dashed one. A negative gradient
    is purple, a positive one green.

    Parameters
    ----------
    graph
        An ``rg.Graph``: after ``forward`` with values, after ``backward`` with gradients too. A node stands
        for its graph, without numbers.
    ax
        Axes to draw on. None: a new figure, as large as the graph. All text grows and shrinks with the axes.

    Returns
    -------
    Axes
        In the units of the layout, y downwards, without ticks.

    Raises
    ------
    ArgumentError
        Neither a Graph nor a node.
    GraphError
        A node that is a leaf.
    """
    from retrograd._evaluation import Graph
    from retrograd._layout import layout

    if isinstance(graph, Node):
        graph = Graph(graph)
    if not isinstance(graph, Graph):
        raise ArgumentError(
            f"graph: expected an rg.Graph or a node, got {type(graph).__name__}; of a model take a node, "
            "net.outputs[0]"
        )
    cells = graph._cells()
    places = layout(cells)
    width, height = places.width + 2 * MARGIN, places.height + 2 * MARGIN
    ax = axes_of("graph", ax, width / INCH, height / INCH)
    for route in places.routes:
        _draw_route(ax, route)
    for cell, box in zip(cells, places.boxes, strict=True):
        _draw_cell(ax, cell, box)
    ax.set_xlim(-MARGIN, places.width + MARGIN)
    ax.set_ylim(places.height + MARGIN, -MARGIN)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def _write(ax: Any, x: float, y: float, text: str, size: float, colour: str, right: bool = False) -> None:
    """Text as outlines: boxes and letters keep their proportion at any size of the axes."""
    transforms, textpath = part("transforms"), part("textpath")
    font = part("font_manager").FontProperties(family="DejaVu Sans Mono")
    outline = textpath.TextPath((0.0, 0.0), text, size=size, prop=font)
    left = x - outline.get_extents().x1 if right else x
    turned = outline.transformed(transforms.Affine2D().scale(1.0, -1.0).translate(left, y))
    patch = part("patches").PathPatch(turned, facecolor=colour, linewidth=0.0, zorder=4)
    patch.set_gid(text)
    ax.add_patch(patch)


def _draw_cell(ax: Any, cell: Cell, box: Box) -> None:
    from retrograd._layout import LARGE, NORMAL, PAD, ROW, SMALL, number_rows, signed_name, text_width

    _draw_frame(ax, cell, box)
    op, name = signed_name(cell)
    left, right, shift = box.x + PAD, box.x + box.width - PAD, 0.0
    if op:
        _write(ax, left, box.y + 18.0, op, LARGE, PALETTE.ink)
        shift = text_width(op, LARGE) + PAD
    _write(ax, left + shift, box.y + 17.5, name, NORMAL, PALETTE.ink)
    if cell.visit:
        _write(ax, right, box.y + 17.5, f"{cell.visit}", NORMAL, PALETTE.faint, right=True)
    for row, (head, text) in enumerate(number_rows(cell)):
        y = box.y + 38.0 + ROW * row
        _write(ax, left, y, head, SMALL, PALETTE.faint)
        _write(ax, right, y, text, NORMAL, _shade(head, text), right=True)


def _shade(head: str, text: str) -> str:
    """The colour of a number: a gradient's by its sign."""
    try:
        value = float(text) if head == "gradient" else 0.0
    except ValueError:
        value = 0.0
    signs = PALETTE.gradients
    return signs.negative if value < 0 else signs.positive if value > 0 else PALETTE.ink


def _draw_frame(ax: Any, cell: Cell, box: Box) -> None:
    patches = part("patches")
    fed = cell.kind in ("input", "placeholder")
    style = {
        "boxstyle": f"round,pad=0,rounding_size={12.0 if fed else 3.0}",
        "facecolor": FED if fed or cell.kind == "constant" else "white",
        "edgecolor": PALETTE.ink,
        "linestyle": "--" if cell.kind == "constant" else "-",
        "linewidth": 1.0,
        "zorder": 3,
    }
    frame = patches.FancyBboxPatch((box.x, box.y), box.width, box.height, **style)
    frame.set_gid(cell.name)
    ax.add_patch(frame)
    if cell.kind == "parameter":
        inner = (box.x + 2.5, box.y + 2.5), box.width - 5.0, box.height - 5.0
        ax.add_patch(patches.Rectangle(*inner, fill=False, edgecolor=PALETTE.ink, linewidth=0.6, zorder=3))


def _draw_route(ax: Any, route: Route) -> None:
    """A curve from column to column, level within one, and an arrow at its end."""
    from retrograd._layout import NORMAL

    path, patches = part("path").Path, part("patches")
    (x, y), *rest = route.points
    vertices, codes = [(x, y)], [path.MOVETO]
    for i, (to_x, to_y) in enumerate(rest):
        if i % 2:
            vertices.append((to_x, to_y))
            codes.append(path.LINETO)
        else:
            middle = (x + to_x) / 2
            vertices += [(middle, y), (middle, to_y), (to_x, to_y)]
            codes += [path.CURVE4] * 3
        x, y = to_x, to_y
    way = path(vertices, codes)
    style: dict[str, Any] = {"fill": False, "zorder": 1 + 0.001 * route.source}
    ax.add_patch(patches.PathPatch(way, edgecolor="white", linewidth=4.0, **style))  # what it passes over
    line = patches.PathPatch(way, edgecolor=EDGE, linewidth=1.0, **style)
    line.set_gid(f"{route.source}->{route.target}")
    ax.add_patch(line)
    ax.add_patch(
        patches.Polygon([(x, y), (x - 8.0, y - 3.5), (x - 8.0, y + 3.5)], color=EDGE, linewidth=0.0, zorder=2)
    )
    if route.label is not None:
        _write(ax, route.label.x, y - 4.0, route.text, NORMAL, PALETTE.ink)
