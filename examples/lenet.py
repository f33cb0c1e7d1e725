"""LeNet-5 on MNIST: two convolutions with pooling, then three dense layers (LeCun et al., 1998).

PATH is the usual mnist.npz with the arrays x_train, y_train, x_test, y_test.

Run it: python examples/lenet.py PATH [--epochs 10]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg


def network(seed: int = 0) -> rg.Model:
    """28 x 28 images of bytes to ten scores: 44,426 parameters."""
    return rg.Sequential(
        [
            rg.Input((28, 28, 1)),
            rg.Rescale(1 / 255),
            rg.Conv2D(6, 5, activation="relu"),  # 24 x 24 x 6
            rg.MaxPool2D(2),  # 12 x 12 x 6
            rg.Conv2D(16, 5, activation="relu"),  # 8 x 8 x 16
            rg.MaxPool2D(2),  # 4 x 4 x 16
            rg.Flatten(),
            rg.Dense(120, activation="relu"),
            rg.Dense(84, activation="relu"),
            rg.Dense(10),
        ],
        seed=seed,
    )


def main(arguments: Sequence[str] | None = None) -> list[float]:
    """Train, print one line an epoch, and return the test accuracy after each."""
    parser = argparse.ArgumentParser(description="Train LeNet-5 on MNIST.")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rows", type=int, help="train on the first so many images only")
    options = parser.parse_args(arguments)

    with np.load(options.path) as data:
        x_train, y_train = data["x_train"][: options.rows, ..., None], data["y_train"][: options.rows]
        x_test, y_test = data["x_test"][..., None], data["y_test"]

    net = network()
    print(net.summary(batch_size=128))
    # the rate falls to 0 along half a cosine, which is worth about 0.2 % against a constant one
    iterations = options.epochs * -(-len(x_train) // 128)
    trainer = rg.Trainer(
        net,
        loss="cross_entropy",
        optimizer=rg.Adam(rg.schedules.Cosine(2e-3, iterations)),
        metrics=["accuracy"],
    )
    accuracies = []
    for epoch in range(1, options.epochs + 1):
        history = trainer.fit(x_train, y_train, epochs=1, batch_size=128, progress=False)
        accuracies.append(trainer.evaluate(x_test, y_test)["accuracy"])
        row = {name: values[-1] for name, values in history.history.items()}
        print(
            f"epoch {epoch:2d}   {row['seconds']:5.2f} s   loss {row['loss']:.4f}"
            f"   training {row['accuracy']:7.2%}   test {accuracies[-1]:7.2%}"
        )
    return accuracies


if __name__ == "__main__":
    main()
