"""The loop around the mathematics: epochs and iterations, order, weights, penalties, stopping, history."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference as ref
import retrograd as rg
from networks import gradient_errors, layers_of, parameter_bytes, random_layers, sequential

Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def regression() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(230, 3))
    return x, np.sin(x @ rng.normal(size=(3, 2))) + 0.05 * rng.normal(size=(230, 2))


@pytest.fixture
def classification() -> Data:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(230, 4))
    return x, np.argmax(x @ rng.normal(size=(4, 3)) + 0.3 * rng.normal(size=(230, 3)), axis=1)


def regressor(dtype: str = "float64", seed: int = 0) -> rg.Model:
    return rg.Sequential([rg.Input(3), rg.Dense(8, activation="tanh"), rg.Dense(2)], seed=seed, dtype=dtype)


def classifier(dtype: str = "float64", seed: int = 0) -> rg.Model:
    return rg.Sequential([rg.Input(4), rg.Dense(8, activation="tanh"), rg.Dense(3)], seed=seed, dtype=dtype)


# -------------------------------------------------------------------------------- epochs and iterations


@pytest.mark.parametrize(
    ("batch_size", "expected"), [(5_000, 2), (3_000, 4), (10_000, 1), (20_000, 1), (1, 10_000)]
)
def test_iterations_of_an_epoch(batch_size: int, expected: int) -> None:
    x, y = np.zeros((10_000, 3), np.float32), np.zeros((10_000, 2), np.float32)
    trainer = rg.Trainer(regressor("float32"), loss="mse", optimizer=rg.SGD(0.01))
    history = trainer.fit(x, y, epochs=1, batch_size=batch_size, progress=False)
    assert history.iterations == trainer.iteration == expected
    assert history.epochs == trainer.epoch == 1


def test_fit_trains_so_many_more_epochs(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.Adam(1e-2))
    trainer.fit(x, y, epochs=2, batch_size=50, progress=False)
    trainer.fit(x, y, epochs=3, batch_size=50, progress=False)
    assert trainer.epoch == 5
    assert trainer.iteration == 25
    assert trainer.history.iterations == 25

    once = rg.Trainer(regressor(), loss="mse", optimizer=rg.Adam(1e-2))
    once.fit(x, y, epochs=5, batch_size=50, progress=False)
    assert parameter_bytes(once.model) == parameter_bytes(trainer.model)


def test_the_last_smaller_batch_counts(regression: Data) -> None:
    """230 = 2 * 100 + 30: the loss of the epoch weighs each batch by its samples."""
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.05))
    history = trainer.fit(x, y, epochs=1, batch_size=100, shuffle=False, progress=False)
    by_hand = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.05))
    losses = [by_hand.step(x[i : i + 100], y[i : i + 100]) for i in (0, 100, 200)]
    assert history.history["loss"][0] == pytest.approx(np.dot(losses, [100, 100, 30]) / 230, rel=1e-12)
    assert parameter_bytes(trainer.model) == parameter_bytes(by_hand.model)


# ----------------------------------------------------------------------------------------- order of data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_give_the_order_of_fit(classification: Data, dtype: str) -> None:
    """Training by hand over rg.data.batches is fit, bit for bit, over several epochs and a short batch."""
    x, y = classification
    x = x.astype(dtype)
    fitted = rg.Trainer(classifier(dtype), loss="cross_entropy", optimizer=rg.Adam(1e-2), seed=7)
    fitted.fit(x, y, epochs=3, batch_size=64, progress=False)
    by_hand = rg.Trainer(classifier(dtype), loss="cross_entropy", optimizer=rg.Adam(1e-2), seed=7)
    for epoch in range(3):
        for xb, yb in rg.data.batches(x, y, batch_size=64, seed=7, epoch=epoch):
            by_hand.step(xb, yb)
    assert parameter_bytes(fitted.model) == parameter_bytes(by_hand.model)


def test_batches_show_every_row_once(classification: Data) -> None:
    x, y = classification
    batches = list(rg.data.batches(x, y, batch_size=64, seed=0, epoch=0))
    assert [len(xb) for xb, _ in batches] == [64, 64, 64, 38]
    seen = np.concatenate([xb for xb, _ in batches])
    labels = np.concatenate([yb for _, yb in batches])
    order = np.lexsort(seen.T)
    expected = np.lexsort(x.T)
    np.testing.assert_array_equal(seen[order], x[expected])
    np.testing.assert_array_equal(labels[order], y[expected])  # every row kept its own label
    assert not np.array_equal(seen, x)

    def first(**options: int) -> np.ndarray:
        return next(iter(rg.data.batches(x, y, batch_size=64, **options)))[0]

    np.testing.assert_array_equal(first(seed=0, epoch=0), batches[0][0])
    assert not np.array_equal(first(seed=0, epoch=1), batches[0][0])
    assert not np.array_equal(first(seed=1, epoch=0), batches[0][0])


def test_seed_decides_the_run(classification: Data) -> None:
    x, y = classification

    def run(model_seed: int, trainer_seed: int) -> bytes:
        trainer = rg.Trainer(
            classifier(seed=model_seed), loss="cross_entropy", optimizer=rg.SGD(0.1), seed=trainer_seed
        )
        trainer.fit(x, y, epochs=2, batch_size=32, progress=False)
        return parameter_bytes(trainer.model)

    assert run(0, 0) == run(0, 0)
    assert run(0, 0) != run(1, 0)
    assert run(0, 0) != run(0, 1)


def test_without_shuffling_rows_come_in_order(regression: Data) -> None:
    x, y = regression
    fitted = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.05, momentum=0.9))
    fitted.fit(x, y, epochs=2, batch_size=64, shuffle=False, progress=False)
    by_hand = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.05, momentum=0.9))
    for _ in range(2):
        for start in range(0, len(x), 64):
            by_hand.step(x[start : start + 64], y[start : start + 64])
    assert parameter_bytes(fitted.model) == parameter_bytes(by_hand.model)


# --------------------------------------------------------------------------------------- the steps apart


@pytest.mark.parametrize("settings", [{}, {"l1": 1e-3, "l2": 1e-2, "clip_norm": 0.1}, {"clip_value": 1e-3}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_three_calls_equal_one_step(regression: Data, dtype: str, settings: dict[str, float]) -> None:
    x, y = (array.astype(dtype) for array in regression)
    weight = np.linspace(0.5, 2.0, len(x))
    one = rg.Trainer(regressor(dtype), loss="mse", optimizer=rg.Adam(1e-2), **settings)
    three = rg.Trainer(regressor(dtype), loss="mse", optimizer=rg.Adam(1e-2), **settings)
    for start in range(0, 200, 50):
        batch = slice(start, start + 50)
        loss = one.step(x[batch], y[batch], sample_weight=weight[batch])
        assert three.forward(x[batch], y[batch], sample_weight=weight[batch]) == loss
        three.backward()
        three.update()
        assert parameter_bytes(one.model) == parameter_bytes(three.model)
    assert one.iteration == three.iteration == 4


def test_gradients_is_forward_and_backward(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.1))
    before = parameter_bytes(trainer.model)
    loss = trainer.gradients(x, y)
    found = trainer.model.flat_gradients.copy()
    assert trainer.forward(x, y) == loss
    trainer.backward()
    np.testing.assert_array_equal(trainer.model.flat_gradients, found)
    assert parameter_bytes(trainer.model) == before
    assert trainer.iteration == 0


def test_accumulating_gradients(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.1))
    trainer.gradients(x[:100], y[:100])
    first = trainer.model.flat_gradients.copy()
    trainer.gradients(x[100:200], y[100:200])
    second = trainer.model.flat_gradients.copy()
    for number, part in enumerate((slice(0, 100), slice(100, 200))):
        trainer.forward(x[part], y[part])
        trainer.backward(accumulate=number > 0)
    np.testing.assert_allclose(trainer.model.flat_gradients, first + second, rtol=1e-12, atol=1e-15)
    trainer.forward(x[100:200], y[100:200])
    trainer.backward(accumulate=False)
    np.testing.assert_array_equal(trainer.model.flat_gradients, second)


def test_update_before_backward_is_refused(regression: Data) -> None:
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.1))
    with pytest.raises(rg.StateError, match="forward"):
        trainer.backward()
    with pytest.raises(rg.StateError, match="backward"):
        trainer.update()


# ------------------------------------------------------------------------------ penalties and clipping


def test_penalty_enters_the_gradient_of_weights_only(regression: Data) -> None:
    x, y = regression
    layers = random_layers(np.random.default_rng(3), (3, 8, 2), ("tanh", "linear"))
    l1, l2 = 0.02, 0.3
    net = sequential(layers)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1), l1=l1, l2=l2)
    expected = ref.mlp(layers, x, y, "mean_squared_error")
    assert trainer.gradients(x, y) == pytest.approx(expected.loss, rel=1e-12)  # the loss is without it
    for layer, trace in zip(layers, expected.layers, strict=True):
        trace.dW = trace.dW + ref.d_penalty(layer.weight, l1, l2)
    assert max(gradient_errors(net, expected).values()) < 1e-12


def test_penalty_is_logged_apart(regression: Data) -> None:
    x, y = regression
    layers = random_layers(np.random.default_rng(3), (3, 8, 2), ("tanh", "linear"))
    trainer = rg.Trainer(sequential(layers), loss="mse", optimizer=rg.SGD(1e-3), l1=0.02, l2=0.3)
    history = trainer.fit(x, y, epochs=1, batch_size=len(x), progress=False).history
    weights = [layer.weight for layer in layers]
    assert history["penalty"][0] == pytest.approx(ref.penalty(weights, 0.02, 0.3), rel=1e-12)
    assert history["loss"][0] == pytest.approx(ref.mlp(layers, x, y, "mean_squared_error").loss, rel=1e-12)


def test_clipping(regression: Data) -> None:
    """Clipping belongs to update: net.gradients keeps what backward found, the step is the clipped one."""
    x, y = regression
    layers = random_layers(np.random.default_rng(3), (3, 8, 2), ("tanh", "linear"))
    traces = ref.mlp(layers, x, y, "mean_squared_error").layers
    gradients = [g for trace in traces for g in (trace.dW, trace.db)]
    parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
    rate = 0.1
    for settings, clipped in (
        ({"clip_norm": 0.05}, ref.clip_by_norm(gradients, 0.05)),
        ({"clip_norm": 1e6}, gradients),
        ({"clip_value": 0.01}, [np.clip(g, -0.01, 0.01) for g in gradients]),
    ):
        net = sequential(layers)
        trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(rate), **settings)
        trainer.gradients(x, y)
        norm = np.linalg.norm(net.flat_gradients)
        assert norm == pytest.approx(math.sqrt(sum((g**2).sum() for g in gradients)), rel=1e-12)
        trainer.step(x, y)
        for found, p, g in zip(net.parameters.values(), parameters, clipped, strict=True):
            np.testing.assert_allclose(found, p - rate * g, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        ("RMSprop", {"lr": 0.01, "centered": True, "eps": 1e-3, "momentum": 0.5}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
        ("Adam", {"lr": 0.01, "amsgrad": True}),
        ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ],
)
def test_optimizers_against_the_reference(regression: Data, name: str, settings: dict[str, Any]) -> None:
    x, y = regression
    activations = ("tanh", "linear")
    layers = random_layers(np.random.default_rng(3), (3, 8, 2), activations)
    net = sequential(layers)
    trainer = rg.Trainer(net, loss="mse", optimizer=getattr(rg, name)(**settings))
    states: dict[tuple[int, str], ref.State] = {}
    for t in range(1, 21):
        trainer.step(x, y)
        traces = ref.mlp(layers, x, y, "mean_squared_error").layers
        for number, (layer, trace) in enumerate(zip(layers, traces, strict=True)):
            for attribute, gradient in (("weight", trace.dW), ("bias", trace.db)):
                value, states[number, attribute] = ref.OPTIMIZERS[name](
                    t, getattr(layer, attribute), gradient, states.get((number, attribute), {}), **settings
                )
                setattr(layer, attribute, value)
    for found, expected in zip(layers_of(net, activations), layers, strict=True):
        np.testing.assert_allclose(found.weight, expected.weight, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.bias, expected.bias, rtol=0, atol=1e-10)


# ----------------------------------------------------------------------------------------------- weights


def test_sample_weight_in_fit(regression: Data) -> None:
    """One full batch: the step has to be the reference's weighted one; a weight of 0 removes a sample."""
    x, y = regression
    layers = random_layers(np.random.default_rng(3), (3, 8, 2), ("tanh", "linear"))
    weight = np.random.default_rng(0).random(len(x))
    weight[:10] = 0.0
    net = sequential(layers)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.5))
    history = trainer.fit(x, y, epochs=1, batch_size=len(x), sample_weight=weight, progress=False)
    expected = ref.mlp(layers, x, y, "mean_squared_error", weight)
    assert history.history["loss"][0] == pytest.approx(expected.loss, rel=1e-12)
    for number, (layer, trace) in enumerate(zip(layers, expected.layers, strict=True)):
        found = net.parameters[f"dense_{number}.weight"]
        np.testing.assert_allclose(found, layer.weight - 0.5 * trace.dW, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "class_weight",
    [{0: 1.0, 1: 2.0, 2: 5.0}, np.array([1.0, 2.0, 5.0]), "balanced"],
    ids=["dict", "array", "balanced"],
)
@pytest.mark.parametrize("with_sample_weight", [False, True])
def test_class_weight_in_fit(classification: Data, class_weight: Any, with_sample_weight: bool) -> None:
    x, y = classification
    layers = random_layers(np.random.default_rng(3), (4, 8, 3), ("tanh", "linear"))
    by_class = (
        ref.balanced_class_weights(y, 3) if isinstance(class_weight, str) else np.array([1.0, 2.0, 5.0])
    )
    sample_weight = np.random.default_rng(0).random(len(x)) + 0.1 if with_sample_weight else None
    weight = by_class[y] * (1.0 if sample_weight is None else sample_weight)
    net = sequential(layers)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.5))
    history = trainer.fit(
        x,
        y,
        epochs=1,
        batch_size=len(x),
        class_weight=class_weight,
        sample_weight=sample_weight,
        validation_data=(x, y),
        progress=False,
    )
    expected = ref.mlp(layers, x, y, "cross_entropy", weight)
    assert history.history["loss"][0] == pytest.approx(expected.loss, rel=1e-12)
    np.testing.assert_allclose(
        net.parameters["dense_1.weight"], layers[1].weight - 0.5 * expected.layers[1].dW, rtol=0, atol=1e-12
    )
    after = ref.mlp(layers_of(net, ("tanh", "linear")), x, y, "cross_entropy")
    assert history.history["val_loss"][0] == pytest.approx(after.loss, rel=1e-12)  # without class weights


