"""Every member of every list, walked through every property.

A member is an activation, loss, optimizer, schedule, initialiser, metric, layer or operation. Its name
stands in the core, in the Python module, in ``reference.py`` (or a row below) and in ``docs/members.md``;
where one of these is missing the first tests fail. The others hold for all: the value is the reference's,
the derivative is the slope along a random direction, float32 agrees with float64, any number of threads
gives the same bits, and what was saved comes back the same.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref
import retrograd as rg
from retrograd import _core, activations, init, layers, losses, metrics, ops, optim, schedules
from rows import INNER_OPERATIONS, LAYER_OBJECTS, LAYERS, OPERATIONS, Row

Array = np.ndarray
ROOT = Path(__file__).resolve().parents[1]

DTYPES = ("float32", "float64")
THREADS = range(1, 9)
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
KINK = 1e-2  # points nearer to a kink are drawn again: differences mean nothing across one


def seeded(*parts: object) -> np.random.Generator:
    """Random numbers that depend on the test's own parameters alone."""
    return np.random.default_rng(zlib.crc32(repr(parts).encode()))


def assert_close(found: Any, expected: Any, dtype: str, tolerance: float | None = None) -> None:
    expected = np.asarray(expected, np.float64)
    scale = max(1.0, float(np.abs(expected).max()))
    limit = (tolerance or TOLERANCE[dtype]) * scale
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=0, atol=limit)


# Further arguments worth walking through, besides the defaults.
LOSS_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "huber": [{"delta": 0.4}],
    "cross_entropy": [{"label_smoothing": 0.1}, {"ignore_index": 1}],
}
OPTIMIZER_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1},
    ],
    "RMSprop": [{"momentum": 0.7, "centered": True, "alpha": 0.9, "weight_decay": 0.1}, {"centered": True}],
    "Adagrad": [{"lr_decay": 0.1, "initial_accumulator_value": 0.2, "weight_decay": 0.1}],
    "Adam": [{"amsgrad": True, "weight_decay": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}],
    "AdamW": [{"amsgrad": True}, {"weight_decay": 0.3}],
    "Adadelta": [{"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}],
    "NAdam": [
        {"weight_decay": 0.1, "momentum_decay": 0.3},
        {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.5, 0.9), "eps": 1e-3},
    ],
    "RAdam": [
        {"weight_decay": 0.1, "betas": (0.5, 0.9)},
        {"weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-3},
    ],
    "Adamax": [{"weight_decay": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}],
    "Lion": [{"weight_decay": 0.3, "betas": (0.5, 0.9)}],
    "Rprop": [{"etas": (0.3, 2.0), "step_sizes": (1e-3, 0.05)}],
}
SCHEDULE_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "Constant": (0.1,),
    "Step": (0.1, 3, 0.5),
    "Exponential": (0.1, 0.9),
    "Cosine": (0.1, 10, 0.01),
    "WarmupCosine": (0.1, 4, 15, 0.01),
    "OneCycle": (0.1, 20, 0.4, 10.0, 100.0),
    "Piecewise": ((3, 7, 8), (0.1, 0.05, 0.2, 0.01)),
    "ReduceOnPlateau": (0.1,),
}
OBSERVING = {"ReduceOnPlateau"}  # not a function of time; tests/test_schedules.py


# ------------------------------------------------------------------------------------- the sets of names


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def classes(module: Any, base: type) -> set[str]:
    return {name for name in module.__all__ if isinstance(getattr(module, name), type)} - {base.__name__}


