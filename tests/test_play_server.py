"""The page's server: who is let in, what is served, what ends a connection, and that nothing stays behind.

Each refusal stands beside the same request as the page makes it, which is let in.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import retrograd as rg

pytest.importorskip("websockets")

from retrograd._play.server import Server
from retrograd._play.wire import ProtocolError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect


class Echo:
    """A session that says back what it is told."""

    rest_s = 0.01

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.frames = 0

    def open(self) -> list[str]:
        return [json.dumps({"t": "hello"})]

    def handle(self, text: str) -> list[str | bytes]:
        self.heard.append(text)
        try:
            json.loads(text)
        except ValueError:
            raise ProtocolError(4400, "malformed") from None
        return [text]

    def tick(self, budget: float) -> list[str]:
        return []

    def frame(self, lane: int) -> bytes | None:
        return None


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(Echo())  # type: ignore[arg-type]
    one.start()
    yield one
    one.stop()


def ask(server: Server, path: str, host: str | None = None, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.port}")
    connection.endheaders()
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


@contextlib.contextmanager
def socket_of(server: Server, origin: str | None = "", host: str | None = None) -> Iterator[ClientConnection]:
    origin = f"http://127.0.0.1:{server.port}" if origin == "" else origin
    headers = {"Host": host} if host else {}
    with connect(
        f"ws://127.0.0.1:{server.port}/ws", origin=origin, additional_headers=headers, open_timeout=5
    ) as client:
        yield client


def auth(server: Server, **more: Any) -> str:
    return json.dumps({"t": "auth", "v": 1, "token": server.token, **more})


def close_code(client: ClientConnection) -> int | None:
    try:
        while True:
            client.recv(timeout=10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


# ---------------------------------------------------------------------------------------------- pages


def test_the_page_and_its_headers(server: Server) -> None:
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", f"[::1]:{server.port}"):
        page = ask(server, "/", host)
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert f"ws://127.0.0.1:{server.port}" in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store"
        assert "Server" not in page.headers


def test_every_static_file_has_its_type(server: Server) -> None:
    from retrograd._play.server import static_files

    files = static_files()
    assert "/" in files
    assert any(path.endswith(".js") for path in files)
    for path, (kind, content) in files.items():
        found = ask(server, path)
        assert (found.status, found.headers["Content-Type"]) == (200, kind)
        assert found.body == content  # type: ignore[attr-defined]
    scripts = [kind for path, (kind, _) in files.items() if path.endswith(".js")]
    assert set(scripts) == {"text/javascript; charset=utf-8"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_is_refused(server: Server, host: str) -> None:
    """A name that an attacker points at this machine (DNS rebinding) is not ours."""
    refused = ask(server, "/", host or " ")
    assert refused.status == 403
    assert b"for this machine" in refused.body  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/../server.py",
        "/..%2fserver.py",
        "/%2e%2e/server.py",
        "/js/..%5c..%5cserver.py",
        "/js/../../session.py",
        "//etc/passwd",
        "/etc/passwd",
        "/index.html/..",
        "/js/",
        "/js",
        "/favicon.ico",
    ],
)
def test_no_path_leads_elsewhere(server: Server, path: str) -> None:
    assert ask(server, path).status == 404


def test_other_methods_are_refused(server: Server) -> None:
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
        with contextlib.suppress(http.client.HTTPException, OSError):  # older versions drop the connection
            assert ask(server, "/", method=method).status == 405
    assert ask(server, "/").status == 200


# ------------------------------------------------------------------------------------------ handshake


def test_the_page_is_let_in(server: Server) -> None:
    with socket_of(server) as client:
        client.send(auth(server))
        assert json.loads(client.recv(timeout=5)) == {"t": "hello"}
        client.send('{"t":"cmd"}')
        assert client.recv(timeout=5) == '{"t":"cmd"}'


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", None, "http://127.0.0.1:1", "https://localhost"]
)
def test_another_origin_is_refused(server: Server, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as found, socket_of(server, origin):
        pass
    assert found.value.response.status_code == 403


def test_a_wrong_token_is_refused(server: Server) -> None:
    for text in (
        auth(server).replace(server.token, "x" * 32),
        json.dumps({"t": "auth", "v": 1}),
        json.dumps({"t": "auth", "token": 7}),
        json.dumps({"t": "auth", "token": "é"}),
    ):
        with socket_of(server) as client:
            client.send(text)
            assert close_code(client) == 4401
    assert server.session.heard == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"auth"', "[" * 3000, '{"t":"cmd","op":"step"}', b"\x00"]
)
def test_what_is_no_greeting_is_malformed(server: Server, text: str | bytes) -> None:
    with socket_of(server) as client:
        client.send(text)
        assert close_code(client) == 4400


def test_a_large_greeting_is_refused(server: Server) -> None:
    with socket_of(server) as client:
        client.send("x" * 5000)
        assert close_code(client) == 4413


def test_who_says_nothing_is_sent_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrograd._play.server.AUTH_SECONDS", 0.2)
    with socket_of(server) as client:
        assert close_code(client) == 4408


def test_garbage_ends_its_connection_and_nothing_else(server: Server) -> None:
    for garbage in ("not json", b"bytes", "{"):
        with socket_of(server) as client:
            client.send(auth(server))
            client.recv(timeout=5)
            client.send(garbage)
            assert close_code(client) == 4400
    with socket_of(server) as client:
        client.send(auth(server))
        assert json.loads(client.recv(timeout=5)) == {"t": "hello"}


def test_a_message_of_more_than_a_megabyte_ends_its_connection(server: Server) -> None:
    with socket_of(server) as client:
        client.send(auth(server))
        client.recv(timeout=5)
        client.send("x" * 1_048_577)
        assert close_code(client) == 1009
    test_the_page_is_let_in(server)


def test_a_second_tab_is_asked(server: Server) -> None:
    with socket_of(server) as first, socket_of(server) as second:
        first.send(auth(server))
        first.recv(timeout=5)
        second.send(auth(server))
        assert json.loads(second.recv(timeout=5))["code"] == "busy"
        first.send("{}")
        assert first.recv(timeout=5) == "{}"  # the first goes on meanwhile
        second.send(auth(server, take_over=True))
        assert json.loads(second.recv(timeout=5)) == {"t": "hello"}
        assert close_code(first) == 4409
        second.send("{}")
        assert second.recv(timeout=5) == "{}"


# ------------------------------------------------------------------------------------------ lifecycle


def test_stop_closes_the_connection_and_leaves_nothing() -> None:
    threads = threading.active_count()
    one = Server(Echo())  # type: ignore[arg-type]
    one.start()
    with socket_of(one) as client:
        client.send(auth(one))
        client.recv(timeout=5)
        one.stop()
        assert close_code(client) == 1001
    one.stop()
    assert not one.running
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= threads
    with pytest.raises(OSError, match=r".+"), socket.create_connection(("127.0.0.1", one.port), timeout=1):
        pass


class Slow(threading.Event):
    """A thread that sets it goes on for a while."""

    def set(self) -> None:
        super().set()
        time.sleep(0.1)


def test_a_port_that_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        one = Server(Echo(), port=taken.getsockname()[1])  # type: ignore[arg-type]
        one._ready = Slow()
        with pytest.raises(OSError, match="in use"):
            one.start()
        assert not one.running


def test_started_twice(server: Server) -> None:
    with pytest.raises(rg.StateError, match="was started before"):
        server.start()


def test_an_address_others_can_reach_has_to_be_meant() -> None:
    with pytest.raises(rg.ArgumentError, match=r"can be reached from other machines.*allow_remote=True"):
        Server(Echo(), host="0.0.0.0")  # type: ignore[arg-type]


def test_nothing_is_printed_about_strangers(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with contextlib.suppress(InvalidStatus), socket_of(server, "http://evil.example"):
            pass
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"\x00\xff not HTTP\r\n\r\n")
    time.sleep(0.1)
    assert ask(server, "/").status == 200
    out, err = capfd.readouterr()
    assert out + err == ""
