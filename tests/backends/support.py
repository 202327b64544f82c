"""What the kernel tests share: arrays of all layouts, and the checks that every kernel has to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import _cpu


def channels_last(x: np.ndarray) -> np.ndarray:
    """The same image stored as NHWC."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def layouts(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """x in all the ways that its elements may lie in memory."""
    yield "contiguous", np.array(x, order="C")
    if x.ndim == 4:
        yield "channels last", channels_last(x)
    if x.ndim >= 1:
        wide = np.repeat(x, 2, axis=-1)
        yield "every second", wide[..., ::2]
        yield "reversed", np.ascontiguousarray(x[..., ::-1])[..., ::-1]
        rows = np.concatenate([x, x], axis=0)
        yield "reversed outer", np.ascontiguousarray(rows[: len(x)][::-1])[::-1]
        padded = np.zeros((*x.shape[:-1], x.shape[-1] + 3), x.dtype)
        padded[..., 1:-2] = x
        yield "inner slice", padded[..., 1:-2]
    if x.ndim >= 2:
        yield "transposed", np.ascontiguousarray(x.T).T
        order = (*range(1, x.ndim), 0)
        yield (
            "rotated",
            np.ascontiguousarray(x.transpose(order)).transpose((x.ndim - 1, *range(x.ndim - 1))),
        )
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    unaligned = raw.view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield "unaligned", unaligned


def eps(dtype: Any) -> float:
    return float(np.finfo(dtype).eps)


def assert_close(got: Any, want: Any, tolerance: Any, context: str = "") -> None:
    """|got - want| <= tolerance (an array or a number), NaN and infinities at the same places."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"{context}: shape {got.shape}, wanted {want.shape}"
    special = ~np.isfinite(want)
    np.testing.assert_array_equal(got[special], want[special].astype(got.dtype), context)
    tolerance = np.broadcast_to(tolerance, want.shape)[~special]
    error = np.abs(got[~special].astype(np.float64) - want[~special].astype(np.float64))
    wrong = ~(error <= tolerance)
    assert not wrong.any(), (
        f"{context}: {wrong.sum()} of {wrong.size} differ; error {error[wrong].max():.3g} "
        f"where {tolerance[wrong][error[wrong].argmax()]:.3g} is allowed"
    )


def results(value: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in value] if isinstance(value, tuple) else [np.asarray(value)]


def assert_same_bits_for_any_threads(function: Callable[[], Any]) -> None:
    """The results of 1, 2 and 3 threads are equal bit by bit."""
    before = _cpu.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 3):
            _cpu.set_num_threads(threads)
            runs.append([r.tobytes() for r in results(function())])
    finally:
        _cpu.set_num_threads(before)
    assert runs[0] == runs[1] == runs[2]


class Served:
    """Stands for a fallback and fails: the kernel has to serve this call."""

    def __call__(self, *args: Any) -> Any:
        raise AssertionError("the kernel did not serve the call")


def kernel(name: str) -> Callable[..., Any]:
    """The kernel called ``name`` without its fallback."""
    return _cpu.with_fallback(name, Served())
