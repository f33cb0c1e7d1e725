"""An autoencoder: digits squeezed through 32 numbers and drawn again, beside PCA with as many numbers.

The network 784-128-32-128-784 learns to return its own input; what passes the narrow middle is a code. PCA is
the best that straight lines can do: the code is x - mean along the 32 directions of largest variance. Curves
do better: on images it has not seen, the autoencoder has less than half of PCA's error.

PATH is the usual mnist.npz with the arrays x_train and x_test.

Run it: python examples/autoencoder.py PATH [--epochs 10] [--pgm digits.pgm]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg

INK = " .:-=+*#%@"


def networks(code: int, seed: int) -> tuple[rg.Model, rg.Model]:
    """All of it, and its first half as a model of its own, from image to code."""
    x = rg.Input(784)
    middle = rg.Dense(code, name="code")(rg.Dense(128, activation="relu")(x))
    output = rg.Dense(784, activation="sigmoid")(rg.Dense(128, activation="relu")(middle))
    return rg.Model(x, output, seed=seed), rg.Model(x, middle)


def pca(training: np.ndarray, test: np.ndarray, code: int) -> np.ndarray:
    """The test images from ``code`` numbers each, by the directions of the training images. [images, 784]"""
    mean = training.mean(axis=0)
    _, _, directions = np.linalg.svd(np.cov(training, rowvar=False))  # far smaller than all images
    top = directions[:code]
    return (test - mean) @ top.T @ top + mean


def drawn(images: np.ndarray) -> str:
    """Images of 0 to 1 as text, side by side; every second line, since letters are tall."""
    picture = np.hstack(images)[::2]
    return "\n".join("".join(INK[int(9.99 * v)] for v in line) for line in np.clip(picture, 0, 1))


def write_pgm(path: str, picture: np.ndarray) -> None:
    """A grey picture of 0 to 1 in the simplest of all formats."""
    with open(path, "wb") as file:
        file.write(b"P5 %d %d 255\n" % (picture.shape[1], picture.shape[0]))
        file.write((255 * np.clip(picture, 0, 1)).astype(np.uint8).tobytes())


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train, print, and return the mean squared errors on the test images."""
    parser = argparse.ArgumentParser(description="Compress MNIST digits.")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--code", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pgm", help="write a picture: originals, autoencoder, PCA")
    options = parser.parse_args(arguments)

    with np.load(options.path) as data:
        training = data["x_train"].reshape(-1, 784).astype(np.float32) / 255
        test = data["x_test"].reshape(-1, 784).astype(np.float32) / 255

    net, encoder = networks(options.code, options.seed)
    trainer = rg.Trainer(net, loss="binary_cross_entropy", optimizer=rg.Adam(2e-3), seed=options.seed)

    for epoch in range(1, options.epochs + 1):
        trainer.lr = 2e-3 * (1 - (epoch - 1) / options.epochs)
        history = trainer.fit(training, training, epochs=1, batch_size=128, progress=False)
        error = float(np.mean((net.predict(test) - test) ** 2))
        print(f"epoch {epoch:2d}   {history.history['seconds'][-1]:5.2f} s   test error {error:.5f}")

    by_pca = pca(training, test, options.code)
    figures = {"autoencoder": error, "pca": float(np.mean((by_pca - test) ** 2))}
    by_network = net.predict(test)
    for title, images in (("originals", test), ("autoencoder", by_network), ("PCA", by_pca)):
        print(f"\n{title}\n{drawn(images[:4].reshape(-1, 28, 28))}")
    print(f"\n{options.code} numbers for 784 pixels; mean squared error on the test images:")
    print(f"autoencoder {figures['autoencoder']:.5f}   PCA {figures['pca']:.5f}")
    numbers = " ".join(f"{value:.1f}" for value in encoder.predict(test[:1])[0])
    print(f"\nthe code of the first digit: {numbers}")
    if options.pgm:
        picture = [np.hstack(images[:10].reshape(-1, 28, 28)) for images in (test, by_network, by_pca)]
        write_pgm(options.pgm, np.vstack(picture))
    return figures


if __name__ == "__main__":
    main()
