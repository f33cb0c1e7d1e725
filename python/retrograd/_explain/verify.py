"""The last section, on request: each gradient beside the slope of the loss itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._check import TOLERANCE, _element
from retrograd._explain.expression import Quantity
from retrograd._explain.report import Block, Section, Shown, Table, Text
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from retrograd._explain.report import Cell

__all__ = ["verification_section"]


def verification_section(trainer: Trainer, x: Any, y: Any, sample_weight: Any) -> Section:
    """Backpropagation and central differences, element by element, as in rg.check_gradients."""
    losses = trainer._objective.losses
    twin = Trainer(trainer.model.copy(dtype="float64"), losses, "sgd", seed=trainer._seed, threads=1)
    twin.iteration = trainer.iteration  # what is drawn by chance is drawn again
    arrays = twin._batch(x, y, sample_weight)
    at_rest = twin._core.gradients(*arrays)
    frozen = set(twin.model.frozen)
    gradients = {name: view.copy() for name, view in twin.model.gradients.items() if name not in frozen}
    scale = max((float(np.abs(view).max()) for view in gradients.values()), default=0.0)

    def value() -> float:
        return twin._core.forward(*arrays)

    rows: list[list[Cell]] = []
    worst, kinks = 0.0, 0
    for name, gradient in gradients.items():
        weight = twin.model.parameters[name]
        for index in np.ndindex(gradient.shape):
            found, kink = _element(name, index, weight, float(gradient[index]), value, at_rest, scale)
            error = abs(found.analytic - found.numeric) / scale if scale else abs(found.numeric)
            kinks += kink
            worst = worst if kink else max(worst, error)
            numbers = (found.analytic, found.numeric, error)
            place = f"{name}[{', '.join(map(str, index))}]"
            rows.append([place, *(Shown(Quantity("", number)) for number in numbers)])
    blocks: list[Block] = [
        Text(
            "Without any calculus: each weight is moved by h to both sides, and the slope of the loss is the "
            "difference of the two losses divided by 2h, in float64. The error is relative to the largest "
            "gradient."
        ),
        Table(["parameter", "backpropagation", "central difference", "relative error"], rows),
        Text(_verdict(worst, kinks)),
    ]
    return Section("Verification", blocks)


def _verdict(worst: float, kinks: int) -> str:
    agree = f"The largest relative error is {worst:.1e}, below {TOLERANCE:.0e}: backpropagation is right."
    differ = f"The largest relative error is {worst:.1e}, above {TOLERANCE:.0e}: backpropagation is wrong."
    corner = f" {kinks} are not counted: the loss has a corner there, and no slope." if kinks else ""
    return (agree if worst < TOLERANCE else differ) + corner
