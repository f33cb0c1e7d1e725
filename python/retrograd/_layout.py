"""Where everything of a picture of a computation graph is: boxes, edges and their labels."""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import east_asian_width

from retrograd._arguments import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Box", "Cell", "Layout", "Route", "layout"]


class Cell(Record):
    """One node of a picture, everything about it as text.

    Parameters
    ----------
    name
        Unique: "w", "multiply_0", "dense_0.z".
    op
        "multiply"; "" for leaves.
    kind
        "input", "placeholder", "parameter", "constant" or "operation".
    value, gradient
        As they are to be shown: "3", "-0.25", "(4, 3)"; "" where unknown or none.
    inputs
        Positions of earlier cells: a list of cells is in topological order.
    local
        For each input the text of d this / d input; "" where unknown.
    visit
        The position in backward's order, from 1; None where backward does not come.
    """

    name: str
    op: str
    kind: str
    value: str
    gradient: str
    inputs: tuple[int, ...]
    local: tuple[str, ...]
    visit: int | None

    def __init__(
        self,
        name: str,
        op: str,
        kind: str,
        value: str,
        gradient: str,
        inputs: tuple[int, ...],
        local: tuple[str, ...],
        visit: int | None,
    ) -> None:
        self._set(
            name=name,
            op=op,
            kind=kind,
            value=value,
            gradient=gradient,
            inputs=inputs,
            local=local,
            visit=visit,
        )


class Box(NamedTuple):
    """A rectangle: left and top, y pointing down; in pixels of the picture at its natural size."""

    x: float
    y: float
    width: float
    height: float


class Route(NamedTuple):
    """One edge, for one operand of one cell.

    Attributes
    ----------
    source, target, operand
        ``cells[target].inputs[operand] == source``.
    points
        From the right side of the source's box to the left side of the target's. The way from point 0 to 1,
        from 2 to 3, ... is a curve (level at both ends), from 1 to 2, from 3 to 4, ... a level line.
    text, label
        What is written over the last line, and its place; None where there is nothing to write.
    """

    source: int
    target: int
    operand: int
    points: tuple[tuple[float, float], ...]
    text: str
    label: Box | None


class Layout(NamedTuple):
    """Where everything of a picture is: a box for each cell, a route for each operand."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float


# ------------------------------------------------------------------------------------------------- text

ADVANCE = 0.6  # width of a character of a monospaced font, in font sizes
SMALL, NORMAL, LARGE = 9.0, 11.0, 14.0  # font sizes: row heads and local derivatives' notes; text; signs
PAD = 8.0
ROW = 16.0

_SIGNS = {
    "add": "+",
    "subtract": "−",
    "multiply": "×",
    "divide": "/",
    "power": "^",
    "square": "^2",
    "sqrt": "√",
    "negative": "−( )",
    "matmul": "@",
    "sum": "Σ",
    "abs": "|·|",
    "equal": "=",
    "not_equal": "≠",
    "less": "<",
    "less_equal": "≤",
    "greater": ">",
    "greater_equal": "≥",
}
# Operations that mean the same with their operands exchanged.
_SYMMETRIC = {"add", "multiply", "maximum", "minimum", "equal", "not_equal"}


def columns(text: str) -> int:
    """Widths of a character that a text takes; those of East Asia take two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def elided(text: str, limit: int) -> str:
    """At most ``limit`` columns, with an ellipsis in the middle of what is longer."""
    text = " ".join(text.split())
    if columns(text) <= limit:
        return text
    head, tail = text, text
    while columns(head) > (limit - 1) - (limit - 1) // 2:
        head = head[:-1]
    while columns(tail) > (limit - 1) // 2:
        tail = tail[1:]
    return f"{head}…{tail}"


def sign(op: str) -> str:
    """How an operation is written in a picture: "×", "tanh"."""
    return _SIGNS.get(op, op)


def text_width(text: str, size: float) -> float:
    return columns(text) * ADVANCE * size