@cache
def documented() -> dict[str, set[str]]:
    """Title -> the names in the first column of the tables of docs/members.md."""
    found: dict[str, set[str]] = {}
    title = ""
    for line in (ROOT / "docs" / "members.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            title = line[3:].strip()
        elif line.startswith("| `"):
            cell = line.split("|")[1]
            found.setdefault(title, set()).update(re.findall(r"`(\w+)(?:\([^`]*\))?`", cell))
    return found


OPTIMIZERS = {rule.__name__: rule for rule in optim.OPTIMIZERS.values()}
SCHEDULES = {name: getattr(schedules, name) for name in classes(schedules, schedules.Schedule)}
LAYER_KINDS = classes(layers, layers.Layer)
INITIALISERS = {name for name in init.__all__ if name not in ("Initializer", "auto")}

NAMES: dict[str, dict[str, set[str]]] = {
    "Activations": {
        "core": set(_core.op_list("activation")),
        "activations.py": set(activations.ACTIVATIONS),
        "reference.py": set(ref.ACTIVATIONS),
    },
    "Losses": {
        "core, and what is composed of its operations": set(_core.op_list("loss"))
        | {name for name, loss in losses.LOSSES.items() if not loss.built_in},
        "losses.py": set(losses.LOSSES),
        "reference.py": set(ref.LOSSES),
    },
    "Optimizers": {
        "core": {name for name, rule in OPTIMIZERS.items() if rule.name in _core.op_list("optimizer")},
        "optim.py": classes(optim, optim.Optimizer) - {"ParamGroup"},
        "reference.py": set(ref.OPTIMIZERS),
    },
    "Schedules": {
        "core": {name for name, rule in SCHEDULES.items() if rule.kind in _core.op_list("schedule")},
        "schedules.py": set(SCHEDULES),
        "reference.py": set(ref.SCHEDULES),
        "arguments above": set(SCHEDULE_ARGUMENTS),
    },
    "Initialisers": {
        "core": set(_core.op_list("initialiser")),
        "init.py": INITIALISERS,
        "reference.py": set(ref.INITIALISERS),
    },
    "Metrics": {"metrics.py": set(metrics.METRICS), "reference.py": set(ref.METRICS)},
    "Layers": {
        "core": {name for name in LAYER_KINDS if snake(name) in _core.op_list("layer")},
        "layers.py": LAYER_KINDS,
        "rows.py": {name.partition(":")[0] for name in LAYERS},
        "objects of rows.py": set(LAYER_OBJECTS),
    },
    "Operations": {
        "ops.py": set(ops.__all__) - set(activations.ACTIVATIONS),
        "rows.py": {name.partition(":")[0] for name in OPERATIONS},
    },
}


@pytest.mark.parametrize("kind", NAMES)
def test_every_list_has_the_same_names(kind: str) -> None:
    everywhere = {**NAMES[kind], "docs/members.md": documented().get(kind, set())}
    union = set().union(*everywhere.values())
    missing = {place: sorted(union - names) for place, names in everywhere.items() if union - names}
    assert missing == {}


def test_core_lists_have_no_further_names() -> None:
    assert len(_core.op_list("optimizer")) == len(OPTIMIZERS)
    assert len(_core.op_list("schedule")) == len(SCHEDULES)
    assert len(_core.op_list("layer")) == len(LAYER_KINDS)
    assert set(_core.op_list("unary")) <= set(ops.__all__) | {"linear"}
    assert set(_core.op_list("binary")) <= set(ops.__all__)


def test_every_operation_of_the_registry_can_be_reached() -> None:
    reached = set(ops.__all__) | set(_core.op_list("loss")) | set(INNER_OPERATIONS)
    assert set(_core.op_names()) - reached == set(), "give it a function in rg.ops, or a reason above"
    assert set(INNER_OPERATIONS) - set(_core.op_names()) == set()


# ------------------------------------------------------------------------------------ what all have to do


def trained(
    inputs: list[rg.Node],
    outputs: list[rg.Node],
    dtype: str,
    weigh: Array | None = None,
    threads: int | None = None,
) -> rg.Trainer:
    """A trainer whose loss is a fixed weighted sum of the outputs, so that all of them matter."""
    net = rg.Model(inputs, outputs, dtype=dtype)

    def loss(found: Any, _: Any) -> rg.Node:
        nodes = found if isinstance(found, list) else [found]
        values = []
        for node in nodes:
            size = math.prod(node.sample_shape)
            factors = np.linspace(-1.0, 1.5, size) if weigh is None else weigh
            values.append(ops.sum(ops.multiply(ops.reshape(node, size), factors), axis=1))
        total = values[0]
        for value in values[1:]:
            total = ops.add(total, value)
        return total

    return rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1), threads=threads)


