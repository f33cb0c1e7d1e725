"""The recurrent layers beside PyTorch's in float64: the same weights, outputs and gradients to 1e-10."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd as rg  # noqa: E402

ROLES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
LAYERS: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "LSTM": (rg.LSTM, torch.nn.LSTM, {}),
    "GRU": (rg.GRU, torch.nn.GRU, {}),
    "SimpleRNN": (rg.SimpleRNN, torch.nn.RNN, {}),
    "SimpleRNN-relu": (rg.SimpleRNN, torch.nn.RNN, {"activation": "relu"}),
}
BATCH, TIME, FEATURES, UNITS = 7, 9, 5, 11


class Pair:
    """A layer behind an input with a gradient (by a shift of x), and PyTorch's of the same weights."""

    def __init__(self, name: str, sequences: bool, reverse: bool, masked: bool, units: int = UNITS) -> None:
        ours, theirs, options = LAYERS[name]
        x = rg.Input((TIME, FEATURES))
        self.shift = rg.Variable(np.zeros((TIME, FEATURES)), name="shift")
        layer = ours(units, return_sequences=sequences, reverse=reverse, name="layer", **options)
        mask = [rg.Input(TIME, dtype="bool")] if masked else []
        self.net = rg.Model([x, *mask], layer(x + self.shift, *mask), seed=3, dtype="float64")
        rng = np.random.default_rng(1)
        for role in ROLES:
            value = self.net.parameters[f"layer.{role}"]
            value[...] = rng.normal(scale=0.4, size=value.shape)
        nonlinearity = {"nonlinearity": options["activation"]} if options else {}
        self.twin = theirs(FEATURES, units, batch_first=True, dtype=torch.float64, **nonlinearity)
        for role in ROLES:
            getattr(self.twin, f"{role}_l0").data = torch.tensor(self.net.parameters[f"layer.{role}"].copy())
        self.x = rng.normal(size=(BATCH, TIME, FEATURES))
        self.weigh = rng.normal(size=(TIME, units) if sequences else (units,))

    def compare(self, data: Any, expected: Any, x: Any) -> None:
        """Output, then gradients of the mean over the batch of sum(weigh * output)."""
        found = self.net.predict(data)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-10)
        axes = tuple(range(1, found.ndim))
        trainer = rg.Trainer(self.net, loss=lambda y, _: rg.ops.sum(y * self.weigh, axis=axes))
        trainer.gradients(data, np.zeros((BATCH, 1)))
        (expected * torch.tensor(self.weigh)).sum().div(BATCH).backward()
        for role in ROLES:
            theirs = getattr(self.twin, f"{role}_l0").grad.numpy()
            np.testing.assert_allclose(self.net.gradients[f"layer.{role}"], theirs, rtol=0, atol=1e-10)
        dx = x.grad.sum(dim=0).numpy()
        np.testing.assert_allclose(self.net.gradients["shift"], dx, rtol=0, atol=1e-10)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients(name: str, sequences: bool, reverse: bool) -> None:
    pair = Pair(name, sequences, reverse, masked=False)
    x = torch.tensor(pair.x, requires_grad=True)
    output = pair.twin(x.flip(1) if reverse else x)[0]
    if reverse:
        output = output.flip(1)
    expected = output if sequences else output[:, 0 if reverse else -1]
    pair.compare(pair.x, expected, x)


@pytest.mark.parametrize("units", [1, 16, 40])
@pytest.mark.parametrize("name", LAYERS)
def test_units_of_whole_and_of_broken_vectors(name: str, units: int) -> None:
    pair = Pair(name, sequences=True, reverse=False, masked=False, units=units)
    x = torch.tensor(pair.x, requires_grad=True)
    pair.compare(pair.x, pair.twin(x)[0], x)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_mask_is_a_packed_sequence(name: str, sequences: bool) -> None:
    """PyTorch puts zeros where a sequence has ended, and retrograd its last state."""
    pair = Pair(name, sequences, reverse=False, masked=True)
    lengths = np.array([9, 1, 5, 9, 2, 7, 3])
    mask = np.arange(TIME) < lengths[:, None]
    x = torch.tensor(pair.x, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    output, state = pair.twin(packed)
    last = (state[0] if name == "LSTM" else state)[0]
    if sequences:
        padded = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=TIME)[0]
        real = torch.tensor(mask)[..., None]
        expected = torch.where(real, padded, last[:, None])
    else:
        expected = last
    pair.compare([pair.x, mask], expected, x)


def test_bidirectional() -> None:
    """Two layers side by side are PyTorch's bidirectional one."""
    x = rg.Input((TIME, FEATURES))
    there = rg.LSTM(UNITS, return_sequences=True, name="there")
    back = rg.LSTM(UNITS, return_sequences=True, reverse=True, name="back")
    net = rg.Model(x, rg.Concatenate()(there(x), back(x)), dtype="float64")
    twin = torch.nn.LSTM(FEATURES, UNITS, batch_first=True, bidirectional=True, dtype=torch.float64)
    for role in ROLES:
        getattr(twin, f"{role}_l0").data = torch.tensor(net.parameters[f"there.{role}"].copy())
        getattr(twin, f"{role}_l0_reverse").data = torch.tensor(net.parameters[f"back.{role}"].copy())
    data = np.random.default_rng(0).normal(size=(BATCH, TIME, FEATURES))
    expected = twin(torch.tensor(data))[0].detach().numpy()
    np.testing.assert_allclose(net.predict(data), expected, rtol=0, atol=1e-10)
