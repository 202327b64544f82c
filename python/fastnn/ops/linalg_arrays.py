"""Linear algebra on raw arrays that NumPy lacks: LU factors, triangular systems, the matrix exponential."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def transposed(a: Array) -> Array:
    """The last two axes exchanged."""
    return a.swapaxes(-1, -2)


def lu_factor(a: Array) -> tuple[Array, Array, Array]:
    """Gaussian elimination with partial pivoting of (..., m, n).

    Returns:
        The packed factors (U above, L below the diagonal), the row that was exchanged with row i (from 1, int32), and
        which pivot was exactly 0 first (from 1; 0: none).
    """
    lead, (m, n) = a.shape[:-2], a.shape[-2:]
    k = min(m, n)
    packed = np.array(a.reshape(int(np.prod(lead)), m, n), order="C", copy=True)
    pivots = np.zeros((packed.shape[0], k), np.int32)
    info = np.zeros(packed.shape[0], np.int32)
    every = np.arange(packed.shape[0])
    with np.errstate(all="ignore"):
        for j in range(k):
            row = np.abs(packed[:, j:, j]).argmax(1) + j
            pivots[:, j] = row + 1
            held = packed[:, j].copy()
            packed[:, j] = packed[every, row]
            packed[every, row] = held
            pivot = packed[:, j, j]
            info = np.where((pivot == 0) & (info == 0), j + 1, info)
            packed[:, j + 1 :, j] /= np.where(pivot == 0, 1, pivot)[:, None]
            packed[:, j + 1 :, j + 1 :] -= packed[:, j + 1 :, j, None] * packed[:, j, None, j + 1 :]
    return packed.reshape(a.shape), pivots.reshape(*lead, k), info.reshape(lead).astype(np.int32)


def permutation(pivots: Array, m: int) -> Array:
    """The order of ``m`` rows that the exchanges ``pivots`` (from 1) make: row i of the result was row order[i]."""
    flat = pivots.reshape(int(np.prod(pivots.shape[:-1])), pivots.shape[-1])
    order = np.tile(np.arange(m), (flat.shape[0], 1))
    every = np.arange(flat.shape[0])
    for j in range(flat.shape[1]):
        row = flat[:, j] - 1
        held = order[:, j].copy()
        order[:, j] = order[every, row]
        order[every, row] = held
    return order.reshape(*pivots.shape[:-1], m)


def permutation_matrix(order: Array, dtype: Any) -> Array:
    """P with A = P L U, from the order of rows of ``permutation``."""
    m = order.shape[-1]
    return transposed(np.eye(m, dtype=dtype)[order])


def solve_triangular(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """x of a x = b by substitution; what lies on the other side of the diagonal is not read. A 0 there gives infinities."""
    n = a.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*lead, *b.shape[-2:])), order="C", copy=True)
    with np.errstate(all="ignore"):
        for i in range(n - 1, -1, -1) if upper else range(n):
            if not unit:
                x[..., i, :] /= a[..., i, i, None]
            rest = slice(0, i) if upper else slice(i + 1, n)
            x[..., rest, :] -= a[..., rest, i, None] * x[..., i, None, :]
    return x


def apply_each(function: Any, a: Array, *results: Array) -> None:
    """Call ``function`` for each matrix of the batch ``a`` with that matrix and its places in ``results``."""
    for index in np.ndindex(a.shape[:-2]):
        function(a[index], *(r[index] for r in results))


# The coefficients of the [13/13] Pade approximant of exp (N. Higham, "The scaling and squaring method for the matrix
# exponential revisited", 2005), and the norm up to which it is exact to float64
_PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
_PADE_NORM = 5.371920351148152


def matrix_exp(a: Array) -> Array:
    """exp of the matrices (..., n, n), computed in float64."""
    n = a.shape[-1]
    if a.size == 0:
        return a.copy()
    x = a.reshape(-1, n, n).astype(np.float64)
    size = np.abs(x).sum(-2).max(-1)
    if not np.isfinite(size).all():
        return np.full_like(a, np.nan)
    steps = np.ceil(np.log2(np.maximum(size / _PADE_NORM, 1.0))).astype(np.int64)
    x = x * 0.5 ** steps[:, None, None]
    c, eye = _PADE, np.eye(n)
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = (
        x6 @ (c[13] * x6 + c[11] * x4 + c[9] * x2) + c[7] * x6 + c[5] * x4 + c[3] * x2 + c[1] * eye
    )
    odd = x @ odd
    even = (
        x6 @ (c[12] * x6 + c[10] * x4 + c[8] * x2) + c[6] * x6 + c[4] * x4 + c[2] * x2 + c[0] * eye
    )
    y = np.linalg.solve(even - odd, even + odd)
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(int(steps.max())):
            more = steps > i
            y[more] = y[more] @ y[more]
        return y.reshape(a.shape).astype(a.dtype)
