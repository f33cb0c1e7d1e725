"""The documents are run: every ```python block, every `retrograd` command of a ```sh block, and what they
print where a ```text block follows.

The blocks of a file share their names and run from top to bottom in an empty folder, warnings as errors.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import retrograd as rg

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")
DOCUMENTS = sorted([*(ROOT / page for page in PAGES), *(ROOT / "docs").glob("**/*.md")])
# Pages whose code takes a package that may not be there.
NEEDS = {"docs/sklearn.md": "sklearn", "docs/how-to/frames.md": "pandas"}
# Commands that are not run. No ```python block is left out.
NOT_RUN = {
    "pip install . && retrograd train": "it installs the package: .ci/run runs it",
    'pip install "retrograd[play]" && retrograd play': "it serves a page until it is stopped",
}
NOT_OURS = {  # programs whose commands are not run
    "pip": "it would change what the tests run in",
    "pre-commit": "it changes the repository's hooks",
    "python": "it makes an environment",
    "cmake": "tests/test_cpp.py builds the library these ways",
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[tuple[int, str, str, str]]:
    """Line, language, content and what stands between this block and the one before."""
    text, found, end = path.read_text(encoding="utf-8"), [], 0
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        found.append((line, match[1], match[2], text[end : match.start()]))
        end = match.end()
    return found


def commands(content: str) -> list[str]:
    """The lines of a ```sh block, those that end with a backslash joined to the next."""
    return [line.strip() for line in content.replace("\\\n", " ").splitlines() if line.strip()]


def is_run(path: Path) -> bool:
    return any(
        language == "python" or (language == "sh" and any(map(is_ours, commands(content))))
        for _, language, content, _ in blocks(path)
    )


def is_ours(command: str) -> bool:
    return command.startswith("retrograd ") and command not in NOT_RUN


def table_of_flats() -> None:
    """What docs/command-line.md takes for granted: a table to train on, and a model of flowers."""
    rows = [f"{area},{('yes', 'no')[area % 2]},{3 * area}" for area in range(20, 100)]
    Path("flats.csv").write_text("\n".join(["area,lift,price", *rows]))
    Path("new.csv").write_text("area,lift,petal\n55,yes,1.0\n60,no,5.0\n")
    flowers = [f"{size / 10},{'rose' if size < 30 else 'iris'}" for size in range(60)]
    Path("flowers.csv").write_text("\n".join(["petal,kind", *flowers]))
    rg.cli.main(["train", "flowers.csv", "--target", "kind", "--out", "flowers.safetensors", "--quiet"])


BEFORE = {"docs/command-line.md": table_of_flats}  # what a page's commands find in their folder


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if is_run(p)], ids=name_of)
def test_code_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name_of(path) in NEEDS:
        pytest.importorskip(NEEDS[name_of(path)])
    monkeypatch.chdir(tmp_path)
    if name_of(path) in BEFORE:
        BEFORE[name_of(path)]()
    names: dict[str, object] = {"__name__": "__main__"}
    printed: str | None = None
    for line, language, content, between in blocks(path):
        if language == "python":
            # so that a traceback shows the document's own line
            compiled = compile("\n" * (line - 1) + content, name_of(path), "exec")
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compiled, names)
            printed = output.getvalue()
        elif language == "sh":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                for command in filter(is_ours, commands(content)):
                    assert rg.cli.main(shlex.split(command)[1:]) == 0, f"{name_of(path)}:{line}"
            printed = output.getvalue() or None
        elif language == "text" and printed is not None and not between.strip():
            found = [row.rstrip() for row in printed.strip().splitlines()]
            assert found == [row.rstrip() for row in content.strip().splitlines()], f"{name_of(path)}:{line}"
        else:
            printed = None


def test_what_is_not_run_has_a_reason() -> None:
    met = set()
    for path in DOCUMENTS:
        for line, language, content, _ in blocks(path):
            for command in commands(content) if language == "sh" else ():
                program = re.split(r"[\s:]", command)[0]
                assert is_ours(command) or command in NOT_RUN or program in NOT_OURS, (
                    f"{name_of(path)}:{line}: {command!r} is not run, and nothing says why"
                )
                met.add(command)
    assert met >= set(NOT_RUN), "a command that is left out stands nowhere"


def test_every_block_begins_a_line() -> None:
    """A block that is set in would not be found, and not be run."""
    for path in DOCUMENTS:
        found = re.findall(r"^[ >]+(?:```|~~~).*$|^~~~.*$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not found, f"{name_of(path)}: {found}"


