"""Data as it comes: arrays, frames, series, lists; checked once, and never copied whole where it is an array.

The core reads an array where it lies, whatever its strides, byte order and numeric dtype, and converts one
batch at a time. So a memory-mapped file of any size may be passed as it is. uint8 means its value 0..255
(``Rescale`` brings it into 0..1); bool means 0 and 1. Frames and lists have no such memory: they become an
array once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._arguments import integer, real, seed_of
from retrograd.errors import ArgumentError, DTypeError, ShapeError
from retrograd.graph import Node, shape_text
from retrograd.losses import CrossEntropy, Loss, OwnLoss
from retrograd.stream import Indexed, Stream, Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from retrograd._core import Array

__all__ = ["Indexed", "Stream", "Windows", "as_array", "batches", "split_rows"]

_ACCEPTED = "float16, float32, float64, integers and bool"
_POLARS = {"Boolean", "Float16", "Float32", "Float64"} | {
    f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}


# ------------------------------------------------------------------------------------ one array


def as_array(value: Any, name: str = "x") -> Array:
    """``value`` as an ndarray of numbers with at least one row.

    NumPy arrays come back as they are, others are converted: lists, pandas and polars frames and series, and
    whatever speaks DLPack or has ``__array__``.

    Parameters
    ----------
    value
        The data. [rows, ...]
    name
        How errors call it.

    Raises
    ------
    DTypeError
        Text, dates, complex numbers, objects, records, or a masked array.
    ShapeError
        A single number, rows of different lengths, or no rows.
    """
    array = value if type(value) is np.ndarray else _convert(value, name)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise _refused(name, array)
    if array.ndim == 0:
        raise ShapeError(f"{name}: got a single number, shape (), expected an array with one row per sample")
    if array.size == 0:
        raise ShapeError(
            f"{name}: it is empty, shape {array.shape}; expected at least one row and no axis of size 0"
        )
    return array


def _refused(name: str, array: Array) -> DTypeError:
    advice = {
        "U": "turn text into numbers first, one column per category for instance",
        "S": "turn bytes into numbers first, for instance by np.frombuffer(..., np.uint8)",
        "O": "make it one array of numbers, for instance by np.array(list_of_rows, dtype=float)",
        "V": "stack the fields you want: np.stack([a[field] for field in ...], axis=1)",
        "M": "turn dates into numbers first, for instance days since the first one",
        "m": "turn durations into numbers first, for instance a / np.timedelta64(1, 's')",
        "c": "pass real and imaginary parts as two columns",
        "f": "convert it: a.astype(np.float64)",
    }.get(array.dtype.kind, "convert it with a.astype(np.float32)")
    return DTypeError(f"{name}: dtype is {array.dtype}, expected one of {_ACCEPTED}; {advice}")


def _convert(value: Any, name: str) -> Array:
    """Anything but a plain ndarray as one, without a copy where there is memory to share."""
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            f"{name}: a masked array has elements that are no numbers; fill them first (.filled(value))"
        )
    if isinstance(value, np.ndarray):  # memory maps and other subclasses
        return value.view(np.ndarray)
    if value is None:
        raise DTypeError(f"{name}: got None, expected an array of {_ACCEPTED}")
    if isinstance(value, Node):
        raise DTypeError(f"{name}: got {value!r}, expected numbers; a node has none until a model runs")
    if isinstance(value, str | bytes | dict | set):
        raise DTypeError(f"{name}: got {type(value).__name__}, expected an array of {_ACCEPTED}")
    library = type(value).__module__.partition(".")[0]
    if library == "pandas":
        return _from_pandas(value, name)
    if library == "polars":
        return _from_polars(value, name)
    if library == "scipy" and hasattr(value, "toarray"):
        raise DTypeError(f"{name}: got a sparse {type(value).__name__}; make it dense first (.toarray())")
    if hasattr(value, "__next__") or callable(value):
        raise DTypeError(
            f"{name}: got a {type(value).__name__}, expected an array of {_ACCEPTED}; batches that a "
            "function yields go into rg.data.Stream, which takes the function"
        )
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise DTypeError(
                f"{name}: this {type(value).__name__} cannot be read in place ({error}); "
                "bring it to the CPU as a plain array first, without a gradient"
            ) from None
    try:
        return np.asarray(value)
    except ValueError:
        raise ShapeError(
            f"{name}: this {type(value).__name__} has rows of different lengths; expected one shape for all"
        ) from None


def _from_pandas(value: Any, name: str) -> Array:
    from importlib import import_module

    pd = import_module("pandas")
    if isinstance(value, pd.Series | pd.Index):
        columns = {value.name: value.dtype}
    elif isinstance(value, pd.DataFrame):
        columns = dict(zip(value.columns, value.dtypes, strict=True))
        if len(columns) < value.shape[1]:
            raise ArgumentError(f"{name}: two columns of this frame have one name; rename them")
    else:
        raise DTypeError(f"{name}: got pandas {type(value).__name__}, expected a DataFrame or a Series")
    for column, dtype in columns.items():
        numeric = pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
        if not numeric or pd.api.types.is_complex_dtype(dtype):
            which = f"column {column!r} is" if isinstance(value, pd.DataFrame) else "dtype is"
            raise DTypeError(
                f"{name}: {which} {dtype}, expected one of {_ACCEPTED}; "
                "turn it into numbers first, for instance by pandas.get_dummies or .cat.codes"
            )
    # what a column is once its missing values are NaN; one dtype for all of them, since an array has one
    frame = isinstance(value, pd.DataFrame)
    plain = [_plain_dtype(part) for part in ([value[column] for column in columns] if frame else [value])]
    wanted = np.result_type(*plain) if plain else np.dtype(np.float64)
    array: Array
    if all(dtype == wanted for dtype in columns.values()):
        array = value.to_numpy()
    elif wanted.kind == "f":
        array = value.to_numpy(dtype=wanted, na_value=np.nan)
    else:
        array = value.to_numpy(dtype=wanted)
    return array


def _plain_dtype(column: Any) -> np.dtype[Any]:
    dtype = np.dtype(getattr(column.dtype, "numpy_dtype", column.dtype))
    return np.dtype(np.float64) if column.hasnans and dtype.kind != "f" else dtype


def _from_polars(value: Any, name: str) -> Array:
    kind = type(value).__name__
    if kind not in ("DataFrame", "Series"):
        hint = "; collect it first (.collect())" if kind == "LazyFrame" else ""
        raise DTypeError(f"{name}: got polars {kind}, expected a DataFrame or a Series{hint}")
    columns = value.schema if kind == "DataFrame" else {value.name: value.dtype}
    for column, dtype in columns.items():
        shown = str(dtype)
        if shown in _POLARS or (kind == "Series" and shown.startswith("Array")):  # a row of numbers in each
            continue
        which = f"column {column!r} is" if kind == "DataFrame" else "dtype is"
        advice = "for instance by polars' to_dummies or to_physical"
        if dtype.is_numeric():
            advice = "by .cast(polars.Float64)"
        elif dtype.is_temporal():
            advice = "for instance days since the first one"
        raise DTypeError(
            f"{name}: {which} {shown}, expected one of {_ACCEPTED}; turn it into numbers first, {advice}"
        )
    array: Array = value.to_numpy()
    # truth values with gaps have no array of their own
    return array.astype(np.float64) if array.dtype == object else array


# ----------------------------------------------------------------------- arrays for a model's inputs


def _parts(value: Any, nodes: Sequence[Node], name: str, what: str) -> list[tuple[str, Any]]:
    """One value for each input (output), with the names that errors use."""
    count = len(nodes)
    if count == 1:
        # [x] for a model with one input is unpacked; a list of rows is the data itself
        if (
            isinstance(value, list | tuple)
            and len(value) == 1
            and _rank(value[0]) in (len(nodes[0].shape), 1)
        ):
            return [(name, value[0])]
        return [(name, value)]
    if not isinstance(value, list | tuple):
        raise ShapeError(
            f"{name}: the model has {count} {what}, got one {type(value).__name__}; pass a list of {count} "
            "arrays"
        )
    if len(value) != count:
        raise ShapeError(f"{name}: the model has {count} {what}, got a list of {len(value)} arrays")
    return [(f"{name}[{i}]", part) for i, part in enumerate(value)]


def _rank(value: Any) -> int:
    return int(getattr(value, "ndim", 0))


def match_inputs(value: Any, inputs: Sequence[Node], name: str = "x") -> list[Array]:
    """``value`` as one array for each input node, of the shapes and kinds they expect.

    Raises
    ------
    ShapeError
        A shape that does not fit, or different numbers of rows.
    DTypeError
        Not numbers, or floats where indices are expected.
    """
    arrays = []
    for (part_name, part), node in zip(_parts(value, inputs, name, "inputs"), inputs, strict=True):
        array = as_array(part, part_name)
        expected = node.shape
        if array.shape[1:] != expected[1:]:
            hint = ""
            if array.shape == expected[1:]:
                hint = f"; for one sample pass {part_name}[None]"
            elif array.ndim == 1 and expected[1:] == (1,):
                hint = f"; make a column of it: {part_name}.reshape(-1, 1)"
            raise ShapeError(f"{part_name}: expected shape {shape_text(expected)}, got {array.shape}{hint}")
        if node.dtype == "index" and array.dtype.kind not in "iu":
            raise DTypeError(
                f"{part_name}: dtype is {array.dtype}, expected integers: this input takes indices"
            )
        arrays.append(array)
    same_length({f"{name}[{i}]" if len(arrays) > 1 else name: array for i, array in enumerate(arrays)})
    return arrays


def match_targets(
    value: Any, outputs: Sequence[Node], losses: Sequence[Loss] | None, name: str = "y"
) -> list[Array]:
    """``value`` as one target for each output, shaped as its loss expects; ``losses`` None: any arrays.

    Targets (n,) match an output (n, 1), and labels have no class axis; nothing else is broadcast.

    Raises
    ------
    ShapeError
        A shape that does not fit.
    DTypeError
        Not numbers, or labels that are no integers.
    """
    if losses is None:
        several = isinstance(value, list | tuple) and any(_rank(part) > 0 for part in value)
        parts = [(f"{name}[{i}]", part) for i, part in enumerate(value)] if several else [(name, value)]
        return [as_array(part, part_name) for part_name, part in parts]
    arrays = []
    for (part_name, part), node, loss in zip(
        _parts(value, outputs, name, "outputs"), outputs, losses, strict=True
    ):
        array = as_array(part, part_name)
        if isinstance(loss, CrossEntropy):
            arrays.append(_match_classes(array, node.shape, part_name))
        elif isinstance(loss, OwnLoss):
            arrays.append(array)
        else:
            arrays.append(_match_values(array, node.shape, part_name, loss))
    return arrays


def _match_values(array: Array, expected: tuple[int | None, ...], name: str, loss: Loss) -> Array:
    if array.ndim == 1 and expected[1:] == (1,):
        array = array[:, None]
    if array.shape[1:] != expected[1:]:
        hint = ""
        if array.ndim == 1 and array.dtype.kind in "iub" and len(expected) == 2:
            hint = "; for labels use loss='cross_entropy'"
        elif array.shape == (*array.shape[:1], 1) and len(expected) == 1:
            hint = f"; pass {name}[:, 0]"
        raise ShapeError(
            f"{name}: expected shape {shape_text(expected)} as the output has, got {array.shape}{hint}"
        )
    if not loss.built_in and array.dtype.kind != "f":
        # a composed loss computes with its targets, and integers would be indices to the core
        array = array.astype(np.float32)
    return array


def _match_classes(array: Array, expected: tuple[int | None, ...], name: str) -> Array:
    labels = expected[:-1]
    if array.dtype.kind in "iub":
        if array.shape[1:] == labels[1:]:
            return array.view(np.uint8) if array.dtype.kind == "b" else array
        if array.shape[1:] == expected[1:]:
            raise DTypeError(
                f"{name}: shape {array.shape} is that of probabilities, which are floats, but dtype is "
                f"{array.dtype}; "
                f"pass labels ({name}.argmax(axis=-1)) or floats ({name}.astype('float32'))"
            )
    elif array.shape[1:] == expected[1:]:
        return array
    elif array.shape[1:] == labels[1:]:
        raise DTypeError(
            f"{name}: dtype is {array.dtype}, but labels must be integers; convert them with "
            f"{name}.astype(int)"
        )
    hint = f"; pass {name}[:, 0]" if array.shape[1:] == (1,) and len(labels) == 1 else ""
    raise ShapeError(
        f"{name}: expected labels of shape {shape_text(labels)} or probabilities of shape "
        f"{shape_text(expected)}, "
        f"got {array.shape}{hint}"
    )


def check_labels(array: Array, loss: Loss, classes: int, name: str) -> None:
    """Every label is a class, or the one to ignore.

    Raises
    ------
    ArgumentError
        A label that is not, with its row.
    """
    if not isinstance(loss, CrossEntropy) or array.dtype.kind not in "iu":
        return
    chunk = 1 << 20  # a memory-mapped array is not read into memory at once
    for first in range(0, len(array), chunk):
        part = array[first : first + chunk]
        bad = ((part < 0) | (part >= classes)) & (part != loss.ignore_index)
        if bad.any():
            where = np.argwhere(bad)[0]
            label = part[tuple(where)]
            row = first + int(where[0])
            raise ArgumentError(f"{name}: label {label} in row {row}, expected 0 to {classes - 1}")


def same_length(arrays: dict[str, Array]) -> int:
    """The number of rows, which all arrays share.

    Raises
    ------
    ShapeError
        Two arrays with different numbers of rows.
    """
    (first, array), *rest = arrays.items()
    for name, other in rest:
        if len(other) != len(array):
            raise ShapeError(
                f"{name}: it has {len(other)} rows but {first} has {len(array)}; expected as many"
            )
    return len(array)


# --------------------------------------------------------------------------------- weights and rows


def sample_weights(value: Any, rows: int, name: str = "sample_weight") -> NDArray[np.float64] | None:
    """One finite weight of at least 0 for each row, as float64; not all 0.

    Raises
    ------
    ShapeError
        Not of shape (rows,).
    ArgumentError
        A weight that is negative or not finite, or none above 0.
    """
    if value is None:
        return None
    weights = as_array(value, name).astype(np.float64)
    if weights.shape != (rows,):
        raise ShapeError(
            f"{name}: expected shape ({rows},), one weight for each row of x, got {weights.shape}"
        )
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise ArgumentError(f"{name}: {weights[row]} in row {row}, expected a finite number of at least 0")
    if not weights.any():
        raise ArgumentError(f"{name}: all weights are 0, so there is nothing to learn from")
    return weights


def class_weights(
    value: Any, labels: Array, classes: int, rows: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """The weight of each row's class. [n]

    Parameters
    ----------
    value
        ``{label: weight}`` (others 1), an array with a weight for each class, or ``"balanced"``: n / (classes
        * count) over the rows trained on, so that every class that occurs has the same total.
    labels
        [n] of integers.
    classes
        How many there are.
    rows
        Those that are trained on; None: all.

    Raises
    ------
    ArgumentError
        A label that is no class, a weight below 0, or the wrong number of them.
    """
    known = (labels >= 0) & (labels < classes)  # others are labels to ignore, whose weight does not matter
    table = np.ones(classes, dtype=np.float64)
    if isinstance(value, str):
        if value != "balanced":
            raise ArgumentError(f"class_weight: expected 'balanced', a dict or an array, got {value!r}")
        seen = labels[known] if rows is None else labels[rows][known[rows]]
        counts = np.bincount(seen.astype(np.int64), minlength=classes)
        present = counts > 0
        table[present] = len(seen) / (present.sum() * counts[present])
    elif hasattr(value, "items"):
        for label, weight in value.items():
            table[integer("class_weight: label", label, 0, classes - 1)] = real(
                f"class_weight[{label}]", weight, 0.0
            )
    else:
        array = as_array(value, "class_weight")
        if array.shape != (classes,):
            raise ShapeError(
                f"class_weight: expected shape ({classes},), one weight for each class, got {array.shape}"
            )
        table = np.array([real(f"class_weight[{k}]", weight, 0.0) for k, weight in enumerate(array)])
    result = np.ones(len(labels), dtype=np.float64)
    result[known] = table[labels[known]]
    return result


def split_rows(
    n: int, fraction: float, seed: int = 0, labels: Any = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two parts of the rows 0..n-1 in ascending order: those that stay, and ``fraction`` of them set aside.

    The choice depends on n and the seed alone. With ``labels`` [n] it is stratified: every class has its
    share of the part set aside, to within one row.

    Raises
    ------
    ArgumentError
        A fraction outside of 0..1, or one that leaves a part empty.
    """
    share = real("validation_split", fraction, 0.0, below=1.0)
    order = _core.split_order(integer("split_rows: n", n), seed_of("split_rows", seed))
    count = round(n * share)
    if not 0 < count < n:
        raise ArgumentError(
            f"validation_split: {share:g} of {n} rows is {count}, which leaves one part empty; "
            "choose another fraction or pass validation_data"
        )
    if labels is None:
        aside = order[:count]
    else:
        values, label, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        wanted = np.floor(counts * share).astype(np.int64)
        rest = np.argsort(
            -(counts * share - wanted), kind="stable"
        )  # the largest remainders get what is left
        wanted[rest[: count - int(wanted.sum())]] += 1
        label = label.reshape(-1)[order]
        aside = np.concatenate([order[label == k][: wanted[k]] for k in range(len(values))])
    kept = np.ones(n, dtype=bool)
    kept[aside] = False
    return np.flatnonzero(kept).astype(np.int64), np.sort(aside).astype(np.int64)


