"""How well the kernels use memory, by the emulator's counters: what is asked of them, and which do less, for what reason.

Of each line of a kernel: at least nine tenths of the bytes of the sectors that its requests take from global memory are
useful, and requests of shared memory meet no bank conflicts. docs/cuda.md shows the exceptions.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import counted, hooks

from fastnn.backends.gpu._arrays import kernels

DTYPES = [np.float32, ml_dtypes.bfloat16]
LEAST = {"global": 0.9, "tensor": 0.9, "shared": 1.0}
# What a line takes of its kernel's sectors to be looked at: results and statistics that one thread of a row writes are less.
SHARE = 0.05

needs_counters = pytest.mark.skipif(not hooks(), reason="only instrumented kernels are counted")


@dataclass(frozen=True)
class Exemption:
    """Lines that use less of what they ask for."""

    name: str
    kernels: str  # a regular expression for the beginning of the kernel's name
    access: str  # what the access begins with
    least: float  # the useful part that they have all the same
    reason: str


EXEMPTIONS = (
    Exemption(
        "products, operands that are not whole aligned vectors of 16 bytes",
        r"(mma|fma)_kernel<.*Access<\(Major\)\d, false>.*Strided<",
        "global load",
        0.4,
        "lines begin within a sector; without tensor cores 8 x 4 elements are transposed at a time. Of two such operands that are "
        "both transposed the first is read across its lines (6 %): not worth a kernel. Results of such rows are written by element",
    ),
    Exemption(
        "convolution of NCHW: windows; the results of the direct kernel",
        r"((mma|fma)_kernel<.*(Patches|TapRows)<\w+, 1>|direct_kernel<\w+, 1>|direct_weight_kernel)",
        "global",
        0.4,
        "windows, and rows of such images, begin within a sector; its other bytes are their neighbours', from the caches",
    ),
    Exemption(
        "convolution, the weight's gradient of channels last",
        r"(mma_kernel|fma_kernel|finish_splits)<.*WeightRows<",
        "global store",
        0.06,
        "worked out in the order (tap, channel) and written once as (channel, tap); the L2 cache joins the sectors",
    ),
    Exemption(
        "convolution, the weight's gradient by direct_weight",
        "direct_weight_kernel",
        "global store",
        0.06,
        "nine sums of a thread, once a block",
    ),
    Exemption(
        "convolution, weights packed (prepare)",
        "prepare_kernel",
        "global load",
        0.06,
        "weights are read in another order than theirs, once a call, from the caches",
    ),
    Exemption(
        "attention, masks and their gradient",
        r"attention_(kernel|gradients)<",
        "global",
        0.25,
        "a lane has two neighbouring keys of eight queries, as the fragments of mma.sync do; masks may have any strides",
    ),
    Exemption(
        "pooling of NCHW, windows that are not whole pairs of columns; bins of under 32 elements",
        r"((max|avg)_pool_kernel<1,|avg_pool_gradient<|adaptive_kernel<1,)",
        "global load",
        0.25,
        "a sector's other bytes belong to the window's other columns and come from the L1 cache",
    ),
    Exemption(
        "max pooling, gradient",
        r"max_pool_scatter",
        "global",
        0.06,
        "each gradient goes to where its maximum was: the positions are data",
    ),
    Exemption(
        "embedding, gradient of 16-bit rows: sums of rows whose run crosses tiles",
        r"(sum|join)_tiles<__",
        "global",
        0.5,
        "eight float32 sums of a lane are two vectors",
    ),
    Exemption(
        "reductions, results and parts",
        r"reduce_(rows|columns)<",
        "global",
        0.06,
        "one thread of a row or block has one number",
    ),
)


def _useful(row: dict[str, Any]) -> float:
    """Of what the requests of a line take, the part that they need."""
    if row["access"].startswith("shared"):
        return float(row["ideal"] / row["cost"])
    return min(1.0, row["bytes"] / (32 * row["cost"]))  # lanes that share words ask for more


def _check(row: dict[str, Any], total: float, exempt: bool) -> None:
    least = LEAST[row["access"].split()[0]]
    if not row["access"].startswith("shared") and row["cost"] < SHARE * total:
        return
    useful = _useful(row)
    if useful >= least:
        return
    allowed = [
        x.least
        for x in EXEMPTIONS
        if exempt and re.match(x.kernels, row["kernel"]) and row["access"].startswith(x.access)
    ]
    assert useful >= min(allowed, default=least), f"{useful:.0%} useful: {row}"


@contextlib.contextmanager
def memory_used_well(
    monkeypatch: pytest.MonkeyPatch, *names: str, exempt: bool = False
) -> Iterator[list[dict[str, Any]]]:
    """Asserts it of every kernel that the block launches, those that begin with ``names`` among them.

    The exceptions are allowed where ``exempt``. Gives the list that will hold the counters' rows.
    """
    rows: list[dict[str, Any]] = []
    with counted(monkeypatch):
        yield rows
    rows += [row for row in kernels.emulator_counters() if row["cost"]]
    ran = {row["kernel"] for row in rows}
    for name in names:
        assert any(kernel.startswith(name) for kernel in ran), f"{name} is not one of {sorted(ran)}"
    totals: dict[tuple[str, bool], float] = {}
    for row in rows:
        of = row["kernel"], row["access"].startswith("shared")
        totals[of] = totals.get(of, 0.0) + row["cost"]
    for row in rows:
        _check(row, totals[row["kernel"], row["access"].startswith("shared")], exempt)


def exemptions_table() -> list[str]:
    """The rows of docs/cuda.md's table."""
    return [f"| {x.name} | {x.access} | {x.least:.0%} | {x.reason} |" for x in EXEMPTIONS]