def test_evaluate_weighs_samples(regression: Data) -> None:
    x, y = regression
    layers = random_layers(np.random.default_rng(3), (3, 8, 2), ("tanh", "linear"))
    weight = np.random.default_rng(0).random(len(x))
    trainer = rg.Trainer(sequential(layers), loss="mse", optimizer=rg.SGD(0.5))
    for batch_size in (7, 256):
        found = trainer.evaluate(x, y, batch_size=batch_size, sample_weight=weight)["loss"]
        assert found == pytest.approx(ref.mlp(layers, x, y, "mean_squared_error", weight).loss, rel=1e-12)


def test_several_outputs_with_weights(regression: Data) -> None:
    x, y = regression
    labels = (y[:, 0] > 0).astype(np.int64)
    inputs = rg.Input(3)
    h = rg.Dense(8, activation="tanh")(inputs)
    net = rg.Model(inputs=inputs, outputs=[rg.Dense(2)(h), rg.Dense(2)(h)], seed=0, dtype="float64")
    trainer = rg.Trainer(
        net,
        loss=["mse", rg.losses.CrossEntropy()],
        optimizer=rg.Adam(1e-2),
        loss_weights=[0.5, 2.0],
    )

    def value() -> float:
        a, b = net.predict(x)
        return float(0.5 * ref.mean_squared_error(a, y).mean() + 2.0 * ref.cross_entropy(b, labels).mean())

    before = value()
    assert trainer.evaluate(x, [y, labels])["loss"] == pytest.approx(before, rel=1e-12)
    history = trainer.fit(x, [y, labels], epochs=20, batch_size=32, progress=False)
    assert value() < 0.5 * before
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


