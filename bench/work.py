"""What is measured: a network, its data and its way of training, the same for every implementation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench import networks

if TYPE_CHECKING:
    from pathlib import Path

Floats = NDArray[np.float32]
Array = NDArray[Any]

BETAS = (0.9, 0.999)
EPS = 1e-8
WEIGHT_DECAY = 0.01  # of AdamW: of every parameter


@dataclass(frozen=True)
class Goal:
    """What is aimed at. ``ratios``: our time over the best peer's, at most, by number of threads (that of one
    thread counts where a number has none of its own). ``seconds``: our time of a step, by number of threads.
    ``peak``: our part of the machine's FMA peak, at least."""

    ratios: dict[int, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    peak: float = 0.0

    def ratio(self, threads: int) -> float | None:
        """The largest allowed ratio to the best peer."""
        return self.ratios.get(threads, self.ratios.get(1))


@dataclass(frozen=True)
class Work:
    """One row of the table, or one point of a curve.

    An epoch is ``batches`` batches of ``batch`` rows in the order of the data: shuffling would measure how
    rows are gathered, which is not what the rows are about. In a prediction row an epoch is one call for
    each of the ``batches`` rows.
    """

    row: str
    title: str
    sizes: tuple[int, ...]  # what they mean says the module of the network
    hidden: str  # activation: "sigmoid", "relu", "tanh", "linear" or, of a transformer, "gelu"
    output: str = "linear"
    network: str = "dense"  # or another of ``networks.NAMES``
    loss: str = "mean_squared_error"  # or "half_squared_error", "cross_entropy"
    optimizer: str = "adam"  # or "adamw" or "sgd"
    lr: float = 1e-3
    batch: int = 1
    batches: int = 1
    check_epochs: int = 1  # how many epochs are trained before losses are compared
    data: str = "regression"  # or "xor", "digits", "mnist", "expm", "classes", "text"
    kind: str = "train"  # or "predict"
    threads: tuple[int, ...] = ()  # empty: as asked for on the command line; 0: as each library chooses
    peers: tuple[str, ...] = ()  # empty: all
    point: int | None = None  # of a curve: the value on its x axis
    busy: int | None = None  # processes that keep the CPUs busy meanwhile; None: the row is not about that
    unit: str = "step"
    goal: Goal = field(default_factory=Goal)

    @property
    def id(self) -> str:
        """The row, and the point of a curve."""
        return self.row if self.point is None else f"{self.row}:{self.point}"

    @property
    def rows(self) -> int:
        """How many examples there are."""
        return self.batch * self.batches

    @property
    def multiply_adds(self) -> int:
        """Of one step, or of one prediction: in the products with weights and of attention, nothing else."""
        forward, first = networks.of(self).multiply_adds(self)
        if self.kind == "predict":
            return int(forward)
        # forward, dW, and dx of every layer but the first
        return int(self.batch * (3 * forward - first))

    def to_dict(self) -> dict[str, Any]:
        """For a file or another process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Work:
        """The reverse of ``to_dict``, after JSON has made texts of the keys and lists of the tuples. What a
        file of an earlier version lacks has its default."""
        values = {f.name: given[f.name] for f in fields(cls) if f.name in given}
        goal = values["goal"]
        values["goal"] = Goal(
            {int(k): v for k, v in goal["ratios"].items()},
            {int(k): v for k, v in goal["seconds"].items()},
            goal["peak"],
        )
        for name in ("sizes", "threads", "peers"):
            values[name] = tuple(values[name])
        return cls(**values)


# ------------------------------------------------------------------------------------------------- data


@cache
def _digits() -> tuple[Floats, NDArray[np.int64]]:
    try:
        from retrograd import datasets

        x, y = datasets.digits()
    except ImportError:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
    return np.asarray(x / 16, np.float32).reshape(len(x), 64), np.asarray(y, np.int64)


def _stretch(size: int, new: int) -> Floats:
    """The matrix that interpolates ``size`` points at ``new`` places, linearly."""
    place = np.linspace(0, size - 1, new)
    left = np.minimum(place.astype(int), size - 2)
    matrix = np.zeros((new, size), np.float32)
    matrix[np.arange(new), left] = 1 - (place - left)
    matrix[np.arange(new), left + 1] = place - left
    return matrix


def _mnist_like(rows: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Digits drawn as MNIST draws them, 20x20 in a frame of 28x28, 81 % of the pixels zero as there: the part
    of zeros matters, because a library may skip them."""
    small, labels = _digits()
    pick = rng.integers(0, len(small), rows)
    up = _stretch(8, 20)
    drawn = up @ small[pick].reshape(rows, 8, 8) @ up.T
    images = np.zeros((rows, 28, 28), np.float32)
    down, right = rng.integers(2, 7, (2, rows))
    for image, top, left, digit in zip(images, down, right, drawn, strict=True):
        image[top : top + 20, left : left + 20] = digit
    threshold = np.quantile(images, 0.81)
    images[images <= threshold] = 0
    return images.reshape(rows, 784), labels[pick]


def _expm(x: Array) -> Array:
    """exp of 2x2 matrices [[a, b], [c, d]], in closed form."""
    a, b, c, d = x.astype(np.complex128).T
    mean, half = (a + d) / 2, (a - d) / 2
    root = np.sqrt(half * half + b * c)
    ratio = np.where(np.abs(root) < 1e-9, 1, np.sinh(root) / np.where(root == 0, 1, root))
    cosh = np.cosh(root)
    result = np.exp(mean) * np.array([cosh + ratio * half, ratio * b, ratio * c, cosh - ratio * half])
    return np.asarray(result.real.T)


def _text(rows: int, time: int, vocabulary: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Characters each of which follows from the one before, but for one in four; and the characters next to
    them."""
    follower = rng.permutation(vocabulary)
    text = rng.integers(0, vocabulary, (rows, time + 1))
    follows = rng.random((rows, time + 1)) < 0.75
    for k in range(1, time + 1):
        text[:, k] = np.where(follows[:, k], follower[text[:, k - 1]], text[:, k])
    return text[:, :-1], text[:, 1:]


def make_data(work: Work) -> dict[str, Array]:
    """Inputs "x", targets "y", and then the initial weights by name, in the order of ``weights_of``. Inputs
    are one array, an example after the other; a dense weight has shape (out, in)."""
    rng = np.random.default_rng(12345)
    network = networks.of(work)
    shape = network.shape(work)
    rows, inputs, outputs = work.rows, math.prod(shape), network.outputs(work)
    x: Array
    y: Array
    if work.data == "xor":
        x = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), (rows // 4, 1))
        y = (x[:, :1] != x[:, 1:]).astype(np.float32)
    elif work.data == "digits":
        x, y = (part[:rows] for part in _digits())
    elif work.data == "mnist":
        x, y = _mnist_like(rows, rng)
    elif work.data == "expm":
        x = rng.uniform(-1, 1, (rows, inputs)).astype(np.float32)
        y = _expm(x).astype(np.float32)
    elif work.data == "classes":
        x = rng.standard_normal((rows, inputs), np.float32)
        y = (x @ rng.standard_normal((inputs, outputs), np.float32)).argmax(axis=1)
    elif work.data == "regression":
        x = rng.standard_normal((rows, inputs), np.float32)
        y = np.sin(x @ rng.standard_normal((inputs, outputs), np.float32) / np.float32(inputs**0.5))
    elif work.data == "text":
        x, y = _text(rows, inputs, outputs, rng)
    else:
        raise ValueError(work.data)
    arrays = {"x": np.ascontiguousarray(x.reshape(rows, *shape)), "y": np.ascontiguousarray(y)}
    return arrays | network.parameters(work, rng)


def weights_of(arrays: dict[str, Array]) -> list[Array]:
    """The initial weights in the order of the network's module; of dense layers w0, b0, w1, b1, ..."""
    return [array for name, array in arrays.items() if name not in ("x", "y")]


def store(arrays: dict[str, Array], folder: Path) -> None:
    """One file for each array."""
    for number, (name, array) in enumerate(arrays.items()):
        np.save(folder / f"{number:04} {name}.npy", array)


def restore(folder: Path) -> dict[str, Array]:
    """What ``store`` wrote, in that order."""
    return {path.stem.partition(" ")[2]: np.load(path) for path in sorted(folder.glob("*.npy"))}


# -------------------------------------------------------------------------------------------- reference


def output_of(work: Work, weights: list[Array], x: Array) -> Array:
    """The network's output, in float64."""
    return np.asarray(networks.of(work).output(work, weights, x))


def loss_of(work: Work, weights: list[Array], arrays: dict[str, Array]) -> float:
    """The mean loss of the first rows, in float64: the judge of all implementations."""
    limit = networks.of(work).JUDGED
    y = arrays["y"][:limit]
    out = output_of(work, weights, arrays["x"][:limit])
    if work.loss == "cross_entropy":
        top = out.max(axis=-1, keepdims=True)
        lse = top + np.log(np.exp(out - top).sum(axis=-1, keepdims=True))
        return float((lse - np.take_along_axis(out, y[..., None], axis=-1)).mean())
    square = (out - y) ** 2
    return float(0.5 * square.sum(axis=1).mean() if work.loss == "half_squared_error" else square.mean())
