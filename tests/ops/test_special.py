"""Special functions against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import special
from fastnn.autograd import gradcheck, gradgradcheck

T = fastnn.tensor


def _double(*values: float) -> Any:
    return T(list(values), dtype=fastnn.float64)


def _each(function: Any, x: Any) -> Any:
    return np.array([function(v) for v in x.tolist()])


# A few roundings of float64 each
RTOL = 1e-13


def test_normal_distribution() -> None:
    x = _double(-6.0, -2.5, -0.3, 0.0, 0.3, 2.5)
    p = _each(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)), x)
    np.testing.assert_allclose(special.ndtr(x).numpy(), p, rtol=RTOL)
    np.testing.assert_allclose(special.log_ndtr(x).numpy(), np.log(p), rtol=RTOL)
    # Near 1 the probability itself has lost digits of x
    np.testing.assert_allclose(
        special.ndtri(special.ndtr(x)).numpy(), x.numpy(), rtol=1e-12, atol=1e-14
    )
    # -x**2 / 2 - log(-x sqrt(2 pi)) + log(1 - 1 / x**2 + ...), the asymptotic series
    far = special.log_ndtr(_double(-1e4)).item()
    assert far == pytest.approx(-5e7 - math.log(1e4 * math.sqrt(2 * math.pi)) - 1e-8, rel=1e-15)
    assert special.ndtri(_double(0.0, 1.0)).tolist() == [-math.inf, math.inf]
    assert math.isnan(special.ndtri(_double(-0.5)).item())
    assert special.ndtri(special.ndtr(_double(-30.0))).item() == pytest.approx(-30, rel=1e-12)


def test_scaled_functions() -> None:
    x = _double(-2.0, -0.3, 0.0, 0.3, 5.0)
    expected = _each(lambda v: math.exp(v * v) * math.erfc(v), x)
    np.testing.assert_allclose(special.erfcx(x).numpy(), expected, rtol=RTOL)
    assert special.erfcx(_double(1e6)).item() == pytest.approx(1e-6 / math.sqrt(math.pi), rel=1e-11)
    scale = np.exp(-np.abs(x.numpy()))
    np.testing.assert_allclose(special.i0e(x).numpy(), special.i0(x).numpy() * scale, rtol=RTOL)
    np.testing.assert_allclose(special.i1e(x).numpy(), special.i1(x).numpy() * scale, rtol=RTOL)
    assert np.isfinite(special.i0e(_double(1e4)).item())


def test_limits() -> None:
    assert special.entr(_double(0.0, 1.0, -1.0)).tolist() == [0.0, 0.0, -math.inf]
    assert special.xlog1py(_double(0.0, 2.0), _double(-1.0, 0.0)).tolist() == [0.0, 0.0]
    assert special.zeta(_double(2.0, 1.0, 0.5), _double(1.0)).tolist() == pytest.approx(
        [math.pi**2 / 6, math.inf, math.nan], nan_ok=True
    )
    assert special.ndtri(T(0.975)).dtype is fastnn.float32
    assert special.i0e(T([0, 1])).dtype is fastnn.float32


@pytest.mark.parametrize("name", ["i0e", "i1", "i1e", "erfcx", "log_ndtr", "ndtr"])
def test_gradients(name: str) -> None:
    x = _double(-2.0, -0.4, 0.4, 1.5).requires_grad_()
    assert gradcheck(getattr(special, name), (x,))
    assert gradgradcheck(getattr(special, name), (x,))


def test_gradients_of_partial_domains() -> None:
    p = _double(0.01, 0.4, 0.8).requires_grad_()
    for function in (special.ndtri, special.entr):
        assert gradcheck(function, (p,))
        assert gradgradcheck(function, (p,))
    q = _double(0.5, 2.0, -0.5).requires_grad_()
    assert gradcheck(special.xlog1py, (p, q))
    assert gradgradcheck(special.xlog1py, (p, q))
    assert gradcheck(lambda v: special.zeta(3.0, v), (p,))
    with pytest.raises(RuntimeError, match="first argument"):
        special.zeta(p + 2, 1.0).sum().backward()


def test_second_slope_of_i1_at_0() -> None:
    x = _double(0.0).requires_grad_()
    (g,) = fastnn.autograd.grad(special.i1(x).sum(), [x], create_graph=True)
    assert g is not None
    (h,) = fastnn.autograd.grad(g.sum(), [x])
    assert h is not None
    assert (g.item(), h.item()) == (0.5, 0.0)
