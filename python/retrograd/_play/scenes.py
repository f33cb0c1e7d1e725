"""Data for the page: patterns in the plane, own points, CSV files, and what was given from Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import datasets, losses
from retrograd._play.limits import SettingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd._play.config import Config

    Floats = NDArray[np.float64]

__all__ = ["Scene", "given_scene", "make_scene", "scene_code"]


@dataclass(frozen=True)
class Scene:
    """Samples, their targets, and which of them are kept for the test.

    Attributes
    ----------
    x
        [n, inputs]
    shown
        What a reader is shown as the target: labels 0, 1, ... or values. [n]
    y
        Targets as the loss takes them: [n, 1], labels [n] or [n, classes].
    test
        Which rows are for the test only. [n]
    task
        "classes" or "value".
    classes
        Names of the classes; empty for values.
    """

    x: NDArray[Any]
    shown: NDArray[Any]
    y: NDArray[Any]
    test: NDArray[np.bool_]
    task: str
    classes: tuple[str, ...]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows that are trained on."""
        return np.flatnonzero(~self.test)

    @property
    def inputs(self) -> int:
        """Numbers of a sample."""
        return int(self.x.shape[1])

    def domain(self) -> list[float]:
        """The part of the plane that is drawn: x0, x1, y0, y1, with a margin around the points."""
        low, high = self.x[:, :2].min(axis=0), self.x[:, :2].max(axis=0)
        margin = 0.15 * max(float((high - low).max()), 1e-3)
        return [float(v) for k in range(2) for v in (low[k] - margin, high[k] + margin)]

    def value_range(self) -> list[float]:
        """What the darkest and the lightest place of the map stand for."""
        if self.task == "classes":
            return [0.0, 1.0]
        low, high = float(self.shown.min()), float(self.shown.max())
        margin = 0.1 * (high - low) or 1.0
        return [low - margin, high + margin]


# ------------------------------------------------------------------------------------------- by a rule


def _xor(config: Config) -> tuple[Floats, Floats]:
    corners, labels = datasets.xor()
    rng = np.random.default_rng(config.seed)
    k = np.arange(config.rows) % 4
    x = 2.0 * corners[k].astype(np.float64) - 1.0 + config.noise * rng.normal(size=(config.rows, 2))
    return x, labels[k].astype(np.float64)


def _linear(config: Config) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(config.seed)
    x = rng.uniform(-1.0, 1.0, size=(config.rows, 1))
    return x, 0.8 * x[:, 0] - 0.3 + config.noise * rng.normal(size=config.rows)


def _plane(config: Config) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(config.seed)
    x = rng.uniform(-1.0, 1.0, size=(config.rows, 2))
    return x, 0.7 * x[:, 0] - 0.4 * x[:, 1] + 0.1 + config.noise * rng.normal(size=config.rows)


def _named(config: Config) -> tuple[Floats, Floats]:
    rows, seed = config.rows, config.seed
    if config.dataset == "circles":
        x, y = datasets.circles(rows, noise=config.noise, seed=seed)
    elif config.dataset == "moons":
        x, y = datasets.moons(rows, noise=config.noise, seed=seed)
    elif config.dataset == "spirals":
        x, y = datasets.spirals(rows, config.classes, config.turns, config.noise, seed)
    else:
        x, y = datasets.gaussians(rows, classes=config.classes, spread=config.noise, seed=seed)
    return x.astype(np.float64), y.astype(np.float64)


# The same in the Python that a reader is given.
_CODE = {
    "xor": """\
corners, labels = rg.datasets.xor()
rng, k = np.random.default_rng({seed}), np.arange({rows}) % 4
x = 2.0 * corners[k].astype(np.float64) - 1.0 + {noise!r} * rng.normal(size=({rows}, 2))
shown = labels[k].astype(np.float64)""",
    "linear": """\
rng = np.random.default_rng({seed})
x = rng.uniform(-1.0, 1.0, size=({rows}, 1))
shown = 0.8 * x[:, 0] - 0.3 + {noise!r} * rng.normal(size={rows})""",
    "plane": """\
rng = np.random.default_rng({seed})
x = rng.uniform(-1.0, 1.0, size=({rows}, 2))
shown = 0.7 * x[:, 0] - 0.4 * x[:, 1] + 0.1 + {noise!r} * rng.normal(size={rows})""",
    "textbook": """\
x, shown = np.array([[0.35, 0.9]]), np.array([0.5])""",
    "circles": "x, shown = rg.datasets.circles({rows}, noise={noise!r}, seed={seed})",
    "moons": "x, shown = rg.datasets.moons({rows}, noise={noise!r}, seed={seed})",
    "spirals": "x, shown = rg.datasets.spirals({rows}, {classes}, {turns!r}, {noise!r}, {seed})",
    "gaussians": "x, shown = rg.datasets.gaussians({rows}, classes={classes}, spread={noise!r}, seed={seed})",
}


