"""The protocol between the page and Python: one JSON object per text message, frames as bytes.

A client's message is ``{"t": "cmd", "id": 7, "lane": 0, "op": "step", "args": {"n": 1}}`` or
``{"t": "ack", "seq": 12, "draw_ms": 3.1}``; fields that are not known are ignored. OPS says what each op
takes.

A frame, little-endian::

    0 "RGF1" | 4 u32 header_bytes=64 | 8 u32 lane | 12 u32 rev | 16 u32 seq | 20 u32 phase
    24 u32 phase_layer | 28 u32 flags (1 nonfinite, 2 playing, 4 has_grid, 8 stale)
    32 f64 step | 40 f64 epoch | 48 f32 loss | 52 f32 test_loss | 56 f32 accuracy | 60 f32 test_accuracy
    64 f32[floats] tensors by the spec's layout | f32[8 L] flow | u8 maps where has_grid
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

from retrograd._play.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["ProtocolError", "Refusal", "layout", "pack_frame", "parse", "text"]

VERSION = 1
HEADER = struct.Struct("<4s7I2d4f")
NONFINITE, PLAYING, HAS_GRID, STALE = 1, 2, 4, 8
SMALL, LARGE = 64 * 1024, 1024 * 1024  # bytes of a message; large ones for files and points
BLOB = b"RGB1"
MALFORMED, TOO_LARGE = 4400, 4413


class ProtocolError(Exception):
    """The connection is to be closed with ``code``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Refusal(Exception):
    """A command that cannot be carried out: it is answered, and nothing has changed."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message


# ---------------------------------------------------------------------------------------------- frames


def layout(sizes: list[tuple[int, int]], inputs: int) -> tuple[list[dict[str, Any]], int]:
    """Where each tensor stands in a frame: for layers of (units, inputs), behind the a of layer 0."""
    entries: list[dict[str, Any]] = []
    offset = 0

    def add(key: str, layer: int, *shape: int) -> None:
        nonlocal offset
        entries.append({"key": key, "layer": layer, "shape": list(shape), "offset": offset})
        offset += math.prod(shape)

    add("a", 0, inputs)
    for layer, (n, m) in enumerate(sizes, 1):
        shapes = {"W": (n, m), "b": (n,), "z": (n,), "a": (n,), "delta": (n,)}
        shapes |= {"gW": (n, m), "gb": (n,), "uW": (n, m), "ub": (n,)}
        for key, shape in shapes.items():
            add(key, layer, *shape)
    return entries, offset


def pack_frame(numbers: dict[str, Any], flags: int, tensors: NDArray[Any], maps: bytes) -> bytes:
    """One frame; ``numbers`` has lane, rev, seq, phase, phase_layer, step, epoch and scores."""
    header = HEADER.pack(
        b"RGF1",
        HEADER.size,
        *(numbers[name] for name in ("lane", "rev", "seq", "phase", "phase_layer")),
        flags,
        numbers["step"],
        numbers["epoch"],
        *(_single(numbers[name]) for name in ("loss", "test_loss", "accuracy", "test_accuracy")),
    )
    return header + tensors.astype("<f4").tobytes() + maps


def _single(value: float) -> float:
    """In the range of a float32."""
    return value if abs(value) < 3e38 or math.isnan(value) else math.copysign(math.inf, value)


# -------------------------------------------------------------------------------------------- messages


def text(message: dict[str, Any]) -> str:
    """A message as JSON; there is no NaN in JSON, so there must be none in it."""
    found = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        found.encode()
    except UnicodeEncodeError:  # half a character that came from the page
        found = json.dumps(message, allow_nan=False, separators=(",", ":"))
    return found


def parse(raw: str, large: bool = True) -> dict[str, Any]:
    """A client's message.

    Raises
    ------
    ProtocolError
        Too large, no JSON object, or of no kind that is known.
    """
    if len(raw) > SMALL:
        size = len(raw.encode("utf-8", "replace"))
        if size > (LARGE if large else SMALL):
            raise ProtocolError(TOO_LARGE, f"a message of {size} bytes")
    try:
        message = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(MALFORMED, f"no JSON: {error}"[:120]) from None
    if not isinstance(message, dict):
        raise ProtocolError(MALFORMED, "expected a JSON object")
    kind = message.get("t")
    if kind == "ack" and _is_count(message.get("seq")):
        return message
    if kind == "cmd" and _is_count(message.get("id")) and isinstance(message.get("op"), str):
        if len(raw) > SMALL and message["op"] not in ("csv", "load", "points", "build"):
            raise ProtocolError(TOO_LARGE, f"{message['op']!r:.40} with {len(raw)} characters")
        return message
    raise ProtocolError(MALFORMED, "expected a command with id and op, or an ack with seq")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _int(low: int, high: int) -> Callable[[str, Any], int]:
    def check(field: str, value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Refusal(
                "bad_value", field, f"{field}: expected a whole number {low} to {high}, got {value!r:.60}"
            )
        return value

    return check


def _real(field: str, value: Any) -> float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not abs(value) <= 1e300:
        raise Refusal("bad_value", field, f"{field}: expected a finite number, got {value!r:.60}")
    return float(value)


def _bool(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Refusal("bad_value", field, f"{field}: expected true or false, got {value!r:.60}")
    return value


def _string(most: int) -> Callable[[str, Any], str]:
    def check(field: str, value: Any) -> str:
        if not isinstance(value, str):
            raise Refusal("bad_value", field, f"{field}: expected a text, got {value!r:.60}")
        if len(value) > most:
            raise Refusal("bad_value", field, f"{field}: at most {most} characters, got {len(value)}")
        return value

    return check


def _one_of(*known: str) -> Callable[[str, Any], str]:
    def check(field: str, value: Any) -> str:
        if value not in known:
            raise Refusal(
                "bad_value", field, f"{field}: expected one of {', '.join(known)}, got {value!r:.60}"
            )
        return str(value)

    return check


def _any(field: str, value: Any) -> Any:
    return value


def _object(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal("bad_value", field, f"{field}: expected an object, got {value!r:.60}")
    return value


def _target(field: str, value: Any) -> dict[str, Any]:
    given = _object(field, value)
    kind = _one_of("unit", "weight", "bias", "layer", "loss")(f"{field}.kind", given.get("kind"))
    found: dict[str, Any] = {"kind": kind}
    needed = {"unit": ("layer", "unit"), "weight": ("layer", "unit", "input"), "bias": ("layer", "unit")}
    for name in needed.get(kind, ("layer",) if kind == "layer" else ()):
        low = 1 if name == "layer" else 0
        found[name] = _int(low, 2**31)(f"{field}.{name}", given.get(name))
    return found


def _list(check: Callable[[str, Any], Any], most: int) -> Callable[[str, Any], list[Any]]:
    def checked(field: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise Refusal(
                "bad_value", field, f"{field}: expected a list of at most {most}, got {value!r:.60}"
            )
        return [check(f"{field}[{k}]", item) for k, item in enumerate(value)]

    return checked


def _point(field: str, value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) != 3:
        raise Refusal("bad_value", field, f"{field}: expected [x1, x2, label], got {value!r:.60}")
    found = [_real(f"{field}[{k}]", item) for k, item in enumerate(value)]
    if max(map(abs, found)) > 1e6:
        raise Refusal("bad_value", field, f"{field}: expected numbers to 1e6, got {value!r:.60}")
    return found


class Need:
    """An argument: how it is checked, and what it is where it is left out (``...``: it must be there)."""

    def __init__(self, check: Callable[[str, Any], Any], default: Any = ...) -> None:
        self.check = check
        self.default = default


# What each command takes.
OPS: dict[str, dict[str, Need]] = {
    "play": {},
    "pause": {},
    "speed": {"n": Need(_int(1, 1_000_000), 1), "unit": Need(_one_of("steps", "phase"), "steps")},
    "phase": {"dir": Need(_int(-1, 1), 1)},
    "step": {"n": Need(_int(1, LIMITS["steps"]), 1)},
    "epoch": {},
    "reset": {"keep_seed": Need(_bool, True)},
    "seek": {"step": Need(_int(0, 2**53))},
    "set": {"path": Need(_string(60)), "value": Need(_any)},
    "build": {"config": Need(_object)},
    "edit": {
        "layer": Need(_int(1, 1000)),
        "unit": Need(_int(0, 2**31)),
        "input": Need(_any, None),
        "value": Need(_real, None),
        "add": Need(_real, None),
        "join": Need(_bool, False),  # with the edit just before: one change, add counts from its beginning
    },
    "focus": {"index": Need(_int(0, 2**31))},
    "points": {
        "add": Need(_list(_point, LIMITS["points"]), []),
        "remove": Need(_list(_int(0, LIMITS["points"]), LIMITS["points"]), []),
        "clear": Need(_bool, False),
    },
    "csv": {"text": Need(_string(LARGE))},
    "watch": {"targets": Need(_list(_target, 8))},
    "gradcheck": {"target": Need(_target)},
    "fork": {},
    "swap": {},
    "drop": {},
    "hist": {"of": Need(_one_of("W", "b", "z", "a", "d", "g")), "layer": Need(_int(1, 1000))},
    "fan": {"of": Need(_one_of("W", "b", "z", "a", "d", "g")), "layer": Need(_int(1, 1000))},
    "graph": {},
    "explain": {"format": Need(_one_of("html", "text", "markdown", "latex"), "html")},
    "table": {"layer": Need(_int(0, 1000))},
    "unit_map": {"layer": Need(_any, None), "unit": Need(_any, None)},
    "maps": {"on": Need(_bool)},
    "save": {"kind": Need(_one_of("model", "config", "snippet", "csv", "replay"))},
    "load": {
        "kind": Need(_one_of("config", "model")),
        "text": Need(_string(LARGE), ""),
        "base64": Need(_string(LARGE), ""),
    },
    "lesson": {"id": Need(_string(40)), "cure": Need(_int(0, 100), None)},
    "verify": {},
}


def arguments(op: str, given: Any) -> dict[str, Any]:
    """The arguments of a command, checked.

    Raises
    ------
    Refusal
        No such command, or an argument that cannot be.
    """
    if op not in OPS:
        raise Refusal("bad_op", "op", f"op: there is no command {op[:40]!r}")
    args = _object("args", {} if given is None else given)
    found = {}
    for name, need in OPS[op].items():
        value = args.get(name, None)
        if value is None and name not in args:
            if need.default is ...:
                raise Refusal("bad_value", name, f"{name}: {op} needs it")
            found[name] = need.default
        elif value is None and need.default is None:
            found[name] = None
        else:
            found[name] = need.check(name, value)
    return found
