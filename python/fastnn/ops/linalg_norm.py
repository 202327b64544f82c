"""Norms, ranks and condition numbers of matrices, pseudoinverses and least squares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _dtype
from .._core import make, normalize_dim
from ..autograd.node import ComposedNode, edge_of
from ..autograd.output import accepts_out
from . import indexing, select, shape, statistics, unary
from .gemm import matmul
from .linalg_factor import eigvalsh, svdvals
from .linalg_solve import floating, inv_ex, matrices, mT, records, same_dtype, square
from .promotion import cast
from .reduction import amax, amin, sum
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor


def _in_dtype(name: str, x: Tensor, dtype: _dtype.dtype | None) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expects a Tensor, got {type(x).__name__}")
    if dtype is not None:
        if not dtype.is_floating_point:
            raise RuntimeError(f"{name}: dtype should be floating point, got {dtype}")
        x = cast(x, dtype.numpy)
    if x._data.dtype.kind in "iub":
        raise RuntimeError(f"{name}: Expected a floating point tensor as input, got {x.dtype}")
    return x


@accepts_out
def vector_norm(
    x: Tensor,
    ord: float = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The vector norm of order ``ord`` (a number, also inf, -inf, 0) over ``dim`` (None: of all elements).

    Raises:
        RuntimeError: an integer tensor, or no elements for an order without a value there.

    >>> import fastnn
    >>> fastnn.linalg.vector_norm(fastnn.tensor([3., 4.]))
    tensor(5.)
    """
    name = "linalg.vector_norm"
    x = _in_dtype(name, x, dtype)
    if not isinstance(ord, (int, float)):
        raise RuntimeError(
            f"{name}: Expected a non-complex number as the order of norm, got {ord!r}"
        )
    if isinstance(dim, (tuple, list)) and not dim:
        dim = None
    order = float(ord)
    if x._data.size == 0 and (order < 0 or order == math.inf):
        axes = range(x._data.ndim) if dim is None else ([dim] if isinstance(dim, int) else dim)
        if any(x._data.shape[a] == 0 for a in axes):
            raise RuntimeError(
                f"{name} cannot compute the {ord} norm on an empty tensor because the operation does not have an identity"
            )
    return statistics.vector_norm(x, order, dim, keepdim)


def _two_dims(name: str, dim: Any, ndim: int) -> tuple[int, int]:
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    a, b = (normalize_dim(d, ndim) for d in dim)
    if a == b:
        raise RuntimeError(f"{name}: dims must be different. Got {tuple(dim)}")
    return a, b


