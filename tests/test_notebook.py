"""What a notebook shows: tables, curves, and a bar that stays one line."""

from __future__ import annotations

import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _progress
from retrograd._curve import curve_svg
from retrograd._table import html_table

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 6))
Y = (X[:, 0] > 0).astype(int)


def net_of() -> rg.Model:
    layers = [
        rg.Dense(5, activation="relu"),
        rg.Dense(4, activation=lambda z: 2 * rg.ops.tanh(z)),
        rg.BatchNorm(),
        rg.Dense(2, name="<out>"),
    ]
    return rg.Sequential([rg.Input(6), *layers], dtype="float64")


def history_of(**series: list[float]) -> rg.History:
    history = rg.History()
    for values in zip(*series.values(), strict=True):
        history.add(dict(zip(series, values, strict=True)))
    return history


def parsed(html: str) -> ElementTree.Element:
    """The HTML is XML too, but for <br>."""
    return ElementTree.fromstring(f"<all>{html.replace('<br>', '<br/>')}</all>")


def cells(html: str, table: int = 0) -> list[list[str]]:
    rows = list(parsed(html).iter("table"))[table].iter("tr")
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def assert_at_home_anywhere(html: str) -> None:
    """No styles for others, and no colour of text or ground that would be unreadable on some page."""
    assert not re.search(r"<(style|script|link|img)|href|\bid=|\bclass=\"(?!best)|\bon\w+=", html)
    for style in re.findall(r'style="([^"]*)"', html):
        assert not re.search(r"(?<![-\w])(color|background(-color)?):(?!currentColor)", style), style


# ------------------------------------------------------------------------------------------------ tables


def test_a_table_escapes_its_words_and_puts_numbers_to_the_right() -> None:
    html = html_table(["<a>", "n"], [["&", "1"]])
    assert cells(html) == [["<a>", "n"], ["&", "1"]]
    assert re.findall(r"<td style=[^>]*text-align:(\w+)", html) == ["left", "right"]


def test_a_model_shows_every_layer() -> None:
    net = net_of()
    html = net._repr_html_()
    assert_at_home_anywhere(html)
    assert html == net.summary()._repr_html_()
    w = [net[name].weight for name in ("dense_0", "dense_1", "batch_norm_0", "<out>")]
    rms = [f"{math.sqrt(sum(v * v for v in a.ravel().tolist()) / a.size):.3g}" for a in w]
    assert cells(html) == [
        ["layer", "output shape", "activation", "parameters", "multiply-adds", "RMS of weights"],
        ["input_0 (input)", "(batch, 6)", "", "0", "0", ""],
        ["dense_0", "(batch, 5)", "relu", "35", f"{net['dense_0'].cost}", rms[0]],
        ["dense_1", "(batch, 4)", "function", "24", f"{net['dense_1'].cost}", rms[1]],
        ["batch_norm_0", "(batch, 4)", "", "8", f"{net['batch_norm_0'].cost}", rms[2]],
        ["<out> (dense)", "(batch, 2)", "", "10", f"{net['<out>'].cost}", rms[3]],
    ]
    assert "77 parameters, float64" in html


def test_a_model_shows_activations_without_weights_and_variables() -> None:
    x = rg.Input(3)
    scale = rg.Variable(np.array([3.0, 4.0, 0.0]), name="scale")
    net = rg.Model(x, rg.Activation("gelu")(x * scale))
    rows = {row[0]: row for row in cells(net._repr_html_())}
    assert rows["activation_0"][2] == "gelu"
    assert rows["activation_0"][5] == ""
    assert rows["scale (variable)"][5] == f"{5 / math.sqrt(3):.3g}"


def test_a_trace_shows_shapes_and_extents() -> None:
    net = net_of()
    trace = net.trace(X, Y, "cross_entropy")
    html = trace._repr_html_()
    assert_at_home_anywhere(html)
    rows = cells(html)
    assert rows[0] == ["layer", "", "shape", "min", "mean", "max"]
    assert [row[:3] for row in rows[1:5]] == [
        ["dense_0", "z", "(40, 5)"],
        ["", "a", "(40, 5)"],
        ["", "delta", "(40, 5)"],
        ["", "dW", "(5, 6)"],
    ]
    z = (X @ net["dense_0"].weight.T + net["dense_0"].bias).ravel().tolist()
    shown = [float(text) for text in rows[1][3:]]
    assert shown == pytest.approx([min(z), sum(z) / len(z), max(z)], rel=1e-3)
    assert float(rows[2][3]) == 0.0  # of relu
    assert f"loss {trace.loss:.6g}" in html


def test_a_deep_trace_is_cut() -> None:
    net = rg.Sequential([rg.Input(1), *(rg.Dense(1) for _ in range(33))])
    html = net.trace([[1.0]], [[1.0]], "mse")._repr_html_()
    assert "dense_29" in html
    assert "dense_30" not in html
    assert "and 3 more layers" in html


