"""Callbacks: functions of your own at the turns of training.

A callback is any object with some of these methods; deriving from :class:`Callback` is a convenience. In one
``fit`` they are called in this order, and at each turn in the order of ``callbacks=``::

    on_train_begin(trainer, logs)
        on_epoch_begin(trainer, logs)
            on_iteration_end(trainer, logs)      only where it is defined: it costs a call from C++ per update
        on_epoch_end(trainer, logs)              logs: what the epoch's row in the history says
    on_train_end(trainer, logs)                  not after an exception

``trainer.stop()`` ends training after the present iteration. What a callback raises reaches the caller of
``fit``, and the model is as the last complete step left it. Parameters may be written: they are read anew.
"""

from __future__ import annotations

import math
import os
from time import time
from typing import TYPE_CHECKING, Any

from retrograd._arguments import flag
from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.trainer import Trainer

    Hook = Callable[[Trainer, dict[str, Any]], Any]

__all__ = ["CSVLogger", "Callback", "LambdaCallback", "TensorBoard"]

HOOKS = ("on_train_begin", "on_epoch_begin", "on_iteration_end", "on_epoch_end", "on_train_end")


class Callback:
    """A base that does nothing; override what is wanted. ``on_iteration_end(trainer, logs)`` may be added."""

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        """Before the first epoch; ``trainer.monitors`` lists the names that epochs will have."""

    def on_epoch_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        """Before an epoch; ``trainer.epoch`` counts the completed ones."""

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        """After an epoch and its validation."""

    def on_train_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        """After the last epoch; ``trainer.history.stop_reason`` says why it was the last."""


class LambdaCallback:
    """Functions as a callback: ``LambdaCallback(on_epoch_end=lambda trainer, logs: print(logs["loss"]))``

    Raises
    ------
    ArgumentError
        Something that cannot be called, or nothing at all.
    """

    on_train_begin: Hook
    on_epoch_begin: Hook
    on_iteration_end: Hook
    on_epoch_end: Hook
    on_train_end: Hook

    def __init__(
        self,
        on_train_begin: Hook | None = None,
        on_epoch_begin: Hook | None = None,
        on_iteration_end: Hook | None = None,
        on_epoch_end: Hook | None = None,
        on_train_end: Hook | None = None,
    ) -> None:
        given = zip(
            HOOKS, (on_train_begin, on_epoch_begin, on_iteration_end, on_epoch_end, on_train_end), strict=True
        )
        for name, function in given:
            if function is None:
                continue
            if not callable(function):
                raise ArgumentError(
                    f"LambdaCallback: {name} must be a function f(trainer, logs), got {function!r}"
                )
            setattr(self, name, function)
        if not self.__dict__:
            raise ArgumentError(f"LambdaCallback: got no function; give at least one of {', '.join(HOOKS)}")


class CSVLogger(Callback):
    """A line of comma-separated numbers for each epoch, written as soon as it is known.

    Parameters
    ----------
    path
        The file. Its folder must exist.
    append
        Whether to go on with an existing file (whose first line must have the same names) or to begin anew.

    Raises
    ------
    ArgumentError
        ``append`` to a file with other columns.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = path
        self.append = append
        self._columns: list[str] = []

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        self._columns = ["epoch", *trainer.monitors]
        header = ",".join(self._columns)
        if self.append:
            with open(self.path, "a+", encoding="utf-8") as file:
                file.seek(0)
                first = file.readline().rstrip("\n")
                if not first:
                    file.write(header + "\n")
                elif first != header:
                    raise ArgumentError(
                        f"CSVLogger: {self.path} has the columns {first}, expected {header}; "
                        "choose another file or append=False"
                    )
        else:
            with open(self.path, "w", encoding="utf-8") as file:
                file.write(header + "\n")

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        row = {"epoch": trainer.epoch, **logs}
        # opened anew each time, so a killed run leaves whole lines
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(",".join(_number(row.get(name, math.nan)) for name in self._columns) + "\n")


def _number(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


class TensorBoard(Callback):
    """What the history records, for ``tensorboard --logdir folder``; nothing has to be installed to write it.

    Each ``fit`` writes a file of its own into the folder. A quantity goes under its name in the history, at
    the number of completed epochs: ``loss``, ``val_loss``, ``lr`` and so on. To compare runs, give each a
    folder of its own inside of one that TensorBoard shows.

    Parameters
    ----------
    folder
        Made where it is missing.
    histograms
        Whether the distribution of each parameter is written too.

    Raises
    ------
    ArgumentError
        ``histograms`` that is neither True nor False.
    OSError
        When training begins: the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str], histograms: bool = False) -> None:
        self.folder = os.fspath(folder)
        self.histograms = flag("TensorBoard: histograms", histograms)
        self._path = ""

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        from retrograd._events import version

        os.makedirs(self.folder, exist_ok=True)
        now = time()
        # read in the order of the names, and recognised by the word in them
        while os.path.exists(path := os.path.join(self.folder, f"events.out.tfevents.{now:.6f}.retrograd")):
            now += 1e-6
        self._path = path
        self._append(version(now))

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        from retrograd._events import histogram, summary

        values: dict[str, float | bytes] = {
            name: logs[name] for name in trainer.monitors if not math.isnan(logs.get(name, math.nan))
        }
        if self.histograms:
            values |= {name: histogram(array) for name, array in trainer.model.parameters.items()}
        self._append(summary(time(), trainer.epoch, values))

    def _append(self, message: bytes) -> None:
        from retrograd._events import record

        # opened anew each time, so a killed run leaves whole records
        with open(self._path, "ab") as file:
            file.write(record(message))


def hooks(callbacks: Any) -> dict[str, list[Hook]]:
    """The methods of all callbacks by turn.

    Raises
    ------
    ArgumentError
        An object without any of the methods, or a class in place of an object.
    """
    if not isinstance(callbacks, list | tuple):
        callbacks = [callbacks]
    found: dict[str, list[Hook]] = {name: [] for name in HOOKS}
    for callback in callbacks:
        if isinstance(callback, type):
            raise ArgumentError(
                f"callbacks: got the class {callback.__name__}; make an object: {callback.__name__}()"
            )
        methods = {name: getattr(callback, name, None) for name in HOOKS}
        if not any(callable(method) for method in methods.values()):
            raise ArgumentError(
                f"callbacks: {callback!r} has none of the methods {', '.join(HOOKS)}; "
                "wrap a function by rg.callbacks.LambdaCallback"
            )
        for name, method in methods.items():
            if callable(method):
                found[name].append(method)
    return found