@accepts_out
def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The norm of the matrices in two dims.

    Args:
        A: (..., m, n).
        ord: "fro" (of all elements), "nuc" (the sum of singular values), 2 and -2 (the largest and smallest of them), 1 and
            -1 (the largest and smallest sum of a column's absolute values), inf and -inf (of a row's).

    Raises:
        RuntimeError: another ``ord``, or dims or a dtype that do not fit.

    >>> import fastnn
    >>> fastnn.linalg.matrix_norm(fastnn.tensor([[3., 0.], [0., 4.]]), "nuc")
    tensor(7.)
    """
    name = "linalg.matrix_norm"
    A = _in_dtype(name, A, dtype)
    if A._data.ndim < 2:
        raise RuntimeError(
            f"{name}: The input tensor A must have at least 2 dimensions, got shape {tuple(A.shape)}"
        )
    a, b = _two_dims(name, dim, A._data.ndim)
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"{name}: Order {ord} not supported.")
        if ord == "fro":
            return statistics.vector_norm(A, 2.0, (a, b), keepdim)
    elif abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if ord in ("nuc", 2, -2):
        values = svdvals(shape.movedim(A, (a, b), (-2, -1)))
        if ord == "nuc":
            result = sum(values, -1)
        else:
            result = amax(values, -1) if ord == 2 else amin(values, -1)
        if keepdim:
            for axis in sorted((a, b)):
                result = shape.unsqueeze(result, axis)
        return result
    summed, kept = (a, b) if abs(float(ord)) == 1 else (b, a)
    totals = sum(unary.abs(A), summed, True)
    result = amax(totals, kept, True) if float(ord) > 0 else amin(totals, kept, True)
    return result if keepdim else shape.squeeze(result, (a, b))


@accepts_out
def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: _dtype.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """A vector norm (``dim`` None or one dim, or no ``ord``), or a matrix norm (two dims, or a matrix with an ``ord``).

    Raises:
        RuntimeError: dims or an order that do not fit.
    """
    name = "linalg.norm"
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    pair = dim
    if dim is None:
        if A._data.ndim > 2 or (isinstance(ord, str) and A._data.ndim != 2):
            raise RuntimeError(
                f"{name}: If dim is not specified but ord is, the input must be 1D or 2D. Got {A._data.ndim}D."
            )
        pair = (0, 1) if A._data.ndim == 2 else None
    count = 1 if pair is None or isinstance(pair, int) else len(pair)
    if count == 2:
        return matrix_norm(A, ord, pair, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"{name}: ord={ord!r} needs the 2 dims of matrices, got dim={dim}")
    if count > 2:
        raise RuntimeError(f"{name}: If dim is specified, it must be of length 1 or 2. Got {dim}")
    return vector_norm(A, ord, pair, keepdim, dtype=dtype)


# -- ranks ---------------------------------------------------------------------------------------------


def _limit(a: Any, largest: Any, atol: Any, rtol: Any) -> Any:
    """Singular values up to this count as 0: the larger of atol and rtol times the largest one."""
    absolute, relative = (v._data if isinstance(v, Tensor) else v for v in (atol, rtol))
    if relative is None:
        default = float(np.finfo(a.dtype).eps) * max(a.shape[-2:])
        given = absolute is not None and np.asarray(absolute) > 0
        relative = np.where(given, 0.0, default)
    if absolute is None:
        absolute = 0.0
    return np.maximum(absolute, np.asarray(relative) * largest)


def _sizes(a: Tensor, hermitian: bool) -> Any:
    """The singular values as an array."""
    x = a.detach()
    return np.abs(eigvalsh(x)._data) if hermitian else svdvals(x)._data


@accepts_out
@on_host
def matrix_rank(
    A: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """How many singular values are above max(atol, rtol times the largest one).

    Args:
        A: (..., m, n).
        tol: an older name of ``atol``.
        hermitian: A is symmetric; its eigenvalues' sizes are taken.
        rtol: max(m, n) times the dtype's epsilon by default, 0 where an ``atol`` is given.
    """
    if isinstance(tol, bool):
        tol, hermitian = None, tol
    matrices("linalg.matrix_rank", A)
    if A._data.size == 0:
        return make(np.zeros(A._data.shape[:-2], np.int64))
    s = _sizes(A, hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    limit = _limit(A._data, s.max(-1), atol, rtol)
    return make(np.asarray((s > np.asarray(limit)[..., None]).sum(-1), np.int64))


@accepts_out
@on_host
def cond(A: Tensor, p: float | str | None = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number: norm(A) norm(A**-1), or the ratio of singular values for ``p`` None, 2 and -2.

    Raises:
        RuntimeError: not square for another ``p``, or such as ``matrix_norm`` does not know.
    """
    matrices("linalg.cond", A)
    if p is None or p in (2, -2):
        if A._data.size == 0:
            return make(np.zeros(A._data.shape[:-2], A._data.dtype))
        s = svdvals(A)
        largest, smallest = s[..., 0], s[..., -1]
        ratio = smallest / largest if p == -2 else largest / smallest
        return select.masked_fill(ratio, make(np.isnan(ratio._data)), math.inf)
    square("linalg.cond", A)
    if A._data.size == 0:
        return make(np.zeros(A._data.shape[:-2], A._data.dtype))
    inverse, info = inv_ex(A)
    result = matrix_norm(A, p) * matrix_norm(
        select.masked_fill(inverse, make((info._data != 0)[..., None, None]), 0.0), p
    )
    return select.masked_fill(result, make(info._data != 0), math.inf)


# -- pseudoinverses ------------------------------------------------------------------------------------


class LinalgPinvBackward0(ComposedNode):
    """G. Golub, V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems", 1973.

    P = A+: dP = -P dA P + P P' dA' (I - A P) + (I - P A) dA' P' P.
    """

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, pinv_array = self.saved
        p = self.output(pinv_array)
        pt, gt = mT(p), mT(g)
        first = matmul(pt, matmul(g, pt))
        by_rows = matmul(gt, matmul(p, pt))
        by_columns = matmul(matmul(pt, p), gt)
        second = by_rows - matmul(a, matmul(p, by_rows))
        third = by_columns - matmul(matmul(by_columns, p), a)
        return (second + third - first,)


