"""Too little data, some of it wrong: a network learns it by heart, and four ways to hold it back.

300 handwritten digits, every fifth with a wrong label, train 64-256-256-10, whose 85,000 parameters have room
to remember each of them. The training loss goes to 0, and the loss on 1,000 digits the network has not seen
falls and then rises: overfitting. Each way takes some of that freedom away:

    L1              a penalty l1 sum |w|: many weights become almost 0
    L2              a penalty l2/2 sum w^2: no weight grows large (Krogh and Hertz, 1991)
    dropout         half of the units are missing, others in each step (Srivastava et al., 2014)
    early stopping  a fifth of the data is set aside; training ends when the loss there no longer falls

Run it: python examples/regularisation.py [--epochs 80] [--seeds 5]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import retrograd as rg

WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "L1": {"l1": 2e-3},
    "L2": {"l2": 2e-2},
    "dropout": {"dropout": 0.5},
    "early stopping": {"patience": 10},
}


def data(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """300 digits to train on, 60 of them with a wrong label, and 1,000 to test with."""
    x, y = rg.datasets.digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    train, test = order[:300], order[300:1300]
    labels = y[train]
    labels[:60] = (labels[:60] + rng.integers(1, 10, size=60)) % 10
    return (x[train], labels), (x[test], y[test])


class Watch:
    """A callback: the test loss after every second epoch, only to be drawn; nothing is chosen by it."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y, self.losses = x, y, []

    def on_epoch_end(self, trainer: rg.Trainer, logs: dict[str, Any]) -> None:
        if trainer.epoch % 2:
            self.losses.append(trainer.evaluate(self.x, self.y)["loss"])


def network(dropout: float, seed: int) -> rg.Model:
    layers: list[Any] = [rg.Input(64), rg.Rescale(1 / 8, -1)]
    for _ in range(2):
        layers += [rg.Dense(256, activation="relu")]
        layers += [rg.Dropout(dropout)] if dropout else []
    return rg.Sequential([*layers, rg.Dense(10)], seed=seed)


def run(
    seed: int, epochs: int, l1: float = 0.0, l2: float = 0.0, dropout: float = 0.0, patience: int = 0
) -> dict[str, Any]:
    """Train once; the curves, and loss and accuracy on the test data in the end."""
    train, test = data(seed)
    net = network(dropout, seed)
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(2e-3), metrics=["accuracy"], l1=l1, l2=l2, seed=seed)

    watch = Watch(*test)
    stop = [rg.stop.EarlyStopping(patience=patience)] if patience else []
    history = trainer.fit(
        *train,
        epochs=epochs,
        batch_size=32,
        validation_split=0.2 if patience else 0.0,
        callbacks=[watch, *stop],
        progress=False,
    )
    return {"training": history.history["loss"][::2], "test": watch.losses, **trainer.evaluate(*test)}


def curve(losses: Sequence[float]) -> str:
    """A digit for each loss, in tenths: 0 is below 0.1, and 9 is 0.9 and above."""
    return "".join(str(min(9, int(10 * loss))) for loss in losses)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Print curves and table, and return the mean test loss of each way."""
    parser = argparse.ArgumentParser(description="Four ways against overfitting.")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args(arguments)

    results = {
        name: [run(seed, options.epochs, **settings) for seed in range(options.seeds)]
        for name, settings in WAYS.items()
    }
    print("loss after every second epoch in tenths, seed 0")
    for name, (first, *_) in results.items():
        for title, losses in (("training", first["training"]), ("test", first["test"])):
            print(f"{name:14} {title:8} {curve(losses)} {losses[-1]:.2f}")

    print(f"\nmeans over {options.seeds} seeds\n{'':14} training loss   test loss   test accuracy")
    means = {}
    for name, runs in results.items():
        training = np.mean([one["training"][-1] for one in runs])
        means[name] = float(np.mean([one["loss"] for one in runs]))
        accuracy = np.mean([one["accuracy"] for one in runs])
        print(f"{name:14} {training:13.3f}   {means[name]:9.3f}   {accuracy:13.1%}")
    return means


if __name__ == "__main__":
    main()