# ----------------------------------------------------------------------------------------------- history


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    lines = [line.get("points", "").split() for line in parsed(svg).iter() if line.tag.endswith("polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in line)] for line in lines]


def texts_of(svg: str) -> list[str]:
    return [text.text or "" for text in parsed(svg).iter() if text.tag.endswith("text")]


def test_a_curve_is_a_straight_image_of_the_numbers() -> None:
    values = [4.0, 3.0, 1.0, 2.0]
    svg = curve_svg({"loss": values, "val_loss": [2.0] * 4}, marked=3)
    loss, validation = points_of(svg)
    steps = np.diff([x for x, _ in loss])
    assert steps == pytest.approx([steps[0]] * 3, abs=0.11)
    # y falls by the same number of pixels for each unit of the loss
    scale = [(loss[0][1] - y) / (4.0 - value) for (_, y), value in zip(loss[1:], values[1:], strict=True)]
    assert scale[0] < 0
    assert scale == pytest.approx([scale[0]] * 3, abs=0.15)
    assert [y for _, y in validation] == [loss[3][1]] * 4
    best = re.search(r'class="best" d="M([\d.]+)', svg)
    assert best is not None
    assert float(best[1]) == loss[2][0]
    assert texts_of(svg) == ["1", "4", "epoch 1", "4", "best: 3", "loss", "val_loss"]


def test_a_wide_range_is_logarithmic() -> None:
    svg = curve_svg({"loss": [1000.0, 10.0, 0.1]})
    ((_, first), (_, second), (_, third)) = points_of(svg)[0]
    assert second - first == pytest.approx(third - second, abs=0.11)
    assert "log" in texts_of(svg)
    assert "log" not in texts_of(curve_svg({"loss": [1000.0, 10.0, -0.1]}))


def test_gaps_and_lone_numbers() -> None:
    nan, inf = math.nan, math.inf
    svg = curve_svg({"loss": [nan, 1.0, nan, 3.0, 2.0, inf, 5.0, 4.0, 1.0]})
    assert list(map(len, points_of(svg))) == [2, 3]
    assert svg.count("<circle") == 1
    assert "nan" not in svg
    assert "inf" not in svg


@pytest.mark.parametrize("series", [{}, {"loss": []}, {"loss": [math.nan]}, {"loss": [math.inf, math.nan]}])
def test_nothing_finite(series: dict[str, list[float]]) -> None:
    assert texts_of(curve_svg(series)) == ["no finite number yet"]


@pytest.mark.parametrize("values", [[5e-324, 1e-323], [-1.7e308, 1.7e308], [0.5, 0.5], [0.5]])
def test_extreme_numbers(values: list[float]) -> None:
    svg = curve_svg({"loss": values}, marked=1)
    for _, y in [point for line in points_of(svg) for point in line]:
        assert 0 < y < 150
    assert "nan" not in svg


def test_many_epochs_keep_their_peaks() -> None:
    values = [1.0] * 30_000
    values[17_001] = 2.0
    svg = curve_svg({"loss": values})
    (line,) = points_of(svg)
    assert len(line) <= 400
    ys = [y for _, y in line]
    assert ys.count(min(ys)) == 1
    assert min(ys) == 18.0  # the upper end of the scale
    assert [x for x, _ in line] == sorted(x for x, _ in line)


def test_names_at_the_ends_do_not_meet() -> None:
    svg = curve_svg({"loss": [2.0, 1.0], "val_loss": [3.0, 1.0], "third": [0.0, 1.01]})
    ys = [float(y) for y in re.findall(r'<text x="426.0" y="([\d.]+)"', svg)]
    assert len(ys) == 3
    assert min(abs(a - b) for i, a in enumerate(ys) for b in ys[:i]) >= 12


def test_a_history_shows_the_last_and_the_best_epoch() -> None:
    history = history_of(loss=[3.0, 2.0, 1.0], val_loss=[4.0, 2.5, 2.75], accuracy=[0.1, 0.2, 0.3])
    history.add({"loss": 0.5, "gradient_norm/dense_0.weight": 1.0})
    history.stop_reason = "<fine>"
    html = history._repr_html_()
    assert_at_home_anywhere(html)
    assert cells(html) == [
        ["", "last epoch", "epoch 2 (best)"],
        ["loss", "0.5", "2"],
        ["val_loss", "nan", "2.5"],
        ["accuracy", "nan", "0.2"],
    ]
    text = "".join(parsed(html).itertext())
    assert "4 epochs; 0 iterations; stopped: <fine>" in text
    assert "1 series of single parameters" in text
    assert "best: 2" in text
    assert len(points_of(html)) == 2


def test_histories_of_one_and_no_epoch() -> None:
    one = history_of(loss=[0.5])._repr_html_()
    assert "1 epoch;" in one
    assert one.count("<circle") == 1
    assert cells(one) == [["", "last epoch", "epoch 1 (best)"], ["loss", "0.5", "0.5"]]
    none = rg.History()._repr_html_()
    assert "0 epochs; 0 iterations" in none
    assert "<svg" not in none


# ---------------------------------------------------------------------------------------------- progress


class Screen:
    """IPython behind a kernel, as far as it is used: what was displayed, and by which id."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []
        self.displays = 0

    def display(self, bundle: dict[str, str], raw: bool, display_id: bool) -> Screen:
        assert raw is True
        assert display_id is True
        self.displays += 1
        self.bundles.append(bundle)
        return self

    def update(self, bundle: dict[str, str], raw: bool) -> None:
        assert raw is True
        self.bundles.append(bundle)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    package: Any = ModuleType("IPython")
    package.get_ipython = lambda: SimpleNamespace(kernel=object())
    shown: Any = ModuleType("IPython.display")
    shown.display = made.display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return made


def fit(epochs: int, **settings: Any) -> None:
    trainer = rg.Trainer(net_of(), "cross_entropy", "sgd", metrics=["accuracy"])
    trainer.fit(X, Y, epochs=epochs, batch_size=8, validation_split=0.25, **settings)


def test_a_notebook_has_one_line_that_changes(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    fit(20, progress=True)
    assert screen.displays == 1
    assert capsys.readouterr().err == ""
    last = screen.bundles[-1]
    numbers = r"  loss \S+  accuracy \S+  val_loss \S+  val_accuracy \S+"
    assert re.fullmatch(rf"epoch 20/20{numbers}  \d+:\d\d", last["text/plain"])
    assert "width:100.0%" in last["text/html"]
    for bundle in screen.bundles:
        assert_at_home_anywhere(bundle["text/html"])
        parsed(bundle["text/html"])
    if len(screen.bundles) > 1:
        assert re.search(r"\d+:\d\d, \d+:\d\d left$", screen.bundles[0]["text/plain"])


def test_a_notebook_is_drawn_ten_times_a_second_at_most(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(_progress, "perf_counter", lambda: now[0])
    bar = _progress.progress_of(True, 10)
    assert bar is not None
    for epoch in range(1, 11):
        bar.begin(epoch, 10)
        for done in range(1, 11):
            now[0] += 0.03
            bar.update(done, 10, 0.5)
        bar.end({"loss": 0.25, "lr": 1.0})
    assert 20 <= len(screen.bundles) <= 31  # of 110 in three seconds
    # after 2.97 s or so of 3.00 s nothing is left; halfway as much as has passed
    half = next(b for b in screen.bundles if "epoch 6/10" in b["text/plain"])
    assert half["text/plain"].endswith("0:02, 0:01 left") or half["text/plain"].endswith("0:02, 0:02 left")
    bar.close()
    assert screen.bundles[-1]["text/plain"] == "epoch 10/10  loss 0.25  0:03"
    assert screen.displays == 1


def test_a_broken_off_epoch_leaves_the_bar_where_it_was(screen: Screen) -> None:
    bar = _progress.progress_of(True, 4)
    assert bar is not None
    bar.begin(1, 4)
    bar.end({"loss": 1.0})
    bar.begin(2, 4)
    bar.update(1, 2, 0.125)
    bar.close()
    assert "width:37.5%" in screen.bundles[-1]["text/html"]
    assert screen.bundles[-1]["text/plain"].startswith("epoch 2/4  loss 0.125  ")


def test_hours_are_written_out() -> None:
    assert [_progress._clock(s) for s in (0.2, 59.6, 3600, 36061)] == ["0:00", "1:00", "1:00:00", "10:01:01"]


@pytest.mark.parametrize("wanted", [None, False])
def test_a_notebook_is_silent_unless_asked(
    screen: Screen, capsys: pytest.CaptureFixture[str], wanted: bool | None
) -> None:
    fit(2, progress=wanted)
    assert screen.bundles == []
    assert capsys.readouterr().err == ""


def test_ipython_in_a_terminal_or_a_script_is_no_notebook(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    fit(2, progress=True)
    assert screen.bundles == []
    assert capsys.readouterr().err.startswith("epoch 1/2  loss")


@pytest.mark.filterwarnings("ignore")  # theirs
def test_a_real_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    code = (
        "import numpy as np, retrograd as rg\n"
        "net = rg.Sequential([rg.Input(3), rg.Dense(2)])\n"
        "trainer = rg.Trainer(net, 'mse', 'sgd')\n"
        "x = np.ones((64, 3))\n"
        "trainer.fit(x, x[:, :2], epochs=300, batch_size=1, progress=True)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (code, "net")])
    nbclient.NotebookClient(notebook, timeout=60).execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data", "execute_result"]
    assert outputs[0].data["text/plain"].startswith("epoch 300/300  loss")
    assert "width:100.0%" in outputs[0].data["text/html"]
    assert "<svg" in outputs[1].data["text/html"]
    assert "RMS of weights" in notebook.cells[1].outputs[0].data["text/html"]
