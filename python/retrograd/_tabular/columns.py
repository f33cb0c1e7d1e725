"""A column of text as columns of numbers: what it is, and how it is encoded.

What a column *is* (numbers, yes and no, categories) is seen from all rows; what is *measured* of it (the
median, the categories, whether there are gaps) from the rows trained on.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "CATEGORIES",
    "Category",
    "LeftOut",
    "Number",
    "column_from",
    "infer",
    "is_gap",
    "numbers_of",
    "refuse_mixtures",
]

GAPS = {"", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-"}
WORDS = ({"no": 0.0, "yes": 1.0}, {"false": 0.0, "true": 1.0}, {"n": 0.0, "y": 1.0}, {"f": 0.0, "t": 1.0})
CATEGORIES = 50  # more different texts than this are names or prose, not categories
FEW, OFTEN = 6, 10  # whole numbers are categories where at most FEW values occur, each OFTEN times at least

_DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d\d.*)?")
_COMMA = re.compile(r"[-+]?\d+(,\d+)+(\.\d+)?")


@dataclass(frozen=True)
class Number:
    """A column of numbers, or of two words that mean 0 and 1; a gap becomes the median.

    Where there were gaps in training, a second column says by 1 where they are.
    """

    name: str
    median: float
    gaps: bool
    words: dict[str, float] | None = None

    @property
    def width(self) -> int:
        return 2 if self.gaps else 1

    def encode(self, cells: Sequence[str], lines: Sequence[int]) -> tuple[NDArray[np.float64], list[str]]:
        """The numbers [rows, width], and the texts that are not known (words alone).

        Raises
        ------
        ArgumentError
            A text where a number is expected, or one that is infinite.
        """
        unknown = []
        if self.words is None:
            values, bad = numbers_of(cells)
            if bad:
                raise ArgumentError(
                    f"column {self.name!r}: {cells[bad[0]]!r} in line {lines[bad[0]]} is no number, and the "
                    "model was trained on numbers; mend it, or leave the cell empty"
                )
            _refuse_infinite(self.name, values, cells, lines)
        else:
            values = np.array([self.words.get(cell.lower(), math.nan) for cell in cells])
            unknown = [cell for cell in cells if cell.lower() not in self.words and not is_gap(cell)]
        missing = np.isnan(values)
        columns = [np.where(missing, self.median, values)]
        if self.gaps:
            columns.append(missing.astype(np.float64))
        return np.stack(columns, axis=1), unknown


@dataclass(frozen=True)
class Category:
    """A column of categories: a column of 0 and 1 for each, and one for gaps where training had any."""

    name: str
    values: tuple[str, ...]
    gaps: bool
    whole: bool = False  # whether they are whole numbers, so that 3 and 3.0 are one category

    @property
    def width(self) -> int:
        return len(self.values) + self.gaps

    def encode(self, cells: Sequence[str], lines: Sequence[int]) -> tuple[NDArray[np.float64], list[str]]:
        """0 and 1 [rows, width], and the texts that are not known, which count as gaps."""
        place = {value: k for k, value in enumerate(self.values)}
        found = [_whole(cell) if self.whole else cell for cell in cells]
        gap = len(self.values)
        index = np.array([place.get(cell, gap) for cell in found])
        one_hot = np.eye(gap + 1)[index][:, : self.width]
        return one_hot, [cell for cell in found if cell not in place and not is_gap(cell)]


@dataclass(frozen=True)
class LeftOut:
    """A column that the network does not see, and why."""

    name: str
    reason: str


def is_gap(cell: str) -> bool:
    return cell.lower() in GAPS


def numbers_of(cells: Sequence[str]) -> tuple[NDArray[np.float64], list[int]]:
    """The values, NaN for a gap, and the rows of what is neither. [rows]"""
    try:  # at once where there is nothing to look for
        values = np.fromiter(map(float, cells), np.float64, len(cells))
        if "_" not in "".join(cells):
            return values, []
    except ValueError:
        values = np.full(len(cells), math.nan)
    bad = []
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell)
        except ValueError:
            if not is_gap(cell):
                bad.append(row)
        else:
            if "_" in cell:  # Python's 1_000 is nobody else's
                bad.append(row)
    return values, bad


def infer(
    name: str, cells: Sequence[str], lines: Sequence[int], training: NDArray[np.int64]
) -> Number | Category | LeftOut:
    """What a column is, and what is to be remembered of its training rows.

    Raises
    ------
    ArgumentError
        Dates, numbers with a comma, infinite numbers, or a few texts among numbers.
    """
    different = set(cells)  # of which there are few, often: each is looked at once
    missing = {cell for cell in different if is_gap(cell)}
    learnt = [cells[row] for row in training]
    kept = set(learnt) - missing
    if re.fullmatch(r"column \d+", name):
        return LeftOut(name, "it has no name")
    if not kept:
        return LeftOut(name, "it has no values")
    gaps = not missing.isdisjoint(learnt)
    if len(kept) == 1 and not gaps:
        return LeftOut(name, "it is always the same")
    words = words_of(different - missing)
    if words is not None:
        values = np.array([words[cell.lower()] for cell in learnt if cell not in missing])
        return Number(name, float(np.median(values)), gaps, words)
    values, bad = numbers_of(cells)
    if not refuse_mixtures(
        name, cells, lines, values, bad, f"or leave the column out by --drop {_quoted(name)}"
    ):
        present = sum(cell not in missing for cell in cells)
        if len(kept) > CATEGORIES or len(kept) > max(3, present / 2):
            return LeftOut(name, f"{len(different - missing):,} different texts are no categories")
        return Category(name, tuple(sorted(kept)), gaps)
    measured = values[training][~np.isnan(values[training])]
    found, counts = np.unique(measured, return_counts=True)
    if 3 <= len(found) <= FEW and counts.min() >= OFTEN and (found % 1 == 0).all():
        return Category(name, tuple(_whole(repr(value)) for value in found.tolist()), gaps, whole=True)
    return Number(name, float(np.median(measured)), gaps)


def refuse_mixtures(
    name: str,
    cells: Sequence[str],
    lines: Sequence[int],
    values: NDArray[np.float64],
    bad: list[int],
    otherwise: str,
) -> bool:
    """Whether the column is one of numbers; what is neither numbers nor texts is refused.

    ``otherwise`` is how the user may do without the column.

    Raises
    ------
    ArgumentError
        As for ``infer``.
    """
    if not bad:
        _refuse_infinite(name, values, cells, lines)
        return True
    present = sum(not is_gap(cell) for cell in cells)
    for pattern, what, advice in (
        (_DATE, "dates", "turn them into numbers first, a year and a month for instance"),
        (_COMMA, "numbers with a comma", "write them with a point, and without marks for thousands"),
    ):
        matching = [row for row in bad if pattern.fullmatch(cells[row])]
        if len(matching) > 0.5 * present:
            first = matching[0]
            raise ArgumentError(
                f"column {name!r} has {what} ({cells[first]!r} in line {lines[first]}); {advice}, {otherwise}"
            )
    different = len(np.unique(values[~np.isnan(values)]))
    if len(bad) <= 0.1 * present and different > CATEGORIES:
        first = bad[0]
        others = f" and {len(bad) - 1} more like it" if len(bad) > 1 else ""
        raise ArgumentError(
            f"column {name!r} has {present - len(bad):,} numbers, but {cells[first]!r} in line {lines[first]}"
            f"{others}; mend it, leave the cell empty, {otherwise}"
        )
    return False


def words_of(texts: set[str]) -> dict[str, float] | None:
    """The words that mean 0 and 1, where there is nothing else."""
    found = {text.lower() for text in texts}
    return next((words for words in WORDS if found and found <= set(words)), None)


def _refuse_infinite(
    name: str, values: NDArray[np.float64], cells: Sequence[str], lines: Sequence[int]
) -> None:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = int(infinite[0])
        raise ArgumentError(
            f"column {name!r}: {cells[row]!r} in line {lines[row]} is not finite; mend it, or leave the cell "
            "empty"
        )


def _whole(cell: str) -> str:
    """ "3" for 3, 3.0 and 3e0; what is no whole number stays as it is."""
    try:
        value = float(cell)
    except ValueError:
        return cell
    return str(int(value)) if math.isfinite(value) and value == int(value) else cell


def _quoted(name: str) -> str:
    return f"'{name}'" if re.search(r"[^\w.-]", name) else name


def column_from(stored: dict[str, Any]) -> Number | Category:
    """The column that ``vars`` described, read back from JSON."""
    fields = dict(stored)
    if fields.pop("kind") == "number":
        return Number(**fields)
    return Category(**{**fields, "values": tuple(fields["values"])})
