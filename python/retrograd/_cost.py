"""What a step costs: multiply-adds, bytes, time by the machine's roofline, and time by the clock."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from retrograd import losses
from retrograd._arguments import Record, integer, unknown
from retrograd._bound import call_name
from retrograd._machine import Machine, Seconds, copy_rate, machine, median_time, smallest
from retrograd._summary import Summary
from retrograd._table import bytes_text, count_text, html_paragraph, html_table, text_table
from retrograd.errors import ArgumentError, NonFiniteError
from retrograd.model import Model
from retrograd.optim import resolve
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from retrograd._core import Array, LayerInfo
    from retrograd.graph import Node

__all__ = ["Cost", "LayerCost", "cost"]

MEASURE = 0.2  # seconds that each of forward and step is repeated for
REST = "operations and loss"


class LayerCost(Record):
    """What a layer costs in one training step, for the whole batch.

    Attributes
    ----------
    name, kind
        The layer. The last row, ``"operations and loss"``, is all that stands outside of layers.
    forward, backward
        Multiply-adds. Backward takes forward's once more for trained parameters, and once more for an input
        of which a gradient is wanted.
    forward_bytes, backward_bytes, update_bytes
        What has to be read and written at least once. Forward: inputs, parameters, output. Backward: the
        output's delta, the output again where there is an activation; for trained parameters the inputs, and
        their gradients written; for a wanted input gradient the parameters, and that gradient written.
        Update: gradient, parameter, the optimizer's numbers, and the latter two written.
    memory
        Bytes of its parameters, their gradients, its output and that one's delta.
    """

    name: str
    kind: str
    forward: int
    backward: int
    forward_bytes: int
    backward_bytes: int
    update_bytes: int
    memory: int

    def __init__(
        self,
        name: str,
        kind: str,
        forward: int,
        backward: int,
        forward_bytes: int,
        backward_bytes: int,
        update_bytes: int,
        memory: int,
    ) -> None:
        self._set(
            name=name,
            kind=kind,
            forward=forward,
            backward=backward,
            forward_bytes=forward_bytes,
            backward_bytes=backward_bytes,
            update_bytes=update_bytes,
            memory=memory,
        )

    @property
    def bytes(self) -> int:
        """Of forward, backward and update."""
        return self.forward_bytes + self.backward_bytes + self.update_bytes

    @property
    def intensity(self) -> float:
        """Multiply-adds for each byte: (forward + backward) / bytes."""
        return (self.forward + self.backward) / self.bytes if self.bytes else 0.0


class Cost:
    """What :func:`cost` found; print it. Times are measured when they are first asked for.

    Attributes
    ----------
    batch_size, dtype
        For which this holds.
    layers
        A :class:`LayerCost` for each layer, and one for all operations outside of layers with the loss.
    forward, backward
        Multiply-adds of a training step.
    bytes
        What a training step reads and writes at least.
    memory
        What it takes, by purpose: see ``trainer.summary().memory``.
    """

    def __init__(self, trainer: Trainer, batch_size: int) -> None:
        self._trainer = trainer
        self.batch_size = batch_size
        self.dtype = str(trainer.model.dtype)
        self.memory: dict[str, int] = Summary(
            trainer.model, batch_size, trainer._core.memory(batch_size)
        ).memory
        self.layers = _layer_costs(trainer, batch_size, self.memory["optimizer"])
        self.forward: int = sum(layer.forward for layer in self.layers)
        self.backward: int = sum(layer.backward for layer in self.layers)
        self.bytes: int = sum(layer.bytes for layer in self.layers)

    @property
    def intensity(self) -> float:
        """Multiply-adds for each byte."""
        return (self.forward + self.backward) / self.bytes

    def __getitem__(self, name: str) -> LayerCost:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown("cost: layer", name, [layer.name for layer in self.layers])

    # --------------------------------------------------------------------------------------------- time

    @cached_property
    def _data(self) -> tuple[list[Array], list[Array]]:
        return _random_data(self._trainer, self.batch_size)

    @cached_property
    def machine(self) -> Machine:
        """The roofline, with as many threads as a step of this size takes."""
        self._trainer.step(*self._data)
        return machine(self.dtype, self._trainer.threads_used)

    @cached_property
    def _rates(self) -> tuple[float, float]:
        """Multiply-adds, and bytes of what a step's memory would take to copy, a second."""
        return self.machine.multiply_adds, copy_rate(sum(self.memory.values()))

    def _time(self, multiply_adds: int, size: int) -> float:
        arithmetic, memory = self._rates
        return max(multiply_adds / arithmetic, size / memory)

    @cached_property
    def predicted(self) -> Seconds:
        """Of each layer the larger of arithmetic and memory time; their sum, and what the smallest step
        takes.

        Memory time is by the rate at which as many bytes are copied as the step's memory has, for what lies
        in a cache is nearer.
        """
        fixed = smallest()
        forward = sum(self._time(layer.forward, layer.forward_bytes) for layer in self.layers)
        step = sum(self.seconds.values())
        return Seconds(forward + fixed.forward, step + fixed.step)

    @property
    def seconds(self) -> dict[str, float]:
        """Layer -> its share of the predicted step."""
        return {layer.name: self._time(layer.forward + layer.backward, layer.bytes) for layer in self.layers}

    @property
    def bounds(self) -> dict[str, str]:
        """Layer -> what bounds it: ``"arithmetic"``, ``"memory"``, or ``"overhead"`` where both take less
        than its even share of the smallest step."""
        arithmetic, memory = self._rates
        share = smallest().step / len(self.layers)
        found = {}
        for layer in self.layers:
            times = {
                "arithmetic": (layer.forward + layer.backward) / arithmetic,
                "memory": layer.bytes / memory,
                "overhead": share,
            }
            found[layer.name] = max(times, key=lambda name: times[name])
        return found

    @cached_property
    def measured(self) -> Seconds:
        """By the clock: the median of repeated runs on random data, in a copy of the model.

        Raises
        ------
        NonFiniteError
            The model makes no finite numbers of inputs between 0 and 1.
        """
        x, y = self._data
        model = self._trainer.model
        forward = median_time(lambda: model._core.predict(x, self.batch_size, 0, None), MEASURE)
        return Seconds(forward, median_time(lambda: self._trainer.step(x, y), MEASURE))

    @property
    def ratio(self) -> float:
        """Measured over predicted time of a step."""
        return self.measured.step / self.predicted.step

    # -------------------------------------------------------------------------------------------- shown

    def _title(self) -> list[str]:
        predicted, measured = self.predicted, self.measured
        return [
            f"a training step of {self.batch_size} samples, {self.dtype}: "
            f"{count_text(self.forward)} + {count_text(self.backward)} multiply-adds (forward + backward), "
            f"{bytes_text(self.bytes)} moved, {bytes_text(sum(self.memory.values()))} taken",
            f"predicted {_time_text(predicted.step)}, measured {_time_text(measured.step)}: "
            f"ratio {self.ratio:.2g}; prediction alone {_time_text(predicted.forward)}, measured "
            f"{_time_text(measured.forward)}",
            f"this machine: {self.machine}; the smallest step takes {_time_text(smallest().step)}",
        ]

    def _cells(self) -> list[list[str]]:
        seconds, bounds = self.seconds, self.bounds
        return [
            [
                layer.name if layer.kind in layer.name else f"{layer.name} ({layer.kind})",
                count_text(layer.forward),
                count_text(layer.backward),
                bytes_text(layer.bytes),
                bytes_text(layer.memory),
                f"{layer.intensity:.2g}",
                _time_text(seconds[layer.name]),
                bounds[layer.name],
            ]
            for layer in self.layers
        ]

    def __str__(self) -> str:
        return "\n".join([*self._title(), "", *text_table(_COLUMNS, self._cells())])

    def __repr__(self) -> str:
        total = count_text(self.forward + self.backward)
        return (
            f"<Cost of a step of {self.batch_size}: {total} multiply-adds, {bytes_text(self.bytes)} moved; "
            "print it for times>"
        )

    def _repr_html_(self) -> str:

        return html_paragraph(self._title()) + html_table(_COLUMNS, self._cells())

    def to_dict(self) -> dict[str, Any]:
        """All of it, times included, as plain numbers and strings."""
        seconds, bounds = self.seconds, self.bounds
        return {
            "batch_size": self.batch_size,
            "dtype": self.dtype,
            "layers": [
                {
                    **layer.__dict__,
                    "bytes": layer.bytes,
                    "intensity": layer.intensity,
                    "seconds": seconds[layer.name],
                    "bound": bounds[layer.name],
                }
                for layer in self.layers
            ],
            "forward": self.forward,
            "backward": self.backward,
            "bytes": self.bytes,
            "memory": dict(self.memory),
            "machine": dict(self.machine.__dict__),
            "predicted": dict(self.predicted.__dict__),
            "measured": dict(self.measured.__dict__),
        }


