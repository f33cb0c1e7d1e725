"""Data to try things on: real handwritten digits, patterns in the plane, and readers of MNIST's files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import integer, real, seed_of
from retrograd.errors import FileFormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = tuple[NDArray[np.float32], NDArray[np.int64]]
    Images = tuple[NDArray[np.uint8], NDArray[np.int64]]

__all__ = ["circles", "digits", "gaussians", "mnist", "moons", "spirals", "xor"]


def digits(flat: bool = True) -> Images:
    """1,797 handwritten digits as images of 8x8 pixels with values 0 to 16, and their labels 0 to 9.

    The test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine
    Learning Repository, https://doi.org/10.24432/C50P49), licence CC BY 4.0; stored here as 8-bit numbers,
    otherwise unchanged. 43 people wrote the digits; a pixel counts the ink in a 4x4 block of a 32x32 bitmap.

    Parameters
    ----------
    flat
        Whether an image is a row of 64 pixels; else [8, 8, 1].

    Returns
    -------
    x : ndarray of uint8
        [1797, 64] or [1797, 8, 8, 1]
    y : ndarray of int64
        [1797]
    """
    path = os.path.join(os.path.dirname(__file__), "digits.npz")
    with np.load(path, allow_pickle=False) as file:
        x, y = file["x"], file["y"].astype(np.int64)
    return (x if flat else x.reshape(-1, 8, 8, 1)), y


def xor() -> Points:
    """The four points of exclusive or: [4, 2] and the labels 0 1 1 0."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    return x, np.array([0, 1, 1, 0], dtype=np.int64)


def circles(n: int = 400, noise: float = 0.08, factor: float = 0.5, seed: int = 0) -> Points:
    """Two circles of radius 1 (class 0) and ``factor`` (class 1), with normal noise. [n, 2], [n]

    Raises
    ------
    ArgumentError
        n below 2, a negative noise, or a factor not between 0 and 1.
    """
    inner = real("circles: factor", factor, above=0.0, below=1.0)
    rng, label = _begin("circles", n, 2, seed)
    angle = rng.uniform(0.0, 2.0 * np.pi, len(label))
    radius = np.where(label == 0, 1.0, inner)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _noisy("circles", points, noise, rng), label


def moons(n: int = 400, noise: float = 0.1, seed: int = 0) -> Points:
    """Two half circles that reach into each other, with normal noise. [n, 2], [n]

    Raises
    ------
    ArgumentError
        n below 2, or a negative noise.
    """
    rng, label = _begin("moons", n, 2, seed)
    angle = rng.uniform(0.0, np.pi, len(label))
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return _noisy("moons", np.where(label[:, None] == 0, upper, lower), noise, rng), label


def spirals(n: int = 400, classes: int = 2, turns: float = 1.5, noise: float = 0.03, seed: int = 0) -> Points:
    """As many spirals around one centre as there are classes, with normal noise. [n, 2], [n]

    Raises
    ------
    ArgumentError
        n below the number of classes, fewer than 2 classes, turns not above 0, or a negative noise.
    """
    count = integer("spirals: classes", classes, 2)
    rng, label = _begin("spirals", n, count, seed)
    radius = np.sqrt(rng.uniform(0.01, 1.0, len(label)))  # the root spreads points evenly along the arms
    angle = 2.0 * np.pi * (real("spirals: turns", turns, above=0.0) * radius + label / count)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _noisy("spirals", points, noise, rng), label


def gaussians(n: int = 400, classes: int = 3, spread: float = 0.3, seed: int = 0) -> Points:
    """Normal clouds of deviation ``spread`` around points on a circle, one for each class. [n, 2], [n]

    Raises
    ------
    ArgumentError
        n below the number of classes, fewer than 2 classes, or a negative spread.
    """
    count = integer("gaussians: classes", classes, 2)
    rng, label = _begin("gaussians", n, count, seed)
    angle = 2.0 * np.pi * label / count
    return _noisy("gaussians", np.stack([np.cos(angle), np.sin(angle)], axis=1), spread, rng), label


