"""The panels of the page, in a browser, on a real session: their numbers are computed here once more.

Without a browser these tests skip, on a machine of one's own; where CI is set they fail.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg

pytest.importorskip("websockets")
pytest.importorskip("playwright.sync_api")
pytest.importorskip("retrograd._explain")

from page import ready, slowed
from playwright.sync_api import expect
from retrograd._play.config import Config
from retrograd._play.server import Server
from retrograd._play.session import Session
from retrograd._play.views import short


class Play:
    """A page and the session behind it."""

    def __init__(self, page: Any, session: Session, url: str) -> None:
        self.page, self.session, self.url = page, session, url

    @property
    def run(self) -> Any:
        return self.session.runs[0]

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def steps(self, count: int) -> None:
        """By the page's own command, as keys would."""
        for _ in range(count):
            before = self.run.step
            self.page.locator("#rg-network").focus()
            self.press("Shift+ArrowRight")
            expect(self.page.locator(".rg-timeline-text")).to_contain_text(f"step {before + 1}")

    def pin(self, kind: str, **numbers: int) -> None:
        """By the selects of the inspector, which count from 1."""
        picker = self.page.locator(".rg-picker")
        picker.get_by_label("show", exact=True).select_option(kind)
        for name, number in numbers.items():
            picker.get_by_label(name, exact=True).select_option(str(number))


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Play]]:
    """Opens pages; in the end nothing was wrong in any of them, and nothing came from elsewhere."""
    begun: list[tuple[Server, Any, list[Any]]] = []

    def make(
        session: Session | None = None, scheme: str = "light", width: int = 1280, more: str = ""
    ) -> Play:
        server = Server(session or Session())
        server.start()
        context = browser.new_context(
            viewport={"width": width, "height": 860},
            color_scheme=scheme,
            reduced_motion="reduce",
            accept_downloads=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(15_000)
        wrong: list[Any] = []
        begun.append((server, context, wrong))
        base = server.url.partition("#")[0]
        context.on(
            "console", lambda m: wrong.append((m.type, m.text)) if m.type in ("error", "warning") else None
        )
        context.on("weberror", lambda e: wrong.append(str(e.error)))
        context.on("requestfailed", lambda r: wrong.append(("failed", r.url)))
        context.on(
            "request",
            lambda r: (
                None if r.url.startswith((base, "data:", "blob:")) else wrong.append(("outside", r.url))
            ),
        )
        page = slowed(context.new_page())
        page.goto(server.url + more)
        ready(page)
        return Play(page, server.session, server.url)

    yield make
    found = [wrong for _, _, wrong in begun]
    for server, context, _ in begun:
        context.close()
        server.stop()
    assert found == [[] for _ in begun]


@pytest.fixture
def play(open_page: Callable[..., Play]) -> Play:
    return open_page()


# ------------------------------------------------------------------- the arithmetic, computed once more

_SIGNS = {"·": "*", "−": "-", "²": "**2", "³": "**3", "^": "**", "ln(": "log(", "√(": "sqrt("}


def value_of(text: str) -> float:
    """The number that a substituted line comes to, by Python's own arithmetic."""
    for sign, python in _SIGNS.items():
        text = text.replace(sign, python)
    assert re.fullmatch(r"[-+*/()., 0-9a-z]*", text), text
    names = {name: getattr(math, name) for name in ("exp", "log", "tanh", "sqrt")}
    return float(eval(text, {"__builtins__": {}}, names))


def forward(parameters: dict[str, Any], x: Any) -> list[Any]:
    """z and a of a network of tanh and, last, sigmoid."""
    found, a, count = [], np.asarray(x, dtype=float), len(parameters) // 2
    for k in range(count):
        z = a @ parameters[f"dense_{k}.weight"].T + parameters[f"dense_{k}.bias"]
        a = np.tanh(z) if k < count - 1 else 1 / (1 + np.exp(-z))
        found.append((z, a))
    return found


def loss(parameters: dict[str, Any], x: Any, y: Any) -> float:
    p = forward(parameters, x)[-1][1]
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


def lines_of(play: Play, block: str) -> list[tuple[str, str]]:
    """The numbers and the result of each line of a block, as they are read."""
    found, lines = [], play.page.locator(f'[data-block="{block}"] .rg-line')
    expect(lines.first).to_be_visible()
    for line in lines.all():
        numbers = line.locator(".rg-numbers").text_content() or ""
        found.append((numbers, line.locator(".rg-result").text_content() or ""))
    return found


def test_every_line_of_the_inspector_comes_to_its_result(play: Play) -> None:
    play.steps(3)
    play.pin("weight", layer=2, unit=3, input=1)
    play.page.get_by_label("all digits").check()
    checked = 0
    for block in ("forward", "backward", "gradient", "update"):
        lines = lines_of(play, block)
        assert lines, block
        for numbers, result in lines:
            assert result.startswith("= ")
            value = value_of(result[2:])
            if numbers:
                assert numbers.startswith("= "), numbers
                assert value_of(numbers[2:]) == pytest.approx(value, rel=1e-12, abs=1e-15), numbers
                checked += 1
    assert checked >= 6

    # and the first results are those of a network that is written out here
    focus = play.session.views[0].focus
    z, a = forward(dict(play.run.model.parameters), play.run.scene.x[focus])[1]
    results = [value_of(result[2:]) for _, result in lines_of(play, "forward")]
    assert results == pytest.approx([z[2], a[2]], rel=1e-12)


def test_short_numbers_are_marked_as_rounded(play: Play) -> None:
    play.steps(1)
    play.pin("unit", layer=1, unit=1)
    numbers, result = lines_of(play, "forward")[0]
    assert numbers.startswith("≈ ")
    assert result.startswith("≈ ")
    assert value_of(numbers[2:]) == pytest.approx(value_of(result[2:]), rel=2e-2)


def test_a_symbol_in_a_formula_and_a_chip_lead_on(play: Play) -> None:
    play.pin("unit", layer=1, unit=2)
    play.page.locator('[data-block="backward"] .rg-leads', has_text="δ").first.click()
    expect(play.page.get_by_label("layer", exact=True)).to_have_value("2")
    crumbs = play.page.get_by_role("navigation", name="Where you have been")
    expect(crumbs.get_by_role("button")).to_have_count(2)
    play.page.get_by_role("navigation", name="Along the network").get_by_role("button").first.click()
    expect(crumbs.get_by_role("button")).to_have_count(3)
    crumbs.get_by_role("button").first.click()
    expect(play.page.get_by_label("unit", exact=True)).to_have_value("2")


def test_what_belongs_to_the_weights_before_an_update_says_so(play: Play) -> None:
    play.pin("unit", layer=1, unit=1)
    play.page.locator("#rg-network").focus()
    for _ in range(6):  # forward, loss, backward of three layers, update
        play.press("ArrowRight")
    expect(play.page.locator(".rg-stamp")).to_contain_text("before this update")
    expect(play.page.locator('[data-block="forward"]')).to_have_attribute("data-old", "")
    expect(play.page.locator('[data-block="update"]')).not_to_have_attribute("data-old", "")


def test_the_gradient_check_agrees_with_a_difference_of_losses_computed_here(play: Play) -> None:
    play.steps(2)
    play.pin("weight", layer=1, unit=2, input=1)
    play.page.get_by_role("button", name="Check the gradient").click()
    expect(play.page.get_by_text("They agree")).to_be_visible()
    shown = [float(text) for text in play.page.locator(".rg-pairs dd").all_text_contents()]
    x, y = play.run.batch()
    losses = []
    for h in (1e-5, -1e-5):
        moved = {name: view.copy() for name, view in play.run.model.parameters.items()}
        moved["dense_0.weight"][1, 0] += h
        losses.append(loss(moved, x, y))
    difference = (losses[0] - losses[1]) / 2e-5
    assert shown[0] == pytest.approx(difference, rel=1e-5)
    assert shown[1] == pytest.approx(difference, rel=1e-5)
    assert shown[2] < 1e-6


def test_copied_python_prints_the_same_numbers(play: Play) -> None:
    play.pin("unit", layer=2, unit=1)
    expect(play.page.locator('[data-block="forward"] .rg-line').first).to_be_visible()
    play.page.get_by_role("button", name="Copy as Python").click()
    expect(play.page.get_by_role("button", name="Copy as Python")).to_have_text("Copied")
    code = play.page.evaluate("navigator.clipboard.readText()")
    names: dict[str, Any] = {}
    checked = 0
    for row in code.splitlines():
        exec(row, names)
        if found := re.fullmatch(r"(\w+) = .*# (\S+)", row):
            assert names[found[1]] == pytest.approx(float(found[2]), rel=1e-12, abs=1e-15), row
            checked += 1
    assert checked > 3


# ---------------------------------------------------------------------------------------- back in time


def test_going_back_and_on_again_gives_the_same_bits(play: Play) -> None:
    kept = {}
    for _ in range(6):
        play.steps(1)
        kept[play.run.step] = play.run.model.flat_parameters.copy()
    slider = play.page.get_by_role("slider", name="Step", exact=True)
    slider.focus()
    for _ in range(4):
        slider.press("ArrowLeft")
    expect(play.page.locator(".rg-timeline-text")).to_have_text("step 2 of 6")
    expect(slider).to_have_attribute("aria-valuetext", "step 2 of 6")
    play.page.wait_for_function("() => document.querySelector('#rg-live') !== null")
    assert play.run.step == 2
    assert play.run.model.flat_parameters.tobytes() == kept[2].tobytes()
    play.steps(1)
    assert play.run.model.flat_parameters.tobytes() == kept[3].tobytes()


def test_what_happened_can_be_gone_back_to(play: Play) -> None:
    play.steps(2)
    play.session.runs[0].set({"lr": 0.05})
    play.steps(2)
    events = play.page.get_by_label("What happened, and at which step")
    expect(events.locator("option")).to_have_count(2)
    assert "lr" in (events.locator("option").nth(1).text_content() or "")
    events.select_option(index=1)
    expect(play.page.locator(".rg-timeline-text")).to_have_text("step 2 of 4")


# ------------------------------------------------------------------------------------- two side by side


def test_a_copy_without_a_change_stays_equal_and_one_change_shows(play: Play) -> None:
    play.steps(2)
    play.page.get_by_role("button", name="Fork & compare").click()
    both = play.page.locator(".rg-both")
    expect(both.get_by_text("No setting differs")).to_be_visible()
    play.page.locator("#rg-network").focus()
    play.press("e")  # an epoch
    expect(play.page.locator(".rg-timeline-text")).to_have_text("step 10")
    play.steps(3)
    a, b = play.session.runs
    assert a.step == 13
    assert a.model.flat_parameters.tobytes() == b.model.flat_parameters.tobytes()
    rows = both.locator("tbody tr")
    expect(rows.nth(1).locator("td")).to_have_text(rows.nth(0).locator("td").all_text_contents())

    both.get_by_label("New value in B").fill("0.01")
    both.get_by_role("button", name="Set").click()
    expect(both.locator(".rg-differences tbody")).to_have_text(re.compile(r"lr\s*0\.3\s*0\.01"))
    assert (a.config.lr, b.config.lr) == (0.3, 0.01)
    play.steps(1)
    assert a.model.flat_parameters.tobytes() != b.model.flat_parameters.tobytes()

    both.get_by_label("New value in B").fill("-1")
    both.get_by_role("button", name="Set").click()
    expect(both.get_by_role("alert")).to_contain_text("lr")
    both.get_by_role("button", name="Drop B").click()
    expect(play.page.get_by_role("button", name="Fork & compare")).to_be_visible()
    assert len(play.session.runs) == 1


def test_a_and_b_change_places(play: Play) -> None:
    play.steps(1)
    play.page.get_by_role("button", name="Fork & compare").click()
    both = play.page.locator(".rg-both")
    both.get_by_label("New value in B").fill("0.01")
    both.get_by_role("button", name="Set").click()
    expect(both.locator(".rg-differences tbody")).to_have_text(re.compile(r"lr\s*0\.3\s*0\.01"))
    play.steps(2)
    rows = both.locator("tbody tr")
    a, b = (rows.nth(k).locator("td").all_text_contents() for k in (0, 1))
    assert a != b
    both.get_by_role("button", name="Swap A and B").click()
    expect(both.locator(".rg-differences tbody")).to_have_text(re.compile(r"lr\s*0\.01\s*0\.3"))
    expect(rows.nth(0).locator("td")).to_have_text(b)
    expect(rows.nth(1).locator("td")).to_have_text(a)
    expect(play.page.locator("[data-reading=loss] dd")).to_have_text(b[0])
    expect(play.page.locator("#rg-set-lr")).to_have_value("0.01")
    both.get_by_role("button", name="Drop B").click()
    expect(play.page.get_by_role("button", name="Fork & compare")).to_be_visible()
    assert play.run.config.lr == 0.01


# ------------------------------------------------------------------------------- flow, tables, pictures


def test_the_factors_of_delta_multiply(play: Play) -> None:
    play.steps(5)
    play.page.get_by_role("tab", name="Flow").click()
    names = play.page.locator(".rg-flow-name")
    expect(names).to_contain_text(["δ"] * 3)
    texts = names.all_text_contents()
    number = r"([0-9.]+(?:e-?\d+)?)"
    pattern = rf"δ {number} = {number} × weights {number} × slopes {number}"
    products = [match for text in texts if (match := re.search(pattern, text))]
    assert len(products) == 2
    for match in products:
        delta, above, weights, slopes = map(float, match.groups())
        assert above * weights * slopes == pytest.approx(delta, rel=2e-2)  # three digits each


def test_the_table_has_the_numbers_of_the_engine(play: Play) -> None:
    play.steps(2)
    play.page.locator("#rg-network").focus()
    play.press("t")
    dialog = play.page.get_by_role("dialog", name="All numbers as tables")
    table = dialog.get_by_role("table").nth(2)
    expect(table.locator("caption")).to_have_text("Layer 2, tanh")
    head = table.locator("thead th").all_text_contents()
    assert head[:5] == ["unit", "z", "a", "δ", "b"]
    parameters, look = play.run.model.parameters, play.session.views[0].look()
    z, a = forward(dict(parameters), play.run.scene.x[play.session.views[0].focus])[1]
    for unit, row in enumerate(table.locator("tbody tr").all()):
        cells = dict(zip(head, row.locator("th, td").all_text_contents(), strict=True))
        assert cells["unit"] == str(unit + 1)
        assert float(cells["w 4"]) == parameters["dense_1.weight"][unit, 3]
        assert float(cells["b"]) == parameters["dense_1.bias"][unit]
        assert float(cells["z"]) == pytest.approx(z[unit], rel=1e-12)
        assert float(cells["a"]) == pytest.approx(a[unit], rel=1e-12)
        assert float(cells["δ"]) == look.delta[2][unit]
    dialog.get_by_role("button", name="Step", exact=True).click()
    expect(dialog.get_by_role("status")).to_contain_text("Step 3")


def test_histograms_count_every_number(play: Play) -> None:
    play.page.get_by_role("tab", name="Distributions").click()
    figures = play.page.locator(".rg-histogram")
    expect(figures).to_have_count(3)
    expect(figures.nth(1)).to_contain_text("12 numbers")
    play.page.get_by_label("of", exact=True).select_option("z")
    expect(figures.nth(0).get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("pre-activations z: ")
    )


def test_the_fan_leads_back(play: Play) -> None:
    kept = [play.run.model.parameters["dense_1.weight"].copy()]
    for _ in range(4):
        play.steps(1)
        kept.append(play.run.model.parameters["dense_1.weight"].copy())
    play.page.get_by_role("tab", name="Distributions").click()
    play.page.get_by_label("fan of", exact=True).select_option("2")
    fan = play.page.get_by_role("slider", name="Layer 2, weights W over the steps")
    low, quarter, median, three, high = (short(v) for v in np.percentile(kept[4], [5, 25, 50, 75, 95]))
    words = f"median {median}, 25 to 75 % from {quarter} to {three}, 5 to 95 % from {low} to {high}"
    expect(fan).to_have_attribute("aria-valuetext", f"step 4: {words}")
    expect(fan).to_have_attribute("aria-label", re.compile(f"steps\\. step 0: median .*; step 4: {words}"))

    points = play.page.locator(".rg-fan-median").get_attribute("points").split()
    x, y = np.array([[float(number) for number in point.split(",")] for point in points]).T
    np.testing.assert_allclose(x, [0, 60, 120, 180, 240])
    medians = [np.median(W) for W in kept]
    ends = np.percentile(kept, [5, 95], axis=(1, 2))
    height = 52 * (ends.max() - medians) / (ends.max() - ends.min())
    np.testing.assert_allclose(y, 2 + height, atol=0.051)

    fan.focus()
    fan.press("ArrowLeft")
    expect(play.page.locator(".rg-timeline-text")).to_have_text("step 3 of 4")
    expect(play.page.locator(".rg-fan p")).to_contain_text("step 3: median")
    box = play.page.locator(".rg-fan svg").bounding_box()
    assert box is not None
    play.page.mouse.click(box["x"] + 0.26 * box["width"], box["y"] + 20)
    expect(play.page.locator(".rg-timeline-text")).to_have_text("step 1 of 4")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    assert axe.run(play.page).response["violations"] == []

    play.page.get_by_label("of", exact=True).select_option("a")
    expect(play.page.locator(".rg-fan figcaption")).to_contain_text("only weights W and biases b are kept")
    expect(fan).to_have_count(0)


def test_the_graph_is_drawn_and_moves_by_keys(play: Play) -> None:
    play.page.get_by_role("tab", name="Graph").click()
    stage = play.page.get_by_role("group", name="Computation graph")
    picture = stage.locator("svg").first
    expect(picture).to_be_visible()
    before = picture.get_attribute("viewBox")
    stage.focus()
    stage.press("Shift+ArrowRight")
    stage.press("+")
    assert picture.get_attribute("viewBox") != before
    stage.press("0")
    whole = picture.get_attribute("viewBox")
    play.page.get_by_role("button", name="Whole window").click()
    play.press("Escape")
    expect(play.page.get_by_role("button", name="Whole window")).to_be_focused()
    stage.press("0")
    assert picture.get_attribute("viewBox") == whole


# ----------------------------------------------------------------------------------------- taking along


def download(play: Play, name: str) -> Path:
    with play.page.expect_download() as found:
        play.page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()
    return Path(found.value.path())


def test_the_model_and_a_program_are_saved(play: Play, tmp_path: Path) -> None:
    play.steps(2)
    play.page.get_by_role("button", name="Save", exact=True).click()
    code = download(play, "Python").read_text(encoding="utf-8")
    compile(code, "run.py", "exec")
    assert "import retrograd as rg" in code
    model = shutil.copy(download(play, "Model"), tmp_path / "model.safetensors")
    loaded = rg.load(model)
    x = play.run.scene.x[:5]
    assert loaded.predict(x).tobytes() == play.run.model.predict(x).tobytes()
    settings = download(play, "Settings")
    play.session.runs[0].set({"lr": 0.1})
    play.page.get_by_role("dialog").locator("input[type=file]").set_input_files(
        {"name": "s.json", "mimeType": "application/json", "buffer": settings.read_bytes()}
    )
    expect(play.page.get_by_role("dialog").get_by_role("status")).to_have_text("Loaded s.json.")
    assert play.run.config.lr == 0.3


def test_a_panel_is_saved_as_a_picture(play: Play) -> None:
    play.page.get_by_role("button", name="Save", exact=True).click()
    svg = download(play, "SVG").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "<title>Network, step 0</title>" in svg
    assert "class=" not in svg
    assert download(play, "PNG").read_bytes().startswith(b"\x89PNG")


def test_the_address_has_the_settings_and_never_the_token(open_page: Callable[..., Play]) -> None:
    play = open_page(more="&lr=0.05&hidden=5")
    play.page.wait_for_url(re.compile(r"#.*hidden=5&"))
    assert play.run.config.lr == 0.05
    assert play.run.config.hidden == (5,)
    token = play.url.partition("#t=")[2]
    assert token not in play.page.url
    play.page.evaluate("location.hash = '#seed=11'")
    play.page.wait_for_url(re.compile("hidden=5&.*seed=11"))
    assert play.run.config.seed == 11
    assert play.run.config.hidden == (5,)


# ------------------------------------------------------------------------------------ words and dialogs


def test_a_lesson_says_its_sentences_when_their_step_has_come(play: Play) -> None:
    from retrograd._play.lessons import LESSONS

    name, lesson = next((n, one) for n, one in LESSONS.items() if 0 < one.captions[1][0] <= 30)
    play.page.get_by_role("button", name="Lessons").click()
    play.page.get_by_role("button", name=lesson.title, exact=True).click()
    strip = play.page.get_by_role("complementary", name=lesson.title)
    expect(strip).to_contain_text(lesson.captions[0][1])
    assert play.session.lesson is not None
    assert play.session.lesson["id"] == name
    play.session.advance(lesson.captions[1][0] - play.run.step - 1)
    play.steps(1)
    expect(strip).to_contain_text(lesson.captions[1][1])
    strip.get_by_role("button", name="Sentence before").click()
    expect(strip).to_contain_text(lesson.captions[0][1])
    strip.get_by_role("button", name="End the lesson").click()
    expect(strip).to_be_hidden()


def test_help_opens_by_its_key_keeps_the_focus_and_gives_it_back(play: Play) -> None:
    play.page.get_by_role("button", name="Save", exact=True).focus()
    play.press("?")
    dialog = play.page.get_by_role("dialog", name="Help")
    expect(dialog).to_be_visible()
    expect(dialog.locator("math").first).to_be_visible()
    for _ in range(8):
        play.press("Tab")
        outside = "document.activeElement !== document.body && !document.activeElement.closest('dialog')"
        assert not play.page.evaluate(outside)
    play.press("Escape")
    expect(dialog).to_be_hidden()
    expect(play.page.get_by_role("button", name="Save", exact=True)).to_be_focused()


def test_the_report_is_shown_with_its_formulas(open_page: Callable[..., Play]) -> None:
    play = open_page(Session(Config().changed({"batch_size": 1})))
    play.page.get_by_role("button", name="Explain").click()
    report = play.page.get_by_role("group", name="Report")
    expect(report.locator("math").first).to_be_visible(timeout=15_000)
    expect(report).to_contain_text("Forward")
    assert report.locator("style, script").count() == 0


def test_steps_by_hand_are_announced_and_playing_is_not(play: Play) -> None:
    live = play.page.locator("#rg-live")
    play.steps(1)
    expect(live).to_contain_text("Step 1, loss ")
    play.page.evaluate(
        "() => { window.said = 0; new MutationObserver(() => (window.said += 1))"
        ".observe(document.querySelector('#rg-live'), {childList: true, subtree: true}); }"
    )
    play.page.locator("#rg-network").focus()
    play.press("Space")
    play.page.wait_for_function("() => Number(document.querySelector('.rg-slider').value) > 20")
    assert play.page.evaluate("window.said") == 0
    play.press("Space")
    expect(live).to_contain_text(re.compile(r"Step \d\d"))


@pytest.mark.parametrize(
    ("scheme", "width", "tabs", "dialogs"),
    [
        ("light", 1280, ("Flow", "Distributions", "Graph"), ("lessons", "table", "explain", "save", "help")),
        ("dark", 1280, ("Flow", "Distributions"), ("save", "help")),
        ("light", 390, ("Flow",), ("lessons", "table")),
    ],
)
def test_nothing_is_in_the_way_of_assistive_technology(
    open_page: Callable[..., Play], scheme: str, width: int, tabs: tuple[str, ...], dialogs: tuple[str, ...]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    small = Session(Config().changed({"batch_size": 1}))  # a short report
    play = open_page(small, scheme=scheme, width=width)

    def clean(what: str) -> None:
        found = axe.run(play.page).response["violations"]
        assert [(what, one["id"], one["nodes"][0]["html"]) for one in found] == []

    play.pin("unit", layer=2, unit=1)
    play.page.get_by_role("button", name="Check the gradient").click()
    play.page.get_by_role("button", name="Fork & compare").click()
    expect(play.page.locator(".rg-both")).to_be_visible()
    clean("page")
    for tab in tabs:
        play.page.get_by_role("tab", name=tab).click()
        play.page.wait_for_timeout(50)
        clean(tab)
    for name in dialogs:
        play.page.locator(f'[data-opens="{name}"]').click()
        expect(play.page.locator(f'dialog[data-panel="{name}"]')).to_be_visible()
        clean(name)
        play.press("Escape")
