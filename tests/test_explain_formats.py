"""rg.explain and `retrograd explain`: what is written, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.dom import minidom

import numpy as np
import pytest
import retrograd as rg
from explained import RATE, ROWS, TARGET, TARGETS, X, printed, small, two_two_one
from retrograd import cli

if TYPE_CHECKING:
    from retrograd._explain import Explanation

# ------------------------------------------------------------------------------------------ the formats

HOSTILE = '<script>alert("&")</script>_%$\\'


def hostile() -> Explanation:
    layers = [rg.Input(2), rg.Dense(2, activation="softmax", name=HOSTILE)]
    return rg.explain(
        rg.Sequential(layers, dtype="float64"), ROWS, TARGETS["cross_entropy"], "cross_entropy", "nadam"
    )


def test_html_is_well_formed_and_escaped() -> None:
    page = hostile().to_html()
    document = minidom.parseString(page)
    assert not document.getElementsByTagName("script")
    assert HOSTILE in "".join(
        node.firstChild.data for node in document.getElementsByTagName("h3") if node.firstChild
    )
    assert len(document.getElementsByTagName("math")) > 100
    assert "prefers-color-scheme:dark" in page
    assert not re.search(r"(?:src|href)=", page)
    fragment = hostile()._repr_html_()
    assert fragment in page
    assert "<html" not in fragment


def test_html_shows_every_result() -> None:
    report = rg.explain(two_two_one(), [X], [[TARGET]], "half_squared_error", rg.SGD(RATE))
    document = minidom.parseString(report.to_html())
    results = [
        node for node in document.getElementsByTagName("span") if node.getAttribute("class") == "result"
    ]
    shown = [node.getElementsByTagName("mn")[0].firstChild.data for node in results]
    expected = [line[-1].lstrip("−").partition("e")[0] for line in printed(report)]
    assert shown == expected


def test_markdown_has_tables_and_math() -> None:
    text = hostile().to_markdown()
    assert text.count("```math") == text.count("\\begin{aligned}") > 10
    assert "\\<script\\>" in text
    assert "<script>" not in text
    heads = [line for line in text.splitlines() if re.fullmatch(r"\|( -+:? \|)+", line)]
    assert len(heads) >= 5


def test_latex_needs_amsmath_alone_and_escapes_names() -> None:
    text = hostile().to_latex()
    assert re.findall(r"\\usepackage(?:\[\w+\])?\{(\w+)\}", text) == ["inputenc", "amsmath"]
    assert "$>$" not in text
    assert r"\textless{}script\textgreater{}alert(''\&'')" in text
    assert text.isascii()


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no pdflatex")
def test_latex_compiles_and_nothing_runs_off_the_page(tmp_path: Path) -> None:
    wide = rg.Sequential([rg.Input(2), rg.Dense(12, activation="softmax"), rg.Dense(1)], dtype="float64")
    reports = [
        hostile(),
        rg.explain(wide, ROWS, np.zeros(3), "mse", digits=17),
        rg.explain(small("mish", "log_softmax"), ROWS, TARGETS["kl_divergence"], "kl_divergence"),
        rg.explain(
            small("selu", "linear"),
            ROWS,
            TARGETS["half_squared_error"],
            "cosine_similarity",
            "radam",
            digits=17,
        ),
        rg.explain(small("elu", "relu"), ROWS, TARGETS["half_squared_error"], "mse", rg.Adam(amsgrad=True)),
    ]
    for report in reports:
        (tmp_path / "report.tex").write_text(report.to_latex(), encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout[-2000:]
        wide_rows = re.findall(r"Overfull \\hbox \((\d+)", (tmp_path / "report.log").read_text("latin-1"))
        assert not [row for row in wide_rows if int(row) > 5]


def test_no_row_of_the_text_is_too_wide() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(12, activation="softmax"), rg.Dense(1)], dtype="float64")
    text = rg.explain(net, ROWS, np.zeros(3), "mse", digits=12).to_text()
    assert max(map(len, text.splitlines())) <= 100
    assert text == text.replace(" \n", "\n")


def test_the_dict_is_json_and_does_not_depend_on_digits() -> None:
    few, many = (
        rg.explain(two_two_one(), [X], [[TARGET]], "mse", digits=digits).to_dict() for digits in (2, 17)
    )
    assert json.loads(json.dumps(few)) == json.loads(json.dumps(many))
    assert (few["format"], few["version"]) == ("retrograd.explain", 1)
    kinds = {block["kind"] for section in few["sections"] for block in section["blocks"]}
    assert kinds == {"heading", "text", "table", "lines"}


def test_verification_is_a_table_of_differences() -> None:
    report = rg.explain(two_two_one(), [X], [[TARGET]], "half_squared_error", verify=True)
    section = report.to_dict()["sections"][-1]
    table = next(block for block in section["blocks"] if block["kind"] == "table")
    assert table["head"] == ["parameter", "backpropagation", "central difference", "relative error"]
    assert len(table["rows"]) == 9
    for place, backward, numeric, error in table["rows"]:
        name, index = place.rstrip("]").split("[")
        assert backward == report.trace.gradients[name][tuple(map(int, index.split(",")))]
        assert backward == pytest.approx(numeric, rel=1e-6)
        assert error < 1e-7
    assert "backpropagation is right" in report.to_text()


# ------------------------------------------------------------------------------------------------ errors

REST = (
    "; the report writes dense networks (layers dense, activation, rescale, standardize, flatten, dropout, "
    "add, concatenate). For the numbers of any other use net.trace(x, y, loss), for a check of its gradients "
    "rg.check_gradients(net, x, y, loss), for a picture rg.plot"
)


def shared() -> rg.Model:
    x, dense = rg.Input(2), rg.Dense(2)
    return rg.Model(x, dense(dense(x)))


def two_outputs() -> rg.Model:
    x = rg.Input(2)
    return rg.Model(x, [rg.Dense(2)(x), rg.Dense(1)(x)])


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (
            lambda: rg.Sequential([rg.Input((4, 4, 1)), rg.Conv2D(2, 3), rg.Flatten(), rg.Dense(2)]),
            "layer 'conv2d_0' is of the kind 'conv2d'",
        ),
        (
            lambda: rg.Sequential([rg.Input((4, 2)), rg.LSTM(2), rg.Dense(2)]),
            "layer 'lstm_0' is of the kind 'lstm'",
        ),
        (
            lambda: rg.Sequential([rg.Input((4, 2)), rg.Dense(2)]),
            "layer 'dense_0' reads 2 axes for each sample, expected 1 (put rg.Flatten before it)",
        ),
        (
            lambda: rg.Sequential([rg.Input(2), rg.Dense(2, activation=lambda z: z * 2)]),
            "layer 'dense_0' has an activation function of its own",
        ),
        (
            lambda: rg.Sequential([rg.Input(2), rg.Dense(2), rg.ops.relu]),
            "the output 'relu_0' is not the last layer's but an operation outside of layers",
        ),
        (
            lambda: rg.Sequential([rg.Input(2), lambda x: x * 2, rg.Dense(2)]),
            "layer 'dense_0' reads 'multiply_0', which is an operation outside of layers",
        ),
        (shared, "layer 'dense_0' is called 2 times with the same weights"),
        (two_outputs, "the model has several (inputs: 1, outputs: 2), expected one of each"),
    ],
)
def test_networks_that_cannot_be_written_are_refused(build: Callable[[], rg.Model], what: str) -> None:
    net = build()
    with pytest.raises(rg.ArgumentError) as caught:
        rg.explain(net, np.zeros((1, *net.inputs[0].sample_shape)), np.zeros((1, 2)), "mse")
    assert str(caught.value) == f"explain: {what}{REST}"


def test_networks_that_nobody_would_read_are_refused() -> None:
    net = rg.Sequential([rg.Input(784), rg.Dense(128), rg.Dense(10)])
    with pytest.raises(rg.ArgumentError) as caught:
        rg.explain(net, np.zeros((2, 784)), np.array([0, 1]), "cross_entropy")
    assert str(caught.value) == (
        "explain: 2 samples, 138 units and 101,770 weights make about 306,414 lines with sums of up to 784 "
        "terms, and at most 2,000 lines and 32 terms can be read; pass fewer samples or build a smaller "
        "network of the same kind. net.trace(x, y, loss) has all numbers of any network"
    )


def own_loss(output: rg.Node, target: rg.Node) -> rg.Node:
    return rg.ops.sum(rg.ops.square(output - target), axis=-1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {},
            "explain: a model has no loss; pass loss='half_squared_error' for instance, or a Trainer",
        ),
        (
            {"loss": own_loss},
            "explain: the loss is a function of one's own, of which no formula is known; use a loss of "
            "rg.losses, or trace(x, y) for the numbers",
        ),
        ({"loss": "mse", "digits": 18}, "explain: digits: expected 1 to 17, got 18"),
        ({"loss": "mse", "verify": 1}, "explain: verify: expected True or False, got 1"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(rg.ArgumentError) as caught:
        rg.explain(small("tanh", "linear"), ROWS, TARGETS["half_squared_error"], **arguments)
    assert str(caught.value) == message


def test_a_trainer_has_its_own_loss() -> None:
    trainer = rg.Trainer(small("tanh", "linear"), "mse", "sgd")
    with pytest.raises(rg.ArgumentError) as caught:
        rg.explain(trainer, ROWS, TARGETS["half_squared_error"], "mse")
    assert str(caught.value) == (
        "explain: a trainer has its own loss; leave loss= out, or pass trainer.model in its place"
    )
    with pytest.raises(rg.ArgumentError, match="expected a Model or a Trainer, got str"):
        rg.explain("net", ROWS, TARGETS["half_squared_error"], "mse")


# ------------------------------------------------------------------------------------- the command line


def test_the_command_prints_the_worked_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("One training step of a 2-2-1 network\n====")
    assert "z₁⁽¹⁾ = w₁₁⁽¹⁾·x₁ + w₁₂⁽¹⁾·x₂ + b₁⁽¹⁾ = 0.15·0.05 + 0.2·0.1 + 0.35 = 0.3775" in out
    assert "a₁⁽¹⁾ = 1 / (1 + exp(−z₁⁽¹⁾)) = 1 / (1 + exp(−0.3775)) ≈ 0.59327" in out
    assert "Yes: the loss fell by" in out
    assert "Verification" not in out


def test_the_command_takes_networks_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = {"dense_0.weight": [[1.0, 2.0], [3.0, 4.0]], "dense_0.bias": [0.5, -0.5]}
    (tmp_path / "w.json").write_text(json.dumps(weights))
    path = tmp_path / "report.json"
    arguments = ["explain", "--sizes", "2-2", "--activation", "softmax", "--loss", "cross_entropy"]
    arguments += ["--x=-1,0.5;0.25,1", "--y", "0;1", "--optimizer", "adam", "--lr", "0.1", "--verify"]
    arguments += ["--weights", str(tmp_path / "w.json"), "--format", "json", "--out", str(path)]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == ""
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["symbols"]["w_2_1_L1"] == 3.0
    assert found["symbols"]["z_s1_1_L1"] == -1 + 2 * 0.5 + 0.5
    assert found["symbols"]["eta"] == 0.1
    assert found["sections"][-1]["title"] == "Verification"


def test_the_command_takes_saved_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = small("tanh", "linear")
    path = net.save(str(tmp_path / "net"))
    assert cli.main(["explain", "--model", path, "--y", "1,2", "--format", "latex"]) == 0
    assert capsys.readouterr().out.startswith("\\documentclass")
    arguments = ["explain", "--sizes", "2-2-2", "--activation", "tanh,linear", "--weights", path]
    assert cli.main([*arguments, "--y", "1,2", "--format", "markdown"]) == 0
    shown = f"{net.parameters['dense_0.weight'][0, 0]:.6g}".replace("-", "−")
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--sizes 2-x", "--sizes: expected whole numbers above 0 such as 2-3-1, got '2-x'"),
        ("--sizes 3-2", "--x: give 3 numbers for each sample, separated by commas"),
        ("--sizes 2-2", "--y: give 2 numbers for each sample, separated by commas"),
        ("--x 1,2,3", "--x: expected 2 numbers for each sample, got 3: '1,2,3'"),
        ("--x 1,a", "--x: expected numbers, commas between them and semicolons between samples, got '1,a'"),
        ("--activation tanh,relu,elu", "--activation: expected 1 name or 2, one for each layer, got 3"),
        (
            "--loss cross_entropy --sizes 2-2 --y 0.5",
            "--y: cross_entropy expects whole numbers, the labels, got [0.5]",
        ),
        ("--model m --seed 1", "--model brings its own layers and weights; leave --seed out"),
    ],
)
def test_the_command_says_what_does_not_fit(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explain", *arguments.split()]) == 1
    assert capsys.readouterr().err == f"retrograd: {message}\n"


@pytest.mark.parametrize(
    "arguments",
    ["--activation foo", "--optimizer foo", "--loss foo", "--model none.safetensors", "--weights no.json"],
)
def test_the_command_fails_with_a_sentence(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", *arguments.split()]) == 1
    assert capsys.readouterr().err.startswith("retrograd: ")


@pytest.mark.parametrize(
    "content", ["[1, 2]", "{", '{"dense_0.weight": [[1], [2, 3]]}', '{"dense_9.weight": [1]}']
)
def test_weights_that_cannot_be_read(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.json"
    path.write_text(content)
    assert cli.main(["explain", "--weights", str(path)]) == 1
    assert capsys.readouterr().err.startswith("retrograd: ")
