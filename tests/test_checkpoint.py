"""A fit that is interrupted and resumed is the fit that never was: every number of it, at every iteration."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from checkpoints import Fit, Idle, SaveAt, assert_same, network, numbers, outcome

X, LABELS, TARGETS = numbers()


def classify(optimizer: Any = "adam", threads: int = 1, dtype: str = "float32", **options: Any) -> rg.Trainer:
    settings: dict[str, Any] = {"loss": "cross_entropy", "metrics": ["accuracy"]} | options
    return rg.Trainer(network(dtype=dtype), optimizer=optimizer, threads=threads, seed=6, **settings)


def own_loss(output: rg.Node, target: rg.Node) -> rg.Node:
    scale = rg.constant(np.array([1.0, 0.5, 2.0]))
    return rg.ops.mean(rg.ops.square((output - target) * scale), axis=-1)


def spread(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return float(np.abs(y_true - y_pred).max())


def noisy_batches(epoch: int) -> Any:
    rng = np.random.default_rng(epoch)
    for first in range(0, len(X), 8):
        x = X[first : first + 8]
        yield x + 0.1 * rng.normal(size=x.shape).astype(np.float32), LABELS[first : first + 8]


def two_losses() -> rg.Trainer:
    x = rg.Input(5)
    h = rg.Dense(6, activation="relu")(x)
    net = rg.Model(inputs=x, outputs=[rg.Dense(3)(h), rg.Dense(3)(h)], seed=1)
    return rg.Trainer(
        net, loss=["cross_entropy", own_loss], loss_weights=[1.0, 0.25], optimizer=rg.Adam(1e-2)
    )


class Counter:
    """A callback of one's own that keeps count, and stops by it."""

    def __init__(self) -> None:
        self.seen = np.zeros(3, np.int64)

    def on_iteration_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        self.seen[trainer.iteration % 3] += 1
        if self.seen.sum() == 9:
            trainer.stop("nine updates")

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


