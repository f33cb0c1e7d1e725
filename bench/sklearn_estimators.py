"""rg.sklearn beside scikit-learn's multi-layer perceptron at equal settings: scores and time.

``python -m bench.sklearn_estimators`` from the root of the repository. One thread each, both in this process
and in turn, five seeds: of the split, the weights and the order of rows. Inputs are scaled; everything else
is as scikit-learn has it by default. Seconds are those of the processor, so that other programs do not enter.
California housing is read from the folder RETROGRAD_DATA, and left out without it.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from time import process_time
from typing import Any

import numpy as np
import retrograd as rg
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

SETS = (
    ("digits", "MLPClassifier", {}),
    ("breast_cancer", "MLPClassifier", {}),
    ("wine", "MLPClassifier", {}),
    ("iris", "MLPClassifier", {}),
    ("moons", "MLPClassifier", {}),
    ("diabetes", "MLPRegressor", {}),
    ("friedman", "MLPRegressor", {}),
    ("california", "MLPRegressor", {"max_iter": 30}),
)


def load(name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Inputs and targets; targets of regression with mean 0 and deviation 1."""
    if name == "california":
        path = Path(os.environ.get("RETROGRAD_DATA", "../shared/data")) / "california_housing.csv"
        if not path.is_file():
            return None
        import pandas as pd

        frame = pd.get_dummies(pd.read_csv(path).dropna(), dtype=float)
        y = frame.pop("median_house_value").to_numpy()
        return frame.to_numpy(), (y - y.mean()) / y.std()
    if name == "moons":
        return datasets.make_moons(1000, noise=0.25, random_state=0)
    if name == "friedman":
        x, y = datasets.make_friedman1(1000, noise=1.0, random_state=0)
    else:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return (x, (y - y.mean()) / y.std()) if name in ("diabetes", "friedman") else (x, y)


def fits(
    name: str, kind: str, settings: dict[str, Any], seed: int, dtype: str
) -> Iterator[tuple[float, float, int]]:
    """Score on the test set, seconds and epochs: ours, then theirs."""
    data = load(name)
    assert data is not None
    x, xt, y, yt = train_test_split(*data, random_state=seed)
    scaler = StandardScaler().fit(x)
    x, xt = scaler.transform(x).astype(dtype), scaler.transform(xt).astype(dtype)
    for module, extra in ((rg.sklearn, {"n_threads": 1}), (neural_network, {})):
        model = getattr(module, kind)(random_state=seed, **settings, **extra)
        start = process_time()
        model.fit(x, y)
        seconds = process_time() - start
        yield model.score(xt, yt), seconds, model.n_iter_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default=",".join(name for name, _, _ in SETS))
    parser.add_argument("--solver", default="adam", choices=("adam", "sgd", "lbfgs"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(
        "| data | dtype | score, retrograd | score, scikit-learn | seconds, retrograd | seconds, scikit-learn"
        " | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    with threadpool_limits(1):
        for name, kind, settings in SETS:
            if name not in arguments.sets.split(",") or load(name) is None:
                continue
            for dtype in ("float64", "float32"):
                given = {"solver": arguments.solver} | settings
                rows = [list(fits(name, kind, given, seed, dtype)) for seed in range(arguments.seeds)]
                ours, other = ([mean(row[k][i] for row in rows) for i in (0, 1)] for k in (0, 1))
                print(
                    f"| {name} | {dtype} | {ours[0]:.4f} | {other[0]:.4f} | {ours[1]:.3f} | {other[1]:.3f} | "
                    f"{ours[1] / other[1]:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
