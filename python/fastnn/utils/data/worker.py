"""The worker process of a DataLoader: takes indices, fetches batches, sends them back."""

from __future__ import annotations

import os
import queue
import random
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import fastnn

from .fetch import END, Fetcher
from .transport import Segment, encode

__all__ = ["Failure", "Job", "WorkerInfo", "get_worker_info", "work"]

_PARENT_CHECK = 2.0  # seconds between looks at whether the parent lives


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker knows of itself.

    Args:
        id: 0 … num_workers - 1.
        num_workers: Workers of this iterator.
        seed: The seed of this worker's random numbers: a base seed, drawn every epoch, plus ``id``.
        dataset: This process's copy of the dataset.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a DataLoader, what it is; None in any other process.

    An `IterableDataset` reads it to take its share: every worker iterates over its own copy.

    >>> get_worker_info() is None
    True
    """
    return _info


@dataclass
class Failure:
    """An exception of a worker, on its way to the process that iterates."""

    type: type[BaseException] | None
    name: str
    text: str
    where: str

    @classmethod
    def current(cls, error: BaseException, where: str) -> Failure:
        """The error that is being handled, with its traceback."""
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        return cls(type(error), type(error).__name__, text, where)

    def exception(self) -> BaseException:
        """The exception to raise: of the original type where that takes a message."""
        message = f"Caught {self.name} {self.where}.\nOriginal {self.text}"
        if self.type is KeyError:
            return KeyError(_Verbatim(message))
        try:
            if self.type is not None:
                return self.type(message)
        except Exception:  # a type of the user's whose constructor wants other things
            return RuntimeError(message)
        return RuntimeError(message)


class _Verbatim(str):
    """KeyError shows the repr of its message; this one's repr is itself, with its lines."""

    def __repr__(self) -> str:
        return str(self)


@dataclass
class Job:
    """All that a worker is started with."""

    fetcher: Fetcher
    init: Callable[[int], None] | None
    id: int
    num_workers: int
    base_seed: int
    tasks: Connection
    results: Connection
    segments: list[Any]  # descriptors, or what gives them in this process
    unrelated: list[Connection]  # ends of other pipes that a forked process has and must not keep


def work(job: Job) -> None:
    """The worker's life: until it is told to stop, or the parent is gone."""
    for connection in job.unrelated:
        connection.close()
    parent = os.getppid()
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(job.tasks, tasks), daemon=True).start()
    segments = [Segment(s if isinstance(s, int) else s.detach()) for s in job.segments]
    where = f"in DataLoader worker process {job.id}"
    try:
        failure = _prepare(job, where)
        while True:
            try:
                task = tasks.get(timeout=_PARENT_CHECK)
            except queue.Empty:
                if os.getppid() != parent:
                    return
                continue
            if task is None:
                return
            index, slot, indices, fresh = task
            if fresh:  # a new epoch of persistent workers
                job.fetcher = _again(job.fetcher)
            segment = None if slot is None else segments[slot]
            job.results.send((index, *_answer(job.fetcher, indices, segment, failure, where)))
    except (BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return  # the parent closed its end, or is being interrupted as we are


def _receive(connection: Connection, tasks: queue.SimpleQueue[Any]) -> None:
    """Takes tasks off the pipe at once, so that the parent never waits for a busy worker to read."""
    try:
        while (task := connection.recv()) is not None:
            tasks.put(task)
    except (EOFError, OSError):
        pass
    tasks.put(None)


def _prepare(job: Job, where: str) -> Failure | None:
    global _info
    seed = job.base_seed + job.id
    fastnn.set_num_threads(1)
    fastnn.manual_seed(seed)
    random.seed(seed)
    np.random.seed(np.random.SeedSequence(seed).generate_state(4))
    _info = WorkerInfo(job.id, job.num_workers, seed, job.fetcher.dataset)
    if job.init is not None:
        try:
            job.init(job.id)
        except Exception as error:
            return Failure.current(error, where)
    # worker_init_fn may have changed the dataset of the information, which is the fetcher's.
    return None


def _again(fetcher: Fetcher) -> Fetcher:
    return Fetcher(
        fetcher.dataset,
        fetcher.stream,
        fetcher.batched,
        fetcher.collate_fn,
        fetcher.drop_last,
        fetcher.batch_size,
    )


def _answer(
    fetcher: Fetcher, indices: Any, segment: Segment | None, failure: Failure | None, where: str
) -> tuple[str, Any]:
    try:
        if failure is None:
            batch = fetcher(indices)
            return ("end", None) if batch is END else ("batch", encode(batch, segment))
    except Exception as error:
        failure = Failure.current(error, where)
    try:
        return "failure", encode(failure, None)
    except Exception:  # a type that pickle does not find by name, such as one of a function
        return "failure", encode(Failure(None, failure.name, failure.text, where), None)
