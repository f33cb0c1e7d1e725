"""A network trained on a table: split, prepare, fit, and compare with knowing nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import unknown
from retrograd._tabular.preparation import Preparation, prepare, rows_with, target_of
from retrograd.data import split_rows
from retrograd.errors import ArgumentError
from retrograd.graph import Input
from retrograd.layers import Dense, Rescale, Standardize
from retrograd.model import Model, Sequential
from retrograd.optim import Adam
from retrograd.schedules import Cosine
from retrograd.stop import EarlyStopping
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._tabular.columns import LeftOut
    from retrograd._tabular.preparation import Target
    from retrograd._tabular.reading import Table
    from retrograd.history import History

__all__ = ["BATCH", "SMALL_BATCH", "Outcome", "Settings", "train"]

ROWS = 10  # fewer cannot be split into what is learnt from and what is compared with
PATIENCE = 10
SMALL_BATCH, BATCH = 8, 64  # rows of an update: a 20th of all, within these


@dataclass(frozen=True)
class Settings:
    """What the command was told."""

    hidden: list[int]
    epochs: int
    batch_size: int  # 0: by the number of rows
    lr: float
    seed: int
    threads: int | None
    validation_split: float
    progress: bool | None


@dataclass(frozen=True)
class Outcome:
    """A trained model, and how it does on the rows set aside."""

    net: Model
    preparation: Preparation
    left_out: list[LeftOut]
    table: Table
    dropped: int
    training: int
    held_out: int
    history: History
    scores: dict[str, float]
    interrupted: bool


def train(
    table: Table, name: str, drop: list[str], task: str | None, delimiter: str, settings: Settings
) -> Outcome:
    """Train a network that takes the prepared columns unscaled, and gives the target in its own unit.

    Raises
    ------
    ArgumentError
        A table, or a target, that cannot be used.
    NonFiniteError
        Training diverged.
    """
    if name not in table.names:
        raise unknown("--target", name, table.names)
    if len(table.names) == 1:
        raise ArgumentError(f"{table.path}: {name!r} is its one column; there is nothing to predict it from")
    whole = rows_with(table, name)
    if len(whole) < ROWS:
        gaps = f" with a value of {name!r}" if len(whole) < len(table) else ""
        raise ArgumentError(f"{table.path}: it has {len(whole)} rows{gaps}, expected at least {ROWS}")
    target = target_of(whole, name, task)
    training, held_out = _split(len(whole), target, settings)
    preparation, left_out = prepare(whole, target, drop, training, delimiter)
    x, _ = preparation.encode(whole)
    batch_size = settings.batch_size or min(max(len(training) // 20, SMALL_BATCH), BATCH)
    y, scale, offset = _scaled(target, training)
    trainer = Trainer(
        network(preparation, target, x[training], settings),
        loss="mean_squared_error" if target.classes is None else "cross_entropy",
        optimizer=Adam(Cosine(settings.lr, settings.epochs * math.ceil(len(training) / batch_size))),
        threads=settings.threads,
        seed=settings.seed,
    )
    interrupted = _fit(trainer, (x[training], y[training]), (x[held_out], y[held_out]), batch_size, settings)
    net = trainer.model
    if target.classes is None:
        net = Model(net.inputs, Rescale(scale, offset)(net.outputs[0]))  # begins with what was learnt
    scores = compare(net, x[held_out], target, training, held_out)
    scores["loss"] = trainer.evaluate(x[held_out], y[held_out])["loss"]
    return Outcome(
        net,
        preparation,
        left_out,
        table,
        len(table) - len(whole),
        len(training),
        len(held_out),
        trainer.history,
        scores,
        interrupted,
    )


def _split(rows: int, target: Target, settings: Settings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows to learn from and those set aside, with the same share of every class."""
    share = settings.validation_split
    count = round(rows * share)
    if not 0 < count < rows:
        raise ArgumentError(
            f"--validation-split: {share:g} of {rows} rows is {count}, which leaves one part empty; choose "
            "another"
        )
    labels = None if target.classes is None else target.values
    training, held_out = split_rows(rows, share, seed=settings.seed, labels=labels)
    if len(np.unique(target.values[training])) == 1:
        raise ArgumentError(
            f"the target {target.name!r} has one value in all {len(training)} rows to train on, since others "
            "are rare; set fewer rows aside by --validation-split, or choose another --seed"
        )
    return training, held_out


def _scaled(target: Target, training: NDArray[np.int64]) -> tuple[NDArray[Any], float, float]:
    """What the network learns, and what brings it back: target = learnt * scale + offset.

    Numbers become (y - mean) / std: a network starts near 0 and learns steps of size 1.
    """
    if target.classes is not None:
        return target.values, 1.0, 0.0
    learnt = target.values[training]
    mean, std = float(learnt.mean()), float(learnt.std())
    return (target.values - mean) / std, std, mean


def network(preparation: Preparation, target: Target, x: NDArray[np.float64], settings: Settings) -> Model:
    """Columns as they come -> logits of the classes, or the scaled number."""
    mean, std = preparation.scales(x)
    # of two rows mean - std and mean + std the layer measures just these
    scaled = Standardize().adapt(np.stack([mean - std, mean + std]))
    return Sequential(
        [
            Input(x.shape[1]),
            scaled,
            *[Dense(units, activation="relu") for units in settings.hidden],
            Dense(1 if target.classes is None else len(target.classes)),
        ],
        seed=settings.seed,
    )


def _fit(
    trainer: Trainer,
    training: tuple[Any, Any],
    held_out: tuple[Any, Any],
    batch_size: int,
    settings: Settings,
) -> bool:
    """Whether Ctrl-C ended it."""
    try:
        trainer.fit(
            *training,
            epochs=settings.epochs,
            batch_size=batch_size,
            validation_data=held_out,
            callbacks=[EarlyStopping(patience=PATIENCE)],
            progress=settings.progress,
        )
    except KeyboardInterrupt:
        return True
    return False


def compare(
    net: Model,
    x: NDArray[np.float64],
    target: Target,
    training: NDArray[np.int64],
    held_out: NDArray[np.int64],
) -> dict[str, float]:
    """Accuracy, or RMSE and R2, on the rows set aside, beside that of one answer for all.

    The one answer is the most frequent class, or the mean, of the rows trained on.
    """
    y, learnt = target.values[held_out], target.values[training]
    output = net.predict(x).astype(np.float64)
    if target.classes is not None:
        usual = np.bincount(learnt).argmax()
        return {
            "accuracy": float(np.mean(output.argmax(axis=1) == y)),
            "baseline_accuracy": float(np.mean(usual == y)),
        }
    error, spread = output[:, 0] - y, float(np.mean((y - y.mean()) ** 2))
    squared = float(np.mean(error**2))
    return {
        "rmse": math.sqrt(squared),
        "r2": 1 - squared / spread if spread > 0 else math.nan,
        "baseline_rmse": math.sqrt(float(np.mean((y - learnt.mean()) ** 2))),
    }
