"""One call of ``fit``: what it was asked for, where it stands, and the way from there to its end.

A run goes through phases, and at each moment its state says what is still to come: which phase, and which
callbacks of the present turn were called already. So it can be left anywhere and taken up again, in the same
process or from a file, with the same numbers.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

from retrograd._checkpoint import check_same_data, pack, unpack
from retrograd._feed import Watch
from retrograd.callbacks import hooks
from retrograd.errors import ArgumentError, StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrograd._core import Array
    from retrograd._feed import ArrayFeed, BatchFeed, Pass
    from retrograd._flow import Probe
    from retrograd._progress import Progress
    from retrograd.trainer import Trainer

__all__ = ["Run"]


class Stopwatch:
    """Seconds in all, over several stretches."""

    def __init__(self) -> None:
        self.total = 0.0
        self._since: float | None = None

    def start(self, before: float = 0.0) -> None:
        self.total, self._since = before, perf_counter()

    def stop(self) -> None:
        self.total, self._since = self.read(), None

    def read(self) -> float:
        return self.total + (0.0 if self._since is None else perf_counter() - self._since)


class Run:
    """A fit on its way.

    Parameters
    ----------
    trainer
        Whose model is trained.
    settings
        epochs, batch_size, shuffle, validation_split, class_weight, record, sample_weight: as given.
    feed, validation
        What an epoch is made of, and what is evaluated after it.
    callbacks
        As given to ``fit``.
    """

    def __init__(
        self,
        trainer: Trainer,
        settings: dict[str, Any],
        feed: ArrayFeed | BatchFeed,
        validation: ArrayFeed | BatchFeed | None,
        callbacks: Any,
        probe: Probe | None,
    ) -> None:
        self.trainer, self.settings = trainer, settings
        self.feed, self.validation, self.probe = feed, validation, probe
        self.callbacks = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
        self._turns = hooks(callbacks)
        self._ticks = [callback.on_tick for callback in self.callbacks if hasattr(callback, "on_tick")]
        self.keeps = any(getattr(callback, "needs_outputs", False) for callback in self.callbacks)
        self.bar: Progress | None = None

        self.epochs: int = settings["epochs"]
        self.done = 0
        self.phase = "train_begin"
        self._called = 0  # callbacks of the present turn that were called
        self._iteration: dict[str, Any] | None = None  # what they are told after an iteration
        self._result: Pass | None = None
        self._row: dict[str, float] = {}
        self._lr = math.nan
        self._taken_up = False  # within an epoch
        self._epoch_time, self._training_time = Stopwatch(), Stopwatch()
        self._counted: int | None = None  # the iteration up to which the history has counted
        self._left: tuple[int, int] | None = None  # iteration and epoch when it was left

    # --------------------------------------------------------------------------------------- the way

    def go(self) -> None:
        """On to the end."""
        self._left = None
        self._epoch_time.start(self._epoch_time.total)
        try:
            while self.phase != "over":
                getattr(self, f"_{self.phase}")()
        finally:
            self._epoch_time.stop()
            self._left = self.trainer.iteration, self.trainer.epoch

    def _call(self, turn: str, logs: dict[str, Any]) -> None:
        """The callbacks that were not called yet. What one of them saves has those before it, and itself."""
        methods = self._turns[turn]
        while self._called < len(methods):
            method = methods[self._called]
            self._called += 1
            if method is None:
                continue
            try:
                method(self.trainer, logs)
            except BaseException:
                self._called -= 1
                raise
        self._called = 0

    def _next_epoch(self) -> str:
        more = self.done < self.epochs and not self.trainer._stop_reason
        return "epoch_begin" if more else "train_end"

    def _train_begin(self) -> None:
        self._call("on_train_begin", {"epochs": self.epochs})
        self.phase = self._next_epoch()

    def _epoch_begin(self) -> None:
        self._epoch_time.start()
        self._call("on_epoch_begin", {})
        self._lr = self.trainer.lr
        self._taken_up = False
        self._training_time = Stopwatch()
        self.phase = "train" if not self.trainer._stop_reason else "train_end"

    def _train(self) -> None:
        trainer, core = self.trainer, self.trainer._core
        if self.bar is not None:
            self.bar.begin(trainer.epoch + 1, trainer.epoch + self.epochs - self.done)
        if self._iteration is not None:
            self._after_iteration()
        heard = any(self._turns["on_iteration_end"])
        watch = Watch(
            self.collects,
            self.probe is not None,
            self._iterated if heard else None,
            self._progressed if self.bar is not None or self._ticks else None,
            lambda: bool(trainer._stop_reason),
            self._taken_up,
        )
        self._counted = core.iteration
        self._training_time.start(self._training_time.total)
        trainer._running = True
        try:
            result = self.feed.train(core, watch)
        finally:
            trainer._running = False
            self._training_time.stop()
            trainer._history.iterations += core.iteration - self._counted
            self._counted = None
            self._taken_up = True  # whoever goes on goes on within this epoch
        self._result = result
        self.phase = "train_end" if result is None else "measure"

    def _iterated(self, iteration: int, loss: float) -> bool:
        self._iteration = {"iteration": iteration, "loss": loss}
        self._after_iteration()
        return bool(self.trainer._stop_reason)

    def _after_iteration(self) -> None:
        assert self._iteration is not None
        self._call("on_iteration_end", self._iteration)
        self._iteration = None

    def _progressed(self, done: int, total: int, loss: float) -> None:
        if self.bar is not None:
            self.bar.update(done, total, loss)
        for tick in self._ticks:
            tick(self.trainer)

    def _measure(self) -> None:
        """The epoch's row, but for what is measured on other data."""
        trainer, result = self.trainer, self._result
        assert result is not None
        row = {"loss": result.loss}
        if self.collects:
            trainer._seen = list(zip(result.targets, result.outputs, strict=False))
        if trainer._metrics:
            row |= trainer._measure(result.targets, result.outputs)
        row |= {"lr": self._lr, "penalty": result.penalty, "gradient_norm": result.gradient_norm}
        row |= result.norms
        if self.probe is not None and self.feed.sample is not None:
            row |= self.probe.look(trainer._core, self.feed.sample, result.norms)
        passed = self._training_time.total
        row["samples_per_second"] = result.samples / passed if passed > 0 else math.inf
        self._row, self._result = row, None
        self.phase = "validate"

    def _validate(self) -> None:
        trainer, row = self.trainer, self._row
        if self.validation is not None:
            row |= {f"val_{name}": value for name, value in trainer._evaluate(self.validation).items()}
        row["seconds"] = self._epoch_time.read()
        row = {name: row.get(name, math.nan) for name in trainer._monitors}
        trainer._history.add(row)
        self._row = row
        self.done += 1
        self.phase = "epoch_end"
        if trainer._plateau is not None:
            trainer._core.observe(row[trainer._plateau.monitor])
        if self.bar is not None:
            self.bar.end(row)

    def _epoch_end(self) -> None:
        self._call("on_epoch_end", self._row)
        self.phase = self._next_epoch()

    def _train_end(self) -> None:
        trainer = self.trainer
        trainer._history.stop_reason = trainer._stop_reason or f"all {self.epochs} epochs done"
        self._call("on_train_end", {"epochs": self.done})
        self.phase = "over"

    @property
    def collects(self) -> bool:
        """Whether targets and outputs of an epoch are kept."""
        return self.keeps or bool(self.trainer._metrics)

    # ------------------------------------------------------------------------------- where it stands

    @property
    def iterations(self) -> int:
        """That the history has not counted yet."""
        return 0 if self._counted is None else self.trainer.iteration - self._counted

    @property
    def is_left(self) -> bool:
        """Whether somebody trained on since it was left."""
        return self._left is not None and self._left != (self.trainer.iteration, self.trainer.epoch)

    def state(self, arrays: dict[str, Array]) -> dict[str, Any]:
        """All that a run with the same data and callbacks needs to go on from here.

        Raises
        ------
        StateError
            A stream was left at a moment that cannot be told from the one before.
        ArgumentError
            A callback whose state cannot be saved.
        """
        seen = [] if self.phase not in ("validate", "epoch_end") or not self.keeps else self.trainer._seen
        moment = {
            "settings": self.settings,
            "phase": self.phase,
            "done": self.done,
            "called": self._called,
            "iteration": self._iteration,
            "row": self._row if self.phase in ("validate", "epoch_end") else {},
            "seen": seen,
            "lr": self._lr,
            "taken_up": self.phase == "train",
            "seconds": [self._epoch_time.read(), self._training_time.read()],
            "stop_reason": self.trainer._stop_reason,
            "at": [self.trainer.iteration, self.trainer.epoch],
            "feed": self.feed.state(),
        }
        packed = {name: pack(value, arrays, f"fit.{name}") for name, value in moment.items()}
        packed["data"] = self.feed.fingerprint()
        packed["validation"] = self._fingerprint_of_validation()
        packed["callbacks"] = [
            {
                "class": type(callback).__qualname__,
                "state": pack(callback.state_dict(), arrays, f"callback.{k}")
                if hasattr(callback, "state_dict")
                else None,
            }
            for k, callback in enumerate(self.callbacks)
        ]
        return packed

    def _fingerprint_of_validation(self) -> dict[str, Any]:
        if self.validation is None or self.settings["validation_split"]:
            return {}
        return self.validation.fingerprint("validation ")

    def take_up(self, state: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Stand where another run stood.

        Raises
        ------
        ArgumentError
            Other data, or callbacks of other classes or in another order.
        """
        check_same_data(state["data"], self.feed.fingerprint())
        check_same_data(state["validation"], self._fingerprint_of_validation())
        saved = state["callbacks"]
        before = [one["class"] for one in saved]
        now = [type(callback).__qualname__ for callback in self.callbacks]
        if before != now:
            raise ArgumentError(
                f"resume: the interrupted fit had the callbacks [{', '.join(before)}], got "
                f"[{', '.join(now)}]; pass the same kinds in the same order"
            )
        moment = {
            name: unpack(state[name], arrays)
            for name in state
            if name not in ("data", "validation", "callbacks", "settings")
        }
        self.phase, self.done, self._called = moment["phase"], moment["done"], moment["called"]
        self._iteration, self._row, self._lr = moment["iteration"], moment["row"], moment["lr"]
        self._taken_up = moment["taken_up"]
        self._epoch_time.total, self._training_time.total = moment["seconds"]
        self.trainer._stop_reason = moment["stop_reason"]
        self.trainer._seen = moment["seen"]
        self.feed.restore(moment["feed"])
        for k, (callback, one) in enumerate(zip(self.callbacks, saved, strict=True)):
            if one["state"] is not None and hasattr(callback, "load_state_dict"):
                callback.load_state_dict(unpack(one["state"], arrays))
            elif self.phase != "train_begin" or k < self._called:
                begin = getattr(callback, "on_train_begin", None)  # it has no memory, so it begins anew
                if begin is not None:
                    begin(self.trainer, {"epochs": self.epochs - self.done})

    def take_over(self, other: Run) -> None:
        """Stand where another run of the same process stood; raises what ``take_up`` raises."""
        arrays: dict[str, Array] = {}
        self.take_up(other.state(arrays), arrays)
        self._result = other._result  # which no file has

    def check_savable(self) -> None:
        """Raises StateError between an epoch's last step and its row, which needs all that was collected."""
        if self.phase == "measure":
            raise StateError(
                "save: the fit was interrupted while the metrics of an epoch were computed; call resume, or "
                "load an earlier checkpoint"
            )
