"""What the commands of the page do.

``do_<op>(session, lane, **arguments)`` returns the result and the messages that follow it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._play import details, reports, saving, walk, wire
from retrograd._play.config import Config
from retrograd._play.lessons import LESSONS
from retrograd._play.limits import SettingError
from retrograd._play.own_data import checked_data, read_csv
from retrograd._play.run import IDLE
from retrograd._play.views import Views, exact, short
from retrograd._play.wire import Refusal
from retrograd.errors import RetrogradError

if TYPE_CHECKING:
    from retrograd._play.look import Column
    from retrograd._play.run import Run
    from retrograd._play.session import Session

BARS = 24  # of a histogram
DRAFT = "Add at least one point of each of two classes."
_DATA = (
    "dataset",
    "rows",
    "noise",
    "turns",
    "classes",
    "test_share",
    "data",
    "seed",
)  # the same in both lanes

Answer = tuple[dict[str, Any], list[Any]]


def loss_name(run: Run) -> str:
    """What the run minimises, as one reads it."""
    parts = run.trainer._objective.losses
    return parts[0].name if parts else "own"


def _lanes(session: Session) -> range:
    return range(len(session.runs))


def _changed(session: Session, result: dict[str, Any] | None = None, spec: bool = False) -> Answer:
    if spec:
        for views in session.views:
            views.renew()
        session.forget_drawn()
    return result or {}, session.told(_lanes(session), spec)


def _trainable(session: Session) -> None:
    if session.draft is not None:
        raise Refusal("bad_state", "points", DRAFT)


# ------------------------------------------------------------------------------------------- transport


def do_play(session: Session, lane: int) -> Answer:
    _trainable(session)
    session.start()
    return _changed(session)


def do_pause(session: Session, lane: int) -> Answer:
    session.pause()
    return _changed(session)


def do_speed(session: Session, lane: int, n: int, unit: str) -> Answer:
    session.speed, session.by_phase = n, unit == "phase"
    return _changed(session)


def do_phase(session: Session, lane: int, dir: int) -> Answer:
    _trainable(session)
    if dir == 0:
        raise Refusal("bad_value", "dir", "dir: expected 1 or -1, got 0")
    session.pause()
    if dir > 0:
        session.advance_phase()
    else:
        session.back_phase()
    return _changed(session)


def do_step(session: Session, lane: int, n: int) -> Answer:
    _trainable(session)
    session.pause()
    session.advance(n)
    return _changed(session)


def do_epoch(session: Session, lane: int) -> Answer:
    _trainable(session)
    session.pause()
    run = session.runs[0]
    left = len(run.scene.rows) - run.row
    session.advance(-(-left // run.config.batch_size))
    return _changed(session)


def do_reset(session: Session, lane: int, keep_seed: bool) -> Answer:
    session.pause()
    for run in session.runs:
        if keep_seed or session.given is not None:
            run.reset()
        else:
            run.rebuild(run.config.changed({"seed": (run.config.seed + 1) % 2**53}))
    return _changed(session, spec=True)


def do_seek(session: Session, lane: int, step: int) -> Answer:
    last = min(run.snapshots.last for run in session.runs)
    if step > last:
        raise Refusal("bad_value", "step", f"step: expected 0 to {last}, got {step}")
    session.pause()
    for run in session.runs:
        run.seek(step)
    return _changed(session, {"step": step})


# -------------------------------------------------------------------------------------------- settings


def do_set(session: Session, lane: int, path: str, value: Any) -> Answer:
    return _settings(session, lane, {path: value})


def do_build(session: Session, lane: int, config: dict[str, Any]) -> Answer:
    if len(config) > 100:
        raise Refusal("bad_value", "config", f"config: {len(config)} settings are too many")
    return _settings(session, lane, config)


def _settings(session: Session, lane: int, values: dict[str, Any]) -> Answer:
    run = session.runs[lane]
    shared = {path: value for path, value in values.items() if path.partition("[")[0] in _DATA}
    others = {other: other.config.changed(shared) for other in session.runs if other is not run}
    if shared:
        for config in others.values():
            type(run)(config)  # what cannot be shows before anything is changed
    rebuilt = run.set(values)
    if rebuilt:
        session.pause()
        session.draft = None
        for other, config in others.items():
            other.rebuild(config)
        return _changed(session, {"rebuilt": True}, spec=True)
    # live settings are part of the spec too
    return {"rebuilt": False}, session.told(_lanes(session), spec=True)


def do_edit(
    session: Session,
    lane: int,
    layer: int,
    unit: int,
    input: Any,
    value: float | None,
    add: float | None,
    join: bool,
) -> Answer:
    run = session.runs[lane]
    name, index = place_of(session, lane, layer, unit, input)
    if (value is None) == (add is None):
        raise Refusal("bad_value", "value", "value: give either value or add")
    now = run.before_edit(name, index) if join else float(run.model.parameters[name][index])
    new = value if value is not None else now + (add or 0.0)
    if not math.isfinite(new) or abs(new) > 1e12:
        raise Refusal("bad_value", "value", f"value: expected a number to 1e12, got {new:g}")
    if join:
        run.edit_on(name, index, new)
    else:
        run.edit(name, index, new)
    for other in session.runs:
        if other is not run and other.phase != IDLE:
            other._to_idle()
    return _changed(session, {"value": exact(run.model.parameters[name][index])})


def column_of(session: Session, lane: int, layer: int) -> Column:
    """The layer of a number from 1 on."""
    columns = session.views[lane].columns
    if layer > len(columns):
        raise Refusal("bad_value", "layer", f"layer: expected 1 to {len(columns)}, got {layer}")
    return columns[layer - 1]


def place_of(session: Session, lane: int, layer: int, unit: int, input: Any) -> tuple[str, tuple[int, ...]]:
    """The parameter's name and index of a weight, or of a bias where there is no input."""
    column = column_of(session, lane, layer)
    if unit >= column.units:
        raise Refusal("bad_value", "unit", f"unit: expected 0 to {column.units - 1}, got {unit}")
    if input is None:
        if not column.bias:
            raise Refusal("bad_value", "input", f"input: {column.name} has no bias")
        return column.bias, (unit,)
    if not isinstance(input, int) or isinstance(input, bool) or not 0 <= input < column.inputs:
        raise Refusal(
            "bad_value", "input", f"input: expected 0 to {column.inputs - 1} or null, got {input!r:.40}"
        )
    return column.weight, (unit, input)


