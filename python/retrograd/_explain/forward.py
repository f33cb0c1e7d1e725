"""Sections 0 to 2: the network and its data, forward, the loss."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from retrograd._explain.activation import activated
from retrograd._explain.expression import Expression, Number, Quantity, Quotient, sum_of
from retrograd._explain.loss import general
from retrograd._explain.report import Block, Cell, Heading, Line, Lines, Section, Shown, Table, Text
from retrograd.activations import ACTIVATIONS

if TYPE_CHECKING:
    from retrograd._explain.case import Case
    from retrograd._explain.network import Numbers, Stage

__all__ = ["forward_section", "loss_blocks", "loss_section", "setup_section", "title_of"]


def title_of(stage: Stage) -> str:
    """A layer's heading."""
    act = f", {stage.activation}" if stage.has_activation else ""
    kind = "" if stage.name.startswith(stage.kind) else f" ({stage.kind})"
    return f"Layer {stage.number}: {stage.name}{kind}{act}"


def per_sample(case: Case, heading: str, lines: list[list[Line]]) -> list[Block]:
    """A heading, and lines under one for each sample where there are several."""
    blocks: list[Block] = [Heading(heading)]
    for i, part in enumerate(lines):
        if part and case.numbers.samples > 1:
            blocks.append(Heading(f"sample {i + 1}", 2))
        if part:
            blocks.append(Lines(part))
    return blocks


# ------------------------------------------------------------------------------------------------ set-up


def setup_section(case: Case) -> Section:
    """Shapes, symbols, parameters, data."""
    numbers, stages = case.numbers, case.stages
    sizes = " → ".join(map(str, [numbers.size(numbers.input), *(stage.size for stage in stages)]))
    count = sum(array.size for array in case.before.values())
    samples = "1 sample" if numbers.samples == 1 else f"{numbers.samples} samples"
    dtype = next(iter(case.before.values())).dtype if case.before else ""
    blocks: list[Block] = [
        Text(
            f"A network {sizes} with {count} parameters ({dtype}), and a batch of {samples}: one step of "
            "training, computed by the engine and written out. ≈ stands where a number is shown rounded; the "
            "engine goes on with all of its digits."
        ),
        Text(f"Loss: {repr(case.loss).removesuffix('()')}, {general(case.loss, case.paired)}."),
        Text(f"Optimizer: {case.original.optimizer!r}; this is update number {case.iteration}."),
    ]
    rows: list[list[Cell]] = []
    for stage in stages:
        act = stage.activation if stage.has_activation else ""
        given = sum(numbers.size(node) for node in stage.inputs)
        rows.append([str(stage.number), stage.name, stage.kind, f"{given} → {stage.size}", act])
    blocks += [Heading("Layers"), Table(["layer", "name", "kind", "shape", "activation"], rows)]
    used = dict.fromkeys(stage.activation for stage in stages if stage.has_activation)
    formulas = [[name, re.sub(r" \([A-Z].*\)", "", ACTIVATIONS[name])] for name in used]
    blocks += [Heading("Activations"), Table(["name", "a as a function of z"], formulas)]
    blocks += [Heading("Symbols"), Table(["symbol", "meaning"], _symbols(case))]
    blocks += _parameters(case)
    blocks += [Heading("Data"), _data(case)]
    return Section("The network and its data", blocks)


def _symbols(case: Case) -> list[list[Cell]]:
    several = case.numbers.samples > 1
    sample, index = (1, "sample 1, ") if several else (0, "")

    def symbol(letter: str, index: tuple[int, ...] = (1,), layer: int = 1) -> Quantity:
        return Quantity(letter, 0, index, 0 if letter.strip("d") in ("w", "b") else sample, layer)

    rows: list[list[Cell]] = [
        [symbol("x", layer=0), f"input, {index}number 1"],
        [symbol("w", (1, 2)), "weight of layer 1, to unit 1 from input 2"],
        [symbol("b"), "bias of layer 1, unit 1"],
        [symbol("z"), f"pre-activation W a + b of layer 1, {index}unit 1"],
        [symbol("a"), f"activation of layer 1, {index}unit 1: what the next layer is given"],
        [symbol("yhat", layer=0), f"output 1 of the network, {index}the a of the last layer"],
        [symbol("y", layer=0), f"target of output 1{', sample 1' if several else ''}"],
        [Quantity("L", 0), "loss" + (": the mean over the samples" if several else "")],
        [symbol("da"), "∂L/∂a"],
        [symbol("delta"), "∂L/∂z"],
        [symbol("dw", (1, 2)), "∂L/∂w"],
        [symbol("db"), "∂L/∂b"],
    ]
    if several and not case.equal:
        rows += [
            [Quantity("omega", 0, (), 1), "weight of sample 1 in the mean"],
            [Quantity("s", 0, (), 1), "its share of the mean, the weight divided by the sum of all"],
        ]
    return [*rows, [Quantity("w", 0, (1, 2), 0, 1, True), "a prime: after the update"]]


