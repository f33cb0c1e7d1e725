"""Checkpoints that an earlier version wrote, and those of C++ programs, go on as they would have."""

from __future__ import annotations

from pathlib import Path

import golden_checkpoint as golden
import numpy as np
import pytest
import retrograd as rg
from checkpoints import outcome
from retrograd import _core

DATA = Path(__file__).parent / "data"
X, LABELS = golden.data()
CLOSE = {"rtol": 2e-5, "atol": 1e-6}


def assert_equal(found: rg.Trainer, expected: rg.Trainer) -> None:
    """Bit for bit with FMA, which all instruction sets but the oldest have."""
    if _core.isa() != "baseline":
        assert outcome(found) == outcome(expected)
    np.testing.assert_allclose(found.model.flat_parameters, expected.model.flat_parameters, **CLOSE)
    for name, values in expected.history.history.items():
        if name not in ("seconds", "samples_per_second"):
            np.testing.assert_allclose(found.history.history[name], values, **CLOSE)


def test_this_version_does_what_it_says(tmp_path: Path) -> None:
    assert_equal(golden.write(tmp_path), rg.Trainer.load(DATA / "checkpoint-1-done.safetensors"))


def test_version_1_goes_on() -> None:
    trainer = rg.Trainer.load(DATA / "checkpoint-1.safetensors")
    assert trainer.optimizer == golden.trainer().optimizer
    assert repr(trainer).endswith("iteration 5>")
    callbacks = [golden.Save(), rg.stop.EarlyStopping("loss", patience=9)]
    history = trainer.resume(X, LABELS, callbacks=callbacks, progress=False)
    assert history.stop_reason == "all 3 epochs done"
    assert_equal(trainer, rg.Trainer.load(DATA / "checkpoint-1-done.safetensors"))
    assert rg.load(DATA / "checkpoint-1.safetensors").flat_parameters.size == 51


def test_a_file_of_a_program_in_cpp() -> None:
    """The same network, seed and data in C++: the same numbers, and Python makes its own objects of them."""
    theirs = rg.Trainer.load(DATA / "checkpoint-1-cpp.safetensors")
    ours = rg.Trainer.load(DATA / "checkpoint-1.safetensors")
    assert theirs.optimizer == ours.optimizer
    assert repr(theirs) == repr(ours)
    assert (theirs.iteration, theirs.epoch, theirs.lr) == (ours.iteration, ours.epoch, ours.lr)
    np.testing.assert_allclose(theirs.model.flat_parameters, ours.model.flat_parameters, **CLOSE)
    if _core.isa() != "baseline":
        assert theirs.model.flat_parameters.tobytes() == ours.model.flat_parameters.tobytes()
    with pytest.raises(rg.StateError, match="no fit was interrupted"):
        theirs.resume(X, LABELS)
    for epoch, first in ((1, 2), (2, 0)):
        batches = list(rg.data.batches(X, LABELS, batch_size=golden.BATCH, seed=5, epoch=epoch))
        for xb, yb in batches[first:]:
            theirs.step(xb, yb)
    done = rg.load(DATA / "checkpoint-1-done.safetensors")
    np.testing.assert_allclose(theirs.model.flat_parameters, done.flat_parameters, **CLOSE)


@pytest.mark.parametrize("name", ["checkpoint-1", "checkpoint-1-done", "checkpoint-1-cpp"])
def test_any_safetensors_reader_reads_it(name: str) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    path = DATA / f"{name}.safetensors"
    tensors = safetensors.load_file(path)
    trainer = rg.Trainer.load(path)
    for parameter, value in trainer.model.parameters.items():
        np.testing.assert_array_equal(tensors[parameter], value)
        for slot, view in trainer.optimizer_state[parameter].items():
            np.testing.assert_array_equal(tensors[f"optimizer:{slot}:{parameter}"], view)
