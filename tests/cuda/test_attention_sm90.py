"""Attention's forward pass by the kernel for compute capability 9.0 (TMA, mbarriers, wgmma), against the specification."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda import test_attention as base
from tests.cuda.common import counted, hooks
from tests.cuda.hardware import gpu
from tests.cuda.memory_use import memory_used_well, needs_counters
from tests.cuda.test_attention import Case

from fastnn.backends import emulated
from fastnn.backends.gpu._arrays import kernels

DTYPES = [np.float16, ml_dtypes.bfloat16]
# Tiles of 128 queries and 128 keys, ragged ends of both; eight stages (five where the size is above 64), two a tile.
SERVED = {
    "twice around the ring": Case(70, 9 * 128 + 5, 64, 64, heads=(1, 1)),
    "twice around the ring, 128": Case(70, 5 * 128 + 5, 128, 128, heads=(1, 1)),
    "causal": Case(270, 300, 64, 64, causal=True, heads=(1, 1)),
    "causal, 128": Case(150, 140, 128, 128, causal=True, heads=(1, 1)),
    "causal, fewer keys": Case(150, 40, 64, 64, causal=True),
    "causal, fewer queries": Case(65, 150, 64, 64, causal=True),
    "sizes that are not padded": Case(100, 130, 40, 24),
    "different sizes": Case(65, 100, 64, 128),
    "grouped": Case(70, 140, 32, 32, heads=(4, 2)),
    "heads beside each other": Case(130, 70, 32, 16, layout="sequence first"),
}
OTHERS = {
    "few queries": Case(64, 70, 64, 64),
    "masked": Case(70, 90, 64, 64, mask="boolean"),
    "dropout": Case(70, 90, 64, 64, dropout_p=0.4),
    "negative scale": Case(70, 40, 24, 24, scale=-0.3),
    "unaligned rows": Case(70, 70, 32, 32, layout="odd strides"),
    "rows that are not whole vectors": Case(70, 70, 33, 33),
    "wide heads": Case(70, 70, 136, 136),
}
KERNEL = "attention_wgmma_kernel"
pytestmark = pytest.mark.skipif(not emulated(), reason="test_attention.py has it on such a GPU")


@pytest.fixture(autouse=True)
def _hopper(monkeypatch: Any) -> None:
    monkeypatch.setenv("SIMT_ARCH", "90")


def forward(case: Case, dtype: Any, monkeypatch: Any) -> str:
    """Runs the check of the other kernels on the case; the names of the kernels that ran."""
    monkeypatch.setitem(base.CASES, "now", case)
    with counted(monkeypatch):
        base.test_forward("now", dtype)
    return " ".join(kernels.emulator_kernels())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SERVED)
def test_forward_sm90(name: str, dtype: Any, monkeypatch: Any) -> None:
    ran = forward(SERVED[name], dtype, monkeypatch)
    assert KERNEL in ran or not hooks()  # only instrumented kernels are counted


@pytest.mark.parametrize("name", OTHERS)
def test_what_it_leaves_to_the_other_kernel(name: str, monkeypatch: Any) -> None:
    assert KERNEL not in forward(OTHERS[name], np.float16, monkeypatch)


@needs_counters
@pytest.mark.parametrize("size", [64, 128])
def test_memory_is_used_well(size: int, monkeypatch: Any) -> None:
    arrays, run = base._inputs(Case(128, 256, size, size, heads=(1, 1)), np.float16)
    with memory_used_well(monkeypatch, KERNEL) as rows:
        gpu.attention(*arrays, *run)
    assert {row["access"] for row in rows} == {
        "tensor load",
        "shared store 4",
        "shared load 16",
        "global store 16",
        "global store 4",
    }
