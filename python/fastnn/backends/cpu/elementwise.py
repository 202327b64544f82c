"""Elementwise functions on the C++ kernels: float32 and float64 with broadcasting."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy import elementwise as spec

add = _cpu.with_fallback("add", spec.add)
subtract = _cpu.with_fallback("subtract", spec.subtract)
multiply = _cpu.with_fallback("multiply", spec.multiply)
divide = _cpu.with_fallback("divide", spec.divide)
maximum = _cpu.with_fallback("maximum", spec.maximum)
minimum = _cpu.with_fallback("minimum", spec.minimum)
negative = _cpu.with_fallback("negative", spec.negative)
absolute = _cpu.with_fallback("absolute", spec.absolute)
square = _cpu.with_fallback("square", spec.square)
sqrt = _cpu.with_fallback("sqrt", spec.sqrt)
exp = _cpu.with_fallback("exp", spec.exp)
log = _cpu.with_fallback("log", spec.log)
tanh = _cpu.with_fallback("tanh", spec.tanh)
tanh_backward = _cpu.with_fallback("tanh_backward", spec.tanh_backward)
sigmoid = _cpu.with_fallback("sigmoid", spec.sigmoid)
sigmoid_backward = _cpu.with_fallback("sigmoid_backward", spec.sigmoid_backward)
relu = _cpu.with_fallback("relu", spec.relu)
relu_backward = _cpu.with_fallback("relu_backward", spec.relu_backward)
leaky_relu = _cpu.with_fallback("leaky_relu", spec.leaky_relu)
leaky_relu_backward = _cpu.with_fallback("leaky_relu_backward", spec.leaky_relu_backward)
