"""How many threads of a multiprocessor a kernel can use (CUDA C++ Programming Guide, "Compute Capabilities")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Multiprocessor:
    """What one multiprocessor has."""

    warps: int
    blocks: int
    shared: int  # bytes
    registers: int = 65536
    reserved: int = 1024  # bytes of shared memory that each block costs on top
    warp_registers: int = 256  # they are given to a warp in pieces of this size


MULTIPROCESSORS = {
    "80": Multiprocessor(64, 32, 164 * 1024),
    "86": Multiprocessor(48, 16, 100 * 1024),
    "89": Multiprocessor(48, 24, 100 * 1024),
    "90": Multiprocessor(64, 32, 228 * 1024),
    "100": Multiprocessor(64, 32, 228 * 1024),
    "120": Multiprocessor(48, 24, 100 * 1024),
}


def occupancy(arch: str, threads: int, registers: int, shared: int) -> tuple[float, str]:
    """The part of a multiprocessor's warps that are resident, and what limits it.

    Args:
        arch: compute capability, such as "80" or "90a".
        threads: of a block.
        registers: of a thread.
        shared: bytes of a block, static and dynamic.
    """
    sm = MULTIPROCESSORS[arch.rstrip("af")]
    warps = -(-threads // 32)
    for_warp = -(-registers * 32 // sm.warp_registers) * sm.warp_registers
    limits = {
        "warps": sm.warps // warps,
        "blocks": sm.blocks,
        "registers": sm.registers // for_warp // warps if registers else sm.blocks,
        "shared memory": sm.shared // (shared + sm.reserved),
    }
    limit = min(limits, key=lambda name: limits[name])
    return limits[limit] * warps / sm.warps, limit
