"""What a report is made of: sections of text, tables and lines; and the object that writes them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from retrograd._arguments import Record
from retrograd._explain.expression import Expression, Quantity
from retrograd._explain.notation import PYTHON, Digits

if TYPE_CHECKING:
    from retrograd._core import Array
    from retrograd._trace import LayerTrace, Trace

__all__ = ["Cell", "Explanation", "Heading", "Line", "Lines", "Section", "Shown", "Table", "Text"]


class Shown(Record):
    """A quantity of which a table shows the number, not the symbol."""

    quantity: Quantity

    def __init__(self, quantity: Quantity) -> None:
        self._set(quantity=quantity)


Cell: TypeAlias = str | Expression | Shown  # an expression is written with symbols


class Line(Record):
    """quantity = formula = the formula with numbers = the quantity's number"""

    quantity: Quantity
    formula: Expression
    note: str

    def __init__(self, quantity: Quantity, formula: Expression, note: str = "") -> None:
        self._set(quantity=quantity, formula=formula, note=note)


class Text(Record):
    """A paragraph: words and symbols, one after another."""

    parts: tuple[Cell, ...]

    def __init__(self, *parts: Cell) -> None:
        self._set(parts=parts)


class Heading(Record):
    """A title within a section; level 1 or 2."""

    text: str
    level: int

    def __init__(self, text: str, level: int = 1) -> None:
        self._set(text=text, level=level)


class Table(Record):
    """A row of titles and rows of cells."""

    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __init__(self, head: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> None:
        self._set(head=tuple(head), rows=tuple(tuple(row) for row in rows))


class Lines(Record):
    """Lines that belong together."""

    lines: tuple[Line, ...]

    def __init__(self, lines: Sequence[Line]) -> None:
        self._set(lines=tuple(lines))


Block: TypeAlias = Text | Heading | Table | Lines


class Section(Record):
    """A title and what stands below it."""

    title: str
    blocks: tuple[Block, ...]

    def __init__(self, title: str, blocks: Sequence[Block]) -> None:
        self._set(title=title, blocks=tuple(blocks))


class Explanation:
    """The whole calculation of one training step; print it, or let a notebook show it.

    ``report["dense_0"].delta`` and the like are the numbers themselves: see
    :class:`retrograd._trace.LayerTrace`.

    Attributes
    ----------
    loss, loss_after
        The weighted mean over the samples before and after the update, without penalty.
    trace, trace_after
        Every number of the step, and of the same samples with the new parameters.
    before, after
        Parameter -> its numbers before and after the update.
    digits
        Significant digits that are shown; 17 are exact.
    """

    def __init__(
        self,
        sections: Sequence[Section],
        trace: Trace,
        trace_after: Trace,
        before: dict[str, Array],
        after: dict[str, Array],
        digits: Digits,
        facts: dict[str, Any],
    ) -> None:
        self._sections = tuple(sections)
        self.trace = trace
        self.trace_after = trace_after
        self.loss = trace.loss
        self.loss_after = trace_after.loss
        self.before = before
        self.after = after
        self.digits = digits.count
        self._digits = digits
        self._facts = facts

    def __getitem__(self, name: str) -> LayerTrace:
        return self.trace[name]

    @property
    def title(self) -> str:
        """What stands above it."""
        return str(self._facts["title"])

    def lines(self) -> Iterator[Line]:
        """Every line of every section, in order."""
        for section in self._sections:
            for block in section.blocks:
                if isinstance(block, Lines):
                    yield from block.lines

    def to_text(self) -> str:
        """For a terminal: columns of one width, at most 100 of them."""
        from retrograd._explain.plain import text_document

        return text_document(self.title, self._sections, self._digits)

    def to_markdown(self) -> str:
        """Tables, and formulas in ``math`` blocks, as GitHub shows them."""
        from retrograd._explain.plain import markdown_document

        return markdown_document(self.title, self._sections, self._digits)

    def to_html(self) -> str:
        """A page that needs nothing else: formulas are MathML, there are no scripts."""
        from retrograd._explain.pages import html_document

        return html_document(self.title, self._sections, self._digits)

    def to_latex(self) -> str:
        """A document that compiles with amsmath alone."""
        from retrograd._explain.pages import latex_document

        return latex_document(self.title, self._sections, self._digits)

    def to_dict(self) -> dict[str, Any]:
        """For programs: numbers, strings, lists and dicts only, at full precision whatever ``digits`` is.

        ``{"format": "retrograd.explain", "version": 1, "title", "dtype", "loss", "loss_after", "symbols",
        "sections"}``. ``symbols`` has the number of every symbol that occurs. A section is ``{"title",
        "blocks"}``; a block has a ``"kind"``: ``"heading"`` and ``"text"`` with ``"text"``, ``"table"`` with
        ``"head"`` and ``"rows"``, ``"lines"`` with ``"lines"``, each ``{"symbol", "formula", "substituted",
        "result", "note"}``. A formula is a Python expression of symbols, what was substituted one of numbers;
        both use exp, log, tanh, erf, sqrt, abs, max, min, and sigmoid and sign, which Python's math lacks.
        """
        from retrograd._explain.plain import block_dict

        symbols: dict[str, float] = {}
        for line in self.lines():
            for leaf in (line.quantity, *line.formula.leaves()):
                if isinstance(leaf, Quantity):
                    symbols[PYTHON.write(leaf)] = leaf.number
        sections = [
            {"title": section.title, "blocks": [block_dict(block) for block in section.blocks]}
            for section in self._sections
        ]
        head = {"format": "retrograd.explain", "version": 1, **self._facts}
        return {
            **head,
            "loss": self.loss,
            "loss_after": self.loss_after,
            "symbols": symbols,
            "sections": sections,
        }

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        count = sum(1 for _ in self.lines())
        return f"<Explanation: {self.title}; {count:,} lines, loss {self.loss:.6g} -> {self.loss_after:.6g}>"

    def _repr_html_(self) -> str:
        from retrograd._explain.pages import html_fragment

        return html_fragment(self.title, self._sections, self._digits)
