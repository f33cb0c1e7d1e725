"""Threads change the time a result takes and not one bit of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from networks import parameter_bytes

THREADS = (1, 2, 3, 4, 8)


def data(rows: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    return x, np.argmax(x[:, :classes] + 0.5 * rng.normal(size=(rows, classes)), axis=1)


def wide(dtype: str) -> rg.Model:
    """Large enough for every layer to be worth sharing; sizes that no thread count divides."""
    return rg.Sequential(
        [
            rg.Input(203),
            rg.Dense(301, activation="relu"),
            rg.Dense(257, activation="gelu"),
            rg.Dense(10),
        ],
        seed=0,
        dtype=dtype,
    )


def branched(dtype: str) -> rg.Model:
    """Reductions, softmax, exp, broadcasting and a shared layer, which are split in other ways."""
    x = rg.Input(203)
    shared = rg.Dense(203, activation="tanh")
    h = rg.Add()(shared(x), shared(rg.Dense(203, activation="silu")(x)))
    gate = rg.ops.softmax(rg.Dense(203)(h))
    h = rg.Concatenate()(h * gate, rg.ops.exp(-rg.ops.square(h)) - rg.ops.mean(h, axis=-1, keepdims=True))
    return rg.Model(inputs=x, outputs=rg.Dense(10)(h), seed=0, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("make", "batch_size"),
    [(wide, 1024), (branched, 1024), (wide, 997)],
    ids=["wide", "branched", "odd batch"],
)
def test_same_bits_with_any_number_of_threads(
    make: Callable[[str], rg.Model], batch_size: int, dtype: str
) -> None:
    x, y = data(3 * batch_size - 100, 203, 10)
    weight = np.random.default_rng(1).random(len(x)) + 0.1
    results = {}
    for threads in THREADS:
        net = make(dtype)
        trainer = rg.Trainer(
            net, loss="cross_entropy", optimizer=rg.Adam(1e-3), l2=1e-4, clip_norm=1.0, threads=threads
        )
        history = trainer.fit(x, y, epochs=2, batch_size=batch_size, sample_weight=weight, progress=False)
        assert trainer.threads_used == threads
        results[threads] = (
            parameter_bytes(net),
            history.history["loss"],
            history.history["gradient_norm"],
            trainer.evaluate(x, y)["loss"],
        )
    for threads in THREADS[1:]:
        assert results[threads] == results[1], f"{threads} threads differ from one"
    assert parameter_bytes(make(dtype)) != results[1][0]


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adam", "AdamW"])
def test_every_optimizer_with_any_number_of_threads(name: str) -> None:
    x, y = data(2048, 203, 10)
    results = set()
    for threads in THREADS:
        trainer = rg.Trainer(
            wide("float32"), loss="cross_entropy", optimizer=getattr(rg, name)(lr=1e-3), threads=threads
        )
        trainer.fit(x, y, epochs=1, batch_size=1024, progress=False)
        assert trainer.threads_used == threads
        results.add(parameter_bytes(trainer.model))
    assert len(results) == 1


def test_many_rows_and_few_parameters() -> None:
    """Here the sum over rows itself has to be shared, and must still have one order."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(65_536, 3)).astype(np.float32)
    y = (x @ np.array([[0.5], [-1.0], [2.0]], np.float32)).astype(np.float32)
    results = set()
    for threads in THREADS:
        net = rg.Sequential([rg.Input(3), rg.Dense(5, activation="tanh"), rg.Dense(1)], seed=0)
        trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1), threads=threads)
        trainer.fit(x, y, epochs=2, batch_size=32_768, progress=False)
        results.add(parameter_bytes(net))
    assert len(results) == 1


def test_a_tiny_network_stays_on_one_thread() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(2, activation="sigmoid"), rg.Dense(1)], seed=0)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
    trainer.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=2, batch_size=4, progress=False)
    assert trainer.threads_used == 1


def test_threads_chosen_by_the_library_give_the_same_bits() -> None:
    x, y = data(2048, 203, 10)
    results = set()
    for threads in (None, 1):
        trainer = rg.Trainer(wide("float32"), loss="cross_entropy", optimizer=rg.SGD(0.1), threads=threads)
        trainer.fit(x, y, epochs=1, batch_size=1024, progress=False)
        results.add(parameter_bytes(trainer.model))
    assert len(results) == 1


