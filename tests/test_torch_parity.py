"""The same network in PyTorch: same numbers forward, backward and through every optimizer.

Optional: nothing in retrograd needs PyTorch. float64 has to agree to 1e-10 after 100 steps. float32 has to
agree to 1e-5 within one step, 100 times, each begun from PyTorch's own parameters and state: two correct
programs that round differently drift apart over many steps, and that drift is not an error of either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import reference as ref  # noqa: E402
import retrograd as rg  # noqa: E402
from networks import random_layers, sequential  # noqa: E402

F = torch.nn.functional
DTYPES = {"float32": torch.float32, "float64": torch.float64}
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
BATCH = 16


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """PyTorch's thread count changes its rounding; tests must not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "mish": F.mish,
    # not F.hardsigmoid: its backward multiplies by 1/6 in single precision, in float64 too
    "hard_sigmoid": lambda z: F.relu6(z + 3.0) / 6.0,
    "hard_swish": F.hardswish,
    "exp": torch.exp,
    "softmax": lambda z: F.softmax(z, dim=-1),
    "log_softmax": lambda z: F.log_softmax(z, dim=-1),
}

# each gives one value per sample
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "half_squared_error": lambda z, t: 0.5 * ((z - t) ** 2).sum(dim=-1),
    "mean_squared_error": lambda z, t: F.mse_loss(z, t, reduction="none").mean(dim=-1),
    "mean_absolute_error": lambda z, t: F.l1_loss(z, t, reduction="none").mean(dim=-1),
    "huber": lambda z, t: F.huber_loss(z, t, reduction="none").mean(dim=-1),
    "binary_cross_entropy": lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none").mean(-1),
    "cross_entropy": lambda z, t: F.cross_entropy(z, t, reduction="none"),
    "poisson": lambda z, t: F.poisson_nll_loss(z, t, log_input=True, reduction="none").mean(dim=-1),
    "hinge": lambda z, t: torch.clamp(1.0 - t * z, min=0.0).mean(dim=-1),
    "kl_divergence": lambda z, t: F.kl_div(F.log_softmax(z, dim=-1), t, reduction="none").sum(dim=-1),
    "cosine_similarity": lambda z, t: 1.0 - F.cosine_similarity(z, t, dim=-1),
}


class Twin:
    """PyTorch's copy of a network of dense layers, with gradients under retrograd's names."""

    def __init__(self, net: rg.Model, activations: Sequence[str]) -> None:
        self.activations = activations
        self.parameters = {
            name: torch.tensor(np.array(value), requires_grad=True) for name, value in net.parameters.items()
        }

    def __call__(self, x: np.ndarray) -> Any:
        h = torch.as_tensor(x)
        for number, activation in enumerate(self.activations):
            weight, bias = (self.parameters[f"dense_{number}.{kind}"] for kind in ("weight", "bias"))
            h = ACTIVATIONS[activation](F.linear(h, weight, bias))
        return h

    def gradients(
        self, x: np.ndarray, y: np.ndarray, loss: str, sample_weight: np.ndarray | None = None
    ) -> float:
        for parameter in self.parameters.values():
            parameter.grad = None
        output = self(x)
        losses = LOSSES[loss](output, torch.as_tensor(y))
        weight = torch.ones_like(losses) if sample_weight is None else torch.as_tensor(sample_weight)
        value = (weight * losses).sum() / weight.sum()
        value.backward()
        return float(value.detach())


def assert_close(found: np.ndarray, expected: Any, tolerance: float, what: str) -> None:
    """Within ``tolerance`` of the array's own largest entry, or of 1 where all are smaller."""
    expected = expected.detach().numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max())
    assert difference <= tolerance * scale, f"{what}: |difference| {difference:.2e} at a scale of {scale:.2e}"


