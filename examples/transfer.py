"""Transfer: what a network has learned from many digits 0 to 6 helps it to tell 7, 8 and 9 apart from few.

PATH is the usual mnist.npz with the arrays x_train, y_train, x_test, y_test. A network learns the digits 0 to
6 from all their images. Its lower layer, which has learned to see strokes, is frozen and gets a new head, and
that learns 7, 8 and 9 from a few images of each. Beside it a whole network begins anew with the same images.
Each number is the mean over several choices of those; with 30 of each digit there is nothing left to gain.

Run it: python examples/transfer.py PATH [--epochs 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg

OLD, NEW = range(7), range(7, 10)
SHOTS = (1, 3, 10, 30)  # images of each new digit


def build(digits: int, seed: int) -> rg.Model:
    """Two hidden layers and a head."""
    layers = [
        rg.Input(784),
        rg.Rescale(1 / 255),
        rg.Dense(256, activation="relu", name="lower"),
        rg.Dense(128, activation="relu", name="upper"),
        rg.Dense(digits, name="head"),
    ]
    return rg.Sequential(layers, seed=seed)


def with_new_head(net: rg.Model, digits: int, seed: int) -> rg.Model:
    """The lower layer of a trained network, frozen, under a head that knows nothing yet."""
    head = rg.Dense(digits, name="new_head")
    model = rg.Model(net.inputs, head(net["lower"].output), seed=seed)
    model.set_parameters(net.parameters, strict=False)  # those that both have
    model.freeze("lower")
    return model


def accuracy_after(net: rg.Model, few: tuple, test: tuple, seed: int) -> float:
    """The accuracy on the test images after 100 steps with all of the few images."""
    optimizer = rg.Adam(3e-3)
    trainer = rg.Trainer(net, "cross_entropy", optimizer, metrics=["accuracy"], l2=1e-3, seed=seed)
    trainer.fit(*few, epochs=100, batch_size=len(few[0]), progress=False)
    return trainer.evaluate(*test)["accuracy"]


def main(arguments: Sequence[str] | None = None) -> dict[int, tuple[float, float]]:
    """Print and return, for each number of images, the test accuracy with transfer and without."""
    parser = argparse.ArgumentParser(description="Carry what was learned over to new digits.")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=3, help="over the digits 0 to 6")
    parser.add_argument("--choices", type=int, default=5, help="of the few images")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    with np.load(options.path) as data:
        x_train, y_train = data["x_train"].reshape(-1, 784), data["y_train"]
        x_test, y_test = data["x_test"].reshape(-1, 784), data["y_test"]
    old, test_old, test_new = np.isin(y_train, OLD), np.isin(y_test, OLD), np.isin(y_test, NEW)
    test = x_test[test_new], y_test[test_new] - NEW[0]

    net = build(len(OLD), options.seed)
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(1e-3), metrics=["accuracy"], seed=options.seed)
    trainer.fit(x_train[old], y_train[old], epochs=options.epochs, batch_size=128, progress=False)
    accuracy = trainer.evaluate(x_test[test_old], y_test[test_old])["accuracy"]
    print(f"digits 0 to 6: test accuracy {accuracy:.2%} from {old.sum():,} images")

    found = {}
    rng = np.random.default_rng(options.seed)
    print("digits 7 to 9, images of each   with transfer   without")
    for shots in SHOTS:
        accuracies = []
        for choice in range(options.choices):
            rows = np.concatenate(
                [rng.choice(np.flatnonzero(y_train == digit), shots, replace=False) for digit in NEW]
            )
            few = x_train[rows], y_train[rows] - NEW[0]
            nets = with_new_head(net, len(NEW), choice), build(len(NEW), choice)
            accuracies.append([accuracy_after(one, few, test, choice) for one in nets])
        transferred, anew = np.mean(accuracies, axis=0)
        found[shots] = (float(transferred), float(anew))
        print(f"{shots:29}   {transferred:13.1%}   {anew:7.1%}")
    return found


if __name__ == "__main__":
    main()
