"""What can go wrong, as types.

Every error of the library derives from :class:`RetrogradError` and from the built-in exception that fits, so
``except ValueError`` works as expected. A message says who complains, what came, what was expected and what
to do about it.
"""

from retrograd._core import (
    ArgumentError,
    DTypeError,
    FileFormatError,
    GraphError,
    NonFiniteError,
    RetrogradError,
    ShapeError,
    StateError,
)

__all__ = [
    "ArgumentError",
    "DTypeError",
    "FileFormatError",
    "GraphError",
    "NonFiniteError",
    "RetrogradError",
    "ShapeError",
    "StateError",
]
