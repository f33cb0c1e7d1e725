"""Pictures of a computation graph, as SVG and as DOT, without any other program."""

from __future__ import annotations

from retrograd._arguments import Record


class Cell(Record):
    """One node of a picture, everything about it as text.

    Parameters
    ----------
    name
        Unique: "w", "multiply_0", "dense_0.z".
    op
        "multiply"; "" for leaves.
    kind
        "input", "placeholder", "parameter", "constant" or "operation".
    value, gradient
        As they are to be shown: "3", "-0.25", "(4, 3)"; "" where unknown or none.
    inputs
        Positions of earlier cells: a list of cells is in topological order.
    local
        For each input the text of d this / d input; "" where unknown.
    visit
        The position in backward's order, from 1; None where backward does not come.
    """

    name: str
    op: str
    kind: str
    value: str
    gradient: str
    inputs: tuple[int, ...]
    local: tuple[str, ...]
    visit: int | None

    def __init__(
        self,
        name: str,
        op: str,
        kind: str,
        value: str,
        gradient: str,
        inputs: tuple[int, ...],
        local: tuple[str, ...],
        visit: int | None,
    ) -> None:
        self._set(
            name=name,
            op=op,
            kind=kind,
            value=value,
            gradient=gradient,
            inputs=inputs,
            local=local,
            visit=visit,
        )