BASIC: dict[str, Any] = {"epochs": 3, "batch_size": 8}  # 26 rows: 4 iterations an epoch, the last of 2 rows
OPTIMIZERS = {
    "sgd": rg.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "rmsprop": rg.RMSprop(1e-2, momentum=0.5, centered=True),
    "adagrad": rg.Adagrad(0.1, lr_decay=0.01, initial_accumulator_value=0.1),
    "adadelta": rg.Adadelta(1.0),
    "amsgrad": rg.Adam(1e-2, amsgrad=True),
    "adamw": rg.AdamW(rg.schedules.Cosine(1e-2, 12)),
    "nadam": rg.NAdam(rg.schedules.Step(1e-2, 2, unit="epoch")),
    "radam": rg.RAdam(rg.schedules.WarmupCosine(1e-2, 3, 12)),
    "adamax": rg.Adamax(rg.schedules.Exponential(1e-2, 0.9)),
    "lion": rg.Lion(rg.schedules.Piecewise([2, 7], [1e-2, 1e-3, 1e-2])),
    "rprop": rg.Rprop(rg.schedules.OneCycle(1e-2, 12), step_sizes=(1e-6, 1.0)),
}
FITS: dict[str, Fit] = (
    {
        name: Fit(lambda rule=rule: classify(rule), X, LABELS, BASIC)  # type: ignore[misc]
        for name, rule in OPTIMIZERS.items()
    }
    | {
        "plateau": Fit(
            lambda: classify(rg.SGD(rg.schedules.ReduceOnPlateau(0.5, 0.5, 0, "val_accuracy"))),
            X,
            LABELS,
            BASIC | {"validation_split": 0.3, "epochs": 4},
        ),
        "early stopping": Fit(
            lambda: classify(rg.Adam(0.3)),
            X,
            LABELS,
            BASIC | {"epochs": 9},
            (X[:9] + 0.5, LABELS[:9]),
            lambda: [rg.stop.EarlyStopping(patience=2)],
        ),
        "layers, weights, two threads": Fit(
            lambda: classify(threads=2, l2=1e-3, clip_norm=0.5, param_groups=[rg.ParamGroup("dense_1", 0.1)]),
            X,
            LABELS,
            BASIC
            | {
                "record": "layers",
                "class_weight": "balanced",
                "sample_weight": np.linspace(0.5, 1.5, len(X)),
            },
        ),
        "float64, class weights by name": Fit(
            lambda: classify(dtype="float64", l1=1e-3, clip_value=0.1),
            X,
            LABELS,
            BASIC | {"class_weight": {1: 3.0}, "shuffle": False},
        ),
        "own loss and metric": Fit(
            lambda: rg.Trainer(network(), own_loss, rg.Adam(1e-2), metrics=["r2", spread], threads=1),
            X,
            TARGETS,
            BASIC,
            (X, TARGETS),
            load={"metrics": [spread]},
        ),
        "composed loss": Fit(
            lambda: rg.Trainer(network(), "cosine_similarity", rg.Adam(1e-2), threads=1), X, TARGETS, BASIC
        ),
        "several losses": Fit(two_losses, X, [LABELS, TARGETS], BASIC),
        "rows": Fit(
            lambda: classify(),
            rg.data.Indexed(len(X), lambda rows: (X[rows], LABELS[rows], np.linspace(0.5, 1, len(rows)))),
            None,
            BASIC | {"record": "layers"},
            (X, LABELS),
        ),
        "stream": Fit(lambda: classify(), rg.data.Stream(noisy_batches), None, BASIC),
        "stream in steps": Fit(
            lambda: classify(), rg.data.Stream(noisy_batches, steps_per_epoch=3), None, BASIC | {"epochs": 4}
        ),
        "errors of samples": Fit(
            lambda: classify(rg.Adam(0.1)), X, LABELS, BASIC, None, lambda: [rg.stop.ErrorBelow(0.9, 0.6)]
        ),
        "own callback": Fit(lambda: classify(), X, LABELS, BASIC, None, lambda: [Counter()]),
        "loss change": Fit(
            lambda: classify(rg.SGD(1e-4), metrics=()),
            X,
            LABELS,
            BASIC | {"epochs": 9},
            None,
            lambda: [rg.stop.LossChangeBelow(10.0, 4)],
        ),
    }
)


@pytest.mark.parametrize(
    ("name", "order"),
    [(name, "after") for name in FITS] + [(name, "before") for name, fit in FITS.items() if fit.callbacks()],
)
def test_resumes_at_every_moment(name: str, order: str, tmp_path: Path) -> None:
    """After each iteration, before and after each epoch, at the beginning and the end; as the first callback,
    so that others are still to be called, or as the last."""
    fit = FITS[name]
    saver = SaveAt(str(tmp_path))
    expected = outcome(fit.run())
    if order == "after":
        assert_same(fit.run(saver), expected)
    else:
        first = fit.callbacks
        fit = Fit(**{**fit.__dict__, "callbacks": lambda: [saver, *first()]})
        assert_same(fit.run(), expected)
        fit = Fit(**{**fit.__dict__, "callbacks": lambda: [Idle(), *first()]})
    assert len(saver.files) > 7
    for path in saver.files:
        trainer = fit.finish(path, Idle()) if order == "after" else fit.finish(path)
        assert_same(trainer, expected)
        os.remove(path)


@pytest.mark.parametrize("name", ["plateau", "early stopping", "own loss and metric", "rows", "own callback"])
def test_saved_again_it_is_the_same_file(name: str, tmp_path: Path) -> None:
    fit = FITS[name]
    saver = SaveAt(str(tmp_path))
    finished = fit.run(saver)
    saver.files.append(finished.save(tmp_path / "finished.safetensors"))
    for path in saver.files:
        again = rg.Trainer.load(path, **fit.load).save(tmp_path / "again.safetensors")
        assert Path(again).read_bytes() == Path(path).read_bytes(), path


