"""Fixtures for all tests: who computes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastnn
from fastnn import backends


def _computers() -> list[str]:
    """Every way to compute on this machine: "numpy", "cpu-<ISA>" for each level that it has, "cuda" with a GPU.

    Where CUDA kernels are emulated: "cuda" alone.
    """
    if backends.emulated():
        return ["cuda"]
    found = ["numpy"]
    if "cpu" in backends.available():
        from fastnn import _cpu

        found += [f"cpu-{level}" for level in _cpu.vector_levels()]
    return [*found, "cuda"] if fastnn.cuda.is_available() else found


@pytest.fixture(params=_computers())
def computer(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test on the NumPy backend, then on the kernels at each ISA level; or with new tensors on the device."""
    if request.param == "cuda":
        with fastnn.device("cuda"):
            yield request.param
        return
    name, _, level = request.param.partition("-")
    with backends.use_backend(name):
        if not level:
            yield request.param
            return
        from fastnn import _cpu

        previous = _cpu.isa()
        _cpu.set_isa(level)
        try:
            yield request.param
        finally:
            _cpu.set_isa(previous)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    fastnn.manual_seed(0)
