"""Window functions, by formulas in float64.

F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform", 1978; A. H. Nuttall, "Some
windows with very good sidelobe behavior", 1981.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _dtype
from .._core import make
from .._device import place_beside, storage

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _places(name: str, M: int, sym: bool) -> Any:
    """0 .. M - 1, and the length of the period that the formulas divide by."""
    if M < 0:
        raise ValueError(f"{name}: requires non-negative window length, got M={M}")
    return np.arange(M, dtype=np.float64), max(M - 1 if sym else M, 1)


def _finish(
    name: str, values: Any, dtype: Any, layout: Any, device: Any, requires_grad: bool
) -> Tensor:
    like = storage(name, device, layout, False)
    d = dtype or _dtype.get_default_dtype()
    if not d.is_floating_point:
        raise ValueError(f"{name}: expects a floating dtype, got {d}")
    out = make(place_beside(np.asarray(values).astype(d.numpy), like))
    return out.requires_grad_() if requires_grad else out


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Sum of (-1)**i a_i cos(2 pi i n / N), for the weights ``a``.

    Args:
        M: the number of samples.
        sym: N is M - 1 (symmetric), or M (periodic).

    Raises:
        ValueError: a negative ``M``, or no weights.
    """
    n, period = _places("general_cosine", M, sym)
    weights = list(a)
    if not weights:
        raise ValueError("general_cosine: coefficients cannot be empty")
    values = sum((-1) ** i * w * np.cos(2 * np.pi * i * n / period) for i, w in enumerate(weights))
    if M == 1:
        values = np.ones(1)
    return _finish("general_cosine", values + 0 * n, dtype, layout, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / N)."""
    return general_cosine(M, a=[alpha, 1 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """0.54 - 0.46 cos(2 pi n / N).

    >>> import fastnn
    >>> fastnn.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(1 - cos(2 pi n / N)) / 2."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Nuttall's window of four terms with the least sidelobes (4c)."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A triangle: 1 - \\|2 n / N - 1\\|."""
    n, period = _places("bartlett", M, sym)
    values = 1 - np.abs(2 * n / period - 1) if M != 1 else np.ones(1)
    return _finish("bartlett", values, dtype, layout, device, requires_grad)


def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Half a wave: sin(pi (n + 1/2) / M), with M + 1 in place of M where periodic."""
    n, _ = _places("cosine", M, sym)
    values = np.sin(np.pi * (n + 0.5) / (M if sym or M == 1 else M + 1))
    return _finish("cosine", values, dtype, layout, device, requires_grad)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-\\|n - center\\| / tau); the center is the middle unless the window is periodic.

    Raises:
        ValueError: a ``tau`` that is not positive, or a ``center`` for a symmetric window.
    """
    n, _ = _places("exponential", M, sym)
    if tau <= 0:
        raise ValueError(f"exponential: tau must be positive, got {tau}")
    if sym and center is not None:
        raise ValueError("exponential: center must be None for a symmetric window")
    middle = (M if not sym and M > 1 else M - 1) / 2 if center is None else center
    values = np.exp(-np.abs(n - middle) / tau)
    return _finish("exponential", values, dtype, layout, device, requires_grad)


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-((n - middle) / std)**2 / 2).

    Raises:
        ValueError: a ``std`` that is not positive.
    """
    n, _ = _places("gaussian", M, sym)
    if std <= 0:
        raise ValueError(f"gaussian: standard deviation must be positive, got {std}")
    middle = (M if not sym and M > 1 else M - 1) / 2
    values = np.exp(-(((n - middle) / std) ** 2) / 2)
    return _finish("gaussian", values, dtype, layout, device, requires_grad)


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta).

    Raises:
        ValueError: a negative ``beta``.
    """
    n, period = _places("kaiser", M, sym)
    if beta < 0:
        raise ValueError(f"kaiser: beta must be non-negative, got {beta}")
    place = np.maximum(1 - (2 * n / period - 1) ** 2, 0) if M != 1 else np.ones(1)
    values = np.i0(beta * np.sqrt(place)) / np.i0(beta)
    return _finish("kaiser", values, dtype, layout, device, requires_grad)


# -- PyTorch's older names, periodic by default ---------------------------------------------------------


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``hann``, periodic by default."""
    return hann(window_length, sym=not periodic, **options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    **options: Any,
) -> Tensor:
    """alpha - beta cos(2 pi n / N), periodic by default."""
    return general_cosine(window_length, a=[alpha, beta], sym=not periodic, **options)


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``blackman``, periodic by default."""
    return blackman(window_length, sym=not periodic, **options)


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """``bartlett``, periodic by default."""
    return bartlett(window_length, sym=not periodic, **options)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Tensor:
    """``kaiser``, periodic by default."""
    return kaiser(window_length, beta=beta, sym=not periodic, **options)
