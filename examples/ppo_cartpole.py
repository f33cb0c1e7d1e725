"""PPO balances a pole: reinforcement learning where the whole objective is one loss of nodes.

One network has two outputs: logits of the two actions (push left, push right), and the value, the reward it
expects from here on. Rounds alternate: play in several environments at once, then improve by a few epochs of
`fit` on what was played, with the loss of Schulman et al., 2017 (arXiv 1707.06347):

    -min(r A, clip(r, 1 - c, 1 + c) A)  +  1/2 (V - R)^2  -  0.01 entropy,    r = p(action) / p_old(action)

A, the advantage, is how much better an action turned out than expected (GAE, arXiv 1506.02438), and R is
A + V_old. A pole that stands for 500 steps has the largest return there is; 475 counts as solved.

Run it: pip install "retrograd[examples]" (gymnasium, the game); python examples/ppo_cartpole.py [--seed 0]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter

import gymnasium
import numpy as np
import retrograd as rg

ENVIRONMENTS, STEPS = 8, 32  # a round is 8 x 32 steps
GAMMA, LAMBDA, CLIP = 0.98, 0.8, 0.2


def ppo_loss(outputs: list[rg.Node], targets: list[rg.Node]) -> rg.Node:
    """The clipped objective, the error of the value and the entropy, for each sample."""
    logits, value = outputs
    action, advantage, old_log_p, expected_return = targets
    log_p = rg.ops.log_softmax(logits)
    ratio = rg.ops.exp(rg.ops.sum(log_p * rg.ops.one_hot(action, 2), axis=-1) - old_log_p)
    clipped = rg.ops.clip(ratio, 1 - CLIP, 1 + CLIP)
    policy = -rg.ops.minimum(ratio * advantage, clipped * advantage)
    error = rg.ops.square(rg.ops.sum(value, axis=-1) - expected_return)
    entropy = -rg.ops.sum(rg.ops.exp(log_p) * log_p, axis=-1)
    return policy + 0.5 * error - 0.01 * entropy


def network(seed: int) -> rg.Model:
    x = rg.Input(4)  # position, speed, angle, angular speed
    h = rg.Dense(64, activation="tanh")(rg.Dense(64, activation="tanh")(x))
    g = rg.Dense(64, activation="tanh")(rg.Dense(64, activation="tanh")(x))
    return rg.Model(x, [rg.Dense(2, name="logits")(h), rg.Dense(1, name="value")(g)], seed=seed)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))


class Player:
    """Plays on and on in several environments, and remembers where it stopped."""

    def __init__(self, net: rg.Model, seed: int) -> None:
        self.net, self.rng = net, np.random.default_rng(seed)
        self.environments = gymnasium.make_vec(
            "CartPole-v1", ENVIRONMENTS, vectorization_mode="vector_entry_point"
        )
        self.x, _ = self.environments.reset(seed=seed)
        self.over = np.zeros(ENVIRONMENTS, bool)

    def play(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """A round: observations, and the targets of the loss: actions, advantages, log p and returns."""
        shape = (STEPS, ENVIRONMENTS)
        x, action = np.empty((*shape, 4), np.float32), np.empty(shape, np.int64)
        log_p, value, error = np.empty((3, *shape))
        real, over = np.empty((2, *shape), bool)
        logits, v = self.net.predict(self.x)
        for t in range(STEPS):
            x[t], value[t], real[t] = self.x, v[:, 0], ~self.over
            p = log_softmax(logits)
            action[t] = self.rng.random(ENVIRONMENTS) < np.exp(p[:, 1])
            log_p[t] = p[np.arange(ENVIRONMENTS), action[t]]

            # where an episode was over, this step begins the next one, whatever the action: it is not `real`
            self.x, reward, fallen, too_long, _ = self.environments.step(action[t])
            self.over = over[t] = fallen | too_long
            logits, v = self.net.predict(self.x)
            error[t] = (
                reward + GAMMA * v[:, 0] * ~fallen - value[t]
            )  # one cut short is worth what was to come

        advantage = advantages(error, over)
        returns = advantage + value
        advantage = (advantage - advantage[real].mean()) / (advantage[real].std() + 1e-8)
        return x[real], [array[real] for array in (action, advantage, log_p, returns)]


def advantages(error: np.ndarray, over: np.ndarray) -> np.ndarray:
    """GAE: the sum over k of (gamma lambda)^k error_(t + k), to the episode's end. [steps, environments]"""
    result, later = np.empty(error.shape), np.zeros(error.shape[1])
    for t in reversed(range(len(error))):
        later = result[t] = error[t] + GAMMA * LAMBDA * later * ~over[t]
    return result


def evaluate(net: rg.Model, episodes: int, seed: int) -> np.ndarray:
    """The return of each episode, always taking the action that is more likely. [episodes]"""
    environments = gymnasium.make_vec("CartPole-v1", episodes, vectorization_mode="vector_entry_point")
    x, _ = environments.reset(seed=seed)
    returns, alive = np.zeros(episodes), np.ones(episodes, bool)
    while alive.any():
        x, reward, fallen, too_long, _ = environments.step(net.predict(x)[0].argmax(axis=1))
        returns += reward * alive
        alive &= ~(fallen | too_long)
    return returns


def main(arguments: Sequence[str] | None = None) -> np.ndarray:
    """Train, print, and return the returns of 100 episodes that were not trained on."""
    parser = argparse.ArgumentParser(description="Balance a pole by PPO.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    started = perf_counter()
    net = network(options.seed)
    trainer = rg.Trainer(net, loss=ppo_loss, optimizer=rg.Adam(1e-3), clip_norm=0.5, seed=options.seed)
    player = Player(net, options.seed)
    for turn in range(options.rounds):
        trainer.lr = 1e-3 * (1 - turn / options.rounds)
        x, targets = player.play()
        trainer.fit(x, targets, epochs=20, batch_size=256, progress=False)
        if (turn + 1) % 25 == 0:
            mean, seconds = evaluate(net, 20, options.seed + 1000).mean(), perf_counter() - started
            print(f"round {turn + 1:4d}   {seconds:5.1f} s   average return {mean:5.1f}")

    returns = evaluate(net, 100, options.seed + 2000)
    print(f"average return over 100 episodes: {returns.mean():.1f}, the worst {returns.min():.0f}")
    return returns


if __name__ == "__main__":
    main()
