"""A model as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrograd._table import bytes_text, html_paragraph, html_table, text_table
from retrograd.graph import shape_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrograd._core import Array, LayerInfo
    from retrograd.model import Model

__all__ = ["Summary"]

_COLUMNS = ("layer", "output shape", "parameters", "multiply-adds")


class Summary:
    """What a model is made of, as a table: ``print(net.summary())``."""

    def __init__(self, model: Model, batch_size: int, training: Mapping[str, int] | None = None) -> None:
        infos = model._core.layers()
        sizes = {name: view.size for name, view in model.parameters.items()}
        in_layers = {name for info in infos for name in info.parameters.values()}
        frozen = set(model.frozen)
        self.rows: list[tuple[str, str, int, int]] = [
            (f"{name} (input)", shape_text(node.shape), 0, 0)
            for name, node in zip(model._core.input_names, model.inputs, strict=True)
        ]
        self._extra = [("", "")] * len(self.rows)  # activation and RMS of weights, for the wider table
        for info in infos:
            title = info.name + (f" (x{info.calls})" if info.calls > 1 else "")
            if info.kind not in info.name:
                title += f" ({info.kind})"
            count = sum(sizes[name] for name in info.parameters.values())
            self.rows.append((title, shape_text(info.output_shape), count, info.cost))
            weights = [model.parameters[name] for role, name in info.parameters.items() if "bias" not in role]
            self._extra.append((_activation(model, info), _rms(weights)))
        for name, size in sizes.items():
            if name not in in_layers:
                self.rows.append((f"{name} (variable)", str(model.parameters[name].shape), size, 0))
                self._extra.append(("", _rms([model.parameters[name]])))
        self.parameters: int = sum(sizes.values())
        self.frozen: int = sum(size for name, size in sizes.items() if name in frozen)
        self.cost: int = sum(row[3] for row in self.rows)
        self.batch_size = batch_size
        memory = model._core.memory(batch_size)
        if training is not None:
            del memory["inference"]
        self.memory: dict[str, int] = {**memory, **(training or {})}
        self.dtype = str(model.dtype)

    def _totals(self) -> list[str]:
        trained = f", {self.frozen:,} of them frozen" if self.frozen else ""
        parts = ", ".join(f"{name} {bytes_text(size)}" for name, size in self.memory.items())
        return [
            f"{self.parameters:,} parameters{trained}, {self.dtype}; {self.cost:,} multiply-adds for a "
            "sample",
            f"memory for a batch of {self.batch_size}: {bytes_text(sum(self.memory.values()))}: {parts}",
        ]

    def _cells(self) -> list[tuple[str, str, str, str]]:
        return [(name, shape, f"{count:,}", f"{cost:,}") for name, shape, count, cost in self.rows]

    def __str__(self) -> str:
        head, rule, *rows = text_table(_COLUMNS, self._cells(), left=2)
        return "\n".join([head, rule, *rows, rule, *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = ("layer", "output shape", "activation", "parameters", "multiply-adds", "RMS of weights")
        rows = [
            (name, shape, activation, f"{count:,}", f"{cost:,}", rms)
            for (name, shape, count, cost), (activation, rms) in zip(self.rows, self._extra, strict=True)
        ]
        table = html_table(head, rows, left=3)
        return f'<div style="overflow-x:auto">{table}{html_paragraph(self._totals(), faint=True)}</div>'


def _activation(model: Model, info: LayerInfo) -> str:
    """What leads from z to a, as far as it has a name."""
    z, a = info.nodes.get("z"), info.nodes.get("a")
    if z and a and z != a:
        node = model._core.node(a)
        return node.op if [model._core.name_of(k) for k in node.inputs] == [z] else "function"
    return str(info.config.get("activation", ""))


def _rms(arrays: list[Array]) -> str:
    """The root mean square over all of them; "" for no numbers."""
    size = sum(array.size for array in arrays)
    total = sum(float(np.linalg.norm(array)) ** 2 for array in arrays)
    return f"{(total / size) ** 0.5:.3g}" if size else ""
