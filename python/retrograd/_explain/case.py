"""One step of training, carried out by the engine on a copy, and its numbers as quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._explain.expression import Expression, Number, Quantity
from retrograd._explain.loss import Sample, sample_loss, unfused
from retrograd._explain.network import Numbers, Stage, read_stages
from retrograd.errors import ArgumentError, NonFiniteError
from retrograd.losses import CrossEntropy, Loss
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd._core import Array
    from retrograd._trace import Trace

__all__ = ["Case", "copy_of"]


def copy_of(trainer: Trainer) -> Trainer:
    """A trainer with a model and a state of its own, in which the next step is that of the original."""
    objective = trainer._objective
    loss = objective.function if objective.losses is None else list(objective.losses)
    copy = Trainer(
        trainer.model.copy(), loss, trainer.optimizer, seed=trainer._seed, threads=1, **trainer._settings
    )
    copy.iteration, copy.epoch = trainer.iteration, trainer.epoch
    copy.lr = trainer.lr
    for name, slots in trainer.optimizer_state.items():
        for slot, array in slots.items():
            copy.optimizer_state[name][slot][...] = array
    return copy


class Case:
    """What the engine computed of one step.

    Attributes
    ----------
    stages, loss
        The layers, and the loss.
    numbers, numbers_after
        Of the step, and of the same samples with the new parameters.
    gradients, norm
        What entered the update (with penalties, before clipping), and the norm of all of it.
    state_before, state_after
        Parameter -> slot -> array.
    iteration, lr
        t of this update, counted from 1, and the learning rate.
    """

    def __init__(self, trainer: Trainer, x: Any, y: Any, sample_weight: Any) -> None:
        self.stages: list[Stage] = read_stages(trainer.model)
        self.loss = _one_loss(trainer)
        self.original = trainer
        copy = copy_of(trainer)
        arrays = copy._batch(x, y, sample_weight)
        self.y = np.asarray(arrays[1][0])
        self.weighted = arrays[2] is not None
        self.iteration = copy.iteration + 1
        self.lr = copy.lr
        self.before = {name: view.copy() for name, view in copy.model.parameters.items()}
        self.state_before = _state(copy)
        trace = copy.trace(x, y, sample_weight)
        self.numbers = Numbers(copy.model, self.stages, trace, self.before)
        self.unfused = self._unfused(x, trace)

        copy.forward(x, y, sample_weight)
        copy.backward()
        self.gradients = {name: view.copy() for name, view in copy.model.gradients.items()}
        self.norm = copy.gradient_norm
        self.penalty = copy.penalty
        copy.update()
        self.after = {name: view.copy() for name, view in copy.model.parameters.items()}
        self.state_after = _state(copy)
        copy.iteration = self.iteration - 1  # what is drawn by chance is drawn again
        trace_after = copy.trace(x, y, sample_weight)
        self.numbers_after = Numbers(copy.model, self.stages, trace_after, self.after, new=True)
        self.frozen = set(copy.model.frozen)

    # ------------------------------------------------------------------------------------------- the loss

    @property
    def paired(self) -> bool:
        """Whether the loss undoes the output's activation."""
        last = self.stages[-1]
        return bool(self.loss.pair) and last.activation == self.loss.pair and last.has_activation

    @property
    def per_sample(self) -> str:
        """The node with the loss of each sample: the operand of the mean."""
        names = [name for name in self.numbers.trace.values if name != "loss.label_weight"]
        return names[names.index("loss") - 1]

    def share(self, i: int) -> Quantity:
        """What sample i counts in the mean: omega_i / sum of omega."""
        number = self.numbers.trace.deltas[self.per_sample][i]
        return Quantity("s", number, (), self.numbers.sample(i))

    def omega(self, i: int) -> Quantity:
        """The weight of sample i; 0 where its label is ignored."""
        values = self.numbers.trace.values
        number = 1.0
        for name in ("sample_weight", "loss.label_weight"):
            if name in values:
                number *= float(values[name][i])
        return Quantity("omega", number, (), self.numbers.sample(i))

    @property
    def equal(self) -> bool:
        """Whether all samples count alike."""
        return all(self.omega(i).number == 1 for i in range(self.numbers.samples))

    def loss_of(self, numbers: Numbers, i: int) -> Quantity:
        """L of sample i."""
        number = numbers.trace.values[self.per_sample][i]
        return Quantity("L", number, (), numbers.sample(i), 0, numbers.new)

    def ignored(self, i: int) -> bool:
        """Whether the label of sample i does not count."""
        label = isinstance(self.loss, CrossEntropy) and self.y.dtype.kind in "iu" and self.y.ndim == 1
        return label and int(self.y[i]) == self.loss.ignore_index  # type: ignore[attr-defined]

    def targets(self, i: int) -> list[Quantity]:
        """y of sample i; of a label 1 for its class and 0 for the others."""
        width, sample = self.stages[-1].size, self.numbers.sample(i)
        if isinstance(self.loss, CrossEntropy) and self.y.ndim == 1:
            row = [float(k == int(self.y[i])) for k in range(width)]
        else:
            values = self.numbers.trace.values.get("target", self.y)
            row = [float(number) for number in np.asarray(values[i]).reshape(-1)]
        return [Quantity("y", number, (k + 1,), sample) for k, number in enumerate(row)]

    def sample(self, numbers: Numbers, i: int) -> Sample:
        """Sample i as the loss sees it."""
        last = self.stages[-1]
        yhat = [_as_yhat(numbers.a(last, i, k)) for k in range(last.size)]
        u = [numbers.z(last, i, k) for k in range(last.size)] if self.paired else yhat
        label = isinstance(self.loss, CrossEntropy) and self.y.ndim == 1
        lengths = self._lengths(numbers, i) if self.loss.name == "cosine_similarity" else ()
        return Sample(self.loss, u, yhat, self.targets(i), label, self.paired, lengths)

    def loss_formula(self, numbers: Numbers, i: int) -> tuple[Expression, str]:
        """L of sample i, and a note where the outputs are too coarse to say it."""
        if self.ignored(i):
            return Number(0), "its label is ignored"
        sample, number = self.sample(numbers, i), self.loss_of(numbers, i).number
        formula = sample_loss(sample)
        if not self.paired or _says(formula, number, 1e3 * float(np.finfo(self.original.model.dtype).eps)):
            return formula, ""
        return sample_loss(sample.before_activation()), "of z, because a probability was rounded to 0 or 1"

    def _lengths(self, numbers: Numbers, i: int) -> Sequence[Quantity]:
        values = numbers.trace.values
        names = list(values)[list(values).index("target") :]
        dot = next(name for name in names if name.startswith("sum_"))
        first, second = (name for name in names if name.startswith("sqrt_"))
        return [
            Quantity(
                letter, values[name][i], (), numbers.sample(i), 0, numbers.new and letter != "target_length"
            )
            for letter, name in (("dot", dot), ("length", first), ("target_length", second))
        ]

    def _unfused(self, x: Any, trace: Trace) -> Array | None:
        """dL/dyhat where loss and activation are one formula, by the same graph with the two apart."""
        if not self.paired:
            return None
        samples, last = self.numbers.samples, self.stages[-1]
        smoothing = getattr(self.loss, "label_smoothing", 0.0)
        target = np.array([[y.number for y in self.targets(i)] for i in range(samples)])
        target = target.reshape(samples, *trace.values[last.a].shape[1:])
        target = (1 - smoothing) * target + smoothing / last.size
        weight = np.array([self.omega(i).number for i in range(samples)])
        # what is drawn by chance is drawn again
        twin = copy_of(self.original)
        apart = Trainer(twin.model, unfused(self.loss.name), "sgd", seed=twin._seed)
        apart.iteration = twin.iteration
        try:
            found: Array = apart.trace(x, target.astype(trace.values[last.a].dtype), weight).deltas[last.a]
        except NonFiniteError:
            return None
        return found if np.isfinite(found).all() else None

    def unfused_da(self, i: int, j: int) -> Quantity:
        """dL/dyhat_j of sample i where loss and activation are one formula."""
        assert self.unfused is not None
        last = self.stages[-1]
        number = self.unfused.reshape(self.numbers.samples, -1)[i, j]
        return Quantity("da", number, (j + 1,), self.numbers.sample(i), last.number)


def _says(formula: Expression, number: float, tolerance: float) -> bool:
    """Whether a formula of the numbers at hand has this value."""
    try:
        return abs(formula.value() - number) <= tolerance * max(abs(number), tolerance)
    except (ValueError, ZeroDivisionError, OverflowError):
        return False


def _as_yhat(a: Quantity) -> Quantity:
    return Quantity("yhat", a.number, a.index, a.sample, 0, a.new)


def _state(trainer: Trainer) -> dict[str, dict[str, Array]]:
    return {
        name: {slot: array.copy() for slot, array in slots.items()}
        for name, slots in trainer.optimizer_state.items()
    }


def _one_loss(trainer: Trainer) -> Loss:
    parts = trainer._objective.losses
    if parts is None or len(parts) != 1 or parts[0].name == "own":
        raise ArgumentError(
            "explain: the loss is a function of one's own, of which no formula is known; use a loss of "
            "rg.losses, or trace(x, y) for the numbers"
        )
    if trainer._objective.weights is not None:
        raise ArgumentError("explain: loss_weights are for several outputs; leave them out")
    return parts[0]
