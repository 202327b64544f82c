"""Linear algebra: definitions, structure, gradients of both orders, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import linalg
from fastnn.autograd import gradcheck, gradgradcheck

T = fastnn.tensor


def _random(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    return fastnn.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def _positive(*shape: int) -> Any:
    a = _random(*shape)
    return a @ a.mT + fastnn.eye(shape[-1], dtype=a.dtype)


def _close(a: Any, b: Any) -> None:
    # Factors of small, well conditioned matrices: some tens of roundings
    eps = float(np.finfo(a.numpy().dtype).eps)
    scale = max(1.0, float(np.abs(b.numpy()).max(initial=0.0)))
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=200 * eps * scale)


DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3), (2, 0, 3), (0, 0)])


@DTYPES
@SHAPES
def test_factors_multiply_to_the_matrix(shape: Any, dtype: Any) -> None:
    a = _random(*shape, dtype=dtype)
    m, n = shape[-2:]
    k = min(m, n)
    for full in (False, True):
        u, s, vh = linalg.svd(a, full_matrices=full)
        _close(u[..., :k] @ (s.unsqueeze(-1) * vh[..., :k, :]), a)
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(a, mode)
        _close(q @ r, a)
        _close(
            q.mT @ q, fastnn.eye(q.shape[-1], dtype=a.dtype).expand(q.mT.shape[:-1] + q.shape[-1:])
        )
    assert linalg.qr(a, "r").Q.numel() == 0
    p, lower, upper = linalg.lu(a)
    _close(p @ lower @ upper, a)
    assert u.dtype == r.dtype == lower.dtype == p.dtype == a.dtype
    packed, pivots = linalg.lu_factor(a)
    assert pivots.dtype is fastnn.int32
    for got, expected in zip(fastnn.lu_unpack(packed, pivots), (p, lower, upper), strict=True):
        _close(got, expected)


@DTYPES
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3), (0, 0)])
def test_systems(shape: Any, dtype: Any) -> None:
    a = _positive(*shape)
    a = a.float() if dtype == np.float32 else a
    n = shape[-1]
    b = _random(*shape[:-1], 2, seed=1, dtype=dtype)
    eye = fastnn.eye(n, dtype=a.dtype).expand(shape)
    _close(a @ linalg.inv(a), eye)
    _close(a @ linalg.solve(a, b), b)
    _close(linalg.solve(a, b.mT, left=False) @ a, b.mT)
    _close((a @ linalg.solve(a, b[..., 0]).unsqueeze(-1)).squeeze(-1), b[..., 0])
    lower = linalg.cholesky(a)
    _close(lower @ lower.mT, a)
    _close(linalg.cholesky(a, upper=True), lower.mT)
    _close(fastnn.cholesky_solve(b, lower), linalg.solve(a, b))
    _close(fastnn.cholesky_inverse(lower), linalg.inv(a))
    for left in (True, False):
        for adjoint in (True, False):
            right = b if left else b.mT
            x = linalg.lu_solve(*linalg.lu_factor(a), right, left=left, adjoint=adjoint)
            matrix = a.mT if adjoint else a
            _close(matrix @ x if left else x @ matrix, right)
    for upper in (True, False):
        matrix = a.triu() if upper else a.tril()
        _close(matrix @ linalg.solve_triangular(a, b, upper=upper), b)
    values, vectors = linalg.eigh(a)
    _close(vectors * values.unsqueeze(-2) @ vectors.mT, a)
    _close(linalg.eigvalsh(a), values)
    sign, log = linalg.slogdet(a)
    _close(sign * log.exp(), linalg.det(a))
    _close(fastnn.logdet(a), log)


def test_only_the_named_triangle_is_read() -> None:
    a = _positive(3, 3)
    _close(linalg.cholesky(a.tril()), linalg.cholesky(a))
    _close(linalg.eigvalsh(a.triu(), UPLO="U"), linalg.eigvalsh(a))


@pytest.mark.parametrize(
    ("name", "function", "shape"),
    [
        ("inv", linalg.inv, (2, 3, 3)),
        ("det", linalg.det, (2, 3, 3)),
        ("slogdet", lambda a: linalg.slogdet(a)[1], (3, 3)),
        ("qr", lambda a: linalg.qr(a)[0].abs() + 0 * a, (3, 3)),
        ("qr_wide", lambda a: linalg.qr(a)[1], (3, 4)),
        ("lu_tall", lambda a: linalg.lu(a)[1:], (4, 3)),
        ("lu_wide", lambda a: linalg.lu(a)[1:], (3, 4)),
        ("svdvals", linalg.svdvals, (3, 4)),
        ("svd", lambda a: [abs(v) for v in linalg.svd(a, False)], (2, 4, 3)),
        ("eigh", lambda a: abs(linalg.eigh(a + a.mT)[1]), (3, 3)),
        ("cholesky", lambda a: linalg.cholesky(a @ a.mT + 1), (3, 3)),
        ("pinv", linalg.pinv, (4, 3)),
        ("matrix_exp", linalg.matrix_exp, (2, 3, 3)),
        ("matrix_power", lambda a: linalg.matrix_power(a, -3), (3, 3)),
        ("cond", linalg.cond, (3, 3)),
        ("nuc", lambda a: linalg.matrix_norm(a, "nuc"), (3, 4)),
        ("lstsq", lambda a: linalg.lstsq(a, a[..., :1] ** 2)[0], (4, 3)),
        ("householder", lambda a: linalg.householder_product(a, a[0, :2]), (4, 3)),
        ("multi_dot", lambda a: linalg.multi_dot([a, a.mT, a, a.mT[:, 0]]), (4, 2)),
    ],
)  # fmt: skip
def test_gradients(name: str, function: Any, shape: Any) -> None:
    a = _random(*shape, seed=3).requires_grad_()

    def call(x: Any) -> Any:
        found = function(x)
        return tuple(found) if isinstance(found, (list, tuple)) else found

    assert gradcheck(call, (a,))
    assert gradgradcheck(call, (a,))


@pytest.mark.parametrize("rank", [2, 1])
def test_determinants_of_singular_matrices_have_gradients(rank: int) -> None:
    """The cofactors, which are not det(A) A**-T there; also of the second order."""
    a = (_random(3, rank) @ _random(rank, 3, seed=1)).requires_grad_()
    assert gradcheck(linalg.det, (a,))
    assert gradgradcheck(linalg.det, (a,))
    large = (_random(14, 13) @ _random(13, 14, seed=1)).requires_grad_()
    (g,) = fastnn.autograd.grad(linalg.det(large), [large])
    rows = large.detach().numpy()
    minor = np.linalg.det(np.delete(np.delete(rows, 2, 0), 5, 1)) * (-1) ** 7
    assert g is not None
    # Both are products of 13 singular values, each to a few roundings of the largest
    assert float(g[2, 5]) == pytest.approx(minor, rel=1e-9)


def test_matrix_exp_of_large_and_small_norms() -> None:
    a = fastnn.stack([T([[0.0, 40.0], [-40.0, 0.0]]).double(), fastnn.zeros(2, 2).double()])
    c, s = math.cos(40), math.sin(40)
    expected = np.array([[[c, s], [-s, c]], np.eye(2)])
    # Squared three times: each doubles the error
    np.testing.assert_allclose(linalg.matrix_exp(a).numpy(), expected, atol=1e-13)


def test_ranks_and_pseudoinverses() -> None:
    a = _random(5, 2) @ _random(2, 4, seed=1)
    assert linalg.matrix_rank(a).item() == 2
    p = linalg.pinv(a)
    _close(a @ p @ a, a)
    _close(p @ a @ p, p)
    assert linalg.matrix_rank(T([[2.0, 0.0], [0.0, 0.1]]), atol=0.5).item() == 1
    assert linalg.cond(fastnn.zeros(2, 2)).item() == math.inf


def test_low_rank() -> None:
    fastnn.manual_seed(0)
    a = _random(8, 3) @ _random(3, 6, seed=1)
    u, s, v = fastnn.svd_lowrank(a, q=3)
    _close(u * s @ v.mT, a)
    _close(s, linalg.svdvals(a)[:3])
    u, s, v = fastnn.pca_lowrank(a, q=3)
    _close(u * s @ v.mT, a - a.mean(0))


def test_results_that_do_not_raise() -> None:
    a = T([[[1.0, 2.0], [2.0, 4.0]], [[2.0, 0.0], [0.0, 2.0]]])
    inverse, info = linalg.inv_ex(a)
    assert info.tolist() == [2, 0]
    assert inverse[1].tolist() == [[0.5, 0.0], [0.0, 0.5]]
    assert linalg.solve_ex(a, fastnn.ones(2, 2, 1)).info.tolist() == [2, 0]
    lower, info = linalg.cholesky_ex(a - fastnn.eye(2))
    assert info.tolist() == [1, 0]
    assert lower[1].tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: linalg.inv(fastnn.ones(2, 2)),
        lambda: linalg.inv_ex(fastnn.ones(2, 2), check_errors=True),
        lambda: linalg.solve(fastnn.ones(3, 2, 2), fastnn.ones(2)),
        lambda: linalg.cholesky(-fastnn.eye(2)),
    ],
)
def test_impossible_matrices(call: Any) -> None:
    assert issubclass(linalg.LinAlgError, RuntimeError)
    with pytest.raises(linalg.LinAlgError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: linalg.inv(fastnn.ones(2, 3)),
        lambda: linalg.inv(fastnn.ones(2)),
        lambda: linalg.inv(fastnn.ones(2, 2, dtype=fastnn.int64)),
        lambda: linalg.inv(fastnn.ones(2, 2, dtype=fastnn.bfloat16)),
        lambda: linalg.solve(fastnn.eye(2), fastnn.ones(3, 1)),
        lambda: linalg.solve(fastnn.eye(2), fastnn.ones(2, 1, dtype=fastnn.float64)),
        lambda: linalg.solve_triangular(fastnn.eye(2), fastnn.ones(3, 1), upper=True),
        lambda: linalg.qr(fastnn.eye(2), "full"),
        lambda: linalg.eigh(fastnn.eye(2), "X"),
        lambda: linalg.svd(fastnn.eye(2), driver="gesvd"),
        lambda: linalg.lu(fastnn.eye(2), pivot=False),
        lambda: linalg.lstsq(fastnn.eye(2), fastnn.ones(2, 1), driver="qr"),
        lambda: linalg.norm(fastnn.ones(2, 2, 2), "fro"),
        lambda: linalg.matrix_norm(fastnn.eye(2), 3),
        lambda: linalg.matrix_norm(fastnn.eye(2), dim=(0, 0)),
        lambda: linalg.vector_norm(fastnn.ones(2, dtype=fastnn.int64)),
        lambda: linalg.vector_norm(fastnn.ones(0), math.inf),
        lambda: linalg.multi_dot([fastnn.eye(2)]),
        lambda: linalg.tensorinv(fastnn.ones(2, 3), 1),
        lambda: linalg.tensorsolve(fastnn.ones(2, 3), fastnn.ones(2)),
        lambda: linalg.cross(fastnn.ones(2), fastnn.ones(2)),
        lambda: linalg.qr(fastnn.ones(3, 2, requires_grad=True), "complete").R.sum().backward(),
        lambda: linalg.qr(fastnn.ones(3, 2, requires_grad=True), "r").R.sum().backward(),
    ],
)
def test_wrong_arguments(call: Any) -> None:
    with pytest.raises(RuntimeError):
        call()


def test_complex_results_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="eigh"):
        linalg.eig(fastnn.eye(2))


def test_methods_and_old_names() -> None:
    a = _positive(3, 3)
    _close(a.inverse(), linalg.inv(a))
    _close(a.det(), fastnn.det(a))
    _close(a.pinverse(), linalg.pinv(a))
    u, s, v = fastnn.svd(a)
    _close(u * s @ v.mT, a)
    assert float(a.svd(compute_uv=False).U.abs().sum()) == 0
    _close(a.qr().R, linalg.qr(a).R)
    _close(a.cholesky(upper=True), linalg.cholesky(a).mT)
    b = _random(3, 2)
    x, copy = fastnn.triangular_solve(b, a, upper=False, transpose=True)
    _close(a.tril().mT @ x, b)
    _close(copy, a)
    _close(fastnn.lu_solve(b, *fastnn.lu(a)), linalg.solve(a, b))
    assert len(fastnn.lu(a, get_infos=True)) == 3
    reflections, tau = fastnn.geqrf(a)
    q = linalg.householder_product(reflections, tau)
    _close(q, linalg.qr(a).Q)
    _close(fastnn.ormqr(reflections, tau, b), q @ b)
    _close(fastnn.ormqr(reflections, tau, b.mT, left=False, transpose=True), b.mT @ q.mT)
    out = fastnn.empty(3, 3, dtype=a.dtype)
    assert linalg.inv(a, out=out) is out
    _close(out, a.inverse())


def test_lazy_functions_are_public() -> None:
    from fastnn._methods.linalg import FUNCTIONS

    assert set(FUNCTIONS) <= set(fastnn.__all__)
    assert all(callable(getattr(fastnn, name)) for name in FUNCTIONS)
