"""Four ways to write a formula: Python, plain text, LaTeX and MathML.

Each class says how one piece is written; the walk over the tree, with its brackets and signs, is shared.
"""

from __future__ import annotations

import re
from html import escape
from typing import ClassVar

import numpy as np

from retrograd._explain.expression import (
    Call,
    Expression,
    Negative,
    Number,
    Power,
    Product,
    Quantity,
    Quotient,
    Sum,
)

__all__ = ["LATEX", "MATHML", "PYTHON", "TEXT", "Digits", "Notation", "width"]

# How tightly a piece holds together; what is looser than its place is put into brackets.
SUM, PRODUCT, FRACTION, POWER, ATOM = range(5)

# letter: name in Python, in text, in LaTeX; MathML makes its own of the text
LETTERS: dict[str, tuple[str, str, str]] = {
    "yhat": ("yhat", "ŷ", r"\hat{y}"),
    "mhat": ("mhat", "m̂", r"\hat{m}"),
    "vhat": ("vhat", "v̂", r"\hat{v}"),
    "vmax": ("vmax", "ṽ", r"\tilde{v}"),
    "delta": ("delta", "δ", r"\delta"),
    "huber": ("huber_delta", "κ", r"\kappa"),
    "omega": ("omega", "ω", r"\omega"),
    "eta": ("eta", "η", r"\eta"),
    "step": ("step", "Δ", r"\Delta"),
    "lambda": ("decay", "λ", r"\lambda"),
    "lambda1": ("l1", "λ₁", r"\lambda_1"),
    "lambda2": ("l2", "λ₂", r"\lambda_2"),
    "beta1": ("beta1", "β₁", r"\beta_1"),
    "beta2": ("beta2", "β₂", r"\beta_2"),
    "epsilon": ("eps", "ε", r"\varepsilon"),
    "mu": ("mu", "μ", r"\mu"),
    "mu_now": ("mu_now", "μₜ", r"\mu_t"),
    "mu_next": ("mu_next", "μₜ₊₁", r"\mu_{t+1}"),
    "M": ("M", "M", "M"),
    "tau": ("dampening", "τ", r"\tau"),
    "alpha": ("alpha", "α", r"\alpha"),
    "psi": ("psi", "ψ", r"\psi"),
    "change": ("change", "ΔL", r"\Delta L"),
    "lr_decay": ("lr_decay", "γ", r"\gamma"),
    "mean": ("mean", "x̄", r"\bar{x}"),
    "std": ("std", "std", r"\mathrm{std}"),
    "pi": ("pi", "π", r"\pi"),
    "rho": ("rho", "ρ", r"\rho"),
    "rectified": ("rectified", "r", "r"),
    "eta_minus": ("eta_minus", "η₋", r"\eta_-"),
    "eta_plus": ("eta_plus", "η₊", r"\eta_+"),
    "low": ("step_min", "Δ₋", r"\Delta_{\min}"),
    "high": ("step_max", "Δ₊", r"\Delta_{\max}"),
    "clip_norm": ("clip_norm", "C", "C"),
    "clip_value": ("clip_value", "V", "V"),
    "norm": ("norm", "‖g‖", r"\lVert g\rVert"),
    "scale": ("scale", "k", "k"),
    "smoothing": ("smoothing", "ς", r"\varsigma"),
    "selu_scale": ("selu_scale", "λₛ", r"\lambda_s"),
    "selu_alpha": ("selu_alpha", "αₛ", r"\alpha_s"),
    "ghat": ("g_clipped", "ĝ", r"\hat{g}"),
    "gdecay": ("g_decayed", "g̃", r"\tilde{g}"),
    "dot": ("dot", "c", "c"),
    "length": ("length_yhat", "‖ŷ‖", r"\lVert\hat{y}\rVert"),
    "target_length": ("length_y", "‖y‖", r"\lVert y\rVert"),
}
_MARKS = re.compile("[\u0300-\u036f]")
_SUBSCRIPTS = str.maketrans("0123456789,", "₀₁₂₃₄₅₆₇₈₉‚")
_SUPERSCRIPTS = str.maketrans("0123456789()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾")
_SYMBOL_NAMES = {
    "m̂": ("m", "^"),
    "v̂": ("v", "^"),
    "ŷ": ("y", "^"),
    "ĝ": ("g", "^"),
    "ṽ": ("v", "~"),
    "x̄": ("x", "¯"),
    "g̃": ("g", "~"),
}


