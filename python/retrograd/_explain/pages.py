"""Reports as pages: HTML with MathML, and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from retrograd._explain.expression import Expression
from retrograd._explain.notation import LATEX, MATHML, Digits
from retrograd._explain.plain import aligned_rows, cut_table
from retrograd._explain.report import Block, Cell, Heading, Line, Section, Shown, Table, Text
from retrograd._explain.rows import has_formula, has_numbers, relations

__all__ = ["html_document", "html_fragment", "latex_document"]

ROOM = 46  # characters of one formula that stay together on a page
_TABLE_COLUMNS = 95
_TABLE_ROWS = 40  # a tabular does not break across pages

STYLE = """
.rg-explain{--ink:#1b1f24;--soft:#57606a;--rule:#d0d7de;--panel:#f6f8fa;--accent:#0b5cad;color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;max-width:62rem;
margin:0 auto;padding:1rem 1.25rem 3rem;box-sizing:border-box}
.rg-explain h1{font-size:1.7rem;line-height:1.25;margin:.6rem 0 1rem}
.rg-explain h2{font-size:1.25rem;margin:2.4rem 0 .8rem;padding-bottom:.3rem;
border-bottom:2px solid var(--accent)}
.rg-explain h3{font-size:1.05rem;margin:1.6rem 0 .5rem}
.rg-explain h4{font-size:.95rem;margin:1rem 0 .3rem;color:var(--soft);font-weight:600}
.rg-explain p{margin:.6rem 0}
.rg-explain .lines{margin:.5rem 0 1rem;padding:.5rem .9rem;background:var(--panel);
border-left:3px solid var(--rule);border-radius:0 4px 4px 0;overflow-x:auto}
.rg-explain .line{padding:.28rem 0 .28rem 1.6rem;text-indent:-1.6rem}
.rg-explain .line math{text-indent:0;font-size:1.05em}
.rg-explain .result{color:var(--accent);white-space:nowrap}
.rg-explain .note{color:var(--soft);font-size:.86em;margin-left:.6em;white-space:nowrap}
.rg-explain .scroll{overflow-x:auto}
.rg-explain table{border-collapse:collapse;margin:.6rem 0 1rem;font-size:.95em;color:inherit}
.rg-explain th,.rg-explain td{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--rule);
text-align:left;vertical-align:baseline;background:none;color:inherit}
.rg-explain th{font-weight:600;border-bottom:2px solid var(--rule)}
.rg-explain .number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
@media (prefers-color-scheme:dark){.rg-explain{--ink:#e6edf3;--soft:#9aa5b1;--rule:#3a424c;--panel:#171c23;
--accent:#6cb6ff}}
@media print{.rg-explain .line{break-inside:avoid}.rg-explain h2,.rg-explain h3,
.rg-explain h4{break-after:avoid}}
"""
_PAGE_STYLE = """
html{background:#fff;color-scheme:light dark}
body{margin:0}
@media (prefers-color-scheme:dark){html{background:#0d1117}}
"""


# ------------------------------------------------------------------------------------------------- HTML


def html_document(title: str, sections: Sequence[Section], digits: Digits) -> str:
    """A page of its own."""
    head = '<meta charset="utf-8"/>\n<meta name="viewport" content="width=device-width, initial-scale=1"/>'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n<title>{escape(title)}</title>\n'
        f"<style>{_PAGE_STYLE}</style>\n</head>\n<body>\n{html_fragment(title, sections, digits)}\n"
        "</body>\n</html>\n"
    )


def html_fragment(title: str, sections: Sequence[Section], digits: Digits) -> str:
    """The report within a page of somebody else's."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for number, section in enumerate(sections):
        parts.append(f"<section>\n<h2>{number}. {escape(section.title)}</h2>")
        parts += [_html_block(block, digits) for block in section.blocks]
        parts.append("</section>")
    body = "\n".join(parts)
    return f'<style>{STYLE}</style>\n<article class="rg-explain">\n{body}\n</article>'


def _html_cell(cell: Cell, digits: Digits) -> str:
    if isinstance(cell, Shown):
        return escape(digits(cell.quantity.number).replace("-", "−"))
    return f"<math>{MATHML.write(cell)}</math>" if isinstance(cell, Expression) else escape(cell)


def _html_block(block: Block, digits: Digits) -> str:
    if isinstance(block, Heading):
        level = block.level + 2
        return f"<h{level}>{escape(block.text)}</h{level}>"
    if isinstance(block, Text):
        return f"<p>{''.join(_html_cell(part, digits) for part in block.parts)}</p>"
    if isinstance(block, Table):
        return _html_table(block, digits)
    lines = "\n".join(_html_line(line, digits) for line in block.lines)
    return f'<div class="lines">\n{lines}\n</div>'


def _html_table(table: Table, digits: Digits) -> str:
    numeric = [
        bool(table.rows) and all(isinstance(row[column], Shown) for row in table.rows)
        for column in range(len(table.head))
    ]

    def row(tag: str, cells: Sequence[Cell]) -> str:
        written = []
        for cell, right in zip(cells, numeric, strict=True):
            side = ' class="number"' if right else ""
            written.append(f"<{tag}{side}>{_html_cell(cell, digits)}</{tag}>")
        return f"<tr>{''.join(written)}</tr>"

    body = "".join(row("td", cells) for cells in table.rows)
    head = row("th", table.head)
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _math(inside: str) -> str:
    # fractions as large as in a formula of its own
    return f'<math displaystyle="true">{inside}</math>'


def _html_line(line: Line, digits: Digits) -> str:
    # a browser breaks a row between two formulas, but never within one
    first, last = relations(line, digits)
    parts: list[tuple[str, Digits | None]] = [("=", None)] if has_formula(line, digits) else []
    if has_numbers(line, digits):
        parts.append((first, digits))
    maths, name = [], MATHML.write(line.quantity)
    for relation, shown in parts:
        pieces = [text for text, _ in MATHML.pieces(line.formula, shown, ROOM)]
        lead, name = f"{name}<mo>{relation}</mo>", ""
        maths.append("<wbr/>".join([_math(lead + pieces[0]), *map(_math, pieces[1:])]))
    result = f"<math>{name}<mo>{last}</mo>{MATHML.number(digits(line.quantity.number))}</math>"
    note = f' <span class="note">({escape(line.note)})</span>' if line.note else ""
    return f'<div class="line">{" ".join(maths)} <span class="result">{result}</span>{note}</div>'


# ------------------------------------------------------------------------------------------------ LaTeX

_PREAMBLE = r"""\documentclass[10pt,a4paper,fleqn]{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\setlength{\oddsidemargin}{-0.4cm}
\setlength{\textwidth}{16.7cm}
\setlength{\topmargin}{-1.2cm}
\setlength{\textheight}{24.5cm}
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt}
\setlength{\mathindent}{1.5em}
\allowdisplaybreaks
\begin{document}
"""
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "→": r"$\to$",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "−": "$-$",
    "·": r"$\cdot$",
    "∂": r"$\partial$",
    "Σ": r"$\Sigma$",
    "δ": r"$\delta$",
    "ŷ": r"$\hat y$",
    "ᵀ": r"$^T$",
    "′": r"$'$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "²": "$^2$",
    "‖": r"$\Vert$",
    "√": r"$\surd$",
    "ς": r"$\varsigma$",
    "κ": r"$\kappa$",
    "η": r"$\eta$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "σ": r"$\sigma$",
}


def latex_text(text: str) -> str:
    """Words for LaTeX; letters that its standard fonts lack by their number."""
    written: list[str] = []
    for character in text:
        if character == "\u0302":  # a hat on the letter before
            written[-1] = f"$\\hat {written[-1]}$"
        elif ord(character) < 128 or character in _ESCAPES:
            written.append(_ESCAPES.get(character, character))
        else:
            written.append(f"[U+{ord(character):04X}]")
    return "".join(written)


def latex_document(title: str, sections: Sequence[Section], digits: Digits) -> str:
    """A document to compile."""
    parts = [_PREAMBLE, rf"\section*{{{latex_text(title)}}}"]
    for number, section in enumerate(sections):
        parts.append(rf"\section*{{{number}\quad {latex_text(section.title)}}}")
        parts += [_latex_block(block, digits) for block in section.blocks]
    return "\n".join([*parts, r"\end{document}", ""])


def _latex_cell(cell: Cell, digits: Digits) -> str:
    if isinstance(cell, Shown):
        return f"${LATEX.number(digits(cell.quantity.number))}$"
    return f"${LATEX.write(cell)}$" if isinstance(cell, Expression) else latex_text(cell)


def _latex_block(block: Block, digits: Digits) -> str:
    if isinstance(block, Heading):
        kind = "subsection" if block.level == 1 else "subsubsection"
        return rf"\{kind}*{{{latex_text(block.text)}}}"
    if isinstance(block, Text):
        return "".join(_latex_cell(part, digits) for part in block.parts) + "\n"
    if isinstance(block, Table):
        return "\n".join(_latex_table(part, digits) for part in cut_table(block, digits, _TABLE_COLUMNS))
    lines = [
        Line(line.quantity, line.formula, latex_text(line.note)) if line.note else line
        for line in block.lines
    ]
    return f"\\begin{{align*}}\n{aligned_rows(lines, digits)}\n\\end{{align*}}"


def _latex_table(table: Table, digits: Digits) -> str:
    kinds = []
    for column in range(len(table.head)):
        cells = [row[column] for row in table.rows]
        long = max((len(cell) for cell in cells if isinstance(cell, str)), default=0) > 45
        numeric = bool(cells) and all(isinstance(cell, Shown) for cell in cells)
        kinds.append("r" if numeric else r"p{10.5cm}" if long else "l")
    head = " & ".join(_latex_cell(cell, digits) for cell in table.head)
    rows = [" & ".join(_latex_cell(cell, digits) for cell in row) for row in table.rows]
    written = []
    for first in range(0, max(1, len(rows)), _TABLE_ROWS):
        body = "".join(f"{row} \\\\\n" for row in rows[first : first + _TABLE_ROWS])
        written.append(
            f"\\begin{{center}}\n\\begin{{tabular}}{{{''.join(kinds)}}}\n{head} \\\\\n\\hline\n{body}"
            "\\end{tabular}\n\\end{center}"
        )
    return "\n".join(written)
