"""``retrograd train FILE`` and ``predict``, as somebody with a table and no Python meets them."""

from __future__ import annotations

import csv
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import cli

Write = Callable[..., Path]
TOWNS = ("Rome", "Oslo", "Bern")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes rows under a line of names into a file of the current, empty folder."""
    monkeypatch.chdir(tmp_path)

    def to(name: str, names: str, rows: list[Any], delimiter: str = ",") -> Path:
        with open(name, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerows([names.split(), *([row] if isinstance(row, str) else row for row in rows)])
        return Path(name)

    return to


def flats(rows: int = 200) -> list[list[Any]]:
    """area with gaps, town with gaps, yes or no, a note for each, price: 3 area + a town's + 25."""
    rng = np.random.default_rng(0)
    found = []
    for row in range(rows):
        area, town = float(rng.integers(20, 100)) + 0.5, TOWNS[rng.integers(3)]
        lift = ("no", "yes")[rng.integers(2)]
        price = 3 * area + {"Rome": 40, "Oslo": 90, "Bern": 10}[town] + 25 * (lift == "yes")
        shown_area = "" if row % 17 == 3 else area
        found.append([shown_area, "NA" if row % 19 == 5 else town, lift, f"note {row}", price])
    return found


FLATS = "area town lift note price"


def read(path: Path | str, delimiter: str = ",") -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def run(*arguments: Any) -> int:
    return cli.main([str(argument) for argument in arguments])


def encoded(rows: list[list[Any]], training: set[int]) -> np.ndarray:
    """The inputs by plain Python: area, whether it is missing, a column per town, one for none, lift."""
    median = statistics.median(row[0] for k, row in enumerate(rows) if k in training and row[0] != "")
    towns = sorted(TOWNS)
    return np.array(
        [
            [median if row[0] == "" else row[0], float(row[0] == "")]
            + [float(row[1] == town) for town in towns]
            + [float(row[1] == "NA"), float(row[2] == "yes")]
            for row in rows
        ]
    )


# ----------------------------------------------------------------------------------------- what it does


def test_a_table_from_the_file_to_the_predictions(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    rows = flats()
    write("flats.csv", FLATS, rows)
    assert (
        run("train", "flats.csv", "--target", "price", "--hidden", "16,8", "--out", "flat.safetensors") == 0
    )
    report = capsys.readouterr().out
    for wanted in (
        "flats.csv: 200 rows, 5 columns",
        "target: price, a number",
        "numbers: area",
        "yes or no: lift",
        "categories: town",
        "with gaps: area, town",
        "left out: note (200 different texts are no categories)",
        "160 rows to train on, 40 held out",
    ):
        assert wanted in report
    assert report.endswith("saved to flat.safetensors\n")

    training, held_out = rg.data.split_rows(200, 0.2, seed=0)
    x = encoded(rows, set(training.tolist()))
    price = np.array([row[4] for row in rows])
    net = rg.load("flat.safetensors")
    assert [layer.name for layer in net.layers] == [
        "standardize_0",
        "dense_0",
        "dense_1",
        "dense_2",
        "rescale_0",
    ]
    assert [net[f"dense_{k}"].output_shape[1] for k in range(3)] == [16, 8, 1]
    # numbers are scaled by what the training rows say, columns of 0 and 1 are not
    scaled = net["standardize_0"].buffers
    mean, std = next(iter(scaled.values())), list(scaled.values())[1]
    expected_mean, expected_std = x[training].mean(axis=0), x[training].std(axis=0)
    expected_mean[1:6], expected_std[1:6] = 0, 1
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-6)
    np.testing.assert_allclose(std, expected_std, rtol=1e-6)

    # the saved model takes the numbers unscaled and gives prices; the command writes just these
    guess = net.predict(x)[:, 0]
    assert run("predict", "flat.safetensors", "flats.csv", "--out", "guess.csv") == 0
    assert capsys.readouterr() == ("", "")
    written = read("guess.csv")
    assert list(written[0]) == ["price"]
    np.testing.assert_allclose([float(row["price"]) for row in written], guess, rtol=1e-6)

    # and the report says how far they are off on the rows set aside
    error = guess[held_out] - price[held_out]
    rmse = math.sqrt(np.mean(error**2))
    r2 = 1 - np.sum(error**2) / np.sum((price[held_out] - price[held_out].mean()) ** 2)
    always = math.sqrt(np.mean((price[training].mean() - price[held_out]) ** 2))
    assert f"RMSE {rmse:.5g}, R2 {r2:.4f}, loss" in report
    assert f"(always the mean: RMSE {always:.5g})" in report
    assert rmse < always / 2