class Digits:
    """How numbers are shown.

    Parameters
    ----------
    count
        Significant digits; 17 are exact.
    dtype
        Of the network: what counts as rounded depends on it.
    """

    def __init__(self, count: int, dtype: np.dtype[np.floating]) -> None:
        self.count = count
        self._slack = 2 * float(np.finfo(dtype).eps)

    @classmethod
    def exact(cls) -> Digits:
        """Whatever the dtype, texts that are read back as the same number."""
        return cls(17, np.dtype(np.float64))

    def __call__(self, value: float) -> str:
        if value == 0:
            return "0"
        # the shortest text that is read back as the same number is exact too
        text = repr(float(value)).removesuffix(".0") if self.count >= 17 else f"{value:.{self.count}g}"
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if exponent else mantissa

    def rounds(self, value: float) -> bool:
        """Whether the text says another number than the value, by more than its own last bits."""
        return abs(float(self(value)) - value) > self._slack * abs(value)

    def rounds_any(self, expression: Expression) -> bool:
        """The same for a formula with its numbers put in."""
        return any(self.rounds(leaf.value()) for leaf in expression.leaves() if isinstance(leaf, Quantity))


class Notation:
    """The walk over a tree; subclasses write the pieces."""

    times: ClassVar[str]
    plus: ClassVar[str]
    minus: ClassVar[str]
    negative: ClassVar[str]  # the sign of what stands alone
    brackets: ClassVar[tuple[str, str]] = ("(", ")")
    quotient_strength: ClassVar[int] = PRODUCT
    power_strength: ClassVar[int] = POWER

    def number(self, text: str) -> str:
        """A number as Digits wrote it."""
        raise NotImplementedError

    def symbol(self, quantity: Quantity) -> str:
        """A quantity's name."""
        raise NotImplementedError

    def quotient(self, top: str, bottom: str) -> str:
        """top over bottom, in brackets already where needed."""
        raise NotImplementedError

    def power(self, base: str, exponent: Expression, digits: Digits | None) -> str:
        """The base is in brackets already where needed."""
        raise NotImplementedError

    def call(self, name: str, arguments: list[str]) -> str:
        """A function of its arguments."""
        raise NotImplementedError

    def joined(self, pieces: list[str]) -> str:
        """Pieces side by side."""
        return "".join(pieces)

    def write(self, expression: Expression, digits: Digits | None = None) -> str:
        """With symbols; with numbers where ``digits`` says how."""
        return self._write(expression, digits)[0]

    def size(self, expression: Expression, digits: Digits | None = None) -> int:
        """About how many characters wide it is."""
        return width(TEXT.write(expression, digits))

    def pieces(self, expression: Expression, digits: Digits | None, room: int) -> list[tuple[str, int]]:
        """The same, cut where a row may end, with the width of each piece in characters."""
        size = self.size(expression, digits)
        if size > room:
            cut = self._cut(expression, digits, room)
            if cut is not None:
                return cut
        return [(self.write(expression, digits), size)]

    # ------------------------------------------------------------------------------------------- the walk

    def group(self, text: str) -> str:
        """In brackets."""
        return self.joined([self.brackets[0], text, self.brackets[1]])

    def _held(self, expression: Expression, digits: Digits | None, strength: int) -> str:
        text, own = self._write(expression, digits)
        return self.group(text) if own < strength else text

    def _write(self, expression: Expression, digits: Digits | None) -> tuple[str, int]:
        if isinstance(expression, Quantity) and digits is None:
            return self.symbol(expression), ATOM
        if isinstance(expression, Quantity | Number):
            exact = digits is None or isinstance(expression, Number)
            shown = (_EXACT if exact or digits is None else digits)(expression.value())
            strength = SUM if shown.startswith("-") else POWER if "e" in shown else ATOM
            return self.number(shown), strength
        if isinstance(expression, Sum):
            return self.joined(self._signed(expression, digits)), SUM
        if isinstance(expression, Product):
            factors = [self._held(factor, digits, FRACTION) for factor in expression.factors]
            return self.joined(_between(factors, self.times)), PRODUCT
        if isinstance(expression, Quotient):
            return self._quotient(expression, digits)
        if isinstance(expression, Power):
            base = self._held(expression.base, digits, ATOM)
            if digits is None and isinstance(expression.base, Quantity) and expression.base.layer:
                base = self.group(base)  # its layer stands where the exponent will
            return self.power(base, expression.exponent, digits), self.power_strength
        if isinstance(expression, Negative):
            return self.joined([self.negative, self._held(expression.of, digits, PRODUCT)]), SUM
        assert isinstance(expression, Call)
        return self.call(expression.function, [self.write(a, digits) for a in expression.arguments]), ATOM

    def _quotient(self, quotient: Quotient, digits: Digits | None) -> tuple[str, int]:
        loose = self.quotient_strength == FRACTION  # a fraction bar needs no brackets
        top = self._held(quotient.top, digits, SUM if loose else PRODUCT)
        bottom = self._held(quotient.bottom, digits, SUM if loose else FRACTION)
        return self.quotient(top, bottom), self.quotient_strength

    def _signed(self, total: Sum, digits: Digits | None) -> list[str]:
        """The terms, each but the first behind its sign."""
        texts = []
        for position, (sign, term) in enumerate(total.terms):
            text, strength = self._write(term, digits)
            bare = isinstance(term, Quantity | Number) and (digits is not None or isinstance(term, Number))
            if position and sign > 0 and bare and term.value() < 0:
                # + (-0.1) is written - 0.1
                shown = _EXACT if digits is None or isinstance(term, Number) else digits
                sign, text = -1, self.number(shown(-term.value()))
            elif strength == SUM and (position or sign < 0):
                text = self.group(text)
            if position:
                texts.append(self.joined([self.plus if sign > 0 else self.minus, text]))
            else:
                texts.append(text if sign > 0 else self.joined([self.negative, text]))
        return texts

    def _cut(self, expression: Expression, digits: Digits | None, room: int) -> list[tuple[str, int]] | None:
        if isinstance(expression, Sum):
            texts = self._signed(expression, digits)
            widths = [self.size(term, digits) + len(" + ") for term in expression.parts()]
            found: list[tuple[str, int]] = []
            for (sign, term), text, size in zip(expression.terms, texts, widths, strict=True):
                inner = self._cut(term, digits, room) if size > room else None
                if inner is not None and isinstance(term, Sum | Negative):
                    inner = self._enclosed(term, digits, room)
                if inner is None:
                    found.append((text, size))
                    continue
                before = "" if not found else self.plus
                before = before if sign > 0 else (self.minus if found else self.negative)
                found += self._around(before, inner, "")
            return found
        if isinstance(expression, Product):
            found = []
            for factor in expression.factors:
                found += self._around(self.times if found else "", self._enclosed(factor, digits, room), "")
            return found
        if isinstance(expression, Quotient):
            over = self._around(self.number("/"), self._enclosed(expression.bottom, digits, room), "")
            return self._enclosed(expression.top, digits, room) + over
        if isinstance(expression, Negative):
            return self._around(self.negative, self._enclosed(expression.of, digits, room), "")
        if isinstance(expression, Call) and expression.function == "log":
            inner = self.pieces(expression.arguments[0], digits, room)
            return self._around(self.joined([self.number("ln"), "("]), inner, ")")
        return None

    def _enclosed(self, expression: Expression, digits: Digits | None, room: int) -> list[tuple[str, int]]:
        inner = self.pieces(expression, digits, room)
        _, strength = self._write(expression, digits)
        wide = len(inner) > 1 and isinstance(expression, Sum | Product | Quotient | Negative)
        if strength >= FRACTION and not wide:
            return inner
        return self._around(self.brackets[0], inner, self.brackets[1])

    def _around(self, before: str, inner: list[tuple[str, int]], after: str) -> list[tuple[str, int]]:
        found = list(inner)
        if before:
            found[0] = (self.joined([before, found[0][0]]), found[0][1] + 2)
        if after:
            found[-1] = (self.joined([found[-1][0], after]), found[-1][1] + 1)
        return found