def do_focus(session: Session, lane: int, index: int) -> Answer:
    count = len(session.runs[0].scene.x)
    if index >= count:
        raise Refusal("bad_value", "index", f"index: expected 0 to {count - 1}, got {index}")
    for views in session.views:
        views.focus = index
    return _changed(session, {"index": index})


# ------------------------------------------------------------------------------------------------ data


def do_points(session: Session, lane: int, add: list[list[float]], remove: list[int], clear: bool) -> Answer:
    scene = session.runs[0].scene
    if session.given is not None:
        raise Refusal(
            "refused", "points", "points: the data was given from Python and cannot be changed here"
        )
    if scene.inputs != 2:
        raise Refusal("refused", "points", f"points: the data has {scene.inputs} inputs, points have 2")
    data = session.draft or {
        "x": scene.x.tolist(),
        "y": scene.shown.tolist(),
        "labels": list(scene.classes),
        "task": scene.task,
    }
    x, y = ([], []) if clear else (list(data["x"]), list(data["y"]))
    for k in sorted(set(remove), reverse=True):
        if k >= len(x):
            raise Refusal("bad_value", "remove", f"remove: there are {len(x)} points, got {k}")
        del x[k], y[k]
    x += [[x1, x2] for x1, x2, _ in add]
    y += [label for _, _, label in add]
    labels = [] if clear else data["labels"]
    data = {"x": x, "y": y, "labels": labels, "task": data["task"]}
    enough = len(x) >= 2 and (data["task"] == "value" or len(set(y)) >= 2)
    if x:
        data = checked_data("points", data)
    if not enough:
        session.pause()
        session.draft = data
        return {"rebuilt": False, "ready": False}, session.told(_lanes(session), spec=True)
    return _own_data(session, "points", data)


def do_csv(session: Session, lane: int, text: str) -> Answer:
    if session.given is not None:
        raise Refusal("refused", "csv", "csv: the data was given from Python and cannot be changed here")
    return _own_data(session, "csv", read_csv(text))


