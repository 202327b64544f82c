"""Softmax and cross-entropy on the C++ kernels: float32 and float64, dense arrays."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends import numpy as spec

softmax = _cpu.with_fallback("softmax", spec.softmax)
softmax_backward = _cpu.with_fallback("softmax_backward", spec.softmax_backward)
log_softmax = _cpu.with_fallback("log_softmax", spec.log_softmax)
log_softmax_backward = _cpu.with_fallback("log_softmax_backward", spec.log_softmax_backward)
cross_entropy = _cpu.with_fallback("cross_entropy", spec.cross_entropy)
cross_entropy_backward = _cpu.with_fallback("cross_entropy_backward", spec.cross_entropy_backward)
