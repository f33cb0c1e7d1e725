"""Sections 6 and 7: the update of every parameter, and the loss after it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from retrograd._explain.expression import Expression, Number, Quantity, call
from retrograd._explain.forward import loss_blocks
from retrograd._explain.report import Block, Cell, Heading, Line, Lines, Section, Shown, Table, Text
from retrograd._explain.rules import Weight, common_lines, meaning, update_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrograd._explain.case import Case
    from retrograd._explain.network import Stage
    from retrograd.optim import ParamGroup

__all__ = ["outcome_section", "update_section"]

CLIP_EPS = 1e-6  # keeps a norm of 0 from dividing


def update_section(case: Case) -> Section:
    """Old to new, for every weight and bias."""
    optimizer = case.original.optimizer
    words = meaning(optimizer)
    blocks: list[Block] = [Text(f"{type(optimizer).__name__} moves each weight {words}.")]
    blocks.append(Table(["symbol", "meaning", "number"], _settings(case)))
    blocks += _clipping(case)
    common = common_lines(optimizer, case.iteration)
    if common:
        blocks += [Heading("For every weight alike"), Lines(common)]
    rows: list[tuple[Quantity, Quantity]] = []
    for stage in case.stages:
        if stage.kind != "dense":
            continue
        for name, letter in ((stage.weight, "w"), (stage.bias, "b")):
            if not name:
                continue
            blocks.append(Heading(name))
            if name in case.frozen:
                blocks.append(Text("Frozen: it stays as it is."))
                continue
            groups = [_one(case, stage, name, letter, index) for index in np.ndindex(case.before[name].shape)]
            if all(len(group) == 1 for group in groups):  # one line each need no gaps between them
                groups = [[line for group in groups for line in group]]
            blocks += [Lines(group) for group in groups]
            rows += _changes(case, stage, name, letter)
    if rows:
        blocks += [Heading("Old and new"), _summary(rows)]
    return Section("Update", blocks)


def _changes(case: Case, stage: Stage, name: str, letter: str) -> Iterator[tuple[Quantity, Quantity]]:
    for index in np.ndindex(case.before[name].shape):
        yield _parameter(case, stage, name, letter, index)


def _parameter(
    case: Case, stage: Stage, name: str, letter: str, index: tuple[int, ...]
) -> tuple[Quantity, Quantity]:
    """A weight before and after."""
    place = tuple(n + 1 for n in index)
    before = Quantity(letter, case.before[name][index], place, 0, stage.number)
    return before, Quantity(letter, case.after[name][index], place, 0, stage.number, True)


def _summary(rows: list[tuple[Quantity, Quantity]]) -> Table:
    cells: list[list[Cell]] = []
    for before, after in rows:
        change = Quantity("change", after.number - before.number)
        cells.append([before, Shown(before), Shown(after), Shown(change)])
    return Table(["parameter", "before", "after", "change"], cells)


# ---------------------------------------------------------------------------------------- one weight


def _one(case: Case, stage: Stage, name: str, letter: str, index: tuple[int, ...]) -> list[Line]:
    """From dL/dw to the new w."""
    w, w_new = _parameter(case, stage, name, letter, index)
    gradient = case.numbers.trace.gradients[name][index]
    g = Quantity(f"d{letter}", gradient, w.index, 0, stage.number)
    lines = []
    settings = case.original._settings
    if letter == "w" and (settings["l1"] or settings["l2"]):
        line = Line(
            Quantity("g", case.gradients[name][index], w.index, 0, stage.number), _penalised(case, g, w)
        )
        lines.append(line)
        g = line.quantity
    clipped = _clipped(case, g)
    if clipped is not None:
        line = Line(Quantity("ghat", clipped.value(), w.index, 0, w.layer), clipped)
        lines.append(line)
        g = line.quantity
    lr, decay = _group(case, name)
    slots = {slot: float(array[index]) for slot, array in case.state_before.get(name, {}).items()}
    slots_new = {slot: float(array[index]) for slot, array in case.state_after.get(name, {}).items()}
    weight = Weight(w, w_new, g, slots, slots_new, lr, decay, case.iteration)
    return lines + update_lines(case.original.optimizer, weight)


def _penalised(case: Case, g: Quantity, w: Quantity) -> Expression:
    formula: Expression = g
    settings = case.original._settings
    if settings["l1"]:
        formula = formula + Quantity("lambda1", settings["l1"]) * call("sign", w)
    if settings["l2"]:
        formula = formula + Quantity("lambda2", settings["l2"]) * w
    return formula


def _group(case: Case, name: str) -> tuple[Expression, Quantity | Number]:
    """The learning rate and the weight decay of a parameter: symbols, or a group's own numbers."""
    eta = Quantity("eta", case.lr)
    decay = Quantity("lambda", case.original.optimizer.__dict__.get("weight_decay", 0.0))
    groups: ParamGroup | tuple[ParamGroup, ...] = case.original._settings["param_groups"]
    for group in groups if isinstance(groups, list | tuple) else [groups]:
        if any(fnmatchcase(part, group.pattern) for part in accumulate(name.split("."), "{}.{}".format)):
            lr = eta if group.lr_scale == 1 else eta * group.lr_scale
            return lr, decay if group.weight_decay is None else Number(group.weight_decay)
    return eta, decay


