"""Data and networks that a reader brings: points, files, models from Python."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from play import Page, equal, state
from retrograd._play.config import Config
from retrograd._play.opening import session_for
from retrograd._play.run import Given
from retrograd._play.scenes import given_scene

SMALL = {"rows": 40, "batch_size": 8}


def given(net: rg.Model, x: Any, y: Any, loss: str, optimizer: Any = None) -> Page:
    scene = given_scene(x, y, loss, 0.0, 0)
    config = Config(dataset="given", optimizer="given", lr=None, test_share=0.0)
    return Page(Given(net, loss, optimizer or rg.Adam(0.01), scene), config=config)


# ---------------------------------------------------------------------------------------------- data


def test_points_are_added_and_taken_away() -> None:
    page = Page(**SMALL)
    page.result("points", add=[[0.5, 0.25, 1], [-0.5, 0.0, 0]])
    spec = page.last("spec")
    assert spec["points"]["x"][40:] == [[0.5, 0.25], [-0.5, 0.0]]
    assert spec["points"]["y"][40:] == [1.0, 0.0]
    page.result("points", remove=[40, 0])
    assert len(page.last("spec")["points"]["x"]) == 40
    page.result("points", add=[[0, 0, 2]])
    assert page.last("spec")["classes"] == ["0", "1", "2"]
    assert page.run.model.outputs[0].shape == (None, 3)
    assert page.send("points", remove=[99])["message"] == "remove: there are 41 points, got 99"
    assert page.send("points", add=[[0, 0, 7]])["message"] == "points.y: labels must be whole numbers 0 to 5"


def test_without_two_classes_nothing_is_trained() -> None:
    page = Page(**SMALL)
    assert page.result("points", clear=True) == {"rebuilt": False, "ready": False}
    assert page.last("spec")["draft"] == "Add at least one point of each of two classes."
    for op in ("play", "step", "phase", "epoch", "fork"):
        assert page.send(op)["code"] == "bad_state"
    assert page.result("points", add=[[0, 0, 0]])["ready"] is False
    assert page.result("points", add=[[1, 1, 1]])["ready"] is True
    page.result("step", n=20)
    assert page.run.scene.x.tolist() == [[0, 0], [1, 1]]


CSV = {
    "a,b,class\n1,2,red\n3,4,blue\n": ("classes", ["blue", "red"]),
    "1,a\n2,\ud800\n": ("classes", ["a", "\ud800"]),
    "1;2;3\n4;5;6\n": ("classes", ["3", "6"]),
    "1\t2.5\n2\t3.5\n": ("value", []),
    "x,y\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n7,7\n": ("value", []),
    "\ufeffx,y\r\n1,0\r\n\r\n2,1\r\n": ("classes", ["0", "1"]),
}
BAD_CSV = {
    "": "expected at least 2 rows of numbers, got 0",
    "a,b\n1,2\n": "expected at least 2 rows of numbers, got 1",
    "a,b,c\n1,2,3\n1,2\n": "line 3: has 2 columns, expected 3",
    "a,b,c\n1,2,3\n1,zwei,3\n": "line 3, column 2: expected a finite number, got 'zwei'",
    "1,nan,3\n1,2,3\n": "line 1, column 2: expected a finite number, got 'nan'",
    "1,2,3\n1,2,x\n": "line 2: the target is a number in some rows and a word in others",
    "1,2,\n3,4,1\n": "line 1: the target, the last column, is empty",
    "1,x\n2,x\n": "all targets are 'x'; at least two classes are needed",
    "1\n2\n": "line 1: has 1 columns, expected 2 to 33, the last the target",
    "\n".join(f"{k},{k}.5" for k in range(2002)): "at most 2000 rows, got more",
    "\n".join(
        f"1,{name}" for name in "abcdefg"
    ): "the target has 7 different words, at most 6 classes can be shown",
}


@pytest.mark.parametrize("text", CSV)
def test_csv_files(text: str) -> None:
    page = Page()
    page.result("csv", text=text)
    spec = page.last("spec")
    assert (spec["task"], spec["classes"]) == CSV[text]
    page.result("step", n=3)


@pytest.mark.parametrize("text", BAD_CSV)
def test_csv_files_that_are_none(text: str) -> None:
    page = Page()
    before = state(page.run)
    answer = page.send("csv", text=text)
    assert (answer["code"], answer["field"], answer["message"]) == ("bad_value", "text", BAD_CSV[text])
    assert equal(state(page.run), before)


def test_a_loss_for_other_targets_gives_way_to_one_that_fits() -> None:
    page = Page(loss="binary_cross_entropy")
    page.result("csv", text="1,2.5\n2,3.5\n3,9\n")
    assert page.last("spec")["loss"] == "mean_squared_error"


# ---------------------------------------------------------------------------------- networks given


def test_the_given_network_is_drawn_and_trained() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 2)), rng.integers(3, size=60)
    layers = [rg.Input(2), rg.Dense(40), rg.BatchNorm(), rg.Activation("relu"), rg.Dropout(0.1), rg.Dense(3)]
    net = rg.Sequential(layers, seed=2, dtype="float64")
    page = given(net, x, y, "cross_entropy")
    spec = page.last("spec")
    assert page.messages[0]["given"] is True
    assert [(layer["name"], layer["activation"], layer["also"]) for layer in spec["layers"]] == [
        ("dense_0", "relu", ["batch_norm_0", "dropout_0"]),
        ("dense_1", "linear", []),
    ]
    before = net.flat_parameters.copy()
    page.result("step", n=3)
    assert page.session.model is net
    assert not np.array_equal(net.flat_parameters, before)
    assert page.send("set", path="hidden", value=[3])["code"] == "refused"
    assert page.send("lesson", id="textbook")["code"] == "refused"
    assert page.send("points", add=[[0, 0, 1]])["code"] == "refused"
    assert page.send("save", kind="snippet")["code"] == "refused"
    page.result("set", path="lr", value=0.1)
    yhat = [float(part) for part in page.last("state")["focus"]["yhat"].split(", ")]
    assert sum(yhat) == pytest.approx(1, abs=1e-12)
    page.result("reset")
    np.testing.assert_array_equal(net.flat_parameters, before)
    frame = page.frame()
    assert frame.flags & 4
    assert len(frame.maps) == 3 * 48 * 48


REFUSED = {
    "conv2d_0 is conv2d": [rg.Input((8, 8, 1)), rg.Conv2D(2, 3), rg.Flatten(), rg.Dense(1)],
    "operations stand between its layers or after them": [rg.Input(2), rg.Dense(2), rg.ops.relu],
    "it has no Dense layer": [rg.Input(2), rg.BatchNorm()],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_networks_that_cannot_be_drawn(reason: str) -> None:
    net = rg.Sequential(REFUSED[reason])
    x = np.zeros((4, *net.inputs[0].sample_shape))
    y = np.zeros((4, *net.outputs[0].sample_shape))
    with pytest.raises(rg.ArgumentError, match="play: this network cannot be drawn") as caught:
        given(net, x, y, "mse")
    expected = "its input has shape" if "conv" in reason else reason
    assert expected in str(caught.value)


# ------------------------------------------------------------------------------------------- opening


def test_without_anything_it_is_xor() -> None:
    session = session_for()
    assert session.runs[0].config == Config()
    assert session_for(dataset="moons", lr=0.1, hidden=[3]).runs[0].config.hidden == (3,)
    with pytest.raises(rg.ArgumentError, match="did you mean 'lr'"):
        session_for(lrr=0.1)


def test_data_alone_become_points() -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    assert session_for(x=x, y=np.array([0, 1, 2])).runs[0].scene.classes == ("0", "1", "2")
    session = session_for(x=x, y=np.array([0.5, 1.0, 2.0]), test_share=0.0)
    assert session.runs[0].scene.task == "value"
    np.testing.assert_array_equal(session.runs[0].scene.x, x)
    with pytest.raises(rg.ArgumentError, match="x came without y"):
        session_for(x=x)


@pytest.mark.parametrize(
    ("units", "activation", "y", "loss"),
    [
        (1, "sigmoid", np.array([0.0, 1.0, 1.0, 0.0]), "binary_cross_entropy"),
        (1, None, np.array([0, 1, 1, 0]), "binary_cross_entropy"),
        (1, None, np.array([0.3, 1.0, 2.0, 0.0]), "mean_squared_error"),
        (3, None, np.array([0, 1, 2, 0]), "cross_entropy"),
        (3, "softmax", np.eye(3)[[0, 1, 2, 0]], "cross_entropy"),
        (2, None, np.ones((4, 2)), "mean_squared_error"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_with_its_data(units: int, activation: str | None, y: Any, loss: str, dtype: str) -> None:
    layers = [rg.Input(5), rg.Dense(70, activation="relu"), rg.Dense(units, activation=activation)]
    net = rg.Sequential(layers, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(4, 5))
    session = session_for(net, x, y, batch_size=2, seed=4)
    opening = [json.loads(text) for text in session.open()]
    assert opening[0]["dtype"] == dtype
    assert opening[1]["loss"] == loss
    assert opening[1]["points"]["x"] == []
    before = net.flat_parameters.copy()
    target = {"kind": "unit", "layer": 2, "unit": 0}
    message = {"t": "cmd", "id": 1, "op": "watch", "args": {"targets": [target]}}
    detail = json.loads(session.handle(json.dumps(message))[1])
    assert detail["blocks"][0]["lines"][0]["note"] == "more than 120 numbers add up to it"
    session.handle('{"t":"cmd","id":2,"op":"step","args":{"n":3}}')
    assert session.model is net
    assert not np.array_equal(net.flat_parameters, before)
    assert session.frame(0) is not None


def test_data_that_does_not_fit_a_network() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(3)])
    x, y = np.zeros((4, 2)), np.array([0, 1, 2, 0])
    with pytest.raises(rg.ShapeError, match=r"x: expected shape \(batch, 2\)"):
        session_for(net, np.zeros((4, 3)), y)
    with pytest.raises(rg.ArgumentError, match="3"):
        session_for(net, x, np.array([0, 1, 2, 3]))
    with pytest.raises(rg.ArgumentError, match="a network needs data"):
        session_for(net)
    with pytest.raises(rg.ArgumentError, match="unknown name 'hidden'"):
        session_for(net, x, y, hidden=[3])
    with pytest.raises(rg.ArgumentError, match="expected a network or nothing, got list"):
        session_for([3], x, y)  # type: ignore[arg-type]


def test_settings_that_do_not_fit_the_other_lane_change_nothing() -> None:
    page = Page(dataset="gaussians", classes=3)
    page.result("fork")
    page.result("set", lane=1, path="loss", value="cross_entropy")
    before = [state(run) for run in page.session.runs]
    assert page.send("set", path="dataset", value="moons")["field"] == "loss"
    assert [run.config.dataset for run in page.session.runs] == ["gaussians"] * 2
    assert all(equal(a, state(run)) for a, run in zip(before, page.session.runs, strict=True))
