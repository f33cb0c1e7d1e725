"""A browser, a page in it, and everything on it that should not have happened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from retrograd._play.config import Config
from retrograd._play.server import Server
from retrograd._play.session import Session

ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
DESKTOP, PHONE = (1280, 720), (390, 844)
# 344 edges
DEEP = Config().changed({"hidden": [8] * 6, "dataset": "spirals", "optimizer": "adam", "lr": 0.01})


def chromium() -> str | None:
    """The browser that is there."""
    names = (os.environ.get("PLAY_CHROMIUM"), "chromium", "google-chrome")
    return next((path for path in (shutil.which(name) for name in names if name) if path), None)


def launched() -> Iterator[Any]:
    """The browser; a test that wants one is skipped where there is none, and fails in CI."""
    sync = pytest.importorskip("playwright.sync_api")
    path = chromium()
    if path is None:
        message = "no chromium: set PLAY_CHROMIUM to one"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield found
        found.close()


def slowed(page: Any) -> Any:
    """The page, as many times slower as PLAY_SLOWDOWN says: what a busy machine does, at will."""
    rate = float(os.environ.get("PLAY_SLOWDOWN", "1"))
    if rate > 1:
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": rate})
    return page


def ready(page: Any) -> None:
    """Wait until the page has settings, state and the first picture with its numbers."""
    page.wait_for_selector(".rg-primary:not([disabled])")
    page.wait_for_selector(".rg-unit[aria-label*=', a ']")


class Visit:
    """One page of one server, and everything that should not have happened on it."""

    def __init__(self, context: Any, server: Server) -> None:
        self.server = server
        self.session = server.session
        self.base = f"http://127.0.0.1:{server.port}"
        self.problems: list[tuple[str, str]] = []
        self.strangers: list[str] = []
        self.context = context
        context.on("console", lambda m: self.problems.append((m.type, m.text)))
        context.on("weberror", lambda e: self.problems.append(("uncaught", str(e.error))))
        context.on("requestfailed", lambda r: self.problems.append(("failed", r.url)))
        context.on("request", self._request)
        self.page = slowed(context.new_page())
        self.page.on("websocket", lambda w: self._socket(w.url))

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.base + "/", "data:", "blob:")):
            self.strangers.append(request.url)

    def _socket(self, url: str) -> None:
        if not url.startswith(f"ws://127.0.0.1:{self.server.port}/"):
            self.strangers.append(url)

    def open(self) -> Any:
        self.page.goto(self.server.url)
        ready(self.page)
        return self.page

    def reading(self, name: str) -> str:
        return str(self.page.inner_text(f"[data-reading={name}] dd >> nth=0"))

    def until(self, true: Callable[[], Any], seconds: float = 15.0) -> Any:
        """Wait for something that is seen from here, between two messages: never what one has half done."""
        end = time.monotonic() + seconds
        while True:
            with resting(self.server):
                found = true()
            if found:
                return found
            assert time.monotonic() < end, "it has not come about"
            self.page.wait_for_timeout(20)

    def idle(self, step: int) -> None:
        self.until(lambda: self.session.runs[0].step == step and self.reading("step") == str(step))


@contextlib.contextmanager
def resting(server: Server) -> Iterator[None]:
    """The session between two messages, for as long as somebody looks."""
    if not server.running:
        yield
        return
    asyncio.run_coroutine_threadsafe(server._busy.acquire(), server._loop).result()
    try:
        yield
    finally:
        server._loop.call_soon_threadsafe(server._busy.release)


Visitor = Callable[..., Visit]


def visits(browser: Any) -> Iterator[Visitor]:
    """visit(config, size=, scheme=) -> Visit, with a server of its own; all ends with the test."""
    servers, contexts = [], []

    def make(
        config: Config | None = None,
        size: tuple[int, int] = DESKTOP,
        scheme: str = "light",
        server: Server | None = None,
        script: str = "",
    ) -> Visit:
        if server is None:
            server = Server(Session(config))
            server.start()
            servers.append(server)
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion="reduce",
            has_touch=size[0] < 700,
        )
        contexts.append(context)
        if script:
            context.add_init_script(script)
        return Visit(context, server)

    yield make
    for context in contexts:
        context.close()
    for server in servers:
        server.stop()


def only_where_there_is_time() -> None:
    """Speed cannot be judged where others use the processors too."""
    if not hasattr(os, "getloadavg"):
        return
    cores = os.cpu_count() or 1
    if not os.environ.get("CI") and os.getloadavg()[0] > 1.5 * cores:
        pytest.skip(f"the load is {os.getloadavg()[0]:.1f} on {cores} cores")