# ------------------------------------------------------------------------------------------- settings


def _settings(case: Case) -> list[list[Cell]]:
    """Every number of the optimizer that a line may show."""
    optimizer, settings = case.original.optimizer, case.original._settings
    rows: list[tuple[str, str, float]] = [("eta", "learning rate (lr)", case.lr)]
    numbers = optimizer.__dict__
    known = {
        "momentum": ("mu", "momentum"),
        "dampening": ("tau", "dampening"),
        "weight_decay": ("lambda", "weight decay"),
        "alpha": ("alpha", "how much of v stays (alpha)"),
        "rho": ("rho", "how much of v and u stays (rho)"),
        "lr_decay": ("lr_decay", "decay of the rate (lr_decay)"),
        "momentum_decay": ("psi", "momentum decay"),
        "eps": ("epsilon", "keeps from dividing by 0 (eps)"),
    }
    if "betas" in numbers:
        rows.append(("beta1", "how much of m stays (betas[0])", numbers["betas"][0]))
        rows.append(("beta2", "how much of v stays (betas[1])", numbers["betas"][1]))
    for name, (letter, words) in known.items():
        if numbers.get(name):
            rows.append((letter, words, numbers[name]))
    if "etas" in numbers:
        rows.append(("eta_minus", "factor where g turns (etas[0])", numbers["etas"][0]))
        rows.append(("eta_plus", "factor while g keeps its sign (etas[1])", numbers["etas"][1]))
        rows.append(("low", "shortest step", numbers["step_sizes"][0]))
        rows.append(("high", "longest step", numbers["step_sizes"][1]))
    rows.append(("t", "number of this update", case.iteration))
    for name, letter, words in (
        ("l1", "lambda1", "penalty on |w| (l1)"),
        ("l2", "lambda2", "penalty on w² / 2 (l2)"),
        ("clip_norm", "clip_norm", "limit of the norm of all gradients (clip_norm)"),
        ("clip_value", "clip_value", "limit of each gradient (clip_value)"),
    ):
        if settings[name]:
            rows.append((letter, words, settings[name]))
    shown: list[list[Cell]] = []
    for letter, words, number in rows:
        quantity = Quantity(letter, number)
        shown.append([quantity, words, Shown(quantity)])
    return shown


def _scale(case: Case) -> Line | None:
    """The factor that brings the norm of all gradients down to its limit."""
    limit = case.original._settings["clip_norm"]
    if not limit:
        return None
    norm = Quantity("norm", case.norm)
    formula = call("min", 1, Quantity("clip_norm", limit) / (norm + CLIP_EPS))
    return Line(Quantity("scale", formula.value()), formula)


def _clipping(case: Case) -> list[Block]:
    line = _scale(case)
    if line is None:
        return []
    words = "the norm of all gradients together, is the root of the sum of their squares: "
    norm = Quantity("norm", case.norm)
    return [
        Heading("Clipping"),
        Text(norm, f", {words}", norm, " = ", Shown(norm), "."),
        Lines([line]),
    ]


def _clipped(case: Case, g: Quantity) -> Expression | None:
    """A gradient within the limits; None where there are none."""
    scale, value = _scale(case), case.original._settings["clip_value"]
    if scale is None and not value:
        return None
    formula: Expression = g if scale is None else scale.quantity * g
    if not value:
        return formula
    limit = Quantity("clip_value", value)
    return call("max", -limit, call("min", limit, formula))


# ------------------------------------------------------------------------------------------- the outcome


def outcome_section(case: Case) -> Section:
    """The loss of the same samples with the new parameters."""
    before, after = case.numbers.trace.loss, case.numbers_after.trace.loss
    old, new = Quantity("L", before), Quantity("L", after, (), 0, 0, True)
    change = new - old
    last = case.stages[-1]
    blocks: list[Block] = [
        Text("The same samples once more, forward through the network with its new weights.")
    ]
    head: list[Cell] = ["sample" if case.numbers.samples > 1 else "", *_output_titles(last)]
    blocks.append(Table(head, _outputs(case)))
    blocks += loss_blocks(case, case.numbers_after)
    blocks += [Heading("Did it fall?"), Lines([Line(Quantity("change", change.value()), change)])]
    blocks.append(Text(_verdict(before, after)))
    return Section("The loss after the update", blocks)


def _output_titles(last: Stage) -> list[Cell]:
    return [Quantity("yhat", 0, (k + 1,), 0, 0, new) for k in range(last.size) for new in (False, True)]


def _outputs(case: Case) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    last = case.stages[-1]
    for i in range(case.numbers.samples):
        row: list[Cell] = [str(i + 1) if case.numbers.samples > 1 else "output"]
        for k in range(last.size):
            row += [Shown(case.numbers.a(last, i, k)), Shown(case.numbers_after.a(last, i, k))]
        rows.append(row)
    return rows


def _verdict(before: float, after: float) -> str:
    if after == before:
        return "The loss stayed as it was."
    if after < before:
        share = f" by {(before - after) / abs(before):.2%}" if before else ""
        return f"Yes: the loss fell{share}."
    return (
        "No: the loss rose. The step was too long, or what it followed was not the gradient of this batch "
        "alone (momentum, a penalty, decay)."
    )
