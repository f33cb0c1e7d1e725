"""The interactive page: ``rg.play``."""

from __future__ import annotations

import webbrowser
from html import escape
from typing import TYPE_CHECKING, Any

from retrograd._play.opening import session_for
from retrograd._play.server import Server

if TYPE_CHECKING:
    from retrograd._play.session import Session
    from retrograd.model import Model

__all__ = ["Play", "play"]


class Play:
    """A page that is being served, and the network it trains.

    Attributes
    ----------
    url
        The address, with a token that lets its holder in.
    model
        The network as it is now. Of ``play(net, x, y)`` it is ``net`` itself.
    session
        What the page talks to.
    """

    def __init__(self, session: Session, server: Server) -> None:
        self.session = session
        self._server = server

    @property
    def url(self) -> str:
        """The address, with a token that lets its holder in."""
        return self._server.url

    @property
    def model(self) -> Model:
        """The network as it is now."""
        model: Model = self.session.model
        return model

    @property
    def running(self) -> bool:
        """Whether the page is being served."""
        return self._server.running

    def stop(self) -> None:
        """Stop serving: the page keeps what it shows, the port is free, the model stays as it is."""
        self._server.stop()

    def join(self) -> None:
        """Wait until the server is stopped; Ctrl-C ends the waiting."""
        self._server.join()

    def widget(self) -> Any:
        """The page inside a notebook, on the same session, without the server's port.

        Raises
        ------
        ArgumentError
            anywidget is missing.
        """
        from retrograd._play.widget import widget_of

        self.stop()  # a session listens to one page at a time
        return widget_of(self.session)

    def __repr__(self) -> str:
        return f"<Play {self.url if self.running else 'stopped'}: {self.model!r}>"

    def _repr_html_(self) -> str:
        if not self.running:
            return "<p>play: stopped</p>"
        return (
            f'<p>play: <a href="{escape(self.url)}" target="_blank" rel="noopener">{escape(self.url)}</a></p>'
        )


def play(
    net: Model | None = None,
    x: Any = None,
    y: Any = None,
    *,
    loss: Any = None,
    optimizer: Any = None,
    host: str = "127.0.0.1",
    port: int = 0,
    browser: bool = True,
    allow_remote: bool = False,
    **settings: Any,
) -> Play:
    """Serve the interactive page in the background, and open it.

    >>> p = rg.play(net, x, y, loss="cross_entropy")
    >>> p.model is net
    True
    >>> p.stop()

    Parameters
    ----------
    net
        A Sequential of Dense, Activation, Dropout and normalisation layers, which is trained itself. None: a
        small network on XOR, or what ``settings`` say.
    x, y
        Its samples and targets; without a network: points [n, inputs] with labels or values.
    loss, optimizer
        As for :class:`retrograd.Trainer`; the loss is guessed from output and targets where it is None.
    host, port
        Where to listen; port 0 takes a free one.
    browser
        Whether to open the address in the system's browser.
    allow_remote
        Must be True where ``host`` can be reached from other machines.
    settings
        Of the page, by their names: ``dataset="moons"``, ``hidden=[8, 8]``, ``lr=0.1``, ``seed=3``.

    Raises
    ------
    ArgumentError
        ``websockets`` is missing, a setting or a network that cannot be, or a host that others can reach.
    ShapeError, DTypeError
        The data does not fit.
    OSError
        The port is taken.
    """
    session = session_for(net, x, y, loss=loss, optimizer=optimizer, **settings)
    server = Server(session, host, port, allow_remote)
    server.start()
    found = Play(session, server)
    if browser:
        webbrowser.open(found.url)
    return found
