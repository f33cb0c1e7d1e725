"""What a checkpoint keeps beside model and optimizer: values as JSON and arrays, and what data they saw.

The core writes the file, and what C++ knows of a trainer; see docs/file-format.md. Here is the rest: losses
and metrics by name, the history, and the fit that is running.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import losses, metrics, optim, schedules
from retrograd._arguments import show
from retrograd.errors import ArgumentError, FileFormatError
from retrograd.history import History
from retrograd.stream import Indexed, Stream, Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrograd._core import Array
    from retrograd.losses import Loss
    from retrograd.optim import Optimizer
    from retrograd.schedules import Schedule

_WHOLE = 2**24  # bytes of an array up to which its fingerprint reads all of it
_ROWS = 1024  # that are read of a larger one


# ------------------------------------------------------------------------------- values as JSON and arrays


def pack(value: Any, arrays: dict[str, Array], name: str) -> Any:
    """A value as JSON can hold it; arrays go into ``arrays``, under names that begin with ``name``.

    Raises
    ------
    ArgumentError
        Anything but numbers, strings, None, arrays, and lists, tuples and dicts of those.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        return pack(value.item(), arrays, name)
    if isinstance(value, int):
        return value if abs(value) < 2**63 else {"integer": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.dtype.itemsize <= 8:
        arrays[name] = np.ascontiguousarray(value, value.dtype.newbyteorder("=")).reshape(value.shape)
        return {"array": name}
    if isinstance(value, list | tuple):
        items = [pack(item, arrays, f"{name}.{k}") for k, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        pairs = [
            [pack(key, arrays, f"{name}.key{k}"), pack(item, arrays, f"{name}.{key}")]
            for k, (key, item) in enumerate(value.items())
        ]
        return {"items": pairs}
    raise ArgumentError(
        f"save: {name} is {show(value)}, of type {type(value).__name__}; numbers, strings, arrays and lists, "
        "tuples and dicts of those can be saved"
    )


def unpack(value: Any, arrays: Mapping[str, Array]) -> Any:
    """What was packed."""
    if isinstance(value, list):
        return [unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "integer":
        return int(inner)
    if kind == "float":
        return float(inner)
    if kind == "array":
        return arrays[inner].copy()
    if kind == "tuple":
        return tuple(unpack(item, arrays) for item in inner)
    if kind == "items":
        return {unpack(key, arrays): unpack(item, arrays) for key, item in inner}
    raise ValueError(f"a value of unknown kind {kind!r}")


def text(notes: Mapping[str, Any]) -> str:
    """Packed values as the string of a file."""
    return json.dumps(notes, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def parse(source: str, strings: Mapping[str, str]) -> dict[str, Any]:
    """What Python kept; empty for a file that a C++ program wrote.

    Raises
    ------
    FileFormatError
        It is no JSON object, or of a newer version.
    """
    if "python" not in strings:
        return {}
    try:
        notes = json.loads(strings["python"])
    except ValueError as error:
        raise FileFormatError(f"{source}: note:python is not JSON: {error}") from None
    if not isinstance(notes, dict) or "version" not in notes:
        raise FileFormatError(f"{source}: note:python is not an object with a version")
    if notes["version"] != 1:
        raise FileFormatError(
            f"{source}: note:python has version {notes['version']}, this program reads version 1; "
            "use a newer retrograd"
        )
    return notes


PHASES = ("train_begin", "epoch_begin", "train", "validate", "epoch_end", "train_end")  # that a file can have
_FIT = {
    "settings": dict,
    "phase": str,
    "done": int,
    "called": int,
    "iteration": (dict, type(None)),
    "row": dict,
    "seen": list,
    "lr": (float, dict),
    "taken_up": bool,
    "seconds": list,
    "stop_reason": str,
    "at": list,
    "feed": dict,
    "data": dict,
    "validation": dict,
    "callbacks": list,
}
_SETTINGS = {
    "epochs",
    "batch_size",
    "shuffle",
    "validation_split",
    "class_weight",
    "record",
    "sample_weight",
}


def check_fit(fit: Any, arrays: Mapping[str, Array]) -> None:
    """Whether a fit that was read has all its parts; raises KeyError, TypeError or ValueError."""
    if set(fit) != set(_FIT):
        raise ValueError(f"the fit has {', '.join(fit)}; expected {', '.join(_FIT)}")
    for name, kind in _FIT.items():
        if not isinstance(fit[name], kind):  # type: ignore[arg-type]
            raise TypeError(f"the fit's {name} is {show(fit[name])}")
    if fit["phase"] not in PHASES:
        raise ValueError(f"there is no phase {fit['phase']!r}")
    settings = unpack(fit["settings"], arrays)
    if set(settings) != _SETTINGS:
        raise ValueError(f"the fit's settings are {', '.join(settings)}; expected {', '.join(_SETTINGS)}")
    for name in ("iteration", "row", "seen", "feed"):
        unpack(fit[name], arrays)
    for one in fit["callbacks"]:
        unpack(one["state"], arrays)
        str(one["class"])


# ------------------------------------------------------------------------------------ which data they were


def fingerprint(array: Array) -> dict[str, Any]:
    """Shape, dtype and a hash of the numbers, whatever strides and byte order.

    All of an array of up to 16 MB is read, of a larger one 1,024 rows at equal distances (fewer where rows
    are long), the first and the last among them.
    """
    from hashlib import blake2b

    digest = blake2b(digest_size=16)
    rows = array
    if array.nbytes > _WHOLE and len(array) > 2:
        count = max(2, min(_ROWS, _WHOLE * len(array) // array.nbytes))
        rows = array[np.linspace(0, len(array) - 1, count).astype(np.int64)]
    digest.update(np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")).data)
    return {
        "shape": list(array.shape),
        "dtype": array.dtype.newbyteorder("=").name,
        "hash": digest.hexdigest(),
    }


def fingerprint_of_arrays(x: Sequence[Array], y: Sequence[Array], prefix: str = "") -> dict[str, Any]:
    """Of all inputs and targets, by the names that errors have for them."""
    named = {}
    for letter, arrays in (("x", x), ("y", y)):
        for k, array in enumerate(arrays):
            named[f"{prefix}{letter}" + (f"[{k}]" if len(arrays) > 1 else "")] = fingerprint(array)
    return named


def fingerprint_of_source(source: Stream | Indexed, prefix: str = "") -> dict[str, Any]:
    """Of a stream what it says of itself: its data are made anew by a function of one's own."""
    found: dict[str, Any] = {"kind": type(source).__name__}
    if isinstance(source, Stream):
        found["steps_per_epoch"] = source.steps_per_epoch
    else:
        found["rows"] = len(source)
    if isinstance(source, Windows):
        found |= {"length": source.length, "stride": source.stride, "tokens": fingerprint(source.tokens)}
    return {f"{prefix}data": found}


def check_same_data(stored: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Whether these are the data of the fit that was interrupted.

    Raises
    ------
    ArgumentError
        They are not; the text says what differs.
    """
    if set(stored) != set(found):
        raise ArgumentError(
            f"resume: the interrupted fit was given {_listed(stored)}, this call {_listed(found)}; "
            "pass the same data"
        )
    for name, before in stored.items():
        now = found[name]
        if before == now:
            continue
        kinds = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
        kind = kinds[0]
        if kind in ("hash", "tokens"):
            what = "its numbers are others, in the same shape and dtype"
        else:
            what = f"its {kind} is {_plain(now.get(kind))}, it was {_plain(before.get(kind))}"
        raise ArgumentError(
            f"resume: {name} is not that of the interrupted fit: {what}; pass the same data, or begin a new "
            "fit"
        )


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "nothing"


def _plain(value: Any) -> str:
    return str(tuple(value)) if isinstance(value, list) else str(value)


# ------------------------------------------------------------------------------------------------- history


def history_notes(history: History, iterations: int, arrays: dict[str, Array]) -> dict[str, Any]:
    """All rows as one array [columns, epochs]."""
    if history.history and history.epochs:
        arrays["history"] = np.array(list(history.history.values()), np.float64)
    return {
        "columns": list(history.history),
        "epochs": history.epochs,
        "iterations": iterations,
        "stop_reason": history.stop_reason,
    }


def history_of(notes: Mapping[str, Any], arrays: Mapping[str, Array]) -> History:
    """What ``history_notes`` wrote."""
    history = History()
    columns, epochs = notes["columns"], int(notes["epochs"])
    rows = arrays["history"] if columns and epochs else np.zeros((len(columns), 0))
    if rows.shape != (len(columns), epochs) or rows.dtype != np.float64:
        raise ValueError(f"the history is {rows.dtype} {rows.shape}, expected {(len(columns), epochs)}")
    history.history = {str(name): row.tolist() for name, row in zip(columns, rows, strict=True)}
    history.epochs = epochs
    history.iterations = int(notes["iterations"])
    history.stop_reason = str(notes["stop_reason"])
    return history


# -------------------------------------------------------------------------- losses, metrics and optimizers


def loss_notes(parts: Sequence[Loss] | None, function: Callable[..., Any] | None) -> Any:
    """Losses by name; of a function of one's own its name only, for it cannot be kept."""
    if parts is None:
        return {"function": getattr(function, "__name__", "function")}
    found: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, losses.OwnLoss):
            found.append({"own": getattr(part.function, "__name__", "function")})
        else:
            found.append({"name": part.name, "settings": dict(part.attributes())})
    return found


def losses_of(notes: Sequence[Mapping[str, Any]]) -> list[Loss]:
    """The objects that ``loss_notes`` named; of a function of one's own one that cannot be called."""
    found: list[Loss] = []
    for note in notes:
        if "own" in note:
            found.append(losses.OwnLoss(_absent(str(note["own"]))))
        else:
            found.append(losses.LOSSES[note["name"]](**note["settings"]))
    return found


def _absent(name: str) -> Callable[..., Any]:
    def absent(*_: Any) -> Any:
        raise ArgumentError(
            f"loss: {name} is a function of your own, which a file cannot hold; pass it when loading: "
            "rg.Trainer.load(path, loss=...)"
        )

    absent.__name__ = name
    return absent


def metric_notes(used: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Metrics by name; of a function of one's own its name only."""
    notes: list[dict[str, Any]] = []
    for name, metric in used.items():
        inner = getattr(metric, "func", metric)
        given = getattr(metric, "keywords", {})
        plain = not getattr(metric, "args", ()) and all(
            isinstance(value, bool | int | float | str) for value in given.values()
        )
        if metrics.is_built_in(metric) and plain:
            notes.append({"name": name, "metric": inner.__name__, "given": dict(given)})
        else:
            notes.append({"name": name, "own": getattr(inner, "__name__", type(inner).__name__)})
    return notes


def metrics_of(notes: Sequence[Mapping[str, Any]], given: Any) -> dict[str, Any]:
    """Name -> function; those of one's own come from ``given``.

    Raises
    ------
    ArgumentError
        One is missing, or one is given that is not needed.
    """
    from functools import partial

    extra = metrics.resolve("Trainer.load", given)
    found: dict[str, Any] = {}
    for note in notes:
        name = note["name"]
        if "own" not in note:
            metric: Any = metrics.METRICS[note["metric"]]
            found[name] = partial(metric, **note["given"]) if note["given"] else metric
        elif name in extra:
            found[name] = extra.pop(name)
        else:
            raise ArgumentError(
                f"Trainer.load: metric {name!r} is a function of your own ({note['own']}), which a file "
                f"cannot hold; pass it: metrics={{{name!r}: {note['own']}}}"
            )
    if extra:
        own = [note["name"] for note in notes if "own" in note]
        raise ArgumentError(
            f"Trainer.load: metrics has {', '.join(extra)}, and the file asks for "
            f"{', '.join(own) or 'none'} of your own; those of the library are found by name"
        )
    return found


def optimizer_of(name: str, hyper: Mapping[str, float], lr: float | Schedule) -> Optimizer:
    """An optimizer by what the core calls its numbers."""
    rule: Any = optim.OPTIMIZERS[name]
    numbers = dict(hyper)
    for pair, (first, second) in optim.PAIRS.items():
        if first in numbers:
            numbers[pair] = numbers.pop(first), numbers.pop(second)  # type: ignore[assignment]
    made: Optimizer = rule(lr=lr, **_arguments(rule, numbers))
    return made


def schedule_of(kind: str, settings: Mapping[str, float], watched: Mapping[str, str]) -> float | Schedule:
    """A schedule by what the core calls its numbers; ``watched``: monitor and mode of a plateau."""
    numbers = dict(settings)
    unit = "epoch" if numbers.pop("unit_epoch", 0.0) else "iteration"
    if kind == "constant" and unit == "iteration":
        return numbers["lr"]
    rule: Any = schedules.SCHEDULES[kind]
    if rule is schedules.Piecewise:
        count = sum(name.startswith("value_") for name in numbers)
        return schedules.Piecewise(
            [int(numbers[f"boundary_{k}"]) for k in range(1, count)],
            [numbers[f"value_{k}"] for k in range(count)],
            unit,
        )
    if rule is schedules.ReduceOnPlateau:
        mode = "max" if numbers.pop("maximise", 0.0) else "min"
        relative = "rel" if numbers.pop("relative", 1.0) else "abs"
        named: dict[str, Any] = {"mode": mode, "threshold_mode": relative} | dict(watched)
        return schedules.ReduceOnPlateau(**_arguments(rule, numbers), **named)
    made: Schedule = rule(**_arguments(rule, numbers), unit=unit)
    return made


def _arguments(rule: Any, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers in the types that the arguments have."""
    from inspect import signature

    types: dict[str, Callable[[Any], Any]] = {"int": int, "bool": bool}
    parameters = signature(rule).parameters
    return {
        name: types.get(str(parameters[name].annotation), lambda value: value)(value)
        for name, value in numbers.items()
    }
