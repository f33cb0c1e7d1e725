"""Runs one row: a process for each implementation, the same check for all, then repeats in turn."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import machine, peers
from bench.work import loss_of, make_data, output_of, store, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.machine import Probe
    from bench.work import Array, Work

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-3  # relative difference of losses that float32 in another order may make


@dataclass(frozen=True)
class Options:
    """How carefully to measure."""

    repeats: int = 5
    min_seconds: float = 0.6  # of one repeat
    tries: int = 6  # for each repeat that other work disturbs
    load_limit: float = 300.0  # seconds for imports and compilers
    run_limit: float = 120.0


class PeerError(Exception):
    """An implementation failed; the others go on."""


def environment(threads: int) -> dict[str, str]:
    """What tells every library its number of threads; 0: nothing is told."""
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])])
    env |= {
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        # compile in the process itself: idle helpers would count as other work
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS")
    if threads:
        env |= {f"{name}_NUM_THREADS": str(threads) for name in names}
        env |= {"OMP_DYNAMIC": "FALSE", "MKL_DYNAMIC": "FALSE", "NPROC": str(threads)}
        flags = [env.get("XLA_FLAGS", "")]
        if threads == 1:
            flags.append("--xla_cpu_multi_thread_eigen=false")
        env["XLA_FLAGS"] = " ".join(filter(None, flags))
    else:
        for name in names:
            env.pop(f"{name}_NUM_THREADS", None)
    return env


class Child:
    """The process of one implementation, stopped by a signal while it is not its turn: a pool of threads that
    spins while it waits would slow down the others."""

    def __init__(self, name: str, threads: int, cpus: list[int], log: Path) -> None:
        self.name = name
        self.log = log
        self._buffer = b""
        self._stopped = False
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(threads),
                cwd=ROOT,
                preexec_fn=lambda: os.sched_setaffinity(0, cpus),
            )

    def ask(self, limit: float, **command: Any) -> dict[str, Any]:
        """Sends a command and waits for the answer.

        Raises
        ------
        PeerError
            It failed, died or took too long.
        """
        self.resume()
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise PeerError(self._end()) from None
        reply: dict[str, Any] = json.loads(self._line(limit))
        if "error" in reply:
            raise PeerError(reply["error"])
        return reply

    def _line(self, limit: float) -> bytes:
        assert self.process.stdout is not None
        end = time.monotonic() + limit
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise PeerError(f"took longer than {limit:.0f} s")
            got = os.read(descriptor, 65536)
            if not got:
                raise PeerError(self._end())
            self._buffer += got
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _end(self) -> str:
        self.process.wait(10)
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return f"ended with {self.process.returncode}: {lines[-1][:200] if lines else 'no message'}"

    def stop(self) -> None:
        """Not its turn any more."""
        if not self._stopped and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            self._stopped = True

    def resume(self) -> None:
        """Its turn."""
        if self._stopped:
            self.process.send_signal(signal.SIGCONT)
            self._stopped = False

    def close(self) -> None:
        """Ends it, whatever it does."""
        self.process.kill()
        self.process.wait()


class BusyProcesses:
    """Other people's work: processes that never pause, one on each CPU in turn."""

    def __init__(self, count: int, cpus: list[int]) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", "while True: pass"],
                preexec_fn=partial(os.sched_setaffinity, 0, [cpus[number % len(cpus)]]),
            )
            for number in range(count)
        ]

    def ticks(self) -> int:
        """CPU time they had so far."""
        return sum(machine.own_ticks(process.pid) for process in self.processes)

    def close(self) -> None:
        """Ends them."""
        for process in self.processes:
            process.kill()
            process.wait()


