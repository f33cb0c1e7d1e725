"""What can be taken home: the model, the settings, Python that does the same, the curves, a recording."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import TYPE_CHECKING, Any

from retrograd._play import wire
from retrograd._play.config import Config, optimizer_arguments, optimizer_class, output_of
from retrograd._play.scenes import scene_code
from retrograd._play.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd._play.run import Run
    from retrograd._play.session import Session

__all__ = ["record", "saved", "snippet"]

FRAMES = 200  # of a recording


def saved(session: Session, lane: int, kind: str) -> tuple[str, str, bytes]:
    """File name, media type and content.

    Raises
    ------
    Refusal
        There is no Python for a network that came from Python.
    """
    run = session.runs[lane]
    if kind == "model":
        settings = json.dumps(run.config.to_dict(data=False))
        content = run.model.to_bytes({"play.config": settings, "play.step": str(run.step)})
        return "model.safetensors", "application/octet-stream", content
    if kind == "config":
        return "settings.json", "application/json", settings_text(run.config).encode()
    if kind == "snippet":
        return "run.py", "text/x-python", snippet(run).encode()
    if kind == "csv":
        return "history.csv", "text/csv", _history(run).encode()
    from retrograd._play.replay import page

    return "replay.html", "text/html", page(record(session)).encode()


def settings_text(config: Config) -> str:
    """All settings, own data included, as ``load`` reads them."""
    return json.dumps({"retrograd_play": 1, "config": config.to_dict()}, indent=1) + "\n"


def _history(run: Run) -> str:
    """Step, loss of its batch, and test loss and accuracy where they were measured."""
    rows: dict[int, dict[str, float]] = {}
    for name, curve in (("loss", run.losses), ("test_loss", run.test_losses), ("accuracy", run.accuracies)):
        for step, value in zip(curve.steps, curve.values, strict=True):
            rows.setdefault(step, {})[name] = value
    text = io.StringIO()
    names = ("loss", "test_loss", "accuracy")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", *names])
    for step in sorted(rows):
        writer.writerow([step, *(repr(rows[step][name]) if name in rows[step] else "" for name in names)])
    return text.getvalue()


# --------------------------------------------------------------------------------------------- Python

_TRAIN = '''
epoch, row = 0, 0


def train(steps):
    """So many steps, in the order of fit."""
    global epoch, row
    for _ in range(steps):
        order = next(rg.data.batches(np.arange(len(x_train)), None, len(x_train), seed, epoch))
        rows = order[row : row + batch_size]
        trainer.step(x_train[rows], y_train[rows])
        row += batch_size
        if row >= len(x_train):
            epoch, row = epoch + 1, 0
            trainer.epoch = epoch
'''
_RENEWED = '''

def renewed(new, same_kind):
    """Another trainer; an optimizer of the same kind goes on with what it remembers."""
    new.epoch = epoch
    if same_kind:
        new.iteration = trainer.iteration
        for name, slots in trainer.optimizer_state.items():
            for slot, values in slots.items():
                if name in new.optimizer_state and slot in new.optimizer_state[name]:
                    new.optimizer_state[name][slot][...] = values
    return new
'''


def snippet(run: Run) -> str:
    """Python that makes the network of this moment again, to the last bit.

    Raises
    ------
    Refusal
        The network was given from Python.
    """
    if run.given is not None:
        raise Refusal(
            "refused",
            "kind",
            "kind: this network came from Python, and its program is there; save the model to have its "
            "parameters",
        )
    first = run._first_config
    changes = run.changes[: run._applied]
    lines = [
        f'"""The run of the page after {run.step} steps, again: the same parameters to the last bit."""',
        "",
        "import numpy as np",
        "import retrograd as rg",
        "",
        scene_code(first),
        "",
        *_network_code(run, first),
        f"trainer = {_trainer_code(run, first)}",
        f"seed, batch_size = {first.seed}, {first.batch_size}",
        _TRAIN.rstrip("\n"),
    ]
    story = _story(run, first, changes)
    if any("renewed(" in line for line in story):
        lines.append(_RENEWED.rstrip("\n"))
    lines += ["", "", *story]
    lines.append('print("loss of the training rows:", trainer.evaluate(x_train, y_train)["loss"])')
    return "\n".join(lines) + "\n"


def _story(run: Run, first: Config, changes: Sequence[Any]) -> list[str]:
    """Steps, and what was changed by hand between them."""
    lines: list[str] = []
    config, step = first, 0
    for change in changes:
        if change.step > step:
            lines.append(f"train({change.step - step})")
            step = change.step
        if change.kind == "edit":
            name, index, value = change.data
            place = ", ".join(map(str, index))
            lines.append(f'net.parameters["{name}"][{place}] = {value!r}  # by hand, after step {step}')
            continue
        lines += _change_code(run, config, change.data, step)
        config = change.data
    if run.step > step:
        lines.append(f"train({run.step - step})")
    return lines


def _change_code(run: Run, old: Config, new: Config, step: int) -> list[str]:
    lines = []
    if new.batch_size != old.batch_size:
        lines.append(f"batch_size = {new.batch_size}  # after step {step}")
    if run.needs_trainer(old, new):
        if new.dropout != old.dropout:
            lines.append("parameters = net.flat_parameters.copy()")
            lines += _network_code(run, new)
            lines.append("net.flat_parameters[...] = parameters")
        same = new.optimizer == old.optimizer
        lines.append(f"trainer = renewed({_trainer_code(run, new)}, {same})  # after step {step}")
    elif new.lr != old.lr:
        lines.append(f"trainer.lr = {new.lr!r}  # after step {step}")
    return lines


def _network_code(run: Run, config: Config) -> list[str]:
    units, output, _ = output_of(config, run.scene.task, len(run.scene.classes))
    sizes, rules = [*config.hidden, units], [*config.activations, output]
    lines = ["net = rg.Sequential(", "    [", f"        rg.Input({run.scene.inputs}),"]
    for k, (size, rule) in enumerate(zip(sizes, rules, strict=True)):
        arguments = [str(size), f"activation={rule!r}"]
        if config.weights is not None:
            W, b = config.weights[k]
            arguments += [f"weight_init=np.array({W!r})", f"bias_init=np.array({b!r})"]
        elif config.init != "auto":
            arguments.append(f"weight_init={config.init!r}")
        lines.append(f"        rg.Dense({', '.join(arguments)}),")
        if config.dropout > 0 and k < len(config.hidden):
            lines.append(f"        rg.Dropout({config.dropout!r}),")
    lines += ["    ],", f"    seed={config.seed},", '    dtype="float64",', ")"]
    if config.init_scale != 1.0 and config.weights is None:
        lines += ["for name, values in net.parameters.items():", '    if name.endswith(".weight"):']
        lines.append(f"        values *= {config.init_scale!r}")
    return lines


def _trainer_code(run: Run, config: Config) -> str:
    loss = output_of(config, run.scene.task, len(run.scene.classes))[2]
    made = ", ".join(f"{name}={value!r}" for name, value in optimizer_arguments(config).items())
    parts = [f'rg.Trainer(net, "{loss}", rg.{optimizer_class(config)}({made})']
    for name, usual in (("l1", 0.0), ("l2", 0.0), ("clip_norm", None)):
        value = getattr(config, name)
        if value != usual:
            parts.append(f"{name}={value!r}")
    return ", ".join([*parts, f"seed={config.seed})"])


# ------------------------------------------------------------------------------------------ recording


def record(session: Session, frames: int = FRAMES) -> dict[str, Any]:
    """What a page without Python needs: the messages of the opening, and a frame and a state at some steps.

    The session itself is not changed: a copy goes through the steps again.

    Returns
    -------
    dict
        "open": texts; "moments": [{"step", "texts", "frame"}] in the order of time, frames in base64.
    """
    last = session.runs[0].snapshots.last
    count = min(frames, last + 1)
    steps = sorted({round(k * last / max(count - 1, 1)) for k in range(count)})
    copy = type(session).around(session.runs[0].fork(), session.views[0])
    run = copy.runs[0]
    run.seek(0)
    opening = copy.open()
    moments = []
    for step in steps:
        run.seek(step)
        copy.forget_drawn()
        texts = [text for text in copy.told([0]) if not _is_curve(text)]
        frame = copy.frame(0)
        assert frame is not None
        copy.ack(copy._seq, 0.0)
        moments.append({"step": step, "texts": texts, "frame": base64.b64encode(frame).decode()})
    # the curves of the whole run, once, with what was measured on the way
    marks = {"t": "curve", "lane": 0, "whole": True, "from_step": -1, "events": run.marks}
    opening = [text for text in opening if not _is_curve(text)]
    return {"open": [*opening, wire.text(marks | copy.pairs(0, -1))], "moments": moments}


def _is_curve(text: str) -> bool:
    return bool(json.loads(text)["t"] == "curve")
