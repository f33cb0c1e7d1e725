"""How training on a table went: as lines for a reader, and as one object for a program."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from retrograd._tabular.columns import Number

if TYPE_CHECKING:
    from retrograd._tabular.training import Outcome

__all__ = ["lines_of", "object_of"]


def object_of(outcome: Outcome, saved: str) -> dict[str, Any]:
    """Plain values; what is no finite number is None, since JSON has none."""
    history, preparation = outcome.history, outcome.preparation
    return {
        "file": outcome.table.path,
        "rows": len(outcome.table),
        "rows_without_target": outcome.dropped,
        "rows_trained": outcome.training,
        "rows_held_out": outcome.held_out,
        "target": preparation.target,
        "task": "number" if preparation.classes is None else "classes",
        "classes": preparation.classes,
        "columns": [column.name for column in preparation.columns],
        "left_out": {column.name: column.reason for column in outcome.left_out},
        "inputs": sum(column.width for column in preparation.columns),
        "epochs": history.epochs,
        "iterations": history.iterations,
        "stop_reason": history.stop_reason,
        "seconds": round(_seconds(outcome), 3),
        **{name: value if math.isfinite(value) else None for name, value in outcome.scores.items()},
        "saved": saved,
        "interrupted": outcome.interrupted,
    }


def lines_of(outcome: Outcome, saved: str) -> list[str]:
    """The report."""
    table, history = outcome.table, outcome.history
    told = [f"{os.path.basename(table.path)}: {len(table):,} rows, {len(table.names)} columns"]
    if outcome.dropped:
        told.append(f"rows without a target, not used: {outcome.dropped:,}")
    told += [_target(outcome), *_columns(outcome)]
    told += [f"left out: {column.name} ({column.reason})" for column in outcome.left_out]
    told.append(
        f"{outcome.training:,} rows to train on, {outcome.held_out:,} held out to stop and to compare"
    )
    told.append(f"{history.epochs} epochs, {history.iterations:,} iterations in {_seconds(outcome):.1f} s")
    told += [_scores(outcome), f"saved to {saved}"]
    return told


def _target(outcome: Outcome) -> str:
    name, classes = outcome.preparation.target, outcome.preparation.classes
    if classes is None:
        return f"target: {name}, a number"
    shown = ", ".join(classes[:6]) + (", ..." if len(classes) > 6 else "")
    return f"target: {name}, {len(classes)} classes ({shown})"


def _columns(outcome: Outcome) -> list[str]:
    columns = outcome.preparation.columns
    numbers = [column for column in columns if isinstance(column, Number) and column.words is None]
    words = [column for column in columns if isinstance(column, Number) and column.words is not None]
    categories = [column for column in columns if not isinstance(column, Number)]
    kinds = ((numbers, "numbers"), (words, "yes or no"), (categories, "categories"))
    told = [f"{what}: {', '.join(column.name for column in some)}" for some, what in kinds if some]
    gaps = [column.name for column in columns if column.gaps]
    return told + ([f"with gaps: {', '.join(gaps)}"] if gaps else [])


def _scores(outcome: Outcome) -> str:
    scores = outcome.scores
    loss = f"loss {scores['loss']:.4f}"
    if "accuracy" in scores:
        return (
            f"held-out rows: accuracy {scores['accuracy']:.2%}, {loss} "
            f"(always the most frequent class: {scores['baseline_accuracy']:.2%})"
        )
    r2 = f", R2 {scores['r2']:.4f}" if math.isfinite(scores["r2"]) else ""
    return (
        f"held-out rows: RMSE {number_text(scores['rmse'])}{r2}, {loss} "
        f"(always the mean: RMSE {number_text(scores['baseline_rmse'])})"
    )


def number_text(value: float) -> str:
    """Five significant digits, with commas where it is large: 52,849 and 0.012346."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.5g}"


def _seconds(outcome: Outcome) -> float:
    return float(sum(outcome.history.history.get("seconds", [])))
