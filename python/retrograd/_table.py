"""Tables of strings, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["bytes_text", "count_text", "html_paragraph", "html_table", "text_table"]

_CELL = "padding:2px 12px 2px 0;border:none;white-space:nowrap"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines: the head, a rule, the rows; the first ``left`` columns begin at the left, numbers end at the
    right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            f"{cell:{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return [line(head), "-" * (sum(widths) + 2 * (len(head) - 1)), *map(line, rows)]


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The same as HTML, every text escaped; inline styles alone, in the colours of the page around it."""
    from html import escape  # imported where it is used: few programs show a table

    sides = ["left" if column < left else "right" for column in range(len(head))]

    def line(row: Sequence[str], tag: str, border: str = "") -> str:
        cells = (
            f'<{tag} style="{_CELL};text-align:{side}{border}">{escape(cell)}</{tag}>'
            for cell, side in zip(row, sides, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    titles = line(head, "th", ";border-bottom:1px solid currentColor")
    lines = "".join(line(row, "td") for row in rows)
    style = "border-collapse:collapse;margin:4px 0;font-variant-numeric:tabular-nums"
    return f'<table style="{style}"><thead>{titles}</thead><tbody>{lines}</tbody></table>'


def html_paragraph(lines: Sequence[str], faint: bool = False) -> str:
    """Lines of text, escaped here, one under the other."""
    from html import escape

    style = "margin:2px 0" + (";opacity:.75;font-size:90%" if faint else "")
    return f'<div style="{style}">{"<br>".join(map(escape, lines))}</div>'


def bytes_text(size: float) -> str:
    """1234 -> "1.23 kB"."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def count_text(number: float) -> str:
    """1234567 -> "1.23 M"."""
    for unit in ("", " k", " M", " G"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} T"
