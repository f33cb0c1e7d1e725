"""A network of dense layers read as a textbook does: layers by number, quantities by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import Record
from retrograd._explain.expression import Quantity
from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrograd._core import Array, LayerInfo
    from retrograd._trace import Trace
    from retrograd.model import Model

__all__ = ["Numbers", "Stage", "read_stages", "refusal"]

KINDS = ("dense", "activation", "rescale", "standardize", "flatten", "dropout", "add", "concatenate")
_OVER_AN_AXIS = ("softmax", "log_softmax")


class Stage(Record):
    """A layer with its number, counted from 1.

    Attributes
    ----------
    z, a, inputs
        Nodes: before and after the activation (the same one where there is none), and what it was given.
    weight, bias
        Names of parameters; "" where it has none.
    size
        Numbers of one sample that it makes.
    """

    number: int
    name: str
    kind: str
    activation: str
    z: str
    a: str
    inputs: tuple[str, ...]
    weight: str
    bias: str
    size: int
    config: Mapping[str, Any]

    def __init__(self, number: int, info: LayerInfo) -> None:
        inputs = tuple(info.inputs[0])
        dense = info.kind == "dense"
        z = info.nodes["z"] if dense else inputs[0]
        self._set(
            number=number,
            name=info.name,
            kind=info.kind,
            activation=str(info.config.get("activation") or "linear"),
            z=z,
            a=info.nodes.get("a", z),
            inputs=inputs,
            weight=info.parameters.get("weight", "") if dense else "",
            bias=info.parameters.get("bias", "") if dense else "",
            size=int(np.prod([n for n in info.output_shape if n is not None])),
            config=info.config,
        )

    @property
    def has_activation(self) -> bool:
        """Whether it is a = act(z)."""
        return self.kind in ("dense", "activation")


def refusal(what: str) -> ArgumentError:
    """The error for a network that the report does not write."""
    return ArgumentError(
        f"explain: {what}; the report writes dense networks (layers {', '.join(KINDS)}). For the numbers of "
        "any other use net.trace(x, y, loss), for a check of its gradients rg.check_gradients(net, x, y, "
        "loss), for a picture rg.plot"
    )


def read_stages(model: Model) -> list[Stage]:
    """The layers in the order of the graph.

    Raises
    ------
    ArgumentError
        A layer, a branch or an operation that the report does not write.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"inputs: {len(model.inputs)}, outputs: {len(model.outputs)}"
        raise refusal(f"the model has several ({counts}), expected one of each")
    infos = model._core.layers()
    known = set(model._core.input_names)
    stages = []
    for number, info in enumerate(infos, 1):
        _check_layer(model, info)
        stage = Stage(number, info)
        for node in stage.inputs:
            if node not in known:
                raise refusal(f"layer {info.name!r} reads {node!r}, which is an operation outside of layers")
        if info.kind in ("dense", "activation") and info.config.get("activation") in ("", None):
            own = info.nodes.get("a", stage.z) != stage.z
            if own and model._core.node(stage.a).op != "identity":
                raise refusal(f"layer {info.name!r} has an activation function of its own")
        known.add(stage.a)
        stages.append(stage)
    output = model._core.name_of(model.outputs[0])
    if not stages or stages[-1].a != output:
        raise refusal(f"the output {output!r} is not the last layer's but an operation outside of layers")
    return stages


def _check_layer(model: Model, info: LayerInfo) -> None:
    if info.kind not in KINDS:
        raise refusal(f"layer {info.name!r} is of the kind {info.kind!r}")
    if info.calls > 1:
        raise refusal(f"layer {info.name!r} is called {info.calls} times with the same weights")
    rank = len(model._core.node(info.inputs[0][0]).shape)
    over_an_axis = info.kind == "activation" and info.config.get("activation") in _OVER_AN_AXIS
    if rank != 2 and (info.kind in ("dense", "concatenate") or over_an_axis):
        raise refusal(
            f"layer {info.name!r} reads {rank - 1} axes for each sample, expected 1 (put rg.Flatten before "
            "it)"
        )
    if info.kind == "add":
        shapes = {model._core.node(name).shape for name in info.inputs[0]}
        if len(shapes) > 1:
            raise refusal(f"layer {info.name!r} adds arrays of different shapes")


