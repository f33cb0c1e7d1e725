"""What training recorded: one row of numbers for every epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

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
