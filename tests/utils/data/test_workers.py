"""DataLoader with worker processes: values, order, randomness, errors, and that nothing is left behind."""

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers' signals are POSIX's")


class Squares(Dataset):
    """Sample i: an image full of i (a batch of 4 goes through shared memory), and its square."""

    def __init__(self, n=22):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return fastnn.full((3, 64, 64), float(i)), i * i


class Failing(Squares):
    def __init__(self, act, n=22):
        super().__init__(n)
        self.act = act

    def __getitem__(self, i):
        if i == 13:
            self.act()
        return i


class Draws(Squares):
    def __getitem__(self, i):
        info = get_worker_info()
        return (
            info.id,
            info.seed,
            fastnn.rand(1, dtype=fastnn.float64),
            np.random.random(),
            random.random(),
        )


class Share(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, self.n, info.num_workers))


class WithArguments(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


def raise_key_error():
    raise KeyError("thirteen")


def raise_with_arguments():
    raise WithArguments(1, 2)


def raise_local():
    class Local(Exception):
        pass

    raise Local("inside")


def kill_me():
    os.kill(os.getpid(), signal.SIGKILL)


def exit_me():
    os._exit(3)


def sleep_long():
    time.sleep(60)


def fail_to_start(worker_id):
    raise OSError(f"no start of {worker_id}")


@pytest.fixture(autouse=True)
def nothing_left():
    """Neither processes nor descriptors outlive a test."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    yield
    gc.collect()
    assert multiprocessing.active_children() == []
    if before:  # forkserver and the tracker of spawn keep a few of their own
        assert len(os.listdir("/proc/self/fd")) <= before + 4


def squares(loader):
    seen = []
    for images, labels in loader:
        np.testing.assert_array_equal(images.numpy()[:, 1, 2, 3] ** 2, labels.numpy())
        seen += labels.tolist()
    return seen


EXPECTED = [i * i for i in range(22)]


@pytest.mark.parametrize("context", ["fork", "spawn", multiprocessing.get_context("forkserver")])
def test_values_and_order_after_kernels_ran(context):
    fastnn.randn(300, 300) @ fastnn.randn(300, 300)  # the parent has its pool of threads
    loader = DataLoader(Squares(), 4, num_workers=2, multiprocessing_context=context, timeout=60)
    assert squares(loader) == EXPECTED
    assert loader.multiprocessing_context.get_start_method() in ("fork", "spawn", "forkserver")


def test_kernels_run_in_workers():
    class Products(Squares):
        def __getitem__(self, i):
            return fastnn.full((200, 200), float(i)) @ fastnn.eye(200)

    fastnn.randn(300, 300) @ fastnn.randn(300, 300)
    batches = list(DataLoader(Products(4), 2, num_workers=2, timeout=60))
    assert [b[:, 5, 5].tolist() for b in batches] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("prefetch", [1, 3])
@pytest.mark.parametrize("workers", [1, 3])
def test_numbers_of_workers(workers, prefetch, in_order):
    loader = DataLoader(
        Squares(), 4, num_workers=workers, prefetch_factor=prefetch, in_order=in_order
    )
    found = squares(loader)
    assert (found if in_order else sorted(found)) == EXPECTED
    assert len(iter(loader)) == len(loader) == 6


def test_whole_batches_shuffled():
    dataset = TensorDataset(fastnn.arange(100), fastnn.randn(100, 2000))

    def run(workers):
        loader = DataLoader(
            dataset,
            16,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            generator=fastnn.Generator().manual_seed(3),
        )
        return list(loader)

    for numbers, rows in run(2):
        assert sorted(numbers.tolist()) != numbers.tolist()
        np.testing.assert_array_equal(rows.numpy(), dataset.tensors[1].numpy()[numbers.numpy()])
    seen = [i for numbers, _ in run(2) for i in numbers.tolist()]
    assert len(set(seen)) == 96
    assert seen == [i for numbers, _ in run(2) for i in numbers.tolist()]


def test_batches_stay_when_the_memory_is_used_again():
    loader = DataLoader(Squares(), 2, num_workers=1, prefetch_factor=1)
    kept = [images for images, _ in loader]
    assert [b[0, 0, 0, 0].item() for b in kept] == list(range(0, 22, 2))
    kept[0].add_(1.0)  # and may be written to
    assert kept[0][1, 0, 0, 0].item() == 2.0


def test_nested_batches_and_no_batching():
    class Nested(Squares):
        def __getitem__(self, i):
            return {"a": np.full(3, i, np.float32), "b": ("x", [i])}

    (batch,) = DataLoader(Nested(2), 2, num_workers=1)
    assert batch["a"].tolist() == [[0.0] * 3, [1.0] * 3]
    assert list(batch["b"][0]) == ["x", "x"]
    assert batch["b"][1][0].tolist() == [0, 1]
    samples = list(DataLoader(Squares(3), batch_size=None, num_workers=2))
    assert [label for _, label in samples] == [0, 1, 4]
    loader = DataLoader(range(4), batch_sampler=[[3, 1], [0]], num_workers=1)
    assert [b.tolist() for b in loader] == [[3, 1], [0]]


def test_random_numbers_follow_from_the_seed():
    def epochs():
        fastnn.manual_seed(8)
        loader = DataLoader(Draws(8), 2, num_workers=2)
        return [[[c.tolist() for c in batch] for batch in loader] for _ in range(2)]

    first, again = epochs(), epochs()
    assert first == again
    assert first[0] != first[1]
    seeds = {batch[1][0] for batch in first[0]}
    ids = {batch[0][0] for batch in first[0]}
    assert ids == {0, 1}
    assert max(seeds) - min(seeds) == 1  # base seed + id
    for column in (2, 3, 4):
        drawn = np.ravel([batch[column] for batch in first[0]])
        assert len(np.unique(drawn)) == 8  # no two workers, and no two samples, draw alike


def test_streams_are_shared_out():
    loader = DataLoader(Share(11), 2, num_workers=2)
    batches = [b.tolist() for b in loader]
    assert batches == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    dropped = [b.tolist() for b in DataLoader(Share(11), 2, num_workers=2, drop_last=True)]
    assert dropped == batches[:-1]
    assert list(DataLoader(Share(4), None, num_workers=3)) == [0, 1, 2, 3]


def test_persistent_workers_stay():
    class Pids(Squares):
        def __getitem__(self, i):
            return os.getpid()

    loader = DataLoader(Pids(8), 2, num_workers=2, persistent_workers=True)
    first = {p for b in loader for p in b.tolist()}
    next(iter(loader))  # abandoned
    assert {p for b in loader for p in b.tolist()} == first
    stream = DataLoader(Share(6), 2, num_workers=2, persistent_workers=True)
    assert [b.tolist() for b in stream] == [b.tolist() for b in stream] == [[0, 2], [1, 3], [4], [5]]  # fmt: skip


def test_errors_come_back_as_their_type():
    loader = DataLoader(Failing(raise_key_error), 4, num_workers=2)
    with pytest.raises(KeyError, match="worker process 1(.|\n)*thirteen") as caught:
        list(loader)
    assert "raise_key_error" in str(caught.value)
    for act, text in ((raise_with_arguments, "WithArguments"), (raise_local, "inside")):
        with pytest.raises(RuntimeError, match=text):
            list(DataLoader(Failing(act), 4, num_workers=1))


def test_iteration_goes_on_after_an_error():
    batches = iter(DataLoader(Failing(raise_key_error), 11, num_workers=1))
    assert len(next(batches)) == 11
    with pytest.raises(KeyError):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)


def test_an_error_at_the_start_of_a_worker():
    with pytest.raises(OSError, match="no start of 0"):
        list(DataLoader(Squares(), num_workers=1, worker_init_fn=fail_to_start))


@pytest.mark.parametrize(("act", "how"), [(kill_me, "SIGKILL"), (exit_me, "exit code 3")])
def test_a_worker_that_dies(act, how):
    batches = iter(DataLoader(Failing(act), 4, num_workers=2))
    with pytest.raises(RuntimeError, match=f"worker .pid.s. [0-9]+. exited unexpectedly.*{how}"):
        list(batches)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        next(batches)


def test_persistent_workers_are_replaced_after_a_death():
    loader = DataLoader(Squares(8), 2, num_workers=1, persistent_workers=True)
    assert len(squares(loader)) == 8
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        squares(loader)
    assert len(squares(loader)) == 8


def test_timeout():
    loader = DataLoader(Failing(sleep_long), 20, num_workers=1, timeout=0.5)
    loader_stop = "fastnn.utils.data.multiprocess._STOP_SECONDS"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader_stop, 0.2)
        start = time.monotonic()
        with pytest.raises(RuntimeError, match="timed out after 0.5 seconds"):
            list(loader)
    assert time.monotonic() - start < 10


def test_large_batches_of_indices_do_not_block():
    # 400 KB of indices a task fill a pipe (64 KB) while the results of the last task fill the other.
    loader = DataLoader(
        TensorDataset(fastnn.arange(200_000)), 50_000, num_workers=1, prefetch_factor=4
    )
    assert sum(len(batch) for (batch,) in loader) == 200_000


def test_pin_memory_warns():
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert len(list(DataLoader(range(3), pin_memory=True))) == 3


def test_an_iterator_left_at_the_end_of_the_program(tmp_path):
    program = """
import fastnn
from fastnn.utils.data import DataLoader, TensorDataset
if __name__ == "__main__":
    fastnn.randn(300, 300) @ fastnn.randn(300, 300)
    dataset = TensorDataset(fastnn.zeros(100, 50_000))
    for method in ("fork", "spawn"):
        batches = iter(DataLoader(dataset, 4, num_workers=2, multiprocessing_context=method))
        next(batches)
        other = iter(DataLoader(dataset, 4, num_workers=2, persistent_workers=True))
        next(other)
    print("end")
"""
    script = Path(tmp_path, "program.py")
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


def test_workers_end_when_the_parent_is_killed(tmp_path):
    program = """
import os, fastnn
from fastnn.utils.data import DataLoader
batches = iter(DataLoader(range(100), 4, num_workers=2))
import multiprocessing
print(*[p.pid for p in multiprocessing.active_children()], flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=60)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 15
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.1)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"multiprocessing_context": "thread"}, ValueError, "valid start method"),
        ({"multiprocessing_context": 3}, TypeError, "context object"),
        ({"prefetch_factor": 0}, ValueError, "prefetch_factor"),
        ({"pin_memory_device": "cuda"}, NotImplementedError, "pin_memory_device"),
    ],
)
def test_arguments(options, error, message):
    with pytest.raises(error, match=message):
        DataLoader(range(4), num_workers=1, **options)
