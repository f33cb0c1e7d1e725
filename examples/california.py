"""House prices in California: a table with gaps and a text column, as tables are.

PATH is california_housing.csv (20,640 districts of the 1990 census): eight numbers, one of them with gaps,
the text column ocean_proximity, and the target median_house_value in dollars. pandas reads the file where
it is installed, the csv module otherwise; from there on it is the same.

Run it: python examples/california.py PATH [--epochs 60]
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence

import numpy as np
import retrograd as rg

TARGET, TEXT = "median_house_value", "ocean_proximity"


def read_table(path: str) -> dict[str, np.ndarray]:
    """One array per column: text as it is, numbers as float64 with NaN for a gap."""
    try:
        import pandas as pd
    except ImportError:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        return {
            name: np.array(values if name == TEXT else [float(v) if v else np.nan for v in values])
            for name, values in columns.items()
        }
    frame = pd.read_csv(path)
    return {name: frame[name].to_numpy(str if name == TEXT else np.float64) for name in frame.columns}


def prepare(table: dict[str, np.ndarray], training: np.ndarray) -> np.ndarray:
    """Features [rows, columns], every choice made from the training rows alone.

    A gap becomes the median, and a column of its own says where that happened. Counts spread over four
    orders of magnitude, so their logarithm is used. The text becomes one column of 0 and 1 per category.
    """
    columns = []
    for name, values in table.items():
        if name in (TARGET, TEXT):
            continue
        gaps = np.isnan(values)
        if gaps.any():
            columns.append(gaps.astype(np.float64))
            values = np.where(gaps, np.median(values[training & ~gaps]), values)
        if name.startswith("total_") or name in ("population", "households"):
            values = np.log(values)
        columns.append((values - values[training].mean()) / values[training].std())
    columns += [(table[TEXT] == category).astype(np.float64) for category in np.unique(table[TEXT][training])]
    return np.stack(columns, axis=1).astype(np.float32)


def network(features: int, seed: int) -> rg.Model:
    return rg.Sequential(
        [rg.Input(features), rg.Dense(64, activation="relu"), rg.Dense(64, activation="relu"), rg.Dense(1)],
        seed=seed,
    )


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print, and return the root of the mean squared error on the test rows, in dollars."""
    parser = argparse.ArgumentParser(description="Predict house prices in California.")
    parser.add_argument("path", help="california_housing.csv")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    table = read_table(options.path)
    dollars = table[TARGET]
    training = np.random.default_rng(options.seed).random(len(dollars)) < 0.8
    test = ~training
    x = prepare(table, training)
    mean, std = dollars[training].mean(), dollars[training].std()
    y = ((dollars - mean) / std).astype(np.float32)  # a network starts near 0 and learns steps of size 1
    print(f"{training.sum():,} training and {test.sum():,} test rows of {x.shape[1]} features")

    net = network(x.shape[1], options.seed)
    trainer = rg.Trainer(net, loss="mean_squared_error", optimizer=rg.Adam(2e-3), seed=options.seed)
    history = trainer.fit(
        x[training],
        y[training],
        epochs=options.epochs,
        batch_size=128,
        validation_split=0.1,
        callbacks=[rg.stop.EarlyStopping(patience=10)],
        progress=False,
    )

    guess = net.predict(x[test]).ravel() * std + mean
    rmse = float(np.sqrt(np.mean((guess - dollars[test]) ** 2)))
    baseline = float(np.sqrt(np.mean((mean - dollars[test]) ** 2)))
    print(f"{history.epochs} epochs: {history.stop_reason}")
    print(f"test RMSE ${rmse:,.0f} (always the mean: ${baseline:,.0f})")
    return rmse


if __name__ == "__main__":
    main()
