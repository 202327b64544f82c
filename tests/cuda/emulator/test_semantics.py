"""What the emulator's operations compute, against plain loops."""

from __future__ import annotations

import itertools
import warnings

import ml_dtypes
import numpy as np
import pytest

from .common import hooks, launch, module, results

pytestmark = pytest.mark.skipif(module is None, reason="_cuda_emulator_tests is not built")
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True, params=[0, 1, 7])
def order(request, monkeypatch):
    """Lanes run first to last, last to first, at random."""
    monkeypatch.setenv("SIMT_ORDER", str(request.param))


def test_shuffles():
    got = results("shuffles", np.float64, out=32 * 6).reshape(32, 6) - 0.5
    for lane in range(32):
        assert list(got[lane]) == [
            5,
            lane // 8 * 8 + 1,
            lane ^ 3,
            lane ^ 8 if (lane ^ 8) // 8 <= lane // 8 else lane,
            lane if lane < 2 else lane - 2,
            lane + 3 if lane % 16 < 13 else lane,
        ]


def test_votes_and_reductions():
    v = rng.integers(-3, 3, 32).astype(np.int32)
    got = results("votes", np.int32, v.tobytes(), out=320).reshape(32, 10)
    unsigned = v.view(np.uint32)
    for lane in range(32):
        same = sum(1 << other for other in range(32) if v[other] == v[lane])
        wanted = [
            sum(1 << i for i in range(0, 32, 3)),
            1,
            0,
            v.sum(),
            v.min(),
            v.max(),
            unsigned.max(),
            same,
            0,  # all 32 lanes agree: the mask -1, plus the predicate 1
            np.bitwise_xor.reduce(unsigned),
        ]
        assert [int(g) & 0xFFFFFFFF for g in got[lane]] == [int(w) & 0xFFFFFFFF for w in wanted]


def test_halves_of_a_warp_diverge():
    got = results("half_warps", np.uint32, out=32)
    assert list(got) == [lane ^ 1 if lane < 16 else 0xAAAA0000 for lane in range(32)]


def test_sum_over_a_block():
    x = rng.integers(-4, 4, 5000).astype(np.float32)
    assert list(results("block_sum", np.float32, x.tobytes(), out=2, n=5000, threads=256)) == [
        x.sum(),
        10,
    ]


def test_single_bytes_of_neighbours_are_no_race():
    x = np.arange(64, dtype=np.uint8)
    np.testing.assert_array_equal(
        results("bytes", np.uint8, x.tobytes(), out=64, threads=64), x[::-1]
    )


def test_atomics():
    count = 3 * 64
    got = results("atomics", np.int64, out=8, blocks=3, threads=64)
    i = np.arange(count)
    assert got[:1].view(np.float64)[0] == count / 2
    assert list(got[1:4]) == [i.sum(), count - 1, -(count - 1)]
    assert got[4] == 0xFFFFFFFF
    assert got[5] == np.bitwise_xor.reduce(i)
    assert list(got[6:7].view(np.float16)[:2]) == [count, 2 * count]
    assert got[7] == 3 * count


def test_last_block_reads_what_others_published():
    assert list(results("last_block", np.int32, out=34, blocks=32, threads=64)[:2]) == [
        32,
        32 * 33 // 2,
    ]


@pytest.mark.parametrize(
    "name",
    [
        "mma_m16n8k16_bf16",
        "mma_m16n8k16_f16",
        "mma_m16n8k8_bf16",
        "mma_m16n8k8_f16",
        "mma_m16n8k8_tf32",
        "mma_m16n8k4_tf32",
        "mma_m8n8k4_f64",
    ],
)
def test_matrix_products(name):
    m, k = (int(s) for s in name.replace("mma_m", "").split("_")[0].split("n8k"))
    dtype = np.float64 if name.endswith("f64") else np.float32
    # eighths of small integers: every product and sum is exact in every one of the dtypes
    a = (rng.integers(-11, 12, (m, k)) / 8).astype(dtype)
    b = (rng.integers(-9, 10, (k, 8)) / 4).astype(dtype)
    got = results(name, dtype, a.tobytes() + b.tobytes(), out=m * 8).reshape(m, 8)
    np.testing.assert_array_equal(got, a @ b)


def test_matrix_loads_and_stores():
    tile = np.arange(256, dtype=np.uint16).reshape(16, 16)
    data = results("matrices", np.uint16, tile.tobytes(), out=1024)
    registers = data[:512].reshape(32, 2, 4, 2)
    for lane in range(32):
        for j in range(4):
            r, c = j % 2 * 8, j // 2 * 8
            row, column = lane // 4, lane % 4 * 2
            for e in range(2):
                assert registers[lane, 0, j, e] == tile[r + row, c + column + e]
                assert registers[lane, 1, j, e] == tile[r + column + e, c + row]
    np.testing.assert_array_equal(data[512:768].reshape(16, 16), tile)
    blocks = tile.reshape(2, 8, 2, 8).transpose(0, 3, 2, 1).reshape(16, 16)
    np.testing.assert_array_equal(data[768:].reshape(16, 16), blocks)


def test_named_barriers():
    got = results("named_barriers", np.int32, out=6 * 32, threads=96).reshape(6, 32)
    np.testing.assert_array_equal(got, 100 * np.arange(6)[:, None] + np.arange(32)[::-1])


