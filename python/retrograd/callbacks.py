"""Callbacks: functions of your own at the turns of training.

A callback is any object with some of these methods; deriving from :class:`Callback` is a convenience. In one
``fit`` they are called in this order, and at each turn in the order of ``callbacks=``::

    on_train_begin(trainer, logs)
        on_epoch_begin(trainer, logs)
            on_iteration_end(trainer, logs)      only where it is defined: it costs a call from C++ per update
        on_epoch_end(trainer, logs)              logs: what the epoch's row in the history says
    on_train_end(trainer, logs)                  not after an exception

A callback that keeps count has ``state_dict()``, a dict of numbers, strings, lists and arrays, and
``load_state_dict(state)``: ``trainer.save`` keeps the one, and ``trainer.resume`` hands it to the other. One
without them begins anew when a fit is resumed.

``trainer.stop()`` ends training after the present iteration. What a callback raises reaches the caller of
``fit``, and the model is as the last complete step left it. Parameters may be written: they are read anew.
"""

from __future__ import annotations

import math
import os
import re
from string import Formatter
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from retrograd._arguments import flag, integer, nearest, real
from retrograd.errors import ArgumentError
from retrograd.metrics import larger_is_better

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.trainer import Trainer

    Hook = Callable[[Trainer, dict[str, Any]], Any]

__all__ = ["CSVLogger", "Callback", "Checkpoint", "LambdaCallback", "TensorBoard"]

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

    def state_dict(self) -> dict[str, Any]:
        """The columns, and how long the file is."""
        return {"columns": self._columns, "bytes": os.path.getsize(self.path) if self._columns else 0}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the file as it was: lines of epochs that will come again are cut off.

        Raises
        ------
        ArgumentError
            The file is not there, or shorter than it was.
        """
        self._columns = state["columns"]
        if not self._columns:
            return
        found = os.path.getsize(self.path) if os.path.exists(self.path) else 0
        if found < state["bytes"]:
            raise ArgumentError(
                f"CSVLogger: {self.path} has {found} bytes, it had {state['bytes']} when the fit was saved; "
                "put the file back"
            )
        os.truncate(self.path, state["bytes"])


class Checkpoint(Callback):
    """Saves the trainer while it trains, so that ``Trainer.load(path).resume(...)`` can finish the fit.

    Saving changes nothing: the bits are those of a fit without it. Writing is atomic, so that a process that
    is killed leaves whole files.

    Parameters
    ----------
    path
        The file. ``{epoch}`` and ``{iteration}`` stand for what is complete, and names of the history for
        their values where only whole epochs are saved: ``"run-{epoch:03}-{val_loss:.4f}.safetensors"``.
    every_iterations
        Save after each so many updates.
    every_seconds
        Save after the update that follows so many seconds since the last time.
    every_epochs
        Save after each so many epochs. None: not at their ends.
    keep
        How many files are left of the last ones.
    keep_best
        How many are left beside them of those epochs that were best by ``monitor``.
    monitor
        As the history calls it; more is better of accuracies and the like, else less.

    Raises
    ------
    ArgumentError
        Numbers below 1, nothing to save after, a path that several files cannot share, or, when training
        begins, a monitor or a folder that does not exist.
    """

    on_iteration_end: Hook

    def __init__(
        self,
        path: str | os.PathLike[str],
        every_iterations: int | None = None,
        every_seconds: float | None = None,
        every_epochs: int | None = 1,
        keep: int = 1,
        keep_best: int = 0,
        monitor: str = "val_loss",
    ) -> None:
        self.path = os.fspath(path)
        self.every_iterations = _or_none("every_iterations", every_iterations, integer)
        self.every_epochs = _or_none("every_epochs", every_epochs, integer)
        self.every_seconds = None
        if every_seconds is not None:
            self.every_seconds = real("Checkpoint: every_seconds", every_seconds, above=0.0)
        self.keep = integer("Checkpoint: keep", keep)
        self.keep_best = integer("Checkpoint: keep_best", keep_best, 0)
        self.monitor = monitor
        self._check_path()
        if self.every_iterations is not None or self.every_seconds is not None:
            self.on_iteration_end = self._on_iteration_end  # only then, for it is called after each update
        self._files: list[str] = []  # of the last times, the newest in the end
        self._best: list[tuple[float, str]] = []  # the best in the beginning
        self._saved = perf_counter()

    def _check_path(self) -> None:
        within = self.every_iterations is not None or self.every_seconds is not None
        if not within and self.every_epochs is None:
            raise ArgumentError(
                "Checkpoint: there is nothing to save after; give every_iterations, every_seconds or "
                "every_epochs"
            )
        try:
            fields = {field for _, field, _, _ in Formatter().parse(self.path) if field is not None}
        except ValueError as error:
            raise ArgumentError(f"Checkpoint: path {self.path!r} is no pattern: {error}") from None
        self._fields = fields
        if not os.path.splitext(re.sub(r"{[^}]*}", "0", self.path))[1]:
            self.path += ".safetensors"
        others = sorted(fields - {"epoch", "iteration"})
        if others and within:
            raise ArgumentError(
                f"Checkpoint: {{{others[0]}}} in the path is known after whole epochs only; with "
                "every_iterations or every_seconds use {epoch} and {iteration}"
            )
        needed = "{iteration}" if within else "{epoch}"
        told_apart = "iteration" in fields or (bool(fields) and not within)
        if (self.keep > 1 or self.keep_best) and not told_apart:
            raise ArgumentError(
                f"Checkpoint: keep={self.keep} and keep_best={self.keep_best} leave several files, so the "
                f"path must tell them apart: put {needed} into {self.path!r}"
            )

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        for name in sorted(self._fields - {"epoch", "iteration"}):
            monitored("Checkpoint", name, trainer)
        if self.keep_best:
            monitored("Checkpoint", self.monitor, trainer)
        folder = os.path.dirname(self.path) or "."
        if "{" not in folder and not os.path.isdir(folder):
            raise ArgumentError(f"Checkpoint: the folder {folder!r} does not exist; make it first")
        self._files, self._best = [], []
        self._saved = perf_counter()

    def _on_iteration_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        every, seconds = self.every_iterations, self.every_seconds
        due = every is not None and trainer.iteration % every == 0
        if due or (seconds is not None and perf_counter() - self._saved >= seconds):
            self._save(trainer, {})

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        if self.every_epochs is not None and trainer.epoch % self.every_epochs == 0:
            self._save(trainer, logs)

    def _save(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        numbers = {"epoch": trainer.epoch, "iteration": trainer.iteration} | logs
        path = self.path.format(**numbers) if self._fields else self.path
        # the state that is saved still has what is removed afterwards, so a killed process leaves no orphans
        self._files = [file for file in self._files if file != path] + [path]
        if self.keep_best and logs:
            value = logs[self.monitor] * (-1.0 if larger_is_better(self.monitor) else 1.0)
            self._best = [*(one for one in self._best if one[1] != path), (value, path)]
            self._best.sort(key=lambda one: (math.isnan(one[0]), one[0]))
        self._saved = perf_counter()
        trainer.save(path)
        self._prune()

    def _prune(self) -> None:
        """Remove the files that are neither among the last nor among the best."""
        known = {*self._files, *(file for _, file in self._best)}
        self._files, self._best = self._files[-self.keep :], self._best[: self.keep_best]
        for file in known - {*self._files, *(file for _, file in self._best)}:
            if os.path.exists(file):
                os.remove(file)

    @property
    def files(self) -> list[str]:
        """Those that are kept, the newest in the end."""
        best = [file for _, file in reversed(self._best) if file not in self._files]
        return best + self._files

    @property
    def best(self) -> str | None:
        """The file of the best epoch, with ``keep_best``; None before the first."""
        return self._best[0][1] if self._best else None

    def latest(self) -> str | None:
        """The newest file of this path that exists, by the numbers in its name; None where there is none.

        So a program begins: ``last = checkpoint.latest()``, and with one
        ``rg.Trainer.load(last).resume(x, y, callbacks=[checkpoint])``.
        """
        if not self._fields:
            return self.path if os.path.exists(self.path) else None
        folder, pattern = os.path.split(self.path)
        expression = ""
        for literal, field, _, _ in Formatter().parse(pattern):
            expression += re.escape(literal)
            if field in ("epoch", "iteration"):
                expression += f"(?P<{field}>[0-9]+)" if f"<{field}>" not in expression else "[0-9]+"
            elif field is not None:
                expression += ".+"
        found = []
        for name in os.listdir(folder or ".") if os.path.isdir(folder or ".") else ():
            if match := re.fullmatch(expression, name):
                counts = match.groupdict()
                found.append((int(counts.get("iteration", 0)), int(counts.get("epoch", 0)), name))
        return os.path.join(folder, max(found)[2]) if found else None

    def state_dict(self) -> dict[str, Any]:
        """Which files there are."""
        return {"path": self.path, "files": self._files, "best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep and replace the files of the interrupted fit, where the path is the same."""
        self._saved = perf_counter()
        if state["path"] == self.path:
            self._files, self._best = state["files"], state["best"]
            self._prune()  # which the process that saved them may not have come to


