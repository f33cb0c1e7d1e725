"""Backpropagation against differences: are these the derivatives of the loss?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import Record, integer, seed_of
from retrograd._table import html_paragraph, html_table, text_table
from retrograd.errors import ArgumentError, NonFiniteError
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd.model import Model

__all__ = ["GradientReport", "check_gradients"]

TOLERANCE = 1e-7
STEP = 1e-5
LIMIT = 4000  # elements that are looked at one by one
DIRECTIONS = 16  # random directions through all of them, where there are more
FEW = 8  # parameters that the report lists one by one

Loss = Callable[[], float]


class Worst(Record):
    """The place with the largest difference."""

    parameter: str
    index: tuple[int, ...]
    analytic: float
    numeric: float

    def __init__(self, parameter: str, index: tuple[int, ...], analytic: float, numeric: float) -> None:
        self._set(parameter=parameter, index=index, analytic=analytic, numeric=numeric)

    def __str__(self) -> str:
        place = f"{self.parameter}[{', '.join(map(str, self.index))}]" if self.index else self.parameter
        return f"{place}: backpropagation {self.analytic:.12g}, difference {self.numeric:.12g}"

    @property
    def gap(self) -> float:
        """|analytic - numeric|, infinite where one of them is no number."""
        gap = abs(self.analytic - self.numeric)
        return gap if math.isfinite(gap) else math.inf


class GradientReport:
    """What :func:`check_gradients` found; print it.

    Attributes
    ----------
    max_relative_error
        The largest |difference|, divided by the largest |gradient| of all.
    worst
        Where: ``parameter``, ``index``, ``analytic`` (backpropagation), ``numeric`` (differences); None where
        nothing could be compared.
    errors
        Parameter -> its largest relative error, by the same divisor; without those that could not be
        compared.
    cause
        What is the likely reason of a failure: ``"not finite"``, ``"stop_gradient"``, ``"corner"``,
        ``"unseen elements"``, ``"derivative"``; else empty.
    advice
        What to do about it; empty where the check passed.
    checked, total
        Elements looked at one by one, and how many there are.
    directions
        Random directions through all elements that were looked at besides.
    kinks
        Elements left out because the loss has a corner within reach of the difference: no derivative to
        compare.
    tolerance
        What ``max_relative_error`` must be below (1e-7).
    """

    def __init__(
        self,
        max_relative_error: float,
        worst: Worst | None,
        checked: int,
        total: int,
        directions: int,
        kinks: int,
        tolerance: float = TOLERANCE,
        errors: dict[str, float] | None = None,
        cause: str = "",
        advice: str = "",
    ) -> None:
        self.max_relative_error = max_relative_error
        self.worst = worst
        self.checked = checked
        self.total = total
        self.directions = directions
        self.kinks = kinks
        self.tolerance = tolerance
        self.errors = dict(errors or {})
        self.cause = cause
        self.advice = advice

    @property
    def passed(self) -> bool:
        """Whether backpropagation and differences agree; not where nothing could be compared."""
        return self.worst is not None and self.max_relative_error < self.tolerance

    @property
    def verdict(self) -> str:
        """``"passed"`` or ``"FAILED"``."""
        return "passed" if self.passed else "FAILED"

    def __bool__(self) -> bool:
        return self.passed

    def _lines(self) -> list[str]:
        looked = f"{self.checked:,} of {self.total:,} elements"
        looked += f" and {self.directions} random directions" if self.directions else ""
        lines = [
            f"gradient check {self.verdict}: largest relative error {self.max_relative_error:.1e} "
            f"(allowed {self.tolerance:.0e}), {looked}, float64"
        ]
        if self.worst is not None:
            lines.append(f"worst: {self.worst}")
        if self.kinks:
            lines.append(
                f"{self.kinks} elements left out: the loss has a corner there (a ReLU at 0, say); "
                "other samples would show them"
            )
        return [*lines, self.advice] if self.advice else lines

    def _cells(self) -> list[tuple[str, str]]:
        return [
            (name, f"{error:.1e}" + ("" if error < self.tolerance else " too large"))
            for name, error in self.errors.items()
        ]

    def __str__(self) -> str:
        lines = self._lines()
        if 1 < len(self.errors) <= FEW:
            lines += text_table(_COLUMNS, self._cells())
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:

        return html_paragraph(self._lines()) + html_table(_COLUMNS, self._cells())

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain numbers, strings and lists."""
        worst = self.worst
        return {
            "verdict": self.verdict,
            "passed": self.passed,
            "max_relative_error": self.max_relative_error,
            "tolerance": self.tolerance,
            "worst": None if worst is None else {**worst.__dict__, "index": list(worst.index)},
            "errors": dict(self.errors),
            "cause": self.cause,
            "advice": self.advice,
            "checked": self.checked,
            "total": self.total,
            "directions": self.directions,
            "kinks": self.kinks,
        }


