"""Factorizations of matrices in batches: Cholesky, QR, eigenvalues, singular values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core import make
from ..autograd.node import ComposedMultiNode, ComposedNode, Output, edge_of
from ..autograd.output import accepts_out
from . import arrange, indexing, shape, views
from .gemm import matmul
from .linalg_solve import (
    LinAlgError,
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


# -- Cholesky ------------------------------------------------------------------------------------------


class LinalgCholeskyExBackward0(ComposedNode):
    """A = L L': gA = L'**-1 P(L' gL) L**-1, P the lower triangle with half the diagonal, made symmetric.

    I. Murray, "Differentiation of the Cholesky decomposition", 2016, equation 10.
    """

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        lower = self.output(self.saved[0])
        phi = arrange.tril(matmul(mT(lower), g))
        phi = phi - views.diag_embed(views.diagonal(phi, 0, -2, -1)) * 0.5
        left = solve_triangular(mT(lower), phi, upper=True)
        full = solve_triangular(lower, left, upper=False, left=False)
        return ((full + mT(full)) * 0.5,)


def _cholesky_result(a: Tensor, lower: Any, upper: bool) -> Tensor:
    result = make(lower, LinalgCholeskyExBackward0((edge_of(a),), (lower,)) if records(a) else None)
    return mT(result) if upper else result


def _leading_minor(a: Any) -> int:
    """The order of the first leading minor that is not positive definite; 0: none."""
    for k in range(1, a.shape[-1] + 1):
        try:
            np.linalg.cholesky(a[:k, :k])
        except np.linalg.LinAlgError:
            return k
    return 0


class CholeskyEx(NamedTuple):
    """What ``cholesky_ex`` returns."""

    L: Tensor
    info: Tensor


@accepts_out
@on_host
def cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> CholeskyEx:
    """``cholesky`` that does not raise: the factors, and for each 0 or the order of the minor that is not positive."""
    square("linalg.cholesky_ex", A)
    a = A._data
    if check_errors:
        return CholeskyEx(cholesky(A, upper=upper), make(np.zeros(a.shape[:-2], np.int32)))
    source = a.swapaxes(-1, -2) if upper else a
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        lower = np.linalg.cholesky(source)
    except np.linalg.LinAlgError:
        lower = np.full_like(source, np.nan)
        for index in np.ndindex(a.shape[:-2]):
            info[index] = _leading_minor(source[index])
            if not info[index]:
                lower[index] = np.linalg.cholesky(source[index])
    return CholeskyEx(_cholesky_result(A, lower, upper), make(info))


@accepts_out
@on_host
def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The lower triangular L with L L' = A, for symmetric positive definite matrices (``upper``: L').

    Args:
        A: (..., n, n); only the lower triangle (``upper``: the upper) is read.

    Raises:
        LinAlgError: a matrix is not positive definite.

    >>> import fastnn
    >>> fastnn.linalg.cholesky(fastnn.tensor([[4., 2.], [2., 5.]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    square("linalg.cholesky", A)
    source = A._data.swapaxes(-1, -2) if upper else A._data
    try:
        lower = np.linalg.cholesky(source)
    except np.linalg.LinAlgError:
        for i, one in enumerate(source.reshape(-1, *source.shape[-2:])):
            order = _leading_minor(one)
            if order:
                where = f"(Batch element {i}): " if source.ndim > 2 else ""
                raise LinAlgError(
                    f"linalg.cholesky: {where}The factorization could not be completed because the input is not "
                    f"positive-definite (the leading minor of order {order} is not positive-definite)."
                ) from None
        raise
    return _cholesky_result(A, lower, upper)


def torch_cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """``linalg.cholesky``."""
    options: dict[str, Any] = {} if out is None else {"out": out}
    return cholesky(input, upper=upper, **options)


@accepts_out
@on_host
def cholesky_solve(
    B: Tensor, L: Tensor, upper: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """X of A X = B from the Cholesky factor L of A.

    Args:
        B: (..., n, k).
        L: (..., n, n), lower triangular (``upper``: upper triangular).

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
    """
    square("cholesky_solve", L)
    matrices("cholesky_solve", B)
    same_dtype("cholesky_solve", L, B)
    first = solve_triangular(mT(L) if upper else L, B, upper=False)
    return solve_triangular(L if upper else mT(L), first, upper=True)


@accepts_out
@on_host
def cholesky_inverse(L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A from its Cholesky factor L (``upper``: L')."""
    square("cholesky_inverse", L)
    n = L._data.shape[-1]
    eye = make(np.broadcast_to(np.eye(n, dtype=L._data.dtype), L._data.shape).copy())
    return cholesky_solve(eye, L, upper)


# -- QR ------------------------------------------------------------------------------------------------


class QR(NamedTuple):
    """What ``qr`` returns."""

    Q: Tensor
    R: Tensor


def _symmetric_from_lower(x: Tensor) -> Tensor:
    return arrange.tril(x) + mT(arrange.tril(x, -1))


class LinalgQrBackward0(ComposedMultiNode):
    """A = Q R: gA = (gQ + Q S(R gR' - gQ' Q)) R'**-1, S the symmetric matrix of the lower triangle.

    S. Walter, L. Lehmann, "Algorithmic differentiation of linear algebra functions with application in optimum
    experimental design", 2010, section 3; a wide A is a square block and columns Q' Y that follow it.
    """

    __slots__ = ()

    def backward_graph(self, grads: Any) -> tuple[Any, ...]:
        gq, gr = grads
        a, qa, ra, how = self.saved
        if how == "r":
            raise RuntimeError(
                'linalg.qr: the derivative depends on Q, which mode="r" does not compute; use mode="reduced"'
            )
        m, n = a._data.shape[-2:]
        if how == "complete" and m > n:
            raise RuntimeError(
                f'linalg.qr: mode="complete" has no derivative for more rows than columns, got {m} by {n}; '
                'use mode="reduced"'
            )
        q, r = self.result(0, qa), self.result(1, ra)
        tail = None
        if m < n:
            y = indexing.getitem(a, (Ellipsis, slice(m, None)))
            if gr is not None:
                gv = indexing.getitem(gr, (Ellipsis, slice(m, None)))
                gr = indexing.getitem(gr, (Ellipsis, slice(0, m)))
                extra = matmul(y, mT(gv))
                gq = extra if gq is None else gq + extra
                tail = matmul(q, gv)
            else:
                tail = y * 0
            r = indexing.getitem(r, (Ellipsis, slice(0, m)))
        inner: Any = None
        if gr is not None:
            inner = matmul(r, mT(gr))
        if gq is not None:
            part = matmul(mT(gq), q)
            inner = -part if inner is None else inner - part
        middle = matmul(q, _symmetric_from_lower(inner))
        if gq is not None:
            middle = gq + middle
        ga = solve_triangular(mT(r), middle, upper=False, left=False)
        return (ga if tail is None else shape.cat([ga, tail], -1),)


@accepts_out
@on_host
def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> QR:
    """Q with orthonormal columns and the upper triangular R with Q R = A.

    Args:
        A: (..., m, n).
        mode: "reduced" (Q is (m, k), k = min(m, n)), "complete" (Q is (m, m)), "r" (Q is empty).

    Raises:
        RuntimeError: another mode or dtype.
    """
    matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    q: Any = np.empty(0, A._data.dtype)
    if mode == "r":
        r: Any = np.linalg.qr(A._data, "r")
    else:
        how: Any = mode
        both: Any = np.linalg.qr(A._data, how)
        q, r = both
    if not records(A):
        return QR(make(q), make(r))
    node = LinalgQrBackward0((edge_of(A),), (A, q, r, mode), 2)
    first = make(q) if mode == "r" else make(q, Output(node, 0))
    return QR(first, make(r, Output(node, 1)))


def torch_qr(input: Tensor, some: bool = True, *, out: Any = None) -> QR:
    """``linalg.qr``, reduced (``some``) or complete."""
    options: dict[str, Any] = {} if out is None else {"out": out}
    return qr(input, "reduced" if some else "complete", **options)


# -- eigenvalues of symmetric matrices -----------------------------------------------------------------


class Eigh(NamedTuple):
    """What ``eigh`` returns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def _differences(x: Tensor) -> Tensor:
    """x_j - x_i as a matrix, with 1 on the diagonal."""
    n = x._data.shape[-1]
    d = shape.unsqueeze(x, -2) - shape.unsqueeze(x, -1)
    return d + make(np.eye(n, dtype=x._data.dtype))


class LinalgEighBackward0(ComposedMultiNode):
    """A = V diag(l) V': gA = V (diag(gl) + (V' gV) / (l_j - l_i)) V' (Giles 2008, 3.1)."""

    __slots__ = ()

    def backward_graph(self, grads: Any) -> tuple[Any, ...]:
        gl, gv = grads
        values, vectors = self.result(0, self.saved[0]), self.result(1, self.saved[1])
        if gv is None:
            if gl is None:
                return (None,)
            return (matmul(vectors * shape.unsqueeze(gl, -2), mT(vectors)),)
        inner = matmul(mT(vectors), gv) / _differences(values)
        inner = inner - views.diag_embed(views.diagonal(inner, 0, -2, -1))
        if gl is not None:
            inner = inner + views.diag_embed(gl)
        return (matmul(vectors, matmul(inner, mT(vectors))),)


