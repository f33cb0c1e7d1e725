"""The inspector: lines whose numbers give their result, and gradients against differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from play import Page

NAMES = {
    **{name: getattr(math, name) for name in ("exp", "log", "tanh", "erf", "sqrt")},
    "abs": abs,
    "max": max,
    "min": min,
    "sign": lambda z: float((z > 0) - (z < 0)),
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "xor": {},
    "relu and adam": {"activations": "relu", "optimizer": "adam", "lr": 0.01, "l2": 0.01, "clip_norm": 0.1},
    "classes": {"dataset": "gaussians", "classes": 3, "hidden": [3], "optimizer": "rmsprop", "lr": 0.01},
    "values": {"dataset": "plane", "hidden": [], "momentum": 0.9},
    "squared": {
        "loss": "half_squared_error",
        "activations": ["gelu", "softsign"],
        "optimizer": "nadam",
        "lr": 0.01,
    },
    "dropout": {"dropout": 0.3, "activations": "mish", "optimizer": "rprop", "lr": 0.01},
    "logits": {"output": "linear", "optimizer": "lion", "lr": 0.01},
    "textbook": {"dataset": "textbook", "output": "sigmoid", "loss": "half_squared_error", "test_share": 0.0},
}


def targets(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"kind": "loss"}]
    for layer, column in enumerate(page.session.views[0].columns, 1):
        found.append({"kind": "layer", "layer": layer})
        unit = column.units - 1
        found += [{"kind": kind, "layer": layer, "unit": unit} for kind in ("unit", "bias")]
        found.append({"kind": "weight", "layer": layer, "unit": unit, "input": 0})
    return found


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("phase", [0, 4])
def test_the_numbers_of_a_line_give_its_result(name: str, phase: int) -> None:
    page = Page(rows=40, batch_size=6, **SETTINGS[name])
    page.result("step", n=4)
    while page.run.phase != phase:
        page.result("phase")
    count = 0
    for target in targets(page):
        for block in page.details(**target):
            assert block["id"] in ("forward", "backward", "gradient", "update", "loss")
            for line in block["lines"]:
                symbol, _, expression = line["python"].partition(" = ")
                assert symbol
                value = eval(expression, {"__builtins__": {}}, dict(NAMES))
                assert value == pytest.approx(float(line["result"]), rel=2e-11, abs=1e-15), line["python"]
                assert line["mathml"].count("<") == line["mathml"].count(">") > 0
                count += 1
    assert count > 10


def test_the_lines_have_the_numbers_of_the_network() -> None:
    page = Page(rows=40, batch_size=6)
    page.result("step", n=4)
    look = page.session.views[0].look()
    assert look is not None
    lines = {
        line["symbol"]: line
        for block in page.details(kind="unit", layer=2, unit=1)
        for line in block["lines"]
    }
    assert float(lines["z₂⁽²⁾"]["result"]) == look.z[2][1]
    assert float(lines["a₂⁽²⁾"]["result"]) == look.a[2][1]
    assert float(lines["δ₂⁽²⁾"]["result"]) == look.delta[2][1]
    blocks = {block["id"]: block for block in page.details(kind="weight", layer=2, unit=1, input=0)}
    single, batch = blocks["gradient"]["lines"]
    assert float(single["result"]) == pytest.approx(look.delta[2][1] * look.a[1][0], rel=1e-15)
    assert float(batch["result"]) == look.gW[2][1, 0]
    [update] = blocks["update"]["lines"]
    before = page.run.model.parameters["dense_1.weight"][1, 0]
    assert float(update["result"]) == pytest.approx(before - 0.3 * look.gW[2][1, 0], rel=1e-15)
    page.result("step")
    assert float(update["result"]) == page.run.model.parameters["dense_1.weight"][1, 0]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rprop"])
def test_after_the_update_the_lines_are_those_of_the_step_that_was_made(optimizer: str) -> None:
    page = Page(rows=40, batch_size=6, optimizer=optimizer, lr=0.01)
    page.result("step", n=3)
    target = {"kind": "weight", "layer": 1, "unit": 0, "input": 1}
    coming = page.details(**target)
    while page.run.phase != 4:
        page.result("phase")
    made = page.details(**target)
    assert [block["lines"] for block in made] == [block["lines"] for block in coming]
    assert coming[-1]["title"] != made[-1]["title"]
    assert page.last("detail")["weights_step"] == 3
    new = page.run.model.parameters["dense_0.weight"][0, 1]
    assert float(made[-1]["lines"][-1]["result"]) == new


def test_a_watched_target_is_told_again_when_it_changes() -> None:
    page = Page(rows=40)
    page.result("watch", targets=[{"kind": "unit", "layer": 3, "unit": 0}, {"kind": "loss"}])
    count = len(page.messages)
    page.result("pause")
    assert not [m for m in page.messages[count:] if m["t"] == "detail"]
    page.result("step")
    told = [m for m in page.messages[count:] if m["t"] == "detail"]
    assert [m["target"]["kind"] for m in told] == ["unit", "loss"]
    assert {m["step"] for m in told} == {1}
    page.result("set", path="hidden", value=[])
    assert page.last("detail")["target"]["kind"] == "loss"


def test_a_piece_of_a_formula_leads_to_where_it_comes_from() -> None:
    page = Page(rows=40)
    blocks = {block["id"]: block for block in page.details(kind="unit", layer=1, unit=0)}
    refs = {ref["text"]: ref["target"] for ref in blocks["backward"]["lines"][0]["refs"]}
    assert refs["δ₂⁽²⁾"] == {"kind": "unit", "layer": 2, "unit": 1}
    assert refs["w₂₁⁽²⁾"] == {"kind": "weight", "layer": 2, "unit": 1, "input": 0}
    for target in refs.values():
        assert page.details(**target)


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_agree_with_differences(name: str) -> None:
    page = Page(rows=40, batch_size=6, **SETTINGS[name])
    page.result("step", n=2)
    before = page.run.model.flat_parameters.copy()
    x, y = page.run.batch()
    for layer in range(1, len(page.session.views[0].columns) + 1):
        for target in (
            {"kind": "weight", "layer": layer, "unit": 0, "input": 0},
            {"kind": "bias", "layer": layer, "unit": 0},
        ):
            found = page.result("gradcheck", target=target)
            assert found["passed"]
            assert float(found["relative_error"]) < 1e-6
    np.testing.assert_array_equal(page.run.model.flat_parameters, before)
    # once more by another way
    net = page.run.model.copy()
    part = net.parameters["dense_0.weight"]
    trainer = rg.Trainer(net, page.last("spec")["loss"], "sgd", seed=page.run.config.seed)
    values = []
    for sign in (1, -1):
        part[0, 0] += sign * 1e-5
        trainer.iteration = page.run.trainer.iteration
        values.append(trainer.forward(x, y))
        part[0, 0] -= sign * 1e-5
    found = page.result("gradcheck", target={"kind": "weight", "layer": 1, "unit": 0, "input": 0})
    difference = (values[0] - values[1]) / 2e-5
    assert float(found["backpropagation"]) == pytest.approx(difference, rel=1e-5, abs=1e-8)
    assert float(found["difference"]) == pytest.approx(difference, rel=1e-5, abs=1e-8)


def test_the_engine_is_verified() -> None:
    page = Page(rows=40)
    found = page.result("verify")
    assert found["version"] == rg.__version__
    assert found["passed"]
    assert float(found["gradient_check"]) < 1e-7


@pytest.mark.parametrize("format", ["html", "text", "markdown", "latex"])
def test_the_step_written_out(format: str) -> None:
    page = Page(rows=40, batch_size=6)
    found = page.result("explain", format=format)
    assert found["samples"] == 6
    assert len(found["text"]) > 5000


def test_without_formulas_there_are_numbers() -> None:
    from test_play_data import given

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2)), rng.integers(2, size=20).astype(float)
    net = rg.Sequential(
        [rg.Input(2), rg.Dense(3), rg.BatchNorm(), rg.Activation("relu"), rg.Dense(1)], dtype="float64"
    )
    page = given(net, x, y, "binary_cross_entropy")
    [block] = page.details(kind="unit", layer=1, unit=0)
    assert "There are no formulas for this" in block["text"]
    assert len(block["lines"]) == 3
