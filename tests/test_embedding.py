"""Tables: what an index may be, and steps that visit only the rows of their batch.

The plan's option ``touched_rows`` turns that off: the bits must be those of a visit to every row.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _core, ops

ROWS, UNITS = 6000, 24  # large enough for a table of which single rows are visited; 24 does not divide a tile


# ----------------------------------------------------------------------------------------------- the layer


def test_starts_as_pytorchs() -> None:
    net = rg.Sequential([rg.Input(3, dtype="int64"), rg.Embedding(1000, 50)], seed=1)
    w = net.parameters["embedding_0.weight"]
    assert w.shape == (1000, 50)
    assert abs(w.mean()) < 0.02
    assert abs(w.std() - 1.0) < 0.02
    other = rg.Sequential([rg.Input(3, dtype="int64"), rg.Embedding(1000, 50)], seed=2)
    assert not np.array_equal(other.parameters["embedding_0.weight"], w)
    x = np.array([[0, 999, 5]])
    np.testing.assert_array_equal(net.predict(x), w[x])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: rg.Embedding(0, 4), rg.ArgumentError, "Embedding: count: expected at least 1, got 0"),
        (lambda: rg.Embedding(4, -1, name="e"), rg.ArgumentError, "e: units: expected at least 1, got -1"),
        (lambda: rg.Embedding(4.5, 1), rg.RetrogradError, "Embedding: count"),
        (
            lambda: rg.Embedding(4, 2, weight_init=np.zeros((2, 4))),
            rg.ShapeError,
            r"Embedding: weight_init has shape \(2, 4\), expected \(4, 2\); transpose it",
        ),
        (
            lambda: rg.Embedding(4, 2, name="words")(rg.Input(3)),
            rg.DTypeError,
            r"words: its input has shape \(batch, 3\) and holds floats, expected indices; "
            r'make it by rg.Input\(shape, dtype="int64"\)',
        ),
        (
            lambda: rg.Embedding(4, 2)(rg.Input(3, dtype="int32"), rg.Input(3, dtype="int32")),
            rg.GraphError,
            "embedding: expected one input node, got 2",
        ),
        (
            lambda: ops.gather(rg.Input((4, 2)), rg.Input((), dtype="int64")),
            rg.ShapeError,
            r"gather: the table is \(batch, 4, 2\), expected \(rows, ...\), the same for all samples",
        ),
    ],
)
def test_refuses(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


CALLS: dict[str, Callable[[rg.Trainer, Any, Any], Any]] = {
    "step": lambda t, x, y: t.step(x, y),
    "fit": lambda t, x, y: t.fit(x, y, epochs=1, batch_size=2, progress=False),
    "forward": lambda t, x, y: t.forward(x, y),
    "evaluate": lambda t, x, y: t.evaluate(x, y),
    "trace": lambda t, x, y: t.trace(x, y),
    "predict": lambda t, x, y: t.model.predict(x),
}


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize(
    ("dtype", "value"),
    [("int32", 5), ("int64", 2**40), ("uint8", 200), ("int8", -1), ("int64", -(2**31)), ("uint64", 2**63)],
)
def test_an_index_outside_of_the_table(how: str, dtype: str, value: int) -> None:
    net = rg.Sequential([rg.Input(2, dtype="int32"), rg.Embedding(5, 3), rg.Flatten(), rg.Dense(1)])
    trainer = rg.Trainer(net, loss="mse")
    x, y = np.zeros((7, 2), dtype), np.zeros(7)
    x[3, 1] = value
    before = net.flat_parameters.tobytes()
    with pytest.raises(rg.ArgumentError) as error:
        CALLS[how](trainer, x, y)
    assert f"{value} in row 3, element 1 is outside of the expected range 0..4" in str(error.value)
    if how != "fit":  # whose batches before that were whole steps
        assert net.flat_parameters.tobytes() == before
    assert np.isfinite(trainer.step(np.full((7, 2), 4, dtype), y))


@pytest.mark.parametrize("sizes", [(9, 4), (4, 9)])
def test_an_index_of_several_tables_must_fit_all(sizes: tuple[int, int]) -> None:
    x = rg.Input((), dtype="int64")
    net = rg.Model(x, rg.Embedding(sizes[0], 2)(x) + rg.Embedding(sizes[1], 2)(x))
    net.predict(np.array([0, 3]))
    with pytest.raises(rg.ArgumentError, match=r"4 in row 1 is outside of the expected range 0\.\.3"):
        net.predict(np.array([0, 4]))


# -------------------------------------------------------------------------- the rows that a batch has touched


def head(rows: rg.Node) -> rg.Node:
    return rg.Dense(2)(rg.Dense(64, activation="tanh")(rg.Flatten()(rows)))  # worth some threads


def one_table(dtype: str) -> rg.Model:
    x = rg.Input(3, dtype="int64")
    return rg.Model(x, head(rg.Embedding(ROWS, UNITS, weight_init="normal(0.1)")(x)), seed=3, dtype=dtype)


def called_twice(dtype: str) -> rg.Model:
    x = rg.Input(3, dtype="int64")
    table = rg.Embedding(ROWS, UNITS, weight_init="normal(0.1)")
    first, second = ops.slice(table(x), 1, 0, 2), table(x)
    return rg.Model(x, head(rg.Concatenate(axis=1)(first, second)), seed=3, dtype=dtype)


def tied(dtype: str) -> rg.Model:
    """The table is a factor of a product as well: then all of it has a gradient."""
    x = rg.Input(3, dtype="int64")
    table = rg.Variable("normal(0.1)", "table.weight", shape=(ROWS, UNITS))
    h = ops.mean(ops.gather(table, x), axis=1)
    return rg.Model(x, rg.Dense(2)(h @ ops.transpose(table)), seed=3, dtype=dtype)


def data(count: int = 330) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.integers(0, ROWS, size=(count, 3))
    x[::5] = x[0]  # some rows more often than others
    x[-1] = [0, ROWS - 1, 17]
    return x, rng.normal(size=(count, 2))


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: rg.SGD(0.5),
    "Adagrad": lambda: rg.Adagrad(0.1, lr_decay=0.01),
    "momentum": lambda: rg.SGD(0.1, momentum=0.9),
    "Adam": lambda: rg.Adam(1e-2),
}


def bits(trainer: rg.Trainer) -> tuple[Any, ...]:
    net = trainer.model
    slots = [v.tobytes() for group in trainer.optimizer_state.values() for v in group.values()]
    return net.flat_parameters.tobytes(), net.flat_gradients.tobytes(), slots, trainer.gradient_norm


def trainers(model: Callable[[str], rg.Model], dtype: str = "float32", **more: Any) -> list[rg.Trainer]:
    """Two alike, of which the second visits every row."""
    return [trainer_of(model(dtype), dense, **more) for dense in (False, True)]


def trainer_of(net: rg.Model, dense: bool, **more: Any) -> rg.Trainer:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("Trainer32", "Trainer64") if dense else ():
            patch.setattr(_core, name, partial(getattr(_core, name), touched_rows=False))
        return rg.Trainer(net, loss="mse", **more)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", [one_table, called_twice, tied])
def test_same_bits_as_a_visit_to_every_row(
    model: Callable[[str], rg.Model], optimizer: str, dtype: str
) -> None:
    x, y = data()
    found = []
    for trainer in trainers(model, dtype, optimizer=OPTIMIZERS[optimizer](), clip_norm=0.05):
        norms = []
        for size in (64, 200, 7):
            trainer.fit(x, y, epochs=1, batch_size=size, progress=False)
            norms.append(trainer.gradient_norm)
        trainer.step(x[:3], y[:3])
        norms.append(trainer.gradient_norm)
        found.append((norms, bits(trainer)))
    assert found[0] == found[1]


def test_only_the_rows_of_the_batch_have_a_gradient() -> None:
    x, y = data()
    net = one_table("float64")
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.5))
    for start in range(0, 300, 50):
        trainer.step(x[start : start + 50], y[start : start + 50])
    gradient = net.gradients["embedding_0.weight"]
    assert np.flatnonzero(np.abs(gradient).sum(axis=1)).tolist() == np.unique(x[250:300]).tolist()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_other_rows_are_not_visited(optimizer: str) -> None:
    """NaN in a row that no batch has is noticed by an update that visits it, and by no other."""
    x, y = data()
    sparse, dense = trainers(one_table, optimizer=OPTIMIZERS[optimizer]())
    for trainer in (sparse, dense):
        x[x == 99] = 100
        trainer.model.parameters["embedding_0.weight"][99] = np.nan
    if optimizer in ("SGD", "Adagrad"):
        assert np.isfinite(sparse.step(x, y))
        sparse.gradients(x, y)
        sparse.update()
        assert len(sparse.model.gradients) > 0  # now whoever asked could write, so the next update visits all
        sparse.gradients(x, y)
        with pytest.raises(rg.NonFiniteError, match=r"embedding_0\.weight"):
            sparse.update()
    else:
        with pytest.raises(rg.NonFiniteError):
            sparse.step(x, y)
    with pytest.raises(rg.NonFiniteError, match=r"embedding_0\.weight"):
        dense.step(x, y)


@pytest.mark.parametrize(
    "settings",
    [{"l2": 1e-3}, {"l1": 1e-3}, {"param_groups": [rg.ParamGroup("embedding*", weight_decay=0.1)]}],
    ids=["l2", "l1", "weight_decay"],
)
def test_what_moves_every_row_is_not_left_out(settings: dict[str, Any]) -> None:
    x, y = data()
    found = trainers(one_table, optimizer=rg.SGD(0.5), **settings)
    before = found[0].model.parameters["embedding_0.weight"][99].copy()
    x[x == 99] = 100
    for trainer in found:
        trainer.step(x, y)
    assert bits(found[0]) == bits(found[1])
    assert not np.array_equal(found[0].model.parameters["embedding_0.weight"][99], before)


@pytest.mark.parametrize("model", [one_table, called_twice])
def test_same_bits_for_any_number_of_threads(model: Callable[[str], rg.Model]) -> None:
    x, y = data(1100)
    found = []
    for threads in range(1, 9):
        trainer = rg.Trainer(model("float32"), loss="mse", optimizer=rg.Adagrad(0.1), threads=threads)
        trainer.fit(x, y, epochs=2, batch_size=500, progress=False)
        found.append(bits(trainer))
        assert threads == 1 or trainer.threads_used > 1
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("model", [one_table, called_twice])
def test_accumulated_gradients(model: Callable[[str], rg.Model]) -> None:
    x, y = data()
    found = trainers(model, optimizer=rg.SGD(0.5))
    for trainer in found:
        for _ in range(2):
            trainer.forward(x[:40], y[:40])
            trainer.backward()
            trainer.forward(x[40:90], y[40:90])
            trainer.backward(accumulate=True)
            trainer.update()
        trainer.step(x[90:], y[90:])
    assert bits(found[0]) == bits(found[1])


def test_what_the_user_writes_into_gradients_counts() -> None:
    x, y = data()
    net = one_table("float64")
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(1.0))
    trainer.step(x, y)
    trainer.forward(x[:5], y[:5])
    trainer.backward()
    x[x == 99] = 100
    before = net.parameters["embedding_0.weight"][99].copy()
    net.gradients["embedding_0.weight"][99] = 0.25
    trainer.update()
    np.testing.assert_array_equal(net.parameters["embedding_0.weight"][99], before - 0.25)
    net.gradients["embedding_0.weight"][98] = 7.0  # and what is left there does no harm
    before = net.parameters["embedding_0.weight"][98:100].copy()
    x[x == 98] = 100
    trainer.step(x, y)
    np.testing.assert_array_equal(net.parameters["embedding_0.weight"][98:100], before)
    assert not net.gradients["embedding_0.weight"][98:100].any()


def test_two_trainers_of_one_model() -> None:
    x, y = data()
    found = []
    for dense in (False, True):
        net = one_table("float32")
        rested, moved = (trainer_of(net, dense, optimizer=o) for o in (rg.SGD(0.5), rg.Adam(1e-2)))
        for start in range(0, 300, 60):
            rested.step(x[start : start + 30], y[start : start + 30])
            moved.step(x[start + 30 : start + 60], y[start + 30 : start + 60])
            rested.trace(x[:9], y[:9])
        net.freeze("embedding_0")
        rested.step(x[:30], y[:30])
        net.unfreeze("embedding_0")
        rested.step(x[30:60], y[30:60])
        found.append((bits(rested), bits(moved)))
    assert found[0] == found[1]


def test_a_step_that_fails_leaves_every_row_as_it_was() -> None:
    x, y = data()
    found = trainers(one_table, optimizer=rg.SGD(3e38))
    for trainer in found:
        before = trainer.model.flat_parameters.tobytes()
        with pytest.raises(rg.NonFiniteError, match="the update of"):
            trainer.step(x, y * 1e5)
        assert trainer.model.flat_parameters.tobytes() == before
        trainer.lr = 0.1
        trainer.step(x, y)
    assert bits(found[0]) == bits(found[1])


def test_rows_of_every_length() -> None:
    """A number, and more than a tile of the update has."""
    rng = np.random.default_rng(5)
    x = [rng.integers(0, 130_001, size=120), rng.integers(0, 60, size=120)]
    y = rng.normal(size=(120, 2))
    found = []
    for dense in (False, True):
        i, j = (rg.Input((), dtype="int32") for _ in range(2))
        bias = rg.Embedding(130_001, 1)(i)
        long = ops.mean(rg.Embedding(60, 9001)(j), axis=1, keepdims=True)
        net = rg.Model([i, j], rg.Dense(2)(rg.Concatenate()(bias, long)), seed=2)
        trainer = trainer_of(net, dense, optimizer=rg.Adagrad(0.1))
        trainer.fit(x, y, epochs=2, batch_size=9, progress=False)
        found.append(bits(trainer))
    assert found[0] == found[1]


SCRIPT = """
import hashlib
import numpy as np
import retrograd as rg
rng = np.random.default_rng(0)
x = rg.Input(3, dtype="int64")
h = rg.Flatten()(rg.Embedding(6000, 24)(x))
for dtype in ("float32", "float64"):
    net = rg.Model(x, rg.Dense(2)(h), seed=3, dtype=dtype)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.Adagrad(0.1), clip_norm=0.05)
    trainer.fit(rng.integers(0, 6000, (300, 3)), rng.normal(size=(300, 2)), epochs=2, progress=False)
    print(hashlib.sha256(net.to_bytes()).hexdigest(), trainer.gradient_norm)
"""


def test_same_bits_for_every_instruction_set() -> None:
    found = set()
    for isa in _core.runnable_isas():
        if isa != "baseline":
            environment = {**os.environ, "RETROGRAD_ISA": isa}
            command = [sys.executable, "-c", SCRIPT]
            found.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert len(found) <= 1, "bits depend on the vector width"
