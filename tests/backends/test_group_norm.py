"""Group norm kernels against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import assert_close, assert_same_bits_for_any_threads, eps, kernel, layouts

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

# (shape, groups)
SHAPES: list[tuple[tuple[int, ...], int]] = [
    ((1, 1), 1), ((3, 6), 2), ((2, 4, 1), 4), ((5, 6, 3, 7), 3), ((2, 32, 16, 16), 8), ((3, 4, 70, 70), 1), ((40, 12, 5), 6),
]  # fmt: skip
EPS = 1e-5


def wide(*arrays: Any) -> list[Any]:
    return [None if a is None else a.astype(np.float64) for a in arrays]


@pytest.mark.parametrize(("shape", "groups"), SHAPES, ids=str)
@pytest.mark.parametrize("affine", ["", "w", "b", "wb"])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_group_norm(
    isa: str, dtype: Any, rng: Any, shape: Any, groups: int, affine: str, offset: float
) -> None:
    x = (rng.standard_normal(shape) + offset).astype(dtype)
    g = rng.standard_normal(shape).astype(dtype)
    weight = rng.uniform(0.5, 2, shape[1]).astype(dtype) if "w" in affine else None
    bias = rng.standard_normal(shape[1]).astype(dtype) if "b" in affine else None
    y, mean, invstd = kernel("group_norm")(x, groups, weight, bias, EPS)
    x64, g64, weight64, bias64 = wide(x, g, weight, bias)
    want, want_mean, want_invstd = spec.group_norm(x64, groups, weight64, bias64, EPS)
    n = x[0].size // groups
    # sums of a row: blocks of up to 4096 elements in four accumulators of a vector, float64 beyond; the mean's own rounding is
    # eps |mean| invstd of xhat
    roundings = 16 + min(n, 4096) / 16
    loss = eps(dtype) * (1 + float((np.abs(want_mean) * want_invstd).max()))
    w = np.ones(shape[1]) if weight is None else weight64
    scale = float((np.abs(w) * (np.abs(want).max() + 1)).max()) + float(np.abs(want).max())
    assert_close(y, want, roundings * loss * scale, "y")
    assert_close(mean, want_mean, roundings * eps(dtype) * (np.abs(x).max() + 1), "mean")
    assert_close(invstd, want_invstd, roundings * loss * want_invstd, "invstd")

    got = kernel("group_norm_backward")(g, x, groups, weight, mean, invstd)
    wanted = spec.group_norm_backward(g64, x64, groups, weight64, *wide(mean, invstd))
    xhat = float(((np.abs(x64 - want_mean.mean()).max() + 1) * want_invstd).max())
    h = float(np.abs(g64).max() * w.max())
    gx_size = float(want_invstd.max()) * h * (2 + xhat * xhat)
    assert_close(got[0], wanted[0], roundings * loss * gx_size, "gx")
    axes = (0, *range(2, len(shape)))
    size = np.abs(g64).sum(axes)
    assert_close(got[1], wanted[1], roundings * loss * (xhat + 1) * size, "gweight")
    assert_close(got[2], wanted[2], roundings * eps(dtype) * size, "gbias")
    assert all(a.dtype == dtype for a in (y, mean, invstd, *got))


def test_layouts_and_threads(rng: Any) -> None:
    x = rng.standard_normal((6, 8, 9, 10)).astype(np.float32)
    weight = rng.uniform(0.5, 2, 8).astype(np.float32)
    want = cpu.group_norm(x, 4, weight, None, EPS)
    want_gradients = cpu.group_norm_backward(x, x, 4, weight, *want[1:])
    for name, other in layouts(x):
        got = cpu.group_norm(other, 4, weight, None, EPS)
        gradients = cpu.group_norm_backward(other, x, 4, weight, *want[1:])
        for a, b in zip((*got, *gradients), (*want, *want_gradients), strict=True):
            # NumPy's sums, of up to 540 numbers, where the kernel does not serve
            assert_close(a, b, 540 * eps(np.float32) * (1 + np.abs(b).max()), name)
    big = rng.standard_normal((20, 32, 30, 30)).astype(np.float32)
    assert_same_bits_for_any_threads(lambda: cpu.group_norm(big, 8, None, None, EPS))
    _, mean, invstd = cpu.group_norm(big, 8, None, None, EPS)
    assert_same_bits_for_any_threads(
        lambda: cpu.group_norm_backward(big, big, 8, None, mean, invstd)
    )
