"""A program that trains and is killed: it goes on from its newest checkpoint, and writes what it came to.

``python checkpoint_victim.py FOLDER`` ends with ``FOLDER/done.npz`` once the fit is finished.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import retrograd as rg

PATTERN = "run-{iteration:05}.safetensors"
EPOCHS, BATCH = 30, 8


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(90, 6)).astype(np.float32)
    return x, (x @ rng.normal(size=(6, 3))).argmax(axis=1)


def trainer() -> rg.Trainer:
    layers = [rg.Input(6), rg.Dense(16, activation="tanh"), rg.BatchNorm(), rg.Dropout(0.2), rg.Dense(3)]
    schedule = rg.schedules.WarmupCosine(1e-2, 20, 400)
    return rg.Trainer(
        rg.Sequential(layers, seed=1), "cross_entropy", rg.AdamW(schedule), ["accuracy"], threads=1, seed=3
    )


def main(folder: str) -> None:
    x, y = data()
    validation = (x[:20], y[:20])
    checkpoint = rg.callbacks.Checkpoint(
        os.path.join(folder, PATTERN), every_iterations=3, every_epochs=5, keep=2, keep_best=1
    )
    callbacks = [checkpoint, rg.stop.EarlyStopping(patience=25)]
    last = checkpoint.latest()
    if last is None:
        fresh = trainer()
        fresh.fit(
            x[20:],
            y[20:],
            epochs=EPOCHS,
            batch_size=BATCH,
            validation_data=validation,
            callbacks=callbacks,
            progress=False,
        )
        finished = fresh
    else:
        finished = rg.Trainer.load(last)
        finished.resume(x[20:], y[20:], validation_data=validation, callbacks=callbacks, progress=False)
    columns = dict(finished.history.history)
    del columns["seconds"], columns["samples_per_second"]
    slots = {
        f"{name} {slot}": view
        for name, views in finished.optimizer_state.items()
        for slot, view in views.items()
    }
    np.savez(
        os.path.join(folder, "unfinished.npz"),
        parameters=finished.model.flat_parameters,
        iterations=finished.history.iterations,
        stop=finished.history.stop_reason,
        **{f"history {name}": np.array(values) for name, values in columns.items()},
        **slots,
        **dict(finished.model.buffers),
    )
    os.replace(os.path.join(folder, "unfinished.npz"), os.path.join(folder, "done.npz"))


if __name__ == "__main__":
    main(sys.argv[1])
