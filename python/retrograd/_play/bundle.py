"""The whole page as one file: its modules joined, its styles inline, nothing left to be fetched.

A page that is opened from disk may not load modules, and one inside a notebook has no address to load them
from. The modules use named exports only, so joining them is renaming: each becomes a function that returns
its exports, in an order in which all that it imports stands before it.
"""

from __future__ import annotations

import re
from html import escape
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bundled_page", "joined"]

_IMPORT = re.compile(r'^import\s+(\{[^}]*\}|\*\s+as\s+\w+)\s+from\s+"([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+((?:async\s+)?function\*?|class|const|let)\s+(\w+)", re.MULTILINE)
_STYLE = re.compile(r'\s*<link rel="stylesheet" href="/([^"]+)">')
_SCRIPT = '<script type="module" src="/js/main.js"></script>'


def bundled_page(boot: str, data: Mapping[str, str] | None = None) -> str:
    """The page as one HTML text.

    Parameters
    ----------
    boot
        The module that begins, ``"replay.js"`` for instance, in place of ``main.js``.
    data
        id -> JSON text that the page finds as ``<script type="application/json" id=...>``.
    """
    root = resources.files("retrograd._play") / "static"
    html = (root / "index.html").read_text(encoding="utf-8")
    styles = [(root / path).read_text(encoding="utf-8") for path in _STYLE.findall(html)]
    html = _STYLE.sub("", html).replace('  <link rel="icon" href="/icon.svg" type="image/svg+xml">\n', "")
    modules: dict[str, str] = {}
    _collect(root / "js", PurePosixPath(boot), modules, ())
    blocks = [f"<style>\n{style}</style>" for style in styles]
    # < alone ends a script element, wherever in a string it stands
    blocks += [
        f'<script type="application/json" id="{escape(name)}">{text.replace("<", chr(92) + "u003c")}</script>'
        for name, text in (data or {}).items()
    ]
    script = joined(modules).replace("</script", r"<\/script").replace("<!--", r"<\!--")
    blocks.append(f'<script type="module">\n{script}</script>')
    assert _SCRIPT in html
    return html.replace(_SCRIPT, "\n".join(blocks))


def _collect(root: object, path: PurePosixPath, modules: dict[str, str], above: tuple[str, ...]) -> None:
    """All modules that one imports, each before those that need it."""
    name = str(path)
    if name in modules:
        return
    if name in above:
        raise ValueError(f"modules import each other in a circle: {' -> '.join((*above, name))}")
    text = root.joinpath(name).read_text(encoding="utf-8")  # type: ignore[attr-defined]
    for _, target in _IMPORT.findall(text):
        _collect(root, _resolved(path, target), modules, (*above, name))
    modules[name] = text


def _resolved(path: PurePosixPath, target: str) -> PurePosixPath:
    parts: list[str] = []
    for part in (*path.parent.parts, *PurePosixPath(target).parts):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return PurePosixPath(*parts)


def _renamed(names: str) -> str:
    """What an import names as a pattern that takes it out of an object."""
    return re.sub(r"(\w+)\s+as\s+(\w+)", r"\1: \2", names)


def joined(modules: Mapping[str, str]) -> str:
    """Modules in the order in which they may run, as one script."""
    numbers = {name: f"$module{number}" for number, name in enumerate(modules)}
    parts = []
    for name, text in modules.items():
        heads = []
        for names, target in _IMPORT.findall(text):
            source = numbers[str(_resolved(PurePosixPath(name), target))]
            if names.startswith("*"):
                heads.append(f"const {names.split()[-1]} = {source};")
            else:
                heads.append(f"const {_renamed(names)} = {source};")
        exported = [found for _, found in _EXPORT.findall(text)]
        body = _EXPORT.sub(r"\1 \2", _IMPORT.sub("", text))
        parts.append(
            f"// {name}\nconst {numbers[name]} = (() => {{\n"
            + "".join(f"{head}\n" for head in heads)
            + f"{body}\nreturn {{ {', '.join(exported)} }};\n}})();\n"
        )
    return "".join(parts)
