"""Why deep networks did not learn: the gradient that vanishes on its way back, and what brings it back.

A network of 20 layers reads handwritten digits. With sigmoids, and weights as they were begun until about
2010, layer 1 has a gradient 10^15 times smaller than layer 20, and nothing is learnt. Three cures are added
one after the other: ReLU (Nair and Hinton, 2010), an initialisation that keeps the size of what passes (He et
al., 2015), and batch normalisation (Ioffe and Szegedy, 2015).

Backpropagation computes delta_l = (W_(l+1)^T delta_(l+1)) act'(z_l). So delta changes by two factors a layer,

    RMS delta_l / RMS delta_(l+1) = weight gain * slope gain,
    weight gain = RMS(W^T delta_(l+1)) / RMS delta_(l+1),   slope gain = RMS delta_l / RMS(W^T delta_(l+1)),

and they say which cure helps. A sigmoid's slope is at most 1/4; ReLU's is 1 for half of the units, a slope
gain of 0.71. The old weights have a gain of 0.58, He's of 1.41, and 1.41 * 0.71 = 1. ReLU alone makes the
gradients of all layers equal but tiny: delta shrinks on the way back just as much as a on the way forward,
and dW is their product. Batch normalisation keeps sizes right after the first step as well, so a five times
larger learning rate does no harm.

Run it: python examples/vanishing.py [--epochs 20]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import retrograd as rg

LAYERS, WIDTH = 20, 64
RATES = (0.02, 0.1)
SLOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # act'(z), written apart from the library
    "sigmoid": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "relu": lambda z: (z > 0).astype(np.float64),
}
OLD = rg.init.uniform(-1 / WIDTH**0.5, 1 / WIDTH**0.5)  # the rule of thumb before Glorot and He
CURES = {
    "sigmoid": ("sigmoid", OLD, False),
    "+ ReLU": ("relu", OLD, False),
    "+ He initialisation": ("relu", "he_normal", False),
    "+ batch norm": ("relu", "he_normal", True),
}


def network(activation: str, weight_init: str, batch_norm: bool, seed: int) -> rg.Model:
    """20 Dense layers called layer_1 to layer_20, the last one with an output for each digit."""
    layers: list[Any] = [rg.Input(64), rg.Rescale(1 / 8, -1)]
    for k in range(1, LAYERS):
        layers += [rg.Dense(WIDTH, weight_init=weight_init, name=f"layer_{k}")]
        layers += [rg.BatchNorm()] if batch_norm else []
        layers += [rg.Activation(activation)]
    layers += [rg.Dense(10, weight_init=weight_init, name=f"layer_{LAYERS}")]
    return rg.Sequential(layers, seed=seed, dtype="float64")


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def gains(net: rg.Model, trace: Any, activation: str) -> list[tuple[float, float, float]]:
    """For layers 1 to 19: the ratio of deltas by the core, and by NumPy the two gains."""
    rows = []
    for k in range(1, LAYERS):
        here, behind = trace[f"layer_{k}"], trace[f"layer_{k + 1}"]
        back = behind.delta @ net[f"layer_{k + 1}"].weight
        weight_gain = rms(back) / rms(behind.delta)
        slope_gain = rms(back * SLOPES[activation](here.z)) / rms(back)
        rows.append((rms(here.delta) / rms(behind.delta), weight_gain, slope_gain))
    return rows


def print_table(figures: dict[str, dict[str, Any]]) -> None:
    """A column for each cure: gradients layer by layer, the typical gains, the accuracy."""

    def line(title: str, cells: list[str]) -> None:
        print(f"{title:24}" + "".join(f"{cell:>21}" for cell in cells))

    def typical_gain(row: dict[str, Any], which: int) -> str:
        if not row["gains"]:
            return "-"  # the normalisation is a third factor
        return f"{np.exp(np.mean([np.log(factors[which]) for factors in row['gains']])):.2f}"

    rows = list(figures.values())
    line("norm of dL/dW of layer", list(figures))
    for k in range(LAYERS):
        line(f"{k + 1:12}", [f"{row['norms'][k]:.2e}" for row in rows])
    line("layer 1 / layer 20", [f"{row['norms'][0] / row['norms'][-1]:.1e}" for row in rows])
    line("delta 1 / delta 20", [f"{row['deltas'][0] / row['deltas'][-1]:.1e}" for row in rows])
    line("weight gain of a layer", [typical_gain(row, 1) for row in rows])
    line("slope gain of a layer", [typical_gain(row, 2) for row in rows])
    for k, rate in enumerate(RATES):
        line(f"accuracy, rate {rate}", [f"{row['accuracy'][k]:.1%}" for row in rows])


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Print the table, and return for each cure the gradient norms, the gains and the accuracy."""
    parser = argparse.ArgumentParser(description="See a gradient vanish, and cure it.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    x, y = rg.datasets.digits()
    order = np.random.default_rng(options.seed).permutation(len(x))
    training, test = order[:1400], order[1400:]

    figures: dict[str, dict[str, Any]] = {}
    for name, (activation, weight_init, batch_norm) in CURES.items():
        net = network(activation, weight_init, batch_norm, options.seed)
        trace = net.trace(x[training], y[training], "cross_entropy")  # before the first step
        norms = [float(np.linalg.norm(trace[f"layer_{k}"].dW)) for k in range(1, LAYERS + 1)]
        deltas = [rms(trace[f"layer_{k}"].delta) for k in range(1, LAYERS + 1)]
        factors = [] if batch_norm else gains(net, trace, activation)
        accuracy = []
        for rate in RATES:
            trained = net.copy()
            trainer = rg.Trainer(
                trained, "cross_entropy", rg.SGD(rate), metrics=["accuracy"], seed=options.seed
            )
            trainer.fit(x[training], y[training], epochs=options.epochs, batch_size=32, progress=False)
            accuracy.append(trainer.evaluate(x[test], y[test])["accuracy"])
        figures[name] = {"norms": norms, "deltas": deltas, "gains": factors, "accuracy": accuracy}
    print_table(figures)
    return figures


if __name__ == "__main__":
    main()
