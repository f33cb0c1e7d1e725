"""One weight is changed: what follows of it, and what the derivatives had foretold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import Record, integer, real, unknown
from retrograd._bound import call_name
from retrograd._table import html_paragraph, html_table, text_table
from retrograd._trace import Trace, trace_of
from retrograd.errors import ArgumentError
from retrograd.model import Model
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._core import Array

__all__ = ["Row", "WhatIf", "what_if"]

STEP = 1e-4  # of the differences, times max(1, |w|): their error falls with its fourth power
SHOWN = 6  # elements of an array that are printed one by one; of a larger one the largest difference

Arrays = dict[str, Any]
Index = tuple[int, ...]


class Row(Record):
    """One quantity before and after, and the change that the derivative by the weight foretells.

    Attributes
    ----------
    name
        ``"dense_0.z"``, ``"dense_0.a"``, ``"dense_0.delta"``, ``"dense_0.dW"``, ``"loss"``; ``"dL/d node"``
        for what has no such name.
    kind
        ``"value"`` of a node, ``"delta"``: dL/d of a node, ``"gradient"``: dL/d of a parameter.
    node
        The node, or the parameter.
    before, after
        The numbers, of every sample.
    predicted
        d name / d w * change: what ``difference`` would be were everything linear in the weight.
    """

    name: str
    kind: str
    node: str
    before: Array
    after: Array
    predicted: NDArray[np.float64]

    def __init__(
        self, name: str, kind: str, node: str, before: Array, after: Array, predicted: NDArray[np.float64]
    ) -> None:
        self._set(name=name, kind=kind, node=node, before=before, after=after, predicted=predicted)

    @property
    def difference(self) -> NDArray[np.float64]:
        """after - before, in float64."""
        with np.errstate(invalid="ignore"):
            return np.subtract(self.after, self.before, dtype=np.float64)

    @property
    def error(self) -> NDArray[np.float64]:
        """predicted - difference: what the linear prediction is off by."""
        with np.errstate(invalid="ignore"):
            return self.predicted - self.difference

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Which elements are other numbers than before."""
        return np.asarray(self.before != self.after) & ~(np.isnan(self.before) & np.isnan(self.after))

    def places(self) -> list[Index]:
        """The indices of what changed, those of a large array by the largest |difference| alone."""
        changed = self.changed
        if self.before.size <= SHOWN or not changed.any():
            return [tuple(map(int, index)) for index in np.argwhere(changed)]
        size = np.where(changed, np.abs(self.difference), -1.0)
        size[np.isnan(size)] = np.inf
        return [tuple(map(int, np.unravel_index(int(size.argmax()), size.shape)))]

    def _cells(self) -> Iterator[list[str]]:
        difference, places = self.difference, self.places()
        many = int(self.changed.sum()) > len(places)
        for index in places:
            place = f"[{', '.join(map(str, index))}]" if index else ""
            note = f" (largest of {int(self.changed.sum()):,})" if many else ""
            was, predicted = float(difference[index]), float(self.predicted[index])
            yield [
                f"{self.name}{place}{note}",
                f"{float(self.before[index]):.7g}",
                f"{float(self.after[index]):.7g}",
                f"{was:+.4g}",
                f"{predicted:+.4g}",
                _off_by(predicted, was),
            ]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain lists and numbers."""
        return {
            "name": self.name,
            "kind": self.kind,
            "node": self.node,
            "before": self.before.tolist(),
            "after": self.after.tolist(),
            "difference": self.difference.tolist(),
            "predicted": self.predicted.tolist(),
        }


def _off_by(predicted: float, was: float) -> str:
    with np.errstate(all="ignore"):
        percent = 100 * (predicted - was) / abs(was) if was else np.nan
    if not np.isfinite(percent):
        return "-"
    if abs(percent) < 0.005:
        return "0 %"
    return f"{percent:+.2g} %" if abs(percent) < 9.5 else f"{percent:+,.0f} %"


class WhatIf:
    """What :func:`what_if` found; print it.

    Attributes
    ----------
    parameter, index
        The weight that was changed, in a copy.
    weight, change
        Its number before, and what was added, both as the model's precision has them.
    before, after
        A :class:`retrograd._trace.Trace` of each pass.
    rows
        A :class:`Row` for every node after the weight, the loss, then every delta and gradient in the order
        of backpropagation; ``what["dense_1.z"]`` is one of them.
    next_rows
        For the next example: its outputs, its loss, and the deltas of the output layers; empty without
        ``next``.
    """

    def __init__(
        self,
        parameter: str,
        index: Index,
        weight: float,
        change: float,
        before: Trace,
        after: Trace,
        rows: list[Row],
        next_rows: list[Row],
    ) -> None:
        self.parameter = parameter
        self.index = index
        self.weight = weight
        self.change = change
        self.before = before
        self.after = after
        self.rows = rows
        self.next_rows = next_rows

    @property
    def changed(self) -> list[str]:
        """The nodes whose value is another one, in the order of the graph: the cascade."""
        return [row.node for row in self.rows if row.kind == "value" and row.changed.any()]

    @property
    def loss(self) -> Row:
        """Of the loss; ``predicted`` is the gradient of backpropagation dL/dw * change."""
        return self["loss"]

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise unknown("what_if: row", name, [row.name for row in self.rows])

    def _place(self) -> str:
        return f"{self.parameter}[{', '.join(map(str, self.index))}]" if self.index else self.parameter

    def _title(self) -> list[str]:
        loss, reached = self.loss, self.changed
        was, predicted = float(loss.difference), float(loss.predicted)
        new = self.weight + self.change
        return [
            f"what if {self._place()} were {new:.7g} in place of {self.weight:.7g} ({self.change:+.4g})",
            f"loss {float(loss.before):.7g} -> {float(loss.after):.7g}: {was:+.4g}, "
            f"where dL/dw * change is {predicted:+.4g}",
            f"{len(reached)} of {sum(row.kind == 'value' for row in self.rows)} values after it changed"
            + ("" if reached else ": nothing depends on this weight here (a unit that is off, say)"),
        ]

    def _cells(self) -> Iterator[list[str]]:
        parts = {
            "forward": [row for row in self.rows if row.kind == "value"],
            "backward": [row for row in self.rows if row.kind != "value"],
            "next example": self.next_rows,
        }
        for title, rows in parts.items():
            cells = [cell for row in rows for cell in row._cells()]
            if cells:
                yield [f"{title}:", "", "", "", "", ""]
                yield from cells

    def __str__(self) -> str:
        return "\n".join([*self._title(), "", *text_table(_COLUMNS, list(self._cells()))])

    __repr__ = __str__

    def _repr_html_(self) -> str:

        return html_paragraph(self._title()) + html_table(_COLUMNS, list(self._cells()))

    def to_dict(self) -> dict[str, Any]:
        """Everything that changed, as plain lists and numbers."""
        return {
            "parameter": self.parameter,
            "index": list(self.index),
            "weight": self.weight,
            "change": self.change,
            "changed": self.changed,
            "rows": [row.to_dict() for row in self.rows if row.changed.any()],
            "next": [row.to_dict() for row in self.next_rows],
        }

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each element that changed. Needs pandas."""
        from importlib import import_module

        table: dict[str, list[Any]] = {
            name: []
            for name in ("example", "name", "kind", "index", "before", "after", "difference", "predicted")
        }
        for example, rows in (("this", self.rows), ("next", self.next_rows)):
            for row in rows:
                places = [tuple(map(int, index)) for index in np.argwhere(row.changed)]
                table["example"] += [example] * len(places)
                table["name"] += [row.name] * len(places)
                table["kind"] += [row.kind] * len(places)
                table["index"] += places
                for column in ("before", "after", "difference", "predicted"):
                    table[column] += np.asarray(getattr(row, column))[row.changed].tolist()
        return import_module("pandas").DataFrame(table)


