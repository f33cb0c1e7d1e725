"""A table as x and y, and what a model file remembers so that new rows become the same x."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import nearest, unknown
from retrograd._tabular.columns import (
    CATEGORIES,
    Category,
    LeftOut,
    Number,
    column_from,
    infer,
    is_gap,
    numbers_of,
    refuse_mixtures,
)
from retrograd.errors import ArgumentError, FileFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from retrograd._tabular.reading import Table

__all__ = ["KEY", "Preparation", "Target", "preparation_of", "prepare", "rows_with", "target_of"]

KEY = "table"  # in the metadata of a model file
_VERSION = 1
_CLASSES = 10  # a target of whole numbers is classes up to so many, where each has 10 rows on average


@dataclass(frozen=True)
class Target:
    """What is to be predicted: numbers, or the place of each row's class in ``classes``."""

    name: str
    classes: list[str] | None
    values: NDArray[Any]


@dataclass(frozen=True)
class Preparation:
    """What was measured of the rows trained on, and the names in order."""

    target: str
    classes: list[str] | None
    columns: list[Number | Category]
    delimiter: str

    def encode(self, table: Table) -> tuple[NDArray[np.float64], dict[str, list[str]]]:
        """x [rows, inputs], and what was unknown in which column.

        Raises
        ------
        ArgumentError
            Columns that the table has not, or texts where numbers are expected.
        """
        missing = [column.name for column in self.columns if column.name not in table.names]
        if missing:
            several = len(missing) > 1
            near = "" if several else nearest(missing[0], table.names)
            raise ArgumentError(
                f"{table.path}: {'columns' if several else 'a column'} of the training data "
                f"{'are' if several else 'is'} missing: {', '.join(missing)};{near} "
                f"there are {', '.join(table.names)}"
            )
        parts, strangers = [], {}
        for column in self.columns:
            part, unknown_texts = column.encode(table.column(column.name), table.lines)
            parts.append(part)
            if unknown_texts:
                strangers[column.name] = unknown_texts
        return np.concatenate(parts, axis=1), strangers

    def scales(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and std of each input. Columns of 0 and 1 stay so: 0 and 1.

        A category of five rows in twenty thousand would become 63 standard deviations.
        """
        number = np.concatenate(
            [np.arange(column.width) == (0 if isinstance(column, Number) else -1) for column in self.columns]
        )
        return np.where(number, x.mean(axis=0), 0.0), np.where(number, x.std(axis=0), 1.0)

    def to_json(self) -> str:
        columns = [
            {"kind": "number" if isinstance(column, Number) else "category", **vars(column)}
            for column in self.columns
        ]
        return json.dumps({"version": _VERSION, **vars(self), "columns": columns}, ensure_ascii=False)


def preparation_of(path: str, metadata: Mapping[str, str]) -> Preparation | None:
    """What a model file remembers of the table it was trained on; None where it was not one.

    Raises
    ------
    FileFormatError
        It cannot be understood.
    """
    if KEY not in metadata:
        return None
    try:
        stored = json.loads(metadata[KEY])
        version = stored.pop("version")
        if version == _VERSION:
            columns = [column_from(column) for column in stored.pop("columns")]
            return Preparation(columns=columns, **stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: its description of the table cannot be read ({error!r})") from None
    raise FileFormatError(
        f"{path}: its description of the table is of version {version}, expected {_VERSION}; it was written "
        "by a newer retrograd"
    )


def target_of(table: Table, name: str, task: str | None) -> Target:
    """The column to predict, which has no gaps any more, as numbers or classes.

    Texts and words like yes and no are classes, and so are up to 10 different whole numbers.

    Raises
    ------
    ArgumentError
        One value only, texts where ``task`` says number, too many classes, or what ``infer`` refuses.
    """
    cells = table.column(name)
    if len(set(cells)) == 1:
        raise ArgumentError(
            f"the target {name!r} is {cells[0]!r} in every row: there is nothing to learn; choose another"
        )
    values, bad = numbers_of(cells)
    numeric = task != "classes" and refuse_mixtures(
        name, cells, table.lines, values, bad, "or choose another target"
    )
    if task == "number" and not numeric:
        raise ArgumentError(
            f"the target {name!r} has {cells[bad[0]]!r} in line {table.lines[bad[0]]}, which is no number; "
            "leave --task number out, or mend the column"
        )
    if task == "number" or (numeric and not _few(values)):
        return Target(name, None, values)
    if not bad:
        cells = tuple(f"{value:.15g}" for value in values)  # 1 and 1.0 are one class
    classes = sorted(set(cells), key=(str if bad else float))
    if len(classes) > max(CATEGORIES, 2 * _CLASSES) or len(classes) > len(cells) / 2:
        raise ArgumentError(
            f"the target {name!r} has {len(classes):,} different values in {len(cells):,} rows, too many to "
            "be classes" + ("" if bad else "; for a number say --task number")
        )
    place = {label: k for k, label in enumerate(classes)}
    return Target(name, classes, np.array([place[cell] for cell in cells]))


def _few(values: NDArray[np.float64]) -> bool:
    different = np.unique(values)
    return bool((different % 1 == 0).all()) and len(different) <= min(_CLASSES, len(values) / 10)


def prepare(
    table: Table, target: Target, drop: Sequence[str], training: NDArray[np.int64], delimiter: str
) -> tuple[Preparation, list[LeftOut]]:
    """How the columns become numbers, and those that do not.

    Raises
    ------
    ArgumentError
        A column to drop that is not there, no column left, or a column that cannot be used.
    """
    for name in drop:
        if name not in table.names:
            raise unknown("--drop", name, table.names)
        if name == target.name:
            raise ArgumentError(f"--drop: {name!r} is the target; leave it out of --drop, or of --target")
    found = [
        infer(name, column, table.lines, training)
        for name, column in zip(table.names, table.columns, strict=True)
        if name != target.name and name not in drop
    ]
    columns = [column for column in found if not isinstance(column, LeftOut)]
    left_out = [column for column in found if isinstance(column, LeftOut)]
    if not columns:
        reasons = "".join(f"; {column.name}: {column.reason}" for column in left_out)
        raise ArgumentError(f"{table.path}: no column is left to predict {target.name!r} from{reasons}")
    return Preparation(target.name, target.classes, columns, delimiter), left_out


def rows_with(table: Table, name: str) -> Table:
    """The rows whose column ``name`` has a value."""
    cells = table.column(name)
    return table.rows([row for row, cell in enumerate(cells) if not is_gap(cell)])
