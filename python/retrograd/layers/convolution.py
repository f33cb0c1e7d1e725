"""Layers whose weights slide over an image or a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from retrograd._arguments import flag, integer
from retrograd.activations import resolve as resolve_activation
from retrograd.errors import ArgumentError
from retrograd.layers.base import Initials, Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrograd._core import Attributes
    from retrograd.layers.base import Activation_

__all__ = ["Conv1D", "Conv2D", "ConvTranspose2D"]

Sizes: TypeAlias = "int | Sequence[int]"
_MOST = 2**30  # what a size may be
_LEAST = {"kernel_size": 1, "stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}


def _sizes(who: str, value: Any, axes: int, least: int) -> list[int]:
    """One number for each axis; a single number stands for all."""
    if isinstance(value, str | bytes):
        raise ArgumentError(f"{who}: expected whole numbers, got {value!r}")
    if not isinstance(value, list | tuple | np.ndarray):
        return [integer(who, value, least, _MOST)] * axes
    if len(value) != axes:
        raise ArgumentError(
            f"{who}: expected {'one number' if axes == 1 else f'a number or {axes} of them'}, got {value!r}"
        )
    return [integer(who, n, least, _MOST) for n in value]


class _Convolution(Layer):
    """What the three have in common; ``groups``, ``filters`` and sizes are checked here."""

    axes: ClassVar[int] = 2
    kind: ClassVar[str]

    filters: int
    kernel_size: Sizes
    stride: Sizes
    padding: Sizes | str
    dilation: Sizes
    groups: int
    activation: Activation_
    use_bias: bool
    weight_init: Any
    bias_init: Any

    def _begin(self, settings: dict[str, Any]) -> None:
        settings.pop("self")
        settings.pop("__class__", None)
        name = settings["name"]
        who = name if isinstance(name, str) and name else type(self).__name__
        self._set(
            **{
                **settings,
                "filters": integer(f"{who}: filters", settings["filters"]),
                "groups": integer(f"{who}: groups", settings["groups"]),
                "use_bias": flag(f"{who}: use_bias", settings["use_bias"]),
            }
        )
        if self.filters % self.groups:
            raise ArgumentError(f"{who}: groups={self.groups} does not divide filters={self.filters}")
        sizes = {
            role: _sizes(f"{who}: {role}", settings[role], self.axes, least)
            for role, least in _LEAST.items()
            if role in settings and not (role == "padding" and isinstance(self.padding, str))
        }
        if isinstance(self.padding, str):
            self._check_word(who, sizes["stride"])
        self._check_sizes(who, sizes)
        activation, function = resolve_activation(who, self.activation)
        if isinstance(self.bias_init, np.ndarray) and not self.use_bias:
            raise ArgumentError(f"{who}: bias_init is an array but use_bias is False; leave one of them out")
        config: Attributes = {
            "filters": self.filters,
            "groups": self.groups,
            "use_bias": self.use_bias,
            "activation": activation,
            **sizes,
        }
        if isinstance(self.padding, str):
            config["padding"] = self.padding
        initials = Initials(who, config)
        initials.add("weight", self.weight_init, self._weight_shape(sizes["kernel_size"]))
        initials.add("bias", self.bias_init, (self.filters,))
        self._build(self.kind, config, function, initials.arrays)

    def _check_word(self, who: str, stride: list[int]) -> None:
        """The padding is a word: 'same', which PyTorch has for stride 1 alone."""
        if self.padding != "same":
            raise ArgumentError(f"{who}: padding is {self.padding!r}, expected 'same' or whole numbers")
        if stride != [1] * self.axes:
            raise ArgumentError(
                f"{who}: padding='same' needs stride 1, got stride={self.stride!r}; "
                "give the padding in numbers"
            )

    def _check_sizes(self, who: str, sizes: dict[str, list[int]]) -> None:
        """What one kind asks besides."""

    def _weight_shape(self, kernel: Sequence[int]) -> tuple[int | str, ...]:
        return (self.filters, *kernel, "channels / groups" if self.groups > 1 else "channels")


class Conv2D(_Convolution):
    """Every filter slides over the image: z[o] = b + sum over taps t of W[t] x[o stride + t dilation - p].

    [batch, height, width, channels] -> [batch, oh, ow, filters] with
    oh = floor((height + 2 padding - dilation (kh - 1) - 1) / stride) + 1; W is [filters, kh, kw,
    channels / groups], b is [filters]. PyTorch's W is ``weight.transpose(0, 3, 1, 2)``.
    LeCun et al., 1989; dilation: Yu and Koltun, 2016.

    Parameters
    ----------
    filters
        How many channels the result has.
    kernel_size, stride, dilation
        A number, or (height, width).
    padding
        Zeros beyond each edge: a number, (height, width), or ``"same"`` for a result as large as the image
        (with stride 1; of an odd number of zeros more are below and to the right).
    groups
        The channels are cut into so many groups that do not see each other; as many as there are channels
        make a depthwise convolution.
    activation
        A name (see :mod:`retrograd.activations`) or a function of a node; None: a = z.
    use_bias
        Whether there is a b.
    weight_init, bias_init
        Where W and b begin: a name, ``"normal(0.02)"``, an object of :mod:`retrograd.init` or an array of the
        parameter's own shape.
    name
        Default: ``conv2d_0``, ``conv2d_1``, ... in the order of the model.

    Raises
    ------
    ArgumentError
        Sizes below 1 (padding: 0), groups that do not divide filters, ``"same"`` with a stride, an unknown
        activation or initialiser.
    ShapeError
        When called: an input of another rank, groups that do not divide its channels, a kernel larger than
        the padded image.
    """

    kind = "conv2d"

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        activation: Activation_ = None,
        use_bias: bool = True,
        weight_init: Any = "auto",
        bias_init: Any = "zeros",
        name: str | None = None,
    ) -> None:
        self._begin(dict(locals()))


class Conv1D(_Convolution):
    """The same over a sequence: [batch, time, channels] -> [batch, steps, filters].

    W is [filters, kernel_size, channels / groups]; PyTorch's is ``weight.transpose(0, 2, 1)``. The arguments
    and errors are those of :class:`Conv2D`, with one number for each size.
    """

    axes = 1
    kind = "conv1d"

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        activation: Activation_ = None,
        use_bias: bool = True,
        weight_init: Any = "auto",
        bias_init: Any = "zeros",
        name: str | None = None,
    ) -> None:
        self._begin(dict(locals()))


class ConvTranspose2D(_Convolution):
    """The transpose of a :class:`Conv2D` as a map of images: it enlarges by its stride.

    [batch, height, width, channels] -> [batch, oh, ow, filters] with
    oh = (height - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1. W is [channels, kh, kw,
    filters / groups], the weight of the convolution that leads back; PyTorch's is
    ``weight.transpose(0, 3, 1, 2)``. Zeiler et al., 2010. Arguments that are not listed are those of
    :class:`Conv2D`.

    Parameters
    ----------
    padding
        Rows and columns left out at each edge of the result.
    output_padding
        Rows and columns more at the bottom and at the right, fewer than stride or dilation: several images
        have a convolution of one size, and this says which is meant.

    Raises
    ------
    ArgumentError
        As Conv2D; output_padding that is not below stride or dilation.
    ShapeError
        As Conv2D; a padding that leaves nothing of the result.
    """

    kind = "conv_transpose2d"
    output_padding: Sizes

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        activation: Activation_ = None,
        use_bias: bool = True,
        weight_init: Any = "auto",
        bias_init: Any = "zeros",
        name: str | None = None,
    ) -> None:
        self._begin(dict(locals()))

    def _check_word(self, who: str, stride: list[int]) -> None:
        raise ArgumentError(f"{who}: padding is {self.padding!r}, expected whole numbers")

    def _check_sizes(self, who: str, sizes: dict[str, list[int]]) -> None:
        limits = map(max, sizes["stride"], sizes["dilation"])
        if any(more >= limit for more, limit in zip(sizes["output_padding"], limits, strict=True)):
            raise ArgumentError(
                f"{who}: output_padding={self.output_padding!r} must be smaller than "
                f"stride={self.stride!r} or dilation={self.dilation!r}"
            )

    def _weight_shape(self, kernel: Sequence[int]) -> tuple[int | str, ...]:
        return ("channels", *kernel, self.filters // self.groups)
