"""What stands in the network at one moment: z, a, delta of one sample, gradients of a batch, and their flow.

Everything is read from traces of the core.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._flow import rms
from retrograd._play.run import UPDATE
from retrograd.errors import ArgumentError, NonFiniteError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._core import LayerInfo
    from retrograd._play.run import Run
    from retrograd._trace import Trace
    from retrograd.model import Model

__all__ = ["Column", "Flow", "Look", "columns_of", "look_at", "places"]

# What may stand behind the sums of a Dense layer; it is part of the column that is drawn for it.
_BESIDE = ("activation", "dropout", "batch_norm", "layer_norm", "rms_norm", "rescale", "standardize")


@dataclass(frozen=True)
class Column:
    """A Dense layer and what follows it up to the next: one column of units.

    Attributes
    ----------
    name, units, inputs, activation
        As the layer has them; "linear" for none, "own" for a function of one's own.
    also
        The layers behind it that are no activation: normalisation, dropout.
    weight, bias
        Names of the parameters; no bias: "".
    x, z, a
        Nodes: what it reads, its sums, and what the next column reads.
    direct
        Whether a is the activation of z and nothing else.
    """

    name: str
    units: int
    inputs: int
    activation: str
    also: tuple[str, ...]
    weight: str
    bias: str
    x: str
    z: str
    a: str

    @property
    def direct(self) -> bool:
        """Whether a is the activation of z and nothing else."""
        return not self.also


def columns_of(model: Model) -> list[Column]:
    """The columns of a network that can be drawn.

    Raises
    ------
    ArgumentError
        One that cannot: other layers, several paths, inputs that are no row of numbers.
    """
    core = model._core
    inputs = model.inputs
    if len(inputs) != 1 or len(model.outputs) != 1:
        raise _refused(f"it has {len(inputs)} inputs and {len(model.outputs)} outputs, expected one of each")
    if len(inputs[0].shape) != 2 or inputs[0].dtype != "real":
        raise _refused(
            f"its input has shape {inputs[0].shape} of {inputs[0].dtype}, expected rows of numbers"
        )
    here = core.input_names[0]
    columns: list[Column] = []
    for info in core.layers():
        if info.calls != 1 or info.inputs[0] != [here]:
            raise _refused(f"{info.name} does not simply follow what stands before it")
        if info.kind == "dense":
            columns.append(_dense(model, info))
        elif info.kind not in _BESIDE:
            raise _refused(
                f"{info.name} is {info.kind}; only Dense layers and {', '.join(_BESIDE)} are drawn"
            )
        elif columns:
            columns[-1] = _with(columns[-1], info)
        here = info.nodes.get("a") or info.nodes["z"]
    if here != core.name_of(model.outputs[0]):
        raise _refused("operations stand between its layers or after them")
    if not columns:
        raise _refused("it has no Dense layer")
    return columns


def _refused(reason: str) -> ArgumentError:
    return ArgumentError(
        f"play: this network cannot be drawn: {reason}. A Sequential of Dense, Activation, Dropout and "
        "BatchNorm layers with one row of numbers as its input can; for others see rg.explain and rg.plot"
    )


def _dense(model: Model, info: LayerInfo) -> Column:
    shape = model.parameters[info.parameters["weight"]].shape
    z = info.nodes["z"]
    a = info.nodes.get("a", z)
    activation = str(info.config.get("activation") or "") or ("own" if a != z else "linear")
    return Column(
        info.name,
        shape[0],
        shape[1],
        activation,
        (),
        info.parameters["weight"],
        info.parameters.get("bias", ""),
        info.inputs[0][0],
        z,
        a,
    )


def _with(column: Column, info: LayerInfo) -> Column:
    a = info.nodes.get("a") or info.nodes["z"]
    values = {**column.__dict__, "a": a}
    if info.kind == "activation" and column.activation == "linear":
        values["activation"] = str(info.config.get("activation") or "own")
    else:
        values["also"] = (*column.also, info.name)
    return Column(**values)


@dataclass(frozen=True)
class Flow:
    """How gradients pass one layer; RMS over the samples of the batch and over units.

    rms_delta(l) / rms_delta(l+1) = weight_gain(l) slope_gain(l), with weight_gain = RMS(W^T delta) / RMS
    delta of the layer above and slope_gain = RMS delta(l) / RMS(W^T delta(l+1)); NaN for the last layer.
    """

    rms_g: float
    rms_delta: float
    weight_gain: float
    slope_gain: float
    update_ratio: float
    max_g: float


class Look:
    """The numbers of one moment.

    Attributes
    ----------
    step
        The weights are those after so many steps.
    stale
        Whether the weights have been updated since.
    trace
        Of the focus sample; its deltas are those of this one sample, not divided by the size of the batch.
    a, z, delta
        Of the focus sample, for each column; a[0] is the input. z[0] and delta[0] are empty.
    x
        What each column reads; x[0] is empty.
    gW, gb
        Mean over the batch of dL/dW and dL/db, without the penalty.
    batch
        The trace of the batch.
    finite
        Whether all these are numbers.
    """

    def __init__(
        self, run: Run, columns: list[Column], focus: int, single: Trace, batch: Trace, scale: float
    ) -> None:
        self.stale = run.phase == UPDATE
        self.step = run.step - self.stale
        self.trace = single
        self.batch = batch
        first = run.model._core.input_names[0]
        none: NDArray[Any] = np.zeros(0)
        self.a = [single.values[first][0], *(single.values[column.a][0] for column in columns)]
        self.z = [none, *(single.values[column.z][0] for column in columns)]
        self.delta = [none, *(scale * single.deltas[column.z][0] for column in columns)]
        self.x = [none, *(single.values[column.x][0] for column in columns)]
        self.da = [none, *(_scaled(single.deltas.get(column.a), scale) for column in columns)]
        self.gW = [none, *(batch.gradients[column.weight] for column in columns)]
        self.gb = [none, *(batch.gradients[c.bias] if c.bias else np.zeros(c.units) for c in columns)]
        self.focus = focus
        self.columns = columns
        self.flows = self._flows(run)
        parts = (*self.z, *self.a, *self.delta, *self.gW, *self.gb)
        self.finite = all(bool(np.isfinite(part).all()) for part in parts)

    def _flows(self, run: Run) -> list[Flow]:
        columns, found = self.columns, []
        sizes = [rms(self.batch.deltas[column.z]) for column in columns]
        stands = places(run.model)
        for k, column in enumerate(columns):
            weight_gain = slope_gain = math.nan
            if k + 1 < len(columns):
                back = rms(self.batch.deltas.get(columns[k + 1].x))
                weight_gain, slope_gain = _ratio(back, sizes[k + 1]), _ratio(sizes[k], back)
            g = self.gW[k + 1]
            part = stands[column.weight]
            update, before = rms(run.last_update[part]), rms(run.parameters_before[part])
            largest = float(np.abs(g).max(initial=0.0))
            found.append(Flow(rms(g), sizes[k], weight_gain, slope_gain, _ratio(update, before), largest))
        return found


def _scaled(values: NDArray[Any] | None, scale: float) -> NDArray[Any] | None:
    return None if values is None else scale * values[0]


def places(model: Model) -> dict[str, slice]:
    """Where each parameter stands in the flat arrays: one after another."""
    found, first = {}, 0
    for name, view in model.parameters.items():
        found[name] = slice(first, first + view.size)
        first += view.size
    return found


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else math.nan


@contextmanager
def before_update(run: Run) -> Iterator[NDArray[np.int64]]:
    """The run as it was before the update that has just been shown, and the rows of that step."""
    if run.phase != UPDATE:
        yield run.batch_rows()
        return
    flat, trainer = run.model.flat_parameters, run.trainer
    after, iteration = flat.copy(), trainer.iteration
    flat[...] = run.parameters_before
    trainer.iteration = iteration - 1  # the same units are dropped
    try:
        yield run.rows_before
    finally:
        flat[...] = after
        trainer.iteration = iteration


def look_at(run: Run, columns: list[Column], focus: int) -> Look | None:
    """The numbers of this moment; None where they are not finite."""
    x, y = run.scene.x, run.scene.y
    try:
        with before_update(run) as rows:
            batch = run.trainer.trace(x[rows], y[rows])
            if run.model.buffers:
                # statistics are those of a batch, so the sample stands in one
                others = rows[rows != focus][: max(len(rows) - 1, 1)]
                rows = np.concatenate([[focus], others]).astype(np.int64)
                single, scale = run.trainer.trace(x[rows], y[rows]), float(len(rows))
            else:
                single, scale = run.trainer.trace(x[focus : focus + 1], y[focus : focus + 1]), 1.0
            return Look(run, columns, focus, single, batch, scale)
    except NonFiniteError:
        return None
