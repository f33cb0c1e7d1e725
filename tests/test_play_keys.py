"""The page by keyboard and for everybody, and what it says when the line to Python breaks."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("websockets")

from page import DESKTOP, PHONE, Visitor
from retrograd._play.server import Server

# --------------------------------------------------------------------------------- by keyboard, and axe


def test_neurons_by_keyboard(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    here = "() => { const { layer, unit } = document.activeElement.dataset; return [+layer, +unit]; }"
    page.focus(".rg-unit[tabindex='0']")
    assert page.locator(".rg-unit[tabindex='0']").count() == 1
    found = {tuple(page.evaluate(here))}
    way = "left down right" + 4 * " up" + 4 * " down" + " right up up down down right left left left up"
    for word in way.split():
        key = f"Arrow{word.capitalize()}"
        page.keyboard.press(key)
        found.add(tuple(page.evaluate(here)))
    assert len(found) == 2 + 4 + 3 + 1, sorted(found)
    page.focus(".rg-unit[data-layer='1'][data-unit='2']")
    page.keyboard.press("Enter")
    pinned = page.locator(".rg-unit[aria-pressed=true]")
    assert pinned.count() == 1
    assert re.match(r"hidden 1, unit 3, a -?[\d.]+, z -?[\d.e-]+, delta ", pinned.get_attribute("aria-label"))
    page.keyboard.press("w")
    page.keyboard.press("w")
    before = one.session.model.parameters
    name = one.session.views[0].columns[0].weight
    old = float(before[name][2, 1])
    page.keyboard.press("Shift++")  # ten times as much
    one.until(lambda: float(one.session.model.parameters[name][2, 1]) == old + 0.1)
    page.keyboard.press("-")
    one.until(lambda: abs(float(one.session.model.parameters[name][2, 1]) - old - 0.09) < 1e-12)
    assert one.problems == []


def test_tab_reaches_every_control(visit: Visitor) -> None:
    page = visit().open()
    wanted = page.evaluate(
        """() => {
          const all = [...document.querySelectorAll('a[href], button, input, select, textarea, [tabindex]')];
          const shown = (e) => e.checkVisibility({visibilityProperty: true});
          const seen = all.filter((e) => e.tabIndex >= 0 && !e.disabled && shown(e));
          const radios = new Set();
          let k = 0;
          return seen.filter((e) => {
            if (e.type === 'radio') {
              if (radios.has(e.name)) return false;
              radios.add(e.name);
            }
            e.dataset.rgName = e.type === 'radio' ? e.name : `${(k += 1)}`;
            return true;
          }).map((e) => e.dataset.rgName);
        }"""
    )
    page.evaluate(
        """() => {
          window.rgReached = new Set();
          document.addEventListener('focusin', ({target: e}) =>
            window.rgReached.add(e.type === 'radio' ? e.name : e.dataset.rgName));
          document.body.focus();
        }"""
    )
    for _ in range(len(wanted) + 10):
        page.keyboard.press("Tab")
    assert set(wanted) - set(page.evaluate("() => [...window.rgReached]")) == set()


def test_keys_are_for_the_page_and_can_be_turned_off(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    page.focus("#rg-set-search")
    page.keyboard.type("er r")
    page.wait_for_timeout(200)
    assert one.session.runs[0].step == 0
    page.fill("#rg-set-search", "")
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("2")
    assert page.is_checked("[name=rg-edges][value=gradients]")
    page.keyboard.press("?")
    page.uncheck("#rg-single-keys")
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.keyboard.press("e")
    page.wait_for_timeout(200)
    assert page.is_checked("[name=rg-edges][value=gradients]")
    assert one.session.runs[0].step == 0
    page.keyboard.press("ArrowRight")
    one.until(lambda: one.session.runs[0].phase == 1)


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), ((900, 900), "dark")]
)
def test_axe_finds_nothing(visit: Visitor, size: tuple[int, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    one = visit(size=size, scheme=scheme)
    page = one.open()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".rg-phases li[aria-current]")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.fill("#rg-set-lr", "-1") if size == DESKTOP else page.click("#rg-tab-flow")
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    page.emulate_media(forced_colors="active")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


# ---------------------------------------------------------------------------------------- connections


def cut(server: Server) -> None:
    """End the connection as a broken line would."""
    loop, client = server._loop, server._client
    assert loop is not None
    loop.call_soon_threadsafe(client.transport.abort)


def test_a_line_that_breaks_comes_back(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    page.keyboard.press("e")
    one.idle(10)
    cut(one.server)
    page.wait_for_function(
        "() => document.querySelector('.rg-message')?.textContent.includes('Disconnected')"
        " && document.querySelector('[data-do=play]').disabled"
    )
    page.wait_for_selector(".rg-message", state="detached")
    page.wait_for_selector(".rg-link[data-status=open]")
    assert one.reading("step") == "10"
    page.keyboard.press("Shift+ArrowRight")
    one.idle(11)


def test_a_server_that_was_stopped(visit: Visitor) -> None:
    one = visit()
    page = one.open()
    one.server.stop()
    page.wait_for_selector(".rg-message >> text=Stopped from Python")


def test_a_second_tab_asks(visit: Visitor) -> None:
    one = visit()
    first = one.open()
    two = visit(server=one.server)
    second = two.page
    second.goto(one.server.url)
    second.click("text=Take over here")
    second.wait_for_selector("[data-do=play]:not([disabled])")
    first.wait_for_selector(".rg-message >> text=Opened in another tab")
    second.keyboard.press("Shift+ArrowRight")
    two.idle(1)


def test_a_link_that_is_no_longer_valid(visit: Visitor) -> None:
    one = visit()
    one.page.goto(f"{one.base}/#t=wrong")
    one.page.wait_for_selector(".rg-message >> text=no longer valid")
    assert one.page.evaluate("() => location.hash") == ""
