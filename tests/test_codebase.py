"""The rules of the source, as tests: who may include whom, what may stand where, what must not stand at all.

Exceptions are lists with reasons, here and nowhere else. A list that names what no longer needs it fails too.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import retrograd as rg

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "cpp" / "src"
PUBLIC = ROOT / "cpp" / "include" / "retrograd"
BINDINGS = ROOT / "python" / "bindings"
PACKAGE = ROOT / "python" / "retrograd"

COLUMNS = 110
LINES = 600

# A layer includes itself and what stands before it.
LAYERS = [
    *("base", "simd", "functions", "kernels", "ops", "graph", "plan", "nn", "train", "io", "capi"),
    "bindings",
]

# A public header belongs to the layer that implements it.
PUBLIC_HEADERS = {
    "version": "base",
    "error": "base",
    "shape": "base",
    "random": "base",
    "op": "ops",
    "graph": "graph",
    "ops": "graph",
    "plan": "plan",
    "data": "nn",
    "evaluation": "nn",
    "initializers": "nn",
    "layers": "nn",
    "model": "nn",
    "sequential": "nn",
    "losses": "train",
    "optimizer": "train",
    "optimizers": "train",
    "trainer": "train",
    "runtime": "train",
    "model_file": "io",
    "checkpoint": "io",
    "retrograd": "capi",
}

# A module imports what stands before it, within a line too. `retrograd._core` is the extension.
MODULES = [
    "_core errors _arguments _table _axes init",
    "graph ops",
    "activations layers",
    "losses metrics",
    "schedules optim",
    "stream",
    "data",
    "_bound _summary",
    "model",
    "_curve _course",
    "history _progress _events callbacks stop _flow",
    "_checkpoint",
    "_feed",
    "_run _objective",
    "trainer",
    "_trace _check datasets",
    "_layout _drawing _symbolic",
    "_evaluation _explain _what_if _findings _diagnose _machine _cost",
    "plot",
    "_play _tabular sklearn onnx torch",
    "__init__",
    "cli",
    "__main__",
]

# Imports against that order, inside a function.
BACKWARDS = {
    ("__init__", "cli"): "rg.cli is imported when it is first asked for",
    ("model", "_trace"): "net.trace makes a trainer, and a model cannot know trainers",
    ("trainer", "_trace"): "trainer.trace is asked for now and then, and its module knows trainers",
}

# Modules made for another package, and imported only with the first of their members.
GUESTS = {"sklearn": {"sklearn"}}

# Files of more than LINES lines.
LONG = {
    "cpp/src/io/json.cpp": "one strict parser and writer; half of it is error texts",
    "cpp/src/io/safetensors.cpp": "one format; every refused case has its own text",
    "cpp/src/simd/math.hpp": "all vector functions share their tables of coefficients",
    "python/retrograd/model.py": "the public class with its documentation",
    "python/retrograd/trainer.py": "the public class with its documentation",
    "tests/cpp/io/test_io.cpp": "a table of malformed files",
    "tests/cpp/ops/ops_test.cpp": "a case for each operation",
    "tests/cpp/vector_math/main.cpp": "a case for each function",
    "tests/mutations.py": "a table of planted faults",
    "tests/reference.py": "the independent truth, in one place",
    "tests/test_bad_input.py": "a table of bad inputs",
    "tests/test_contract.py": "one property after another, over all members",
    "tests/test_training.py": "one behaviour of fit after another",
}

SKIPPED = {"build", "dist", "node_modules", "__pycache__", "results"}
SOURCE = {".py", ".pyi", ".cpp", ".hpp", ".c", ".h"}
TEXT = SOURCE | {".md", ".toml", ".cmake", ".txt", ".json", ".yaml", ".yml", ".cfg", ".in", ""}


@cache
def files() -> tuple[Path, ...]:
    """Every text file of the project, without what is built."""

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            hidden = path.name.startswith(".") and path.name not in (".ci", ".github")
            if path.is_symlink() or path.name in SKIPPED or path.name.endswith(".egg-info"):
                continue
            if path.is_dir():
                if not hidden:
                    yield from walk(path)
            elif path.suffix in TEXT and path.name != ".DS_Store":
                yield path

    found = tuple(walk(ROOT))
    assert len(found) > 100, f"these tests need the repository around them; {ROOT} has {len(found)} files"
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources(folder: Path, *suffixes: str) -> list[Path]:
    return [path for path in files() if folder in path.parents and path.suffix in suffixes]


def cpp_of(folder: Path) -> list[Path]:
    return sources(folder, ".cpp", ".hpp")


@cache
def code(path: Path) -> str:
    """C++ without comments and string literals, line for line."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)

    def blank(match: re.Match[str]) -> str:
        return '""' if match[0].startswith('"') else "\n" * match[0].count("\n")

    lines = path.read_text(encoding="utf-8").splitlines()
    kept = "\n".join(line if line.lstrip().startswith("#") else "\0" + line for line in lines)
    return pattern.sub(blank, kept).replace("\0", "")


