"""The settings of a run: what they may be, and the network and trainer that are made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import init, layers, optim
from retrograd._arguments import finite_numbers, integer, nearest, real
from retrograd._play.limits import LIMITS, SettingError
from retrograd._play.own_data import checked_data
from retrograd.activations import ACTIVATIONS
from retrograd.errors import ArgumentError
from retrograd.graph import Input
from retrograd.model import Model, Sequential
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.layers import Layer

__all__ = ["CHOICES", "LIVE", "STRUCTURE", "Config", "make_model", "make_trainer", "trainer_of"]

# Functions of the core that need no more than one number for each unit.
_HIDDEN = [name for name in ACTIVATIONS if name not in ("softmax", "log_softmax", "exp")]
_OPTIMIZERS = {
    made.name: made
    for made in (
        optim.SGD,
        optim.Adam,
        optim.AdamW,
        optim.RMSprop,
        optim.Adagrad,
        optim.Adadelta,
        optim.NAdam,
        optim.RAdam,
        optim.Adamax,
        optim.Lion,
        optim.Rprop,
    )
}
CHOICES: dict[str, list[str]] = {
    "dataset": [
        *("xor", "circles", "moons", "spirals", "gaussians", "linear", "plane", "textbook"),
        *("points", "csv", "given"),
    ],
    "activations": _HIDDEN,
    "output": ["auto", "linear", "sigmoid", "softmax", "tanh"],
    "init": [name for name in init.__all__ if name != "Initializer"],
    "loss": [
        *("auto", "binary_cross_entropy", "cross_entropy", "mean_squared_error", "half_squared_error"),
        *("mean_absolute_error", "huber"),
    ],
    "optimizer": list(_OPTIMIZERS),
}

# What may change while the network is kept; everything else begins anew at step 0.
LIVE = frozenset(
    {
        *("optimizer", "lr", "momentum", "beta1", "beta2", "batch_size", "l1", "l2", "clip_norm", "dropout"),
        *("stop_epoch", "stop_loss"),
    }
)
# What a network that was given from Python has already.
STRUCTURE = frozenset(
    {
        *(
            "dataset",
            "rows",
            "noise",
            "turns",
            "classes",
            "test_share",
            "hidden",
            "activations",
            "output",
            "init",
        ),
        *("init_scale", "loss", "weights", "dropout"),
    }
)


@dataclass(frozen=True)
class Config:
    """All settings; they are checked by :meth:`changed`, not here.

    Attributes
    ----------
    dataset, rows, noise, turns, classes, test_share
        The data, how many samples, how blurred, how often spirals turn, how many classes, and the share kept
        for the test.
    data
        Own points or the rows of a CSV file: {"x", "y", "labels", "task"}; None for data made by a rule.
    hidden, activations, output
        Units and activation of each hidden layer; the activation of the output ("auto": by the task).
    init, init_scale, weights
        How weights begin, a factor for them, or all of them: [[W, b], ...].
    loss, optimizer, lr, momentum, beta1, beta2, batch_size, l1, l2, clip_norm, dropout
        As in :class:`retrograd.Trainer`. lr None: as the given optimizer has it.
    seed
        Of data, weights, order and dropout.
    stop_epoch, stop_loss
        Where playing stops of itself; None: nowhere.
    """

    dataset: str = "xor"
    rows: int = 200
    noise: float = 0.2
    turns: float = 1.0
    classes: int = 2
    test_share: float = 0.25
    data: dict[str, Any] | None = None
    hidden: tuple[int, ...] = (4, 3)
    activations: tuple[str, ...] = ("tanh", "tanh")
    output: str = "auto"
    init: str = "auto"
    init_scale: float = 1.0
    weights: tuple[Any, ...] | None = None
    loss: str = "auto"
    optimizer: str = "sgd"
    lr: float | None = 0.3
    momentum: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    batch_size: int = 16
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float | None = None
    dropout: float = 0.0
    seed: int = 7
    stop_epoch: int | None = None
    stop_loss: float | None = None

    def to_dict(self, data: bool = True) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; own data may be left out."""
        values = asdict(self)
        for name in ("hidden", "activations", "weights"):
            values[name] = None if values[name] is None else list(values[name])
        if not data:
            values["data"] = None
        return values

    def changed(self, values: dict[str, Any]) -> Config:
        """The same with other values, all of them checked.

        Raises
        ------
        SettingError
            With the path of the setting, what may stand there, and what came.
        """
        new = self
        names = sorted(values, key=lambda name: _ORDER.get(name.partition("[")[0], 0))
        for path in names:
            new = new._with(path, values[path])
        return new

    def _with(self, path: str, value: Any) -> Config:
        name, bracket, rest = path.partition("[")
        if name not in _CHECKS:
            raise SettingError(path, f"{path}: there is no such setting;{nearest(name, _CHECKS)}")
        if bracket:
            value = self._with_item(path, name, rest, value)
        try:
            checked = _CHECKS[name](name, value)
        except SettingError:
            raise
        except ArgumentError as error:
            raise SettingError(path, str(error)) from None
        return self._fitted(name, checked)

    def _with_item(self, path: str, name: str, rest: str, value: Any) -> list[Any]:
        if name not in ("hidden", "activations"):
            raise SettingError(path, f"{path}: {name} is one value, not a list")
        items: list[Any] = list(getattr(self, name))
        digits = rest.removesuffix("]")
        if not rest.endswith("]") or not digits.isascii() or not digits.isdigit() or len(digits) > 3:
            raise SettingError(path, f"{path}: expected {name}[0] to {name}[{len(items) - 1}]")
        if int(digits) >= len(items):
            raise SettingError(path, f"{path}: there are {len(items)} hidden layers, counted from 0")
        items[int(digits)] = value
        return items

    def _fitted(self, name: str, value: Any) -> Config:
        """With one value that is right by itself, and the others made to go with it."""
        also: dict[str, Any] = {}
        if name == "activations":
            if len(value) == 1 and len(self.hidden) != 1:
                value = value * len(self.hidden)
            if len(value) != len(self.hidden):
                raise SettingError(
                    name,
                    f"activations: expected one for each of {len(self.hidden)} hidden layers, got "
                    f"{len(value)}",
                )
        if name == "hidden":
            last = self.activations[-1:] or ("tanh",)
            also["activations"] = (self.activations + last * len(value))[: len(value)]
            also["weights"] = None
        if name == "dataset":
            also["weights"] = None
            if value not in ("points", "csv"):
                also["data"] = None
        return replace(self, **{**also, name: value})


