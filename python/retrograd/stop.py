"""Rules that end training, given to ``fit`` as callbacks. Each says in ``history.stop_reason`` why it did."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import Record, flag, integer, real, unknown
from retrograd.callbacks import Callback, monitored
from retrograd.errors import ArgumentError
from retrograd.metrics import larger_is_better

if TYPE_CHECKING:
    from retrograd._core import Array
    from retrograd.trainer import Trainer

__all__ = [
    "EarlyStopping",
    "ErrorBelow",
    "GradientNormBelow",
    "LossBelow",
    "LossChangeBelow",
    "MaxSeconds",
]


class Rule(Record, Callback):
    """A callback that keeps count: unlike other records it changes while it is used, and is only itself."""

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def state_dict(self) -> dict[str, Any]:
        """What it has counted so far, for a checkpoint."""
        return {name: value for name, value in self.__dict__.items() if name.startswith("_")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting from there."""
        self.__dict__.update(state)


class EarlyStopping(Rule):
    """Stop when nothing has become better for ``patience`` epochs, and go back to the best.

    Parameters
    ----------
    monitor
        The quantity to watch, as it is called in the history.
    mode
        ``"min"``, ``"max"``, or ``"auto"``: max for accuracies and the like, else min.
    patience
        How many epochs without improvement are enough.
    min_delta
        A change no larger than this is no improvement.
    start_from_epoch
        Epochs that are not looked at.
    restore_best
        Whether the parameters of the best epoch are put back in the end, however training ends by itself.

    Raises
    ------
    ArgumentError
        A number that cannot be, or, when training begins, a monitor that does not exist.
    """

    monitor: str
    mode: str
    patience: int
    min_delta: float
    start_from_epoch: int
    restore_best: bool
    _parameters: Array | None = None

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        patience: int = 5,
        min_delta: float = 0.0,
        start_from_epoch: int = 0,
        restore_best: bool = True,
    ) -> None:
        if mode not in ("auto", "min", "max"):
            raise unknown("EarlyStopping: mode", mode, ("auto", "min", "max"))
        self._set(
            monitor=monitor,
            mode=mode,
            patience=integer("EarlyStopping: patience", patience, 0),
            min_delta=real("EarlyStopping: min_delta", min_delta, 0.0),
            start_from_epoch=integer("EarlyStopping: start_from_epoch", start_from_epoch, 0),
            restore_best=flag("EarlyStopping: restore_best", restore_best),
        )

    def _sign(self) -> float:
        if self.mode == "auto":
            return -1.0 if larger_is_better(self.monitor) else 1.0
        return -1.0 if self.mode == "max" else 1.0

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        monitored("EarlyStopping", self.monitor, trainer)
        self._best, self._best_epoch, self._waited, self._seen = math.inf, 0, 0, 0
        self._parameters = None

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        self._seen += 1
        if self._seen <= self.start_from_epoch:
            return
        value = self._sign() * logs[self.monitor]
        if value < self._best - self.min_delta:
            self._best, self._best_epoch, self._waited = value, trainer.epoch, 0
            if self.restore_best:
                self._keep(trainer)
            return
        self._waited += 1
        if self._waited >= self.patience:
            best = f"{self._sign() * self._best:.6g} of epoch {self._best_epoch}"
            trainer.stop(
                f"EarlyStopping: {self.monitor} has not improved on {best} for {self._waited} epochs"
                + (", whose parameters are restored" if self._parameters is not None else "")
            )

    def _keep(self, trainer: Trainer) -> None:
        flat = trainer.model.flat_parameters
        if self._parameters is None:
            self._parameters = flat.copy()
        else:
            np.copyto(self._parameters, flat)

    def on_train_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        if self._parameters is not None:
            np.copyto(trainer.model.flat_parameters, self._parameters)
        self._parameters = None


class LossBelow(Rule):
    """Stop when the training loss of an epoch is below ``value``.

    Raises
    ------
    ArgumentError
        Not a finite number.
    """

    value: float

    def __init__(self, value: float) -> None:
        self._set(value=real("LossBelow: value", value))

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        if logs["loss"] < self.value:
            trainer.stop(f"LossBelow: loss {logs['loss']:.6g} is below {self.value:g}")


class LossChangeBelow(Rule):
    """Stop when the training loss changed by less than ``tol`` in each of ``patience`` epochs running.

    Raises
    ------
    ArgumentError
        tol not above 0, or patience below 1.
    """

    tol: float
    patience: int

    def __init__(self, tol: float, patience: int = 1) -> None:
        self._set(
            tol=real("LossChangeBelow: tol", tol, above=0.0),
            patience=integer("LossChangeBelow: patience", patience),
        )

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        self._last, self._calm = math.inf, 0

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        change = abs(logs["loss"] - self._last)
        self._last = logs["loss"]
        self._calm = self._calm + 1 if change < self.tol else 0
        if self._calm >= self.patience:
            trainer.stop(
                f"LossChangeBelow: loss changed by {change:.3g}, less than {self.tol:g}, for {self._calm} "
                "epochs"
            )


class ErrorBelow(Rule):
    """Stop when |yhat - y| is below ``tol`` for a fraction of the training samples.

    The outputs are those of the epoch itself, each as it was before its batch's update. A sample counts by
    the largest error of its outputs; for labels, yhat is the probability of each class.

    Raises
    ------
    ArgumentError
        tol not above 0, fraction not in 0 < fraction <= 1, or, when training begins, a custom loss whose
        targets cannot be compared with the outputs.
    """

    tol: float
    fraction: float
    needs_outputs = True

    def __init__(self, tol: float, fraction: float = 1.0) -> None:
        self._set(
            tol=real("ErrorBelow: tol", tol, above=0.0),
            fraction=real("ErrorBelow: fraction", fraction, high=1.0, above=0.0),
        )

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        if trainer.has_custom_loss:
            raise ArgumentError(
                "ErrorBelow: a loss of one's own does not say what its outputs should be; use LossBelow"
            )

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        share = float(np.mean(trainer.training_errors() < self.tol))
        if share >= self.fraction:
            trainer.stop(f"ErrorBelow: |yhat - y| is below {self.tol:g} for {share:.4g} of the samples")


class GradientNormBelow(Rule):
    """Stop when the gradient's norm, as the mean over an epoch's iterations, is below ``tol``.

    Raises
    ------
    ArgumentError
        tol is not above 0.
    """

    tol: float

    def __init__(self, tol: float) -> None:
        self._set(tol=real("GradientNormBelow: tol", tol, above=0.0))

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        if logs["gradient_norm"] < self.tol:
            trainer.stop(
                f"GradientNormBelow: the gradient's norm {logs['gradient_norm']:.3g} is below {self.tol:g}"
            )


class MaxSeconds(Rule):
    """Stop once training has taken so many seconds, in the middle of an epoch if need be.

    Raises
    ------
    ArgumentError
        seconds is not above 0.
    """

    seconds: float
    _begin = math.inf

    def __init__(self, seconds: float) -> None:
        self._set(seconds=real("MaxSeconds: seconds", seconds, above=0.0))

    def on_train_begin(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        self._begin = perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {"passed": perf_counter() - self._begin}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._begin = perf_counter() - state["passed"]

    def on_tick(self, trainer: Trainer) -> None:
        """Called every tenth of a second within an epoch."""
        passed = perf_counter() - self._begin
        if passed >= self.seconds:
            trainer.stop(f"MaxSeconds: {passed:.1f} s have passed, of {self.seconds:g} s allowed")

    def on_epoch_end(self, trainer: Trainer, logs: dict[str, Any]) -> None:
        self.on_tick(trainer)
