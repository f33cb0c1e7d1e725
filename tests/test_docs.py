"""The documents are run: every ```python block, and what it prints where a ```text block follows it.

The blocks of a file share their names and run from top to bottom in an empty folder, warnings as errors.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")
DOCUMENTS = sorted([*(ROOT / page for page in PAGES), *(ROOT / "docs").glob("**/*.md")])
NEEDS = {"docs/sklearn.md": "sklearn"}  # pages whose code takes a package that the test extra has not
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


def with_python(path: Path) -> bool:
    return any(language == "python" for _, language, _, _ in blocks(path))


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if with_python(p)], ids=name_of)
def test_code_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name_of(path) in NEEDS:
        pytest.importorskip(NEEDS[name_of(path)])
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    printed: str | None = None
    for line, language, content, between in blocks(path):
        if language == "python":
            # so that a traceback shows the document's own line
            compiled = compile("\n" * (line - 1) + content, name_of(path), "exec")
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compiled, names)
            printed = output.getvalue()
        elif language == "text" and printed is not None and not between.strip():
            found = [row.rstrip() for row in printed.strip().splitlines()]
            assert found == [row.rstrip() for row in content.strip().splitlines()], f"{name_of(path)}:{line}"
        else:
            printed = None


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
