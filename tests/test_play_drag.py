"""A weight or bias that is dragged in the network, and what moves along the edges in slow motion."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg

pytest.importorskip("websockets")

from page import DESKTOP, PHONE, Visit, Visitor
from play import Page, equal, state
from retrograd._play import session as session_module
from retrograd._play.config import Config
from retrograd._play.run import Given
from retrograd._play.scenes import given_scene

SMALL = {"rows": 40, "batch_size": 8, "optimizer": "adam", "lr": 0.01}
PLACE = {"layer": 2, "unit": 1, "input": 3}
NAME, INDEX = "dense_1.weight", (1, 3)


def began(**settings: Any) -> Page:
    page = Page(**SMALL, **settings)
    page.result("step", n=5)
    return page


def drag(page: Page, *ways: float) -> None:
    for k, way in enumerate(ways):
        page.result("edit", **PLACE, add=way, join=k > 0)


# ------------------------------------------------------------------------------------------- by message


def test_a_drag_is_one_change() -> None:
    page, other = began(), began()
    begun = float(page.run.model.parameters[NAME][INDEX])
    drag(page, 0.01, 0.2, -0.73)
    other.result("edit", **PLACE, value=begun - 0.73)
    for one in (page, other):
        one.result("step", n=7)
    assert equal(state(page.run), state(other.run))
    [change], [mark] = page.run.changes, page.run.marks
    assert (change.step, change.data) == (5, (NAME, INDEX, begun - 0.73))
    assert mark["text"] == f"dense_1.weight[1, 3] from {begun!r} to {begun - 0.73!r}"
    assert page.last("curve")["events"] == [mark]
    after = state(page.run)
    for step in (4, 5, 0, 12):
        page.result("seek", step=step)
        other.result("seek", step=step)
        assert equal(state(page.run), state(other.run)), step
    assert equal(state(page.run), after)


def test_one_step_back_and_on_is_without_it() -> None:
    page, other = began(), began()
    drag(page, 0.01, 0.2)
    page.result("seek", step=4)
    page.result("step", n=3)
    other.result("step", n=2)
    assert equal(state(page.run), state(other.run))
    assert page.run.changes == page.run.marks == []


def in_float32() -> Page:
    x, y = rg.datasets.moons(40, seed=0)
    net = rg.Sequential([rg.Input(2), rg.Dense(3, activation="tanh"), rg.Dense(1)], seed=0)
    scene = given_scene(x, y, "binary_cross_entropy", 0.25, 0)
    page = Page(Given(net, "binary_cross_entropy", "sgd", scene), config=Config())
    assert page.run.model.dtype == np.float32
    return page


@pytest.mark.parametrize("begun", [None, 0.1, -0.0])
@pytest.mark.parametrize("make", [began, in_float32])
def test_a_drag_that_comes_back_has_changed_nothing(make: Callable[[], Page], begun: float | None) -> None:
    page, place = make(), {"layer": 1, "unit": 0, "input": 1}
    if begun is not None:
        page.result("edit", **place, value=begun)
    view = page.run.model.parameters[page.session.views[0].columns[0].weight]
    before, start = view.tobytes(), float(view[0, 1])
    changes, marks = list(page.run.changes), list(page.run.marks)
    for k, way in enumerate((0.3, 0.0, 1.5, 0.0)):
        page.result("edit", **place, add=way, join=k > 0)
        assert len(page.run.changes) == len(changes) + (way != 0)
        assert float(view[0, 1]) == float(view.dtype.type(start + way))
    assert view.tobytes() == before
    assert (page.run.changes, page.run.marks) == (changes, marks)
    page.result("edit", **place, add=0.5, join=True)  # it has not been let go
    assert float(view[0, 1]) == float(view.dtype.type(start + 0.5))
    assert len(page.run.changes) == len(changes) + 1
    after = state(page.run)
    page.result("step", n=2)
    page.result("seek", step=page.run.step - 2)
    assert equal(state(page.run), after)


@pytest.mark.parametrize(
    "between",
    [
        ("step", {"n": 1}),
        ("set", {"path": "lr", "value": 0.5}),
        ("seek", {"step": 5}),
        ("reset", {}),
        ("edit", {"layer": 1, "unit": 0, "value": 1}),
    ],
    ids=lambda between: between[0],
)
def test_what_is_over_is_not_gone_on_with(between: tuple[str, dict[str, Any]]) -> None:
    page = began()
    drag(page, 0.3)
    page.result(between[0], **between[1])
    before, changes = state(page.run), list(page.run.changes)
    answer = page.send("edit", **PLACE, add=0.4, join=True)
    assert (answer["code"], answer["field"]) == ("bad_value", "join")
    assert answer["message"] == "join: the last thing done was no edit of dense_1.weight[1, 3]"
    assert equal(state(page.run), before)
    assert page.run.changes == changes


def test_the_phases_are_given_up_as_by_any_edit() -> None:
    page = began()
    drag(page, 0.3)
    page.result("phase", dir=1)
    page.result("phase", dir=1)
    drag_on = page.result("edit", **PLACE, add=0.4, join=True)
    assert page.run.phase == 0
    assert float(drag_on["value"]) == float(page.run.model.parameters[NAME][INDEX])
    assert len(page.run.changes) == 1


@pytest.mark.parametrize("target", [{"kind": "weight", **PLACE}, {"kind": "bias", "layer": 2, "unit": 1}])
def test_the_value_comes_with_its_arithmetic(target: dict[str, Any]) -> None:
    page = began()
    page.result("watch", targets=[target])
    page.result("edit", **{k: v for k, v in target.items() if k != "kind"}, add=0.25)
    name = NAME if target["kind"] == "weight" else "dense_1.bias"
    value = float(page.run.model.parameters[name][INDEX if target["kind"] == "weight" else (1,)])
    assert page.last("detail")["value"] == {"exact": repr(value), "short": f"{value:.3g}"}
    page.result("watch", targets=[{"kind": "unit", "layer": 1, "unit": 0}])
    assert page.last("detail")["value"] is None


# ----------------------------------------------------------------------------------------- on the page


class Hand:
    """A page with a weight that is open, and its handle."""

    def __init__(self, one: Visit) -> None:
        self.one, self.page = one, one.open()
        self.page.focus(".rg-unit[data-layer='2'][data-unit='1']")
        self.page.keyboard.press("w")
        self.handle = self.page.locator(".rg-handle")
        self.handle.wait_for()

    @property
    def run(self) -> Any:
        return self.one.session.runs[0]

    @property
    def value(self) -> float:
        return float(self.run.model.parameters[NAME][1, 0])

    def middle(self) -> tuple[float, float]:
        box = self.handle.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def shows(self, value: float) -> None:
        """The model has the value, and the page its text."""
        self.one.until(lambda: self.value == value and self.text() == f"{value:.3g}")

    def text(self) -> str:
        return str(self.handle.locator("span").inner_text())


@pytest.fixture
def hand(visit: Visitor) -> Hand:
    return Hand(visit())


def test_dragging_by_mouse(hand: Hand) -> None:
    page, begun = hand.page, hand.value
    x, y = hand.middle()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 2, y - 3)
    page.mouse.up()  # a click
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 70, steps=20)
    hand.shows(begun + 70 * 0.01)
    page.mouse.move(x, y + 25, steps=9)
    page.mouse.up()
    hand.shows(begun + -25 * 0.01)
    assert [change.data for change in hand.run.changes] == [(NAME, (1, 0), begun + -25 * 0.01)]
    page.mouse.move(x, y - 300)
    page.wait_for_timeout(50)
    hand.shows(begun + -25 * 0.01)  # let go
    # the next drag is another change, ten times as fast
    x, y = hand.middle()
    page.mouse.move(x, y)
    page.mouse.down()
    page.keyboard.down("Shift")
    page.mouse.move(x, y - 20)
    page.mouse.up()
    page.keyboard.up("Shift")
    hand.one.until(lambda: abs(hand.value - begun - 1.75) < 1e-12)
    assert len(hand.run.changes) == len(hand.run.marks) == 2
    assert hand.one.problems == []


def test_escape_takes_a_drag_back(hand: Hand) -> None:
    page, begun = hand.page, hand.value
    x, y = hand.middle()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 50, steps=3)
    hand.shows(begun + 50 * 0.01)
    page.keyboard.press("Escape")
    hand.shows(begun)
    page.mouse.move(x, y - 90)
    page.mouse.up()
    page.wait_for_timeout(50)
    hand.shows(begun)
    assert hand.run.changes == hand.run.marks == []
    page.keyboard.press("Escape")  # now it closes what is open
    hand.handle.wait_for(state="hidden")


PICTURES_BY_HAND = """() => {
  const { send } = WebSocket.prototype;
  const waiting = [];
  window.rgEdits = 0;
  WebSocket.prototype.send = function (text) {
    window.rgEdits += text.includes('"edit"');
    return send.call(this, text);
  };
  window.requestAnimationFrame = (draw) => waiting.push(draw);
  window.rgPicture = () => waiting.splice(0).forEach((draw) => draw());
  const handle = document.querySelector('.rg-handle');
  handle.setPointerCapture = () => {};
  window.rgPointer = (type, y) =>
    handle.dispatchEvent(new PointerEvent(type, { pointerId: 1, clientY: 500 - y, bubbles: true }));
  window.rgMove = (from, to) => {
    for (let y = from; y <= to; y += 1) rgPointer('pointermove', y);
  };
}"""


def test_a_message_a_picture_at_most(hand: Hand) -> None:
    page, begun = hand.page, hand.value
    page.evaluate(PICTURES_BY_HAND)
    page.evaluate("() => { rgPointer('pointerdown', 0); rgMove(0, 90); }")
    assert page.evaluate("() => rgEdits") == 0
    page.evaluate("() => { rgPicture(); rgMove(91, 140); }")
    hand.shows(begun + 90 * 0.01)  # so it has been answered
    page.evaluate("() => rgMove(141, 150)")
    page.wait_for_timeout(50)
    assert page.evaluate("() => rgEdits") == 1
    page.evaluate("() => rgPicture()")
    hand.shows(begun + 150 * 0.01)
    assert page.evaluate("() => rgEdits") == 2
    page.evaluate("() => rgPointer('pointerup', 150)")
    assert len(hand.run.changes) == 1


def test_playing_waits_for_the_hand(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "PHASE_SECONDS", 0.2)
    page, one = hand.page, hand.one
    page.click("text=slow")
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press(" ")
    one.until(lambda: hand.run.phase > 0)
    x, y = hand.middle()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 2)
    assert one.session.playing
    page.mouse.move(x, y - 40, steps=4)
    one.until(lambda: len(hand.run.changes) == 1 and not one.session.playing)
    step = hand.run.step
    [change] = hand.run.changes
    assert change.step == step
    page.mouse.up()
    one.until(lambda: one.session.playing and (hand.run.step, hand.run.phase) > (step, 0))
    page.locator("[data-do=pause]").click()
    one.until(lambda: not one.session.playing)
    assert len(hand.run.changes) == 1
    assert one.problems == []


def test_dragging_by_touch(visit: Visitor) -> None:
    hand = Hand(visit(size=PHONE))
    page, begun = hand.page, hand.value
    page.wait_for_timeout(100)
    hand.handle.scroll_into_view_if_needed()
    x, y = hand.middle()
    client = page.context.new_cdp_session(page)
    scrolled = page.evaluate("() => scrollY")

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y} for x, y in points]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (x, y - 12))  # beside it: a finger is broad
    for up in range(0, 61, 10):
        touch("touchMove", (x, y - 12 - up))
    touch("touchEnd")
    hand.one.until(lambda: abs(hand.value - begun - 0.6) < 1e-12)
    assert len(hand.run.changes) == 1
    assert page.evaluate("() => scrollY") == scrolled


def test_the_handle_by_keyboard(hand: Hand) -> None:
    page, begun = hand.page, hand.value
    slider = page.get_by_role("slider", name="Weight w₂₁ of layer 2")
    slider.focus()
    page.keyboard.press("ArrowUp")
    hand.shows(begun + 0.01)
    assert slider.get_attribute("aria-valuenow") == repr(begun + 0.01)
    page.keyboard.press("Shift+ArrowLeft")
    hand.shows(begun + 0.01 - 0.1)
    assert hand.run.step == 0
    assert len(hand.run.changes) == 2
    page.focus(".rg-unit[data-layer='2'][data-unit='1']")
    for _ in range(4):
        page.keyboard.press("w")
    page.get_by_role("slider", name="Bias b₂ of layer 2").focus()
    page.keyboard.press("ArrowDown")
    hand.one.until(lambda: float(hand.run.model.parameters["dense_1.bias"][1]) == -0.01)


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "dark"), (PHONE, "light")])
def test_axe_finds_nothing_wrong_with_the_handle(visit: Visitor, size: tuple[int, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    hand = Hand(visit(size=size, scheme=scheme))
    found = axe.Axe().run(hand.page)
    assert found.violations_count == 0, found.generate_report()


# --------------------------------------------------------------------------------------- slow motion

WATCH = """() => {
  const found = window.rgSeen = [];
  const pulses = document.querySelector('.rg-pulses');
  const copy = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const look = () => {
    requestAnimationFrame(look);
    if (pulses.hidden || pulses.width < 10) return;
    const { width, height } = pulses;
    Object.assign(copy.canvas, { width, height });
    copy.drawImage(pulses, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    let [n, sum] = [0, 0];
    for (let k = 3; k < data.length; k += 4) if (data[k] > 99) [n, sum] = [n + 1, sum + ((k >> 2) % width)];
    if (n) found.push([pulses.dataset.phase, sum / n / Math.min(2, devicePixelRatio)]);
  };
  requestAnimationFrame(look);
}"""


def places(seen: list[tuple[str, float]], phase: str) -> Any:
    """Where the arrows were in a phase, in the middle of them, from one picture to the next."""
    return np.array([x for name, x in seen if name == phase])


TIME_BY_PICTURE = """() => {
  let now = performance.now();
  performance.now = () => now;
  const pass = () => { now += 40; requestAnimationFrame(pass); };
  requestAnimationFrame(pass);
}"""


def test_arrows_go_along_the_edges_in_slow_motion(visit: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "PHASE_SECONDS", 1e9)  # the next one when it is asked for
    one = visit()
    page, session = one.open(), one.session
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate(TIME_BY_PICTURE)
    page.evaluate(WATCH)
    page.click("text=slow")
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press(" ")
    one.until(lambda: session.playing)

    def due() -> bool:
        session._phase_at = -math.inf
        return True

    for phase, layer, name in [
        (1, 0, "forward 0"),
        (2, 0, ""),
        (3, 3, "backward 3"),
        (3, 2, "backward 2"),
        (3, 1, "backward 1"),
        (4, 0, ""),
    ]:
        one.until(due)
        run = session.runs[0]
        one.until(lambda: (run.phase, run.phase_layer) == (phase, layer))  # noqa: B023
        page.wait_for_selector(f".rg-phases [data-phase='{phase}'][aria-current]")
        page.wait_for_function(
            "(name) => (!name || rgSeen.at(-1)?.[0] === name) && document.querySelector('.rg-pulses').hidden",
            arg=name,
        )
    seen = page.evaluate("() => rgSeen")
    assert {name for name, _ in seen} == {"forward 0", "backward 3", "backward 2", "backward 1"}
    columns = [float(page.get_attribute(f"[data-layer='{k}'] .rg-fill >> nth=0", "cx")) for k in range(4)]
    forward = places(seen, "forward 0")
    assert len(forward) > 9
    assert (np.diff(forward) > 0).all()
    assert columns[0] < forward.min() < columns[1] < columns[2] < forward.max() < columns[3]
    for layer in (1, 2, 3):
        back = places(seen, f"backward {layer}")
        assert len(back) > 9
        assert (np.diff(back) < 0).all()
        assert back[0] - back[-1] > 20
        assert columns[layer] < back.min() < back.max() < [*columns, math.inf][layer + 1]


@pytest.mark.parametrize("way", ["reduced motion", "another speed", "by hand"])
def test_otherwise_nothing_moves(visit: Visitor, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(session_module, "PHASE_SECONDS", 0.05)
    one = visit()
    page = one.open()
    if way != "reduced motion":
        page.emulate_media(reduced_motion="no-preference")
    page.evaluate(WATCH)
    if way != "another speed":
        page.click("text=slow")
        page.evaluate("() => document.activeElement.blur()")
    if way == "by hand":
        for phase in (1, 2, 3):
            page.keyboard.press("ArrowRight")
            one.until(lambda phase=phase: one.session.runs[0].phase == phase)
    else:
        page.keyboard.press(" ")
        one.until(lambda: one.session.runs[0].step > 1)
    page.wait_for_timeout(100)
    assert page.evaluate("() => rgSeen") == []
    assert page.evaluate("() => document.querySelector('.rg-pulses').hidden")
