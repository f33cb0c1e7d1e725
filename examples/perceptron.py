"""Rosenblatt's perceptron of 1958: a rule from before backpropagation, and the loss it descends.

The rule, for a target t of -1 or +1 and z = w x + b: while t z <= 0 the answer is wrong, so w += t x, b += t.
That is a step of rate 1 and batch 1 down the loss max(0, -t z). The loss has a corner at z = 0, where its
derivative may be any number from 0 to -t. The rule takes -t, and has to: it starts at w = 0, on the corner.
relu(-t z) takes 0 there, as everywhere else in deep learning, and would never begin; maximum(0, -t z) takes
-t/2. So the loss below is written with `where`, which says what happens at the corner. All else is an
ordinary network, trainer and SGD.

It prints the weights after each step beside those of the rule in NumPy, equal bit for bit. A line separates
AND, and real digits 0 from digits 1; no line separates XOR, where the weights walk in a circle for ever and
a network of two layers is needed.

Run it: python examples/perceptron.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import retrograd as rg

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
AND = np.array([-1, -1, -1, 1], dtype=np.float32)
XOR = np.array([-1, 1, 1, -1], dtype=np.float32)


def perceptron_loss(z: rg.Node, t: rg.Node) -> rg.Node:
    """max(0, -t z) for each sample, with derivative -t at z = 0."""
    return rg.ops.sum(rg.ops.where(t * z <= 0, -t * z, 0.0))


def learn(x: np.ndarray, t: np.ndarray, epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights and bias after each step, by retrograd and by the rule. [steps, inputs + 1] each"""
    net = rg.Sequential([rg.Input(x.shape[1]), rg.Dense(1, weight_init="zeros")])
    trainer = rg.Trainer(net, loss=perceptron_loss, optimizer=rg.SGD(1.0))
    w, b = np.zeros(x.shape[1], np.float32), np.float32(0)

    by_retrograd, by_rule = [], []
    for _ in range(epochs):
        for i in range(len(x)):
            trainer.step(x[i : i + 1], t[i : i + 1, None])
            by_retrograd.append(net.flat_parameters.copy())  # the weights, then the bias

            if t[i] * (w @ x[i] + b) <= 0:
                w, b = w + t[i] * x[i], b + t[i]
            by_rule.append(np.append(w, b))
    return np.array(by_retrograd), np.array(by_rule)


def right(x: np.ndarray, t: np.ndarray, weights: np.ndarray) -> int:
    """How many samples lie on their side of the line."""
    return int(np.sum(t * (x @ weights[:-1] + weights[-1]) > 0))


def equal(one: np.ndarray, other: np.ndarray) -> str:
    return "equal bit for bit" if one.tobytes() == other.tobytes() else "NOT EQUAL"


def two_layer_network(seed: int = 0) -> rg.Model:
    return rg.Sequential([rg.Input(2), rg.Dense(4, activation="tanh"), rg.Dense(1)], seed=seed)


def two_layers(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The answers -1 or +1 of a network with a hidden layer. [samples]"""
    net = two_layer_network()
    trainer = rg.Trainer(net, loss="hinge", optimizer=rg.Adam(0.05))
    trainer.fit(x, t, epochs=300, batch_size=4, progress=False)
    return np.sign(net.predict(x)).ravel()


def main() -> dict[str, Any]:
    """Print all of it, and return the weights of both ways and how many samples the lines have right."""
    figures: dict[str, Any] = {}
    for name, t, epochs in (("AND", AND, 10), ("XOR", XOR, 4)):
        ours, rule = learn(X, t, epochs)
        print(f"{name}: two weights and the bias after each step")
        print("epoch    x    t       retrograd          the rule")
        for step, (one, other) in enumerate(zip(ours, rule, strict=True)):
            epoch, i = divmod(step, len(X))
            numbers = "     ".join("".join(f"{value:5.0f}" for value in row) for row in (one, other))
            print(f"{epoch + 1:5}  {X[i, 0]:.0f} {X[i, 1]:.0f}   {t[i]:+.0f}   {numbers}")

        figures[name] = (ours, rule)
        figures[f"{name} right"] = max(right(X, t, weights) for weights in ours)
        print(f"{equal(ours, rule)}; at best {figures[f'{name} right']} of 4 right")

        before, last = ours[-8:-4], ours[-4:]
        moves = "no weight changes" if (last == last[0]).all() else "weights change"
        print(
            f"in the last epoch {moves}; it is the epoch before once more: {np.array_equal(before, last)}\n"
        )

    figures["two layers"] = two_layers(X, XOR)
    print(f"XOR by two layers: {np.sum(figures['two layers'] == XOR)} of 4 right\n")

    images, labels = rg.datasets.digits()
    chosen = labels <= 1
    x, t = images[chosen].astype(np.float32), np.where(labels[chosen] == 1, 1, -1).astype(np.float32)
    ours, rule = learn(x, t, epochs=10)
    figures["digits"], figures["digits right"] = (ours, rule), right(x, t, ours[-1])
    print(f"digits 0 and 1: {len(ours):,} steps, {equal(ours, rule)}; ", end="")
    print(f"{figures['digits right']} of {len(x)} right")
    return figures


if __name__ == "__main__":
    main()
