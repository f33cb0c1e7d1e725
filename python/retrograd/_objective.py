"""What is minimised: the losses of a model's outputs, and what they know of targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _checkpoint, data, losses, metrics
from retrograd._arguments import real
from retrograd.errors import ArgumentError
from retrograd.losses import Loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from retrograd._core import Array, LossSpec
    from retrograd.graph import Node
    from retrograd.model import Model

__all__ = ["Objective", "objective_of"]


class Objective:
    """What is minimised: the losses of a model's outputs, for the core to take and targets to fit.

    Raises
    ------
    ArgumentError
        An unknown loss, or the wrong number of losses or weights.
    """

    def __init__(self, model: Model, loss: Any, loss_weights: Any = None) -> None:
        self.outputs = model.outputs
        self.stored: Callable[[list[Node], list[Node]], Node] | None = None  # what a file kept of a function
        count = len(self.outputs)
        given = [
            losses.resolve("Trainer", part) for part in (loss if isinstance(loss, list | tuple) else [loss])
        ]
        self.losses: list[Loss] | None = None
        self.function: Callable[..., Node] | None = None
        if len(given) == 1 and not isinstance(given[0], Loss):
            self.function = given[0]
        else:
            self.losses = [part if isinstance(part, Loss) else losses.OwnLoss(part) for part in given]
            if len(self.losses) != count:
                raise ArgumentError(
                    f"Trainer: the model has {count} outputs, got {len(self.losses)} losses; pass a list of "
                    f"{count}"
                )
        self.weights = self._weights(loss_weights, count)
        for node, part in zip(self.outputs, self.losses or (), strict=False):
            classes = node.shape[-1] if len(node.shape) > 1 else 1
            if isinstance(part, losses.CrossEntropy) and classes == 1:
                raise ArgumentError(
                    "Trainer: cross_entropy needs an output for each class, at least 2, but the model has 1; "
                    "for yes or no use loss='binary_cross_entropy'"
                )

    def _weights(self, loss_weights: Any, count: int) -> list[float] | None:
        if loss_weights is None:
            return None
        if self.losses is None:
            raise ArgumentError(
                "Trainer: loss_weights are for a list of losses; weigh a loss of one's own inside it"
            )
        weights = [real("Trainer: loss_weights", weight) for weight in loss_weights]
        if len(weights) != count:
            raise ArgumentError(f"Trainer: the model has {count} outputs, got {len(weights)} loss_weights")
        return weights

    @property
    def spec(self) -> LossSpec:
        """As the core takes it: operations of its own by name, everything else as a function of nodes."""
        if self.stored is not None:
            return self.stored
        if self.losses is not None and all(part.built_in for part in self.losses):
            return [(part.name, part.attributes()) for part in self.losses]
        return self._call

    def _call(self, outputs: list[Node], targets: list[Node]) -> Node:
        from retrograd import ops

        if self.function is not None:
            result = self.function(
                outputs[0] if len(outputs) == 1 else outputs, targets[0] if len(targets) == 1 else targets
            )
            return losses.expect_node(self.function, result)
        total: Node | None = None
        for k, (part, output, target) in enumerate(zip(self.losses or (), outputs, targets, strict=True)):
            value = part(output, target)
            if self.weights is not None:
                value = ops.multiply(value, self.weights[k])
            total = value if total is None else ops.add(total, value)
        assert total is not None
        return total

    @property
    def core_weights(self) -> list[float] | None:
        """Weights that the core has to apply itself."""
        return None if callable(self.spec) else self.weights

    def links(self) -> list[str]:
        """What makes probabilities of each output: "softmax", "sigmoid", or "none" where they are values."""
        if self.losses is None:
            return [""] * len(self.outputs)
        return [part.link or "none" for part in self.losses]

    def prediction(self, k: int, output: Array) -> Array:
        """Output k in the form that is compared with targets: probabilities of logits, else itself."""
        if self.losses is None:
            return output
        loss, node = self.losses[k], self.outputs[k]
        if isinstance(loss, losses.Hinge):
            return metrics.probabilities(output, "sigmoid")  # a score of 0 is the threshold
        if loss.link and node.op not in ("softmax", "sigmoid"):
            return metrics.probabilities(output, loss.link)
        return output

    def labels(self, y: list[Array]) -> Array | None:
        """The labels [n] of the first output that has any: what a split keeps in proportion."""
        for array, loss in zip(y, self.losses or (), strict=False):
            if isinstance(loss, losses.CrossEntropy) and array.ndim == 1:
                return array
            column = array.ndim == 1 or array.shape[1:] == (1,)
            binary = isinstance(loss, losses.BinaryCrossEntropy | losses.Hinge)
            if binary and column and array.dtype.kind in "iub":
                return array.reshape(-1)
        return None

    def class_weights(
        self, value: Any, y: list[Array], rows: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        """A weight for each row, by the class that it is of; ``rows``: those that are counted."""
        parts = self.losses or []
        if len(parts) == 1 and isinstance(parts[0], losses.CrossEntropy) and y[0].ndim == 1:
            return data.class_weights(value, y[0], self.outputs[0].shape[-1] or 1, rows)
        one_column = len(y) == 1 and y[0].reshape(len(y[0]), -1).shape[1] == 1
        if len(parts) == 1 and isinstance(parts[0], losses.BinaryCrossEntropy) and one_column:
            labels = y[0].reshape(-1)
            if not np.isin(labels, (0, 1)).all():
                raise ArgumentError("class_weight: y has values besides 0 and 1, so it has no classes")
            return data.class_weights(value, labels.astype(np.int64), 2, rows)
        raise ArgumentError(
            "class_weight: it takes one label for each row: loss='cross_entropy' with integer labels, or "
            "'binary_cross_entropy' with one output; otherwise give sample_weight"
        )


def objective_of(model: Model, notes: dict[str, Any], settings: dict[str, Any], loss: Any) -> Objective:
    """Of a file: the losses by their names, or the graph that a function of one's own made."""
    weights = notes.get("loss_weights", settings["loss_weights"] or None)
    if loss is not None:
        return Objective(model, loss, weights)
    kept = settings["loss"]
    if not notes and not callable(kept):
        return Objective(model, [losses.LOSSES[name](**attributes) for name, attributes in kept], weights)
    if not notes or isinstance(notes["losses"], dict):  # one function of all outputs
        objective = Objective(model, _listed(kept, notes["losses"]["function"] if notes else "function"))
    else:
        objective = Objective(model, _checkpoint.losses_of(notes["losses"]), weights)
    if callable(kept):
        objective.stored = kept
    return objective


def _listed(kept: Callable[..., Node], name: str) -> Callable[..., Node]:
    """A function of lists as one of nodes where there is only one."""

    def function(outputs: Any, targets: Any) -> Node:
        lists = [part if isinstance(part, list) else [part] for part in (outputs, targets)]
        return kept(*lists)

    function.__name__ = name
    return function