_COLUMNS = ("layer", "forward", "backward", "moved", "memory", "adds/byte", "predicted", "bound by")


def cost(net: Model | Trainer, batch_size: int = 256) -> Cost:
    """What a training step costs: multiply-adds, bytes, memory, and time, predicted and measured.

    Predicted time is by the roofline: of each layer the larger of multiply-adds / (multiply-adds a second)
    and bytes / (bytes a second), summed, plus what the smallest step takes. Rates are those of this machine,
    measured when they are first asked for, for a fifth of a second, once a process. Nothing of the model or
    the trainer changes.

    Parameters
    ----------
    net
        A model: with half the squared error and plain SGD. Or a trainer: with its losses and optimizer (a
        loss of one's own is replaced by half the squared error, for its targets are unknown).
    batch_size
        Samples of a step.

    Returns
    -------
    Cost
        Print it; that measures for about a second.

    Raises
    ------
    ArgumentError
        batch_size below 1, or neither a model nor a trainer.

    Notes
    -----
    Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", 2009.
    """
    size = integer("cost: batch_size", batch_size)
    model = net.model if isinstance(net, Trainer) else net
    if not isinstance(model, Model):
        raise ArgumentError(f"cost: expected a Model or a Trainer, got {type(model).__name__}")
    copy = model.copy()
    loss: Any = [losses.HalfSquaredError() for _ in model.outputs]
    weights, optimizer = None, resolve("cost", "sgd")
    if isinstance(net, Trainer):
        optimizer = net.optimizer
        parts = net._objective.losses
        if parts is not None and not any(isinstance(part, losses.OwnLoss) for part in parts):
            loss, weights = parts, net._objective.weights
    trainer = Trainer(copy, loss, optimizer, loss_weights=weights)
    trainer.lr = 0.0  # the same work, and no number runs away
    return Cost(trainer, size)


