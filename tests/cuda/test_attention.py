"""Attention by tiles on the CUDA kernels, against the specification in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fastnn.backends import gpu
from fastnn.backends import numpy as spec

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


def _plain(arrays: list[Any], run: tuple[Any, ...], dtype: Any) -> Any:
    """The straightforward computation: scores and softmax in float32, weights and output rounded to ``dtype``."""
    q, k, v, mask = (
        x if x is None or x.dtype == np.bool_ else x.astype(np.float32) for x in arrays
    )
    eye = np.eye(k.shape[-2], dtype=np.float32)
    weights, _, _ = spec.attention(
        q, k, np.broadcast_to(eye, (*k.shape[:-1], len(eye))), mask, *run
    )
    times = q.shape[-3] // v.shape[-3]
    rounded = weights.astype(dtype).astype(np.float32)
    return (rounded @ np.repeat(v, times, -3)).astype(dtype)


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
    plain = _error(_plain(arrays, run, dtype), exact)
    assert _error(y, exact) <= factor * plain + eps * np.abs(exact).max(initial=0.0)
    # a score: `size` products of numbers of size one, each off by 2^-22, with the signs of a random walk of 4 sigma
    score_error = 4 * np.sqrt(case.size) * 2.0**-22 * max(1.0, abs(run[0])) * 4
    finite = np.isfinite(exact_top)
    np.testing.assert_array_equal(np.isfinite(top), finite)
    assert _error(top[finite], exact_top[finite]) <= score_error
    np.testing.assert_allclose(total, exact_total, rtol=2 * score_error)


def test_large_scores_keep_their_total() -> None:
    """exp(score - top) near the largest score does not suffer from the size of the scores."""
    q = np.full((1, 1, 1, 16), 2.0**6, np.float32)
    k = np.full((1, 1, 3, 16), 2.0**6, np.float32)  # scores of 2^16
    _, top, total = gpu.attention(q, k, k, None, 1.0, False)
    assert top.item() == 2.0**16
    assert total.item() == 3.0


def test_other_numbers_of_dims() -> None:
    rng = np.random.default_rng(0)
    for lead in [(), (3,), (2, 2, 3)]:
        q, k, v = (rng.normal(size=(*lead, n, 8)).astype(np.float32) for n in (5, 7, 7))
        y, top, _ = gpu.attention(q, k, v, None, 0.4, False)
        wanted, wanted_top, _ = spec.attention(q, k, v, None, 0.4, False)
        np.testing.assert_allclose(y, wanted, rtol=0, atol=8 * 2.0**-22)
        np.testing.assert_allclose(top, wanted_top, rtol=0, atol=8 * 2.0**-22)


def test_other_dtypes_and_sizes_go_to_the_specification() -> None:
    rng = np.random.default_rng(0)
    for dtype, size in [(np.float64, 8), (np.float32, 300)]:
        q = rng.normal(size=(1, 3, size)).astype(dtype)
        got = gpu.attention(q, q, q, None, 0.1, True)
        for a, b in zip(got, spec.attention(q, q, q, None, 0.1, True), strict=True):
            np.testing.assert_array_equal(a, b)


def test_wrong_arguments() -> None:
    q = np.zeros((1, 2, 3, 8), np.float32)
    with pytest.raises(ValueError, match=r"key must have shape \(1, 2, 4, 8\), got \(1, 2, 4, 7\)"):
        gpu.attention(q, np.zeros((1, 2, 4, 7), np.float32), q, None, 1.0, False)
    with pytest.raises(ValueError, match="heads of key must divide"):
        gpu.attention(np.zeros((1, 3, 3, 8), np.float32), q, q, None, 1.0, False)
    with pytest.raises(TypeError, match="key must be float32, got float16"):
        gpu.attention(q, q.astype(np.float16), q, None, 1.0, False)