def problem(
    seed: int, activations: Sequence[str], loss: str, dtype: str, sizes: Sequence[int]
) -> tuple[rg.Model, Twin, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    net = sequential(random_layers(rng, sizes, activations), dtype=dtype)
    x = (0.7 * rng.normal(size=(BATCH, sizes[0]))).astype(dtype)
    y = ref.LOSSES[loss].draw(rng, BATCH, sizes[-1])
    return net, Twin(net, activations), x, y if y.dtype == np.int64 else y.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_forward_and_derivative(name: str, dtype: str) -> None:
    """Over the whole range, kinks and saturation included: an identity layer shows the function itself."""
    far = [] if name == "exp" else [-1000.0, -90.0, 90.0, 1000.0]
    values = np.array([*np.linspace(-12.0, 12.0, 2001), -3.0, 0.0, 3.0, *far], dtype=dtype)
    count = len(values) // 3 * 3
    x = values[:count].reshape(-1, 3)
    net = sequential([ref.DenseLayer(np.eye(3), np.zeros(3), name)], dtype=dtype)
    theirs = ACTIVATIONS[name](torch.tensor(x))
    expected, found = theirs.numpy(), net.predict(x)
    # 1e-12 / 1e-6 relative, and absolute where the value is the small difference of larger numbers
    relative, absolute = (1e-12, 1e-14) if dtype == "float64" else (2e-6, 1e-6)
    np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute)

    if name not in ("hard_sigmoid", "hard_swish"):  # a convention at their corners, and nothing to compare
        z = torch.tensor(x, requires_grad=True)
        t = np.zeros_like(x)
        (0.5 * ((ACTIVATIONS[name](z) - torch.tensor(t)) ** 2).sum(dim=-1)).mean().backward()
        trace = net.trace(x, t, "half_squared_error")
        np.testing.assert_allclose(trace["dense_0"].delta, z.grad.numpy(), rtol=10 * relative, atol=absolute)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_loss_and_gradients(activation: str, loss: str, dtype: str) -> None:
    activations = (activation, "tanh", "linear")
    net, twin, x, y = problem(0, activations, loss, dtype, (9, 20, 13, 5))
    tolerance = TOLERANCE[dtype]
    assert_close(net.predict(x), twin(x), tolerance, "output")
    weight = np.random.default_rng(1).random(BATCH).astype(dtype) + np.asarray(0.1, dtype)
    trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))
    for sample_weight in (None, weight):
        expected = twin.gradients(x, y, loss, sample_weight)
        found = trainer.forward(x, y, sample_weight=sample_weight)
        trainer.backward()
        assert found == pytest.approx(expected, rel=tolerance)
        for name, parameter in twin.parameters.items():
            assert_close(net.gradients[name], parameter.grad, tolerance, f"gradient of {name}")


def test_options_of_cross_entropy() -> None:
    """label_smoothing and ignore_index, with ignored samples out of the mean."""
    net, twin, x, y = problem(0, ("tanh", "linear"), "cross_entropy", "float64", (9, 20, 5))
    y[3:6] = -100
    for parameter in twin.parameters.values():
        parameter.grad = None
    value = F.cross_entropy(twin(x), torch.tensor(y), label_smoothing=0.1)
    value.backward()
    loss = rg.losses.CrossEntropy(label_smoothing=0.1)
    trainer = rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))
    assert trainer.gradients(x, y) == pytest.approx(float(value.detach()), rel=1e-12)
    for name, parameter in twin.parameters.items():
        assert_close(net.gradients[name], parameter.grad, 1e-12, name)


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.02, "momentum": 0.9}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("RMSprop", {"lr": 1e-3}),
    ("RMSprop", {"lr": 1e-3, "alpha": 0.9, "eps": 1e-5, "weight_decay": 0.01}),
    ("RMSprop", {"lr": 1e-3, "momentum": 0.8}),
    ("RMSprop", {"lr": 1e-3, "eps": 1e-3, "centered": True}),
    ("RMSprop", {"lr": 1e-3, "eps": 1e-3, "centered": True, "momentum": 0.8, "weight_decay": 0.01}),
    ("Adagrad", {"lr": 0.01}),
    ("Adagrad", {"lr": 0.01, "lr_decay": 0.05, "weight_decay": 0.01, "eps": 1e-6}),
    ("Adagrad", {"lr": 0.01, "initial_accumulator_value": 0.1}),
    ("Adam", {"lr": 1e-3}),
    ("Adam", {"lr": 1e-3, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.01}),
    ("Adam", {"lr": 1e-3, "amsgrad": True}),
    ("AdamW", {"lr": 1e-3}),
    ("AdamW", {"lr": 1e-3, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "amsgrad": True}),
]
IDS = [
    "-".join([name, *[f"{key}={value}" for key, value in settings.items() if key != "lr"]])
    for name, settings in OPTIMIZERS
]


