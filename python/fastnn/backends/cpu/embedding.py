"""Embedding on the C++ kernels: tables of float32 and float64, indices of int64."""

from __future__ import annotations

from fastnn import _cpu
from fastnn.backends.numpy.embedding import embedding as _embedding
from fastnn.backends.numpy.embedding import embedding_backward as _embedding_backward

embedding = _cpu.with_fallback("embedding", _embedding)
embedding_backward = _cpu.with_fallback("embedding_backward", _embedding_backward)
