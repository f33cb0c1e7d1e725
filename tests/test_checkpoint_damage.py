"""Checkpoints that are damaged, of another kind, or cannot be: a sentence says so, nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from checkpoints import SaveAt, network, numbers

X, LABELS, TARGETS = numbers()


def own_loss(output: rg.Node, target: rg.Node) -> rg.Node:
    scale = rg.constant(np.array([1.0, 0.5, 2.0]))
    return rg.ops.mean(rg.ops.square((output - target) * scale), axis=-1)


def spread(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return float(np.abs(y_true - y_pred).max())


def pieces(path: str) -> tuple[dict[str, Any], bytes]:
    raw = Path(path).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + size]), raw[8 + size :]


def rewritten(path: str, change: Callable[[dict[str, Any]], None]) -> str:
    """A file with another header and a checksum that is right."""
    from zlib import crc32

    header, data = pieces(path)
    change(header)
    header["__metadata__"]["retrograd.crc32"] = "0" * 8
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % 64)
    raw = len(text).to_bytes(8, "little") + text + data
    other = str(path) + ".changed"
    Path(other).write_bytes(
        raw.replace(b'"retrograd.crc32":"00000000"', b'"retrograd.crc32":"%08x"' % crc32(raw))
    )
    return other


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A file with everything in it: slots, graph of a loss, a running epoch, notes."""
    saver = SaveAt(str(tmp_path))
    trainer = rg.Trainer(network(), own_loss, rg.Adam(1e-2), metrics=["r2", spread], threads=1)
    trainer.fit(X, TARGETS, epochs=2, batch_size=8, callbacks=saver, progress=False)
    return saver.files[8]


SLOT = "optimizer:exp_avg:dense_1.bias"


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header[new] = header.pop(old)

    return change


def retype(name: str) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header[name]["dtype"] = "I32" if header[name]["dtype"] == "F32" else "I64"

    return change


def note(key: str, edit: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        strings = header["__metadata__"]
        strings[key] = json.dumps(edit(json.loads(strings[key])))

    return change


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["__metadata__"].pop(key)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda h: h["__metadata__"].update(version="2"), "version 2, this program reads version 1"),
        (lambda h: h["__metadata__"].update(format="retrograd-x"), "expected format 'retrograd-model' or"),
        (without("trainer"), "metadata 'trainer' is missing"),
        (without("graph"), "metadata 'graph' is missing"),
        (rename(SLOT, "optimizer:exp:dense_1.bias"), "missing: optimizer:exp_avg:dens"),
        (rename(SLOT, "optimizer:exp:dense_1.bias"), "unexpected: optimizer:exp:dense"),
        (rename("dense_1.bias", "dense_9.bias"), r"missing: dense_1.bias; unexpected: dense_9.bias"),
        (retype(SLOT), r"different: optimizer:.* \(file: I32 \(3\), expected: F32"),
        (retype("loss:0:1"), "different: loss:0:1"),
        (rename("epoch:output:0", "epoch:output:1"), "missing: epoch:output:0; unexpected: epoch:output:1"),
        (rename("note:history", "note:other"), "what Python kept in it is not valid: KeyError"),
        (note("trainer", lambda t: t | {"iteration": -1}), 'trainer: "iteration": found'),
        (note("trainer", lambda t: t | {"seed": "x"}), "trainer: seed: expected a whole number, got 'x'"),
        (note("trainer", lambda t: t | {"l1": "much"}), "l1: expected a number, got 'much'"),
        (note("trainer", lambda t: t | {"optimizer": {"name": "a", "hyper": {}}}), "unknown name 'a'"),
        (
            note("trainer", lambda t: {k: v for k, v in t.items() if k != "epoch"}),
            '"epoch": the key is missing',
        ),
        (note("note:python", lambda n: n | {"version": 2}), "note:python has version 2"),
        (note("note:python", lambda n: [n]), "note:python is not an object"),
        (
            note("note:python", lambda n: n | {"losses": [{"name": "no"}]}),
            "what Python kept in it is not valid",
        ),
        (note("note:python", lambda n: n | {"fit": {"done": 1}}), "the fit has done; expected settings"),
        (note("note:python", lambda n: n | {"fit": n["fit"] | {"done": "x"}}), "the fit's done is 'x'"),
        (note("note:python", lambda n: n | {"fit": n["fit"] | {"phase": "go"}}), "there is no phase 'go'"),
    ],
)
def test_files_that_cannot_be(saved: str, change: Any, text: str) -> None:
    with pytest.raises(rg.FileFormatError, match=text) as error:
        rg.Trainer.load(rewritten(saved, change), metrics=[spread])
    assert saved in str(error.value)
    assert rg.Trainer.load(rewritten(saved, lambda header: None), metrics=[spread])


def test_damaged_bytes(saved: str, tmp_path: Path) -> None:
    raw = Path(saved).read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    rng = np.random.default_rng(0)
    cuts = [0, 7, 8, 100, len(raw) - 1, *rng.integers(9, len(raw), 20).tolist()]
    for size in cuts:
        damaged.write_bytes(raw[:size])
        with pytest.raises(rg.FileFormatError, match="damaged"):
            rg.Trainer.load(damaged, metrics=[spread])
    for at in rng.integers(0, len(raw), 200).tolist():
        wrong = bytearray(raw)
        wrong[at] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(wrong)
        with pytest.raises(rg.FileFormatError):
            rg.Trainer.load(damaged, metrics=[spread])


def test_files_of_other_kinds(tmp_path: Path) -> None:
    model = network().save(tmp_path / "m")
    with pytest.raises(rg.FileFormatError, match="it is a model without a trainer; load it as a model"):
        rg.Trainer.load(model)
    with pytest.raises(rg.FileFormatError, match="nothing"):
        rg.Trainer.load(tmp_path / "nothing")
    with pytest.raises(rg.FileFormatError, match="nowhere"):
        rg.Trainer(network(), "cross_entropy").save(tmp_path / "nowhere" / "a")
