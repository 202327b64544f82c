"""Mathematical functions, scans, order, statistics, arrangement, scatter and products as cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastnn

from .harness import Case

T = fastnn.tensor
INDEX = np.array([[0, 1, 0], [2, 0, 1]])
ROWS = np.array([2, 0, 2])
MASK = np.array([[True, False, True], [False, False, True]])
SRC = np.arange(6.0).reshape(2, 3)


def _each(function: Any) -> Any:
    return np.vectorize(function, otypes=[np.float64])


def _zeta_series(n: int, x: Any) -> Any:
    """(-1)**(n + 1) n! sum of (x + k)**-(n + 1): by brute force, with the tail's integral."""
    k = np.arange(200000.0)
    terms = ((x[..., None] + k) ** -(n + 1.0)).sum(-1)
    end = x + 200000
    tail = end**-n / n + 0.5 * end ** -(n + 1.0)
    return (-1) ** (n + 1) * math.factorial(n) * (terms + tail)


def _gammainc(a: Any, x: Any) -> Any:
    """The lower incomplete gamma function by its power series."""
    total = np.zeros(np.broadcast(a, x).shape)
    term = 1 / a + 0 * x
    for k in range(1, 200):
        total = total + term
        term = term * x / (a + k)
    return total * np.exp(a * np.log(x) - x - _each(math.lgamma)(a))


def _bessel0(x: Any) -> Any:
    return np.i0(x)