def slope_error(trainer: rg.Trainer, x: Any, y: Any, seed: object) -> float:
    """|backpropagation - difference| along one random direction of all parameters, relative to their size."""
    net = trainer.model
    trainer.gradients(x, y)
    gradient = net.flat_gradients.copy()
    trainer.iteration = 0  # what is drawn by chance is drawn again
    direction = seeded("direction", seed).normal(size=gradient.size)
    direction /= np.linalg.norm(direction)
    at_rest = net.flat_parameters.copy()

    def loss(step: float) -> float:
        net.flat_parameters[...] = at_rest + step * direction
        return trainer.forward(x, y)

    # four points, whose error falls with the fourth power of h
    h = 1e-3
    slope = (8.0 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12.0 * h)
    net.flat_parameters[...] = at_rest
    return abs(float(gradient @ direction) - slope) / max(1.0, float(np.linalg.norm(gradient)))


def assert_saved_alike(net: rg.Model, x: Any, folder: Path) -> None:
    """Bytes, file and copy give a model with the same parameters and the same predictions."""
    found = [rg.Model.from_bytes(net.to_bytes()), rg.load(net.save(folder / "member")), net.copy()]
    for other in found:
        assert other.flat_parameters.tobytes() == net.flat_parameters.tobytes()
        assert np.asarray(other.predict(x)).tobytes() == np.asarray(net.predict(x)).tobytes()
        assert other.to_bytes() == net.to_bytes()


def assert_shown_alike(thing: Any) -> None:
    """repr is the call that makes the thing again."""
    names = {**vars(rg), **vars(schedules), **vars(init), "np": np}
    again = eval(repr(thing), names)
    assert type(again) is type(thing)
    assert repr(again) == repr(thing)
    if type(thing).__eq__ is not object.__eq__:
        assert again == thing
        assert hash(again) == hash(thing)


def assert_same_bits(results: Iterable[tuple[int, rg.Trainer]]) -> None:
    """results: (threads asked for, trainer after its call); each really had so many."""
    seen = set()
    for threads, trainer in results:
        assert trainer.threads_used == threads
        seen.add(trainer.model.flat_parameters.tobytes() + trainer.model.flat_gradients.tobytes())
    assert len(seen) == 1, "the bits depend on the number of threads"


# ------------------------------------------------------------------------------------------- activations


def away_from(kinks: Iterable[float], z: Array) -> Array:
    for kink in kinks:
        z = np.where(np.abs(z - kink) < KINK, z + 3.0 * KINK, z)
    return z