def signed_name(cell: Cell) -> tuple[str, str]:
    """Sign and name as they are written; "tanh_0" says itself what it is."""
    plain = cell.op not in _SIGNS and cell.name.rpartition("_")[0] == cell.op
    return "" if plain else elided(sign(cell.op), 14), elided(cell.name, 20)


def number_rows(cell: Cell) -> list[tuple[str, str]]:
    found = [("value", elided(cell.value, 18)), ("gradient", elided(cell.gradient, 18))]
    return [(head, text) for head, text in found if text]


def _size(cell: Cell) -> tuple[float, float]:
    op, name = signed_name(cell)
    sign_width = text_width(op, LARGE) + PAD if op else 0.0
    top = sign_width + text_width(name, NORMAL) + (24.0 if cell.visit else 0.0)
    rows = number_rows(cell)
    widths = [text_width(head, SMALL) + 10.0 + text_width(text, NORMAL) for head, text in rows]
    height = 28.0 + ROW * len(rows) + (6.0 if rows else 0.0)
    return 2 * PAD + max([top, *widths]), max(height, PORT * (len(cell.inputs) - 1) + LABEL_ROOM)


# ----------------------------------------------------------------------------------------------- layout

PORT = 16.0  # between two edges that enter a box
LABEL_ROOM = 28.0  # of a box with one edge: its label stands within the box's height, and meets no other
LANE = 8.0  # room of a long edge between the boxes that it passes
ARROW = 8.0
SWEEPS = 12

Offsets = dict[tuple[int, int], float]


def _ranks(cells: Sequence[Cell]) -> list[int]:
    """The column of each cell: longest paths; what has few inputs of its own stands next to its consumer."""
    consumers: list[set[int]] = [set() for _ in cells]
    ranks: list[int] = []
    for position, cell in enumerate(cells):
        ranks.append(1 + max((ranks[k] for k in cell.inputs), default=-1))
        for k in cell.inputs:
            consumers[k].add(position)
    for position in reversed(range(len(cells))):
        inner = {k for k in cells[position].inputs if cells[k].inputs}
        if consumers[position] and len(inner) <= len(consumers[position]):
            ranks[position] = min(ranks[k] for k in consumers[position]) - 1
    return ranks


