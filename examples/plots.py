"""The pictures of rg.plot, of two small networks that have learned: handwritten digits and two half moons.

Run it: python examples/plots.py [folder]   writes a PNG for each picture; needs matplotlib
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import retrograd as rg


def digits() -> dict[str, Any]:
    """Handwritten digits: how training went, and what flows through the layers."""
    x, y = rg.datasets.digits()
    training, test = slice(0, 1300), slice(1300, None)
    layers = [rg.Rescale(1 / 16), rg.Dense(64, activation="relu"), rg.Dense(32, activation="tanh")]
    net = rg.Sequential([rg.Input(64), *layers, rg.Dense(10)])
    rate = rg.schedules.Step(3e-3, 200, gamma=0.3)
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(rate), metrics=["accuracy"])
    trainer.fit(
        x[training],
        y[training],
        epochs=25,
        batch_size=64,
        validation_data=(x[test], y[test]),
        record="layers",
        progress=False,
    )
    trace = trainer.trace(x[test], y[test])
    return {
        "history": rg.plot.history(trainer),
        "gradient_flow": rg.plot.gradient_flow(trace),
        "gradient_flow_over_epochs": rg.plot.gradient_flow_over_epochs(trainer),
        "weights": rg.plot.weights(net),
        "activations": rg.plot.activations(trace),
        "deltas": rg.plot.deltas(trace),
        "confusion_matrix": rg.plot.confusion_matrix(y[test], net.predict_proba(x[test])),
    }


def moons() -> dict[str, Any]:
    """Two half moons: the network itself, its answer in the plane, and the loss around its weights."""
    x, y = rg.datasets.moons()
    layers = [rg.Dense(6, activation="tanh"), rg.Dense(4, activation="tanh"), rg.Dense(1)]
    net = rg.Sequential([rg.Input(2), *layers])
    trainer = rg.Trainer(net, "binary_cross_entropy", rg.Adam(0.01))
    way = [net.flat_parameters.copy()]
    for _ in range(30):
        trainer.fit(x, y, epochs=3, batch_size=50, progress=False)
        way.append(net.flat_parameters.copy())
    loss = "binary_cross_entropy"
    return {
        "network": rg.plot.network(net, trainer.trace(x, y)),
        "decision_boundary": rg.plot.decision_boundary(net, x, y),
        "loss_landscape": rg.plot.loss_landscape(net, x, y, loss),
        "way_of_the_training": rg.plot.loss_landscape(net, x, y, loss, trajectory=way),
        "activation": rg.plot.activation("gelu"),
    }


def main(arguments: Sequence[str] | None = None) -> list[Path]:
    """Write the pictures, print their names, and return their paths."""
    parser = argparse.ArgumentParser(description="Draw every picture of rg.plot.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("plots"))
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, ax in (digits() | moons()).items():
        written.append(folder / f"{name}.png")
        ax.figure.savefig(written[-1])
        print(written[-1])
    return written


if __name__ == "__main__":
    main()
