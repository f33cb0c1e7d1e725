"""From an estimator's arguments to a network: layers, their first weights, what is minimised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import activations, losses
from retrograd._arguments import flag, integer, real
from retrograd.errors import ArgumentError, ShapeError
from retrograd.graph import Input
from retrograd.layers import Activation, BatchNorm, Dense, Dropout
from retrograd.model import Model, Sequential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from retrograd._core import Array

# scikit-learn's names, and ours.
NAMES = {"identity": "linear", "logistic": "sigmoid"}
# The activations whose layers begin as scikit-learn's do.
CLASSIC = {"linear", "sigmoid", "tanh", "relu"}


def our_name(activation: Any) -> Any:
    """An activation as our layers take it."""
    if activation is None:
        return "linear"
    return NAMES.get(activation, activation) if isinstance(activation, str) else activation


class Hidden:
    """What stands between inputs and output: units, activation, dropout and normalisation of each layer.

    Raises
    ------
    ArgumentError
        A size, activation or rate that cannot be, or a list that is not as long as there are layers.
    """

    def __init__(self, who: str, sizes: Any, activation: Any, dropout: Any, batch_norm: Any) -> None:
        listed = list(sizes) if hasattr(sizes, "__iter__") and not isinstance(sizes, str) else [sizes]
        self.sizes = [integer(f"{who}: hidden_layer_sizes", size) for size in listed]
        self.activations = [our_name(one) for one in self._each(who, "activation", activation)]
        self._last = "linear" if isinstance(activation, list | tuple) else our_name(activation)
        for one in [*self.activations, self._last]:
            activations.resolve(who, one)
        rates = self._each(who, "dropout", dropout)
        self.dropout = [real(f"{who}: dropout", rate, 0.0, below=1.0) for rate in rates]
        norms = self._each(who, "batch_norm", batch_norm)
        self.batch_norm = [flag(f"{who}: batch_norm", one) for one in norms]

    def _each(self, who: str, what: str, given: Any) -> list[Any]:
        if not isinstance(given, list | tuple | np.ndarray):
            return [given] * len(self.sizes)
        if len(given) != len(self.sizes):
            raise ArgumentError(
                f"{who}: {what} has {len(given)} entries but there are {len(self.sizes)} hidden layers; give "
                "one for each of them, or one for all"
            )
        return list(given)

    @property
    def random(self) -> bool:
        """Whether a seed is needed besides scikit-learn's own draws of the weights."""
        return any(self.dropout) or any(one not in CLASSIC for one in self.activations)

    def build(self, inputs: int, outputs: int, last: str, dtype: DTypeLike, seed: int) -> Model:
        """The network, with our own initial weights; its dense layers are dense_0, dense_1, ..."""
        stack: list[Any] = [Input(inputs)]
        for i, units in enumerate(self.sizes):
            if self.batch_norm[i]:
                stack += [Dense(units, name=f"dense_{i}"), BatchNorm(), Activation(self.activations[i])]
            else:
                stack.append(Dense(units, activation=self.activations[i], name=f"dense_{i}"))
            if self.dropout[i]:
                stack.append(Dropout(self.dropout[i]))
        stack.append(Dense(outputs, activation=last, name=f"dense_{len(self.sizes)}"))
        return Sequential(stack, seed=seed, dtype=dtype)

    def draw(self, model: Model, random: np.random.RandomState) -> None:
        """Weights and biases as scikit-learn draws them, for its four activations and the output.

        Uniform within sqrt(c / (inputs + units)), c = 6, or 2 for logistic units (Glorot and Bengio, 2010).
        """
        before = [*self.activations, self.activations[-1] if self.activations else self._last]
        for i, activation in enumerate(before):
            if i < len(self.sizes) and activation not in CLASSIC:
                continue
            weight, bias = model.parameters[f"dense_{i}.weight"], model.parameters[f"dense_{i}.bias"]
            bound = np.sqrt((2.0 if activation == "sigmoid" else 6.0) / sum(weight.shape))
            weight[...] = random.uniform(-bound, bound, weight.shape[::-1]).T
            bias[...] = random.uniform(-bound, bound, bias.shape)


class Weights(list[Any]):
    """One array for each layer, views of the model's memory; ``weights[i] = array`` writes into it."""

    def __setitem__(self, i: Any, value: Any) -> None:
        if isinstance(i, slice):
            raise ArgumentError("coefs_ and intercepts_: set one layer's array at a time")
        self[i][...] = value


