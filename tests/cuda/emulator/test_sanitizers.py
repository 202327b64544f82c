"""Bugs planted in kernels that AddressSanitizer or UndefinedBehaviorSanitizer reports: that ends the process, so each has its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .common import HERE, line_of, sanitizers

# What the report says; the bytes of the output; threads, dynamic shared bytes, n.
REPORTS = {
    "shared_overrun": ("index 64 out of bounds", 4096, 64, 0, 0),
    "dynamic_shared_overrun": ("use-after-poison", 4096, 64, 256, 0),
    "global_overrun": ("use-after-poison", 4088, 1022, 0, 0),
    "global_underrun": ("use-after-poison", 1000, 32, 0, 0),
    "guard_page": ("SEGV", 4096, 32, 0, 1024),
    "host_pointer": ("SEGV", 4096, 1, 0, 64),
    "stack_overflow": ("stack-overflow", 4096, 1, 0, 0),
    "use_after_free": ("use-after-poison", 0, 0, 0, 0),
    "misaligned_member": ("requires 16 byte alignment", 4096, 1, 0, 0),
    "local_overrun": ("index 8 out of bounds", 4096, 1, 0, 8),
    "shift_too_far": ("shift exponent 32 is too large", 4096, 1, 0, 32),
}


@pytest.mark.skipif(not sanitizers, reason="needs the build asan")
@pytest.mark.parametrize("name", REPORTS)
def test_reports(name):
    text, out, threads, smem, n = REPORTS[name]
    call = f"launch({name!r}, bytes(4096), {out}, {n}, 1, {threads}, {smem})"
    if name == "use_after_free":
        call = f"module.run_freed({name!r}, 128)"
    done = subprocess.run(
        [sys.executable, "-c", f"from tests.cuda.emulator.common import launch, module; {call}"],
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert text in done.stderr
    if name != "stack_overflow":  # where it ends up is the compiler's choice
        assert line_of(name) in done.stderr
