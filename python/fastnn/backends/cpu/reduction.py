"""Reductions on the C++ kernels: float32 and float64, any axes that collapse to at most three."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import reduction as spec

sum = _cpu.with_fallback("sum", spec.sum)
mean = _cpu.with_fallback("mean", spec.mean)
amax = _cpu.with_fallback("amax", spec.amax)
amin = _cpu.with_fallback("amin", spec.amin)
argmax = _cpu.with_fallback("argmax", spec.argmax)
argmin = _cpu.with_fallback("argmin", spec.argmin)
