"""A .csv file as columns of text, with the line of each row, so that an error can point at it."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrograd._arguments import nearest
from retrograd.errors import ArgumentError, FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Table", "delimiter_of", "read_table"]

_NAMES = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
# How files begin that are no text: a spreadsheet, its older kind, compressed, UTF-16.
_OTHERS = {
    b"PK": "a spreadsheet or a zip archive; export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet; export it as CSV",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}


@dataclass(frozen=True)
class Table:
    """Columns of text, stripped of spaces, and the line of the file where each row begins."""

    path: str
    names: list[str]
    columns: list[tuple[str, ...]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> tuple[str, ...]:
        return self.columns[self.names.index(name)]

    def rows(self, chosen: Sequence[int]) -> Table:
        """The table of these rows alone."""
        columns = [tuple(column[row] for row in chosen) for column in self.columns]
        return Table(self.path, self.names, columns, [self.lines[row] for row in chosen])


def delimiter_of(text: str) -> str:
    """One character, or "tab".

    Raises
    ------
    ArgumentError
        Anything else.
    """
    delimiter = "\t" if text in ("tab", "\\t") else text
    if len(delimiter) != 1 or delimiter in '"\r\n ':
        raise ArgumentError(f"--delimiter: expected one character, ';' for instance, or tab; got {text!r}")
    return delimiter


def read_table(path: str, delimiter: str = ",") -> Table:
    """The columns of a file whose first line has their names; empty lines are passed over.

    A column without a name is called "column 3" after its place.

    Raises
    ------
    FileFormatError
        No such file, not UTF-8, nothing in it, no names, a row with more or fewer values than there are
        names, an open quote, or another delimiter.
    """
    _refuse_what_is_no_text(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = _rows(path, csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True))
            names = _header(path, next(rows, (0, []))[1], delimiter)
            lines, values = [], []
            for line, row in rows:
                if len(row) != len(names):
                    raise FileFormatError(
                        f"{path}: line {line} has {len(row)} {'value' if len(row) == 1 else 'values'}, "
                        f"expected {len(names)} as the first line has names; mend the line, and put quotes "
                        f"around a value with {_NAMES.get(delimiter, repr(delimiter))} in it"
                    )
                lines.append(line)
                values.append(row)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise FileFormatError(f"{path}: not UTF-8 text (a byte is 0x{byte:02x}); save it as UTF-8") from None
    if not values:
        raise FileFormatError(f"{path}: there is a line of names and no row under it")
    columns = [tuple(value.strip() for value in column) for column in zip(*values, strict=True)]
    return Table(path, names, columns, lines)


def _refuse_what_is_no_text(path: str) -> None:
    if os.path.isdir(path):
        raise FileFormatError(f"{path}: a folder, expected a .csv file")
    try:
        with open(path, "rb") as file:
            begin = file.read(4096)
    except FileNotFoundError:
        folder, name = os.path.split(path)
        near = nearest(name, os.listdir(folder or ".") if os.path.isdir(folder or ".") else [])
        raise FileFormatError(f"{path}: no such file;{near or ' check the path'}") from None
    for mark, what in _OTHERS.items():
        if begin.startswith(mark):
            raise FileFormatError(f"{path}: not a .csv file but {what}")
    if b"\0" in begin:
        raise FileFormatError(f"{path}: not a .csv file, there are bytes of value 0 in it")
    if not begin.removeprefix(b"\xef\xbb\xbf").strip():
        raise FileFormatError(f"{path}: it is empty, expected a line of names and a row under it")


def _rows(path: str, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, with the line where it begins."""
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise FileFormatError(
                f"{path}: the row that begins in line {line} cannot be read ({error}); mend its quotes"
            ) from None
        if row is None:
            return
        if row and (len(row) > 1 or row[0].strip()):
            yield line, row
        line = reader.line_num + 1  # type: ignore[attr-defined]  # the csv module's own reader has it


def _header(path: str, row: list[str], delimiter: str) -> list[str]:
    names = [name.strip() for name in row]
    if len(names) == 1:
        for other, shown in _NAMES.items():
            if other != delimiter and other in names[0]:
                option = "tab" if other == "\t" else f"'{other}'"
                raise FileFormatError(
                    f"{path}: read with {_NAMES.get(delimiter, repr(delimiter))} between the values there is "
                    f"one column, {names[0][:60]!r}; it looks like {shown}: try --delimiter {option}"
                )
    if all(_is_number(name) for name in names):
        raise FileFormatError(
            f"{path}: the first line has numbers ({', '.join(names[:3])}{', ...' * (len(names) > 3)}), "
            "expected the names of the columns; write a line of names above"
        )
    names = [name or f"column {place}" for place, name in enumerate(names, 1)]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise FileFormatError(f"{path}: two columns are called {name!r}; rename one in the first line")
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
