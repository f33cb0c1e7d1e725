"""The textbook network by hand: every number of one training step, by NumPy and by retrograd.

Two inputs, two hidden sigmoid units, one sigmoid output, half squared error, one example, one SGD step:

    x1 --- h1 ---.
       \\ /        y        L = 1/2 (y - t)^2
       / \\        |
    x2 --- h2 ---'

Run it: python examples/by_hand.py
"""

from __future__ import annotations

import numpy as np
import retrograd as rg

X = np.array([[0.35, 0.90]])
T = np.array([[0.50]])
W1 = np.array([[0.10, 0.80], [0.40, 0.60]])  # W1[i, j]: from input j to hidden unit i
B1 = np.array([0.05, -0.10])
W2 = np.array([[0.30, 0.90]])
B2 = np.array([0.20])
LEARNING_RATE = 0.5


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-z))


def by_numpy() -> dict[str, np.ndarray]:
    """The formulas as a textbook prints them."""
    # forward: each layer from the one before
    z1 = X @ W1.T + B1
    a1 = sigmoid(z1)
    z2 = a1 @ W2.T + B2
    y = sigmoid(z2)
    loss = 0.5 * np.sum((y - T) ** 2)

    # backward: each error from the one behind
    delta2 = (y - T) * y * (1.0 - y)
    delta1 = (delta2 @ W2) * a1 * (1.0 - a1)
    dW2, db2 = delta2.T @ a1, delta2.sum(axis=0)
    dW1, db1 = delta1.T @ X, delta1.sum(axis=0)

    return {
        "z hidden": z1,
        "a hidden": a1,
        "z output": z2,
        "y": y,
        "L": np.array(loss),
        "delta output": delta2,
        "delta hidden": delta1,
        "dW output": dW2,
        "db output": db2,
        "dW hidden": dW1,
        "db hidden": db1,
        "new W output": W2 - LEARNING_RATE * dW2,
        "new b output": B2 - LEARNING_RATE * db2,
        "new W hidden": W1 - LEARNING_RATE * dW1,
        "new b hidden": B1 - LEARNING_RATE * db1,
    }


def by_retrograd() -> dict[str, np.ndarray]:
    """The same step by the library: trace shows what happens inside, step does it."""
    net = rg.Sequential(
        [
            rg.Input(2),
            rg.Dense(2, activation="sigmoid", weight_init=W1, bias_init=B1, name="hidden"),
            rg.Dense(1, activation="sigmoid", weight_init=W2, bias_init=B2, name="output"),
        ],
        dtype="float64",
    )
    trainer = rg.Trainer(net, loss="half_squared_error", optimizer=rg.SGD(LEARNING_RATE))
    trace = trainer.trace(X, T)
    trainer.step(X, T)
    hidden, output, new = trace["hidden"], trace["output"], net.parameters
    return {
        "z hidden": hidden.z,
        "a hidden": hidden.a,
        "z output": output.z,
        "y": trace.yhat,
        "L": np.array(trace.loss),
        "delta output": output.delta,
        "delta hidden": hidden.delta,
        "dW output": output.dW,
        "db output": output.db,
        "dW hidden": hidden.dW,
        "db hidden": hidden.db,
        "new W output": new["output.weight"],
        "new b output": new["output.bias"],
        "new W hidden": new["hidden.weight"],
        "new b hidden": new["hidden.bias"],
    }


def main() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    ours, theirs = by_numpy(), by_retrograd()
    print(f"{'':16}{'NumPy':>20}{'retrograd':>20}{'difference':>12}")
    for name, value in ours.items():
        for index in np.ndindex(value.shape):
            label = name + (f"[{', '.join(map(str, index))}]" if index else "")
            a, b = value[index], theirs[name][index]
            print(f"{label:20}{a:16.12f}{b:20.12f}{abs(a - b):12.0e}")
    return {name: (ours[name], theirs[name]) for name in ours}


if __name__ == "__main__":
    main()
