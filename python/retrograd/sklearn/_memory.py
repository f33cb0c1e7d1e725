"""What a trainer remembers, as plain arrays: an estimator's pickle goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from retrograd.sklearn._batches import EstimatorTrainer


class Memory:
    """Optimizer slots, counters, the present rate and the history."""

    def __init__(self, trainer: EstimatorTrainer) -> None:
        self._slots = {
            name: {slot: view.copy() for slot, view in slots.items()}
            for name, slots in trainer.optimizer_state.items()
        }
        self._iteration, self._epoch = trainer.iteration, trainer.epoch
        self._schedule = trainer.schedule_state
        self._solver, self._history = trainer.solver, trainer.history

    def restore(self, trainer: EstimatorTrainer) -> None:
        """Into a new trainer with the same solver."""
        for name, slots in self._slots.items():
            for slot, value in slots.items():
                np.copyto(trainer.optimizer_state[name][slot], value)
        trainer.iteration, trainer.epoch = self._iteration, self._epoch
        trainer.go_on(self._solver, self._history)
        if self._schedule:
            trainer.schedule_state = self._schedule