class Numbers:
    """Quantities of a trace. Samples, units and inputs are counted from 0 here and from 1 in symbols.

    Parameters
    ----------
    stages, trace
        The layers, and what was traced.
    parameters
        The numbers of the parameters in that trace.
    new
        Whether the parameters were updated already: symbols have a prime.
    """

    def __init__(
        self,
        model: Model,
        stages: list[Stage],
        trace: Trace,
        parameters: Mapping[str, Array],
        new: bool = False,
    ) -> None:
        self.stages = stages
        self.trace = trace
        self.parameters = parameters
        self.new = new
        self.input: str = model._core.input_names[0]
        self.samples = len(trace.values[self.input])
        self._by_output = {stage.a: stage for stage in stages}
        self.readers: dict[str, list[Stage]] = {self.input: [], **{stage.a: [] for stage in stages}}
        for stage in stages:
            for node in set(stage.inputs):
                self.readers[node].append(stage)
        self._flat: dict[tuple[str, bool], Array] = {}

    def _at(self, node: str, i: int, k: int, backward: bool = False) -> float:
        found = self._flat.get((node, backward))
        if found is None:
            source = self.trace.deltas if backward else self.trace.values
            found = self._flat[node, backward] = source[node].reshape(self.samples, -1)
        return float(found[i, k])

    def sample(self, i: int) -> int:
        """The number of sample i in symbols; none where it is the only one."""
        return i + 1 if self.samples > 1 else 0

    def size(self, node: str) -> int:
        """Numbers of one sample."""
        return int(self.trace.values[node][0].size)

    def _quantity(self, letter: str, number: float, i: int, k: int, layer: int) -> Quantity:
        new = self.new and letter != "x"
        return Quantity(letter, number, (k + 1,), self.sample(i), layer, new)

    def value(self, node: str, i: int, k: int) -> Quantity:
        """What a layer is given: an x, or the a of an earlier layer."""
        if node == self.input:
            return self._quantity("x", self._at(node, i, k), i, k, 0)
        return self.a(self._by_output[node], i, k)

    def z(self, stage: Stage, i: int, j: int) -> Quantity:
        """Before the activation; of a layer that is nothing but one, what it was given."""
        if stage.kind != "dense":
            return self.value(stage.inputs[0], i, j)
        return self._quantity("z", self._at(stage.z, i, j), i, j, stage.number)

    def a(self, stage: Stage, i: int, j: int) -> Quantity:
        """What a layer makes."""
        return self._quantity("a", self._at(stage.a, i, j), i, j, stage.number)

    def da(self, stage: Stage, i: int, j: int) -> Quantity:
        """dL/da"""
        return self._quantity("da", self._at(stage.a, i, j, True), i, j, stage.number)

    def dz(self, stage: Stage, i: int, j: int) -> Quantity:
        """delta, dL/dz; of a layer that is nothing but an activation, dL/d its input."""
        if stage.kind == "dense":
            return self._quantity("delta", self._at(stage.z, i, j, True), i, j, stage.number)
        before = stage.inputs[0]
        number = self._at(before, i, j, True)
        if before == self.input:
            return self._quantity("dx", number, i, j, 0)
        return self._quantity("da", number, i, j, self._by_output[before].number)

    def has_da(self, stage: Stage) -> bool:
        """Whether dL/da arises; not where loss and activation are one formula."""
        return stage.a in self.trace.deltas

    def weight(self, stage: Stage, j: int, k: int) -> Quantity:
        """From input k to unit j."""
        number = self.parameters[stage.weight][j, k]
        return Quantity("w", number, (j + 1, k + 1), 0, stage.number, self.new)

    def bias(self, stage: Stage, j: int) -> Quantity:
        """Of unit j."""
        return Quantity("b", self.parameters[stage.bias][j], (j + 1,), 0, stage.number, self.new)

    def before(self, stage: Stage) -> Stage | None:
        """The layer whose output a layer reads first; None where that is the network's input."""
        return self._by_output.get(stage.inputs[0])
