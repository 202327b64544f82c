"""Iterating with worker processes: who gets which batch, and what happens when one of them ends.

Every worker has two pipes of its own and shares no lock with anybody, so one that is killed cannot hold up the
others: its pipes close, and the iterator says so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import fastnn

from .fetch import Fetcher
from .transport import Segment, decode
from .worker import Job, work

__all__ = ["WorkerIterator"]

_STOP_SECONDS = 5.0  # a worker may finish the batch that it is at
_CHECK_SECONDS = 5.0  # between looks at whether the workers live, besides the news from their pipes


@dataclass
class _Worker:
    id: int
    process: Any
    tasks: Connection
    results: Connection
    segments: list[Segment]
    free: list[int]
    pending: int = 0
    active: bool = True
    fresh: bool = False


class WorkerIterator:
    """One pass over a dataset, its batches made by ``num_workers`` processes.

    Args:
        fetcher: Makes a batch of its indices; each worker has a copy.
        tasks: The batches of indices, in order; endless for a stream, which ends by itself.
        num_workers, prefetch_factor, timeout, worker_init_fn, in_order, persistent: The DataLoader's.
        context: The ``multiprocessing`` context.
        generator: Source of the base seed.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        tasks: Iterable[Any],
        *,
        num_workers: int,
        prefetch_factor: int,
        timeout: float,
        worker_init_fn: Any,
        in_order: bool,
        persistent: bool,
        context: Any,
        generator: fastnn.Generator | None,
        length: Callable[[], int],
    ) -> None:
        self._prefetch = prefetch_factor
        self._timeout = timeout
        self._in_order = in_order
        self._persistent = persistent
        self._length = length
        self._broken: str | None = None
        base_seed = int(fastnn.randint(0, 2**62, (1,), generator=generator, device="cpu").item())
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _stop, self._workers, os.getpid())
        try:
            for i in range(num_workers):
                job = (fetcher, worker_init_fn, i, num_workers, base_seed)
                _start(self._workers, context, prefetch_factor, job)
        except BaseException:
            self._finalizer()
            raise
        self._begin(tasks)

    @property
    def stopped(self) -> bool:
        """Whether its workers are gone."""
        return not self._finalizer.alive

    def restart(self, tasks: Iterable[Any]) -> None:
        """A new epoch with the same workers; what the last one left under way is thrown away."""
        while any(worker.pending for worker in self._workers):
            self._receive(keep=False)
        for worker in self._workers:
            worker.active = worker.fresh = True
        self._begin(tasks)

    def _begin(self, tasks: Iterable[Any]) -> None:
        self._tasks = iter(tasks)
        self._exhausted = False
        self._cycle = itertools.cycle(self._workers)
        self._sent = self._taken = 0
        self._owner: dict[int, _Worker] = {}
        self._slots: dict[int, int | None] = {}
        self._ready: dict[int, tuple[str, Any]] = {}
        self._fill()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return self._length()

    def __next__(self) -> Any:
        if self._broken is not None:
            raise RuntimeError(self._broken)
        while self._sent > self._taken:
            index, kind, value = self._take()
            worker = self._owner.pop(index)
            self._taken += 1
            if kind == "end":
                worker.active = False
            self._fill()
            if kind == "failure":
                raise value.exception()
            if kind == "batch":
                return value
        if not self._persistent:
            self._finalizer()
        raise StopIteration

    def _fill(self) -> None:
        """Hands out tasks until ``prefetch_factor`` batches a worker are under way or ready."""
        while not self._exhausted and self._sent - self._taken < self._prefetch * len(
            self._workers
        ):
            worker = self._next_worker()
            if worker is None:
                return
            try:
                indices = next(self._tasks)
            except StopIteration:
                self._exhausted = True
                return
            slot = worker.free.pop() if worker.free else None
            self._slots[self._sent] = slot
            try:
                worker.tasks.send((self._sent, slot, indices, worker.fresh))
            except (BrokenPipeError, ConnectionResetError):
                raise self._died(worker) from None
            worker.fresh = False
            worker.pending += 1
            self._owner[self._sent] = worker
            self._sent += 1

    def _next_worker(self) -> _Worker | None:
        """In order, each in turn: which worker makes which batch depends on nothing else. Else the least busy."""
        active = [worker for worker in self._workers if worker.active]
        if not active:
            return None
        if not self._in_order:
            return min(active, key=lambda worker: worker.pending)
        return next(worker for worker in self._cycle if worker.active)

    def _take(self) -> tuple[int, str, Any]:
        """The next batch in order, or any where order is not wanted."""
        deadline = time.monotonic() + self._timeout if self._timeout else None
        while True:
            if self._in_order and self._taken in self._ready:
                return (self._taken, *self._ready.pop(self._taken))
            if not self._in_order and self._ready:
                index = next(iter(self._ready))
                return (index, *self._ready.pop(index))
            self._receive(deadline)

    def _receive(self, deadline: float | None = None, keep: bool = True) -> None:
        """Waits for news of the workers that have something to do, and takes it all."""
        busy = [worker for worker in self._workers if worker.pending]
        limit = _CHECK_SECONDS
        if deadline is not None:
            limit = min(limit, max(0.0, deadline - time.monotonic()))
        sources = [w.results for w in busy] + [w.process.sentinel for w in busy]
        news = wait(sources, limit)
        for worker in busy:
            # What a worker sent before it ended still counts.
            if worker.results in news or worker.results.poll():
                self._read(worker, keep)
            elif worker.process.sentinel in news or not worker.process.is_alive():
                raise self._died(worker)
        if not news and deadline is not None and time.monotonic() >= deadline:
            self._broken = f"DataLoader timed out after {self._timeout} seconds"
            self._finalizer()
            raise RuntimeError(self._broken)

    def _read(self, worker: _Worker, keep: bool) -> None:
        try:
            index, kind, message = worker.results.recv()
        except (EOFError, ConnectionResetError):
            raise self._died(worker) from None
        worker.pending -= 1
        slot = self._slots.pop(index)
        if keep:
            segment = None if slot is None else worker.segments[slot]
            self._ready[index] = (kind, None if message is None else decode(message, segment))
        if slot is not None:
            worker.free.append(slot)

    def _died(self, worker: _Worker) -> RuntimeError:
        worker.process.join(1.0)
        pid, code = worker.process.pid, worker.process.exitcode
        how = f"exit code {code}"
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"killed by signal {signal.Signals(-code).name}"
        self._broken = (
            f"DataLoader worker (pid(s) {pid}) exited unexpectedly: worker {worker.id}, {how}"
        )
        self._finalizer()
        return RuntimeError(self._broken)


