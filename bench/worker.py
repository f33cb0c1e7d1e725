"""The process of one implementation on one row. Lines of JSON in, lines of JSON out.

- ``{"do": "load", "peer": ..., "work": ..., "folder": ..., "threads": ...}``
- ``{"do": "save", "path": ...}``: weights after the epochs of the check, or predictions
- ``{"do": "prepare", "warm": true}``: the given weights again, not timed
- ``{"do": "run", "epochs": n}``: timed
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench import networks, peers
from bench.work import Work, make_data, restore


def memory() -> tuple[int, int]:
    """Bytes: resident now, and at most since the last reset."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0, 0
    found = [re.search(rf"^{name}:\s*(\d+) kB$", text, re.MULTILINE) for name in ("VmRSS", "VmHWM")]
    now, most = (int(match[1]) * 1024 if match else 0 for match in found)
    return now, most


def reset_peak() -> int:
    """The peak of the memory begins anew with what is resident now, which is returned."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    now, _ = memory()
    return now


class Worker:
    """What the commands work on."""

    def load(self, peer: str, work: dict[str, Any], folder: str, threads: int) -> dict[str, Any]:
        """Builds the implementation and chooses its fastest variant. Memory is that of the first variant: one
        that was tried before would be counted with it."""
        self.work = Work.from_dict(work)
        self.peer = peers.module(peer)
        versions = self.peer.versions()  # imports the library
        arrays = restore(Path(folder))
        names = self.peer.variants(self.work)
        if self.work.kind == "train":
            # what a library loads, compiles or starts when it first trains is not this network's
            first = networks.of(self.work).small(self.work)
            self.peer.build(first, make_data(first), threads, names[0]).run(1)
        gc.collect()
        before = reset_peak()
        self.made: Any = self.peer.build(self.work, arrays, threads, names[0])
        self.made.run(self.work.check_epochs)
        _, peak = memory()
        notes = self.made.notes() if hasattr(self.made, "notes") else {}
        timed = {}
        if len(names) > 1:
            made = {names[0]: self.made}
            for name in names[1:]:
                made[name] = self.peer.build(self.work, arrays, threads, name)
            timed = {name: self._trial(trained) for name, trained in made.items()}
            names = tuple(sorted(timed, key=timed.__getitem__))
            self.made = made[names[0]]
            del made
            gc.collect()
        return {
            "versions": versions,
            "variant": names[0],
            "tried": timed,
            "memory_before": before,
            "memory_peak": peak,
            "notes": notes,
        }

    @staticmethod
    def _trial(made: Any) -> float:
        made.reset()
        made.run(1)
        best = float("inf")
        end = time.perf_counter() + 0.3
        for _ in range(20):
            made.reset()
            start = time.perf_counter()
            made.run(1)
            best = min(best, time.perf_counter() - start)
            if time.perf_counter() > end:
                break
        return best

    def save(self, path: str) -> dict[str, Any]:
        """For the check: from the given weights, some epochs."""
        if self.work.kind == "predict":
            np.savez(path, self.made.outputs())
            return {}
        self.made.reset()
        self.made.run(self.work.check_epochs)
        np.savez(path, *self.made.weights())
        return {}

    def prepare(self, warm: bool) -> dict[str, Any]:
        """The state that every repeat begins with: the same numbers, so none has more denormals or zeros.
        ``warm``: after an epoch, that need not be where one is long enough to be warm in its first part."""
        self.made.reset()
        if warm:
            self.made.run(1)
        return {}

    def run(self, epochs: int) -> dict[str, Any]:
        """The measured work."""
        gc.collect()
        gc.disable()
        cpu, wall = time.process_time(), time.perf_counter()
        self.made.run(epochs)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        gc.enable()
        return {"seconds": wall, "cpu_seconds": cpu}


def main() -> None:
    """Until the input ends."""
    # libraries may print: what they print goes to the log, the answers through a descriptor of their own
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            reply = getattr(worker, command.pop("do"))(**command)
        except Exception as error:  # the other implementations go on without this one
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