def activation_model(name: str, z: Array, dtype: str) -> tuple[rg.Trainer, Array]:
    """a = act(0 * x + v): the pre-activation is a parameter, so any z may be asked about."""
    x = rg.Input(z.shape)
    v = rg.Variable(z, name="v")
    a = activations.__dict__[name](ops.add(ops.multiply(x, 0.0), v))
    return trained([x], [a], dtype), np.zeros((1, *z.shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activation_value(name: str, dtype: str) -> None:
    row = ref.ACTIVATIONS[name]
    z = np.concatenate([np.linspace(-9.0, 9.0, 61), seeded(name).normal(size=67)]).reshape(8, 16)
    if dtype == "float32":
        z = away_from(row.kinks, z).astype(np.float32).astype(np.float64)
    trainer, x = activation_model(name, z, dtype)
    assert_close(trainer.model.predict(x)[0], row.value(z), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activation_derivative_is_the_references(name: str, dtype: str) -> None:
    row = ref.ACTIVATIONS[name]
    z = away_from(row.kinks, seeded(name, 1).normal(scale=2.0, size=(5, 7)))
    trainer, x = activation_model(name, z, dtype)
    trainer.gradients(x, np.zeros((1, 1)))
    da = np.linspace(-1.0, 1.5, z.size).reshape(z.shape)
    assert_close(trainer.model.gradients["v"], row.vjp(z, da), dtype)


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activation_slope(name: str) -> None:
    z = away_from(ref.ACTIVATIONS[name].kinks, seeded(name, 2).normal(scale=2.0, size=(5, 7)))
    trainer, x = activation_model(name, z, "float64")
    assert slope_error(trainer, x, np.zeros((1, 1)), name) < 1e-9


@cache
def many(dtype: str) -> tuple[Array, Array]:
    """A problem above the size from which a second thread pays."""
    rng = seeded("many", dtype)
    return rng.normal(size=(512, 48)).astype(dtype), rng.normal(size=(512, 24)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activation_threads(name: str, dtype: str) -> None:
    x, y = many(dtype)

    def results() -> Iterable[tuple[int, rg.Trainer]]:
        for threads in THREADS:
            net = rg.Sequential(
                [rg.Input(48), rg.Dense(96, activation=name), rg.Dense(24)], seed=1, dtype=dtype
            )
            trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.01), threads=threads)
            trainer.step(x, y)
            yield threads, trainer

    assert_same_bits(results())


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activation_saved(name: str, tmp_path: Path) -> None:
    net = rg.Sequential([rg.Input(3), rg.Dense(4, activation=name), rg.Dense(2)], seed=3)
    assert_saved_alike(net, seeded(name, 3).normal(size=(6, 3)), tmp_path)
    assert rg.Model.from_bytes(net.to_bytes())["dense_0"].config.get("activation", "") in (name, "")


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_activation_by_name_and_by_function(name: str) -> None:
    function = getattr(ops, name)
    assert function is getattr(activations, name)
    assert function.__doc__
    for layer in (rg.Dense(4, activation=name), rg.Activation(name)):
        assert_shown_alike(layer)
    nets = [rg.Sequential([rg.Input(3), rg.Dense(4, activation=a)], seed=5) for a in (name, function)]
    assert nets[0].flat_parameters.tobytes() == nets[1].flat_parameters.tobytes()
    assert nets[0].to_bytes() == nets[1].to_bytes()


# ------------------------------------------------------------------------------------------------ losses

LOSS_CASES = [
    pytest.param(name, options, id=name + "".join(f"-{key}" for key in options))
    for name in losses.LOSSES
    for options in [{}, *LOSS_OPTIONS.get(name, [])]
]


def loss_data(name: str, options: dict[str, Any], rows: int = 9, units: int = 5) -> tuple[Array, Array]:
    """Outputs z and targets t, away from kinks."""
    row, rng = ref.LOSSES[name], seeded(name, sorted(options))
    for _ in range(200):
        z, t = rng.normal(size=(rows, units)), row.draw(rng, rows, units)
        if row.kink_distance(z, t, **options) > 1e-3:
            return z, t
    raise AssertionError("no point far enough from a kink")


def loss_trainer(name: str, options: dict[str, Any], units: int, dtype: str, **more: Any) -> rg.Trainer:
    """The output is the input times the identity matrix, which is a parameter."""
    net = rg.Sequential(
        [rg.Input(units), rg.Dense(units, weight_init=np.eye(units), use_bias=False)], dtype=dtype
    )
    return rg.Trainer(net, loss=losses.LOSSES[name](**options), optimizer=rg.SGD(0.1), **more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options"), LOSS_CASES)
def test_loss_value_and_delta(name: str, options: dict[str, Any], dtype: str) -> None:
    z, t = loss_data(name, options)
    z = z.astype(dtype).astype(np.float64)
    weights = np.linspace(0.5, 2.0, len(z))
    row, trainer = ref.LOSSES[name], loss_trainer(name, options, z.shape[1], dtype)
    counted = weights * ref.not_ignored(z, t, options.get("ignore_index", -100))
    expected = ref.weighted_mean(row.value(z, t, **options), counted)
    assert_close(trainer.forward(z.astype(dtype), t, sample_weight=weights), expected, dtype)
    delta = trainer.trace(z.astype(dtype), t, sample_weight=weights)["dense_0"].delta
    share = (counted / counted.sum())[:, None]
    assert_close(delta, share * row.derivative(z, t, **options), dtype)


@pytest.mark.parametrize(("name", "options"), LOSS_CASES)
def test_loss_slope(name: str, options: dict[str, Any]) -> None:
    z, t = loss_data(name, options)
    trainer = loss_trainer(name, options, z.shape[1], "float64")
    report = rg.check_gradients(trainer.model, z, t, losses.LOSSES[name](**options))
    assert report.passed, report
    assert slope_error(trainer, z, t, name) < 1e-6  # a step of the difference may come near a kink


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", losses.LOSSES)
def test_loss_threads(name: str, dtype: str) -> None:
    x, _ = many(dtype)
    t = ref.LOSSES[name].draw(seeded(name, "threads"), len(x), 48)

    def results() -> Iterable[tuple[int, rg.Trainer]]:
        for threads in THREADS:
            trainer = loss_trainer(name, {}, 48, dtype, threads=threads)
            trainer.step(x, t)
            yield threads, trainer

    assert_same_bits(results())


@pytest.mark.parametrize(("name", "options"), LOSS_CASES)
def test_loss_shown(name: str, options: dict[str, Any]) -> None:
    loss = losses.LOSSES[name](**options)
    assert_shown_alike(loss)
    assert getattr(rg, type(loss).__name__) is type(loss)
    assert type(loss).__doc__


@pytest.mark.parametrize("name", losses.LOSSES)
def test_loss_by_name_and_by_object(name: str) -> None:
    z, t = loss_data(name, {})
    net = loss_trainer(name, {}, z.shape[1], "float64").model
    found = {
        rg.Trainer(net, loss=loss).forward(z, t)
        for loss in (name, losses.LOSSES[name](), losses.LOSSES[name])
    }
    assert len(found) == 1
    aliases = [alias for alias, full in losses.ALIASES.items() if full == name]
    for alias in aliases:
        assert {rg.Trainer(net, loss=alias).forward(z, t)} == found


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_model_trained_with_a_loss_saved(name: str, tmp_path: Path) -> None:
    z, t = loss_data(name, {})
    trainer = loss_trainer(name, {}, z.shape[1], "float32")
    trainer.step(z, t)
    assert_saved_alike(trainer.model, z, tmp_path)
    if losses.LOSSES[name].link:  # what makes probabilities of the outputs is kept too
        again = rg.Model.from_bytes(trainer.model.to_bytes())
        assert again.predict_proba(z).tobytes() == trainer.model.predict_proba(z).tobytes()


# -------------------------------------------------------------------------------------------- optimizers

OPTIMIZER_CASES = [
    pytest.param(name, options, id=name + "".join(f"-{key}" for key in options))
    for name in OPTIMIZERS
    for options in [{}, *OPTIMIZER_OPTIONS.get(name, [])]
]


def optimizer_trainer(
    name: str, options: dict[str, Any], dtype: str, shape: tuple[int, int] = (7, 11), **more: Any
) -> rg.Trainer:
    w = seeded(name, shape).normal(size=shape)
    net = rg.Sequential([rg.Input(shape[1]), rg.Dense(shape[0], weight_init=w, use_bias=False)], dtype=dtype)
    return rg.Trainer(net, loss="mse", optimizer=OPTIMIZERS[name](lr=0.01, **options), **more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES)
def test_optimizer_steps(name: str, options: dict[str, Any], dtype: str) -> None:
    """Thirty updates with gradients of our own, and what the optimizer remembers after each."""
    trainer, rng = optimizer_trainer(name, options, dtype), seeded(name, "gradients")
    net = trainer.model
    w = net.parameters["dense_0.weight"].astype(np.float64)
    x, y = np.zeros((1, 11)), np.zeros((1, 7))
    state: dict[str, Array] = {}
    for t in range(1, 31):
        g = rng.normal(size=w.shape).astype(dtype).astype(np.float64)
        trainer.gradients(x, y)
        net.gradients["dense_0.weight"][...] = g
        trainer.update()
        w, state = ref.OPTIMIZERS[name](t, w, g, state, lr=0.01, **options)
        assert_close(net.parameters["dense_0.weight"], w, dtype, None if dtype == "float64" else 2e-4)
        if dtype == "float64":
            slots = trainer.optimizer_state["dense_0.weight"] if state else {}
            for slot, expected in state.items():
                assert_close(slots[slot], expected, dtype)
    assert trainer.iteration == 30


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_threads(name: str, dtype: str) -> None:
    x, y = many(dtype)

    def results() -> Iterable[tuple[int, rg.Trainer]]:
        for threads in THREADS:
            trainer = optimizer_trainer(name, {}, dtype, (24, 48), threads=threads, clip_norm=1.0, l2=1e-3)
            for _ in range(3):
                trainer.step(x, y)
            yield threads, trainer

    assert_same_bits(results())


@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES)
def test_optimizer_shown(name: str, options: dict[str, Any]) -> None:
    rule = OPTIMIZERS[name](lr=0.01, **options)
    assert_shown_alike(rule)
    assert_shown_alike(OPTIMIZERS[name](lr=schedules.Cosine(0.1, 100, min_lr=0.01), **options))
    assert getattr(rg, name) is OPTIMIZERS[name]
    assert OPTIMIZERS[name].__doc__
    assert optim.resolve("test", rule.name) == OPTIMIZERS[name]()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_model_trained_by_an_optimizer_saved(name: str, tmp_path: Path) -> None:
    trainer, rng = optimizer_trainer(name, {}, "float32"), seeded(name, "saved")
    x = rng.normal(size=(4, 11))
    trainer.step(x, rng.normal(size=(4, 7)))
    assert_saved_alike(trainer.model, x, tmp_path)


# --------------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize("unit", ["iteration", "epoch"])
@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - OBSERVING))
def test_schedule_rates(name: str, unit: str) -> None:
    """The core, which is asked, the class, which shows it, and the reference."""
    arguments = SCHEDULE_ARGUMENTS[name]
    schedule = SCHEDULES[name](*arguments, unit=unit)
    net = rg.Sequential([rg.Input(2), rg.Dense(1)])
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(schedule))
    for t in range(25):
        setattr(trainer, unit, t)
        expected = ref.SCHEDULES[name](t, *arguments)
        assert trainer.lr == pytest.approx(expected, rel=1e-13, abs=1e-16)
        assert schedule.lr_at(t) == pytest.approx(expected, rel=1e-13, abs=1e-16)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_shown(name: str) -> None:
    arguments = SCHEDULE_ARGUMENTS[name]
    assert_shown_alike(SCHEDULES[name](*arguments))
    if name not in OBSERVING:
        assert_shown_alike(SCHEDULES[name](*arguments, unit="epoch"))
    assert SCHEDULES[name].__doc__