def class_count(config: Config) -> int:
    """How many classes data made by a rule has; 0 for values."""
    if config.dataset in ("linear", "plane", "textbook"):
        return 0
    return config.classes if config.dataset in ("spirals", "gaussians") else 2


def make_scene(config: Config) -> Scene:
    """The data of these settings.

    Raises
    ------
    SettingError
        Own data is asked for and there is none, or fewer rows than classes.
    """
    if config.dataset == "textbook":
        return _split(config, np.array([[0.35, 0.9]]), np.array([0.5]), 0, ())
    if config.dataset in ("points", "csv", "given"):
        return _own(config)
    if config.rows < class_count(config):
        raise SettingError("rows", f"rows: {config.rows} are fewer than {config.classes} classes")
    make = {"xor": _xor, "linear": _linear, "plane": _plane}.get(config.dataset, _named)
    x, shown = make(config)
    count = class_count(config)
    return _split(config, x, shown, count, tuple(map(str, range(count))))


def _own(config: Config) -> Scene:
    data = config.data
    if data is None:
        raise SettingError("dataset", f"dataset: there is no data for {config.dataset!r} yet; add some first")
    labels = tuple(data["labels"])
    count = len(labels) if data["task"] == "classes" else 0
    x, shown = np.array(data["x"], dtype=np.float64), np.array(data["y"], dtype=np.float64)
    return _split(config, x, shown, count, labels)


def _split(config: Config, x: Floats, shown: Floats, count: int, labels: tuple[str, ...]) -> Scene:
    test = np.zeros(len(x), dtype=np.bool_)
    kept = int(len(x) * config.test_share)
    test[np.random.default_rng(config.seed).permutation(len(x))[:kept]] = True
    return Scene(x, shown, _targets(config, shown, count), test, "classes" if count else "value", labels)


def _targets(config: Config, shown: Floats, count: int) -> NDArray[Any]:
    if count <= 2:
        return shown[:, None].copy()
    labels = shown.astype(np.int64)
    if config.loss in ("auto", "cross_entropy"):
        return labels
    return np.eye(count)[labels]  # one unit for each class, compared number by number


def scene_code(config: Config) -> str:
    """Python that makes x, y, and the same split into rows to train on and rows to test."""
    if config.dataset in _CODE:
        values = {name: getattr(config, name) for name in ("rows", "noise", "turns", "classes", "seed")}
        lines = [_CODE[config.dataset].format(**values)]
        count = class_count(config)
        if config.dataset in ("circles", "moons", "spirals", "gaussians"):
            lines.append("x, shown = x.astype(np.float64), shown.astype(np.float64)")
    else:
        assert config.data is not None
        count = len(config.data["labels"]) if config.data["task"] == "classes" else 0
        lines = [f"x = np.array({config.data['x']!r}, dtype=np.float64)"]
        lines.append(f"shown = np.array({config.data['y']!r}, dtype=np.float64)")
    if count <= 2:
        lines.append("y = shown[:, None]")
    elif config.loss in ("auto", "cross_entropy"):
        lines.append("y = shown.astype(np.int64)")
    else:
        lines.append(f"y = np.eye({count})[shown.astype(np.int64)]")
    lines.append("test = np.zeros(len(x), dtype=bool)")
    share = config.test_share
    lines.append(
        f"test[np.random.default_rng({config.seed}).permutation(len(x))[: int(len(x) * {share!r})]] = True"
    )
    lines.append("x_train, y_train = x[~test], y[~test]")
    return "\n".join(lines)


# --------------------------------------------------------------------------------- given from Python


def given_scene(x: Any, y: Any, loss: Any, test_share: float, seed: int) -> Scene:
    """Arrays that were given together with a network; they are not copied."""
    x, y = np.asarray(x), np.asarray(y)
    kind = losses.resolve("play", loss)
    labels: tuple[str, ...] = ()
    shown = y
    if isinstance(kind, losses.CrossEntropy):
        shown = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y))
        labels = tuple(map(str, range(max(2, int(shown.max()) + 1))))
    elif isinstance(kind, losses.BinaryCrossEntropy) and y.size == len(y):
        shown = y.reshape(len(y))
        labels = ("0", "1") if np.isin(shown, (0, 1)).all() else ()
    shown = np.asarray(shown, dtype=np.float64)
    if shown.ndim > 1:
        shown = shown.reshape(len(y), -1)[:, 0]
    test = np.zeros(len(x), dtype=np.bool_)
    test[np.random.default_rng(seed).permutation(len(x))[: int(len(x) * test_share)]] = True
    return Scene(x, shown, y, test, "classes" if labels else "value", labels)