def includes(path: Path) -> list[tuple[int, str]]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := re.match(r'\s*#\s*include\s+([<"][^>"]+[>"])', line):
            found.append((number, match[1]))
    return found


def matches(pattern: str, paths: list[Path]) -> list[str]:
    """ "file:line: text" for every line of code that the pattern finds."""
    rule = re.compile(pattern)
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(code(path).splitlines(), 1)
        if rule.search(line)
    ]


def assert_none(found: list[str], rule: str) -> None:
    if found:
        pytest.fail(f"{rule}:\n  " + "\n  ".join(found), pytrace=False)


# ------------------------------------------------------------------------------------------ C++ layers


def layer_of(path: Path) -> str:
    return "bindings" if BINDINGS in path.parents else path.relative_to(CORE).parts[0]


def layer_included(path: Path, target: str) -> str | None:
    """The layer of an included file; None for the standard library and the system."""
    inner = target[1:-1]
    if inner.startswith("retrograd/"):
        return PUBLIC_HEADERS[Path(inner).stem]
    if target[0] == "<":
        return None
    if (path.parent / inner).is_file():
        return layer_of(path)
    return inner.partition("/")[0]


def test_each_folder_of_the_core_is_a_layer() -> None:
    assert {path.name for path in CORE.iterdir() if path.is_dir()} == set(LAYERS) - {"bindings"}


def test_each_public_header_has_a_layer() -> None:
    assert {path.stem for path in PUBLIC.glob("*.hpp")} == set(PUBLIC_HEADERS)
    for header, layer in PUBLIC_HEADERS.items():
        if (CORE / layer / f"{header}.cpp").is_file():
            continue
        elsewhere = [name_of(path) for path in cpp_of(CORE) if path.name == f"{header}.cpp"]
        assert not elsewhere, f"{header}.hpp is implemented in {elsewhere}, not in {layer}"


def test_layers_include_only_lower_layers() -> None:
    found = []
    for path in cpp_of(CORE) + cpp_of(BINDINGS):
        layer = layer_of(path)
        for line, target in includes(path):
            below = layer_included(path, target)
            if below is not None and LAYERS.index(below) > LAYERS.index(layer):
                found.append(f"{name_of(path)}:{line}: {layer} includes {target} of {below}")
    assert_none(found, "a layer includes itself and lower ones: " + " -> ".join(LAYERS))


def test_bindings_see_the_public_headers_only() -> None:
    found = [
        f"{name_of(path)}:{line}: {target}"
        for path in cpp_of(BINDINGS)
        for line, target in includes(path)
        if target[0] == '"' and not (path.parent / target[1:-1]).is_file()
    ]
    assert_none(found, "bindings include public headers, their own, pybind11 and the standard library")


# --------------------------------------------------------------------------------------- public headers

PRIVATE = re.compile(r"omp\.h|intrin|arm_neon|json|pybind11|pthread|unistd|windows\.h")


def test_public_headers_include_public_and_standard_headers_only() -> None:
    found = []
    for path in sorted(PUBLIC.glob("*.hpp")):
        for line, target in includes(path):
            standard = re.fullmatch(r"<[a-z_]+>", target)
            public = re.fullmatch(r"<retrograd/(\w+)\.hpp>", target)
            if not (standard or (public and public[1] in PUBLIC_HEADERS)) or PRIVATE.search(target):
                found.append(f"{name_of(path)}:{line}: {target}")
    assert_none(found, "what a user includes must be installed with it")


