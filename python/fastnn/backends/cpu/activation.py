"""GELU, SiLU and the error function on the C++ kernels: float32 and float64."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import activation as spec
from fastnn.backends.numpy import special

erf = _cpu.with_fallback("erf", special.erf)
gelu = _cpu.with_fallback("gelu", spec.gelu)
gelu_backward = _cpu.with_fallback("gelu_backward", spec.gelu_backward)
silu = _cpu.with_fallback("silu", spec.silu)
silu_backward = _cpu.with_fallback("silu_backward", spec.silu_backward)
