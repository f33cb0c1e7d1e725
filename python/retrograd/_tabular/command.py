"""``retrograd train FILE`` and ``retrograd predict MODEL FILE``: the options, and what is printed."""

from __future__ import annotations

import csv
import json
import os
import sys
from typing import TYPE_CHECKING, NamedTuple, TextIO

from retrograd._arguments import unknown
from retrograd._tabular.prediction import predictions, warning_of
from retrograd._tabular.preparation import KEY, Preparation
from retrograd._tabular.reading import delimiter_of, read_table
from retrograd._tabular.report import lines_of, object_of
from retrograd._tabular.training import BATCH, SMALL_BATCH, Settings
from retrograd._tabular.training import train as train_table
from retrograd.errors import ArgumentError, FileFormatError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from retrograd.model import Model

__all__ = ["add_train_arguments", "check_out", "predict", "settings_of", "train"]


class Defaults(NamedTuple):
    """What is taken where an option is left out."""

    hidden: list[int]
    epochs: int
    batch_size: int  # 0: by the number of rows
    lr: float
    out: str


DIGITS = Defaults([128], 30, 32, 2e-3, "digits.safetensors")
TABLE = Defaults([64, 64], 50, 0, 5e-3, "model.safetensors")
_OF_TABLES = ("target", "task", "drop", "delimiter", "validation_split", "json")


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``train``; numbers are read by ``settings_of``, so that a bad one is one sentence."""

    def add(name: str, text: str, metavar: str) -> None:
        parser.add_argument(name, help=text, metavar=metavar)

    def both(name: str) -> str:
        table, digits = (getattr(chosen, name) for chosen in (TABLE, DIGITS))
        return f"(default: {table}; for the digits: {digits})"

    parser.add_argument(
        "data", nargs="?", help="a .csv file with a line of names; without it the bundled handwritten digits"
    )
    add("--target", "the column to predict", "COLUMN")
    add("--task", "classes or number, where the column does not show which it is", "TASK")
    add("--drop", "columns that are left out", "COL,COL")
    add("--delimiter", "what stands between values: ';' for instance, or tab (default: ',')", "CHARACTER")
    add("--validation-split", "the share of rows held out to stop and to compare (default: 0.2)", "SHARE")
    parser.add_argument(
        "--hidden",
        nargs="*",
        metavar="UNITS",
        help="units of the hidden layers (default: 64,64; for the digits: 128)",
    )
    add("--epochs", f"passes over the rows, at most {both('epochs')}", "N")
    add(
        "--batch-size",
        f"rows of an update (default: a 20th of the rows, {SMALL_BATCH} to {BATCH}; for the digits: "
        f"{DIGITS.batch_size})",
        "N",
    )
    add("--lr", f"Adam's learning rate {both('lr')}", "RATE")
    add("--seed", "of the weights, the order of the rows and the split (default: 0)", "N")
    add("--threads", "default: chosen by the work", "N")
    add("--out", f"where the model is saved {both('out')}", "FILE")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of the report")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def settings_of(options: argparse.Namespace) -> Settings:
    """The numbers of the options; completes ``data`` and ``out`` where they were left open.

    Raises
    ------
    ArgumentError
        Something that is no number, or out of its range.
    """
    if options.hidden and options.data is None and os.path.isfile(options.hidden[-1]):
        options.data = options.hidden.pop()  # the file stood behind --hidden, which takes all it can get
    chosen = DIGITS if options.data is None else TABLE
    options.out = options.out or chosen.out
    hidden, share = chosen.hidden, 0.2
    if options.hidden is not None:
        texts = [part for text in options.hidden for part in text.split(",")]
        hidden = [_whole("--hidden", text) for text in texts]
    if options.validation_split is not None:
        share = _real("--validation-split", options.validation_split)
        if not 0 < share < 1:
            raise ArgumentError(f"--validation-split: expected a share between 0 and 1, got {share:g}")
    lr = chosen.lr if options.lr is None else _real("--lr", options.lr)
    if not 0 < lr < float("inf"):
        raise ArgumentError(f"--lr: expected a number above 0, got {lr:g}")
    return Settings(
        hidden=hidden,
        epochs=chosen.epochs if options.epochs is None else _whole("--epochs", options.epochs),
        batch_size=chosen.batch_size
        if options.batch_size is None
        else _whole("--batch-size", options.batch_size),
        lr=lr,
        seed=0 if options.seed is None else _whole("--seed", options.seed, 0),
        threads=None if options.threads is None else _whole("--threads", options.threads),
        validation_split=share,
        progress=False if options.quiet or options.json else None,
    )


def _whole(option: str, text: str, low: int = 1) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ArgumentError(f"{option}: expected a whole number, got {text!r}") from None
    if number < low:
        raise ArgumentError(f"{option}: expected at least {low}, got {number}")
    return number


def _real(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"{option}: expected a number, got {text!r}") from None


def check_out(path: str) -> None:
    """That a file can be written there, before time is spent on what goes into it.

    Raises
    ------
    ArgumentError
        The folder is not there or not writable, or there is a folder of that name.
    """
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise ArgumentError(f"--out: {path} is a folder, expected the name of a file")
    if not os.path.isdir(folder):
        raise ArgumentError(f"--out: there is no folder {folder}; make it first, or choose another")
    if not os.access(folder, os.W_OK):
        raise ArgumentError(f"--out: the folder {folder} cannot be written to; choose another")


def refuse_without_file(options: argparse.Namespace) -> None:
    """The bundled digits have no columns.

    Raises
    ------
    ArgumentError
        An option that a table is needed for.
    """
    for name in _OF_TABLES:
        if getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            raise ArgumentError(f"{option} needs a .csv file, as in: retrograd train data.csv --target price")


def train(options: argparse.Namespace, settings: Settings) -> int:
    """Train on ``options.data``, save, report.

    Raises
    ------
    RetrogradError, OSError
        Each is one sentence for the user.
    """
    if options.task not in (None, "classes", "number"):
        raise unknown("--task", options.task, ("classes", "number"))
    delimiter = delimiter_of(options.delimiter or ",")
    check_out(options.out)
    table = read_table(options.data, delimiter)
    if options.target is None:
        raise ArgumentError(
            f"--target: say which column is to be predicted; {options.data} has {', '.join(table.names)}"
        )
    drop = [name.strip() for name in options.drop.split(",")] if options.drop else []
    outcome = train_table(table, options.target, drop, options.task, delimiter, settings)
    if outcome.interrupted:
        print("interrupted; the model is as the last complete step left it", file=sys.stderr)
    saved = outcome.net.save(options.out, {KEY: outcome.preparation.to_json()})
    if options.json:
        print(json.dumps(object_of(outcome, saved)))
    else:
        print("\n".join(lines_of(outcome, saved)))
    return 130 if outcome.interrupted else 0


def predict(options: argparse.Namespace, net: Model, preparation: Preparation) -> int:
    """Write a column of predictions, or one of probabilities for each class, under a line of names.

    Raises
    ------
    RetrogradError, OSError
        Each is one sentence for the user.
    """
    if options.out is not None:
        if options.out.endswith(".npy"):
            raise FileFormatError(f"{options.out}: the predictions have a name; choose a .csv file")
        check_out(options.out)
    delimiter = delimiter_of(options.delimiter or preparation.delimiter)
    table = read_table(options.data, delimiter)
    names, rows, strangers = predictions(net, preparation, table, options.kind)
    if strangers:
        print(f"retrograd: {warning_of(strangers)}", file=sys.stderr)
    if options.out is None:
        _write(sys.stdout, delimiter, [names, *rows])
    else:
        with open(options.out, "w", encoding="utf-8", newline="") as file:
            _write(file, delimiter, [names, *rows])
    return 0


def _write(file: TextIO, delimiter: str, rows: Iterable[list[str]]) -> None:
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)
