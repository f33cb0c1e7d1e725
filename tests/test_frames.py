"""Frames of polars and whatever speaks DLPack, where arrays are expected; pandas is tested with bad input."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
import retrograd as rg

X = np.arange(12, dtype=np.float64).reshape(4, 3) / 10
Y = np.array([0.5, -1.0, 2.0, 0.0])


def trained(x: Any, y: Any, validation: Any = None) -> tuple[bytes, dict[str, list[float]]]:
    """The parameters after two epochs, and the losses."""
    net = rg.Sequential([rg.Input(3), rg.Dense(4, activation="tanh"), rg.Dense(1)], seed=1)
    trainer = rg.Trainer(net, "mse", rg.Adam(0.01), seed=1)
    history = trainer.fit(x, y, epochs=2, batch_size=3, validation_data=validation).history
    return net.flat_parameters.tobytes(), {name: history[name] for name in history if "loss" in name}


# -------------------------------------------------------------------------------------------- polars


@pytest.fixture
def pl() -> Any:
    return pytest.importorskip("polars")


def frame(pl: Any) -> Any:
    return pl.DataFrame({name: X[:, k] for k, name in enumerate("abc")})


def test_polars_trains_and_predicts_as_arrays_do(pl: Any) -> None:
    x, y = frame(pl), pl.Series("y", Y)
    assert trained(x, y, (x, y)) == trained(X, Y, (X, Y))
    assert trained(x, y.to_frame()) == trained(X, Y)
    net = rg.Sequential([rg.Input(3), rg.Dense(2)], seed=0)
    np.testing.assert_array_equal(net.predict(x), net.predict(X))
    np.testing.assert_array_equal(net.predict_proba(x), net.predict_proba(X))
    labels = pl.Series("label", [0, 1, 1, 0])
    trainer = rg.Trainer(net, "cross_entropy")
    assert trainer.evaluate(x, labels) == trainer.evaluate(X, np.array([0, 1, 1, 0]))
    weights = pl.Series("w", [1.0, 2.0, 0.5, 1.0])
    assert trainer.evaluate(x, labels, sample_weight=weights) == trainer.evaluate(
        X, np.array([0, 1, 1, 0]), sample_weight=np.array([1.0, 2.0, 0.5, 1.0])
    )


def test_columns_of_polars_become_one_array(pl: Any) -> None:
    def array(**columns: Any) -> np.ndarray:
        return rg.data.as_array(pl.DataFrame(columns))

    nan = np.nan
    for found, expected in (
        (array(a=[1, 2], b=[0.5, 1.5]), np.array([[1, 0.5], [2, 1.5]])),
        (array(a=pl.Series([1, 2], dtype=pl.Float32)), np.array([[1], [2]], np.float32)),
        (array(a=pl.Series([1, 255], dtype=pl.UInt8)), np.array([[1], [255]], np.uint8)),
        (array(a=[True, False]), np.array([[True], [False]])),
        (array(a=[True, False], b=[3, 4]), np.array([[1, 3], [0, 4]])),
        (array(a=[1, None], b=[2, 3]), np.array([[1.0, 2.0], [nan, 3.0]])),
        (array(a=[True, None]), np.array([[1.0], [nan]])),
        (rg.data.as_array(pl.Series([True, None])), np.array([1.0, nan])),
        (
            rg.data.as_array(pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2))),
            np.array([[1, 2], [3, 4]]),
        ),
    ):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_polars_columns_that_are_no_numbers(pl: Any) -> None:
    def column(values: list[Any], dtype: Any) -> Any:
        return pl.DataFrame({"n": [1] * len(values), "c": pl.Series(values, dtype=dtype)})

    dummies = "turn it into numbers first, for instance by polars' to_dummies"
    for value, sentence in (
        (column(["x", "y"], pl.Categorical), f"x: column 'c' is Categorical, expected one of .*; {dummies}"),
        (column(["x", "y"], pl.Enum(["x", "y"])), f"x: column 'c' is Enum.*; {dummies}"),
        (column(["x", "y"], pl.String), f"x: column 'c' is String, .*; {dummies}"),
        (column([[1], [2]], pl.List(pl.Int64)), "x: column 'c' is List"),
        (column([None], pl.Null), "x: column 'c' is Null"),
        (column([datetime.date(2020, 1, 1)], pl.Date), "x: column 'c' is Date, .*days since the first one"),
        (column([1, 2], pl.Decimal(10, 2)), r"x: column 'c' is Decimal.*, by \.cast\(polars\.Float64\)"),
        (column([1, 2], pl.Int128), r"x: column 'c' is Int128, .*, by \.cast\(polars\.Float64\)"),
        (pl.Series("c", ["x"], dtype=pl.Categorical), "x: dtype is Categorical, expected"),
        (pl.DataFrame({"a": [1]}).lazy(), r"x: got polars LazyFrame, .*; collect it first \(\.collect\(\)\)"),
        (pl.col("a"), "x: got polars Expr, expected a DataFrame or a Series"),
    ):
        with pytest.raises(rg.DTypeError, match=sentence):
            rg.data.as_array(value)


def test_polars_shapes_are_checked(pl: Any) -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(1)])
    with pytest.raises(rg.ShapeError, match=r"x: expected shape \(batch, 2\), got \(4, 3\)"):
        net.predict(frame(pl))
    with pytest.raises(rg.ShapeError, match="y: it has 3 rows but x has 4"):
        trained(frame(pl), pl.Series(Y[:3]))


# -------------------------------------------------------------------------------------------- DLPack


class Tensor:
    """An array of another library: DLPack is all that it speaks."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.array, self.device, self.asked = array, device, 0

    def __dlpack__(self, **options: Any) -> Any:
        self.asked += 1
        if self.device[0] != 1:
            raise BufferError("it lies on a GPU")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