# ---------------------------------------------------------------------------------------------- validation


def test_validation_data(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.Adam(1e-2), metrics=["mean_absolute_error"])
    history = trainer.fit(
        x[:150], y[:150], epochs=3, batch_size=50, validation_data=(x[150:], y[150:]), progress=False
    )
    net = trainer.model
    assert len(history.history["val_loss"]) == 3
    now = trainer.evaluate(x[150:], y[150:])
    assert history.history["val_loss"][-1] == pytest.approx(now["loss"], rel=1e-12)
    assert history.history["val_mean_absolute_error"][-1] == pytest.approx(
        float(np.abs(net.predict(x[150:]) - y[150:]).mean()), rel=1e-12
    )
    alone = rg.Trainer(regressor(), loss="mse", optimizer=rg.Adam(1e-2))
    alone.fit(x[:150], y[:150], epochs=3, batch_size=50, progress=False)
    assert parameter_bytes(alone.model) == parameter_bytes(net)  # looking changes nothing


def test_validation_split_is_seeded_and_takes_its_share() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 3)), rng.normal(size=(1000, 2))

    def run(seed: int) -> tuple[bytes, float]:
        trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.01), seed=seed)
        history = trainer.fit(x, y, epochs=1, batch_size=100, validation_split=0.2, progress=False)
        assert history.iterations == 8
        return parameter_bytes(trainer.model), history.history["val_loss"][0]

    assert run(0) == run(0)
    assert run(0)[1] != run(1)[1]


