"""``Checkpoint`` keeps whole files whenever the process is killed, the last ones and the best."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import checkpoint_victim
import numpy as np
import pytest
import retrograd as rg
from checkpoints import network, numbers, outcome

X, LABELS, _ = numbers()
VICTIM = Path(checkpoint_victim.__file__)


def trainer(**options: Any) -> rg.Trainer:
    return rg.Trainer(network(), "cross_entropy", rg.Adam(1e-2), ["accuracy"], threads=1, **options)


def fit(one: rg.Trainer, *callbacks: Any, epochs: int = 3) -> rg.Trainer:
    one.fit(
        X,
        LABELS,
        epochs=epochs,
        batch_size=8,
        validation_data=(X[:9], LABELS[:9]),
        callbacks=list(callbacks),
        progress=False,
    )
    return one


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------------- killed


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(VICTIM), str(folder)], env=environment)


def result(folder: Path) -> dict[str, bytes]:
    with np.load(folder / "done.npz") as arrays:
        return {name: array.tobytes() for name, array in arrays.items()}


def begun(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until it has written something new, or has ended."""
    before = set(names(folder))
    while process.poll() is None and set(names(folder)) <= before:
        time.sleep(0.002)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """RETROGRAD_KILLS times (5) a program that trains is killed, and goes on until it has finished."""
    whole = tmp_path / "whole"
    whole.mkdir()
    assert start(whole).wait() == 0
    expected = result(whole)
    wanted = int(os.environ.get("RETROGRAD_KILLS", "5"))
    rng = np.random.default_rng(int(os.environ.get("RETROGRAD_KILL_SEED", "0")))
    killed = runs = 0
    while killed < wanted:
        folder = tmp_path / f"run {runs}"
        folder.mkdir()
        runs += 1
        while not (folder / "done.npz").exists():
            process = start(folder)
            begun(process, folder)
            if killed < wanted and process.poll() is None:
                time.sleep(float(rng.exponential(0.03)))
                if process.poll() is None:
                    process.kill()
                    killed += 1
                    process.wait()
                    for file in folder.glob("run-*.safetensors"):
                        rg.Trainer.load(file)  # whole, each of them
                    continue
            assert process.wait() == 0
        found = result(folder)
        assert found.keys() == expected.keys()
        different = [name for name in expected if found[name] != expected[name]]
        assert not different, f"after {killed} kills not the same: {', '.join(different)}"
        left = [name for name in names(folder) if name != "done.npz" and not name.startswith(".")]
        assert left == [name for name in names(whole) if name != "done.npz"]


# -------------------------------------------------------------------------------------------- the callback


@pytest.mark.parametrize(
    "options",
    [{}, {"every_iterations": 1}, {"every_iterations": 5}, {"every_seconds": 1e-9}, {"every_epochs": 2}],
)
def test_saving_changes_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    saved = fit(trainer(), rg.callbacks.Checkpoint(tmp_path / "c", **options))
    assert outcome(saved) == outcome(fit(trainer()))
    assert names(tmp_path) == ["c.safetensors"]
    assert rg.Trainer.load(tmp_path / "c").iteration == (8 if "every_epochs" in options else 12)


def test_how_often(tmp_path: Path) -> None:
    """Counted in the trainer's iterations and epochs, so that it does not matter where a fit began."""
    checkpoint = rg.callbacks.Checkpoint(
        tmp_path / "{iteration}.safetensors", every_iterations=5, every_epochs=None, keep=9
    )
    one = fit(trainer(), checkpoint)
    assert names(tmp_path) == ["10.safetensors", "5.safetensors"]
    assert [Path(file).name for file in checkpoint.files] == ["5.safetensors", "10.safetensors"]
    assert [rg.Trainer.load(file).iteration for file in checkpoint.files] == [5, 10]
    fit(one, checkpoint)
    assert [Path(file).name for file in checkpoint.files] == ["15.safetensors", "20.safetensors"]