def test_california(
    write: Write, data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every fifth district is predicted by a model that never saw it, neither to learn nor to stop."""
    with open(data_file("california_housing.csv"), encoding="utf-8", newline="") as file:
        names, *rows = list(csv.reader(file))
    write("known.csv", " ".join(names), [row for k, row in enumerate(rows) if k % 5])
    write("new.csv", " ".join(names), rows[::5])
    begin = time.perf_counter()
    assert (
        run("train", "known.csv", "--target", "median_house_value", "--hidden", "64,64", "--epochs", 50) == 0
    )
    assert run("predict", "model.safetensors", "new.csv", "--out", "guess.csv") == 0
    assert time.perf_counter() - begin < 60
    assert "with gaps: total_bedrooms" in capsys.readouterr().out
    guess = np.array([float(row["median_house_value"]) for row in read("guess.csv")])
    truth = np.array([float(row["median_house_value"]) for row in read("new.csv")])
    assert len(guess) == len(truth) == 4128
    rmse = math.sqrt(np.mean((guess - truth) ** 2))
    assert 40_000 < rmse < 54_000


def irises(rows: int = 120) -> list[list[Any]]:
    rng = np.random.default_rng(1)
    kinds = [("lily", "rose", "iris")[k % 3] for k in range(rows)]
    centres = {"lily": (0, 0), "rose": (4, 0), "iris": (0, 4)}
    return [[*(np.round(rng.normal(size=2) + centres[kind], 3)), kind] for kind in kinds]


def test_classes(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    rows = irises()
    write("flowers.csv", "length width kind", rows)
    assert run("train", "flowers.csv", "--target", "kind", "--json") == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert printed.err == ""
    assert (told["task"], told["classes"]) == ("classes", ["iris", "lily", "rose"])
    assert (told["rows"], told["rows_trained"], told["rows_held_out"]) == (120, 96, 24)
    assert (told["columns"], told["inputs"], told["saved"]) == (["length", "width"], 2, "model.safetensors")
    _, held_out = rg.data.split_rows(120, 0.2, seed=0, labels=[row[2] for row in rows])
    counts = [[rows[k][2] for k in held_out].count(kind) for kind in told["classes"]]
    assert counts == [8, 8, 8]
    assert told["baseline_accuracy"] == pytest.approx(1 / 3)

    assert run("predict", "model.safetensors", "flowers.csv") == 0
    names, *guess = capsys.readouterr().out.split()
    assert names == "kind"
    right = [guess[k] == rows[k][2] for k in held_out]
    assert told["accuracy"] == pytest.approx(sum(right) / 24)
    assert told["accuracy"] > 0.8

    assert run("predict", "model.safetensors", "flowers.csv", "--as", "probabilities", "--out", "p.csv") == 0
    chances = [{name: float(value) for name, value in row.items()} for row in read("p.csv")]
    assert list(chances[0]) == ["kind=iris", "kind=lily", "kind=rose"]
    for chance, label in zip(chances, guess, strict=True):
        assert sum(chance.values()) == pytest.approx(1, abs=1e-6)
        assert max(chance, key=lambda name: chance[name]) == f"kind={label}"


def test_the_kind_of_the_target(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[k * 0.37, k % 3, ("no", "yes")[k % 2], k % 60] for k in range(120)]
    write("table.csv", "a few word many", rows)

    def told(*options: str) -> tuple[str, list[str] | None]:
        assert run("train", "table.csv", "--epochs", 1, "--json", *options) == 0
        found = json.loads(capsys.readouterr().out)
        return found["task"], found["classes"]

    assert told("--target", "few") == ("classes", ["0", "1", "2"])
    assert told("--target", "few", "--task", "number") == ("number", None)
    assert told("--target", "word") == ("classes", ["no", "yes"])
    assert told("--target", "many") == ("number", None)
    assert told("--target", "a") == ("number", None)


def test_whole_numbers_of_which_few_occur_are_categories(write: Write) -> None:
    rows = [[k % 3 + 1, k % 30, k * 0.5] for k in range(120)]
    write("table.csv", "class age price", rows)
    assert run("train", "table.csv", "--target", "price", "--epochs", 1) == 0
    stored = json.loads(rg.load("model.safetensors").metadata["table"])
    assert [column["kind"] for column in stored["columns"]] == ["category", "number"]
    assert stored["columns"][0]["values"] == ["1", "2", "3"]
    assert rg.load("model.safetensors").inputs[0].shape == (None, 4)


def test_the_same_command_writes_the_same_bytes(write: Write) -> None:
    write("flats.csv", FLATS, flats())
    for out in ("a", "b"):
        assert run("train", "flats.csv", "--target", "price", "--epochs", 3, "--seed", 4, "--out", out) == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


def test_rows_without_a_target_are_not_used(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("table.csv", "a price", [[k, "" if k % 4 == 0 else 2.5 * k] for k in range(80)])
    assert run("train", "table.csv", "--target", "price", "--epochs", 1) == 0
    report = capsys.readouterr().out
    assert "rows without a target, not used: 20" in report
    assert "48 rows to train on, 12 held out" in report


def test_other_delimiters_and_what_spreadsheets_write(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("flats.csv", FLATS, flats(), delimiter=";")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n\r\n")  # a byte order mark, empty lines
    assert run("train", "flats.csv", "--target", "price", "--delimiter", ";", "--epochs", 2) == 0
    assert "flats.csv: 200 rows, 5 columns" in capsys.readouterr().out
    assert run("predict", "model.safetensors", "flats.csv") == 0  # the model remembers the delimiter
    assert len(capsys.readouterr().out.split()) == 201


def test_columns_that_tell_nothing_are_left_out(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("table.csv", "x a b c price", [[k, k, 7, "", k * 1.5] for k in range(40)])
    path.write_text(path.read_text(encoding="utf-8").replace("x,a", ",a", 1), encoding="utf-8")
    assert run("train", "table.csv", "--target", "price", "--epochs", 1) == 0
    report = capsys.readouterr().out
    assert "left out: column 1 (it has no name)" in report
    assert "left out: b (it is always the same)" in report
    assert "left out: c (it has no values)" in report


def test_a_file_behind_hidden_is_the_file(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("flats.csv", FLATS, flats())
    assert run("train", "--target", "price", "--epochs", 1, "--hidden", "8,4", "flats.csv") == 0
    assert "flats.csv: 200 rows" in capsys.readouterr().out
    assert rg.load("model.safetensors")["dense_1"].output_shape == (None, 4)


def test_an_interrupted_run_is_saved(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: Any, trainer: Any, logs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rg.stop.EarlyStopping, "on_epoch_end", interrupt)
    write("flats.csv", FLATS, flats())
    assert run("train", "flats.csv", "--target", "price") == 130
    printed = capsys.readouterr()
    assert printed.err.startswith("interrupted")
    assert "saved to model.safetensors" in printed.out
    assert run("predict", "model.safetensors", "flats.csv") == 0


def test_digits_as_before(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--epochs", 2, "--hidden", 32, 16, "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("handwritten digits: 1,438 images to train on, 359 to test")
    assert lines[1].startswith("2 epochs, 90 iterations in ")
    assert lines[2].startswith("test accuracy ")
    assert lines[3] == "saved to digits.safetensors"
    np.save("x.npy", rg.datasets.digits()[0][:5])
    assert run("predict", "digits.safetensors", "x.npy", "--as", "labels") == 0
    assert len(capsys.readouterr().out.split()) == 5


# ----------------------------------------------------------------------------------- new rows, and strange


@pytest.fixture
def model(write: Write, capsys: pytest.CaptureFixture[str]) -> str:
    write("flats.csv", FLATS, flats())
    assert run("train", "flats.csv", "--target", "price", "--epochs", 5, "--quiet") == 0
    capsys.readouterr()
    return "model.safetensors"


def test_what_is_unknown_counts_as_missing(
    write: Write, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("gap.csv", "town lift area extra", [["", "yes", 50, 1], ["", "", 50, 1], ["Bern", "no", "", 1]])
    write(
        "new.csv",
        "town lift area extra",
        [["Kyiv", "yes", 50, 1], ["Lima", "?!", 50, 1], ["Bern", "no", "", 1]],
    )
    assert run("predict", model, "gap.csv") == 0
    expected = capsys.readouterr()
    assert expected.err == ""
    assert run("predict", model, "new.csv") == 0
    printed = capsys.readouterr()
    assert printed.out == expected.out
    assert printed.err == (
        "retrograd: warning: town has 'Kyiv', 'Lima' in 2 rows; lift has '?!' in 1 row: unknown from "
        "training, taken as missing\n"
    )


def test_errors_of_predict(write: Write, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("less.csv", "area lift", [[1, "yes"]])
    write("none.csv", "lift other", [["yes", 1]])
    write("text.csv", "area town lift", [[1, "Rome", "yes"], ["large", "Rome", "yes"]])
    write("infinite.csv", "area town lift", [["inf", "Rome", "yes"]])
    for arguments, sentence in (
        (("less.csv",), "less.csv: a column of the training data is missing: town; there are area, lift"),
        (("none.csv",), "columns of the training data are missing: area, town; there are lift, other"),
        (("text.csv",), "column 'area': 'large' in line 3 is no number"),
        (("infinite.csv",), "column 'area': 'inf' in line 2 is not finite"),
        (("missing.csv",), "missing.csv: no such file"),
        (("flats.csv", "--as", "probabilities"), "--as probabilities: the model predicts 'price', a number"),
        (("flats.csv", "--out", "no/guess.csv"), "--out: there is no folder no"),
        (("flats.csv", "--out", "guess.npy"), "guess.npy: the predictions have a name"),
        (("flats.csv", "--delimiter", ";"), "--delimiter ','"),
    ):
        assert run("predict", model, *arguments) == 1, arguments
        assert_one_sentence(capsys.readouterr(), sentence)


def test_a_description_that_cannot_be_read(
    write: Write, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    net = rg.load(model)
    for text, sentence in (
        ("{", "odd.safetensors: its description of the table cannot be read"),
        ('{"version": 1}', "its description of the table cannot be read"),
        ('{"version": 2}', "its description of the table is of version 2, expected 1"),
    ):
        net.save("odd.safetensors", {"table": text})
        assert run("predict", "odd.safetensors", "flats.csv") == 1
        assert_one_sentence(capsys.readouterr(), sentence)


# ------------------------------------------------------------------------------------------- every error


def assert_one_sentence(printed: Any, sentence: str) -> None:
    assert printed.out == ""
    assert printed.err.startswith("retrograd: ")
    assert printed.err.count("\n") == 1
    assert sentence in printed.err


NUMBERS = [[k, k * 1.5] for k in range(60)]


def with_cell(value: Any, column: int = 0) -> list[list[Any]]:
    rows = [[k * 1.1, k * 1.5] for k in range(60)]
    rows[7][column] = value
    return rows


FILES: dict[str, tuple[str | bytes, str]] = {  # what is in the file, and what is said of it
    "empty": (b"", "it is empty"),
    "blank": (b"\n \n", "it is empty"),
    "names": (b"a,price\n", "there is a line of names and no row under it"),
    "ragged": (b"a,price\n1,2\n1,2,3\n", "line 3 has 3 values, expected 2 as the first line has names"),
    "short": (b"a,price\n1,2\n\n7\n", "line 4 has 1 value, expected 2"),
    "latin": ("a,price\nZürich,3\n".encode("latin-1"), "not UTF-8 text (a byte is 0xfc)"),
    "utf16": ("a,price\n1,3\n".encode("utf-16"), "not a .csv file but UTF-16; save it as UTF-8"),
    "sheet": (b"PK\x03\x04rest", "not a .csv file but a spreadsheet"),
    "binary": (b"a,price\n\0\0", "not a .csv file, there are bytes of value 0 in it"),
    "quote": (b'a,price\n1,2\n"3,4\n', "the row that begins in line 3 cannot be read"),
    "headless": (b"1,2\n3,4\n", "the first line has numbers (1, 2), expected the names"),
    "twice": (b"a,a,price\n1,2,3\n", "two columns are called 'a'"),
    "semicolon": (b"a;price\n1;2\n", "it looks like ';': try --delimiter ';'"),
    "tab": (b"a\tprice\n1\t2\n", "it looks like tab: try --delimiter tab"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_table(write: Write, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, sentence = FILES[name]
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert run("train", "t.csv", "--target", "price") == 1
    assert_one_sentence(capsys.readouterr(), sentence)
    assert not Path("model.safetensors").exists()


TABLES: dict[str, tuple[str, list[Any], str]] = {
    "one column": ("price", [str(k) for k in range(30)], "'price' is its one column"),
    "few rows": ("a price", NUMBERS[:9], "it has 9 rows, expected at least 10"),
    "few targets": (
        "a price",
        [[k, "" if k > 5 else k] for k in range(30)],
        "it has 6 rows with a value of 'price', expected at least 10",
    ),
    "constant": ("a price", [[k, 5] for k in range(30)], "the target 'price' is '5' in every row"),
    "infinite": ("a price", with_cell("inf"), "column 'a': 'inf' in line 9 is not finite"),
    "infinite target": ("a price", with_cell("-inf", 1), "column 'price': '-inf' in line 9 is not finite"),
    "a text among numbers": (
        "a price",
        with_cell("about 8"),
        "column 'a' has 59 numbers, but 'about 8' in line 9",
    ),
    "a text in the target": (
        "a price",
        with_cell("x", 1),
        "column 'price' has 59 numbers, but 'x' in line 9",
    ),
    "dates": (
        "sold price",
        [[f"2024-01-{k % 28 + 1:02}", k] for k in range(60)],
        "column 'sold' has dates ('2024-01-01' in line 2); turn them into numbers first",
    ),
    "other dates": (
        "sold price",
        [[f"{k % 28 + 1}.3.2024 12:00", k] for k in range(60)],
        "or leave the column out by --drop sold",
    ),
    "commas": (
        "a price",
        [[f"{k},5", k] for k in range(60)],
        "column 'a' has numbers with a comma ('0,5' in line 2)",
    ),
    "names": (
        "a price",
        [[k, f"flat {k}"] for k in range(60)],
        "60 different values in 60 rows, too many to be",
    ),
    "no column left": (
        "a price",
        [[f"flat {k}", k] for k in range(60)],
        "no column is left to predict 'price' from",
    ),
    "a rare value": (
        "a price",
        [[k, 6.5 if k == 3 else 5] for k in range(10)],
        "has one value in all 8 rows to train on",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_cannot_be_learnt(write: Write, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    names, rows, sentence = TABLES[name]
    write("t.csv", names, rows)
    seed = 3 if name == "a rare value" else 0  # one that sets the rare row aside
    assert run("train", "t.csv", "--target", "price", "--seed", seed) == 1
    assert_one_sentence(capsys.readouterr(), sentence)
    assert not Path("model.safetensors").exists()


OPTIONS: dict[str, str] = {
    "--target prise": "--target: unknown name 'prise'; did you mean 'price'? choose one of area, town",
    "": "--target: say which column is to be predicted; flats.csv has area, town, lift, note, price",
    "--target price --drop lfit": "--drop: unknown name 'lfit'; did you mean 'lift'?",
    "--target price --drop price": "--drop: 'price' is the target",
    "--target price --task clases": "--task: unknown name 'clases'; did you mean 'classes'?",
    "--target town --task number": "the target 'town' has 'Oslo' in line",
    "--target price --task classes": "too many to be classes; for a number say --task number",
    "--target price --epochs 0": "--epochs: expected at least 1, got 0",
    "--target price --epochs ten": "--epochs: expected a whole number, got 'ten'",
    "--target price --batch-size 1.5": "--batch-size: expected a whole number, got '1.5'",
    "--target price --lr 0": "--lr: expected a number above 0, got 0",
    "--target price --lr nan": "--lr: expected a number above 0, got nan",
    "--target price --lr fast": "--lr: expected a number, got 'fast'",
    "--target price --hidden 64,,64": "--hidden: expected a whole number, got ''",
    "--target price --hidden 0": "--hidden: expected at least 1, got 0",
    "--target price --validation-split 1": "--validation-split: expected a share between 0 and 1, got 1",
    "--target price --validation-split 1e-4": "--validation-split: 0.0001 of 200 rows is 0",
    "--target price --seed -1": "--seed: expected at least 0, got -1",
    "--target price --threads 0": "--threads: expected at least 1, got 0",
    "--target price --delimiter ab": "--delimiter: expected one character",
    "--target price --out no/m": "--out: there is no folder no",
    "--target price --out .": "--out: . is a folder",
    "--target price --lr 1e9": "the parameters are as before that step",
}


@pytest.mark.parametrize("options", OPTIONS)
def test_options_that_cannot_be(write: Write, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("flats.csv", FLATS, flats())
    assert run("train", "flats.csv", *options.split()) == 1
    assert_one_sentence(capsys.readouterr(), OPTIONS[options])
    assert not Path("model.safetensors").exists()


def test_files_and_folders_that_are_not_there(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("flats.csv", FLATS, flats())
    for path, sentence in (
        ("flat.csv", "flat.csv: no such file; did you mean 'flats.csv'?"),
        ("no/flats.csv", "no/flats.csv: no such file; check the path"),
        (".", ".: a folder, expected a .csv file"),
    ):
        assert run("train", path, "--target", "price") == 1
        assert_one_sentence(capsys.readouterr(), sentence)
    for options in (["--target", "price"], ["--drop", "a"], ["--json"], ["--validation-split", "0.3"]):
        assert run("train", *options) == 1
        assert_one_sentence(
            capsys.readouterr(), f"{options[0]} needs a .csv file, as in: retrograd train data.csv"
        )


def test_as_a_program(write: Write) -> None:
    write("flats.csv", FLATS, flats())
    command = [sys.executable, "-W", "error", "-m", "retrograd", "train", "flats.csv", "--target"]

    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)

    good = program("price", "--epochs", "2")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.endswith("saved to model.safetensors\n")
    bad = program("prise")
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (1, "", 1)
    assert "Traceback" not in bad.stderr


def test_a_reader_who_has_seen_enough(write: Write, model: str) -> None:
    write("many.csv", "area town lift", [[50, "Rome", "yes"]] * 20_000)  # more than a pipe holds
    command = [sys.executable, "-m", "retrograd", "predict", model, "many.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"price\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1