def test_validation_split_is_stratified_for_labels() -> None:
    """A network that always says class 0 is right exactly as often as class 0 is in the held-out part."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1], [900, 100]))
    x = rng.normal(size=(1000, 2))
    net = rg.Sequential(
        [rg.Input(2), rg.Dense(2, weight_init="zeros", bias_init=np.array([10.0, -10.0]))], dtype="float64"
    )
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(1e-12), metrics=["accuracy"])
    history = trainer.fit(x, y, epochs=1, batch_size=100, validation_split=0.2, progress=False).history
    assert history["val_accuracy"][0] == pytest.approx(0.9)
    assert history["accuracy"][0] == pytest.approx(0.9)


# ------------------------------------------------------------------------------------------------ stopping


def fit_until(rule: Any, data: Data, optimizer: Any = None, epochs: int = 200, **options: Any) -> rg.Trainer:
    x, y = data
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=optimizer or rg.Adam(1e-2))
    trainer.fit(x, y, epochs=epochs, batch_size=32, callbacks=[rule], progress=False, **options)
    return trainer


def test_early_stopping_restores_the_best(regression: Data) -> None:
    """A learning rate far too high makes the validation loss wander, so the best epoch is not the last."""
    x, y = regression
    rule = rg.stop.EarlyStopping(monitor="val_loss", patience=4)
    trainer = fit_until(rule, (x[:40], y[:40]), rg.Adam(0.3), epochs=500, validation_data=(x[150:], y[150:]))
    history = trainer.history
    losses = history.history["val_loss"]
    best = int(np.argmin(losses))
    assert history.epochs == len(losses) < 500
    assert len(losses) == best + 1 + 4  # the best epoch, then as many as patience allows
    assert history.stop_reason
    assert trainer.evaluate(x[150:], y[150:])["loss"] == pytest.approx(min(losses), rel=1e-12)


def test_early_stopping_without_restoring(regression: Data) -> None:
    x, y = regression
    rule = rg.stop.EarlyStopping(monitor="val_loss", patience=4, restore_best=False)
    trainer = fit_until(rule, (x[:40], y[:40]), rg.Adam(0.3), epochs=500, validation_data=(x[150:], y[150:]))
    losses = trainer.history.history["val_loss"]
    assert trainer.evaluate(x[150:], y[150:])["loss"] == pytest.approx(losses[-1], rel=1e-12)
    assert losses[-1] > min(losses)


def test_early_stopping_waits_for_its_first_epoch_and_min_delta(regression: Data) -> None:
    """No improvement reaches min_delta = 1e9: it stops patience epochs after the first that counts."""
    late = fit_until(
        rg.stop.EarlyStopping(monitor="loss", patience=2, min_delta=1e9, start_from_epoch=10), regression
    )
    soon = fit_until(rg.stop.EarlyStopping(monitor="loss", patience=2, min_delta=1e9), regression)
    assert late.history.epochs - soon.history.epochs == 10
    assert soon.history.epochs <= 3


def test_early_stopping_can_maximise(classification: Data) -> None:
    """mode="auto" knows that accuracy is better when it is higher."""
    x, y = classification
    trainer = rg.Trainer(classifier(), loss="cross_entropy", optimizer=rg.Adam(0.02), metrics=["accuracy"])
    rule = rg.stop.EarlyStopping(monitor="accuracy", patience=8)
    history = trainer.fit(x, y, epochs=300, batch_size=32, callbacks=[rule], progress=False).history
    assert len(history["accuracy"]) == int(np.argmax(history["accuracy"])) + 1 + 8
    assert max(history["accuracy"]) > 0.85


def test_loss_below(regression: Data) -> None:
    losses = fit_until(rg.stop.LossBelow(0.05), regression).history.history["loss"]
    assert losses[-1] < 0.05
    assert all(loss >= 0.05 for loss in losses[:-1])


def test_loss_change_below(regression: Data) -> None:
    trainer = fit_until(rg.stop.LossChangeBelow(0.01, patience=3), regression)
    losses = trainer.history.history["loss"]
    assert len(losses) < 200
    change = np.abs(np.diff(losses))
    assert (change[-3:] < 0.01).all()
    assert not any((change[i : i + 3] < 0.01).all() for i in range(len(change) - 3))


def test_error_below() -> None:
    """|yhat - y| of every sample, or of a fraction of them, at the end of an epoch."""
    x = np.linspace(-1.0, 1.0, 64)[:, None]
    y = 0.5 * x - 0.2
    reached = {}
    for fraction in (0.5, 1.0):
        net = rg.Sequential([rg.Input(1), rg.Dense(1)], seed=1, dtype="float64")
        trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
        rule = rg.stop.ErrorBelow(0.01, fraction=fraction)
        trainer.fit(x, y, epochs=2000, batch_size=64, callbacks=[rule], progress=False)
        reached[fraction] = trainer.history.epochs
        # the rule may look at the outputs of the epoch itself: those of one step earlier
        assert np.mean(np.abs(net.predict(x) - y) < 0.0105) >= fraction
    assert 1 < reached[0.5] < reached[1.0] < 2000


def test_gradient_norm_below() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 2))
    net = rg.Sequential([rg.Input(2), rg.Dense(1)], seed=1, dtype="float64")
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
    y = x @ np.array([[0.5], [-1.0]])
    history = trainer.fit(
        x, y, epochs=2000, batch_size=64, callbacks=[rg.stop.GradientNormBelow(1e-4)], progress=False
    )
    norms = history.history["gradient_norm"]
    assert len(norms) < 2000
    assert norms[-1] < 1e-4
    assert min(norms[:-1]) >= 1e-4


def test_max_seconds(regression: Data) -> None:
    trainer = fit_until(rg.stop.MaxSeconds(0.2), regression, epochs=10_000_000)
    seconds = sum(trainer.history.history["seconds"])
    assert 0.1 < seconds < 2.0


def test_a_monitor_that_does_not_exist(regression: Data) -> None:
    with pytest.raises(rg.ArgumentError, match="val_loss") as error:
        fit_until(rg.stop.EarlyStopping(monitor="val_loss"), regression, epochs=2)
    assert "gradient_norm" in str(error.value)  # those that do exist are listed


def test_stop_from_a_callback(regression: Data) -> None:
    class StopAfterTwo(Recorder):
        def on_epoch_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
            if trainer.epoch == 2:
                trainer.stop()

    trainer = fit_until(StopAfterTwo([]), regression, epochs=50)
    assert trainer.history.epochs == 2
    trainer.fit(*regression, epochs=1, progress=False)  # a stop ends one fit, not the trainer
    assert trainer.epoch == 3


# ------------------------------------------------------------------------------------------------ callbacks


class Recorder:
    """Notes which event arrives when. It derives from nothing: a callback is what has the methods."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def on_train_begin(self, trainer: rg.Trainer, logs: Any = None) -> None:
        self.events.append("train_begin")

    def on_train_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
        self.events.append("train_end")

    def on_epoch_begin(self, trainer: rg.Trainer, logs: Any = None) -> None:
        self.events.append("epoch_begin")

    def on_epoch_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
        self.events.append("epoch_end")


