"""Backpropagation against differences: are these the derivatives of the loss?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import Record, integer, seed_of
from retrograd.errors import ArgumentError
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd.model import Model

__all__ = ["GradientReport", "check_gradients"]

TOLERANCE = 1e-7
STEP = 1e-5
LIMIT = 4000  # elements that are looked at one by one
DIRECTIONS = 16  # random directions through all of them, where there are more

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


class GradientReport:
    """What :func:`check_gradients` found; print it.

    Attributes
    ----------
    max_relative_error
        The largest |difference|, divided by the largest |gradient| of all.
    passed
        Whether that is below ``tolerance`` (1e-7).
    worst
        Where: ``parameter``, ``index``, ``analytic`` (backpropagation), ``numeric`` (differences); None where
        nothing could be compared.
    checked, total
        Elements looked at one by one, and how many there are.
    directions
        Random directions through all elements that were looked at besides.
    kinks
        Elements left out because the loss has a corner within reach of the difference: no derivative to
        compare.
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
    ) -> None:
        self.max_relative_error = max_relative_error
        self.worst = worst
        self.checked = checked
        self.total = total
        self.directions = directions
        self.kinks = kinks
        self.tolerance = tolerance

    @property
    def passed(self) -> bool:
        """Whether backpropagation and differences agree."""
        return self.max_relative_error < self.tolerance

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        looked = f"{self.checked:,} of {self.total:,} elements"
        looked += f" and {self.directions} random directions" if self.directions else ""
        verdict = "passed" if self.passed else "FAILED"
        lines = [
            f"gradient check {verdict}: largest relative error {self.max_relative_error:.1e} "
            f"(allowed {self.tolerance:.0e}), {looked}, float64"
        ]
        if self.worst is not None:
            lines.append(f"worst: {self.worst}")
        if self.kinks:
            lines.append(
                f"{self.kinks} elements left out: the loss has a corner there (a ReLU at 0, say); "
                "other samples would show them"
            )
        if not self.passed:
            lines.append(
                "Backpropagation does not compute the derivative of this loss. Look for "
                "rg.ops.stop_gradient, "
                "for parameters used outside of the graph, and for samples that lie on a corner of an "
                "activation."
            )
        return "\n".join(lines)

    __repr__ = __str__


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
        With ``max_relative_error``, ``passed`` and ``worst``.

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
    at_rest = trainer._core.gradients(*arrays)
    trainer._core.iteration = 0  # what is drawn by chance is drawn again: the same numbers are dropped
    frozen = set(copy.frozen)
    names = [name for name in copy.parameters if name not in frozen]
    if not names:
        raise ArgumentError("check_gradients: the model has no parameters that are trained")
    gradients = {name: copy.gradients[name].copy() for name in names}
    weights = {name: copy.parameters[name] for name in names}

    def value() -> float:
        return trainer._core.forward(*arrays)

    found: list[tuple[Worst, bool]] = []
    total = sum(weight.size for weight in weights.values())
    scale = max(float(np.abs(g).max()) for g in gradients.values())
    for name, index in _chosen(weights, limit, rng):
        found.append(_element(name, index, weights[name], gradients[name][index], value, at_rest, scale))
    checked = len(found)
    directions = DIRECTIONS if checked < total else 0
    for number in range(directions):
        found.append(_direction(number, weights, gradients, value, at_rest, scale, rng))

    smooth = [worst for worst, kink in found if not kink]
    # gradients that are all 0 where the loss is not flat must not pass for a division by nothing
    scale = max([scale, *(abs(worst.numeric) for worst in smooth)])
    worst = max(smooth, key=lambda w: abs(w.analytic - w.numeric), default=None)
    error = abs(worst.analytic - worst.numeric) / scale if worst is not None and scale > 0 else 0.0
    if worst is not None and not math.isfinite(error):
        error = math.inf
    return GradientReport(error, worst, checked, total, directions, len(found) - len(smooth))


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
