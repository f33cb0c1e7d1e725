"""What is going wrong, in words, with the numbers that say so and what usually helps.

The network is judged by ``rg.diagnose``; how its loss goes from step to step is judged here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from retrograd._diagnose import diagnose
from retrograd._play.views import short
from retrograd.errors import RetrogradError

if TYPE_CHECKING:
    from retrograd._play.run import Run
    from retrograd._play.views import Views

__all__ = ["verdict"]

TOO_LONG, STALLED = 0.1, 1e-6
WINDOW = 20
LEARNED = 0.5  # of the first losses: below, layers that look vanishing or saturated do no harm


def verdict(run: Run, views: Views) -> dict[str, str] | None:
    """The most important trouble; None where there is none."""
    look = views.look()
    if look is None or not look.finite:
        return {
            "kind": "diverged",
            "text": f"After step {run.step} some numbers of the network are no longer finite.",
            "remedy": "Rewind, and use a smaller learning rate or clip_norm.",
        }
    return _diagnosed(run) or _rate(run, views)


def _diagnosed(run: Run) -> dict[str, str] | None:
    rows = run.scene.rows[:256]
    try:
        found = diagnose(run.trainer, run.scene.x[rows], run.scene.y[rows]).findings
    except RetrogradError:
        return None
    for finding in found:
        if finding.name in ("vanishing", "saturated") and _learned(run):
            continue
        if finding.name == "not learning":
            continue  # of one moment; the steps so far say more
        return {"kind": finding.name, "text": finding.text, "remedy": finding.remedy}
    return None


def _means(run: Run) -> tuple[float, float, float]:
    """The mean loss of the first steps, and of the last two stretches; NaN where there are too few."""
    values = run.losses.values
    if len(values) < 2 * WINDOW:
        return math.nan, math.nan, math.nan
    parts = (values[:WINDOW], values[-2 * WINDOW : -WINDOW], values[-WINDOW:])
    first, before, after = (sum(part) / WINDOW for part in parts)
    return first, before, after


def _learned(run: Run) -> bool:
    first, _, after = _means(run)
    return after <= LEARNED * first


def _rate(run: Run, views: Views) -> dict[str, str] | None:
    look = views.look()
    assert look is not None
    ratios = [flow.update_ratio for flow in look.flows if math.isfinite(flow.update_ratio)]
    _, before, after = _means(run)
    if not ratios or math.isnan(after):
        return None
    if max(ratios) > TOO_LONG and after > 0.95 * before:
        return {
            "kind": "lr too high",
            "text": f"An update changes the weights by {100 * max(ratios):.0f} % at once, and the loss does "
            f"not fall: {short(before)} on average over {WINDOW} steps, then {short(after)}.",
            "remedy": f"Divide the learning rate by 3 to 10 (now {short(run.trainer.lr)}).",
        }
    if max(ratios) < STALLED and after > 1e-3:
        return {
            "kind": "stalled",
            "text": f"An update changes the weights by {short(100 * max(ratios))} % only.",
            "remedy": f"Multiply the learning rate by 3 to 10 (now {short(run.trainer.lr)}).",
        }
    return None