def test_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first update at which the time is up; saving begins it anew."""
    clock = [0.0]
    monkeypatch.setattr("retrograd.callbacks.perf_counter", lambda: clock[0])

    class Work:
        def on_iteration_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
            clock[0] += 4.0

    checkpoint = rg.callbacks.Checkpoint(
        tmp_path / "{iteration}.safetensors", every_seconds=10, every_epochs=None, keep=99
    )
    fit(trainer(), Work(), checkpoint)
    assert names(tmp_path) == [f"{iteration}.safetensors" for iteration in (12, 3, 6, 9)]


def test_the_last_and_the_best(tmp_path: Path) -> None:
    """By the values of the history."""
    checkpoint = rg.callbacks.Checkpoint(
        tmp_path / "e{epoch}-{val_accuracy:.3f}", keep=2, keep_best=2, monitor="val_accuracy"
    )
    one = fit(trainer(seed=5), rg.callbacks.LambdaCallback(on_epoch_end=jump), checkpoint, epochs=6)
    values = one.history.history["val_accuracy"]
    ranked = sorted(range(6), key=lambda epoch: (-values[epoch], epoch))
    expected = sorted({4, 5, *ranked[:2]})
    assert names(tmp_path) == [f"e{epoch + 1}-{values[epoch]:.3f}.safetensors" for epoch in expected]
    assert {Path(file).name for file in checkpoint.files} == set(names(tmp_path))
    assert checkpoint.latest() == str(tmp_path / f"e6-{values[5]:.3f}.safetensors")
    assert checkpoint.best == str(tmp_path / f"e{ranked[0] + 1}-{max(values):.3f}.safetensors")
    assert rg.Trainer.load(checkpoint.best).evaluate(X[:9], LABELS[:9])["accuracy"] == max(values)


def jump(trainer: rg.Trainer, logs: dict[str, Any]) -> None:
    """Later epochs are worse."""
    if trainer.epoch == 3:
        trainer.lr = 3.0


def test_a_monitor_that_is_not_a_number_is_the_worst(tmp_path: Path) -> None:
    def odd(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return [np.nan, 1.0, 2.0, np.nan][one.epoch % 4]

    one = rg.Trainer(network(), "cross_entropy", metrics=[odd])
    checkpoint = rg.callbacks.Checkpoint(tmp_path / "{epoch}", keep_best=1, monitor="odd")
    one.fit(X, LABELS, epochs=4, callbacks=checkpoint, progress=False)
    assert names(tmp_path) == ["1.safetensors", "4.safetensors"]


def test_files_of_the_interrupted_fit_are_kept_and_replaced(tmp_path: Path) -> None:
    def made() -> rg.callbacks.Checkpoint:
        return rg.callbacks.Checkpoint(tmp_path / "{iteration:02}", every_iterations=2, keep=2, keep_best=1)

    def stop(trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        if trainer.iteration == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(trainer(), made(), rg.callbacks.LambdaCallback(on_iteration_end=stop))
    assert names(tmp_path) == ["04.safetensors", "06.safetensors"]
    checkpoint = made()
    last = checkpoint.latest()
    assert last == str(tmp_path / "06.safetensors")
    again = rg.Trainer.load(last)
    again.resume(
        X,
        LABELS,
        validation_data=(X[:9], LABELS[:9]),
        callbacks=[checkpoint, rg.callbacks.LambdaCallback(on_epoch_end=lambda trainer, logs: None)],
        progress=False,
    )
    whole = fit(trainer())
    assert outcome(again) == outcome(whole)
    best = 4 * (int(np.argmin(whole.history.history["val_loss"])) + 1)
    assert names(tmp_path) == sorted({"10.safetensors", "12.safetensors", f"{best:02}.safetensors"})


def test_no_file_yet(tmp_path: Path) -> None:
    for path in ("c", "{epoch}", "{epoch}-{loss:.2f}.ck"):
        assert rg.callbacks.Checkpoint(tmp_path / path).latest() is None
    assert rg.callbacks.Checkpoint(tmp_path / "nowhere" / "{epoch}").latest() is None


@pytest.mark.parametrize(
    ("path", "options", "text"),
    [
        ("c", {"every_epochs": None}, "there is nothing to save after; give every_iterations"),
        ("c", {"every_iterations": 0}, "Checkpoint: every_iterations: expected at least 1, got 0"),
        ("c", {"every_epochs": 1.5}, "Checkpoint: every_epochs: expected a whole number"),
        ("c", {"every_seconds": 0}, "Checkpoint: every_seconds: expected more than 0"),
        ("c", {"keep": 0}, "Checkpoint: keep: expected at least 1"),
        ("c", {"keep": 2}, "keep=2 and keep_best=0 leave several files.* put {epoch} into 'c.safetensors'"),
        ("c", {"keep_best": 1}, "must tell them apart: put {epoch} into"),
        ("{epoch}", {"every_iterations": 3, "keep": 2}, "put {iteration} into '{epoch}.safetensors'"),
        ("{val_loss}", {"every_iterations": 3}, "{val_loss} in the path is known after whole epochs only"),
        ("{epoch", {}, "path '{epoch' is no pattern"),
    ],
)
def test_arguments_that_cannot_be(path: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(rg.ArgumentError, match=text):
        rg.callbacks.Checkpoint(path, **options)


def test_what_is_seen_when_training_begins(tmp_path: Path) -> None:
    for checkpoint, text in [
        (rg.callbacks.Checkpoint(tmp_path / "no" / "c"), "the folder .*no' does not exist; make it first"),
        (
            rg.callbacks.Checkpoint(tmp_path / "{epoch}", keep_best=1, monitor="val_los"),
            "no 'val_los' to watch",
        ),
        (rg.callbacks.Checkpoint(tmp_path / "{val_acuracy}"), "did you mean 'val_accuracy'"),
    ]:
        one = trainer()
        with pytest.raises(rg.ArgumentError, match=text):
            fit(one, checkpoint)
        assert one.iteration == 0


def test_lines_of_epochs_that_come_again_are_cut_off(tmp_path: Path) -> None:
    """A log has one line for each epoch, however often the fit was interrupted."""
    path = tmp_path / "log.csv"
    fit(trainer(), rg.callbacks.CSVLogger(path), rg.callbacks.Checkpoint(tmp_path / "{epoch}", keep=3))
    lines = path.read_text().splitlines()
    for epoch in (2, 1):
        again = rg.Trainer.load(tmp_path / f"{epoch}.safetensors")
        again.resume(
            X,
            LABELS,
            validation_data=(X[:9], LABELS[:9]),
            callbacks=[rg.callbacks.CSVLogger(path), rg.callbacks.Checkpoint(tmp_path / "again")],
            progress=False,
        )
        found = path.read_text().splitlines()
        assert [line.split(",")[:5] for line in found] == [line.split(",")[:5] for line in lines]
    path.write_text("epoch\n")
    with pytest.raises(
        rg.ArgumentError, match=r"CSVLogger: .*log.csv has 6 bytes, it had \d+ when the fit was"
    ):
        rg.Trainer.load(tmp_path / "1.safetensors").resume(
            X,
            LABELS,
            validation_data=(X[:9], LABELS[:9]),
            callbacks=[rg.callbacks.CSVLogger(path), rg.callbacks.Checkpoint(tmp_path / "again")],
        )