class _Slots:
    """Cells and lanes, column by column. A lane is where edges of one source pass a column."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.rank = _ranks(cells)
        self.columns: list[list[int]] = [[] for _ in range(max(self.rank) + 1)]
        for position, rank in enumerate(self.rank):
            self.columns[rank].append(position)
        self.paths: dict[tuple[int, int], list[int]] = {}  # (target, operand) -> source, lanes, target
        lanes: dict[tuple[int, int], int] = {}
        for target, cell in enumerate(cells):
            for operand, source in enumerate(cell.inputs):
                path = [source]
                for rank in range(self.rank[source] + 1, self.rank[target]):
                    if (source, rank) not in lanes:
                        lanes[source, rank] = len(self.rank)
                        self.columns[rank].append(len(self.rank))
                        self.rank.append(rank)
                    path.append(lanes[source, rank])
                self.paths[target, operand] = [*path, target]
        self._sort()
        self.ports = self._ports()

    def is_lane(self, slot: int) -> bool:
        return slot >= len(self.cells)

    def _links(self) -> list[dict[tuple[int, int], float]]:
        """For each column what leads into it: (left, right) -> place of the operand, -1/2 to 1/2."""
        links: list[dict[tuple[int, int], float]] = [{} for _ in self.columns]
        for (target, operand), path in self.paths.items():
            for left, right in pairwise(path):
                share = (operand + 1) / (len(self.cells[target].inputs) + 1) - 0.5 if right == target else 0.0
                links[self.rank[right]].setdefault((left, right), share)
        return links

    def _sort(self) -> None:
        """The order within each column with the fewest crossings that barycentre sweeps find."""
        links = self._links()
        into: list[list[int]] = [[] for _ in self.rank]
        out: list[list[tuple[int, float]]] = [[] for _ in self.rank]
        for between in links:
            for (left, right), share in between.items():
                into[right].append(left)
                out[left].append((right, share))
        place = {slot: float(i) for column in self.columns for i, slot in enumerate(column)}

        def from_left(slot: int) -> float:
            return _mean([place[k] for k in into[slot]], place[slot])

        def from_right(slot: int) -> float:
            return _mean([place[k] + share for k, share in out[slot]], place[slot])

        best, fewest = [list(column) for column in self.columns], -1
        for sweep in range(2 * SWEEPS):
            key = from_left if sweep % 2 else from_right
            for column in self.columns if sweep % 2 else reversed(self.columns):
                column[:] = [slot for _, slot in sorted((key(slot), slot) for slot in column)]
                place.update((slot, float(i)) for i, slot in enumerate(column))
            found = sum(_crossings([(place[a], place[b]) for a, b in between]) for between in links)
            if fewest < 0 or found < fewest:
                best, fewest = [list(column) for column in self.columns], found
            if fewest == 0:
                break
        self.columns = best

    def _ports(self) -> Offsets:
        """(target, operand) -> how far below the middle of its box the edge enters, in the sources' order."""
        place = {slot: i for column in self.columns for i, slot in enumerate(column)}
        ports: Offsets = {}
        for target, cell in enumerate(self.cells):
            order = sorted(
                range(len(cell.inputs)), key=lambda operand: (place[self.paths[target, operand][-2]], operand)
            )
            for i, operand in enumerate(order):
                ports[target, operand] = PORT * (i - (len(order) - 1) / 2)
        return ports

    def heights(self) -> list[float]:
        return [_size(cell)[1] for cell in self.cells] + [LANE] * (len(self.rank) - len(self.cells))

    def middles(self) -> list[float]:
        """The y of each slot: near what it is connected with, and clear of its neighbours."""
        heights = self.heights()
        into: list[list[tuple[int, float, float]]] = [[] for _ in self.rank]
        out: list[list[tuple[int, float, float]]] = [[] for _ in self.rank]
        alone = {(k, 0) for k, cell in enumerate(self.cells) if len(cell.inputs) == 1}
        for key, path in self.paths.items():
            for left, right in pairwise(path):
                shift = self.ports[key] if right == path[-1] else 0.0
                lanes, only = self.is_lane(left) + self.is_lane(right), len(path) == 2 and key in alone
                weight = 4.0 if only else (1.0, 2.0, 8.0)[lanes]  # chains and long edges run straight
                into[right].append((left, -shift, weight))
                out[left].append((right, shift, weight))
        y = [0.0] * len(self.rank)

        def settle(column: list[int], *sides: list[list[tuple[int, float, float]]]) -> None:
            wanted, weights = [], []
            for slot in column:
                near = [(y[k] + shift, weight) for side in sides for k, shift, weight in side[slot]]
                total = sum(weight for _, weight in near)
                wanted.append(sum(at * weight for at, weight in near) / total if near else y[slot])
                weights.append(total if near else 0.01)
            apart = [
                (heights[a] + heights[b]) / 2 + (8.0 if self.is_lane(a) or self.is_lane(b) else 14.0)
                for a, b in pairwise(column)
            ]
            for slot, at in zip(column, _spread(wanted, weights, apart), strict=True):
                y[slot] = at

        for column in self.columns:
            settle(column)
        for _ in range(6):
            for column in reversed(self.columns):
                settle(column, out)
            for column in self.columns:
                settle(column, into)
        for _ in range(3):
            for column in [*reversed(self.columns), *self.columns]:
                settle(column, into, out)
        top = min(at - height / 2 for at, height in zip(y, heights, strict=True))
        return [round(at - top, 1) for at in y]


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _crossings(links: list[tuple[float, float]]) -> int:
    ends: list[float] = []
    found = 0
    for _, end in sorted(links):
        found += len(ends) - bisect_right(ends, end)
        insort(ends, end)
    return found