def _erfinv(y: Any) -> Any:
    """By bisection on erf."""
    low, high = np.full_like(y, -6.0), np.full_like(y, 6.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = _each(math.erf)(middle) < y
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def _digamma(x: Any) -> Any:
    """The central difference of lgamma, improved once by Richardson."""

    def slope(h: float) -> Any:
        return (_each(math.lgamma)(x + h) - _each(math.lgamma)(x - h)) / (2 * h)

    return (4 * slope(1e-3) - slope(2e-3)) / 3


UNARY = {
    "exp2": (fastnn.exp2, np.exp2, -2.0, 2.0),
    "asinh": (fastnn.asinh, np.arcsinh, -2.0, 2.0),
    "acosh": (fastnn.acosh, np.arccosh, 1.5, 3.0),
    "atanh": (fastnn.atanh, np.arctanh, -0.8, 0.8),
    "sinc": (fastnn.sinc, np.sinc, -2.0, 2.0),
    "deg2rad": (fastnn.deg2rad, np.deg2rad, -2.0, 2.0),
    "rad2deg": (lambda x: fastnn.rad2deg(x) / 60, lambda x: np.rad2deg(x) / 60, -2.0, 2.0),
    "frac": (fastnn.frac, lambda x: x - np.trunc(x), 0.1, 0.9),
    "erf": (fastnn.erf, _each(math.erf), -2.0, 2.0),
    "erfc": (fastnn.erfc, _each(math.erfc), -2.0, 2.0),
    "erfinv": (fastnn.erfinv, _erfinv, -0.8, 0.8),
    "lgamma": (fastnn.lgamma, _each(math.lgamma), 0.3, 5.0),
    "i0": (fastnn.i0, _bessel0, -2.0, 2.0),
    "logit": (lambda x: fastnn.logit(x, 0.05), lambda x: np.log(x / (1 - x)), 0.1, 0.9),
    "mvlgamma": (
        lambda x: fastnn.mvlgamma(x, 2),
        lambda x: _each(math.lgamma)(x) + _each(math.lgamma)(x - 0.5) + 0.5 * np.log(np.pi),
        2.0,
        4.0,
    ),
    "nan_to_num": (lambda x: fastnn.nan_to_num(x / x), lambda x: x * 0 + 1, 0.5, 2.0),
    "float_power": (lambda x: fastnn.float_power(x, 3).to(x.dtype), lambda x: x**3, -2.0, 2.0),
}
BINARY = {
    "atan2": (fastnn.atan2, np.arctan2),
    "hypot": (fastnn.hypot, np.hypot),
    "fmax": (fastnn.fmax, np.fmax),
    "fmin": (fastnn.fmin, np.fmin),
    "fmod": (fastnn.fmod, np.fmod),
    "logaddexp": (fastnn.logaddexp, np.logaddexp),
    "logaddexp2": (fastnn.logaddexp2, np.logaddexp2),
    "xlogy": (fastnn.xlogy, lambda a, b: a * np.log(b)),
    "copysign": (fastnn.copysign, np.copysign),
    "ldexp": (fastnn.ldexp, lambda a, b: a * 2**b),
    "rsub": (lambda a, b: fastnn.rsub(a, b, alpha=2), lambda a, b: b - 2 * a),
}

CASES = [Case(n, op, ref, ((2, 3),), low, high) for n, (op, ref, low, high) in UNARY.items()]
CASES += [
    Case(f"{n}{a}{b}", op, ref, (a, b), 0.3, 2.0, distinct=True)
    for n, (op, ref) in BINARY.items()
    for a, b in (((2, 3), (2, 3)), ((2, 1), (1, 3)))
]
CASES += [
    Case("digamma", fastnn.digamma, _digamma, ((2, 3),), 1.0, 4.0, terms=64),  # the reference's own error is 1e-11
    Case("polygamma", lambda x: fastnn.polygamma(1, x), lambda x: _zeta_series(1, x), ((2, 2),), 1.0, 4.0),
    Case("igamma", lambda x: fastnn.igamma(T(1.5, dtype=x.dtype), x), lambda x: _gammainc(np.array(1.5), x), ((2, 3),), 0.3, 3.0),
    Case("igammac", lambda x: fastnn.igammac(T(1.5, dtype=x.dtype), x), lambda x: 1 - _gammainc(np.array(1.5), x), ((2, 3),), 0.3, 3.0),
    Case("lerp", lambda a, b: fastnn.lerp(a, b, 0.25), lambda a, b: a + 0.25 * (b - a), ((2, 3), (2, 3))),
    Case("addcmul", lambda a, b, c: fastnn.addcmul(a, b, c, value=2), lambda a, b, c: a + 2 * b * c, ((2, 3), (3,), (2, 1))),
    Case("addcdiv", lambda a, b, c: fastnn.addcdiv(a, b, c, value=2), lambda a, b, c: a + 2 * b / c, ((2, 3), (3,), (2, 1)), 0.5, 2.0),
    # scans
    Case("cumsum", lambda x: x.cumsum(1), lambda x: x.cumsum(1), ((2, 4),), terms=4),
    Case("cumprod", lambda x: x.cumprod(1), lambda x: x.cumprod(1), ((2, 4),), 0.5, 1.5, terms=4),
    Case("cumprod_zero", lambda x: (x * T([1.0, 0.0, 1.0], dtype=x.dtype)).cumprod(0), lambda x: (x * [1, 0, 1]).cumprod(0), ((3,),), 0.5, 1.5),
    Case("cummax", lambda x: x.cummax(1)[0], lambda x: np.maximum.accumulate(x, 1), ((2, 4),), distinct=True),
    Case("cummin", lambda x: x.cummin(0)[0], lambda x: np.minimum.accumulate(x, 0), ((3, 2),), distinct=True),
    Case("logcumsumexp", lambda x: x.logcumsumexp(1), lambda x: np.logaddexp.accumulate(x, 1), ((2, 4),), terms=4),
    Case("diff", lambda x: x.diff(n=2), lambda x: np.diff(x, 2), ((2, 5),)),
    Case("trapezoid", lambda y: fastnn.trapezoid(y, dx=0.5), lambda y: ((y[:, 1:] + y[:, :-1]) / 4).sum(1), ((2, 4),), terms=4),
    Case("cumulative_trapezoid", lambda y: fastnn.cumulative_trapezoid(y), lambda y: ((y[:, 1:] + y[:, :-1]) / 2).cumsum(1), ((2, 4),), terms=4),
    Case("gradient", lambda x: fastnn.gradient(x, spacing=0.5)[1], lambda x: np.gradient(x, 0.5, axis=1), ((2, 4),)),
    # order
    Case("sort", lambda x: x.sort(1), lambda x: (np.sort(x, 1), np.argsort(x, 1)), ((2, 4),), distinct=True),
    Case("sort_descending", lambda x: x.sort(0, descending=True), lambda x: (np.sort(x, 0)[::-1], np.argsort(-x, 0)), ((4, 2),), distinct=True),
    Case("topk", lambda x: x.topk(2), lambda x: (-np.sort(-x, -1)[:, :2], np.argsort(-x, -1)[:, :2]), ((2, 4),), distinct=True),
    Case("kthvalue", lambda x: x.kthvalue(2), lambda x: (np.sort(x, -1)[:, 1], np.argsort(x, -1)[:, 1]), ((2, 4),), distinct=True),
    Case("median", lambda x: x.median(), lambda x: np.sort(x.ravel())[3], ((2, 4),), distinct=True),
    Case("median_dim", lambda x: x.median(0)[0], lambda x: np.sort(x, 0)[1], ((3, 2),), distinct=True),
    Case("quantile", lambda x: x.quantile(0.3, 1), lambda x: np.quantile(x, 0.3, 1), ((2, 5),), distinct=True),
    Case("quantile_two", lambda x: x.quantile(T([0.25, 0.9], dtype=x.dtype)), lambda x: np.quantile(x, [0.25, 0.9]), ((2, 5),), distinct=True),
    Case("aminmax", lambda x: x.aminmax(dim=1), lambda x: (x.min(1), x.max(1)), ((2, 4),), distinct=True),
    # statistics
    Case("logsumexp", lambda x: x.logsumexp(1), lambda x: np.log(np.exp(x).sum(1)), ((2, 4),), terms=4),
    Case("norm_3", lambda x: x.norm(3, 1), lambda x: (np.abs(x) ** 3).sum(1) ** (1 / 3), ((2, 4),), 0.2, 2.0, terms=4),
    Case("dist", lambda a, b: fastnn.dist(a, b, 2), lambda a, b: np.sqrt(((a - b) ** 2).sum()), ((2, 3), (3,)), terms=6),
    Case("renorm", lambda x: fastnn.renorm(x, 2, 0, 1.0), lambda x: x / (np.sqrt((x * x).sum(1, keepdims=True)) + 1e-7), ((2, 3),), 1.0, 2.0, terms=3),
    Case("std_mean", lambda x: fastnn.std_mean(x, 1), lambda x: (x.std(1, ddof=1), x.mean(1)), ((2, 4),), terms=8),
    Case("nanmean", lambda x: x.nanmean(1), lambda x: x.mean(1), ((2, 4),), terms=4),
    Case("cov", lambda x: x.cov(), lambda x: np.cov(x), ((2, 4),), terms=8),
    Case("corrcoef", lambda x: x.corrcoef(), lambda x: np.corrcoef(x), ((2, 5),), terms=32),
    Case("cdist", lambda a, b: fastnn.cdist(a, b), lambda a, b: np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)), ((2, 3), (4, 3)), terms=3, distinct=True),
    Case("prod_twice", lambda x: x.prod(1), lambda x: x.prod(1), ((2, 3),), 0.5, 1.5),
    # views and arrangement
    Case("narrow", lambda x: x.narrow(1, 1, 2), lambda x: x[:, 1:3], ((2, 4),)),
    Case("select", lambda x: x.select(0, 1), lambda x: x[1], ((2, 4),)),
    Case("diagonal", lambda x: x.diagonal(1), lambda x: np.diagonal(x, 1), ((3, 4),)),
    Case("diag_embed", lambda x: x.diag_embed(1), lambda x: np.stack([np.diag(r, 1) for r in x]), ((2, 3),)),
    Case("as_strided", lambda x: x.reshape(-1).as_strided((2, 2), (1, 2), 1), lambda x: np.array([[x.flat[1], x.flat[3]], [x.flat[2], x.flat[4]]]), ((2, 3),)),
    Case("unfold", lambda x: x.unfold(1, 3, 2), lambda x: np.stack([x[:, 0:3], x[:, 2:5]], 1), ((2, 5),)),
    Case("unflatten", lambda x: x.unflatten(1, (2, -1)), lambda x: x.reshape(2, 2, 3), ((2, 6),)),
    Case("tensor_split", lambda x: x.tensor_split(3, 1), lambda x: tuple(np.array_split(x, 3, 1)), ((2, 5),)),
    Case("select_scatter", lambda a, b: a.select_scatter(b, 0, 1), lambda a, b: np.stack([a[0], b]), ((2, 3), (3,))),
    Case("repeat", lambda x: x.repeat(2, 1, 2), lambda x: np.tile(x, (2, 1, 2)), ((2, 3),)),
    Case("tile", lambda x: x.tile(2), lambda x: np.tile(x, 2), ((2, 3),)),
    Case("repeat_interleave", lambda x: x.repeat_interleave(T([1, 0, 2]), 1), lambda x: np.repeat(x, [1, 0, 2], 1), ((2, 3),)),
    Case("roll", lambda x: x.roll((1, -1), (0, 1)), lambda x: np.roll(x, (1, -1), (0, 1)), ((2, 3),)),
    Case("roll_flat", lambda x: x.roll(2), lambda x: np.roll(x, 2), ((2, 3),)),
    Case("rot90", lambda x: x.rot90(), lambda x: np.rot90(x), ((2, 3),)),
    Case("tril", lambda x: x.tril(1), lambda x: np.tril(x, 1), ((3, 4),)),
    Case("triu", lambda x: x.triu(-1), lambda x: np.triu(x, -1), ((2, 3, 3),)),
    Case("hstack", lambda a, b: fastnn.hstack([a, b]), lambda a, b: np.hstack([a, b]), ((2, 3), (2, 1))),
    Case("block_diag", lambda a, b: fastnn.block_diag(a, b), lambda a, b: np.block([[a, np.zeros((1, 2))], [np.zeros((2, 2)), b]]), ((1, 2), (2, 2))),
    Case("meshgrid_xy", lambda a, b: fastnn.meshgrid(a, b, indexing="xy"), lambda a, b: tuple(np.meshgrid(a, b)), ((2,), (3,))),
    # reading and writing at indices
    Case("scatter", lambda x, s: x.scatter(0, T(INDEX), s), lambda x, s: _scattered(x, s, lambda old, new: new), ((3, 3), (2, 3))),
    Case("scatter_add", lambda x, s: x.scatter_add(0, T(INDEX), s), lambda x, s: _scattered(x, s, lambda old, new: old + new), ((3, 3), (2, 3)), terms=3),
    Case("scatter_prod", lambda x, s: x.scatter_reduce(0, T(INDEX), s, "prod"), lambda x, s: _scattered(x, s, lambda old, new: old * new), ((3, 3), (2, 3)), 0.5, 1.5, terms=3),
    Case("scatter_amax", lambda x, s: x.scatter_reduce(0, T(INDEX), s, "amax"), lambda x, s: _scattered(x, s, max), ((3, 3), (2, 3)), distinct=True),
    Case("index_add", lambda x, s: x.index_add(0, T(ROWS), s, alpha=2), lambda x, s: x + np.stack([2 * s[1], 0 * s[0], 2 * (s[0] + s[2])]), ((3, 2), (3, 2)), terms=3),
    Case("index_copy", lambda x, s: x.index_copy(0, T([2, 0]), s), lambda x, s: np.stack([s[1], x[1], s[0]]), ((3, 2), (2, 2))),
    Case("index_fill", lambda x: x.index_fill(1, T([0, 2]), 7.0), lambda x: np.stack([x[:, 0] * 0 + 7, x[:, 1], x[:, 0] * 0 + 7], 1), ((2, 3),)),
    Case("take", lambda x: x.take(T([[0, 5], [5, 2]])), lambda x: x.ravel()[[[0, 5], [5, 2]]], ((2, 3),)),
    Case("put", lambda x, s: x.put(T([1, 4]), s), lambda x, s: np.array([[x[0, 0], s[0], x[0, 2]], [x[1, 0], s[1], x[1, 2]]]), ((2, 3), (2,))),
    Case("take_along_dim", lambda x: x.take_along_dim(T([[2, 0]]), 1), lambda x: x[:, [2, 0]], ((2, 3),)),
    Case("masked_select", lambda x: x.masked_select(T(MASK)), lambda x: x[MASK], ((2, 3),)),
    Case("masked_scatter", lambda x, s: x.masked_scatter(T(MASK), s), lambda x, s: np.array([[s[0], x[0, 1], s[1]], [x[1, 0], x[1, 1], s[2]]]), ((2, 3), (4,))),
    # products
    Case("addmm", lambda a, b, c: fastnn.addmm(a, b, c, beta=2, alpha=3), lambda a, b, c: 2 * a + 3 * b @ c, ((2, 2), (2, 3), (3, 2)), terms=8),
    Case("bmm", fastnn.bmm, np.matmul, ((2, 2, 3), (2, 3, 2)), terms=3),
    Case("mv", fastnn.mv, np.matmul, ((2, 3), (3,)), terms=3),
    Case("dot", fastnn.dot, np.dot, ((4,), (4,)), terms=4),
    Case("outer", fastnn.outer, np.outer, ((2,), (3,))),
    Case("kron", fastnn.kron, np.kron, ((2, 2), (1, 3))),
    Case("cross", lambda a, b: fastnn.cross(a, b, dim=1), lambda a, b: np.cross(a, b), ((2, 3), (2, 3)), terms=2),
    Case("trace", fastnn.trace, np.trace, ((3, 3),), terms=3),
    Case("tensordot", lambda a, b: fastnn.tensordot(a, b, ([0, 2], [1, 0])), lambda a, b: np.tensordot(a, b, ([0, 2], [1, 0])), ((2, 2, 3), (3, 2)), terms=6),
    Case("einsum", lambda a, b: fastnn.einsum("bij,kj->bki", a, b), lambda a, b: np.einsum("bij,kj->bki", a, b), ((2, 2, 3), (2, 3)), terms=3),
    Case("einsum_diagonal", lambda a: fastnn.einsum("...ii->...i", a), lambda a: np.einsum("...ii->...i", a), ((2, 3, 3),)),
    Case("einsum_three", lambda a, b, c: fastnn.einsum("ij,jk,k->i", a, b, c), lambda a, b, c: a @ b @ c, ((2, 3), (3, 2), (2,)), terms=12),
]  # fmt: skip


def _scattered(x: Any, s: Any, combine: Any) -> Any:
    out = x.copy()
    for i in range(2):
        for j in range(3):
            k = int(INDEX[i, j])
            out[k, j] = combine(out[k, j], s[i, j])
    return out
