"""Schedules that look at training, and what schedules and optimizers say of numbers that cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference as ref
import retrograd as rg
from retrograd import schedules


def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    return x, (x @ rng.normal(size=(4, 2))).astype(np.float32)


def trainer_with(schedule: schedules.Schedule, metrics: Any = ()) -> rg.Trainer:
    net = rg.Sequential([rg.Input(4), rg.Dense(2)], seed=1)
    return rg.Trainer(net, loss="mse", optimizer=rg.SGD(schedule), metrics=metrics)


# -------------------------------------------------------------------------------------- ReduceOnPlateau


def test_fit_shows_every_epoch_to_the_plateau() -> None:
    """The rates in the history are those of the reference for the values in the history."""
    x, y = problem()
    schedule = schedules.ReduceOnPlateau(0.2, factor=0.5, patience=1, threshold=0.3)
    trainer = trainer_with(schedule)
    history = trainer.fit(x[:40], y[:40], epochs=20, validation_data=(x[40:], y[40:]), batch_size=7).history
    rates = ref.reduce_on_plateau(history["val_loss"], 0.2, 0.5, 1, threshold=0.3)
    assert history["lr"] == [0.2, *rates[:-1]]
    assert trainer.lr == rates[-1] < 0.2
    assert trainer.schedule_state["lr"] == trainer.lr


def test_a_plateau_watches_any_monitor_and_knows_which_way_is_up() -> None:
    x, y = problem()
    trainer = trainer_with(schedules.ReduceOnPlateau(0.2, patience=0, monitor="r2", factor=0.5), ["r2"])
    history = trainer.fit(x, y, epochs=8).history
    assert history["lr"] == [0.2, *ref.reduce_on_plateau(history["r2"], 0.2, 0.5, 0, maximise=True)[:-1]]
    low = schedules.ReduceOnPlateau(0.2, monitor="val_accuracy", mode="min").settings()
    assert low["maximise"] == 0.0
    assert schedules.ReduceOnPlateau(0.2, monitor="val_accuracy").settings()["maximise"] == 1.0


def test_a_plateau_goes_on_from_its_state() -> None:
    values = [1.0, 0.9, 0.95, 0.97, 0.99, 0.5, 0.6, 0.7, 0.8]
    schedule = schedules.ReduceOnPlateau(0.1, factor=0.5, patience=1, cooldown=1)
    whole, first, second = (trainer_with(schedule) for _ in range(3))
    for value in values:
        whole.observe(value)
    for value in values[:4]:
        first.observe(value)
    second.schedule_state = first.schedule_state
    for value in values[4:]:
        second.observe(value)
    assert second.schedule_state == whole.schedule_state
    assert second.lr == whole.lr == ref.reduce_on_plateau(values, 0.1, 0.5, 1, cooldown=1)[-1]


def test_a_monitor_that_does_not_exist_lists_those_that_do() -> None:
    x, y = problem()
    trainer = trainer_with(schedules.ReduceOnPlateau(0.1))
    before = trainer.model.flat_parameters.copy()
    with pytest.raises(rg.ArgumentError) as error:
        trainer.fit(x, y)
    assert str(error.value) == (
        "ReduceOnPlateau: there is no 'val_loss' to watch; pass validation_data= or validation_split= to fit,"
        " or choose one of loss, lr, penalty, gradient_norm, seconds, samples_per_second"
    )
    assert np.array_equal(trainer.model.flat_parameters, before)


def test_a_rate_that_is_set_ends_the_plateau() -> None:
    x, y = problem()
    trainer = trainer_with(schedules.ReduceOnPlateau(0.1))
    trainer.lr = 0.05
    assert trainer.fit(x, y, epochs=2).history["lr"] == [0.05, 0.05]
    assert trainer.schedule_state == {}


def test_schedules_of_time_have_no_state() -> None:
    trainer = trainer_with(schedules.Constant(0.1))
    assert trainer.schedule_state == {}
    with pytest.raises(rg.StateError, match="depends on time alone"):
        trainer.observe(1.0)
    with pytest.raises(rg.StateError, match="depends on time alone"):
        trainer.schedule_state = {"best": 1.0}
    plateau = trainer_with(schedules.ReduceOnPlateau(0.1))
    with pytest.raises(rg.ArgumentError, match="'cooldown' is missing"):
        plateau.schedule_state = {"best": 1.0, "bad": 0.0, "lr": 0.1}
    with pytest.raises(rg.ArgumentError, match="'lr' is missing"):
        plateau.schedule_state = {"best": 1.0, "bad": 0.0, "cooldown": 0.0}
    with pytest.raises(rg.StateError, match=r"ask trainer\.lr"):
        schedules.ReduceOnPlateau(0.1).lr_at(3)
    with pytest.raises(rg.ArgumentError, match="observe: value: expected a number, got 'low'"):
        plateau.observe("low")  # type: ignore[arg-type]


def test_groups_scale_what_the_plateau_says() -> None:
    schedule = schedules.ReduceOnPlateau(0.1, factor=0.5, patience=0)
    net = rg.Sequential([rg.Input(1), rg.Dense(1, weight_init=np.ones((1, 1)), use_bias=False)])
    groups = [rg.ParamGroup("dense_0", lr_scale=0.5)]
    trainer = rg.Trainer(net, loss="half_squared_error", optimizer=rg.SGD(schedule), param_groups=groups)
    for value in (1.0, 1.0):
        trainer.observe(value)
    trainer.step(np.ones((1, 1)), np.zeros((1, 1)))
    assert net.flat_parameters[0] == pytest.approx(1.0 - 0.5 * 0.05, rel=1e-6)


# ----------------------------------------------------------------------------- numbers that cannot be

BAD: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: schedules.OneCycle(0.1, 0),
        "OneCycle: total: expected at least 1, got 0",
    ),
    (lambda: schedules.OneCycle(0.1, 9, pct_start=1.5), "OneCycle: pct_start: expected at most 1, got 1.5"),
    (lambda: schedules.OneCycle(0.1, 9, div_factor=0), "OneCycle: div_factor: expected more than 0.0, got 0"),
    (
        lambda: schedules.WarmupCosine(0.1, 10, 10),
        "WarmupCosine: warmup must be below total, got warmup=10 and total=10; total counts the warmup too",
    ),
    (lambda: schedules.WarmupCosine(0.1, -1, 9), "WarmupCosine: warmup: expected at least 0, got -1"),
    (
        lambda: schedules.Piecewise([5], [0.1]),
        "Piecewise: expected one value more than boundaries, got 1 boundaries and 1 values",
    ),
    (
        lambda: schedules.Piecewise([5, 5], [0.1, 0.2, 0.3]),
        "Piecewise: boundaries must rise, but 5 is followed by 5",
    ),
    (lambda: schedules.Piecewise([0], [0.1, 0.2]), "Piecewise: boundaries[0]: expected at least 1, got 0"),
    (
        lambda: schedules.Piecewise([4], [0.1, math.nan]),
        "Piecewise: values[1]: expected a finite number, got nan",
    ),
    (
        lambda: schedules.Piecewise([4], [0.1, 0.2], unit="step"),
        "Piecewise: unit: unknown name 'step'; choose one of iteration, epoch",
    ),
    (
        lambda: schedules.ReduceOnPlateau(0.1, factor=1.0),
        "ReduceOnPlateau: factor: expected less than 1.0, got 1",
    ),
    (
        lambda: schedules.ReduceOnPlateau(0.1, mode="up"),
        "ReduceOnPlateau: mode: unknown name 'up'; choose one of auto, min, max",
    ),
    (
        lambda: schedules.ReduceOnPlateau(0.1, patience=-1),
        "ReduceOnPlateau: patience: expected at least 0, got -1",
    ),
    (lambda: rg.Adadelta(rho=1.1), "Adadelta: rho: expected at most 1, got 1.1"),
    (lambda: rg.NAdam(betas=(0.9, 1.0)), "NAdam: betas[1]: expected less than 1.0, got 1"),
    (
        lambda: rg.RAdam(decoupled_weight_decay=1),
        "RAdam: decoupled_weight_decay: expected True or False, got 1",
    ),
    (lambda: rg.Adamax(eps=-1), "Adamax: eps: expected at least 0, got -1"),
    (lambda: rg.Lion(betas=0.9), "Lion: betas must be two numbers such as (0.9, 0.999), got 0.9"),
    (
        lambda: rg.Rprop(etas=(1.2, 0.5)),
        "Rprop: etas: expected 0 < etas[0] < 1 < etas[1], got 1.2 and 0.5",
    ),
    (
        lambda: rg.Rprop(step_sizes=(1.0, 0.5)),
        "Rprop: step_sizes: expected 0 < step_sizes[0] <= step_sizes[1], got 1 and 0.5",
    ),
    (lambda: rg.Rprop(step_sizes="ab"), "Rprop: step_sizes must be two numbers such as (1e-6, 50), got 'ab'"),
]


@pytest.mark.parametrize(("make", "text"), BAD, ids=[text for _, text in BAD])
def test_numbers_that_cannot_be(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(rg.ArgumentError) as error:
        make()
    assert str(error.value) == text


def test_a_decay_for_an_optimizer_without_any() -> None:
    net = rg.Sequential([rg.Input(4), rg.Dense(2)])
    with pytest.raises(rg.ArgumentError, match="optimizer rprop: unknown setting 'weight_decay'"):
        rg.Trainer(net, "mse", rg.Rprop(), param_groups=[rg.ParamGroup("dense_0", weight_decay=0.1)])