class EveryIteration(Recorder):
    def on_iteration_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
        self.events.append(f"iteration_end {trainer.iteration}")


def test_order_of_callbacks(regression: Data) -> None:
    events: list[str] = []
    trainer = fit_until(EveryIteration(events), regression, epochs=2)
    one = trainer.iteration // 2
    assert one == 8
    assert events == [
        "train_begin",
        "epoch_begin",
        *[f"iteration_end {number}" for number in range(1, one + 1)],
        "epoch_end",
        "epoch_begin",
        *[f"iteration_end {number}" for number in range(one + 1, 2 * one + 1)],
        "epoch_end",
        "train_end",
    ]


def test_callbacks_run_in_the_order_given_and_see_the_logs(regression: Data) -> None:
    seen: list[tuple[str, int, float]] = []

    class Named(Recorder):
        def __init__(self, name: str) -> None:
            super().__init__([])
            self.name = name

        def on_epoch_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
            seen.append((self.name, trainer.epoch, logs["loss"]))

    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.Adam(1e-2))
    history = trainer.fit(x, y, epochs=2, callbacks=[Named("a"), Named("b")], progress=False).history
    first, second = history["loss"]
    assert seen == [("a", 1, first), ("b", 1, first), ("a", 2, second), ("b", 2, second)]


