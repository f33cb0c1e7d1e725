"""Data that never is one array: the same bits as arrays, and what a stream may do wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd.data import Indexed, Stream, Windows

Array = np.ndarray
ROWS, SIZE = 53, 8  # the last batch is smaller

rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, 6)).astype(np.float32)
Y = rng.integers(0, 3, size=ROWS)
W = rng.random(ROWS) + 0.1


def batches() -> Iterator[Any]:
    for i in range(0, ROWS, SIZE):
        yield X[i : i + SIZE], Y[i : i + SIZE]


def weighted() -> Iterator[Any]:
    for i in range(0, ROWS, SIZE):
        yield X[i : i + SIZE], Y[i : i + SIZE], W[i : i + SIZE]


def trainer_of(**more: Any) -> rg.Trainer:
    net = rg.Sequential([rg.Input(6), rg.Dense(5, activation="tanh"), rg.Dense(3)], seed=2)
    settings: dict[str, Any] = {"optimizer": rg.Adam(0.01), "metrics": ["accuracy"], "l2": 1e-3, "seed": 4}
    return rg.Trainer(net, loss="cross_entropy", **(settings | more))


def assert_alike(ours: rg.Trainer, arrays: rg.Trainer) -> None:
    """Parameters, optimizer and history: bit for bit, but for the clock."""
    assert ours.model.flat_parameters.tobytes() == arrays.model.flat_parameters.tobytes()
    assert (ours.iteration, ours.epoch) == (arrays.iteration, arrays.epoch)
    found, expected = ours.history.history, arrays.history.history
    assert list(found) == list(expected)
    for name in set(found) - {"seconds", "samples_per_second"}:
        assert found[name] == expected[name], name
    assert ours.history.iterations == arrays.history.iterations


@pytest.mark.parametrize("use_weights", [False, True])
def test_a_stream_gives_the_bits_of_arrays(use_weights: bool) -> None:
    ours, arrays = trainer_of(), trainer_of()
    ours.fit(Stream(weighted if use_weights else batches), epochs=3, record="layers", validation_data=(X, Y))
    arrays.fit(
        X,
        Y,
        epochs=3,
        batch_size=SIZE,
        shuffle=False,
        sample_weight=W if use_weights else None,
        record="layers",
        validation_data=(X, Y),
    )
    assert_alike(ours, arrays)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("class_weight", [None, {0: 2.0, 2: 0.5}])
def test_rows_by_number_give_the_bits_of_arrays(shuffle: bool, class_weight: Any) -> None:
    ours, arrays = trainer_of(), trainer_of()
    asked: list[Array] = []

    def get(rows: Array) -> tuple[Array, Array]:
        asked.append(rows)
        return X[rows], Y[rows]

    for trainer, data in ((ours, (Indexed(ROWS, get),)), (arrays, (X, Y))):
        trainer.fit(*data, epochs=2, batch_size=SIZE, shuffle=shuffle, class_weight=class_weight)
    assert_alike(ours, arrays)
    expected = list(rg.data.batches(np.arange(ROWS), batch_size=SIZE, seed=4, epoch=0, shuffle=shuffle))
    assert all(np.array_equal(a, b) for a, b in zip(asked, expected, strict=False))
    assert asked[0].dtype == np.int64


def test_evaluation_and_validation_by_streams() -> None:
    trainer = trainer_of()

    def large() -> Iterator[Any]:
        yield X[:40], Y[:40], W[:40]
        yield X[40:], Y[40:], W[40:]

    expected = trainer.evaluate(X, Y, batch_size=40, sample_weight=W)
    assert trainer.evaluate(Stream(large)) == expected
    by_number = Indexed(ROWS, lambda rows: (X[rows], Y[rows]))
    assert trainer.evaluate(by_number, batch_size=40) == trainer.evaluate(X, Y, batch_size=40)
    history = trainer.fit(X, Y, epochs=2, validation_data=Stream(large)).history
    assert history["val_loss"][-1] == trainer.evaluate(X, Y, batch_size=40, sample_weight=W)["loss"]
    assert history["val_accuracy"][-1] == trainer.evaluate(X, Y)["accuracy"]
    first = Stream(batches, steps_per_epoch=1)  # so many batches from the beginning, each time
    assert trainer.evaluate(first) == trainer.evaluate(first) == trainer.evaluate(X[:SIZE], Y[:SIZE])


def test_steps_per_epoch_go_on_where_the_last_epoch_ended() -> None:
    """7 batches a pass, 3 an epoch: epochs 1..5 take batches 012 345 601 234 560."""
    calls: list[int] = []

    def factory(number: int) -> Iterator[Any]:
        calls.append(number)
        return batches()

    ours, arrays = trainer_of(metrics=()), trainer_of(metrics=())
    history = ours.fit(Stream(factory, steps_per_epoch=3), epochs=5)
    assert calls == [0, 1, 2]
    assert (ours.epoch, ours.iteration, history.iterations) == (5, 15, 15)
    for k in range(15):
        i = k % 7 * SIZE
        arrays.step(X[i : i + SIZE], Y[i : i + SIZE])
    assert ours.model.flat_parameters.tobytes() == arrays.model.flat_parameters.tobytes()


def test_a_factory_is_told_the_number_of_the_epoch() -> None:
    seen: list[Any] = []

    def told(epoch: int) -> Iterator[Any]:
        seen.append(epoch)
        return batches()

    def standard(shards: int = 2) -> Iterator[Any]:
        seen.append(shards)
        return batches()

    trainer = trainer_of()
    trainer.fit(Stream(told), epochs=2)
    trainer.fit(Stream(told))
    trainer.fit(Stream(standard))
    assert seen == [0, 1, 2, 2]


def test_a_batch_may_be_overwritten_once_it_was_taken() -> None:
    def reused() -> Iterator[Any]:
        x, y = np.empty((SIZE, 6), np.float32), np.empty(SIZE, np.int64)
        for i in range(0, ROWS, SIZE):
            n = len(X[i : i + SIZE])
            x[:n], y[:n] = X[i : i + SIZE], Y[i : i + SIZE]
            yield x[:n], y[:n]

    ours, arrays = trainer_of(), trainer_of()
    ours.fit(Stream(reused), epochs=2)
    arrays.fit(X, Y, epochs=2, batch_size=SIZE, shuffle=False)
    assert_alike(ours, arrays)


def test_callbacks_are_called_as_with_arrays() -> None:
    def told(data: tuple[Any, ...]) -> list[Any]:
        calls: list[Any] = []
        note = {
            name: (lambda trainer, logs, name=name: calls.append((name, logs.get("loss"), trainer.iteration)))
            for name in rg.callbacks.HOOKS
        }
        trainer_of().fit(
            *data, epochs=2, batch_size=SIZE, shuffle=False, callbacks=[rg.callbacks.LambdaCallback(**note)]
        )
        return calls

    assert told((Stream(batches),)) == told((X, Y))


def test_stopping_within_an_epoch() -> None:
    def stop_at(last: int) -> tuple[rg.Trainer, Any]:
        trainer = trainer_of()

        def end(trainer: rg.Trainer, logs: dict[str, Any]) -> None:
            if logs["iteration"] == last:
                trainer.stop("enough")

        return trainer, rg.callbacks.LambdaCallback(on_iteration_end=end)

    by_number = Indexed(ROWS, lambda rows: (X[rows], Y[rows]))
    for data in ((Stream(batches),), (by_number,), (X, Y)):
        for last, epochs in ((10, 1), (14, 2)):  # in the second epoch; at its very end
            trainer, callback = stop_at(last)
            history = trainer.fit(*data, epochs=5, batch_size=SIZE, callbacks=[callback])
            assert (trainer.iteration, trainer.epoch, history.epochs) == (last, epochs, epochs)
            assert history.stop_reason == "enough"


def test_rules_that_look_at_outputs_and_at_the_clock() -> None:
    trainer = trainer_of(metrics=())
    history = trainer.fit(Stream(batches), epochs=3, callbacks=[rg.stop.ErrorBelow(2.0)])
    assert (history.epochs, len(trainer.history.history["loss"])) == (1, 1)

    def slow() -> Iterator[Any]:
        from time import sleep

        for batch in batches():
            sleep(0.12)
            yield batch

    history = trainer.fit(Stream(slow), epochs=3, callbacks=[rg.stop.MaxSeconds(0.2)])
    assert "MaxSeconds" in history.stop_reason
    assert trainer.epoch == 1  # it did not have to end


def test_progress_of_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    trainer_of().fit(Stream(batches), epochs=2, progress=True)
    assert "epoch 2/2" in capsys.readouterr().err


def test_several_inputs_and_outputs() -> None:
    a, b = rg.Input(2), rg.Input(4)
    both = rg.Concatenate()([a, b])
    outputs = [rg.Dense(3)(both), rg.Dense(1)(both)]
    target = X[:, :1]

    def parts() -> Iterator[Any]:
        for i in range(0, ROWS, SIZE):
            rows = slice(i, i + SIZE)
            yield [X[rows, :2], X[rows, 2:]], [Y[rows], target[rows]]

    def made() -> rg.Trainer:
        net = rg.Model([a, b], outputs, seed=1)
        return rg.Trainer(net, ["cross_entropy", "mse"], rg.SGD(0.1), metrics=["mean_absolute_error"][:0])

    ours, arrays = made(), made()
    ours.fit(Stream(parts), epochs=2)
    arrays.fit([X[:, :2], X[:, 2:]], [Y, target], epochs=2, batch_size=SIZE, shuffle=False)
    assert_alike(ours, arrays)


# ---------------------------------------------------------------------------------------------- windows


def test_windows_are_pieces_and_what_follows() -> None:
    tokens = np.arange(23, dtype=np.uint8)
    pieces = Windows(tokens, 5)
    assert len(pieces) == 4  # the fifth would want token 25
    x, y = pieces[np.array([3, 0])]
    assert x.tolist() == [[15, 16, 17, 18, 19], [0, 1, 2, 3, 4]]
    assert y.tolist() == [[16, 17, 18, 19, 20], [1, 2, 3, 4, 5]]
    close = Windows(tokens, 5, stride=2)
    assert len(close) == 9
    x, y = close[np.array([8])]
    assert (x[0, 0], y[0, -1]) == (16, 21)
    assert len(Windows(tokens, 22)) == 1
    assert len(Windows(np.arange(26), 5)) == 5
    assert repr(close) == "<Windows of 9 rows>"


def test_windows_train_a_model_of_sequences() -> None:
    """The next token of a text in which it is always the one before plus one."""
    tokens = np.tile(np.arange(5), 40)
    x = rg.Input(6, dtype="int64")
    net = rg.Model(x, rg.Dense(5)(rg.ops.one_hot(x, 5)), seed=0)
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(0.1), metrics=["accuracy"])
    history = trainer.fit(Windows(tokens, 6), epochs=30, batch_size=4)
    assert history.history["accuracy"][-1] == 1.0
    assert trainer.evaluate(Windows(tokens, 6))["loss"] < 0.1


# ---------------------------------------------------------------------------------------- what goes wrong


def refused(data: Any, **more: Any) -> str:
    trainer = trainer_of()
    with pytest.raises(rg.RetrogradError) as error:
        trainer.fit(data, **more)
    return f"{type(error.value).__name__}: {error.value}"


def test_what_is_given_beside_a_stream() -> None:
    stream = Stream(batches)
    assert refused(stream, y=Y) == (
        "ArgumentError: fit: y was given beside a stream; it is part of the stream's batches"
    )
    assert refused(stream, sample_weight=W) == (
        "ArgumentError: fit: sample_weight was given beside a stream; it is part of the stream's batches"
    )
    assert refused(stream, validation_split=0.1) == (
        "ArgumentError: fit: validation_split sets rows of arrays aside; with a stream pass validation_data"
    )
    assert refused(stream, class_weight="balanced") == (
        "ArgumentError: fit: class_weight='balanced' counts all labels beforehand, and a stream's are not "
        "known; give a dict or an array"
    )
    with pytest.raises(rg.ArgumentError, match="evaluate: y was given beside a stream"):
        trainer_of().evaluate(stream, Y)


def test_a_generator_is_no_factory() -> None:
    with pytest.raises(rg.ArgumentError) as error:
        Stream(batches())  # type: ignore[arg-type]
    assert str(error.value) == (
        "Stream: got a generator, which is exhausted after one epoch; pass the function that makes it, "
        "without calling it: Stream(make_batches)"
    )
    with pytest.raises(rg.ArgumentError, match="got list; for a list of batches pass lambda: batches"):
        Stream([(X, Y)])  # type: ignore[arg-type]
    with pytest.raises(rg.ArgumentError, match="it needs x, y; bind the others by a lambda"):
        Stream(lambda x, y: batches())
    with pytest.raises(rg.ArgumentError, match="steps_per_epoch: expected at least 1, got 0"):
        Stream(batches, steps_per_epoch=0)


def test_a_generator_in_the_place_of_arrays() -> None:
    for data, kind in ((batches(), "generator"), (batches, "function")):
        assert refused(data, y=Y) == (
            f"DTypeError: x: got a {kind}, expected an array of float16, float32, float64, integers and "
            "bool; batches that a function yields go into rg.data.Stream, which takes the function"
        )


def test_a_stream_that_yields_nothing() -> None:
    assert refused(Stream(list)) == "ArgumentError: Stream(list): it yielded nothing in pass 0"
    assert refused(Stream(lambda: 3), epochs=1) == (
        "ArgumentError: Stream: the factory returned int, expected an iterator of (x, y) batches"
    )
    once = batches()
    expected = "it yielded nothing in pass 1; its factory must make a new iterator at each call"
    assert refused(Stream(lambda: once), epochs=2).endswith(expected)
    again = batches()
    assert refused(Stream(lambda: again, steps_per_epoch=5), epochs=2).endswith(expected)
    with pytest.raises(rg.ArgumentError, match="it yielded nothing in pass 0"):
        trainer_of().evaluate(Stream(list))


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ((X[:4, :5], Y[:4]), "ShapeError: batch 2: x: expected shape (batch, 6), got (4, 5)"),
        ((X[:4], Y[:3]), "ShapeError: batch 2: "),
        ((X[:4], Y[:4] + 7), "ArgumentError: batch 2: y: "),
        ((X[:4], Y[:4], -W[:4]), "ArgumentError: batch 2: sample_weight: "),
        ((X[:0], Y[:0]), "ShapeError: batch 2: x: it is empty"),
        (X[:4], "ArgumentError: batch 2: expected (x, y) or (x, y, sample_weight), got ndarray"),
        ((X[:4],), "ArgumentError: batch 2: expected (x, y) or (x, y, sample_weight), got tuple of 1"),
        (None, "ArgumentError: batch 2: expected (x, y) or (x, y, sample_weight), got NoneType"),
    ],
)
def test_a_bad_batch_is_named_by_its_number(bad: Any, text: str) -> None:
    def spoiled() -> Iterator[Any]:
        yield from list(batches())[:2]
        yield bad

    assert refused(Stream(spoiled)).startswith(text)
    with pytest.raises(rg.RetrogradError, match=r"^batch 2: "):
        trainer_of().evaluate(Stream(spoiled))
    with pytest.raises(rg.RetrogradError, match=r"^validation batch 2: "):
        trainer_of().fit(X, Y, validation_data=Stream(spoiled))


def test_rows_that_were_not_asked_for() -> None:
    everything = Indexed(ROWS, lambda rows: (X, Y))
    text = "ShapeError: batch 0: x: it has 53 rows, expected 8, one for each row number"
    assert refused(everything, batch_size=SIZE) == text
    with pytest.raises(rg.ShapeError, match=r"^batch 0: x: it has 53 rows, expected 8"):
        trainer_of().evaluate(everything, batch_size=SIZE)


def test_a_bad_batch_leaves_the_steps_before_it() -> None:
    def spoiled() -> Iterator[Any]:
        yield X[:SIZE], Y[:SIZE]
        yield np.full((4, 6), np.nan, np.float32), Y[:4]

    ours, arrays = trainer_of(), trainer_of()
    with pytest.raises(rg.ArgumentError, match=r"^batch 1: x: NaN in row 0"):
        ours.fit(Stream(spoiled))
    arrays.step(X[:SIZE], Y[:SIZE])
    assert ours.model.flat_parameters.tobytes() == arrays.model.flat_parameters.tobytes()
    assert (ours.epoch, ours.history.iterations) == (0, 1)


def test_what_a_callback_raises_comes_through_as_it_is() -> None:
    def fail(trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        raise rg.ArgumentError("mine")

    callback = rg.callbacks.LambdaCallback(on_iteration_end=fail)
    with pytest.raises(rg.ArgumentError, match=r"^mine$"):
        trainer_of().fit(Stream(batches), callbacks=[callback])


def test_what_indexed_and_windows_refuse() -> None:
    for make, text in (
        (lambda: Indexed(0, len), "Indexed: length: expected at least 1, got 0"),
        (lambda: Indexed(3, X), "Indexed: get must be a function get(rows) -> (x, y), got ndarray"),
        (lambda: Windows(X[0], 2), "Windows: tokens must be integers, got float32"),
        (lambda: Windows(np.arange(5), 5), "expected tokens of shape (n,) with n above length=5, got (5,)"),
        (lambda: Windows(np.ones((3, 3), int), 2), "with n above length=2, got (3, 3)"),
        (lambda: Windows(np.arange(5), 2, stride=0), "Windows: stride: expected at least 1, got 0"),
    ):
        with pytest.raises(rg.RetrogradError) as error:
            make()
        assert text in str(error.value)
