"""Products of integers and of bfloat16 tensors."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn


def test_int_mm(computer: str) -> None:
    a = fastnn.randint(-128, 128, (17, 40), dtype=fastnn.int8)
    b = fastnn.randint(-128, 128, (30, 40), dtype=fastnn.int8)
    want = a.cpu().numpy().astype(np.int64) @ b.cpu().numpy().astype(np.int64).T
    got = fastnn._int_mm(a, b.t())
    assert got.dtype is fastnn.int32
    np.testing.assert_array_equal(got.cpu().numpy(), want)
    out = fastnn.zeros(17, 30, dtype=fastnn.int32)
    assert fastnn._int_mm(a, b.t(), out=out) is out
    np.testing.assert_array_equal(out.cpu().numpy(), want)


def test_int_mm_errors() -> None:
    a = fastnn.ones(2, 3, dtype=fastnn.int8)
    with pytest.raises(RuntimeError, match=r"_int_mm: expected two int8 matrices, got .*float32"):
        fastnn._int_mm(a, fastnn.ones(3, 2))
    with pytest.raises(RuntimeError, match=r"expected shapes \(M, K\) and \(K, N\), got \(2, 3\)"):
        fastnn._int_mm(a, a)


def test_bfloat16_training_step(computer: str) -> None:
    """A linear layer of bfloat16 and its gradients are float32's but for bfloat16's rounding."""
    x, weight = fastnn.randn(20, 33), fastnn.randn(7, 33)
    gradients = []
    for dtype in (fastnn.float32, fastnn.bfloat16):
        layer = fastnn.nn.Linear(33, 7).to(dtype)
        with fastnn.no_grad():
            layer.weight.copy_(weight.bfloat16())
            layer.bias.fill_(0.5)
        inputs = x.bfloat16().to(dtype).requires_grad_()
        layer(inputs).sum().backward()
        assert layer.weight.grad is not None
        assert inputs.grad is not None
        assert layer.weight.grad.dtype is dtype
        gradients.append([g.float().cpu().numpy() for g in (layer.weight.grad, inputs.grad)])
    for want, got in zip(*gradients, strict=True):
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.1)
