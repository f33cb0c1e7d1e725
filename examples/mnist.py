"""Handwritten digits: 784-128-10, ReLU, Adam, batches of 128, straight from 8-bit images.

PATH is the usual mnist.npz with the arrays x_train, y_train, x_test, y_test.

Run it: python examples/mnist.py PATH [--epochs 10]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg


def network(seed: int) -> rg.Model:
    """Images stay as they are, one byte a pixel: each batch becomes floats in 0..1 when it is needed."""
    return rg.Sequential(
        [rg.Input(784), rg.Rescale(1 / 255), rg.Dense(128, activation="relu"), rg.Dense(10)],
        seed=seed,
    )


def main(arguments: Sequence[str] | None = None) -> list[float]:
    """Train, print one line an epoch, and return the test accuracy after each."""
    parser = argparse.ArgumentParser(description="Train a small network on MNIST.")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    with np.load(options.path) as data:
        x_train, y_train = data["x_train"].reshape(-1, 784), data["y_train"]
        x_test, y_test = data["x_test"].reshape(-1, 784), data["y_test"]

    net = network(options.seed)
    trainer = rg.Trainer(
        net, loss="cross_entropy", optimizer=rg.Adam(1e-3), metrics=["accuracy"], seed=options.seed
    )

    print(f"{len(x_train):,} training and {len(x_test):,} test images")
    accuracies = []
    for epoch in range(1, options.epochs + 1):
        history = trainer.fit(x_train, y_train, epochs=1, batch_size=options.batch_size, progress=False)
        test = trainer.evaluate(x_test, y_test)
        accuracies.append(test["accuracy"])
        row = {name: values[-1] for name, values in history.history.items()}
        print(
            f"epoch {epoch:2d}   {row['seconds']:5.2f} s   loss {row['loss']:.4f}"
            f"   training {row['accuracy']:7.2%}   test {test['accuracy']:7.2%}"
        )
    print(f"test accuracy {accuracies[-1]:.2%}")
    return accuracies


if __name__ == "__main__":
    main()
