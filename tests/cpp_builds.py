"""What the tests of C++ need compiled, in processes of their own beside the first tests.

They wait for it last, so that the compiler has the processor that a test leaves idle.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

CPP = Path(__file__).parent / "cpp"


class Build:
    """A CMake project that is configured and built in a new folder, or in one that is kept."""

    def __init__(self, source: Path, *options: str, kept: str | None = None) -> None:
        self.kept = kept is not None
        self.folder = Path(kept or tempfile.mkdtemp(prefix="retrograd-cpp-"))
        self.log = self.folder / "log.txt"
        configure = ["cmake", "-S", str(source), "-B", str(self.folder), *options]
        compile_ = ["cmake", "--build", str(self.folder), "--parallel", "1"]
        command = f"{shlex.join(configure)} && {shlex.join(compile_)}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", "19", "sh", "-c", command], stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> Path:
        """The folder, once it is built."""
        status = self.process.wait(timeout=1800)
        assert status == 0, self.log.read_text()[-8000:]
        return self.folder

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)


def wheel_folder() -> Path | None:
    """The folder of the installed package that CMake reads; None where only its source is imported."""
    shown = subprocess.run(
        [sys.executable, "-m", "retrograd", "--cmake-dir"], capture_output=True, text=True, check=False
    )
    if shown.returncode != 0:
        assert "source folder" in shown.stderr
        return None
    return Path(shown.stdout.strip())


def of_sources() -> Build:
    """tests/cpp and examples/cpp; RETROGRAD_CPP_BUILD names a folder that is used again."""
    return Build(CPP, "-DRETROGRAD_INSTALL=ON", kept=os.environ.get("RETROGRAD_CPP_BUILD"))


def of_wheel() -> Build | None:
    """A program that finds the library in the wheel."""
    wheel = wheel_folder()
    if wheel is None:
        return None
    fast = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"]  # half the time, and the same bits
    return Build(CPP / "consumers" / "find_package", f"-Dretrograd_ROOT={wheel}", *fast)


BUILDS: dict[str, Callable[[], Build | None]] = {"built_cpp": of_sources, "built_from_wheel": of_wheel}


def can_build() -> bool:
    return all(map(shutil.which, ("cmake", "nice", os.environ.get("CXX", "c++").split()[0])))
