"""Reports of characters: text for a terminal, Markdown, and the dict for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrograd._explain.expression import Expression
from retrograd._explain.notation import LATEX, PYTHON, TEXT, Digits, width
from retrograd._explain.report import Block, Cell, Heading, Line, Section, Shown, Table, Text
from retrograd._explain.rows import rows_of

__all__ = ["aligned_rows", "block_dict", "cut_table", "markdown_document", "text_document"]

COLUMNS = 100


def cell_text(cell: Cell, digits: Digits) -> str:
    """A cell in characters."""
    if isinstance(cell, Shown):
        return TEXT.number(digits(cell.quantity.number))
    return TEXT.write(cell) if isinstance(cell, Expression) else cell


# ------------------------------------------------------------------------------------------------- text


def text_document(title: str, sections: Sequence[Section], digits: Digits) -> str:
    """The report for a terminal."""
    parts = [f"{title}\n{'=' * width(title)}"]
    for number, section in enumerate(sections):
        head = f"{number}  {section.title}"
        parts.append(f"\n{head}\n{'-' * width(head)}")
        parts += [_text_block(block, digits) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _text_block(block: Block, digits: Digits) -> str:
    if isinstance(block, Heading):
        return f"{'' if block.level == 1 else '  '}{block.text}" + (":" if block.level > 1 else "")
    if isinstance(block, Text):
        return _wrapped("".join(cell_text(part, digits) for part in block.parts))
    if isinstance(block, Table):
        return _text_table(block, digits)
    return "\n".join(_text_line(line, digits) for line in block.lines)


def _wrapped(text: str) -> str:
    rows, row = [], ""
    for word in text.split(" "):
        if row and width(row) + 1 + width(word) > COLUMNS:
            rows.append(row)
            row = word
        else:
            row = f"{row} {word}" if row else word
    return "\n".join([*rows, row])


def cut_table(table: Table, digits: Digits, room: int, gap: int = 3) -> list[Table]:
    """A table of too many columns as several, each with the first column."""
    rows = [[cell_text(cell, digits) for cell in row] for row in (table.head, *table.rows)]
    widths = [gap + max(width(row[column]) for row in rows) for column in range(len(table.head))]
    parts: list[list[int]] = [[0]]
    for column in range(1, len(widths)):
        if len(parts[-1]) > 1 and sum(widths[c] for c in parts[-1]) + widths[column] > room:
            parts.append([0])
        parts[-1].append(column)
    if len(parts) == 1:
        return [table]
    return [
        Table([table.head[c] for c in columns], [[row[c] for c in columns] for row in table.rows])
        for columns in parts
    ]


def _text_table(table: Table, digits: Digits) -> str:
    return "\n\n".join(_text_columns(part, digits) for part in cut_table(table, digits, COLUMNS))


def _text_columns(table: Table, digits: Digits) -> str:
    rows = [[cell_text(cell, digits) for cell in row] for row in (table.head, *table.rows)]
    numeric = [all(isinstance(row[column], Shown) for row in table.rows) for column in range(len(table.head))]
    widths = [max(width(row[column]) for row in rows) for column in range(len(table.head))]

    def line(row: list[str]) -> str:
        cells = []
        for text, size, right in zip(row, widths, numeric, strict=True):
            gap = " " * (size - width(text))
            cells.append(gap + text if right else text + gap)
        return ("  " + "   ".join(cells)).rstrip()

    rule = "  " + "─" * (sum(widths) + 3 * (len(widths) - 1))
    return "\n".join([line(rows[0]), rule, *(line(row) for row in rows[1:])])


def _text_line(line: Line, digits: Digits) -> str:
    indent = "    "
    name = TEXT.write(line.quantity)
    rows = rows_of(line, TEXT, digits, COLUMNS - len(indent))
    lead = " " * width(name)
    texts = []
    for position, row in enumerate(rows):
        relation = row.relation or " "
        texts.append(f"{indent}{lead if position else name} {relation} {row.text.lstrip()}")
    return "\n".join(texts) + (f"    ({line.note})" if line.note else "")


# --------------------------------------------------------------------------------------------- markdown


def markdown_document(title: str, sections: Sequence[Section], digits: Digits) -> str:
    """The report as GitHub shows it."""
    parts = [f"# {_markdown_text(title)}"]
    for number, section in enumerate(sections):
        parts.append(f"## {number}. {_markdown_text(section.title)}")
        parts += [_markdown_block(block, digits) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _markdown_text(text: str) -> str:
    for character in "\\`*_{}[]<>#|$&~":
        text = text.replace(character, f"\\{character}")
    return text


def _markdown_cell(cell: Cell, digits: Digits) -> str:
    if isinstance(cell, Shown | Expression):
        return cell_text(cell, digits).replace("|", "\\|")
    return _markdown_text(cell)


def _markdown_block(block: Block, digits: Digits) -> str:
    if isinstance(block, Heading):
        return f"{'##' + '#' * block.level} {_markdown_text(block.text)}"
    if isinstance(block, Text):
        return "".join(_markdown_cell(part, digits) for part in block.parts)
    if isinstance(block, Table):
        rows = [
            "| " + " | ".join(_markdown_cell(cell, digits) for cell in row) + " |"
            for row in (block.head, *block.rows)
        ]
        sides = [
            "---:" if all(isinstance(row[column], Shown) for row in block.rows) else "---"
            for column in range(len(block.head))
        ]
        return "\n".join([rows[0], "| " + " | ".join(sides) + " |", *rows[1:]])
    body = aligned_rows(block.lines, digits)
    return f"```math\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n```"


def aligned_rows(lines: Sequence[Line], digits: Digits, room: int = 84) -> str:
    """Lines as rows of LaTeX's align, on one column of relations."""
    written = []
    for line in lines:
        rows = []
        for row in rows_of(line, LATEX, digits, room):
            text = row.text.replace("≈", r"\approx")
            relation = {"=": "=", "≈": r"\approx", "": r"\quad "}[row.relation]
            rows.append(rf"&{relation} {text}")
        rows[0] = f"{LATEX.write(line.quantity)} {rows[0]}"
        if line.note:
            rows[-1] += rf" \qquad \text{{({line.note})}}"
        written.append(" \\\\\n".join(rows))
    return " \\\\[3pt]\n".join(written)


# ------------------------------------------------------------------------------------------------- dict


def block_dict(block: Block) -> dict[str, Any]:
    """A block for programs; see :meth:`Explanation.to_dict`."""
    if isinstance(block, Heading):
        return {"kind": "heading", "text": block.text, "level": block.level}
    if isinstance(block, Text):
        return {"kind": "text", "text": "".join(str(_plain(part)) for part in block.parts)}
    if isinstance(block, Table):
        return {
            "kind": "table",
            "head": [_plain(cell) for cell in block.head],
            "rows": [[_plain(cell) for cell in row] for row in block.rows],
        }
    return {"kind": "lines", "lines": [_line_dict(line) for line in block.lines]}


def _plain(cell: Cell) -> str | float:
    if isinstance(cell, Shown):
        return cell.quantity.number
    return PYTHON.write(cell) if isinstance(cell, Expression) else cell


def _line_dict(line: Line) -> dict[str, str | float]:
    exact = Digits.exact()
    return {
        "symbol": PYTHON.write(line.quantity),
        "formula": PYTHON.write(line.formula),
        "substituted": PYTHON.write(line.formula, exact),
        "result": line.quantity.number,
        "note": line.note,
    }
