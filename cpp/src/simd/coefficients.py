"""Derive the polynomial coefficients of math.hpp: weighted minimax fits (Remez exchange) in 40 digits.

Run `python coefficients.py` for all fits, or name some of them. Each fit is printed as it stands in math.hpp
(lowest power first), with the largest weighted error, which is relative to the function being computed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf

mp.dps = 40
Function = Callable[[mpf], mpf]


def remez(f: Function, weight: Function, low: mpf, high: mpf, degree: int) -> tuple[list[mpf], mpf]:
    """Find the polynomial p with the least maximum of |weight (p - f)|: its coefficients and that maximum."""
    count = 120 * (degree + 2)
    center, half = (low + high) / 2, (high - low) / 2
    grid = [center - half * mp.cos(mp.pi * (i + mpf(1) / 2) / count) for i in range(count)]
    target, scale = [f(x) for x in grid], [weight(x) for x in grid]
    nodes = [int((1 - np.cos(np.pi * (j + 0.5) / (degree + 2))) / 2 * count) for j in range(degree + 2)]
    for _ in range(30):
        system, right = mp.matrix(degree + 2), mp.matrix(degree + 2, 1)
        for row, i in enumerate(nodes):
            for power in range(degree + 1):
                system[row, power] = grid[i] ** power
            system[row, degree + 1] = (-1) ** row / scale[i]
            right[row] = target[i]
        solution = mp.lu_solve(system, right)
        coefficients = [solution[power] for power in range(degree + 1)]
        values = [mp.polyval(coefficients[::-1], x) for x in grid]
        error = [s * (v - t) for v, t, s in zip(values, target, scale, strict=True)]
        worst = max(abs(e) for e in error)
        if worst <= abs(solution[degree + 1]) * mpf("1.01"):
            break
        peaks: list[int] = []  # the largest point of every run of one sign
        for i, e in enumerate(error):
            if peaks and (e > 0) == (error[peaks[-1]] > 0):
                if abs(e) > abs(error[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > degree + 2:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if len(peaks) < degree + 2:
            break
        nodes = peaks
    return coefficients, worst


def show(name: str, coefficients: list[mpf], bits: int, worst: mpf, skip: int = 0) -> None:
    """Print rounded to float or double, as C++ literals."""
    print(f"// {name}: {len(coefficients)} coefficients, error 2^{float(mp.log(worst, 2)):.1f}")
    if bits == 24:
        literals = [f"{float(np.float32(float(c))):.9g}" for c in coefficients]
        literals = [t + ("" if "." in t or "e" in t else ".0") + "f" for t in literals]
    else:
        literals = [f"{float(c):.17g}" for c in coefficients]
    per_line = 6 if bits == 24 else 4
    lines = [", ".join(literals[i : i + per_line]) for i in range(0, len(literals), per_line)]
    print(",\n".join(lines) + "\n")


def split(name: str, value: mpf, bits: int, lengths: list[int]) -> None:
    """Print a constant as a sum of parts of the given numbers of bits."""
    parts, rest = [], value
    for length in lengths:
        exponent = mp.floor(mp.log(abs(rest), 2)) - length + 1
        part = mp.nint(rest / mpf(2) ** exponent) * mpf(2) ** exponent
        parts.append(float(part))
        rest -= part
    digits = 9 if bits == 24 else 17
    print(f"// {name}: " + ", ".join(f"{p:.{digits}g}" + ("f" if bits == 24 else "") for p in parts) + "\n")


def fit_exp(bits: int) -> None:
    # e^r = 1 + r + r^2 q(r), |r| <= ln(2)/2; the same q serves expm1
    half = mp.log(2) / 2 * mpf("1.002")
    q = remez(
        lambda r: (mp.expm1(r) - r) / r**2,
        lambda r: abs(r**2 / mp.expm1(r)),
        -half,
        half,
        4 if bits == 24 else 10,
    )
    show("exp q", q[0], bits, q[1])


def fit_tanh(bits: int) -> None:
    # tanh x = x + x^3 p(x^2), |x| <= limit
    limit = mpf("0.625")
    p = remez(
        lambda z: (mp.tanh(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3,
        lambda z: z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)),
        mpf("1e-12"),
        limit**2,
        4 if bits == 24 else 10,
    )
    show("tanh p", p[0], bits, p[1])


def fit_log(bits: int) -> None:
    low, high = mp.sqrt(mpf(1) / 2) - 1, mp.sqrt(2) - 1
    if bits == 24:  # log(1 + f) = f + f^2 q(f)
        q = remez(
            lambda f: (mp.log1p(f) - f) / f**2,
            lambda f: abs(f**2 / mp.log1p(f)),
            low * mpf("1.0001"),
            high * mpf("1.0001"),
            8,
        )
        show("log q", q[0], bits, q[1])
    limit = (high / (2 + high)) ** 2 * mpf("1.0001")  # log(1 + f) = 2 s + s z p(z), s = f / (2 + f), z = s^2
    p = remez(
        lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z,
        lambda z: z * mp.sqrt(z) / (2 * mp.atanh(mp.sqrt(z))),
        mpf("1e-12"),
        limit,
        6,
    )
    if bits == 53:
        show("log p (s form)", p[0], bits, p[1])
    # pow: 2 atanh s = 2 s + s z (2/3 + z p(z)), to about 12 more bits
    p = remez(
        lambda z: ((2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z - mpf(2) / 3) / z,
        lambda z: z * z * mp.sqrt(z) / (2 * mp.atanh(mp.sqrt(z))),
        mpf("1e-10"),
        limit,
        4 if bits == 24 else 8,
    )
    show("pow p", p[0], bits, p[1])
    split("2/3", mpf(2) / 3, bits, [bits, bits])


def fit_sin(bits: int) -> None:
    limit = (mp.pi / 4 * mpf("1.004")) ** 2
    p = remez(
        lambda z: (mp.sin(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3,
        lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)),
        mpf("1e-12"),
        limit,
        2 if bits == 24 else 5,
    )
    show("sin: r + r^3 p(r^2)", p[0], bits, p[1])
    p = remez(
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
        lambda z: z**2 / mp.cos(mp.sqrt(z)),
        mpf("1e-10"),
        limit,
        2 if bits == 24 else 5,
    )
    show("cos: 1 - z/2 + z^2 p(z)", p[0], bits, p[1])


def fit_arctan(bits: int) -> None:
    # atan t = t + t^3 p(t^2), |t| <= 1
    p = remez(
        lambda z: (mp.atan(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3,
        lambda z: z * mp.sqrt(z) / mp.atan(mp.sqrt(z)),
        mpf("1e-12"),
        mpf("1.001"),
        8 if bits == 24 else 19,
    )
    show("arctan p", p[0], bits, p[1])


def fit_erf(bits: int) -> None:
    edge = mpf(1)
    # erf x = x + x p(x^2), |x| <= 1
    p = remez(
        lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
        lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)),
        mpf("1e-12"),
        edge**2 * mpf("1.001"),
        6 if bits == 24 else 11,
    )
    show("erf p", p[0], bits, p[1])
    # erf x = 1 - exp(-q(x - 1)) above
    top = mpf("3.95") if bits == 24 else mpf("5.95")
    q = remez(
        lambda u: -mp.log(mp.erfc(u + 1)),
        lambda u: mp.erfc(u + 1) / mp.erf(u + 1),
        mpf("-0.001"),
        top - 1,
        6 if bits == 24 else 17,
    )
    show("erf q", q[0], bits, q[1])


def constants(bits: int) -> None:
    short = 15 if bits == 24 else 41  # k ln2_high is exact for every exponent k
    split("ln 2", mp.log(2), bits, [short, bits])
    split("pi/2", mp.pi / 2, bits, [bits, bits, bits])
    split("1/ln 2", 1 / mp.log(2), bits, [bits])
    split("2/pi", 2 / mp.pi, bits, [bits])


def reciprocal_half_pi(bits: int) -> None:
    if bits == 53:  # 2/pi in words of 32 bits, for enormous angles
        words, group = 38, 2**32
        with mp.workprec(32 * words + 64):
            digits = int(mp.floor(2 / mp.pi * mpf(2) ** (32 * words)))
        texts = [f"0x{digits >> 32 * (words - 1 - i) & (group - 1):08X}" for i in range(words)]
        print(",\n".join(", ".join(texts[i : i + 8]) for i in range(0, words, 8)) + "\n")


FITS = {
    "constants": constants,
    "exp": fit_exp,
    "tanh": fit_tanh,
    "log": fit_log,
    "sin": fit_sin,
    "arctan": fit_arctan,
    "erf": fit_erf,
    "two_over_pi": reciprocal_half_pi,
}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or FITS:
        for bits in (24, 53):
            print(f"// ---- {wanted}, {'float' if bits == 24 else 'double'}")
            FITS[wanted](bits)