def _spread(wanted: list[float], weights: list[float], apart: list[float]) -> list[float]:
    """The y nearest to those wanted (weighted least squares) in this order and at least so far apart.

    Without the distances, what remains is monotone regression: neighbours in the wrong order
    share their mean.
    """
    offsets = list(accumulate(apart, initial=0.0))
    blocks: list[tuple[float, float, int]] = []  # mean, weight, members
    for at, weight, offset in zip(wanted, weights, offsets, strict=False):
        mean, members = at - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, more, count = blocks.pop()
            mean = (mean * weight + other * more) / (weight + more)
            weight, members = weight + more, members + count
        blocks.append((mean, weight, members))
    means = [mean for mean, _, members in blocks for _ in range(members)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _edge_text(cell: Cell, operand: int, in_order: bool) -> str:
    """The local derivative, after the operand's number where the place of the edge would tell a wrong one."""
    text = elided(cell.local[operand], 24)
    if in_order:
        return text
    number = ("1st", "2nd", "3rd")[operand] if operand < 3 else f"{operand + 1}th"
    return f"{number} {text}".rstrip()


def _edge_texts(slots: _Slots) -> dict[tuple[int, int], str]:
    texts = {}
    for target, cell in enumerate(slots.cells):
        at = [slots.ports[target, operand] for operand in range(len(cell.inputs))]
        in_order = at == sorted(at) or cell.op in _SYMMETRIC
        for operand in range(len(cell.inputs)):
            texts[target, operand] = _edge_text(cell, operand, in_order)
    return texts


def layout(cells: Sequence[Cell]) -> Layout:
    """Places for everything, left to right; no two boxes or labels meet, and no edge meets a box or a label.

    Columns are longest paths, their order is found by barycentre sweeps (Sugiyama, Tagawa and Toda 1981). An
    edge is a curve between two columns and level within one, so boxes, labels and long edges need only have
    different heights there.
    """
    if not cells:
        return Layout((), (), 0.0, 0.0)
    slots = _Slots(cells)
    sizes, middles, texts = [_size(cell) for cell in cells], slots.middles(), _edge_texts(slots)
    starts, lefts, rights = _columns_at(slots, sizes, texts)
    boxes = [
        Box(lefts[rank], round(middles[i] - height / 2, 1), rights[rank] - lefts[rank], height)
        for i, ((_, height), rank) in enumerate(zip(sizes, slots.rank, strict=False))
    ]
    routes = []
    for (target, operand), path in slots.paths.items():
        source, rank = path[0], slots.rank[target]
        points = [(rights[slots.rank[source]], middles[source])]
        for lane in path[1:-1]:
            at = slots.rank[lane]
            points += [(starts[at], middles[lane]), (rights[at], middles[lane])]
        y = round(middles[target] + slots.ports[target, operand], 1)
        points += [(starts[rank], y), (lefts[rank], y)]
        text = texts[target, operand]
        width = text_width(text, NORMAL)
        label = Box(lefts[rank] - ARROW - 3.0 - width, y - 13.0, width, 11.0) if text else None
        routes.append(Route(source, target, operand, tuple(points), text, label))
    return Layout(
        tuple(boxes),
        tuple(routes),
        rights[-1],
        max([box.y + box.height for box in boxes] + [y + LANE / 2 for r in routes for _, y in r.points]),
    )


def _columns_at(
    slots: _Slots, sizes: list[tuple[float, float]], texts: dict[tuple[int, int], str]
) -> tuple[list[float], list[float], list[float]]:
    """For each column where the level ends of its edges begin, its left and its right side."""
    count = len(slots.columns)
    widths, labels, steep = [0.0] * count, [0.0] * count, [0] * count
    for (width, _), rank in zip(sizes, slots.rank, strict=False):
        widths[rank] = max(widths[rank], width)
    for key, path in slots.paths.items():
        rank = slots.rank[path[-1]]
        labels[rank] = max(labels[rank], text_width(texts[key], NORMAL))
        for slot in path[1:]:
            steep[slots.rank[slot]] += 1
    starts, lefts, rights = [0.0], [0.0], [round(widths[0], 1)]
    for rank in range(1, count):
        starts.append(round(rights[-1] + 20.0 + min(44.0, 3.0 * steep[rank]), 1))
        lefts.append(round(starts[-1] + labels[rank] + ARROW + 6.0, 1))
        rights.append(round(lefts[-1] + widths[rank], 1))
    return starts, lefts, rights
