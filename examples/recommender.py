"""What will a reader give this film? Tables of users and films, learned from ratings alone.

PATH is movielens_100k.npz: 100,000 ratings of 1 to 5 by 943 users for 1,682 films (GroupLens), as the arrays
user and item (counted from 0) and rating. The guess for user u and film i is

    mean + user_bias[u] + item_bias[i] + user_factors[u] . item_factors[i]

so each user and each film has a number of its own, and a few that say what they like and what they are.

Run it: python examples/recommender.py PATH [--epochs 20]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import retrograd as rg

FACTORS = 20


def build(users: int, items: int, mean: float, seed: int) -> rg.Model:
    """The network: a user and a film in, a rating out."""
    user, item = rg.Input((), dtype="int32", name="user"), rg.Input((), dtype="int32", name="item")
    # small factors: at the start the guess is the mean, and no film is liked for what chance gave it
    likes = rg.Embedding(users, FACTORS, weight_init="normal(0.1)", name="user_factors")(user)
    is_like = rg.Embedding(items, FACTORS, weight_init="normal(0.1)", name="item_factors")(item)
    user_bias = rg.Embedding(users, 1, weight_init="zeros", name="user_bias")(user)
    item_bias = rg.Embedding(items, 1, weight_init="zeros", name="item_bias")(item)
    match = rg.ops.sum(likes * is_like, axis=1, keepdims=True)
    return rg.Model([user, item], match + user_bias + item_bias + mean, seed=seed)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print, and return the root of the mean squared error on the test ratings."""
    parser = argparse.ArgumentParser(description="Predict ratings of films.")
    parser.add_argument("path", help="movielens_100k.npz")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    data = np.load(options.path)
    user, item, rating = data["user"], data["item"], data["rating"]
    order = np.random.default_rng(options.seed).permutation(len(rating))
    test, train = np.split(order, [len(rating) // 10])
    mean = float(rating[train].mean())
    print(f"{len(train):,} training and {len(test):,} test ratings, {mean:.2f} on average")

    net = build(int(user.max()) + 1, int(item.max()) + 1, mean, options.seed)
    # there are 53,000 factors for 90,000 ratings: without decay they would learn the ratings by heart
    trainer = rg.Trainer(
        net,
        loss="mean_squared_error",
        optimizer=rg.Adam(3e-3, weight_decay=2e-4),
        param_groups=[rg.ParamGroup("*_bias.weight", weight_decay=0.0)],
        seed=options.seed,
    )
    history = trainer.fit(
        [user[train], item[train]],
        rating[train],
        epochs=options.epochs,
        batch_size=256,
        validation_split=0.05,
        callbacks=[rg.stop.EarlyStopping(patience=2)],
        progress=False,
    )

    guess = np.clip(net.predict([user[test], item[test]]).ravel(), 1, 5)
    rmse = float(np.sqrt(np.mean((guess - rating[test]) ** 2)))
    baseline = float(np.sqrt(np.mean((mean - rating[test]) ** 2)))
    print(f"{history.epochs} epochs: {history.stop_reason}")
    print(f"test RMSE {rmse:.4f} (always the mean: {baseline:.4f})")

    seen = item[user == 0]
    unseen = np.setdiff1d(np.arange(item.max() + 1, dtype=np.int32), seen)
    guess = net.predict([np.zeros_like(unseen), unseen]).ravel()
    best = np.argsort(-guess)[:5]
    print("for user 0:", ", ".join(f"film {unseen[k]} ({guess[k]:.1f})" for k in best))
    return rmse


if __name__ == "__main__":
    main()
