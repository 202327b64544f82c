"""2-d convolution and its two gradients on the C++ kernels: float32 and float64, NCHW and NHWC."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import conv as spec

conv2d = _cpu.with_fallback("conv2d", spec.conv2d)
conv2d_input_grad = _cpu.with_fallback("conv2d_input_grad", spec.conv2d_input_grad)
conv2d_weight_grad = _cpu.with_fallback("conv2d_weight_grad", spec.conv2d_weight_grad)
