"""XOR: the smallest problem that one layer cannot solve and two can.

Run it: python examples/xor.py
"""

from __future__ import annotations

import numpy as np
import retrograd as rg

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
T = np.array([0, 1, 1, 0], dtype=np.float32)


def main(epochs: int = 500) -> np.ndarray:
    """Train, print, and return the four probabilities."""
    net = rg.Sequential([rg.Input(2), rg.Dense(8, activation="tanh"), rg.Dense(1)], seed=0)
    # the output is a logit: the loss applies the sigmoid itself, and predict_proba does so for us
    trainer = rg.Trainer(net, loss="binary_cross_entropy", optimizer=rg.Adam(0.05))
    history = trainer.fit(X, T, epochs=epochs, batch_size=4, progress=False)

    probability = net.predict_proba(X).ravel()
    losses = history.history["loss"]
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.6f} in {epochs} epochs")
    for x, t, p in zip(X, T, probability, strict=True):
        print(f"{x[0]:.0f} xor {x[1]:.0f} = {t:.0f}   predicted {p:.4f}")
    return probability


if __name__ == "__main__":
    main()
