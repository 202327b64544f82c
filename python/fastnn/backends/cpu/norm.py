"""Batch, layer, group and RMS normalisation on the C++ kernels: float32 and float64.

Arrays that are not dense, or do not share one layout, are made C-contiguous (or channels last, as x) first.
"""

from __future__ import annotations

import numpy as np

from fastnn import _cpu
from fastnn.backends.numpy import norm as spec
from fastnn.backends.numpy._layout import with_layout_of
from fastnn.backends.protocol import Array

_batch_norm = _cpu.with_fallback("batch_norm", spec.batch_norm)
_batch_norm_inference = _cpu.with_fallback("batch_norm_inference", spec.batch_norm_inference)
_batch_norm_backward = _cpu.with_fallback("batch_norm_backward", spec.batch_norm_backward)


def _rows(x: Array) -> Array:
    return np.ascontiguousarray(x, like=x)


def _dense(x: Array, like: Array) -> Array:
    return with_layout_of(x, like) if x.ndim == 4 else np.ascontiguousarray(x, like=x)


def _dense_batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    return _batch_norm(_dense(x, x), weight, bias, eps)


def _dense_batch_norm_inference(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    var: Array,
    eps: float,
    activation: str | None = None,
) -> Array:
    return _batch_norm_inference(_dense(x, x), weight, bias, mean, var, eps, activation)


def _dense_batch_norm_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float
) -> tuple[Array, Array, Array]:
    return _batch_norm_backward(_dense(g, g), _dense(x, g), weight, mean, var, eps)


batch_norm = _cpu.with_fallback("batch_norm", _dense_batch_norm)
batch_norm_inference = _cpu.with_fallback("batch_norm_inference", _dense_batch_norm_inference)
batch_norm_backward = _cpu.with_fallback("batch_norm_backward", _dense_batch_norm_backward)

_layer_norm = _cpu.with_fallback("layer_norm", spec.layer_norm)
_layer_norm_backward = _cpu.with_fallback("layer_norm_backward", spec.layer_norm_backward)
_group_norm = _cpu.with_fallback("group_norm", spec.group_norm)
_group_norm_backward = _cpu.with_fallback("group_norm_backward", spec.group_norm_backward)
_rms_norm = _cpu.with_fallback("rms_norm", spec.rms_norm)
_rms_norm_backward = _cpu.with_fallback("rms_norm_backward", spec.rms_norm_backward)


def _dense_layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    return _layer_norm(_rows(x), weight, bias, eps)


def _dense_layer_norm_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, invstd: Array
) -> tuple[Array, Array, Array]:
    return _layer_norm_backward(_rows(g), _rows(x), weight, mean, invstd)


def _dense_group_norm(
    x: Array, groups: int, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    return _group_norm(_rows(x), groups, weight, bias, eps)


def _dense_group_norm_backward(
    g: Array, x: Array, groups: int, weight: Array | None, mean: Array, invstd: Array
) -> tuple[Array, Array, Array]:
    return _group_norm_backward(_rows(g), _rows(x), groups, weight, mean, invstd)


def _dense_rms_norm(x: Array, weight: Array | None, eps: float) -> tuple[Array, Array]:
    return _rms_norm(_rows(x), weight, eps)


def _dense_rms_norm_backward(
    g: Array, x: Array, weight: Array | None, scale: Array
) -> tuple[Array, Array]:
    return _rms_norm_backward(_rows(g), _rows(x), weight, scale)


layer_norm = _cpu.with_fallback("layer_norm", _dense_layer_norm)
layer_norm_backward = _cpu.with_fallback("layer_norm_backward", _dense_layer_norm_backward)
group_norm = _cpu.with_fallback("group_norm", _dense_group_norm)
group_norm_backward = _cpu.with_fallback("group_norm_backward", _dense_group_norm_backward)
rms_norm = _cpu.with_fallback("rms_norm", _dense_rms_norm)
rms_norm_backward = _cpu.with_fallback("rms_norm_backward", _dense_rms_norm_backward)