def _parameters(case: Case) -> list[Block]:
    blocks: list[Block] = []
    numbers = case.numbers
    for stage in case.stages:
        if stage.kind != "dense":
            continue
        inputs = range(numbers.size(stage.inputs[0]))
        head: list[Cell] = ["to unit", *(_source(numbers, stage, k) for k in inputs)]
        rows: list[list[Cell]] = []
        for j in range(stage.size):
            row: list[Cell] = [str(j + 1), *(Shown(numbers.weight(stage, j, k)) for k in inputs)]
            rows.append([*row, Shown(numbers.bias(stage, j))] if stage.bias else row)
        blocks.append(Heading(f"Weights of layer {stage.number}: {stage.name}"))
        blocks.append(Table([*head, "bias"] if stage.bias else head, rows))
    return blocks


def _source(numbers: Numbers, stage: Stage, k: int) -> Quantity:
    """What a column of weights multiplies, whatever the sample."""
    given = numbers.value(stage.inputs[0], 0, k)
    return Quantity(given.letter, 0, given.index, 0, given.layer)


def _data(case: Case) -> Table:
    numbers = case.numbers
    width = numbers.size(numbers.input)
    outputs = case.stages[-1].size
    head: list[Cell] = ["sample", *(Quantity("x", 0, (k + 1,)) for k in range(width))]
    head += [Quantity("y", 0, (k + 1,)) for k in range(outputs)]
    if not case.equal:
        head.append(Quantity("omega", 0))
    rows = []
    for i in range(numbers.samples):
        row: list[Cell] = [str(i + 1)]
        row += [Shown(numbers.value(numbers.input, i, k)) for k in range(width)]
        row += [Shown(y) for y in case.targets(i)]
        rows.append(row if case.equal else [*row, Shown(case.omega(i))])
    return Table(head, rows)


# ----------------------------------------------------------------------------------------------- forward


def forward_section(case: Case) -> Section:
    """z and a of every layer, sample and unit."""
    numbers = case.numbers
    blocks: list[Block] = [
        Text(
            "Each unit adds up what it is given, times its weights, and its bias: z = W a + b. "
            "Its activation function makes a of z."
        )
    ]
    for stage in case.stages:
        lines = [_forward_lines(numbers, stage, i) for i in range(numbers.samples)]
        blocks += per_sample(case, title_of(stage), lines)
    return Section("Forward", blocks)


def _forward_lines(numbers: Numbers, stage: Stage, i: int) -> list[Line]:
    if not stage.has_activation:
        return [Line(numbers.a(stage, i, k), _passed(numbers, stage, i, k)) for k in range(stage.size)]
    lines = []
    if stage.kind == "dense":
        lines = [_sum_line(numbers, stage, i, j) for j in range(stage.size)]
    z = [numbers.z(stage, i, j) for j in range(stage.size)]
    for j in range(stage.size):
        formula, note = activated(stage.activation, z, j)
        lines.append(Line(numbers.a(stage, i, j), formula, note))
    return lines


def _sum_line(numbers: Numbers, stage: Stage, i: int, j: int) -> Line:
    given = stage.inputs[0]
    terms: list[Expression] = [
        numbers.weight(stage, j, k) * numbers.value(given, i, k) for k in range(numbers.size(given))
    ]
    if stage.bias:
        terms.append(numbers.bias(stage, j))
    return Line(numbers.z(stage, i, j), sum_of(terms))