def _failed(name: str, what: str) -> LinAlgError:
    return LinAlgError(
        f"{name}: The algorithm failed to converge because the input matrix is ill-conditioned or has {what}."
    )


@accepts_out
@on_host
def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Eigh:
    """The eigenvalues, ascending, and eigenvectors (in columns) of symmetric matrices.

    Args:
        A: (..., n, n).
        UPLO: the triangle of A that is read, "L" or "U".

    Raises:
        LinAlgError: no convergence.
        RuntimeError: not square, or another dtype or UPLO.
    """
    square("linalg.eigh", A)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"linalg.eigh: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    triangle: Any = UPLO
    try:
        values, vectors = np.linalg.eigh(A._data, triangle)
    except np.linalg.LinAlgError:
        raise _failed("linalg.eigh", "too many repeated eigenvalues") from None
    if not records(A):
        return Eigh(make(values), make(vectors))
    node = LinalgEighBackward0((edge_of(A),), (values, vectors), 2)
    return Eigh(make(values, Output(node, 0)), make(vectors, Output(node, 1)))


@accepts_out
@on_host
def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of symmetric matrices, ascending; see ``eigh``."""
    square("linalg.eigvalsh", A)
    if records(A) or UPLO.upper() not in ("L", "U"):
        return eigh(A, UPLO).eigenvalues
    triangle: Any = UPLO
    try:
        return make(np.linalg.eigvalsh(A._data, triangle))
    except np.linalg.LinAlgError:
        raise _failed("linalg.eigvalsh", "too many repeated eigenvalues") from None


def _no_complex(name: str, instead: str) -> Any:
    def raises(A: Tensor, *, out: Any = None) -> Any:
        raise NotImplementedError(
            f"{name}: its results are complex, which fastnn does not have; for symmetric matrices use {instead}"
        )

    raises.__name__ = raises.__qualname__ = name.split(".")[1]
    raises.__doc__ = f"Not supported: complex results. Use ``{instead}`` for symmetric matrices."
    return raises


eig = _no_complex("linalg.eig", "linalg.eigh")
eigvals = _no_complex("linalg.eigvals", "linalg.eigvalsh")


# -- singular values -----------------------------------------------------------------------------------


class SVD(NamedTuple):
    """What ``linalg.svd`` returns."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _skew(x: Tensor) -> Tensor:
    return x - mT(x)