def test_a_loaded_trainer_is_the_one_that_was_saved(tmp_path: Path) -> None:
    trainer = FITS["layers, weights, two threads"].run()
    path = trainer.save(tmp_path / "ck")
    assert path.endswith("ck.safetensors")
    loaded = rg.Trainer.load(tmp_path / "ck")
    assert repr(loaded) == repr(trainer)
    assert loaded.optimizer == trainer.optimizer
    assert loaded.history.to_dict() == trainer.history.to_dict()
    assert outcome(loaded) == outcome(trainer)
    assert not np.shares_memory(loaded.model.flat_parameters, trainer.model.flat_parameters)
    for one in (trainer, loaded):
        one.step(X[:8], LABELS[:8])
        one.fit(X, LABELS, epochs=1, batch_size=8, progress=False)
    assert_same(loaded, outcome(trainer))


def test_the_model_alone(tmp_path: Path) -> None:
    trainer = classify()
    trainer.fit(X, LABELS, epochs=1, progress=False)
    path = trainer.save(tmp_path / "ck.safetensors")
    net = rg.load(path)
    assert net.predict(X).tobytes() == trainer.model.predict(X).tobytes()
    assert net.predict_proba(X).tobytes() == trainer.model.predict_proba(X).tobytes()
    other = network()
    other.set_parameters(path)
    assert other.flat_parameters.tobytes() == net.flat_parameters.tobytes()
    assert list(net.buffers) == list(trainer.model.buffers)


@pytest.mark.parametrize("rule", [rg.Adam(1e-2), *OPTIMIZERS.values()], ids=lambda rule: repr(rule)[:30])
def test_optimizers_and_schedules_come_back(rule: Any, tmp_path: Path) -> None:
    path = classify(rule).save(tmp_path / "a")
    assert rg.Trainer.load(path).optimizer == rule


@pytest.mark.parametrize(
    "schedule",
    [
        rg.schedules.Constant(0.1, unit="epoch"),
        rg.schedules.Step(0.1, 3, 0.5),
        rg.schedules.ReduceOnPlateau(0.1, 0.3, 2, "val_accuracy", "max", 1e-3, "abs", 1, 1e-5, 1e-9),
        rg.schedules.ReduceOnPlateau(0.1),
    ],
    ids=repr,
)
def test_schedules_come_back(schedule: Any, tmp_path: Path) -> None:
    assert rg.Trainer.load(classify(rg.SGD(schedule)).save(tmp_path / "a")).optimizer.lr == schedule


def test_a_rate_that_was_set(tmp_path: Path) -> None:
    trainer = classify(rg.SGD(rg.schedules.ReduceOnPlateau(0.1)))
    trainer.lr = 0.025
    loaded = rg.Trainer.load(trainer.save(tmp_path / "a"))
    assert loaded.lr == 0.025
    assert loaded.schedule_state == {}
    assert loaded.optimizer == trainer.optimizer


def test_the_largest_seed(tmp_path: Path) -> None:
    trainer = rg.Trainer(network(), "cross_entropy", seed=2**64 - 1)
    loaded = rg.Trainer.load(trainer.save(tmp_path / "a"))
    for one in (trainer, loaded):
        one.fit(X, LABELS, epochs=1, batch_size=8, progress=False)
    assert outcome(trainer)["parameters"] == outcome(loaded)["parameters"]


# ----------------------------------------------------------------------------- interrupted in this process


