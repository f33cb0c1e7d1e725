"""Tables for notebooks: inline styles only, in the colours of the page around them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL = "padding:2px 12px 2px 0;border:none;white-space:nowrap"


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table of texts, which are escaped here.

    Parameters
    ----------
    head, rows
        Titles of the columns, and a text for each of them in every row.
    words
        How many columns, from the left, hold words; the others hold numbers and stand to the right.
    """
    sides = ["left" if column < words else "right" for column in range(len(head))]
    titles = "".join(
        f'<th style="{_CELL};text-align:{side};border-bottom:1px solid currentColor">{escape(title)}</th>'
        for title, side in zip(head, sides, strict=True)
    )
    lines = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL};text-align:{side}">{escape(text)}</td>'
            for text, side in zip(row, sides, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    style = "border-collapse:collapse;margin:4px 0;font-variant-numeric:tabular-nums"
    return f'<table style="{style}"><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>'


def paragraphs_html(lines: Sequence[str], faint: bool = False) -> str:
    """Lines of text, escaped here, one under the other."""
    style = "margin:2px 0" + (";opacity:.75;font-size:90%" if faint else "")
    return f'<div style="{style}">{"<br>".join(map(escape, lines))}</div>'
