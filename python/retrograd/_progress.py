"""One line that says how far training is: HTML in a notebook, tqdm's where it is installed, else our own."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

# What is worth a place on the line, in this order, besides metrics.
_HIDDEN = ("lr", "penalty", "gradient_norm", "seconds", "samples_per_second")


class Progress(Protocol):
    """What the trainer tells: where an epoch begins, how far it is, how it ended, and the end of all."""

    def begin(self, epoch: int, last: int) -> None: ...
    def update(self, done: int, total: int, loss: float) -> None: ...
    def end(self, logs: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


def progress_of(wanted: bool | None, epochs: int) -> Progress | None:
    """The line to write: None on request, and where nobody would see it.

    Raises
    ------
    ArgumentError
        Neither None, True nor False.
    """
    if wanted not in (None, True, False):
        raise ArgumentError(f"progress: expected None (on a terminal only), True or False, got {wanted!r}")
    stream = sys.stderr
    if stream is None or wanted is False:
        return None
    terminal = bool(getattr(stream, "isatty", lambda: False)())
    if wanted is None and not terminal:
        return None
    if not terminal and _in_notebook():
        return _Notebook(epochs)
    if not terminal:
        return _Lines(stream)  # a log file keeps whole lines, not a line rewritten
    from importlib import import_module

    try:
        return _Tqdm(import_module("tqdm").tqdm, epochs)
    except ImportError:
        return _Line(stream)


def _in_notebook() -> bool:
    """Whether IPython runs here behind a kernel, which shows HTML; a terminal's IPython has none."""
    python = sys.modules.get("IPython")  # where it was never imported, nobody can be looking through it
    shell = python.get_ipython() if python is not None else None
    return getattr(shell, "kernel", None) is not None


def _numbers(logs: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.4g}" for name, value in logs.items() if name not in _HIDDEN and "/" not in name}


class _Tqdm:
    """A bar over all epochs."""

    def __init__(self, tqdm: Any, epochs: int) -> None:
        from shutil import get_terminal_size

        # the width is asked for here: tqdm shows nothing on a terminal that does not know its own
        style = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}"
        columns = get_terminal_size().columns
        self._bar = tqdm(total=epochs, bar_format=style, ncols=columns, nrows=1 << 15)
        self._whole = 0.0
        self._logs: dict[str, str] = {}

    def begin(self, epoch: int, last: int) -> None:
        self._bar.set_description_str(f"epoch {epoch}/{last}", refresh=False)

    def update(self, done: int, total: int, loss: float) -> None:
        self._bar.set_postfix({**self._logs, "loss": f"{loss:.4g}"}, refresh=False)
        self._bar.update(self._whole + done / total - self._bar.n)

    def end(self, logs: Mapping[str, float]) -> None:
        self._logs = _numbers(logs)
        self._whole += 1.0
        self._bar.set_postfix(self._logs, refresh=False)
        self._bar.update(self._whole - self._bar.n)

    def close(self) -> None:
        self._bar.refresh()
        self._bar.close()


class _Line:
    """The same without tqdm: a line that is written over itself."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._head = ""
        self._logs: dict[str, str] = {}
        self._length = 0
        self._last = 0.0

    def _write(self, part: float) -> None:
        from shutil import get_terminal_size

        self._last = perf_counter()
        bar = "#" * round(20 * part)
        numbers = "  ".join(f"{name} {value}" for name, value in self._logs.items())
        text = f"{self._head} [{bar:.<20}]  {numbers}"[: get_terminal_size().columns - 1]
        self._stream.write(f"\r{text}{' ' * (self._length - len(text))}")
        self._stream.flush()
        self._length = len(text)

    def begin(self, epoch: int, last: int) -> None:
        self._head = f"epoch {epoch}/{last}"

    def update(self, done: int, total: int, loss: float) -> None:
        self._logs["loss"] = f"{loss:.4g}"
        self._write(done / total)

    def end(self, logs: Mapping[str, float]) -> None:
        self._logs = _numbers(logs)
        if perf_counter() - self._last > 0.1:  # short epochs need not each be seen
            self._write(1.0)

    def close(self) -> None:
        if self._head:
            self._write(1.0)
            self._stream.write("\n")
            self._stream.flush()


class _Lines:
    """A line for every epoch."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._head = ""

    def begin(self, epoch: int, last: int) -> None:
        self._head = f"epoch {epoch}/{last}"

    def update(self, done: int, total: int, loss: float) -> None:
        pass

    def end(self, logs: Mapping[str, float]) -> None:
        numbers = "  ".join(f"{name} {value}" for name, value in _numbers(logs).items())
        self._stream.write(f"{self._head}  {numbers}\n")
        self._stream.flush()

    def close(self) -> None:
        pass


class _Notebook:
    """A bar over all epochs, of HTML that takes the place of what was shown before."""

    PAUSE = 0.1  # seconds between two pictures

    def __init__(self, epochs: int) -> None:
        from importlib import import_module

        self._display = import_module("IPython.display").display
        self._handle: Any = None
        self._epochs = epochs
        self._whole = 0
        self._done = 0.0
        self._head = ""
        self._logs: dict[str, str] = {}
        self._shown = 0.0
        self._started = perf_counter()

    def begin(self, epoch: int, last: int) -> None:
        self._head = f"epoch {epoch}/{last}"

    def update(self, done: int, total: int, loss: float) -> None:
        self._logs["loss"] = f"{loss:.4g}"
        self._done = self._whole + done / total
        self._show()

    def end(self, logs: Mapping[str, float]) -> None:
        self._logs = _numbers(logs)
        self._whole += 1
        self._done = float(self._whole)
        self._show()

    def close(self) -> None:
        if self._head:
            self._draw(_clock(perf_counter() - self._started))

    def _show(self) -> None:
        now = perf_counter()
        if self._handle is None or now - self._shown >= self.PAUSE:
            self._shown = now
            passed = now - self._started
            left = passed * (self._epochs - self._done) / max(self._done, 1e-9)
            self._draw(f"{_clock(passed)}, {_clock(left)} left")

    def _draw(self, clock: str) -> None:
        numbers = "  ".join(f"{name} {value}" for name, value in self._logs.items())
        line = f"{self._head}  {numbers}  {clock}"
        bundle = {"text/plain": line, "text/html": _bar_html(self._done / self._epochs, line)}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar_html(part: float, line: str) -> str:
    from html import escape

    frame = "display:inline-block;vertical-align:middle;width:160px;height:9px;margin-right:10px"
    fill = f"width:{100 * part:.1f}%;height:100%;background:currentColor;opacity:.6"
    return (
        '<div style="font-variant-numeric:tabular-nums;white-space:pre-wrap">'
        f'<span style="{frame};border:1px solid currentColor">'
        f'<span style="display:block;{fill}"></span></span>'
        f"{escape(line)}</div>"
    )
