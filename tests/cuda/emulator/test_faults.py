"""Bugs planted in kernels: each is reported, with its line, and the next launch works."""

from __future__ import annotations

import numpy as np
import pytest

from .common import HERE, hooks, launch, line_of, module, results, sanitizers
from .test_sanitizers import REPORTS

pytestmark = pytest.mark.skipif(module is None, reason="_cuda_emulator_tests is not built")

# What the report says; threads, blocks, dynamic shared bytes, n.
IN_EVERY_BUILD = {
    "divergent_barrier": ("divergent __syncthreads", 64, 1, 0, 0),
    "exit_before_barrier": ("exited", 64, 1, 0, 0),
    "mask_of_exited_lane": ("names lanes that have exited (00000008)", 32, 1, 0, 0),
    "lane_not_in_mask": ("does not name the calling lane", 32, 1, 0, 0),
    "deadlock": ("deadlock: ", 32, 1, 0, 0),
    "divergent_collectives": ("divergent warp", 32, 1, 0, 0),
    "barrier_counts": ("thread count", 96, 1, 0, 0),
    "misaligned_load": ("misaligned read of 16 bytes", 1, 1, 0, 0),
    "misaligned_copy": ("not aligned to 16 bytes", 1, 1, 0, 0),
    "misaligned_matrix_row": ("misaligned read of 16 bytes", 32, 1, 0, 0),
    "copy_out_of_bounds": ("4096 bytes", 1, 1, 0, 0),
}
BY_GUARD_PAGES = {
    "guard_page": ("4096 bytes", 32, 1, 0, 1024),
    "host_pointer": ("", 1, 1, 0, 64),
    "stack_overflow": ("", 1, 1, 0, 0),
}
BY_HOOKS = {
    "missing_barrier": ("a missing barrier", 64, 1, 0, 0),
    "missing_barrier_raw": ("a missing barrier", 64, 1, 0, 0),
    "missing_barrier_before_write": ("race", 64, 1, 0, 0),
    "missing_syncwarp": ("a missing barrier", 64, 1, 0, 0),
    "shared_write_race": ("write after write", 64, 1, 0, 0),
    "byte_race": ("write after write", 64, 1, 0, 0),
    "uninitialised_shared": ("has not written", 64, 1, 0, 0),
    "shared_overrun": ("outside the block's shared memory", 64, 1, 0, 0),
    "dynamic_shared_overrun": ("outside the block's shared memory", 64, 1, 256, 0),
    "blocks_race": ("of another block", 64, 2, 0, 0),
    "unfenced_publication": ("of another block", 1, 2, 0, 0),
    "atomic_and_plain": ("race", 32, 1, 0, 0),
    "global_overrun": ("byte 4096 of one of 4096 bytes", 1024, 1, 0, 0),
    "global_underrun": ("outside every buffer", 32, 1, 0, 0),
    "copy_not_waited": ("not waited for", 64, 1, 0, 0),
    "copy_without_barrier": ("a missing barrier", 64, 1, 0, 0),
    "copy_over_reads": ("race", 64, 1, 0, 0),
    "raced_by_hidden_order": ("missing barrier", 64, 1, 0, 0),
}


@pytest.fixture(autouse=True, params=[0, 1, 7])
def order(request, monkeypatch):
    """Lanes run first to last, last to first, at random."""
    monkeypatch.setenv("SIMT_ORDER", str(request.param))


def check(name, cases):
    text, threads, blocks, smem, n = cases[name]
    error, _ = launch(name, bytes(4096), 4096, n, blocks, threads, smem)
    assert f"{name}: block (" in error  # the kernel's name, then block and thread
    assert "thread (" in error
    assert text in error
    if name != "stack_overflow":  # where it ends up is the compiler's choice
        assert line_of(name) in error
    # the emulator is fit for the next launch
    x = np.ones(1000, np.float32)
    assert results("block_sum", np.float32, x.tobytes(), out=2, n=1000, threads=64)[0] == 1000


@pytest.mark.parametrize("name", IN_EVERY_BUILD)
def test_misuse(name):
    check(name, IN_EVERY_BUILD)


@pytest.mark.skipif(sanitizers, reason="ends the process: test_sanitizers.py has it")
@pytest.mark.parametrize("name", BY_GUARD_PAGES)
def test_wild_accesses(name):
    check(name, BY_GUARD_PAGES)


@pytest.mark.skipif(not hooks, reason="needs instrumented kernels")
@pytest.mark.parametrize("name", BY_HOOKS)
def test_races_and_bounds(name):
    check(name, BY_HOOKS)


@pytest.mark.skipif(sanitizers, reason="ends the process: test_sanitizers.py has it")
def test_use_after_free():
    error = module.run_freed("use_after_free", 128)
    assert line_of("use_after_free") in error


def test_trap():
    error, _ = launch("trap", b"", 16)
    assert "thread (5,0,0): __trap()" in error


def test_launches_that_cannot_be():
    assert "bad block size" in launch("trap", b"", 16, threads=2048)[0]
    assert "bad grid size" in launch("trap", b"", 16, blocks=0)[0]
    assert "too much dynamic shared memory" in launch("trap", b"", 16, smem=1 << 20)[0]


def test_every_faulty_kernel_is_tried():
    text = (HERE / "faults.cu").read_text()
    planted = {
        line.split("(")[1].split(")")[0] for line in text.splitlines() if line[:7] == "KERNEL("
    }
    tried = {*IN_EVERY_BUILD, *BY_GUARD_PAGES, *BY_HOOKS, *REPORTS, "trap"}
    assert planted == tried
