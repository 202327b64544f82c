"""Special functions: error function, gamma and its relatives, Bessel functions. Computed in float64, whatever the input.

W. J. Cody, "Rational Chebyshev approximations for the error function", 1969 (erf, erfc: its coefficients).
M. Abramowitz, I. Stegun, "Handbook of mathematical functions", 1964: 6.1.40 (lgamma), 6.3.18 (digamma), 23.2 (zeta by
Euler and Maclaurin's formula), 6.5.29 and 6.5.31 (incomplete gamma), 9.6.10 and 9.7.1 (Bessel I).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..protocol import Array

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)

# Cody's tables: numerator and denominator, highest power first
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346047, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip
_INV_SQRT_PI = 0.5641895835477562869


def _in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` computed in float64, its result in the dtype of its last argument."""

    def wrapped(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            numbers = (a.astype(np.float64) if hasattr(a, "astype") else a for a in args)
            out: Any = function(*numbers)
        return out.astype(args[-1].dtype)

    wrapped.__name__ = function.__name__
    wrapped.__doc__ = function.__doc__
    return wrapped


def _ratio(table: tuple[tuple[float, ...], tuple[float, ...]], t: Array) -> Array:
    ratio: Array = _polynomial(table[0], t) / _polynomial(table[1], t)
    return ratio


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Any:
    value: Any = coefficients[0]
    for c in coefficients[1:]:
        value = value * t + c
    return value


def _scaled_tail(a: Array) -> Array:
    """exp(a**2) * erfc(a) for a > 0.46875."""
    inverse = 1 / (a * a)
    far = (_INV_SQRT_PI - inverse * _ratio(_FAR, inverse)) / a
    return np.where(a <= 4, _ratio(_MIDDLE, np.minimum(a, 4)), far)


def _tail(x: Array) -> Array:
    """erfc(|x|) for |x| > 0.46875; exp(-x**2) in two factors, so that the square's rounding does not count."""
    a = np.abs(x)
    coarse = np.trunc(a * 16) / 16
    square = np.exp(-coarse * coarse) * np.exp(-(a - coarse) * (a + coarse))
    return np.where(a > 27, 0.0, square * _scaled_tail(np.maximum(a, 0.46875)))


def _erf64(x: Array) -> Array:
    near = x * _ratio(_NEAR, np.minimum(x * x, 0.25))
    out = np.where(np.abs(x) <= 0.46875, near, np.sign(x) * (1 - _tail(x)))
    return np.where(np.isnan(x), x, out)


def _erfc64(x: Array) -> Array:
    near = 1 - x * _ratio(_NEAR, np.minimum(x * x, 0.25))
    tail = _tail(x)
    out = np.where(np.abs(x) <= 0.46875, near, np.where(x > 0, tail, 2 - tail))
    return np.where(np.isnan(x), x, out)


def _erfinv64(y: Array) -> Array:
    # S. Winitzki's approximation (2008), then Halley's steps on erf, or on erfc where y is near 1
    a = np.abs(y)
    log = np.log1p(-a * a)
    half = 2 / (np.pi * 0.147) + log / 2
    x = np.sqrt(np.sqrt(half * half - log / 0.147) - half)
    for _ in range(3):
        error = np.where(a < 0.5, _erf64(x) - a, (1 - a) - _erfc64(x))
        step = error / (2 * _INV_SQRT_PI * np.exp(-x * x))
        x = x - step / (1 + x * step)
    x = np.where(a == 1, np.inf, np.where(a == 0, 0.0, x))
    return np.where(a > 1, np.nan, np.copysign(x, y))


def _shifted(x: Array, first: float, term: Callable[[Array], Array]) -> tuple[Array, Array]:
    """x moved up by ones to at least ``first``, and the sum of ``term`` over the places it left."""
    moved, total = x.copy(), np.zeros_like(x)
    for _ in range(100):  # polynomials of the gamma family are asked for about 0, not for -1000
        low = moved < first
        if not low.any():
            break
        total = total + np.where(low, term(np.where(low, moved, first)), 0.0)
        moved = np.where(low, moved + 1, moved)
    return moved, total


def _lgamma_positive(x: Array) -> Array:
    moved, product = x.copy(), np.ones_like(x)
    for _ in range(10):
        low = moved < 10
        product = np.where(low, product * np.where(low, moved, 1.0), product)
        moved = np.where(low, moved + 1, moved)
    total = (moved - 0.5) * np.log(moved) - moved + 0.91893853320467274178
    power = 1 / moved
    for i, b in enumerate(_BERNOULLI):
        total = total + b / ((2 * i + 1) * (2 * i + 2)) * power
        power = power / (moved * moved)
    near = total - np.log(product)
    # At 1 and 2 the parts cancel: there the series of log(gamma) about 1 takes over
    u = np.where(np.abs(x - 1) < 0.25, x - 1, np.where(np.abs(x - 2) < 0.25, x - 2, 0.0))
    series = -0.57721566490153286061 * u
    for k, zeta in enumerate(_ZETA, 2):
        series = series + (-1) ** k * zeta / k * u**k
    series = np.where(np.abs(x - 2) < 0.25, series + np.log1p(u), series)
    out = np.where((np.abs(x - 1) < 0.25) | (np.abs(x - 2) < 0.25), series, near)
    return np.where(np.isposinf(x), np.inf, out)


def _lgamma64(x: Array) -> Array:
    reflected = x < 0.5
    positive = _lgamma_positive(np.where(reflected, 1 - x, x))
    sine = np.abs(np.sin(np.pi * (x - np.round(x))))
    out = np.where(reflected, np.log(np.pi) - np.log(sine) - positive, positive)
    return np.where(np.isneginf(x), np.inf, out)


def _digamma64(x: Array) -> Array:
    reflected = x < 0.5
    moved, total = _shifted(np.where(reflected, 1 - x, x), 10, lambda v: 1 / v)
    out = np.log(moved) - 0.5 / moved - total
    power = 1 / (moved * moved)
    for i, b in enumerate(_BERNOULLI):
        out = out - b / (2 * i + 2) * power
        power = power / (moved * moved)
    out = np.where(reflected, out - np.pi / np.tan(np.pi * (x - np.round(x))), out)
    out = np.where((x < 0) & (x == np.round(x)), np.nan, out)
    return np.where(x == 0, np.copysign(np.inf, -x), out)


def _zeta64(s: float, q: Array) -> Array:
    """Hurwitz's zeta(s, q), the sum of (q + k)**-s over k >= 0, for integer s > 1."""
    moved, total = _shifted(q, 10, lambda v: v**-s)
    total = total + moved ** (1 - s) / (s - 1) + 0.5 * moved**-s
    term = s * moved ** (-s - 1)
    factorial = 2.0
    for i, b in enumerate(_BERNOULLI):
        total = total + b / factorial * term
        term = term * (s + 2 * i + 1) * (s + 2 * i + 2) / (moved * moved)
        factorial *= (2 * i + 3) * (2 * i + 4)
    return np.where((q <= 0) & (q == np.floor(q)), np.inf, total)


_ZETA = [float(_zeta64(float(k), np.ones(1))[0]) for k in range(2, 30)]


def _bessel(order: int, x: Array) -> Array:
    """Modified Bessel function I of order 0 or 1, times exp(-|x|)."""
    a = np.abs(x)
    small = np.minimum(a, 30.0)
    term = np.ones_like(small) if order == 0 else small / 2
    series = term.copy()
    for k in range(1, 70):
        term = term * (small * small / 4) / (k * (k + order))
        series = series + term
    large = np.maximum(a, 30.0)
    ratio = np.ones_like(large)
    tail = ratio.copy()
    for k in range(1, 16):
        ratio = -ratio * (4 * order * order - (2 * k - 1) ** 2) / (8 * k * large)
        tail = tail + ratio
    out = np.where(a <= 30, series * np.exp(-small), tail / np.sqrt(2 * np.pi * large))
    signed: Array = np.where(x < 0, -out, out) if order else out
    return signed


def _i0(x: Array) -> Array:
    return _bessel(0, x) * np.exp(np.abs(x))


def _i1(x: Array) -> Array:
    return _bessel(1, x) * np.exp(np.abs(x))


def _gammainc_pair(a: Array, x: Array) -> tuple[Array, Array]:
    """The regularised incomplete gamma functions P(a, x) and Q(a, x) = 1 - P."""
    a, x = np.broadcast_arrays(a, x)
    front = np.exp(a * np.log(x) - x - _lgamma64(a))
    term = 1 / a
    series = term.copy()
    below = np.where(x < a + 1, x, 0.0)
    for k in range(1, 500):
        term = term * below / (a + k)
        series = series + term
        if not (np.abs(term) > np.abs(series) * 1e-17).any():
            break
    lower = front * series
    above = np.where(x >= a + 1, x, a + 2)
    # Lentz's evaluation of the continued fraction
    b = above + 1 - a
    c = np.full_like(b, 1e300)
    d = 1 / b
    fraction = d.copy()
    for k in range(1, 500):
        step = -k * (k - a)
        b = b + 2
        d = 1 / (step * d + b)
        c = b + step / c
        change = c * d
        fraction = fraction * change
        if not (np.abs(change - 1) > 1e-16).any():
            break
    upper = front * fraction
    p = np.where(x < a + 1, lower, 1 - upper)
    q = np.where(x < a + 1, 1 - lower, upper)
    p = np.where(x == 0, np.where(a == 0, np.nan, 0.0), np.where(a == 0, 1.0, p))
    q = np.where(x == 0, np.where(a == 0, np.nan, 1.0), np.where(a == 0, 0.0, q))
    infinite = np.isposinf(x) & np.isfinite(a)
    p, q = np.where(infinite, 1.0, p), np.where(infinite, 0.0, q)
    bad = (a < 0) | (x < 0) | np.isnan(a) | np.isnan(x)
    return np.where(bad, np.nan, p), np.where(bad, np.nan, q)


erf = _in_float64(_erf64)
erfc = _in_float64(_erfc64)
erfinv = _in_float64(_erfinv64)
lgamma = _in_float64(_lgamma64)
digamma = _in_float64(_digamma64)
zeta = _in_float64(lambda s, q: _zeta64(float(s), q))
i0 = _in_float64(_i0)
i1 = _in_float64(_i1)
gammainc = _in_float64(lambda a, x: _gammainc_pair(a, x)[0])
gammaincc = _in_float64(lambda a, x: _gammainc_pair(a, x)[1])
