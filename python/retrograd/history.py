"""What training recorded: one row of numbers for every epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrograd._course import Phases, RunVerdict

__all__ = ["History"]


class History:
    """All epochs of a trainer, over all its calls of ``fit``.

    Attributes
    ----------
    history
        ``{"loss": [...], "val_loss": [...], ...}``: a list for each quantity with a number for each epoch
        (NaN for epochs that did not have it).
    epochs
        How many epochs are complete.
    iterations
        How many updates were made in all, those of an epoch that was broken off included.
    stop_reason
        Why the last ``fit`` ended, as a sentence; "" while it runs.
    """

    history: dict[str, list[float]]
    epochs: int
    iterations: int
    stop_reason: str

    def __init__(self) -> None:
        self.history = {}
        self.epochs = 0
        self.iterations = 0
        self.stop_reason = ""

    def add(self, row: Mapping[str, float]) -> None:
        """One more epoch."""
        for name in row:
            if name not in self.history:
                self.history[name] = [math.nan] * self.epochs
        self.epochs += 1
        for name, values in self.history.items():
            values.append(row.get(name, math.nan))

    @property
    def best_epoch(self) -> int | None:
        """The epoch, counted from 1, with the lowest validation loss (the lowest loss if there is none)."""
        values = self.history.get("val_loss") or self.history.get("loss") or []
        finite = [(value, epoch) for epoch, value in enumerate(values, 1) if not math.isnan(value)]
        return min(finite)[1] if finite else None

    def phases(self) -> Phases:
        """The phases of the run, by how much of its whole fall the training loss has behind it.

        early: until 63 % (1 - 1/e, where a decay that were exponential has spent its time constant); middle:
        until 95 %; late: until 99 %; plateau: the rest. The fall goes from the loss of the first epoch to the
        lowest of all, and a phase ends with the first epoch whose running minimum reaches its share, so
        noise and spikes do not count. The last three may have no epochs: a run that was still falling has no
        plateau, a run of one epoch is early, a loss that never fell is a plateau.

        Raises
        ------
        StateError
            There is no loss yet.
        """
        from retrograd._course import phases

        return phases(self.history)

    def verdict(self) -> RunVerdict:
        """Whether the run was too short, too long, or right; prints as a sentence with its numbers.

        The first of these that holds, where v is the validation loss (the training loss where there is none,
        and then neither overfitting nor too many epochs are seen) and its end is the median of its last three
        epochs, or of those since the best where they are fewer:

        - too few epochs: less than 3, of which nothing can be said;
        - overfitting: v ends more than 10 % above its lowest, more than epochs usually differ, while the
          training loss fell on; a rise of less than 1 % of the fall that led there is too small to be felt;
        - underfitting: the training loss never fell by 1 % below that of the first epoch;
        - too few epochs: v gained 5 % of its whole fall or more in the last fifth of the epochs; an
          exponential decay does so until it has run for 2.7 time constants and 93 % of the way;
        - underfitting: the training loss stopped above half of that of the first epoch, v is within 10 % of
          it, so that learning by heart is not the trouble, and no ``accuracy`` of 90 % says otherwise;
        - too many epochs: v was lowest in the first half of the run, and the rest gained nothing;
        - good.

        Raises
        ------
        StateError
            There is no loss yet.
        """
        from retrograd._course import verdict

        return verdict(self.history)

    def plot(self, *arguments: Any, **options: Any) -> Any:
        """``rg.plot.history(self, ...)``; needs matplotlib."""
        from importlib import import_module

        return import_module("retrograd.plot").history(self, *arguments, **options)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and strings, for JSON for instance."""
        return {
            "history": {name: list(values) for name, values in self.history.items()},
            "epochs": self.epochs,
            "iterations": self.iterations,
            "best_epoch": self.best_epoch,
            "stop_reason": self.stop_reason,
        }

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each epoch, its index the epoch counted from 1. Needs pandas."""
        from importlib import import_module

        pandas = import_module("pandas")
        index = pandas.RangeIndex(1, self.epochs + 1, name="epoch")
        return pandas.DataFrame(self.history, index=index)

    def __len__(self) -> int:
        return self.epochs

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        last = ", ".join(
            f"{name}={values[-1]:.4g}"
            for name, values in self.history.items()
            if name.endswith("loss") and values and not math.isnan(values[-1])
        )
        parts = [f"{self.epochs} epochs", f"{self.iterations} iterations"]
        parts += [last] if last else []
        parts += [f"best epoch {self.best_epoch}"] if self.best_epoch else []
        parts += [f"stopped: {self.stop_reason}"] if self.stop_reason else []
        return f"<History: {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        from retrograd._curve import history_html

        return history_html(self)
