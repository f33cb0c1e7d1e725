"""What ``summary()`` says of memory is what a process then takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import retrograd as rg

SCRIPT = """
import gc, json, re
from pathlib import Path
import numpy as np
import retrograd as rg

def resident(name):
    text = Path("/proc/self/status").read_text()
    return int(re.search(name + ":(.*)kB", text)[1]) * 1024

def trainer(sizes):
    layers = [rg.Dense(units, activation="relu") for units in sizes[1:-1]]
    net = rg.Sequential([rg.Input(sizes[0]), *layers, rg.Dense(sizes[-1])], seed=0, dtype="{dtype}")
    return rg.Trainer(net, loss="{loss}", optimizer={optimizer}, threads={threads})

def data(sizes, rows):
    x = np.ones((rows, sizes[0]), "{dtype}")
    labels = "{loss}" == "cross_entropy"
    return x, np.zeros(rows, int) if labels else np.zeros((rows, sizes[-1]), "{dtype}")

def fit(trained, x, y):
    trained.fit(x, y, epochs=2, batch_size={batch}, shuffle=False, progress=False)

SIZES = {sizes}
x, y = data(SIZES, 2 * {batch})
fit(trainer([4, 4, 4]), *data([4, 4, 4], 64))  # code that is read from the file when it first runs
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = resident("VmRSS")
trained = trainer(SIZES)
summary = trained.summary({batch})
fit(trained, x, y)
print(json.dumps([resident("VmHWM") - before, sum(summary.memory.values())]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux: peaks are read in /proc")
@pytest.mark.parametrize(
    ("sizes", "batch", "loss", "optimizer", "dtype", "threads"),
    [
        ((784, 512, 512, 10), 128, "cross_entropy", "rg.Adam(1e-4)", "float32", 1),
        ((784, 512, 512, 10), 128, "cross_entropy", "rg.Adam(1e-4)", "float32", 2),
        ((512, 512, 512, 512), 512, "mse", "rg.SGD(1e-4)", "float32", 1),
        ((256, 256, 256, 256), 1024, "mse", "rg.SGD(1e-4, momentum=0.9)", "float64", 2),
        ((64, 1024, 10), 8192, "cross_entropy", "rg.RMSprop(1e-4)", "float32", 2),
    ],
)
def test_training_takes_what_the_summary_says(
    sizes: tuple[int, ...], batch: int, loss: str, optimizer: str, dtype: str, threads: int
) -> None:
    """Peak memory of a process, within 10 %: some 0.1 MB of pages are the allocator's and Python's own."""
    source = SCRIPT.format(
        sizes=list(sizes), batch=batch, loss=loss, optimizer=optimizer, dtype=dtype, threads=threads
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    grown, predicted = json.loads(done.stdout)
    assert predicted > 8e6
    assert grown == pytest.approx(predicted, rel=0.1)


def test_the_parts_of_the_memory() -> None:
    net = rg.Sequential([rg.Input(20), rg.Dense(30, activation="tanh"), rg.Dense(4)], seed=0)
    count = 20 * 30 + 30 + 30 * 4 + 4
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-3), threads=1)
    before = trainer.summary(16)
    assert list(before.memory) == ["buffers", "gradients", "parameters", "optimizer", "training"]
    assert (before.memory["parameters"], before.memory["gradients"]) == (4 * count, 4 * count)
    assert before.memory["optimizer"] == 8 * count
    assert "optimizer" in str(before)
    assert "memory for a batch of 16: " in str(before)
    trainer.step(np.ones((16, 20), np.float32), np.zeros(16, int))
    assert trainer.summary(16).memory == before.memory  # it was known before
    arena = trainer.plan()["arena_bytes"]
    assert arena < before.memory["training"] < arena + 200_000  # labels and scratch besides
    assert trainer.summary(32).memory["training"] > before.memory["training"]
    assert list(net.summary(16).memory) == ["buffers", "gradients", "inference", "parameters"]
    with pytest.raises(rg.ArgumentError, match="batch_size"):
        trainer.summary(0)


def test_the_memory_of_a_loss_of_ones_own() -> None:
    net = rg.Sequential([rg.Input(3), rg.Dense(2)], seed=0)
    trainer = rg.Trainer(
        net, loss=lambda y, t: rg.ops.sum(rg.ops.square(y - t), axis=-1), optimizer=rg.SGD(0.1)
    )
    before = trainer.summary(8).memory
    trainer.step(np.ones((8, 3), np.float32), np.ones((8, 2), np.float32))
    assert trainer.summary(8).memory == before
