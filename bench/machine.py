"""The machine: what it is, what it can do, which CPUs to use, and what else runs on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_name() -> str:
    """As the processor calls itself."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.splitlines()[0] if done.stdout else ""


def describe() -> dict[str, Any]:
    """What a reader has to know of the machine to compare."""
    family: dict[str, Any] = {}
    try:
        text = Path("/proc/cpuinfo").read_text()
        for key in ("cpu family", "model", "stepping"):
            if found := re.search(rf"^{key}\s*:\s*(\d+)$", text, re.MULTILINE):
                family[key] = int(found[1])
        if found := re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE):
            interesting = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
            family["has"] = [flag for flag in interesting if flag in found[1].split()]
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_name(),
        **family,
        "cpus usable": len(os.sched_getaffinity(0)),
        "caches": caches(),
        "memory GB": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "compiler": _first_line([made, "--version"]) if (made := compiler()) else "none",
        "Python": platform.python_version(),
    }


@cache
def caches() -> dict[str, int]:
    """Sizes in bytes of the data caches of the first usable CPU."""
    found = {}
    folder = Path(f"/sys/devices/system/cpu/cpu{min(os.sched_getaffinity(0))}/cache")
    for index in sorted(folder.glob("index*")):
        try:
            level = (index / "level").read_text().strip()
            kind = (index / "type").read_text().strip()
            size = (index / "size").read_text().strip()
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = int(size.rstrip("KM")) * (1024 if size.endswith("K") else 1024**2)
    return found


def _siblings(cpu: int) -> set[int]:
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return {cpu}
    result: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        result |= set(range(int(first), int(last or first) + 1))
    return result


def pick_cpus(count: int) -> list[int]:
    """CPUs on cores of their own, from the last backwards: the first has the interrupts and this program."""
    usable = sorted(os.sched_getaffinity(0), reverse=True)
    chosen: list[int] = []
    taken: set[int] = set()
    for cpu in usable:
        if cpu not in taken:
            chosen.append(cpu)
            taken |= _siblings(cpu)
    chosen += [cpu for cpu in usable if cpu not in chosen]
    return chosen[:count]


# ------------------------------------------------------------------------------------- other processes


@dataclass(frozen=True)
class Load:
    """Ticks that the watched CPUs were busy, or taken by a hypervisor, until a moment."""

    busy: int


def _watched(cpus: list[int]) -> set[int]:
    """The CPUs used, their siblings, and on a small machine all: cache and memory are shared there."""
    online = os.cpu_count() or 1
    if online <= 8:
        return set(range(online))
    return {other for cpu in cpus for other in _siblings(cpu)}


def load(cpus: list[int]) -> Load:
    """Now."""
    watched, busy = _watched(cpus), 0
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return Load(0)
    for line in lines:
        if line.startswith("cpu") and line[3].isdigit():
            name, *fields = line.split()
            if int(name[3:]) in watched:
                user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
                busy += user + nice + system + irq + softirq + steal
    return Load(busy)


def own_ticks(pid: int) -> int:
    """CPU time of a process, in the same ticks."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def seconds(ticks: int) -> float:
    """Ticks in seconds."""
    return ticks / _TICK


def own_cores(cores: float, threads: int) -> bool:
    """Whether each thread had a core of its own, given how many cores their rate amounted to. Two on one core
    reach a half; many have a lower clock than one alone."""
    return cores >= (0.8 if threads <= 2 else 0.65) * threads


# ------------------------------------------------------------------------------------------------ probe


def compiler() -> str | None:
    """The system's C++ compiler."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")


class Probe:
    """A program compiled now, which measures the machine between the repeats."""

    def __init__(self, cpus: list[int]) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.reason = ""
        self.best: dict[int, float] = {}  # threads -> GFLOP/s of the widest vectors, the best so far
        self.widths: list[int] = []
        made = compiler()
        if made is None:
            self.reason = "no C++ compiler"
            return
        self.folder = tempfile.TemporaryDirectory(prefix="retrograd-bench-")
        program = Path(self.folder.name) / "probe"
        source = Path(__file__).with_name("probe.cpp")
        flags = ["-std=c++20", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-pthread"]
        command = [made, *flags, "-march=native", str(source), "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
            self.reason = f"the probe does not compile: {errors[0]}"
            return
        self.process = subprocess.Popen(
            [str(program), *map(str, cpus)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.widths = [int(width) for width in self._ask("widths").split()]

    def _ask(self, line: str) -> str:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def fma(self, threads: int, bits: int | None = None, milliseconds: float = 2, tries: int = 3) -> float:
        """GFLOP/s, the best of a few tries; 0 without a compiler."""
        if self.process is None:
            return 0.0
        width = bits or self.widths[-1]
        rate = max(float(self._ask(f"fma {width} {threads} {milliseconds}")) for _ in range(tries))
        if width == self.widths[-1]:
            self.best[threads] = max(rate, self.best.get(threads, 0.0))
        return rate

    def memory(self, what: str, threads: int, megabytes: float) -> float:
        """GB/s."""
        return float(self._ask(f"{what} {threads} {megabytes}")) if self.process else 0.0

    def cores(self, threads: int) -> float:
        """How many cores the threads have now: their rate over that of one."""
        return self.fma(threads) / self.best[1] if self.best.get(1) else float(threads)

    def measure(
        self, threads: tuple[int, ...], quick: bool, earlier: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """All that goes into the table: the best of now and of an earlier time, for other work lowers it."""
        if self.process is None:
            return {"missing": self.reason}
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
        megabytes = min(max(64.0, 2 * max(caches().values(), default=0) / 1e6), memory / 8)
        if quick:
            megabytes = 64.0
        found: dict[str, Any] = {"fma": {}, "read": {}, "triad": {}, "megabytes": round(megabytes)}
        for n in threads:
            for bits in self.widths:
                rate = self.fma(n, bits, milliseconds=20, tries=3 if quick else 10)
                found["fma"].setdefault(str(bits), {})[str(n)] = rate
            for what in ("read", "triad"):
                found[what][str(n)] = self.memory(what, n, megabytes)
        if earlier is not None:
            for what in ("read", "triad"):
                found[what] = {n: max(rate, earlier[what][n]) for n, rate in found[what].items()}
            for bits, rates in earlier["fma"].items():
                found["fma"][bits] = {n: max(rate, found["fma"][bits][n]) for n, rate in rates.items()}
        return found

    def close(self) -> None:
        """Ends the program."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.folder.cleanup()
