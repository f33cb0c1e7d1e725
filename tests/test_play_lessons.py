"""What the captions of the lessons say happens."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from retrograd._play.config import Config
from retrograd._play.lessons import LESSONS
from retrograd._play.run import Run
from retrograd._play.session import Session
from retrograd._play.verdicts import verdict
from retrograd._play.views import Views


class Watched:
    """A lesson that is trained and measured."""

    def __init__(self, name: str, cure: str | None = None) -> None:
        lesson = LESSONS[name]
        config = lesson.start()
        if cure is not None:
            config = config.changed(dict(lesson.cures)[cure])
        self.run = Run(config)
        self.views = Views(self.run)
        self.views.measure()

    def at(self, step: int) -> dict[str, float]:
        self.run.train(step - self.run.step)
        self.views.measure()
        return self.views.scores

    @property
    def rms_g(self) -> list[float]:
        look = self.views.look()
        assert look is not None
        return [flow.rms_g for flow in look.flows]

    @property
    def longest_update(self) -> float:
        look = self.views.look()
        assert look is not None
        return max(flow.update_ratio for flow in look.flows)


@pytest.mark.parametrize("name", LESSONS)
def test_each_lesson_has_captions_a_question_and_cures_that_can_be(name: str) -> None:
    lesson = LESSONS[name]
    steps = [step for step, _ in lesson.captions]
    assert steps[0] == 0
    assert steps == sorted(set(steps))
    assert lesson.question.endswith(("?", "."))
    for label, settings in lesson.cures:
        assert label
        Run(lesson.start().changed(settings)).train(2)


def test_textbook() -> None:
    lesson = Watched("textbook")
    assert lesson.at(0)["loss"] == pytest.approx(0.0260, abs=5e-5)
    look = lesson.views.look()
    assert look is not None
    assert 2.5 < look.delta[1][1] / look.delta[1][0] < 3.5
    assert lesson.at(1)["loss"] == pytest.approx(0.0240, abs=5e-5)
    assert lesson.at(10)["loss"] < 0.0130
    lesson.at(100)
    assert f"{lesson.views.prediction(lesson.run.scene.x)[0, 0]:.2f}" == "0.50"


def test_vanishing_and_its_cures() -> None:
    lesson = Watched("vanishing")
    assert lesson.rms_g[0] / lesson.rms_g[-1] < 1e-4
    look = lesson.views.look()
    assert look is not None
    slopes = [flow.slope_gain for flow in look.flows[:-1]]
    assert max(slopes) <= 0.25
    assert math.prod(slopes) == pytest.approx(0.22**8, rel=3)
    first = lesson.run.model.parameters["dense_0.weight"].copy()
    for step in (100, 300):
        assert lesson.at(step)["loss"] == pytest.approx(0.69, abs=0.01)
    assert np.abs(lesson.run.model.parameters["dense_0.weight"] - first).max() < 1e-3
    for cure in dict(LESSONS["vanishing"].cures):
        assert Watched("vanishing", cure).at(1000)["accuracy"] > 0.95, cure


def test_exploding_and_its_cures() -> None:
    lesson = Watched("exploding")
    assert lesson.views.scores["loss"] > 100
    lesson.at(1)
    assert lesson.longest_update > 1
    lesson.at(20)
    assert lesson.run.step < 10
    assert lesson.run.events[-1]["kind"] == "diverged"
    assert Watched("exploding", "weights of the right size").at(400)["accuracy"] > 0.85
    clipped = Watched("exploding", "clip the gradient")
    assert 1.0 < clipped.at(300)["loss"] < 20
    assert clipped.run.events == []


def test_dying_and_its_cures() -> None:
    lesson = Watched("dying")
    assert not any(lesson.views.dead)
    lesson.at(60)
    assert max(len(dead) for dead in lesson.views.dead) > 4
    assert lesson.at(300)["accuracy"] < 0.7
    for cure in dict(LESSONS["dying"].cures):
        cured = Watched("dying", cure)
        assert cured.at(600)["accuracy"] > 0.95, cure


def test_symmetry_and_its_cure() -> None:
    lesson = Watched("symmetry")
    for step in (100, 300):
        lesson.at(step)
        W = lesson.run.model.parameters["dense_0.weight"]
        assert W.any()
        assert (W[0] == W).all()
    assert lesson.views.scores["accuracy"] < 0.6
    assert Watched("symmetry", "random weights").at(600)["accuracy"] > 0.95


def test_initialisation() -> None:
    assert Watched("initialisation").at(500)["loss"] == pytest.approx(0.69, abs=0.01)
    large = Watched("initialisation", "too large: normal(3)")
    assert max(large.views.saturated[:-1]) > 0.5
    scores = large.at(500)
    assert scores["test_accuracy"] < 0.9
    assert Watched("initialisation", "right: Glorot").at(500)["test_accuracy"] > 0.95


def test_learning_rate() -> None:
    lesson = Watched("learning_rate")
    assert lesson.at(1)["loss"] == pytest.approx(0.79, abs=0.005)
    assert lesson.longest_update < 1e-3
    assert lesson.at(100)["loss"] == pytest.approx(0.78, abs=0.005)
    assert lesson.at(500)["loss"] > 0.7
    assert Watched("learning_rate", "good: 0.3").at(200)["loss"] < 0.06
    jumping = Watched("learning_rate", "too large: 30")
    jumping.at(200)
    losses = list(jumping.run.losses.values)[50:]
    assert max(losses) > 5 * 0.79
    assert sum(b > a for a, b in pairwise(losses)) > 40  # up and down, not only down


def test_race() -> None:
    slow = Watched("race")
    other = slow.run.fork()
    other.set(LESSONS["race"].fork)
    fast = Views(other)
    other.train(100)
    fast.measure()
    assert max(slow.at(100)["loss"], fast.scores["loss"]) < 0.3
    other.train(300)
    fast.measure()
    assert fast.scores["loss"] < slow.at(400)["loss"] / 10


def test_overfitting_and_its_cures() -> None:
    lesson = Watched("overfitting")
    assert lesson.run.model.flat_parameters.size > 300
    assert len(lesson.run.scene.rows) == 20
    scores = lesson.at(100)
    assert scores["loss"] < scores["test_loss"] / 3
    scores = lesson.at(1000)
    assert scores["accuracy"] == 1
    assert scores["loss"] < scores["test_loss"] / 1000
    assert lesson.at(2000)["test_loss"] > scores["test_loss"]
    for cure in dict(LESSONS["overfitting"].cures):
        cured = Watched("overfitting", cure).at(1000)
        assert cured["test_loss"] < 0.6 * scores["test_loss"], cure
        assert cured["loss"] > scores["loss"]


VERDICTS = [
    ({"dataset": "circles", "noise": 0.1, "hidden": [6] * 8, "activations": "sigmoid"}, 60, "vanishing"),
    (LESSONS["exploding"].settings, 1, "exploding"),
    (LESSONS["dying"].settings, 60, "dead units"),
    ({"lr": 30.0, "hidden": []}, 60, "lr too high"),
    ({"lr": 1e-7}, 60, "stalled"),
    ({}, 0, None),
    ({}, 100, None),
    ({}, 1000, None),
]


@pytest.mark.parametrize(("settings", "steps", "kind"), VERDICTS, ids=range(len(VERDICTS)))
def test_what_goes_wrong_is_told_with_numbers_and_a_remedy(
    settings: dict[str, Any], steps: int, kind: str | None
) -> None:
    run = Run(Config().changed(settings))
    views = Views(run)
    run.train(steps)
    views.measure()
    found = verdict(run, views)
    assert (None if found is None else found["kind"]) == kind
    if found is not None:
        assert any(character.isdigit() for character in found["text"])
        assert found["remedy"].endswith(".")


def test_spiral() -> None:
    assert 0.65 < Watched("spiral").at(800)["accuracy"] < 0.85
    assert Watched("spiral", "16 units in each layer").at(800)["accuracy"] > 0.98


def test_a_lesson_ends_the_second_run_and_says_so() -> None:
    session = Session()
    session.handle(json.dumps({"t": "cmd", "id": 1, "lane": 0, "op": "fork", "args": {}}))
    question = {"t": "cmd", "id": 2, "lane": 0, "op": "lesson", "args": {"id": "symmetry"}}
    replies = [json.loads(reply) for reply in session.handle(json.dumps(question))]
    assert [reply["kind"] for reply in replies if reply["t"] == "event"].count("dropped") == 1
    assert len(session.runs) == 1