def _own_data(session: Session, dataset: str, data: dict[str, Any]) -> Answer:
    configs = []
    for run in session.runs:
        values = {"dataset": dataset, "data": data}
        try:
            config = run.config.changed(values)
            type(run)(config)
        except SettingError:
            # a loss or an output that was chosen for another kind of target
            config = run.config.changed({**values, "loss": "auto", "output": "auto", "weights": None})
            type(run)(config)
        configs.append(config)
    session.pause()
    session.draft = None
    for run, config in zip(session.runs, configs, strict=True):
        run.rebuild(config)
    return _changed(session, {"rebuilt": True, "ready": True}, spec=True)


# ----------------------------------------------------------------------------------- looking closely


def do_watch(session: Session, lane: int, targets: list[dict[str, Any]]) -> Answer:
    for k, target in enumerate(targets):
        checked_target(session, lane, f"targets[{k}]", target)
    session.watched[lane] = targets
    return {}, session._details(lane)


def checked_target(session: Session, lane: int, field: str, target: dict[str, Any]) -> None:
    """Whether there is such a thing in the network.

    Raises
    ------
    Refusal
        There is none.
    """
    columns = session.views[lane].columns
    if target["kind"] == "loss":
        return
    if target["layer"] > len(columns):
        raise Refusal("bad_value", f"{field}.layer", f"{field}.layer: expected 1 to {len(columns)}")
    if target["kind"] != "layer":
        place_of_target(session, lane, target)


