"""Files outside of docs/ that pages point to, as pages of the site: links lead to the text of this version.

A page links to ``../cpp/src/plan/plan.cpp``, which works where the repository is browsed. Here that file
becomes the page ``source/cpp/src/plan/plan.cpp`` and the link is turned there. A folder becomes the list of
its files. A Markdown file stays one, with its own links followed in the same way.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "source/"
LANGUAGES = {
    ".cpp": "cpp",
    ".hpp": "cpp",
    ".c": "c",
    ".h": "c",
    ".py": "python",
    ".toml": "toml",
    ".sh": "sh",
}
# A fenced block, or a link; the first is passed over.
LINK = re.compile(r"^```.*?^```$|\]\(([^)\s]+)\)", re.MULTILINE | re.DOTALL)


def home(uri: str) -> str:
    """Where a page of the site comes from, from the top of the repository."""
    return uri.removeprefix(SOURCE).removesuffix(".page.md") if uri.startswith(SOURCE) else f"docs/{uri}"


def page(path: str) -> str:
    """The page of the site that shows a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return SOURCE + (path if path.endswith(".md") else f"{path or 'files'}.page.md")


def target(path: str, link: str) -> str | None:
    """What a link in a file of the repository leads to, from its top; None outside of the repository."""
    place = link.partition("#")[0]
    if not place or re.match(r"[a-z]+:", place):
        return None
    found = posixpath.normpath(posixpath.join(posixpath.dirname(path), place))
    return found if (ROOT / found).exists() else None


def targets(path: str, text: str) -> Iterator[str]:
    for match in LINK.finditer(text):
        if match[1] and (found := target(path, match[1])) is not None:
            yield found


def shown(path: str) -> str:
    """The text of the page of a file or a folder."""
    place = ROOT / path
    if path.endswith(".md"):
        return place.read_text(encoding="utf-8")
    title = f"---\nsearch:\n  exclude: true\n---\n\n# {posixpath.basename(path)}\n\n"
    if place.is_dir():
        names = sorted(entry.name for entry in place.iterdir() if not entry.name.startswith((".", "_")))
        return title + f"The folder `{path}`:\n\n" + "\n".join(f"- `{name}`" for name in names) + "\n"
    language = LANGUAGES.get(place.suffix, "text")
    text = place.read_text(encoding="utf-8")
    return f'{title}`{path}`\n\n````{language} linenums="1"\n{text}\n````\n'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page of everything that is linked to, from the pages in docs/ on."""
    named = re.findall(rf"'{SOURCE}(\S+)'", str(config.nav))
    waiting = list(named)
    for file in files.documentation_pages():
        waiting += targets(home(file.src_uri), file.content_string)
    done: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in done or path.startswith("docs/"):
            continue
        done.add(path)
        text = shown(path)
        inclusion = InclusionLevel.INCLUDED if path in named else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, page(path), content=text, inclusion=inclusion))
        if path.endswith(".md"):
            waiting += targets(path, text)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns the links of one page to where things are on the site."""
    here = page.file.src_uri
    path = home(here)

    def turned(match: re.Match[str]) -> str:
        found = target(path, match[1]) if match[1] else None
        if found is None:
            return match[0]
        anchor = match[1].partition("#")[1:]
        return f"]({posixpath.relpath(place_of(found), posixpath.dirname(here))}{''.join(anchor)})"

    return LINK.sub(turned, markdown)


place_of = page
