"""The conversation with the page: what is answered, what is refused, what is closed."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from play import Page, equal, state
from retrograd._play.config import Config
from retrograd._play.session import ProtocolError
from retrograd._play.wire import OPS

SMALL = {"rows": 40, "batch_size": 8}


# -------------------------------------------------------------------------------------------- opening


def test_what_a_new_page_is_told() -> None:
    page = Page()
    assert [m["t"] for m in page.messages] == ["hello", "spec", "state", "curve"]
    hello, spec, now, curve = page.messages
    assert (hello["v"], hello["package"], hello["version"]) == (1, "retrograd", rg.__version__)
    assert hello["dtype"] == "float64"
    assert "given" not in hello["choices"]["datasets"]
    assert [(layer["units"], layer["activation"]) for layer in spec["layers"]] == [
        (4, "tanh"),
        (3, "tanh"),
        (1, "sigmoid"),
    ]
    assert (spec["parameters"], spec["rows"], spec["batches"], spec["loss"]) == (
        31,
        150,
        10,
        "binary_cross_entropy",
    )
    assert (now["step"], now["phase"], now["playing"], now["stale"]) == (0, 0, False, False)
    assert curve["whole"]
    assert len(spec["points"]["x"]) == len(spec["points"]["split"]) == 200


def test_a_page_that_comes_again_is_told_where_the_run_is() -> None:
    page = Page(**SMALL)
    page.result("step", n=9)
    page.session.frame(0)
    page.session.frame(0)
    page.messages.clear()
    page.take(list(page.session.open()))
    assert page.last("state")["step"] == 9
    assert page.session.frame(0) is not None


# --------------------------------------------------------------------------------------------- steps


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rprop", "nadam"])
def test_phases_by_message_are_one_step(optimizer: str) -> None:
    settings = {**SMALL, "optimizer": optimizer, "lr": 0.01}
    phased, whole = Page(**settings), Page(**settings)
    for _ in range(3):
        seen = []
        while not seen or phased.last("state")["phase"] != 0:
            phased.result("phase", dir=1)
            seen.append((phased.last("state")["phase"], phased.last("state")["phase_layer"]))
        assert seen == [(1, 0), (2, 0), (3, 3), (3, 2), (3, 1), (4, 0), (0, 0)]
        whole.result("step")
    assert equal(state(phased.run), state(whole.run))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_numbers_of_the_old_weights_are_marked(dropout: float) -> None:
    page = Page(**SMALL, dropout=dropout)
    for _ in range(6):
        page.result("phase")
    now = page.last("state")
    assert (now["phase"], now["step"], now["weights_step"], now["stale"]) == (4, 1, 0, True)
    updated = page.frame()
    assert updated.flags & 8
    fresh = Page(**SMALL, dropout=dropout).frame()
    for key in ("z", "a", "delta", "gW"):
        for layer in (1, 2, 3):
            np.testing.assert_array_equal(updated.tensors[key, layer], fresh.tensors[key, layer])
    np.testing.assert_allclose(
        updated.tensors["W", 1], fresh.tensors["W", 1] + updated.tensors["uW", 1], atol=1e-6
    )
    np.testing.assert_allclose(updated.tensors["uW", 1], -0.3 * fresh.tensors["gW", 1], rtol=1e-5)
    page.result("phase")
    now = page.last("state")
    assert (now["phase"], now["weights_step"], now["stale"]) == (0, 1, False)


def test_an_epoch_ends_where_it_should() -> None:
    page = Page(**SMALL)
    page.result("step", n=2)
    page.result("epoch")
    assert (page.run.step, page.run.epoch, page.run.row) == (4, 1, 0)
    page.result("epoch")
    assert (page.run.step, page.run.epoch) == (8, 2)


def test_seek_and_reset_by_message() -> None:
    page = Page(**SMALL)
    page.result("step", n=5)
    at_5 = state(page.run)
    page.result("step", n=20)
    page.result("seek", step=5)
    assert equal(state(page.run), at_5)
    assert page.last("state")["snapshots"] == {"first": 0, "last": 25, "count": 26}
    answer = page.send("seek", step=26)
    assert answer["message"] == "step: expected 0 to 25, got 26"
    page.result("reset", keep_seed=False)
    assert (page.run.step, page.run.config.seed) == (0, 8)


def test_a_run_that_diverges_says_where_and_comes_back() -> None:
    page = Page(dataset="plane", activations="leaky_relu", lr=1e6)
    page.result("step", n=100)
    event = page.last("event")
    assert event["kind"] == "diverged"
    assert event["actions"] == ["rewind", "reset"]
    for word in ("step", "dense_", "loss"):
        assert word in event["text"]
    page.result("seek", step=0)
    page.result("set", path="lr", value=0.05)
    page.result("step", n=50)
    assert float(page.last("state")["exact"]["loss"]) < 1
    assert page.last("event")["kind"] == "changed"


# ------------------------------------------------------------------------------------------- playing


def test_playing_makes_as_many_steps_as_were_asked_for_with_each_frame() -> None:
    page = Page(**SMALL)
    page.result("speed", n=10)
    page.result("play")
    page.frame()
    page.take(page.session.tick(10.0))
    assert page.run.step == 10
    page.take(page.session.tick(10.0))
    assert page.run.step == 10  # no frame was taken since
    assert page.session.rest_s == pytest.approx(1 / 60)
    page.frame()
    page.take(page.session.tick(10.0))
    assert page.run.step == 20
    page.clock.now += 0.2
    assert page.session.rest_s == 0
    page.take(page.session.tick(10.0))  # nobody looks: it goes on, slowly
    assert page.run.step == 30
    page.result("pause")
    page.clock.now += 1
    assert page.session.tick(10.0) == []
    assert page.run.step == 30


def test_texts_come_ten_times_a_second_while_playing() -> None:
    page = Page(**SMALL)
    page.result("speed", n=1)
    page.result("play")
    page.frame()
    count = len(page.messages)
    for _ in range(100):
        page.clock.now += 0.01
        page.session.frame(0)
        page.session.ack(page.session._seq, 1.0)
        page.take(page.session.tick(0.001))
    told = page.messages[count:]
    states = [m for m in told if m["t"] == "state"]
    assert 9 <= len(states) <= 11
    assert page.run.step == 100
    steps = [step for m in told if m["t"] == "curve" for step, _ in m["loss"]]
    assert steps == list(range(1, states[-1]["step"] + 1))  # each once


def test_slow_motion_is_a_phase_each_700_ms() -> None:
    page = Page(**SMALL)
    page.result("speed", unit="phase")
    page.result("play")
    phases = []
    for _ in range(50):
        page.clock.now += 0.1001
        page.take(page.session.tick())
        phases.append(page.run.phase)
    assert phases[:7] == [0] * 6 + [1]
    assert page.run.step == 1


def test_frames_wait_for_the_page() -> None:
    page = Page(**SMALL)
    first = page.session.frame(0)
    assert first is not None
    assert page.session.frame(0) is None  # nothing is new
    page.result("step")
    assert page.session.frame(0) is not None
    page.result("step")
    assert page.session.frame(0) is None  # two are under way
    page.take(page.session.handle('{"t":"ack","seq":1,"draw_ms":3.0}'))
    assert page.session.frame(0) is not None
    assert page.session.frame(1) is None  # no such lane


def test_a_slow_page_gets_fewer_maps() -> None:
    counts = []
    for draw_ms in (2.0, 40.0):
        page = Page(**SMALL)
        page.result("play")
        maps = 0
        for _ in range(80):
            page.session.advance(1)
            raw = page.session.frame(0)
            assert raw is not None
            maps += bool(raw[28] & 4)
            page.session.ack(page.session._seq, draw_ms)
        counts.append(maps)
    assert counts[0] == 40
    assert counts[1] < 20


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_can_be_put_together_from_its_parts(seed: int) -> None:
    rng = random.Random(seed)
    page = Page(**SMALL)
    for _ in range(40):
        what = rng.choice(["step", "step", "seek", "phase", "back", "set"])
        if what == "step":
            page.result("step", n=rng.randrange(1, 9))
        elif what == "seek":
            page.result("seek", step=rng.randrange(page.run.snapshots.last + 1))
        elif what == "set":
            page.result("set", path="lr", value=rng.uniform(0.01, 0.3))
        else:
            page.result("phase", dir=1 if what == "phase" else -1)
        loss: dict[int, float] = {}
        for message in page.messages:
            if message["t"] == "curve":
                loss = {} if message["whole"] else loss
                loss.update((step, value) for step, value in message["loss"])
        steps = list(page.run.losses.steps)
        assert list(loss) == steps
        np.testing.assert_allclose(list(loss.values()), list(page.run.losses.values), rtol=1e-5)


# ------------------------------------------------------------------------------------ two side by side


def test_two_lanes_go_side_by_side_and_differ_where_they_should() -> None:
    page = Page(**SMALL)
    page.result("step", n=5)
    assert page.send("step", lane=1)["field"] == "lane"
    page.result("fork")
    assert page.last("spec", 1)["config"] == page.last("spec", 0)["config"]
    page.result("step", n=50)
    assert equal(*(state(run) for run in page.session.runs))
    page.result("set", lane=1, path="lr", value=0.01)
    page.result("step", n=5)
    first, second = page.session.runs
    assert first.step == second.step == 60
    assert first.config.lr == 0.3
    assert not np.array_equal(first.model.flat_parameters, second.model.flat_parameters)
    page.result("seek", step=55)
    assert equal(*(state(run)[:1] for run in page.session.runs))
    assert page.frame(1).lane == 1
    assert page.send("fork")["code"] == "bad_state"
    page.result("set", lane=1, path="hidden", value=[2])
    assert [run.step for run in page.session.runs] == [0, 0]
    page.result("set", lane=1, path="dataset", value="moons")
    assert [run.config.dataset for run in page.session.runs] == ["moons", "moons"]
    page.result("drop")
    assert page.session.frame(1) is None


def test_networks_of_different_depth_go_through_their_phases_together() -> None:
    page = Page(**SMALL)
    page.result("fork")
    page.result("set", lane=1, path="hidden", value=[])
    seen = []
    for _ in range(14):
        page.result("phase")
        seen.append([(run.step, run.phase, run.phase_layer) for run in page.session.runs])
    assert [(a[:2], b[:2]) for a, b in seen if a[:2] != b[:2]] == []
    assert seen[2:6] == [
        [(0, 3, 3), (0, 3, 1)],
        [(0, 3, 2), (0, 3, 1)],
        [(0, 3, 1), (0, 3, 1)],
        [(1, 4, 0), (1, 4, 0)],
    ]
    for expected in [*seen[-2::-1], [(0, 0, 0)] * 2]:
        page.result("phase", dir=-1)
        assert [run.step for run in page.session.runs] == [lane[0] for lane in expected]
        assert [run.phase for run in page.session.runs] == [lane[1] for lane in expected]


def test_a_lane_that_stops_stops_the_other_at_the_same_step() -> None:
    page = Page(**SMALL, dataset="plane")
    page.result("fork")
    page.result("set", lane=1, path="lr", value=1e6)
    page.result("step", n=100)
    first, second = page.session.runs
    assert first.step == second.step < 50
    alone = Page(**SMALL, dataset="plane")
    alone.result("step", n=first.step)
    assert equal(state(first), state(alone.run))


# ---------------------------------------------------------------------------------------- what is bad

MALFORMED = [
    "",
    "{",
    "[]",
    "1",
    '"step"',
    "null",
    "{}",
    '{"t":"cmd"}',
    '{"t":"cmd","id":1}',
    '{"t":"cmd","id":-1,"op":"step"}',
    '{"t":"cmd","id":true,"op":"step"}',
    '{"t":"cmd","id":1,"op":7}',
    '{"t":"ack"}',
    '{"t":"ack","seq":"1"}',
    '{"t":"hello"}',
    '{"t":"cmd","id":1,"op":"set","args":{"path":"lr","value":NaN}}',
    "[" * 60_000,
    '{"t":"cmd","id":' + "9" * 5000 + ',"op":"step"}',
]


@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_message_closes_the_connection(raw: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Page().session.handle(raw)
    assert caught.value.code == 4400


@pytest.mark.parametrize(("op", "size", "code"), [("set", 70_000, 4413), ("csv", 1_100_000, 4413)])
def test_messages_that_are_too_large(op: str, size: int, code: int) -> None:
    args = {"path": "lr", "value": "9" * size, "text": "9" * size}
    with pytest.raises(ProtocolError) as caught:
        Page().session.handle(json.dumps({"t": "cmd", "id": 1, "op": op, "args": args}))
    assert caught.value.code == code


BAD: list[tuple[str, dict[str, Any], str, str]] = [
    ("fly", {}, "bad_op", "op: there is no command 'fly'"),
    ("__class__", {}, "bad_op", "op: there is no command '__class__'"),
    ("step", {"n": 0}, "bad_value", "n: expected a whole number 1 to 10000, got 0"),
    ("step", {"n": "1"}, "bad_value", "n: expected a whole number 1 to 10000, got '1'"),
    ("step", {"n": True}, "bad_value", "n: expected a whole number 1 to 10000, got True"),
    ("set", {"path": "lr"}, "bad_value", "value: set needs it"),
    ("set", {"path": "hidden[1]", "value": 99}, "bad_value", "hidden[1]: units must be 1 to 32, got 99"),
    ("set", {"path": "lr", "value": 1e400}, "bad_value", "lr: expected a finite number, got inf"),
    ("build", {"config": []}, "bad_value", "config: expected an object, got []"),
    ("edit", {"layer": 4, "unit": 0, "value": 1}, "bad_value", "layer: expected 1 to 3, got 4"),
    ("edit", {"layer": 1, "unit": 4, "value": 1}, "bad_value", "unit: expected 0 to 3, got 4"),
    (
        "edit",
        {"layer": 1, "unit": 0, "input": 2, "value": 1},
        "bad_value",
        "input: expected 0 to 1 or null, got 2",
    ),
    ("edit", {"layer": 1, "unit": 0, "input": 0}, "bad_value", "value: give either value or add"),
    (
        "edit",
        {"layer": 1, "unit": 0, "value": 1e300},
        "bad_value",
        "value: expected a number to 1e12, got 1e+300",
    ),
    (
        "edit",
        {"layer": 1, "unit": 0, "add": 1, "join": True},
        "bad_value",
        "join: the last thing done was no edit of dense_0.bias[0]",
    ),
    (
        "edit",
        {"layer": 1, "unit": 0, "add": 1, "join": 1},
        "bad_value",
        "join: expected true or false, got 1",
    ),
    ("focus", {"index": 200}, "bad_value", "index: expected 0 to 199, got 200"),
    ("points", {"add": [[0, 0]]}, "bad_value", "add[0]: expected [x1, x2, label], got [0, 0]"),
    (
        "points",
        {"add": [[0, 1e9, 1]]},
        "bad_value",
        "add[0]: expected numbers to 1e6, got [0, 1000000000.0, 1]",
    ),
    (
        "watch",
        {"targets": [{"kind": "x"}]},
        "bad_value",
        "targets[0].kind: expected one of unit, weight, bias",
    ),
    (
        "watch",
        {"targets": [{"kind": "unit", "layer": 9, "unit": 0}]},
        "bad_value",
        "targets[0].layer: expected 1",
    ),
    ("phase", {"dir": 0}, "bad_value", "dir: expected 1 or -1, got 0"),
    ("hist", {"of": "q", "layer": 1}, "bad_value", "of: expected one of W, b, z, a, d, g, got 'q'"),
    ("table", {"layer": 4}, "bad_value", "layer: expected 0 to 3, got 4"),
    ("unit_map", {"layer": 1}, "bad_value", "unit: expected a whole number 0 to"),
    ("load", {"kind": "config", "text": "{"}, "bad_value", "text: no JSON"),
    ("load", {"kind": "config", "text": '{"lr": -1}'}, "bad_value", "lr: learning rate must be above 0"),
    ("load", {"kind": "model", "base64": "%%"}, "bad_value", "base64: "),
    ("load", {"kind": "model", "base64": "AAAA"}, "bad_value", "base64: "),
    ("lesson", {"id": "none"}, "bad_value", "id: there is no lesson 'none'"),
    ("drop", {}, "bad_state", "drop: there is only one run"),
    ("gradcheck", {"target": {"kind": "loss"}}, "bad_value", "target.kind: expected weight, bias or unit"),
]


@pytest.mark.parametrize(("op", "args", "code", "message"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_is_answered_and_changes_nothing(
    op: str, args: dict[str, Any], code: str, message: str
) -> None:
    page = Page()
    page.result("step", n=2)
    before, config = state(page.run), page.run.config
    raw = json.dumps({"t": "cmd", "id": 9, "op": op, "args": args}).replace("Infinity", "1e400")
    [answer] = [json.loads(text) for text in page.session.handle(raw)]
    assert (answer["t"], answer["id"], answer["code"]) == ("error", 9, code)
    assert answer["message"].startswith(message)
    assert page.run.config is config
    assert equal(state(page.run), before)


def anything(rng: random.Random, depth: int = 0) -> Any:
    """A JSON value that nobody expects."""
    simple: list[Any] = [
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        7,
        99,
        0.5,
        -1e308,
        1e308,
        2**53,
        -(2**70),
        "",
        "lr",
        "\ud800",
    ]
    simple += ["hidden[0]", "unit", "x" * 50, "1e5", [], {}, "weight", "points", [[0, 0, 1]], "relu", "adam"]
    if depth > 2 or rng.random() < 0.6:
        return rng.choice(simple)
    if rng.random() < 0.5:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    names = ["kind", "layer", "unit", "input", "x", "y", "task", "labels", "lr", "hidden", "a"]
    return {rng.choice(names): anything(rng, depth + 1) for _ in range(rng.randrange(4))}


PLAUSIBLE: dict[str, list[dict[str, Any]]] = {
    "phase": [{"dir": 1}, {"dir": -1}],
    "step": [{"n": 3}],
    "seek": [{"step": 0}, {"step": 2}],
    "speed": [{"n": 5, "unit": "steps"}, {"n": 1, "unit": "phase"}],
    "set": [
        *(
            {"path": "lr", "value": 0.1},
            {"path": "hidden", "value": [2, 2]},
            {"path": "dropout", "value": 0.1},
        ),
        *({"path": "dataset", "value": "gaussians"}, {"path": "dataset", "value": "plane"}),
        *(
            {"path": "optimizer", "value": "adam"},
            {"path": "lr", "value": 1e6},
            {"path": "classes", "value": 3},
        ),
        *({"path": "loss", "value": "huber"}, {"path": "test_share", "value": 0.9}),
    ],
    "build": [{"config": {"hidden": [3], "activations": "relu"}}, {"config": {"rows": 4, "test_share": 0.0}}],
    "edit": [
        *({"layer": 1, "unit": 0, "input": 0, "value": 1e11}, {"layer": 1, "unit": 0, "add": 0.1}),
        *({"layer": 1, "unit": 0, "add": 0.2, "join": True}, {"layer": 1, "unit": 0, "add": 0, "join": True}),
    ],
    "focus": [{"index": 3}],
    "points": [{"clear": True}, {"add": [[0, 0, 0], [1, 1, 1]]}, {"remove": [0]}, {"add": [[0, 1, 2]]}],
    "csv": [{"text": "1,2,a\n2,3,b\n"}, {"text": "1,2.5\n2,3\n3,1\n"}, {"text": "1,2,3,0\n2,2,3,1\n"}],
    "watch": [{"targets": [{"kind": "unit", "layer": 1, "unit": 0}, {"kind": "loss"}]}],
    "gradcheck": [{"target": {"kind": "weight", "layer": 1, "unit": 0, "input": 0}}],
    "hist": [{"of": of, "layer": 1} for of in "Wbzadg"],
    "explain": [{"format": "text"}],
    "table": [{"layer": 0}, {"layer": 1}],
    "unit_map": [{"layer": 1, "unit": 1}, {"layer": None, "unit": None}],
    "maps": [{"on": True}, {"on": False}],
    "save": [{"kind": kind} for kind in ("model", "config", "snippet", "csv")],
    "load": [{"kind": "config", "text": '{"lr": 0.2, "hidden": [2]}'}],
    "lesson": [{"id": "symmetry", "cure": 0}, {"id": "race"}],
    "drop": [{}],
    "swap": [{}],
    "fan": [{"of": "W", "layer": 1}, {"of": "b", "layer": 2}, {"of": "z", "layer": 1}],
}


@pytest.mark.parametrize("seed", range(4))
def test_random_messages_are_answered_or_closed(seed: int) -> None:
    """Whatever comes, a session answers or closes, and can go on."""
    rng = random.Random(seed)
    page = Page(rows=20, hidden=[2])
    session = page.session
    ops = [*OPS, "fly"]
    codes = {4400}
    for number in range(150):
        op = rng.choice(ops)
        args: Any = {name: anything(rng) for name in OPS.get(op, {}) if rng.random() < 0.9}
        if op in PLAUSIBLE and rng.random() < 0.7:
            args = dict(rng.choice(PLAUSIBLE[op]))
            if rng.random() < 0.2:
                args[rng.choice([*args, "x"])] = anything(rng)
        elif op == "set":
            args["path"] = rng.choice([*Config().to_dict(), "hidden[0]", "activations[1]"])
        if op == "step":
            args["n"] = 3
        message: Any = {
            "t": "cmd",
            "id": number,
            "lane": rng.choice([0, 0, 0, 1, "0"]),
            "op": op,
            "args": args,
        }
        if rng.random() < 0.1:
            message = anything(rng)
        if rng.random() < 0.1:
            message = {
                "t": rng.choice(["ack", "cmd", "auth"]),
                "seq": anything(rng),
                "draw_ms": anything(rng),
            }
        try:
            answers = session.handle(json.dumps(message))
        except ProtocolError as error:
            codes.add(error.code)
            continue
        for answer in answers:
            if isinstance(answer, str):
                answer.encode()
                json.loads(answer)
        session.tick(0.0005)
        if number % 10 == 0:
            session.frame(0)
    assert codes <= {4400, 4413}
    session.draft = None
    json.loads(session.handle('{"t":"cmd","id":1,"op":"reset"}')[0])
    assert np.isfinite(session.runs[0].model.flat_parameters).all()
    session.runs[0].train(2)
