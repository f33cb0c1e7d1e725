"""The node tests that the package onnx brings along, for the operators that are read.

    python tests/onnx_nodes.py        prints how many pass, and why each other does not

A case is one operator with inputs and the outputs that are expected. Here an input is a batch, so each case
is tried with every choice of which inputs are batches (the others become parameters) and of the axis that
the batch is; it passes if one of them loads and has the expected outputs.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import numpy as np
import onnx
import retrograd as rg
from retrograd.onnx.load import READ

REALS = (np.float32, np.float64)


def cases(operators: list[str]) -> list[Any]:
    """The cases of these operators, by the modules that have their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases divide by 0 on purpose
        node = importlib.import_module("onnx.backend.test.case.node")
        wanted = {op.lower() for op in operators}
        for module in pkgutil.iter_modules(node.__path__):
            name = module.name.replace("_", "")
            if name in wanted and module.name not in ("optionalgetelement",):
                importlib.import_module(f"{node.__name__}.{module.name}")
    return [case for case in node._NodeTestCases if "_expanded" not in case.name]


def of_reals(case: Any) -> bool:
    """Whether the result is made of floats (a network has no other) and so is some input."""
    inputs, outputs = case.data_sets[0]
    arrays = [*inputs, *outputs]
    return (
        all(isinstance(a, np.ndarray | np.generic) for a in arrays)
        and any(np.asarray(a).dtype in REALS for a in inputs)
        and all(np.asarray(a).dtype in (*REALS, np.bool_) for a in outputs[:1])
    )


def readings(case: Any) -> Iterator[tuple[Any, list[np.ndarray], int]]:
    """The model with each choice of batches, what to feed, and the batch's axis."""
    inputs = [np.asarray(a) for a in case.data_sets[0][0]]
    names = [info.name for info in case.model.graph.input]
    every = range(len(inputs))
    choices = [tuple(True for _ in every), *(tuple(i == k for i in every) for k in every)]
    choices += [tuple(i in pair for i in every) for pair in combinations(every, 2)]
    for axis, choice in product((0, 1, 2), choices):
        fed = [a for a, batch in zip(inputs, choice, strict=True) if batch]
        if not fed or any(a.ndim <= axis for a in fed) or len({a.shape[axis] for a in fed}) > 1:
            continue
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        for name, array, batch in zip(names, inputs, choice, strict=True):
            info = next(info for info in model.graph.input if info.name == name)
            if batch and axis:  # the first axis is the batch without being named so
                info.type.tensor_type.shape.dim[axis].Clear()
                info.type.tensor_type.shape.dim[axis].dim_param = "batch"
            elif not batch:
                model.graph.input.remove(info)
                model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        for info in model.graph.output:
            for dim in info.type.tensor_type.shape.dim:
                dim.Clear()
        yield model, [np.moveaxis(a, axis, 0) for a in fed], axis


def why_not(case: Any) -> str:
    """ "" where a reading has the expected outputs; else what the first one said."""
    reasons = []
    for model, fed, _ in readings(case):
        try:
            net = rg.onnx.load(model)
            found = net.predict(fed if len(fed) > 1 else fed[0])
        except rg.RetrogradError as error:
            reasons.append(f"{type(error).__name__}: {error}")
            continue
        found = found if isinstance(found, list) else [found]
        expected = [np.asarray(a) for a in case.data_sets[0][1]]
        if all(map(agrees, found, expected)):
            return ""
        reasons.append("other numbers")
    return reasons[0] if reasons else "no input can be a batch"


def agrees(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal, wherever the batch is in the file's tensor."""
    return any(
        found.shape == (moved := np.moveaxis(expected, axis, 0)).shape
        and np.allclose(found, moved.astype(np.float64), rtol=1e-3, atol=1e-6)
        for axis in range(expected.ndim)
    )


def main() -> None:
    found = [case for case in cases(list(READ)) if case.model.graph.node[0].op_type in READ]
    reals = [case for case in found if of_reals(case)]
    reasons = {case.name: why_not(case) for case in reals}
    passed = Counter(c.model.graph.node[0].op_type for c in reals if not reasons[c.name])
    of = Counter(c.model.graph.node[0].op_type for c in reals)
    print(f"{len(found)} cases of {len(READ)} operators; {len(reals)} of them of floats")
    print(f"{sum(passed.values())} of {len(reals)} pass, of {len(of)} operators")
    for op in sorted(of):
        print(f"  {op}: {passed[op]} of {of[op]}")
    if "-v" in sys.argv:
        for name, reason in reasons.items():
            if reason:
                print(f"  {name}: {reason[:200]}")


if __name__ == "__main__":
    main()
