"""Transfer: what a network has learned from many digits 0 to 4 helps it to tell 5 to 9 apart from few.

PATH is the usual mnist.npz with the arrays x_train, y_train, x_test, y_test. A network learns the digits 0 to
4 from all their images. Its two convolutions, which have learned to see strokes and how they meet, are frozen
and get a new hidden layer and head, and those learn 5 to 9 from a few images of each. Beside it the same
network begins anew with the same images. Each number is the mean over several choices of those.

Run it: python examples/transfer.py PATH [--epochs 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg

OLD, NEW = range(5), range(5, 10)
SHOTS = (1, 5, 20, 100)  # images of each new digit


def head(features: rg.Node, digits: int, name: str = "") -> rg.Node:
    """What is learned anew in either case: a hidden layer and a score for each digit."""
    h = rg.Dense(64, activation="relu", name=f"{name}hidden")(rg.Flatten()(features))
    return rg.Dense(digits, name=f"{name}scores")(h)


def network(digits: int, seed: int) -> rg.Model:
    """Images of bytes to scores; strokes are seen in squares of 5 x 5 pixels, what they form in 13 x 13."""
    x = rg.Input((28, 28, 1))
    h = rg.Rescale(1 / 255)(x)
    h = rg.Conv2D(8, 5, stride=2, activation="relu", name="strokes")(h)  # 12 x 12 x 8
    h = rg.Conv2D(16, 5, stride=2, activation="relu", name="forms")(h)  # 4 x 4 x 16
    return rg.Model(x, head(h, digits), seed=seed)


def with_new_head(net: rg.Model, digits: int, seed: int) -> rg.Model:
    """The convolutions of a trained network, frozen, under a head that knows nothing yet."""
    model = rg.Model(net.inputs, head(net["forms"].output, digits, "new_"), seed=seed)
    model.freeze("strokes", "forms")
    return model


def accuracy_after(net: rg.Model, few: tuple, test: tuple, seed: int) -> float:
    """The accuracy on the test images after 100 steps with all of the few images."""
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(3e-3), metrics=["accuracy"], l2=1e-3, seed=seed)
    trainer.fit(*few, epochs=100, batch_size=len(few[0]), progress=False)
    return trainer.evaluate(*test)["accuracy"]


def main(arguments: Sequence[str] | None = None) -> dict[int, tuple[float, float]]:
    """Print and return, for each number of images, the test accuracy with transfer and without."""
    parser = argparse.ArgumentParser(description="Carry what was learned over to new digits.")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=3, help="over the digits 0 to 4")
    parser.add_argument("--choices", type=int, default=5, help="of the few images")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    with np.load(options.path) as data:
        x_train, y_train = data["x_train"][..., None], data["y_train"]
        x_test, y_test = data["x_test"][..., None], data["y_test"]
    old, test_old, test_new = np.isin(y_train, OLD), np.isin(y_test, OLD), np.isin(y_test, NEW)
    test = x_test[test_new], y_test[test_new] - NEW[0]

    net = network(len(OLD), options.seed)
    trainer = rg.Trainer(net, "cross_entropy", rg.Adam(1e-3), metrics=["accuracy"], seed=options.seed)
    trainer.fit(x_train[old], y_train[old], epochs=options.epochs, batch_size=128, progress=False)
    accuracy = trainer.evaluate(x_test[test_old], y_test[test_old])["accuracy"]
    print(f"digits 0 to 4: test accuracy {accuracy:.2%} from {old.sum():,} images")

    found = {}
    rng = np.random.default_rng(options.seed)
    print("digits 5 to 9, images of each   with transfer   without")
    for shots in SHOTS:
        accuracies = []
        for choice in range(options.choices):
            rows = np.concatenate(
                [rng.choice(np.flatnonzero(y_train == digit), shots, replace=False) for digit in NEW]
            )
            few = x_train[rows], y_train[rows] - NEW[0]
            nets = with_new_head(net, len(NEW), choice), network(len(NEW), choice)
            accuracies.append([accuracy_after(one, few, test, choice) for one in nets])
        transferred, anew = np.mean(accuracies, axis=0)
        found[shots] = (float(transferred), float(anew))
        print(f"{shots:29}   {transferred:13.1%}   {anew:7.1%}")
    return found


if __name__ == "__main__":
    main()
