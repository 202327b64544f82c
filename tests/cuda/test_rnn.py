"""Recurrent layers on the CUDA kernels, against the specification in float64."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import eps, exact, normal
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import kernels

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
# One sample, one step; whole tiles of 16 samples by 32 columns and more stages of 64 than are in flight; ragged: units that are no
# whole vector, several tiles both ways, samples that end (or in reverse begin) one by one, many at once, and steps of one size
SEQUENCES: list[tuple[int, list[int]]] = [
    (1, [1]),
    (80, [32, 32, 32]),
    (13, [19, 19, 17, 17, 17, 16, 3, 3, 1, 1]),
    (50, [5, 5, 2]),
]


def check(got: Any, wanted: Any, dtype: Any) -> None:
    """Results of size one, each a function of slope at most one of a sum whose roundings add up to a few units, over up to ten steps.

    float32: sums of up to 320 products of size 1 / sqrt(n), 8 units, carried on for ten steps with a factor below one. float16 and
    bfloat16: float32's, then one rounding.
    """
    unit = eps(dtype) if dtype in (np.float32, np.float64) else 16 * eps(np.float32)
    rounding = 0.0 if dtype in (np.float32, np.float64) else eps(dtype)
    if wanted is None:
        assert got is None
        return
    assert got.dtype == dtype
    assert got.shape == wanted.shape
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
    np.testing.assert_allclose(exact(got), wanted, rtol=rounding, atol=64 * unit * scale)


def run(name: str, arrays: list[Any], rest: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
    """The kernel's results, checked; and those of the specification, in float64."""
    before = [None if a is None else a.copy() for a in arrays]
    got = getattr(gpu, name)(*arrays, *rest)
    wanted = getattr(spec, name)(*(exact(a) for a in arrays), *rest)
    for g, w in zip(got, wanted, strict=True):
        check(g, w, dtype)
    for a, b in zip(arrays, before, strict=True):
        if a is not None:
            np.testing.assert_array_equal(exact(a), exact(b))  # inputs stay
    return tuple(got)


SIZE = 6  # of the inputs


def weights(gates: int, h: int, r: int, dtype: Any) -> tuple[list[Any], list[Any]]:
    """weight_ih and weight_hh, and the biases."""
    layer = inputs((gates, SIZE, SIZE), (gates, r, r), dtype=dtype)
    return layer, [normal((gates,), dtype, seed=7 + i, scale=0.5) for i in range(2)]


def inputs(*shapes: Any, dtype: Any) -> list[Any]:
    """Numbers of size one; weights, which have a third entry in their shape: the root of what their rows sum."""
    out = []
    for i, shape in enumerate(shapes):
        scale = 1.0 if len(shape) == 2 else shape[2] ** -0.5
        out.append(normal(shape[:2], dtype, seed=i, scale=scale))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize(("h", "sizes"), SEQUENCES)
