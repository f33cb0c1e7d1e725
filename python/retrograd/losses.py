"""Losses: one value per sample, of an output and its target; training lowers their weighted mean.

L = sum_i w_i L_i / sum_i w_i over the samples i of a batch, with weights w_i of 1 unless given. A sample of
several positions (the steps of a sequence, the pixels of an image) has the mean over them; every mean here is
over all axes but the batch, except that what runs over the last axis (classes, a vector) is summed.

A trainer takes an object (``rg.Huber(delta=0.5)``), a name (``"huber"``, ``"mse"``) or a function of nodes.
An object is such a function too: ``rg.MeanSquaredError()(output, target)`` is a node of shape [batch].

Where an output is a softmax (or sigmoid), ``CrossEntropy`` (or ``BinaryCrossEntropy``) takes what went into
it: the pair is exact where a probability rounds to 0, and ``predict`` gives probabilities. Any other output
is taken as logits. Softmax is never applied twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from retrograd import ops
from retrograd._arguments import Record, integer, real, unknown
from retrograd.errors import ArgumentError
from retrograd.graph import Node, constant, operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd._core import Attributes
    from retrograd.graph import Operand

__all__ = [
    "BinaryCrossEntropy",
    "CosineSimilarity",
    "CrossEntropy",
    "HalfSquaredError",
    "Hinge",
    "Huber",
    "KLDivergence",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Poisson",
]


class Loss(Record):
    """One value per sample, as a function of two nodes."""

    name: ClassVar[str]  # in files, and wherever a loss is given by name
    pair: ClassVar[str] = ""  # the output's operation that this loss undoes
    link: ClassVar[str] = ""  # what turns its logits into probabilities: "softmax" or "sigmoid"
    built_in: ClassVar[bool] = True  # an operation of the core, not a composition of several

    def attributes(self) -> Attributes:
        """The numbers it is made with, as the core takes them."""
        return {}

    def __call__(self, output: Node, target: Operand) -> Node:
        """The loss of each sample. [batch, ...], target -> [batch]

        Raises
        ------
        ShapeError
            The target's shape is not the output's.
        """
        return operation(self.name, self._before(output), target, **self.attributes())

    def _before(self, output: Node) -> Node:
        return output.inputs[0] if self.pair and output.op == self.pair else output


class HalfSquaredError(Loss):
    """1/2 sum_j (y_j - t_j)^2 over the outputs j: the loss of textbooks, with delta = y - t"""

    name = "half_squared_error"


class MeanSquaredError(Loss):
    """mean_j (y_j - t_j)^2 over the outputs j"""

    name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """mean_j |y_j - t_j| over the outputs j"""

    name = "mean_absolute_error"


class Huber(Loss):
    """mean_j of 1/2 e^2 where |e| = |y_j - t_j| <= delta, and delta (|e| - delta/2) beyond (Huber, 1964)

    Raises
    ------
    ArgumentError
        delta is not above 0.
    """

    name = "huber"
    delta: float

    def __init__(self, delta: float = 1.0) -> None:
        self._set(delta=real("Huber: delta", delta, above=0.0))

    def attributes(self) -> Attributes:
        return {"delta": self.delta}


class BinaryCrossEntropy(Loss):
    """mean_j of -t_j log p_j - (1 - t_j) log(1 - p_j) with p = sigmoid(z); targets in 0..1"""

    name = "binary_cross_entropy"
    pair = link = "sigmoid"


class CrossEntropy(Loss):
    """-sum_k q_k log softmax(z)_k over the classes k, the last axis

    Targets are integer labels [batch, ...] or probabilities q of the output's shape [batch, ..., classes]. A
    sample's value is the mean over its labels that count, and it weighs as much as the share of them: without
    sample weights L is the mean over all labels of the batch that count, as in PyTorch.

    Parameters
    ----------
    label_smoothing
        s: q becomes (1 - s) q + s / classes (Szegedy et al., 2016).
    ignore_index
        Positions with this label do not count.

    Raises
    ------
    ArgumentError
        label_smoothing outside of 0..1.
    """

    name = "cross_entropy"
    pair = link = "softmax"
    label_smoothing: float
    ignore_index: int

    def __init__(self, label_smoothing: float = 0.0, ignore_index: int = -100) -> None:
        self._set(
            label_smoothing=real("CrossEntropy: label_smoothing", label_smoothing, 0.0, 1.0),
            ignore_index=integer("CrossEntropy: ignore_index", ignore_index, -(2**31), 2**31 - 1),
        )

    def attributes(self) -> Attributes:
        return {"label_smoothing": self.label_smoothing, "ignore_index": self.ignore_index}


class Poisson(Loss):
    """mean_j of exp(z_j) - t_j z_j: counts t at the rate exp(z), without the term that has no gradient"""

    name = "poisson"


class Hinge(Loss):
    """mean_j of max(0, 1 - t_j z_j); targets are -1 and +1"""

    name = "hinge"


class KLDivergence(Loss):
    """sum_k q_k (log q_k - log softmax(z)_k) over the classes k, the last axis

    Targets are probabilities q of the output's shape.
    """

    name = "kl_divergence"
    pair = link = "softmax"
    built_in = False

    def __call__(self, output: Node, target: Operand) -> Node:
        q = target if isinstance(target, Node) else constant(target)
        log_q = ops.log(ops.maximum(q, 1e-37))  # q log q is 0 where q is 0, and a float32 holds 1e-37
        terms = ops.multiply(q, ops.subtract(log_q, ops.log_softmax(self._before(output))))
        return _per_sample(ops.sum(terms, axis=-1))


class CosineSimilarity(Loss):
    """1 - y.t / (|y| |t|), the cosine of the angle between output and target, over the last axis

    Lengths below 1e-8 count as 1e-8, so that a vector of zeros is orthogonal to everything.
    """

    name = "cosine_similarity"
    built_in = False

    def __call__(self, output: Node, target: Operand) -> Node:
        t = target if isinstance(target, Node) else constant(target)
        dot = ops.sum(ops.multiply(output, t), axis=-1)
        lengths = ops.multiply(_length(output), _length(t))
        return _per_sample(ops.subtract(1.0, ops.divide(dot, lengths)))


def _length(x: Node) -> Node:
    """Over the last axis, and at least 1e-8."""
    return ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=-1), 1e-16))


class OwnLoss(Loss):
    """A function ``f(output, target)`` of one's own, among the losses of several outputs."""

    name = "own"
    built_in = False
    function: Callable[..., Node]

    def __init__(self, function: Callable[..., Node]) -> None:
        self._set(function=function)

    def __call__(self, output: Node, target: Operand) -> Node:
        return expect_node(self.function, self.function(output, target))


