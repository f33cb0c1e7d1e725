"""rg.play and retrograd play from Python's side; the page as one file, as a replay and inside a notebook."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg

pytest.importorskip("websockets")

from retrograd._play import bundle, replay, saving
from retrograd._play.config import Config
from retrograd._play.session import Session
from retrograd._play.widget import Relay, widget_of
from websockets.sync.client import connect


class Conversation:
    """A page without a page: it greets, and answers are found by the number of the question."""

    def __init__(self, url: str) -> None:
        found = re.fullmatch(r"(http://[\d.:]+)/#t=(\S+)", url)
        assert found is not None, url
        address, token = found.groups()
        self.stack = contextlib.ExitStack()
        self.socket = self.stack.enter_context(connect(f"{address.replace('http', 'ws')}/ws", origin=address))
        self.socket.send(json.dumps({"t": "auth", "v": 1, "token": token}))
        self.number = 0

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def ask(self, op: str, **args: Any) -> Any:
        self.number += 1
        self.socket.send(json.dumps({"t": "cmd", "id": self.number, "lane": 0, "op": op, "args": args}))
        while True:
            reply = self.socket.recv(timeout=20)
            message = json.loads(reply) if isinstance(reply, str) else {}
            if message.get("id") == self.number:
                assert message["t"] == "ok", message
                return message["result"]


def network() -> tuple[rg.Model, np.ndarray, np.ndarray]:
    x, y = rg.datasets.moons(80, seed=1)
    net = rg.Sequential([rg.Input(2), rg.Dense(5, activation="tanh"), rg.Dense(1)], seed=3, dtype="float64")
    return net, x, y


@pytest.fixture
def played() -> Iterator[Any]:
    net, x, y = network()
    found = rg.play(
        net, x, y, loss="binary_cross_entropy", optimizer=rg.Adam(0.01), batch_size=16, browser=False
    )
    yield found, net, x, y
    found.stop()


def test_the_model_is_the_one_that_was_given(played: Any) -> None:
    """What the page trains is the object in Python, with the bits of a trainer of one's own."""
    found, net, x, y = played
    assert found.model is net
    with Conversation(found.url) as page:
        page.ask("step", n=7)
    twin, _, _ = network()
    trainer = rg.Trainer(twin, "binary_cross_entropy", rg.Adam(0.01), seed=7)
    batches = [b for epoch in range(2) for b in rg.data.batches(x, y, batch_size=16, seed=7, epoch=epoch)]
    for xb, yb in batches[:7]:
        trainer.step(xb, yb)
    assert twin.flat_parameters.tobytes() == net.flat_parameters.tobytes()


def test_stop_frees_the_port_and_the_thread(played: Any) -> None:
    found = played[0]
    assert found.running
    assert found.url in repr(found)
    assert f'href="{found.url}"' in found._repr_html_()
    found.stop()
    found.stop()
    assert not found.running
    assert "stopped" in repr(found)
    assert "stopped" in found._repr_html_()
    assert not [t for t in threading.enumerate() if t.name == "retrograd play"]


def test_the_browser_is_opened_unless_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    found = rg.play(dataset="moons", hidden=[3], seed=2)
    found.stop()
    assert opened == [found.url]


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"net": 3}, rg.ArgumentError, "expected a network or nothing, got int"),
    ({"net": network()[0]}, rg.ArgumentError, "a network needs data"),
    ({"hidden": [99]}, rg.ArgumentError, "hidden"),
    ({"datset": "xor"}, rg.ArgumentError, "did you mean 'dataset'"),
    ({"host": "0.0.0.0"}, rg.ArgumentError, "allow_remote=True"),
]


@pytest.mark.parametrize(("arguments", "error", "text"), REFUSED, ids=[text for _, _, text in REFUSED])
def test_refused(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as found:
        rg.play(**arguments, browser=False)
    assert text in str(found.value)


# ------------------------------------------------------------------------------------ command line


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "retrograd", "play", "--no-browser", *arguments]