def test_iteration_callbacks_change_no_bits(regression: Data) -> None:
    watched = fit_until(EveryIteration([]), regression, epochs=3)
    alone = fit_until(Recorder([]), regression, epochs=3)
    assert parameter_bytes(watched.model) == parameter_bytes(alone.model)


def test_a_callback_may_write_parameters(regression: Data) -> None:
    """Views are writable; whatever the core derives from the parameters must follow."""

    class Zero(Recorder):
        def on_epoch_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
            trainer.model.flat_parameters[...] = 0.0

    trainer = fit_until(Zero([]), regression, epochs=2)
    np.testing.assert_array_equal(trainer.model.predict(regression[0]), 0.0)


def test_a_callback_may_use_the_model(regression: Data) -> None:
    """It runs in the thread that trains, between two steps: looking is allowed, and moves no bit."""
    x, y = regression
    seen = []

    class Look(Recorder):
        def on_epoch_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
            seen.append(trainer.evaluate(x, y)["loss"])
            trainer.model.predict(x)
            trainer.trace(x[:5], y[:5])

    watched, alone = fit_until(Look([]), regression, epochs=3), fit_until(Recorder([]), regression, epochs=3)
    assert parameter_bytes(watched.model) == parameter_bytes(alone.model)
    assert seen[-1] == watched.evaluate(x, y)["loss"]


def test_an_error_in_a_callback_reaches_the_caller(regression: Data) -> None:
    class Fails(Recorder):
        def on_iteration_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
            raise KeyError("mine")

    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.01))
    with pytest.raises(KeyError, match="mine"):
        trainer.fit(*regression, epochs=1, callbacks=[Fails([])], progress=False)
    trainer.fit(*regression, epochs=1, progress=False)


def test_lambda_callback_and_csv_logger(regression: Data, tmp_path: Any) -> None:
    seen = []
    path = tmp_path / "log.csv"
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.01))
    trainer.fit(
        *regression,
        epochs=3,
        callbacks=[
            rg.callbacks.LambdaCallback(on_epoch_end=lambda trainer, logs: seen.append(logs["loss"])),
            rg.callbacks.CSVLogger(path),
        ],
        progress=False,
    )
    assert seen == trainer.history.history["loss"]
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert "loss" in lines[0].split(",")


# ------------------------------------------------------------------------------------------------- metrics


def predictions(loss: str, outputs: int, data: Data, names: list[Any]) -> tuple[np.ndarray, dict[str, float]]:
    x, y = data
    rng = np.random.default_rng(4)
    net = sequential(random_layers(rng, (x.shape[1], 6, outputs), ("tanh", "linear")))
    trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1), metrics=names)
    # 7 does not divide 230: an average of batch values would come out different
    return net.predict(x), trainer.evaluate(x, y, batch_size=7)


def test_class_metrics(classification: Data) -> None:
    _, y = classification
    outputs, found = predictions("cross_entropy", 3, classification, ["accuracy", "top_k_accuracy"])
    assert found["accuracy"] == pytest.approx(ref.accuracy(y, outputs), rel=1e-12)
    assert found["top_k_accuracy"] == 1.0  # of 3 classes, one is always among the first 5
    assert found["loss"] == pytest.approx(ref.cross_entropy(outputs, y).mean(), rel=1e-12)


def test_binary_metrics(classification: Data) -> None:
    x, y = classification
    y = (y == 0).astype(np.float64)
    names = ["binary_accuracy", "precision", "recall", "f1"]
    logits, found = predictions("binary_cross_entropy", 1, (x, y), names)
    probability = ref.sigmoid(logits.ravel())
    for name in names:
        assert found[name] == pytest.approx(ref.METRICS[name](y, probability), rel=1e-12), name
    assert 0.0 < found["precision"] < 1.0


