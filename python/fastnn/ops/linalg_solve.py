"""Inverses, linear systems and determinants of matrices in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import ComposedMultiNode, ComposedNode, Output, edge_of
from ..autograd.output import accepts_out
from . import arrange, indexing, shape, unary
from . import linalg_arrays as arrays
from .gemm import matmul
from .promotion import unbroadcast
from .transfer import on_host

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor


class LinAlgError(RuntimeError):
    """A matrix that an operation cannot take: singular, not positive definite, or without convergence."""


def matrices(name: str, *operands: Tensor) -> None:
    """Check that the operands are floating matrices or batches of them.

    Raises:
        TypeError: not a tensor.
        RuntimeError: less than 2 dims, or another dtype than float32 and float64.
    """
    for x in operands:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expects Tensors, got {type(x).__name__}")
        if x._data.ndim < 2:
            raise RuntimeError(
                f"{name}: The input tensor A must have at least 2 dimensions, got shape {tuple(x.shape)}"
            )
        floating(name, x)


def floating(name: str, x: Tensor) -> None:
    """Check the dtype: float32 or float64.

    Raises:
        RuntimeError: another dtype.
    """
    if x._data.dtype not in (np.float32, np.float64):
        raise RuntimeError(
            f"{name}: expected float32 or float64, got {x.dtype}; cast it first, as with x.float()"
        )


def square(name: str, x: Tensor) -> None:
    """Check for floating square matrices.

    Raises:
        RuntimeError: they are not.
    """
    matrices(name, x)
    m, n = x._data.shape[-2:]
    if m != n:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {m} by {n} matrices"
        )


def same_dtype(name: str, a: Tensor, b: Tensor) -> None:
    """Check that the dtypes are equal.

    Raises:
        RuntimeError: they are not.
    """
    if a._data.dtype != b._data.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, got {a.dtype} and {b.dtype}"
        )


def mT(x: Tensor) -> Tensor:
    """The matrices transposed."""
    return shape.transpose(x, -2, -1)


def records(*inputs: Tensor) -> bool:
    """Whether an operation on ``inputs`` is recorded."""
    return mode.enabled and any(x._requires_grad for x in inputs)


def unbroadcast_batch(g: Tensor, like: tuple[int, ...]) -> Tensor:
    """The gradient of matrices of shape ``like`` that were broadcast."""
    result: Tensor = unbroadcast(g, like)
    return result


# -- inverses ------------------------------------------------------------------------------------------


class LinalgInvExBackward0(ComposedNode):
    """Y = A**-1: gA = -Y' g Y' (M. Giles, "Collected matrix derivative results", 2008, 2.2.3)."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        y = mT(self.output(self.saved[0]))
        return (-matmul(y, matmul(g, y)),)


def _inverse(a: Tensor, y: Any) -> Tensor:
    return make(y, LinalgInvExBackward0((edge_of(a),), (y,)) if records(a) else None)