class Row:
    """One row with one number of threads."""

    def __init__(
        self,
        work: Work,
        threads: int,
        names: list[str],
        options: Options,
        probe: Probe,
        say: Callable[[str], None],
    ) -> None:
        self.work, self.threads, self.options, self.probe, self.say = work, threads, options, probe, say
        usable = len(os.sched_getaffinity(0))
        self.cpus = machine.pick_cpus(threads or usable)
        self.results: dict[str, dict[str, Any]] = {}
        self.names = []
        for name in names:
            reason = peers.module(name).refuses(work)
            if not reason and work.peers and name not in (*peers.OURS, *work.peers):
                reason = "not in this row"
            if name == "retrograd-auto" and threads <= 1:
                reason = "the same as retrograd there"
            if reason:
                self.results[name] = {"error": reason, "refused": True}
            else:
                self.names.append(name)

    def measure(self) -> dict[str, Any]:
        """Everything about the row."""
        started = time.monotonic()
        self.busy = BusyProcesses(self.work.busy or 0, self.cpus)
        children: list[Child] = []
        with tempfile.TemporaryDirectory(prefix="retrograd-bench-") as folder_name:
            folder = Path(folder_name)
            data = folder / "data"
            data.mkdir()
            arrays = make_data(self.work)
            store(arrays, data)
            try:
                for name in self.names:
                    self._start(name, children, folder)
                self._check(children, arrays, folder)
                epochs = {child.name: self._epochs(child) for child in list(children)}
                for repeat in range(self.options.repeats):
                    # another one is first every time: what comes after a pause may be faster or slower
                    shift = repeat % max(1, len(children))
                    for child in children[shift:] + children[:shift]:
                        if child.name in epochs and "failed" not in self.results[child.name]:
                            self._repeat(child, epochs[child.name])
            finally:
                for child in children:
                    child.close()
                self.busy.close()
        for result in self.results.values():
            self._summarise(result)
        return {
            "id": self.work.id,
            "work": self.work.to_dict(),
            "threads": self.threads,
            "cpus": self.cpus,
            "multiply_adds": self.work.multiply_adds,
            "results": self.results,
            "took_seconds": time.monotonic() - started,
        }

    def _fail(self, name: str, error: Exception) -> None:
        self.say(f"    {name}: {error}")
        self.results.setdefault(name, {}).update({"error": str(error), "failed": True})

    def _start(self, name: str, children: list[Child], folder: Path) -> None:
        child = Child(name, self.threads, self.cpus, folder / f"{name}.log")
        started = time.monotonic()
        try:
            reply = child.ask(
                self.options.load_limit,
                do="load",
                peer=name,
                work=self.work.to_dict(),
                folder=str(folder / "data"),
                threads=self.threads,
            )
        except PeerError as error:
            self._fail(name, error)
            child.close()
            return
        child.stop()
        children.append(child)
        self.results[name] = {**reply, "repeats": [], "dropped": []}
        self.results[name]["load_seconds"] = time.monotonic() - started

    def _check(self, children: list[Child], arrays: dict[str, Array], folder: Path) -> None:
        """Whether all did the same: their losses, computed here from their weights, agree with ours."""
        reference: list[Array] | None = None
        given = weights_of(arrays)
        train = self.work.kind == "train"
        before = loss_of(self.work, given, arrays) if train else math.nan
        wanted = math.nan
        for child in children:
            path = folder / f"{child.name}.npz"
            try:
                child.ask(self.options.run_limit, do="save", path=str(path))
            except PeerError as error:
                self._fail(child.name, error)
                continue
            finally:
                child.stop()
            with np.load(path) as saved:
                got = [saved[name] for name in saved.files]
            path.unlink()
            if not train:
                expected = output_of(self.work, given, arrays["x"])
                off = float(np.abs(got[0] - expected).max() / np.abs(expected).max())
                self.results[child.name]["check"] = {"relative": off, "same_work": off <= TOLERANCE}
                continue
            loss = loss_of(self.work, got, arrays)
            if reference is None:
                reference, wanted = got, loss
            off = abs(loss - wanted) / abs(wanted)
            # beside the loss, which says little while it has hardly moved: how far apart the weights went
            apart = math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(got, reference, strict=True)))
            way = math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(reference, given, strict=True)))
            self.results[child.name]["check"] = {
                "epochs": self.work.check_epochs,
                "loss_before": before,
                "loss": loss,
                "relative": off,
                "apart": apart / way,
                "same_work": bool(off <= TOLERANCE and wanted != before),
            }

    def _epochs(self, child: Child) -> int:
        """How many make a repeat long enough to be timed."""
        try:
            child.ask(self.options.run_limit, do="prepare", warm=False)
            epochs = 1
            while True:
                took = float(child.ask(self.options.run_limit, do="run", epochs=epochs)["seconds"])
                # the first epoch of all is often slow: it decides only where it was long
                if took >= 0.05:
                    break
                epochs *= 8
        except PeerError as error:
            self._fail(child.name, error)
            return 1
        finally:
            child.stop()
        return max(1, math.ceil(self.options.min_seconds / (took / epochs)))

    def _repeat(self, child: Child, epochs: int) -> None:
        """One repeat. A disturbed one is dropped and done again, a few times; the least disturbed stays."""
        result = self.results[child.name]
        attempts: list[dict[str, Any]] = []
        for attempt in range(self.options.tries):
            try:
                attempts.append(self._attempt(child, epochs))
            except PeerError as error:
                self._fail(child.name, error)
                return
            if attempts[-1]["clean"]:
                break
            if attempt + 1 < self.options.tries:
                time.sleep(0.1 * (attempt + 1))  # what disturbs may be short
        attempts.sort(key=lambda a: (not a["clean"], a["others"]))
        result["repeats"].append(attempts[0])
        result["dropped"] += attempts[1:]

    def _attempt(self, child: Child, epochs: int) -> dict[str, Any]:
        limit = self.options.run_limit
        child.ask(limit, do="prepare", warm=epochs > 1)
        calibrated = self.threads > 1 and self.probe.process is not None and not self.work.busy
        cores = []
        if calibrated:
            child.stop()
            cores.append(self.probe.cores(self.threads))
        before, own = machine.load(self.cpus), machine.own_ticks(child.process.pid) + self.busy.ticks()
        try:
            reply = child.ask(limit, do="run", epochs=epochs)
        finally:
            child.stop()
        after, own_after = machine.load(self.cpus), machine.own_ticks(child.process.pid) + self.busy.ticks()
        others = machine.seconds(max(0, after.busy - before.busy - (own_after - own)))
        if calibrated:
            cores.append(self.probe.cores(self.threads))
        # the clock of these counts has ticks of 10 ms, and each side of the difference may be one off
        quiet = others <= max(0.03, 0.04 * reply["seconds"])
        alone = all(machine.own_cores(c, self.threads) for c in cores)
        steps = epochs * self.work.batches
        return {
            "seconds": reply["seconds"] / steps,
            "cpu_seconds": reply["cpu_seconds"] / steps,
            "steps": steps,
            "others": others,
            "cores": cores,
            "clean": bool(quiet and alone),
        }

    @staticmethod
    def _summarise(result: dict[str, Any]) -> None:
        repeats = result.get("repeats")
        if not repeats:
            result.setdefault("error", "no repeat")
            return
        times = [repeat["seconds"] for repeat in repeats]
        result["median"] = statistics.median(times)
        result["least"], result["most"] = min(times), max(times)
        result["cpu_median"] = statistics.median(repeat["cpu_seconds"] for repeat in repeats)
        result["disturbed"] = sum(not repeat["clean"] for repeat in repeats)
