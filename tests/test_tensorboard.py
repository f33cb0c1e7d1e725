"""Event files, read by a parser written from the format's description, and by TensorBoard where it is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd._events import crc32c


def bitwise_crc32c(data: bytes) -> int:
    """CRC-32C by its definition: a division bit by bit, of the message with its bits reversed."""
    remainder = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            top = (remainder & 1) ^ (byte >> bit & 1)
            remainder = (remainder >> 1) ^ (int(f"{0x1EDC6F41:032b}"[::-1], 2) if top else 0)
    return remainder ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = bitwise_crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def records(path: Path) -> list[bytes]:
    """The messages of a file, with every checksum compared."""
    raw, found = path.read_bytes(), []
    while raw:
        (size,) = struct.unpack("<Q", raw[:8])
        assert struct.unpack("<I", raw[8:12]) == (masked(raw[:8]),)
        message, raw = raw[12 : 12 + size], raw[12 + size :]
        assert struct.unpack("<I", raw[:4]) == (masked(message),)
        raw = raw[4:]
        found.append(message)
    return found


def fields(message: bytes) -> list[tuple[int, Any]]:
    """Numbers and contents of the fields of a message; messages inside stay bytes."""

    def varint() -> int:
        nonlocal message
        value, shift = 0, 0
        while True:
            byte, message = message[0], message[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    found: list[tuple[int, Any]] = []
    while message:
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            found.append((number, varint()))
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            part, message = message[:size], message[size:]
            found.append((number, part if kind == 2 else struct.unpack({1: "<d", 5: "<f"}[kind], part)[0]))
    return found


def trained(folder: Path, **options: Any) -> rg.Trainer:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    net = rg.Sequential([rg.Input(3), rg.Dense(4, activation="tanh"), rg.Dense(1)], seed=0)
    trainer = rg.Trainer(net, "mse", rg.Adam(0.01), metrics=["mean_absolute_error"])
    board = rg.callbacks.TensorBoard(folder, **options)
    trainer.fit(x, x[:, :1], epochs=3, batch_size=8, validation_split=0.25, callbacks=[board])
    return trainer


def test_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    for size in (0, 1, 7, 300):
        data = bytes(range(256)) * 2
        assert crc32c(data[:size]) == bitwise_crc32c(data[:size])


def test_scalars_by_a_parser_of_our_own(tmp_path: Path) -> None:
    trainer = trained(tmp_path / "runs" / "first")
    (path,) = (tmp_path / "runs" / "first").iterdir()
    assert ".tfevents." in path.name
    first, *events = records(path)
    assert dict(fields(first))[3] == b"brain.Event:2"
    assert len(events) == 3
    history, times = trainer.history.history, [dict(fields(first))[1]]
    for epoch, event in enumerate(events, 1):
        found = dict(fields(event))
        times.append(found[1])
        assert found[2] == epoch
        values = [dict(fields(value)) for number, value in fields(found[5]) if number == 1]
        read = {value[1].decode(): value[2] for value in values}
        assert set(read) == set(trainer.monitors)
        assert {"loss", "val_loss", "val_mean_absolute_error", "lr"} <= set(read)
        for name, value in read.items():
            assert value == np.float32(history[name][epoch - 1]), name
    assert times == sorted(times)


def test_histograms(tmp_path: Path) -> None:
    trainer = trained(tmp_path, histograms=True)
    (path,) = tmp_path.iterdir()
    last = dict(fields(records(path)[-1]))
    values = [dict(fields(value)) for _, value in fields(last[5])]
    found = {value[1].decode(): dict(fields(value[5])) for value in values if 5 in value}
    assert list(found) == list(trainer.model.parameters)
    for name, array in trainer.model.parameters.items():
        values64 = array.astype(np.float64).ravel()
        expected = [values64.min(), values64.max(), values64.size, values64.sum(), (values64**2).sum()]
        np.testing.assert_allclose([found[name][k] for k in range(1, 6)], expected, rtol=1e-12)
        edges, counts = (np.frombuffer(found[name][k], "<f8") for k in (6, 7))
        assert len(edges) == len(counts)
        below = [np.sum(values64 <= edge * (1 + 1e-12 * np.sign(edge))) for edge in edges]
        assert np.abs(np.cumsum(counts) - below).max() <= 1  # a value on an edge may count on either side
        assert counts.sum() == array.size


def test_each_fit_has_a_file_and_steps_go_on(tmp_path: Path) -> None:
    net = rg.Sequential([rg.Input(1), rg.Dense(1)])
    trainer, board = rg.Trainer(net, "mse", rg.SGD(0.1)), rg.callbacks.TensorBoard(tmp_path)
    for _ in range(3):
        trainer.fit([[1.0], [2.0]], [1.0, 2.0], epochs=1, callbacks=[board])
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 3
    assert [dict(fields(records(path)[1]))[2] for path in paths] == [1, 2, 3]


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(rg.ArgumentError, match="TensorBoard: histograms: expected True or False, got 1"):
        rg.callbacks.TensorBoard(tmp_path, histograms=1)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    trainer = rg.Trainer(rg.Sequential([rg.Input(1), rg.Dense(1)]), "mse")
    with pytest.raises(OSError, match="file"):
        trainer.fit([[1.0]], [1.0], callbacks=[rg.callbacks.TensorBoard(tmp_path / "file")])


@pytest.mark.filterwarnings("ignore")
def test_scalars_by_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer = trained(tmp_path, histograms=True)
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(trainer.monitors)
    for name in trainer.monitors:
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == [1, 2, 3]
        assert [scalar.value for scalar in scalars] == np.float32(trainer.history.history[name]).tolist()
    assert events.Tags()["histograms"] == list(trainer.model.parameters)
    weight = events.Histograms("dense_0.weight")[-1].histogram_value
    assert weight.num == 12
    assert weight.max == trainer.model.parameters["dense_0.weight"].max()
