"""Recurrent layers on the CUDA kernels: one launch a step; the weights' gradients are one product at the end.

float32 and float64; 16-bit arrays are computed in float32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import contiguous, empty, is_float, kernels, stream
from fastnn.backends.gpu.gemm import product
from fastnn.backends.gpu.reduction import sum as reduced_sum
from fastnn.backends.protocol import Array


def _served(specification: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function over dense floating arrays; what else there is goes to the specification."""

    def decorate(kernel: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(kernel)
        def call(*args: Any) -> Any:
            arrays = [a for a in args if hasattr(a, "dtype") and is_float(a)]
            if not arrays or any(a.dtype != arrays[0].dtype or not a.size for a in arrays):
                return specification(*args)
            dtype = arrays[0].dtype
            wide = np.float32 if dtype.itemsize == 2 else dtype
            results = kernel(
                *(
                    contiguous(a.astype(wide, copy=False))
                    if hasattr(a, "dtype") and is_float(a)
                    else a
                    for a in args
                )
            )
            return tuple(None if y is None else y.astype(dtype, copy=False) for y in results)

        return call

    return decorate


def _padded(weight: Array) -> Array:
    """A copy of ``weight`` (K, n), aligned, with zeros up to a multiple of 4 columns."""
    rows, columns = weight.shape
    out = np.zeros((rows, columns + -columns % 4), weight.dtype, like=weight)
    out[:, :columns] = weight
    return out


def _interleaved(weight_hh: Array, gates: int) -> Array:
    """weight_hh (gates * H, K) as (K, 4H): the columns of a unit's gates beside each other, with zeros for a fourth."""
    size, k = len(weight_hh) // gates, weight_hh.shape[1]
    by_unit = weight_hh.reshape(gates, size, k).transpose(2, 1, 0)
    out = np.zeros((k, size, 4), weight_hh.dtype, like=weight_hh)
    out[:, :, :gates] = by_unit
    return out.reshape(k, 4 * size)


def _new(like: Array, *shape: int) -> Array:
    y: Array = empty(shape, like.dtype, like=like)
    return y


def _gates(x: Array, weight_ih: Array, *biases: Array | None) -> Array:
    """The gates' sums before the steps: x @ weight_ih.T and those biases that there are."""
    given = [b for b in biases if b is not None]
    return product(x, weight_ih.T, sum(given[1:], given[0]) if given else None)


def _or_zeros(gradient: Array | None, like: Array) -> Array:
    return np.zeros_like(like) if gradient is None else gradient


def _input_gradients(
    ggates: Array, x: Array, weight_ih: Array, x_wanted: bool
) -> tuple[Array | None, Array, Array]:
    """(gx, gweight_ih, gbias_ih)."""
    gx = product(ggates, weight_ih) if x_wanted else None
    return gx, product(ggates.T, x), reduced_sum(ggates, 0)


def _weight_gradient(ggates: Array, y: Array, h0: Array, sizes: list[int], reverse: bool) -> Array:
    """The gradient of weight_hh: every step's gates with the states one step before."""
    before = _new(y, *y.shape)
    kernels.previous_states(y, h0, sizes, reverse, before, stream())
    return product(ggates.T, before)


@_served(spec.rnn)
def rnn(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    h0: Array,
    batch_sizes: Array,
    reverse: bool,
    nonlinearity: str,
) -> tuple[Array, Array]:
    """(y, hn): h = tanh(gates + h @ weight_hh.T) at each step, or relu."""
    gates = _gates(x, weight_ih, bias_ih, bias_hh)
    y, hn = _new(gates, *gates.shape), _new(gates, *h0.shape)
    relu = nonlinearity == "relu"
    weight = _padded(weight_hh.T)
    kernels.rnn(gates, weight, h0, batch_sizes.tolist(), reverse, relu, y, hn, stream())
    return y, hn


@_served(spec.rnn_backward)
def rnn_backward(
    gy: Array | None,
    ghn: Array | None,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    h0: Array,
    y: Array,
    batch_sizes: Array,
    reverse: bool,
    nonlinearity: str,
    x_wanted: bool,
) -> tuple[Array | None, Array, Array, Array, Array]:
    """(gx, gweight_ih, gweight_hh, gbias, gh0) of ``rnn``."""
    gy, ghn = _or_zeros(gy, y), _or_zeros(ghn, h0)
    sizes, relu = batch_sizes.tolist(), nonlinearity == "relu"
    ggates, gh0 = _new(y, *y.shape), _new(y, *h0.shape)
    weight = _padded(weight_hh)
    kernels.rnn_backward(gy, ghn, y, weight, sizes, reverse, relu, ggates, gh0, stream())
    gx, gweight_ih, gbias = _input_gradients(ggates, x, weight_ih, x_wanted)
    return gx, gweight_ih, _weight_gradient(ggates, y, h0, sizes, reverse), gbias, gh0


@_served(spec.lstm)
def lstm(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    weight_hr: Array | None,
    h0: Array,
    c0: Array,
    batch_sizes: Array,
    reverse: bool,
    keep: bool,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """(y, hn, cn, activations, cells): i, f, o = sigmoid, g = tanh; c = f * c + i * g; h = o * tanh(c)."""
    gates = _gates(x, weight_ih, bias_ih, bias_hh)
    rows, size = len(gates), c0.shape[1]
    y, hn, cn = _new(gates, rows, h0.shape[1]), _new(gates, *h0.shape), _new(gates, *c0.shape)
    activations, cells = _new(gates, *gates.shape), _new(gates, rows, size)
    projection = scratch = None
    if weight_hr is not None:
        projection, scratch = _padded(weight_hr.T), _new(gates, *c0.shape)
    kernels.lstm(
        gates,
        _interleaved(weight_hh, 4),
        projection,
        h0,
        c0,
        batch_sizes.tolist(),
        reverse,
        y,
        hn,
        cn,
        activations,
        cells,
        scratch,
        stream(),
    )
    return (y, hn, cn, activations, cells) if keep else (y, hn, cn, None, None)


@_served(spec.lstm_backward)
def lstm_backward(
    gy: Array | None,
    ghn: Array | None,
    gcn: Array | None,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    weight_hr: Array | None,
    h0: Array,
    c0: Array,
    y: Array,
    activations: Array,
    cells: Array,
    batch_sizes: Array,
    reverse: bool,
    x_wanted: bool,
) -> tuple[Array | None, Array, Array, Array, Array | None, Array, Array]:
    """(gx, gweight_ih, gweight_hh, gbias, gweight_hr, gh0, gc0) of ``lstm``."""
    gy, ghn, gcn = _or_zeros(gy, y), _or_zeros(ghn, h0), _or_zeros(gcn, c0)
    sizes, size = batch_sizes.tolist(), c0.shape[1]
    ggates, gh0, gc0 = (_new(y, *a.shape) for a in (activations, h0, c0))
    projected = weight_hr is not None
    total = _new(y, *y.shape) if projected else None
    kernels.lstm_backward(
        gy,
        ghn,
        gcn,
        activations,
        cells,
        _padded(weight_hh),
        None if weight_hr is None else _padded(weight_hr),
        c0,
        sizes,
        reverse,
        ggates,
        gh0,
        gc0,
        total,
        stream(),
    )
    gweight_hr = None
    if total is not None:
        gweight_hr = product(total.T, activations[:, 3 * size :] * np.tanh(cells))
    gweight_hh = _weight_gradient(ggates, y, h0, sizes, reverse)
    gx, gweight_ih, gbias = _input_gradients(ggates, x, weight_ih, x_wanted)
    return gx, gweight_ih, gweight_hh, gbias, gweight_hr, gh0, gc0


@_served(spec.gru)
def gru(
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    h0: Array,
    batch_sizes: Array,
    reverse: bool,
    keep: bool,
) -> tuple[Array, Array, Array | None, Array | None]:
    """(y, hn, activations, hidden): r, z = sigmoid; n = tanh(x_n + r * hidden_n); h = n + z * (h - n)."""
    gates = _gates(x, weight_ih, bias_ih)
    rows, size = len(gates), h0.shape[1]
    y, hn, hidden = _new(gates, rows, size), _new(gates, *h0.shape), _new(gates, rows, size)
    activations = _new(gates, *gates.shape)
    kernels.gru(
        gates,
        _interleaved(weight_hh, 3),
        None if bias_hh is None else bias_hh[None],
        h0,
        batch_sizes.tolist(),
        reverse,
        y,
        hn,
        activations,
        hidden,
        stream(),
    )
    return (y, hn, activations, hidden) if keep else (y, hn, None, None)


@_served(spec.gru_backward)
def gru_backward(
    gy: Array | None,
    ghn: Array | None,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    h0: Array,
    y: Array,
    activations: Array,
    hidden: Array,
    batch_sizes: Array,
    reverse: bool,
    x_wanted: bool,
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """(gx, gweight_ih, gweight_hh, gbias_ih, gbias_hh, gh0) of ``gru``."""
    gy, ghn = _or_zeros(gy, y), _or_zeros(ghn, h0)
    sizes = batch_sizes.tolist()
    ggates, ghidden, gh0 = (_new(y, *a.shape) for a in (activations, activations, h0))
    kernels.gru_backward(
        gy,
        ghn,
        y,
        activations,
        hidden,
        _padded(weight_hh),
        h0,
        sizes,
        reverse,
        ggates,
        ghidden,
        gh0,
        stream(),
    )
    gweight = _weight_gradient(ghidden, y, h0, sizes, reverse)
    gx, gweight_ih, gbias_ih = _input_gradients(ggates, x, weight_ih, x_wanted)
    return gx, gweight_ih, gweight, gbias_ih, reduced_sum(ghidden, 0), gh0
