"""What several test modules share: real data where it is present, examples, the number of random seeds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
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


@pytest.fixture(scope="session")
def built_cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where tests/cpp and examples/cpp are built; RETROGRAD_CPP_BUILD names one to use again."""
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("needs cmake and a C++ compiler")
    build = Path(os.environ.get("RETROGRAD_CPP_BUILD") or tmp_path_factory.mktemp("cpp"))
    for command in (
        [cmake, "-S", str(ROOT / "tests" / "cpp"), "-B", str(build), "-DRETROGRAD_INSTALL=ON"],
        [cmake, "--build", str(build), "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return build
