"""What a history knows of its run: its phases, its verdict, and what fit(record="layers") puts into it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import retrograd as rg

X, Y = rg.datasets.digits()
X = X / 8.0 - 1.0


def history_of(loss: Sequence[float], **columns: Sequence[float]) -> rg.History:
    history = rg.History()
    for k, value in enumerate(loss):
        history.add({"loss": value} | {name: column[k] for name, column in columns.items()})
    return history


def spans(history: rg.History) -> list[tuple[int, int]]:
    return [(phase.first, phase.last) for phase in history.phases().phases]


# ---------------------------------------------------------------------------------------------- phases


def test_the_phases_of_a_decay() -> None:
    loss = [1.0 + math.exp(-k / 10) for k in range(100)]
    fall = loss[0] - loss[-1]
    ends = [next(k for k in range(100) if loss[0] - loss[k] >= s * fall) + 1 for s in (0.63, 0.95, 0.99)]
    assert ends == [11, 31, 48]
    assert spans(history_of(loss)) == [(1, 11), (12, 31), (32, 48), (49, 100)]
    phases = history_of(loss).phases()
    assert list(phases["middle"].epochs) == list(range(12, 32))
    assert len(phases["plateau"]) == 52
    assert phases["early"].loss == loss[10]
    assert math.isnan(phases["early"].update_ratio)


def test_noise_and_missing_epochs_do_not_move_the_phases() -> None:
    loss = [1.0 + math.exp(-k / 10) for k in range(100)]
    rng = np.random.default_rng(0)
    spiky = [value + (0.8 if k and rng.random() < 0.3 and k != 99 else 0.0) for k, value in enumerate(loss)]
    spiky[20] = math.nan
    for (a, b), (c, d) in zip(spans(history_of(loss)), spans(history_of(spiky)), strict=True):
        assert abs(a - c) <= 3
        assert abs(b - d) <= 3


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ([2.0], [(1, 1), (2, 1), (2, 1), (2, 1)]),  # one epoch is early
        ([2.0, 1.0], [(1, 2), (3, 2), (3, 2), (3, 2)]),  # all of the fall at once
        ([4.0, 3.0, 2.0, 1.0], [(1, 3), (4, 4), (5, 4), (5, 4)]),  # still falling: no plateau
        ([1.0, 2.0, 3.0], [(1, 0), (1, 0), (1, 0), (1, 3)]),  # rising: nothing but a plateau
        ([1.0, 1.0, 1.0], [(1, 0), (1, 0), (1, 0), (1, 3)]),
        ([math.nan, 2.0, 1.0, 1.0], [(1, 3), (4, 3), (4, 3), (4, 4)]),
    ],
)
def test_phases_of_short_and_rising_runs(loss: list[float], expected: list[tuple[int, int]]) -> None:
    assert spans(history_of(loss)) == expected


def test_phases_print_and_are_plain_numbers() -> None:
    columns = {"update_ratio/a": [0.1, 0.02, 0.01], "update_ratio/b": [0.3, 0.02, 0.03]}
    phases = history_of([3.0, 1.0, 1.0], **columns).phases()
    assert str(phases).splitlines() == [
        "early    epochs 1 to 2, loss down to 1, updates 1.1e-01 of the weights",
        "middle   none",
        "late     none",
        "plateau  epoch 3, loss down to 1, updates 2.0e-02 of the weights",
    ]
    assert not phases["late"]
    plain = json.loads(json.dumps(phases.to_dict(), allow_nan=False))
    assert plain["early"] == {"first": 1, "last": 2, "loss": 1.0, "update_ratio": pytest.approx(0.11)}
    assert plain["middle"]["loss"] is None
    with pytest.raises(rg.ArgumentError, match=r"^phases: unknown name 'erly'; did you mean 'early'"):
        phases["erly"]
    with pytest.raises(rg.StateError, match=r"^phases: the history has no loss yet; train for"):
        rg.History().phases()


# --------------------------------------------------------------------------------------------- verdicts


def decay(low: float, rate: float, epochs: int = 40) -> list[float]:
    return [low + (2.3 - low) * math.exp(-k / rate) for k in range(epochs)]


def test_good() -> None:
    verdict = history_of(decay(0.05, 5), val_loss=decay(0.1, 5)).verdict()
    assert verdict == "good"
    assert verdict.name == "good"
    assert verdict.best_epoch == 40
    assert str(verdict) == (
        "good: the validation loss was lowest in epoch 40 of 40, 0.1009, and is 0.1009 at the end."
    )
    assert history_of(decay(0.05, 5)).verdict() == "good"  # without validation data as well


def test_overfitting_has_its_best_epoch_and_numbers() -> None:
    val = [0.5 + (k - 14) ** 2 / 400 for k in range(40)]
    verdict = history_of(decay(0.0, 5), val_loss=val).verdict()
    assert verdict == "overfitting"
    assert verdict.best_epoch == 15
    end = sorted(val[-3:])[1]
    assert f"lowest in epoch 15 of 40, 0.5, and rose to {end:.4g}" in verdict.text
    assert verdict != "good"


def test_a_rise_of_validation_alone_is_overfitting_only_while_training_falls() -> None:
    val = [0.5 + abs(k - 14) / 20 for k in range(40)]
    train = [0.4 + abs(k - 14) / 20 for k in range(40)]
    assert history_of(train, val_loss=val).verdict() != "overfitting"
    near_zero = [*decay(0.0, 2, 20), *([2e-4] * 20)]
    assert history_of(decay(0.0, 2), val_loss=near_zero).verdict() != "overfitting"  # too small to be felt
    wiggle = [v + (0.3 if k == 39 else 0.0) for k, v in enumerate(decay(0.1, 5))]
    assert history_of(decay(0.0, 5), val_loss=wiggle).verdict() == "good"  # one epoch is no rise


def test_underfitting() -> None:
    assert history_of([2.3] * 10, val_loss=[2.3] * 10).verdict() == "underfitting"
    flat = [1.8 + 0.5 * math.exp(-k / 3) for k in range(40)]
    verdict = history_of(flat, val_loss=[v + 0.02 for v in flat]).verdict()
    assert verdict == "underfitting"
    assert "78% of that of the first epoch" in verdict.text
    right = [0.95] * 40  # most are right in the first epoch already
    assert history_of(flat, val_loss=flat, accuracy=right).verdict() == "good"


def test_too_few_and_too_many_epochs() -> None:
    verdict = history_of(decay(0.0, 30), val_loss=decay(0.1, 30)).verdict()
    assert verdict == "too few epochs"
    assert "came in the last 8 of 40 epochs" in verdict.text
    assert history_of(decay(0.0, 5, 2)).verdict() == "too few epochs"
    val = [*decay(0.1, 2, 12), *([0.12] * 28)]
    verdict = history_of(decay(0.0, 5), val_loss=val).verdict()
    assert verdict == "too many epochs"
    assert verdict.best_epoch == 12
    # exponential: 5 % of the fall in the last fifth is left after 2.7 time constants
    assert history_of(decay(0.0, 40 / 2.5)).verdict() == "too few epochs"
    assert history_of(decay(0.0, 40 / 2.9)).verdict() == "good"
    with pytest.raises(rg.StateError, match=r"^verdict: the history has no loss yet"):
        rg.History().verdict()


def test_verdicts_of_real_runs() -> None:
    order = np.random.default_rng(0).permutation(len(X))
    aside = order[1400:]

    def verdict(rows: Any, epochs: int, units: int, rate: float) -> Any:
        net = rg.Sequential([rg.Input(64), rg.Dense(units, activation="relu"), rg.Dense(10)])
        trainer = rg.Trainer(net, "cross_entropy", rg.Adam(rate))
        data = (X[aside], Y[aside])
        return trainer.fit(X[rows], Y[rows], epochs, 32, validation_data=data, progress=False).verdict()

    assert verdict(order[:1400], 40, 32, 1e-3) == "good"
    assert verdict(order[:1400], 5, 32, 1e-3) == "too few epochs"
    assert verdict(order[:60], 200, 256, 3e-3) == "overfitting"
    assert verdict(order[:1400], 20, 32, 1e-8) == "underfitting"


# ------------------------------------------------------------------------------------------------ plot


def test_plot_calls_the_module_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("retrograd.plot")
    calls: list[Any] = []

    def plot(*arguments: Any, **options: Any) -> str:
        calls.append((arguments, options))
        return "axes"

    vars(fake)["history"] = plot
    monkeypatch.setitem(sys.modules, "retrograd.plot", fake)
    history = history_of([1.0])
    assert history.plot("loss", ax=3) == "axes"
    assert calls == [((history, "loss"), {"ax": 3})]


# ---------------------------------------------------------------------------------------------- record


def network(dtype: str = "float32") -> rg.Model:
    layers: list[Any] = [rg.Dense(24), rg.BatchNorm(), rg.Activation("relu"), rg.Dropout(0.2)]
    layers += [rg.Dense(12, activation="tanh", name="second"), rg.Dense(10)]
    return rg.Sequential([rg.Input(64), *layers], dtype=dtype)


def fitted(record: str | None, data: tuple[Any, ...] = (X, Y), **options: Any) -> rg.Trainer:
    trainer = rg.Trainer(network(), "cross_entropy", rg.Adam(1e-3), metrics=["accuracy"], l2=1e-4, seed=3)
    trainer.fit(*data, epochs=3, record=record, progress=False, **options)
    return trainer


@pytest.mark.parametrize("validation_split", [0.0, 0.3])
def test_recording_does_not_touch_the_run(validation_split: float) -> None:
    plain = fitted(None, validation_split=validation_split)
    recorded = fitted("layers", validation_split=validation_split)
    assert plain.model.to_bytes() == recorded.model.to_bytes()
    assert plain.model.flat_gradients.tobytes() == recorded.model.flat_gradients.tobytes()
    assert (plain.iteration, plain.epoch) == (recorded.iteration, recorded.epoch)
    for name, values in plain.history.history.items():
        if name not in ("seconds", "samples_per_second"):
            assert values == recorded.history.history[name], name
    assert not [name for name in plain.history.history if "/" in name]
    for name, slots in plain.optimizer_state.items():
        for slot, view in slots.items():
            assert view.tobytes() == recorded.optimizer_state[name][slot].tobytes()


def test_a_stream_is_not_touched_either() -> None:
    def batches(epoch: int) -> Any:
        yield from rg.data.batches(X, Y, batch_size=100, seed=3, epoch=epoch)

    plain, recorded = (fitted(record, (rg.data.Stream(batches),)) for record in (None, "layers"))
    arrays = fitted("layers", batch_size=100)
    assert plain.model.to_bytes() == recorded.model.to_bytes() == arrays.model.to_bytes()
    for name, values in recorded.history.history.items():
        if "/" in name:
            assert values == arrays.history.history[name], name  # the same 256 rows


def test_names_of_what_is_recorded() -> None:
    found = [name for name in fitted("layers").history.history if "/" in name]
    parameters = [f"{layer}.{role}" for layer in ("dense_0", "batch_norm_0") for role in ("weight", "bias")]
    parameters += [f"{layer}.{role}" for layer in ("second", "dense_1") for role in ("weight", "bias")]
    layers = ["dense_0", "second", "dense_1"]
    expected = {
        f"{what}/{name}" for what in ("gradient_norm", "update_norm", "update_ratio") for name in parameters
    }
    expected |= {
        f"{what}/{name}" for what in ("delta_rms", "activation_mean", "activation_std") for name in layers
    }
    assert set(found) == expected | {"saturated/second", "dead/dense_0"}


def test_what_is_recorded_is_what_the_trace_shows() -> None:
    trainer = rg.Trainer(network(), "cross_entropy", rg.SGD(0.05), seed=3)
    rows = next(rg.data.batches(np.arange(len(X)), batch_size=256, seed=3, epoch=0))
    for epoch in range(3):
        trainer.fit(X, Y, epochs=1, record="layers", progress=False)
        rows = next(rg.data.batches(np.arange(len(X)), batch_size=256, seed=3, epoch=epoch))
        trace = trainer.trace(X[rows], Y[rows])  # each fit begins with the first rows of its first epoch
        now = {name: values[-1] for name, values in trainer.history.history.items()}
        outputs = {
            "dense_0": trace["activation_0"].a,
            "second": trace["second"].a,
            "dense_1": trace["dense_1"].a,
        }
        for name, a in outputs.items():
            delta = trace[name].delta.astype(np.float64)
            assert now[f"delta_rms/{name}"] == pytest.approx(np.sqrt(np.mean(delta**2)), rel=1e-6)
            assert now[f"activation_mean/{name}"] == pytest.approx(a.mean(dtype=np.float64))
            assert now[f"activation_std/{name}"] == pytest.approx(a.std(dtype=np.float64))
        assert now["dead/dense_0"] == np.mean((outputs["dense_0"] == 0).all(axis=0))
        assert now["saturated/second"] == pytest.approx(np.mean(np.abs(outputs["second"]) >= 0.97))
        for name, weight in trainer.model.parameters.items():
            norm = np.linalg.norm(weight.astype(np.float64))
            assert now[f"update_ratio/{name}"] == pytest.approx(now[f"update_norm/{name}"] / norm)


def test_the_rows_stay_the_same_from_epoch_to_epoch() -> None:
    trainer = rg.Trainer(network(), "cross_entropy", rg.SGD(0.0), seed=3)
    trainer.model.freeze("batch_norm_0")
    found = trainer.fit(X, Y, epochs=3, record="layers", progress=False).history
    for name in ("activation_mean/dense_0", "activation_std/dense_0", "dead/dense_0"):  # before the dropout
        assert len(set(found[name])) == 1, name


def test_an_update_over_weights_that_are_zero() -> None:
    net = rg.Sequential([rg.Input(64), rg.Dense(10, weight_init="zeros")])
    net.freeze("dense_0.weight")
    trainer = rg.Trainer(net, "cross_entropy", rg.SGD(0.0))
    found = trainer.fit(X, Y, epochs=1, record="layers", progress=False).history
    assert found["update_ratio/dense_0.bias"] == [0.0]
    assert "update_ratio/dense_0.weight" not in found


def test_frozen_layers_have_activations_and_no_delta() -> None:
    net = network()
    net.freeze("dense_0", "batch_norm_0")
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(1e-3))
    found = trainer.fit(X, Y, epochs=2, record="layers", progress=False).history
    assert found["activation_std/dense_0"][-1] > 0
    assert "gradient_norm/dense_0.weight" not in found
    assert found["delta_rms/second"][-1] > 0


def test_weights_of_samples_that_are_all_zero_in_the_rows_looked_at() -> None:
    weight = np.r_[np.zeros(256), np.ones(len(X) - 256)]
    trainer = rg.Trainer(network(), "cross_entropy", rg.Adam(1e-3))
    trainer.fit(X, Y, epochs=1, shuffle=False, sample_weight=weight, record="layers", progress=False)
    assert trainer.history.history["delta_rms/dense_0"][0] > 0


def test_the_next_fit_without_a_record_leaves_gaps() -> None:
    trainer = fitted("layers")
    trainer.fit(X, Y, epochs=1, progress=False)
    values = trainer.history.history["delta_rms/second"]
    assert len(values) == 4
    assert math.isnan(values[-1])


@pytest.mark.parametrize("scale", [1.0, 1e-24])
@pytest.mark.parametrize("threads", [1, 2])
def test_norms_are_means_over_every_sixteenth_iteration(threads: int, scale: float) -> None:
    """Beside a loop of one's own; also where the squares of float32 would be 0."""
    recorded, by_hand = (
        rg.Trainer(network(), "cross_entropy", rg.SGD(0.05), loss_weights=[scale], seed=3, threads=threads)
        for _ in range(2)
    )
    found = recorded.fit(X, Y, epochs=1, batch_size=16, record="layers", progress=False).history
    sums: dict[str, list[float]] = {}
    for number, (xb, yb) in enumerate(rg.data.batches(X, Y, batch_size=16, seed=3, epoch=0)):
        before = {name: weight.astype(np.float64) for name, weight in by_hand.model.parameters.items()}
        by_hand.step(xb, yb)
        for name, weight in by_hand.model.parameters.items() if number % 16 == 0 else ():
            gradient = by_hand.model.gradients[name].astype(np.float64)
            sums.setdefault(f"gradient_norm/{name}", []).append(np.linalg.norm(gradient))
            sums.setdefault(f"update_norm/{name}", []).append(np.linalg.norm(weight - before[name]))
    assert len(next(iter(sums.values()))) == 1 + (len(X) - 1) // 16 // 16 > 1
    for name, norms in sums.items():
        assert found[name][0] == pytest.approx(np.mean(norms), rel=1e-5), name
    assert found["gradient_norm/dense_1.weight"][0] > 0