def _passed(numbers: Numbers, stage: Stage, i: int, k: int) -> Expression:
    """What a layer without weights makes of its input."""
    if stage.kind == "add":
        return sum_of([numbers.value(node, i, k) for node in stage.inputs])
    if stage.kind == "concatenate":
        node, position = concatenated(numbers, stage, k)
        return numbers.value(node, i, position)
    x = numbers.value(stage.inputs[0], i, k)
    if stage.kind == "rescale":
        scale, offset = rescaling(stage)
        return x * scale + offset if offset.number else x * scale
    if stage.kind == "standardize":
        mean, std = standard(numbers, stage, k)
        return (x - mean) / std if std.number else Number(0)
    if stage.kind == "dropout":
        return x * kept(numbers, stage, i, k)
    return x


def rescaling(stage: Stage) -> tuple[Number, Number]:
    """Scale and offset."""
    return Number(float(stage.config["scale"])), Number(float(stage.config["offset"]))


def standard(numbers: Numbers, stage: Stage, k: int) -> tuple[Quantity, Quantity]:
    """Mean and std of the feature that position k is."""
    values = numbers.trace.values
    mean, std = values[f"{stage.name}.mean"], values[f"{stage.name}.std"]
    k %= len(mean)
    return (
        Quantity("mean", mean[k], (k + 1,), 0, stage.number),
        Quantity("std", std[k], (k + 1,), 0, stage.number),
    )


def concatenated(numbers: Numbers, stage: Stage, k: int) -> tuple[str, int]:
    """The node that position k comes from, and its position there."""
    for node in stage.inputs:
        if k < numbers.size(node):
            return node, k
        k -= numbers.size(node)
    raise AssertionError(f"{stage.name} has fewer numbers than its inputs")


def kept(numbers: Numbers, stage: Stage, i: int, k: int) -> Expression:
    """The factor of dropout: 0, or 1 / (1 - rate)."""
    rate = float(stage.config["rate"])
    forward = numbers.a(stage, i, k).number
    backward = numbers.trace.deltas[stage.inputs[0]].reshape(numbers.samples, -1)[i, k]
    # where all that passes is 0 both ways nobody can tell, and it does not matter
    passes = forward != 0 or (backward != 0 and len(numbers.readers[stage.inputs[0]]) == 1)
    return Quotient(Number(1), 1 - Number(rate)) if passes else Number(0)


# -------------------------------------------------------------------------------------------------- loss


def loss_section(case: Case) -> Section:
    """The loss of each sample, and the mean."""
    words = general(case.loss, case.paired)
    if case.numbers.samples > 1:
        words += (
            "; L is the mean over the samples" if case.equal else "; L is the weighted mean over the samples"
        )
    blocks: list[Block] = [Text(f"{type(case.loss).__name__}: {words}.")]
    return Section("Loss", [*blocks, *loss_blocks(case, case.numbers)])


def loss_blocks(case: Case, numbers: Numbers) -> list[Block]:
    """The lines of a loss, before or after the update."""
    if numbers.samples == 1:
        total = Quantity("L", numbers.trace.loss, (), 0, 0, numbers.new)
        return [Lines([Line(total, *case.loss_formula(numbers, 0))])]
    each = [Line(case.loss_of(numbers, i), *case.loss_formula(numbers, i)) for i in range(numbers.samples)]
    blocks: list[Block] = [Lines(each)]
    if not case.equal and not numbers.new:
        weights = [case.omega(i) for i in range(numbers.samples)]
        blocks.append(
            Lines([Line(case.share(i), weights[i] / sum_of(weights)) for i in range(numbers.samples)])
        )
    return [*blocks, Lines([_mean_line(case, numbers)])]


def _mean_line(case: Case, numbers: Numbers) -> Line:
    total = Quantity("L", numbers.trace.loss, (), 0, 0, numbers.new)
    parts = [case.loss_of(numbers, i) for i in range(numbers.samples)]
    if case.equal:
        return Line(total, sum_of(parts) / len(parts))
    return Line(total, sum_of([case.share(i) * part for i, part in enumerate(parts)]))