def test_cpp_compiles(tmp_path: Path) -> None:
    """Whole programs only; they are compiled, not linked."""
    compilers = (os.environ.get("CXX"), "g++", "clang++", "c++")
    compiler = next((c for c in compilers if c and shutil.which(c.split()[0])), None)
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    programs = [
        (path, content)
        for path in DOCUMENTS
        for _, language, content, _ in blocks(path)
        if language == "cpp" and "int main()" in content
    ]
    assert programs
    for path, content in programs:
        source = tmp_path / "program.cpp"
        source.write_text(content)
        command = [*compiler.split(), "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
        command += [f"-I{ROOT / 'cpp' / 'include'}", str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{name_of(path)}:\n{result.stderr}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (path.parent / place) if place else path
        assert file.exists(), f"{name_of(path)}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{name_of(path)}: {target}; there are {sorted(anchors)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_that_are_named_exist(path: Path) -> None:
    """Paths of the source in `code`, with or without a line of their own."""
    folders = ("cpp", "python", "tests", "examples", "docs")
    for target in re.findall(r"`([\w./-]+)`", path.read_text(encoding="utf-8")):
        if target.split("/")[0] in folders and "/" in target and not target.endswith("..."):
            assert (ROOT / target).exists(), f"{name_of(path)}: {target}"


def changes(path: Path) -> Iterator[tuple[Path, str, str]]:
    """File, what stands there and what shall stand there, for every hunk of the ```diff blocks; a new file
    has no old text."""
    for _, language, content, _ in blocks(path):
        if language != "diff":
            continue
        file, old, new = ROOT, "", ""
        for line in [*content.splitlines(), "@@"]:
            if line.startswith(("--- ", "+++ ", "@@")):
                if new:
                    yield file, old, new
                old = new = ""
                file = ROOT / line[4:] if not line.startswith("@@") else file
            else:
                old += line[1:] + "\n" if line[0] in " -" else ""
                new += line[1:] + "\n" if line[0] in " +" else ""


def test_changes_fit_the_source() -> None:
    """What docs/adding.md shows as already there is there, once, however its lines are broken."""
    shown = list(changes(ROOT / "docs" / "adding.md"))
    assert len(shown) > 20
    for file, old, _ in shown:
        if old:
            there = " ".join(file.read_text(encoding="utf-8").split())
            assert there.count(" ".join(old.split())) == 1, f"{name_of(file)}:\n{old}"
        else:
            assert not file.exists(), name_of(file)


def test_every_block_has_a_language() -> None:
    for path in DOCUMENTS:
        fences = re.findall(r"^```(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0, f"{name_of(path)}: a block is not closed"
        for opening in fences[::2]:
            assert opening in {"python", "cpp", "c", "sh", "text", "diff", "cmake", "json"}, name_of(path)


def test_the_two_commands_of_the_readme() -> None:
    shell = [content.strip() for _, language, content, _ in blocks(ROOT / "README.md") if language == "sh"]
    assert "pip install . && retrograd train" in shell
    assert 'pip install ".[test]" && pytest' in shell
    runner = ROOT / ".ci" / "run"
    text = runner.read_text(encoding="utf-8")
    assert "README.md" in text
    assert '".[test]"' not in text, "the runner takes the commands from README.md"
    if os.name != "nt":
        assert runner.stat().st_mode & stat.S_IXUSR


# ------------------------------------------------------------------------------------------------ the site


def nav() -> list[str]:
    """The pages that mkdocs.yml lists."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return re.findall(r"^ *- (?:[^:\n]+: )?(\S+\.md)$", text[text.index("\nnav:") :], re.MULTILINE)


def test_every_page_is_in_the_navigation_once() -> None:
    pages = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("**/*.md"))
    assert sorted(page for page in nav() if not page.startswith("source/")) == pages
    for page in nav():
        if page.startswith("source/"):  # made of a file outside of docs/, see docs/site/source_pages.py
            assert (ROOT / page.removeprefix("source/")).exists()


def directives() -> list[str]:
    """What the pages of the reference show, in their order."""
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return [
        name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.MULTILINE)
    ]


def found(name: str) -> object:
    """The object of a dotted name; the longest part of it that can be imported is a module."""
    module, _, attribute = name.rpartition(".")
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return getattr(found(module), attribute)


def public_names() -> Iterator[tuple[str, str]]:
    """Module and name of all that is public."""
    for name in rg.__all__:
        yield "retrograd", name
        member = getattr(rg, name)
        if isinstance(member, ModuleType):
            yield from ((member.__name__, inner) for inner in member.__all__)


def test_the_reference_has_every_public_name() -> None:
    """Under any of the names it has: rg.Dense is rg.layers.Dense."""
    shown = set(directives())
    # estimators are known by their names alone: scikit-learn need not be there
    things = {id(found(name)) for name in shown if not name.startswith("retrograd.sklearn.")}
    missing = [
        f"{module}.{name}"
        for module, name in public_names()
        if f"{module}.{name}" not in shown
        and name != "__version__"
        and (module == "retrograd.sklearn" or id(getattr(import_module(module), name)) not in things)
    ]
    assert not missing, f"docs/reference shows {missing} nowhere"


def test_the_reference_shows_what_there_is_once() -> None:
    names = directives()
    assert len(names) == len(set(names))
    seen: dict[int, str] = {}
    for name in names:
        if name.startswith("retrograd.sklearn."):
            pytest.importorskip("sklearn")
        thing = found(name)
        assert thing.__doc__, name
        assert seen.setdefault(id(thing), name) == name, f"{name} is shown as {seen[id(thing)]} too"
