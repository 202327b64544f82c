"""The profiler by its older names: ``autograd.profiler.profile`` and ``record_function``; see ``fastnn.profiler``."""

from __future__ import annotations

from ..profiler import profile, record_function

__all__ = ["profile", "record_function"]
