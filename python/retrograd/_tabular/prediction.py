"""The predictions of a model for the rows of a table like the one it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from retrograd._tabular.preparation import Preparation
    from retrograd._tabular.reading import Table
    from retrograd.model import Model

__all__ = ["predictions", "warning_of"]


def predictions(
    net: Model, preparation: Preparation, table: Table, kind: str
) -> tuple[list[str], list[list[str]], dict[str, list[str]]]:
    """Names, rows of text, and what was unknown in which column.

    ``kind`` "probabilities" makes a column for each class, "target=class"; else there is one column, called
    after the target.

    Raises
    ------
    ArgumentError
        Columns that are missing or hold something else, or probabilities of a number.
    """
    classes = preparation.classes
    if kind == "probabilities" and classes is None:
        raise ArgumentError(
            f"--as probabilities: the model predicts {preparation.target!r}, a number, which has none; leave "
            "--as out"
        )
    x, strangers = preparation.encode(table)
    if kind == "probabilities" and classes is not None:
        chances = net.predict_proba(x)
        names = [f"{preparation.target}={label}" for label in classes]
        return names, [[f"{value:.9g}" for value in row] for row in chances], strangers
    output = net.predict(x)
    if classes is None:
        found = [f"{value:.9g}" for value in output[:, 0]]
    else:
        found = [classes[k] for k in np.argmax(output, axis=1)]
    return [preparation.target], [[value] for value in found], strangers


def warning_of(strangers: dict[str, list[str]]) -> str:
    """One line for all that was unknown."""
    parts = []
    for name, cells in strangers.items():
        different = sorted(set(cells))
        shown = ", ".join(map(repr, different[:3])) + (", ..." if len(different) > 3 else "")
        parts.append(f"{name} has {shown} in {len(cells):,} {'row' if len(cells) == 1 else 'rows'}")
    return f"warning: {'; '.join(parts)}: unknown from training, taken as missing"