# -------------------------------------------------------------------------------------------------- counts


def _layer_costs(trainer: Trainer, batch: int, state_bytes: int) -> list[LayerCost]:
    model = trainer.model
    core = model._core
    nodes = {name: core.node(name) for name in core.node_names}
    wanted = _with_gradient(model, nodes)
    sizes = {name: view.size for name, view in model.parameters.items()}
    trained = sum(size for name, size in sizes.items() if name in wanted)
    # numbers that the optimizer keeps for each parameter
    state = state_bytes / model.dtype.itemsize / trained if trained else 0.0
    itemsize = model.dtype.itemsize
    rows = [_layer_cost(info, nodes, wanted, sizes, batch, itemsize, state) for info in core.layers()]
    inside = {name for info in core.layers() for name in _inside(info, model, nodes)}
    outside = [name for name, node in nodes.items() if node.kind == "operation" and name not in inside]
    return [*rows, _rest(trainer, nodes, wanted, outside, sum(info.cost for info in core.layers()), batch)]


def _with_gradient(model: Model, nodes: dict[str, Node]) -> set[str]:
    """The nodes whose gradient backward computes: trained parameters, and what depends on them."""
    frozen = set(model.frozen)
    wanted = {name for name in model.parameters if name not in frozen}
    for name, node in nodes.items():
        if node.op != "stop_gradient" and any(model._core.name_of(part) in wanted for part in node.inputs):
            wanted.add(name)
    return wanted


def _numbers(node: Node, batch: int) -> int:
    size = 1
    for extent in node.sample_shape:
        size *= extent
    return size * batch if node.batched else size