# ------------------------------------------------------------------------------------------ initialisers


def initialised(name: str, dtype: str = "float64", seed: int = 0) -> Array:
    net = rg.Sequential([rg.Input(160), rg.Dense(120, weight_init=name)], seed=seed, dtype=dtype)
    return net.parameters["dense_0.weight"].copy()


@pytest.mark.parametrize("name", sorted(INITIALISERS))
def test_initialiser_distribution(name: str) -> None:
    w = initialised(name)
    expected = ref.INITIALISERS[name](160, 120)
    spread = 6.0 * max(expected.std, 1e-300) / math.sqrt(w.size)
    assert abs(w.mean() - expected.mean) <= spread
    assert abs(w.std() - expected.std) <= spread
    if expected.low is not None:
        assert expected.low <= w.min()
        assert w.max() <= expected.high
    if name == "orthogonal":
        assert ref.orthogonality_error(w) < 1e-12


@pytest.mark.parametrize("name", sorted(INITIALISERS))
def test_initialiser_depends_on_the_seed_alone(name: str) -> None:
    w = initialised(name)
    assert initialised(name).tobytes() == w.tobytes()
    assert initialised(name, "float32").tobytes() == w.astype(np.float32).tobytes()
    assert (initialised(name, seed=1).tobytes() == w.tobytes()) is (name in ("zeros", "ones"))


