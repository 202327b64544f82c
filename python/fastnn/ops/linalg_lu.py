"""LU factors of matrices in batches, systems solved with them, and products of Householder reflections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core import make
from ..autograd.node import ComposedMultiNode, Output, edge_of
from ..autograd.output import accepts_out
from . import arrange, indexing, select, shape
from . import linalg_arrays as arrays
from .gemm import matmul
from .linalg_solve import (
    LinAlgError,
    floating,
    matrices,
    mT,
    records,
    same_dtype,
    solve_triangular,
    square,
)
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor


def _part(x: Tensor, rows: slice, columns: slice) -> Tensor:
    return indexing.getitem(x, (Ellipsis, rows, columns))


class LinalgLuBackward0(ComposedMultiNode):
    """A = P L U: gA = P L'**-1 (tril(L' gL, -1) + triu(gU U')) U'**-1 for a square A.

    Of a tall A the rows below the square block are L2 = A2 U**-1, of a wide one the columns right of it are
    U2 = L**-1 A2: their gradients follow from those products and add to those of the square block.
    """

    __slots__ = ()

    def backward_graph(self, grads: Any) -> tuple[Any, ...]:
        _, gl, gu = grads
        p, la, ua = self.saved
        if gl is None and gu is None:
            return (None,)
        lower, upper = self.result(1, la), self.result(2, ua)
        m, n = la.shape[-2], ua.shape[-1]
        k = min(m, n)
        head, tail = slice(0, k), slice(k, None)
        every = slice(None)
        l1, u1 = _part(lower, head, every), _part(upper, every, head)
        gl1 = None if gl is None else _part(gl, head, every)
        gu1 = None if gu is None else _part(gu, every, head)
        rest: Any = None
        if m > k:
            l2 = _part(lower, tail, every)
            if gl is None:
                rest = l2 * 0
            else:
                rest = solve_triangular(mT(u1), _part(gl, tail, every), upper=False, left=False)
                extra = matmul(mT(l2), rest)
                gu1 = -extra if gu1 is None else gu1 - extra
        if n > k:
            u2 = _part(upper, every, tail)
            if gu is None:
                rest = u2 * 0
            else:
                rest = solve_triangular(
                    mT(l1), _part(gu, every, tail), upper=True, unitriangular=True
                )
                extra = matmul(rest, mT(u2))
                gl1 = -extra if gl1 is None else gl1 - extra
        inner: Any = None
        if gl1 is not None:
            inner = arrange.tril(matmul(mT(l1), gl1), -1)
        if gu1 is not None:
            part = arrange.triu(matmul(gu1, mT(u1)))
            inner = part if inner is None else inner + part
        left = solve_triangular(mT(l1), inner, upper=True, unitriangular=True)
        ga = solve_triangular(mT(u1), left, upper=False, left=False)
        if rest is not None:
            ga = shape.cat([ga, rest], -2 if m > k else -1)
        return (matmul(make(p), ga),)


class PLU(NamedTuple):
    """What ``lu`` returns."""

    P: Tensor
    L: Tensor
    U: Tensor


def _pivoting(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(
            f"{name}: LU without pivoting is not implemented on the CPU; use pivot=True"
        )


def _plu(a: Tensor, packed: Any, pivots: Any) -> PLU:
    m, n = packed.shape[-2:]
    k = min(m, n)
    lower = np.tril(packed[..., :k], -1)
    diagonal = np.arange(k)
    lower[..., diagonal, diagonal] = 1
    upper = np.triu(packed[..., :k, :])
    p = arrays.permutation_matrix(arrays.permutation(pivots, m), packed.dtype)
    if not records(a):
        return PLU(make(p), make(lower), make(upper))
    node = LinalgLuBackward0((edge_of(a),), (p, lower, upper), 3)
    return PLU(make(p), make(lower, Output(node, 1)), make(upper, Output(node, 2)))


@accepts_out
@on_host
def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> PLU:
    """The permutation P, unit lower triangular L and upper triangular U with P L U = A.

    Args:
        A: (..., m, n).

    Raises:
        RuntimeError: ``pivot=False``, or another dtype.
    """
    matrices("linalg.lu", A)
    _pivoting("linalg.lu", pivot)
    packed, pivots, _ = arrays.lu_factor(A._data)
    return _plu(A, packed, pivots)


class LUFactor(NamedTuple):
    """What ``lu_factor`` returns: both factors in one matrix, and the exchanges of rows, from 1."""

    LU: Tensor
    pivots: Tensor


class LUFactorEx(NamedTuple):
    """What ``lu_factor_ex`` returns."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


@accepts_out
@on_host
def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> LUFactorEx:
    """``lu_factor``, and for each matrix 0 or the pivot (from 1) that is 0."""
    matrices("linalg.lu_factor_ex", A)
    _pivoting("linalg.lu_factor_ex", pivot)
    packed, pivots, info = arrays.lu_factor(A._data)
    if check_errors and info.any():
        raise LinAlgError(
            f"linalg.lu_factor_ex: U has a 0 on its diagonal: info is {info.tolist()}"
        )
    if records(A):
        _, lower, upper = _plu(A, packed, pivots)
        m, n = packed.shape[-2:]
        both = _widened(arrange.tril(lower, -1), m, n) + _widened(upper, m, n)
    else:
        both = make(packed)
    return LUFactorEx(both, make(pivots), make(info))


def _widened(x: Tensor, m: int, n: int) -> Tensor:
    """``x`` with rows or columns of zeros added, up to (m, n)."""
    *lead, rows, columns = x._data.shape
    if rows < m:
        x = shape.cat([x, make(np.zeros((*lead, m - rows, columns), x._data.dtype))], -2)
    if columns < n:
        x = shape.cat([x, make(np.zeros((*lead, m, n - columns), x._data.dtype))], -1)
    return x


@accepts_out
@on_host
def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> LUFactor:
    """L and U in one matrix, and the exchanges of rows, for ``lu_solve``; see ``lu``."""
    both, pivots, _ = lu_factor_ex(A, pivot=pivot)
    return LUFactor(both, pivots)


@accepts_out
@on_host
def lu_solve(
    LU: Tensor,
    pivots: Tensor,
    B: Tensor,
    *,
    left: bool = True,
    adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X of A X = B from ``lu_factor(A)`` (``left=False``: of X A = B; ``adjoint``: with A transposed).

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
    """
    name = "linalg.lu_solve"
    square(name, LU)
    matrices(name, B)
    same_dtype(name, LU, B)
    if pivots._data.dtype != np.int32:
        raise RuntimeError(
            f"{name}: pivots should be a Tensor of scalar type torch.int32, got {pivots.dtype}"
        )
    if not left:
        return mT(lu_solve(LU, pivots, mT(B), adjoint=not adjoint))
    n = LU._data.shape[-1]
    if B._data.shape[-2] != n:
        raise RuntimeError(f"{name}: LU of {n} rows does not fit B of shape {tuple(B.shape)}")
    p = make(arrays.permutation_matrix(arrays.permutation(pivots._data, n), LU._data.dtype))
    if adjoint:
        y = solve_triangular(mT(LU), B, upper=False)
        return matmul(p, solve_triangular(mT(LU), y, upper=True, unitriangular=True))
    y = solve_triangular(LU, matmul(mT(p), B), upper=False, unitriangular=True)
    return solve_triangular(LU, y, upper=True)


def torch_lu(
    A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None
) -> LUFactor | LUFactorEx:
    """``linalg.lu_factor``; with ``get_infos`` ``linalg.lu_factor_ex``."""
    options: dict[str, Any] = {} if out is None else {"out": out}
    factor: Any = lu_factor_ex if get_infos else lu_factor
    result: LUFactor | LUFactorEx = factor(A, pivot=pivot, **options)
    return result


@accepts_out
def torch_lu_solve(
    b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """``linalg.lu_solve`` with its operands in another order."""
    return lu_solve(LU_data, LU_pivots, b)


@accepts_out
@on_host
def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: Any = None,
) -> PLU:
    """P, L and U from what ``lu_factor`` gives; empty tensors for what is not asked for."""
    matrices("lu_unpack", LU_data)
    data = LU_data._data
    m, n = data.shape[-2:]
    k = min(m, n)
    empty = make(np.empty(0, data.dtype))
    p = lower = upper = empty
    if unpack_pivots:
        if LU_pivots._data.dtype != np.int32:
            raise RuntimeError(
                f"lu_unpack: LU_pivots is expected to be a contiguous tensor of int32, got {LU_pivots.dtype}"
            )
        p = make(arrays.permutation_matrix(arrays.permutation(LU_pivots._data, m), data.dtype))
    if unpack_data:
        every = slice(None)
        eye = make(np.eye(m, k, dtype=data.dtype))
        lower = arrange.tril(_part(LU_data, every, slice(0, k)), -1) + eye
        upper = arrange.triu(_part(LU_data, slice(0, k), every))
    return PLU(p, lower, upper)


# -- Householder reflections ---------------------------------------------------------------------------


def _reflectors(name: str, input: Tensor, tau: Tensor) -> list[tuple[Tensor, Tensor]]:
    """After checks: the vectors v_i as (..., m, 1) each, with their factors tau_i as (..., 1, 1)."""
    matrices(name, input)
    floating(name, tau)
    m, n = input._data.shape[-2:]
    k = tau._data.shape[-1] if tau._data.ndim else -1
    if tau._data.ndim != input._data.ndim - 1 or not 0 <= k <= min(m, n):
        raise RuntimeError(
            f"{name}: expects input (..., m, n) and tau (..., k) with k <= min(m, n), got {tuple(input.shape)} and "
            f"{tuple(tau.shape)}"
        )
    v = arrange.tril(input, -1) + make(np.eye(m, n, dtype=input._data.dtype))
    every = slice(None)
    return [
        (
            _part(v, every, slice(i, i + 1)),
            shape.unsqueeze(indexing.getitem(tau, (Ellipsis, slice(i, i + 1))), -1),
        )
        for i in range(k)
    ]


@accepts_out
@on_host
def householder_product(input: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first n columns of the product of the reflections I - tau_i v_i v_i'.

    Args:
        input: (..., m, n): v_i below the diagonal of column i.
        tau: (..., k), k <= n.

    Raises:
        RuntimeError: shapes that do not fit.
    """
    name = "linalg.householder_product"
    pairs = _reflectors(name, input, tau)
    *lead, m, n = input._data.shape
    if m < n:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1], got {m} and {n}"
        )
    # A part of the graph also where there are no reflections
    q = select.masked_fill(input, make(np.ones(input._data.shape, bool)), 0.0)
    q = q + make(np.broadcast_to(np.eye(m, n, dtype=input._data.dtype), (*lead, m, n)))
    for v, factor in reversed(pairs):
        q = q - factor * matmul(v, matmul(mT(v), q))
    return q


