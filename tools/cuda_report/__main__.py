"""Writes docs/cuda-report.md: what can be said of the CUDA kernels without a GPU.

    python tools/cuda_report                       # build for every architecture, run the emulator, write
    python tools/cuda_report --module _cuda.so     # of a module that is built already
    python tools/cuda_report --no-counters         # without the emulator

Registers, memory and instructions are read from the compiled code by cuobjdump and nvdisasm (`pip install
'fastnn[report]'`), the counters come from the emulator, and the roofline from arithmetic.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import binary
import occupancy
import roofline

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build_report"

Table = list[str]


def _build(archs: str) -> Path:
    """Compiles the kernels; the path of the module."""
    options = ["-DFASTNN_CPU=OFF", "-DFASTNN_CUDA=ON", f"-DFASTNN_CUDA_ARCHS={archs}"]
    options += [
        "-DFASTNN_WERROR=ON",
        "-DFASTNN_INPLACE=OFF",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    subprocess.run(["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", *options], check=True)
    subprocess.run(["cmake", "--build", BUILD], check=True)
    (module,) = BUILD.glob("_cuda.*")
    return module


def _table(*columns: str) -> Table:
    return [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _architectures(kernels: list[binary.Kernel]) -> Table:
    table = _table("architecture", "kernels", "most registers", "with mma", "with wgmma", "with local memory", "in a loop that multiplies")  # fmt: skip
    for arch in dict.fromkeys(k.arch for k in kernels):
        found = [k for k in kernels if k.arch == arch]
        counts = [sum(k.instructions[c] > 0 for k in found) for c in ("mma", "wgmma", "local")]
        in_loop = sum(k.loop["local"] > 0 for k in found)
        table.append(_row(f"sm_{arch}", len(found), max(k.registers for k in found), *counts, in_loop))  # fmt: skip
    return table


def _local_memory(kernels: list[binary.Kernel]) -> Table:
    table = _table(
        "kernel", "architectures: bytes of stack, local instructions (in loops that multiply)"
    )
    found = defaultdict(list)
    for k in kernels:
        if k.instructions["local"]:
            found[k.name].append(
                f"{k.arch}: {k.stack}, {k.instructions['local']} ({k.loop['local']})"
            )
    return table + [_row(f"`{name}`", "; ".join(text)) for name, text in sorted(found.items())]


def _loops(kernels: list[binary.Kernel], arch: str, products: tuple[str, ...]) -> Table:
    classes = (*products, "ldmatrix", "shared 16", "async copy", "local")
    table = _table("kernel", "registers", *classes)
    for k in sorted(kernels, key=lambda k: k.name):
        if k.arch == arch and any(k.loop[p] for p in products):
            table.append(_row(f"`{k.name}`", k.registers, *(k.loop[c] for c in classes)))
    return table


def _all_kernels(
    kernels: list[binary.Kernel], arch: str, dynamic: dict[str, tuple[int, int]]
) -> Table:
    table = _table("kernel", "registers", "static shared", "threads", "dynamic shared", "occupancy", "limit", "16-byte global", "other global", "mma", "local")  # fmt: skip
    for k in sorted(kernels, key=lambda k: k.name):
        if k.arch != arch:
            continue
        threads, shared = dynamic.get(k.name, (k.max_threads, None))
        part, limit = occupancy.occupancy(arch, threads, k.registers, k.shared + (shared or 0))
        counts = [k.instructions[c] for c in ("global 16", "global other", "mma", "local")]
        table.append(_row(f"`{k.name}`", k.registers, k.shared, threads, "?" if shared is None else shared, f"{part:.0%}", limit, *counts))  # fmt: skip
    return table


def _counters(uses: list) -> Table:
    table = _table("kernel", "threads", "dynamic shared", "barriers", "sectors", "useful bytes in sectors", "shared turns over the least")  # fmt: skip
    for u in sorted(uses, key=lambda u: u.kernel):
        useful = f"{u.least_sectors / u.sectors:.0%}" if u.sectors else "-"
        turns = f"{u.turns / u.least_turns:.2f}" if u.least_turns else "-"
        table.append(
            _row(f"`{u.kernel}`", u.threads, u.shared_bytes, u.barriers, u.sectors, useful, turns)
        )
    return table


def _report(kernels: list[binary.Kernel], uses: list) -> str:
    archs = list(dict.fromkeys(k.arch for k in kernels))
    dynamic = {u.kernel: (u.threads, u.shared_bytes) for u in uses}
    lines = [
        "# What the CUDA kernels are made of",
        "",
        "Written by `python tools/cuda_report`. Nothing in it ran on a GPU: the first tables are read from the code that nvcc",
        "made, the counters come from the emulator, and the roofline is arithmetic.",
        "",
        "## The code for each architecture",
        "",
        *_architectures(kernels),
        "",
        "## Kernels that use local memory",
        "",
        *_local_memory(kernels),
        "",
        f"## The innermost loops that multiply, sm_{archs[0]}: instructions",
        "",
        "By tensor cores (mma), or 32 and more FMA. An asynchronous copy goes from global to shared memory.",
        "",
        *_loops(kernels, archs[0], ("mma", "fma")),
        "",
    ]
    if any(k.loop["wgmma"] for k in kernels):
        lines += [
            "## The same of kernels with wgmma, sm_90a",
            "",
            "Their operands lie in shared memory, where threads of their own have them copied by TMA.",
            "",
            *_loops(kernels, "90a", ("wgmma",)),
            "",
        ]
    if uses:
        lines += [
            "## Counters of the emulator",
            "",
            "Aligned shapes that are whole tiles. A sector is 32 bytes of global memory; over 100 % of it is useful where threads of a warp",
            "share words. A turn is one pass over the banks of shared memory, 1.00 is free of conflicts.",
            "",
            *_counters(uses),
            "",
        ]
    lines += [
        "## On paper: A100 and H100",
        "",
        "The least time that arithmetic and memory traffic allow; `mma.sync` reaches about two thirds of an H100's peak, which",
        "wgmma has for itself.",
        "",
        *roofline.table(),
        "",
        f"## All kernels, sm_{archs[0]}",
        "",
        "Threads and dynamic shared memory as the emulator saw them launched; where it launched a kernel not, the threads that it",
        "may have, and occupancy without dynamic shared memory.",
        "",
        *_all_kernels(kernels, archs[0], dynamic),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Builds, reads, and writes the report."""
    parser = argparse.ArgumentParser(prog="python tools/cuda_report", description=__doc__)
    parser.add_argument("--module", type=Path, help="a built _cuda module; without it, it is built")
    parser.add_argument("--archs", default="all", help="architectures to build for (all)")
    parser.add_argument("--no-counters", action="store_true", help="leave the emulator out")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/cuda-report.md")
    arguments = parser.parse_args()
    kernels = binary.read(arguments.module or _build(arguments.archs))
    uses = []
    if not arguments.no_counters:
        os.environ["FASTNN_CUDA_EMULATOR"] = "1"
        import emulated  # reads the variable when fastnn is imported

        uses = emulated.measure()
    arguments.output.write_text(_report(kernels, uses), encoding="utf-8")
    print(f"{arguments.output}: {len(kernels)} kernels")


if __name__ == "__main__":
    main()
