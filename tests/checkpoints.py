"""Fits for the tests of checkpoints: a trainer, its data and its callbacks, made anew as often as asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import retrograd as rg

TIMES = ("seconds", "samples_per_second")  # of the history: what no two runs have in common


@dataclass
class Fit:
    """What a program has before it calls fit, and again before it calls resume."""

    trainer: Callable[[], rg.Trainer]
    x: Any
    y: Any
    options: dict[str, Any] = field(default_factory=dict)  # of fit alone
    validation: Any = None
    callbacks: Callable[[], list[Any]] = list
    load: dict[str, Any] = field(default_factory=dict)  # options of Trainer.load

    def run(self, *more: Any) -> rg.Trainer:
        """The whole fit, with further callbacks."""
        trainer = self.trainer()
        options = {"validation_data": self.validation, "progress": False} | self.options
        trainer.fit(self.x, self.y, callbacks=[*self.callbacks(), *more], **options)
        return trainer

    def finish(self, path: str, *more: Any) -> rg.Trainer:
        """The rest of it, from a file."""
        trainer = rg.Trainer.load(path, **self.load)
        trainer.resume(
            self.x,
            self.y,
            validation_data=self.validation,
            callbacks=[*self.callbacks(), *more],
            progress=False,
        )
        return trainer


def outcome(trainer: rg.Trainer) -> dict[str, Any]:
    """All that must be the same, bit for bit."""
    history = trainer.history
    found: dict[str, Any] = {
        "parameters": trainer.model.flat_parameters.tobytes(),
        "buffers": {name: array.tobytes() for name, array in trainer.model.buffers.items()},
        "iteration": trainer.iteration,
        "epoch": trainer.epoch,
        "lr": trainer.lr,
        "schedule": trainer.schedule_state,
        "epochs": history.epochs,
        "iterations": history.iterations,
        "stop": history.stop_reason,
    }
    for name, slots in trainer.optimizer_state.items():
        found |= {f"{name} {slot}": view.tobytes() for slot, view in slots.items()}
    for name, values in history.history.items():
        found[name] = len(values) if name in TIMES else np.array(values).tobytes()
    return found


def assert_same(trainer: rg.Trainer, expected: dict[str, Any]) -> None:
    found = outcome(trainer)
    assert found.keys() == expected.keys()
    different = [name for name in expected if found[name] != expected[name]]
    assert not different, f"not the same: {', '.join(different)}"


class SaveAt:
    """Saves a file after each update, from within the fit, and before an epoch and after it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.files: list[str] = []

    def save(self, trainer: rg.Trainer, moment: str) -> None:
        name = f"{self.folder}/{trainer.iteration:03}-{len(self.files):03}-{moment}.safetensors"
        self.files.append(trainer.save(name))

    def on_train_begin(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        self.save(trainer, "begin")

    def on_epoch_begin(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        self.save(trainer, "epoch-begin")

    def on_iteration_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        self.save(trainer, "iteration")

    def on_epoch_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        self.save(trainer, "epoch-end")

    def on_train_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        self.save(trainer, "end")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Idle(SaveAt):
    """Takes the place of SaveAt when a fit is resumed; of the same name, and it saves nothing."""

    def __init__(self) -> None:
        super().__init__("")

    def save(self, trainer: rg.Trainer, moment: str) -> None:
        pass


Idle.__qualname__ = SaveAt.__qualname__


def numbers(rows: int = 26, inputs: int = 5, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, labels and targets that follow from x."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(rows, inputs)).astype(np.float32)
    scores = x @ rng.normal(size=(inputs, classes)) + 0.3 * rng.normal(size=(rows, classes))
    return x, scores.argmax(axis=1), np.tanh(scores).astype(np.float32)


def network(outputs: int = 3, dtype: str = "float32", dropout: bool = True) -> rg.Model:
    """Dropout and running statistics: what depends on the iteration, and what is no parameter."""
    layers: list[Any] = [rg.Input(5), rg.Dense(7, activation="tanh"), rg.BatchNorm()]
    layers += [rg.Dropout(0.3)] if dropout else []
    return rg.Sequential([*layers, rg.Dense(outputs)], seed=2, dtype=dtype)