def test_dlpack_is_read_in_place() -> None:
    for dtype in (np.float32, np.float64, np.int64, np.uint8, np.bool_):
        array = X.astype(dtype)
        found = rg.data.as_array(Tensor(array))
        assert found.dtype == dtype
        assert np.shares_memory(found, array)
        np.testing.assert_array_equal(found, array)
    turned = X.T  # any strides
    assert np.shares_memory(rg.data.as_array(Tensor(turned)), turned)
    closed = X.copy()
    closed.flags.writeable = False
    np.testing.assert_array_equal(rg.data.as_array(Tensor(closed)), closed)


def test_dlpack_trains_and_predicts_as_arrays_do() -> None:
    x, y = Tensor(X), Tensor(Y)
    assert trained(x, y, (x, y)) == trained(X, Y, (X, Y))
    assert x.asked > 0
    assert y.asked > 0
    net = rg.Sequential([rg.Input(3), rg.Dense(2)], seed=0)
    np.testing.assert_array_equal(net.predict(x), net.predict(X))
    labels = np.array([0, 1, 1, 0])
    trainer = rg.Trainer(net, "cross_entropy")
    assert trainer.evaluate(x, Tensor(labels)) == trainer.evaluate(X, labels)
    assert trainer.step(Tensor(X), Tensor(labels)) > 0
    two = rg.Input(3), rg.Input(1)
    both = rg.Model(list(two), rg.Dense(1)(rg.Concatenate()(list(two))), seed=0)
    np.testing.assert_array_equal(both.predict([x, Tensor(Y[:, None])]), both.predict([X, Y[:, None]]))


def test_dlpack_that_cannot_be_read() -> None:
    with pytest.raises(rg.DTypeError, match=r"y: this Tensor cannot be read in place \(it lies on a GPU\)"):
        rg.data.as_array(Tensor(X, (2, 0)), "y")
    with pytest.raises(rg.DTypeError, match="x: dtype is complex128"):
        rg.data.as_array(Tensor(X.astype(np.complex128)))
    with pytest.raises(rg.ShapeError, match=r"x: expected shape \(batch, 2\), got \(4, 3\)"):
        rg.Sequential([rg.Input(2), rg.Dense(1)]).predict(Tensor(X))
