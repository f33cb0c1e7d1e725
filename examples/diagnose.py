"""Would you have known? 108 networks, diagnosed after their first epoch and then trained to the end.

2, 5, 10 or 20 layers with sigmoid, tanh or relu; initial weights ten times too small, right, or ten times
too large; a learning rate of 1e-5, 0.1 or 10. All read the bundled digits. rg.diagnose sees each network
after its first epoch. How training ended is judged apart from it, by the accuracy and a pass in plain NumPy:

    exploding     it stopped with numbers that are no longer finite
    healthy       it reads 80 % of the digits right
    dead units    it does not, and nine units in ten of some layer give 0 for every digit in the end
    saturated     or nine outputs in ten of some layer are on the flat ends of the activation in the end
    exploding     or the error grew a thousandfold on its way back through the new network
    vanishing     or shrank to less than a hundredth
    not learning  or none of these

Run it: python examples/diagnose.py [--seed 0]
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import retrograd as rg

DEPTHS = (2, 5, 10, 20)
ACTIVATIONS = ("sigmoid", "tanh", "relu")
SCALES = (0.1, 1.0, 10.0)
RATES = (1e-5, 0.1, 10.0)
WIDTH, BATCH = 32, 32
VERDICTS = ("healthy", "vanishing", "exploding", "dead units", "saturated", "not learning")


class Setting(NamedTuple):
    depth: int
    activation: str
    scale: float
    rate: float


GRID = [Setting(*values) for values in product(DEPTHS, ACTIVATIONS, SCALES, RATES)]


class Outcome(NamedTuple):
    setting: Setting
    ended: str
    verdict: str
    accuracy: float


def network(setting: Setting, seed: int) -> rg.Model:
    """Dense layers with the initial weights of the library, times the scale."""
    hidden = [rg.Dense(WIDTH, activation=setting.activation) for _ in range(setting.depth - 1)]
    net = rg.Sequential([rg.Input(64), *hidden, rg.Dense(10)], seed=seed)
    for layer in net.layers:
        layer.weight[...] *= setting.scale
    return net


def outputs(net: rg.Model, setting: Setting, x: np.ndarray) -> list[np.ndarray]:
    """The activations of all layers, by NumPy; logits are the last."""
    functions = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh, "relu": lambda z: z * (z > 0)}
    found = [x]
    with np.errstate(over="ignore", invalid="ignore"):
        for k, layer in enumerate(net.layers, 1):
            z = found[-1] @ layer.weight.astype(float).T + layer.bias
            found.append(functions[setting.activation](z) if k < setting.depth else z)
    return found[1:]


def error_ratio(net: rg.Model, setting: Setting, x: np.ndarray, y: np.ndarray) -> float:
    """RMS delta of the first layer over that of the last, by NumPy."""
    slopes = {"sigmoid": lambda a: a * (1 - a), "tanh": lambda a: 1 - a**2, "relu": lambda a: 1.0 * (a > 0)}
    *hidden, logits = outputs(net, setting, x)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    delta = exponents / exponents.sum(axis=1, keepdims=True) - np.eye(10)[y]
    last = math.sqrt(np.mean(delta**2))
    for a, layer in zip(reversed(hidden), reversed(net.layers), strict=False):
        delta = delta @ layer.weight.astype(float) * slopes[setting.activation](a)
    return math.sqrt(np.mean(delta**2)) / last


def ending(net: rg.Model, setting: Setting, x: np.ndarray, accuracy: float, ratio: float) -> str:
    """What became of it; see the top of this file. Without diagnose."""
    if math.isnan(accuracy):
        return "exploding"
    if accuracy >= 0.8:
        return "healthy"
    hidden = outputs(net, setting, x)[:-1]
    ends = {"sigmoid": lambda a: np.abs(2 * a - 1) > 0.94, "tanh": lambda a: np.abs(a) > 0.97}
    if setting.activation == "relu":
        if max(np.mean((a == 0).all(axis=0)) for a in hidden) >= 0.9:
            return "dead units"
    elif max(np.mean(ends[setting.activation](a)) for a in hidden) >= 0.9:
        return "saturated"
    if ratio > 1e3:
        return "exploding"
    return "vanishing" if ratio < 1e-2 else "not learning"


def outcome(setting: Setting, seed: int, epochs: int = 20) -> Outcome:
    """Train one network, ask for its diagnosis after the first epoch, and see how it ends."""
    x, y = rg.datasets.digits()
    x = x / 8.0 - 1.0
    some = np.random.default_rng(seed).permutation(len(x))[:256]
    net = network(setting, seed)
    ratio = error_ratio(net, setting, x[some], y[some])
    trainer = rg.Trainer(net, "cross_entropy", rg.SGD(setting.rate), metrics=["accuracy"], seed=seed)
    verdict, accuracy = "", math.nan
    try:
        trainer.fit(x, y, epochs=1, batch_size=BATCH, progress=False)
        verdict = rg.diagnose(trainer, x[some], y[some]).verdict
        trainer.fit(x, y, epochs=epochs - 1, batch_size=BATCH, progress=False)
        accuracy = trainer.evaluate(x, y)["accuracy"]
    except rg.NonFiniteError:
        verdict = verdict or rg.diagnose(trainer, x[some], y[some]).verdict
    return Outcome(setting, ending(net, setting, x, accuracy, ratio), verdict, accuracy)


def print_confusion(found: Sequence[Outcome]) -> None:
    """A row for each end, a column for each verdict; then those that do not agree."""
    pairs = Counter((one.ended, one.verdict) for one in found)
    print(f"{'ended':14}" + "".join(f"{verdict:>14}" for verdict in VERDICTS))
    for ended in VERDICTS:
        print(f"{ended:14}" + "".join(f"{pairs[ended, verdict] or '.':>14}" for verdict in VERDICTS))
    for one in found:
        if one.ended != one.verdict:
            s = one.setting
            print(
                f"  {s.depth} layers, {s.activation}, weights x {s.scale:g}, rate {s.rate:g}: said "
                f"{one.verdict}, ended {one.ended} with accuracy {one.accuracy:.0%}"
            )
    right = sum(one.ended == one.verdict for one in found)
    print(f"right: {right} of {len(found)}, {right / len(found):.1%}")


def main(arguments: Sequence[str] | None = None) -> list[Outcome]:
    """Print the table, and return what was found for each network."""
    parser = argparse.ArgumentParser(description="Diagnose networks early, and see how they end.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    found = [outcome(setting, options.seed) for setting in GRID]
    print_confusion(found)
    return found


if __name__ == "__main__":
    main()
