"""A small network's loss as one expression, and its gradients against SymPy's derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._symbolic.report import SymbolicReport
from retrograd._symbolic.rules import sympy
from retrograd._symbolic.verification import verify
from retrograd.errors import ArgumentError
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._core import Node
    from retrograd._objective import Objective
    from retrograd.model import Model

LIMIT = 20_000  # parameters times multiply-adds: each is differentiated by, over expressions of that length


def check_symbolic(net: Model, x: Any, y: Any, loss: Any, sample_weight: Any = None) -> SymbolicReport:
    """Compare the gradients of a small network with SymPy's derivatives of its loss.

    The network and its loss become one expression, L = sum_i w_i L_i / sum_i w_i, with symbols for
    parameters, inputs and targets (labels are numbers: they choose terms). For every parameter that is
    trained, SymPy's dL/dw must be the expression that backpropagation builds, and its number at the network's
    values must be the engine's gradient, to 1e-12. The engine runs on a float64 copy, as a training step
    does; the model itself is not touched. One hidden layer takes a second; with every further one the
    expressions grow, and two may take minutes.

    Parameters
    ----------
    net
        A model of either precision.
    x, y, loss, sample_weight
        A few samples (one or two will do), their targets, and a loss as for :class:`retrograd.Trainer`.

    Returns
    -------
    SymbolicReport
        With ``passed``, ``elements`` and ``worst``; ``print`` it.

    Raises
    ------
    ArgumentError
        The network is too large for expressions, nothing is trained, or SymPy is not installed.
    GraphError
        An operation that has no expression: attention, recurrent layers, dropout.
    ShapeError, DTypeError
        The data does not fit.
    """
    sympy()
    copy = net.copy(dtype="float64")
    trainer = Trainer(copy, loss, "sgd")
    inputs, targets, weight = trainer._batch(x, y, sample_weight)
    frozen = set(copy.frozen)
    trained = [name for name in copy.parameters if name not in frozen]
    _refuse_large(copy, trained, len(inputs[0]))
    _, numbers, _, gradients = trainer._core.trace(inputs, targets, weight)
    given = _known(copy, numbers)
    given |= dict(zip(copy.inputs, inputs, strict=True))
    names = {node: copy._core.name_of(node) for node in given}
    result, fed = _loss_node(trainer._objective, targets, weight)
    for (name, node), array in zip(
        fed.items(), [*targets, *([] if weight is None else [weight])], strict=True
    ):
        names[node], given[node] = name, np.asarray(array).reshape((len(array), *node.sample_shape))
    wanted = {copy._core.node(name): gradients[name] for name in trained}
    buffers = {full for info in copy._core.layers() for full in info.buffers.values()}
    still = {copy._core.node(name) for name in frozen & buffers}
    return verify(result, names, given, wanted, training=True, still=still)


def _refuse_large(net: Model, trained: list[str], samples: int) -> None:
    if not trained:
        raise ArgumentError("check_symbolic: the model has no parameters that are trained")
    count = sum(net.parameters[name].size for name in trained)
    products = samples * max(1, sum(info.cost for info in net._core.layers()))
    if count * products > LIMIT:
        raise ArgumentError(
            f"check_symbolic: {count:,} parameters and {products:,} multiply-adds over {samples:,} "
            f"{'sample' if samples == 1 else 'samples'} make expressions that are too long: their product is "
            f"{count * products:,}, and at most {LIMIT:,} are taken. Give fewer samples, take a smaller "
            "network of the same kind, or use rg.check_gradients(net, x, y, loss), which has no such limit"
        )


def _known(net: Model, numbers: dict[str, Any]) -> dict[Node, NDArray[Any]]:
    """Leaf -> numbers, of all leaves of the model that hold floats."""
    found, open_nodes = {}, list(net.outputs)
    seen = set(open_nodes)
    while open_nodes:
        node = open_nodes.pop()
        if node.kind in ("parameter", "constant"):
            found[node] = numbers[net._core.name_of(node)]
        for operand in node.inputs:
            if operand not in seen:
                seen.add(operand)
                open_nodes.append(operand)
    return found


def _loss_node(objective: Objective, targets: list[Any], weight: Any) -> tuple[Node, dict[str, Node]]:
    """The mean over the batch as a node, built as the core builds it, and what is fed by name."""
    spec = objective.spec
    fed: dict[str, Node] = {}
    for k, array in enumerate(targets):
        labels = np.asarray(array).dtype.kind in "iu" and _takes_labels(spec, k)
        shape = _target_shape(objective, k, array, labels)
        name = "target" if len(targets) == 1 else f"target_{k}"
        fed[name] = _core.input(shape, "index" if labels else "real", name)
    nodes = list(fed.values())
    weights = []
    if weight is not None:
        fed["sample_weight"] = _core.input([], "real", "sample_weight")
        weights = [fed["sample_weight"]]
    if callable(spec):
        values = spec(objective.outputs, nodes)
        return _core.apply("weighted_mean", {}, [values, *weights]), fed
    total: Node | None = None
    for k, (name, attributes) in enumerate(spec):
        mean = _mean_of(objective, k, name, attributes, nodes[k], weights)
        factors = objective.core_weights
        if factors is not None:
            mean = mean * factors[k]
        total = mean if total is None else total + mean
    assert total is not None
    return total, fed


def _mean_of(
    objective: Objective, k: int, name: str, attributes: Any, target: Node, weights: list[Node]
) -> Node:
    assert objective.losses is not None
    values = objective.losses[k](objective.outputs[k], target)
    operands = [values, *weights]
    if target.dtype == "index":
        ignore = {"ignore_index": attributes["ignore_index"]}
        operands.append(_core.apply("label_weight", ignore, [target]))
    return _core.apply("weighted_mean", {}, operands)


def _takes_labels(spec: Any, k: int) -> bool:
    return callable(spec) or spec[k][0] == "cross_entropy"


def _target_shape(objective: Objective, k: int, array: Any, labels: bool) -> list[int]:
    given = list(np.shape(array)[1:])
    if callable(objective.spec):
        return given
    output = list(objective.outputs[k].sample_shape)
    return output[:-1] if labels else output