def test_regression_metrics(regression: Data) -> None:
    x, y = regression
    names = ["mean_squared_error", "mean_absolute_error", "r2"]
    outputs, found = predictions("huber", 1, (x, y[:, :1]), names)
    for name in names:
        assert found[name] == pytest.approx(ref.METRICS[name](y[:, :1], outputs), rel=1e-12), name


def test_a_metric_of_ones_own(regression: Data) -> None:
    def largest_error(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return float(np.abs(y_true - y_pred).max())

    y = regression[1]
    outputs, found = predictions("mse", 2, regression, [largest_error])
    assert found["largest_error"] == pytest.approx(float(np.abs(y - outputs).max()), rel=1e-12)


# ---------------------------------------------------------------------------------------------- schedules


def applied_rates(lr: Any, count: int) -> list[float]:
    """The rate of every iteration as the weight shows it: with y = x w and loss w, the gradient is 1."""
    net = rg.Sequential([rg.Input(1), rg.Dense(1, use_bias=False, weight_init="zeros")], dtype="float64")
    trainer = rg.Trainer(
        net, loss=lambda outputs, targets: rg.ops.sum(outputs - targets, axis=-1), optimizer=rg.SGD(lr)
    )
    rates = []
    for _ in range(count):
        before = float(net.flat_parameters[0])
        announced = trainer.lr
        trainer.step(np.ones((1, 1)), np.zeros((1, 1)))
        rates.append(before - float(net.flat_parameters[0]))
        assert announced == pytest.approx(rates[-1], rel=1e-9)
    return rates


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Constant", {"lr": 0.3}),
        ("Step", {"lr": 0.3, "step_size": 4, "gamma": 0.5}),
        ("Exponential", {"lr": 0.3, "gamma": 0.8}),
        ("Cosine", {"lr": 0.3, "total": 8, "min_lr": 0.05}),
    ],
)
def test_schedules(name: str, settings: dict[str, float]) -> None:
    rates = applied_rates(getattr(rg.schedules, name)(**settings), 12)
    expected = [ref.SCHEDULES[name](t, **settings) for t in range(12)]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


def test_schedule_by_epoch(regression: Data) -> None:
    x, y = regression
    schedule = rg.schedules.Step(0.1, step_size=2, gamma=0.5, unit="epoch")
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(schedule))
    rates = []
    for _ in range(5):
        rates.append(trainer.lr)
        trainer.fit(x, y, epochs=1, batch_size=50, progress=False)
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.05, 0.05, 0.025], rtol=1e-12)


def test_lr_is_settable(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.1))
    trainer.gradients(x, y)
    gradient, before = trainer.model.flat_gradients.copy(), trainer.model.flat_parameters.copy()
    trainer.lr = 0.25
    trainer.step(x, y)
    assert trainer.lr == 0.25
    np.testing.assert_allclose(trainer.model.flat_parameters, before - 0.25 * gradient, rtol=0, atol=1e-14)


# ------------------------------------------------------------------------------------------------- history


def test_history(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(
        regressor(), loss="mse", optimizer=rg.Adam(1e-2), metrics=["mean_absolute_error"], l2=1e-4
    )
    history = trainer.fit(x, y, epochs=4, batch_size=50, validation_split=0.2, progress=False)
    assert history is trainer.history
    names = {
        "loss",
        "mean_absolute_error",
        "val_loss",
        "val_mean_absolute_error",
        "lr",
        "penalty",
        "gradient_norm",
        "seconds",
        "samples_per_second",
    }
    assert names <= set(history.history)
    for name, values in history.history.items():
        assert len(values) == 4, name
        assert np.isfinite(values).all(), name
    assert history.epochs == 4
    assert history.history["lr"] == [1e-2] * 4
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert history.to_dict()


def test_gradient_norm_of_a_full_batch(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.1))
    trainer.gradients(x, y)
    expected = float(np.linalg.norm(trainer.model.flat_gradients))
    history = trainer.fit(x, y, epochs=1, batch_size=len(x), progress=False).history
    assert history["gradient_norm"][0] == pytest.approx(expected, rel=1e-12)


def test_best_epoch(regression: Data) -> None:
    x, y = regression
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.Adam(0.3))
    history = trainer.fit(
        x[:40], y[:40], epochs=20, batch_size=10, validation_data=(x[150:], y[150:]), progress=False
    )
    # epochs are counted from 1 wherever a person reads them
    assert history.best_epoch == int(np.argmin(history.history["val_loss"])) + 1


def test_history_as_a_frame(regression: Data) -> None:
    pytest.importorskip("pandas")
    trainer = rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.01))
    frame = trainer.fit(*regression, epochs=3, progress=False).to_pandas()
    assert len(frame) == 3
    np.testing.assert_array_equal(frame["loss"], trainer.history.history["loss"])


# ------------------------------------------------------------------------------------ predict and the rest