@accepts_out
@on_host
def pinv(
    A: Tensor,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The Moore-Penrose pseudoinverses (..., n, m) of matrices (..., m, n).

    Args:
        rcond: an older name of ``rtol``.
        hermitian: A is symmetric.
        atol, rtol: singular values up to max(atol, rtol times the largest one) count as 0; ``rtol`` is max(m, n) times the
            dtype's epsilon by default, 0 where an ``atol`` is given.

    >>> import fastnn
    >>> fastnn.linalg.pinv(fastnn.tensor([[2.], [0.]]))
    tensor([[0.5000, 0.0000]])
    """
    name = "linalg.pinv"
    matrices(name, A)
    if hermitian:
        square(name, A)
    if isinstance(rcond, bool):
        rcond, hermitian = None, rcond
    if rcond is not None:
        rtol = rcond
    a = A._data
    if a.size == 0:
        y = np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    else:
        if hermitian:
            values, v = np.linalg.eigh(a)
            u, size, vh = v, np.abs(values), v.swapaxes(-1, -2)
        else:
            u, size, vh = np.linalg.svd(a, full_matrices=False)
            values = size
        limit = np.asarray(_limit(a, size.max(-1), atol, rtol))[..., None]
        large = size > limit
        factor = np.where(large, 1 / np.where(large, values, 1), 0).astype(a.dtype)
        y = vh.swapaxes(-1, -2) @ (factor[..., None] * u.swapaxes(-1, -2))
    return make(y, LinalgPinvBackward0((edge_of(A),), (A, y)) if records(A) else None)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """``linalg.pinv`` with ``rtol=rcond``."""
    return pinv(input, rtol=rcond)


class Lstsq(NamedTuple):
    """What ``lstsq`` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


_DRIVERS = ("gelsy", "gels", "gelsd", "gelss")


@accepts_out
@on_host
def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None, out: Any = None
) -> Lstsq:
    """X that makes the norm of A X - B smallest, and of those the smallest X.

    Args:
        A: (..., m, n).
        B: (..., m, k), or (..., m): a vector for each matrix.
        rcond: singular values up to this times the largest one count as 0; max(m, n) times the dtype's epsilon by default.
        driver: LAPACK's name of a method: "gelsy", "gels", "gelsd" or "gelss". One method serves them all; ``rank`` is empty
            for "gels", ``singular_values`` are given for "gelsd" and "gelss", as in PyTorch.

    Raises:
        RuntimeError: shapes, dtypes or a driver that do not fit.
    """
    name = "linalg.lstsq"
    matrices(name, A)
    floating(name, B)
    same_dtype(name, A, B)
    method = driver or "gelsy"
    if method not in _DRIVERS:
        raise RuntimeError(
            f"{name}: parameter `driver` should be one of {_DRIVERS}, got {driver!r}"
        )
    a = A._data
    m, n = a.shape[-2:]
    vector = a.ndim - 1 == B._data.ndim and B._data.shape == a.shape[:-1]
    b = shape.unsqueeze(B, -1) if vector else B
    if b._data.ndim < 2 or b._data.shape[-2] != m:
        raise RuntimeError(
            f"{name}: input.size(-2) should match other.size(-2), got {tuple(A.shape)} and {tuple(B.shape)}"
        )
    solution = matmul(pinv(A, rtol=rcond), b)
    s = svdvals(A.detach())._data if a.size else np.zeros((*a.shape[:-2], min(m, n)), a.dtype)
    limit = np.asarray(_limit(a, s.max(-1, initial=0), None, rcond))[..., None]
    rank = (s > limit).sum(-1).astype(np.int64)
    empty = make(np.empty(0, a.dtype))
    residuals = indexing.getitem(shape.reshape(solution, -1), slice(0, 0))
    if m > n and method != "gelsy" and (method == "gels" or bool((rank == n).all())):
        apart = matmul(A, solution) - b
        residuals = sum(apart * apart, -2)
    ranks = make(np.empty(0, np.int64)) if method == "gels" else make(np.asarray(rank))
    values = make(s) if method in ("gelsd", "gelss") else empty
    return Lstsq(shape.squeeze(solution, -1) if vector else solution, residuals, ranks, values)
