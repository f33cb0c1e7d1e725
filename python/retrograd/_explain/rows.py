"""A line of the report cut into rows, for formats of a fixed width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrograd._arguments import Record
from retrograd._explain.expression import Expression
from retrograd._explain.notation import TEXT, Digits, Notation, width

if TYPE_CHECKING:
    from retrograd._explain.report import Line

__all__ = ["Row", "has_formula", "has_numbers", "relations", "rows_of"]


class Row(Record):
    """A relation ("=", "≈", or "" where a row goes on) and what follows it."""

    relation: str
    text: str

    def __init__(self, relation: str, text: str) -> None:
        self._set(relation=relation, text=text)


def relations(line: Line, digits: Digits) -> tuple[str, str]:
    """Before the numbers and before the result: "≈" where what is shown is rounded."""
    first = "≈" if digits.rounds_any(line.formula) else "="
    return first, "≈" if first == "≈" or digits.rounds(line.quantity.number) else "="


def has_formula(line: Line, digits: Digits) -> bool:
    """Whether the formula says more than the result does."""
    return TEXT.write(line.formula) != TEXT.number(digits(line.quantity.number))


def has_numbers(line: Line, digits: Digits) -> bool:
    """Whether putting the numbers in says more than the result does."""
    shown = TEXT.write(line.formula, digits)
    return shown != TEXT.number(digits(line.quantity.number)) and shown != TEXT.write(line.formula)


def rows_of(line: Line, notation: Notation, digits: Digits, room: int) -> list[Row]:
    """All in one row where it fits; else a row for each part, and several for a part that is too long."""
    first, last = relations(line, digits)
    result = notation.number(digits(line.quantity.number))
    parts: list[tuple[str, Expression, Digits | None]] = []
    if has_formula(line, digits):
        parts.append(("=", line.formula, None))
    if has_numbers(line, digits):
        parts.append((first, line.formula, digits))
    size = width(TEXT.write(line.quantity)) + sum(
        3 + notation.size(expression, shown) for _, expression, shown in parts
    )
    size += 3 + width(TEXT.number(digits(line.quantity.number)))
    size += width(line.note) + 6 if line.note else 0
    if size <= room:
        texts = [(relation, notation.write(formula, shown)) for relation, formula, shown in parts]
        texts.append((last, result))
        joined = texts[0][1] + "".join(f" {relation} {text}" for relation, text in texts[1:])
        return [Row(texts[0][0], joined)]
    space = room - width(TEXT.write(line.quantity)) - 3
    rows = []
    for relation, formula, shown in parts:
        rows += _filled(relation, notation.pieces(formula, shown, space), space)
    return [*rows, Row(last, result)]


def _filled(relation: str, pieces: list[tuple[str, int]], room: int) -> list[Row]:
    rows: list[Row] = []
    text, size = "", 0
    for piece, needed in pieces:
        if text and size + needed > room:
            rows.append(Row("" if rows else relation, text))
            text, size = "", 0
        text, size = text + piece, size + needed
    return [*rows, Row("" if rows else relation, text)]
