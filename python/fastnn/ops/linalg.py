"""Powers, products and tensor equations of matrices; low-rank factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.node import ComposedNode, edge_of
from ..autograd.output import accepts_out
from . import indexing, products, scan, select, shape, views
from . import linalg_arrays as arrays
from .gemm import matmul
from .linalg_factor import TorchSVD, qr, svd
from .linalg_solve import inv, matrices, mT, records, solve, square
from .promotion import cast, result_type
from .reduction import sum
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor


@accepts_out
def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """A times itself ``n`` times, by repeated squaring; of the inverse where ``n`` is negative.

    Raises:
        RuntimeError: not square.
    """
    name = "linalg.matrix_power"
    if A._data.ndim < 2 or A._data.shape[-1] != A._data.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, got shape {tuple(A.shape)}"
        )
    if n == 0:
        # A constant, and part of the graph all the same
        zero = select.masked_fill(A, make(np.ones(A._data.shape, bool)), 0)
        return zero + make(np.eye(A._data.shape[-1], dtype=A._data.dtype))
    base = inv(A) if n < 0 else A
    left, result = abs(int(n)), None
    while True:
        if left & 1:
            result = base if result is None else matmul(result, base)
        left >>= 1
        if not left:
            break
        base = matmul(base, base)
    assert result is not None
    return shape.clone(result) if result is A else result


class LinalgMatrixExpBackward0(ComposedNode):
    """The upper right block of exp([[A', g], [0, A']]) (A. Al-Mohy, N. Higham, "Computing the Frechet derivative of the

    matrix exponential", 2009, equation 1.2).
    """

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        at = mT(self.saved[0])
        n = at._data.shape[-1]
        upper = shape.cat([at, g], -1)
        lower = shape.cat([make(np.zeros_like(at._data)), at], -1)
        both = matrix_exp(shape.cat([upper, lower], -2))
        return (indexing.getitem(both, (Ellipsis, slice(0, n), slice(n, None))),)


@on_host
def matrix_exp(A: Tensor) -> Tensor:
    """The exponential of square matrices: the sum of A**k / k!.

    Raises:
        RuntimeError: not square.

    >>> import fastnn
    >>> fastnn.linalg.matrix_exp(fastnn.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    square("linalg.matrix_exp", A)
    y = arrays.matrix_exp(A._data)
    return make(y, LinalgMatrixExpBackward0((edge_of(A),), (A,)) if records(A) else None)


def _order(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Where to cut each run of factors, so that the scalar products are fewest (dynamic programming)."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i, j], cut[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
    return cut


@accepts_out
def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of two or more matrices, in the order of multiplications that takes the fewest operations.

    Args:
        tensors: matrices; the first and the last may be vectors.

    Raises:
        RuntimeError: less than two, or shapes that do not fit.
    """
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    factors = list(tensors)
    first, last = factors[0]._data.ndim == 1, factors[-1]._data.ndim == 1
    if first:
        factors[0] = shape.unsqueeze(factors[0], 0)
    if last:
        factors[-1] = shape.unsqueeze(factors[-1], 1)
    for i, x in enumerate(factors):
        if x._data.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D, got shape {tuple(x.shape)}")
    cut = _order([factors[0]._data.shape[0], *(x._data.shape[1] for x in factors)])

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return factors[i]
        return products.mm(product(i, cut[i, j]), product(cut[i, j] + 1, j))

    result = product(0, len(factors) - 1)
    if first:
        result = shape.squeeze(result, 0)
    return shape.squeeze(result, -1) if last else result


@accepts_out
def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors of three elements along ``dim``.

    Raises:
        RuntimeError: other sizes, or different numbers of dims.
    """
    if input._data.ndim != other._data.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {tuple(input.shape)} and "
            f"{tuple(other.shape)}"
        )
    return products.cross(input, other, dim)


@accepts_out
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The dot products of vectors along ``dim``; batches broadcast."""
    d = result_type(x, y).numpy
    return sum(cast(x, d) * cast(y, d), dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices, as the last dim."""
    return views.diagonal(A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of each element of (..., n), as (..., n, N).

    Raises:
        RuntimeError: N below 2.
    """
    if x._data.ndim < 1:
        x = shape.reshape(x, 1)
    count = x._data.shape[-1] if N is None else int(N)
    if N is not None and count <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got {N}")
    if x._data.dtype.kind in "iub":
        x = cast(x, np.dtype(np.int64))
    column = shape.unsqueeze(x, -1)
    ones = make(np.ones_like(column._data))
    powers = shape.expand(column, (*x._data.shape, max(count - 1, 0)))
    return shape.cat([ones, scan.cumprod(powers, -1)], -1)


@accepts_out
def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of ``tensordot`` with A over its dims from ``ind`` on.

    Raises:
        RuntimeError: the products of the sizes before and after ``ind`` differ, or ``ind`` is not positive.
    """
    if ind <= 0:
        raise RuntimeError(
            f"linalg.tensorinv: Expected a strictly positive integer for 'ind', got {ind}"
        )
    sizes = A._data.shape
    before, after = math.prod(sizes[:ind]), math.prod(sizes[ind:])
    if before != after:
        raise RuntimeError(
            "linalg.tensorinv: Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {after} != {before}"
        )
    return shape.reshape(inv(shape.reshape(A, before, after)), (*sizes[ind:], *sizes[:ind]))


@accepts_out
def tensorsolve(
    A: Tensor, B: Tensor, dims: Sequence[int] | None = None, *, out: Tensor | None = None
) -> Tensor:
    """X with tensordot(A, X) = B over all dims of X.

    Args:
        A: B's shape followed by X's, after ``dims`` were moved to the end.

    Raises:
        RuntimeError: the sizes do not fit.
    """
    if dims is not None:
        A = shape.movedim(
            A, tuple(dims), tuple(range(len(dims))) if not dims else tuple(range(-len(dims), 0))
        )
    rest = A._data.shape[B._data.ndim :]
    n = math.prod(rest)
    if n != B._data.size or A._data.size != n * n:
        raise RuntimeError(
            "linalg.tensorsolve: Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {n} != {B._data.size}"
        )
    return shape.reshape(solve(shape.reshape(A, n, n), shape.reshape(B, n)), rest)


# -- low rank ------------------------------------------------------------------------------------------


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> TorchSVD:
    """About the first ``q`` singular values and vectors of A - M.

    N. Halko, P. Martinsson, J. Tropp, "Finding structure with randomness", 2011, algorithms 4.4 and 5.1.

    Args:
        A: (..., m, n).
        q: a little more than the rank, at most min(m, n).
        niter: the subspace iterations, each one more power of A.

    Raises:
        ValueError: ``q`` or ``niter`` out of range.
    """
    from ..random import randn

    matrices("svd_lowrank", A)
    m, n = A._data.shape[-2:]
    count = 6 if q is None else q
    steps = 2 if niter is None else niter
    if not 0 <= count <= min(m, n):
        raise ValueError(
            f"q(={count}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if steps < 0:
        raise ValueError(f"niter(={steps}) must be non-negative integer")
    x = A if M is None else A - M
    wide = m < n
    if wide:
        x = mT(x)
    start = randn(x._data.shape[-1], count, dtype=x.dtype)
    basis = qr(matmul(x, start)).Q
    for _ in range(steps):
        basis = qr(matmul(mT(x), basis)).Q
        basis = qr(matmul(x, basis)).Q
    u, s, vh = svd(matmul(mT(basis), x), False)
    u, v = matmul(basis, u), mT(vh)
    return TorchSVD(v, s, u) if wide else TorchSVD(u, s, v)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> TorchSVD:
    """``svd_lowrank`` of A with its columns' means taken away (``center``): V's columns are the principal directions.

    Raises:
        ValueError: ``q`` or ``niter`` out of range.
    """
    matrices("pca_lowrank", A)
    count = min(6, *A._data.shape[-2:]) if q is None else q
    if center:
        A = A - A.mean(-2, keepdim=True)
    return svd_lowrank(A, count, niter)