class Stumble:
    """Raises once, at an iteration or after an epoch."""

    def __init__(self, turn: str, at: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        setattr(self, turn, self._raise)
        self.at, self.error = at, error

    def _raise(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        if trainer.iteration == self.at:
            self.at = -1
            raise self.error


@pytest.mark.parametrize("turn", ["on_iteration_end", "on_epoch_end", "on_epoch_begin"])
@pytest.mark.parametrize("name", ["adamw", "rows", "stream in steps", "early stopping"])
def test_resumes_after_an_exception(name: str, turn: str) -> None:
    fit = FITS[name]
    expected = outcome(fit.run())
    at = 3 if name == "stream in steps" else 4
    stumble = Stumble(turn, at)
    trainer = fit.trainer()
    callbacks = [*fit.callbacks(), stumble]
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(
            fit.x, fit.y, callbacks=callbacks, validation_data=fit.validation, progress=False, **fit.options
        )
    assert trainer.history.stop_reason.startswith("interrupted")
    trainer.resume(fit.x, fit.y, validation_data=fit.validation, callbacks=callbacks, progress=False)
    assert_same(trainer, expected)


def test_resumes_after_a_metric_that_failed(tmp_path: Path) -> None:
    """What an epoch collected is not lost in this process; it is in no file."""
    fail = [True]

    def share(y_true: np.ndarray, y_pred: np.ndarray) -> float:
        if fail.pop() if fail else False:
            raise ZeroDivisionError
        return float(np.mean(y_true))

    def made() -> rg.Trainer:
        return classify(metrics=[share])

    trainer = made()
    with pytest.raises(ZeroDivisionError):
        trainer.fit(X, LABELS, progress=False, **BASIC)
    with pytest.raises(rg.StateError, match="while the metrics of an epoch were computed"):
        trainer.save(tmp_path / "a")
    trainer.resume(X, LABELS, progress=False)
    whole = made()
    whole.fit(X, LABELS, progress=False, **BASIC)
    assert_same(trainer, outcome(whole))


def test_a_stream_that_was_left_between_two_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come after a step and before its loss is noted: nobody can finish that epoch."""
    fit = FITS["stream"]
    trainer = fit.trainer()

    def interrupted_add(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("retrograd._feed._Total.add", interrupted_add)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(fit.x, progress=False, **fit.options)
    with pytest.raises(rg.StateError, match="interrupted just after a step on a stream's batch"):
        trainer.resume(fit.x)
    trainer.fit(fit.x, progress=False, **fit.options)


def test_nothing_to_resume(tmp_path: Path) -> None:
    trainer = classify()
    with pytest.raises(rg.StateError, match="no fit was interrupted; call fit"):
        trainer.resume(X, LABELS)
    trainer.fit(X, LABELS, epochs=2, progress=False)
    for one in (trainer, rg.Trainer.load(trainer.save(tmp_path / "a"))):
        with pytest.raises(rg.StateError, match=r"the fit is finished \(all 2 epochs done\); fit"):
            one.resume(X, LABELS)


def interrupted(**options: Any) -> rg.Trainer:
    trainer = classify()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, LABELS, callbacks=Stumble("on_iteration_end", 5), progress=False, **BASIC | options)
    return trainer


def test_a_trainer_that_went_on(tmp_path: Path) -> None:
    """It cannot finish the fit any more, and its file does not say that it could."""
    trainer = interrupted()
    loaded = rg.Trainer.load(trainer.save(tmp_path / "a"))
    for one in (trainer, loaded):
        one.step(X[:8], LABELS[:8])
        with pytest.raises(rg.StateError, match="has gone on since"):
            one.resume(X, LABELS, callbacks=Stumble("on_iteration_end", 5))
        with pytest.raises(rg.StateError, match="interrupted in epoch 2"):
            rg.Trainer.load(one.save(tmp_path / "b")).resume(X, LABELS)
    trainer.fit(X, LABELS, progress=False)  # begins an epoch
    with pytest.raises(rg.StateError, match="is finished"):
        trainer.resume(X, LABELS)


# ------------------------------------------------------------------------------------ what does not belong


def changed(index: Any, by: float = 1.0) -> np.ndarray:
    x = X.copy()
    x[index] += by
    return x


def test_other_data_is_refused(tmp_path: Path) -> None:
    trainer = interrupted()
    before = outcome(trainer)
    path = trainer.save(tmp_path / "a")
    more = {"callbacks": Stumble("on_iteration_end", 99), "progress": False}
    for given, text in [
        (
            (X[:-1], LABELS[:-1]),
            r"x is not that of .*: its shape is \(25, 5\), it was \(26, 5\); pass the same",
        ),
        ((X.astype(np.float64), LABELS), "x is not .*: its dtype is float64, it was float32"),
        ((changed((20, 3), 1e-6), LABELS), "x is not .*: its numbers are others"),
        ((X, LABELS[::-1]), "y is not .*: its numbers are others"),
        ((rg.data.Indexed(26, lambda rows: (X[rows], LABELS[rows])), None), "was given x, y, this call data"),
    ]:
        for one in (trainer, rg.Trainer.load(path)):
            with pytest.raises(rg.ArgumentError, match=text):
                one.resume(*given, **more)
            assert_same(one, before)
    with pytest.raises(rg.ArgumentError, match="was given nothing, this call validation x, validation y"):
        trainer.resume(X, LABELS, validation_data=(X, LABELS), **more)
    trainer.resume(np.asfortranarray(X), list(LABELS), **more)  # the same numbers


def test_validation_data_is_compared(tmp_path: Path) -> None:
    trainer = interrupted(validation_data=(X[:9], LABELS[:9]))
    more = {"callbacks": Stumble("on_iteration_end", 99)}
    with pytest.raises(rg.ArgumentError, match="was given validation x, validation y, this call nothing"):
        trainer.resume(X, LABELS, **more)
    with pytest.raises(rg.ArgumentError, match=r"validation x is not .*\(8, 5\), it was \(9, 5\)"):
        trainer.resume(X, LABELS, validation_data=(X[:8], LABELS[:8]), **more)


def test_large_arrays_are_compared_by_some_rows() -> None:
    from retrograd._checkpoint import fingerprint

    x = np.zeros((70_000, 64), np.float32)  # 18 MB
    before = fingerprint(x)
    x[-1, 0] = 1
    assert fingerprint(x) != before
    x[-1, 0] = 0
    assert fingerprint(x[::-1]) == before
    wide = np.zeros((3, 2_000_000), np.float32)
    before = fingerprint(wide)
    wide[2, -1] = 1
    assert fingerprint(wide) != before
    assert fingerprint(np.ones(3, ">f4")) == fingerprint(np.ones(3, "<f4"))


def test_other_callbacks_are_refused() -> None:
    trainer = interrupted()
    with pytest.raises(
        rg.ArgumentError, match=r"had the callbacks \[Stumble\], got \[\]; pass the same kinds"
    ):
        trainer.resume(X, LABELS)
    with pytest.raises(rg.ArgumentError, match=r"got \[Stumble, LossBelow\]"):
        trainer.resume(X, LABELS, callbacks=[Stumble("on_epoch_end", 99), rg.stop.LossBelow(0)])


def test_other_windows_are_refused() -> None:
    tokens = np.arange(60) % 7
    net = rg.Sequential([rg.Input(4, dtype="int64"), rg.Embedding(7, 3), rg.Dense(7)])
    trainer = rg.Trainer(net, "cross_entropy")
    stumble = Stumble("on_iteration_end", 2)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(rg.data.Windows(tokens, 4), epochs=2, batch_size=4, callbacks=stumble, progress=False)
    for source, text in [
        (rg.data.Windows(tokens[::-1].copy(), 4), "its numbers are others"),
        (rg.data.Windows(tokens, 4, 2), "its rows is 28, it was 14"),
        (rg.data.Stream(lambda: iter(())), "its kind is Stream, it was Windows"),
    ]:
        with pytest.raises(rg.ArgumentError, match=text):
            trainer.resume(source, callbacks=stumble)
    trainer.resume(rg.data.Windows(tokens, 4), callbacks=stumble, progress=False)


def test_states_that_cannot_be_saved(tmp_path: Path) -> None:
    class Holder:
        def on_epoch_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
            trainer.save(tmp_path / "a")

        def state_dict(self) -> dict[str, Any]:
            return {"net": network()}

    with pytest.raises(
        rg.ArgumentError, match=r"save: callback\.0\.net is .* of type Model; numbers, strings"
    ):
        classify().fit(X, LABELS, callbacks=Holder(), progress=False)
    assert not list(tmp_path.iterdir())


def test_saving_while_another_thread_trains(tmp_path: Path) -> None:
    """From within a step, where numbers are on their way, there is nothing to save."""
    errors = []

    class Tick:
        def on_epoch_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None: ...

        def on_tick(self, trainer: rg.Trainer) -> None:
            with pytest.raises(rg.StateError) as error:
                trainer.save(tmp_path / "a")
            errors.append(error.value)
            trainer.stop()

    x = np.broadcast_to(np.float32(0.5), (100_000, 100))
    net = rg.Sequential([rg.Input(100), rg.Dense(300), rg.Dense(1)])
    rg.Trainer(net, "mse").fit(x, x[:, 0], epochs=9, batch_size=1000, callbacks=Tick(), progress=False)
    assert errors


def label_loss(output: rg.Node, target: rg.Node) -> rg.Node:
    return -rg.ops.sum(rg.ops.one_hot(target, 3) * rg.ops.log_softmax(output), axis=-1)


def test_losses_of_ones_own(tmp_path: Path) -> None:
    """The file has the graph that the function made, or could make of targets like the outputs."""
    for loss, y, needed in ((own_loss, TARGETS, False), (label_loss, LABELS, True)):
        trainer = rg.Trainer(network(), loss, rg.Adam(1e-2), threads=1)
        early = trainer.save(tmp_path / "early")
        if needed:
            with pytest.raises(
                rg.ArgumentError, match="was saved before its loss, a function of one's own, was"
            ):
                rg.Trainer.load(early)
        given = rg.Trainer.load(early, loss=loss)
        trainer.step(X[:8], y[:8])
        kept = rg.Trainer.load(trainer.save(tmp_path / "late"))
        assert repr(kept) == repr(trainer)
        given.step(X[:8], y[:8])
        assert outcome(given) == outcome(trainer) == outcome(kept)
        for one in (trainer, given, kept):
            one.step(X[8:16], y[8:16])
        assert outcome(given) == outcome(trainer) == outcome(kept)
        with pytest.raises(
            rg.ArgumentError, match=r"that a function .* made for targets .*; pass the function"
        ):
            kept.forward(X[:8], np.zeros((8, 2)))
    with pytest.raises(rg.ArgumentError, match="which needs no function; leave loss= out"):
        rg.Trainer.load(classify().save(tmp_path / "named"), loss=own_loss)


def test_metrics_of_ones_own(tmp_path: Path) -> None:
    path = FITS["own loss and metric"].trainer().save(tmp_path / "a")
    with pytest.raises(rg.ArgumentError, match=r"metric 'spread' .*pass it: metrics=\{'spread': spread\}"):
        rg.Trainer.load(path)
    with pytest.raises(rg.ArgumentError, match="metrics has mine, and the file asks for spread of your own"):
        rg.Trainer.load(path, metrics={"spread": spread, "mine": spread})
    trainer = classify(metrics={"top": partial(rg.metrics.top_k_accuracy, k=2), "hits": "accuracy"})
    loaded = rg.Trainer.load(trainer.save(tmp_path / "b"))
    assert loaded.evaluate(X, LABELS) == trainer.evaluate(X, LABELS)


def test_a_loaded_trainer_can_be_looked_into(tmp_path: Path) -> None:
    """The loss's graph serves a trace and a copy in float64 as well as training."""
    trainer = rg.Trainer(network(dropout=False), own_loss, threads=1)
    trainer.step(X[:8], TARGETS[:8])
    loaded = rg.Trainer.load(trainer.save(tmp_path / "a"))
    assert loaded.trace(X[:8], TARGETS[:8]).loss == trainer.trace(X[:8], TARGETS[:8]).loss
    assert loaded._twin("float64").step(X[:8], TARGETS[:8]) == trainer._twin("float64").step(
        X[:8], TARGETS[:8]
    )