def test_public_headers_have_no_macros_but_the_version() -> None:
    found = [
        line
        for line in matches(
            r"^\s*#\s*(define|if|ifdef|ifndef|pragma(?! once))\b", sorted(PUBLIC.glob("*.hpp"))
        )
        if "RETROGRAD_VERSION" not in line
    ]
    assert_none(found, "a public header means the same to everybody")
    for path in PUBLIC.glob("*.hpp"):
        assert "#pragma once" in path.read_text(encoding="utf-8"), name_of(path)


# ------------------------------------------------------------------------------- what stands in one place


def test_threads_only_in_parallel() -> None:
    others = [p for p in cpp_of(CORE) + cpp_of(BINDINGS) + cpp_of(PUBLIC) if p.stem != "parallel"]
    rule = r"\bomp_\w+\s*\(|#\s*pragma\s+omp|<omp\.h>|<thread>|<pthread\.h>|\bstd::j?thread\b|\bpthread_\w+"
    assert_none(matches(rule, others), "base/parallel alone knows OpenMP and threads")


def test_pybind11_only_in_the_bindings() -> None:
    rule = r"pybind11|\bPy[A-Z]\w+\(|<Python\.h>"
    assert_none(matches(rule, cpp_of(CORE) + cpp_of(PUBLIC)), "the core knows no Python")


def test_vector_instructions_only_in_simd() -> None:
    allowed = {
        "cpp/src/base/float_environment.hpp": "the control register of floating-point arithmetic",
        "cpp/src/kernels/transpose.hpp": "the shuffles of one packed block",
    }
    others = [
        path
        for path in cpp_of(CORE) + cpp_of(BINDINGS) + cpp_of(PUBLIC)
        if name_of(path) not in allowed and CORE / "simd" not in path.parents
    ]
    rule = r"\b_mm\d*_\w+|<immintrin\.h>|<arm_neon\.h>|\bv\w+q_f(32|64)\b|__builtin_cpu"
    assert_none(matches(rule, others), "simd alone knows instruction sets")


def test_the_core_never_ends_the_process_or_prints() -> None:
    rule = (
        r"(?<![\w.>])(std::)?(abort|exit|_exit|_Exit|quick_exit|terminate|printf|fprintf|puts|fputs|perror"
        r"|putchar)\s*\(|std::(cout|cerr|clog)\b|<iostream>|(?<!static_)\bassert\s*\("
    )
    assert_none(
        matches(rule, cpp_of(CORE) + cpp_of(PUBLIC) + cpp_of(BINDINGS)), "a guest throws, and says nothing"
    )


def test_no_functions_of_the_c_library_in_training() -> None:
    """Square roots and fused multiply-adds are exact everywhere; a logarithm differs between C libraries."""
    rule = (
        r"\b(?:std::|__builtin_)(exp2?|expm1|log(?:2|10|1p)?|pow|sin|cos|tan|a(?:sin|cos|tan)h?|atan2|sinh"
        r"|cosh|tanh|erfc?|[tl]gamma|cbrt|hypot)f?l?\s*\("
    )
    assert_none(
        matches(rule, cpp_of(CORE)), "simd/math.hpp has these functions, with the same bits everywhere"
    )


def test_no_static_registrars() -> None:
    """Linkers drop objects that nothing refers to, so lists are explicit."""
    rule = r"\bstatic\s+(const\s+)?(bool|int)\s+registered|REGISTER_\w+\s*\(|__attribute__\(\(constructor"
    assert_none(matches(rule, cpp_of(CORE)), "members stand in an explicit list")


def test_global_settings_are_left_alone() -> None:
    rule = (
        r"omp_set_|_MM_SET_|fesetround|feenableexcept|\bsetlocale\b|\bsetenv\b|\bputenv\b|\bsignal\s*\("
        r"|\bsigaction\b|\bsrand\s*\(|(?<!\w)rand\s*\("
    )
    paths = cpp_of(CORE) + cpp_of(BINDINGS) + cpp_of(PUBLIC)
    assert_none(matches(rule, paths), "settings of the process belong to the host")


