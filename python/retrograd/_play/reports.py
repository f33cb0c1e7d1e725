"""The whole step written out, and a parameter over the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._play.look import places
from retrograd._play.run import UPDATE
from retrograd._play.views import short
from retrograd.errors import RetrogradError

if TYPE_CHECKING:
    from retrograd._play.look import Column
    from retrograd._play.run import Run
    from retrograd._play.views import Views

__all__ = ["explanation", "fan"]

FAN = 96  # steps of a fan


def explanation(run: Run, views: Views, format: str) -> dict[str, Any]:
    """The next step of the batch (in phase update the last one); of fewer samples where that is too long."""
    from retrograd._explain import explain

    trainer, rows = run.trainer, run.batch_rows()
    if run.phase == UPDATE:
        past = run.fork()
        past.seek(run.step - 1)
        trainer, rows = past.trainer, past.batch_rows()
    count = len(rows)
    while True:
        chosen = rows[:count]
        try:
            report = explain(trainer, run.scene.x[chosen], run.scene.y[chosen])
            break
        except RetrogradError as error:
            if count == 1 or "can be read" not in str(error):
                raise
            count = max(1, count // 2)
    written = {"html": "to_html", "text": "to_text", "markdown": "to_markdown", "latex": "to_latex"}[format]
    return {"text": getattr(report, written)(), "samples": count, "batch": len(rows)}


def fan(run: Run, column: Column, of: str) -> dict[str, Any]:
    """Percentiles of a layer's weights or biases at the steps that are kept; no steps, and why in words."""
    name = {"W": column.weight, "b": column.bias}.get(of)
    if name is None:  # computed again, it would cost a pass for each step
        return {
            "steps": [],
            "text": "Of earlier steps only weights W and biases b are kept; choose one of them.",
        }
    if not name:
        return {"steps": [], "text": f"{column.name} has no bias."}
    part, states = places(run.model)[name], list(run.snapshots)
    kept = [*states[: -1 : -(-len(states) // FAN)], states[-1]]
    values = np.array([state.parameters[part] for state in kept], dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.percentile(values, [5, 25, 50, 75, 95], axis=1).T
    rows = [(s.step, row) for s, row in zip(kept, found.tolist(), strict=True) if np.isfinite(row).all()]
    if len(rows) < 2:
        return {"steps": [], "text": "A fan needs two steps that are kept: make one."}
    ends = min(row[0] for _, row in rows), max(row[-1] for _, row in rows)
    return {
        "steps": [step for step, _ in rows],
        "percentiles": [row for _, row in rows],
        "texts": [_fan_text(step, row) for step, row in rows],
        "ends": [short(end) for end in ends],
        "text": f"{values.shape[1]} numbers; line: median, bands: 25 to 75 % and 5 to 95 %",
    }


def _fan_text(step: int, row: list[float]) -> str:
    low, quarter, median, three, high = map(short, row)
    return (
        f"step {step}: median {median}, 25 to 75 % from {quarter} to {three}, 5 to 95 % from {low} to {high}"
    )
