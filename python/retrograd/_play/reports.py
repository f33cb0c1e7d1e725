"""The whole step written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd._play.run import UPDATE
from retrograd.errors import RetrogradError

if TYPE_CHECKING:
    from retrograd._play.run import Run
    from retrograd._play.views import Views

__all__ = ["explanation"]

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
