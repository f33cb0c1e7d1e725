"""The rules of ``rg.diagnose``: from the numbers of layers to what is wrong, and what to change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from retrograd._arguments import Record, real

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd.history import History

__all__ = ["Finding", "LayerReport", "Thresholds"]

HEALTHY = "healthy"
EXPLODING = "exploding"
DEAD = "dead units"
SATURATED = "saturated"
VANISHING = "vanishing"
STILL = "not learning"

_SHOWN = 8  # units that a sentence names one by one
_SHRINKING = 0.5  # a mean slope gain below this is the activation's doing: sigmoid's is 0.25 at most


class Thresholds(Record):
    """Where numbers become findings. Change one by ``rg.diagnose(..., thresholds=Thresholds(dead=0.3))``.

    The defaults were set by 108 networks on digits (``examples/diagnose.py``, seed 0), but for opening,
    overshoot, same, flat and learned, which are reasoned. With other seeds, most that is missed is a network
    that learns too slowly to get there: it is called healthy.

    Parameters
    ----------
    vanishing
        The RMS of a layer's delta over that of the last layer behind it. Below 1/200 the first layers stand
        still while the last one is done: of those networks the ones that learned had 1/60 and more, the ones
        that did not had 1/500 and less. It holds for Adam too: it makes steps of the usual size from tiny
        gradients, but where delta does not arrive, the input does not arrive either.
    opening
        A ratio of deltas that the next update makes 1.2 times larger is on its way up, and no finding: an
        output layer may begin at 0. Where gradients vanish an update changes it by next to nothing.
    exploding
        The same ratio, the other way. A network of 10 layers with tanh that still learned had 25; 1,000 is
        where the first step destroys the first layers.
    overshoot
        RMS of one update over RMS of the weights: from 1 on, a step is as long as the weights themselves and
        little that was learned remains. 1e-3 is usual, 0.1 is much. Only where the loss does not fall by it:
        weights that begin at 0 take such steps and are none the worse.
    dead
        The share of a layer's units that pass nothing for any sample. ReLU networks that learn lose up to a
        half in narrow layers; more than 0.6 is a bottleneck that grows.
    saturated
        The share of a layer's outputs on the flat ends of the activation. With 0.86 networks still learned,
        with 0.97 they did not.
    still
        RMS update over RMS weight in every layer: below 1e-5 it takes 100,000 steps to change the weights by
        as much as they are.
    driven
        RMS gradient over RMS weight: a layer above 1e-3 is pulled somewhere, so that tiny steps, or a loss
        that does not fall, are no sign of having arrived.
    same
        RMS deviation of the outputs from their mean over the samples, over their RMS: below 1e-6, the
        accuracy of float32, all samples get the same answer.
    flat
        The share by which the loss has to have fallen below that of the first epoch: less than 1 % in three
        epochs or more is none.
    learned
        A loss of at most this share of the first epoch's: training works, and layers that look vanishing or
        saturated do no harm to it. One half cannot be had by adjusting the last bias alone.

    Raises
    ------
    ArgumentError
        A number below 0, or a share above 1.
    """

    vanishing: float
    opening: float
    exploding: float
    overshoot: float
    dead: float
    saturated: float
    still: float
    driven: float
    same: float
    flat: float
    learned: float

    def __init__(
        self,
        vanishing: float = 5e-3,
        opening: float = 1.2,
        exploding: float = 1e3,
        overshoot: float = 1.0,
        dead: float = 0.6,
        saturated: float = 0.9,
        still: float = 1e-5,
        driven: float = 1e-3,
        same: float = 1e-6,
        flat: float = 0.01,
        learned: float = 0.5,
    ) -> None:
        self._set(
            vanishing=real("Thresholds: vanishing", vanishing, 0.0, 1.0),
            opening=real("Thresholds: opening", opening, 1.0),
            exploding=real("Thresholds: exploding", exploding, 1.0),
            overshoot=real("Thresholds: overshoot", overshoot, 0.0),
            dead=real("Thresholds: dead", dead, 0.0, 1.0),
            saturated=real("Thresholds: saturated", saturated, 0.0, 1.0),
            still=real("Thresholds: still", still, 0.0),
            driven=real("Thresholds: driven", driven, 0.0),
            same=real("Thresholds: same", same, 0.0, 1.0),
            flat=real("Thresholds: flat", flat, 0.0, 1.0),
            learned=real("Thresholds: learned", learned, 0.0, 1.0),
        )


class LayerReport(Record):
    """One row of a :class:`Diagnosis`; NaN (dead_units: None) for what the layer does not have.

    Attributes
    ----------
    name, kind, activation, units
        ``"dense_0"``, ``"dense"``, ``"relu"`` ("" for none, "own" for a function of one's own), and how many.
    delta_rms
        RMS of dL/dz over samples and units.
    delta_ratio
        That over the delta_rms of the last layer that can be reached from here.
    delta_ratio_after
        The same after the trainer's next update; NaN without a trainer.
    weight_gain
        RMS(W_next^T delta_next) / RMS delta_next, on the way back from the next layer.
    slope_gain
        What act'(z) makes of it: for a plain dense network RMS delta / RMS(W_next^T delta_next).
    other_gain
        What normalisations, pooling, dropout and skip connections between the two layers make of it; 1 where
        there are none. delta_rms of the next layer times the three gains is delta_rms of this one, exactly.
    gradient_norm, gradient_rms
        Of dW: the root of the sum, and of the mean, of the squares.
    weight_rms
        Of W.
    gradient_ratio
        gradient_rms / weight_rms: what one step of SGD with a rate of 1 would change.
    update_ratio
        RMS of the next update by the trainer's own optimizer / weight_rms; NaN without a trainer.
    activation_mean, activation_std
        Of a, over samples and units.
    saturated
        The share of outputs on the flat ends of the activation.
    dead_units
        The units that pass nothing of any sample.
    next
        The layer from which its gradient comes first; "" for the last.
    symmetric
        Whether all its units have the same weights and the same gradients, so that they stay the same.
    """

    name: str
    kind: str
    activation: str
    units: int
    delta_rms: float
    delta_ratio: float
    delta_ratio_after: float
    weight_gain: float
    slope_gain: float
    other_gain: float
    gradient_norm: float
    gradient_rms: float
    weight_rms: float
    gradient_ratio: float
    update_ratio: float
    activation_mean: float
    activation_std: float
    saturated: float
    dead_units: tuple[int, ...] | None
    next: str
    symmetric: bool

    def __init__(
        self,
        name: str,
        kind: str,
        activation: str,
        units: int,
        delta_rms: float,
        delta_ratio: float,
        delta_ratio_after: float,
        weight_gain: float,
        slope_gain: float,
        other_gain: float,
        gradient_norm: float,
        gradient_rms: float,
        weight_rms: float,
        gradient_ratio: float,
        update_ratio: float,
        activation_mean: float,
        activation_std: float,
        saturated: float,
        dead_units: tuple[int, ...] | None,
        next: str,
        symmetric: bool,
    ) -> None:
        values = dict(locals())
        del values["self"]
        self._set(**values)

    @property
    def dead(self) -> float:
        """The share of its units that are dead; NaN where that has no meaning."""
        return math.nan if self.dead_units is None else len(self.dead_units) / self.units


class Finding(Record):
    """One thing that is wrong.

    Attributes
    ----------
    name
        ``"exploding"``, ``"dead units"``, ``"saturated"``, ``"vanishing"`` or ``"not learning"``.
    layers
        Where; empty where it is about the whole.
    numbers
        What triggered it, by layer or by name.
    threshold
        What the numbers were held against; NaN where no number was needed.
    text, remedy
        What was seen, and what to change, in sentences.
    """

    name: str
    layers: tuple[str, ...]
    numbers: dict[str, float]
    threshold: float
    text: str
    remedy: str

    def __init__(
        self,
        name: str,
        layers: tuple[str, ...],
        numbers: dict[str, float],
        threshold: float,
        text: str,
        remedy: str,
    ) -> None:
        self._set(name=name, layers=layers, numbers=numbers, threshold=threshold, text=text, remedy=remedy)

    def __str__(self) -> str:
        return f"{self.name}: {self.text} {self.remedy}"


class Situation(Record):
    """What the rules look at: the layers, the whole, and the past if there is one."""

    layers: tuple[LayerReport, ...]
    loss: float
    after: float  # the loss after one more update; NaN where none was tried
    spread: float  # of the outputs over the samples, relative to their size
    overflow: str  # what the trial step said, if it was not finite
    past: tuple[float, ...]  # the losses of the epochs so far
    ended: str  # why the last fit ended

    def __init__(
        self,
        layers: tuple[LayerReport, ...],
        loss: float,
        after: float,
        spread: float,
        overflow: str,
        history: History | None,
    ) -> None:
        losses = history.history.get("loss", []) if history is not None else []
        self._set(
            layers=layers,
            loss=loss,
            after=after,
            spread=spread,
            overflow=overflow,
            past=tuple(value for value in losses if not math.isnan(value)),
            ended=history.stop_reason if history is not None else "",
        )

    def learned(self, limits: Thresholds) -> bool:
        """Whether the loss of the last epoch is far below that of the first."""
        return len(self.past) > 1 and self.past[-1] <= limits.learned * self.past[0]


def findings(seen: Situation, limits: Thresholds) -> list[Finding]:
    """All findings, the most important first: a cause before what follows from it."""
    found = [*_exploding(seen, limits), *_symmetric(seen), *_dead(seen, limits), *_saturated(seen, limits)]
    if not any(one.name == DEAD for one in found):  # nothing comes back through dead units: that says it all
        found += _vanishing(seen, limits)
    return found or _still(seen, limits)


def _exploding(seen: Situation, limits: Thresholds) -> list[Finding]:
    lost = [layer.name for layer in seen.layers if math.isinf(layer.delta_rms)]
    broken = seen.ended.startswith("NonFiniteError")
    if not math.isfinite(seen.loss) or lost or seen.overflow or broken:
        text = f"The loss is {seen.loss:.3g}"
        text += f", the gradients of {_listed(lost)} are too large for a number" if lost else ""
        text += f"; the next step fails: {seen.overflow}" if seen.overflow else ""
        text += ", and training ended because it was no longer finite" if broken else ""
        return [Finding(EXPLODING, tuple(lost), {"loss": seen.loss}, math.inf, text + ".", _calm(seen))]
    found = []
    large = {v.name: v.delta_ratio for v in seen.layers if v.delta_ratio > limits.exploding}
    if large:
        worst = max(large, key=lambda name: large[name])
        text = (
            f"The error grows on its way back: RMS delta of {worst} is {large[worst]:.3g} times that of the "
            f"last layer (limit {limits.exploding:g}){_also(large)}."
        )
        found.append(Finding(EXPLODING, tuple(large), large, limits.exploding, text, _smaller(seen, worst)))
    steps = {v.name: v.update_ratio for v in seen.layers if _finite(v.update_ratio) >= limits.overshoot}
    if steps and not seen.after < seen.loss:  # weights that begin at 0 may take long steps
        worst = max(steps, key=lambda name: steps[name])
        text = (
            f"One update changes the weights of {worst} by {steps[worst]:.3g} times their size "
            f"(limit {limits.overshoot:g}), and the loss goes from {seen.loss:.4g} to {seen.after:.4g}"
            f"{_also(steps)}."
        )
        remedy = (
            f"Divide the learning rate by {_roughly(steps[worst] / 1e-2)}, for updates near 1 % of the "
            "weights, or limit the gradients: clip_norm=1."
        )
        found.append(Finding(EXPLODING, tuple(steps), steps, limits.overshoot, text, remedy))
    return found


def _symmetric(seen: Situation) -> list[Finding]:
    alike = [layer.name for layer in seen.layers if layer.symmetric]
    if not alike:
        return []
    text = (
        f"All units of {_listed(alike)} have the same weights and the same gradients: they stay equal, and "
        "the layer is worth one unit."
    )
    remedy = f"Begin {_listed(alike)} with weights that differ: weight_init='auto', not zeros or ones."
    return [Finding(STILL, tuple(alike), dict.fromkeys(alike, 0.0), math.nan, text, remedy)]


def _dead(seen: Situation, limits: Thresholds) -> list[Finding]:
    dead = {v.name: v.dead for v in seen.layers if v.dead >= limits.dead}
    if not dead:
        return []
    by_name = {layer.name: layer for layer in seen.layers}
    parts = []
    for name in dead:
        layer = by_name[name]
        units = layer.dead_units or ()
        which = f" (units {', '.join(map(str, units[:_SHOWN]))}{', ...' if len(units) > _SHOWN else ''})"
        parts.append(f"{name}: {len(units)} of {layer.units}{'' if len(units) == layer.units else which}")
    text = f"Units that pass nothing of any sample: {'; '.join(parts)} (limit {limits.dead:.0%})."
    kinds = sorted({by_name[name].activation for name in dead})
    remedy = (
        f"They do not come back by themselves. Begin again with a smaller learning rate, with "
        f"activation='leaky_relu' in place of {' and '.join(kinds)} in {_listed(dead)}, or with a BatchNorm "
        "before the activation."
    )
    return [Finding(DEAD, tuple(dead), dead, limits.dead, text, remedy)]


def _saturated(seen: Situation, limits: Thresholds) -> list[Finding]:
    # outputs that saturate are answers that are sure, and a network that has learned may be sure of itself
    flat = {v.name: v.saturated for v in seen.layers if v.saturated >= limits.saturated and v.next}
    if not flat or seen.learned(limits):
        return []
    worst = max(flat, key=lambda name: flat[name])
    layers = [layer for layer in seen.layers if layer.name in flat]
    kinds = sorted({layer.activation for layer in layers})
    text = (
        f"{flat[worst]:.0%} of the outputs of {worst} lie on the flat ends of its activation "
        f"(limit {limits.saturated:.0%}), where it passes next to no gradient{_also(flat)}."
    )
    size = _span([layer.weight_rms for layer in layers])
    start = (
        f"begin {_listed(flat)} with smaller weights (weight_init='glorot_uniform'; their RMS is {size} now)"
    )
    # before the first epoch nothing but the start can be to blame
    first = f"Divide the learning rate by 10 and {start}" if seen.past else start[0].upper() + start[1:]
    remedy = (
        f"{first}, scale the inputs to about -1 to 1, put a BatchNorm before the activation, or use relu in "
        f"place of {' and '.join(kinds)}."
    )
    return [Finding(SATURATED, tuple(flat), flat, limits.saturated, text, remedy)]


def _vanishing(seen: Situation, limits: Thresholds) -> list[Finding]:
    small = {
        layer.name: layer.delta_ratio
        for layer in seen.layers
        if layer.delta_ratio < limits.vanishing and not _opening(layer, seen, limits)
    }
    if not small or seen.learned(limits):
        return []
    worst = min(small, key=lambda name: small[name])
    path = _path(seen, worst)
    weight, slope = _mean_gains(path)
    text = (
        f"The error fades on its way back: RMS delta of {worst} is {small[worst]:.1e} of that of the last "
        f"layer (limit {limits.vanishing:g}){_also(small)}. A layer multiplies it by "
        f"{weight:.2g} through its weights and by {slope:.2g} through the slope of its activation."
    )
    if slope < _SHRINKING:
        layers = [layer for layer in path if layer.activation and layer.slope_gain < _SHRINKING]
        kinds = sorted({layer.activation for layer in layers})
        instead = "leaky_relu" if "relu" in kinds else "relu"
        remedy = (
            f"It is the activation: use {instead} with weight_init='he_normal' in place of "
            f"{' and '.join(kinds)}, or put a BatchNorm before it, in {_listed([v.name for v in layers])}; "
            "skip connections help beyond 20 layers."
        )
    else:
        names = [layer.next for layer in path if _gain(layer) < _SHRINKING]
        remedy = (
            f"It is the weights: begin {_listed(names)} with weight_init='auto' (about "
            f"{_roughly(1 / max(weight * slope, 1e-9))} times larger), or put a BatchNorm behind each layer."
        )
    return [Finding(VANISHING, tuple(small), small, limits.vanishing, text, remedy)]


def _opening(layer: LayerReport, seen: Situation, limits: Thresholds) -> bool:
    """Whether the way back opens by itself: weights behind it that begin at 0 grow with the first steps."""
    if layer.delta_ratio_after > limits.opening * layer.delta_ratio:
        return True
    behind = {v.next for v in _path(seen, layer.name)}
    return any(_begins(v) for v in seen.layers if v.name in behind)


def _begins(layer: LayerReport) -> bool:
    """Whether its weights are all 0 and the next step changes that."""
    return layer.weight_rms == 0.0 and layer.gradient_rms > 0.0


def _still(seen: Situation, limits: Thresholds) -> list[Finding]:
    if seen.learned(limits):
        return []
    pulls = [_finite(layer.gradient_ratio) for layer in seen.layers]
    steps = {v.name: v.update_ratio for v in seen.layers if math.isfinite(v.update_ratio)}
    driven = max(pulls, default=0.0) > limits.driven
    fastest = max(steps.values(), default=math.nan)
    if driven and fastest < limits.still:
        factor = f"{_roughly(1e-3 / fastest)} times larger" if fastest > 0 else "above 0"
        text = (
            f"The largest update changes a layer by {fastest:.1e} of its weights (limit {limits.still:g}), "
            f"though the gradients pull: {max(pulls):.1e} of the weights at a rate of 1."
        )
        remedy = f"Take a learning rate {factor}; updates of about 1e-3 of the weights are usual."
        return [Finding(STILL, tuple(steps), steps, limits.still, text, remedy)]
    if seen.spread < limits.same and not any(map(_begins, seen.layers)):
        text = (
            f"The outputs are the same for all samples (they vary by {seen.spread:.1e} of their size), so "
            "nothing can be told apart."
        )
        remedy = "Look for inputs that are all equal, and begin with weight_init='auto'."
        return [Finding(STILL, (), {"spread": seen.spread}, limits.same, text, remedy)]
    past = seen.past
    if len(past) > 2 and min(past) > (1 - limits.flat) * past[0] and driven:
        text = (
            f"The loss was {past[0]:.4g} in the first epoch and {min(past):.4g} in the best of "
            f"{len(past)}: it fell by less than {limits.flat:.0%}. Updates are up to {fastest:.1e} of the "
            "weights."
        )
        up = "larger" if fastest < 1e-3 else "smaller"
        remedy = f"Try a learning rate ten times {up}, and check that x and y belong together row by row."
        return [Finding(STILL, (), {"first": past[0], "best": min(past)}, limits.flat, text, remedy)]
    return []


def _calm(seen: Situation) -> str:
    steps = [layer.update_ratio for layer in seen.layers if math.isfinite(layer.update_ratio)]
    factor = _roughly(max(steps) / 1e-2) if steps and max(steps) > 0.1 else "10"
    return (
        f"Begin again with a learning rate divided by {factor}, clip_norm=1, weight_init='auto' and inputs "
        "of about -1 to 1."
    )


def _smaller(seen: Situation, worst: str) -> str:
    path = _path(seen, worst)
    weight, slope = _mean_gains(path)
    names = [layer.next for layer in path if _gain(layer) > 1 / _SHRINKING]
    return (
        f"A layer multiplies it by {weight:.3g} through its weights and {slope:.2f} through its activation: "
        f"begin {_listed(names)} with weight_init='auto' (about {_roughly(weight * slope)} times smaller), "
        "or put a LayerNorm behind each layer; clip_norm=1 limits the damage."
    )


def _path(seen: Situation, name: str) -> list[LayerReport]:
    """The layers that the error passes on its way back to this one, this one first, without the last."""
    by_name = {layer.name: layer for layer in seen.layers}
    found = []
    while by_name[name].next:
        found.append(by_name[name])
        name = by_name[name].next
    return found


def _gain(layer: LayerReport) -> float:
    """What the error is multiplied by between the next layer and this one."""
    return layer.weight_gain * layer.other_gain * layer.slope_gain


def _mean_gains(path: Sequence[LayerReport]) -> tuple[float, float]:
    """The geometric means of weight gain (and what lies between) and slope gain of these layers."""

    def mean(values: Sequence[float]) -> float:
        usable = [math.log(value) for value in values if value > 0 and math.isfinite(value)]
        return math.exp(float(np.mean(usable))) if usable else 0.0

    return mean([v.weight_gain * v.other_gain for v in path]), mean([v.slope_gain for v in path])


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _roughly(factor: float) -> str:
    """A factor to change something by, with one digit: 1.7 -> "2", 340 -> "300"."""
    if not math.isfinite(factor) or factor > 1e12:
        return "a million or more"
    if factor < 2:
        return "2"
    unit = 10.0 ** math.floor(math.log10(factor))
    return f"{round(factor / unit) * unit:,.0f}"


def _span(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "unknown"
    low, high = min(known), max(known)
    return f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"


def _also(names: dict[str, float]) -> str:
    """Where else, if there are several places."""
    return f"; it is so in {_listed(names)}" if len(names) > 1 else ""


def _listed(names: Sequence[str] | dict[str, float]) -> str:
    """ "dense_0, dense_1", or the first and the last of many."""
    known = list(names)
    if len(known) > 3:
        return f"{known[0]}, ..., {known[-1]} ({len(known)} layers)"
    return ", ".join(known)