_COLUMNS = ("", "before", "after", "difference", "linear", "linear is off by")


def what_if(
    net: Model | Trainer,
    x: Any,
    y: Any,
    loss: Any,
    parameter: str,
    index: int | Index,
    change: float,
    next: tuple[Any, ...] | None = None,
    sample_weight: Any = None,
) -> WhatIf:
    """One weight w becomes w + change: the cascade through every later z and a, the loss, all gradients.

    Two passes, before and after, in a copy of the model and in its own precision; beside each difference the
    first-order prediction d/dw * change. For the loss that is the gradient of backpropagation. For all else
    it is the derivative along w, by differences of whole passes of a float64 copy: with
    D(h) = (f(w + h) - f(w - h)) / 2h, (4 D(h/2) - D(h)) / 3 is wrong by the order of h^4 (Richardson);
    h = 1e-4 max(1, |w|). At a corner (a ReLU at 0) it is the mean of both sides. Penalties (``l1``, ``l2``)
    are no part of the loss here.

    Parameters
    ----------
    net
        A model, or a trainer whose loss is then taken where ``loss`` is None. Neither is changed.
    x, y, loss, sample_weight
        Samples, targets, and a loss as for :class:`retrograd.Trainer`.
    parameter
        Its name: ``"dense_0.weight"``; one that is frozen too.
    index
        Which of its numbers: ``(unit, input)`` of a Dense weight, ``3`` or ``(3,)`` of a bias.
    change
        What is added.
    next
        ``(x, y)`` or ``(x, y, sample_weight)`` of the next training example: its outputs, loss and output
        deltas before and after as well.

    Returns
    -------
    WhatIf
        Print it.

    Raises
    ------
    ArgumentError
        An unknown parameter, an index outside of it, a change that is 0 or not finite, or so small that the
        number stays the same in the model's precision.
    ShapeError, DTypeError
        The data does not fit.
    """
    model = net.model if isinstance(net, Trainer) else net
    if not isinstance(model, Model):
        raise ArgumentError(f"what_if: expected a Model or a Trainer, got {type(model).__name__}")
    if not isinstance(parameter, str) or parameter not in model.parameters:
        raise unknown("what_if: parameter", parameter, model.parameters)
    place = _index(parameter, index, model.parameters[parameter].shape)
    step = real("what_if: change", change)
    if step == 0.0:
        raise ArgumentError("what_if: change is 0, so nothing would follow; expected another number")
    if next is not None and (not isinstance(next, list | tuple) or len(next) not in (2, 3)):
        raise ArgumentError(
            f"what_if: next must be (x, y) or (x, y, sample_weight), got {type(next).__name__}"
        )

    own, fine = (_copy(net, loss, parameter, dtype) for dtype in (None, "float64"))
    examples = [own._batch(x, y, sample_weight)]
    if next is not None:
        examples.append(own._batch(*(*next, None)[:3]))
    weights = own.model.parameters[parameter]
    weight = float(weights[place])
    befores = [trace_of(own.model, own._core, *arrays) for arrays in examples]
    with np.errstate(over="ignore"):
        weights[place] += step
    made = float(weights[place]) - weight  # rounded to the model's precision
    if made == 0.0 or not np.isfinite(made):
        raise ArgumentError(
            f"what_if: {weight:g} + {step:g} is {float(weights[place]):g} in {model.dtype}; expected a "
            "change that makes another finite number"
        )
    afters = [trace_of(own.model, own._core, *arrays) for arrays in examples]
    rows = [
        list(_rows(own.model, before, after, _slopes(fine, parameter, place, arrays), parameter, place, made))
        for before, after, arrays in zip(befores, afters, examples, strict=True)
    ]
    wanted = _of_outputs(own.model)
    following = [row for row in rows[-1] if row.node in wanted and row.kind in wanted[row.node]]
    return WhatIf(
        parameter, place, weight, made, befores[0], afters[0], rows[0], following if next is not None else []
    )


