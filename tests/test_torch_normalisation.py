"""Batch norm beside PyTorch's: outputs, gradients and running statistics in float64."""

from __future__ import annotations

import numpy as np
import pytest
import retrograd as rg
from retrograd import ops

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(6,), (4, 6), (5, 4, 3), (7, 7, 24)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(shape: tuple[int, ...], affine: bool, training: bool) -> None:
    rng = np.random.default_rng(1)
    features = shape[-1]
    x = rg.Input(shape)
    v = rg.Variable(rng.normal(size=shape), name="v")
    y = rg.BatchNorm(eps=1e-3, momentum=0.2, affine=affine, name="norm")(ops.add(x, v))
    net = rg.Model(x, y, dtype="float64")
    theirs = torch.nn.BatchNorm1d(features, eps=1e-3, momentum=0.2, affine=affine, dtype=torch.float64)
    if affine:
        for name in ("weight", "bias"):
            net.parameters[f"norm.{name}"][...] = rng.normal(size=features)
            getattr(theirs, name).data = torch.tensor(net.parameters[f"norm.{name}"])
    for name in ("running_mean", "running_var"):
        net.buffers[f"norm.{name}"][...] = rng.uniform(0.5, 2.0, size=features)
        getattr(theirs, name).copy_(torch.tensor(net.buffers[f"norm.{name}"]))
    if not training:
        net.freeze("norm.running_*")
        theirs.eval()
    trainer = rg.Trainer(net, loss=lambda y, t: ops.sum(y * t, axis=tuple(range(1, len(shape) + 1))))
    for _ in range(3):
        data, weight = rng.normal(2.0, 3.0, (8, *shape)), rng.normal(size=(8, *shape))
        w = torch.tensor(net.parameters["v"].copy(), requires_grad=True)
        theirs.zero_grad()
        flat = (torch.tensor(data) + w).reshape(-1, features)
        out = theirs(flat).reshape(data.shape)
        loss = (out * torch.tensor(weight)).sum() / len(data)
        loss.backward()
        assert trainer.gradients(data, weight) == pytest.approx(loss.item(), abs=1e-10)
        close = {"v": w, **(dict(theirs.named_parameters()) if affine else {})}
        for name, parameter in close.items():
            ours = net.gradients[name if name == "v" else f"norm.{name}"]
            np.testing.assert_allclose(ours, parameter.grad.numpy(), rtol=0, atol=1e-10)
        trainer.update()
        for name in ("running_mean", "running_var"):
            expected = getattr(theirs, name).numpy()
            np.testing.assert_allclose(net.buffers[f"norm.{name}"], expected, rtol=0, atol=1e-12)
        with torch.no_grad():  # the same parameters for the next round
            for name, parameter in theirs.named_parameters():
                parameter.copy_(torch.tensor(net.parameters[f"norm.{name}"]))