_COLUMNS = ("parameter", "largest relative error")


def check_gradients(
    net: Model,
    x: Any,
    y: Any,
    loss: Any,
    sample_weight: Any = None,
    samples: int | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compare the gradients of backpropagation with central differences of the loss.

    dL/dw is compared with (L(w + h) - L(w - h)) / 2h, h = 1e-5, on a float64 copy of the same graph; the
    model itself is not touched. Frozen parameters are left out. All elements are looked at, up to 4,000
    spread evenly over the parameters; where there are more, random directions through all of them are looked
    at too. Where the two do not agree, four points in place of two decide.

    Parameters
    ----------
    net
        A model of either precision.
    x, y, loss, sample_weight
        A few samples, their targets, and a loss as for :class:`retrograd.Trainer`.
    samples
        The number of elements to look at one by one, in place of 4,000.
    seed
        Of the random directions and the choice of elements.

    Returns
    -------
    GradientReport
        With ``max_relative_error``, ``passed``, ``worst``, the ``errors`` of each parameter and ``advice``.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        The data does not fit, or there is nothing to check.
    """
    limit = LIMIT if samples is None else integer("check_gradients: samples", samples)
    rng = np.random.default_rng(seed_of("check_gradients", seed))
    copy = net.copy(dtype="float64")
    trainer = Trainer(copy, loss, "sgd")
    arrays = trainer._batch(x, y, sample_weight)
    frozen = set(copy.frozen)
    names = [name for name in copy.parameters if name not in frozen]
    if not names:
        raise ArgumentError("check_gradients: the model has no parameters that are trained")
    weights = {name: copy.parameters[name] for name in names}
    total = sum(weight.size for weight in weights.values())
    try:
        at_rest = trainer._core.gradients(*arrays)
    except NonFiniteError as problem:
        where = str(problem).partition(" in iteration")[0].partition(": ")[2]
        return GradientReport(
            math.inf, None, 0, total, 0, 0, cause="not finite", advice=_advice_not_finite(f": {where}")
        )
    trainer._core.iteration = 0  # what is drawn by chance is drawn again: the same numbers are dropped
    gradients = {name: copy.gradients[name].copy() for name in names}

    def value() -> float:
        try:
            return trainer._core.forward(*arrays)
        except NonFiniteError:
            return math.nan

    found: list[tuple[Worst, bool]] = []
    scale = max(float(np.abs(g).max()) for g in gradients.values())
    for name, index in _chosen(weights, limit, rng):
        found.append(_element(name, index, weights[name], gradients[name][index], value, at_rest, scale))
    checked = len(found)
    directions = DIRECTIONS if checked < total else 0
    for number in range(directions):
        found.append(_direction(number, weights, gradients, value, at_rest, scale, rng))

    smooth = [worst for worst, kink in found if not kink]
    # gradients that are all 0 where the loss is not flat must not pass for a division by nothing
    scale = max([scale, *(abs(worst.numeric) for worst in smooth if math.isfinite(worst.numeric))])
    errors: dict[str, float] = {}
    for one in smooth:
        if one.parameter in weights:
            errors[one.parameter] = max(errors.get(one.parameter, 0.0), one.gap / scale if scale else 0.0)
    worst = max(smooth, key=lambda one: one.gap, default=None)
    error = worst.gap / scale if worst is not None and scale > 0 else 0.0
    kinks = len(found) - len(smooth)
    report = GradientReport(error, worst, checked, total, directions, kinks, errors=errors)
    if not report.passed:
        steps = trainer.plan()["steps"]
        stops = [name for name, _, rest in (s.partition(" = ") for s in steps) if "stop_gradient(" in rest]
        report.cause, report.advice = _reason(report, smooth, stops)
    return report


def _reason(report: GradientReport, smooth: list[Worst], stops: list[str]) -> tuple[str, str]:
    """Why backpropagation and differences do not agree, as far as can be told, and what to do."""
    worst = report.worst
    if worst is None:
        return "corner", (
            "Nothing could be compared: the loss has a corner at every element. Take other samples, or other "
            "weights."
        )
    if not math.isfinite(worst.gap):
        return "not finite", _advice_not_finite(f" within {STEP:g} of {worst.parameter}")
    if stops:
        return "stop_gradient", (
            f"Backpropagation leaves out what passes through rg.ops.stop_gradient ({', '.join(stops)}), and "
            "a difference does not. Where that is meant, check a graph without it."
        )
    if worst.parameter not in report.errors:
        return "unseen elements", (
            f"The {report.checked:,} elements looked at agree, but not all of the others; more samples= "
            "shows which."
        )
    if report.kinks:
        return "corner", (
            "Other elements lie on a corner of the loss, and this one may be too near to one. Take other "
            "samples."
        )
    wrong = [name for name, error in report.errors.items() if error >= report.tolerance]
    hint = "all parameters are wrong"
    if len(wrong) < len(report.errors):
        hint = f"wrong are {', '.join(wrong[:FEW])}{' and others' if len(wrong) > FEW else ''} alone"
    factor = _factor([one for one in smooth if one.parameter == worst.parameter])
    if factor is not None:
        hint += f"; all of {worst.parameter} is {factor:.4g} times what it should be"
    return "derivative", (
        f"Backpropagation does not compute the derivative of this loss: {hint}. If smaller weights and "
        f"inputs do not mend it (a loss may bend within {STEP:g}), an operation's backward is wrong: please "
        "report it."
    )


def _advice_not_finite(where: str) -> str:
    return (
        f"The loss is no finite number{where}. Scale the inputs, begin with smaller weights, and keep log, "
        "sqrt and division away from 0."
    )


def _factor(found: list[Worst]) -> float | None:
    """analytic / numeric, where that is one number for all elements."""
    largest = max(abs(one.numeric) for one in found)
    ratios = [one.analytic / one.numeric for one in found if abs(one.numeric) > 1e-3 * largest]
    if len(ratios) < 2 or max(ratios) - min(ratios) > 1e-3 * max(abs(r) for r in ratios):
        return None
    return sum(ratios) / len(ratios)


def _chosen(
    weights: dict[str, NDArray[np.float64]], limit: int, rng: np.random.Generator
) -> list[tuple[str, tuple[int, ...]]]:
    """Elements of every parameter: all, or a share of each that is as even as their sizes allow."""
    left, shares = limit, {}
    by_size = sorted(weights, key=lambda name: weights[name].size)
    for position, name in enumerate(by_size):  # small ones first: what they do not need goes to the larger
        shares[name] = min(weights[name].size, max(1, left // (len(by_size) - position)))
        left -= shares[name]
    chosen = []
    for name, weight in weights.items():
        flat = np.arange(weight.size)
        if shares[name] < weight.size:
            flat = np.sort(rng.choice(weight.size, shares[name], replace=False))
        for i in flat:
            chosen.append((name, tuple(int(n) for n in np.unravel_index(int(i), weight.shape))))
    return chosen


def _along(
    move: Callable[[float], None], value: Loss, analytic: float, at_rest: float, scale: float
) -> tuple[float, bool]:
    """The slope of the loss along a line, and whether a corner lies within the step."""

    def at(t: float) -> float:
        move(t)
        return value()

    right, left = at(STEP), at(-STEP)
    slope = (right - left) / (2 * STEP)
    unit = max(scale, abs(slope))
    if abs(slope - analytic) > 0.1 * TOLERANCE * unit:
        # four points: the error falls from h^2 to h^4, so a larger h may be used, which rounds less
        wide = 8 * STEP
        fine = (8 * (at(wide) - at(-wide)) - (at(2 * wide) - at(-2 * wide))) / (12 * wide)
        if abs(fine - analytic) < abs(slope - analytic):
            slope = fine
    kink = False
    if abs(slope - analytic) > TOLERANCE * unit:
        # on a smooth stretch the slopes to the right and to the left differ by h times the curvature
        jump = abs((right - at_rest) - (at_rest - left)) / STEP
        closer = STEP / 100
        jump_closer = abs((at(closer) - at_rest) - (at_rest - at(-closer))) / closer
        kink = jump > 1e-3 * unit and (jump_closer > 0.5 * jump or jump_closer < 1e-3 * jump)
    move(0.0)
    return slope, kink


def _element(
    name: str,
    index: tuple[int, ...],
    weight: NDArray[np.float64],
    analytic: float,
    value: Loss,
    at_rest: float,
    scale: float,
) -> tuple[Worst, bool]:
    before = float(weight[index])

    def move(t: float) -> None:
        weight[index] = before + t

    slope, kink = _along(move, value, float(analytic), at_rest, scale)
    return Worst(name, index, float(analytic), slope), kink


def _direction(
    number: int,
    weights: dict[str, NDArray[np.float64]],
    gradients: dict[str, NDArray[np.float64]],
    value: Loss,
    at_rest: float,
    scale: float,
    rng: np.random.Generator,
) -> tuple[Worst, bool]:
    signs = {name: rng.choice([-1.0, 1.0], weight.shape) for name, weight in weights.items()}
    length = math.sqrt(sum(weight.size for weight in weights.values()))
    before = {name: weight.copy() for name, weight in weights.items()}

    def move(t: float) -> None:
        for name, weight in weights.items():
            weight[...] = before[name] + (t / length) * signs[name]

    analytic = sum(float((gradients[name] * signs[name]).sum()) for name in weights) / length
    slope, kink = _along(move, value, analytic, at_rest, scale)
    return Worst(f"random direction {number}", (), analytic, slope), kink
