"""Attention by tiles on the CUDA kernels, against the specification in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import normal
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters

import fastnn
import fastnn.nn as nn
import fastnn.nn.functional as F
from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import kernels

DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]


@dataclass
class Case:
    """One call. Tiles are of 64 or 128 queries, and 16 to 64 keys."""

    queries: int
    keys: int
    size: int
    value_size: int
    causal: bool = False
    mask: str = ""
    dropout_p: float = 0.0
    scale: float = 0.0
    heads: tuple[int, int] = (2, 2)
    layout: str = "dense"


CASES = {
    # several tiles of queries, four stages of keys, ragged ends of both and of the rows
    "plain": Case(150, 210, 40, 33),
    "causal": Case(150, 130, 32, 32, causal=True),
    "causal, fewer queries": Case(40, 150, 64, 64, causal=True),
    "causal, fewer keys": Case(150, 40, 64, 64, causal=True),
    "aligned rows": Case(65, 100, 128, 64),
    "wide heads": Case(40, 70, 250, 200),
    "masked": Case(70, 90, 20, 20, mask="boolean"),
    "added": Case(70, 90, 64, 64, mask="added"),
    "added float32": Case(30, 40, 16, 16, mask="float32"),
    "mask of keys": Case(30, 70, 32, 32, mask="keys"),
    "dropout": Case(70, 91, 32, 32, dropout_p=0.4),
    "dropout of all": Case(5, 9, 8, 8, dropout_p=1.0),
    "causal dropout": Case(40, 40, 100, 100, causal=True, dropout_p=0.2),
    "negative scale": Case(40, 40, 24, 24, scale=-0.3),
    "grouped": Case(40, 70, 32, 32, heads=(6, 2)),
    "one key head": Case(40, 70, 64, 64, heads=(3, 1), causal=True, dropout_p=0.1),
    "heads beside each other": Case(40, 70, 32, 16, layout="sequence first"),
    "unaligned rows": Case(40, 70, 32, 32, layout="odd strides"),
    "no keys": Case(5, 0, 8, 8),
    "no queries": Case(0, 5, 8, 8),
    "single": Case(1, 1, 1, 1),
}


def _array(rng: np.random.Generator, shape: tuple[int, ...], layout: str, dtype: Any) -> Any:
    if layout == "sequence first":
        b, h, t, e = shape
        return rng.normal(size=(t, b, h, e)).astype(dtype).transpose(1, 2, 0, 3)
    if layout == "odd strides":
        wide = rng.normal(size=(*shape[:-1], shape[-1] + 3)).astype(dtype)
        return wide[..., 1:-2]
    return rng.normal(size=shape).astype(dtype)


def _mask(rng: np.random.Generator, case: Case, heads: int, dtype: Any) -> Any:
    if case.mask == "boolean":  # of every head, with a query that sees nothing
        seen = rng.random((heads, case.queries, case.keys)) < 0.6
        seen[0, 3] = False
        return seen
    if case.mask == "keys":  # of every batch, as for padded sequences
        return rng.random((2, 1, 1, case.keys)) < 0.7
    if case.mask == "added":
        return rng.normal(size=(case.queries, case.keys)).astype(dtype)
    if case.mask == "float32":
        return rng.normal(size=(1, case.queries, case.keys)).astype(np.float32)
    return None


def _inputs(case: Case, dtype: Any) -> tuple[list[Any], tuple[Any, ...]]:
    """(query, key, value, mask), and the arguments behind them."""
    rng = np.random.default_rng(0)
    heads, kv_heads = case.heads
    arrays = [
        _array(rng, (2, heads, case.queries, case.size), case.layout, dtype),
        _array(rng, (2, kv_heads, case.keys, case.size), case.layout, dtype),
        _array(rng, (2, kv_heads, case.keys, case.value_size), case.layout, dtype),
        _mask(rng, case, heads, dtype),
    ]
    scale = case.scale or case.size**-0.5
    return arrays, (scale, case.causal, case.dropout_p, 123456789123, 2**32 - 3)


def _in_float64(x: Any) -> Any:
    return x if x is None or x.dtype == np.bool_ else x.astype(np.float64)


def _plain(arrays: list[Any], run: tuple[Any, ...], dtype: Any, g: Any = None) -> tuple[Any, ...]:
    """(y,), or (gquery, gkey, gvalue) for ``g``: by the matrix of weights, in float32; what the products take and give rounded to ``dtype``."""

    def rounded(x: Any) -> Any:
        return x.astype(dtype).astype(np.float32)

    q, k, v, mask = (
        x if x is None or x.dtype == np.bool_ else x.astype(np.float32) for x in arrays
    )
    times = q.shape[-3] // v.shape[-3]
    k, v = np.repeat(k, times, -3), np.repeat(v, times, -3)
    eye = np.broadcast_to(np.eye(k.shape[-2], dtype=np.float32), (*k.shape[:-1], k.shape[-2]))
    weights, _, _ = spec.attention(q, k, eye, mask, *run)  # dropped, as they meet the values
    if g is None:
        return ((rounded(weights) @ v).astype(dtype),)
    scale, causal, dropout_p, seed, offset = run
    p, _, _ = spec.attention(q, k, eye, mask, scale, causal)
    g = g.astype(np.float32)
    factors = spec.dropout(np.ones_like(p), dropout_p, seed, offset)[0] if dropout_p else 1
    gp = (g @ v.swapaxes(-1, -2)) * factors
    gscores = rounded(p * (gp - (p * gp).sum(-1, keepdims=True)))

    def per_own_head(x: Any) -> Any:
        groups = (*x.shape[:-3], x.shape[-3] // times, times, *x.shape[-2:])
        return x.reshape(groups).sum(-3).astype(dtype)

    return (
        ((gscores @ k) * np.float32(scale)).astype(dtype),
        per_own_head((gscores.swapaxes(-1, -2) @ q) * np.float32(scale)),
        per_own_head(rounded(weights).swapaxes(-1, -2) @ g),
    )


def _error(got: Any, wanted: Any) -> float:
    return float(np.abs(got.astype(np.float64) - wanted).max(initial=0.0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_forward(name: str, dtype: Any) -> None:
    case = CASES[name]
    arrays, run = _inputs(case, dtype)
    y, top, total = gpu.attention(*arrays, *run)
    exact, exact_top, exact_total = spec.attention(*map(_in_float64, arrays), *run)
    assert y.dtype == dtype
    assert y.shape == exact.shape
    assert top.dtype == total.dtype == np.float32
    # float32 by three TF32 products: 2^-22 of each product is left out, four times float32's rounding; then the common factor 2
    factor = 8 if dtype == np.float32 else 2
    eps = float(ml_dtypes.finfo(dtype).eps)
    plain = _error(_plain(arrays, run, dtype)[0], exact)
    assert _error(y, exact) <= factor * plain + eps * np.abs(exact).max(initial=0.0)
    # a score: `size` products of numbers of size one, each off by 2^-22, with the signs of a random walk of 4 sigma
    score_error = 4 * np.sqrt(case.size) * 2.0**-22 * max(1.0, abs(run[0])) * 4
    finite = np.isfinite(exact_top)
    np.testing.assert_array_equal(np.isfinite(top), finite)
    assert _error(top[finite], exact_top[finite]) <= score_error
    np.testing.assert_allclose(total, exact_total, rtol=2 * score_error)


@dataclass
class Backward:
    """Gradients of one case: of the kernels, of the specification in float64, and of the plain computation."""

    got: tuple[Any, ...]
    exact: tuple[Any, ...]
    plain: tuple[Any, ...]


def _backward(case: Case, dtype: Any) -> Backward:
    arrays, run = _inputs(case, dtype)
    scale, causal, *drop = run
    y, top, total = gpu.attention(*arrays, *run)
    g = _array(np.random.default_rng(1), y.shape, case.layout, dtype)
    of_mask = case.mask in ("added", "float32")
    got = gpu.attention_backward(g, *arrays, y, top, total, scale, causal, of_mask, *drop)
    wide = [_in_float64(x) for x in arrays]
    saved = spec.attention(*wide, *run)
    wide_g = _in_float64(g)
    exact = spec.attention_backward(wide_g, *wide, *saved, scale, causal, of_mask, *drop)
    return Backward(got, exact, _plain(arrays, run, dtype, g))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_backward(name: str, dtype: Any) -> None:
    case = CASES[name]
    found = _backward(case, dtype)
    # as in test_forward; each row's sum of p * gp comes as g . y besides, of a rounded y
    factor = 8 if dtype == np.float32 else 2
    eps = float(ml_dtypes.finfo(dtype).eps)
    for got, exact, plain in zip(found.got[:3], found.exact[:3], found.plain, strict=True):
        assert got.dtype == dtype
        assert got.shape == exact.shape
        assert np.isfinite(got.astype(np.float32)).all()
        # gradients that cancel wholly (of a single key) leave the rounding of their terms, of size one
        size = max(np.abs(exact).max(initial=0.0), 1.0)
        assert _error(got, exact) <= factor * _error(plain, exact) + eps * size
    if case.mask == "boolean":  # a query that sees nothing
        assert not found.got[0][:, 0, 3].any()
    gmask, exact_gmask = found.got[3], found.exact[3]
    assert (gmask is None) == (exact_gmask is None)
    if gmask is not None:
        # p * (gp - delta): gp and delta are sums of value_size products of size one (exact but for float32, 2^-22 each), and
        # delta's y is rounded; signs at random, 4 sigma; then one rounding of the whole
        assert gmask.dtype == dtype
        terms = 4 * np.sqrt(case.value_size) * eps * (4 if dtype == np.float32 else 1)
        assert _error(gmask, exact_gmask) <= terms * np.abs(exact_gmask).max()


def test_gradient_of_a_mask_is_zero_where_causal() -> None:
    """Tiles that no query sees are skipped."""
    rng = np.random.default_rng(0)
    q, k = (rng.normal(size=(1, 1, n, 16)).astype(np.float32) for n in (70, 200))
    mask = rng.normal(size=(70, 200)).astype(np.float32)
    run = (0.25, True)
    y, top, total = gpu.attention(q, k, k, mask, *run)
    *_, gmask = gpu.attention_backward(y, q, k, k, mask, y, top, total, *run, True)
    *_, wanted = spec.attention_backward(y, q, k, k, mask, y, top, total, *run, True)
    np.testing.assert_allclose(gmask, wanted, rtol=0, atol=16 * 2.0**-22 * np.abs(wanted).max())
    assert not np.triu(gmask[0, 0], 1).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_in_every_call(dtype: Any) -> None:
    case = Case(70, 150, 64, 64, heads=(4, 2), dropout_p=0.3)
    arrays, (scale, causal, *drop) = _inputs(case, dtype)
    results = []
    for _ in range(2):
        saved = gpu.attention(*arrays, scale, causal, *drop)
        g = saved[0]
        grads = gpu.attention_backward(g, *arrays, *saved, scale, causal, False, *drop)
        results.append((*saved, *grads[:3]))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_expanded_gradient() -> None:
    """What the gradient of a sum gives: one number for all, strides of 0."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, n, 8)).astype(np.float32) for n in (5, 7, 7))
    g = np.broadcast_to(np.float32(1), (2, 5, 8))
    saved = gpu.attention(q, k, v, None, 0.4, False)
    got = gpu.attention_backward(g, q, k, v, None, *saved, 0.4, False, False)
    wanted = spec.attention_backward(g, q, k, v, None, *saved, 0.4, False, False)
    for a, b in zip(got[:3], wanted[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=16 * 2.0**-22)


def test_large_scores_keep_their_total() -> None:
    """exp(score - top) near the largest score does not suffer from the size of the scores."""
    q = np.full((1, 1, 1, 16), 2.0**6, np.float32)
    k = np.full((1, 1, 3, 16), 2.0**6, np.float32)  # scores of 2^16
    _, top, total = gpu.attention(q, k, k, None, 1.0, False)
    assert top.item() == 2.0**16
    assert total.item() == 3.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan(dtype: Any) -> None:
    """A NaN reaches what the specification says, whatever its bits: those of CUDA's own are all ones."""
    rng = np.random.default_rng(0)
    q, k, v, g = (rng.normal(size=(1, 1, n, 24)).astype(dtype) for n in (20, 30, 30, 20))
    q[0, 0, 3, 5] = np.nan
    g[0, 0, 7, 2] = np.nan
    for x, at in ((q, (0, 0, 3, 5)), (g, (0, 0, 7, 2))):
        bits = x.view(np.uint32 if dtype == np.float32 else np.uint16)
        bits[at] = 0x7FFFFFFF if dtype == np.float32 else 0x7FFF
    y, top, total = gpu.attention(q, k, v, None, 0.2, False)
    got = (y, *gpu.attention_backward(g, q, k, v, None, y, top, total, 0.2, False, False)[:3])
    saved = spec.attention(q, k, v, None, 0.2, False)
    run = (g, q, k, v, None, *saved, 0.2, False, False)
    for a, b in zip(got, (saved[0], *spec.attention_backward(*run)[:3]), strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


def test_other_numbers_of_dims() -> None:
    rng = np.random.default_rng(0)
    for lead in [(), (3,), (2, 2, 3)]:
        q, k, v = (rng.normal(size=(*lead, n, 8)).astype(np.float32) for n in (5, 7, 7))
        y, top, _ = gpu.attention(q, k, v, None, 0.4, False)
        wanted, wanted_top, _ = saved = spec.attention(q, k, v, None, 0.4, False)
        np.testing.assert_allclose(y, wanted, rtol=0, atol=8 * 2.0**-22)
        np.testing.assert_allclose(top, wanted_top, rtol=0, atol=8 * 2.0**-22)
        got = gpu.attention_backward(y, q, k, v, None, *saved, 0.4, False, False)
        exact = spec.attention_backward(y, q, k, v, None, *saved, 0.4, False, False)
        for a, b in zip(got[:3], exact[:3], strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=32 * 2.0**-22)


def test_other_dtypes_and_sizes_go_to_the_specification() -> None:
    rng = np.random.default_rng(0)
    for dtype, size in [(np.float64, 8), (np.float32, 300)]:
        q = rng.normal(size=(1, 3, size)).astype(dtype)
        saved = spec.attention(q, q, q, None, 0.1, True)
        run = (q, q, q, q, None, *saved, 0.1, True, False)
        for a, b in (
            *zip(gpu.attention(q, q, q, None, 0.1, True), saved, strict=True),
            *zip(gpu.attention_backward(*run)[:3], spec.attention_backward(*run)[:3], strict=True),
        ):
            np.testing.assert_array_equal(a, b)


def test_wrong_arguments() -> None:
    q = np.zeros((1, 2, 3, 8), np.float32)
    with pytest.raises(ValueError, match=r"key must have shape \(1, 2, 4, 8\), got \(1, 2, 4, 7\)"):
        gpu.attention(q, np.zeros((1, 2, 4, 7), np.float32), q, None, 1.0, False)
    with pytest.raises(ValueError, match="heads of key must divide"):
        gpu.attention(np.zeros((1, 3, 3, 8), np.float32), q, q, None, 1.0, False)
    with pytest.raises(TypeError, match="key must be float32, got float16"):
        gpu.attention(q, q.astype(np.float16), q, None, 1.0, False)


def test_wrong_arguments_of_the_gradients() -> None:
    x = np.zeros((1, 2, 3, 8), np.float32)
    rows, scratch = np.zeros((1, 2, 3), np.float32), np.zeros(1 * 2 * 3 * 16, np.uint8)
    right = {
        **dict.fromkeys(("g", "query", "key", "value", "y", "gquery", "gkey", "gvalue"), x),
        "mask": None,
        "gmask": None,
        "top": rows,
        "total": rows,
        "workspace": scratch,
        "scale": 1.0,
        "causal": False,
        "dropout_p": 0.0,
        "seed": 0,
        "offset": 0,
        "stream": 0,
    }
    kernel = with_host_arrays(kernels.attention_backward)
    for wrong, error, text in (
        ({"g": np.zeros((1, 1, 3, 8), np.float32)}, ValueError, "g must have shape"),
        ({"y": np.zeros((1, 2, 3, 4), np.float32)}, ValueError, "y must have shape"),
        ({"g": x.astype(np.float16)}, TypeError, "g must be float32, got float16"),
        ({"top": np.zeros((1, 2, 4), np.float32)}, ValueError, r"top must have shape \(1, 2, 3\)"),
        ({"total": rows.astype(np.float64)}, TypeError, "total must be float32"),
        ({"gquery": np.zeros((1, 2, 3, 9), np.float32)}, ValueError, "gquery must have shape"),
        (
            {"gkey": np.zeros((1, 3, 2, 8), np.float32).swapaxes(1, 2)},
            ValueError,
            "gkey must be contig",
        ),
        (
            {"gmask": np.zeros((1, 2, 3, 8), np.float32)},
            ValueError,
            r"gmask must have shape \(1, 2, 3, 3\)",
        ),
        ({"workspace": np.zeros(95, np.uint8)}, ValueError, "workspace must have 96 elements"),
        ({"dropout_p": 2.0}, ValueError, "dropout_p"),
    ):
        with pytest.raises(error, match=text):
            kernel(**{**right, **wrong})


@needs_counters
@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_memory_is_used_well(dtype: Any, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    q, k, v, g = (rng.normal(size=(1, 1, n, size)).astype(dtype) for n in (70, 100, 100, 70))
    with memory_used_well(monkeypatch, "attention_kernel", "row_statistics") as rows:
        saved = gpu.attention(q, k, v, None, 0.1, True)
        gpu.attention_backward(g, q, k, v, None, *saved, 0.1, True, False)
    gradients = {row["kernel"] for row in rows if row["kernel"].startswith("attention_gradients")}
    assert len(gradients) == (3 if dtype == np.float32 and size > 64 else 2)
    assert {row["access"] for row in rows} >= {
        "shared load 16",
        "global load 16",
        "global store 16",
    }


@needs_counters
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_memory_is_used_well_with_masks_and_dropout(
    dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, mask = normal((1, 2, 64, 64), dtype), normal((64, 64), dtype)
    with memory_used_well(monkeypatch, "attention_kernel", "attention_gradients", exempt=True):
        saved = gpu.attention(x, x, x, mask, 0.1, False, 0.1, 1, 2)
        gpu.attention_backward(x, x, x, x, mask, *saved, 0.1, False, True, 0.1, 1, 2)


def _on(device: str, tensors: list[Any]) -> list[Any]:
    return [x.detach().to(device).requires_grad_(x.is_floating_point()) for x in tensors]


@pytest.mark.parametrize("options", ["", "causal", "boolean", "added", "dropout"])
def test_functional_on_the_device(options: str) -> None:
    fastnn.manual_seed(0)
    inputs = [fastnn.randn(2, 3, n, 16) for n in (20, 35, 35)]
    if options == "boolean":
        inputs.append(fastnn.rand(20, 35) < 0.7)
    if options == "added":
        inputs.append(fastnn.randn(20, 35))
    results = []
    for device in ("cpu", "cuda"):
        fastnn.manual_seed(1)  # the same weights are dropped
        own = _on(device, inputs)
        dropout_p = 0.3 if options == "dropout" else 0.0
        y = F.scaled_dot_product_attention(*own, dropout_p=dropout_p, is_causal=options == "causal")
        assert y.device.type == device
        (y * y).sum().backward()
        grads = [x.grad for x in own if x.requires_grad]
        assert all(x is not None and x.device.type == device for x in grads)
        results.append([x.detach().cpu().numpy() for x in (y, *grads)])
    for host, here in zip(*results, strict=True):
        # sums of 35 products and then of 16, of numbers of size one, each off by 2^-22 on the device; signs at random, 4 sigma
        bound = 4 * np.sqrt(35 * 16) * 2.0**-22 * max(1.0, np.abs(host).max())
        np.testing.assert_allclose(here, host, rtol=0, atol=bound)


@pytest.mark.parametrize("masked", [False, True])
def test_multihead_attention_on_the_device(masked: bool) -> None:
    fastnn.manual_seed(0)
    layer = nn.MultiheadAttention(32, 4, batch_first=True)
    x, target = fastnn.randn(2, 21, 32), fastnn.randn(2, 21, 32)
    padding = fastnn.arange(21).unsqueeze(0) >= fastnn.tensor([[21], [13]])
    results = []
    for device in ("cpu", "cuda"):
        layer.to(device)
        layer.zero_grad()
        (own,) = _on(device, [x])
        y, _ = layer(
            own,
            own,
            own,
            key_padding_mask=padding.to(device) if masked else None,
            need_weights=False,
        )
        F.mse_loss(y, target.to(device)).backward()
        results.append(
            [a.detach().cpu().numpy() for a in (y, own.grad, *(p.grad for p in layer.parameters()))]
        )
    for host, here in zip(*results, strict=True):
        # four products in a row, each a sum of at most 42 terms: their roundings add up; values of size one at most
        bound = 4 * 4 * np.sqrt(42) * 2.0**-22 * max(1.0, np.abs(host).max())
        np.testing.assert_allclose(here, host, rtol=0, atol=bound)
