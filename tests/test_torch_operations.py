"""rg.ops beside PyTorch in float64: values and gradients of every call of operation_cases.py, to 1e-10."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from operation_cases import BATCH, CASES, Case  # noqa: E402
from test_operations import trainer_of  # noqa: E402

LIMIT = 1e-10


@pytest.mark.parametrize("case", [case for case in CASES if case.torch is not None], ids=str)
def test_values_and_gradients(case: Case) -> None:
    arrays = case.draw()
    net, given = case.build(arrays)
    x = given if len(given) > 1 else given[0]
    tensors = [
        torch.tensor(array, requires_grad=kind != "c")
        for array, (kind, _) in zip(arrays, case.operands, strict=True)
    ]
    assert case.torch is not None
    y = case.torch(torch, *tensors)
    if all(kind != "b" for kind, _ in case.operands):
        y = y.expand(BATCH, *(y.shape or (1,)))
    found = net.predict(x)
    assert np.abs(found - y.detach().numpy()).max() < LIMIT

    weigh = np.random.default_rng(2).normal(size=(BATCH, found[0].size))
    ((y.reshape(BATCH, -1) * torch.tensor(weigh)).sum() / BATCH).backward()
    trainer_of(net).gradients(x, weigh)
    for i, (kind, _) in enumerate(case.operands):
        if kind == "c":
            continue
        theirs = tensors[i].grad
        theirs = np.zeros(arrays[i].shape) if theirs is None else theirs.numpy()
        ours = net.gradients[f"v{i}"] if kind == "v" else net.gradients[f"shift{i}"]
        expected = theirs if kind == "v" else theirs.sum(axis=0)
        assert np.abs(ours - expected).max() < LIMIT, f"operand {i}"
