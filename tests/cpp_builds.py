"""What the tests of C++ need compiled, in processes of their own beside the first tests.

They wait for it last, so that the compiler has the processor that a test leaves idle. A compiler cache has
the library from pip's build: from the folder where the compiler runs to the sources the way is ../../cpp each
time, and ``CCACHE_BASEDIR`` makes it tell files by such ways.
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

ROOT = Path(__file__).parents[1]
CPP = ROOT / "tests" / "cpp"


class Build:
    """A CMake project that is configured and built in a folder, which ends with it unless it is kept."""

    def __init__(self, source: Path, folder: str, *options: str, base: str = "", kept: bool = False) -> None:
        self.kept = kept
        self.folder = Path(folder)
        self.log = self.folder / "log.txt"
        configure = ["cmake", "-S", str(source), "-B", str(self.folder), *options]
        compile_ = ["cmake", "--build", str(self.folder), "--parallel", "1"]
        command = f"{shlex.join(configure)} && {shlex.join(compile_)}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", "19", "sh", "-c", command],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "CCACHE_BASEDIR": base or folder},
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
    kept = os.environ.get("RETROGRAD_CPP_BUILD")
    if kept is None:
        (ROOT / "build").mkdir(exist_ok=True)
    folder = kept or tempfile.mkdtemp(prefix="tests-", dir=ROOT / "build")
    ninja = ["-G", "Ninja"] if shutil.which("ninja") and not kept else []  # its compiler runs in this folder
    return Build(CPP, folder, *ninja, "-DRETROGRAD_INSTALL=ON", base=str(ROOT), kept=kept is not None)


def of_wheel() -> Build | None:
    """A program that finds the library in the wheel."""
    wheel = wheel_folder()
    if wheel is None:
        return None
    folder = tempfile.mkdtemp(prefix="retrograd-cpp-")
    # make's compiler runs in the library's own folder
    make = ["-G", "Unix Makefiles"] if shutil.which("make") else []
    return Build(CPP / "consumers" / "find_package", folder, *make, f"-Dretrograd_ROOT={wheel}")


BUILDS: dict[str, Callable[[], Build | None]] = {"built_cpp": of_sources, "built_from_wheel": of_wheel}


def can_build() -> bool:
    return all(map(shutil.which, ("cmake", "nice", os.environ.get("CXX", "c++").split()[0])))
