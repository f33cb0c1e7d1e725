"""The docstrings as the site shows them, and the functions that are made of a list.

They are written for ``help()``: roles such as ``:class:`Node```, lines that begin with ``>>>``, tables
between lines of ``=``, one description for several parameters. Here these become what Markdown has for them.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|mod|meth|attr|data):`~?([\w.]+)`")
SESSION = re.compile(r"^(?:>>> .*\n?(?:\.\.\. .*\n?)*)+", re.MULTILINE)
PARAMETERS = re.compile(r"(?<=^Parameters\n----------\n).*?(?=^\w.*\n---|\Z)", re.MULTILINE | re.DOTALL)
SHARED = re.compile(r"^(\w+(?:, +\w+)+)\n((?: +\S.*\n?|\n)+)", re.MULTILINE)
TABLE = re.compile(r"^=+ +=+\n(.*?)^=+ +=+$", re.MULTILINE | re.DOTALL)


class Docstrings(griffe.Extension):
    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        add_activations(pkg)
        for part in below(pkg):
            if part.docstring is not None:
                part.docstring.value = markdown(part.docstring.value)


def below(part: Any) -> Any:
    yield part
    for member in part.members.values():
        if not member.is_alias:
            yield from below(member)


def markdown(text: str) -> str:
    text = ROLE.sub(lambda match: f"`{match[1].removeprefix('retrograd.')}`", text)
    text = PARAMETERS.sub(lambda match: SHARED.sub(one_each, match[0]), text)
    text = SESSION.sub(lambda match: fenced(match[0]), text)
    text = TABLE.sub(lambda match: table(match[1]), text)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE)


def fenced(session: str) -> str:
    return "```python\n" + re.sub(r"^(>>>|\.\.\.) ", "", session, flags=re.MULTILINE).rstrip() + "\n```\n"


def one_each(shared: re.Match[str]) -> str:
    """Of ``a, b`` with one description: each with its own type and default."""
    return "".join(f"{name}\n{shared[2].rstrip()}\n" for name in re.split(", +", shared[1])) + "\n"


def table(rows: str) -> str:
    cells = [re.split(r" {2,}", row, maxsplit=1) for row in rows.strip().splitlines()]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {what} |" for name, what in cells)]) + "\n"


def add_activations(package: griffe.Module) -> None:
    """``activations.py`` makes a function of each line of its list, which reading alone does not see."""
    activations, ops = package["activations"], package["ops"]
    for name, formula in ast.literal_eval(str(activations["ACTIVATIONS"].value)).items():
        if name in ops.members:
            activations.set_member(name, griffe.Alias(name, ops[name].path))
            continue
        z = griffe.Parameter("z", annotation="Operand", kind=griffe.ParameterKind.positional_or_keyword)
        function = griffe.Function(name, parameters=griffe.Parameters(z), returns="Node")
        function.docstring = griffe.Docstring(formula, parent=function)
        activations.set_member(name, function)
        ops.set_member(name, griffe.Alias(name, f"{activations.path}.{name}"))