def _begin(who: str, n: int, classes: int, seed: int) -> tuple[np.random.Generator, NDArray[np.int64]]:
    """The random numbers and the labels: as many of each class, to within one, in random order."""
    rng = np.random.default_rng(seed_of(who, seed))
    return rng, rng.permutation(np.arange(integer(f"{who}: n", n, classes), dtype=np.int64) % classes)


def _noisy(who: str, points: NDArray[Any], noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    moved = points + real(f"{who}: noise", noise, 0.0) * rng.normal(size=points.shape)
    return moved.astype(np.float32)


def mnist(path: str | os.PathLike[str]) -> tuple[Images, Images]:
    """MNIST, or any set in its formats (Fashion-MNIST, ...), from files on disk; nothing is downloaded.

    Parameters
    ----------
    path
        An npz file with the arrays x_train, y_train, x_test and y_test, or the folder of the four IDX files
        (``train-images-idx3-ubyte`` and so on, also as ``.gz``).

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images as uint8 [n, 28, 28], labels as int64 [n].

    Raises
    ------
    FileNotFoundError
        There is no such file or folder, or a file of the set is missing.
    FileFormatError
        A file is not what it should be.
    """
    source = os.fspath(path)
    if os.path.isdir(source):
        parts = [
            _read_idx(_find_idx(source, part, what))
            for part in ("train", "t10k")
            for what in ("images", "labels")
        ]
    else:
        parts = _read_npz(source)
    x_train, y_train, x_test, y_test = parts
    for x, y in ((x_train, y_train), (x_test, y_test)):
        if x.ndim < 2 or y.ndim != 1 or len(x) != len(y):
            raise FileFormatError(
                f"{source}: images of shape {x.shape} and labels of shape {y.shape} do not match"
            )
    return (x_train, y_train.astype(np.int64)), (x_test, y_test.astype(np.int64))


def _read_npz(source: str) -> list[NDArray[Any]]:
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(source, allow_pickle=False) as file:
            missing = [name for name in names if name not in file]
            if missing:
                raise FileFormatError(
                    f"{source}: there is no array {missing[0]!r}; expected {', '.join(names)}"
                )
            return [file[name] for name in names]
    except FileNotFoundError:
        raise
    except (ValueError, OSError, EOFError, TypeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{source}: expected an npz file with {', '.join(names)} ({error})") from None


def _find_idx(folder: str, part: str, what: str) -> str:
    rank = 3 if what == "images" else 1
    names = [f"{part}-{what}-idx{rank}-ubyte", f"{part}-{what}.idx{rank}-ubyte"]
    for name in names:
        for suffix in ("", ".gz"):
            path = os.path.join(folder, name + suffix)
            if os.path.isfile(path):
                return path
    raise FileNotFoundError(f"{folder}: there is no {names[0]} (or .gz) in this folder")


def _read_idx(path: str) -> NDArray[np.uint8]:
    """Two zero bytes, 8 for unsigned bytes, the rank, the sizes as big-endian 32-bit numbers, the data."""
    import gzip

    opener: Any = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            raw: bytes = file.read()
    except (gzip.BadGzipFile, EOFError) as error:
        raise FileFormatError(f"{path}: cannot be unpacked ({error})") from None
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise FileFormatError(
            f"{path}: begins with {raw[:4].hex(' ')}, expected 00 00 08 as IDX files of bytes do"
        )
    rank = raw[3]
    sizes = [int(n) for n in np.frombuffer(raw[4 : 4 + 4 * rank], dtype=">u4")]
    expected = 1
    for n in sizes:
        expected *= n
    if len(sizes) != rank or len(raw) - 4 - 4 * rank != expected:
        raise FileFormatError(
            f"{path}: has {len(raw)} bytes, which do not hold an array of shape {tuple(sizes)}"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(sizes)