def test_pipeline_of_asynchronous_copies():
    n = 5 * 128 - 37
    x = rng.standard_normal(n).astype(np.float32)
    padded = np.zeros(640, np.float32)
    padded[:n] = x
    got = results("copy_pipeline", np.float32, x.tobytes(), out=640, n=n, threads=128)
    np.testing.assert_array_equal(got.reshape(5, 128), padded.reshape(5, 128)[:, ::-1])


def test_narrowing_conversions_round_to_nearest_even():
    bits = np.concatenate(
        [
            rng.integers(0, 1 << 32, 3000, dtype=np.uint32),
            # around every half and bfloat16: the value, the tie above it, and the neighbours of both
            (rng.integers(0, 1 << 16, 300, dtype=np.uint32) << 16)[:, None].repeat(5, 1).ravel()
            + np.tile(np.array([0, 1, 0x7FFF, 0x8000, 0x8001], np.uint32), 300),
            rng.integers(0, 1 << 16, 300, dtype=np.uint16)
            .view(np.float16)
            .astype(np.float32)
            .view(np.uint32)[:, None]
            .repeat(4, 1)
            .ravel()
            + np.tile(np.array([0, 0xFFF, 0x1000, 0x1001], np.uint32), 300),
        ]
    ).astype(np.uint32)
    f = bits.view(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d = f.astype(np.float64) * (1 + rng.integers(-1, 2, f.size) * 2.0**-40)
        wanted = np.stack(
            [
                f.astype(np.float16).view(np.uint16),
                f.astype(ml_dtypes.bfloat16).view(np.uint16),
                d.astype(np.float16).view(np.uint16),
                bfloat16_of_double(d),
            ],
            1,
        )
    wanted[np.isnan(f), :] = 0x7FFF  # CUDA's one NaN
    data = f.tobytes() + d.tobytes()
    got = results("convert", np.uint16, data, out=4 * f.size, n=f.size, blocks=24, threads=256)
    np.testing.assert_array_equal(got.reshape(-1, 4), wanted)


def bfloat16_of_double(d):
    """The nearest bfloat16, by comparing the double with both neighbours; ties to the even one."""
    magnitude = np.abs(d)
    low = magnitude.astype(np.float32)
    low = np.where(low.astype(np.float64) > magnitude, np.nextafter(low, np.float32(0)), low)
    bits = low.view(np.uint32) >> 16
    below = (bits << 16).astype(np.uint32).view(np.float32).astype(np.float64)
    above_bits = ((bits + 1) << 16).astype(np.uint32)
    above = above_bits.view(np.float32).astype(np.float64)
    above = np.where(above_bits == 0x7F800000, 2.0**128, above)
    up = (magnitude - below > above - magnitude) | (
        (magnitude - below == above - magnitude) & (bits & 1 == 1)
    )
    bits = np.where(np.isinf(magnitude), 0x7F80, bits + up)
    return (bits | np.signbit(d).astype(np.uint32) << 15).astype(np.uint16)


def test_widening_conversions():
    got = results("widen", np.float32, out=2 << 16, blocks=256, threads=256).reshape(-1, 2)
    all_bits = np.arange(1 << 16, dtype=np.uint16)
    np.testing.assert_array_equal(got[:, 0], all_bits.view(np.float16).astype(np.float32))
    np.testing.assert_array_equal(got[:, 1], all_bits.view(ml_dtypes.bfloat16).astype(np.float32))


@pytest.mark.skipif(not hooks, reason="only instrumented kernels are counted")
@pytest.mark.parametrize(("name", "n", "sectors"), [("strided", 1, 4), ("strided", 8, 32)])
def test_counters_show_uncoalesced_access(name, n, sectors, monkeypatch):
    monkeypatch.setenv("SIMT_COUNT", "1")
    module.reset_counters()
    launch(name, bytes(32 * n * 4), 128, n=n)
    rows = [row for row in module.counters() if row[2] == "global load 4"]
    assert [row[3:] for row in rows] == [(1, sectors, 4)]


@pytest.mark.skipif(not hooks, reason="only instrumented kernels are counted")
@pytest.mark.parametrize(("padding", "turns"), [(1, 1), (0, 32)])
def test_counters_show_bank_conflicts(padding, turns, monkeypatch):
    monkeypatch.setenv("SIMT_COUNT", "1")
    module.reset_counters()
    x = np.arange(1024, dtype=np.float32)
    error, data = launch(
        "transpose_tile", x.tobytes(), 4096, n=padding, threads=1024, smem=32 * 33 * 4
    )
    assert error == ""
    np.testing.assert_array_equal(
        np.frombuffer(data, np.float32).reshape(32, 32), x.reshape(32, 32).T
    )
    rows = {row[2]: row[3:] for row in module.counters()}
    assert rows["shared load 4"] == (32, 32 * turns, 32)
    assert rows["shared store 4"] == (32, 32, 32)


def test_freed_memory_rests_and_is_used_again():
    addresses = module.allocate_and_free(1000, 10000)
    assert len(set(addresses)) < 300  # not an arena that only grows
    assert all(a != b for a, b in itertools.pairwise(addresses))
