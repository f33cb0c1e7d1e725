"""Which pixel belongs to which digit: an encoder-decoder on noisy 64 x 64 scenes of MNIST digits.

The encoder halves the picture three times and sees more and more around a pixel; the decoder brings it back
to full size, and at each size the encoder's finer picture of that size is joined to it (Ronneberger et al.,
"U-Net", 2015). Every pixel is one of eleven classes: background, or the digit whose ink it is.

PATH is the usual mnist.npz with the arrays x_train, y_train, x_test, y_test.

Run it: python examples/segment.py PATH [--epochs 8]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg

SIDE = 64


def scenes(
    digits: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two to four digits on noise: pictures [count, 64, 64, 1] in 0..1, classes [count, 64, 64]."""
    x = np.zeros((count, SIDE, SIDE), np.float32)
    y = np.zeros((count, SIDE, SIDE), np.int64)
    for picture, classes in zip(x, y, strict=True):
        for choice in rng.integers(0, len(digits), rng.integers(2, 5)):
            row, column = rng.integers(0, SIDE - 28, 2)
            place = np.s_[row : row + 28, column : column + 28]
            ink = digits[choice] / np.float32(255)
            picture[place] = np.maximum(picture[place], ink)
            classes[place] = np.where(ink > 0.5, labels[choice] + 1, classes[place])
    x += rng.normal(0.0, 0.2, x.shape).astype(np.float32)
    return x[..., None], y


def convolution(x: rg.Node, filters: int) -> rg.Node:
    """A 3 x 3 convolution with batch norm, of the same size as its input."""
    x = rg.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return rg.Activation("relu")(rg.BatchNorm()(x))


def network(seed: int = 0) -> rg.Model:
    """Pictures to eleven scores for each pixel."""
    x = rg.Input((SIDE, SIDE, 1))
    full = convolution(x, 8)
    half = convolution(rg.MaxPool2D(2)(full), 16)
    quarter = convolution(rg.MaxPool2D(2)(half), 32)
    h = convolution(convolution(rg.MaxPool2D(2)(quarter), 64), 64)  # 8 x 8
    for finer, filters in ((quarter, 32), (half, 16), (full, 16)):
        h = rg.Concatenate()(rg.UpSample2D(2)(h), finer)
        h = convolution(h, filters)
    return rg.Model(x, rg.Conv2D(11, 1)(h), seed=seed)


def show(picture: np.ndarray, found: np.ndarray, true: np.ndarray) -> None:
    """Picture, answer and truth side by side, every other pixel as one character."""
    shades, names = " .:-=+*#", " 0123456789"
    for row in range(0, SIDE, 2):
        gray = np.clip(picture[row, ::2, 0] * 8, 0, 7).astype(int)
        parts = ["".join(shades[g] for g in gray)]
        parts += ["".join(names[c] for c in classes[row, ::2]) for classes in (found, true)]
        print(" | ".join(parts))


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train, print one line an epoch, and return accuracy and IoU over the pixels of unseen scenes."""
    parser = argparse.ArgumentParser(description="Segment scenes of MNIST digits.")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--scenes", type=int, default=3000)
    options = parser.parse_args(arguments)

    rng = np.random.default_rng(0)
    with np.load(options.path) as data:
        x_train, y_train = scenes(data["x_train"], data["y_train"], options.scenes, rng)
        x_test, y_test = scenes(data["x_test"], data["y_test"], 300, rng)

    net = network()
    print(net.summary(batch_size=16))
    iterations = options.epochs * -(-len(x_train) // 16)
    trainer = rg.Trainer(
        net,
        loss="cross_entropy",  # of every pixel
        optimizer=rg.Adam(rg.schedules.OneCycle(1e-2, iterations)),
        metrics=["accuracy", "iou"],  # IoU: the mean over the classes of what both say over what either says
    )
    for epoch in range(1, options.epochs + 1):
        history = trainer.fit(x_train, y_train, epochs=1, batch_size=16, progress=False)
        test = trainer.evaluate(x_test, y_test)
        row = {name: values[-1] for name, values in history.history.items()}
        print(
            f"epoch {epoch:2d}   {row['seconds']:5.1f} s   loss {row['loss']:.4f}"
            f"   training IoU {row['iou']:.3f}   test IoU {test['iou']:.3f}   pixels {test['accuracy']:.2%}"
        )
    show(x_test[0], net.predict(x_test[:1])[0].argmax(axis=-1), y_test[0])
    return test


if __name__ == "__main__":
    main()
