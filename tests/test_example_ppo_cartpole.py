"""PPO as one loss of nodes: its value is that of the paper's formula, and it balances the pole."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import retrograd as rg

pytest.importorskip("gymnasium")


def test_loss(example: Callable[[str], ModuleType]) -> None:
    module = example("ppo_cartpole")
    observation = rg.Input(4)
    outputs = [rg.Dense(2)(observation), rg.Dense(1)(observation)]
    net = rg.Model(observation, outputs, dtype="float64")
    rng = np.random.default_rng(0)
    n = 64
    x, action = rng.normal(size=(n, 4)), rng.integers(0, 2, size=n)
    advantage, returns = rng.normal(size=n), rng.normal(size=n)
    logits, value = net.predict(x)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    old = np.log(p[np.arange(n), action]) + rng.normal(0, 0.3, size=n)  # ratios inside and outside the clip

    ratio = p[np.arange(n), action] / np.exp(old)
    policy = -np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    entropy = -(p * np.log(p)).sum(axis=1)
    expected = policy + 0.5 * (value[:, 0] - returns) ** 2 - 0.01 * entropy
    assert ((ratio < 0.8) | (ratio > 1.2)).any()

    targets = [action, advantage, old, returns]
    trainer = rg.Trainer(net, module.ppo_loss)
    assert trainer.gradients(x, targets) == pytest.approx(expected.mean(), rel=1e-12)
    assert rg.check_gradients(net, x, targets, module.ppo_loss).passed


def test_advantages_stop_where_an_episode_does(example: Callable[[str], ModuleType]) -> None:
    module = example("ppo_cartpole")
    error = np.random.default_rng(1).normal(size=(7, 2))
    over = np.zeros((7, 2), bool)
    over[3, 0] = True
    expected = np.zeros((7, 2))
    for column, ends in ((0, [4, 4, 4, 4, 7, 7, 7]), (1, [7] * 7)):
        for t, end in enumerate(ends):
            powers = (module.GAMMA * module.LAMBDA) ** np.arange(end - t)
            expected[t, column] = powers @ error[t:end, column]
    np.testing.assert_allclose(module.advantages(error, over), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ppo_cartpole(example: Callable[[str], ModuleType], seed: int) -> None:
    returns = example("ppo_cartpole").main(["--seed", str(seed)])
    assert returns.shape == (100,)
    assert returns.mean() >= 475
