"""Names that nobody has yet: an LSTM reads first names letter by letter and learns which letter comes next.

PATH is names.txt, a name in a line. A name such as "emma" is read as ".emma" and what follows each letter is
"emma.", where the dot stands for both ends. Names are shorter or longer, so all are padded to one length: a
mask tells the layer which steps are real, and the loss leaves out what comes behind a name's end.

Run it: python examples/char_rnn.py PATH [--epochs 12]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg

LETTERS = ".abcdefghijklmnopqrstuvwxyz"
PADDING = -100  # what CrossEntropy ignores unless it is told otherwise


def encode(names: Sequence[str], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Letters that are read, whether a step is real, and the letters that come next: [names, length] each."""
    read = np.zeros((len(names), length), np.int64)
    following = np.full((len(names), length), PADDING)
    for i, name in enumerate(names):
        numbers = [LETTERS.index(letter) for letter in name]
        read[i, 1 : len(name) + 1] = numbers
        following[i, : len(name) + 1] = [*numbers, 0]
    return read, following != PADDING, following


def build(length: int, units: int, seed: int) -> rg.Model:
    """[names, length] letters and mask -> [names, length, 27] scores of the next letter."""
    letter = rg.Input(length, dtype="int64")
    real = rg.Input(length, dtype="bool")
    x = rg.ops.one_hot(letter, len(LETTERS))
    h = rg.LSTM(units, return_sequences=True)(x, mask=real)
    return rg.Model([letter, real], rg.Dense(len(LETTERS))(h), seed=seed)


def invent(net: rg.Model, length: int, count: int, temperature: float, seed: int) -> list[str]:
    """Names drawn letter by letter from the network's own probabilities.

    A low temperature keeps to likely letters, a high one dares more. The largest of scores with Gumbel noise
    is a draw from their softmax.
    """
    rng = np.random.default_rng(seed)
    read, real = np.zeros((count, length + 1), np.int64), np.ones((count, length), bool)
    for step in range(length):
        scores = net.predict([read[:, :length], real])[:, step] / temperature
        read[:, step + 1] = np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)
    lines = ["".join(LETTERS[number] for number in row[1:]) for row in read]
    return [line.partition(".")[0] for line in lines]


def main(arguments: Sequence[str] | None = None) -> tuple[list[float], list[float], list[str]]:
    """Train, print, and return the losses of training and held-out names after each epoch, and new names."""
    parser = argparse.ArgumentParser(description="Learn first names letter by letter, then invent some.")
    parser.add_argument("path", help="names.txt")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--names", type=int, default=None, help="use only so many (default: all)")
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    with open(options.path, encoding="ascii") as file:
        known = sorted(set(file.read().split()))  # each once, or held-out names would have been trained on
    order = np.random.default_rng(options.seed).permutation(len(known))
    names = [known[i] for i in order[: options.names]]
    length = max(map(len, names)) + 1
    read, real, following = encode(names, length)
    held_out = len(names) // 10
    train, test = slice(held_out, None), slice(0, held_out)

    net = build(length, options.units, options.seed)
    batch_size = 128
    steps = options.epochs * -(-(len(names) - held_out) // batch_size)
    trainer = rg.Trainer(
        net,
        loss="cross_entropy",
        optimizer=rg.Adam(rg.schedules.Cosine(5e-3, steps)),
        clip_norm=1.0,
        seed=options.seed,
    )
    print(f"{len(names) - held_out:,} names to train, {held_out:,} held out; at most {length - 1} letters")
    print(f"loss in nats a letter; {np.log(len(LETTERS)):.3f} is blind guessing")
    losses, held_out_losses = [], []
    for epoch in range(1, options.epochs + 1):
        history = trainer.fit(
            [read[train], real[train]],
            following[train],
            epochs=1,
            batch_size=batch_size,
            validation_data=([read[test], real[test]], following[test]),
            progress=False,
        )
        row = {name: values[-1] for name, values in history.history.items()}
        losses.append(row["loss"])
        held_out_losses.append(row["val_loss"])
        print(
            f"epoch {epoch:2d}   {row['seconds']:5.2f} s"
            f"   training {row['loss']:.3f}   held out {row['val_loss']:.3f}"
        )

    invented = invent(net, length, 20, options.temperature, options.seed)
    print("invented:", ", ".join(invented))
    print(f"{sum(name not in known for name in invented)} of {len(invented)} are in no list")
    return losses, held_out_losses, invented


if __name__ == "__main__":
    main()
