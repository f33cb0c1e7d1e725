"""Solvers: scikit-learn's own two with its arithmetic, carried out by the core, and any optimizer of ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from retrograd import optim

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd._feed import Core
    from retrograd.trainer import Trainer

_SMALLEST = 1e-6  # "adaptive" ends there


class Solver:
    """An optimizer of ours, as it is.

    Attributes
    ----------
    optimizer
        For the trainer.
    learning_rate
        The present one.
    first_iteration
        What the trainer counts from.
    converged
        Whether it has found by itself that nothing is left to do.
    """

    first_iteration = 0
    converged = False

    def __init__(self, optimizer: optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.learning_rate = optimizer.lr if isinstance(optimizer.lr, float) else math.nan

    def before(self, core: Core) -> Callable[[int, float], None] | None:
        """Set the rate of the next update; what is to be called after each one, if anything."""
        return None

    def resume(self, trainer: Trainer) -> None:
        """Go on with a new trainer that remembers the old one."""

    def epoch_ends(self, trainer: Trainer, samples: int) -> None:
        """After an epoch; ``samples`` have been seen in all."""

    def stops(self, trainer: Trainer, message: str, show: Callable[[str], None]) -> bool:
        """Whether to stop, where nothing has become better for too long."""
        show(f"{message}: done")
        return True

    def unfinished(self, reason: str, epochs: int) -> str:
        """What to warn of after a fit of so many epochs that ended for this reason, if anything."""
        if not reason.startswith("all "):
            return ""
        return f"all {epochs} epochs (max_iter) are done and training has not converged"


class SGD(Solver):
    """v = momentum v - lr g, w += v (or Nesterov's look ahead), with scikit-learn's three kinds of rate."""

    def __init__(self, schedule: str, lr: float, power_t: float, momentum: float, nesterov: bool) -> None:
        super().__init__(optim.SGD(lr, momentum, nesterov=nesterov and momentum > 0))
        self.schedule, self.power_t, self._first = schedule, power_t, lr

    def resume(self, trainer: Trainer) -> None:
        trainer.lr = self.learning_rate

    def epoch_ends(self, trainer: Trainer, samples: int) -> None:
        if self.schedule == "invscaling":
            self._change(trainer, self._first / (samples + 1) ** self.power_t)

    def stops(self, trainer: Trainer, message: str, show: Callable[[str], None]) -> bool:
        if self.schedule != "adaptive":
            return super().stops(trainer, message, show)
        if self.learning_rate <= _SMALLEST:
            show(f"{message}, and the learning rate is {self.learning_rate:g}: done")
            return True
        self._change(trainer, self.learning_rate / 5.0)
        show(f"{message}: the learning rate is now {self.learning_rate:g}")
        return False

    def _change(self, trainer: Trainer, lr: float) -> None:
        # scikit-learn's velocity has the rate in it, ours has not: what was gathered keeps its length
        for slots in trainer.optimizer_state.values():
            if "momentum_buffer" in slots:
                slots["momentum_buffer"][...] *= self.learning_rate / lr
        trainer.lr = self.learning_rate = lr


class Adam(Solver):
    """w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon): v is corrected beside epsilon

    The second form of Kingma and Ba (2015, end of section 2). Ours corrects v first, as PyTorch does; so the
    trainer counts from where its corrections have become 1, and they enter by the rate instead.
    """

    def __init__(self, lr: float, beta_1: float, beta_2: float, epsilon: float) -> None:
        super().__init__(optim.Adam(lr, (beta_1, beta_2), epsilon))
        self._first, self._betas = lr, (beta_1, beta_2)
        largest = max(beta_1, beta_2)
        # beta^t < 2^-60 from there on
        self.first_iteration = math.ceil(60.0 * math.log(2.0) / -math.log(largest)) if largest > 0 else 0

    def _rate(self, t: int) -> float:
        beta_1, beta_2 = self._betas
        return float(self._first * math.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t))

    def before(self, core: Core) -> Callable[[int, float], None] | None:
        def change(iteration: int, loss: float) -> None:
            self.learning_rate = core.lr  # of the step just made
            core.set_lr(self._rate(iteration - self.first_iteration + 1))

        change(core.iteration, 0.0)
        return None if core.lr == self._first else change


def solver_of(estimator: Any) -> Solver:
    """What an estimator's arguments ask for; they have been checked."""
    if estimator.optimizer is not None:
        return Solver(optim.resolve(type(estimator).__name__, estimator.optimizer))
    if estimator.solver == "lbfgs":
        from retrograd.sklearn._lbfgs import LBFGS

        return LBFGS(float(estimator.tol), int(estimator.max_fun))
    if estimator.solver == "sgd":
        return SGD(
            estimator.learning_rate,
            float(estimator.learning_rate_init),
            float(estimator.power_t),
            float(estimator.momentum),
            bool(estimator.nesterovs_momentum),
        )
    return Adam(
        float(estimator.learning_rate_init),
        float(estimator.beta_1),
        float(estimator.beta_2),
        float(estimator.epsilon),
    )
