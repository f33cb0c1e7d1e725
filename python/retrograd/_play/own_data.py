"""Data that a reader brings: points, and CSV files."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np

from retrograd._arguments import finite_numbers
from retrograd._play.limits import LIMITS, SettingError
from retrograd.errors import ArgumentError

__all__ = ["checked_data", "read_csv"]


def checked_data(name: str, value: Any) -> dict[str, Any]:
    """Own data as a message or a file brings it: {"x": [[..]], "y": [..], "labels": [..], "task": ..}.

    Raises
    ------
    SettingError
        It is not that, too large, or has numbers that are not finite.
    """
    if not isinstance(value, dict) or not {"x", "y", "task"} <= set(value):
        raise SettingError(name, f"{name}: expected x, y, labels and task, got {repr(value)[:60]}")
    if value["task"] not in ("classes", "value"):
        raise SettingError(
            f"{name}.task", f"{name}.task: expected classes or value, got {value['task']!r:.60}"
        )
    try:
        x, y = finite_numbers(f"{name}.x", value["x"]), finite_numbers(f"{name}.y", value["y"])
    except (ArgumentError, TypeError) as error:
        raise SettingError(f"{name}.x", str(error)[:200]) from None
    most, columns = LIMITS["points"], LIMITS["columns"]
    if x.ndim != 2 or y.shape != (len(x),) or not 1 <= len(x) <= most or not 1 <= x.shape[1] <= columns:
        raise SettingError(
            f"{name}.x",
            f"{name}: x has shape {x.shape} and y {y.shape}; expected (n, m) and (n,), n to {most}, m to "
            f"{columns}",
        )
    labels: list[str] = []
    if value["task"] == "classes":
        given = value.get("labels") or []
        if not isinstance(given, list | tuple) or not all(isinstance(item, str) for item in given):
            raise SettingError(f"{name}.labels", f"{name}.labels: expected names, got {repr(given)[:60]}")
        if (y != np.floor(y)).any() or y.min() < 0 or y.max() >= LIMITS["classes"]:
            raise SettingError(
                f"{name}.y", f"{name}.y: labels must be whole numbers 0 to {LIMITS['classes'] - 1}"
            )
        count = max(2, int(y.max()) + 1, len(given))
        if count > LIMITS["classes"]:
            raise SettingError(f"{name}.labels", f"{name}: at most {LIMITS['classes']} classes, got {count}")
        labels = [item[:40] for item in given] + [str(k) for k in range(len(given), count)]
    return {"x": x.tolist(), "y": y.tolist(), "labels": labels, "task": value["task"]}


def read_csv(text: str) -> dict[str, Any]:
    """Rows of numbers, the last column the target: whole numbers or words are classes, others values.

    A first row without numbers is taken as a heading. Separators are commas, semicolons or tabs.

    Raises
    ------
    SettingError
        What is wrong, with the number of the line.
    """
    first = text.lstrip("\ufeff")[:2000].splitlines()[0] if text.strip() else ""
    separator = max(",;\t", key=first.count)
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=separator)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((reader.line_num, cells))
            if len(rows) > LIMITS["points"] + 1:
                break
    except csv.Error as error:
        raise SettingError("text", f"line {reader.line_num}: {error}") from None
    if rows and len(rows[0][1]) > 1 and not any(_is_number(cell) for cell in rows[0][1][:-1]):
        rows = rows[1:]
    if len(rows) < 2:
        raise SettingError("text", f"expected at least 2 rows of numbers, got {len(rows)}")
    if len(rows) > LIMITS["points"]:
        raise SettingError("text", f"at most {LIMITS['points']} rows, got more")
    return _read_rows(rows)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _read_rows(rows: list[tuple[int, list[str]]]) -> dict[str, Any]:
    width = len(rows[0][1])
    if not 2 <= width <= LIMITS["columns"] + 1:
        raise SettingError(
            "text",
            f"line {rows[0][0]}: has {width} columns, expected 2 to {LIMITS['columns'] + 1}, the last the "
            "target",
        )
    x: list[list[float]] = []
    for line, cells in rows:
        if len(cells) != width:
            raise SettingError("text", f"line {line}: has {len(cells)} columns, expected {width}")
        for column, cell in enumerate(cells[:-1], 1):
            if not _is_number(cell):
                raise SettingError(
                    "text", f"line {line}, column {column}: expected a finite number, got {cell[:40]!r}"
                )
        if not cells[-1]:
            raise SettingError("text", f"line {line}: the target, the last column, is empty")
        x.append([float(cell) for cell in cells[:-1]])
    targets = [cells[-1] for _, cells in rows]
    numbers = [_is_number(target) for target in targets]
    if any(numbers) and not all(numbers):
        line = rows[numbers.index(not numbers[0])][0]
        raise SettingError("text", f"line {line}: the target is a number in some rows and a word in others")
    if numbers[0]:
        values = [float(target) for target in targets]
        kinds = sorted(set(values))
        if any(value != int(value) for value in kinds) or len(kinds) > LIMITS["classes"]:
            return {"x": x, "y": values, "labels": [], "task": "value"}
        names = [str(int(value)) for value in kinds]
        places = [float(kinds.index(value)) for value in values]
    else:
        names = sorted(set(targets))
        if len(names) > LIMITS["classes"]:
            raise SettingError(
                "text",
                f"the target has {len(names)} different words, at most {LIMITS['classes']} classes can be "
                "shown",
            )
        places = [float(names.index(target)) for target in targets]
    if len(names) < 2:
        raise SettingError("text", f"all targets are {names[0]!r}; at least two classes are needed")
    return {"x": x, "y": places, "labels": names, "task": "classes"}
