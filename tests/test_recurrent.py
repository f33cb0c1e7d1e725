"""The recurrent layers beyond their formulas: masks, threads, instruction sets, starts, files, errors."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _core
from retrograd.graph import operation

LAYERS = {"SimpleRNN": rg.SimpleRNN, "LSTM": rg.LSTM, "GRU": rg.GRU}
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
ALL = pytest.mark.parametrize("name", LAYERS)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def masked_model(name: str, time: int, features: int, units: int, **options: Any) -> rg.Model:
    """Behind a trained shift of x, so that the gradient with respect to x can be seen."""
    dtype = options.pop("dtype", "float64")
    x, mask = rg.Input((time, features)), rg.Input(time, dtype="bool")
    shifted = x + rg.Variable(np.zeros((time, features)), name="shift")
    layer = LAYERS[name](units, bias_init="normal(0.5)", name="walk", **options)
    return rg.Model([x, mask], layer(shifted, mask), seed=1, dtype=dtype)


def total(weigh: np.ndarray) -> Any:
    """A loss: the outputs, weighed."""
    return lambda y, _: rg.ops.sum(y * weigh, axis=tuple(range(1, len(y.shape))))


# ------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@ALL
def test_masked_steps_are_as_if_they_were_not_there(name: str, reverse: bool) -> None:
    """Each padded sequence beside the same layer on its real steps alone: outputs and gradients."""
    time, features, units, lengths = 7, 3, 5, [7, 1, 4, 6, 2]
    x = draw(len(lengths), time, features)
    mask = np.arange(time) < np.array(lengths)[:, None]
    net = masked_model(name, time, features, units, reverse=reverse)
    trainer = rg.Trainer(net, loss=total(draw(units, seed=2)))
    trainer.gradients([x, mask], np.zeros((len(x), 1)))
    found = {key: value.copy() for key, value in net.gradients.items()}
    expected = {key: np.zeros_like(value) for key, value in net.gradients.items()}
    for i, length in enumerate(lengths):
        alone = masked_model(name, length, features, units, reverse=reverse)
        for key, value in net.parameters.items():
            alone.parameters[key][...] = value[: len(alone.parameters[key])]
        one = [x[i : i + 1, :length], np.ones((1, length), bool)]
        np.testing.assert_allclose(alone.predict(one), net.predict([x, mask])[i : i + 1], atol=1e-14)
        rg.Trainer(alone, loss=total(draw(units, seed=2))).gradients(one, np.zeros((1, 1)))
        for key, value in alone.gradients.items():
            expected[key][: len(value)] += value / len(lengths)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-13, err_msg=key)


@ALL
def test_a_mask_may_have_gaps_and_its_steps_carry_the_state_on(name: str) -> None:
    x, mask = draw(4, 6, 3), np.array([[0, 1, 0, 0, 1, 0]] * 4, bool)
    y = masked_model(name, 6, 3, 5, return_sequences=True).predict([x, mask])
    assert not y[:, 0].any()
    assert y[:, 1].tobytes() == y[:, 2].tobytes() == y[:, 3].tobytes()
    assert y[:, 4].tobytes() == y[:, 5].tobytes() != y[:, 3].tobytes()


@ALL
def test_what_is_masked_does_not_matter(name: str) -> None:
    x, mask = draw(8, 6, 3), draw(8, 6, seed=3) > 0
    other = np.where(mask[..., None], x, 100.0)
    net = masked_model(name, 6, 3, 5)
    trainer = rg.Trainer(net, loss=total(draw(5, seed=2)))
    seen = set()
    for data in (x, other):
        trainer.gradients([data, mask], np.zeros((8, 1)))
        seen.add(net.flat_gradients.tobytes() + net.predict([data, mask]).tobytes())
    assert len(seen) == 1


@ALL
def test_a_sample_that_is_masked_throughout_keeps_the_state_0(name: str) -> None:
    x, mask = draw(3, 6, 3), np.zeros((3, 6), bool)
    net = masked_model(name, 6, 3, 5)
    assert not net.predict([x, mask]).any()
    rg.Trainer(net, loss=total(np.ones(5))).gradients([x, mask], np.zeros((3, 1)))
    assert not net.flat_gradients.any()


@ALL
def test_a_mask_of_ones_is_no_mask(name: str) -> None:
    x = draw(4, 6, 3)
    net = masked_model(name, 6, 3, 5, return_sequences=True)
    node = rg.Input((6, 3))
    plain = rg.Model(node, LAYERS[name](5, return_sequences=True, name="walk")(node), dtype="float64")
    for key, value in plain.parameters.items():
        value[...] = net.parameters[key]
    assert plain.predict(x).tobytes() == net.predict([x, np.ones((4, 6), bool)]).tobytes()


@ALL
def test_the_mask_by_keyword_by_position_and_in_a_list(name: str) -> None:
    x, mask, layer = rg.Input((6, 3)), rg.Input(6, dtype="bool"), LAYERS[name](5)
    for node in (layer(x, mask), layer(x, mask=mask), layer([x, mask])):
        assert node.shape == (None, 5)
        assert len(node.inputs) == 4
    assert len(layer(x, mask=None).inputs) == 3


# -------------------------------------------------------------------------------------- graphs around it


def slope_error(net: rg.Model, loss: Any, data: Any) -> float:
    """|backpropagation - difference| along a random direction of all parameters, relative."""
    trainer = rg.Trainer(net, loss=loss)
    y = np.zeros((4, 1))
    trainer.gradients(data, y)
    gradient, start = net.flat_gradients.copy(), net.flat_parameters.copy()
    direction = draw(gradient.size, seed=9) / np.sqrt(gradient.size)
    values = []
    for step in (2e-3, 1e-3, -1e-3, -2e-3):
        net.flat_parameters[...] = start + step * direction
        values.append(trainer.forward(data, y))
    slope = (8.0 * (values[1] - values[2]) - (values[0] - values[3])) / 12e-3
    return abs(float(gradient @ direction) - slope) / max(1.0, abs(slope))


@ALL
def test_z_may_have_other_readers(name: str) -> None:
    """So its gradient is added to, whoever comes first."""
    x = rg.Input((6, 3))
    h = LAYERS[name](5, return_sequences=True)(x)
    z = h.inputs[0]
    outputs = rg.Concatenate()(rg.ops.tanh(z), h, rg.ops.square(z))
    net = rg.Model(x, outputs, dtype="float64", seed=2)
    weigh = draw(6, 5 + 10 * GATES[name], seed=1)
    assert slope_error(net, total(weigh), draw(4, 6, 3)) < 1e-9


@ALL
def test_a_layer_called_twice_adds_its_gradients(name: str) -> None:
    x = rg.Input((6, 5))
    layer = LAYERS[name](5, return_sequences=True)
    net = rg.Model(x, layer(layer(x)), dtype="float64", seed=2)
    assert len(net.parameters) == 4
    assert slope_error(net, total(draw(6, 5, seed=1)), draw(4, 6, 5)) < 1e-9


@ALL
def test_frozen_weights_get_no_gradient_and_hand_it_back(name: str) -> None:
    data, mask = draw(4, 6, 3), np.ones((4, 6), bool)
    seen = []
    for frozen in (False, True):
        net = masked_model(name, 6, 3, 5)
        if frozen:
            net.freeze("walk*")
        rg.Trainer(net, loss=total(np.ones(5))).gradients([data, mask], np.zeros((4, 1)))
        seen.append(net.gradients["shift"].tobytes())
    assert seen[0] == seen[1]


@ALL
def test_only_recurrent_weights_trained(name: str) -> None:
    """Nobody wants the gradient of z then."""
    x = rg.Input((6, 3))
    net = rg.Model(x, LAYERS[name](5, name="walk")(x), dtype="float64")
    trainer = rg.Trainer(net, loss=total(np.ones(5)))
    trainer.gradients(draw(4, 6, 3), np.zeros((4, 1)))
    expected = net.gradients["walk.weight_hh"].copy()
    net.freeze("walk.weight_ih", "walk.bias_ih")
    trainer = rg.Trainer(net, loss=total(np.ones(5)))
    trainer.gradients(draw(4, 6, 3), np.zeros((4, 1)))
    assert net.gradients["walk.weight_hh"].tobytes() == expected.tobytes()


@ALL
def test_a_single_step(name: str) -> None:
    x = rg.Input((1, 3))
    net = rg.Model(x, LAYERS[name](5, name="walk")(x), dtype="float64")
    net.gradients["walk.weight_hh"][...] = 7.0
    assert slope_error(net, total(np.ones(5)), draw(4, 1, 3)) < 1e-9
    assert not net.gradients["walk.weight_hh"].any()


@ALL
def test_predictions_are_those_of_a_training_step(name: str) -> None:
    """Prediction keeps nothing for backward."""
    x = rg.Input((9, 3))
    net = rg.Model(x, LAYERS[name](20, return_sequences=True, name="walk")(x), seed=4)
    data = draw(33, 9, 3).astype(np.float32)
    trace = net.trace(data, np.zeros((33, 9, 20), np.float32), "mse")
    assert trace["walk"].a.tobytes() == net.predict(data).tobytes()
    assert trace["walk"].z.shape == trace["walk"].delta.shape == (33, 9, 20 * GATES[name])


# -------------------------------------------------------------------------------------------------- bits


def trained(name: str, dtype: str, batch: int, threads: int, **options: Any) -> tuple[rg.Trainer, str]:
    time, features, units = 20, 27, 72
    net = masked_model(name, time, features, units, dtype=dtype, **options)
    x, length = draw(batch, time, features).astype(dtype), np.random.default_rng(1).integers(0, 21, batch)
    mask = np.arange(time) < length[:, None]
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.Adam(1e-2), threads=threads)
    y = draw(batch, *net.outputs[0].shape[1:], seed=5).astype(dtype)
    for _ in range(3):
        trainer.step([x, mask], y)
    return trainer, hashlib.sha256(
        net.flat_parameters.tobytes() + net.predict([x, mask]).tobytes()
    ).hexdigest()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [61, 128])
@ALL
def test_threads(name: str, batch: int, dtype: str) -> None:
    seen = set()
    for threads in range(1, 9):
        trainer, digest = trained(name, dtype, batch, threads, return_sequences=True, reverse=batch == 61)
        assert trainer.threads_used == threads
        seen.add(digest)
    assert len(seen) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_instruction_sets_with_fma(dtype: str) -> None:
    isas = [isa for isa in _core.runnable_isas() if isa != "baseline"]
    if len(isas) < 2:
        pytest.skip("one level with fused multiply-add on this machine")
    code = (
        "from test_recurrent import LAYERS, trained\n"
        f"print([trained(name, {dtype!r}, batch, 1)[1] for name in LAYERS for batch in (1, 61)])"
    )
    folder = str(Path(__file__).parent)
    found = set()
    for isa in isas:
        environment = {**os.environ, "RETROGRAD_ISA": isa}
        environment["PYTHONPATH"] = os.pathsep.join([folder, *sys.path])
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        found.add(result.stdout)
    assert len(found) == 1


@ALL
def test_a_sample_does_not_depend_on_its_neighbours(name: str) -> None:
    """Few samples walk with other tiles than many; what they compute is the same."""
    x = rg.Input((12, 5))
    net = rg.Model(x, LAYERS[name](70)(x))
    data = draw(200, 12, 5).astype(np.float32)
    expected = net.predict(data, batch_size=200)
    for rows in (1, 3, 7, 20):
        np.testing.assert_allclose(net.predict(data[:rows]), expected[:rows], rtol=0, atol=1e-6)


# ------------------------------------------------------------------------------------------------ starts


@ALL
def test_parameters_have_pytorchs_names_order_and_shapes(name: str) -> None:
    x = rg.Input((6, 3))
    net = rg.Model(x, LAYERS[name](5)(x))
    kind, rows = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}[name], 5 * GATES[name]
    assert {key: value.shape for key, value in net.parameters.items()} == {
        f"{kind}_0.weight_ih": (rows, 3),
        f"{kind}_0.weight_hh": (rows, 5),
        f"{kind}_0.bias_ih": (rows,),
        f"{kind}_0.bias_hh": (rows,),
    }
    roles = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    assert list(net.parameters) == [f"{kind}_0.{role}" for role in roles]


@ALL
def test_every_gate_begins_as_a_matrix_of_its_own(name: str) -> None:
    x = rg.Input((4, 30))
    net = rg.Model(x, LAYERS[name](50, name="walk")(x), dtype="float64")
    gates = net.parameters["walk.weight_hh"].reshape(GATES[name], 50, 50)
    for gate in gates:
        np.testing.assert_allclose(gate @ gate.T, np.eye(50), rtol=0, atol=1e-12)
    assert len({gate.tobytes() for gate in gates}) == GATES[name]
    bound = np.sqrt(6 / (30 + 50))  # Glorot's, with the fans of a gate
    assert 0.97 * bound < np.abs(net.parameters["walk.weight_ih"]).max() <= bound
    assert not net.parameters["walk.bias_ih"].any()
    assert not net.parameters["walk.bias_hh"].any()


def test_relu_begins_as_dense_layers_with_relu_do() -> None:
    x = rg.Input((4, 200))
    net = rg.Model(x, rg.SimpleRNN(100, activation="relu", name="walk")(x), dtype="float64")
    assert net.parameters["walk.weight_ih"].std() == pytest.approx(np.sqrt(2 / 200), rel=0.02)


@ALL
def test_saved_loaded_and_trained_on(name: str, tmp_path: Path) -> None:
    data = [draw(40, 6, 3), draw(40, 6, seed=1) > 0]
    y = draw(40, 5, seed=2)
    net = masked_model(name, 6, 3, 5, dtype="float32", reverse=True)
    rg.Trainer(net, loss="mse", optimizer=rg.SGD(1e-2)).step(data, y)
    again = rg.load(net.save(tmp_path / "walk"))
    assert again.predict(data).tobytes() == net.predict(data).tobytes()
    for one in (net, again):
        rg.Trainer(one, loss="mse", optimizer=rg.SGD(1e-2)).step(data, y)
    assert again.flat_parameters.tobytes() == net.flat_parameters.tobytes()


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: rg.LSTM(0), rg.ArgumentError, "LSTM: units: expected at least 1, got 0"),
        (lambda: rg.GRU(-3, name="g"), rg.ArgumentError, "g: units: expected at least 1, got -3"),
        (lambda: rg.LSTM(4, reverse=1), rg.ArgumentError, "LSTM: reverse: expected True or False, got 1"),
        (
            lambda: rg.SimpleRNN(4, activation="sigmoid"),
            rg.ArgumentError,
            "SimpleRNN: activation: unknown name 'sigmoid'; choose one of tanh, relu",
        ),
        (
            lambda: rg.LSTM(2, recurrent_init=np.ones((2, 2))),
            rg.ShapeError,
            "LSTM: recurrent_init has shape (2, 2), expected (8, 2)",
        ),
        (
            lambda: rg.GRU(2, bias_init="orthogonal"),
            rg.ArgumentError,
            "GRU: bias_init is 'orthogonal', which needs a matrix",
        ),
        (
            lambda: rg.LSTM(4)(rg.Input(12)),
            rg.ShapeError,
            "lstm: input has shape (batch, 12), expected (batch, time, features)",
        ),
        (
            lambda: rg.LSTM(4, name="walk")(rg.Input((2, 3, 4))),
            rg.ShapeError,
            "walk: input has shape (batch, 2, 3, 4), expected (batch, time, features)",
        ),
        (
            lambda: rg.GRU(4)(rg.Input((6, 3)), mask=rg.Input(5, dtype="bool")),
            rg.ShapeError,
            "gru: the mask has shape (batch, 5) but the input has 6 steps; expected (batch, 6), 1 for a step "
            "that counts and 0 for padding",
        ),
        (
            lambda: rg.GRU(4)(rg.Input((6, 3)), rg.Input((6, 1))),
            rg.ShapeError,
            "gru: the mask has shape (batch, 6, 1) but the input has 6 steps",
        ),
        (
            lambda: rg.GRU(4)(rg.Input((6, 3)), rg.Input(6, dtype="int64")),
            rg.DTypeError,
            "gru: the mask of shape (batch, 6) holds indices, expected 0 and 1; give its rg.Input "
            'dtype="bool"',
        ),
        (
            lambda: rg.LSTM(4)(rg.Input((6, 3), dtype="int64")),
            rg.DTypeError,
            "lstm: operand 0 of shape (batch, 6, 3) holds indices",
        ),
        (
            lambda: rg.LSTM(4)(rg.Input((6, 3)), rg.Input(6), rg.Input(6)),
            rg.GraphError,
            "lstm: expected an input node and perhaps a mask, got 3 nodes",
        ),
        (
            lambda: rg.LSTM(4)(rg.Input((6, 3)), mask=np.ones((2, 6))),
            rg.GraphError,
            "called with ndarray, expected a node",
        ),
    ],
)
def test_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("op", "shapes", "options", "error", "message"),
    [
        ("lstm", [(12, 4), (12,)], {}, rg.ShapeError, "weight_hh is (12, 4), expected (4 * units, units)"),
        ("gru", [(15, 5), (15,)], {}, rg.ShapeError, "input is (batch, 6, 12) but weight_hh is (15, 5)"),
        ("gru", [(12, 4), (9,)], {}, rg.ShapeError, "bias_hh is (9) but weight_hh is (12, 4); expected (12)"),
        ("gru", [(12, 4)], {}, rg.GraphError, "got 2 operands, expected 3 to 4"),
        ("simple_rnn", [], {"activation": "elu"}, rg.ArgumentError, "unknown activation 'elu'"),
        ("simple_rnn", [], {"activation": "tanh", "depth": 2}, rg.ArgumentError, "depth"),
    ],
)
def test_operations_refuse_what_no_layer_makes(
    op: str, shapes: list[Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A file may hold anything."""
    variables = [rg.Variable(np.ones(shape)) for shape in shapes]
    with pytest.raises(error, match=re.escape(message)):
        operation(op, rg.Input((6, 12)), *variables, return_sequences=False, reverse=False, **options)


def test_a_layer_that_failed_can_be_called_again() -> None:
    layer = rg.LSTM(4)
    with pytest.raises(rg.ShapeError):
        layer(rg.Input((6, 3)), mask=rg.Input(7))
    assert layer(rg.Input((6, 8))).shape == (None, 4)
    with pytest.raises(rg.ShapeError, match="from the first call"):
        layer(rg.Input((6, 3)))
