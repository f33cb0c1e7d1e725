"""What several test modules share: real data where it is present, examples, the number of random seeds."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Example = Callable[[str], ModuleType]

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """The folder of real data sets: they are too large, or not ours, to be bundled with the project."""
    return Path(os.environ.get("RETROGRAD_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """A function from a file name to its path; the calling test is skipped where the file is absent."""

    def find(name: str) -> Path:
        path = data_folder() / name
        if not path.is_file():
            pytest.skip(f"{path} is not there (set RETROGRAD_DATA to the folder of the data sets)")
        return path

    return find


@pytest.fixture(scope="session")
def examples_folder() -> Path:
    return ROOT / "examples"


@pytest.fixture
def example(examples_folder: Path) -> Example:
    """Loads an example by name, without running it."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"example_{name}", examples_folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def seeds() -> range:
    """Seeds of randomised tests: few on every commit, RETROGRAD_SEEDS=20 before a release."""
    return range(int(os.environ.get("RETROGRAD_SEEDS", "3")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser for the page of rg.play."""
    import page

    yield from page.launched()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page of a session: visit(config, size=, scheme=) -> page.Visit."""
    import page

    yield from page.visits(browser)


class CppBuild:
    """tests/cpp and examples/cpp, compiled beside the first tests; those that need them come last.

    RETROGRAD_CPP_BUILD names a folder that is kept and used again.
    """

    def __init__(self) -> None:
        self.kept = os.environ.get("RETROGRAD_CPP_BUILD")
        self.folder = Path(self.kept or tempfile.mkdtemp(prefix="retrograd-cpp-"))
        self.log = self.folder / "log.txt"
        configure = [
            "cmake",
            "-S",
            str(ROOT / "tests" / "cpp"),
            "-B",
            str(self.folder),
            "-DRETROGRAD_INSTALL=ON",
        ]
        compile_ = ["cmake", "--build", str(self.folder), "--parallel", "1"]
        command = f"{shlex.join(configure)} && {shlex.join(compile_)}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", "19", "sh", "-c", command], stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> Path:
        status = self.process.wait(timeout=1800)
        assert status == 0, self.log.read_text()[-8000:]
        return self.folder

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)


_BUILD = pytest.StashKey[CppBuild]()


def _needs_cpp(item: pytest.Item) -> bool:
    return "built_cpp" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_needs_cpp)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(map(_needs_cpp, session.items)) and not session.config.option.collectonly
    if wanted and all(map(shutil.which, ("cmake", "nice", os.environ.get("CXX", "c++").split()[0]))):
        session.config.stash[_BUILD] = CppBuild()


def pytest_sessionfinish(session: pytest.Session) -> None:
    build = session.config.stash.get(_BUILD, None)
    if build is not None:
        build.end()


@pytest.fixture(scope="session")
def built_cpp(pytestconfig: pytest.Config) -> Path:
    """The folder where tests/cpp and examples/cpp are built."""
    build = pytestconfig.stash.get(_BUILD, None)
    if build is None:
        pytest.skip("needs cmake, nice and a C++ compiler")
    return build.wait()