@accepts_out
@on_host
def ormqr(
    input: Tensor,
    tau: Tensor,
    other: Tensor,
    left: bool = True,
    transpose: bool = False,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """``other`` times the product Q of all reflections (m by m): Q other, or with ``left=False`` other Q; Q' with ``transpose``."""
    pairs = _reflectors("ormqr", input, tau)
    c = other if left else mT(other)
    if left != transpose:  # Q c applies the last reflection first, Q' c the first
        pairs.reverse()
    for v, factor in pairs:
        c = c - factor * matmul(v, matmul(mT(v), c))
    return c if left else mT(c)


class Geqrf(NamedTuple):
    """What ``geqrf`` returns: reflections below the diagonal of ``a``, R above it, and their factors."""

    a: Tensor
    tau: Tensor


@accepts_out
@on_host
def geqrf(input: Tensor, *, out: Any = None) -> Geqrf:
    """The QR factorization as LAPACK keeps it, for ``householder_product``; not differentiable.

    Raises:
        RuntimeError: the input requires grad; use ``linalg.qr``.
    """
    matrices("geqrf", input)
    if records(input):
        raise RuntimeError("geqrf: the derivative is not implemented; use linalg.qr")
    h, tau = np.linalg.qr(input._data, "raw")
    return Geqrf(make(np.ascontiguousarray(h.swapaxes(-1, -2), like=h)), make(tau))
