"""The computation graph of the focus sample, and the whole step written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._play.run import UPDATE
from retrograd.errors import RetrogradError

if TYPE_CHECKING:
    from retrograd._play.run import Run
    from retrograd._play.views import Views

__all__ = ["explanation", "graph"]

NODES = 150


def graph(run: Run, views: Views) -> dict[str, Any]:
    """A picture of the graph for the focus sample, or why there is none."""
    from retrograd._evaluation import Graph

    objective = run.trainer._objective
    if objective.losses is None or len(objective.losses) != 1:
        return {"refused": "the loss is a function of one's own; its graph is not drawn here"}
    row = views.focus
    x, y = run.scene.x[row : row + 1], run.scene.y[row : row + 1]
    try:
        return {"svg": _drawn(run, Graph, objective, x, y)}
    except (RetrogradError, ImportError) as error:
        return {"refused": str(error)}


def _drawn(run: Run, made: Any, objective: Any, x: Any, y: Any) -> str:
    from retrograd.graph import Input

    model = run.model
    output = model.outputs[0]
    labels = np.asarray(y).dtype.kind in "iu" and np.asarray(y).ndim == 1
    shape = () if labels else tuple(n for n in output.shape if n is not None)
    target = Input(shape, dtype="int64" if labels else None, name="y")
    loss = objective.losses[0](output, target)
    drawn = made(loss)
    if len(drawn.nodes) > NODES:
        return _refuse(len(drawn.nodes))
    drawn.forward({model.inputs[0]: x, target: np.asarray(y).reshape((1, *shape))})
    drawn.backward()
    picture: str = drawn.to_svg()
    return picture


def _refuse(count: int) -> str:
    raise RetrogradError(f"the graph has {count} nodes; up to {NODES} are drawn")


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
