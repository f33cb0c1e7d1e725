"""The page inside a notebook, on anywidget: a frame of its own, whose messages go through the kernel."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from retrograd._play.bundle import bundled_page
from retrograd._play.wire import ProtocolError
from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd._play.session import Session

__all__ = ["widget_of"]

TICK_SECONDS = 0.008  # of training between two looks at what the page wants
HEIGHT = 760  # pixels

# The widget's own module: a frame, and messages handed on. Only what comes from that frame is listened to.
_MODULE = """
function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.srcdoc = model.get("_page");
  frame.title = "retrograd play";
  frame.style.cssText = `width: 100%; height: ${model.get("_height")}px; border: 0`;
  const fromFrame = ({ data, source }) => {
    if (source === frame.contentWindow && typeof data === "string") model.send({ text: data });
  };
  const fromKernel = ({ text }, buffers) => {
    if (text !== undefined) frame.contentWindow?.postMessage(text, "*");
    for (const { buffer, byteOffset, byteLength } of buffers ?? []) {
      const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
      frame.contentWindow?.postMessage(bytes, "*", [bytes]);
    }
  };
  addEventListener("message", fromFrame);
  model.on("msg:custom", fromKernel);
  el.append(frame);
  return () => {
    removeEventListener("message", fromFrame);
    model.off("msg:custom", fromKernel);
  };
}
export default { render };
"""


class Relay:
    """Between a widget's messages and a session: what the server does, without a socket.

    Parameters
    ----------
    session
        What is played with.
    tell
        ``tell(text)`` or ``tell(bytes)``: to the page.
    """

    def __init__(self, session: Session, tell: Any) -> None:
        self.session = session
        self._tell = tell
        self._pump: asyncio.Task[None] | None = None

    def hear(self, text: Any) -> None:
        """A message of the page; one that is none ends the conversation, as a server would."""
        if not isinstance(text, str):
            return
        if text == '{"t":"ready"}':
            self._send(self.session.open())
            if self._pump is None or self._pump.done():
                self._pump = asyncio.get_running_loop().create_task(self._run())
            return
        try:
            self._send(self.session.handle(text))
        except ProtocolError:
            self.close()

    def close(self) -> None:
        """No more training and frames."""
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    async def _run(self) -> None:
        # in the kernel's own loop: cells and training take turns, and the page waits while a cell runs
        while True:
            self.turn()
            await asyncio.sleep(max(self.session.rest_s, 0.001))

    def turn(self) -> None:
        """Train for a moment, and show it."""
        self._send(self.session.tick(TICK_SECONDS))
        for lane in (0, 1):
            frame = self.session.frame(lane)
            if frame is not None:
                self._tell(frame)

    def _send(self, replies: Sequence[str | bytes]) -> None:
        for reply in replies:
            self._tell(reply)


def widget_of(session: Session) -> Any:
    """An anywidget that shows the session.

    Raises
    ------
    ArgumentError
        anywidget is missing.
    """
    try:
        anywidget, traitlets = import_module("anywidget"), import_module("traitlets")
    except ImportError:
        raise ArgumentError(
            'play: the widget needs the package anywidget: pip install "retrograd[jupyter]"'
        ) from None

    def tell(widget: Any, reply: str | bytes) -> None:
        if isinstance(reply, str):
            widget.send({"text": reply})
        else:
            widget.send({}, buffers=[reply])

    class PlayWidget(anywidget.AnyWidget):  # type: ignore[misc, name-defined]
        _esm = _MODULE
        _page = traitlets.Unicode(bundled_page("embedded.js")).tag(sync=True)
        _height = traitlets.Int(HEIGHT).tag(sync=True)

    widget = PlayWidget()
    relay = Relay(session, lambda reply: tell(widget, reply))
    widget.on_msg(
        lambda _, content, __: relay.hear(content.get("text") if isinstance(content, dict) else None)
    )
    widget.model = session.model
    return widget
