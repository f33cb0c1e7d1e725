"""What is taken home does the same there."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from play import Frame, Page, equal, state
from retrograd._play import saving

SETTINGS: dict[str, dict[str, Any]] = {
    "xor": {},
    "three spirals": {"dataset": "spirals", "classes": 3, "optimizer": "adam", "lr": 0.01, "l2": 0.01},
    "moons": {"dataset": "moons", "dropout": 0.2, "momentum": 0.9, "clip_norm": 1.0, "init": "normal(0.3)"},
    "circles": {"dataset": "circles", "init_scale": 2.0, "hidden": [], "test_share": 0.0},
    "gaussians": {
        "dataset": "gaussians",
        "classes": 4,
        "loss": "mean_squared_error",
        "beta1": 0.8,
        "optimizer": "nadam",
    },
    "linear": {"dataset": "linear", "batch_size": 7, "l1": 0.001},
    "plane": {"dataset": "plane", "activations": ["relu", "selu"], "lr": 0.01},
    "textbook": {
        "dataset": "textbook",
        "test_share": 0.0,
        "hidden": [1],
        "weights": [[[[0.1, 0.2]], [0.3]], [[[0.5]], [1.0]]],
    },
}


def blob(page: Page, kind: str, lane: int = 0) -> bytes:
    page.result("save", lane, kind=kind)
    announced, content = page.last("blob"), page.blobs[-1]
    assert content[:4] == b"RGB1"
    assert announced["bytes"] == len(content) - 4
    return content[4:]


def reproduced(page: Page) -> Any:
    names: dict[str, Any] = {}
    exec(compile(blob(page, "snippet").decode(), "run.py", "exec"), names)
    return names["net"]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_snippet_makes_the_same_bits(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = Page(**{"rows": 50, "batch_size": 8, **SETTINGS[name]})
    page.result("step", n=25)
    net = reproduced(page)
    np.testing.assert_array_equal(net.flat_parameters, page.run.model.flat_parameters)
    loss = float(capsys.readouterr().out.split(":")[1])
    assert loss == float(page.last("state")["exact"]["loss"])


@pytest.mark.parametrize("seed", range(6))
def test_the_snippet_tells_what_was_done_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    page = Page(rows=50, batch_size=8)
    for _ in range(12):
        page.result("step", n=int(rng.integers(1, 9)))
        what = rng.integers(7)
        choices: list[tuple[str, Any]] = [
            ("lr", float(rng.uniform(0.01, 0.5))),
            ("optimizer", str(rng.choice(["sgd", "adam", "rmsprop", "rprop"]))),
            ("dropout", float(rng.choice([0.0, 0.25]))),
            ("batch_size", int(rng.integers(1, 40))),
            ("momentum", float(rng.choice([0.0, 0.9]))),
        ]
        if what == 5:
            page.result("edit", layer=2, unit=1, input=int(rng.integers(4)), add=float(rng.normal()))
        elif what == 6:
            page.result("seek", step=int(rng.integers(page.run.step)))
        else:
            page.result("set", path=choices[what][0], value=choices[what][1])
    np.testing.assert_array_equal(reproduced(page).flat_parameters, page.run.model.flat_parameters)


def test_the_snippet_of_own_points_and_of_a_file() -> None:
    page = Page(rows=20)
    page.result("points", add=[[0.1, 0.2, 2], [1 / 3, 1e-5, 2]])
    page.result("step", n=9)
    np.testing.assert_array_equal(reproduced(page).flat_parameters, page.run.model.flat_parameters)
    page.result("csv", text="1,2.5\n2,3.5\n3,9\n4,4\n")
    page.result("step", n=9)
    np.testing.assert_array_equal(reproduced(page).flat_parameters, page.run.model.flat_parameters)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_model_predicts_the_same(name: str) -> None:
    page = Page(**{"rows": 50, "batch_size": 8, **SETTINGS[name]})
    page.result("step", n=10)
    loaded = rg.Model.from_bytes(blob(page, "model"))
    x = page.run.scene.x
    np.testing.assert_array_equal(loaded.predict(x), page.run.model.predict(x))
    assert json.loads(loaded.metadata["play.config"])["seed"] == 7


def test_a_model_comes_back() -> None:
    page = Page(rows=50)
    page.result("step", n=10)
    content, trained = blob(page, "model"), page.run.model.flat_parameters.copy()
    page.result("reset")
    page.result("load", kind="model", base64=base64.b64encode(content).decode())
    np.testing.assert_array_equal(page.run.model.flat_parameters, trained)
    assert page.run.step == 0
    page.result("step", n=5)
    np.testing.assert_array_equal(reproduced(page).flat_parameters, page.run.model.flat_parameters)
    page.result("reset")
    np.testing.assert_array_equal(page.run.model.flat_parameters, trained)
    page.result("set", path="hidden", value=[2])
    answer = page.send("load", kind="model", base64=base64.b64encode(content).decode())
    assert answer["code"] == "bad_value"
    assert page.run.config.hidden == (2,)


def test_settings_come_back() -> None:
    page = Page(rows=50, dataset="moons", lr=0.05, hidden=[3], l2=0.001)
    page.result("points", add=[[0.5, 0.5, 1]])
    page.result("step", n=7)
    text, before = blob(page, "config").decode(), state(page.run)
    other = Page()
    other.result("load", kind="config", text=text)
    other.result("step", n=7)
    assert equal(state(other.run), before)
    assert other.run.config == page.run.config


def test_the_curves_as_a_table() -> None:
    page = Page(rows=50)
    for _ in range(5):
        page.result("step", n=2)
    rows = list(csv.DictReader(io.StringIO(blob(page, "csv").decode())))
    losses = {int(row["step"]): float(row["loss"]) for row in rows if row["loss"]}
    assert losses == dict(zip(page.run.losses.steps, page.run.losses.values, strict=True))
    assert [int(row["step"]) for row in rows if row["test_loss"]] == [0, 2, 4, 6, 8, 10]
    assert float(rows[-1]["test_loss"]) == float(page.last("state")["exact"]["test_loss"])


def test_a_recording_has_the_frames_of_the_run() -> None:
    page = Page(rows=50)
    page.result("step", n=10)
    page.result("set", path="dropout", value=0.2)
    page.result("step", n=20)
    before, focus = state(page.run), page.session.views[0].focus
    expected = page.frame()
    recording = saving.record(page.session, 7)
    assert equal(state(page.run), before)
    assert page.session.views[0].focus == focus
    assert [moment["step"] for moment in recording["moments"]] == [0, 5, 10, 15, 20, 25, 30]
    spec = next(m for m in map(json.loads, recording["open"]) if m["t"] == "spec")
    last = recording["moments"][-1]
    frame = Frame(base64.b64decode(last["frame"]), spec)
    for key, tensor in expected.tensors.items():
        np.testing.assert_array_equal(frame.tensors[key], tensor)
    assert any(json.loads(text).get("step") == 30 for text in last["texts"])
    curve = next(m for m in map(json.loads, recording["open"]) if m["t"] == "curve")
    assert [step for step, _ in curve["loss"]] == list(page.run.losses.steps)
    assert {step for step, _ in curve["test_loss"]} >= {0, 5, 10, 15, 20, 25, 30}
    json.dumps(recording)
