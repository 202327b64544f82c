"""Fixtures of the kernel tests: every instruction set level that this machine has, both float dtypes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

_cpu = pytest.importorskip("fastnn._cpu", reason="fastnn was built without its C++ kernels")


@pytest.fixture(params=_cpu.vector_levels())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once for each ISA level with vectors of its own."""
    yield from _at_level(request.param)


@pytest.fixture(params=_cpu.isa_levels())
def any_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once for each ISA level, those that only add narrow products too."""
    yield from _at_level(request.param)


def _at_level(level: str) -> Iterator[str]:
    before = _cpu.isa()
    _cpu.set_isa(level)
    yield level
    _cpu.set_isa(before)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> type[np.floating]:
    """The test runs once for each dtype that kernels serve."""
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)
