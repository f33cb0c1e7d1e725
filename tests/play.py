"""A page for the tests of rg.play: it sends commands, reads the answers, and takes frames apart."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from retrograd._play.config import Config
from retrograd._play.session import Session


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Page:
    """Both ends of a conversation."""

    def __init__(self, given: Any = None, **settings: Any) -> None:
        self.clock = Clock()
        config = Config().changed(settings) if given is None else settings["config"]
        self.session = Session(config, given, clock=self.clock)
        self.messages: list[dict[str, Any]] = []
        self.blobs: list[bytes] = []
        self.number = 0
        self.take(list(self.session.open()))

    def take(self, answers: list[str | bytes] | list[str]) -> None:
        for answer in answers:
            if isinstance(answer, bytes):
                self.blobs.append(answer)
            else:
                self.messages.append(json.loads(answer.encode()))

    def send(self, op: str, lane: int = 0, **args: Any) -> dict[str, Any]:
        """The ok or error that a command is answered by."""
        self.number += 1
        message = {"t": "cmd", "id": self.number, "lane": lane, "op": op, "args": args}
        self.take(self.session.handle(json.dumps(message)))
        answers = [m for m in self.messages if m["t"] in ("ok", "error") and m["id"] == self.number]
        assert len(answers) == 1
        return answers[0]

    def result(self, op: str, lane: int = 0, **args: Any) -> dict[str, Any]:
        answer = self.send(op, lane, **args)
        assert answer["t"] == "ok", answer
        result: dict[str, Any] = answer["result"]
        return result

    def last(self, kind: str, lane: int = 0) -> dict[str, Any]:
        """The newest message of a kind."""
        return next(m for m in reversed(self.messages) if m["t"] == kind and m.get("lane", lane) == lane)

    def details(self, **target: Any) -> list[dict[str, Any]]:
        self.result("watch", targets=[target])
        blocks: list[dict[str, Any]] = self.last("detail")["blocks"]
        return blocks

    @property
    def run(self) -> Any:
        return self.session.runs[0]

    def frame(self, lane: int = 0) -> Frame:
        raw = self.session.frame(lane)
        assert raw is not None
        found = Frame(raw, self.last("spec", lane))
        self.session.ack(found.seq, 1.0)
        return found


class Frame:
    """The parts of a frame, read as the page reads them."""

    def __init__(self, raw: bytes, spec: dict[str, Any]) -> None:
        assert raw[:4] == b"RGF1"
        (size, self.lane, self.rev, self.seq, self.phase, self.phase_layer, self.flags) = struct.unpack_from(
            "<7I", raw, 4
        )
        assert size == 64
        self.step, self.epoch = struct.unpack_from("<2d", raw, 32)
        self.scores = struct.unpack_from("<4f", raw, 48)
        floats = np.frombuffer(raw, "<f4", spec["floats"], 64)
        self.tensors = {}
        for entry in spec["layout"]:
            count = int(np.prod(entry["shape"]))
            part = floats[entry["offset"] : entry["offset"] + count]
            self.tensors[entry["key"], entry["layer"]] = part.reshape(entry["shape"])
        layers = len(spec["layers"])
        at = 64 + 4 * spec["floats"]
        self.flow = np.frombuffer(raw, "<f4", 8 * layers, at).reshape(layers, 8)
        self.maps = np.frombuffer(raw, np.uint8, -1, at + 32 * layers)
        if not self.flags & 4:
            assert len(self.maps) == 0


def state(run: Any) -> list[np.ndarray[Any, Any]]:
    """All that the next step depends on."""
    slots = [view.copy() for _, _, view in run.trainer._core.optimizer_state()]
    buffers = [view.copy() for view in run.model.buffers.values()]
    counts = np.array([run.step, run.epoch, run.row, run.trainer.iteration, run.trainer.lr])
    return [run.model.flat_parameters.copy(), counts, *slots, *buffers]


def equal(a: list[np.ndarray[Any, Any]], b: list[np.ndarray[Any, Any]]) -> bool:
    return len(a) == len(b) and all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