def place_of_target(session: Session, lane: int, target: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
    """The parameter of a weight or a bias; of a unit its bias, or its first weight."""
    if target["kind"] == "weight":
        return place_of(session, lane, target["layer"], target["unit"], target["input"])
    column = session.views[lane].columns[target["layer"] - 1]
    unit = target.get("unit", 0)
    return place_of(session, lane, target["layer"], unit, None if column.bias else 0)


def detail(session: Session, lane: int, target: dict[str, Any]) -> dict[str, Any]:
    """The formulas and numbers of one target at this moment."""
    run, views = session.runs[lane], session.views[lane]
    blocks: list[dict[str, Any]] = []
    value = None
    try:
        checked_target(session, lane, "target", target)
        if target["kind"] in ("weight", "bias"):
            name, index = place_of_target(session, lane, target)
            number = run.model.parameters[name][index]
            value = {"exact": exact(number), "short": short(float(number))}
        blocks = details.blocks(run, views, target)
    except Refusal:
        pass  # the network has changed, and the target is gone
    look = views.look()
    return {
        "t": "detail",
        "lane": lane,
        "step": run.step,
        "weights_step": run.step if look is None else look.step,
        "phase": run.phase,
        "stale": look is not None and look.stale,
        "focus": views.focus,
        "target": target,
        "value": value,
        "blocks": blocks,
    }


def do_gradcheck(session: Session, lane: int, target: dict[str, Any]) -> Answer:
    checked_target(session, lane, "target", target)
    if target["kind"] in ("layer", "loss"):
        raise Refusal("bad_value", "target.kind", "target.kind: expected weight, bias or unit")
    name, index = place_of_target(session, lane, target)
    return details.gradient_check(session.runs[lane], name, index), []


def do_verify(session: Session, lane: int) -> Answer:
    from retrograd._check import check_gradients
    from retrograd._core import __version__

    run = session.runs[lane]
    x, y = run.batch()
    report = check_gradients(
        run.model, x, y, run.trainer._objective.losses or run.trainer._objective.function
    )
    result = {
        "version": __version__,
        "dtype": str(run.model.dtype),
        "gradient_check": f"{report.max_relative_error:.1e}",
        "passed": report.passed,
        "text": str(report),
    }
    return result, []


def do_hist(session: Session, lane: int, of: str, layer: int) -> Answer:
    column, look = column_of(session, lane, layer), session.views[lane].look()
    if look is None or not look.finite:
        raise Refusal("bad_state", "layer", "some numbers are not finite; rewind or reset first")
    parameters = session.runs[lane].model.parameters
    if of == "b" and not column.bias:
        raise Refusal("bad_value", "of", f"of: {column.name} has no bias")
    shown = {"W": parameters[column.weight], "z": look.batch.values[column.z], "g": look.gW[layer]}
    shown |= {"a": look.batch.values[column.a], "d": look.batch.deltas[column.z]}
    if column.bias:
        shown["b"] = parameters[column.bias]
    values = shown[of].ravel()
    low, high = float(values.min()), float(values.max())
    ends = (low, high)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        half = 0.5 * abs(low) or 1.0
        ends = (low - half, low + half)  # all alike: one bar in the middle
    counts, edges = np.histogram(values, bins=BARS, range=ends)
    mean, std = float(values.mean()), float(values.std())
    spread = f"from {short(low)} to {short(high)}, mean {short(mean)}, deviation {short(std)}"
    return {
        "of": of,
        "layer": layer,
        "edges": edges.tolist(),
        "edge_texts": [short(float(edge)) for edge in edges],
        "counts": counts.tolist(),
        "text": f"{values.size} numbers {spread}",
    }, []


def do_fan(session: Session, lane: int, of: str, layer: int) -> Answer:
    return reports.fan(session.runs[lane], column_of(session, lane, layer), of), []


def do_table(session: Session, lane: int, layer: int) -> Answer:
    views, run = session.views[lane], session.runs[lane]
    look = views.look()
    if layer > len(views.columns):
        raise Refusal("bad_value", "layer", f"layer: expected 0 to {len(views.columns)}, got {layer}")
    if layer == 0:
        rows = [[str(k), exact(value)] for k, value in enumerate(run.scene.x[views.focus])]
        return {"layer": 0, "name": "input", "columns": ["input", "a"], "rows": rows}, []
    column = views.columns[layer - 1]
    W = run.model.parameters[column.weight]
    inputs = range(min(column.inputs, 32))
    names = ["unit", "z", "a", "delta", "b", *(f"w{k}" for k in inputs), "gb", *(f"g{k}" for k in inputs)]
    rows = []
    for unit in range(column.units):
        b = exact(run.model.parameters[column.bias][unit]) if column.bias else "–"
        seen = ["–"] * 3 if look is None else [exact(v[layer][unit]) for v in (look.z, look.a, look.delta)]
        gb = "–" if look is None else exact(look.gb[layer][unit])
        g = ["–" if look is None else exact(look.gW[layer][unit, k]) for k in inputs]
        rows.append([str(unit), *seen, b, *(exact(W[unit, k]) for k in inputs), gb, *g])
    return {"layer": layer, "name": column.name, "columns": names, "rows": rows}, []


def do_unit_map(session: Session, lane: int, layer: Any, unit: Any) -> Answer:
    chosen = None
    if layer is not None or unit is not None:
        layer, unit = wire._int(1, 1000)("layer", layer), wire._int(0, 2**31)("unit", unit)
        place_of(session, lane, layer, unit, 0)
        chosen = (layer, unit)
    for views in session.views:
        views.unit = chosen if chosen is None or views._has(*chosen) else None
        views.rev += 1
    session.forget_drawn()
    return {}, session.told(_lanes(session), spec=True)


def do_maps(session: Session, lane: int, on: bool) -> Answer:
    for views in session.views:
        views.maps = on
        views.rev += 1
    session.forget_drawn()
    return {}, session.told(_lanes(session), spec=True)


def do_graph(session: Session, lane: int) -> Answer:
    return walk.graph(session.runs[lane], session.views[lane]), []


def do_explain(session: Session, lane: int, format: str) -> Answer:
    return reports.explanation(session.runs[lane], session.views[lane], format), []


# ----------------------------------------------------------------------------------- two side by side


def do_fork(session: Session, lane: int) -> Answer:
    _trainable(session)
    if len(session.runs) > 1:
        raise Refusal("bad_state", "fork", "fork: there are two runs already; drop one first")
    session.runs.append(session.runs[0].fork())
    views = Views(session.runs[1])
    views.focus, views.unit, views.maps = session.views[0].focus, session.views[0].unit, session.views[0].maps
    session.views.append(views)
    session.runs[1]._event("forked", f"a copy of the run after step {session.runs[0].step}")
    return {"lane": 1}, session.told([1], spec=True) + session.told([0])


def do_swap(session: Session, lane: int) -> Answer:
    if len(session.runs) < 2:
        raise Refusal("bad_state", "swap", "swap: there is only one run; fork it first")
    if session.given is not None:
        raise Refusal("refused", "swap", "swap: A is the network that was given from Python, and stays A")
    session.runs.reverse()
    session.views.reverse()
    session._detailed = [None, None]  # equal numbers of two runs are not the same moment
    return _changed(session, spec=True)


def do_drop(session: Session, lane: int) -> Answer:
    if len(session.runs) < 2:
        raise Refusal("bad_state", "drop", "drop: there is only one run")
    del session.runs[1], session.views[1]
    session.watched[1] = []
    session.forget_drawn()
    session.runs[0]._event("dropped", "B is gone")
    return _changed(session)


# --------------------------------------------------------------------------------------------- files


def do_save(session: Session, lane: int, kind: str) -> Answer:
    name, mime, content = saving.saved(session, lane, kind)
    blob = {"t": "blob", "id": None, "name": name, "mime": mime, "bytes": len(content)}
    return {"name": name}, [wire.text(blob), wire.BLOB + content]


def do_load(session: Session, lane: int, kind: str, text: str, base64: str) -> Answer:
    if kind == "model":
        return _load_model(session, lane, base64)
    try:
        values = json.loads(text, parse_constant=wire._no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad_value", "text", f"text: no JSON ({str(error)[:80]})") from None
    if isinstance(values, dict) and isinstance(values.get("config"), dict):
        values = values["config"]
    if not isinstance(values, dict):
        raise Refusal("bad_value", "text", "text: expected the settings as a JSON object")
    if session.given is not None:
        raise Refusal("refused", "kind", "kind: the network was given from Python and cannot be changed here")
    config = Config().changed(values)
    type(session.runs[0])(config)
    session.pause()
    session.draft = None
    for run in session.runs:
        run.rebuild(config)
    return _changed(session, {"rebuilt": True}, spec=True)


def _load_model(session: Session, lane: int, encoded: str) -> Answer:
    from retrograd.model import Model

    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("bad_value", "base64", f"base64: {error}") from None
    run = session.runs[lane]
    try:
        loaded = Model.from_bytes(content)
        if session.given is not None:
            run.load(dict(loaded.parameters) | dict(loaded.buffers))
        else:
            run.rebuild(run.config.changed({"weights": _weights_of(session, lane, loaded)}))
    except (RetrogradError, OSError) as error:
        raise Refusal("bad_value", "base64", f"base64: {error}") from None
    session.pause()
    for run in session.runs:
        if run is not session.runs[lane]:
            run.reset()
    return _changed(session, {"rebuilt": False}, spec=True)


def _weights_of(session: Session, lane: int, loaded: Any) -> list[Any]:
    """[[W, b], ...] of a file, for the layers that are drawn."""
    found = []
    for column in session.views[lane].columns:
        missing = [name for name in (column.weight, column.bias) if name not in loaded.parameters]
        if missing:
            raise Refusal(
                "bad_value", "base64", f"base64: the file has no {missing[0]}; its network is another one"
            )
        found.append([loaded.parameters[column.weight].tolist(), loaded.parameters[column.bias].tolist()])
    return found


def do_lesson(session: Session, lane: int, id: str, cure: int | None) -> Answer:
    if id not in LESSONS:
        raise Refusal("bad_value", "id", f"id: there is no lesson {id!r}; there are {', '.join(LESSONS)}")
    if session.given is not None:
        raise Refusal("refused", "id", "id: the network was given from Python; lessons bring their own")
    lesson = LESSONS[id]
    config = lesson.start()
    if cure is not None:
        if cure >= len(lesson.cures):
            raise Refusal("bad_value", "cure", f"cure: expected 0 to {len(lesson.cures) - 1}, got {cure}")
        config = config.changed(lesson.cures[cure][1])
    session.pause()
    session.draft = None
    dropped = do_drop(session, 0)[1] if len(session.runs) > 1 else []
    session.runs[0].rebuild(config)
    session.views[0].renew()
    if lesson.fork:
        do_fork(session, 0)
        session.runs[1].set(lesson.fork)
    session.lesson = lesson.to_dict(id) | {"cure": cure}
    result, replies = _changed(session, {"lesson": session.lesson}, spec=True)
    return result, [*dropped, *replies]