@pytest.mark.parametrize("name", sorted(INITIALISERS | {"auto"}))
def test_initialiser_shown_and_saved(name: str, tmp_path: Path) -> None:
    rule = init.resolve("test", name)
    assert_shown_alike(rule)
    assert init.resolve("test", str(rule)) == rule
    net = rg.Sequential([rg.Input(6), rg.Dense(4, weight_init=name)], seed=2)
    assert_saved_alike(net, seeded(name).normal(size=(3, 6)), tmp_path)


# ----------------------------------------------------------------------------------------------- metrics

CLASS_METRICS = {"accuracy", "top_k_accuracy"}
BINARY_METRICS = {"binary_accuracy", "precision", "recall", "f1", "iou", "auc"}


@pytest.mark.parametrize("name", metrics.METRICS)
def test_metric_value(name: str) -> None:
    rng = seeded(name, "metric")
    if name in CLASS_METRICS:
        true, predicted = rng.integers(0, 8, size=60), rng.random((60, 8))
    elif name in BINARY_METRICS:
        true, predicted = rng.integers(0, 2, size=60).astype(float), rng.random(60)
    else:
        true, predicted = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    expected = ref.METRICS[name](true, predicted)
    for dtype in DTYPES:
        found = metrics.METRICS[name](true, predicted.astype(dtype))
        assert found == pytest.approx(expected, abs=1e-12 if dtype == "float64" else 1e-6)
    assert metrics.METRICS[name].__doc__