def test_the_command_prints_an_address_that_answers(tmp_path: Path) -> None:
    data = tmp_path / "points.csv"
    data.write_text(
        "a,b,kind\n" + "".join(f"{i % 7},{i % 5},{'yes' if i % 2 else 'no'}\n" for i in range(40))
    )
    process = subprocess.Popen(command("--data", str(data)), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with Conversation(process.stdout.readline().strip()) as page:
            assert page.ask("step", n=3) is not None
        process.send_signal(signal.SIGINT)
        with process.stdout as rest:
            assert rest.read().splitlines() == ["Press Ctrl-C to stop.", "stopped"]
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()


def test_a_saved_model_goes_on_with_data_and_a_lesson_is_begun(tmp_path: Path) -> None:
    net, x, y = network()
    rg.Trainer(net, "binary_cross_entropy").fit(x, y, epochs=1, progress=False)
    path, data = net.save(tmp_path / "net"), tmp_path / "data.csv"
    np.savetxt(data, np.c_[x, y], delimiter=",", fmt="%.17g")
    for arguments in (["--model", path, "--data", str(data)], ["--lesson", "vanishing", "--seed", "3"]):
        process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            with Conversation(process.stdout.readline().strip()) as page:
                assert page.ask("verify")["gradient_check"]
        finally:
            process.kill()
            process.communicate()


WRONG: list[tuple[list[str], str]] = [
    (["--model", "m.safetensors"], "a model needs data to be trained with; add --data FILE.csv"),
    (["--data", "nowhere.csv"], "nowhere.csv"),
    (["--data", "a.csv", "--dataset", "xor"], "exclude each other"),
    (["--dataset", "moon"], "did you mean 'moons'?"),
    (["--lesson", "vanishin"], "did you mean 'vanishing'?"),
    (["--host", "0.0.0.0"], "--allow-remote"),
]


@pytest.mark.parametrize(("arguments", "text"), WRONG, ids=[text for _, text in WRONG])
def test_wrong_options(arguments: list[str], text: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("retrograd: ")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------- one file


def test_modules_are_joined_in_the_order_in_which_they_may_run(tmp_path: Path) -> None:
    modules = {
        "a.js": "export const one = 1;\nexport function two() { return one + 1; }\n",
        "panels/b.js": 'import { one as first, two } from "../a.js";\nexport const three = first + two();\n',
        "c.js": 'import * as b from "./panels/b.js";\nconsole.log(b.three);\n',
    }
    script = bundle.joined(modules)
    assert "import" not in script
    assert "export" not in script
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not there")
    path = tmp_path / "joined.mjs"
    path.write_text(script)
    done = subprocess.run([node, str(path)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "3\n"


def test_a_file_that_names_nothing_outside() -> None:
    page = bundle.bundled_page("replay.js", {"rg-recording": json.dumps("</script><!--")})
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert page.count("</script>") == 2
    assert not re.search(r"^\s*(import|export) ", page.partition('<script type="module">')[2], re.MULTILINE)


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    session = Session(Config())
    session.open()
    session.handle(json.dumps({"t": "cmd", "id": 1, "lane": 0, "op": "step", "args": {"n": 40}}))
    return saving.record(session, 9)


def test_a_replay_opens_from_disk(browser: Any, recording: dict[str, Any], tmp_path: Path) -> None:
    """No server, no request, no message; the moments are those of the run, and training is refused."""
    path = tmp_path / "replay.html"
    path.write_text(replay.page(recording), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    problems: list[Any] = []
    context.on("console", lambda m: problems.append(m.text))
    context.on("weberror", lambda e: problems.append(str(e.error)))
    context.on("request", lambda r: problems.append(r.url) if r.url != path.as_uri() else None)
    page = context.new_page()
    page.goto(path.as_uri())
    reading = "[data-reading=step] dd >> nth=0"
    page.wait_for_selector(".rg-primary:not([disabled])")
    assert page.inner_text(reading) == "0"
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('[data-reading=step] dd').textContent === '5'")
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('[data-reading=step] dd').textContent === '40'")
    states = [m for text in recording["moments"][-1]["texts"] if (m := json.loads(text))["t"] == "state"]
    assert page.inner_text("[data-reading=loss] dd >> nth=0") == states[0]["text"]["loss"]
    page.keyboard.press("f")
    page.wait_for_selector("text=This is a recording")
    assert problems == []
    context.close()


def test_the_replay_is_saved_from_the_page(played: Any) -> None:
    found = played[0]
    with Conversation(found.url) as page:
        page.ask("step", n=5)
        question = {"t": "cmd", "id": 99, "lane": 0, "op": "save", "args": {"kind": "replay"}}
        page.socket.send(json.dumps(question))
        while not isinstance(reply := page.socket.recv(timeout=20), bytes) or reply[:4] != b"RGB1":
            pass
    assert reply[4:].startswith(b"<!doctype html>")


# ------------------------------------------------------------------------------------- notebooks


def test_a_relay_says_what_a_server_would() -> None:
    """The same commands over both give the same bits."""
    told: list[Any] = []
    relay = Relay(Session(Config()), told.append)

    async def talk() -> None:
        relay.hear('{"t":"ready"}')
        relay.hear(json.dumps({"t": "cmd", "id": 1, "lane": 0, "op": "step", "args": {"n": 12}}))
        await asyncio.sleep(0.1)
        relay.hear(None)
        relay.hear("not json")  # ends the conversation, and raises nothing
        await asyncio.sleep(0)

    # a thread of its own: the browser of other tests has a loop in this one
    thread = threading.Thread(target=lambda: asyncio.run(talk()))
    thread.start()
    thread.join()
    kinds = [json.loads(reply)["t"] for reply in told if isinstance(reply, str)]
    assert kinds[:2] == ["hello", "spec"]
    assert "ok" in kinds
    assert any(isinstance(reply, bytes) and reply[:4] == b"RGF1" for reply in told)
    twin = Session(Config())
    twin.handle(json.dumps({"t": "cmd", "id": 1, "lane": 0, "op": "step", "args": {"n": 12}}))
    assert twin.model.flat_parameters.tobytes() == relay.session.model.flat_parameters.tobytes()


def test_the_widget_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(rg.ArgumentError, match=r'pip install "retrograd\[jupyter\]"'):
        widget_of(Session(Config()))


def test_the_widget() -> None:
    pytest.importorskip("anywidget")
    session = Session(Config())
    widget = widget_of(session)
    assert widget.model is session.model
    assert widget._page.startswith("<!doctype html>")


def test_a_page_inside_a_frame(browser: Any, tmp_path: Path) -> None:
    """The embedded page and its holder, with a session in the place of a kernel."""
    told: list[Any] = []
    relay = Relay(Session(Config()), told.append)
    holder = tmp_path / "holder.html"
    holder.write_text("<!doctype html><meta charset=utf-8><body></body>")
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    problems: list[Any] = []
    context.on("weberror", lambda e: problems.append(str(e.error)))
    page = context.new_page()
    heard: list[str] = []
    page.expose_function("hear", lambda text: heard.append(text))
    page.goto(holder.as_uri())
    page.evaluate(
        """html => {
            const frame = document.createElement("iframe");
            frame.srcdoc = html;
            frame.style.cssText = "width: 100%; height: 760px";
            addEventListener("message", ({ data }) => hear(data));
            document.body.append(frame);
        }""",
        bundle.bundled_page("embedded.js"),
    )

    def deliver() -> None:
        for reply in told:
            if isinstance(reply, str):
                page.evaluate(
                    "text => document.querySelector('iframe').contentWindow.postMessage(text, '*')", reply
                )
            else:
                page.evaluate(
                    "list => document.querySelector('iframe').contentWindow.postMessage("
                    "Uint8Array.from(list).buffer, '*')",
                    list(reply),
                )
        told.clear()

    for _ in range(1000):
        page.wait_for_timeout(20)
        for text in heard:
            if text == '{"t":"ready"}':
                relay._send(relay.session.open())  # the loop of a kernel is not there: turns are made here
            else:
                relay._send(relay.session.handle(text))
        heard.clear()
        relay.turn()
        deliver()
        frame = page.frames[1] if len(page.frames) > 1 else None
        if frame and frame.inner_text("[data-reading=step] dd >> nth=0") == "0":
            break
    assert frame is not None
    frame.click("text=Step")
    for _ in range(1000):
        page.wait_for_timeout(20)
        for text in heard:
            relay._send(relay.session.handle(text))
        heard.clear()
        relay.turn()
        deliver()
        if frame.inner_text("[data-reading=step] dd >> nth=0") == "1":
            break
    assert relay.session.runs[0].step == 1
    assert frame.inner_text("[data-reading=step] dd >> nth=0") == "1"
    assert problems == []
    context.close()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_importing_retrograd_does_not_import_the_page() -> None:
    code = "import sys, retrograd; print([m for m in sys.modules if '_play' in m or m == 'asyncio'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
