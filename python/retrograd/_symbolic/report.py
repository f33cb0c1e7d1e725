"""What the comparison with SymPy found."""

from __future__ import annotations

import html
import math
from typing import Any

from retrograd._arguments import Record
from retrograd._symbolic.passes import element_name

TOLERANCE = 1e-12
SHOWN = 12  # elements that a report lists one by one
LONGEST = 96  # characters of a formula there


class Element(Record):
    """The derivative by one number.

    Attributes
    ----------
    leaf, index
        Which number: an element of a parameter or placeholder.
    expression
        SymPy's derivative of the whole expression.
    backward
        What backpropagation builds of it by the chain rule, in SymPy's expressions too.
    decided
        How the two were compared: "exactly", "30 digits" at random points; "different" where they are not
        the same, "not decided" where no point could be found at which both have a number.
    engine, symbolic
        The engine's number, and SymPy's with 30 digits, rounded to a float.
    error
        |engine - symbolic|, divided by the sizes of the terms that the derivative adds up: where they cancel,
        what they were before counts. Absolute where there are none.
    """

    leaf: str
    index: tuple[int, ...]
    expression: Any
    backward: Any
    decided: str
    engine: float
    symbolic: float
    error: float

    def __init__(
        self,
        leaf: str,
        index: tuple[int, ...],
        expression: Any,
        backward: Any,
        decided: str,
        engine: float,
        symbolic: float,
        error: float,
    ) -> None:
        self._set(
            leaf=leaf,
            index=index,
            expression=expression,
            backward=backward,
            decided=decided,
            engine=engine,
            symbolic=symbolic,
            error=error,
        )

    @property
    def name(self) -> str:
        """``w``, ``dense_0.weight[0, 1]``"""
        return element_name(self.leaf, self.index)

    @property
    def passed(self) -> bool:
        """Whether both comparisons hold."""
        return self.decided in ("exactly", "30 digits") and self.error <= TOLERANCE

    @property
    def formula(self) -> str:
        """The expression as text, the beginning of a long one."""
        text = str(self.expression)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."

    def __str__(self) -> str:
        numbers = f"engine {self.engine:.15g}, SymPy {self.symbolic:.15g}, error {self.error:.1e}"
        return f"d/d {self.name} = {self.formula}\n    {numbers}; formulas: {self.decided}"


class SymbolicReport:
    """What :func:`check_symbolic` and ``Graph.verify_symbolically`` found; print it.

    Attributes
    ----------
    elements
        One for every number that was differentiated by.
    max_relative_error
        The largest ``error`` of them.
    worst
        The element that agrees least: of different formulas if there are any, else with the largest error;
        None where there are no elements.
    corners
        Whether the values lie on a corner of a function, a ReLU at 0 for one.
    stopped
        Whether the graph has operands without a gradient (targets, stop_gradient), which SymPy was told to
        take as constants.
    """

    def __init__(
        self,
        elements: list[Element],
        corners: bool = False,
        stopped: bool = False,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.elements = elements
        self.corners = corners
        self.stopped = stopped
        self.tolerance = tolerance

    @property
    def max_relative_error(self) -> float:
        """0 where nothing was compared."""
        return max((element.error for element in self.elements), default=0.0)

    @property
    def worst(self) -> Element | None:
        """The element to look at first."""
        return max(
            self.elements,
            key=lambda e: (e.decided in ("different", "not decided"), e.error),
            default=None,
        )

    @property
    def passed(self) -> bool:
        """Whether all formulas are the same and all numbers agree."""
        return all(element.passed for element in self.elements)

    def __bool__(self) -> bool:
        return self.passed

    def count(self, decided: str) -> int:
        """How many elements were decided in that way."""
        return sum(element.decided == decided for element in self.elements)

    def _headline(self) -> str:
        words = ("exactly", "30 digits", "different", "not decided")
        how = ", ".join(f"{self.count(word)} {word}" for word in words if self.count(word))
        return (
            f"symbolic check {'passed' if self.passed else 'FAILED'}: largest relative error "
            f"{self.max_relative_error:.1e} (allowed {self.tolerance:.0e}) of {len(self.elements):,} "
            f"derivatives; formulas: {how or 'none'}"
        )

    def _remarks(self) -> list[str]:
        lines = []
        if self.stopped:
            lines.append(
                "A loss's target and what went through rg.ops.stop_gradient have no gradient by definition; "
                "SymPy took them as constants."
            )
        if self.corners:
            lines.append(
                "These values lie on a corner (a ReLU at 0, say), where there is no derivative: there the "
                "engine's convention was compared, 0 for relu, a half for each of two equal numbers."
            )
        if self.count("30 digits"):
            lines.append(
                "30 digits: SymPy did not bring the difference to 0; both were evaluated at random points "
                "away from corners."
            )
        if self.count("different"):
            lines.append(
                "The backward rules do not give the derivative of this expression. If the graph is of rg.ops "
                "alone, this is a fault of retrograd: please report it with this text."
            )
        if self.count("not decided"):
            lines.append(
                "Not decided: near these values the expressions have no real number (a logarithm or root of "
                "a negative number, a division by 0). Choose other values."
            )
        if any(not element.error <= self.tolerance for element in self.elements):
            lines.append(
                "The engine's number is not the derivative at these values. Gradients may belong to another "
                "pass, or rounding was large: try values nearer to 1, and rg.check_gradients."
            )
        return lines

    def __str__(self) -> str:
        lines = [self._headline()]
        if len(self.elements) <= SHOWN:
            lines += [str(element) for element in self.elements]
        if self.worst is not None and (not self.passed or len(self.elements) > SHOWN):
            lines.append(f"worst: {self.worst}")
            if self.worst.decided == "different":
                lines.append(f"    backpropagation builds {self.worst.backward}")
        return "\n".join(lines + self._remarks())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(e.name)}</td>"
            f'<td style="text-align: left"><code>{html.escape(e.formula)}</code></td>'
            f"<td>{e.decided}</td><td>{e.engine:.15g}</td><td>{e.symbolic:.15g}</td>"
            f"<td>{e.error:.1e}</td></tr>"
            for e in sorted(self.elements, key=lambda e: e.passed)[: 10 * SHOWN]
        )
        heads = "".join(
            f"<th>{head}</th>"
            for head in ("by", "SymPy's derivative", "formulas", "engine", "SymPy", "error")
        )
        remarks = "".join(f"<p>{html.escape(line)}</p>" for line in self._remarks())
        left = len(self.elements) - 10 * SHOWN
        more = f"<p>and {left:,} more, in .elements</p>" if left > 0 else ""
        return f"<p>{html.escape(self._headline())}</p><table><tr>{heads}</tr>{rows}</table>{more}{remarks}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values: formulas are texts, a number that is not finite is None."""

        def plain(number: float) -> float | None:
            return number if math.isfinite(number) else None

        return {
            "passed": self.passed,
            "max_relative_error": plain(self.max_relative_error),
            "tolerance": self.tolerance,
            "corners": self.corners,
            "elements": [
                {
                    "leaf": e.leaf,
                    "index": list(e.index),
                    "expression": str(e.expression),
                    "backward": str(e.backward),
                    "decided": e.decided,
                    "engine": plain(e.engine),
                    "symbolic": plain(e.symbolic),
                    "error": plain(e.error),
                }
                for e in self.elements
            ],
        }