def _between(texts: list[str], sign: str) -> list[str]:
    return [part for text in texts for part in (sign, text)][1:]


def width(text: str) -> int:
    """Columns that a text takes: marks above a letter take none."""
    return len(text) - len(_MARKS.findall(text))


def _marks(quantity: Quantity) -> tuple[str, str, tuple[str, str, str]]:
    """The d of a derivative, the subscript, and the letter's names."""
    letter = quantity.letter
    derived = len(letter) > 1 and letter[0] == "d" and letter not in LETTERS and letter != "dot"
    letter = letter[1:] if derived else letter
    parts = [*([quantity.sample] if quantity.sample else []), *quantity.index]
    close = not quantity.sample and all(part < 10 for part in parts)
    subscript = ("" if close else ",").join(map(str, parts))
    return "d" if derived else "", subscript, LETTERS.get(letter, (letter, letter, letter))


class _Python(Notation):
    times, plus, minus, negative = " * ", " + ", " - ", "-"

    def number(self, text: str) -> str:
        return text

    def symbol(self, quantity: Quantity) -> str:
        d, _, names = _marks(quantity)
        parts = [d + names[0]]
        parts += [f"s{quantity.sample}"] if quantity.sample else []
        parts += map(str, quantity.index)
        parts += [f"L{quantity.layer}"] if quantity.layer else []
        return "_".join([*parts, "new"] if quantity.new else parts)

    def quotient(self, top: str, bottom: str) -> str:
        return f"{top} / {bottom}"

    def power(self, base: str, exponent: Expression, digits: Digits | None) -> str:
        return f"{base} ** {self._held(exponent, digits, ATOM)}"

    def call(self, name: str, arguments: list[str]) -> str:
        return f"{name}({', '.join(arguments)})"


