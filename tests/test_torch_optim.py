"""The newer optimizers and the schedules beside PyTorch's, over 50 updates in float64, to 1e-10.

Lion, which PyTorch lacks, is written out here on PyTorch's tensors. Rates are compared with
torch.optim.lr_scheduler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd as rg  # noqa: E402

STEPS = 50
TOLERANCE = 1e-10


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    """NAdam keeps its product in the default dtype, and the thread count changes PyTorch's rounding."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


class Lion(torch.optim.Optimizer):  # type: ignore[misc, unused-ignore]
    """Algorithm 2 of Chen et al., 2023."""

    def __init__(
        self, parameters: Any, lr: float = 1e-4, betas: Any = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def step(self) -> None:  # type: ignore[override, unused-ignore]
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for w in group["params"]:
                m = self.state[w].setdefault("exp_avg", torch.zeros_like(w))
                update = torch.sign(m * beta1 + w.grad * (1 - beta1))
                w -= group["lr"] * (update + group["weight_decay"] * w)
                m.mul_(beta2).add_(w.grad * (1 - beta2))


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5}),
    ("Adadelta", {"rho": 0.5}),
    ("Adadelta", {"eps": 1e-3}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("NAdam", {}),
    ("NAdam", {"betas": (0.5, 0.9)}),
    ("NAdam", {"eps": 1e-3}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"momentum_decay": 0.0}),
    ("NAdam", {"momentum_decay": 3.7, "betas": (0.99, 0.9)}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.01, "betas": (0.5, 0.9)}),
    ("RAdam", {"betas": (0.9, 0.5)}),  # never rectified
    ("RAdam", {"eps": 1e-3}),
    ("RAdam", {"weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {}),
    ("Adamax", {"betas": (0.5, 0.9)}),
    ("Adamax", {"eps": 1e-2}),
    ("Adamax", {"weight_decay": 0.1}),
    ("Lion", {}),
    ("Lion", {"lr": 0.01, "betas": (0.5, 0.9)}),
    ("Lion", {"weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1}),
    ("Rprop", {"etas": (0.3, 1.7)}),
    ("Rprop", {"step_sizes": (5e-3, 0.02)}),
]
IDS = ["-".join([name, *(f"{key}={value}" for key, value in given.items())]) for name, given in OPTIMIZERS]
PYTORCHS = {**{name: getattr(torch.optim, name, None) for name, _ in OPTIMIZERS}, "Lion": Lion}


def network() -> tuple[rg.Model, dict[str, Any], np.ndarray, np.ndarray]:
    """Two layers, PyTorch's copy of their parameters, and data."""
    net = rg.Sequential([rg.Input(9), rg.Dense(12, activation="tanh"), rg.Dense(5)], dtype="float64", seed=3)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 9))
    y = np.argmax(x @ rng.normal(size=(9, 5)), axis=1)
    twins = {name: torch.tensor(np.array(w), requires_grad=True) for name, w in net.parameters.items()}
    return net, twins, x, y


def backward(twins: dict[str, Any], x: np.ndarray, y: np.ndarray) -> None:
    linear = torch.nn.functional.linear
    for parameter in twins.values():
        parameter.grad = None
    hidden = torch.tanh(linear(torch.tensor(x), twins["dense_0.weight"], twins["dense_0.bias"]))
    output = linear(hidden, twins["dense_1.weight"], twins["dense_1.bias"])
    torch.nn.functional.cross_entropy(output, torch.tensor(y)).backward()


def assert_close(found: np.ndarray, expected: Any, what: str) -> None:
    expected = expected.detach().numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    assert float(np.abs(found - expected).max()) <= TOLERANCE * scale, what


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=IDS)
def test_50_updates(name: str, settings: dict[str, Any]) -> None:
    net, twins, x, y = network()
    theirs = PYTORCHS[name](list(twins.values()), **settings)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=getattr(rg, name)(**settings))
    start = net.flat_parameters.copy()
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        rows = rng.permutation(len(x))[:16] if name != "Rprop" else np.arange(len(x))
        backward(twins, x[rows], y[rows])
        if name == "Rprop":  # the sign of a gradient that is nothing but rounding is nobody's fault
            trainer.gradients(x[rows], y[rows])
            for key, parameter in twins.items():
                assert_close(net.gradients[key], parameter.grad, f"gradient of {key}")
                net.gradients[key][...] = parameter.grad.numpy()
            trainer.update()
        else:
            trainer.step(x[rows], y[rows])
        theirs.step()
    assert np.abs(net.flat_parameters - start).max() > 1e-3
    for key, parameter in twins.items():
        assert_close(net.parameters[key], parameter, key)
        state = {slot: value for slot, value in theirs.state[parameter].items() if slot != "step"}
        state.pop("mu_product", None)  # follows from the number of the step
        assert set(trainer.optimizer_state[key]) == set(state)
        for slot, value in state.items():
            assert_close(trainer.optimizer_state[key][slot], value, f"{key} {slot}")