class LinalgSvdBackward0(ComposedMultiNode):
    """A = U diag(s) V' (J. Townsend, "Differentiating the singular value decomposition", 2016).

    gA = U (skew(U' gU) / E diag(s) + diag(s) skew(V' gV) / E + diag(gs)) V'
    + (I - U U') gU diag(1 / s) V' + U diag(1 / s) gV' (I - V V'), with E_ij = s_j**2 - s_i**2.
    """

    __slots__ = ()

    def backward_graph(self, grads: Any) -> tuple[Any, ...]:
        gu, gs, gvh = grads
        if gu is None and gs is None and gvh is None:
            return (None,)
        s = self.result(1, self.saved[1])
        k = self.saved[1].shape[-1]
        u, vh = self.result(0, self.saved[0]), self.result(2, self.saved[2])
        # The columns that full_matrices adds are any basis of the complement: no gradient passes through them
        u = indexing.getitem(u, (Ellipsis, slice(0, k)))
        vh = indexing.getitem(vh, (Ellipsis, slice(0, k), slice(None)))
        if gu is None and gvh is None:
            return (matmul(u * shape.unsqueeze(gs, -2), vh),)
        gu = None if gu is None else indexing.getitem(gu, (Ellipsis, slice(0, k)))
        gvh = None if gvh is None else indexing.getitem(gvh, (Ellipsis, slice(0, k), slice(None)))
        rows, columns = shape.unsqueeze(s, -1), shape.unsqueeze(s, -2)
        # (s_j - s_i)(s_j + s_i) keeps more digits than the difference of squares
        apart = _differences(s) * (columns + rows + make(np.eye(k, dtype=self.saved[1].dtype)))
        inner: Any = None
        if gu is not None:
            inner = _skew(matmul(mT(u), gu)) / apart * columns
        if gvh is not None:
            part = rows * (_skew(matmul(vh, mT(gvh))) / apart)
            inner = part if inner is None else inner + part
        if gs is not None:
            inner = inner + views.diag_embed(gs)
        m, n = u._data.shape[-2], vh._data.shape[-1]
        if gu is not None and m > k:
            scaled = gu / columns
            left = matmul(u, inner) + scaled - matmul(u, matmul(mT(u), scaled))
            ga = matmul(left, vh)
        else:
            ga = matmul(u, matmul(inner, vh))
        if gvh is not None and n > k:
            scaled = gvh / rows
            ga = ga + matmul(u, scaled - matmul(matmul(scaled, mT(vh)), vh))
        return (ga,)


