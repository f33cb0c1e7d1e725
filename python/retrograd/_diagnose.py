"""Diagnosis: what the gradients of a network are doing, and what to change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import Record
from retrograd._findings import HEALTHY, Finding, LayerReport, Situation, Thresholds, findings
from retrograd._flow import Site, measure, rms, sites
from retrograd.errors import ArgumentError, NonFiniteError
from retrograd.model import Model
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrograd._core import Array
    from retrograd._trace import Trace

__all__ = ["Diagnosis", "Finding", "LayerReport", "Thresholds", "diagnose"]


class Diagnosis:
    """What :func:`diagnose` found; print it.

    Attributes
    ----------
    verdict
        ``"healthy"``, ``"exploding"``, ``"dead units"``, ``"saturated"``, ``"vanishing"`` or
        ``"not learning"``: the name of the first finding.
    findings
        :class:`Finding` objects, the most important first; empty where all is well.
    layers
        :class:`LayerReport` objects in the order of the graph; ``diagnosis["dense_0"]`` is one of them.
    loss
        Of these samples.
    optimizer
        Whose update was tried; "" for a bare network.
    thresholds
        What the numbers were held against.
    """

    def __init__(
        self,
        layers: tuple[LayerReport, ...],
        found: list[Finding],
        loss: float,
        optimizer: str,
        thresholds: Thresholds,
    ) -> None:
        self.layers = layers
        self.findings = found
        self.loss = loss
        self.optimizer = optimizer
        self.thresholds = thresholds

    @property
    def verdict(self) -> str:
        """The name of the most important finding, or "healthy"."""
        return self.findings[0].name if self.findings else HEALTHY

    @property
    def healthy(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    def __getitem__(self, name: str) -> LayerReport:
        from retrograd._arguments import unknown

        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown("diagnosis: layer", name, [layer.name for layer in self.layers])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and strings; None for what a layer does not have."""

        def plain(value: Any) -> Any:
            if isinstance(value, float) and math.isnan(value):
                return None
            return list(value) if isinstance(value, tuple) else value

        def fields(record: Record) -> dict[str, Any]:
            return {name: plain(value) for name, value in record.__dict__.items()}

        return {
            "verdict": self.verdict,
            "findings": [fields(finding) for finding in self.findings],
            "layers": [fields(layer) for layer in self.layers],
            "loss": plain(self.loss),
            "optimizer": self.optimizer,
            "thresholds": fields(self.thresholds),
        }

    def _table(self) -> list[list[str]]:
        """The title row, and a row for each layer; columns that nobody has are left out."""
        step = "|update|/|W|" if self.optimizer else "|dW|/|W|"
        columns: dict[str, list[str]] = {
            "layer": [layer.name for layer in self.layers],
            "activation": [layer.activation or "-" for layer in self.layers],
            "RMS delta": [_short(layer.delta_rms) for layer in self.layers],
            "weight gain": [_gain(layer.weight_gain) for layer in self.layers],
            "slope gain": [_gain(layer.slope_gain) for layer in self.layers],
        }
        if any(layer.other_gain == layer.other_gain and layer.other_gain != 1.0 for layer in self.layers):
            columns["other gain"] = [_gain(layer.other_gain) for layer in self.layers]
        columns |= {
            "|dW|": [_short(layer.gradient_norm) for layer in self.layers],
            step: [
                _short(layer.update_ratio if self.optimizer else layer.gradient_ratio)
                for layer in self.layers
            ],
            "a": [f"{layer.activation_mean:.2g} ± {layer.activation_std:.2g}" for layer in self.layers],
            "saturated": [_share(layer.saturated) for layer in self.layers],
            "dead": [
                "-" if layer.dead_units is None else f"{len(layer.dead_units)} of {layer.units}"
                for layer in self.layers
            ],
        }
        kept = {name: cells for name, cells in columns.items() if any(cell != "-" for cell in cells)}
        return [list(kept), *([cells[row] for cells in kept.values()] for row in range(len(self.layers)))]

    def _head(self) -> str:
        step = f"updates of {self.optimizer}" if self.optimizer else "no optimizer: |dW|/|W| is SGD at rate 1"
        return f"verdict: {self.verdict} (loss {self.loss:.4g}; {step})"

    def __str__(self) -> str:
        rows = self._table()
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(f"{cell:{'<' if k < 2 else '>'}{widths[k]}}" for k, cell in enumerate(row)).rstrip()
            for row in rows
        ]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join([*lines, "", self._head(), *(f"- {finding}" for finding in self.findings)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        head, *rows = self._table()
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        items = "".join(
            f"<li><b>{escape(f.name)}</b>: {escape(f.text)} {escape(f.remedy)}</li>" for f in self.findings
        )
        listed = f"<ul>{items}</ul>" if items else ""
        return f"<table><tr>{titles}</tr>{body}</table><p>{escape(self._head())}</p>{listed}"


def diagnose(
    net_or_trainer: Model | Trainer,
    x: Any,
    y: Any,
    loss: Any = None,
    sample_weight: Any = None,
    thresholds: Thresholds | None = None,
) -> Diagnosis:
    """How the error travels back through the layers, how fast they move, which units are stuck; a verdict.

    From one layer to the one before it, the size of delta changes by two factors,

        RMS delta_l / RMS delta_(l+1) = weight gain * slope gain,
        weight gain = RMS(W^T delta_(l+1)) / RMS delta_(l+1),
        slope gain = RMS delta_l / RMS(W^T delta_(l+1)),

    and by a third where a normalisation, a pooling or a skip connection lies between. All numbers come from
    one trace of a float64 copy of the network, so that nothing underflows; neither the network nor the
    trainer is changed. With a trainer the next update is made on that copy, with a copy of the optimizer's
    state, and the history so far has its say.

    Parameters
    ----------
    net_or_trainer
        A network, before training or at any time; or its trainer, which tells more.
    x, y
        Some hundreds of samples, all of them in one batch. A unit counts as dead when none of them passes.
    loss
        Of a network: as for :class:`retrograd.Trainer`. A trainer has its own.
    sample_weight
        One weight for each sample.
    thresholds
        Where numbers become findings; see :class:`retrograd._findings.Thresholds`.

    Returns
    -------
    Diagnosis
        With ``verdict``, ``findings`` and ``layers``.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        The data does not fit; a network without a loss, or a trainer with one; no layer to look at.
    """
    if thresholds is None:
        thresholds = Thresholds()
    elif not isinstance(thresholds, Thresholds):
        raise ArgumentError(f"diagnose: thresholds must be a Thresholds(...), got {thresholds!r}")
    trained = isinstance(net_or_trainer, Trainer)
    trainer = _copy(net_or_trainer, loss)
    model = trainer.model
    places = sites(model)
    if not places:
        raise ArgumentError(
            "diagnose: the model has no layer with a pre-activation z (Dense, Conv2D, Embedding, LSTM, ...)"
        )
    trace = trainer.trace(x, y, sample_weight)
    weights = {name: value.copy() for name, value in model.parameters.items()}
    overflow, after = "", None
    if trained:
        try:
            trainer.step(x, y, sample_weight)
            after = trainer.trace(x, y, sample_weight)
        except NonFiniteError as error:
            overflow = str(error)
    updates = {name: model.parameters[name] - weights[name] for name in weights} if trained else {}
    layers = _reports(places, trace, after, weights, updates)
    spread = _spread(trace if after is None else after)
    history = net_or_trainer.history if isinstance(net_or_trainer, Trainer) else None
    seen = Situation(layers, trace.loss, math.nan if after is None else after.loss, spread, overflow, history)
    optimizer = repr(trainer.optimizer) if trained else ""
    return Diagnosis(layers, findings(seen, thresholds), trace.loss, optimizer, thresholds)


def _copy(given: Model | Trainer, loss: Any) -> Trainer:
    """A trainer in float64 that may do what it likes."""
    if isinstance(given, Trainer):
        if loss is not None:
            raise ArgumentError("diagnose: a trainer has its own loss; leave loss= out")
        return given._twin("float64")
    if not isinstance(given, Model):
        raise ArgumentError(f"diagnose: expected a Model or a Trainer, got {type(given).__name__}")
    if loss is None:
        raise ArgumentError("diagnose: a network needs a loss=, 'cross_entropy' for instance")
    return Trainer(given.copy(dtype="float64"), loss, "sgd")


def _reports(
    places: list[Site],
    trace: Trace,
    after: Trace | None,
    weights: Mapping[str, Array],
    updates: Mapping[str, Array],
) -> tuple[LayerReport, ...]:
    deltas = trace.deltas
    size = _sizes(places, deltas)
    later = _sizes(places, after.deltas if after is not None else {})
    behind = {place.name: place.next for place in places}
    made = []
    for place in places:
        flow = measure(place, trace.values, deltas)
        gradient, weight = trace.gradients.get(place.weight), weights.get(place.weight)
        gradient_rms, weight_rms = rms(gradient), rms(weight)
        update = rms(updates[place.weight]) if place.weight in updates and gradient is not None else math.nan
        last = _last(place.name, behind)
        back, act, other = _gains(place, deltas, size)
        made.append(
            LayerReport(
                name=place.name,
                kind=place.kind,
                activation=place.activation,
                units=flow.units,
                delta_rms=flow.delta_rms,
                delta_ratio=_over(flow.delta_rms, size[last]),
                delta_ratio_after=_over(later[place.name], later[last]),
                weight_gain=back,
                slope_gain=act,
                other_gain=other,
                gradient_norm=gradient_rms * math.sqrt(gradient.size) if gradient is not None else math.nan,
                gradient_rms=gradient_rms,
                weight_rms=weight_rms,
                gradient_ratio=_over(gradient_rms, weight_rms),
                update_ratio=_over(update, weight_rms),
                activation_mean=flow.activation_mean,
                activation_std=flow.activation_std,
                saturated=flow.saturated,
                dead_units=flow.dead,
                next=place.next,
                symmetric=bool(place.next) and _symmetric(weight, gradient),
            )
        )
    return tuple(made)


def _gains(place: Site, deltas: Mapping[str, Array], size: Mapping[str, float]) -> tuple[float, float, float]:
    """Weight gain, slope gain and what else there is between this layer's z and the next one's."""
    z, u, a = (rms(deltas.get(node)) for node in (place.z, place.u, place.a))
    slope = _over(u, a)
    if not place.next:
        return math.nan, slope if place.u != place.a else math.nan, math.nan
    back = rms(deltas.get(place.back))
    other = _over(a, back) if place.a != place.back else 1.0
    if place.z != place.u:
        other *= _over(z, u)
    return _over(back, size[place.next]), slope, other


def _sizes(places: list[Site], deltas: Mapping[str, Array]) -> dict[str, float]:
    return {place.name: rms(deltas.get(place.z)) for place in places}


def _last(name: str, behind: Mapping[str, str]) -> str:
    while behind[name]:
        name = behind[name]
    return name


def _over(a: float, b: float) -> float:
    """a / b: 0 / 0 is not a number, and nothing is said of it."""
    if b == 0.0:
        return math.nan if a == 0.0 or math.isnan(a) else math.inf
    return a / b


def _symmetric(weight: Array | None, gradient: Array | None) -> bool:
    """Whether all units have the same weights and the same gradient."""
    if weight is None or gradient is None or len(weight) < 2:
        return False

    def alike(values: Array) -> bool:
        rows = values.reshape(len(values), -1)
        return bool(np.abs(rows - rows[0]).max() <= 1e-9 * np.abs(rows).max())

    return alike(weight) and alike(gradient)


def _spread(trace: Trace) -> float:
    """How much the outputs differ between samples, relative to their size; the most of several outputs."""
    outputs = trace.yhat if isinstance(trace.yhat, list) else [trace.yhat]
    spreads = []
    for output in outputs:
        if len(output) < 2:
            return 1.0
        with np.errstate(all="ignore"):
            spreads.append(_over(rms(output - output.mean(axis=0)), rms(output)))
    return max((spread for spread in spreads if not math.isnan(spread)), default=0.0)


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1e}"


def _gain(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"