# -------------------------------------------------------------------------------------------- batches


def batches(
    x: Any,
    y: Any = None,
    batch_size: int = 128,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
) -> Iterator[Any]:
    """The batches of one epoch, in the very order in which ``fit`` sees them.

    Parameters
    ----------
    x, y
        Arrays, or lists of arrays for several inputs or outputs; y may be left out.
    batch_size
        Rows of a batch; the last one may have fewer.
    seed, epoch
        The trainer's seed and the number of epochs it has completed.
    shuffle
        Whether rows are shuffled; else they come as they are.

    Yields
    ------
    tuple
        ``(xb, yb)``; ``xb`` alone without y. Lists stay lists.

    Raises
    ------
    ShapeError
        Nothing to yield, or different numbers of rows.
    ArgumentError
        batch_size below 1.
    """
    size = integer("batches: batch_size", batch_size)
    key, number = seed_of("batches", seed), integer("batches: epoch", epoch, 0)
    sides = [_side(x, "x")] if y is None else [_side(x, "x"), _side(y, "y")]
    n = same_length({name: array for arrays, _ in sides for name, array in arrays})
    return _batches(sides, n, size, key, number, shuffle)


def _side(value: Any, name: str) -> tuple[list[tuple[str, Array]], bool]:
    several = isinstance(value, list | tuple) and bool(value) and all(_rank(part) > 0 for part in value)
    parts = [(f"{name}[{i}]", part) for i, part in enumerate(value)] if several else [(name, value)]
    return [(part_name, as_array(part, part_name)) for part_name, part in parts], several


def _batches(
    sides: list[tuple[list[tuple[str, Array]], bool]], n: int, size: int, seed: int, epoch: int, shuffle: bool
) -> Iterator[Any]:
    order = _core.permutation(n, seed, epoch) if shuffle else None
    for first in range(0, n, size):
        rows: Any = slice(first, first + size) if order is None else order[first : first + size]
        found = []
        for arrays, several in sides:
            parts = [array[rows] for _, array in arrays]
            found.append(parts if several else parts[0])
        yield tuple(found) if len(found) > 1 else found[0]