@pytest.mark.parametrize("name", metrics.METRICS)
def test_metric_by_name(name: str) -> None:
    """Over a whole pass, not an average over batches."""
    rng = seeded(name, "by name")
    units, loss = (8, "cross_entropy") if name in CLASS_METRICS else (1, "mse")
    if name in BINARY_METRICS:
        loss = "binary_cross_entropy"
    net = rg.Sequential([rg.Input(3), rg.Dense(units)], seed=1, dtype="float64")
    x = rng.normal(size=(50, 3))
    y = rng.integers(0, units, 50) if name in CLASS_METRICS else rng.integers(0, 2, (50, 1)).astype(float)
    trainer = rg.Trainer(net, loss=loss, metrics=[name])
    found = trainer.evaluate(x, y, batch_size=7)[name]
    output = net.predict(x) if loss != "binary_cross_entropy" else net.predict_proba(x)
    assert found == pytest.approx(metrics.METRICS[name](y, output), abs=1e-12)


# ---------------------------------------------------------------------------------- layers and operations

ROWS = {
    **{f"rg.{name}": row for name, row in LAYERS.items()},
    **{f"ops.{n}": row for n, row in OPERATIONS.items()},
}


def row_data(name: str, row: Row, batch: int = 5) -> list[Array]:
    rng = seeded(name, "row")
    if row.index:
        return [rng.integers(0, 4, size=(batch, *row.shapes[0]))]
    draw = row.draw or (lambda rng, shape: rng.normal(size=shape))
    for _ in range(200):
        drawn = [draw(rng, (batch, *shape)) for shape in row.shapes]
        # away from every kink that an operation could have: 0, the bounds of clip, equal operands
        far = all(np.abs(x - kink).min() > KINK / 4 for x in drawn for kink in (0.0, -0.5, 0.75))
        apart = (
            len({x.shape for x in drawn}) != 1
            or len(drawn) < 2
            or np.abs(drawn[0] - drawn[1]).min() > KINK / 4
        )
        if far and apart:
            return drawn
    raise AssertionError("no point far enough from a kink")


def row_nodes(row: Row) -> list[rg.Node]:
    return [rg.Input(shape, dtype="int64" if row.index else None) for shape in row.shapes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROWS)
