"""Philox random numbers and dropout on the C++ kernels, the same bits as the specification."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import random as spec

philox = _cpu.with_fallback("philox", spec.philox)
uniform = _cpu.with_fallback("uniform", spec.uniform)
dropout = _cpu.with_fallback("dropout", spec.dropout)
dropout_backward = _cpu.with_fallback("dropout_backward", spec.dropout_backward)