def batches(rng: np.random.Generator, dtype: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """100 batches of one problem that can be learned."""
    teacher = rng.normal(size=(9, 5))
    for _ in range(100):
        x = rng.normal(size=(BATCH, 9)).astype(dtype)
        yield x, np.argmax(x @ teacher, axis=1)


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=IDS)
def test_100_steps_in_float64(name: str, settings: dict[str, Any]) -> None:
    net, twin, _, _ = problem(0, ("tanh", "gelu", "linear"), "cross_entropy", "float64", (9, 20, 13, 5))
    theirs = getattr(torch.optim, name)(list(twin.parameters.values()), **settings)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=getattr(rg, name)(**settings))
    start = net.flat_parameters.copy()
    for x, y in batches(np.random.default_rng(1), "float64"):
        expected = twin.gradients(x, y, "cross_entropy")
        theirs.step()
        assert trainer.step(x, y) == pytest.approx(expected, rel=1e-10)
    for key, parameter in twin.parameters.items():
        assert_close(net.parameters[key], parameter, 1e-10, key)
        for slot, value in theirs.state[parameter].items():
            if slot != "step" and value is not None:
                assert_close(trainer.optimizer_state[key][slot], value, 1e-10, f"{key} {slot}")
    assert trainer.iteration == 100
    assert np.abs(net.flat_parameters - start).max() > 1e-2  # it was no comparison of nothing with nothing


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=IDS)
def test_100_single_steps_in_float32(name: str, settings: dict[str, Any]) -> None:
    net, twin, _, _ = problem(0, ("tanh", "gelu", "linear"), "cross_entropy", "float32", (9, 20, 13, 5))
    theirs = getattr(torch.optim, name)(list(twin.parameters.values()), **settings)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=getattr(rg, name)(**settings))
    for number, (x, y) in enumerate(batches(np.random.default_rng(1), "float32")):
        for key, parameter in twin.parameters.items():
            net.parameters[key][...] = parameter.detach().numpy()
            for slot, value in theirs.state[parameter].items():
                if slot != "step" and value is not None:
                    trainer.optimizer_state[key][slot][...] = value.numpy()
        trainer.iteration = number
        expected = twin.gradients(x, y, "cross_entropy")
        theirs.step()
        assert trainer.step(x, y) == pytest.approx(expected, rel=1e-5)
        for key, parameter in twin.parameters.items():
            assert_close(net.parameters[key], parameter, 1e-5, f"{key} after step {number}")


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS, ids=IDS)
def test_optimizer_slots_have_pytorchs_names(name: str, settings: dict[str, Any]) -> None:
    net, twin, x, y = problem(0, ("tanh", "linear"), "cross_entropy", "float64", (9, 20, 5))
    theirs = getattr(torch.optim, name)(list(twin.parameters.values()), **settings)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=getattr(rg, name)(**settings))
    twin.gradients(x, y, "cross_entropy")
    theirs.step()
    trainer.step(x, y)
    for key, parameter in twin.parameters.items():
        slots = {slot for slot, v in theirs.state[parameter].items() if v is not None} - {"step"}
        assert set(trainer.optimizer_state.get(key, {})) == slots


def test_defaults_are_pytorchs() -> None:
    """Without any argument but the one that PyTorch asks for too."""
    for name in ("RMSprop", "Adagrad", "Adam", "AdamW"):
        net, twin, x, y = problem(0, ("tanh", "linear"), "cross_entropy", "float64", (9, 20, 5))
        theirs = getattr(torch.optim, name)(list(twin.parameters.values()))
        trainer = rg.Trainer(net, loss="cross_entropy", optimizer=getattr(rg, name)())
        for _ in range(5):
            twin.gradients(x, y, "cross_entropy")
            theirs.step()
            trainer.step(x, y)
        for key, parameter in twin.parameters.items():
            assert_close(net.parameters[key], parameter, 1e-12, f"{name} {key}")


SCHEDULES: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (
        lambda: rg.schedules.Constant(0.1),
        lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0),
    ),
    (
        lambda: rg.schedules.Step(0.1, step_size=7, gamma=0.5),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.5),
    ),
    (
        lambda: rg.schedules.Exponential(0.1, gamma=0.9),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
    ),
    (
        lambda: rg.schedules.Cosine(0.1, total=30, min_lr=0.01),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 30, 0.01),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), SCHEDULES, ids=["constant", "step", "exponential", "cosine"])
def test_schedules(ours: Callable[[], Any], theirs: Callable[[Any], Any]) -> None:
    """The rate of every iteration, and the weights that 30 of them lead to."""
    net, twin, x, y = problem(0, ("tanh", "linear"), "mean_squared_error", "float64", (9, 20, 5))
    optimizer = torch.optim.SGD(list(twin.parameters.values()), lr=0.1, momentum=0.5)
    schedule = theirs(optimizer)
    trainer = rg.Trainer(net, loss="mean_squared_error", optimizer=rg.SGD(ours(), momentum=0.5))
    for _ in range(30):
        assert trainer.lr == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        twin.gradients(x, y, "mean_squared_error")
        optimizer.step()
        schedule.step()
        trainer.step(x, y)
    for key, parameter in twin.parameters.items():
        assert_close(net.parameters[key], parameter, 1e-10, key)


def test_clipping_by_norm() -> None:
    net, twin, x, y = problem(0, ("tanh", "linear"), "half_squared_error", "float64", (9, 20, 5))
    trainer = rg.Trainer(net, loss="half_squared_error", optimizer=rg.SGD(0.1), clip_norm=0.05)
    optimizer = torch.optim.SGD(list(twin.parameters.values()), lr=0.1)
    for _ in range(3):
        twin.gradients(x, y, "half_squared_error")
        torch.nn.utils.clip_grad_norm_(list(twin.parameters.values()), 0.05)
        optimizer.step()
        trainer.step(x, y)
    for key, parameter in twin.parameters.items():
        assert_close(net.parameters[key], parameter, 1e-8, key)