def test_row_value(name: str, dtype: str) -> None:
    row, x = ROWS[name], row_data(name, ROWS[name])
    nodes = row_nodes(row)
    net = rg.Model(nodes, row.make(*nodes), dtype=dtype)
    assert_close(net.predict(x if len(x) > 1 else x[0]), row.value(*x), dtype)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.differentiable])
def test_row_slope(name: str) -> None:
    """With respect to what the operation is given, as far as that can have a derivative."""
    row, x = ROWS[name], row_data(name, ROWS[name])
    nodes = row_nodes(row)
    operands = nodes
    if not row.index:
        shifts = [rg.Variable(np.zeros(shape), name=f"v{i}") for i, shape in enumerate(row.shapes)]
        operands = [ops.add(node, shift) for node, shift in zip(nodes, shifts, strict=True)]
    trainer = trained(nodes, [row.make(*operands)], "float64")
    data = x if len(x) > 1 else x[0]
    y = np.zeros((len(x[0]), 1))
    for attempt in range(3):
        assert slope_error(trainer, data, y, (name, attempt)) < 1e-8


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if not (row.differentiable or row.index)])
def test_row_without_a_derivative(name: str) -> None:
    """No gradient passes, so a parameter behind it is refused by name, and one beside it gets none of it."""
    row, x = ROWS[name], row_data(name, ROWS[name])
    nodes = row_nodes(row)
    shift = rg.Variable(np.zeros(row.shapes[0]), name="behind")
    blocked = row.make(*[ops.add(node, shift) for node in nodes])
    trainer = trained(nodes, [blocked], "float64")
    with pytest.raises(rg.GraphError, match="behind"):
        trainer.gradients(x if len(x) > 1 else x[0], np.zeros((len(x[0]), 1)))


@pytest.mark.parametrize("name", ROWS)
def test_row_threads(name: str) -> None:
    """Behind and before products that are large enough for threads."""
    row = ROWS[name]
    x, _ = many("float32")
    sizes = [math.prod(shape) for shape in row.shapes]
    indices = seeded(name, "indices").integers(0, 4, size=(len(x), *row.shapes[0]))

    def results() -> Iterable[tuple[int, rg.Trainer]]:
        for threads in THREADS:
            node = rg.Input(48)
            hidden = rg.Dense(96, activation="softplus")(node)
            if row.index:
                nodes = [rg.Input(row.shapes[0], dtype="int64")]
                made = row.make(*nodes)
            else:
                nodes = []
                parts = [ops.add(rg.Dense(size, activation="softplus")(hidden), 0.5) for size in sizes]
                made = row.make(*[rg.Reshape(s)(p) for p, s in zip(parts, row.shapes, strict=True)])
            outputs = [rg.Flatten()(made), rg.Dense(3)(hidden)]
            trainer = trained([node, *nodes], outputs, "float32", threads=threads)
            trainer.model.freeze("*")
            trainer.model.unfreeze("dense_0" if row.differentiable or row.index else "dense_*")
            if not row.differentiable and not row.index:
                trainer.model.freeze(*[f"dense_{i + 1}" for i in range(len(sizes))])
            data = [x, indices] if row.index else x
            trainer.gradients(data, [np.zeros((len(x), 1))] * 2)
            yield threads, trainer

    assert_same_bits(results())


@pytest.mark.parametrize("name", ROWS)
def test_row_saved(name: str, tmp_path: Path) -> None:
    row, x = ROWS[name], row_data(name, ROWS[name])
    nodes = row_nodes(row)
    net = rg.Model(nodes, row.make(*nodes))
    assert_saved_alike(net, x if len(x) > 1 else x[0], tmp_path)


@pytest.mark.parametrize("name", sorted(NAMES["Operations"]["rows.py"]))
def test_operation_is_documented(name: str) -> None:
    assert getattr(ops, name).__doc__


@pytest.mark.parametrize("name", sorted(LAYER_OBJECTS))
def test_layer_shown(name: str) -> None:
    for layer in LAYER_OBJECTS[name]:
        assert type(layer).__name__ == name
        assert_shown_alike(layer)
    assert getattr(layers, name).__doc__
    assert getattr(rg, name) is getattr(layers, name)