def _index(parameter: str, index: Any, shape: Index) -> Index:
    """A place in the parameter, counted from the front."""
    given = index if isinstance(index, list | tuple) else (index,)
    if len(given) != len(shape):
        raise ArgumentError(
            f"what_if: index {index!r} has {len(given)} numbers, but {parameter} has the shape {shape}; "
            f"expected {len(shape)}"
        )
    place = []
    for axis, (number, size) in enumerate(zip(given, shape, strict=True)):
        i = integer(f"what_if: index of {parameter}", number, -(2**63))
        if not -size <= i < size:
            raise ArgumentError(
                f"what_if: index {index!r} lies outside of {parameter}, whose shape is {shape}: axis {axis} "
                f"has 0 to {size - 1}"
            )
        place.append(i % size)
    return tuple(place)


def _copy(net: Model | Trainer, loss: Any, parameter: str, dtype: str | None) -> Trainer:
    """A trainer of a copy, in which the parameter is not frozen: its gradient is wanted."""
    if not isinstance(net, Trainer):
        copy = Trainer(net.copy(dtype), loss, "sgd")
    else:
        objective, weights = net._objective, None
        if loss is None:
            loss = objective.function if objective.losses is None else objective.losses
            weights = objective.weights
        copy = Trainer(net.model.copy(dtype), loss, "sgd", loss_weights=weights, seed=net._seed)
        copy.iteration = net.iteration  # the same numbers are dropped
    if parameter in copy.model.frozen:
        copy.model.unfreeze(parameter)
    return copy


