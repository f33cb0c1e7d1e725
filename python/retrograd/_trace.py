"""Looking inside: every number of one forward and backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import unknown
from retrograd._bound import call_name
from retrograd._table import html_paragraph, html_table
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._core import Array, LayerInfo, Trainer32, Trainer64
    from retrograd.model import Model

__all__ = ["LayerTrace", "Trace"]

SHOWN = 30  # layers in a notebook


class LayerTrace:
    """The numbers of one layer; None for what it does not have.

    Attributes
    ----------
    x
        Its input. [batch, inputs]
    z, a
        Pre-activation z = x W^T + b and activation a = act(z). [batch, units]
    da, delta
        dL/da and dL/dz = da * act'(z). [batch, units] da is None where loss and activation are one formula
        (softmax with cross-entropy) and dL/da never arises.
    dW, db
        dL/dW = delta^T x and dL/db = the sum of delta over the batch; of all calls where the layer is shared.
    dx
        dL/dx = delta W, what this layer hands back. [batch, inputs]
    gradients
        Role -> dL/d parameter, whatever the parameters are called.
    """

    x: Array | None
    z: Array | None
    a: Array | None
    da: Array | None
    delta: Array | None
    dx: Array | None

    def __init__(self, name: str, values: dict[str, Any], gradients: dict[str, Array]) -> None:
        self.name = name
        self.gradients = gradients
        self.__dict__.update(values)

    @property
    def dW(self) -> Array | None:
        """dL/dW. [units, inputs]"""
        return self.gradients.get("weight")

    @property
    def db(self) -> Array | None:
        """dL/db. [units]"""
        return self.gradients.get("bias")

    def __repr__(self) -> str:
        lines = [f"<trace of {self.name!r}>"]
        for name in ("x", "z", "a", "da", "delta", "dW", "db", "dx"):
            value = getattr(self, name)
            lines.append(f"{name:6}{'-' if value is None else _text(value)}")
        return "\n".join(lines)


def _text(array: Array) -> str:
    if array.size <= 64:
        return np.array2string(array, precision=6, prefix=" " * 6)
    return f"{array.shape}: {array.min():.4g} to {array.max():.4g}, mean |.| {np.abs(array).mean():.4g}"


class Trace:
    """Every number of a pass: ``trace["dense_0"].delta``.

    A layer that is called again is ``trace["dense_0@1"]``.

    Attributes
    ----------
    loss
        The weighted mean over the samples.
    yhat, y
        Outputs and targets; lists where the model has several.
    da
        dL/d yhat; None where loss and output activation are one formula.
    layers
        The names that may be asked for.
    values, deltas, gradients
        All that was computed: node -> value, node -> dL/d node, parameter -> dL/d parameter.
    """

    def __init__(
        self,
        model: Model,
        y: list[Array],
        loss: float,
        values: dict[str, Array],
        deltas: dict[str, Array],
        gradients: dict[str, Array],
    ) -> None:
        self.loss = loss
        self.values = values
        self.deltas = deltas
        self.gradients = gradients
        self._infos = {info.name: info for info in model._core.layers()}
        self._inputs = {
            (name, call): given
            for name, info in self._infos.items()
            for call, given in enumerate(info.inputs)
        }
        outputs = [model._core.name_of(node) for node in model.outputs]
        self.yhat: Any = _one([values[name] for name in outputs])
        self.y: Any = _one(y)
        self.da: Any = _one([deltas.get(name) for name in outputs])

    @property
    def layers(self) -> list[str]:
        """Names of all layers and calls."""
        return [
            name if call == 0 else f"{name}@{call}"
            for name, info in self._infos.items()
            for call in range(info.calls)
        ]

    def __getitem__(self, name: str) -> LayerTrace:
        if name not in self.layers:
            raise unknown("trace", name, self.layers)
        layer, _, number = name.partition("@")
        info, call = self._infos[layer], int(number or 0)
        z = call_name(info, "z", call)
        a = call_name(info, "a", call) or z
        inputs = self._inputs[layer, call]
        parameters = {
            role: self.gradients[full] for role, full in info.parameters.items() if full in self.gradients
        }
        numbers = {
            "z": self.values.get(z),
            "a": self.values.get(a),
            "da": self.deltas.get(a),
            "delta": self.deltas.get(z),
            "x": self.values.get(inputs[0]) if len(inputs) == 1 else None,
        }
        numbers["dx"] = self._dx(info, numbers["delta"], inputs)
        return LayerTrace(name, numbers, parameters)

    def _dx(self, info: LayerInfo, delta: Array | None, inputs: list[str]) -> NDArray[Any] | None:
        # the delta of the input node is the sum over all its readers, and this layer's own share is wanted
        weight = info.parameters.get("weight")
        if info.kind == "dense" and delta is not None and weight is not None:
            share: NDArray[Any] = delta @ self.values[weight]
            return share
        if len(inputs) == 1 and self._readers(inputs[0]) == 1:
            return self.deltas.get(inputs[0])
        return None

    def _readers(self, node: str) -> int:
        return sum(node in inputs for inputs in self._inputs.values())

    def __contains__(self, name: object) -> bool:
        return name in self.layers

    def __repr__(self) -> str:
        return f"<Trace: loss {self.loss:.6g}; layers {', '.join(self.layers)}>"

    def _repr_html_(self) -> str:
        rows = []
        for name in self.layers[:SHOWN]:
            layer = self[name]
            numbers = {what: getattr(layer, what) for what in ("z", "a", "delta", "dW")}
            found = {what: array for what, array in numbers.items() if array is not None and array.size}
            for what, array in found.items():
                first = name if what == next(iter(found)) else ""
                parts = (array.min(), array.mean(), array.max())
                rows.append([first, what, str(array.shape), *(f"{part:.4g}" for part in parts)])
        table = html_table(["layer", "", "shape", "min", "mean", "max"], rows, left=2)
        loss = html_paragraph([f"loss {self.loss:.6g}"])
        more = len(self.layers) - SHOWN
        rest = html_paragraph([f"and {more} more layers; all of them: trace.layers"]) if more > 0 else ""
        return f'<div style="overflow-x:auto">{loss}{table}{rest}</div>'


def _one(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else parts


def trace_of(
    model: Model,
    core: Trainer32 | Trainer64,
    x: list[Array],
    y: list[Array],
    weight: NDArray[np.float64] | None,
) -> Trace:
    """The trace of data that is checked already."""
    return Trace(model, y, *core.trace(x, y, weight))


def trace(model: Model, x: Any, y: Any, loss: Any, sample_weight: Any = None) -> Trace:
    """``model.trace``: with a trainer that is made for the purpose and never updates."""
    links = model._links
    trainer = Trainer(model, loss, "sgd")
    model._links = links  # looking is not training
    return trainer.trace(x, y, sample_weight)