def _layer_cost(
    info: LayerInfo,
    nodes: dict[str, Node],
    wanted: set[str],
    sizes: dict[str, int],
    batch: int,
    itemsize: int,
    state: float,
) -> LayerCost:
    inputs = [[_numbers(nodes[name], batch) for name in given] for given in info.inputs]
    wanted_inputs = [[_numbers(nodes[name], batch) for name in set(given) & wanted] for given in info.inputs]
    results = [call_name(info, "a", call) or call_name(info, "z", call) for call in range(info.calls)]
    x, dx = (sum(map(sum, part)) for part in (inputs, wanted_inputs))
    y = sum(_numbers(nodes[name], batch) for name in results)
    names = list(info.parameters.values())
    p = sum(sizes[name] for name in names)
    dp = sum(sizes[name] for name in names if name in wanted)
    if info.kind == "embedding":  # rows that are not looked up are not touched
        p, dp = min(p, y), min(dp, y)
    passes = (info.calls if dp else 0) + sum(bool(part) for part in wanted_inputs)
    if not names:
        passes = sum(map(len, wanted_inputs))
    backward = 0
    if passes:
        backward = y + (y if "a" in info.nodes else 0) + (x + dp if dp else 0) + (p + dx if dx else 0)
    return LayerCost(
        info.name,
        info.kind,
        batch * info.cost,
        batch * info.cost * passes // info.calls,
        itemsize * (x + p + y),
        itemsize * backward,
        round(itemsize * dp * (3 + 2 * state)),
        itemsize * (p + dp + y + (y if passes else 0)),
    )


def _inside(info: LayerInfo, model: Model, nodes: dict[str, Node]) -> set[str]:
    """The nodes of a layer: from its results back to what it was given."""
    found: set[str] = set()
    for call, given in enumerate(info.inputs):
        open_ = [call_name(info, "a", call) or call_name(info, "z", call)]
        while open_:
            name = open_.pop()
            if name not in found and name not in given:
                found.add(name)
                open_ += [model._core.name_of(part) for part in nodes[name].inputs]
    return found


def _rest(
    trainer: Trainer, nodes: dict[str, Node], wanted: set[str], outside: list[str], layers: int, batch: int
) -> LayerCost:
    """Operations outside of layers, the loss, and variables."""
    model = trainer.model
    name_of = model._core.name_of
    itemsize = model.dtype.itemsize
    forward = batch * max(0, _forward_cost(trainer) - layers)
    parts = [[name_of(part) for part in nodes[name].inputs] for name in outside]
    outputs = sum(_numbers(node, batch) for node in model.outputs)
    trains = any(name_of(node) in wanted for node in model.outputs)
    y = sum(_numbers(nodes[name], batch) for name in outside)
    x = sum(_numbers(nodes[name], batch) for given in parts for name in given)
    dx = sum(_numbers(nodes[name], batch) for given in parts for name in given if name in wanted)
    owned = {name for info in model._core.layers() for name in info.parameters.values()}
    variables = sum(view.size for name, view in model.parameters.items() if name in wanted - owned)
    return LayerCost(
        REST,
        REST,
        forward,
        forward * (2 if outside else 1) if trains else 0,
        itemsize * (x + y + outputs + batch),
        itemsize * (x + y + dx + 2 * outputs) if trains else 0,
        itemsize * 3 * variables,
        itemsize * (2 * y + 2 * variables),
    )


def _forward_cost(trainer: Trainer) -> int:
    """Multiply-adds of a sample in forward, the loss included: those of a plan that trains nothing."""
    copy = trainer.model.copy()
    copy._core.set_frozen(list(copy.parameters), True)
    objective = trainer._objective
    frozen = Trainer(copy, objective.losses, "sgd", loss_weights=objective.weights)
    with suppress(NonFiniteError):  # the plan is there all the same
        frozen._core.forward(*_random_data(frozen, 4), None)
    count: int = frozen.plan()["cost"]
    return count


def _random_data(trainer: Trainer, batch: int) -> tuple[list[Array], list[Array]]:
    """Inputs and targets of the right shapes and kinds, between 0 and 1."""
    rng = np.random.default_rng(0)
    model = trainer.model
    tables = {
        name: cast("int", info.config["count"])
        for info in model._core.layers()
        for given in info.inputs
        for name in given
        if info.kind == "embedding"
    }
    x: list[Array] = []
    for name, node in zip(model._core.input_names, model.inputs, strict=True):
        shape = (batch, *node.sample_shape)
        if node.dtype == "index":
            x.append(rng.integers(0, tables.get(name, 1), shape))
        else:
            x.append(rng.random(shape).astype(model.dtype))
    y: list[Array] = []
    for node, part in zip(model.outputs, trainer._objective.losses or (), strict=True):
        shape = (batch, *node.sample_shape)
        if isinstance(part, losses.CrossEntropy):
            y.append(rng.integers(0, shape[-1], shape[:-1]))
        else:
            y.append(rng.integers(0, 2, shape).astype(model.dtype))
    return x, y


def _time_text(seconds: float) -> str:
    """0.00123 -> "1.2 ms"."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.2g} us"
