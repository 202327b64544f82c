"""The operation-test base: one description of an operation gives all its tests.

A ``Case`` names an operation, how to make its inputs, and an independent reference in float64 NumPy. From it come:
the forward values in float32 and float64, gradients and gradients of gradients against finite differences, float32
gradients against float64 ones, inputs that are not contiguous, and that no input is written to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastnn
from fastnn import _device
from fastnn._core import make
from fastnn.autograd import gradcheck, gradgradcheck

Array = Any


@dataclass
class Case:
    """An operation and how to try it.

    Attributes:
        name: the test's name.
        op: the operation on tensors.
        reference: the same on float64 arrays, by other means than the operation's.
        shapes: the shapes of the floating inputs.
        low, high: the range that inputs are drawn from.
        terms: how many products or terms are summed into one output: errors grow with it.
        grad, gradgrad: whether it is differentiable once, twice.
        distinct: inputs differ by more than the step of finite differences (for maxima and kinks).
    """

    name: str
    op: Callable[..., Any]
    reference: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    low: float = -2.0
    high: float = 2.0
    terms: int = 1
    grad: bool = True
    gradgrad: bool = True
    distinct: bool = False

    def arrays(self, dtype: Any, seed: int = 0) -> list[Array]:
        """Inputs of this case."""
        rng = np.random.default_rng(seed)
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        if self.distinct:
            pool = rng.permutation(np.linspace(self.low, self.high, sum(sizes) + 2)[1:-1])
        else:
            pool = rng.uniform(self.low, self.high, sum(sizes))
        parts = np.split(pool, np.cumsum(sizes)[:-1])
        return [v.reshape(s).astype(dtype) for v, s in zip(parts, self.shapes, strict=True)]

    def tolerance(self, dtype: Any, arrays: list[Array], expected: Array) -> float:
        """Absolute error allowed: eps times the terms summed times the largest product of inputs, 8 operations deep.

        Elementwise functions of the library state up to 4 ulp, and a case chains two of them at the most.
        """
        largest = max((float(np.abs(a).max()) for a in arrays if a.size), default=1.0)
        finite = np.abs(expected[np.isfinite(expected)])
        result = float(finite.max()) if finite.size else 1.0
        eps = float(np.finfo(dtype).eps)
        return 8 * eps * max(self.terms, 1) * max(largest * largest, result, 1.0)


def placed(arrays: list[Array]) -> list[Array]:
    """The arrays where new tensors are made: themselves on the CPU, copies on a device."""
    return [_device.place(a, _device.default.device) for a in arrays]


def host(tensor: Any) -> Array:
    """The values of a tensor in a NumPy array."""
    return tensor.detach().cpu().numpy()


def outputs_of(value: Any) -> list[Any]:
    """The tensors that an operation returned."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def check_forward(case: Case, dtype: Any) -> None:
    """Values against the reference, dtype, and that inputs stay as they are."""
    arrays = case.arrays(dtype)
    before = [a.copy() for a in arrays]
    inputs = [make(a) for a in placed(arrays)]
    got = outputs_of(case.op(*inputs))
    expected = outputs_of(case.reference(*(a.astype(np.float64) for a in arrays)))
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        e = np.asarray(e)
        assert tuple(g.shape) == e.shape
        if e.dtype.kind in "iub":
            np.testing.assert_array_equal(host(g), e)
            continue
        assert host(g).dtype == dtype
        np.testing.assert_allclose(
            host(g).astype(np.float64), e, rtol=0, atol=case.tolerance(dtype, arrays, e)
        )
    for x, b in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(host(x), b)


def _twisted(a: Array) -> Array:
    """The values of ``a`` in memory that runs backward and with gaps."""
    if a.ndim == 0:
        return a
    wide = np.empty((*a.shape[:-1], 2 * a.shape[-1]), a.dtype, like=a)
    view = wide[..., ::2][..., ::-1]
    if a.ndim > 1:
        view = np.empty(view.shape[::-1], a.dtype, like=a).transpose()
    view[...] = a
    return view


def check_strides(case: Case) -> None:
    """Inputs of other strides, and read-only ones, give what contiguous ones give."""
    arrays = case.arrays(np.float32)
    there = placed(arrays)
    expected = outputs_of(case.op(*(make(a) for a in there)))
    twisted = [_twisted(a) for a in there]
    for t in twisted:
        if isinstance(t, np.ndarray):  # CuPy's arrays are always writeable
            t.flags.writeable = False
    got = outputs_of(case.op(*(make(t) for t in twisted)))
    for g, e in zip(got, expected, strict=True):
        e64 = host(e).astype(np.float64)
        tolerance = case.tolerance(np.float32, arrays, e64)
        np.testing.assert_allclose(host(g).astype(np.float64), e64, rtol=0, atol=tolerance)


def _leaves(arrays: list[Array]) -> list[fastnn.Tensor]:
    return [make(a).requires_grad_() for a in arrays]


def _floating(value: Any) -> Any:
    """The differentiable outputs."""
    return tuple(o for o in outputs_of(value) if o.is_floating_point())


def check_gradient(case: Case) -> None:
    """float64 gradients against finite differences."""
    assert gradcheck(lambda *t: _floating(case.op(*t)), _leaves(placed(case.arrays(np.float64))))


def check_double_gradient(case: Case) -> None:
    """float64 gradients of gradients against finite differences."""
    assert gradgradcheck(
        lambda *t: _floating(case.op(*t)), _leaves(placed(case.arrays(np.float64)))
    )


def check_float32_gradient(case: Case) -> None:
    """float32 gradients against float64 ones, for contiguous and twisted inputs."""
    found = {}
    size = 0
    for dtype in (np.float64, np.float32):
        for twist in (False, True):
            arrays = case.arrays(np.float32)
            arrays = placed([a.astype(dtype) for a in arrays])
            leaves = _leaves([_twisted(a) for a in arrays] if twist else arrays)
            outputs = _floating(case.op(*leaves))
            size = sum(o.numel() for o in outputs)
            rng = np.random.default_rng(1)
            seeds = [rng.uniform(-1, 1, tuple(o.shape)).astype(np.float32) for o in outputs]
            given = [make(s) for s in placed([s.astype(dtype) for s in seeds])]
            grads = fastnn.autograd.grad(outputs, leaves, given, allow_unused=True)
            found[dtype, twist] = [None if g is None else host(g) for g in grads]
    arrays = case.arrays(np.float32)
    for i in range(len(arrays)):
        expected = found[np.float64, False][i]
        for key in ((np.float32, False), (np.float32, True), (np.float64, True)):
            got = found[key][i]
            assert (got is None) == (expected is None)
            if expected is None:
                continue
            assert got.dtype == key[0]
            assert got.shape == arrays[i].shape
            # One element of a gradient sums over the outputs that its input went into: through `terms` of its
            # likes into each, so it went into (outputs / inputs) * terms of them.
            fan_out = max(size / max(arrays[i].size, 1), 1)
            tolerance = fan_out * case.tolerance(key[0], arrays, expected)
            np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