def _or_none(name: str, value: int | None, check: Callable[[str, object], int]) -> int | None:
    return None if value is None else check(f"Checkpoint: {name}", value)


def monitored(rule: str, monitor: str, trainer: Trainer) -> str:
    """The monitor's name, where the present ``fit`` has such a quantity.

    Raises
    ------
    ArgumentError
        It has not; the text lists those that it has.
    """
    names = trainer.monitors
    if monitor not in names:
        hint = ""
        if monitor.startswith("val_") and not any(name.startswith("val_") for name in names):
            hint = " pass validation_data= or validation_split= to fit, or"
        raise ArgumentError(
            f"{rule}: there is no {monitor!r} to watch;{hint or nearest(monitor, names)} "
            f"choose one of {', '.join(names)}"
        )
    return monitor


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

    def state_dict(self) -> dict[str, Any]:
        """Which file it writes."""
        return {"path": self._path}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with that file; an epoch that comes again is shown in the place of its first time."""
        self._path = state["path"]
        os.makedirs(self.folder, exist_ok=True)

    def _append(self, message: bytes) -> None:
        from retrograd._events import record

        # opened anew each time, so a killed run leaves whole records
        with open(self._path, "ab") as file:
            file.write(record(message))


def hooks(callbacks: Any) -> dict[str, list[Hook | None]]:
    """The methods of all callbacks by turn, None for a callback that has no such method.

    Raises
    ------
    ArgumentError
        An object without any of the methods, or a class in place of an object.
    """
    if not isinstance(callbacks, list | tuple):
        callbacks = [callbacks]
    found: dict[str, list[Hook | None]] = {name: [] for name in HOOKS}
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
            found[name].append(method if callable(method) else None)
    return found
