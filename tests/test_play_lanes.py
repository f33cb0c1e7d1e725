"""Two runs side by side that change places."""

from __future__ import annotations

from typing import Any

import numpy as np
import retrograd as rg
from play import Page, state
from retrograd._play.opening import session_for

SMALL = {"rows": 40, "batch_size": 8}


def history(run: Any) -> list[Any]:
    """All that a run knows of what has been."""
    kept = [[s.step, s.parameters.tobytes(), *(slot.tobytes() for slot in s.slots)] for s in run.snapshots]
    curves = [(list(c.steps), list(c.values)) for c in (run.losses, run.test_losses, run.accuracies)]
    return [run.config, run.marks, run.changes, kept, curves, [part.tobytes() for part in state(run)]]


def test_two_lanes_change_places_with_all_that_they_know() -> None:
    page = Page(**SMALL, optimizer="adam", lr=0.01)
    page.result("step", n=5)
    page.result("fork")
    page.result("set", lane=1, path="lr", value=0.1)
    page.result("edit", lane=1, layer=1, unit=0, input=1, value=0.5)
    for _ in range(10):
        page.result("phase")  # the network is of three layers: a step is seven phases
    page.result("watch", targets=[{"kind": "bias", "layer": 1, "unit": 0}])
    page.frame(0), page.frame(1)
    before = [history(run) for run in page.session.runs]
    assert before[0] != before[1]
    first, second = page.session.runs
    page.messages.clear()
    page.result("swap")
    assert page.session.runs == [second, first]
    assert [history(run) for run in page.session.runs] == before[::-1]
    assert [(m["t"], m["lane"]) for m in page.messages if m["t"] != "ok"] == [
        *(("spec", 0), ("state", 0), ("curve", 0), ("detail", 0)),
        *(("spec", 1), ("state", 1), ("curve", 1)),
    ]
    for lane, (run, lr) in enumerate([(second, 0.1), (first, 0.01)]):
        assert page.last("curve", lane)["whole"]
        assert page.last("curve", lane)["loss"] == [[s, float(f"{v:.6g}")] for s, v in run.losses.since(-1)]
        assert page.last("curve", lane)["events"] == run.marks
        assert page.last("spec", lane)["config"]["lr"] == lr
        drawn = page.frame(lane)
        W = run.model.parameters["dense_0.weight"]
        np.testing.assert_array_equal(drawn.tensors["W", 1], W.astype(np.float32))
    page.result("swap", lane=1)
    assert page.session.runs == [first, second]
    assert [history(run) for run in page.session.runs] == before


def test_after_a_swap_both_go_on_as_they_would_have() -> None:
    pages = [Page(**SMALL), Page(**SMALL)]
    for page in pages:
        page.result("step", n=5)
        page.result("fork")
        page.result("set", lane=1, path="momentum", value=0.9)
        page.result("step", n=3)
    pages[0].result("swap")
    for page in pages:
        page.result("step", n=7)
        page.result("seek", step=6)
        page.result("epoch")
    a, b = ([history(run) for run in page.session.runs] for page in pages)
    assert a == b[::-1]
    pages[0].result("drop")
    assert pages[0].run.config.momentum == 0.9
    assert history(pages[0].run)[3:] == b[1][3:]


def test_what_is_watched_is_told_of_the_other_run_though_it_counts_the_same() -> None:
    page = Page(**SMALL)
    page.result("unit_map", layer=1, unit=0)  # A's specs are one ahead
    page.result("fork")
    page.result("edit", layer=1, unit=0, input=None, value=0.25)
    page.result("watch", targets=[{"kind": "bias", "layer": 1, "unit": 0}])
    (a, b), (first, second) = page.session.runs, page.session.views
    assert (a.version, first.rev) == (b.version, second.rev + 1)
    assert "0.25" in str(page.last("detail")["blocks"])
    page.messages.clear()
    page.result("swap")
    assert "0.25" not in str(page.last("detail")["blocks"])


def test_what_cannot_be_swapped() -> None:
    page = Page(**SMALL)
    answer = page.send("swap")
    assert (answer["code"], answer["message"]) == ("bad_state", "swap: there is only one run; fork it first")
    net = rg.Sequential([rg.Input(2), rg.Dense(3, activation="tanh"), rg.Dense(1)])
    x, y = rg.datasets.moons(20, seed=1)
    page.session = session_for(net, x, y, loss="binary_cross_entropy", optimizer=None)
    page.result("fork")
    answer = page.send("swap")
    assert answer["message"] == "swap: A is the network that was given from Python, and stays A"
    assert page.session.model is net
