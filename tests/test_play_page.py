"""The page in a real browser: what it shows, what it does, what happens when things go wrong.

The detectors themselves are tested first: a page that does something forbidden must be noticed.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest
import retrograd as rg

pytest.importorskip("websockets")

from page import DEEP, PHONE, Visitor, only_where_there_is_time
from retrograd._play.config import Config
from retrograd._play.run import Given
from retrograd._play.scenes import given_scene
from retrograd._play.server import Server
from retrograd._play.session import Session

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "python" / "retrograd" / "_play" / "static"
FAKE = ROOT / "tests" / "play" / "fake_socket.js"


# ------------------------------------------------------------------------------------- without a browser


def sources() -> list[Path]:
    return sorted(path for path in STATIC.rglob("*") if path.suffix in (".js", ".html", ".css"))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here")
def test_modules_by_node() -> None:
    tests = sorted(map(str, (ROOT / "tests" / "play").glob("*.test.mjs")))
    done = subprocess.run(["node", "--test", *tests], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_page_is_small_and_from_here() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in sources()}
    assert sum(len(text.encode()) for text in texts.values()) < 300_000
    for path, text in texts.items():
        addresses = re.findall(r"(?:https?:)?//[a-z0-9.]+\.[a-z]{2,}", text)
        assert [a for a in addresses if "www.w3.org" not in a] == [], path


def test_nothing_is_written_as_markup() -> None:
    for path in sources():
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
        ), path
        if path.suffix == ".html":
            assert not re.search(r"\sstyle=|\son[a-z]+=|<style", text), path


# ------------------------------------------------------------------------------------------- detectors


def test_what_is_forbidden_is_noticed(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    assert (one.problems, one.strangers) == ([], [])
    for script, sign in (
        ("() => { new Image().src = '//elsewhere.invalid/x.png'; }", "elsewhere.invalid"),
        ("() => { fetch('//elsewhere.invalid/').catch(() => {}); }", "elsewhere.invalid"),
        ("() => { setTimeout(() => { throw new Error('on purpose'); }); }", "on purpose"),
        ("() => { try { new WebSocket('ws://127.0.0.1:9/'); } catch { } }", "127.0.0.1:9"),
        ("() => { console.warn('a warning'); }", "a warning"),
    ):
        one.problems.clear()
        page.evaluate(script)
        one.until(lambda sign=sign: any(sign in text for _, text in one.problems))


# --------------------------------------------------------------------------------------------- at rest


def test_it_is_there_within_a_second_and_says_nothing(visit: Visitor) -> None:
    watch = """
      const look = () => {
        const play = document.querySelector('[data-do=play]');
        if (play && !play.disabled) window.rgReady ??= performance.now();
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    """
    only_where_there_is_time()
    one = visit(script=watch)
    times = []
    for _ in range(3):
        page = one.open()
        times.append(page.evaluate("() => window.rgReady"))
        page.goto("about:blank")
    assert min(times) < 1000, times
    assert (one.strangers, one.problems) == ([], [])


def test_nothing_can_be_run_before_python_has_answered(visit: Visitor) -> None:
    silent = "window.WebSocket = class extends EventTarget { send() {} close() {} };"
    one = visit(script=silent)
    one.page.goto(one.server.url)
    play = one.page.locator("[data-do=play]")
    play.wait_for()
    assert play.is_disabled()
    assert play.get_attribute("title") == "Not connected"
    assert one.page.locator(".rg-transport button:not([disabled])").count() == 0


def test_the_core_loop_needs_no_scrolling(visit: Visitor) -> None:
    page = visit().open()
    assert page.evaluate("() => document.documentElement.scrollHeight") == 720
    for selector in ("[data-do=play]", ".rg-units", ".rg-map", ".rg-chart", ".rg-legend", ".rg-phases"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 720, selector


@pytest.mark.parametrize("width", [320, 390, 700, 900, 1100])
def test_the_page_never_scrolls_sideways(visit: Visitor, width: int) -> None:
    page = visit(DEEP, size=(width, 800)).open()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_targets_on_a_phone(visit: Visitor) -> None:
    page = visit(size=PHONE).open()
    page.wait_for_selector(".rg-layer-head select")
    small = []
    for tab in ("output", "loss", "setup"):
        page.click(f"#rg-tab-{tab}")
        small += page.evaluate(
            """() => [...document.querySelectorAll('button, select, input, [role=tab], summary')].map((e) => {
              const own = e.type === 'radio' || e.type === 'checkbox' ? e.closest('label') : e;
              const box = own.getBoundingClientRect();
              const name = own.textContent.trim().slice(0, 20) || own.id;
              return [name, box.width, box.height, own.offsetParent !== null];
            }).filter(([, w, h, seen]) => seen && w > 1 && (w < 43.5 || h < 43.5))"""
        )
    assert small == []


# -------------------------------------------------------------------------------------------- training


def test_phases_steps_and_epochs_by_keys(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    seen = []

    def stripe() -> str:
        return str(page.evaluate("() => document.querySelector('.rg-phases').outerHTML"))

    for _ in range(6):  # forward, loss, backward 3 2 1, update
        before = stripe()
        page.keyboard.press("ArrowRight")
        one.until(lambda before=before: stripe() != before)
        now = page.locator(".rg-phases li[aria-current]")
        layer = page.locator(".rg-chips [data-now]")
        seen.append((now.get_attribute("data-phase"), layer.inner_text() if layer.count() else ""))
    assert seen == [("1", ""), ("2", ""), ("3", "3"), ("3", "2"), ("3", "1"), ("4", "")]
    assert one.session.runs[0].step == 1
    page.keyboard.press("Shift+ArrowRight")
    one.idle(2)
    page.keyboard.press("e")
    one.idle(10)
    page.keyboard.press("Shift+ArrowLeft")
    one.idle(9)
    page.keyboard.press("r")
    one.idle(0)
    assert one.problems == []


def test_a_page_that_plays(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    page.click("text=max")
    page.keyboard.press("Space")
    page.wait_for_selector("[data-do=pause]")
    one.until(lambda: one.session.runs[0].step > 50)
    page.keyboard.press("Space")
    page.wait_for_selector("[data-do=play]")
    step = one.session.runs[0].step
    one.until(lambda: one.reading("step").replace("\u202f", "") == str(step))
    assert one.problems == []


def test_a_hidden_tab_pauses(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    page.keyboard.press("Space")
    one.until(lambda: one.session.playing)
    page.wait_for_selector("[data-do=pause]")
    hide = """(hidden) => {
      Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    one.until(lambda: not one.session.playing)
    page.evaluate(hide, False)
    one.until(lambda: one.session.playing)


def test_pictures_and_answers_while_it_trains(visit: Visitor) -> None:
    clock = """
      window.rgTimes = [];
      const asked = new Map(), send = WebSocket.prototype.send;
      WebSocket.prototype.send = function (text) {
        if (!this.rgHeard) {
          this.rgHeard = true;
          this.addEventListener('message', ({data}) => {
            if (typeof data !== 'string' || !data.startsWith('{"t":"ok"')) return;
            window.rgTimes.push(performance.now() - asked.get(JSON.parse(data).id));
          });
        }
        const message = JSON.parse(text);
        if (message.t === 'cmd') asked.set(message.id, performance.now());
        return send.call(this, text);
      };
    """
    only_where_there_is_time()
    one = visit(DEEP, script=clock)
    page = one.open()
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    rates = []
    for k in range(3):
        for n in ("10", "1"):
            page.evaluate("(n) => document.querySelector(`[name=rg-speed][value='${n}']`).click()", n)
            page.wait_for_timeout(500)
        rates.append(int(page.get_attribute(".rg-rates", "data-fps")) if k else 0)
    times = page.evaluate("() => window.rgTimes")
    assert max(rates) >= 15, rates
    assert statistics.median(times) < 50, times
    assert one.problems == []


def test_344_edges_are_drawn_often_enough(visit: Visitor) -> None:
    only_where_there_is_time()
    one = visit(script="window.rgFake = {hidden: [8, 8, 8, 8, 8, 8]};\n" + FAKE.read_text(encoding="utf-8"))
    page = one.open()
    page.wait_for_timeout(1500)
    rates = []
    for _ in range(3):
        page.wait_for_timeout(1000)
        rates.append(int(page.get_attribute(".rg-rates", "data-fps")))
    assert max(rates) >= 15, rates
    assert one.problems == []


def test_a_run_that_diverges(visit: Visitor) -> None:
    config = {"lr": 1e6, "activations": ["relu", "relu"], "output": "linear", "loss": "mean_squared_error"}
    one = visit(Config().changed(config))
    page = one.open()
    page.keyboard.press("Space")
    banner = page.locator(".rg-message")
    banner.wait_for()
    assert "step" in banner.inner_text()
    assert not one.session.playing
    page.click("text=Rewind 10 steps")
    one.idle(0)
    banner.wait_for(state="detached")
    page.keyboard.press("Space")
    banner.wait_for()
    page.click("text=Reset with lr/10")
    one.until(lambda: one.session.runs[0].config.lr == 1e5 and one.session.runs[0].step == 0)
    banner.wait_for(state="detached")
    one.until(lambda: page.input_value("#rg-set-lr") == "100000")
    assert one.problems == []


# ------------------------------------------------------------------------------------------- settings


def test_a_value_that_is_refused_is_said_at_its_field(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    error = page.locator("#rg-set-lr-error")
    for value in ("-1", "fast"):
        page.fill("#rg-set-lr", value)
        page.keyboard.press("Enter")
        one.until(lambda value=value: error.is_visible() and value in error.inner_text())
        assert page.get_attribute("#rg-set-lr", "aria-invalid") == "true"
        assert one.session.runs[0].config.lr == 0.3
    page.keyboard.press("Escape")
    error.wait_for(state="hidden")
    assert page.input_value("#rg-set-lr") == "0.3"
    page.fill("#rg-set-lr", "0.05")
    page.keyboard.press("Enter")
    one.until(lambda: one.session.runs[0].config.lr == 0.05)
    page.fill("#rg-set-hidden", "4, 99")
    page.keyboard.press("Enter")
    page.locator("#rg-set-hidden-error").wait_for()
    assert "99" in page.inner_text("#rg-set-hidden-error")
    assert one.session.runs[0].config.hidden == (4, 3)
    assert one.problems == []


def test_layers_and_units(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    run = one.session.runs[0]
    page.click("[aria-label='Add a hidden layer']")
    one.until(lambda: run.config.hidden == (4, 3, 3))
    page.click("[aria-label='One unit less in hidden 1']")
    one.until(lambda: run.config.hidden == (3, 3, 3))
    page.select_option("[aria-label='Activation of hidden 2']", "relu")
    one.until(lambda: run.config.activations == ("tanh", "relu", "tanh"))
    one.until(lambda: page.locator(".rg-unit").count() == 2 + 9 + 1)
    page.fill("#rg-set-hidden", "")
    page.keyboard.press("Enter")
    one.until(lambda: page.locator(".rg-unit").count() == 3)
    page.fill("#rg-set-hidden", "30, 30")
    page.keyboard.press("Enter")
    one.until(lambda: page.locator(".rg-unit").count() == 63)
    assert one.problems == []


def test_points_by_hand(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    page.click("text=Draw points")
    page.click(".rg-pencil >> text=Clear")
    empty = page.locator(".rg-map-empty")
    empty.wait_for()
    assert "at least one point" in empty.inner_text()
    one.until(lambda: page.locator("[data-do=play]").is_disabled())
    assert "at least one point" in (page.get_attribute("[data-do=play]", "title") or "")
    box = page.locator(".rg-map").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.25 * box["height"])
    one.until(lambda: one.session.draft and len(one.session.draft["x"]) == 1)
    page.click(".rg-pencil label >> nth=1")
    page.focus(".rg-map")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    one.until(lambda: one.session.draft is None)
    assert one.session.runs[0].config.dataset == "points"
    assert list(one.session.runs[0].scene.shown) == [0.0, 1.0]
    page.wait_for_selector("[data-do=play]:not([disabled])")
    page.keyboard.press("Escape")
    page.wait_for_selector(".rg-pencil", state="hidden")
    assert one.problems == []


def test_a_network_from_python_keeps_its_structure(visit: Visitor) -> None:
    x, y = rg.datasets.moons(60, seed=1)
    layers = [rg.Input(2), rg.Dense(5, activation="relu"), rg.Dense(1, activation="sigmoid")]
    net = rg.Sequential(layers, seed=3, dtype="float64")
    scene = given_scene(x, y[:, None], "binary_cross_entropy", 0.2, 0)
    given = Given(net, "binary_cross_entropy", rg.SGD(lr=0.1), scene)
    server = Server(Session(Config(optimizer="sgd"), given))
    server.start()
    try:
        one = visit(server=server)
        page = one.open()
        page.locator("text=The network came from Python").wait_for()
        for path in ("dataset", "hidden", "init", "loss", "dropout"):
            assert page.locator(f"#rg-set-{path}").is_disabled(), path
        for path in ("lr", "batch_size", "l2"):
            assert page.locator(f"#rg-set-{path}").is_enabled(), path
        assert page.locator(".rg-layer-head select").count() == 0
        assert page.locator("[aria-label='Hidden layers']").is_hidden()
        page.keyboard.press("Shift+ArrowRight")
        one.idle(1)
        assert (one.problems, one.strangers) == ([], [])
    finally:
        server.stop()


def test_the_curves_lead_back(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    page.keyboard.press("e")
    one.idle(10)
    page.keyboard.press("e")
    one.idle(20)
    box = page.locator(".rg-chart").bounding_box()

    def read_the_middle() -> bool:
        page.mouse.move(box["x"] + 44 + (box["width"] - 52) / 2, box["y"] + 20)
        return str(page.inner_text(".rg-curve-value")).startswith("step 10 · batch 0.")

    one.until(read_the_middle)
    page.mouse.down()
    page.mouse.up()
    one.idle(10)
    page.focus(".rg-chart")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    one.idle(0)
    assert one.problems == []


def test_an_edge_under_the_pointer(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    from_, to = (page.locator(f".rg-unit[data-layer='{n}'] .rg-fill").first.bounding_box() for n in (2, 3))
    x = (from_["x"] + from_["width"] + to["x"]) / 2
    y = (from_["y"] + to["y"] + to["height"]) / 2
    page.mouse.click(x, y)
    linked = page.locator(".rg-unit[aria-pressed=true]")
    linked.wait_for()
    assert linked.get_attribute("aria-label").startswith("output")
    page.keyboard.press("-")
    name = one.session.views[0].columns[2].weight
    mark = one.until(lambda: [m for m in one.session.runs[0].marks if m["kind"] == "edited"])[0]
    assert mark["text"].startswith(f"{name}[0, 0]")
    assert one.problems == []


def test_the_drawer_of_a_tablet(visit: Visitor) -> None:
    page = visit(size=(900, 900)).open()
    assert page.locator("#rg-set-lr").is_hidden()
    page.click("[data-do=drawer]")
    page.wait_for_selector("#rg-set-lr", state="visible")
    assert page.evaluate("() => document.activeElement.id") == "rg-set-search"
    page.keyboard.press("Escape")
    page.wait_for_selector("#rg-set-lr", state="hidden")
