"""What several test modules share: real data where it is present, examples, the number of random seeds."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cpp_builds import BUILDS, Build, can_build

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


_BUILDS = pytest.StashKey[dict[str, Build | None]]()


def _builds_of(item: pytest.Item) -> set[str]:
    return BUILDS.keys() & set(getattr(item, "fixturenames", ()))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: bool(_builds_of(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or not can_build():
        return
    wanted = set().union(*map(_builds_of, session.items))
    session.config.stash[_BUILDS] = {name: BUILDS[name]() for name in sorted(wanted)}


def pytest_sessionfinish(session: pytest.Session) -> None:
    for build in session.config.stash.get(_BUILDS, {}).values():
        if build is not None:
            build.end()


def _built(config: pytest.Config, name: str) -> Path:
    builds = config.stash.get(_BUILDS, None)
    if builds is None:
        pytest.skip("needs cmake, nice and a C++ compiler")
    build = builds[name]
    if build is None:
        pytest.skip("the package was imported from a source folder")
    return build.wait()


@pytest.fixture(scope="session")
def built_cpp(pytestconfig: pytest.Config) -> Path:
    """The folder where tests/cpp and examples/cpp are built."""
    return _built(pytestconfig, "built_cpp")


@pytest.fixture(scope="session")
def built_from_wheel(pytestconfig: pytest.Config) -> Path:
    """The folder where a program was built that finds the library in the wheel."""
    return _built(pytestconfig, "built_from_wheel")
