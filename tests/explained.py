"""Reading a report of rg.explain as a reader would: what is printed in a line is evaluated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import retrograd as rg

if TYPE_CHECKING:
    from retrograd._explain import Explanation

FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "log": math.log,
    "ln": math.log,
    "tanh": math.tanh,
    "erf": math.erf,
    "sqrt": math.sqrt,
    "abs": abs,
    "max": max,
    "min": min,
    "sign": lambda z: float((z > 0) - (z < 0)),
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
}
NUMBER = re.compile(r"(?<![\w.])(?<!\*\*)\d+(?:\.\d+)?(?:e-?\d+)?")


def printed(report: Explanation) -> list[list[str]]:
    """The lines of the text: symbol, formula, numbers, result; without the numbers where they say nothing."""
    found: list[str] = []
    follows = False  # a row that goes on stands right below the one it continues
    for row in report.to_text().splitlines():
        row = re.sub(r"\s{4}\([^)]*\)$", "", row)  # the note
        if re.match(r" {4}\S+ [=≈] ", row):
            found.append(row.strip())
        elif re.match(r" {6,}([=≈]|  )", row) and follows:
            found[-1] += " " + row.strip()
        follows = bool(row)
    return [re.split(r" [=≈] ", line) for line in found]


def python_of(text: str) -> str:
    for written, meant in (("−", "-"), ("·", "*"), ("²", "**2"), ("³", "**3"), ("^", "**"), ("√", "sqrt")):
        text = text.replace(written, meant)
    text = text.replace("σ(", "sigmoid(")
    return re.sub(r"\|([^|]*)\|", r"abs(\1)", text)


def evaluated(formula: str) -> float:
    return float(eval(formula, dict(FUNCTIONS)))


def slack(formula: str, digits: int) -> float:
    """How far the rounding of the numbers in a formula may move its value."""
    at_rest, total = evaluated(formula), 0.0
    for match in NUMBER.finditer(formula):
        number = float(match[0])
        moves = []
        for sign in (-1, 1):
            moved = number + sign * half_unit(number, digits)
            changed = f"{formula[: match.start()]}({moved!r}){formula[match.end() :]}"
            moves.append(abs(evaluated(changed) - at_rest))
        total += max(moves)
    return total


def half_unit(number: float, digits: int) -> float:
    return 0.0 if number == 0 else 0.5 * 10.0 ** (math.floor(math.log10(abs(number))) - digits + 1)


def check_lines(report: Explanation) -> int:
    """Every line, evaluated from what is printed in it; how many there were."""
    lines = [line for line in printed(report) if len(line) == 4]
    for symbol, _, numbers, result in lines:
        formula = python_of(numbers)
        value, expected = evaluated(formula), float(python_of(result))
        if report.digits == 17:
            allowed = 1e-12 * max(1.0, abs(value))
        else:
            allowed = 1.01 * (slack(formula, report.digits) + half_unit(expected, report.digits)) + 1e-15
        assert abs(value - expected) <= allowed, (symbol, numbers, result, value)
    return len(lines)


def check_dict(report: Explanation, tolerance: float = 1e-12) -> int:
    """Every line of the dict: the formula of the symbols, and the one of numbers."""
    found = report.to_dict()
    lines = [line for s in found["sections"] for b in s["blocks"] for line in b.get("lines", ())]
    for line in lines:
        for formula, names in ((line["formula"], found["symbols"]), (line["substituted"], {})):
            value = eval(formula, dict(FUNCTIONS), dict(names))
            assert abs(value - line["result"]) <= tolerance * max(1.0, abs(value)), line
    return len(lines)


HALF = ([[0.1, 0.8], [0.4, 0.6]], [0.05, -0.1])
X, TARGET, RATE = [0.35, 0.9], 0.5, 0.5


def two_two_one() -> rg.Model:
    return rg.Sequential(
        [
            rg.Input(2),
            rg.Dense(2, activation="sigmoid", weight_init=np.array(HALF[0]), bias_init=np.array(HALF[1])),
            rg.Dense(1, activation="sigmoid", weight_init=np.array([[0.3, 0.9]]), bias_init=np.array([0.2])),
        ],
        dtype="float64",
    )


ROWS = np.array([[0.4, -1.1], [1.3, 0.7], [-0.6, 0.2]])
TARGETS = {
    "half_squared_error": np.array([[0.3, -0.5], [1.0, 0.2], [0.0, 2.0]]),
    "binary_cross_entropy": np.array([[0.0, 1.0], [0.3, 0.6], [1.0, 0.0]]),
    "cross_entropy": np.array([0, 1, 1]),
    "poisson": np.array([[0.0, 1.0], [2.0, 3.0], [1.0, 0.0]]),
    "hinge": np.array([[-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]]),
    "kl_divergence": np.array([[0.2, 0.8], [0.0, 1.0], [0.5, 0.5]]),
}


def small(hidden: str, output: str, seed: int = 3, dtype: str = "float64") -> rg.Model:
    return rg.Sequential(
        [
            rg.Input(2),
            rg.Dense(2, activation=hidden, weight_init="normal(1.0)", bias_init="normal(0.5)"),
            rg.Dense(2, activation=output, weight_init="normal(1.0)"),
        ],
        seed=seed,
        dtype=dtype,
    )
