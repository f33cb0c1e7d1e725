"""Against PyTorch: tables of rows, dense and with its sparse gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import ops

torch = pytest.importorskip("torch")
F = torch.nn.functional


def close(found: Any, expected: Any) -> None:
    expected = expected.detach()
    if expected.is_sparse:
        expected = expected.to_dense()
    scale = max(1.0, float(expected.abs().max()))
    assert np.abs(np.asarray(found) - expected.numpy()).max() <= 1e-10 * scale


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3)])
@pytest.mark.parametrize(("count", "units"), [(7, 1), (7, 5), (300, 16), (5000, 16)])
def test_output_and_gradient(count: int, units: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(count + units)
    x = rng.integers(0, count, size=(11, *shape))
    w = rng.normal(size=(count, units))
    factors = rng.normal(size=(*shape, units))
    theirs = torch.nn.Embedding(count, units, _weight=torch.tensor(w))
    output = theirs(torch.tensor(x))
    (torch.tanh(output) * torch.tensor(factors)).reshape(11, -1).sum(1).mean().backward()

    node = rg.Input(shape, dtype="int64")
    net = rg.Model(node, rg.Embedding(count, units, weight_init=w)(node), dtype="float64")
    trainer = rg.Trainer(net, loss=lambda y, _: ops.sum(ops.tanh(y) * factors), optimizer=rg.SGD(0.1))
    close(net.predict(x), output)
    trainer.gradients(x, np.zeros(11))
    close(net.gradients["embedding_0.weight"], theirs.weight.grad)


@pytest.mark.parametrize(
    ("name", "settings", "sparse"),
    [
        ("SGD", {"lr": 0.5}, True),
        ("SGD", {"lr": 0.1, "momentum": 0.9}, False),
        ("SGD", {"lr": 0.1, "weight_decay": 0.01}, False),
        ("Adagrad", {"lr": 0.1}, True),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.01, "initial_accumulator_value": 0.1}, True),
        ("Adam", {"lr": 0.01}, False),
    ],
)
def test_100_steps(name: str, settings: dict[str, Any], sparse: bool) -> None:
    """Where PyTorch can do with sparse gradients, against those; rows that rest do so in both."""
    rng, count, units = np.random.default_rng(1), 5000, 16
    node = rg.Input(4, dtype="int64")
    h = rg.Flatten()(rg.Embedding(count, units)(node))
    net = rg.Model(node, rg.Dense(3)(h), seed=1, dtype="float64")
    trainer = rg.Trainer(net, loss="mse", optimizer=getattr(rg, name)(**settings))
    table, weight, bias = (torch.tensor(p.copy(), requires_grad=True) for p in net.parameters.values())
    optimizer = getattr(torch.optim, name)([table, weight, bias], **settings)
    for _ in range(100):
        x, y = rng.integers(0, count, size=(32, 4)), rng.normal(size=(32, 3))
        optimizer.zero_grad()
        rows = F.embedding(torch.tensor(x), table, sparse=sparse).reshape(32, -1)
        loss = ((F.linear(rows, weight, bias) - torch.tensor(y)) ** 2).mean()
        loss.backward()
        with torch.sparse.check_sparse_tensor_invariants(enable=False):
            optimizer.step()
        assert trainer.step(x, y) == pytest.approx(float(loss.detach()), rel=1e-10)
    for found, expected in zip(net.parameters.values(), (table, weight, bias), strict=True):
        close(found, expected)
