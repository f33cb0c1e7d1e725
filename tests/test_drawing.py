"""Pictures of graphs: nothing overlaps, everything is there, and the files are what they claim to be."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations, pairwise
from time import perf_counter

import pytest
from retrograd._drawing import Box, Cell, Layout, graph_dot, graph_svg, layout

SVG = "{http://www.w3.org/2000/svg}"
ADVANCE = 0.602  # of DejaVu Sans Mono, the widest of the fonts that the pictures ask for


def leaf(name: str, kind: str = "parameter", value: str = "1", gradient: str = "") -> Cell:
    return Cell(name, "", kind, value, gradient, (), (), None)


def operation(name: str, op: str, inputs: tuple[int, ...], local: tuple[str, ...] | None = None) -> Cell:
    return Cell(name, op, "operation", "2", "0.5", inputs, local or ("1",) * len(inputs), 1)


def line() -> list[Cell]:
    """(w x + b - y)^2 at w = 2, x = 3, b = 1, y = 5, worked out by hand."""
    return [
        Cell("w", "", "placeholder", "2", "12", (), (), 8),
        Cell("x", "", "placeholder", "3", "8", (), (), 7),
        Cell("multiply_0", "multiply", "operation", "6", "4", (0, 1), ("3", "2"), 6),
        Cell("b", "", "parameter", "1", "4", (), (), 5),
        Cell("add_0", "add", "operation", "7", "4", (2, 3), ("1", "1"), 4),
        Cell("y", "", "input", "5", "-4", (), (), 3),
        Cell("subtract_0", "subtract", "operation", "2", "4", (4, 5), ("1", "-1"), 2),
        Cell("constant_0", "", "constant", "2", "", (), (), None),
        Cell("power_0", "power", "operation", "4", "1", (6, 7), ("4", ""), 1),
    ]


def anything(count: int, seed: int) -> list[Cell]:
    """A graph of ``count`` nodes with one to three operands each, near and far, repeated ones among them."""
    draw = random.Random(seed)
    leaves = max(1, count // 3)
    cells = [
        leaf(
            f"w{i}", draw.choice(["parameter", "placeholder", "input", "constant"]), f"{i * 0.123:.4g}", "-1"
        )
        for i in range(leaves)
    ]
    ops = ["add", "subtract", "tanh", "power", "a_rather_long_operation"]
    for i in range(leaves, count):
        near = range(max(0, i - 6), i)
        inputs = tuple(
            draw.choice([near, range(i)])[-1 - draw.randrange(5) % i] for _ in range(draw.randint(1, 3))
        )
        local = tuple(draw.choice(["1", "-0.12345", "", "(4, 3, 4, 3)"]) for _ in inputs)
        gradient = draw.choice(["", "-0.25", "123456.789e-12", "(100, 20)"])
        visit = draw.choice([None, i])
        cells.append(Cell(f"node_{i}", draw.choice(ops), "operation", "3", gradient, inputs, local, visit))
    return cells


GRAPHS = {
    f"{count} nodes, seed {seed}": anything(count, seed) for count in (3, 8, 20, 40, 60) for seed in range(4)
}
GRAPHS["by hand"] = line()


def apart(one: Box, other: Box) -> bool:
    return (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )


def stretches(drawn: Layout) -> list[tuple[int, int, Box]]:
    """Source, target and extent of every curve and line of every route."""
    found = []
    for route in drawn.routes:
        for (x0, y0), (x1, y1) in pairwise(route.points):
            found.append((route.source, route.target, Box(x0, min(y0, y1), x1 - x0, abs(y1 - y0))))
    return found


@pytest.mark.parametrize("cells", GRAPHS.values(), ids=GRAPHS)
def test_nothing_overlaps(cells: list[Cell]) -> None:
    drawn = layout(cells)
    labels = [route.label for route in drawn.routes if route.label is not None]
    assert len(drawn.boxes) == len(cells)
    assert len(labels) >= sum(local != "" for cell in cells for local in cell.local)
    for one, other in combinations([*drawn.boxes, *labels], 2):
        assert apart(one, other), (one, other)
    for _, _, extent in stretches(drawn):
        for box in [*drawn.boxes, *labels]:
            assert apart(extent, box), (extent, box)


@pytest.mark.parametrize("cells", GRAPHS.values(), ids=GRAPHS)
def test_edges_lead_from_box_to_box_to_the_right(cells: list[Cell]) -> None:
    drawn = layout(cells)
    wanted = [
        (source, target, k) for target, cell in enumerate(cells) for k, source in enumerate(cell.inputs)
    ]
    assert sorted((r.source, r.target, r.operand) for r in drawn.routes) == sorted(wanted)
    heads = [route.points[-1] for route in drawn.routes]
    assert len(set(heads)) == len(heads), "two edges end at the same place"
    for route in drawn.routes:
        source, target = drawn.boxes[route.source], drawn.boxes[route.target]
        (x0, y0), (x1, y1) = route.points[0], route.points[-1]
        assert x0 == pytest.approx(source.x + source.width)
        assert source.y < y0 < source.y + source.height
        assert x1 == pytest.approx(target.x)
        assert target.y < y1 < target.y + target.height
        xs = [x for x, _ in route.points]
        assert xs == sorted(xs)
        levels = [(a[1], b[1]) for a, b in list(pairwise(route.points))[1::2]]
        assert all(a == b for a, b in levels)
        if route.label is not None:  # over the end of its own edge
            assert 0 < y1 - (route.label.y + route.label.height) < 4
            assert x1 - 16 < route.label.x + route.label.width < x1


@pytest.mark.parametrize("cells", GRAPHS.values(), ids=GRAPHS)
def test_everything_lies_in_the_picture_and_text_in_its_box(cells: list[Cell]) -> None:
    drawn = layout(cells)
    for box in [*drawn.boxes, *(route.label for route in drawn.routes if route.label is not None)]:
        assert 0 <= box.x <= box.x + box.width <= drawn.width
        assert 0 <= box.y <= box.y + box.height <= drawn.height
    root = ElementTree.fromstring(graph_svg(cells, "title", "description"))
    for node in root.iter(f"{SVG}g"):
        if node.get("class") != "node":
            continue
        frame = node.find(f"{SVG}rect")
        assert frame is not None
        left, top, width, height = (float(frame.get(key, "")) for key in ("x", "y", "width", "height"))
        spots = []
        in_circle = [circle.find(f"{SVG}text") for circle in node.iter(f"{SVG}g") if circle is not node]
        for text in node.iter(f"{SVG}text"):
            size = 9 if text in in_circle else {"head": 9, "sign": 14}.get(text.get("class", ""), 11)
            length = len(text.text or "") * ADVANCE * size
            x = float(text.get("x", "")) - (length if text.get("text-anchor") == "end" else 0)
            y = float(text.get("y", ""))
            spots.append(Box(x, y - 0.75 * size, length, 0.75 * size))
            assert left < x, text.text
            assert x + length < left + width, text.text
            assert top + 3 < y - 0.75 * size < y + 2 < top + height, text.text
        for one, other in combinations(spots, 2):
            assert apart(one, other), (one, other)


def test_the_numbers_and_marks_of_every_node_are_there() -> None:
    text = graph_svg(line(), "A line", "Forward and backward of a line.")
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    _, _, width, height = map(float, root.get("viewBox", "").split())
    assert (width, height) == (float(root.get("width", "")), float(root.get("height", "")))
    assert f"min-width:{0.75 * width:.0f}px" in root.get("style", "")  # smaller could not be read
    assert [(child.tag, child.text) for child in root][:2] == [
        (f"{SVG}title", "A line"),
        (f"{SVG}desc", "Forward and backward of a line."),
    ]
    nodes = [g for g in root.iter(f"{SVG}g") if g.get("class") == "node"]
    edges = [g for g in root.iter(f"{SVG}g") if g.get("class") == "edge"]
    assert (len(nodes), len(edges)) == (9, 8)
    shown = [[t.text for t in node.iter(f"{SVG}text")] for node in nodes]
    assert shown[0] == ["w", "8", "value", "2", "gradient", "12"]
    assert shown[2] == ["×", "multiply_0", "6", "value", "6", "gradient", "4"]
    assert shown[7] == ["constant_0", "value", "2"]
    shades = [t.get("class") for t in nodes[5].iter(f"{SVG}text")]
    assert shades == ["leaf", None, "head", None, "head", "minus"]
    borders = [[r.get("class") for r in node.iter(f"{SVG}rect")] for node in nodes]
    assert borders[1] == borders[5] == ["box fed"]
    assert borders[3] == ["box parameter", "inner"]
    assert borders[7] == ["box constant"]
    assert borders[8] == ["box operation"]
    labels = [[t.text for t in edge.iter(f"{SVG}text")] for edge in edges]
    assert sorted(labels) == sorted([["3"], ["2"], ["1"], ["1"], ["1"], ["-1"], ["4"], []])
    legend = next(g for g in root.iter(f"{SVG}g") if g.get("class") == "legend")
    words = " ".join(t.text or "" for t in legend.iter(f"{SVG}text"))
    for word in ("parameter", "fed", "constant", "operation", "gradient", "operand", "order of backward"):
        assert word in words


def test_the_file_is_self_contained() -> None:
    text = graph_svg(line(), "A line", "")
    assert "prefers-color-scheme:dark" in text
    assert not re.search(r"<script|<image|<foreignObject|href|url\(|@import|@font-face|\bon\w+=", text)
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    style = re.search("<style>(.*)</style>", text)
    assert style is not None
    for selectors in re.findall(r"([^{}]+)\{", style[1]):
        if not selectors.startswith("@"):  # rules for this picture only, not for the page around it
            assert all(part.startswith(".rg-graph ") for part in selectors.split(",")), selectors


def test_names_are_escaped() -> None:
    evil = '<script>&"'
    cells = [leaf(evil), leaf("]]>\x00\ud800"), operation("o'<b>", "</text>", (0, 1), (evil, "a\nb"))]
    text = graph_svg(cells, evil, evil)
    root = ElementTree.fromstring(text.encode("utf-8"))
    assert "<script" not in text
    assert root[0].text == root[1].text == evil
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert evil in texts
    assert "]]>\ufffd\ufffd" in texts
    assert "</text>" in texts


def test_long_texts_are_cut_and_stand_whole_in_the_tooltip() -> None:
    name, value, local = (
        "encoder.block_12.attention.weight",
        "0.123456789012345678",
        "1234567890.123456789012345",
    )
    cells = [leaf(name, value=value), operation("tanh_0", "tanh", (0,), (local,))]
    root = ElementTree.fromstring(graph_svg(cells, "", ""))
    texts = [t.text or "" for t in root.iter(f"{SVG}text")]
    assert "encoder.bl…on.weight" in texts
    assert not {name, value, local} & set(texts)
    tips = "\n".join(t.text or "" for t in root.iter(f"{SVG}title"))
    for whole in (name, value, local):
        assert whole in tips


def test_a_repeated_operand_has_an_edge_each_time() -> None:
    cells = [leaf("x"), operation("multiply_0", "multiply", (0, 0), ("3", "3"))]
    drawn = layout(cells)
    assert [route.operand for route in drawn.routes] == [0, 1]
    assert drawn.routes[0].points[-1] != drawn.routes[1].points[-1]
    assert graph_svg(cells, "", "").count('class="wire"') == 2
    assert graph_dot(cells, "").count("n0 -> n1") == 2


def test_operands_that_enter_in_another_order_are_numbered() -> None:
    """b - a and a - b look different where a must stand above b."""
    cells = [
        leaf("a"),
        leaf("b"),
        operation("first", "subtract", (0, 1), ("1", "-1")),
        operation("second", "subtract", (1, 0), ("1", "-1")),
        operation("add_0", "add", (1, 0), ("1", "1")),
    ]
    texts = {(route.target, route.operand): route.text for route in layout(cells).routes}
    swapped = [{texts[target, 0], texts[target, 1]} for target in (2, 3)]
    assert sorted(map(sorted, swapped)) == [["-1", "1"], ["1st 1", "2nd -1"]]
    assert texts[4, 0] == texts[4, 1] == "1"


def test_a_leaf_stands_next_to_its_consumer() -> None:
    boxes = layout(line()).boxes
    assert boxes[0].x == boxes[1].x < boxes[3].x == boxes[2].x < boxes[5].x < boxes[7].x < boxes[8].x


def test_chains_do_not_cross() -> None:
    """Three separate chains that are given in another order at every step."""
    draw = random.Random(2)
    cells, tips = [leaf(name) for name in "abc"], [0, 1, 2]
    chains: list[list[int]] = [[0], [1], [2]]
    for step in range(6):
        for k in draw.sample(range(3), 3):
            cells.append(operation(f"{step}{k}", "tanh", (tips[k],)))
            tips[k] = len(cells) - 1
            chains[k].append(tips[k])
    boxes = layout(cells).boxes
    orders = {tuple(sorted(range(3), key=lambda k, i=i: boxes[chains[k][i]].y)) for i in range(7)}
    assert len(orders) == 1


def test_no_nodes_and_one_node() -> None:
    assert layout([]) == Layout((), (), 0.0, 0.0)
    ElementTree.fromstring(graph_svg([], "empty", ""))
    root = ElementTree.fromstring(graph_svg([leaf("w", value="", gradient="")], "one", ""))
    assert [t.text for t in root.iter(f"{SVG}text")] == ["one", "w", "parameter"]


def test_the_same_bytes_every_time() -> None:
    cells = anything(40, 7)
    assert graph_svg(cells, "a", "b") == graph_svg(list(cells), "a", "b")
    assert graph_dot(cells, "a") == graph_dot(list(cells), "a")


def test_sixty_nodes_are_drawn_quickly() -> None:
    cells = anything(60, 11)
    seconds = []
    for _ in range(3):
        start = perf_counter()
        graph_svg(cells, "", "")
        seconds.append(perf_counter() - start)
    assert min(seconds) < 0.2


def test_dot_says_the_same() -> None:
    lines = graph_dot(line(), 'a "line" & more').splitlines()
    assert lines[0] == "digraph {"
    assert r'label="a \"line\" &amp; more"' in lines[1]
    assert r'  n0 [label="w\nvalue 2\ngradient 12\nbackward 8", style="rounded"]' in lines
    assert r'  n3 [label="b\nvalue 1\ngradient 4\nbackward 5", peripheries=2]' in lines
    assert r'  n7 [label="constant_0\nvalue 2", style="dashed"]' in lines
    assert r'  n2 [label="×  multiply_0\nvalue 6\ngradient 4\nbackward 6", style="solid"]' in lines
    assert '  n5 -> n6 [label="-1"]' in lines
    assert "  n7 -> n8" in lines
    assert sum("->" in text for text in lines) == 8
    assert r'label="a\\n\"&amp;lt;\nb"' in graph_dot([leaf('a\\n"&lt;\nb', value="")], "")