class _Text(Notation):
    times, plus, minus, negative = "·", " + ", " − ", "−"

    def number(self, text: str) -> str:
        return text.replace("-", "−") if text != "/" else " / "

    def symbol(self, quantity: Quantity) -> str:
        d, subscript, names = _marks(quantity)
        prime = "′" if quantity.new else ""
        layer = f"({quantity.layer})" if quantity.layer else ""
        sub, sup = subscript.translate(_SUBSCRIPTS), layer.translate(_SUPERSCRIPTS)
        return f"{d}{names[1]}{prime}{sub}{sup}"

    def quotient(self, top: str, bottom: str) -> str:
        return f"{top} / {bottom}"

    def power(self, base: str, exponent: Expression, digits: Digits | None) -> str:
        if isinstance(exponent, Number) and exponent.number in (2, 3):
            return base + str(int(exponent.number)).translate(_SUPERSCRIPTS)
        return f"{base}^{self._held(exponent, digits, ATOM)}"

    def call(self, name: str, arguments: list[str]) -> str:
        if name == "abs":
            return f"|{arguments[0]}|"
        known = {"log": "ln", "sigmoid": "σ", "sqrt": "√"}.get(name, name)
        return f"{known}({', '.join(arguments)})"


class _Stacked(Notation):
    """Fractions with a bar, exponents in small print: narrower than a line of text."""

    quotient_strength = FRACTION

    def size(self, expression: Expression, digits: Digits | None = None) -> int:
        sizes = [self.size(part, digits) for part in expression.parts()]
        if isinstance(expression, Quotient):
            return max(sizes) + 1
        if isinstance(expression, Power):
            return sizes[0] + sizes[1] // 2 + 2
        if isinstance(expression, Call):
            small = expression.function == "exp"
            return 1 + (3 * sizes[0]) // 4 if small else len(expression.function) + 2 + sum(sizes)
        if isinstance(expression, Sum):
            return sum(sizes) + 3 * (len(sizes) - 1)
        if isinstance(expression, Product | Negative):
            held = [part for part in expression.parts() if self._write(part, digits)[1] == SUM]
            return sum(sizes) + 2 * len(sizes) + 2 * len(held)
        return super().size(expression, digits)


class _Latex(_Stacked):
    times, plus, minus, negative = r" \cdot ", " + ", " - ", "-"

    def group(self, text: str) -> str:
        return rf"\left({text}\right)" if _is_tall(text) else f"({text})"

    def number(self, text: str) -> str:
        mantissa, _, exponent = text.partition("e")
        return rf"{mantissa} \cdot 10^{{{exponent}}}" if exponent else mantissa if text != "ln" else r"\ln"

    def symbol(self, quantity: Quantity) -> str:
        d, subscript, names = _marks(quantity)
        letter = rf"\mathrm{{d}}{names[2]}" if d else names[2]
        # an accent alone in braces would lose them, and have two exponents
        letter = (
            f"{{{letter}'{{}}}}"
            if quantity.new
            else f"{{{letter}}}"
            if subscript or quantity.layer
            else letter
        )
        sub = f"_{{{subscript}}}" if subscript else ""
        sup = f"^{{({quantity.layer})}}" if quantity.layer else ""
        return f"{letter}{sub}{sup}"

    def quotient(self, top: str, bottom: str) -> str:
        return rf"\frac{{{top}}}{{{bottom}}}"

    def power(self, base: str, exponent: Expression, digits: Digits | None) -> str:
        return f"{{{base}}}^{{{self.write(exponent, digits)}}}"

    def call(self, name: str, arguments: list[str]) -> str:
        if name == "exp":
            return f"e^{{{arguments[0]}}}"
        if name == "sqrt":
            return rf"\sqrt{{{arguments[0]}}}"
        if name == "abs":
            return rf"\left|{arguments[0]}\right|"
        known = {
            "log": r"\ln",
            "sigmoid": r"\sigma",
            "erf": r"\operatorname{erf}",
            "sign": r"\operatorname{sign}",
        }
        return known.get(name, f"\\{name}") + self.group(", ".join(arguments))


