"""Data that never is one array: batches that a function yields, or rows that are fetched by their numbers.

``fit``, ``evaluate`` and ``validation_data=`` take both in the place of arrays::

    trainer.fit(rg.data.Stream(read_batches), epochs=5)  # whatever is yielded, as it comes
    trainer.fit(rg.data.Indexed(len(paths), load), epochs=5, batch_size=32)  # shuffled as arrays are
    trainer.fit(rg.data.Windows(tokens, 128), epochs=5, batch_size=32)  # x and the tokens that follow

A batch is ``(x, y)`` or ``(x, y, sample_weight)``: one iteration, with the bits that the same rows in an
array give. Errors count the batches of an epoch from 0. What is yielded is read at once, so a factory may
write the next batch into the same memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import integer
from retrograd.errors import ArgumentError, DTypeError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["Indexed", "Stream", "Windows"]


class Stream:
    """Batches as a function yields them, for files larger than memory and data made on the way.

    Parameters
    ----------
    factory
        ``factory()`` or ``factory(epoch)`` returns an iterator of batches; it is called anew for each pass.
        A function with one argument without a default is given the number of passes before.
    steps_per_epoch
        None: an epoch ends where the iterator does. Else after so many batches, and the next epoch goes on
        from there; where the iterator ends, the factory is called again.

    Raises
    ------
    ArgumentError
        A generator in place of the function that makes it, or a function that wants more than one argument.
    """

    def __init__(self, factory: Callable[..., Any], steps_per_epoch: int | None = None) -> None:
        if not callable(factory):
            if hasattr(factory, "__next__"):
                raise ArgumentError(
                    f"Stream: got a {type(factory).__name__}, which is exhausted after one epoch; pass the "
                    "function that makes it, without calling it: Stream(make_batches)"
                )
            raise ArgumentError(
                f"Stream: factory must be a function that returns an iterator of (x, y) batches, "
                f"got {type(factory).__name__}; for a list of batches pass lambda: batches"
            )
        self.factory = factory
        self.steps_per_epoch = (
            None if steps_per_epoch is None else integer("Stream: steps_per_epoch", steps_per_epoch)
        )
        self._takes_number = _takes_number(factory)

    def batches(self, number: int = 0) -> Iterator[Any]:
        """The iterator of one pass.

        Raises
        ------
        ArgumentError
            What the factory returned cannot be iterated over.
        """
        made = self.factory(number) if self._takes_number else self.factory()
        try:
            return iter(made)
        except TypeError:
            raise ArgumentError(
                f"Stream: the factory returned {type(made).__name__}, expected an iterator of (x, y) batches"
            ) from None

    def __repr__(self) -> str:
        steps = "" if self.steps_per_epoch is None else f", steps_per_epoch={self.steps_per_epoch}"
        return f"Stream({getattr(self.factory, '__name__', self.factory)}{steps})"


def _takes_number(factory: Callable[..., Any]) -> bool:
    from inspect import Parameter, signature

    try:
        parameters = signature(factory).parameters.values()
    except (TypeError, ValueError):  # some functions written in C do not say
        return False
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    needed = [one.name for one in parameters if one.default is Parameter.empty and one.kind in places]
    if len(needed) > 1:
        raise ArgumentError(
            f"Stream: factory may take one argument, the number of the pass, but it needs "
            f"{', '.join(needed)}; bind the others by a lambda"
        )
    return bool(needed)


class Indexed:
    """Rows that are fetched by their numbers: images decoded on the way, records of a file or a database.

    ``fit`` shuffles the numbers exactly as it shuffles the rows of arrays, so an epoch has the same order.

    Parameters
    ----------
    length
        How many rows there are.
    get
        ``get(rows) -> (x, y)`` or ``(x, y, sample_weight)``, for an int64 array of row numbers.

    Raises
    ------
    ArgumentError
        length below 1, or something that cannot be called.
    """

    def __init__(self, length: int, get: Callable[[NDArray[np.int64]], Any]) -> None:
        if not callable(get):
            raise ArgumentError(
                f"Indexed: get must be a function get(rows) -> (x, y), got {type(get).__name__}"
            )
        self._length = integer("Indexed: length", length)
        self._get = get

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, rows: NDArray[np.int64]) -> Any:
        return self._get(rows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} rows>"


class Windows(Indexed):
    """Pieces of one long text: x = tokens[s : s + length] and y, the tokens that follow each of them.

    Nothing is copied but the batch, so tokens may be a memory-mapped file.

    Parameters
    ----------
    tokens
        [n] of integers.
    length
        Of a piece. x and y are [batch, length].
    stride
        From the start of one piece to the next; None: length, so that an epoch sees every token once.

    Raises
    ------
    DTypeError
        Tokens that are no integers.
    ShapeError
        Not [n], or not more tokens than a piece has.
    ArgumentError
        length or stride below 1.
    """

    def __init__(self, tokens: Any, length: int, stride: int | None = None) -> None:
        size = integer("Windows: length", length)
        step = size if stride is None else integer("Windows: stride", stride)
        array = np.asarray(tokens)
        if array.dtype.kind not in "iu":
            raise DTypeError(
                f"Windows: tokens must be integers, got {array.dtype}; for text np.frombuffer(text.encode(), "
                "np.uint8)"
            )
        if array.ndim != 1 or len(array) <= size:
            raise ShapeError(
                f"Windows: expected tokens of shape (n,) with n above length={size}, got {array.shape}"
            )
        self.tokens, self.length, self.stride = array, size, step
        self._offsets = np.arange(size + 1)
        super().__init__((len(array) - size - 1) // step + 1, self._pieces)

    def _pieces(self, rows: NDArray[np.int64]) -> tuple[Any, Any]:
        found = self.tokens[rows[:, None] * self.stride + self._offsets]
        return found[:, :-1], found[:, 1:]
