"""Functions of one, two or three numbers: ``activations.hpp``, ``unary.hpp``, ``arithmetic.hpp``.

Where a function has a corner it is a Piecewise whose branches are chosen so that SymPy's derivative at the
corner itself is the engine's: 0 for relu at 0, a half for each of two equal operands of maximum. The core
writes some derivatives in y; a condition on y is one on x here (y > 0 is x > 0), a value of y stays one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from retrograd._symbolic.rules import (
    Call,
    Expressions,
    Rule,
    each,
    exact,
    expressions,
    in_condition,
    summed_to,
    sympy,
)

Function = Callable[..., Any]


def absolute(x: Any) -> Any:
    """|x|; SymPy's own where it knows that x is real, for it would write complex parts of log(x)."""
    sp = sympy()
    return sp.Abs(x) if x.is_extended_real else sp.Piecewise((-x, in_condition(x) < 0), (x, True))


def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    sp = sympy()
    if x.is_extended_real:
        return sp.sign(x)
    z = in_condition(x)
    return sp.Piecewise((-1, z < 0), (1, z > 0), (0, True))


def truth(x: Any) -> Any:
    """The condition x != 0; of a comparison the condition that it was made of."""
    sp = sympy()
    if isinstance(x, sp.Piecewise) and [value for value, _ in x.args] == [1, 0]:
        return x.args[0][1]
    return sp.Ne(in_condition(x), 0)


