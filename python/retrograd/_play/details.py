"""The inspector: for one unit, weight, bias or layer the formulas of a step with their numbers.

The lines are those of ``rg.explain``, of a step that the engine carries out on a copy.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._explain import backward, forward, loss, update
from retrograd._explain.activation import activated
from retrograd._explain.case import Case
from retrograd._explain.expression import Expression, Quantity
from retrograd._explain.notation import LATEX, MATHML, PYTHON, TEXT, Digits
from retrograd._explain.report import Line
from retrograd._explain.rows import has_numbers, relations
from retrograd._explain.rules import common_lines, meaning
from retrograd._play.config import make_trainer, trainer_of
from retrograd._play.run import UPDATE
from retrograd._play.views import exact, short
from retrograd.errors import ArgumentError, NonFiniteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd._explain.network import Numbers, Stage
    from retrograd._play.look import Look
    from retrograd._play.run import Run
    from retrograd._play.views import Views
    from retrograd.trainer import Trainer

__all__ = ["blocks", "gradient_check"]

TERMS = 32  # of a sum that is written out
LEAVES = 120  # numbers in a formula
REFERENCES = 40
STEP = 1e-5  # of central differences
PASSED = 1e-6
_EXACT = Digits.exact()


class Inspector:
    """The step that is looked at: of the focus sample alone, and of the batch.

    Attributes
    ----------
    single, batch
        What the engine computed; the deltas of ``single`` are not divided by the size of a batch.
    rows
        The rows of the batch.
    """

    def __init__(self, run: Run, focus: int) -> None:
        trainer, self.rows = self._trainer(run)
        x, y = run.scene.x, run.scene.y
        self.single = Case(trainer, x[focus : focus + 1], y[focus : focus + 1], None)
        self.batch = Case(trainer, x[self.rows], y[self.rows], None)
        self.shown = run.phase == UPDATE

    @staticmethod
    def _trainer(run: Run) -> tuple[Trainer, Any]:
        """The trainer as it was before the update that is looked at."""
        if run.phase != UPDATE:
            return run.trainer, run.batch_rows()
        past = run.fork()
        past.seek(run.step - 1)
        return past.trainer, past.batch_rows()

    def stages(self, views: Views, layer: int) -> list[Stage]:
        """The layers of a column: a dense one and what follows it up to the next."""
        column = views.columns[layer - 1]
        stages = self.single.stages
        first = next(k for k, stage in enumerate(stages) if stage.name == column.name)
        found = [stages[first]]
        for stage in stages[first + 1 :]:
            if stage.kind == "dense":
                break
            found.append(stage)
        return found


def _inspector(run: Run, views: Views) -> Inspector:
    key = (run.version, run.phase == UPDATE, views.focus, id(run.model))
    known = getattr(views, "inspected", None)
    if known is None or known[0] != key:
        known = (key, Inspector(run, views.focus))
        views.inspected = known
    inspector: Inspector = known[1]
    return inspector


def blocks(run: Run, views: Views, target: dict[str, Any]) -> list[dict[str, Any]]:
    """What the inspector shows of a target, block by block."""
    try:
        inspector = _inspector(run, views)
    except (ArgumentError, NonFiniteError) as error:
        return _without_formulas(views, target, str(error))
    make = {"unit": _unit, "weight": _weight, "bias": _weight, "layer": _layer, "loss": _loss}[target["kind"]]
    return make(inspector, views, target)


def _block(name: str, title: str, lines: Sequence[dict[str, Any]], text: str = "") -> dict[str, Any]:
    return {"id": name, "title": title, "text": text, "lines": list(lines)}


# ---------------------------------------------------------------------------------------------- targets


def _unit(inspector: Inspector, views: Views, target: dict[str, Any]) -> list[dict[str, Any]]:
    layer, unit = target["layer"], target["unit"]
    bias = {"kind": "bias", "layer": layer, "unit": unit}
    found = [_forward(inspector, views, layer, unit), _backward(inspector, views, layer, unit)]
    if views.columns[layer - 1].bias:
        found += _changing(inspector, views, bias)
    return found


def _weight(inspector: Inspector, views: Views, target: dict[str, Any]) -> list[dict[str, Any]]:
    layer, unit = target["layer"], target["unit"]
    before = [_forward(inspector, views, layer, unit), _backward(inspector, views, layer, unit)]
    return before + _changing(inspector, views, target)


def _forward(inspector: Inspector, views: Views, layer: int, unit: int) -> dict[str, Any]:
    numbers, lines = inspector.single.numbers, []
    for stage in inspector.stages(views, layer):
        lines += _unit_lines(numbers, stage, unit)
    return _block("forward", "Forward", _written(inspector, views, lines), _sample_text(views))


def _unit_lines(numbers: Numbers, stage: Stage, unit: int) -> list[Line]:
    """What one unit makes of its inputs."""
    if not stage.has_activation:
        return [Line(numbers.a(stage, 0, unit), forward._passed(numbers, stage, 0, unit))]
    lines = [forward._sum_line(numbers, stage, 0, unit)] if stage.kind == "dense" else []
    formula, note = activated(stage.activation, [numbers.z(stage, 0, j) for j in range(stage.size)], unit)
    return [*lines, Line(numbers.a(stage, 0, unit), formula, note)]


def _sample_text(views: Views) -> str:
    return f"Of sample #{views.focus} alone; delta is not divided by the size of the batch."


def _backward(inspector: Inspector, views: Views, layer: int, unit: int) -> dict[str, Any]:
    case = inspector.single
    numbers, lines, text = case.numbers, [], ""
    last = case.stages[-1]
    for stage in reversed(inspector.stages(views, layer)):
        if stage is last:
            lines += _output_lines(case, unit)
            if case.paired:
                text = (
                    f"{case.loss.name} and {last.activation} are one formula: delta is output minus target. "
                    "One "
                    "after the other they give the same."
                )
            continue
        given = case.paired and last.z == stage.a and last.kind == "activation"
        if not given:
            lines.append(Line(numbers.da(stage, 0, unit), backward._arriving(numbers, stage, 0, unit)))
        if stage.kind == "dense":
            da = [numbers.da(stage, 0, j) for j in range(stage.size)]
            lines.append(backward._delta_lines(numbers, stage, 0, da)[unit])
    return _block("backward", "Backward", _written(inspector, views, lines), text)


def _output_lines(case: Case, unit: int) -> list[Line]:
    """delta of an output: in one formula with the loss, and before that one after the other."""
    numbers, last = case.numbers, case.stages[-1]
    if not case.paired:
        lines = [backward._loss_line(case, numbers.da(last, 0, unit), 0, unit)]
        if last.kind == "dense":
            da = [numbers.da(last, 0, j) for j in range(last.size)]
            lines.append(backward._delta_lines(numbers, last, 0, da)[unit])
        return lines
    lines = [backward._loss_line(case, numbers.dz(last, 0, unit), 0, unit)]
    if case.unfused is not None:
        da = [case.unfused_da(0, j) for j in range(last.size)]
        formula = backward.shared(case, loss.unfused_derivative(case.sample(numbers, 0), unit), 0)
        lines.append(Line(da[unit], formula, "one after the other: first dL/da"))
        lines.append(backward._delta_lines(numbers, last, 0, da)[unit])
    return lines


def _changing(inspector: Inspector, views: Views, target: dict[str, Any]) -> list[dict[str, Any]]:
    """The gradient of a weight or bias, and its update."""
    stage = inspector.stages(views, target["layer"])[0]
    weight = target["kind"] == "weight"
    letter, name = ("w", stage.weight) if weight else ("b", stage.bias)
    index = (target["unit"], target["input"]) if weight else (target["unit"],)

    def line(case: Case) -> Line:
        if weight:
            return backward._weight_line(case.numbers, stage, *index)
        return backward._bias_line(case.numbers, stage, *index)

    single, batch = inspector.single, inspector.batch
    if name in batch.frozen:
        return [
            _block("gradient", "Gradient", [], f"{name} is frozen: it has no gradient and stays as it is.")
        ]
    count = batch.numbers.samples
    text = f"Of sample #{views.focus} alone first, where dL/dw = delta times a holds term by term."
    lines = _written(inspector, views, [line(single)])
    if count > 1:
        text += f" Then the mean over the batch of {count}, which the optimizer uses: every delta has its "
        text += "share of the mean in it. "
        if count <= TERMS:
            rows = ", ".join(f"{k} is #{row}" for k, row in enumerate(inspector.rows, 1))
            text += f"The first index is the sample: {rows}."
            lines += _written(inspector, views, [line(batch)])
        else:
            text += f"With more than {TERMS} samples the terms are not written out."
            lines.append(_plain(line(batch).quantity))
    found = [_block("gradient", "Gradient", lines, text)]
    shared = common_lines(batch.original.optimizer, batch.iteration)
    scale = update._scale(batch)
    steps = [
        *shared,
        *([scale] if scale is not None else []),
        *update._one(batch, stage, name, letter, index),
    ]
    words = (
        f"{type(batch.original.optimizer).__name__} changes a weight {meaning(batch.original.optimizer)}. "
    )
    before, after = float(batch.before[name][index]), float(batch.after[name][index])
    share = f", {short(100 * abs((after - before) / before))} %" if before else ""
    done = "was" if inspector.shown else "will be"
    words += f"The change {done} {short(after - before)}{share}."
    title = "Update: before and after" if inspector.shown else "The update that comes next"
    return [*found, _block("update", title, _written(inspector, views, steps), words)]


def _layer(inspector: Inspector, views: Views, target: dict[str, Any]) -> list[dict[str, Any]]:
    layer, look = target["layer"], views.look()
    found = []
    if views.columns[layer - 1].units <= TERMS:
        numbers, stages = inspector.single.numbers, inspector.stages(views, layer)
        lines = [line for stage in stages for line in forward._forward_lines(numbers, stage, 0)]
        found.append(_block("forward", "Forward", _written(inspector, views, lines), _sample_text(views)))
    if look is None:
        return found
    return [*found, _flow(look, layer)]


def _flow(look: Look, layer: int) -> dict[str, Any]:
    """How the size of delta comes about: RMS over the batch and the units of a layer."""
    flow = look.flows[layer - 1]
    text = (
        f"RMS is the root of the mean of squares over the batch and the units: {short(flow.rms_delta)} here. "
    )
    lines = []
    if layer < len(look.flows):
        above = look.flows[layer].rms_delta
        factors = [("RMS δ", layer + 1, above), ("weight gain", layer, flow.weight_gain)]
        factors.append(("slope gain", layer, flow.slope_gain))
        if math.isfinite(flow.weight_gain * flow.slope_gain):
            lines = [_flow_line(("RMS δ", layer, flow.rms_delta), factors)]
        text += (
            "The weight gain is what Wᵀ of the layer above makes of its delta, the slope gain what the "
            "slopes of "
            "this layer's activation do. "
        )
    text += f"RMS dL/dW is {short(flow.rms_g)}, RMS update over RMS weight {short(flow.update_ratio)}."
    return _block("backward", "Size of delta", lines, text)


Named = tuple[str, int, float]  # words, layer, number


def _flow_line(result: Named, factors: list[Named]) -> dict[str, Any]:
    """A product of named numbers, in every notation."""
    rough = Digits(4, np.dtype(np.float64))

    def mathml(digits: Digits) -> str:
        names = [
            f"<msup><mtext>{name}</mtext><mrow><mo>(</mo><mn>{layer}</mn><mo>)</mo></mrow></msup>"
            for name, layer, _ in (result, *factors)
        ]
        return "<mo>=</mo>".join(
            [
                names[0],
                "<mo>·</mo>".join(names[1:]),
                "<mo>·</mo>".join(MATHML.number(digits(value)) for _, _, value in factors),
                MATHML.number(digits(result[2])),
            ]
        )

    def latex() -> str:
        names = [
            rf"\text{{{name}}}^{{({layer})}}".replace("δ", r"$\delta$")
            for name, layer, _ in (result, *factors)
        ]
        numbers = [LATEX.number(rough(value)) for _, _, value in (*factors, result)]
        times = r" \cdot "
        return f"{names[0]} = {times.join(names[1:])} = {times.join(numbers[:-1])} = {numbers[-1]}"

    def text(name: str, layer: int) -> str:
        return TEXT.write(Quantity("§", 0.0, (), 0, layer)).replace("§", name)

    def product(digits: Digits) -> str:
        return "·".join(TEXT.number(digits(value)) for _, _, value in factors)

    name = f"{result[0].replace(' ', '_').replace('δ', 'delta')}_L{result[1]}"
    return {
        "symbol": text(*result[:2]),
        "formula": "·".join(text(*factor[:2]) for factor in factors),
        "substituted": product(_EXACT),
        "result": exact(result[2]),
        "short": {"substituted": product(rough), "result": TEXT.number(rough(result[2]))},
        "note": "",
        "python": f"{name} = {' * '.join(exact(value) for _, _, value in factors)}",
        "mathml": mathml(rough),
        "mathml_exact": mathml(_EXACT),
        "latex": latex(),
        "refs": [],
    }


def _loss(inspector: Inspector, views: Views, target: dict[str, Any]) -> list[dict[str, Any]]:
    single, batch = inspector.single, inspector.batch
    total = Quantity("L", single.numbers.trace.loss)
    lines = _written(inspector, views, [Line(total, *single.loss_formula(single.numbers, 0))])
    text = f"Of sample #{views.focus}: {loss.general(single.loss, single.paired)}."
    found = [_block("loss", "Loss of the sample", lines, text)]
    count = batch.numbers.samples
    if count > TERMS:
        line = _plain(Quantity("L", batch.numbers.trace.loss))
        return [*found, _block("loss", "Loss of the batch", [line], f"The mean over {count} samples.")]
    if count > 1:
        each = [
            Line(batch.loss_of(batch.numbers, i), *batch.loss_formula(batch.numbers, i)) for i in range(count)
        ]
        lines = _written(inspector, views, [*each, forward._mean_line(batch, batch.numbers)])
        found.append(
            _block("loss", "Loss of the batch", lines, f"The mean over {count} samples, without penalty.")
        )
    return found


def _without_formulas(views: Views, target: dict[str, Any], reason: str) -> list[dict[str, Any]]:
    """Numbers alone, where rg.explain has no formulas."""
    look, lines = views.look(), []
    if look is not None and target["kind"] != "loss":
        layer, unit = target["layer"], target.get("unit", 0)
        if "unit" in target:
            for letter, values in (("z", look.z), ("a", look.a), ("delta", look.delta)):
                lines.append(_plain(Quantity(letter, values[layer][unit], (unit + 1,), 0, layer)))
        if target["kind"] == "weight":
            place = (unit + 1, target["input"] + 1)
            lines.append(_plain(Quantity("dw", look.gW[layer][unit, target["input"]], place, 0, layer)))
        if target["kind"] == "bias":
            lines.append(_plain(Quantity("db", look.gb[layer][unit], (unit + 1,), 0, layer)))
    return [_block("forward", "Numbers", lines, f"There are no formulas for this: {reason}")]


# ------------------------------------------------------------------------------------------------ lines


def _written(inspector: Inspector, views: Views, lines: Sequence[Line]) -> list[dict[str, Any]]:
    places = {
        inspector.stages(views, layer)[k].number: layer
        for layer in range(1, len(views.columns) + 1)
        for k in range(len(inspector.stages(views, layer)))
    }
    return [_short_enough(line, places) for line in lines]


def _short_enough(line: Line, places: dict[int, int]) -> dict[str, Any]:
    """A line; of a sum that nobody would read the result alone."""
    if len(list(islice(line.formula.leaves(), LEAVES + 1))) > LEAVES:
        return _plain(line.quantity) | {"note": f"more than {LEAVES} numbers add up to it"}
    return _line(line, _references(line.formula, places))


def _references(formula: Expression, places: dict[int, int]) -> list[dict[str, Any]]:
    """Where the pieces of a formula lead to."""
    found: dict[str, dict[str, Any]] = {}
    for leaf in formula.leaves():
        if not isinstance(leaf, Quantity) or leaf.layer not in places or leaf.sample or leaf.new:
            continue
        layer, place = places[leaf.layer], [n - 1 for n in leaf.index]
        if leaf.letter in ("w", "dw") and len(place) == 2:
            target = {"kind": "weight", "layer": layer, "unit": place[0], "input": place[1]}
        elif leaf.letter in ("b", "db") and len(place) == 1:
            target = {"kind": "bias", "layer": layer, "unit": place[0]}
        elif leaf.letter in ("z", "a", "da", "delta") and len(place) == 1:
            target = {"kind": "unit", "layer": layer, "unit": place[0]}
        else:
            continue
        if len(found) < REFERENCES:
            found.setdefault(TEXT.write(leaf), target)
    return [{"text": text, "target": target} for text, target in found.items()]


def _line(line: Line, references: list[dict[str, Any]]) -> dict[str, Any]:
    """One line in every notation: exact, and with four digits."""
    quantity, formula = line.quantity, line.formula
    rough = Digits(4, np.dtype(np.float64))
    return {
        "symbol": TEXT.write(quantity),
        "formula": TEXT.write(formula),
        "substituted": TEXT.write(formula, _EXACT),
        "result": exact(quantity.number),
        "short": {"substituted": TEXT.write(formula, rough), "result": TEXT.number(rough(quantity.number))},
        "note": line.note,
        "python": f"{PYTHON.write(quantity)} = {PYTHON.write(formula, _EXACT)}",
        "mathml": _equation(line, rough, "math"),
        "mathml_exact": _equation(line, _EXACT, "math"),
        "latex": _equation(line, rough, "latex"),
        "refs": references,
    }


def _equation(line: Line, digits: Digits, kind: str) -> str:
    """symbol = formula = numbers = result"""
    notation = MATHML if kind == "math" else LATEX
    first, last = relations(line, digits)
    parts = [notation.write(line.quantity), "=", notation.write(line.formula)]
    if has_numbers(line, digits):
        parts += [first, notation.write(line.formula, digits)]
    parts += [last, notation.number(digits(line.quantity.number))]
    if kind == "math":
        return "".join(f"<mo>{part}</mo>" if part in ("=", "≈") else part for part in parts)
    return " ".join(part.replace("≈", r"\approx") if part == "≈" else part for part in parts)


def _plain(quantity: Quantity) -> dict[str, Any]:
    """A number without a formula."""
    rough = Digits(4, np.dtype(np.float64))
    shown = rough(quantity.number)
    mathml = [
        f"{MATHML.write(quantity)}<mo>=</mo>{MATHML.number(d(quantity.number))}" for d in (rough, _EXACT)
    ]
    return {
        "symbol": TEXT.write(quantity),
        "formula": "",
        "substituted": "",
        "result": exact(quantity.number),
        "short": {"substituted": "", "result": TEXT.number(shown)},
        "note": "",
        "python": f"{PYTHON.write(quantity)} = {exact(quantity.number)}",
        "mathml": mathml[0],
        "mathml_exact": mathml[1],
        "latex": f"{LATEX.write(quantity)} = {LATEX.number(shown)}",
        "refs": [],
    }


# ------------------------------------------------------------------------------------- gradient check


def gradient_check(run: Run, name: str, index: tuple[int, ...]) -> dict[str, Any]:
    """dL/dw of the batch by backpropagation and by central differences, in float64 on a copy.

    The difference is that of four points, (8 (L(w+h) - L(w-h)) - (L(w+2h) - L(w-2h))) / 12h, h = 1e-5 times
    the size of w if that is above 1; the error is divided by the largest of the two and a thousandth of the
    largest gradient of the parameter.
    """
    copy = run.fork()
    if run.phase == UPDATE:
        copy.seek(run.step - 1)
    net = copy.model.copy(dtype="float64")
    if copy.given is None:
        trainer = make_trainer(copy.config, net, copy.scene.task, len(copy.scene.classes))
    else:
        trainer = trainer_of(copy.config, net, copy.given.loss, "sgd")
    trainer.iteration = copy.trainer.iteration
    x, y = copy.batch()
    gradient = trainer.trace(x, y).gradients[name]
    view = net.parameters[name]
    w = float(view[index])
    h = STEP * max(1.0, abs(w))

    def value(t: float) -> float:
        view[index] = w + t
        return trainer.forward(x, y)

    difference = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    found = float(gradient[index])
    scale = max(abs(found), abs(difference), 1e-3 * float(np.abs(gradient).max()), 1e-12)
    error = abs(found - difference) / scale
    return {
        "backpropagation": exact(found),
        "difference": exact(difference),
        "relative_error": f"{error:.1e}",
        "passed": error < PASSED,
        "step": run.step,
        "h": f"{h:.0e}",
    }
