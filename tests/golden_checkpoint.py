"""The fit that the golden checkpoints of tests/data hold; ``python golden_checkpoint.py FOLDER`` writes them.

A file of every released version stays there, so that later versions read it. tests/cpp/checkpoint has the
same network and data, and writes ``checkpoint-1-cpp.safetensors``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import retrograd as rg

BATCH, EPOCHS, AT = 8, 3, 5  # 21 rows: three iterations an epoch; the file is of the second epoch's second


def data() -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers over 8, so that every program has the same bits."""
    i, j = np.arange(21)[:, None], np.arange(4)[None, :]
    return (((7 * i + 3 * j) % 11 - 5) / 8).astype(np.float32), np.arange(21) % 3


def trainer(metrics: Any = ("accuracy",)) -> rg.Trainer:
    layers = [rg.Input(4), rg.Dense(6, activation="tanh"), rg.Dropout(0.25), rg.Dense(3)]
    rule = rg.AdamW(rg.schedules.WarmupCosine(1e-2, 2, 12))
    return rg.Trainer(rg.Sequential(layers, seed=1), "cross_entropy", rule, metrics, threads=1, seed=5)


class Save:
    """Of the same name when a fit is resumed, and then there is nothing to save."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def on_iteration_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        if trainer.iteration == AT and self.path is not None:
            trainer.save(self.path)


def write(folder: Path) -> rg.Trainer:
    one = trainer()
    stop = rg.stop.EarlyStopping("loss", patience=9)
    saver = Save(folder / "checkpoint-1.safetensors")
    one.fit(*data(), epochs=EPOCHS, batch_size=BATCH, callbacks=[saver, stop], progress=False)
    one.save(folder / "checkpoint-1-done.safetensors")
    return one


if __name__ == "__main__":
    write(Path(sys.argv[1]))
