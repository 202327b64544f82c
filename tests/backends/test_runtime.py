"""ISA levels, threads, fork and the buffer pool."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from fastnn import _cpu
from fastnn.backends import cpu


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_isa_levels() -> None:
    assert _cpu.isa() in _cpu.isa_levels()
    with pytest.raises(ValueError, match=r"wants one of .*, got 'mmx'"):
        _cpu.set_isa("mmx")


@pytest.mark.parametrize("name", _cpu.isa_levels())
def test_isa_from_the_environment(name: str) -> None:
    run = python("from fastnn import _cpu; print(_cpu.isa())", FASTNN_ISA=name)
    assert run.stdout.strip() == name, run.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FASTNN_ISA", "mmx"), ("FASTNN_NUM_THREADS", "0"), ("FASTNN_NUM_THREADS", "two")],
)
def test_bad_environment(variable: str, value: str) -> None:
    run = python("from fastnn import _cpu", **{variable: value})
    assert run.returncode == 1
    assert "ValueError" in run.stderr
    assert variable in run.stderr
    assert f"'{value}'" in run.stderr


def test_number_of_threads() -> None:
    run = python("from fastnn import _cpu; print(_cpu.get_num_threads())", FASTNN_NUM_THREADS="3")
    assert run.stdout.strip() == "3", run.stderr
    before = _cpu.get_num_threads()
    _cpu.set_num_threads(before + 1)
    assert _cpu.get_num_threads() == before + 1
    _cpu.set_num_threads(before)
    with pytest.raises(ValueError, match="positive number, got 0"):
        _cpu.set_num_threads(0)


@pytest.fixture
def three_threads() -> Any:
    before = _cpu.get_num_threads()
    _cpu.set_num_threads(3)
    yield
    _cpu.set_num_threads(before)


def test_several_python_threads_at_once(three_threads: None, rng: Any) -> None:
    a = rng.standard_normal((200, 200)).astype(np.float32)
    want = cpu.matmul(a, a)
    wrong = []

    def work() -> None:
        for _ in range(30):
            if not np.array_equal(cpu.matmul(a, a), want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_after_kernels_have_run() -> None:
    code = """
import os, signal, threading
import numpy as np
from fastnn import _cpu
from fastnn.backends import cpu
_cpu.set_num_threads(3)
a = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
want = cpu.matmul(a, a)
stop = False
def work():
    while not stop:
        cpu.matmul(a, a)
busy = threading.Thread(target=work)
busy.start()                                # a kernel is running while the process forks
for i in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if np.array_equal(cpu.matmul(a, a), want) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
busy.join()
"""
    run = python(code, PYTHONWARNINGS="ignore::DeprecationWarning")  # fork with threads: on purpose
    assert run.returncode == 0, run.stderr


def test_buffers_are_reused_and_released(rng: Any) -> None:
    a = rng.standard_normal((100, 100)).astype(np.float32)
    cpu.matmul(a, a)
    _cpu.pool_trim()
    start = _cpu.pool_stats()
    assert start["cached"] == 0
    y = cpu.matmul(a, a)
    assert y.ctypes.data % 64 == 0
    held = _cpu.pool_stats()
    assert held["in_use"] >= start["in_use"] + y.nbytes
    view = y[10:20]
    del y
    assert _cpu.pool_stats()["in_use"] == held["in_use"]  # the view keeps its buffer
    del view
    assert _cpu.pool_stats()["in_use"] == start["in_use"]
    cpu.matmul(a, a)
    assert _cpu.pool_stats()["reused"] > held["reused"]
    _cpu.pool_trim()
    assert _cpu.pool_stats()["cached"] == 0


def test_buffer_pool_limit(rng: Any) -> None:
    a = rng.standard_normal((100, 100)).astype(np.float32)
    try:
        _cpu.pool_set_limit(0)
        cpu.matmul(a, a)
        assert _cpu.pool_stats()["cached"] == 0
    finally:
        _cpu.pool_set_limit(1 << 30)


def test_result_too_big_for_memory() -> None:
    row, column = (np.broadcast_to(np.float32(1), s) for s in [(2**31, 1), (1, 2**31)])
    with pytest.raises((MemoryError, ValueError)):
        cpu.matmul(row, column)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system tells no affinity")
def test_workers_keep_to_the_cpus_of_their_caller() -> None:
    before = _cpu.get_num_threads()
    allowed = os.sched_getaffinity(0)
    a = np.ones((300, 300), np.float32)
    try:
        for cpus in (allowed, {min(allowed)}, allowed):
            os.sched_setaffinity(0, cpus)
            _cpu.set_num_threads(1)  # ends the workers
            others = set(os.listdir("/proc/self/task"))
            _cpu.set_num_threads(3)
            for _ in range(20):
                time.sleep(0.001)  # workers fall asleep, and wake somewhere
                np.testing.assert_array_equal(cpu.matmul(a, a), np.full_like(a, 300))
            workers = set(os.listdir("/proc/self/task")) - others
            assert len(workers) == 2
            assert all(os.sched_getaffinity(int(worker)) <= cpus for worker in workers)
    finally:
        os.sched_setaffinity(0, allowed)
        _cpu.set_num_threads(before)