def test_no_fast_math() -> None:
    dash = "-"
    flags = re.compile(
        rf"{dash}ffast{dash}math|{dash}Ofast"
        rf"|{dash}f(unsafe{dash}math|finite{dash}math|associative|reciprocal)"
        rf"|{dash}fno{dash}signed{dash}zeros|{dash}fcx{dash}|fp:fast|optimize\s*\(|STDC\s+FP_CONTRACT\s+ON"
    )
    build = {"CMakeLists.txt", "CMakePresets.json", "pyproject.toml", "noxfile.py", "run"}
    found = []
    for path in files():
        is_build = path.name in build or path.suffix in (".cmake", ".yml", ".yaml")
        if not is_build and path.suffix not in (".cpp", ".hpp", ".c", ".h"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if flags.search(line):
                found.append(f"{name_of(path)}:{number}: {line.strip()}")
    assert_none(found, "such a flag changes results, and the floating-point mode of the host process")


# ------------------------------------------------------------------- objects of one instruction set


def kernel_objects() -> list[tuple[str, Path]]:
    """The per-instruction-set objects of the newest build at hand (RETROGRAD_BUILD, or build/ here)."""
    given = os.environ.get("RETROGRAD_BUILD")
    newest: dict[str, Path] = {}
    for folder in [Path(given)] if given else [ROOT / "build"]:
        for path in folder.glob("**/retrograd_kernels_*.dir/**/kernels.cpp.o*"):
            found = re.search(r"retrograd_kernels_(\w+)\.dir", path.as_posix())
            sanitised = any(part in ("asan", "tsan") for part in path.parts)
            if found and not sanitised:
                known = newest.get(found[1])
                if known is None or known.stat().st_mtime < path.stat().st_mtime:
                    newest[found[1]] = path
    return sorted(newest.items())


def test_kernel_objects_keep_to_their_namespace() -> None:
    """A symbol outside of it could be chosen by the linker for everyone, and crash an older machine."""
    objects = kernel_objects()
    nm = shutil.which("nm")
    if not objects or nm is None:
        pytest.skip("there is no build tree (set RETROGRAD_BUILD) or no nm")
    for isa, path in objects:
        result = subprocess.run(
            [nm, "-C", "--defined-only", str(path)], capture_output=True, text=True, check=True
        )
        symbols = [line.split(maxsplit=2)[-2:] for line in result.stdout.splitlines() if line.strip()]
        # lower-case kinds are local to the object, but for u, v and w, which the linker merges
        shared = [name for kind, name in symbols if kind.isupper() or kind in "uvw"]
        strays = [name for name in shared if f"retrograd::{isa}::" not in name]
        assert shared, path
        assert_none(strays, f"{path.name} of {isa} defines symbols outside of retrograd::{isa}")


# ----------------------------------------------------------------------------------------- Python modules

RANK = {name: rank for rank, name in enumerate(" ".join(MODULES).split())}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Line, module and whether at the top, for every import of this package outside of TYPE_CHECKING."""

    def visit(node: ast.AST, top: bool) -> Iterator[tuple[int, str, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "retrograd":
            assert node.level == 0, "imports are absolute"
            inner = (node.module or "").split(".")[1:]
            for alias in node.names:
                name = inner[0] if inner else alias.name
                yield node.lineno, name if name in RANK else "__init__", top
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "retrograd":
                    yield node.lineno, [*alias.name.split("."), "__init__"][1], top
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, top and not inside)

    yield from visit(tree, True)


def python_modules() -> list[Path]:
    return sources(PACKAGE, ".py")


def test_each_module_has_its_place() -> None:
    assert {module_of(path) for path in python_modules()} == set(RANK) - {"_core"}


def test_modules_import_only_earlier_modules() -> None:
    found, used = [], set()
    for path in python_modules():
        module = module_of(path)
        for line, target, top in imported(ast.parse(path.read_text(encoding="utf-8"))):
            if RANK[target] < RANK[module] or target == module:
                continue
            if not top and (module, target) in BACKWARDS:
                used.add((module, target))
                continue
            found.append(f"{name_of(path)}:{line}: {module} imports {target}")
    assert_none(found, "a module imports earlier ones: " + " -> ".join(f"({line})" for line in MODULES))
    stale = set(BACKWARDS) - used - {("__init__", "cli")}
    assert not stale, f"no longer needed in BACKWARDS: {stale}"


def test_only_numpy_is_imported_at_the_top() -> None:
    found = []
    for path in python_modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                guests = GUESTS.get(module_of(path), set()) if path.stem != "__init__" else set()
                if top not in sys.stdlib_module_names | {"numpy", "retrograd"} | guests:
                    found.append(f"{name_of(path)}:{node.lineno}: {name}")
    assert_none(found, "other packages are imported inside the function that needs them")


def test_modules_that_would_hide_a_function_have_an_underscore() -> None:
    modules = {module_of(path) for path in python_modules() if not path.stem.startswith("__")}
    assert_none([name for name in modules if callable(getattr(rg, name, None))], "the module hides it")


# --------------------------------------------------------------------------------------------- all files


def test_versions_are_equal() -> None:
    header = (PUBLIC / "version.hpp").read_text(encoding="utf-8")
    version = re.search(r'RETROGRAD_VERSION "([0-9.]+)"', header)
    assert version is not None
    assert rg.__version__ == version[1]
    changes = re.search(
        r"^## \[?([0-9.]+)\]?", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert changes is not None
    assert changes[1] == version[1], "the newest version of CHANGELOG.md is another one"
    with suppress(metadata.PackageNotFoundError):  # imported from the source folder
        assert metadata.version("retrograd") == version[1]


def test_no_line_is_too_long() -> None:
    found = [
        f"{name_of(path)}:{number}: {len(line)} columns"
        for path in files()
        if path.suffix in SOURCE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > COLUMNS
    ]
    assert_none(found, f"a line has at most {COLUMNS} columns")


def test_text_is_tidy() -> None:
    found = []
    for path in files():
        text = path.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):
            found.append(f"{name_of(path)}: no newline at the end")
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                found.append(f"{name_of(path)}:{number}: space at the end of the line")
            if "\t" in line:
                found.append(f"{name_of(path)}:{number}: a tab")
    assert_none(found, "spaces, and none at the end of a line")


def test_no_file_is_too_long() -> None:
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in files()
        if path.suffix in SOURCE
    }
    long = {name for name, length in lengths.items() if length > LINES}
    assert_none(sorted(long - set(LONG)), f"over {LINES} lines: cut it in two, or list it with a reason")
    assert_none(sorted(set(LONG) - long), f"in LONG, but not over {LINES} lines")


def test_no_drawers_for_odds_and_ends() -> None:
    names = {"utils", "util", "common", "helpers", "helper", "misc", "backends", "experimental"}
    found = {
        name_of(path) for path in files() if names & {part.lower() for part in Path(name_of(path)).parts}
    }
    found |= {name_of(path) for path in files() if path.stem.lower() in names}
    assert_none(sorted(found), "order goes to die there")


# Whose pages a file may point to.
HOSTS = {"doi.org", "github.com", "keepachangelog.com", "semver.org", "arxiv.org", "www.w3.org"}

# The subject of the interactive page and its tests: the loopback addresses, and a stranger's as bad input.
LOOPBACK = re.compile(r"localhost|127\.0\.0\.1|evil\.example", re.IGNORECASE)


def test_files_speak_of_the_project_alone() -> None:
    """No path of somebody's machine, no address of a service that a reader cannot reach."""
    slash = "/"
    places = ["work", "tmp", "root", "home", "Users", "mnt", "opt"]
    local = re.compile(
        rf"(?<![\w.*}}$)\]-]){slash}(?:{'|'.join(places)}){slash}|sub-?session|localhost|127\.0\.0\.1",
        re.IGNORECASE,
    )
    address = re.compile(r"https?://([\w.-]+)")
    found = []
    for path in files():
        if path.resolve() == Path(__file__).resolve():
            continue
        of_the_page = "_play" in path.parts or re.match(r"(test_play_\w+|page)$", path.stem)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if of_the_page:
                line = LOOPBACK.sub("www.w3.org", line)
            hosts = [host for host in address.findall(line) if host not in HOSTS]
            if local.search(line) or hosts:
                found.append(f"{name_of(path)}:{number}: {line.strip()}")
    assert_none(found, "a file of the project speaks of the project")
