"""A small residual network with batch norm on MNIST (He et al., 2015).

A block computes x + f(x): the gradient reaches every block through the sum, however deep the network is.

PATH is the usual mnist.npz with the arrays x_train, y_train, x_test, y_test.

Run it: python examples/resnet.py PATH [--epochs 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg


def convolution(x: rg.Node, filters: int, size: int, stride: int = 1) -> rg.Node:
    """Batch norm has a bias of its own, so the convolution needs none."""
    x = rg.Conv2D(filters, size, stride=stride, padding=size // 2, use_bias=False)(x)
    return rg.BatchNorm()(x)


def block(x: rg.Node, filters: int, stride: int = 1) -> rg.Node:
    """Two convolutions and a short cut, which is a 1 x 1 convolution where the shape changes."""
    h = rg.Activation("relu")(convolution(x, filters, 3, stride))
    h = convolution(h, filters, 3)
    short_cut = x if h.shape == x.shape else convolution(x, filters, 1, stride)
    return rg.Activation("relu")(rg.Add()(h, short_cut))


def network(seed: int = 0) -> rg.Model:
    """28 x 28 images of bytes to ten scores: three blocks, nine convolutions."""
    x = rg.Input((28, 28, 1))
    h = rg.Rescale(1 / 255)(x)
    h = rg.Activation("relu")(convolution(h, 8, 3, stride=2))  # 14 x 14 x 8
    h = block(h, 8)
    h = block(h, 16, stride=2)  # 7 x 7 x 16
    h = block(h, 32, stride=2)  # 4 x 4 x 32
    h = rg.GlobalAvgPool2D()(h)
    return rg.Model(x, rg.Dense(10)(h), seed=seed)


def main(arguments: Sequence[str] | None = None) -> list[float]:
    """Train, print one line an epoch, and return the test accuracy after each."""
    parser = argparse.ArgumentParser(description="Train a small residual network on MNIST.")
    parser.add_argument("path", help="mnist.npz")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, help="train on the first so many images only")
    options = parser.parse_args(arguments)

    with np.load(options.path) as data:
        x_train, y_train = data["x_train"][: options.rows, ..., None], data["y_train"][: options.rows]
        x_test, y_test = data["x_test"][..., None], data["y_test"]

    net = network()
    print(net.summary(batch_size=128))
    iterations = options.epochs * -(-len(x_train) // 128)
    trainer = rg.Trainer(
        net,
        loss="cross_entropy",
        optimizer=rg.AdamW(rg.schedules.OneCycle(1e-2, iterations), weight_decay=1e-4),
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
