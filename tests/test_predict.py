"""The short way of predict: what it takes, it computes as the long way does, and all else it hands on."""

from __future__ import annotations

import contextlib
import copy
import inspect
import pickle
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import retrograd as rg

X = np.random.default_rng(5).normal(size=(256, 10)) * 40


def network(dtype: str = "float32") -> rg.Model:
    return rg.Sequential([rg.Input(10), rg.Dense(24, activation="relu"), rg.Dense(3)], seed=2, dtype=dtype)


def the_long_way(net: rg.Model, x: Any) -> Any:
    return net.predict(x, batch_size=7)


ARRANGEMENTS = {
    "rows": lambda a: a,
    "reversed": lambda a: a[::-1],
    "columns": np.asfortranarray,
    "other bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": lambda a: np.frombuffer(b"_" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "subclass": lambda a: a.view(np.matrix),
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("model_dtype", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "u1", "i4", "?"])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_every_array_gives_the_same_bits(model_dtype: str, dtype: str, arrangement: str) -> None:
    net = network(model_dtype)
    x = np.abs(X[:9]).astype(dtype)
    given = ARRANGEMENTS[arrangement](x)
    want = the_long_way(net, x[::-1] if arrangement == "reversed" else x)
    found = net.predict(given)
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape) == (net.dtype, (9, 3))
    assert found.tobytes() == want.tobytes()
    assert net(given).tobytes() == want.tobytes()


@pytest.mark.parametrize("rows", [1, 2, 255, 256, 257])
def test_every_number_of_rows_gives_the_same_bits(rows: int) -> None:
    net, x = network(), np.resize(X, (rows, 10))
    want = np.concatenate([net.predict(row[None]) for row in x])
    assert net.predict(x).tobytes() == want.tobytes()
    out = np.full((rows, 3), 7, np.float32)
    assert net.predict(x, out=out) is out
    assert out.tobytes() == want.tobytes()


def test_samples_of_any_rank() -> None:
    scalar = rg.Input(())
    np.testing.assert_array_equal(rg.Model(scalar, rg.ops.square(scalar)).predict(np.arange(3.0)), [0, 1, 4])
    deep = rg.Input((1, 2) * 4 + (3,))
    x = X.ravel()[: 2 * 48].reshape(2, *deep.shape[1:])
    np.testing.assert_allclose(rg.Model(deep, rg.ops.square(deep)).predict(x), x * x, rtol=1e-6)


def test_the_output_may_be_the_input() -> None:
    node = rg.Input(10)
    np.testing.assert_array_equal(rg.Model(node, node, dtype="float64").predict(X), X)
    x = X.copy()
    assert rg.Model(node, rg.ops.square(node), dtype="float64").predict(x, out=x) is x
    np.testing.assert_array_equal(x, X * X)


def test_what_is_wrong_is_said_by_the_method() -> None:
    net, x = network(), X.copy()
    x[3, 4] = np.nan
    with pytest.raises(rg.ArgumentError, match=r"x: NaN in row 3, element 4"):
        net.predict(x)
    with pytest.raises(rg.ShapeError, match=r"x: expected shape \(batch, 10\), got \(256, 9\)"):
        net.predict(X[:, :9].copy())
    out = np.full((256, 3), 7.0, np.float32)
    with pytest.raises(rg.ArgumentError, match=r"x: NaN in row 3"):
        net.predict(x, out=out)
    assert (out == 7).all()
    out.flags.writeable = False
    with pytest.raises(rg.ArgumentError, match=r"out: it is read-only"):
        net.predict(X, out=out)
    with pytest.raises(rg.ShapeError, match=r"out: expected shape \(256, 3\), got \(255, 3\)"):
        net.predict(X, out=np.empty((255, 3), np.float32))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        net.predict()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'rows'"):
        net.predict(X, rows=3)  # type: ignore[call-arg]


def test_it_looks_like_the_method() -> None:
    net = network()
    arguments = ["x", "batch_size", "out", "threads"]
    assert list(inspect.signature(rg.Model.predict).parameters) == ["self", *arguments]
    assert list(inspect.signature(net.predict).parameters) == arguments
    assert inspect.ismethod(net.predict)
    assert inspect.isroutine(rg.Model.predict)
    assert (rg.Model.predict.__doc__ or "").startswith("The outputs for every row of x.")
    assert "def predict(self" in inspect.getsource(rg.Model.predict)
    assert repr(rg.Model.predict).startswith("<function Model.predict")
    assert pickle.loads(pickle.dumps(rg.Model.predict)) is copy.deepcopy(rg.Model.predict) is rg.Model.predict
    assert pickle.loads(pickle.dumps(net.predict))(X).tobytes() == net.predict(X).tobytes()

    class Doubled(rg.Model):
        def predict(self, x: Any, *args: Any, **named: Any) -> Any:
            return 2 * super().predict(x, *args, **named)

    twice = Doubled(net.inputs, net.outputs, seed=2)
    np.testing.assert_array_equal(twice.predict(X), 2 * net.predict(X))
    with pytest.raises(TypeError, match="cannot create"):
        type(rg.Model.predict)()


def test_no_reference_is_lost() -> None:
    net, x, bad = network(), X.copy(), np.full((1, 10), np.inf)
    out = np.empty((256, 3), np.float32)
    kept = [net, net._core, x, bad, out, np.dtype("f4"), type(net).predict]

    def calls() -> list[int]:
        for _ in range(100):
            net.predict(x)
            net.predict(x, out=out)
            net.predict(x[::-1])
            with pytest.raises(rg.ArgumentError):
                net.predict(bad)
        return [sys.getrefcount(one) for one in kept]

    assert calls() == calls()


@pytest.mark.parametrize("width", [8, 512])  # short work keeps the GIL, longer work hands it on
def test_many_threads_may_predict_at_once(width: int) -> None:
    net = rg.Sequential([rg.Input(512), rg.Dense(width, activation="relu"), rg.Dense(2)])
    rows = np.random.default_rng(1).normal(size=(4, 1, 512)).astype(np.float32)
    want = [the_long_way(net, row).tobytes() for row in rows]
    wrong: list[int] = []

    def work(i: int) -> None:
        wrong.extend(i for _ in range(300) if net.predict(rows[i]).tobytes() != want[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_prediction_while_a_step_is_made() -> None:
    net = rg.Sequential([rg.Input(512), rg.Dense(512), rg.Dense(1)])
    x, y = np.zeros((2048, 512), np.float32), np.zeros((2048, 1), np.float32)
    done = threading.Event()

    def train() -> None:
        while not done.is_set():
            with contextlib.suppress(rg.StateError):  # a prediction was under way
                rg.Trainer(net, "mse", "sgd").fit(x, y, epochs=1, batch_size=256)

    thread = threading.Thread(target=train)
    thread.start()
    said = ""
    end = time.monotonic() + 30
    while not said and time.monotonic() < end:
        try:
            net.predict(x[:1])
        except rg.StateError as error:
            said = str(error)
        time.sleep(0.001)
    done.set()
    thread.join()
    assert "it is being trained in another thread" in said


def test_callbacks_may_predict() -> None:
    net = network()
    pairs: list[tuple[bytes, bytes]] = []

    def ask(trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        pairs.append((net.predict(X).tobytes(), the_long_way(net, X).tobytes()))

    watch = rg.callbacks.LambdaCallback(on_iteration_end=ask)
    rg.Trainer(net, "mse", "sgd").fit(X / 40, X[:, :3] / 40, epochs=1, batch_size=64, callbacks=[watch])
    assert len(pairs) == 4
    assert all(short == long for short, long in pairs)
