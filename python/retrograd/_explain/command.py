"""``retrograd explain``: the report of a network that is given in words and numbers."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import integer, unknown
from retrograd._explain import explain
from retrograd.activations import ACTIVATIONS
from retrograd.errors import ArgumentError, FileFormatError
from retrograd.graph import Input
from retrograd.layers import Dense
from retrograd.losses import CrossEntropy, resolve
from retrograd.model import Model, Sequential, load
from retrograd.optim import OPTIMIZERS, Optimizer

if TYPE_CHECKING:
    import argparse

    from retrograd._explain.report import Explanation

__all__ = ["add_arguments", "run"]

# The worked example: what is printed where nothing is given.
EXAMPLE_SIZES, EXAMPLE_X, EXAMPLE_Y, EXAMPLE_LR = "2-2-1", "0.05,0.10", "0.01", 0.5
EXAMPLE_WEIGHTS = {
    "dense_0.weight": [[0.15, 0.20], [0.25, 0.30]],
    "dense_0.bias": [0.35, 0.35],
    "dense_1.weight": [[0.40, 0.45]],
    "dense_1.bias": [0.60],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--sizes", metavar="2-2-1", help="inputs, hidden units, outputs; without it the worked 2-2-1 example")
    add("--activation", help="of every layer, or one for each: tanh,softmax; default: sigmoid")
    add("--loss", default="half_squared_error", help="default: half_squared_error")
    add("--optimizer", default="sgd", help="default: sgd")
    add("--lr", type=float, help="learning rate; default: 0.5 for sgd, else the optimizer's own")
    add(
        "--x",
        help='inputs: 0.05,0.10, or several samples: "0.1,0.2;0.3,0.4"; --x=-1,2 where it begins with -',
    )
    add("--y", help="targets, likewise; of cross_entropy labels: 0;1")
    add(
        "--weights",
        metavar="FILE",
        help='a .json file {"dense_0.weight": [[...]], ...} or a .safetensors file',
    )
    add("--model", metavar="FILE", help="a saved model, in place of --sizes, --activation and --weights")
    add("--seed", type=int, help="of weights that are not given; default: 0")
    add("--digits", type=int, default=6, help="significant digits, 1 to 17; default: 6")
    add(
        "--format",
        choices=("text", "markdown", "html", "latex", "json"),
        default="text",
        help="default: text",
    )
    add("--out", metavar="FILE", help="a file to write in place of printing")
    add("--verify", action="store_true", help="compare each gradient with the central difference of the loss")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print or write the report.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        Options that do not fit together.
    OSError, FileFormatError
        A file that cannot be read or written.
    """
    net = _network(options)
    loss = resolve("explain", options.loss)
    inputs, outputs = (int(np.prod(node.sample_shape)) for node in (net.inputs[0], net.outputs[0]))
    labels = isinstance(loss, CrossEntropy)
    x = _samples("--x", options.x, EXAMPLE_X, inputs, inputs == 2)
    y: np.ndarray[Any, Any]
    y = _samples("--y", options.y, EXAMPLE_Y, 1 if labels else outputs, outputs == 1, outputs)
    if labels and y.shape[1] == 1:
        y = _labels(y[:, 0])
    report = explain(
        net,
        x.reshape(len(x), *net.inputs[0].sample_shape),
        y,
        loss,
        _optimizer(options),
        digits=options.digits,
        verify=options.verify,
    )
    text = _written(report, options.format)
    if options.out is None:
        sys.stdout.write(text)
    else:
        with open(options.out, "w", encoding="utf-8") as file:
            file.write(text)
    return 0


def _written(report: Explanation, form: str) -> str:
    if form == "json":
        return json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n"
    forms = {"markdown": report.to_markdown, "html": report.to_html, "latex": report.to_latex}
    return forms.get(form, report.to_text)()


def _optimizer(options: argparse.Namespace) -> Optimizer:
    if options.optimizer not in OPTIMIZERS:
        raise unknown("--optimizer", options.optimizer, OPTIMIZERS)
    rate = options.lr
    if rate is None and options.optimizer == "sgd":
        rate = EXAMPLE_LR
    made: type[Any] = OPTIMIZERS[options.optimizer]
    optimizer: Optimizer = made() if rate is None else made(lr=rate)
    return optimizer


# ------------------------------------------------------------------------------------------- the network


def _network(options: argparse.Namespace) -> Model:
    if options.model is not None:
        for name in ("sizes", "activation", "weights", "seed"):
            if getattr(options, name) is not None:
                raise ArgumentError(f"--model brings its own layers and weights; leave --{name} out")
        return load(options.model)
    sizes = _sizes(EXAMPLE_SIZES if options.sizes is None else options.sizes)
    names = (options.activation or "sigmoid").split(",")
    for name in names:
        if name not in ACTIVATIONS:
            raise unknown("--activation", name, sorted(ACTIVATIONS))
    layers = len(sizes) - 1
    if len(names) not in (1, layers):
        raise ArgumentError(
            f"--activation: expected 1 name or {layers}, one for each layer, got {len(names)}"
        )
    names = names * layers if len(names) == 1 else names
    dense = [Dense(units, activation=name) for units, name in zip(sizes[1:], names, strict=True)]
    seed = 0 if options.seed is None else integer("--seed", options.seed, 0)
    net = Sequential([Input(sizes[0]), *dense], seed=seed, dtype="float64")
    if options.weights is not None:
        net.set_parameters(_weights(options.weights))
    elif options.sizes is None and options.seed is None:
        net.set_parameters({name: np.array(values) for name, values in EXAMPLE_WEIGHTS.items()})
    return net


def _sizes(text: str) -> list[int]:
    parts = text.split("-")
    if len(parts) < 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ArgumentError(f"--sizes: expected whole numbers above 0 such as 2-3-1, got {text!r}")
    return [int(part) for part in parts]


def _weights(path: str) -> Any:
    if os.path.splitext(path)[1] != ".json":
        return path
    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except ValueError as error:
            raise FileFormatError(f"{path}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise FileFormatError(
            f'{path}: expected {{"dense_0.weight": [[...]], ...}}, got {type(found).__name__}'
        )
    arrays = {}
    for name, values in found.items():
        try:
            arrays[name] = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise FileFormatError(
                f"{path}: {name!r} is not made of numbers in rows of equal length"
            ) from None
    return arrays


# ---------------------------------------------------------------------------------------------- the data


def _samples(
    option: str, text: str | None, example: str, columns: int, fits: bool, also: int = 0
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rows separated by semicolons, numbers by commas."""
    if text is None and not fits:
        raise ArgumentError(f"{option}: give {columns} numbers for each sample, separated by commas")
    rows = []
    for row in (example if text is None else text).strip().strip(";").split(";"):
        try:
            rows.append([float(part) for part in row.split(",")])
        except ValueError:
            raise ArgumentError(
                f"{option}: expected numbers, commas between them and semicolons between samples, got {row!r}"
            ) from None
        if len(rows[-1]) not in (columns, also or columns):
            raise ArgumentError(
                f"{option}: expected {columns} numbers for each sample, got {len(rows[-1])}: {row!r}"
            )
    if len({len(row) for row in rows}) > 1:
        raise ArgumentError(
            f"{option}: samples have {len(rows[0])} numbers and others; expected as many in each"
        )
    return np.array(rows)


def _labels(column: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    if (column != np.floor(column)).any():
        raise ArgumentError(f"--y: cross_entropy expects whole numbers, the labels, got {column.tolist()}")
    return column.astype(np.int64)
