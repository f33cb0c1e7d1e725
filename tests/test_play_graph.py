"""The computation graph of the page: its sentences give their results, its numbers are computed once more."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from page import DESKTOP, PHONE, Visitor
from play import Page
from retrograd._play.config import Config

SVG = "{http://www.w3.org/2000/svg}"


def binary_cross_entropy(z: float, y: float) -> float:
    return math.log1p(math.exp(z)) - y * z


def cross_entropy(z: tuple[float, ...], label: int) -> float:
    return math.log(sum(map(math.exp, z))) - z[label]


NAMES: dict[str, Any] = {
    "tanh": math.tanh,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "gelu": lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2,
    "half_squared_error": lambda a, y: (a - y) ** 2 / 2,
    "concatenate": lambda *z: z,
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "xor": {},
    "no hidden layer": {"hidden": []},
    "classes": {"dataset": "gaussians", "classes": 3, "hidden": [3]},
    "squared": {"loss": "half_squared_error", "activations": ["gelu", "leaky_relu"]},
}
SYMBOLS = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾", "01234567890123456789()")


def evaluated(text: str) -> Any:
    """The number, or the numbers, that an expression of a sentence comes to."""
    return np.array(eval(text.replace("·", "*"), {"__builtins__": {}}, NAMES), dtype=float)


def boxes(svg: str) -> list[dict[str, str]]:
    """What stands in each node of the picture: its name, value and gradient."""
    found = []
    for node in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if node.get("class") != "node":
            continue
        texts = [(text.get("class"), text.text or "") for text in node.findall(f"{SVG}text")]
        box = {"name": next(text for kind, text in texts if kind not in ("sign", "head"))}
        for (kind, head), (_, text) in pairwise(texts):
            if kind == "head":
                box[head] = text
        found.append(box)
    return found


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("phase", [0, 4])
def test_a_sentence_gives_its_result(name: str, phase: int) -> None:
    page = Page(rows=40, **SETTINGS[name])
    page.result("step", n=3)
    while page.run.phase != phase:
        page.result("phase")
    found = page.result("graph")
    cells = boxes(found["svg"])
    checked = 0
    for step in found["steps"]:
        way, _, words = step["text"].partition(": ")
        assert way.startswith("Backward" if step["back"] else "Forward")
        if words == "∂L/∂L = 1: backward begins here" or words.endswith(", from L"):
            continue  # nothing to compute, and the vector of several outputs
        _, expression, result = words.split(" ≈ ")
        value = evaluated(result)
        assert value == pytest.approx(evaluated(expression), rel=2e-3, abs=1e-3), words
        shown = cells[step["node"]]["gradient" if step["back"] else "value"]
        if not shown.startswith("shape"):
            assert value == pytest.approx(evaluated(f"({shown})")), (words, shown)
        checked += 1
    assert checked >= len(found["steps"]) - 2


def passed(page: Page) -> tuple[dict[str, float], dict[str, float]]:
    """Values and gradients of the default network, by name, in plain NumPy."""
    scene, focus = page.run.scene, page.session.views[0].focus
    a, y = scene.x[focus], float(scene.y[focus].item())
    values = {f"x{k}": float(v) for k, v in enumerate(a, 1)} | {"y": y}
    layers = []
    for layer, column in enumerate(page.session.views[0].columns, 1):
        W, b = page.run.model.parameters[column.weight], page.run.model.parameters[column.bias]
        z = W @ a + b
        layers.append((layer, W, a))
        values |= {f"z{j}({layer})": v for j, v in enumerate(z, 1)}
        a = np.tanh(z)
        if layer < 3:
            values |= {f"a{j}({layer})": v for j, v in enumerate(a, 1)}
        values |= {f"w{j + 1}{k + 1}({layer})": W[j, k] for j, k in np.ndindex(W.shape)}
        values |= {f"b{j}({layer})": v for j, v in enumerate(b, 1)}
    values["L"] = binary_cross_entropy(z[0], y)
    gradients = {"L": 1.0}
    delta = np.array([1 / (1 + math.exp(-z[0])) - y])
    for layer, W, before in reversed(layers):
        gradients |= {f"z{j}({layer})": v for j, v in enumerate(delta, 1)}
        gradients |= {f"b{j}({layer})": v for j, v in enumerate(delta, 1)}
        dW, da = np.outer(delta, before), W.T @ delta
        gradients |= {f"w{j + 1}{k + 1}({layer})": dW[j, k] for j, k in np.ndindex(W.shape)}
        letter = "x{}" if layer == 1 else f"a{{}}({layer - 1})"
        gradients |= {letter.format(k): v for k, v in enumerate(da, 1)}
        delta = da * (1 - before**2)
    return values, gradients


def test_every_node_has_its_value_and_its_gradient() -> None:
    page = Page(rows=40)
    page.result("step", n=2)
    page.result("focus", index=7)
    values, gradients = passed(page)
    found = page.result("graph")
    cells = {box["name"].translate(SYMBOLS): box for box in boxes(found["svg"])}
    assert set(values) <= set(cells)
    for name, value in values.items():
        assert float(cells[name]["value"]) == pytest.approx(value, rel=1e-3), name
    for name, gradient in gradients.items():
        assert float(cells[name]["gradient"]) == pytest.approx(gradient, rel=1e-3), name
    assert found["text"].startswith("Sample #7, weights of step 2: ")


@pytest.mark.parametrize("name", SETTINGS)
def test_loss_and_gradients_are_those_of_the_step(name: str) -> None:
    page = Page(rows=40, **SETTINGS[name])
    page.result("step", n=2)
    run, focus = page.run, page.session.views[0].focus
    trace = run.trainer.trace(run.scene.x[focus : focus + 1], run.scene.y[focus : focus + 1])
    cells = {box["name"].translate(SYMBOLS): box for box in boxes(page.result("graph")["svg"])}
    assert float(cells["L"]["value"]) == pytest.approx(trace.loss, rel=1e-3)
    for layer, column in enumerate(page.session.views[0].columns, 1):
        for (j, k), gradient in np.ndenumerate(trace.gradients[column.weight]):
            shown = float(cells[f"w{j + 1}{k + 1}({layer})"]["gradient"])
            assert shown == pytest.approx(gradient, rel=1e-3)


def test_forward_computes_and_backward_visits_in_order() -> None:
    found = Page(rows=40).result("graph")
    cells, operands = boxes(found["svg"]), [set() for _ in range(88)]
    for edge in ElementTree.fromstring(found["svg"]).iter(f"{SVG}g"):
        if edge.get("class") == "edge":
            operands[int(edge.get("data-to", ""))].add(int(edge.get("data-from", "")))
    ahead = [step["node"] for step in found["steps"] if not step["back"]]
    back = [step["node"] for step in found["steps"] if step["back"]]
    assert ahead == sorted(k for k in range(88) if operands[k])
    assert sorted(back) == sorted(k for k in range(88) if "gradient" in cells[k])
    known: set[int] = {k for k in range(88) if not operands[k]}
    for k in ahead:
        assert operands[k] <= known
        known.add(k)
    for at, k in enumerate(back):
        assert {c for c in range(88) if k in operands[c]} <= set(back[:at])


def test_nodes_lead_to_what_they_stand_for() -> None:
    page = Page(rows=40)
    found = page.result("graph")
    by_name = {
        box["name"].translate(SYMBOLS): target
        for box, target in zip(boxes(found["svg"]), found["targets"], strict=True)
    }
    assert by_name["x2"] == {"kind": "unit", "layer": 0, "unit": 1}
    assert by_name["w34(2)"] == {"kind": "weight", "layer": 2, "unit": 2, "input": 3}
    assert by_name["b1(3)"] == {"kind": "bias", "layer": 3, "unit": 0}
    assert by_name["z4(1)"] == by_name["a4(1)"] == {"kind": "unit", "layer": 1, "unit": 3}
    assert by_name["L"] == {"kind": "loss"}
    assert by_name["y"] is None
    targets = [t for t in found["targets"] if t and t.get("layer") != 0]
    for k in range(0, len(targets), 8):
        page.result("watch", targets=targets[k : k + 8])


@pytest.mark.parametrize("settings", [{"hidden": [8, 8]}, {"dropout": 0.3}])
def test_what_is_too_large_or_has_other_layers_has_a_node_for_each_tensor(settings: dict[str, Any]) -> None:
    found = Page(rows=40, **settings).result("graph")
    assert "dense_2.weight" in found["svg"]
    assert len(found["targets"]) < 20
    assert {"kind": "layer", "layer": 2} in found["targets"]
    assert found["steps"][0]["text"].startswith("Forward, 1 of ")


# ---------------------------------------------------------------------------------------- in a browser


@pytest.fixture
def graph(visit: Visitor) -> Iterator[Any]:
    one = visit(Config().changed({"hidden": [2]}))
    page = one.open()
    page.get_by_role("tab", name="Graph").click()
    page.wait_for_selector(".rg-graph-stage svg .node")
    yield one
    assert one.problems == []


def lit(page: Any) -> dict[str, int]:
    return {
        state: page.locator(f".rg-graph-stage .node[data-step={state}]").count()
        for state in ("now", "done", "later")
    }


def test_keys_and_buttons_light_the_nodes_in_order(graph: Any) -> None:
    from playwright.sync_api import expect

    page, said = graph.page, graph.page.locator(".rg-graph-said")
    steps = Page(hidden=[2]).result("graph")["steps"]
    stage = page.get_by_role("group", name="Computation graph")
    assert lit(page) == {"now": 0, "done": 0, "later": 0}
    stage.press("ArrowRight")
    expect(said).to_have_text(steps[0]["text"])
    ahead = sum(not step["back"] for step in steps)
    assert lit(page)["later"] == ahead - 1
    hidden = page.locator(".rg-graph-stage .node[data-step=later] .head").first
    assert hidden.evaluate("e => getComputedStyle(e).visibility") == "hidden"
    page.get_by_role("button", name="Next node").click()
    expect(said).to_have_text(steps[1]["text"])
    for _ in range(2):
        page.get_by_role("button", name="Previous node").click()
    expect(said).to_have_text(steps[0]["text"])
    for step in steps[1:]:
        stage.press("ArrowRight")
        expect(said).to_have_text(step["text"])
        now = page.locator(".rg-graph-stage .node[data-step=now]")
        assert now.evaluate("e => [...e.closest('svg').querySelectorAll('.node')].indexOf(e)") == step["node"]
    assert lit(page)["later"] == 1  # y has no gradient
    page.get_by_role("button", name="All nodes").click()
    expect(said).to_have_text("")
    assert lit(page) == {"now": 0, "done": 0, "later": 0}
    assert graph.session.runs[0].phase == 0  # the keys were the picture's


def test_enter_and_a_click_open_the_inspector(graph: Any) -> None:
    from playwright.sync_api import expect

    page, picker = graph.page, graph.page.locator(".rg-picker")
    steps = Page(hidden=[2]).result("graph")["steps"]
    stage = page.get_by_role("group", name="Computation graph")
    at = next(
        k for k, step in enumerate(steps) if step["text"].startswith("Forward") and " = tanh(" in step["text"]
    )
    for _ in range(at + 1):
        stage.press("ArrowRight")
    stage.press("Enter")
    expect(picker.get_by_label("show", exact=True)).to_have_value("unit")
    expect(picker.get_by_label("layer", exact=True)).to_have_value("1")
    page.get_by_role("button", name="Show all of the graph").click()
    page.locator(".rg-graph-stage .node", has_text=re.compile("^w₁₂⁽¹⁾: parameter")).click()
    expect(picker.get_by_label("show", exact=True)).to_have_value("weight")
    expect(picker.get_by_label("input", exact=True)).to_have_value("2")


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "dark"), (PHONE, "light")])
def test_the_present_node_is_in_sight_and_axe_is_content(
    visit: Visitor, size: tuple[int, int], scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    one = visit(size=size, scheme=scheme)
    page = one.open()
    page.get_by_role("tab", name="Graph").click()
    page.wait_for_selector(".rg-graph-stage svg .node")
    stage = page.get_by_role("group", name="Computation graph")
    for _ in range(12):
        stage.press("ArrowRight")
    inside = page.evaluate(
        """() => {
          const [n, s] = ['.node[data-step=now]', '.rg-graph-stage svg'].map(
            (e) => document.querySelector(e).getBoundingClientRect());
          return n.left >= s.left && n.right <= s.right && n.top >= s.top && n.bottom <= s.bottom;
        }"""
    )
    assert inside
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert one.problems == []
