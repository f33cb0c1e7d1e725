"""A transformer that reads Shakespeare letter by letter, and then writes some.

Four blocks of attention and a small network each, 128 features, 4 heads, 128 letters at a time: 0.8 million
parameters. PATH is any plain text, such as the 1.1 million letters of tinyshakespeare.txt. The first nine
tenths are learned; the rest says how well, as a loss in nats for each letter (who guesses blindly among 65
has 4.17).

Run it: python examples/char_transformer.py PATH [--epochs 20]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import retrograd as rg

LENGTH, WIDTH, HEADS, BLOCKS = 128, 128, 4, 4


def transformer(letters: int, seed: int) -> rg.Model:
    """Indices [batch, LENGTH] -> scores of the next letter at each place [batch, LENGTH, letters]."""
    x = rg.Input(LENGTH, dtype="int64")
    h = rg.Embedding(letters, WIDTH, weight_init="normal(0.02)")(x)
    h = rg.PositionalEmbedding(LENGTH)(h)
    for _ in range(BLOCKS):
        h = h + rg.MultiHeadAttention(HEADS, causal=True)(rg.LayerNorm()(h))
        wide = rg.Dense(4 * WIDTH, activation="gelu")(rg.LayerNorm()(h))
        h = h + rg.Dense(WIDTH)(wide)
    return rg.Model(x, rg.Dense(letters)(rg.LayerNorm()(h)), seed=seed)


def windows(text: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """The text from ``start`` on in pieces of LENGTH letters, and for each letter the one that follows."""
    count = (len(text) - start - 1) // LENGTH
    x, y = (text[start + shift :][: count * LENGTH] for shift in (0, 1))
    return x.reshape(count, LENGTH), y.reshape(count, LENGTH)


def write(net: rg.Model, text: list[int], count: int, rng: np.random.Generator) -> list[int]:
    """``count`` letters that go on from ``text``, each drawn from the model's own probabilities."""
    for _ in range(count):
        seen = text[-LENGTH:]
        x = np.zeros((1, LENGTH), np.int64)  # what stands behind the last letter is never looked at
        x[0, : len(seen)] = seen
        scores = net.predict(x)[0, len(seen) - 1].astype(np.float64)
        p = np.exp(scores - scores.max())
        text = [*text, int(rng.choice(len(p), p=p / p.sum()))]
    return text


def main(arguments: Sequence[str] | None = None) -> list[float]:
    """Train, print one line an epoch, write, and return the validation loss after each epoch."""
    parser = argparse.ArgumentParser(description="Train a transformer on letters, and let it write.")
    parser.add_argument("path", help="a text file, such as tinyshakespeare.txt")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--letters", type=int, help="use the first so many letters of the text")
    parser.add_argument("--write", type=int, default=500, help="how many letters to write in the end")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    raw = Path(options.path).read_text(encoding="utf-8")[: options.letters]
    alphabet, text = np.unique(list(raw), return_inverse=True)
    cut = len(text) * 9 // 10
    train, validation = text[:cut], windows(text[cut:], 0)
    print(f"{len(train):,} letters to learn from, {len(text) - cut:,} to be tested on, {len(alphabet)} kinds")

    net = transformer(len(alphabet), options.seed)
    steps = options.epochs * -(-(len(train) // LENGTH) // options.batch_size)
    rate = rg.schedules.WarmupCosine(2e-3, warmup=min(200, steps // 5), total=steps, min_lr=1e-4)
    optimizer = rg.AdamW(rate, betas=(0.9, 0.99), weight_decay=0.1)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=optimizer, seed=options.seed)
    rng = np.random.default_rng(options.seed)
    losses = []
    for epoch in range(1, options.epochs + 1):
        # each epoch cuts the text at other places
        x, y = windows(train, int(rng.integers(LENGTH)))
        history = trainer.fit(x, y, epochs=1, batch_size=options.batch_size, progress=False)
        losses.append(trainer.evaluate(*validation)["loss"])
        row = {name: values[-1] for name, values in history.history.items()}
        print(
            f"epoch {epoch:2d}   {row['seconds']:5.1f} s   training {row['loss']:.4f}"
            f"   validation {losses[-1]:.4f} nats a letter",
            flush=True,
        )
    written = write(net, text[cut : cut + 20].tolist(), options.write, rng)
    print("".join(alphabet[written]))
    return losses


if __name__ == "__main__":
    main()
