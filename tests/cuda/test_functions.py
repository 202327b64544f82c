"""Functions of tensors on device="cuda", against the same on the CPU: those that ``tests/ops`` has no case for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F

from .test_modules import assert_near, tensors

T = fastnn.tensor
L = fastnn.linalg


def symmetric(x: Any) -> Any:
    return x @ x.mT + fastnn.eye(x.shape[-1])


FUNCTIONS: dict[str, Any] = {
    # on the host
    "cholesky": lambda x: L.cholesky(symmetric(x)),
    "cholesky_solve": lambda x: fastnn.cholesky_solve(x, L.cholesky(symmetric(x))),
    "qr": lambda x: L.qr(x),
    "eigh": lambda x: L.eigvalsh(symmetric(x)),
    "svd": lambda x: L.svdvals(x),
    "lu": lambda x: L.lu_factor(x),
    "inv": lambda x: L.inv(symmetric(x)),
    "solve": lambda x: L.solve(symmetric(x), x),
    "solve_triangular": lambda x: L.solve_triangular(symmetric(x).triu(), x, upper=True),
    "det": lambda x: L.det(x),
    "slogdet": lambda x: L.slogdet(x),
    "pinv": lambda x: L.pinv(x),
    "matrix_rank": lambda x: L.matrix_rank(x),
    "lstsq": lambda x: L.lstsq(x, x).solution,
    "matrix_exp": lambda x: L.matrix_exp(x),
    "cond": lambda x: L.cond(x),
    "cummax": lambda x: x.cummax(0),
    "cummin": lambda x: x.cummin(1),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    # composed
    "matrix_power": lambda x: L.matrix_power(x, 3),
    "matrix_norm": lambda x: (L.matrix_norm(x), L.matrix_norm(x, "nuc"), L.matrix_norm(x, 1)),
    "vander": lambda x: L.vander(x[0]),
    "sort": lambda x: (x.sort(1), x.argsort(0, descending=True), fastnn.msort(x)),
    "topk": lambda x: (x.topk(2, 1), x.topk(1, 0, largest=False)),
    "kthvalue": lambda x: x.kthvalue(2, 1),
    "median": lambda x: (x.median(), x.median(1), x.nanmedian()),
    "mode": lambda x: x.round().mode(1),
    "quantile": lambda x: (x.quantile(0.3, 1), x.nanquantile(0.5)),
    "aminmax": lambda x: x.aminmax(dim=1),
    "unique": lambda x: fastnn.unique(x.round(), return_inverse=True, return_counts=True),
    "unique_dim": lambda x: fastnn.unique(x.round(), dim=0),
    "unique_consecutive": lambda x: fastnn.unique_consecutive(x.round().reshape(-1)),
    "searchsorted": lambda x: fastnn.searchsorted(x[0].sort().values, x),
    "searchsorted_rows": lambda x: fastnn.searchsorted(x.sort(1).values, x),
    "bucketize": lambda x: fastnn.bucketize(x, T([-1.0, 0.0, 1.0])),
    "bincount": lambda x: fastnn.bincount(T([0, 2, 2, 5])),
    "histc": lambda x: fastnn.histc(x, 4, -2, 2),
    "histogram": lambda x: fastnn.histogram(x, 4),
    "cov": lambda x: (fastnn.cov(x), fastnn.corrcoef(x)),
    "cdist": lambda x: (fastnn.cdist(x, x[:2]), F.pdist(x)),
    "std": lambda x: (x.std(1), x.var(), fastnn.var_mean(x, 0)),
    "cumulative": lambda x: (x.cumsum(0), x.cumprod(1), x.diff(), fastnn.trapezoid(x)),
    "gradient": lambda x: fastnn.gradient(x),
    "isin": lambda x: fastnn.isin(T([1, 2, 3]), T([2, 5])),
    "allclose": lambda x: T(float(fastnn.allclose(x, x) and fastnn.equal(x, x))),
    "nonzero": lambda x: (fastnn.nonzero(x > 0), fastnn.argwhere(x > 0), x[x > 0]),
    "flips": lambda x: (x.flip(0), x.rot90(), x.roll(1, 1), fastnn.fliplr(x)),
    "triangles": lambda x: (x.tril(), x.triu(1), fastnn.tril_indices(3, 3), fastnn.triu_indices(2, 3)),
    "diagonals": lambda x: (x.diag(), x.diagonal(1), fastnn.diag_embed(x), x.trace()),
    "views": lambda x: (x.unfold(0, 2, 1), x.as_strided((2, 2), (1, 2)), x.t()[1:], x.expand(2, -1, -1)),
    "joins": lambda x: (fastnn.cat([x, x]), fastnn.stack([x, x], 1), fastnn.block_diag(x, x), fastnn.hstack([x, x])),
    "splits": lambda x: (*x.split(2), *x.chunk(2, 1), *x.tensor_split(2)),
    "repeats": lambda x: (x.repeat(2, 1), x.tile(2), x.repeat_interleave(2), x.repeat_interleave(T([1, 0, 2]), 0)),
    "meshgrid": lambda x: (*fastnn.meshgrid(x[0], x[1], indexing="ij"), fastnn.cartesian_prod(x[0], x[1])),
    "combinations": lambda x: fastnn.combinations(x[0]),
    "one_hot": lambda x: F.one_hot(T([0, 2, 1])),
    "scatters": lambda x: (
        x.scatter(1, T([[0], [2]]), 3.0),
        x.scatter_reduce(0, T([[0, 1, 1]]), x, "mean"),
        x.index_fill(0, T([1]), 2.0),
        x.index_copy(0, T([1]), x[:1]),
        x.put(T([1, 3]), T([5.0, 6.0])),
        x.take(T([0, 8])),
        x.masked_scatter(x > 0, x),
        x.index_reduce(0, T([0, 0]), x[:2], "amax"),
    ),
    "halves": lambda x: (x.detach().half().cumsum(0), x.detach().bfloat16().softmax(1), x.detach().half().scatter_add(0, T([[0, 0, 0]]), x.detach().half())),
    "integers": lambda x: (T([5, -3]) // 2, T([5, -3]) % 4, T([6, 4]).gcd(T([4, 6])), T([1, 2]) << 1, ~T([1, 0])),
    "roundings": lambda x: (x.round(decimals=1), x.frac(), x.trunc(), fastnn.frexp(x), x.nan_to_num(), x.sign()),
    "comparisons": lambda x: (x.clamp(-1, T(0.5)), fastnn.fmax(x, x * 2), x.logical_and(x > 0), x.isclose(x)),
    "special": lambda x: (
        fastnn.special.erf(x), fastnn.special.gammaln(x.abs() + 1), fastnn.special.i0(x), fastnn.special.entr(x.abs()),
        fastnn.special.xlogy(x, x.abs() + 1), fastnn.special.ndtr(x), fastnn.polygamma(1, x.abs() + 1),
    ),
    "creation": lambda x: (
        fastnn.eye(2, 3), fastnn.linspace(0, 1, 5), fastnn.logspace(0, 1, 3), fastnn.arange(1, 2, 0.25),
        fastnn.full((2,), 7), fastnn.ones(2), x.new_full((2,), 1.5), fastnn.zeros_like(x), fastnn.empty(0), T([[1, 2]]),
    ),
    "tensordot": lambda x: (fastnn.tensordot(x, x, 2), fastnn.einsum("ij,kj->ik", x, x), fastnn.kron(x, x), fastnn.cross(x, x)),
    "grid": lambda x: F.grid_sample(x[None, None], F.affine_grid(fastnn.eye(2, 3)[None], (1, 1, 2, 2), True), align_corners=True),
    "interpolate": lambda x: [F.interpolate(x[None, None], size=5, mode=m) for m in ("nearest", "bilinear", "bicubic", "area")],
    "unpool": lambda x: F.max_unpool1d(*F.max_pool1d(x[None, :, :2], 2, return_indices=True), 2),
    "bags": lambda x: F.embedding_bag(T([0, 2, 1]), x, T([0, 2]), mode="max"),
    "renorm": lambda x: x.renorm(2, 0, 1.0),
    "inplace": lambda x: x.clone().add_(1).clamp_(max=2).masked_fill_(x > 1, 0).index_add_(0, T([0]), x[:1]),
    "setitem": lambda x: _set(x.clone()),
}  # fmt: skip


def _set(x: Any) -> Any:
    x[0] = 1.0
    x[1:, 1] = x[:2, 0].clone()
    x[T([2]), T([2])] = 5.0
    x[x < 0] = 0.0
    x[0, 0] = fastnn.tensor(9.0, device="cpu")  # a number of the CPU may go anywhere
    return x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    values = np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32)
    found = []
    for device in ("cpu", "cuda"):
        fastnn.manual_seed(0)
        with fastnn.device(device):
            x = fastnn.from_numpy(values).to(device).requires_grad_()
            outputs = tensors(FUNCTIONS[name](x))
            assert all(o.device.type == device for o in outputs)
            sums = [o.float().sum() for o in outputs if o.requires_grad]
            if sums:
                sum(sums[1:], sums[0]).backward()
            found.append([*outputs, *([] if x.grad is None else [x.grad])])
    wanted, got = found
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        assert_near(g, w)


def test_errors() -> None:
    x = fastnn.ones(3, 2, device="cuda")
    host = fastnn.ones(3, 2)
    for call in (
        lambda: x[T([3], device="cuda")],
        lambda: x.index_select(0, T([-4], device="cuda")),
        lambda: x.gather(0, T([[5, 0]], device="cuda")),
        lambda: F.embedding(T([3], device="cuda"), x),
    ):
        with pytest.raises(IndexError):
            call()
    for call in (
        lambda: x + host,
        lambda: x @ host.T,
        lambda: fastnn.cat([x, host]),
        lambda: fastnn.where(x > 0, x, host),
        lambda: F.linear(x, host),
        lambda: F.embedding(T([0]), x),
        lambda: F.cross_entropy(x, T([0, 1, 1])),
        lambda: x.scatter_add(0, T([[0, 0]]), x),
        lambda: F.conv2d(x[None, None], fastnn.ones(1, 1, 2, 2)),
        lambda: F.layer_norm(x, (2,), fastnn.ones(2)),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            call()
    with pytest.raises(fastnn.linalg.LinAlgError):
        fastnn.linalg.cholesky(-fastnn.eye(2, device="cuda"))


def test_writes_to_views_are_noticed() -> None:
    x = fastnn.ones(3, device="cuda", requires_grad=True)
    y = x * 2
    z = y * y
    y[:1].add_(1)
    with pytest.raises(RuntimeError, match="modified by an"):
        z.sum().backward()
    base = fastnn.zeros(2, 2, device="cuda")
    base[0].fill_(3)
    assert base._version == 1
    assert base.tolist() == [[3, 3], [0, 0]]
    with pytest.raises(RuntimeError, match="read-only"):
        fastnn.ones(1, 2, device="cuda").expand(2, 2).add_(1)
