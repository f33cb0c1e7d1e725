"""The engine's gradients, the chain rule and SymPy's derivative, held against each other."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._core import Node
from retrograd._symbolic.digits import Point, UndefinedError
from retrograd._symbolic.exactness import Comparison
from retrograd._symbolic.passes import Passes, known_shapes
from retrograd._symbolic.report import Element, SymbolicReport
from retrograd._symbolic.rules import exact, expressions, sympy, total
from retrograd.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 4  # random points at which expressions are compared that cannot be decided
TRIES = 5 * POINTS


def verify(
    result: Node,
    names: Mapping[Node, str],
    values: Mapping[Node, NDArray[Any]],
    gradients: Mapping[Node, NDArray[Any]],
    seed: Any = None,
    training: bool = False,
    still: Collection[Node] = (),
) -> SymbolicReport:
    """Compare gradients of the engine with SymPy's derivatives, as formulas and as numbers.

    With R = sum(seed * result), for every element of every leaf in ``gradients``: SymPy differentiates the
    whole expression; backpropagation is walked once more with the backward rule of each operation, in
    expressions. The two must be the same expression: exactly where that can be shown, else with 30 digits at
    random points. And the engine's number must be that of SymPy's derivative at ``values``, to 1e-12.

    Parameters
    ----------
    result
        The node that was differentiated.
    names
        Leaf -> name.
    values
        Leaf -> the numbers of this pass, of all leaves but constants.
    gradients
        Leaf -> dR/d leaf as the engine computed it in float64.
    seed
        dR/d result, of its shape; None: ones.
    training
        Whether the pass was one of training: batch norm took the statistics of the batch.
    still
        Running statistics that are frozen: the batch norm that has them uses them in training as well.

    Raises
    ------
    ArgumentError
        SymPy is not installed, or a leaf has no values.
    GraphError
        An operation that has no expression.
    ShapeError
        A gradient or the seed is not of its leaf's shape.
    """
    numbers = {node: np.asarray(value) for node, value in values.items()}
    fixed = {node: v for node, v in numbers.items() if node.dtype == "index" or node.kind == "constant"}
    passes = Passes(
        result, names, known_shapes(result, None, numbers), fixed, tuple(gradients), training, still
    )
    missing = [passes.name(node) for node in passes.symbols if node not in numbers]
    if missing:
        raise ArgumentError(f"verify: expected values of all leaves, got none of {', '.join(missing)}")
    start = _seed(passes, seed)
    whole = total(start * passes.values[result])[()]
    terms = [(term, term.free_symbols) for term in sympy().Add.make_args(whole)]
    chain = passes.backward(start)
    point = Point(_at(passes, numbers), passes.held)
    judge = _Judge(passes, numbers)
    elements = []
    for leaf, engine in gradients.items():
        if np.shape(engine) != passes.shape(leaf):
            raise ShapeError(
                f"verify: the gradient of {passes.name(leaf)} has shape {np.shape(engine)}, expected "
                f"{passes.shape(leaf)}"
            )
        for at in np.ndindex(passes.shape(leaf)):
            derivative = _derivative(terms, passes.symbols[leaf][at] if leaf in passes.symbols else None)
            backward = chain[leaf][at]
            elements.append(
                Element(
                    passes.name(leaf),
                    at,
                    passes.shown(derivative),
                    passes.shown(backward),
                    judge.decide(derivative, backward),
                    *_numbers(point, derivative, float(np.asarray(engine)[at]) + 0.0),  # no -0
                )
            )
    return SymbolicReport(elements, bool(point.corners), bool(passes.held))


def _derivative(terms: list[tuple[Any, Any]], symbol: Any) -> Any:
    """SymPy's derivative of a sum: of those terms that have the symbol, which may be few of many."""
    return sympy().Add(*(term.diff(symbol) for term, symbols in terms if symbol in symbols))


def _seed(passes: Passes, seed: Any) -> Any:
    shape = passes.shape(passes.result)
    given = np.ones(shape) if seed is None else np.asarray(seed, dtype=np.float64)
    if given.shape != shape:
        raise ShapeError(f"verify: the seed has shape {given.shape}, expected {shape} of the result")
    return expressions(np.vectorize(exact, otypes=[object])(given))


def _at(passes: Passes, numbers: Mapping[Node, Any]) -> dict[Any, float]:
    return {
        symbol: float(numbers[leaf][at])
        for leaf, symbols in passes.symbols.items()
        for at, symbol in np.ndenumerate(symbols)
    }


def _numbers(point: Point, expression: Any, engine: float) -> tuple[float, float, float]:
    """The engine's, SymPy's and the relative error."""
    try:
        symbolic, scale = point.number(expression), float(point.magnitude(expression))
    except UndefinedError:
        return engine, math.nan, math.inf
    error = abs(engine - symbolic) / (scale or 1.0)
    return engine, symbolic, error if math.isfinite(error) else math.inf


class _Judge:
    """Whether two expressions are the same."""

    def __init__(self, passes: Passes, numbers: Mapping[Node, Any]) -> None:
        self._comparison = Comparison()
        self._start = _at(passes, numbers)
        self._held = passes.held
        self._points: list[Point] = []
        self._rng = np.random.default_rng(0)

    def decide(self, a: Any, b: Any) -> str:
        if self._comparison.equal(a, b):
            return "exactly"
        looked_at = 0
        for k in range(TRIES):
            point = self._point(k)
            try:
                first, second = point.value(a), point.value(b)
            except UndefinedError:
                continue
            if not point.agree(first, second):
                return "different"
            looked_at += 1
            if looked_at == POINTS:
                return "30 digits"
        return "not decided"

    def _point(self, k: int) -> Point:
        """Near the values that were given, where the functions surely are defined, and off their corners."""
        while len(self._points) <= k:
            moved = {
                symbol: value * self._rng.uniform(0.7, 1.3) + self._rng.uniform(-0.05, 0.05) * (value == 0)
                for symbol, value in self._start.items()
            }
            self._points.append(Point(moved, self._held))
        return self._points[k]