def test_rnn(h: int, sizes: list[int], nonlinearity: str, reverse: bool, dtype: Any) -> None:
    rows, n = sum(sizes), sizes[0]
    rest = (np.array(sizes), reverse, nonlinearity)
    layer, biases = weights(h, h, h, dtype)
    x, h0 = inputs((rows, SIZE), (n, h), dtype=dtype)
    y, hn = run("rnn", [x, *layer, *biases, h0], rest, dtype)
    gy, ghn = inputs((rows, h), (n, h), dtype=dtype)
    run("rnn_backward", [gy, ghn, x, *layer, h0, y], (*rest, True), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("projected", [0, 1])
@pytest.mark.parametrize(("h", "sizes"), SEQUENCES)
def test_lstm(h: int, sizes: list[int], projected: int, reverse: bool, dtype: Any) -> None:
    rows, n, r = sum(sizes), sizes[0], h // 2 + 1 if projected else h
    rest = (np.array(sizes), reverse, True)
    layer, biases = weights(4 * h, h, r, dtype)
    x, h0, c0 = inputs((rows, SIZE), (n, r), (n, h), dtype=dtype)
    weight_hr = normal((r, h), dtype, seed=9, scale=h**-0.5) if projected else None
    states = [weight_hr, h0, c0]
    y, _, _, activations, cells = run("lstm", [x, *layer, *biases, *states], rest, dtype)
    gradients = inputs((rows, r), (n, r), (n, h), dtype=dtype)
    kept = [y, activations, cells]
    run("lstm_backward", [*gradients, x, *layer, *states, *kept], rest, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("h", "sizes"), SEQUENCES)
def test_gru(h: int, sizes: list[int], bias: bool, reverse: bool, dtype: Any) -> None:
    rows, n = sum(sizes), sizes[0]
    rest = (np.array(sizes), reverse, True)
    layer, biases = weights(3 * h, h, h, dtype)
    x, h0 = inputs((rows, SIZE), (n, h), dtype=dtype)
    biases = biases if bias else [None, None]
    y, _, activations, hidden = run("gru", [x, *layer, *biases, h0], rest, dtype)
    gradients = inputs((rows, h), (n, h), dtype=dtype)
    run("gru_backward", [*gradients, x, *layer, h0, y, activations, hidden], rest, dtype)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_what_may_be_missing(kind: str) -> None:
    h, sizes = 20, np.array([7, 7, 4])
    layer, _ = weights({"rnn": 1, "lstm": 4, "gru": 3}[kind] * h, h, h, np.float32)
    x, h0, gy = inputs((18, SIZE), (7, h), (18, h), dtype=np.float32)
    states = [None, h0, h0] if kind == "lstm" else [h0]
    option = "tanh" if kind == "rnn" else True
    found = run(kind, [x, *layer, None, None, *states], (sizes, False, option), np.float32)
    kept = [found[0], *found[len(states) if kind == "lstm" else 2 :]]
    end = (sizes, False, "tanh", False) if kind == "rnn" else (sizes, False, False)
    missing = [None] * (2 if kind == "lstm" else 1)
    got = run(f"{kind}_backward", [gy, *missing, x, *layer, *states, *kept], end, np.float32)
    assert got[0] is None
    if kind != "rnn":
        found = getattr(gpu, kind)(x, *layer, None, None, *states, sizes, False, False)
        assert found[-2:] == (None, None)


def test_strides_and_the_same_bits_every_time() -> None:
    x, weight_ih, weight, h0 = inputs(
        (33, SIZE), (80, SIZE, SIZE), (80, 20, 20), (11, 20), dtype=np.float32
    )
    rest = (None, None, None, h0, h0, np.array([11, 11, 11]), False, True)
    wanted = gpu.lstm(x, weight_ih, weight, *rest)
    got = gpu.lstm(
        np.repeat(x, 2, 1)[:, ::2], np.asfortranarray(weight_ih), np.asfortranarray(weight), *rest
    )
    for x, y in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_nan_stays_in_its_sample(kind: str) -> None:
    h, sizes = 20, np.array([18, 18, 9])
    count = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
    layer, biases = weights(count * h, h, h, np.float32)
    x, h0 = inputs((45, SIZE), (18, h), dtype=np.float32)
    x[4, 3] = np.nan
    x[5, 3] = np.inf
    arrays = [x, *layer, *biases, *([None, h0, h0] if kind == "lstm" else [h0])]
    rest = (sizes, False, "relu" if kind == "rnn" else True)
    got = getattr(gpu, kind)(*arrays, *rest)
    with np.errstate(all="ignore"):
        wanted = getattr(spec, kind)(*(exact(a) for a in arrays), *rest)
    for x, y in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        finite = np.isfinite(y)
        check(x[finite], y[finite], np.float32)


def test_nothing_to_do() -> None:
    for rows, h in ((0, 3), (2, 0)):
        x, h0 = np.zeros((rows, SIZE), np.float32), np.zeros((min(rows, 2), h), np.float32)
        sizes = np.array([rows] if rows else [], np.int64)
        layer = np.zeros((4 * h, SIZE), np.float32), np.zeros((4 * h, h), np.float32)
        y, *_ = gpu.lstm(x, *layer, None, None, None, h0, h0, sizes, False, True)
        assert y.shape == (rows, h)


@needs_counters
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_is_used_well(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    h, rest = 64, (np.array([32, 32]), False, True)
    x, *layer, h0 = inputs((64, 32), (4 * h, 32, 32), (4 * h, h, h), (32, h), dtype=dtype)
    states = (None, h0, h0)
    with memory_used_well(monkeypatch, "step_kernel"):
        y, hn, cn, *kept = gpu.lstm(x, *layer, None, None, *states, *rest)
        gpu.lstm_backward(y, hn, cn, x, *layer, *states, y, *kept, *rest)
        layer = [w[: 3 * h] for w in layer]
        found = gpu.gru(x, *layer, None, None, h0, *rest)
        gpu.gru_backward(y, hn, x, *layer, h0, found[0], *found[2:], *rest)


def test_errors() -> None:
    gates, weight, h = (np.ones(s, np.float32) for s in ((5, 8), (8, 8), (3, 8)))
    y = np.empty_like(gates)
    run_raw = with_host_arrays(kernels.rnn)

    def call(*, gates: Any = gates, weight: Any = weight, sizes: Any = (3, 2), hn: Any = h) -> None:
        run_raw(gates, weight, h, list(sizes), False, False, y, hn.copy(), 0)

    call()
    with pytest.raises(TypeError, match="float32 or float64, got float16"):
        call(gates=gates.astype(np.float16))
    with pytest.raises(ValueError, match="must not grow"):
        call(sizes=(2, 3))
    with pytest.raises(ValueError, match="must be positive"):
        call(sizes=())
    with pytest.raises(ValueError, match="must be positive"):
        call(sizes=(3, 2, 0))
    with pytest.raises(ValueError, match=r"gates must be \(6, 8\), got \(5, 8\)"):
        call(sizes=(3, 3))
    with pytest.raises(ValueError, match="multiple of 4 columns"):
        call(weight=weight[:, :7].copy())
    with pytest.raises(ValueError, match=r"weight must be \(8, 8\)"):
        call(weight=weight[:7])
    with pytest.raises(ValueError, match=r"hn must be \(3, 8\)"):
        call(hn=h[:2])
    with pytest.raises(TypeError, match="hn must be float32"):
        call(hn=h.astype(np.float64))