def _slopes(trainer: Trainer, parameter: str, place: Index, arrays: Any) -> tuple[Arrays, Arrays, Arrays]:
    """d/dw of all values, deltas and gradients of a pass, by node."""
    weights = trainer.model.parameters[parameter]
    at_rest = float(weights[place])

    def difference(h: float) -> list[Arrays]:
        ends, passes = (at_rest + h, at_rest - h), []
        for end in ends:
            weights[place] = end
            passes.append(trainer._core.trace(*arrays)[1:])
        weights[place] = at_rest
        width = ends[0] - ends[1]
        return [
            {name: (up[name] - down[name]) / width for name in up} for up, down in zip(*passes, strict=True)
        ]

    wide = STEP * max(1.0, abs(at_rest))
    with np.errstate(all="ignore"):
        far, near = difference(wide), difference(wide / 2)
        values, deltas, gradients = (
            {name: (4 * close[name] - slope) / 3 for name, slope in part.items()}
            for part, close in zip(far, near, strict=True)
        )
    return values, deltas, gradients


def _rows(
    model: Model,
    before: Trace,
    after: Trace,
    slopes: tuple[Arrays, Arrays, Arrays],
    parameter: str,
    place: Index,
    change: float,
) -> Iterator[Row]:
    values, deltas, gradients = slopes
    for name in _after(model, parameter, before):
        yield Row(name, "value", name, before.values[name], after.values[name], values[name] * change)
    slope = float(before.gradients[parameter][place])
    yield Row(
        "loss", "value", "loss", np.asarray(before.loss), np.asarray(after.loss), np.asarray(slope * change)
    )
    names = _derivative_names(model)
    for kind, was, now, slope_of in (
        ("delta", before.deltas, after.deltas, deltas),
        ("gradient", before.gradients, after.gradients, gradients),
    ):
        for node in reversed(list(was)):
            if node != "loss":  # dL/dL is 1
                yield Row(
                    names.get(node, f"dL/d {node}"),
                    kind,
                    node,
                    was[node],
                    now[node],
                    slope_of[node] * change,
                )


def _after(model: Model, parameter: str, trace: Trace) -> list[str]:
    """The nodes that depend on a parameter, without the loss."""
    core = model._core
    own, reached = core.node_names, {parameter}
    for name in own:
        if any(core.name_of(operand) in reached for operand in core.node(name).inputs):
            reached.add(name)
    # those of the loss, which the model does not know, depend on it where a gradient comes back through them
    reached |= trace.deltas.keys() - set(own)
    return [name for name in trace.values if name in reached - {parameter, "loss"}]


def _derivative_names(model: Model) -> dict[str, str]:
    """Node or parameter -> what its derivative is called: "dense_0.delta", "dense_0.dW"."""
    names: dict[str, str] = {}
    for info in model._core.layers():
        for call in range(info.calls):
            layer = f"{info.name}@{call}" if call else info.name
            for role, derivative in (("a", "da"), ("z", "delta")):
                node = call_name(info, role, call)
                if node:
                    names[node] = f"{layer}.{derivative}"
        for role, derivative in (("weight", "dW"), ("bias", "db")):
            if role in info.parameters:
                names[info.parameters[role]] = f"{info.name}.{derivative}"
    return names


def _of_outputs(model: Model) -> dict[str, tuple[str, ...]]:
    """What is shown of the next example: node -> kinds of its rows."""
    wanted: dict[str, tuple[str, ...]] = {"loss": ("value",)}
    pairs = {
        call_name(info, "a", call): call_name(info, "z", call)
        for info in model._core.layers()
        for call in range(info.calls)
    }
    for node in model.outputs:
        name = model._core.name_of(node)
        wanted[name] = ("value", "delta")
        if pairs.get(name):
            wanted[name] = ("value",)
            wanted[pairs[name]] = ("delta",)
    return wanted