def test_predict(regression: Data) -> None:
    x, _ = regression
    layers = random_layers(np.random.default_rng(3), (3, 8, 2), ("tanh", "linear"))
    net = sequential(layers)
    expected = ref.mlp_forward(layers, x)[-1].a
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(net.predict(x, batch_size=7), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(net(x), net.predict(x))
    out = np.empty_like(expected)
    assert net.predict(x, out=out) is out
    np.testing.assert_array_equal(out, net.predict(x))


def test_predict_proba_of_logits() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, size=20)
    net = classifier()
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.1))
    trainer.step(x, y)
    np.testing.assert_allclose(net.predict_proba(x), ref.softmax(net.predict(x)), rtol=1e-12)


def test_targets_of_one_output() -> None:
    """(n,) matches (n, 1), and nothing else is broadcast."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)

    def train(target: np.ndarray) -> bytes:
        net = rg.Sequential([rg.Input(3), rg.Dense(1)], seed=0, dtype="float64")
        rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1)).step(x, target)
        return parameter_bytes(net)

    assert train(y) == train(y[:, None])
    with pytest.raises(rg.ShapeError):
        train(y[None, :])


def test_frozen_layers_do_not_move(regression: Data) -> None:
    x, y = regression
    net = regressor()
    net.freeze("dense_0")
    before = {name: value.copy() for name, value in net.parameters.items()}
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.AdamW(1e-2, weight_decay=0.1), l2=0.1)
    trainer.fit(x, y, epochs=2, progress=False)
    for name, value in net.parameters.items():
        assert np.array_equal(value, before[name]) == name.startswith("dense_0"), name


def test_rescale_and_flatten() -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(6, 4, 5), dtype=np.uint8)
    net = rg.Sequential(
        [rg.Input((4, 5)), rg.Rescale(1 / 255, -0.5), rg.Flatten(), rg.Dense(3)], seed=0, dtype="float64"
    )
    weight, bias = net.parameters["dense_0.weight"], net.parameters["dense_0.bias"]
    expected = (images.reshape(6, 20) / 255 - 0.5) @ weight.T + bias
    np.testing.assert_allclose(net.predict(images), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("loss", ref.LOSSES)
def test_every_loss_falls(loss: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4))
    y = ref.LOSSES[loss].draw(rng, 64, 3)
    net = classifier()
    trainer = rg.Trainer(net, loss=loss, optimizer=rg.Adam(1e-2))
    losses = trainer.fit(x, y, epochs=40, batch_size=16, progress=False).history["loss"]
    assert losses[-1] < losses[0]


def test_names_of_losses(regression: Data) -> None:
    x, y = regression
    for names in (("mse", "mean_squared_error"), ("mae", "mean_absolute_error")):
        values = {
            rg.Trainer(regressor(), loss=name, optimizer=rg.SGD(0.1)).evaluate(x, y)["loss"] for name in names
        }
        assert len(values) == 1
    direct = rg.Trainer(regressor(), loss=rg.MeanSquaredError(), optimizer=rg.SGD(0.1)).evaluate(x, y)["loss"]
    assert direct == rg.Trainer(regressor(), loss="mse", optimizer=rg.SGD(0.1)).evaluate(x, y)["loss"]


def make_net(init: str) -> Callable[[int], np.ndarray]:
    def weight(seed: int) -> np.ndarray:
        net = rg.Sequential([rg.Input(300), rg.Dense(200, weight_init=init)], seed=seed)
        np.testing.assert_array_equal(net.parameters["dense_0.bias"], 0.0)
        return net.parameters["dense_0.weight"].astype(np.float64)

    return weight


INITS = {name: (name, {}) for name in ref.INITIALISERS if name not in ("normal", "uniform")} | {
    "normal(0.3)": ("normal", {"std": 0.3}),
    "uniform(-0.1, 0.3)": ("uniform", {"low": -0.1, "high": 0.3}),
}


@pytest.mark.parametrize("init", INITS)
def test_initialisers(init: str) -> None:
    """60,000 weights: their mean is known to std/245 and their std to 0.3 %; allow five such errors."""
    name, settings = INITS[init]
    law = ref.INITIALISERS[name](300, 200, **settings)
    weight = make_net(init)(0)
    assert weight.shape == (200, 300)
    assert abs(weight.mean() - law.mean) <= 5 * law.std / math.sqrt(weight.size) + 1e-7
    assert weight.std() == pytest.approx(law.std, rel=5 / math.sqrt(2 * weight.size), abs=1e-9)
    if law.low is not None:
        assert law.high is not None
        assert weight.min() >= law.low - 1e-7
        assert weight.max() <= law.high + 1e-7
    if name == "orthogonal":
        assert ref.orthogonality_error(weight) < 1e-5
    if name not in ("zeros", "ones"):
        assert not np.array_equal(weight, make_net(init)(1))
    np.testing.assert_array_equal(weight, make_net(init)(0))


def test_two_layers_of_one_model_begin_differently() -> None:
    net = rg.Sequential([rg.Input(8), rg.Dense(8), rg.Dense(8)], seed=0)
    assert not np.array_equal(net.parameters["dense_0.weight"], net.parameters["dense_1.weight"])