@accepts_out
@on_host
def svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> SVD:
    """U, S, Vh with A = U diag(S) Vh; singular values descend.

    Gradients through U and Vh exist where all singular values differ, and only of what does not depend on their signs.

    Args:
        A: (..., m, n).
        full_matrices: U is (m, m) and Vh (n, n); else (m, k) and (k, n), k = min(m, n).
        driver: None alone: others are for CUDA.

    Raises:
        LinAlgError: no convergence.
        RuntimeError: a driver, or another dtype.

    >>> import fastnn
    >>> fastnn.linalg.svd(fastnn.tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    matrices("linalg.svd", A)
    if driver is not None:
        raise RuntimeError(
            f"linalg.svd: keyword argument `driver=` is only for CUDA inputs, got {driver!r} for a CPU tensor"
        )
    try:
        u, s, vh = np.linalg.svd(A._data, full_matrices=full_matrices)
    except np.linalg.LinAlgError:
        raise _failed("linalg.svd", "too many repeated singular values") from None
    if not records(A):
        return SVD(make(u), make(s), make(vh))
    node = LinalgSvdBackward0((edge_of(A),), (u, s, vh), 3)
    return SVD(make(u, Output(node, 0)), make(s, Output(node, 1)), make(vh, Output(node, 2)))


@accepts_out
@on_host
def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """The singular values, descending; see ``svd``."""
    if records(A):
        return svd(A, False, driver=driver).S
    matrices("linalg.svdvals", A)
    if driver is not None:
        return svd(A, driver=driver).S  # raises
    try:
        return make(np.linalg.svd(A._data, compute_uv=False))
    except np.linalg.LinAlgError:
        raise _failed("linalg.svdvals", "too many repeated singular values") from None


class TorchSVD(NamedTuple):
    """What ``fastnn.svd`` returns: V, not its transpose."""

    U: Tensor
    S: Tensor
    V: Tensor


def torch_svd(
    input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None
) -> TorchSVD:
    """``linalg.svd`` with V instead of its transpose; ``compute_uv=False`` gives zeros for U and V."""
    if not compute_uv:
        m, n = input._data.shape[-2:]
        lead = input._data.shape[:-2]
        zero = (make(np.zeros((*lead, size, size), input._data.dtype)) for size in (m, n))
        u, v = zero
        found = TorchSVD(u, svdvals(input), v)
    else:
        three = svd(input, not some)
        found = TorchSVD(three.U, three.S, mT(three.Vh))
    if out is None:
        return found
    from ..autograd.output import into

    return TorchSVD(*(into(o, r, "svd") for o, r in zip(out, found, strict=True)))
