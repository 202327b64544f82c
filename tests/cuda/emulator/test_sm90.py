"""mbarriers, TMA and wgmma: what they compute, by plain loops over the layouts that the PTX manual gives; and planted bugs."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from .common import HERE, hooks, launch, line_of, module, results

pytestmark = pytest.mark.skipif(module is None, reason="_cuda_emulator_tests is not built")
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True, params=[0, 1, 7])
def order(request, monkeypatch):
    """Lanes run first to last, last to first, at random."""
    monkeypatch.setenv("SIMT_ORDER", str(request.param))


def swizzled(byte):
    """Where a byte of a tile lies: in lines of 128 bytes, chunk c of line r is at place c ^ (r % 8)."""
    line, chunk, rest = byte // 128, byte // 16 % 8, byte % 16
    return line * 128 + (chunk ^ line % 8) * 16 + rest


@pytest.mark.parametrize("at", [(0, 0, 0), (16, 5, 2), (-8, -3, -1), (100, 0, 0), (3, 9, 1)])
def test_boxes_of_tensors(at):
    x = np.zeros((3, 11, 72), np.uint16)
    x[:] = 0xFFFF  # the padding of rows, which no box may bring
    x[..., :70] = 1 + np.arange(3 * 11 * 70).reshape(3, 11, 70)
    got = results(
        "tensor_box",
        np.uint16,
        np.array([*at, 0], np.int32).tobytes() + x.tobytes(),
        out=1024,
        threads=64,
        smem=4096,
    )
    for z in range(2):
        for y in range(8):
            for i in range(64):
                index = at[0] + i, at[1] + y, at[2] + z
                inside = all(0 <= p < size for p, size in zip(index, (70, 11, 3), strict=True))
                wanted = x[index[::-1]] if inside else 0
                assert got[swizzled((z * 8 + y) * 128 + i * 2) // 2] == wanted


def test_bulk_copies():
    x = rng.standard_normal(128).astype(np.float32)
    got = results("bulk_copies", np.float32, x.tobytes(), out=128, threads=128)
    np.testing.assert_array_equal(got, x.reshape(2, 64).T.ravel())


@pytest.mark.parametrize("tiles", [1, 3, 11])
def test_ring_of_stages(tiles):
    x = rng.integers(0, 100, (tiles, 16, 32)).astype(np.uint16)
    got = results("ring", np.int32, x.tobytes(), out=64, n=tiles, threads=96, smem=4096)
    raw = np.zeros((tiles, 512), np.uint16)
    for i in range(512):
        raw[:, swizzled(2 * i) // 2] = x.reshape(tiles, 512)[:, i]
    wanted = (raw.reshape(tiles, 16, 32).astype(int).sum(1) * np.arange(1, tiles + 1)[:, None]).sum(
        0
    )
    np.testing.assert_array_equal(got, np.tile(wanted, 2))


DTYPES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16, "tf32": np.float32}


def values(shape, dtype):
    # eighths of small integers: every product and sum is exact in every one of the dtypes
    return (rng.integers(-11, 12, shape) / 8).astype(dtype)


def image(x, transposed, step):
    """Shared memory that holds x (lines, k) where the product looks for it: bytes."""
    data = np.full(32768, 0x55, np.uint8)
    item = x.dtype.itemsize
    for outer in range(x.shape[0]):
        for k in range(x.shape[1]):
            if transposed:  # lines of 64 outer elements for each k; the next 64 2048 bytes further
                byte = outer // 64 * 2048 + k * 128 + outer % 64 * item
            else:
                byte = outer * 128 + step * 32 + k * item
            place = swizzled(byte)
            data[place : place + item] = np.frombuffer(x[outer, k].tobytes(), np.uint8)
    return data


def sums_of(got, n):
    """(64, n) from the fragments (128, n / 2)."""
    d = np.zeros((64, n), np.float32)
    for t in range(128):
        for i in range(n // 2):
            row = t // 32 * 16 + t % 32 // 4 + i // 2 % 2 * 8
            d[row, i // 4 * 8 + t % 4 * 2 + i % 2] = got[t, i]
    return d


NAMES = [name for name in (module.kernels() if module else []) if name.startswith("wgmma_")]


@pytest.mark.parametrize("name", [n for n in NAMES if n[-3:] in ("_00", "_01", "_10", "_11")])
def test_products(name):
    _, kind, n, transposes = name.split("_")
    n, dtype = int(n), DTYPES[kind]
    k = 8 if kind == "tf32" else 16
    a, b = values((64, k), dtype), values((n, k), dtype)
    for step in (0, 3):
        data = image(a, transposes[0] == "1", step)[:8192].tobytes()
        data += image(b, transposes[1] == "1", step).tobytes()
        got = results(name, np.float32, data, out=64 * n, n=step, threads=128, smem=40960)
        wanted = a.astype(np.float32) @ b.astype(np.float32).T + 1
        np.testing.assert_array_equal(sums_of(got.reshape(128, n // 2), n), wanted)


@pytest.mark.parametrize("name", [n for n in NAMES if "registers" in n])
def test_products_with_a_in_registers(name):
    _, kind, n, _, transposed = name.split("_")
    n, dtype = int(n), DTYPES[kind]
    a, b = values((64, 16), dtype), values((n, 16), dtype)
    fragments = np.zeros((128, 4, 2), dtype)
    for t in range(128):
        for r in range(4):
            for e in range(2):
                row = t // 32 * 16 + t % 32 // 4 + r % 2 * 8
                fragments[t, r, e] = a[row, r // 2 * 8 + t % 4 * 2 + e]
    data = fragments.tobytes().ljust(8192, b"\0") + image(b, transposed == "1", 2).tobytes()
    got = results(name, np.float32, data, out=64 * n, n=2, threads=128, smem=40960)
    wanted = a.astype(np.float32) @ b.astype(np.float32).T + 1
    np.testing.assert_array_equal(sums_of(got.reshape(128, n // 2), n), wanted)


def test_groups_of_products():
    a, b = values((64, 64), ml_dtypes.bfloat16), values((64, 64), ml_dtypes.bfloat16)
    data = image(a, False, 0)[:8192].tobytes() + image(b, False, 0).tobytes()
    got = results("wgmma_groups", np.float32, data, out=128 * 64, threads=128, smem=40960)
    got = got.reshape(128, 2, 32)
    wanted = a.astype(np.float32) @ b.astype(np.float32).T
    np.testing.assert_array_equal(sums_of(got[:, 0], 64), wanted)
    assert np.all(np.isnan(got[:, 1]))  # read before wait_group had them


IN_EVERY_BUILD = {
    "wrong_empty_parity": "mbarrier.try_wait at {line}]",
    "too_many_bytes": "lacks 0 of 1 arrivals and 16 bytes",
    "too_few_bytes": "",
    "wrong_parity": "",
    "no_mbarrier": "no mbarrier was initialised there",
    "too_many_arrivals": "more arrivals than the 1 of mbarrier.init",
    "left_over_arrival": "1 of 2 arrivals",
    "misaligned_tile": "not aligned to 1024 bytes",
    "load_never_waited": "was not waited for",
    "load_out_of_bounds": "outside every buffer",
    "wgmma_not_fenced": "no wgmma_fence()",
    "wgmma_after_wait": "no wgmma_fence()",
    "wgmma_not_waited": "exited without waiting for its wgmma",
    "wgmma_of_different_operands": "different operands",
    "half_a_warpgroup": "deadlock",
    "phase_passed_by": "mbarrier.try_wait at",
    "missing_init_fence": "no fence_mbarrier_init() after the mbarrier.init",
}
BY_HOOKS = {
    "wgmma_without_full_wait": "wait",
    "load_not_waited": "wait",
    "load_waited_by_others": "",
    "overwritten_stage": "conflicts with that of warpgroup 0's wgmma",
    "released_before_wait": "conflicts with that of warpgroup 0's wgmma",
    "missing_proxy_fence": "no fence_proxy_async() after the write",
    "missing_barrier_before_wgmma": "a missing barrier",
    "missing_barrier_after_init": "",
}
# Where a helper that several kernels call holds the line, or there is none.
LINES = {
    "wgmma_not_fenced": "wrong_wgmma",
    "wgmma_not_waited": "wrong_wgmma",
    "wgmma_of_different_operands": "wrong_wgmma",
    "phase_passed_by": None,
    "missing_init_fence": None,
}


def check(name, text):
    error, _ = launch(name, bytes(32768), 4096, 1, 1, 160, 36864)
    assert f"{name}: block (" in error
    line = LINES.get(name, name)
    if line is not None:
        line = line_of(line, "sm90_faults.cu")
        assert line in error
    assert text.format(line=line) in error
    # the emulator is fit for the next launch
    x = np.ones((4, 16, 32), np.uint16)
    assert results("ring", np.int32, x.tobytes(), out=64, n=4, threads=96, smem=4096)[0] == 160


@pytest.mark.parametrize("name", IN_EVERY_BUILD)
def test_misuse(name):
    check(name, IN_EVERY_BUILD[name])


@pytest.mark.skipif(not hooks, reason="needs instrumented kernels")
@pytest.mark.parametrize("name", BY_HOOKS)
def test_races(name):
    check(name, BY_HOOKS[name])


def test_every_faulty_kernel_is_tried():
    text = (HERE / "sm90_faults.cu").read_text()
    planted = {
        line.split("(")[1].split(")")[0] for line in text.splitlines() if line[:7] == "KERNEL("
    }
    assert planted == {*IN_EVERY_BUILD, *BY_HOOKS}
