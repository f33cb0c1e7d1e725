"""Are two expressions the same? Exactly, by bringing their difference to a polynomial that must vanish.

Every part that is no sum, product or whole power becomes a new unknown: exp(x), tanh(a), 1/b, sqrt(c), the
condition of a Piecewise. What is known of them - 1/b times b is 1, sqrt(c)^2 is c, a condition h is 0 or 1,
so that h^2 = h - is then used until no 1/b, no root and no h^2 is left. If the polynomial that remains is 0,
the expressions are equal wherever both are defined, but for corners. If it is not, nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any, NamedTuple

from retrograd._symbolic.rules import hidden_expression, sympy

LIMIT = 6_000  # terms of a polynomial that are still worth the time


class TooLongError(Exception):
    """The polynomial would have more than LIMIT terms."""


class _Unknown(NamedTuple):
    symbol: Any
    kind: str  # "free", "inverse" (1 / base), "root" (base ** (1 / degree)), "condition"
    base: Any = None
    degree: int = 1


class Comparison:
    """Decides many pairs of expressions that share their parts."""

    def __init__(self) -> None:
        self._unknowns: list[_Unknown] = []
        self._found: dict[Any, Any] = {}
        self._memo: dict[Any, Any] = {}
        self._fractions: dict[Any, tuple[Any, Any]] = {}

    def equal(self, a: Any, b: Any) -> bool:
        """True where a = b is shown; False where it is not."""
        if a == b:
            return True
        # what stands in both as it is need not be multiplied out: the short way, which often is enough
        shared = {e for e in _sums(a) & _sums(b) if len(e.args) > 2} - {a, b}
        return (bool(shared) and self._agree(a, b, shared)) or self._agree(a, b, set())

    def _agree(self, a: Any, b: Any, shared: set[Any]) -> bool:
        memo = self._memo
        if shared:
            self._memo = {e: self._unknown("free", "sum", e) for e in shared}
        try:
            steps = (_reduced,) if shared else (_reduced, _eliminated)
            return self._vanishes(self._rational(a) - self._rational(b), steps)
        except TooLongError:
            return False
        finally:
            self._memo = memo

    # ------------------------------------------------------------------- expressions to polynomials

    def _rational(self, e: Any) -> Any:
        """The same in unknowns, with sums, products and whole powers alone."""
        if isinstance(e, hidden_expression()):
            return self._rational(e.expression)
        if e.is_Rational or e.is_Symbol:
            return e
        if e not in self._memo:
            self._memo[e] = self._rewritten(e)
        return self._memo[e]

    def _rewritten(self, e: Any) -> Any:
        sp = sympy()
        if e.is_Add or e.is_Mul:
            return e.func(*map(self._rational, e.args))
        if isinstance(e, sp.exp):
            return self._power(None, e.args[0])
        if e.is_Pow:
            return self._power(e.base, e.exp)
        if isinstance(e, sp.Piecewise):
            return self._piecewise(list(e.args))
        if isinstance(e, sp.Heaviside):
            return self._positive(e.args[0])
        if isinstance(e, sp.sign):
            return 2 * self._positive(e.args[0]) - 1
        if isinstance(e, sp.Abs):
            return (2 * self._positive(e.args[0]) - 1) * self._rational(e.args[0])
        if isinstance(e, sp.Max | sp.Min) and len(e.args) == 2:  # of more it is one unknown
            first, rest = e.args
            larger = self._positive(first - rest if isinstance(e, sp.Max) else rest - first)
            return larger * self._rational(first) + (1 - larger) * self._rational(rest)
        return self._unknown("free", e.func, *(self._expanded(self._rational(a)) for a in e.args))

    def _expanded(self, e: Any) -> Any:
        if _terms(e) > LIMIT // 4:
            raise TooLongError
        return sympy().expand(e)

    def _unknown(self, kind: str, *key: Any, base: Any = None, degree: int = 1) -> Any:
        if (kind, *key) not in self._found:
            symbol = sympy().Dummy(f"u{len(self._unknowns)}")
            self._unknowns.append(_Unknown(symbol, kind, base, degree))
            self._found[kind, *key] = symbol
        return self._found[kind, *key]

    def _power(self, base: Any, exponent: Any) -> Any:
        """base ** exponent, a factor for each term of the exponent; base None is e."""
        sp = sympy()
        own = None if base is None else self._rational(base)
        if exponent.is_Integer and own is not None:
            return self._whole(own, int(exponent))
        whole = sp.Integer(1)
        key = None if own is None else self._expanded(own)
        for number, rest in self._factors(self._expanded(self._rational(exponent))):
            if rest == 1 and own is not None:
                part = (
                    own if number.q == 1 else self._unknown("root", key, number.q, base=own, degree=number.q)
                )
            else:
                part = self._unknown("free", "power", key, rest, number.q)
            whole = whole * self._whole(part, number.p)
        return whole

    def _factors(self, exponent: Any) -> list[tuple[Any, Any]]:
        """(number, rest) of each term: e^(a + b) is to be e^a e^b; a long sum stays whole, up to its sign."""
        sp = sympy()
        terms = sp.Add.make_args(exponent)
        if len(terms) <= 12:
            return [term.as_coeff_Mul(rational=True) for term in terms]
        content, primitive = exponent.primitive()
        return [(-content, -primitive) if primitive.could_extract_minus_sign() else (content, primitive)]

    def _whole(self, base: Any, exponent: int) -> Any:
        sp = sympy()
        if exponent >= 0 or base.is_Rational:
            return base**exponent
        content, primitive = self._expanded(base).primitive()
        if primitive.could_extract_minus_sign():
            content, primitive = -content, -primitive
        if primitive.is_Mul:  # a product of unknowns: one after the other
            return sp.Mul(*(self._whole(factor, exponent) for factor in primitive.args)) * content**exponent
        if primitive.is_Pow:
            return self._whole(primitive.base, int(primitive.exp) * exponent) * content**exponent
        above, below = self._cleared(primitive)
        if below != 1:  # 1 / (1 + 1/a) is a / (a + 1)
            return self._whole(above, exponent) * below**-exponent * content**exponent
        inverse = self._unknown("inverse", primitive, base=primitive)
        return inverse**-exponent * content**exponent

    def _cleared(self, e: Any) -> tuple[Any, Any]:
        """What stands above and below the line where e has the inverse of a single unknown."""
        sp = sympy()
        single = {
            u.symbol: 1 / u.base
            for u in self._unknowns
            if u.kind == "inverse" and u.base.is_Symbol and u.symbol in e.free_symbols
        }
        if not single or not e.is_Add:
            return e, sp.Integer(1)
        if e not in self._fractions:
            above, below = sp.fraction(sp.together(e.xreplace(single)))
            self._fractions[e] = self._expanded(above), below
        return self._fractions[e]

    # ------------------------------------------------------------------------------------ conditions

    def _piecewise(self, pairs: list[Any]) -> Any:
        (value, condition), *rest = pairs
        holds = self._condition(condition)
        if holds == 1 or not rest:
            return self._rational(value)
        return holds * self._rational(value) + (1 - holds) * self._piecewise(rest)

    def _condition(self, c: Any) -> Any:
        """1 where it holds and 0 where it does not; corners are left aside."""
        sp = sympy()
        if c in (True, False):
            return sp.Integer(1 if c else 0)
        if isinstance(c, sp.And):
            return sp.Mul(*map(self._condition, c.args))
        if isinstance(c, sp.Or):
            return 1 - sp.Mul(*(1 - self._condition(part) for part in c.args))
        if isinstance(c, sp.Not):
            return 1 - self._condition(c.args[0])
        if isinstance(c, sp.ITE):
            first, second, third = map(self._condition, c.args)
            return first * second + (1 - first) * third
        if isinstance(c, sp.Gt | sp.Ge):
            return self._positive(c.lhs - c.rhs)
        if isinstance(c, sp.Lt | sp.Le):
            return self._positive(c.rhs - c.lhs)
        same = self._unknown("condition", sp.Eq, self._expanded(self._rational(c.lhs - c.rhs)))
        return same if isinstance(c, sp.Eq) else 1 - same

    def _positive(self, e: Any) -> Any:
        """1 where e > 0 and 0 where e < 0."""
        sp = sympy()
        inside = self._expanded(self._rational(e))
        if inside.is_Rational:
            return sp.Integer(1 if inside > 0 else 0)
        _, inside = inside.primitive()
        if inside.could_extract_minus_sign():
            return 1 - self._unknown("condition", -inside)
        return self._unknown("condition", inside)

    # ------------------------------------------------------------------------------------- the verdict

    def _vanishes(self, e: Any, steps: tuple[Callable[..., Any], ...]) -> bool:
        """Whether the polynomial is 0 once all that is known of the unknowns has been used."""
        if e.is_Rational:
            return bool(e == 0)
        if _terms(e) > LIMIT:
            raise TooLongError
        known = self._behind(e)  # a base knows earlier ones only: the last come first
        plain = e.free_symbols.union(*(u.base.free_symbols for u in known if u.base is not None))
        symbols = [u.symbol for u in known]
        symbols += sorted(plain.difference(symbols), key=str)
        sp = sympy()
        ring = sp.polys.rings.PolyRing(symbols, sp.QQ, sp.lex)
        polynomial = ring.from_expr(e)
        for step in steps:
            for place, unknown in enumerate(known):
                if polynomial == 0:
                    return True
                if unknown.kind != "free":
                    polynomial = step(polynomial, place, unknown, ring)
        return bool(polynomial == 0)

    def _behind(self, e: Any) -> list[_Unknown]:
        """The unknowns in an expression and in what they stand for, the last made first."""
        used, open_symbols = set(), list(e.free_symbols)
        known = {u.symbol: u for u in self._unknowns}
        while open_symbols:
            symbol = open_symbols.pop()
            if symbol in known and symbol not in used:
                used.add(symbol)
                base = known[symbol].base
                open_symbols.extend(() if base is None else base.free_symbols)
        return [u for u in reversed(self._unknowns) if u.symbol in used]


def _sums(e: Any) -> set[Any]:
    """All sums that are parts of an expression."""
    seen, open_parts = {e}, [e]
    while open_parts:
        new = set(open_parts.pop().args) - seen
        seen |= new
        open_parts.extend(new)
    return {part for part in seen if part.is_Add}


def _terms(e: Any) -> int:
    """At most as many terms has the expanded expression."""
    if e.is_Add:
        return sum(map(_terms, e.args))
    if e.is_Mul:
        count = 1
        for part in e.args:
            count = min(count * _terms(part), 10 * LIMIT)
        return count
    if e.is_Pow and e.exp.is_Integer and e.exp > 0:
        n, k = _terms(e.base), int(e.exp)
        return 1 if n == 1 else min(comb(n + k - 1, k), 10 * LIMIT) if k < 50 else 10 * LIMIT
    return 1


def _reduced(polynomial: Any, place: int, unknown: _Unknown, ring: Any) -> Any:
    """With s = 1/b and t the leading term of b: t s is 1 - (b - t) s, until no term has both; short."""
    if unknown.kind != "inverse":
        return _eliminated(polynomial, place, unknown, ring)
    s, base = ring.gens[place], ring.from_expr(unknown.base)
    lead = base.LM
    both = tuple(n + (i == place) for i, n in enumerate(lead))
    instead = (1 - s * (base - base.leading_term())).quo_ground(base.LC)
    while True:
        rest, quotient = ring.zero.copy(), ring.zero.copy()
        for powers, coefficient in polynomial.terms():
            left = tuple(n - m for n, m in zip(powers, both, strict=True))
            if min(left) < 0:
                rest[powers] = coefficient
            else:
                quotient[left] = coefficient
        if not quotient:
            return polynomial
        _expect_short(len(quotient) * len(instead))
        polynomial = rest + quotient * instead


def _eliminated(polynomial: Any, place: int, unknown: _Unknown, ring: Any) -> Any:
    """Powers of a condition are itself, of a root its base; all is multiplied by b until nothing has 1/b."""
    parts: dict[int, Any] = {}  # power -> what it is multiplied by
    for powers, coefficient in polynomial.terms():
        rest = (*powers[:place], 0, *powers[place + 1 :])
        parts.setdefault(powers[place], ring.zero.copy())[rest] = coefficient
    most = max(parts, default=0)
    if most < (2 if unknown.kind == "condition" else unknown.degree):
        return polynomial
    variable, result = ring.gens[place], ring.zero
    for power, part in parts.items():
        if unknown.kind == "condition":
            result += part * variable ** min(power, 1)
            continue
        times, left = (most - power, 0) if unknown.kind == "inverse" else divmod(power, unknown.degree)
        base = ring.from_expr(unknown.base) if times else ring.one
        _expect_short(len(part) * comb(len(base) + times - 1, times))
        result += part * base**times * variable**left
    return result


def _expect_short(terms: int) -> None:
    if terms > LIMIT:
        raise TooLongError
