"""A session of what the caller of ``rg.play`` has: nothing, data, or a network with its data."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrograd import losses
from retrograd._arguments import unknown
from retrograd._play.config import Config
from retrograd._play.look import columns_of
from retrograd._play.run import Given
from retrograd._play.scenes import given_scene
from retrograd._play.session import Session
from retrograd.errors import ArgumentError
from retrograd.model import Model
from retrograd.optim import SGD
from retrograd.trainer import Trainer

__all__ = ["session_for"]

RATE = 0.05  # of plain SGD, where no optimizer is given

# What holds for a network that was given; the rest is in the network.
_BESIDE = ("batch_size", "test_share", "seed", "l1", "l2", "clip_norm", "stop_epoch", "stop_loss")


def session_for(
    net: Model | None = None,
    x: Any = None,
    y: Any = None,
    *,
    loss: Any = None,
    optimizer: Any = None,
    **settings: Any,
) -> Session:
    """A session to begin with.

    Parameters
    ----------
    net
        A Sequential of Dense, Activation, Dropout and normalisation layers; it is trained itself. None: the
        network of the settings.
    x, y
        Its samples and targets. Without a network: points [n, inputs] and labels or values, up to 2,000.
    loss, optimizer
        As for :class:`retrograd.Trainer`. The loss is guessed from the output and y where it is None; the
        optimizer is then ``rg.SGD(0.05)``.
    settings
        Of the page, by their names: ``dataset="moons"``, ``hidden=[8, 8]``, ``lr=0.1``, ``seed=3``. For a
        network that is given batch_size, test_share, seed, l1, l2, clip_norm, stop_epoch, stop_loss.

    Raises
    ------
    ArgumentError
        A setting that cannot be, a network that cannot be drawn, or data without a network it belongs to.
    ShapeError, DTypeError
        The data does not fit the network.
    """
    if net is None:
        if loss is not None or optimizer is not None:
            settings |= {name: value for name, value in (("loss", loss), ("optimizer", optimizer)) if value}
        if x is not None:
            settings |= {"dataset": "points", "data": _own(x, y)}
        return Session(Config().changed(settings))
    if not isinstance(net, Model):
        raise ArgumentError(f"play: expected a network or nothing, got {type(net).__name__}")
    if x is None or y is None:
        raise ArgumentError("play: a network needs data to be trained with: play(net, x, y)")
    for name in settings:
        if name not in _BESIDE:
            raise unknown("play: setting of a network that is given", name, _BESIDE)
    columns_of(net)
    y = np.asarray(y)
    kind = _guessed(net, y) if loss is None else loss
    # a trainer says what does not fit before anything is drawn
    checked_x, checked_y, _ = Trainer(net, kind, "sgd")._whole(x, y, None)
    config = Config(dataset="given", optimizer="given", lr=None, batch_size=32, test_share=0.0).changed(
        settings
    )
    scene = given_scene(checked_x[0], checked_y[0], kind, config.test_share, config.seed)
    return Session(config, Given(net, kind, SGD(RATE) if optimizer is None else optimizer, scene))


def _guessed(net: Model, y: Any) -> Any:
    """The loss that fits the output and the targets."""
    output = net.outputs[0]
    units = output.shape[-1]
    if output.op == "softmax" or (units != 1 and y.ndim == 1 and y.dtype.kind in "iu"):
        return losses.CrossEntropy()
    if output.op == "sigmoid" or (units == 1 and y.dtype.kind in "iub" and np.isin(y, (0, 1)).all()):
        return losses.BinaryCrossEntropy()
    return losses.MeanSquaredError()


def _own(x: Any, y: Any) -> dict[str, Any]:
    """Arrays as own points: whole numbers from 0 on are classes, others values."""
    if y is None:
        raise ArgumentError("play: x came without y; give labels or values for its rows")
    points, targets = np.asarray(x), np.asarray(y)
    if points.ndim != 2 or targets.shape != (len(points),) or targets.dtype.kind not in "iufb":
        raise ArgumentError(
            f"play: without a network x must be (n, inputs) and y (n,), got {points.shape} "
            f"and {targets.shape}"
        )
    whole = targets.dtype.kind in "iub" and targets.min(initial=0) >= 0
    return {
        "x": points.tolist(),
        "y": targets.astype(np.float64).tolist(),
        "task": "classes" if whole else "value",
    }