def _number(low: float, high: float, above: float | None = None) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        return real(name, value, low, high, above=above)

    return check


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return integer(name, value, low, high)

    return check


def _choice(name: str, value: Any) -> str:
    known = CHOICES[name]
    if not isinstance(value, str) or value not in known:
        shown = repr(value)[:60]
        near = nearest(value, known) if isinstance(value, str) and len(value) < 60 else ""
        raise SettingError(name, f"{name}: unknown name {shown};{near} choose one of {', '.join(known)}")
    return value


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def optional(name: str, value: Any) -> Any:
        return None if value is None else check(name, value)

    return optional


def _hidden(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise SettingError(name, f"{name}: expected a list of units such as [4, 3], got {repr(value)[:60]}")
    most = LIMITS["layers"] - 1
    if len(value) > most:
        raise SettingError(name, f"{name}: at most {most} hidden layers, got {len(value)}")
    units = []
    for k, item in enumerate(value):
        whole = isinstance(item, int) and not isinstance(item, bool)
        if not whole or not 1 <= item <= LIMITS["units"]:
            field = f"{name}[{k}]"
            raise SettingError(field, f"{field}: units must be 1 to {LIMITS['units']}, got {repr(item)[:60]}")
        units.append(item)
    return tuple(units)


def _activations(name: str, value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or len(items) >= LIMITS["layers"]:
        raise SettingError(name, f"{name}: expected a list of names, got {repr(value)[:60]}")
    for k, item in enumerate(items):
        try:
            _choice(name, item)
        except SettingError as error:
            field = f"{name}[{k}]"
            raise SettingError(field, field + error.message.removeprefix(name)) from None
    return tuple(items)


def _init(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 60:
        raise SettingError(name, f"{name}: expected a name such as 'he_normal', got {repr(value)[:60]}")
    return str(init.resolve(name, value))


def _weights(name: str, value: Any) -> tuple[Any, ...] | None:
    """[[W, b], ...] of numbers; shapes are looked at when the network is made."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) > LIMITS["layers"]:
        raise SettingError(name, f"{name}: expected [W, b] for each layer, got {repr(value)[:60]}")
    made = []
    for k, layer in enumerate(value):
        field = f"{name}[{k}]"
        if not isinstance(layer, list | tuple) or len(layer) != 2:
            raise SettingError(field, f"{field}: expected [W, b], got {repr(layer)[:60]}")
        try:
            W, b = (finite_numbers(field, part) for part in layer)
        except (ArgumentError, TypeError) as error:
            raise SettingError(field, str(error)) from None
        if W.ndim != 2 or b.ndim != 1 or W.shape[0] != b.shape[0] or W.size > 2**12:
            raise SettingError(
                field, f"{field}: W has shape {W.shape} and b {b.shape}; expected (n, m) and (n,)"
            )
        made.append([W.tolist(), b.tolist()])
    return tuple(made)


def _data(name: str, value: Any) -> dict[str, Any] | None:
    return None if value is None else checked_data(name, value)


def _lr(name: str, value: Any) -> float:
    number = real(name, value)
    if not 0 < number <= 1e9:
        raise SettingError(name, f"lr: learning rate must be above 0 and at most 1e9, got {number:g}")
    return number


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "dataset": _choice,
    "rows": _whole(4, LIMITS["points"]),
    "noise": _number(0.0, 2.0),
    "turns": _number(0.25, 3.0),
    "classes": _whole(2, LIMITS["classes"]),
    "test_share": _number(0.0, 0.9),
    "data": _data,
    "hidden": _hidden,
    "activations": _activations,
    "output": _choice,
    "init": _init,
    "init_scale": _number(0.0, 100.0),
    "weights": _weights,
    "loss": _choice,
    "optimizer": _choice,
    "lr": _lr,
    "momentum": lambda name, value: real(name, value, 0.0, below=1.0),
    "beta1": lambda name, value: real(name, value, 0.0, below=1.0),
    "beta2": lambda name, value: real(name, value, 0.0, below=1.0),
    "batch_size": _whole(1, LIMITS["batch"]),
    "l1": _number(0.0, 10.0),
    "l2": _number(0.0, 10.0),
    "clip_norm": _optional(_number(0.0, 1e9, above=0.0)),
    "dropout": _number(0.0, 0.9),
    "seed": _whole(0, 2**53),
    "stop_epoch": _optional(_whole(1, LIMITS["epochs"])),
    "stop_loss": _optional(_number(0.0, 1e9, above=0.0)),
}
# data sets clear weights and data, and hidden decides how many activations there are
_ORDER = {"dataset": -3, "data": -2, "hidden": -1, "weights": 1}
assert set(_CHECKS) == {field.name for field in fields(Config)}


# ------------------------------------------------------------------------------ networks and trainers


def output_of(config: Config, task: str, classes: int) -> tuple[int, str, str]:
    """Units and activation of the output layer, and the loss.

    Raises
    ------
    SettingError
        A loss or an output that does not go with the task.
    """
    several = task == "classes" and classes > 2
    usual = {"value": "linear", "classes": "softmax" if several else "sigmoid"}[task]
    output = usual if config.output == "auto" else config.output
    fitting = {
        "value": "mean_squared_error",
        "classes": "cross_entropy" if several else "binary_cross_entropy",
    }
    loss = fitting[task] if config.loss == "auto" else config.loss
    units = classes if several else 1
    if loss == "cross_entropy" and not several:
        raise SettingError(
            "loss", "loss: cross_entropy is for 3 and more classes here; for two use binary_cross_entropy"
        )
    if loss == "binary_cross_entropy" and (task == "value" or several):
        raise SettingError(
            "loss", f"loss: binary_cross_entropy is for two classes; use {fitting[task]} for this data"
        )
    if output == "softmax" and not several:
        raise SettingError("output", "output: softmax of one unit is always 1; use sigmoid")
    if loss == "cross_entropy" and output not in ("softmax", "linear"):
        raise SettingError("output", f"output: cross_entropy takes softmax (or linear: logits), got {output}")
    if loss == "binary_cross_entropy" and output not in ("sigmoid", "linear"):
        raise SettingError(
            "output", f"output: binary_cross_entropy takes sigmoid (or linear: logits), got {output}"
        )
    return units, output, loss


def make_model(config: Config, inputs: int, task: str, classes: int) -> Model:
    """The network of these settings, float64, with its initial weights.

    Raises
    ------
    SettingError
        Settings that do not go together.
    """
    units, output, _ = output_of(config, task, classes)
    given = config.weights
    if given is not None and len(given) != len(config.hidden) + 1:
        raise SettingError(
            "weights",
            f"weights: expected [W, b] for each of {len(config.hidden) + 1} layers, got {len(given)}",
        )
    sizes = [inputs, *config.hidden, units]
    rules = [*config.activations, output]
    parts: list[Any] = [Input(inputs)]
    for k, (size, activation) in enumerate(zip(sizes[1:], rules, strict=True)):
        parts.append(_dense(config, k, sizes[k], size, activation))
        if config.dropout > 0 and k < len(config.hidden):
            parts.append(layers.Dropout(config.dropout))
    net = Sequential(parts, seed=config.seed, dtype="float64")
    if config.init_scale != 1.0 and given is None:
        for name, view in net.parameters.items():
            if name.endswith(".weight"):
                view *= config.init_scale
    return net


def _dense(config: Config, k: int, inputs: int, units: int, activation: str) -> Layer:
    if config.weights is None:
        return layers.Dense(units, activation=activation, weight_init=config.init)
    W, b = (np.array(part, dtype=np.float64) for part in config.weights[k])
    if W.shape != (units, inputs):
        raise SettingError("weights", f"weights[{k}]: W has shape {W.shape}, expected ({units}, {inputs})")
    return layers.Dense(units, activation=activation, weight_init=W, bias_init=b)


def optimizer_of(config: Config) -> optim.Optimizer:
    """The optimizer by its name, with those of the numbers that it takes."""
    made = _OPTIMIZERS[config.optimizer]
    return made(**optimizer_arguments(config))


def optimizer_arguments(config: Config) -> dict[str, Any]:
    """What the optimizer is made with."""
    arguments: dict[str, Any] = {"lr": config.lr}
    if config.optimizer in ("sgd", "rmsprop") and config.momentum:
        arguments["momentum"] = config.momentum
    takes_betas = config.optimizer in ("adam", "adamw", "nadam", "radam", "adamax", "lion")
    if takes_betas and (config.beta1, config.beta2) != (0.9, 0.999):
        arguments["betas"] = (config.beta1, config.beta2)
    return arguments


def optimizer_class(config: Config) -> str:
    """What it is called in Python."""
    return _OPTIMIZERS[config.optimizer].__name__


def make_trainer(config: Config, net: Model, task: str, classes: int) -> Trainer:
    """The trainer of these settings for a network that is there."""
    return trainer_of(config, net, output_of(config, task, classes)[2], optimizer_of(config))


def trainer_of(config: Config, net: Model, loss: Any, optimizer: Any) -> Trainer:
    """A trainer with a loss and an optimizer that were given."""
    return Trainer(
        net,
        loss,
        optimizer,
        l1=config.l1,
        l2=config.l2,
        clip_norm=config.clip_norm,
        seed=config.seed,
    )
