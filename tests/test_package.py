"""What is installed: quiet and quick to import, complete, typed, and without effect on its host."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import textwrap
import zlib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import retrograd as rg
from retrograd import _core

PACKAGE = Path(rg.__file__).parent


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=120.0,
        check=False,
        env={**os.environ, **environment},
    )


def script(source: str, **environment: str) -> Any:
    """The JSON that a Python source prints in a process of its own, where every warning is an error."""
    result = run("-W", "error", "-c", textwrap.dedent(source), **environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# --------------------------------------------------------------------------------------------------- import


def test_import_prints_nothing_and_warns_of_nothing() -> None:
    result = run("-W", "error", "-c", "import retrograd")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_import_costs_less_than_30_ms_besides_numpy(tmp_path: Path) -> None:
    """With compiled modules, as pip installs them; the first of several processes compiles them here."""
    source = """
    import json, numpy
    from time import perf_counter
    start = perf_counter()
    import retrograd
    print(json.dumps(perf_counter() - start))
    """
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    seconds = sorted(script(source, **compiled) for _ in range(8))
    # other programs on the machine can only make it slower
    assert seconds[0] < 0.030, f"{[round(1000 * s, 1) for s in seconds]} ms"


def test_import_brings_numpy_alone() -> None:
    source = """
    import json, sys, numpy
    before = set(sys.modules)
    import retrograd
    print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
    """
    outside = set(script(source)) - set(sys.stdlib_module_names) - {"numpy", "retrograd"}
    assert outside == set()


def test_import_leaves_the_process_as_it_was() -> None:
    """Floating-point control, threads, signal handlers, environment, locale, random numbers."""
    source = """
    import ctypes, ctypes.util, json, locale, os, pathlib, signal, sys, threading
    import numpy as np

    def floating_point():
        subnormal = float(np.float64(1e-310) * np.float64(0.5))
        library = ctypes.util.find_library("m")
        if sys.platform != "linux" or os.uname().machine != "x86_64" or library is None:
            return [subnormal]
        room = (ctypes.c_ubyte * 64)()
        ctypes.CDLL(library).fegetenv(room)
        mxcsr = int.from_bytes(bytes(room[28:32]), "little") & 0xFFC0  # without the flags of past operations
        return [subnormal, int.from_bytes(bytes(room[0:2]), "little"), mxcsr]

    def state():
        status = pathlib.Path("/proc/self/status")
        kernel = [line for line in status.read_text().splitlines() if line[:3] in ("Sig", "Shd", "Thr")
                  and not line.startswith("SigQ")] if status.exists() else []
        handlers = [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())]
        return [floating_point(), kernel, handlers, threading.active_count(), dict(os.environ), os.getcwd(),
                locale.setlocale(locale.LC_ALL), str(np.geterr()), np.random.get_state()[1].tolist(),
                sys.getrecursionlimit(), sys.getswitchinterval()]

    np.random.seed(0)
    before = state()
    import retrograd
    after = state()
    print(json.dumps([[a, b] for a, b in zip(before, after) if a != b]))
    """
    assert script(source) == []


def test_import_does_not_bring_the_gil_back() -> None:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python has a GIL, and cannot be without it")
    source = "import json, sys, retrograd; print(json.dumps(sys._is_gil_enabled()))"
    assert script(source, PYTHON_GIL="") is False


def test_every_public_name_is_there() -> None:
    missing = [name for name in rg.__all__ if not hasattr(rg, name)]
    assert missing == []
    assert set(rg.__all__) <= set(dir(rg))
    assert sorted(set(rg.__all__)) == sorted(rg.__all__), "a name twice"
    for module in ("activations", "layers", "losses", "metrics", "ops", "optim", "schedules", "stop", "init"):
        public = getattr(rg, module)
        assert [name for name in public.__all__ if not hasattr(public, name)] == [], module


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Dens'"):
        _ = rg.Dens  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------- the stubs


def stub_names(tree: ast.Module) -> dict[str, set[str]]:
    """Class -> attributes, "" -> the module's own names; without aliases of types, which are no objects."""
    names: dict[str, set[str]] = {"": set()}
    bases: dict[str, list[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names[""].add(node.name)
            bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
            names[node.name] = set()
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    names[node.name].add(item.name)
                elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    names[node.name].add(item.target.id)
        elif isinstance(node, ast.FunctionDef):
            names[""].add(node.name)
        elif (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and "TypeAlias" not in ast.unparse(node.annotation)
        ):
            names[""].add(node.target.id)
    for name, own in bases.items():
        for base in own:
            names[name] |= names.get(base, set())
    return names


def public(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_stub_and_module_have_the_same_names() -> None:
    stub = stub_names(ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8")))
    assert public(stub[""]) == public(set(dir(_core)))
    for name in sorted(public(stub[""])):
        found = getattr(_core, name)
        if not isinstance(found, type):
            continue
        if issubclass(found, Exception):
            inherited = set(dir(Exception)) | set(dir(OSError))
        else:
            inherited = set(dir(object))
        assert public(stub[name]) == public(set(dir(found)) - inherited), name


def test_stub_and_module_agree_on_how_functions_are_called() -> None:
    """pybind11 writes a signature into each docstring; its argument names are the stub's."""
    tree = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    compared = 0
    for node in functions:
        text = getattr(_core, node.name).__doc__ or ""
        signature = re.match(rf"{node.name}\((.*)\) ->", text)
        if signature is None or "Overloaded" in text:
            continue
        theirs = re.findall(r"(?:^|, )(\w+): ", re.sub(r"\[[^\[\]]*\]|\{[^{}]*\}", "", signature[1]))
        assert [argument.arg for argument in node.args.args] == theirs, f"{node.name}: {text.splitlines()[0]}"
        compared += 1
    assert compared > 5


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


# ---------------------------------------------------------------------------------------------- the wheel


@pytest.fixture(scope="session")
def distribution() -> metadata.Distribution:
    try:
        found = metadata.distribution("retrograd")
    except metadata.PackageNotFoundError:
        pytest.skip("imported from a source folder, not installed")
    return found


def test_metadata(distribution: metadata.Distribution) -> None:
    about = distribution.metadata
    assert about["Name"] == "retrograd"
    assert about["Version"] == rg.__version__
    assert about["License-Expression"] == "BSD-3-Clause"
    assert about["Requires-Python"] == ">=3.11"
    assert "retrograd train" in str(about.get_payload() or about["Description"])
    always = [need for need in distribution.requires or () if "extra ==" not in need]
    assert [re.split(r"[<>=~! ]", need)[0] for need in always] == ["numpy"]
    assert {"test", "dev", "progress"} <= set(about.get_all("Provides-Extra") or ())
    scripts = distribution.entry_points.select(group="console_scripts")
    assert {point.name: point.value for point in scripts} == {"retrograd": "retrograd.cli:main"}
    roots = distribution.entry_points.select(group="cmake.root")
    assert {point.name: point.value for point in roots} == {"retrograd": "retrograd.cmake"}


def test_the_wheel_is_small_and_complete(distribution: metadata.Distribution) -> None:
    files = [file for file in distribution.files or () if file.suffix != ".pyc"]
    names = {str(file) for file in files}
    if not any(name.endswith("cli.py") for name in names):
        pytest.skip("an editable installation has no files of its own")
    for wanted in ("retrograd/_core.pyi", "retrograd/py.typed", "retrograd/datasets/digits.npz"):
        assert wanted in names
    assert any("LICENSE" in name for name in names)
    assert not any(name.startswith(("tests", "cpp", "include", "lib", "share")) for name in names)
    cmake = {"retrograd-config.cmake", "retrograd-config-version.cmake", "sources.tar.bz2"}
    assert {name for name in names if name.startswith("retrograd/cmake/")} == {
        f"retrograd/cmake/{name}" for name in cmake
    }
    packed = sum(len(zlib.compress(Path(str(file.locate())).read_bytes())) for file in files)
    assert packed < 2_000_000, f"{packed:,} bytes"


# --------------------------------------------------------------------------------------- the command line


def test_doctor() -> None:
    result = run("-W", "error", "-m", "retrograd", "doctor")
    assert result.returncode == 0, result.stderr
    for wanted in (
        rg.__version__,
        platform.python_version(),
        _core.isa(),
        "threads",
        "gradient check passed",
    ):
        assert wanted in result.stdout, wanted


def test_version_and_help() -> None:
    assert run("-m", "retrograd", "--version").stdout.strip() == f"retrograd {rg.__version__}"
    shown = run("-m", "retrograd", "--help").stdout
    for command in ("train", "predict", "doctor"):
        assert command in shown
    nothing = run("-m", "retrograd")
    assert nothing.returncode == 2


def test_cmake_dir() -> None:
    """A folder that CMake can read, or why there is none; never a traceback."""
    result = run("-W", "error", "-m", "retrograd", "--cmake-dir")
    if result.returncode == 0:
        assert (Path(result.stdout.strip()) / "retrograd-config.cmake").is_file()
        assert result.stderr == ""
    else:
        assert result.returncode == 1
        assert result.stdout == ""
        assert re.fullmatch("retrograd: .* source folder .* add_subdirectory\n", result.stderr)


def test_an_error_of_the_command_line_is_one_sentence(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.safetensors")
    result = run("-m", "retrograd", "predict", missing, missing)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("retrograd: ")
    assert "missing.safetensors" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_instruction_set_can_be_forced() -> None:
    for isa in _core.runnable_isas():
        result = run("-c", "from retrograd import _core; print(_core.isa())", RETROGRAD_ISA=isa)
        assert result.stdout.strip() == isa