def _start(workers: list[_Worker], context: Any, prefetch: int, job: tuple[Any, ...]) -> None:
    """Starts the next worker; it is in the list as soon as there is something of it to end."""
    forked = context.get_start_method() == "fork"
    tasks_in, tasks_out = context.Pipe(duplex=False)
    results_in, results_out = context.Pipe(duplex=False)
    segments = [Segment() for _ in range(prefetch)] if os.name == "posix" else []
    # A forked process has our descriptors; others get theirs from us as they start.
    handles = [s.descriptor if forked else _Descriptor(s.descriptor) for s in segments]
    # Ends of pipes that a forked worker has besides its own would hide that we are gone.
    unrelated = [c for w in workers for c in (w.tasks, w.results)] + [tasks_out, results_in]
    fetcher, init, number, count, base_seed = job
    process = context.Process(
        target=work,
        args=(
            Job(
                fetcher,
                init,
                number,
                count,
                base_seed,
                tasks_in,
                results_out,
                handles,
                unrelated if forked else [],
            ),
        ),
        daemon=True,
    )
    try:
        with warnings.catch_warnings():
            # The kernels' threads do not survive a fork, and the pool starts anew in the child.
            warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            process.start()
    except BaseException:
        for connection in (tasks_out, results_in):
            connection.close()
        for segment in segments:
            segment.close()
        raise
    finally:
        tasks_in.close()
        results_out.close()
    worker = _Worker(number, process, tasks_out, results_in, segments, list(range(len(segments))))
    workers.append(worker)


class _Descriptor:
    """A file descriptor among the arguments of a process that is not forked."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd  # as the process starts, not before

        return _same, (DupFd(self.descriptor),)


def _same(handle: Any) -> Any:
    return handle


def _stop(workers: list[_Worker], owner: int) -> None:
    """Ends the workers: asked first, then made to."""
    if os.getpid() != owner:  # a process forked from ours has a copy of the list, and no say
        return
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.tasks.send(None)
        worker.tasks.close()
        worker.results.close()
    deadline = time.monotonic() + _STOP_SECONDS
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.terminate()
            worker.process.join(1.0)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        for segment in worker.segments:
            segment.close()
    workers.clear()
