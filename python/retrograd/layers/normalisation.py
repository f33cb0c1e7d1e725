"""Layers that keep numbers in a good range, and dropout."""

from __future__ import annotations

from retrograd._arguments import flag, real
from retrograd.layers.base import Layer

__all__ = ["BatchNorm", "Dropout", "LayerNorm", "RMSNorm"]


class BatchNorm(Layer):
    """Each feature with mean 0 and variance 1 over the batch: a = (x - mean) / sqrt(var + eps) w + b.

    [batch, ..., n] -> [batch, ..., n]; the statistics are over all axes but the last (Ioffe and Szegedy,
    2015). In training they are the batch's own, and the buffers ``running_mean`` and ``running_var`` follow
    them with every committed step; prediction and evaluation use the buffers. ``net.freeze`` of the layer
    makes training use them too, unchanged.

    Parameters
    ----------
    eps
        Added to the variance.
    momentum
        The share of the batch: running = (1 - momentum) running + momentum batch. The running variance takes
        the batch's over n - 1.
    affine
        Whether there are w and b: ``weight`` and ``bias``, both [n].
    name
        Default: ``batch_norm_0``, ...

    Raises
    ------
    ArgumentError
        eps not above 0, or momentum not from 0 to 1.
    ShapeError
        A training batch with one number for each feature (when trained).
    """

    eps: float
    momentum: float
    affine: bool

    def __init__(
        self, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True, name: str | None = None
    ) -> None:
        who = name if isinstance(name, str) and name else "BatchNorm"
        self._set(
            eps=real(f"{who}: eps", eps, above=0.0),
            momentum=real(f"{who}: momentum", momentum, 0.0, 1.0),
            affine=flag(f"{who}: affine", affine),
            name=name,
        )
        self._build("batch_norm", {"eps": self.eps, "momentum": self.momentum, "affine": self.affine})


class Dropout(Layer):
    """In training each number is 0 with probability ``rate``, else x / (1 - rate); otherwise a = x.

    (Srivastava et al., 2014.) What is dropped depends on the trainer's seed, the iteration and the position
    in the batch: not on the number of threads, and it is the same again after a resume.

    Parameters
    ----------
    rate
        The share that is dropped, from 0 to below 1.

    Raises
    ------
    ArgumentError
        Another rate.
    """

    rate: float

    def __init__(self, rate: float, name: str | None = None) -> None:
        who = name if isinstance(name, str) and name else "Dropout"
        self._set(rate=real(f"{who}: rate", rate, 0.0, below=1.0), name=name)
        self._build("dropout", {"rate": self.rate})


class LayerNorm(Layer):
    """a = (x - mean) / sqrt(variance + eps) * weight + bias, over the last axis of each row.

    [batch, ..., n] -> [batch, ..., n]; weight and bias are [n] and begin at 1 and 0. The variance is the mean
    square of x - mean (Ba, Kiros and Hinton, "Layer normalization", 2016).

    Parameters
    ----------
    eps
        What keeps a row of equal numbers from being divided by 0.
    name
        Default: ``layer_norm_0``, ``layer_norm_1``, ...

    Raises
    ------
    ArgumentError
        eps is not a number above 0.
    """

    eps: float

    def __init__(self, eps: float = 1e-5, name: str | None = None) -> None:
        who = name if isinstance(name, str) and name else "LayerNorm"
        self._set(eps=real(f"{who}: eps", eps, 0.0, 1e30, above=0.0), name=name)
        self._build("layer_norm", {"eps": self.eps})


class RMSNorm(Layer):
    """a = x / sqrt(mean(x^2) + eps) * weight, over the last axis of each row.

    [batch, ..., n] -> [batch, ..., n]; weight is [n] and begins at 1 (Zhang and Sennrich, "Root mean square
    layer normalization", 2019).

    Parameters
    ----------
    eps
        What keeps a row of zeros from being divided by 0.
    name
        Default: ``rms_norm_0``, ``rms_norm_1``, ...

    Raises
    ------
    ArgumentError
        eps is not a number above 0.
    """

    eps: float

    def __init__(self, eps: float = 1e-6, name: str | None = None) -> None:
        who = name if isinstance(name, str) and name else "RMSNorm"
        self._set(eps=real(f"{who}: eps", eps, 0.0, 1e30, above=0.0), name=name)
        self._build("rms_norm", {"eps": self.eps})
