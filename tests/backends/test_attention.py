"""Attention kernels against NumPy in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import assert_close, assert_same_bits_for_any_threads, eps, kernel, layouts

from fastnn.backends import cpu
from fastnn.backends import numpy as spec


@dataclass
class Case:
    """One call. Blocks are of 64 queries, in panels of 4 to 32, and of up to 128 keys."""

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
    batch: int = 2


CASES = {
    "plain": Case(150, 210, 40, 33),
    "causal": Case(150, 130, 32, 32, causal=True),
    "causal, fewer queries": Case(40, 150, 64, 64, causal=True),
    "causal, fewer keys": Case(150, 40, 17, 5, causal=True),
    "keys in parts": Case(70, 600, 8, 16, batch=1),
    "causal, keys in parts": Case(330, 300, 16, 8, causal=True, batch=1, heads=(2, 1)),
    "wide heads": Case(40, 70, 250, 200),
    "narrow heads": Case(9, 7, 3, 1),
    "masked": Case(70, 90, 20, 20, mask="boolean"),
    "masked and causal": Case(70, 90, 20, 20, mask="boolean", causal=True),
    "added": Case(70, 290, 64, 64, mask="added"),
    "added, other order": Case(70, 90, 16, 16, mask="transposed"),
    "mask of keys": Case(30, 170, 32, 32, mask="keys"),
    "added to keys": Case(30, 70, 32, 32, mask="added to keys"),
    "mask of queries": Case(30, 70, 32, 32, mask="queries"),
    "dropout": Case(70, 91, 32, 32, dropout_p=0.4),
    "dropout of all": Case(5, 9, 8, 8, dropout_p=1.0),
    "masked dropout": Case(40, 40, 100, 100, mask="boolean", dropout_p=0.2),
    "causal dropout": Case(40, 40, 100, 100, causal=True, dropout_p=0.2),
    "negative scale": Case(40, 40, 24, 24, scale=-0.3),
    "grouped": Case(40, 70, 32, 32, heads=(6, 2)),
    "one key head": Case(70, 70, 64, 64, heads=(3, 1), causal=True, dropout_p=0.1),
    "heads beside each other": Case(40, 70, 32, 16, layout="sequence first"),
    "heads far beside each other": Case(150, 150, 30, 32, layout="sequence first", heads=(40, 20)),
    "unaligned rows": Case(40, 70, 32, 32, layout="odd strides"),
    "one query": Case(1, 300, 64, 64),
    "one key": Case(100, 1, 64, 64),
    "no keys": Case(5, 0, 8, 8),
    "no queries": Case(0, 5, 8, 8),
    "single": Case(1, 1, 1, 1, batch=1),
    "no batch": Case(3, 4, 8, 8, batch=0),
}


def _array(rng: Any, shape: tuple[int, ...], layout: str, dtype: Any) -> Any:
    if layout == "sequence first":
        b, h, t, e = shape
        return rng.normal(size=(b, t, h, e)).astype(dtype).transpose(0, 2, 1, 3)
    if layout == "odd strides":
        return rng.normal(size=(*shape[:-1], shape[-1] + 3)).astype(dtype)[..., 1:-2]
    return rng.normal(size=shape).astype(dtype)


def _mask(rng: Any, case: Case, dtype: Any) -> Any:
    heads, t, s = case.heads[0], case.queries, case.keys
    if case.mask == "boolean":  # of every head, with a query that sees nothing
        seen = rng.random((heads, t, s)) < 0.6
        seen[0, 3] = False
        return seen
    return {
        "": lambda: None,
        "keys": lambda: rng.random((case.batch, 1, 1, s)) < 0.7,
        "queries": lambda: rng.random((t, 1)) < 0.5,
        "added": lambda: rng.normal(size=(t, s)).astype(dtype),
        "added to keys": lambda: rng.normal(size=(s,)).astype(dtype),
        "transposed": lambda: rng.normal(size=(heads, s, t)).astype(dtype).swapaxes(1, 2),
    }[case.mask]()


def _inputs(rng: Any, case: Case, dtype: Any) -> tuple[list[Any], tuple[Any, ...], Any]:
    """(query, key, value, mask), the arguments behind them, and a gradient."""
    heads, kv_heads = case.heads
    shapes = (
        (heads, case.queries, case.size),
        (kv_heads, case.keys, case.size),
        (kv_heads, case.keys, case.value_size),
        (heads, case.queries, case.value_size),
    )
    *arrays, g = (_array(rng, (case.batch, *shape), case.layout, dtype) for shape in shapes)
    run = (case.scale or case.size**-0.5, case.causal, case.dropout_p, 123456789123, 2**32 - 3)
    return [*arrays, _mask(rng, case, dtype)], run, g


def _in_float64(x: Any) -> Any:
    return x if x is None or x.dtype == np.bool_ else x.astype(np.float64)


def _bound(dtype: Any, case: Case) -> float:
    """Of numbers about 1, as all are here: of sums over keys or queries, and of exp of a rounded score.

    A score is a sum of `size` products below 16 together; so its error, which is the relative one of its weight, is a
    few eps of that. Weights of one query sum to 1, those of one key to about queries / keys.
    """
    terms = case.size + case.value_size + case.keys + case.queries
    return (64 + terms) * eps(dtype)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_attention(isa: str, dtype: Any, rng: Any, case: Case) -> None:
    arrays, run, g = _inputs(rng, case, dtype)
    wide = [_in_float64(x) for x in arrays]
    got = cpu.attention(*arrays, *run)
    want = spec.attention(*wide, *run)
    bound = _bound(dtype, case)
    for name, x, y in zip(("y", "top", "total"), got, want, strict=True):
        assert_close(x, y, bound * (1 + np.abs(y)), name)
        assert x.dtype == dtype
    run = (*run[:2], True, *run[2:])
    found = cpu.attention_backward(g, *arrays, *got, *run)
    wanted = spec.attention_backward(_in_float64(g), *wide, *want, *run)
    for name, x, y in zip(("query", "key", "value", "mask"), found, wanted, strict=True):
        assert_close(x, y, 2 * bound * (1 + np.abs(y)), name)
        assert x.dtype == dtype


def test_kernels_serve(isa: str, dtype: Any, rng: Any) -> None:
    for case in CASES.values():
        if case.batch == 0:
            continue
        arrays, run, g = _inputs(rng, case, dtype)
        results = kernel("attention")(*arrays, *run)
        kernel("attention_backward")(g, *arrays, *results, *run[:2], False, *run[2:])


def test_special_values(isa: str, dtype: Any, rng: Any) -> None:
    case = Case(20, 200, 8, 8)
    arrays, run, _ = _inputs(rng, case, dtype)
    query, key, value, _ = arrays
    query[0, 0, 2] = np.nan
    query[0, 0, 3, 0], query[0, 1, 4] = np.inf, 1e30
    key[1, 0, 150, 1] = np.nan
    value[1, 1, 199, 7] = np.nan
    got = kernel("attention")(*arrays, *run)[0]
    with np.errstate(all="ignore"):
        want = spec.attention(*(_in_float64(x) for x in arrays), *run)[0]
    special = ~np.isfinite(want)
    assert special.any()
    np.testing.assert_array_equal(np.isfinite(got), ~special)
    ordinary = ~special & (np.abs(query).max(-1, keepdims=True) < 1e3)
    tolerance = _bound(dtype, case) * 4
    np.testing.assert_allclose(got[ordinary], want[ordinary], atol=tolerance, rtol=tolerance)


def test_hidden_values_do_not_count(isa: str, dtype: Any, rng: Any) -> None:
    arrays, run, g = _inputs(rng, Case(70, 70, 16, 16), dtype)
    seen = np.ones(70, np.bool_)
    seen[40:] = False
    arrays[1][..., 50:, :] = np.nan
    query, key, value, _ = arrays
    y, top, total = cpu.attention(query, key, value, seen, *run)
    shorter = cpu.attention(query, key[..., :40, :], value[..., :40, :], None, *run)
    for x, want in zip((y, top, total), shorter, strict=True):
        assert_close(x, want, 64 * eps(dtype) * (1 + np.abs(want)))


def test_scores_far_apart(isa: str, dtype: Any) -> None:
    """The largest score comes late, and all before it must vanish."""
    query = np.ones((1, 3, 1), dtype)
    key = np.linspace(-2000, 3000, 500).astype(dtype)[None, :, None]
    value = np.arange(500, dtype=dtype)[None, :, None]
    y, top, total = kernel("attention")(query, key, value, None, 1.0, False)
    want = spec.attention(*(_in_float64(x) for x in (query, key, value)), None, 1.0, False)
    assert_close(y, want[0], 64 * eps(dtype) * 500)
    assert_close(top, want[1], eps(dtype) * 3000)
    assert_close(total, want[2], 64 * eps(dtype))


def test_layouts(isa: str, dtype: Any, rng: Any) -> None:
    case = Case(20, 30, 8, 8)
    arrays, run, g = _inputs(rng, case, dtype)
    query, key, value, _ = arrays
    added = rng.normal(size=(2, 2, 20, 30)).astype(dtype)
    wide = [_in_float64(x) for x in (query, key, value, added)]
    want = spec.attention(*wide, *run)
    backward = (*run[:2], False, *run[2:])
    wanted = spec.attention_backward(_in_float64(g), *wide, *want, *backward)[:3]
    bound = _bound(dtype, case)
    stacks = [layouts(x) for x in (query, key, value, added, g)]
    for (name, q), (_, k), (_, v), (_, m), (_, gradient) in zip(*stacks, strict=True):
        before = [x.copy() for x in (q, k, v, m)]
        got = cpu.attention(q, k, v, m, *run)
        for x, y in zip(got, want, strict=True):
            assert_close(x, y, bound * (1 + np.abs(y)), name)
        found = cpu.attention_backward(gradient, q, k, v, m, *got, *backward)[:3]
        for x, y in zip(found, wanted, strict=True):
            assert_close(x, y, 2 * bound * (1 + np.abs(y)), name)
        for x, y in zip((q, k, v, m), before, strict=True):
            np.testing.assert_array_equal(x, y)


def test_results_lie_as_inputs(dtype: Any, rng: Any) -> None:
    """Heads beside each other in memory stay so: joining them copies nothing."""
    for order in ((0, 2, 1, 3), (2, 0, 1, 3)):  # of the axes in memory: batch or length outermost
        back = np.argsort(order)
        arrays, run, g = _inputs(rng, Case(20, 30, 8, 16), dtype)
        *arrays, g = (np.ascontiguousarray(x.transpose(order)) for x in (*arrays[:3], g))
        *arrays, g = (x.transpose(back) for x in (*arrays, g))
        got = kernel("attention")(*arrays, None, *run)
        found = kernel("attention_backward")(g, *arrays, None, *got, *run[:2], False, *run[2:])
        for x in (got[0], *found[:3]):
            assert x.transpose(order).flags.c_contiguous


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
def test_half(rng: Any, half: Any) -> None:
    """16-bit arrays go through float32.

    Gradients take sum_s p gp from y, whose rounding to 16 bits then stands, times p <= 1, beside their own.
    """
    case = Case(40, 50, 16, 16, mask="added")
    arrays, run, g = _inputs(rng, case, half)
    backward = (*run[:2], True, *run[2:])
    want = spec.attention(*arrays, *run)
    got = cpu.attention(*arrays, *run)
    found = cpu.attention_backward(g, *arrays, *want, *backward)
    wanted = spec.attention_backward(g, *arrays, *want, *backward)
    unit = float(ml_dtypes.finfo(half).eps)
    for x, y in zip((*got, *found), (*want, *wanted), strict=True):
        assert x.dtype == y.dtype
        y = y.astype(np.float64)
        assert_close(x.astype(np.float64), y, unit * (1 + np.abs(y)))


def test_same_bits_for_any_threads(rng: Any) -> None:
    for case in (
        Case(130, 300, 16, 16, batch=1),
        Case(100, 200, 16, 16, causal=True, dropout_p=0.1, heads=(4, 2)),
    ):
        arrays, run, g = _inputs(rng, case, np.float32)

        def both(arrays: Any = arrays, run: Any = run, g: Any = g) -> Any:
            got = kernel("attention")(*arrays, *run)
            backward = kernel("attention_backward")
            return (*got, *backward(g, *arrays, *got, *run[:2], False, *run[2:])[:3])

        assert_same_bits_for_any_threads(both)


def test_arguments_that_do_not_fit(rng: Any) -> None:
    """What the kernels do not serve is the specification's, errors too."""
    arrays, run, _ = _inputs(rng, Case(5, 6, 8, 8), np.float32)
    query, key, value, _ = arrays
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        cpu.attention(query, key[..., :7], value, None, *run)
    with pytest.raises(ValueError, match="broadcast"):
        cpu.attention(query, key, value, np.ones((4, 6), np.bool_), *run)
    swapped = query.astype(query.dtype.newbyteorder())
    assert_close(
        cpu.attention(swapped, key, value, None, *run)[0],
        spec.attention(query, key, value, None, *run)[0],
        64 * eps(np.float32),
    )
