"""What differs between training and prediction: the statistics of a batch, and numbers left out by chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import retrograd as rg
from retrograd import ops

Array = np.ndarray
SHAPES = [(6,), (4, 6), (5, 4, 3), (300,), (9, 9, 24)]


def norm_trainer(
    shape: tuple[int, ...], dtype: str = "float64", seed: int = 3, **options: object
) -> rg.Trainer:
    """The mean of a weighted square of a batch norm's output; the weights make every element matter."""
    x = rg.Input(shape)
    shift = rg.Variable(np.zeros(shape), name="shift")
    y = rg.BatchNorm(name="norm", **options)(ops.add(x, shift))  # type: ignore[arg-type]
    net = rg.Model(x, y, dtype=dtype)
    rng = np.random.default_rng(3)
    if "norm.weight" in net.parameters:
        net.parameters["norm.weight"][...] = rng.uniform(0.5, 1.5, shape[-1])
        net.parameters["norm.bias"][...] = rng.normal(size=shape[-1])

    def loss(y: rg.Node, target: rg.Node) -> rg.Node:
        return ops.sum(ops.multiply(y, ops.reshape(target, shape)), axis=tuple(range(1, len(shape) + 1)))

    return rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))


def batch(shape: tuple[int, ...], rows: int = 8, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(3.0, 2.0, (rows, *shape)), rng.normal(size=(rows, *shape))


def by_hand(x: Array, dy: Array, w: Array, b: Array, eps: float) -> tuple[Array, ...]:
    """y, dx, dw, db, mean and unbiased variance: the paper's formulas."""
    axes = tuple(range(x.ndim - 1))
    n = x.size // x.shape[-1]
    mean, var = x.mean(axes), x.var(axes)
    xhat = (x - mean) / np.sqrt(var + eps)
    dw, db = (dy * xhat).sum(axes), dy.sum(axes)
    dx = w / np.sqrt(var + eps) * (dy - db / n - xhat * dw / n)
    return xhat * w + b, dx, dw, db, mean, var * n / (n - 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_batch_norm_in_training(shape: tuple[int, ...], eps: float) -> None:
    trainer = norm_trainer(shape, eps=eps)
    net = trainer.model
    x, weight = batch(shape)
    w, b = net.parameters["norm.weight"].copy(), net.parameters["norm.bias"].copy()
    trace = trainer.trace(x, weight)
    y, dx, dw, db, mean, var = by_hand(x, weight / len(x), w, b, eps)
    np.testing.assert_allclose(trace["norm"].a, y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(trace.deltas["add_0"], dx, rtol=0, atol=1e-12)
    trainer.gradients(x, weight)
    np.testing.assert_allclose(net.gradients["norm.weight"], dw, rtol=0, atol=1e-11)
    np.testing.assert_allclose(net.gradients["norm.bias"], db, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(net["norm"].running_mean, 0.0)  # nothing is committed yet
    trainer.update()
    np.testing.assert_allclose(net["norm"].running_mean, 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(net["norm"].running_var, 0.9 + 0.1 * var, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("frozen", [False, True])
def test_batch_norm_slope(shape: tuple[int, ...], frozen: bool) -> None:
    trainer = norm_trainer(shape)
    x, weight = batch(shape, 5)
    if frozen:
        trainer.model.buffers["norm.running_mean"][...] = 2.5
        trainer.model.freeze("norm.running_*")
    loss = trainer._objective.function
    assert rg.check_gradients(trainer.model, x, weight, loss, samples=60).max_relative_error < 1e-6


def test_batch_norm_beside_a_short_cut() -> None:
    """x is read twice, so one of its readers adds to the gradient of the other."""
    x = rg.Input((3, 6))
    h = ops.add(x, rg.Variable(np.zeros((3, 6)), name="v"))
    net = rg.Model(x, rg.Add()(rg.BatchNorm()(h), ops.tanh(h)), dtype="float64")
    data, target = batch((3, 6))
    assert rg.check_gradients(net, data, target, "mse").max_relative_error < 1e-6
    net = rg.Model(x, rg.Add()(ops.tanh(h), rg.BatchNorm()(h)), dtype="float64")
    assert rg.check_gradients(net, data, target, "mse").max_relative_error < 1e-6


def test_few_features_and_many_rows_have_accurate_statistics() -> None:
    """Parts of the rows are joined; far from 0 a sum of squares would have no correct digit."""
    rng = np.random.default_rng(0)
    for features in (1, 3, 8, 17):
        x = (rng.normal(size=(64, 30, 31, features)) + 1000.0).astype(np.float32)
        trainer = norm_trainer(x.shape[1:], "float32", momentum=1.0)
        trainer.step(x, np.zeros_like(x))
        exact = x.astype(np.float64)
        axes = (0, 1, 2)
        np.testing.assert_allclose(trainer.model["norm"].running_mean, exact.mean(axes), rtol=1e-6)
        np.testing.assert_allclose(trainer.model["norm"].running_var, exact.var(axes, ddof=1), rtol=1e-4)


def test_prediction_uses_the_running_statistics() -> None:
    trainer = norm_trainer((4, 6))
    x, weight = batch((4, 6))
    for _ in range(3):
        trainer.step(x, weight)
    net = trainer.model
    w, b = net.parameters["norm.weight"], net.parameters["norm.bias"]
    shifted = x + net.parameters["shift"]
    norm = net["norm"]
    expected = (shifted - norm.running_mean) / np.sqrt(norm.running_var + 1e-5) * w + b
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(net.predict(x[:1]), expected[:1], rtol=0, atol=1e-12)
    before = norm.running_mean.copy()
    trainer.evaluate(x, weight)
    trainer.trace(x, weight)
    trainer.forward(x, weight)
    np.testing.assert_array_equal(norm.running_mean, before)  # looking changes nothing


@pytest.mark.parametrize("widths", [(64, 4), (64, 64, 4), (4, 64, 8, 8)])
def test_running_statistics_are_safe_from_the_backward_of_wider_layers(widths: tuple[int, ...]) -> None:
    """They change after the backward, whose gradients must not have been put where the batch's are."""
    h = x = rg.Input(6)
    for k, width in enumerate(widths):
        z = rg.Dense(width, use_bias=False, name=f"z_{k}")(h)
        h = rg.Activation("relu")(rg.BatchNorm(momentum=1.0, name=f"norm_{k}")(z))
        h = rg.Add()(h, rg.Dense(width, use_bias=False)(z))
    net = rg.Model(x, rg.Dense(3)(h), dtype="float64")
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(32, 6)), rng.integers(0, 3, size=32)
    trainer = rg.Trainer(net, "cross_entropy", rg.SGD(0.1))
    trace = trainer.trace(*batch)
    trainer.step(*batch)
    for k in range(len(widths)):
        z = trace[f"z_{k}"].a
        np.testing.assert_allclose(net[f"norm_{k}"].running_mean, z.mean(axis=0), rtol=0, atol=1e-13)
        np.testing.assert_allclose(net[f"norm_{k}"].running_var, z.var(axis=0, ddof=1), rtol=1e-12)


def test_a_frozen_batch_norm_trains_in_inference_mode() -> None:
    trainer = norm_trainer((6,))
    net = trainer.model
    net.buffers["norm.running_mean"][...] = 2.0
    net.freeze("norm")
    assert set(net.frozen) == {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    x, weight = batch((6,), 1)  # a single row is no trouble then
    expected = net.predict(x)
    np.testing.assert_allclose(trainer.trace(x, weight)["norm"].a, expected, rtol=0, atol=1e-14)
    trainer.step(x, weight)
    np.testing.assert_array_equal(net["norm"].running_mean, 2.0)
    assert rg.Model.from_bytes(net.to_bytes()).frozen == net.frozen
    assert net.copy().frozen == net.frozen
    net.unfreeze("norm")
    trainer.step(*batch((6,)))
    assert (net["norm"].running_mean != 2.0).all()


def test_the_three_parts_are_a_step() -> None:
    x, weight = batch((5, 4, 3))
    one, three = norm_trainer((5, 4, 3)), norm_trainer((5, 4, 3))
    for _ in range(3):
        one.step(x, weight)
        three.forward(x, weight)
        three.backward()
        three.update()
    assert one.model.to_bytes() == three.model.to_bytes()


def test_a_step_that_fails_leaves_the_statistics(tmp_path: Path) -> None:
    trainer = norm_trainer((6,), "float32")
    x, weight = batch((6,))
    trainer.step(x, weight)
    before = trainer.model.to_bytes()
    with pytest.raises(rg.NonFiniteError):
        trainer.step(x * 1e30, weight * 1e38)
    assert trainer.model.to_bytes() == before


def test_statistics_are_saved(tmp_path: Path) -> None:
    trainer = norm_trainer((6,), "float32")
    x, weight = batch((6,))
    trainer.step(x, weight)
    path = trainer.model.save(tmp_path / "norm")
    again = rg.load(path)
    np.testing.assert_array_equal(again["norm"].running_var, trainer.model["norm"].running_var)
    assert again.predict(x).tobytes() == trainer.model.predict(x).tobytes()
    rg.Trainer(again, loss=trainer._objective.function, optimizer=rg.SGD(0.1)).step(x, weight)
    trainer.step(x, weight)
    assert again.to_bytes() == trainer.model.to_bytes()


def test_a_batch_of_one_number_for_each_feature() -> None:
    trainer = norm_trainer((6,))
    x, weight = batch((6,), 9)
    for run in (trainer.step, trainer.forward, trainer.trace):
        with pytest.raises(rg.ShapeError, match=r"norm\.a: a training batch of 1 sample has too few numbers"):
            run(x[:1], weight[:1])
    before = trainer.model.to_bytes()
    with pytest.raises(rg.ShapeError, match="a batch_size that leaves no single row"):
        trainer.fit(x, weight, batch_size=4)  # 4 + 4 + 1
    assert trainer.model.to_bytes() == before
    trainer.evaluate(x[:1], weight[:1])
    norm_trainer((4, 6)).step(*batch((4, 6), 1))  # four numbers for each


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rg.BatchNorm(eps=0.0), "BatchNorm: eps: expected more than 0.0, got 0"),
        (lambda: rg.BatchNorm(momentum=1.5, name="n"), "n: momentum: expected at most 1, got 1.5"),
        (lambda: rg.BatchNorm(momentum=-0.1), "BatchNorm: momentum: expected at least 0, got -0.1"),
        (lambda: rg.Dropout(1.0), "Dropout: rate: expected less than 1.0, got 1"),
        (lambda: rg.Dropout(-0.1, name="drop"), "drop: rate: expected at least 0, got -0.1"),
    ],
)
def test_arguments(make: object, text: str) -> None:
    with pytest.raises(rg.ArgumentError, match=text):
        make()  # type: ignore[operator]


def test_batch_norm_needs_features() -> None:
    with pytest.raises(rg.ShapeError, match="norm: expected an input with features on its last axis"):
        rg.BatchNorm(name="norm")(rg.Input(()))


# ------------------------------------------------------------------------------------------------ dropout


def dropped(rate: float = 0.25, seed: int = 0, dtype: str = "float64", n: int = 2000) -> rg.Trainer:
    x = rg.Input(n)
    y = rg.Dropout(rate, name="drop")(ops.add(x, rg.Variable(np.zeros(n), name="v")))
    return rg.Trainer(
        rg.Model(x, y, dtype=dtype), loss="half_squared_error", optimizer=rg.SGD(0.0), seed=seed
    )


def mask(trainer: rg.Trainer, rows: int = 7) -> Array:
    ones = np.ones((rows, trainer.model.inputs[0].sample_shape[0]))
    found: Array = trainer.trace(ones, 0 * ones)["drop"].a
    return found


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.9])
def test_dropout_keeps_the_expected_share(rate: float) -> None:
    found = mask(dropped(rate), 64)
    assert set(np.unique(found)) <= {0.0, 1 / (1 - rate)}
    spread = 5 * np.sqrt(max(rate * (1 - rate), 1e-9) / found.size)
    assert abs((found == 0).mean() - rate) < spread
    assert abs((found == 0).mean(axis=0).std() - np.sqrt(rate * (1 - rate) / 64)) < 0.02


def test_dropout_by_seed_iteration_and_node() -> None:
    trainer = dropped()
    first = mask(trainer)
    np.testing.assert_array_equal(mask(trainer), first)
    np.testing.assert_array_equal(mask(dropped()), first)
    assert (mask(dropped(seed=1)) != first).any()
    np.testing.assert_array_equal(mask(dropped(dtype="float32")), first.astype(np.float32))
    ones = np.ones((7, 2000))
    trainer.step(ones, 0 * ones)
    second = mask(trainer)
    assert 0.3 < (second != first).mean() < 0.45  # 2 x 0.25 x 0.75
    trainer.iteration = 0
    np.testing.assert_array_equal(mask(trainer), first)
    x = rg.Input(2000)
    v = ops.add(x, rg.Variable(np.zeros(2000)))
    pair = rg.Model(x, rg.Concatenate()(rg.Dropout(0.25)(v), rg.Dropout(0.25)(v)), dtype="float64")
    both = rg.Trainer(pair, "half_squared_error", "sgd").trace(ones, np.zeros((7, 4000))).yhat
    assert (both[:, :2000] != both[:, 2000:]).any()


def test_the_mask_is_that_of_the_generator() -> None:
    """Philox 4x32-10 in plain Python: one word for each element, 64 of them on 16 counters."""

    def philox(counter: list[int], key: list[int]) -> list[int]:
        x, (k0, k1) = list(counter), key
        for _ in range(10):
            p, q = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
            x = [(q >> 32) ^ x[1] ^ k0, q & 0xFFFFFFFF, (p >> 32) ^ x[3] ^ k1, p & 0xFFFFFFFF]
            k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
        return x

    trainer = dropped(0.3, seed=5 + (7 << 32), n=700)  # two rows: more than is drawn in one piece
    trainer.iteration = 11
    found = mask(trainer, 2).ravel()
    node = trainer.model._core.name_of(trainer.model["drop"].output)
    number = [row[0] for row in trainer.trace(np.ones((2, 700)), np.ones((2, 700))).values.items()].index(
        node
    )
    for i, value in enumerate(found):
        block, place = divmod(i, 64)
        words = philox([block * 16 + place % 16, 3 << 24, number, 11], [5, 7])
        assert (value == 0) == (words[place // 16] < int(0.3 * 2**32)), i


def test_gathered_batches_drop_different_numbers() -> None:
    trainer = dropped(n=64)
    x = np.ones((8, 64))
    losses = []
    for k in range(3):
        losses.append(trainer.forward(x, 0 * x))
        assert trainer.forward(x, 0 * x) == losses[-1]  # looking twice is the same batch
        trainer.backward(accumulate=k > 0)
    assert len(set(losses)) == 3
    trainer.update()
    again = dropped(n=64)
    again.iteration = 1
    assert trainer.forward(x, 0 * x) == again.forward(x, 0 * x)


def test_the_gradient_passes_where_the_number_did() -> None:
    trainer = dropped(0.4, n=300)
    x = np.random.default_rng(0).normal(size=(5, 300))
    report = rg.check_gradients(trainer.model, x, 0 * x, "half_squared_error")
    assert report.max_relative_error < 1e-6
    kept = mask(trainer, 5)
    trace = trainer.trace(x, 0 * x)
    np.testing.assert_allclose(trace.deltas["add_0"], kept * trace["drop"].a / 5, rtol=0, atol=1e-15)


def test_prediction_drops_nothing() -> None:
    trainer = dropped()
    x = np.random.default_rng(0).normal(size=(3, 2000))
    np.testing.assert_array_equal(trainer.model.predict(x), x)


# ---------------------------------------------------------------------------------- threads and instructions


def image_net(dtype: str = "float32") -> rg.Model:
    x = rg.Input((12, 12, 5))
    h = rg.Dense(24)(x)
    h = rg.BatchNorm()(h)
    h = rg.Activation("relu")(h)
    h = rg.Dropout(0.3)(h)
    h = rg.Flatten()(h)
    h = rg.Dense(64)(h)
    h = rg.Dropout(0.5)(rg.Activation("relu")(rg.BatchNorm()(h)))
    return rg.Model(x, rg.Dense(10)(h), seed=4, dtype=dtype)


def fitted(threads: int, dtype: str = "float32") -> bytes:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(96, 12, 12, 5)).astype(dtype), rng.integers(0, 10, 96)
    net = image_net(dtype)
    trainer = rg.Trainer(net, "cross_entropy", "adam", threads=threads)
    trainer.fit(x, y, epochs=2, batch_size=40, progress=False)
    assert trainer.threads_used == threads
    buffers = b"".join(view.tobytes() for view in net.buffers.values())
    return net.flat_parameters.tobytes() + net.flat_gradients.tobytes() + buffers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_for_any_number_of_threads(dtype: str) -> None:
    assert len({fitted(threads, dtype) for threads in range(1, 9)}) == 1