@cache
def unary_functions() -> dict[str, tuple[Function, Function]]:
    """Operation -> y = f(x), and df(x, y) = dy/dx as in the core."""
    sp = sympy()
    exp, half = sp.exp, sp.Rational(1, 2)
    slope, scale = sp.Rational(1, 100), sp.Rational("1.0507009873554804934193349852946")
    scale_alpha = scale * sp.Rational("1.6732632423543772848170429916717")

    def above(x: Any, first: Any, otherwise: Any) -> Any:  # at 0 it is the other one
        return sp.Piecewise((first, in_condition(x) > 0), (otherwise, True))

    def hard(x: Any, low: Any, high: Any, between: Any) -> Any:
        z = in_condition(x)
        return sp.Piecewise((low, z <= -3), (high, z >= 3), (between, True))

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + exp(-x))

    def phi(x: Any) -> Any:  # of the normal distribution
        return half * (1 + sp.erf(x / sp.sqrt(2)))

    def softplus(x: Any) -> Any:
        return sp.log(1 + exp(x))

    def mish_slope(x: Any, y: Any) -> Any:
        t = sp.tanh(softplus(x))
        return t + x * (1 - t**2) * sigmoid(x)

    return {
        "identity": (lambda x: x, lambda x, y: sp.Integer(1)),
        "sigmoid": (sigmoid, lambda x, y: y * (1 - y)),
        "tanh": (sp.tanh, lambda x, y: 1 - y * y),
        "relu": (lambda x: above(x, x, 0), lambda x, y: above(x, 1, 0)),
        "leaky_relu": (lambda x: above(x, x, slope * x), lambda x, y: above(x, 1, slope)),
        "elu": (lambda x: above(x, x, exp(x) - 1), lambda x, y: above(x, 1, y + 1)),
        "selu": (
            lambda x: above(x, scale * x, scale_alpha * (exp(x) - 1)),
            lambda x, y: above(x, scale, y + scale_alpha),
        ),
        "gelu": (
            lambda x: x * phi(x),
            lambda x, y: x * exp(-half * x * x) / sp.sqrt(2 * sp.pi) + phi(x),
        ),
        "silu": (lambda x: x * sigmoid(x), lambda x, y: sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
        "softplus": (softplus, lambda x, y: sigmoid(x)),
        "softsign": (lambda x: x / (1 + absolute(x)), lambda x, y: 1 / (1 + absolute(x)) ** 2),
        "mish": (lambda x: x * sp.tanh(softplus(x)), mish_slope),
        "hard_sigmoid": (
            lambda x: hard(x, 0, 1, (x + 3) / 6),
            lambda x, y: hard(x, 0, 0, sp.Rational(1, 6)),
        ),
        "hard_swish": (lambda x: hard(x, 0, x, x * (x + 3) / 6), lambda x, y: hard(x, 0, 1, x / 3 + half)),
        "exp": (exp, lambda x, y: y),
        "negative": (lambda x: -x, lambda x, y: sp.Integer(-1)),
        "log": (sp.log, lambda x, y: 1 / x),
        "sqrt": (sp.sqrt, lambda x, y: half / y),
        "square": (lambda x: x * x, lambda x, y: x + x),
        "abs": (absolute, lambda x, y: sign(x)),
        "sin": (sp.sin, lambda x, y: sp.cos(x)),
        "cos": (sp.cos, lambda x, y: -sp.sin(x)),
        "arctan": (sp.atan, lambda x, y: 1 / (x * x + 1)),
    }


@cache
def binary_functions() -> dict[str, tuple[Function, Function, Function]]:
    """Operation -> y = f(a, b), da(a, b, y) = dy/da and db."""
    sp = sympy()
    one = sp.Integer(1)

    def larger(a: Any, b: Any) -> Any:  # 1/2 where they are equal
        return sp.Heaviside(a - b)

    return {
        "add": (lambda a, b: a + b, lambda a, b, y: one, lambda a, b, y: one),
        "subtract": (lambda a, b: a - b, lambda a, b, y: one, lambda a, b, y: -one),
        "multiply": (lambda a, b: a * b, lambda a, b, y: b, lambda a, b, y: a),
        "divide": (lambda a, b: a / b, lambda a, b, y: 1 / b, lambda a, b, y: -(a / b) / b),
        "power": (
            lambda a, b: a**b,
            lambda a, b, y: b * a ** (b - 1),
            lambda a, b, y: sp.Integer(0) if a == 0 else y * sp.log(a),
        ),
        "maximum": (sp.Max, lambda a, b, y: larger(a, b), lambda a, b, y: larger(b, a)),
        "minimum": (sp.Min, lambda a, b, y: larger(b, a), lambda a, b, y: larger(a, b)),
    }


def _unary(name: str) -> Rule:
    # looked up at every call, so that what stands in the table counts
    return Rule(
        lambda call, x: each(unary_functions()[name][0], x),
        lambda call, dy, y, x: [dy * each(unary_functions()[name][1], x, y)],
    )


def _binary(name: str) -> Rule:
    def gradients(call: Call, dy: Expressions, y: Expressions, *x: Expressions) -> list[Expressions | None]:
        slopes = binary_functions()[name][1:]
        return [
            summed_to(dy * each(slope, *x, y), np.shape(operand)) if wanted else None
            for slope, operand, wanted in zip(slopes, x, call.wanted, strict=True)
        ]

    return Rule(lambda call, a, b: each(binary_functions()[name][0], a, b), gradients)


def _comparison(relation: str) -> Rule:
    def value(call: Call, a: Expressions, b: Expressions) -> Expressions:
        sp = sympy()
        holds = getattr(sp, relation)
        return each(lambda p, q: sp.Piecewise((1, holds(in_condition(p), in_condition(q))), (0, True)), a, b)

    return Rule(value, lambda call, dy, y, a, b: [None, None])


def _where_value(call: Call, condition: Expressions, a: Expressions, b: Expressions) -> Expressions:
    choose = sympy().Piecewise
    return each(lambda c, p, q: choose((p, truth(c)), (q, True)), condition, a, b)


def _where_gradients(
    call: Call, dy: Expressions, y: Expressions, condition: Expressions, a: Expressions, b: Expressions
) -> list[Expressions | None]:
    choose = sympy().Piecewise
    first = dy * each(lambda c: choose((1, truth(c)), (0, True)), condition)
    second = dy * each(lambda c: choose((0, truth(c)), (1, True)), condition)
    return [None, summed_to(first, np.shape(a)), summed_to(second, np.shape(b))]


def _bounds(call: Call) -> tuple[Any, Any]:
    low, high = (exact(call.attributes[name]) for name in ("low", "high"))  # type: ignore[arg-type]
    return low, high


def _clipped(call: Call, x: Any, below: Any, above: Any, between: Any) -> Any:
    """One of three things, as x lies to the bounds."""
    (low, high), z = _bounds(call), in_condition(x)
    return sympy().Piecewise((below, z < low), (above, z > high), (between, True))


def rules() -> dict[str, Rule]:
    """Operation -> rule."""
    copied = Rule(lambda call, x: expressions(x), lambda call, dy, y, x: [dy])
    return {
        **{name: _unary(name) for name in unary_functions()},
        **{name: _binary(name) for name in binary_functions()},
        **{
            name: _comparison(relation)
            for name, relation in (
                ("less", "Lt"),
                ("less_equal", "Le"),
                ("greater", "Gt"),
                ("greater_equal", "Ge"),
                ("equal", "Eq"),
                ("not_equal", "Ne"),
            )
        },
        "where": Rule(_where_value, _where_gradients),
        "clip": Rule(
            lambda call, x: each(lambda z: _clipped(call, z, *_bounds(call), z), x),
            lambda call, dy, y, x: [dy * each(lambda z: _clipped(call, z, 0, 0, 1), x)],
        ),
        "stop_gradient": Rule(copied.value, lambda call, dy, y, x: [None], held=(0,)),
        "dropout": copied,  # in predictions; in training passes.py refuses it
    }
