"""What follows when one weight changes: against a second pass by hand, and against the derivative."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import retrograd as rg

TOLERANCE = {"rtol": 0.0, "atol": 1e-12}
X1, X2, TARGET = 0.35, 0.9, 0.5
NEXT_X1, NEXT_X2, NEXT_TARGET = 0.1, -0.4, 0.7
W11, W12, W21, W22, B1, B2 = 0.1, 0.8, 0.4, 0.6, 0.05, -0.1
V1, V2, C = 0.3, 0.9, 0.2
CHANGE = 0.25


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def by_hand(w11: float, x1: float, x2: float, target: float) -> dict[str, Any]:
    """Every number of the 2-2-1 network, in plain Python."""
    zh1, zh2 = w11 * x1 + W12 * x2 + B1, W21 * x1 + W22 * x2 + B2
    h1, h2 = sigmoid(zh1), sigmoid(zh2)
    zy = V1 * h1 + V2 * h2 + C
    y = sigmoid(zy)
    dy = y - target
    delta_y = dy * y * (1.0 - y)
    dh1, dh2 = V1 * delta_y, V2 * delta_y
    delta1, delta2 = dh1 * h1 * (1.0 - h1), dh2 * h2 * (1.0 - h2)
    return {
        "dense_0.z": [[zh1, zh2]],
        "dense_0.a": [[h1, h2]],
        "dense_1.z": [[zy]],
        "dense_1.a": [[y]],
        "loss.per_sample": [0.5 * dy * dy],
        "loss": 0.5 * dy * dy,
        "dL/d loss.per_sample": [1.0],  # the mean of one
        "dense_1.da": [[dy]],
        "dense_1.delta": [[delta_y]],
        "dense_0.da": [[dh1, dh2]],
        "dense_0.delta": [[delta1, delta2]],
        "dL/d input_0": [[w11 * delta1 + W21 * delta2, W12 * delta1 + W22 * delta2]],
        "dense_1.db": [delta_y],
        "dense_1.dW": [[delta_y * h1, delta_y * h2]],
        "dense_0.db": [delta1, delta2],
        "dense_0.dW": [[delta1 * x1, delta1 * x2], [delta2 * x1, delta2 * x2]],
    }


def network(dtype: str = "float64") -> rg.Model:
    return rg.Sequential(
        [
            rg.Input(2),
            rg.Dense(
                2,
                activation="sigmoid",
                weight_init=np.array([[W11, W12], [W21, W22]]),
                bias_init=np.array([B1, B2]),
            ),
            rg.Dense(1, activation="sigmoid", weight_init=np.array([[V1, V2]]), bias_init=np.array([C])),
        ],
        dtype=dtype,
    )


X, Y = np.array([[X1, X2]]), np.array([[TARGET]])
NEXT = (np.array([[NEXT_X1, NEXT_X2]]), np.array([[NEXT_TARGET]]))
LOSS = "half_squared_error"


def test_the_cascade_equals_a_second_pass_by_hand() -> None:
    net = network()
    what = rg.what_if(net, X, Y, LOSS, "dense_0.weight", (0, 0), CHANGE)
    before, after = by_hand(W11, X1, X2, TARGET), by_hand(W11 + CHANGE, X1, X2, TARGET)
    assert {row.name for row in what.rows} == set(before)
    for row in what.rows:
        np.testing.assert_allclose(row.before, before[row.name], **TOLERANCE)
        np.testing.assert_allclose(row.after, after[row.name], **TOLERANCE)
        difference = np.subtract(after[row.name], before[row.name])
        np.testing.assert_allclose(row.difference, difference, **TOLERANCE)
    assert what.changed == [
        "dense_0.z",
        "dense_0.a",
        "dense_1.z",
        "dense_1.a",
        "loss.per_sample",
        "loss",
    ]
    np.testing.assert_array_equal(what["dense_0.z"].changed, [[True, False]])
    assert what.weight == W11
    assert what.change == pytest.approx(CHANGE, abs=1e-16)
    assert what.after.loss == pytest.approx(after["loss"], abs=1e-12)
    np.testing.assert_allclose(what.after["dense_1"].delta, after["dense_1.delta"], **TOLERANCE)


def test_predictions_are_the_derivatives() -> None:
    """Those of the loss by backpropagation, all others against the slope of the calculation by hand."""
    what = rg.what_if(network(), X, Y, LOSS, "dense_0.weight", (0, 0), CHANGE)
    h = 1e-3
    far, near = (
        [by_hand(W11 + t, X1, X2, TARGET) for t in (2 * step, step, -step, -2 * step)] for step in (h, h / 2)
    )
    for row in what.rows:
        slopes = [
            (
                8 * np.subtract(at[1][row.name], at[2][row.name])
                - np.subtract(at[0][row.name], at[3][row.name])
            )
            / (12 * step)
            for at, step in ((far, h), (near, h / 2))
        ]
        np.testing.assert_allclose(slopes[0], slopes[1], rtol=0, atol=1e-12)  # the truth itself is good
        np.testing.assert_allclose(row.predicted, slopes[0] * CHANGE, rtol=0, atol=3e-12, err_msg=row.name)
    exact = by_hand(W11, X1, X2, TARGET)["dense_0.dW"][0][0] * CHANGE
    assert float(what.loss.predicted) == pytest.approx(exact, abs=1e-16)
    z = what["dense_0.z"]
    np.testing.assert_allclose(z.predicted, [[X1 * CHANGE, 0.0]], **TOLERANCE)
    np.testing.assert_allclose(z.error, [[0.0, 0.0]], **TOLERANCE)  # z is linear in its own weight


def test_the_error_of_the_prediction_falls_with_the_square_of_the_change() -> None:
    h = 0.02
    errors = [
        float(rg.what_if(network(), X, Y, LOSS, "dense_0.weight", (0, 0), change).loss.error)
        for change in (h, h / 2, h / 4)
    ]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.05)


def test_the_next_example() -> None:
    what = rg.what_if(network(), X, Y, LOSS, "dense_0.weight", (0, 0), CHANGE, next=NEXT)
    before = by_hand(W11, NEXT_X1, NEXT_X2, NEXT_TARGET)
    after = by_hand(W11 + CHANGE, NEXT_X1, NEXT_X2, NEXT_TARGET)
    assert [row.name for row in what.next_rows] == ["dense_1.a", "loss", "dense_1.delta"]
    for row in what.next_rows:
        np.testing.assert_allclose(row.before, before[row.name], **TOLERANCE)
        np.testing.assert_allclose(row.after, after[row.name], **TOLERANCE)
    loss = what.next_rows[1]
    assert float(loss.predicted) == pytest.approx(before["dense_0.dW"][0][0] * CHANGE, abs=1e-15)
    assert "next example:" in str(what)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_trainer_brings_its_loss_and_nothing_of_the_user_changes(dtype: str) -> None:
    net = network(dtype)
    trainer = rg.Trainer(net, loss=LOSS, optimizer=rg.SGD(0.1), l2=0.3)
    trainer.step(X, Y)
    trainer.gradients(X, Y)
    parameters, gradients = net.flat_parameters.copy(), net.flat_gradients.copy()
    links = list(net._links)
    what = rg.what_if(trainer, X, Y, None, "dense_0.weight", (0, 0), CHANGE)
    plain = rg.what_if(net, X, Y, LOSS, "dense_0.weight", (0, 0), CHANGE)
    np.testing.assert_array_equal(net.flat_parameters, parameters)
    np.testing.assert_array_equal(net.flat_gradients, gradients)
    assert (net._links, trainer.iteration) == (links, 1)
    for one, other in zip(what.rows, plain.rows, strict=True):
        np.testing.assert_array_equal(one.after, other.after)
        assert one.after.dtype == dtype or one.name == "loss"
    assert what.before.loss == trainer.trace(X, Y).loss


def test_several_losses_and_their_weights() -> None:
    x = rg.Input(2)
    h = rg.Dense(3, activation="tanh")(x)
    net = rg.Model(x, [rg.Dense(1)(h), rg.Dense(3)(h)], seed=3, dtype="float64")
    trainer = rg.Trainer(net, loss=["mse", "cross_entropy"], loss_weights=[0.3, 2.0])
    y = [np.array([[0.5]]), np.array([2])]
    what = rg.what_if(trainer, X, y, None, "dense_0.bias", 1, 0.1, next=(X + 0.2, y))
    assert what.before.loss == trainer.trace(X, y).loss
    assert what.index == (1,)
    names = [row.name for row in what.next_rows]
    assert names == ["dense_1.z", "dense_2.z", "loss", "dense_2.delta", "dense_1.delta"]


def convolutional() -> rg.Model:
    return rg.Sequential(
        [
            rg.Input((6, 6, 1)),
            rg.Conv2D(3, 3, activation="relu"),
            rg.MaxPool2D(2),
            rg.BatchNorm(),
            rg.Flatten(),
            rg.Dropout(0.5),
            rg.Dense(3),
        ],
        seed=1,
    )


def test_a_convolutional_network_in_float32() -> None:
    rng = np.random.default_rng(0)
    net, x, y = convolutional(), rng.normal(size=(4, 6, 6, 1)), np.array([0, 2, 1, 1])
    what = rg.what_if(net, x, y, "cross_entropy", "conv2d_0.weight", (2, 1, -1, 0), 0.05)
    assert what.index == (2, 1, 2, 0)
    # the same numbers by setting the weight in a copy
    copy = net.copy()
    copy.parameters["conv2d_0.weight"][2, 1, 2, 0] += 0.05
    after = copy.trace(x, y, "cross_entropy")
    for row in what.rows:
        if row.name != "loss":
            part = {"value": after.values, "delta": after.deltas, "gradient": after.gradients}[row.kind]
            np.testing.assert_array_equal(row.after, part[row.node])
    z = what["conv2d_0.z"]  # one filter alone, by the inputs under the changed weight
    np.testing.assert_allclose(z.difference[..., 2], 0.05 * x[:, 1:5, 2:6, 0], atol=1e-6)
    assert not z.changed[..., :2].any()
    assert len(z.places()) == 1
    assert abs(z.difference[z.places()[0]]) == np.abs(z.difference).max()
    assert "(largest of 64)" in str(what)
    json.dumps(what.to_dict())


def test_what_is_dropped_by_chance_is_the_trainers() -> None:
    rng = np.random.default_rng(0)
    trainer = rg.Trainer(convolutional(), "cross_entropy", rg.SGD(0.1), seed=5)
    x, y = rng.normal(size=(4, 6, 6, 1)), np.array([0, 2, 1, 1])
    trainer.step(x, y)
    what = rg.what_if(trainer, x, y, None, "dense_0.bias", 0, 0.1)
    expected = trainer.trace(x, y)
    np.testing.assert_array_equal(what.before["dropout_0"].a, expected["dropout_0"].a)
    assert what.changed == ["dense_0.z", "loss.per_sample", "loss"]
    np.testing.assert_allclose(what["dense_0.z"].predicted[:, 0], 0.1, rtol=1e-6)


@pytest.mark.parametrize("layer", [rg.LSTM(3), rg.MultiHeadAttention(2), rg.SimpleRNN(3)], ids=str)
def test_other_layers(layer: Any) -> None:
    x = rg.Input((4, 6))
    net = rg.Model(x, rg.Dense(2)(rg.Flatten()(layer(x))), seed=1, dtype="float64")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 2))
    name = next(iter(net.parameters))
    errors = [
        float(rg.what_if(net, x, y, "mse", name, (1, 2), change).loss.error) for change in (0.01, 0.005)
    ]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)


def test_a_layer_called_twice() -> None:
    x = rg.Input(2)
    layer = rg.Dense(2, activation="tanh")
    net = rg.Model(x, layer(layer(x)), seed=1, dtype="float64")
    what = rg.what_if(net, X, np.array([[0.1, 0.2]]), "mse", "dense_0.weight", (1, 0), 0.1)
    assert what.changed[:4] == ["dense_0.z", "dense_0.a", "dense_0@1.z", "dense_0@1.a"]
    assert what["dense_0@1.delta"].kind == "delta"


def test_a_frozen_weight_and_one_behind_a_dead_unit() -> None:
    net = rg.Sequential(
        [
            rg.Input(2),
            rg.Dense(2, activation="relu", weight_init=np.array([[-1.0, -1.0], [1.0, 1.0]])),
            rg.Dense(1),
        ],
        dtype="float64",
    )
    net.freeze("dense_0")
    what = rg.what_if(net, X, Y, "mse", "dense_0.weight", (0, 0), 0.5)
    assert net.frozen == ["dense_0.weight", "dense_0.bias"]
    assert what.changed == ["dense_0.z"]  # -1.25 becomes -1.075: the unit stays off
    assert what.loss.difference == what.loss.predicted == 0.0
    assert "nothing" not in str(what)
    what = rg.what_if(net, np.array([[0.0, 1.0]]), Y, "mse", "dense_0.weight", (0, 0), 0.5)
    assert what.changed == []
    assert "nothing depends on this weight here" in str(what)


def test_float32_shows_the_change_that_was_made() -> None:
    what = rg.what_if(network("float32"), X, Y, LOSS, "dense_0.weight", (0, 0), 1e-7)
    assert what.change == float(np.float32(np.float32(W11) + np.float32(1e-7))) - float(np.float32(W11))
    with pytest.raises(rg.ArgumentError, match=r"what_if: 0\.1 \+ 1e-12 is 0\.1 in float32; expected"):
        rg.what_if(network("float32"), X, Y, LOSS, "dense_0.weight", (0, 0), 1e-12)


def test_a_change_that_overflows_is_shown() -> None:
    what = rg.what_if(network("float32"), X, Y, "mse", "dense_1.weight", (0, 0), 3e38)
    assert np.isfinite(what.after.yhat).all()  # the sigmoid is 1
    net = rg.Sequential([rg.Input(2), rg.Dense(1)])
    what = rg.what_if(net, X, Y, "mse", "dense_0.weight", (0, 0), 3e38)
    assert math.isinf(what.after.loss)
    assert "inf" in str(what)


def test_what_is_shown() -> None:
    what = rg.what_if(network(), X, Y, LOSS, "dense_0.weight", (0, 0), CHANGE, next=NEXT)
    text = str(what)
    assert text.startswith("what if dense_0.weight[0, 0] were 0.35 in place of 0.1 (+0.25)\nloss 0.025")
    assert "6 of 6 values after it changed" in text
    assert "dense_0.z[0, 0]" in text
    assert "dense_0.z[0, 1]" not in text  # it did not change
    assert max(map(len, text.splitlines())) <= 110
    page = what._repr_html_()
    assert page.count("<tr>") == len(text.splitlines()) - 5  # without title and rule, with the head
    assert "-&gt;" in page
    data = json.loads(json.dumps(what.to_dict()))
    assert data["changed"] == what.changed
    assert data["rows"][0]["difference"][0][0] == pytest.approx(CHANGE * X1)
    assert len(data["next"]) == 3


def test_to_pandas() -> None:
    pytest.importorskip("pandas")
    what = rg.what_if(network(), X, Y, LOSS, "dense_0.weight", (0, 0), CHANGE, next=NEXT)
    frame = what.to_pandas()
    row = frame[(frame.name == "dense_1.z") & (frame.example == "this")].iloc[0]
    assert row.difference == what["dense_1.z"].difference[0, 0]
    assert row.predicted == what["dense_1.z"].predicted[0, 0]
    assert len(frame) == sum(int(row.changed.sum()) for row in what.rows + what.next_rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"parameter": "dense_0.wieght"},
            r"what_if: parameter: unknown name 'dense_0.wieght'; did you mean 'dense_0.weight'\? choose",
        ),
        ({"parameter": 3}, r"what_if: parameter: unknown name 3; choose one of dense_0.weight, dense_0.bias"),
        (
            {"index": 1},
            r"what_if: index 1 has 1 numbers, but dense_0.weight has the shape \(2, 2\); expected 2",
        ),
        (
            {"index": (0, 2)},
            r"what_if: index \(0, 2\) lies outside of dense_0.weight, whose shape is \(2, 2\)",
        ),
        ({"index": (-3, 0)}, r"lies outside of dense_0.weight, .* axis 0 has 0 to 1"),
        ({"index": (0, 0.5)}, r"what_if: index of dense_0.weight: expected a whole number, got 0.5"),
        ({"change": 0}, r"what_if: change is 0"),
        ({"change": math.nan}, r"what_if: change: expected a finite number, got nan"),
        ({"change": "big"}, r"what_if: change: expected a number, got 'big'"),
        ({"next": X}, r"what_if: next must be \(x, y\) or \(x, y, sample_weight\), got ndarray"),
        ({"net": "net"}, r"what_if: expected a Model or a Trainer, got str"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "net": network(),
        "x": X,
        "y": Y,
        "loss": LOSS,
        "parameter": "dense_0.weight",
        "index": (0, 0),
        "change": 0.1,
    }
    with pytest.raises(rg.ArgumentError, match=message):
        rg.what_if(**(given | arguments))


def test_an_unknown_row_names_those_there_are() -> None:
    what = rg.what_if(network(), X, Y, LOSS, "dense_0.weight", (0, 0), CHANGE)
    with pytest.raises(rg.ArgumentError, match=r"what_if: row: unknown name 'dense_1.zz'; did you mean"):
        what["dense_1.zz"]