def train(seed: int, threads: int | None, rows: int = 4096) -> bytes:
    x, y = data(rows, 203, 10)
    net = rg.Sequential([rg.Input(203), rg.Dense(128, activation="relu"), rg.Dense(10)], seed=seed)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-3), threads=threads, seed=seed)
    trainer.fit(x, y, epochs=2, batch_size=256, progress=False)
    return parameter_bytes(net)


@pytest.mark.parametrize("threads", [1, 2, None])
def test_models_train_side_by_side(threads: int | None) -> None:
    """Each in a Python thread of its own, with the bits of training one after the other."""
    one_by_one = [train(seed, threads) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: train(seed, threads), range(4)))
    assert together == one_by_one
    assert len(set(one_by_one)) == 4


@pytest.mark.parametrize("use", ["fit", "step", "fit of another trainer", "predict", "save", "evaluate"])
def test_a_model_in_training_is_not_used_from_another_thread(use: str, tmp_path: Any) -> None:
    """It is told so at once, instead of waiting or of reading half-updated parameters."""
    x, y = data(20_000, 203, 10)
    net = wide("float32")
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.1), threads=1)
    other = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.1))
    few = slice(0, 64)
    calls: dict[str, Callable[[], Any]] = {
        "fit": lambda: trainer.fit(x[few], y[few], epochs=1, progress=False),
        "step": lambda: trainer.step(x[few], y[few]),
        "fit of another trainer": lambda: other.fit(x[few], y[few], epochs=1, progress=False),
        "predict": lambda: net.predict(x[few]),
        "save": lambda: net.save(tmp_path / "m.safetensors"),
        "evaluate": lambda: trainer.evaluate(x[few], y[few]),
    }
    before = parameter_bytes(net)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(trainer.fit, x, y, epochs=1, batch_size=32, progress=False)
        while (
            parameter_bytes(net) == before
        ):  # the first step has been done: it is in the middle of its epoch
            assert not running.done()
            time.sleep(0.001)
        with pytest.raises(rg.StateError):
            calls[use]()
        assert not running.done(), "the fit was too short to show anything"
        running.result(60.0)
    assert trainer.iteration == 625
    calls[use]()  # free again


def test_two_fits_of_one_model_at_once() -> None:
    """Without any callback: one of the two threads is refused, the other's result is as if it were alone."""
    x, y = data(4096, 203, 10)
    alone = rg.Trainer(wide("float32"), loss="cross_entropy", optimizer=rg.SGD(0.1))
    alone.fit(x, y, epochs=3, batch_size=256, progress=False)

    trainer = rg.Trainer(wide("float32"), loss="cross_entropy", optimizer=rg.SGD(0.1))
    barrier = threading.Barrier(2)

    def fit() -> str:
        barrier.wait()
        try:
            trainer.fit(x, y, epochs=3, batch_size=256, progress=False)
        except rg.StateError:
            return "refused"
        return "done"

    with ThreadPoolExecutor(2) as pool:
        results = sorted(future.result() for future in [pool.submit(fit), pool.submit(fit)])
    assert results == ["done", "refused"]
    assert parameter_bytes(trainer.model) == parameter_bytes(alone.model)


def test_predicting_from_many_threads() -> None:
    x, _ = data(2000, 203, 10)
    net = wide("float32")
    parts = [x[start : start + 250] for start in range(0, 2000, 250)]
    expected = [net.predict(part).tobytes() for part in parts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert [result.tobytes() for result in pool.map(net.predict, parts)] == expected


def test_the_gil_is_released() -> None:
    """Python goes on while the core works: a thread that counts gets somewhere during one long fit."""
    x, y = data(8192, 203, 10)
    trainer = rg.Trainer(wide("float32"), loss="cross_entropy", optimizer=rg.SGD(0.1), threads=1)
    trainer.fit(x[:256], y[:256], epochs=1, batch_size=256, progress=False)
    ticks, done = 0, threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    counter = threading.Thread(target=count)
    counter.start()
    trainer.fit(x, y, epochs=2, batch_size=1024, progress=False)
    done.set()
    counter.join()
    assert ticks >= 5