@accepts_out
@on_host
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverses of square matrices (..., n, n).

    Raises:
        LinAlgError: a singular matrix.
        RuntimeError: not square, or another dtype than float32 and float64.

    >>> import fastnn
    >>> fastnn.linalg.inv(fastnn.tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    square("linalg.inv", A)
    try:
        y = np.linalg.inv(A._data)
    except np.linalg.LinAlgError:
        raise _singular("linalg.inv", "inversion", A) from None
    return _inverse(A, y)


def _singular(name: str, what: str, a: Tensor) -> LinAlgError:
    """The error that tells which matrix is singular, and at which pivot."""
    info = np.atleast_1d(arrays.lu_factor(a._data)[2]).reshape(-1)
    bad = int(np.flatnonzero(info)[0]) if info.any() else 0
    where = f"(Batch element {bad}): " if a._data.ndim > 2 else ""
    return LinAlgError(
        f"{name}: {where}The diagonal element {int(info[bad])} is zero, the {what} could not be completed "
        "because the input matrix is singular."
    )


class InvEx(NamedTuple):
    """What ``inv_ex`` returns."""

    inverse: Tensor
    info: Tensor


@accepts_out
@on_host
def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> InvEx:
    """``inv`` that does not raise: the inverses, and for each 0 or the pivot (from 1) that was 0."""
    square("linalg.inv_ex", A)
    a = A._data
    if check_errors:
        return InvEx(inv(A), make(np.zeros(a.shape[:-2], np.int32)))
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        y = np.linalg.inv(a)
    except np.linalg.LinAlgError:
        info = arrays.lu_factor(a)[2]
        good = info == 0
        y = np.full_like(a, np.nan)
        y[good] = np.linalg.inv(a[good])
    return InvEx(_inverse(A, y), make(info))


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``linalg.inv``."""
    return inv(input, out=out) if out is not None else inv(input)


# -- linear systems ------------------------------------------------------------------------------------


class LinalgSolveExBackward0(ComposedNode):
    """A X = B: gB = A'**-1 g and gA = -gB X'."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, x, shape_a, shape_b = self.saved
        gb = _solve(mT(a), g, "linalg.solve")
        ga = None
        if self.edges[0] is not None:
            ga = unbroadcast_batch(-matmul(gb, mT(self.output(x))), shape_a)
        return ga, None if self.edges[1] is None else unbroadcast_batch(gb, shape_b)


def _solve(a: Tensor, b: Tensor, name: str) -> Tensor:
    try:
        x = np.linalg.solve(a._data, b._data)
    except np.linalg.LinAlgError:
        raise _singular(name, "solve", a) from None
    except ValueError:
        raise RuntimeError(
            f"{name}: batches of shapes {tuple(a.shape)} and {tuple(b.shape)} do not broadcast"
        ) from None
    return _solved(a, b, x)


def _solved(a: Tensor, b: Tensor, x: Any) -> Tensor:
    if not records(a, b):
        return make(x)
    saved = (a, x, a._data.shape, b._data.shape)
    return make(x, LinalgSolveExBackward0((edge_of(a), edge_of(b)), saved))


def _is_vector(a: Tensor, b: Tensor) -> bool:
    """Whether ``b`` is one vector for each matrix rather than a matrix (PyTorch's rule)."""
    x, y = a._data, b._data
    return bool(y.ndim == 1 or (x.ndim - 1 == y.ndim and y.shape == x.shape[:-1]))


def _system(name: str, a: Tensor, b: Tensor, left: bool) -> tuple[Tensor, Tensor, bool]:
    """The operands of a system as matrices with the unknown on the right; and whether ``b`` was a vector."""
    square(name, a)
    floating(name, b)
    same_dtype(name, a, b)
    vector = _is_vector(a, b)
    if vector and not left:
        raise RuntimeError(
            f"{name}: Vector broadcasting of the left hand side is not supported for left=False"
        )
    if vector:
        b = shape.unsqueeze(b, -1)
    if not left:
        a, b = mT(a), mT(b)
    if b._data.shape[-2] != a._data.shape[-1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({tuple(a.shape)} and {tuple(b.shape)})"
        )
    return a, b, vector


@accepts_out
@on_host
def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X of A X = B (``left=False``: of X A = B), for square matrices A.

    Args:
        A: (..., n, n).
        B: (..., n, k), or (..., n): a vector for each matrix.

    Raises:
        LinAlgError: a singular matrix.
        RuntimeError: shapes or dtypes that do not fit.

    >>> import fastnn
    >>> fastnn.linalg.solve(fastnn.tensor([[2., 0.], [0., 4.]]), fastnn.tensor([2., 2.]))
    tensor([1.0000, 0.5000])
    """
    a, b, vector = _system("linalg.solve", A, B, left)
    x = _solve(a, b, "linalg.solve")
    if vector:
        return shape.squeeze(x, -1)
    return x if left else mT(x)


class SolveEx(NamedTuple):
    """What ``solve_ex`` returns."""

    result: Tensor
    info: Tensor


@accepts_out
@on_host
def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> SolveEx:
    """``solve`` that does not raise: X, and for each matrix 0 or the pivot (from 1) that was 0."""
    a, b, vector = _system("linalg.solve_ex", A, B, left)
    info = np.zeros(A._data.shape[:-2], np.int32)
    try:
        x = _solve(a, b, "linalg.solve_ex")
    except LinAlgError:
        if check_errors:
            raise
        info = arrays.lu_factor(A._data)[2]
        safe = np.where(
            (info == 0)[..., None, None], a._data, np.eye(a._data.shape[-1], dtype=a._data.dtype)
        )
        y = np.linalg.solve(safe, b._data)
        bad = np.broadcast_to((info != 0)[..., None, None], y.shape)
        x = _solved(a, b, np.where(bad, y.dtype.type(np.nan), y))
    if vector:
        x = shape.squeeze(x, -1)
    return SolveEx(x if left else mT(x), make(info))


class LinalgSolveTriangularBackward0(ComposedNode):
    """A X = B with triangular A: gB = A'**-1 g and gA the triangle of -gB X'."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, x, upper, unit, shape_a, shape_b = self.saved
        gb = _triangular(mT(a), g, not upper, unit)
        ga = None
        if self.edges[0] is not None:
            full = -matmul(gb, mT(self.output(x)))
            off = 1 if unit else 0
            full = arrange.triu(full, off) if upper else arrange.tril(full, -off)
            ga = unbroadcast_batch(full, shape_a)
        return ga, None if self.edges[1] is None else unbroadcast_batch(gb, shape_b)


def _triangular(a: Tensor, b: Tensor, upper: bool, unit: bool) -> Tensor:
    x = arrays.solve_triangular(a._data, b._data, upper, unit)
    if not records(a, b):
        return make(x)
    saved = (a, x, upper, unit, a._data.shape, b._data.shape)
    return make(x, LinalgSolveTriangularBackward0((edge_of(a), edge_of(b)), saved))


@accepts_out
@on_host
def solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X of A X = B (``left=False``: of X A = B) for triangular A, by substitution.

    Args:
        A: (..., n, n); only its upper (or lower) triangle counts.
        B: (..., n, k).
        unitriangular: take the diagonal of A as ones.

    Raises:
        RuntimeError: shapes or dtypes that do not fit. A 0 on the diagonal is no error: it gives infinities.
    """
    name = "linalg.solve_triangular"
    square(name, A)
    matrices(name, B)
    same_dtype(name, A, B)
    a, b = (A, B) if left else (mT(A), mT(B))
    if b._data.shape[-2] != a._data.shape[-1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({tuple(A.shape)} and {tuple(B.shape)})"
        )
    try:
        np.broadcast_shapes(a._data.shape[:-2], b._data.shape[:-2])
    except ValueError:
        raise RuntimeError(
            f"{name}: batches of shapes {tuple(A.shape)} and {tuple(B.shape)} do not broadcast"
        ) from None
    x = _triangular(a, b, upper if left else not upper, unitriangular)
    return x if left else mT(x)


class TriangularSolve(NamedTuple):
    """What ``triangular_solve`` returns."""

    solution: Tensor
    cloned_coefficient: Tensor


@accepts_out
@on_host
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any = None,
) -> TriangularSolve:
    """``linalg.solve_triangular`` with its operands exchanged; returns (solution, A)."""
    a = mT(A) if transpose else A
    x = solve_triangular(a, input, upper=upper != transpose, unitriangular=unitriangular)
    return TriangularSolve(x, shape.clone(A))


# -- determinants --------------------------------------------------------------------------------------

# Up to this size the cofactors of a singular matrix come from its minors, differentiable to any order
_MINORS_UP_TO = 12


def _cofactors(a: Tensor) -> Tensor:
    """The matrix of cofactors, d det / d a, also where a is singular."""
    n = a._data.shape[-1]
    if n == 1:
        return a * 0 + 1
    if n > _MINORS_UP_TO:
        from .linalg_factor import svd

        u, s, vh = svd(a)
        others = [
            (s * make(_without(n, i, s._data.dtype)) + make(_only(n, i, s._data.dtype))).prod(-1)
            for i in range(n)
        ]
        sign = make(np.linalg.det(u._data) * np.linalg.det(vh._data))
        scaled = shape.stack(others, -1) * shape.unsqueeze(sign, -1)
        return matmul(u * shape.unsqueeze(scaled, -2), vh)
    keep = np.array([[j for j in range(n) if j != i] for i in range(n)])
    rows, columns = keep[:, None, :, None], keep[None, :, None, :]
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    minors = det(indexing.getitem(a, (Ellipsis, make(rows), make(columns))))
    return minors * make(signs.astype(a._data.dtype))


def _only(n: int, i: int, dtype: Any) -> Any:
    return (np.arange(n) == i).astype(dtype)


def _without(n: int, i: int, dtype: Any) -> Any:
    return (np.arange(n) != i).astype(dtype)


class LinalgDetBackward0(ComposedNode):
    """gA = g det(A) A'**-1 (Giles 2008, 2.2.4), or g times the cofactors where a matrix is close to singular."""

    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, d = self.saved
        g = shape.unsqueeze(shape.unsqueeze(g, -1), -1)
        singular = d == 0
        if not singular.any():
            # The determinant alone does not tell how near a matrix is to a singular one; its singular values do
            s = np.linalg.svd(a._data, compute_uv=False)
            limit = np.finfo(s.dtype).eps * a._data.shape[-1] * s[..., 0] if s.size else 0
            singular = s[..., -1] <= limit if s.size else singular
        if singular.any():
            return (g * _cofactors(a),)
        scale = shape.unsqueeze(shape.unsqueeze(self.output(d), -1), -1)
        return (g * scale * mT(inv(a)),)


@accepts_out
@on_host
def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinants of square matrices.

    Raises:
        RuntimeError: not square, or another dtype than float32 and float64.
    """
    square("linalg.det", A)
    with np.errstate(over="ignore", invalid="ignore"):
        d = np.asarray(np.linalg.det(A._data), A._data.dtype)
    return make(d, LinalgDetBackward0((edge_of(A),), (A, d)) if records(A) else None)


class Slogdet(NamedTuple):
    """What ``slogdet`` returns."""

    sign: Tensor
    logabsdet: Tensor


class LinalgSlogdetBackward0(ComposedMultiNode):
    """d log|det A| = tr(A**-1 dA) (Giles 2008, 2.2.4); the sign is constant."""

    __slots__ = ()

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        if g[1] is None:
            return (None,)
        return (shape.unsqueeze(shape.unsqueeze(g[1], -1), -1) * mT(inv(self.saved[0])),)


@accepts_out
@on_host
def slogdet(A: Tensor, *, out: Any = None) -> Slogdet:
    """The signs of the determinants, and the logarithms of their absolute values.

    Raises:
        RuntimeError: not square, or another dtype than float32 and float64.
    """
    square("linalg.slogdet", A)
    sign, log = (np.asarray(v, A._data.dtype) for v in np.linalg.slogdet(A._data))
    if not records(A):
        return Slogdet(make(sign), make(log))
    node = LinalgSlogdetBackward0((edge_of(A),), (A,), 2)
    return Slogdet(make(sign, Output(node, 0)), make(log, Output(node, 1)))


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant: NaN where that is negative."""
    square("logdet", input)
    sign, log = slogdet(input)
    return log + unary.log(sign)
