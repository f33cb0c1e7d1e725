"""Parts of the page that a class may do without: hide= in the address."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("websockets")
pytest.importorskip("playwright.sync_api")

from page import DESKTOP, PHONE, Visit, Visitor
from playwright.sync_api import expect

# What each name means to a reader, by role and name.
PARTS: dict[str, tuple[Any, str]] = {
    "setup": ("region", "Set-up"),
    "inspector": ("region", "Inspector"),
    "timeline": ("region", "Timeline"),
    "compare": ("region", "Compare"),
    "speed": ("radiogroup", "Steps in each picture"),
    "lessons": ("button", "Lessons"),
}
LESSON = ("combobox", "lesson")  # in the set-up; goes with the button


def opened(one: Visit, hide: str) -> Any:
    one.page.goto(f"{one.server.url}&hide={hide}")
    one.page.wait_for_selector(".rg-primary:not([disabled])")
    one.page.wait_for_function("location.hash.includes('seed=')")
    return one.page


@pytest.mark.parametrize("size", [DESKTOP, (900, 900), PHONE])
def test_what_is_named_is_gone_and_nothing_else(visit: Visitor, size: tuple[int, int]) -> None:
    one = visit(size=size)
    page = opened(one, "setup,speed,lessons,nothing,constructor")
    for name, (role, title) in PARTS.items():
        found = page.get_by_role(role, name=title, exact=True)
        expect(found).to_have_count(0 if name in ("setup", "speed", "lessons") else 1)
    assert page.locator("#rg-tab-setup").is_hidden()
    assert page.locator("[data-do=drawer]").is_hidden()
    page.keyboard.press("/")  # finds a setting
    assert page.evaluate("!document.activeElement.closest('[hidden]')")
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('#rg-setup, .rg-speed')")
    assert page.url.endswith("&hide=setup,speed,lessons")
    assert (one.problems, one.strangers) == ([], [])


def box(page: Any, selector: str) -> tuple[float, float, float, float]:
    found = page.locator(selector).bounding_box()
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


def test_the_network_takes_the_room(visit: Visitor) -> None:
    one = visit()
    page = opened(one, "setup,inspector")
    main, network, side = (box(page, selector) for selector in (".rg-main", ".rg-network", ".rg-side"))
    assert network[0] == main[0] + 12  # its padding
    assert network[2] == side[0] - 10  # the gap
    assert (network[1], network[3]) == (side[1], side[3]) == (main[1], main[3])


def test_the_lessons_of_the_set_up_go_too(visit: Visitor) -> None:
    page = opened(visit(), "lessons")
    expect(page.get_by_role("region", name="Set-up")).to_have_count(1)
    expect(page.get_by_role(LESSON[0], name=LESSON[1], exact=True)).to_have_count(0)
    page.evaluate("location.hash = ''")
    expect(page.get_by_role(LESSON[0], name=LESSON[1], exact=True)).to_have_count(1)


def test_a_teacher_makes_a_link(visit: Visitor) -> None:
    one = visit()
    page = opened(one, "")
    one.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[data-opens=lessons]")
    for name in ("compare", "set-up"):
        page.get_by_role("dialog").get_by_label(name, exact=True).check()
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Set-up")).to_have_count(0)
    page.keyboard.press("f")
    page.keyboard.press("Shift+ArrowRight")
    one.idle(1)
    assert len(one.session.runs) == 1
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Copy the settings as a link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"/#dataset=xor&.*&hide=setup,compare", link)
    page.keyboard.press("Escape")
    assert page.url.endswith(link)

    other = visit()
    page = opened(other, link.partition("&hide=")[2])
    expect(page.get_by_role("region", name="Compare")).to_have_count(0)
    page.evaluate("location.hash = '#lr=0.05'")
    expect(page.get_by_role("region", name="Compare")).to_have_count(1)
    other.until(lambda: other.session.runs[0].config.lr == 0.05)
    assert one.problems + other.problems == []


def test_axe_and_no_sideways_scrolling_with_parts_hidden(visit: Visitor) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(visit(size=PHONE), ",".join(PARTS))
    assert axe.run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