@pytest.mark.parametrize("name", ["NAdam", "RAdam", "Rprop", "Adamax"])
def test_resumed_where_it_was_left(name: str) -> None:
    """What depends on the number of the step is there again when state and number are."""
    net, _, x, y = network()
    whole = rg.Trainer(net.copy(), loss="cross_entropy", optimizer=getattr(rg, name)())
    first = rg.Trainer(net, loss="cross_entropy", optimizer=getattr(rg, name)())
    for _ in range(20):
        whole.step(x, y)
    for _ in range(9):
        first.step(x, y)
    second = rg.Trainer(first.model.copy(), loss="cross_entropy", optimizer=getattr(rg, name)())
    second.iteration = first.iteration
    for key, slots in first.optimizer_state.items():
        for slot, value in slots.items():
            second.optimizer_state[key][slot][...] = value
    for _ in range(11):
        second.step(x, y)
    assert second.model.flat_parameters.tobytes() == whole.model.flat_parameters.tobytes()


SCHEDULERS = torch.optim.lr_scheduler
SCHEDULES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "OneCycle": (
        lambda: rg.schedules.OneCycle(0.1, 40),
        lambda o: SCHEDULERS.OneCycleLR(o, 0.1, 40),
    ),
    "OneCycle-options": (
        lambda: rg.schedules.OneCycle(0.1, 40, pct_start=0.45, div_factor=7.0, final_div_factor=30.0),
        lambda o: SCHEDULERS.OneCycleLR(o, 0.1, 40, pct_start=0.45, div_factor=7.0, final_div_factor=30.0),
    ),
    "OneCycle-only-down": (
        lambda: rg.schedules.OneCycle(0.1, 40, pct_start=0.0),
        lambda o: SCHEDULERS.OneCycleLR(o, 0.1, 40, pct_start=0.0),
    ),
    "WarmupCosine": (
        lambda: rg.schedules.WarmupCosine(0.1, 7, 40, min_lr=0.01),
        lambda o: SCHEDULERS.SequentialLR(
            o,
            [
                SCHEDULERS.LinearLR(o, start_factor=1 / 8, total_iters=7),
                SCHEDULERS.CosineAnnealingLR(o, 33, 0.01),
            ],
            [7],
        ),
    ),
    "Piecewise": (
        lambda: rg.schedules.Piecewise([5, 6, 20], [0.1, 0.05, 0.025, 0.0125]),
        lambda o: SCHEDULERS.MultiStepLR(o, [5, 6, 20], 0.5),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name: str) -> None:
    ours, theirs = SCHEDULES[name]
    net, twins, x, y = network()
    optimizer = torch.optim.SGD(list(twins.values()), lr=0.1, momentum=0.9)
    schedule = theirs(optimizer)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(ours()))
    for t in range(40):
        rate = optimizer.param_groups[0]["lr"]
        assert trainer.lr == pytest.approx(rate, rel=1e-12, abs=1e-18)
        assert ours().lr_at(t) == pytest.approx(rate, rel=1e-12, abs=1e-18)
        optimizer.step()
        if t < 39:
            schedule.step()
        trainer.step(x, y)
    for t in (40, 1000):  # where PyTorch's go on or complain, ours stay
        trainer.iteration = t
        last = {"WarmupCosine": 0.01, "Piecewise": 0.0125}.get(name, rate)
        assert trainer.lr == pytest.approx(last, rel=1e-12)
        assert ours().lr_at(t) == pytest.approx(last, rel=1e-12)


PLATEAUS: list[dict[str, Any]] = [
    {},
    {"factor": 0.5, "patience": 2},
    {"patience": 0, "factor": 0.7},
    {"patience": 1, "cooldown": 3},
    {"patience": 1, "min_lr": 0.004},
    {"patience": 1, "eps": 0.02},
    {"patience": 1, "threshold": 0.1},
    {"patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
    {"patience": 1, "mode": "max"},
    {"patience": 1, "mode": "max", "threshold": 0.05, "threshold_mode": "abs"},
]


@pytest.mark.parametrize("settings", PLATEAUS, ids=[str(given) for given in PLATEAUS])
def test_reduce_on_plateau(settings: dict[str, Any]) -> None:
    net, twins, _, _ = network()
    optimizer = torch.optim.SGD(list(twins.values()), lr=0.1)
    theirs = SCHEDULERS.ReduceLROnPlateau(optimizer, **settings)
    trainer = rg.Trainer(
        net, loss="cross_entropy", optimizer=rg.SGD(rg.schedules.ReduceOnPlateau(0.1, **settings))
    )
    rng = np.random.default_rng(4)
    values = [*(1.0 / (1 + np.arange(60)) + 0.1 * rng.random(60)), float("nan"), float("nan"), 0.01, 0.2, 0.3]
    rates = set()
    for value in values:
        theirs.step(value)
        trainer.observe(value)
        rates.add(trainer.lr)
        assert trainer.lr == optimizer.param_groups[0]["lr"]
        state = trainer.schedule_state
        assert state["best"] == theirs.best
        assert (state["bad"], state["cooldown"]) == (theirs.num_bad_epochs, theirs.cooldown_counter)
    assert len(rates) > 1


def test_defaults_are_pytorchs() -> None:
    from inspect import signature

    for name in ("Adadelta", "NAdam", "RAdam", "Adamax", "Rprop"):
        ours = signature(getattr(rg, name)).parameters
        theirs = signature(getattr(torch.optim, name)).parameters
        for key, parameter in ours.items():
            assert parameter.default == theirs[key].default, f"{name}: {key}"
        left = set(theirs) - set(ours) - {"params", "foreach", "maximize", "capturable", "differentiable"}
        assert left == set(), name
