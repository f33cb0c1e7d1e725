"""The C++ programs of tests/cpp, built and run, and the three ways in which a project finds the library.

``ops`` and ``bits`` reach what Python cannot: teams of every size, buffers of the exact size that begin as
NaN, gradients that are added, every instruction set of the machine. The longer programs (kernels,
vector_math) are for ``nox -s cpp``.

The library is compiled once for all that is beside it here, and once more from the sources that the wheel
carries; a compiler cache has both from pip's build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import retrograd as rg
from cpp_builds import wheel_folder

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "cpp"
CONSUMERS = FOLDER / "consumers"
HEADERS = sorted((ROOT / "cpp" / "include" / "retrograd").glob("*.h*"))
CMAKE = shutil.which("cmake") or "cmake"

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which(os.environ.get("CXX", "c++")) is None,
    reason="needs cmake and a C++ compiler",
)


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def build(source: Path, folder: Path, *options: str, **environment: str) -> Path:
    run(CMAKE, "-S", source, "-B", folder, *options, **environment)
    run(CMAKE, "--build", folder, "--parallel", "2", **environment)
    return folder


@pytest.fixture(scope="module")
def prefix(built_cpp: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library is installed."""
    place = tmp_path_factory.mktemp("prefix")
    run(CMAKE, "--install", built_cpp / "retrograd", "--prefix", place)
    return place


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The folder of the installed package that CMake reads."""
    folder = wheel_folder()
    if folder is None:
        pytest.skip("the package was imported from a source folder")
    return folder


# ------------------------------------------------------------------------------------------- programs


def test_programs(built_cpp: Path) -> None:
    run(shutil.which("ctest") or "ctest", "--test-dir", built_cpp, "--output-on-failure", "--parallel", "2")


# ---------------------------------------------------------------------------------- three ways to find it


@pytest.fixture(scope="module")
def hash_of_python() -> str:
    """What consumers/program.cpp prints, from the same network trained in Python."""
    net = rg.Sequential([rg.Input(2), rg.Dense(8, activation="tanh"), rg.Dense(1)], seed=0)
    trainer = rg.Trainer(net, loss="binary_cross_entropy", optimizer=rg.Adam(0.05))
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    y = np.array([[0], [1], [1], [0]], dtype=np.float32)
    for _ in range(20):
        trainer.step(x, y)
    number = 0xCBF29CE484222325
    for byte in net.flat_parameters.tobytes():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return f"{number:016x}"


def names_in(library: Path) -> set[str]:
    """What a shared library shows to others, without templates of the C++ standard library."""
    nm = shutil.which("nm")
    if nm is None or sys.platform != "linux":
        pytest.skip("needs nm and a shared library of Linux")
    lines = run(nm, "-D", "-C", "--defined-only", library).splitlines()
    names = {line.split(maxsplit=2)[2] for line in lines}
    return {name for name in names if "retrograd" in name or "std::" not in name}


def test_add_subdirectory(built_cpp: Path, hash_of_python: str) -> None:
    printed = run(built_cpp / "consumers" / "add_subdirectory" / "consumer")
    assert printed.strip() == hash_of_python


def test_a_part_of_another_project_has_no_options_and_installs_nothing(tmp_path: Path) -> None:
    run(CMAKE, "-S", CONSUMERS / "add_subdirectory", "-B", tmp_path)
    cache = (tmp_path / "CMakeCache.txt").read_text(encoding="utf-8")
    assert not re.findall(r"^RETROGRAD_\w+:.*$", cache, re.MULTILINE)
    installs = (tmp_path / "retrograd" / "cmake_install.cmake").read_text(encoding="utf-8")
    assert "libretrograd" not in installs
    assert "retrograd-config" not in installs


def test_fetch_content(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(fetches LANGUAGES CXX)\ninclude(FetchContent)\n"
        f"FetchContent_Declare(retrograd SOURCE_DIR {ROOT.as_posix()})\n"
        "FetchContent_MakeAvailable(retrograd)\n"
        "if(NOT TARGET retrograd::retrograd OR CMAKE_CXX_VISIBILITY_PRESET OR CMAKE_BUILD_TYPE)\n"
        "  message(FATAL_ERROR fetched)\nendif()\n"
    )
    run(CMAKE, "-S", tmp_path, "-B", tmp_path / "build")


def test_find_package_in_a_prefix(prefix: Path, hash_of_python: str, tmp_path: Path) -> None:
    built = build(CONSUMERS / "find_package", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    assert run(built / "consumer").strip() == hash_of_python
    assert names_in(next((built / "plugin").glob("*plugin.so"))) == {"train_xor"}


def test_what_is_installed(prefix: Path) -> None:
    found = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
    headers = {f"include/retrograd/{path.name}" for path in HEADERS}
    rest = {re.sub(r"^lib\w*/(x86_64-linux-gnu/)?", "", name) for name in found - headers}
    assert headers <= found
    targets = {name for name in rest if re.fullmatch(r"cmake/retrograd/retrograd-targets-\w+\.cmake", name)}
    config = {"retrograd-config.cmake", "retrograd-config-version.cmake", "retrograd-targets.cmake"}
    assert rest - targets == {"libretrograd.a"} | {f"cmake/retrograd/{name}" for name in config}
    assert len(targets) == 1


def test_find_package_in_the_wheel(built_from_wheel: Path, hash_of_python: str) -> None:
    assert run(built_from_wheel / "consumer").strip() == hash_of_python
    assert names_in(next((built_from_wheel / "plugin").glob("*plugin.so"))) == {"train_xor"}


def test_the_wheel_has_the_sources(wheel: Path) -> None:
    """All that the library is built of, byte by byte, and nothing else."""
    with tarfile.open(wheel / "sources.tar.bz2") as archive:
        members = archive.getmembers()
        texts = {member.name: archive.extractfile(member) for member in members}
        packed = {name: file.read() for name, file in texts.items() if file is not None}
    wanted = [ROOT / "CMakeLists.txt", ROOT / "LICENSE"]
    kinds = {".cpp", ".hpp", ".h", ".cmake", ".in", ".map"}
    wanted += [path for path in (ROOT / "cpp").rglob("*") if path.suffix in kinds]
    assert packed == {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in wanted}
    owners = {(m.uid, m.gid, m.uname, m.gname, m.mode, m.mtime) for m in members}
    assert owners == {(0, 0, "", "", 0o644, 946_684_800)}


@pytest.mark.parametrize("place", ["prefix", "wheel"])
@pytest.mark.parametrize(("version", "fits"), [("0.1", True), ("0.1.0", True), ("0.2", False), ("1", False)])
def test_the_version_that_is_asked_for(
    place: str, version: str, fits: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(place)
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX)\n"
        f"find_package(retrograd {version} CONFIG)\nmessage(STATUS found=${{retrograd_FOUND}})\n"
    )
    printed = run(CMAKE, "-S", tmp_path, "-B", tmp_path / "build", f"-Dretrograd_ROOT={root}")
    assert f"found={int(fits)}" in printed


def test_a_project_without_cxx_is_told(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(plain LANGUAGES NONE)\n"
        "find_package(retrograd CONFIG REQUIRED)\n"
    )
    done = subprocess.run(
        [CMAKE, "-S", tmp_path, "-B", tmp_path / "build", f"-Dretrograd_ROOT={wheel}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "project(plain LANGUAGES CXX)" in " ".join(done.stderr.split())


# ------------------------------------------------------------------------------------------------ headers


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_every_public_header_compiles_alone(compiler: str, tmp_path: Path) -> None:
    """In C++20 with warnings as errors; what ends in .h also in C."""
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    include = str(ROOT / "cpp" / "include")
    assert len(HEADERS) > 10
    strict = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{include}"]
    c_compiler = {"g++": "gcc", "clang++": "clang"}[compiler]
    commands = []
    for header in HEADERS:
        text = f"#include <retrograd/{header.name}>\n#include <retrograd/{header.name}>\n"
        source = tmp_path / f"{header.name}.cpp"
        source.write_text(text)
        commands.append([compiler, "-std=c++20", *strict, source])
        if header.suffix == ".h":
            source.with_suffix(".c").write_text(text)
            commands.append([c_compiler, "-std=c11", *strict, source.with_suffix(".c")])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda command: run(*command), commands))
