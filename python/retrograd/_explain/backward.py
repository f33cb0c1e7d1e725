"""Sections 3 to 5: the delta of the output, those of hidden layers, the gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrograd._explain.activation import slope, through
from retrograd._explain.expression import Expression, Number, Quantity, sum_of
from retrograd._explain.forward import (
    concatenated,
    kept,
    per_sample,
    rescaling,
    standard,
    title_of,
)
from retrograd._explain.loss import derivative, unfused_derivative
from retrograd._explain.report import Block, Heading, Line, Lines, Section, Text

if TYPE_CHECKING:
    from retrograd._explain.case import Case
    from retrograd._explain.network import Numbers, Stage

__all__ = ["gradient_section", "hidden_section", "output_section"]


def shared(case: Case, formula: Expression, i: int) -> Expression:
    """A derivative of L_i as its share of dL: divided by the number of samples, or times s_i."""
    if case.numbers.samples == 1 and case.share(i).number == 1:
        return formula
    return formula / case.numbers.samples if case.equal else formula * case.share(i)


# ---------------------------------------------------------------------------------------- output's delta


def output_section(case: Case) -> Section:
    """From the loss back to the z of the last layer."""
    last, samples = case.stages[-1], range(case.numbers.samples)
    blocks: list[Block] = []
    if case.numbers.samples > 1:
        blocks.append(Text("Every derivative of a sample has that sample's share of the mean in it."))
    if not case.paired:
        lines = [
            [_loss_line(case, case.numbers.da(last, i, j), i, j) for j in range(last.size)] for i in samples
        ]
        blocks += per_sample(case, "∂L/∂a of the output", lines)
        if last.kind == "dense":
            da = [[case.numbers.da(last, i, j) for j in range(last.size)] for i in samples]
            lines = [_delta_lines(case.numbers, last, i, da[i]) for i in samples]
            blocks += per_sample(case, "Times the slope of the activation: delta", lines)
        return Section("Delta of the output", blocks)
    pair = f"{last.activation} and {case.loss.name}"
    if case.unfused is not None:
        da = [[case.unfused_da(i, j) for j in range(last.size)] for i in samples]
        lines = [
            [
                Line(da[i][j], shared(case, unfused_derivative(case.sample(case.numbers, i), j), i))
                for j in range(last.size)
            ]
            for i in samples
        ]
        blocks += per_sample(case, "One after the other: first ∂L/∂a", lines)
        lines = [_delta_lines(case.numbers, last, i, da[i]) for i in samples]
        blocks += per_sample(case, f"Then through {last.activation}: delta", lines)
    else:
        blocks.append(
            Text(
                f"An output is exactly 0 or 1, so that {pair}, one after the other, would divide by 0. "
                "Together they do not."
            )
        )
    lines = [[_loss_line(case, case.numbers.dz(last, i, j), i, j) for j in range(last.size)] for i in samples]
    blocks += per_sample(case, f"In one formula: {pair} together", lines)
    return Section("Delta of the output", blocks)


def _loss_line(case: Case, quantity: Quantity, i: int, j: int) -> Line:
    formula, note = derivative(case.sample(case.numbers, i), j)
    return Line(quantity, shared(case, formula, i), note)


def _delta_lines(numbers: Numbers, stage: Stage, i: int, da: list[Quantity]) -> list[Line]:
    z = [numbers.z(stage, i, j) for j in range(stage.size)]
    a = [numbers.a(stage, i, j) for j in range(stage.size)]
    lines = []
    for j in range(stage.size):
        formula, note = through(stage.activation, z, a, da, j)
        lines.append(Line(numbers.dz(stage, i, j), formula, note))
    return lines


# ---------------------------------------------------------------------------------------- hidden deltas


def hidden_section(case: Case) -> Section:
    """From layer to layer, backwards."""
    numbers = case.numbers
    blocks: list[Block] = []
    for stage in reversed(case.stages[:-1]):
        # where loss and a last activation are one formula, they gave the da of what that reads
        known = case.paired and case.stages[-1].kind == "activation" and case.stages[-1].z == stage.a
        units = range(0 if known else stage.size)
        lines = [
            [Line(numbers.da(stage, i, k), _arriving(numbers, stage, i, k)) for k in units]
            for i in range(numbers.samples)
        ]
        if stage.kind == "dense":
            for i, part in enumerate(lines):
                part += _delta_lines(numbers, stage, i, [numbers.da(stage, i, j) for j in range(stage.size)])
        blocks += per_sample(case, title_of(stage), lines)
    if not blocks:
        return Section("Deltas of hidden layers", [Text("There are no hidden layers.")])
    rule = Text(
        "What a unit does to the loss it does through the units it leads to: da adds up their deltas, each "
        "times the weight between the two. delta is da times the slope of the activation at z."
    )
    return Section("Deltas of hidden layers", [rule, *blocks])


def _arriving(numbers: Numbers, stage: Stage, i: int, k: int) -> Expression:
    """dL/da_k: from all layers that read it."""
    terms: list[Expression] = []
    for reader in numbers.readers[stage.a]:
        terms += _through_layer(numbers, reader, stage.a, i, k)
    return sum_of(terms)


def _through_layer(numbers: Numbers, reader: Stage, node: str, i: int, k: int) -> list[Expression]:
    """dL/da_k by way of one layer that reads it."""
    if reader.kind == "dense":
        return [numbers.weight(reader, j, k) * numbers.dz(reader, i, j) for j in range(reader.size)]
    if reader.kind == "activation":
        z = [numbers.z(reader, i, j) for j in range(reader.size)]
        a = [numbers.a(reader, i, j) for j in range(reader.size)]
        da = [numbers.da(reader, i, j) for j in range(reader.size)]
        if reader.activation in ("softmax", "log_softmax"):
            return [through(reader.activation, z, a, da, k)[0]]
        return [da[k] * slope(reader.activation, z[k], a[k])[0]]
    if reader.kind == "add":
        return [numbers.da(reader, i, k)] * reader.inputs.count(node)
    if reader.kind == "concatenate":
        places = [p for p in range(reader.size) if concatenated(numbers, reader, p) == (node, k)]
        return [numbers.da(reader, i, place) for place in places]
    da_k: Expression = numbers.da(reader, i, k)
    if reader.kind == "rescale":
        return [da_k * rescaling(reader)[0]]
    if reader.kind == "standardize":
        std = standard(numbers, reader, k)[1]
        return [da_k / std if std.number else Number(0)]
    return [da_k * kept(numbers, reader, i, k)] if reader.kind == "dropout" else [da_k]


# --------------------------------------------------------------------------------------------- gradients


def gradient_section(case: Case) -> Section:
    """dW and db of every layer."""
    numbers = case.numbers
    over = "" if numbers.samples == 1 else ", added up over the samples"
    blocks: list[Block] = [
        Text(
            f"dL/dw is the delta of the weight's unit times what the weight multiplies{over}; dL/db is delta."
        )
    ]
    for stage in case.stages:
        if stage.kind != "dense":
            continue
        blocks.append(Heading(title_of(stage)))
        lines = []
        if stage.weight in numbers.trace.gradients:
            lines += [
                _weight_line(numbers, stage, j, k)
                for j in range(stage.size)
                for k in range(numbers.size(stage.inputs[0]))
            ]
        if stage.bias in numbers.trace.gradients:
            lines += [_bias_line(numbers, stage, j) for j in range(stage.size)]
        blocks.append(Lines(lines) if lines else Text("Frozen: it has no gradient."))
    return Section("Gradients", blocks)


def _weight_line(numbers: Numbers, stage: Stage, j: int, k: int) -> Line:
    number = numbers.trace.gradients[stage.weight][j, k]
    terms = [numbers.dz(stage, i, j) * numbers.value(stage.inputs[0], i, k) for i in range(numbers.samples)]
    return Line(Quantity("dw", number, (j + 1, k + 1), 0, stage.number), sum_of(terms))


def _bias_line(numbers: Numbers, stage: Stage, j: int) -> Line:
    number = numbers.trace.gradients[stage.bias][j]
    terms = [numbers.dz(stage, i, j) for i in range(numbers.samples)]
    return Line(Quantity("db", number, (j + 1,), 0, stage.number), sum_of(terms))
