"""The run behind the page: phases are steps, going back is exact, a copy goes the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd._play.config import CHOICES, Config
from retrograd._play.limits import SettingError
from retrograd._play.run import BACKWARD, FORWARD, IDLE, LOSS, UPDATE, Given, Run
from retrograd._play.scenes import given_scene, make_scene
from retrograd._play.timeline import Curve, Snapshot, Snapshots

OPTIMIZERS = CHOICES["optimizer"]
SMALL = Config(rows=40, batch_size=8, test_share=0.25)


def state(run: Run) -> list[np.ndarray[Any, Any]]:
    """All that the next step depends on."""
    slots = [view.copy() for _, _, view in run.trainer._core.optimizer_state()]
    buffers = [view.copy() for view in run.model.buffers.values()]
    counts = np.array([run.step, run.epoch, run.row, run.trainer.iteration, run.trainer.lr])
    return [run.model.flat_parameters.copy(), counts, *slots, *buffers]


def equal(a: list[np.ndarray[Any, Any]], b: list[np.ndarray[Any, Any]]) -> bool:
    return len(a) == len(b) and all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def by_phases(run: Run) -> None:
    run.next_phase()
    while run.phase != UPDATE:
        run.next_phase()
    run.next_phase()
    assert run.phase == IDLE


# ------------------------------------------------------------------------------------------- phases


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_phases_are_a_step_of_the_trainer(optimizer: str) -> None:
    config = SMALL.changed({"optimizer": optimizer, "lr": 0.02, "dropout": 0.2, "l2": 1e-3, "clip_norm": 1.0})
    phased, plain = Run(config), Run(config)
    phased.layers = 3
    net = plain.model
    trainer = rg.Trainer(net, "bce", plain.trainer.optimizer, l2=1e-3, clip_norm=1.0, seed=config.seed)
    rows = plain.scene.rows
    x, y = plain.scene.x[rows], plain.scene.y[rows]
    for epoch in range(3):
        for xb, yb in rg.data.batches(x, y, batch_size=8, seed=config.seed, epoch=epoch):
            loss = trainer.step(xb, yb)
            by_phases(phased)
            assert phased.loss == loss
            np.testing.assert_array_equal(phased.model.flat_parameters, net.flat_parameters)
            theirs = [view for _, _, view in trainer._core.optimizer_state()]
            assert equal([view for _, _, view in phased.trainer._core.optimizer_state()], theirs)
    assert (phased.step, phased.epoch, phased.row) == (12, 3, 0)


def test_the_order_of_phases_and_the_way_back() -> None:
    run = Run(SMALL)
    run.layers = 3
    run.train(4)
    at_4 = state(run)
    run.train(1)
    at_5 = state(run)
    seen = []
    for _ in range(8):
        run.previous_phase()
        seen.append((run.step, run.phase, run.phase_layer))
    expected = [(5, UPDATE, 0), (4, BACKWARD, 1), (4, BACKWARD, 2), (4, BACKWARD, 3), (4, LOSS, 0)]
    assert seen == [*expected, (4, FORWARD, 0), (4, IDLE, 0), (4, UPDATE, 0)]
    run.next_phase()
    assert equal(state(run), at_4)
    seen = []
    for _ in range(7):
        run.next_phase()
        seen.append((run.step, run.phase, run.phase_layer))
    assert seen == [(4, FORWARD, 0), (4, LOSS, 0), *expected[3:0:-1], (5, UPDATE, 0), (5, IDLE, 0)]
    assert equal(state(run), at_5)


def test_a_step_begun_by_phases_is_finished_first() -> None:
    run, plain = Run(SMALL), Run(SMALL)
    plain.train(3)
    for stop in (FORWARD, LOSS, BACKWARD):
        while run.phase != stop:
            run.next_phase()
        assert run.train(1) == 1
    assert equal(state(run), state(plain))


# ------------------------------------------------------------------------------------- back in time


def test_going_back_and_on_gives_the_same_bits() -> None:
    run = Run(SMALL.changed({"optimizer": "adam", "dropout": 0.3, "lr": 0.01}))
    states = [state(run)]
    for _ in range(60):
        run.train(1)
        states.append(state(run))
    for step in (60, 0, 13, 59, 27, 1, 60):
        run.seek(step)
        assert equal(state(run), states[step]), step
    run.seek(20)
    run.train(40)
    assert equal(state(run), states[60])


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_commands_can_be_replayed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    run = Run(SMALL.changed({"optimizer": str(rng.choice(OPTIMIZERS)), "lr": 0.01}))
    known: dict[int, list[np.ndarray[Any, Any]]] = {0: state(run)}

    def forget() -> None:
        for step in [step for step in known if step > run.step]:
            del known[step]

    for _ in range(60):
        what = rng.integers(8)
        if what <= 2:
            forget()
            for _ in range(int(rng.integers(1, 12))):
                run.train(1)
                known[run.step] = state(run)
        elif what == 3:
            forget()
            run.set({"lr": float(rng.uniform(0.001, 0.05))})
        elif what == 4:
            forget()
            name = str(rng.choice(list(run.model.parameters)))
            index = tuple(int(rng.integers(n)) for n in run.model.parameters[name].shape)
            begun = float(run.model.parameters[name][index])
            run.edit(name, index, float(rng.normal()))
            for _ in range(int(rng.integers(3))):
                run.edit_on(name, index, float(rng.choice([begun, rng.normal()])))
        elif what == 5:
            forget()
            choices = [{"batch_size": int(rng.integers(1, 20))}, {"l2": float(rng.uniform(0, 0.1))}]
            choices += [{"optimizer": str(rng.choice(OPTIMIZERS))}, {"dropout": float(rng.uniform(0, 0.5))}]
            run.set(choices[rng.integers(4)])
        elif what == 6:
            run.seek(int(rng.choice(list(known))))
            assert equal(state(run), known[run.step])
        else:
            for _ in range(int(rng.integers(1, 4))):
                run.previous_phase()
            run.seek(run.step)
            assert equal(state(run), known[run.step])
        known[run.step] = state(run)
    for step, expected in known.items():
        run.seek(step)
        assert equal(state(run), expected), step


def test_a_step_far_back_is_repeated_from_an_older_state() -> None:
    run = Run(SMALL)
    wanted = {}
    for _ in range(2500):
        run.train(1)
        if run.step in (3, 401, 1111, 2047, 2400):
            wanted[run.step] = state(run)
    assert len(run.snapshots) <= 600
    for step, expected in wanted.items():
        run.seek(step)
        assert equal(state(run), expected)


def test_what_comes_later_is_forgotten_when_something_is_changed() -> None:
    run = Run(SMALL)
    run.train(20)
    run.seek(10)
    assert run.snapshots.last == 20
    run.set({"lr": 0.1})
    assert run.snapshots.last == 10
    assert run.losses.steps[-1] == 10
    with pytest.raises(rg.StateError, match="expected a step from 0 to 10, got 15"):
        run.seek(15)


def test_states_are_few_and_small() -> None:
    snapshots = Snapshots()
    for step in range(5000):
        snapshots.add(Snapshot(step, step, 0, 0, 0, np.zeros(4), [], []))
    assert len(snapshots) <= 600
    steps = [s.step for s in (*snapshots._old, *snapshots._recent)]
    assert steps[0] == 0
    assert steps[-256:] == list(range(5000 - 256, 5000))
    assert max(np.diff(steps)) <= 16 * 2
    large = Snapshots()
    for step in range(100):
        large.add(Snapshot(step, step, 0, 0, 0, np.zeros(2**20), [], []))  # 8 MiB each
    assert len(large) <= 8
    assert large.first == 0
    assert large.last == 99


def test_a_long_curve_keeps_its_peaks() -> None:
    curve = Curve()
    for step in range(100_000):
        curve.add(step, {1234: 100.0, 4321: -50.0}.get(step, float(step % 7)))
    assert len(curve.steps) <= Curve.LIMIT
    pairs = curve.since(-1)
    assert len(pairs) <= 600
    assert (1234, 100.0) in pairs
    assert (4321, -50.0) in pairs
    assert pairs == sorted(pairs)


# --------------------------------------------------------------------------------------------- forks


def test_a_copy_without_change_stays_equal() -> None:
    run = Run(SMALL.changed({"optimizer": "adam", "lr": 0.01, "dropout": 0.2}))
    run.train(17)
    other = run.fork()
    for _ in range(100):
        run.train(1)
        other.train(1)
        assert equal(state(run), state(other))
    other.seek(5)
    run.seek(5)
    assert equal(state(run), state(other))


def test_a_copy_is_independent() -> None:
    run = Run(SMALL)
    run.train(5)
    other = run.fork()
    other.set({"lr": 1.0})
    other.train(3)
    assert run.step == 5
    before = state(run)
    run.seek(2)
    run.seek(5)
    assert equal(state(run), before)
    assert not np.array_equal(run.model.flat_parameters, other.model.flat_parameters)


@pytest.mark.parametrize("phase", [FORWARD, LOSS, BACKWARD, UPDATE])
def test_a_copy_in_the_middle_of_a_step(phase: int) -> None:
    run = Run(SMALL.changed({"dropout": 0.3}))
    while run.phase != phase:
        run.next_phase()
    other = run.fork()
    assert (other.phase, other.step) == (run.phase, run.step)
    run.train(2)
    other.train(2)
    assert equal(state(run), state(other))


# ------------------------------------------------------------------------------------------ divergence


def test_a_step_that_is_not_finite_is_told_and_undone() -> None:
    run = Run(SMALL.changed({"activations": "leaky_relu", "dataset": "plane", "lr": 1e6}))
    before = []
    while not any(event["kind"] == "diverged" and "is infinite" in event["text"] for event in run.events):
        before = state(run)
        run._warned = True
        run.train(1)
        assert run.step < 50
    event = run.events[-1]
    assert f"step {run.step + 1}: " in event["text"]
    assert "dense_" in event["text"]
    assert event["actions"] == ["rewind", "reset"]
    assert equal(state(run), before)
    run.seek(max(run.step - 10, 0))
    assert np.isfinite(run.model.flat_parameters).all()


def test_a_loss_that_runs_away_is_told() -> None:
    run = Run(Config(lr=1e6))
    assert run.train(100) < 100
    event = run.events[-1]
    assert event["kind"] == "diverged"
    assert f"step {run.step}: the loss" in event["text"]
    assert "dense_" in event["text"]
    run.seek(0)
    run.set({"lr": 0.3})
    run.train(50)
    assert run.loss < 1.0


def test_it_stops_where_it_was_asked_to() -> None:
    run = Run(SMALL.changed({"stop_epoch": 2}))
    assert run.train(100) == 8
    assert run.events[-1]["kind"] == "stopped"
    run = Run(SMALL.changed({"stop_loss": 0.3}))
    run.train(10_000)
    assert run.loss <= 0.3


# --------------------------------------------------------------------------------------------- settings

BAD = {
    "hidden[2]": (99, "hidden[2]: there are 2 hidden layers, counted from 0"),
    "hidden[1]": (99, "hidden[1]: units must be 1 to 32, got 99"),
    "hidden": ([4] * 10, "hidden: at most 9 hidden layers, got 10"),
    "lr": (-1, "lr: learning rate must be above 0 and at most 1e9, got -1"),
    "batch_size": (0, "batch_size: expected 1 to 2000, got 0"),
    "rows": (1e9, "rows: expected 4 to 2000, got 1000000000"),
    "dropout": (0.95, "dropout: expected at most 0.9, got 0.95"),
    "optimizer": ("sdg", "optimizer: unknown name 'sdg'; did you mean 'sgd'?"),
    "activations[0]": ("rely", "activations[0]: unknown name 'rely'; did you mean 'relu'?"),
    "init": ("he", "init: unknown name 'he'"),
    "momentum": (1.0, "momentum: expected less than 1.0, got 1"),
    "clip_norm": (0, "clip_norm: expected more than 0.0, got 0"),
    "loss": ("cross_entropy", "loss: cross_entropy is for 3 and more classes here"),
    "output": ("softmax", "output: softmax of one unit is always 1; use sigmoid"),
    "weights": ([[[[1.0]], [0.0]]], "weights: expected [W, b] for each of 3 layers, got 1"),
    "seed": (True, "seed: expected a whole number, got True"),
    "lrr": (1, "lrr: there is no such setting; did you mean 'lr'?"),
    "lr[0]": (1, "lr[0]: lr is one value, not a list"),
}


@pytest.mark.parametrize("path", BAD)
def test_a_setting_that_cannot_be_changes_nothing(path: str) -> None:
    value, message = BAD[path]
    run = Run(SMALL)
    run.train(3)
    before, config = state(run), run.config
    with pytest.raises(SettingError) as caught:
        run.set({path: value})
    assert str(caught.value).startswith(message)
    assert caught.value.field == path
    assert run.config is config
    assert equal(state(run), before)
    run.train(1)


def test_structure_begins_anew_and_live_settings_do_not() -> None:
    run = Run(SMALL)
    run.train(5)
    assert run.set({"lr": 0.1}) is False
    assert run.set({"optimizer": "adam", "batch_size": 4}) is False
    assert run.step == 5
    assert run.trainer.iteration == 0  # Adam counts from its own beginning
    assert run.set({"hidden": [5]}) is True
    assert run.step == 0
    assert run.config.activations == ("tanh",)
    assert run.config.lr == 0.1
    assert run.set({"hidden": []}) is False or run.config.hidden == ()
    run.train(3)


def test_momentum_goes_on_when_a_penalty_changes() -> None:
    run = Run(SMALL.changed({"momentum": 0.9}))
    run.train(5)
    before = [view.copy() for _, _, view in run.trainer._core.optimizer_state()]
    run.set({"l2": 0.01})
    assert equal([view for _, _, view in run.trainer._core.optimizer_state()], before)
    assert run.trainer.iteration == 5


@pytest.mark.parametrize("dataset", CHOICES["dataset"][:8])
def test_every_data_set_trains(dataset: str) -> None:
    run = Run(SMALL.changed({"dataset": dataset, "classes": 4, "lr": 0.1}))
    run.train(20)
    assert run.step == 20
    units = {"spirals": 4, "gaussians": 4}.get(dataset, 1)
    assert run.model.outputs[0].shape[-1] == units
    assert make_scene(run.config).x.dtype == np.float64


# ------------------------------------------------------------------------------------ a network given


def test_the_given_network_itself_is_trained() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.integers(3, size=50)
    net = rg.Sequential(
        [rg.Input(3), rg.Dense(5), rg.BatchNorm(), rg.Activation("relu"), rg.Dense(3)], seed=1
    )
    twin = net.copy()
    config = Config(dataset="given", optimizer="given", lr=None, test_share=0.0, batch_size=10, seed=3)
    optimizer = rg.Adam(rg.schedules.Exponential(0.05, 0.99))
    run = Run(config, Given(net, "cross_entropy", optimizer, given_scene(x, y, "cross_entropy", 0.0, 3)))
    trainer = rg.Trainer(twin, "cross_entropy", optimizer, seed=3)
    for epoch in range(2):
        for xb, yb in rg.data.batches(x, y, batch_size=10, seed=3, epoch=epoch):
            trainer.step(xb, yb)
    run.train(10)
    assert run.model is net
    np.testing.assert_array_equal(net.flat_parameters, twin.flat_parameters)
    np.testing.assert_array_equal(
        net.buffers["batch_norm_0.running_var"], twin.buffers["batch_norm_0.running_var"]
    )
    at_10 = state(run)
    run.set({"lr": 0.5})
    run.train(5)
    run.seek(9)
    assert run.trainer.lr == pytest.approx(0.05 * 0.99**9)
    run.seek(10)
    run.seek(15)
    run.seek(9)
    run.train(1)
    assert equal(state(run), at_10)
    with pytest.raises(SettingError, match="was given from Python"):
        run.set({"hidden": [3]})
    run.reset()
    assert run.step == 0
    assert run.model is net
