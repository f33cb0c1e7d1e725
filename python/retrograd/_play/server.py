"""The page's server: static files and one WebSocket on a loopback port, in a thread of its own.

It knows who may talk to the session, and nothing of what is said: every message goes to ``Session.handle``,
every answer and every frame comes from it. A page of another site that guesses the port is refused by the
Host and Origin headers, and by the token, which stands after the # of the address, in the browser alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import secrets
import threading
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any

from retrograd._play.wire import ProtocolError
from retrograd.errors import ArgumentError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrograd._play.session import Session

__all__ = ["Server"]

AUTH_SECONDS = 5.0
BEFORE_AUTH = 4_096  # bytes of a message from somebody unknown
INBOUND = 1_048_576  # of any message: a file that is loaded, points, CSV
TICK_SECONDS = 0.008  # of training between two looks at what the page wants

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def static_files() -> dict[str, tuple[str, bytes]]:
    """Path -> type and content: all there is to be asked for, so no path can lead elsewhere."""
    files: dict[str, tuple[str, bytes]] = {}

    def collect(folder: Any, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                collect(entry, f"{prefix}{entry.name}/")
                continue
            suffix = entry.name[entry.name.rfind(".") :]
            if suffix in _TYPES:
                # types are ours: the system's table may call JavaScript plain text, and the page stays blank
                files[prefix + entry.name] = (f"{_TYPES[suffix]}; charset=utf-8", entry.read_bytes())

    collect(resources.files("retrograd._play") / "static", "/")
    files["/"] = files.pop("/index.html")
    return files


class Server:
    """Serves one session until ``stop``.

    Parameters
    ----------
    session
        What is played with.
    host, port
        Where to listen; port 0 takes a free one.
    allow_remote
        Must be True where ``host`` is no loopback address: whoever has the address then controls the session.

    Raises
    ------
    ArgumentError
        The package ``websockets`` is missing, or a host that others can reach without ``allow_remote``.
    OSError
        The port is taken.
    """

    def __init__(
        self, session: Session, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False
    ) -> None:
        try:
            self._websockets = import_module("websockets.asyncio.server")
        except ImportError:
            raise ArgumentError(
                'play: the page needs the package websockets: pip install "retrograd[play]"'
            ) from None
        if host not in ("127.0.0.1", "localhost", "::1") and not allow_remote:
            raise ArgumentError(
                f"play: host {host!r} can be reached from other machines, and whoever knows the address "
                "controls this session; say allow_remote=True (--allow-remote) if that is what you want"
            )
        self.session = session
        self.host = host
        self.port = port
        self.token = secrets.token_urlsafe(24)
        self._files = static_files()
        self._client: Any = None
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="retrograd play", daemon=True)

    # -------------------------------------------------------------------------------------- lifecycle

    @property
    def url(self) -> str:
        """The address with its token; the part after # stays in the browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/#t={self.token}"

    def start(self) -> None:
        """Listen; returns when the address can be opened.

        Raises
        ------
        OSError
            The port is taken.
        StateError
            It was started before.
        """
        if self._thread.ident is not None:
            raise StateError("play: this server was started before; make a new one")
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()  # it is ending
            raise self._failure

    def stop(self) -> None:
        """Close the connection and the port, and end the thread; again is nothing."""
        if self._thread.ident is None:
            return
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(stopping.set)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def join(self) -> None:
        """Wait until it is stopped."""
        while self._thread.is_alive():
            self._thread.join(0.2)  # a wait without end would not see Ctrl-C

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._busy = asyncio.Lock()
        async with self._websockets.serve(
            self._talk,
            self.host,
            self.port,
            process_request=self._answer,
            max_size=INBOUND,
            compression=None,
            server_header=None,
            ping_interval=20,
            logger=_silent(),
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stopping.wait()
            if self._client is not None:
                await self._client.close(1001, "stopped from Python")

    # ------------------------------------------------------------------------------------------- HTTP

    def _hosts(self) -> set[str]:
        own = f"[{self.host}]" if ":" in self.host else self.host
        return {f"{name}:{self.port}" for name in (*_LOOPBACK, own)}

    def _answer(self, connection: Any, request: Any) -> Any:
        """A file, a refusal, or None for the WebSocket to go on."""
        hosts = self._hosts()
        if request.headers.get("Host") not in hosts:
            return self._response(403, "Forbidden", b"This address is for this machine alone.\n")
        if getattr(request, "method", "GET") != "GET":  # older versions read no other
            return self._response(405, "Method Not Allowed", b"Only GET is answered.\n")
        path = request.path.partition("?")[0]
        if path == "/ws":
            if request.headers.get("Origin") not in {f"http://{host}" for host in hosts}:
                return self._response(403, "Forbidden", b"Only the page itself may connect.\n")
            return None
        if path not in self._files:
            return self._response(404, "Not Found", b"There is no such file.\n")
        kind, content = self._files[path]
        return self._response(200, "OK", content, kind)

    def _response(
        self, status: int, reason: str, body: bytes, kind: str = "text/plain; charset=utf-8"
    ) -> Any:
        headers = import_module("websockets.datastructures").Headers(
            [
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Content-Security-Policy", self._policy()),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Cross-Origin-Opener-Policy", "same-origin"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Cache-Control", "no-store"),
                ("Connection", "close"),
            ]
        )
        return import_module("websockets.http11").Response(status, reason, headers, body)

    def _policy(self) -> str:
        # a policy cannot name [::1]; there 'self' allows the socket
        sockets = " ".join(f"ws://{host}" for host in sorted(self._hosts()) if not host.startswith("["))
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
            f"connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )

    # -------------------------------------------------------------------------------------- WebSocket

    async def _talk(self, client: Any) -> None:
        closed = import_module("websockets.exceptions").ConnectionClosed
        with contextlib.suppress(closed):
            if not await self._admit(client):
                return
            before, self._client = self._client, client
            if before is not None:
                await before.close(4409, "opened in another tab")
            pump: asyncio.Task[None] | None = None
            try:
                await _send(client, await self._ask(self.session.open))
                pump = asyncio.create_task(self._pump(client))
                await self._listen(client)
            finally:
                if pump is not None:
                    pump.cancel()
                    with contextlib.suppress(asyncio.CancelledError, closed):
                        await pump
                if self._client is client:
                    self._client = None

    async def _admit(self, client: Any) -> bool:
        """Whether the first message has the token, and nobody else is here (or gives way)."""
        while True:
            try:
                text = await asyncio.wait_for(client.recv(), AUTH_SECONDS)
            except TimeoutError:
                await client.close(4408, "nobody said who they are")
                return False
            if len(text) > BEFORE_AUTH:
                await client.close(4413, "too large")
                return False
            code, take_over = self._judge(text)
            if code:
                await client.close(code, "this address is no longer valid" if code == 4401 else "malformed")
                return False
            if self._client is None or take_over:
                return True
            busy = {"t": "error", "code": "busy", "message": "This session is open in another tab."}
            await client.send(json.dumps(busy))

    def _judge(self, text: str | bytes) -> tuple[int, bool]:
        """A close code, 0 for none, and whether the other tab shall be closed."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return 4400, False
        if not isinstance(text, str) or not isinstance(message, dict) or message.get("t") != "auth":
            return 4400, False
        token = message.get("token")
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(), self.token.encode()):
            return 4401, False
        return 0, message.get("take_over") is True

    async def _listen(self, client: Any) -> None:
        async for text in client:
            try:
                if not isinstance(text, str):
                    raise ProtocolError(4400, "a page sends text only")
                replies = await self._ask(self.session.handle, text)
            except ProtocolError as error:
                await client.close(error.code, str(error))
                return
            await _send(client, replies)

    async def _pump(self, client: Any) -> None:
        """Training and frames, for as long as the page takes them."""
        while True:
            began = asyncio.get_running_loop().time()
            await _send(client, await self._ask(self.session.tick, TICK_SECONDS))
            for lane in (0, 1):
                frame = await self._ask(self.session.frame, lane)
                if frame is not None:
                    await client.send(frame)
            passed = asyncio.get_running_loop().time() - began
            await asyncio.sleep(max(self.session.rest_s - passed, 0.0))

    async def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The session does one thing at a time, beside the loop: pings and other tabs are answered."""
        async with self._busy:
            return await asyncio.to_thread(call, *arguments)


async def _send(client: Any, replies: Sequence[str | bytes]) -> None:
    for reply in replies:
        await client.send(reply)


def _silent() -> logging.Logger:
    """A refused stranger is no news for the terminal of the one who plays."""
    logger = logging.getLogger("retrograd.play")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    return logger
