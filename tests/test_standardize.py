"""Standardize: what it measures, when it refuses, and that what it knows is part of the model."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import reference_pooling as pooling
import retrograd as rg

UNKNOWN = (
    "it does not know the mean and std of its features; give it the training data first: "
    'rg.Standardize().adapt(x), or, in a model, net["standardize_0"].adapt(x)'
)


def data(seed: int = 0, shape: tuple[int, ...] = (200, 4)) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 7.0, size=shape)


def model(layer: rg.Standardize, features: int = 4, dtype: str = "float64") -> rg.Model:
    return rg.Sequential([rg.Input(features), layer, rg.Dense(2)], seed=1, dtype=dtype)


def test_what_was_seen_has_mean_0_and_std_1() -> None:
    x = data()
    node = rg.Input(4)
    net = rg.Model(node, rg.Standardize().adapt(x)(node), dtype="float64")
    y = net.predict(x)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(y.std(axis=0), 1.0, rtol=1e-13)
    np.testing.assert_allclose(y, pooling.standardize(x, x), atol=1e-13)


def test_over_all_axes_but_the_last() -> None:
    x = data(shape=(20, 5, 6, 3))
    node = rg.Input((5, 6, 3))
    net = rg.Model(node, rg.Standardize().adapt(x)(node), dtype="float64")
    assert net["standardize_0"].mean.shape == (3,)
    np.testing.assert_allclose(net["standardize_0"].mean, x.mean(axis=(0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(net["standardize_0"].std, x.std(axis=(0, 1, 2)), rtol=1e-13)


def test_before_and_after_the_model_is_built() -> None:
    x = data()
    before, after = model(rg.Standardize().adapt(x)), model(rg.Standardize())
    after["standardize_0"].adapt(x)
    assert before.predict(x).tobytes() == after.predict(x).tobytes()
    after["standardize_0"].adapt(10.0 * x)  # again, by other data
    assert before.predict(x).tobytes() == after.predict(10.0 * x).tobytes() or np.allclose(
        before.predict(x), after.predict(10.0 * x)
    )


def test_a_constant_feature_becomes_0_whatever_it_is_later() -> None:
    x = data()
    x[:, 1], x[:, 3] = 0.1, 0.0  # the sum of 200 times 0.1 is not 20
    node = rg.Input(4)
    for dtype in ("float32", "float64"):
        net = rg.Model(node, rg.Standardize().adapt(x)(node), dtype=dtype)
        assert net["standardize_0"].std[1] == net["standardize_0"].std[3] == 0.0
        y = net.predict(data(1))
        assert np.isfinite(y).all()
        np.testing.assert_array_equal(y[:, [1, 3]], 0.0)
        assert (y[:, [0, 2]] != 0.0).all()


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1e150])
def test_numbers_of_any_size(scale: float) -> None:
    x = data() * scale
    node = rg.Input(4)
    net = rg.Model(node, rg.Standardize().adapt(x)(node), dtype="float64")
    np.testing.assert_allclose(net.predict(x), pooling.standardize(data(), data()), atol=1e-11)


def test_sums_are_in_float64() -> None:
    """A mean that is far larger than the deviation, from float32 data, in more than one part."""
    x = (10_000.0 + np.random.default_rng(2).normal(size=(1_500_000, 1))).astype(np.float32)
    net = model(rg.Standardize().adapt(x), features=1)
    wide = x.astype(np.float64)
    assert net["standardize_0"].mean[0] == pytest.approx(wide.mean(), rel=1e-14)
    assert net["standardize_0"].std[0] == pytest.approx(wide.std(), rel=1e-12)


def test_integers_bools_and_lists() -> None:
    for x in (np.arange(12).reshape(4, 3), np.arange(12, dtype=np.uint8).reshape(4, 3), [[1, 2], [3, 5]]):
        wide = np.asarray(x, np.float64)
        net = model(rg.Standardize().adapt(x), features=wide.shape[1])
        np.testing.assert_allclose(net["standardize_0"].mean, wide.mean(axis=0))
        np.testing.assert_allclose(net["standardize_0"].std, wide.std(axis=0))


def test_refused_until_adapted(tmp_path: Path) -> None:
    net, x = model(rg.Standardize()), data()
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
    before = net.flat_parameters.copy()
    for call in (
        lambda: net.predict(x),
        lambda: net.predict(x[:1]),
        lambda: net.predict(x, threads=4),
        lambda: trainer.step(x, np.zeros((200, 2))),
        lambda: trainer.fit(x, np.zeros((200, 2)), epochs=1),
        lambda: trainer.evaluate(x, np.zeros((200, 2))),
        lambda: net.save(tmp_path / "m.safetensors"),
    ):
        with pytest.raises(rg.StateError) as found:
            call()
        assert str(found.value) == f"standardize: {UNKNOWN}"
    assert net.flat_parameters.tobytes() == before.tobytes()
    assert list(tmp_path.iterdir()) == []
    net["standardize_0"].adapt(x)  # and then the same objects work
    assert np.isfinite(trainer.step(x, np.zeros((200, 2))))
    assert np.isfinite(net.predict(x)).all()


def test_the_refusal_has_the_name_of_the_layer() -> None:
    with pytest.raises(rg.StateError, match=r"^scale: it does not know the mean and std"):
        model(rg.Standardize(name="scale")).predict(data())


def test_what_adapt_refuses() -> None:
    x = data()
    hole = x.copy()
    hole[7, 2] = np.nan
    cases = [
        (hole, rg.ArgumentError, "feature 2 of x has a value that is NaN or infinite; clean the data first"),
        (x[:0], rg.ShapeError, "x has shape (0, 4), expected (rows, ..., features) with a row at least"),
        (x[0], rg.ShapeError, "x has shape (4,), expected (rows, ..., features) with a row at least"),
        (np.array([["a"]]), rg.DTypeError, "x has dtype <U1, expected numbers"),
        (x.astype(complex), rg.DTypeError, "x has dtype complex128, expected numbers"),
    ]
    net = model(rg.Standardize())
    for bad, error, message in cases:
        for who, adapt in (
            ("Standardize", rg.Standardize().adapt),
            ("standardize_0", net["standardize_0"].adapt),
        ):
            with pytest.raises(error) as found:
                adapt(bad)
            assert str(found.value) == f"{who}: adapt: {message}"
    with pytest.raises(
        rg.ShapeError, match=r"^standardize_0: adapt: x has 3 features on its last axis, expected 4"
    ):
        net["standardize_0"].adapt(x[:, :3])
    with pytest.raises(rg.GraphError, match=r"^layer 'dense_0' is dense, which has nothing to adapt to data"):
        net["dense_0"].adapt(x)


def test_a_layer_that_was_called_is_adapted_through_the_model() -> None:
    layer = rg.Standardize(name="scale")
    layer(rg.Input(4))
    with pytest.raises(rg.StateError, match="scale: it was called already"):
        layer.adapt(data())


def test_another_number_of_features() -> None:
    layer = rg.Standardize(name="scale").adapt(data())
    with pytest.raises(rg.ShapeError) as found:
        layer(rg.Input(5))
    assert str(found.value) == "scale: its mean has 4 elements, but this input needs shape (5)"
    layer(rg.Input(4))
    with pytest.raises(rg.ShapeError, match=r"scale: mean is \(4\), but the input is \(batch, 5\)"):
        layer(rg.Input(5))
    with pytest.raises(rg.ShapeError, match="scale: expected an input with features on its last axis"):
        rg.Standardize(name="scale")(rg.Input(()))


def test_part_of_the_model(tmp_path: Path) -> None:
    x = data()
    net = model(rg.Standardize().adapt(x), dtype="float32")
    expected = net.predict(x)
    assert list(net.buffers) == ["standardize_0.mean", "standardize_0.std"]
    assert "standardize_0.mean" not in net.parameters
    net.save(tmp_path / "m.safetensors")
    for again in (
        rg.load(tmp_path / "m.safetensors"),
        rg.Model.from_bytes(net.to_bytes()),
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(net),
    ):
        assert again.predict(x).tobytes() == expected.tobytes()
        assert again["standardize_0"].std.tobytes() == net["standardize_0"].std.tobytes()
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.Adam(0.1))
    before = net["standardize_0"].mean.copy()
    trainer.fit(x, np.ones((200, 2)), epochs=2)
    assert net["standardize_0"].mean.tobytes() == before.tobytes()


def test_frames() -> None:
    pandas = pytest.importorskip("pandas")
    x = data()
    net = model(rg.Standardize().adapt(pandas.DataFrame(x, columns=list("abcd"))))
    np.testing.assert_allclose(net["standardize_0"].mean, x.mean(axis=0), rtol=1e-13)


def test_the_same_bits_for_any_number_of_threads() -> None:
    x = data(shape=(4096, 96)).astype(np.float32)
    found = set()
    for threads in range(1, 9):
        node = rg.Input(96)
        h = node + rg.Variable(np.zeros(96), name="shift")
        net = rg.Model(node, rg.Dense(64)(rg.Standardize().adapt(x)(h)), seed=0)
        trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1), threads=threads)
        trainer.step(x, np.ones((4096, 64)))
        found.add(net.flat_parameters.tobytes() + net.predict(x, threads=threads).tobytes())
    assert len(found) == 1