def coefs(model: Model, layers: int) -> Weights:
    """The weights of each dense layer, [inputs, units] as scikit-learn has them."""
    return Weights(model.parameters[f"dense_{i}.weight"].T for i in range(layers))


def intercepts(model: Model, layers: int) -> Weights:
    """The biases of each dense layer. [units]"""
    return Weights(model.parameters[f"dense_{i}.bias"] for i in range(layers))


def write(who: str, what: str, given: Sequence[Any], views: Weights) -> None:
    """Arrays of one's own into the model.

    Raises
    ------
    ShapeError
        Not one for each layer, or one of another shape.
    """
    if len(given) != len(views):
        raise ShapeError(f"{who}: {what} has {len(given)} arrays, expected {len(views)}, one for each layer")
    for i, (view, value) in enumerate(zip(views, given, strict=True)):
        array = np.asarray(value)
        if array.shape != view.shape:
            raise ShapeError(f"{who}: {what}[{i}] has shape {array.shape}, expected {view.shape}")
        view[...] = array


class Goal:
    """What is minimised, and how scikit-learn would report it.

    Parameters
    ----------
    loss
        One of ours.
    weight
        A factor on it, so that its gradient is scikit-learn's.
    scale
        A further factor on what is reported.
    output
        The activation of the output in the graph.
    shown
        What ``out_activation_`` calls it.
    targets
        "labels", "columns" or "signs": what the loss compares with.
    """

    def __init__(
        self,
        loss: Any,
        outputs: int,
        output: str,
        shown: str,
        targets: str = "columns",
        weight: float = 1.0,
        scale: float = 1.0,
    ) -> None:
        self.loss, self.outputs, self.output, self.shown = loss, outputs, output, shown
        self.targets, self.weight, self.scale = targets, weight, scale

    def constant(self, y: Array) -> float:
        """What scikit-learn adds to the loss of targets y that has no gradient."""
        if not isinstance(self.loss, losses.Poisson):
            return 0.0
        positive = y > 0
        log = np.log(y, out=np.zeros_like(y), where=positive)
        return self.weight * float((y * log - y).mean())


def classes_goal(who: str, loss: Any, classes: int, multilabel: bool) -> Goal:
    """For labels: log_loss as scikit-learn has it, or any other.

    Raises
    ------
    ArgumentError
        An unknown loss, or one that takes one class for each row with several labels.
    """
    several = classes > 2 and not multilabel
    columns = classes if several or multilabel else 1
    if loss == "log_loss" and several:
        return Goal(losses.CrossEntropy(), classes, "softmax", "softmax", "labels")
    if loss == "log_loss":
        return Goal(losses.BinaryCrossEntropy(), columns, "sigmoid", "logistic", weight=float(columns))
    found: Any = losses.resolve(who, loss)
    link = getattr(found, "link", "")
    if link == "softmax":
        if multilabel:
            raise ArgumentError(
                f"{who}: loss={loss!r} is for one class a row, but y has several labels a row; use "
                "'log_loss', 'binary_cross_entropy' or another loss without softmax"
            )
        targets = "labels" if isinstance(found, losses.CrossEntropy) else "columns"
        return Goal(found, max(classes, 2), "softmax", "softmax", targets)
    if isinstance(found, losses.Hinge):
        return Goal(found, columns, "linear", "identity", "signs")
    if link == "sigmoid" or not several:
        return Goal(found, columns, "sigmoid", "logistic")
    return Goal(found, columns, "softmax", "softmax")


def numbers_goal(who: str, loss: Any, outputs: int) -> Goal:
    """For numbers: squared_error and poisson as scikit-learn has them, or any other.

    Raises
    ------
    ArgumentError
        An unknown loss.
    """
    if isinstance(loss, str) and loss == "squared_error":
        return Goal(losses.HalfSquaredError(), outputs, "linear", "identity", scale=1.0 / outputs)
    if isinstance(loss, str) and loss == "poisson":
        return Goal(losses.Poisson(), outputs, "linear", "exp", weight=float(outputs))
    found: Any = losses.resolve(who, loss)
    if isinstance(found, losses.Poisson):
        return Goal(found, outputs, "linear", "exp")
    output, shown = {"softmax": ("softmax", "softmax"), "sigmoid": ("sigmoid", "logistic")}.get(
        getattr(found, "link", ""), ("linear", "identity")
    )
    return Goal(found, outputs, output, shown)
