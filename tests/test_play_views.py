"""The numbers that the page shows, against plain NumPy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from play import Page
from retrograd._play.views import exact, short

SMALL = {"rows": 60, "batch_size": 12}


def by_hand(page: Page) -> dict[str, Any]:
    """z, a, delta of the focus sample and gradients of the batch, for tanh layers and a sigmoid output."""
    run, views = page.run, page.session.views[0]
    W = [run.model.parameters[column.weight].copy() for column in views.columns]
    b = [run.model.parameters[column.bias].copy() for column in views.columns]

    def passes(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        a, z = [x], []
        for k, (weight, bias) in enumerate(zip(W, b, strict=True)):
            z.append(a[-1] @ weight.T + bias)
            a.append(1 / (1 + np.exp(-z[-1])) if k + 1 == len(W) else np.tanh(z[-1]))
        delta, back = [a[-1] - y], []
        for k in range(len(W) - 1, 0, -1):
            back.insert(0, delta[0] @ W[k])
            delta.insert(0, back[0] * (1 - a[k] ** 2))
        return a, z, delta, back

    rows = run.batch_rows()
    focus = [views.focus]
    a, z, delta, _ = passes(run.scene.x[focus], run.scene.y[focus])
    batch_a, _, batch_delta, back = passes(run.scene.x[rows], run.scene.y[rows])
    g = [d.T @ a_before / len(rows) for d, a_before in zip(batch_delta, batch_a, strict=False)]
    gb = [d.mean(axis=0) for d in batch_delta]
    return {
        "a": a,
        "z": z,
        "delta": delta,
        "gW": g,
        "gb": gb,
        "W": W,
        "b": b,
        "deltas": batch_delta,
        "back": back,
    }


def rms(values: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt((values**2).mean()))


def test_a_frame_has_the_numbers_of_the_network() -> None:
    page = Page(**SMALL, seed=3)
    page.result("step", n=7)
    page.result("focus", index=5)
    frame, expected = page.frame(), by_hand(page)
    assert (frame.step, frame.phase) == (7, 0)
    np.testing.assert_allclose(frame.tensors["a", 0], page.run.scene.x[5], rtol=1e-6)
    for layer in (1, 2, 3):
        for key in ("z", "delta"):
            np.testing.assert_allclose(
                frame.tensors[key, layer], expected[key][layer - 1][0], rtol=1e-5, atol=1e-7
            )
        np.testing.assert_allclose(frame.tensors["a", layer], expected["a"][layer][0], rtol=1e-5)
        for key in ("W", "b", "gW", "gb"):
            np.testing.assert_allclose(
                frame.tensors[key, layer], expected[key][layer - 1], rtol=1e-5, atol=1e-8
            )


def test_gains_multiply_to_the_ratio_of_deltas() -> None:
    page = Page(**SMALL, hidden=[5, 4, 6, 3])
    page.result("step", n=3)
    look = page.session.views[0].look()
    assert look is not None
    expected = by_hand(page)
    product = 1.0
    for k, flow in enumerate(look.flows[:-1]):
        product *= flow.weight_gain * flow.slope_gain
        back = rms(expected["back"][k])
        assert flow.weight_gain == pytest.approx(back / rms(expected["deltas"][k + 1]), rel=1e-12)
        assert flow.slope_gain == pytest.approx(rms(expected["deltas"][k]) / back, rel=1e-12)
    assert product == pytest.approx(rms(expected["deltas"][0]) / rms(expected["deltas"][-1]), rel=1e-12)
    assert product == pytest.approx(look.flows[0].rms_delta / look.flows[-1].rms_delta, rel=1e-14)
    for k, flow in enumerate(look.flows):
        assert flow.rms_g == pytest.approx(rms(expected["gW"][k]), rel=1e-12)
        assert flow.max_g == pytest.approx(np.abs(expected["gW"][k]).max(), rel=1e-12)
    before = Page(**SMALL, hidden=[5, 4, 6, 3])
    before.result("step", n=2)
    for k, flow in enumerate(look.flows):
        old, new = (p.run.model.parameters[f"dense_{k}.weight"] for p in (before, page))
        assert flow.update_ratio == pytest.approx(rms(new - old) / rms(old), rel=1e-12)
    np.testing.assert_allclose(page.frame().flow[:, 0], [flow.rms_g for flow in look.flows], rtol=1e-6)


def test_the_gains_count_dropout_too() -> None:
    page = Page(**SMALL, hidden=[6, 5], dropout=0.3)
    look = page.session.views[0].look()
    assert look is not None
    product = np.prod([flow.weight_gain * flow.slope_gain for flow in look.flows[:-1]])
    assert product == pytest.approx(look.flows[0].rms_delta / look.flows[-1].rms_delta, rel=1e-14)


def test_units_that_are_stuck_are_counted() -> None:
    page = Page(**SMALL, activations=["relu", "tanh"])
    page.result("edit", layer=1, unit=2, input=None, value=-100)
    page.result("edit", layer=2, unit=0, input=None, value=50)
    now = page.last("state")
    assert now["flow"][0]["dead"] == "1 of 4"
    assert now["units"]["state"][1][2] == "dead"
    assert now["units"]["state"][2][0] == "saturated"
    frame = page.frame()
    assert frame.flow[0, 5] == 0.25
    assert frame.flow[1, 6] >= np.float32(1 / 3)
    x = page.run.scene.x[page.run.scene.rows]
    hidden = np.maximum(x @ frame.tensors["W", 1].T + frame.tensors["b", 1], 0)
    z = hidden @ frame.tensors["W", 2].T + frame.tensors["b", 2]
    assert frame.flow[1, 6] == pytest.approx((np.abs(np.tanh(z)) >= 0.97).mean(), abs=1e-3)


@pytest.mark.parametrize(
    "settings",
    [{}, {"dataset": "gaussians", "classes": 4}, {"dataset": "plane"}, {"loss": "half_squared_error"}],
    ids=["xor", "four classes", "values", "squared"],
)
def test_the_map_is_the_prediction(settings: dict[str, Any]) -> None:
    page = Page(**SMALL, **settings)
    page.result("step", n=5)
    frame, grid = page.frame(), page.last("spec")["grid"]
    size = grid["size"]
    maps = frame.maps.reshape(grid["maps"], size, size)
    x0, x1, y0, y1 = grid["domain"]
    low, high = grid["range"]
    for row, column in ((0, 0), (0, size - 1), (size - 1, 3), (20, 31)):
        point = [x0 + (column + 0.5) * (x1 - x0) / size, y1 - (row + 0.5) * (y1 - y0) / size]
        predicted = page.run.model.predict(np.array([point]))[0]
        expected = np.clip((predicted - low) / (high - low), 0, 1) * 255
        np.testing.assert_allclose(maps[:, row, column], expected, atol=0.51)
    x = page.run.scene.x
    assert x0 < x[:, 0].min() < x[:, 0].max() < x1
    assert y0 < x[:, 1].min() < x[:, 1].max() < y1


def test_the_map_of_a_unit_and_of_all() -> None:
    page = Page(**SMALL)
    page.result("unit_map", layer=2, unit=1)
    page.result("maps", on=True)
    frame, grid = page.frame(), page.last("spec")["grid"]
    assert (grid["maps"], grid["small"], grid["small_size"]) == (1, 8, 24)
    assert len(frame.maps) == 48 * 48 + 8 * 24 * 24
    large = frame.maps[: 48 * 48].astype(float)
    a = [page.session.views[0]._grid_points]
    for layer in (1, 2):
        a.append(np.tanh(a[-1] @ frame.tensors["W", layer].T + frame.tensors["b", layer]))
    values = a[2][:, 1]
    np.testing.assert_allclose(large, 128 + 127 * values / np.abs(values).max(), atol=0.6)
    assert page.last("state")["map"]["high"] == page.last("state")["map"]["low"].removeprefix("-")
    page.result("unit_map", layer=None, unit=None)
    assert page.last("spec")["grid"]["unit"] is None


def test_data_that_is_no_plane_has_no_map() -> None:
    page = Page(**SMALL, dataset="linear")
    assert page.last("spec")["grid"] is None
    assert not page.frame().flags & 4


def test_scores_are_those_of_all_rows() -> None:
    page = Page(**SMALL)
    page.result("step", n=10)
    scene, model = page.run.scene, page.run.model
    for name, rows in (("", ~scene.test), ("test_", scene.test)):
        p, y = model.predict(scene.x[rows])[:, 0], scene.shown[rows]
        loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        assert float(page.last("state")["exact"][f"{name}loss"]) == pytest.approx(loss, rel=1e-12)
        accuracy = ((p >= 0.5) == y).mean()
        assert page.last("state")["text"][f"{name}accuracy"] == f"{100 * accuracy:.1f} %".replace(
            ".0 %", " %"
        )


def test_the_table_is_exact() -> None:
    page = Page(**SMALL)
    page.result("step", n=3)
    table = page.result("table", layer=2)
    look = page.session.views[0].look()
    assert look is not None
    assert table["columns"] == [
        "unit",
        "z",
        "a",
        "delta",
        "b",
        "w0",
        "w1",
        "w2",
        "w3",
        "gb",
        "g0",
        "g1",
        "g2",
        "g3",
    ]
    for unit, row in enumerate(table["rows"]):
        numbers = [float(cell) for cell in row[1:]]
        model = page.run.model.parameters
        expected = [look.z[2][unit], look.a[2][unit], look.delta[2][unit], model["dense_1.bias"][unit]]
        expected += [*model["dense_1.weight"][unit], look.gb[2][unit], *look.gW[2][unit]]
        assert numbers == [float(value) for value in expected]
    assert page.result("table", layer=0)["rows"][1][1] == exact(
        page.run.scene.x[page.session.views[0].focus, 1]
    )


@pytest.mark.parametrize("of", list("Wbzadg"))
def test_histograms_count_every_number(of: str) -> None:
    page = Page(**SMALL)
    found = page.result("hist", of=of, layer=2)
    sizes = {"W": 12, "b": 3, "g": 12}
    assert sum(found["counts"]) == sizes.get(of, 3 * 12)
    assert len(found["edges"]) == len(found["counts"]) + 1


@pytest.mark.parametrize(("of", "name"), [("W", "dense_1.weight"), ("b", "dense_1.bias")])
@pytest.mark.parametrize("steps", [1, 40, 900])
def test_the_fan_has_the_percentiles_of_the_steps(of: str, name: str, steps: int) -> None:
    page, twin = Page(**SMALL), Page(**SMALL)
    page.result("step", n=steps)
    found = page.result("fan", of=of, layer=2)
    shown = found["steps"]
    assert (shown[0], shown[-1]) == (0, steps)
    assert shown == sorted(set(shown))
    assert min(steps + 1, 70) <= len(shown) <= 97
    assert max(b - a for a, b in pairwise(shown)) <= max(1, steps // 40)
    for step, row, text in zip(shown, found["percentiles"], found["texts"], strict=True):
        twin.run.train(step - twin.run.step)
        expected = np.percentile(twin.run.model.parameters[name], [5, 25, 50, 75, 95])
        np.testing.assert_array_equal(row, expected)
        a, b, c, d, e = (short(float(value)) for value in expected)
        assert text == f"step {step}: median {c}, 25 to 75 % from {b} to {d}, 5 to 95 % from {a} to {e}"
    percentiles = np.array(found["percentiles"])
    assert found["text"].startswith("12 numbers; " if of == "W" else "3 numbers; ")
    assert found["ends"] == [short(percentiles.min()), short(percentiles.max())]


def test_a_fan_that_cannot_be_says_why() -> None:
    page = Page(**SMALL)
    why = {"W": "needs two steps", "z": "only weights W and biases b are kept", "g": "W and biases b"}
    for of, words in why.items():
        found = page.result("fan", of=of, layer=1)
        assert found["steps"] == []
        assert words in found["text"]
    assert page.send("fan", of="W", layer=4)["message"] == "layer: expected 1 to 3, got 4"
    page.result("step", n=3)
    page.result("seek", step=1)
    assert page.result("fan", of="W", layer=1)["steps"] == [0, 1, 2, 3]  # what came later is kept
    page.result("step")
    assert page.result("fan", of="W", layer=1)["steps"] == [0, 1, 2]
    next(iter(page.run.snapshots)).parameters[0] = np.inf
    assert page.result("fan", of="W", layer=1)["steps"] == [1, 2]


def test_numbers_that_are_not_finite_are_told() -> None:
    page = Page(**SMALL, dataset="plane", activations="linear")
    page.run.model.flat_parameters[:] = 1e200
    page.run.version += 1
    frame = page.frame()
    assert frame.flags & 1
    assert not np.isfinite(frame.tensors["z", 2]).any()
    page.result("pause")
    assert page.last("state")["verdict"]["kind"] == "diverged"
    assert page.send("hist", of="z", layer=1)["code"] == "bad_state"


@pytest.mark.parametrize("value", [0.1, -0.0, 1e-300, 123456.789, 1 / 3, 5e-324, 1e22])
def test_exact_texts_are_read_back(value: float) -> None:
    assert float(exact(np.float64(value))) == value


def test_short_texts() -> None:
    shown = {
        0.0: "0",
        0.5: "0.5",
        -0.0693147: "-0.0693",
        1.2345e-5: "1.2e-5",
        98765.0: "9.9e4",
        1234.5: "1234",
    }
    assert {value: short(value) for value in shown} == shown
    assert (short(float("nan")), short(float("inf"))) == ("–", "∞")
