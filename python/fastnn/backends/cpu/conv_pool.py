"""2-d convolution followed by max pooling on the C++ kernels: float32 and float64, NCHW and NHWC."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import conv_pool as spec

conv2d_max_pool2d = _cpu.with_fallback("conv2d_max_pool2d", spec.conv2d_max_pool2d)
conv2d_max_pool2d_backward = _cpu.with_fallback(
    "conv2d_max_pool2d_backward", spec.conv2d_max_pool2d_backward
)
