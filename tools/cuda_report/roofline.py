"""What the hot kernels could reach on paper: their arithmetic and least traffic against a GPU's peaks.

Nothing here is measured. Peaks are those of NVIDIA's data sheets, dense: A100 SXM 80 GB and H100 SXM.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Peaks in TFLOP/s by the unit that does the arithmetic, and GB/s of memory."""

    name: str
    bandwidth: float
    peak: dict[str, float]


GPUS = (
    Gpu("A100", 2039, {"FMA": 19.5, "TF32": 156, "3xTF32": 52, "16-bit": 312}),
    Gpu("H100", 3350, {"FMA": 67, "TF32": 494, "3xTF32": 165, "16-bit": 989}),
)


@dataclass(frozen=True)
class Case:
    """A kernel at a shape: GFLOP, the MB that must cross the memory bus, and the MB that its tiles fetch through L2."""

    kernel: str
    shape: str
    unit: str
    gflop: float
    megabytes: float
    tile_megabytes: float | None = None  # None: everything is fetched once

    def limit(self, gpu: Gpu) -> tuple[float, str]:
        """The least microseconds, and what they go to."""
        arithmetic = self.gflop / gpu.peak[self.unit] * 1e3
        traffic = self.megabytes / gpu.bandwidth * 1e3
        return max((arithmetic, "arithmetic"), (traffic, "memory"))


def gemm(unit: str, size: int, m: int, n: int, k: int, tile: int = 128) -> Case:
    """C = A B: every block of the result fetches a row of tiles of A and a column of tiles of B."""
    fetched = size * m * n * k * 2 / tile
    return Case(
        f"GEMM, {unit}", f"{m} x {n} x {k}", unit, 2e-9 * m * n * k,
        size * (m * k + k * n + m * n) / 1e6, fetched / 1e6,
    )  # fmt: skip


def conv(
    unit: str, size: int, n: int, c: int, o: int, hw: int, kernel: int, tile: int = 128
) -> Case:
    """A convolution of stride 1 that keeps the size, as a product of (N H W) x O x (C K K)."""
    rows, k = n * hw * hw, c * kernel * kernel
    return Case(
        f"convolution {kernel}x{kernel}, {unit}", f"{n} x {c} x {hw} x {hw} -> {o}", unit,
        2e-9 * rows * o * k, size * (rows * (c + o) + o * k) / 1e6, size * rows * o * k * 2 / tile / 1e6,
    )  # fmt: skip


def attention(
    unit: str, size: int, rows: int, t: int, d: int, backward: bool, tile: int = 64
) -> Case:
    """Attention of ``rows`` = batch x heads sequences: 2 products of t x t x d forward, 7 backward (2 of them twice)."""
    products, arrays = (7, 8) if backward else (2, 4)
    flop = products * 2 * rows * t * t * d
    fetched = size * rows * t / tile * t * d * (4 if backward else 2)
    return Case(
        f"attention {'backward' if backward else 'forward'}, {unit}", f"{rows} x {t} x {d}", unit,
        flop / 1e9, size * arrays * rows * t * d / 1e6, fetched / 1e6,
    )  # fmt: skip


def streaming(kernel: str, shape: str, elements: float, passes: float, flop: float = 10) -> Case:
    """A kernel that moves ``passes`` float32 numbers an element, with ``flop`` operations on CUDA cores."""
    return Case(kernel, shape, "FMA", elements * flop / 1e9, elements * passes * 4 / 1e6)


def lstm_step(samples: int, units: int) -> Case:
    """A step of an LSTM, forward: the recurrent product in tiles of 16 x 32, and ten numbers a unit of memory traffic.

    The weights stay in the L2 cache from step to step.
    """
    fetched = 4 * samples * 4 * units * units * (1 / 16 + 1 / 32)
    return Case(
        "LSTM step", f"{samples} samples, {units} units", "FMA", 8e-9 * samples * units**2,
        4 * 10 * samples * units / 1e6, fetched / 1e6,
    )  # fmt: skip


CASES = (
    gemm("16-bit", 2, 4096, 4096, 4096),
    gemm("TF32", 4, 4096, 4096, 4096),
    gemm("3xTF32", 4, 4096, 4096, 4096),
    gemm("FMA", 4, 4096, 4096, 4096),
    gemm("16-bit", 2, 128, 128, 9216, 64),
    conv("16-bit", 2, 64, 64, 64, 56, 3),
    conv("TF32", 4, 64, 64, 64, 56, 3),
    conv("3xTF32", 4, 128, 32, 64, 26, 3),
    attention("16-bit", 2, 128, 2048, 64, False),
    attention("16-bit", 2, 128, 2048, 64, True),
    attention("16-bit", 2, 64, 2048, 128, False),
    attention("3xTF32", 4, 128, 2048, 64, False),
    lstm_step(64, 512),
    lstm_step(256, 1024),
    streaming("softmax", "8192 x 4096", 8192 * 4096, 2),
    streaming("cross-entropy forward", "8192 x 50257", 8192 * 50257, 1),
    streaming("layer norm forward", "16384 x 1024", 16384 * 1024, 2),
    streaming("batch norm forward (statistics, then normalise)", "128 x 64 x 56 x 56", 128 * 64 * 56 * 56, 3),
    streaming("max pooling 2x2 (with int32 indices)", "128 x 64 x 24 x 24", 128 * 64 * 24 * 24, 1.5),
    streaming("dropout (Philox: 10 rounds for 4 numbers)", "16 M", 16e6, 2, 40),
    streaming("Adam step", "10 M parameters", 10e6, 7, 15),
    streaming("sum over columns", "8192 x 4096", 8192 * 4096, 1, 1),
)  # fmt: skip


def table() -> list[str]:
    """The rows of a Markdown table."""
    lines = [
        "| kernel | shape | GFLOP | MB, least | MB through L2 | A100: least µs, limit | H100: least µs, limit |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in CASES:
        limits = [f"{us:.0f}, {what}" for us, what in (case.limit(gpu) for gpu in GPUS)]
        tiles = case.tile_megabytes or case.megabytes
        lines.append(
            f"| {case.kernel} | {case.shape} | {case.gflop:.3g} | {case.megabytes:.0f} | {tiles:.0f} | {' | '.join(limits)} |"
        )
    return lines