class _MathML(_Stacked):
    times = "<mo>·</mo>"
    # a sign that begins a group would count as a prefix, and stand too close
    plus = '<mo form="infix">+</mo>'
    minus = '<mo form="infix">−</mo>'
    negative = '<mo form="prefix">−</mo>'
    brackets = ('<mo stretchy="false">(</mo>', '<mo stretchy="false">)</mo>')

    def number(self, text: str) -> str:
        if text == "/":
            return "<mo>/</mo>"
        if text == "ln":
            return "<mi>ln</mi>"
        mantissa, _, exponent = text.partition("e")
        sign = self.negative if mantissa.startswith("-") else ""
        written = f"{sign}<mn>{mantissa.lstrip('-')}</mn>"
        if exponent:
            power = (
                f"<mrow>{self.negative if exponent[0] == '-' else ''}<mn>{exponent.lstrip('-')}</mn></mrow>"
            )
            written += f"<mo>·</mo><msup><mn>10</mn>{power}</msup>"
        return f"<mrow>{written}</mrow>" if sign or exponent else written

    def symbol(self, quantity: Quantity) -> str:
        d, subscript, names = _marks(quantity)
        letter = _mathml_letter(names[1])
        if quantity.new:
            letter = f"<mrow>{letter}<mo>′</mo></mrow>"
        if d:
            letter = f'<mrow><mi mathvariant="normal">d</mi>{letter}</mrow>'
        sub = f"<mn>{subscript}</mn>"
        sup = f"<mn>({quantity.layer})</mn>"
        if subscript and quantity.layer:
            return f"<msubsup>{letter}{sub}{sup}</msubsup>"
        if quantity.layer:
            return f"<msup>{letter}{sup}</msup>"
        return f"<msub>{letter}{sub}</msub>" if subscript else letter

    def joined(self, pieces: list[str]) -> str:
        return f"<mrow>{''.join(pieces)}</mrow>"

    def group(self, text: str) -> str:
        # a bracket that may stretch stands apart from what it holds
        return f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>" if _is_tall(text) else super().group(text)

    def quotient(self, top: str, bottom: str) -> str:
        return f"<mfrac>{top}{bottom}</mfrac>"

    def power(self, base: str, exponent: Expression, digits: Digits | None) -> str:
        return f"<msup>{base}{self.write(exponent, digits)}</msup>"

    def call(self, name: str, arguments: list[str]) -> str:
        if name == "exp":
            return f"<msup><mi>e</mi>{arguments[0]}</msup>"
        if name == "sqrt":
            return f"<msqrt>{arguments[0]}</msqrt>"
        if name == "abs":
            bars = ('<mo form="prefix" stretchy="true">|</mo>', '<mo form="postfix" stretchy="true">|</mo>')
            return f"<mrow>{bars[0]}{arguments[0]}{bars[1]}</mrow>"
        known = {"log": "ln", "sigmoid": "σ"}.get(name, name)
        inside = self.group(self.joined(_between(arguments, "<mo>,</mo>")))
        return f"<mrow><mi>{known}</mi>{inside}</mrow>"

    def _around(self, before: str, inner: list[tuple[str, int]], after: str) -> list[tuple[str, int]]:
        if before.endswith("("):
            before = before[:-1] + self.brackets[0]
        return super()._around(before, inner, self.brackets[1] if after == ")" else after)


def _is_tall(text: str) -> bool:
    """Whether brackets have to grow with what they hold."""
    return any(tall in text for tall in (r"\frac", r"\sqrt", "<mfrac", "<msqrt"))


def _mathml_letter(text: str) -> str:
    if text in _SYMBOL_NAMES:
        letter, mark = _SYMBOL_NAMES[text]
        return f'<mover accent="true"><mi>{letter}</mi><mo stretchy="false">{mark}</mo></mover>'
    return f"<mi>{escape(text)}</mi>"


PYTHON, TEXT, LATEX, MATHML = _Python(), _Text(), _Latex(), _MathML()
_EXACT = Digits.exact()