def expect_node(function: Callable[..., Node], result: Any) -> Node:
    """What a loss function returned, which must be a node.

    Raises
    ------
    ArgumentError
        It is none.
    """
    if isinstance(result, Node):
        return result
    raise ArgumentError(
        f"Trainer: loss {getattr(function, '__name__', 'function')!s} must return a node with one value per "
        f"sample, got {type(result).__name__}; build it from rg.ops"
    )


def _per_sample(values: Node) -> Node:
    """The mean over what axes are left besides the batch."""
    return ops.mean(values) if len(values.shape) > 1 else values


LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (
        HalfSquaredError,
        MeanSquaredError,
        MeanAbsoluteError,
        Huber,
        BinaryCrossEntropy,
        CrossEntropy,
        Poisson,
        Hinge,
        KLDivergence,
        CosineSimilarity,
    )
}
ALIASES: dict[str, str] = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "bce": "binary_cross_entropy",
}


def resolve(who: str, loss: Any) -> Loss | Callable[..., Node]:
    """A name, an object or a function of nodes, as one of the last two.

    Raises
    ------
    ArgumentError
        An unknown name, or none of these.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        name = ALIASES.get(loss, loss)
        if name not in LOSSES:
            raise unknown(f"{who}: loss", loss, [*LOSSES, *ALIASES])
        return LOSSES[name]()
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    if callable(loss):
        function: Callable[..., Node] = loss
        return function
    raise ArgumentError(
        f"{who}: loss must be a name, an object of rg.losses or a function of nodes, got {loss!r} "
        f"({type(loss).__name__}); names are {', '.join([*LOSSES, *ALIASES])}"
    )
