"""Contestants in a process of their own: for libraries that disturb others, and to measure memory.

A row is found again in the other process by its title, so that nothing but names and numbers goes between the two.
"""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .measure import Local, Sample

_CONTEXT = multiprocessing.get_context("spawn")


def library_of(who: str) -> str:
    """The module that a contestant is named after: "torch compile" is torch's."""
    return who.split()[0]


def apart(who: str) -> bool:
    """Whether the contestant must not share a process: JAX's threads and allocator would disturb the others."""
    return library_of(who) == "jax"


def set_threads(n: int) -> None:
    """Let every library that is loaded here use ``n`` threads."""
    for name in ("fastnn", "torch"):
        if name in sys.modules:
            sys.modules[name].set_num_threads(n)


def _import_library(who: str, threads: int) -> None:
    import fastnn

    fastnn.set_num_threads(threads)
    importlib.import_module(library_of(who))
    set_threads(threads)


def _serve(pipe: Connection, title: str, who: str, threads: int) -> None:
    from .rows import row_of

    try:
        _import_library(who, threads)
        contestant = Local(row_of(title), who)
    except ImportError as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while (repeat := pipe.recv()) is not None:
        sample = contestant(repeat)
        pipe.send((sample.seconds, sample.faults))


class Remote:
    """A contestant in a process of its own.

    Raises:
        ImportError: its library is missing there.
        EOFError: the process ended.
    """

    def __init__(self, title: str, who: str, threads: int) -> None:
        self._pipe, there = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(there, title, who, threads))
        self._process.start()
        there.close()
        error = self._pipe.recv()
        if error is not None:
            self._process.join()
            raise ImportError(error)

    def __call__(self, repeat: int) -> Sample:
        """The mean of ``repeat`` calls, timed over there."""
        self._pipe.send(repeat)
        seconds, faults = self._pipe.recv()
        return Sample(seconds, faults)

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()
        self._pipe.close()


def _status(field: str) -> int:
    """Bytes that Linux tells of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def _peak() -> int:
    try:
        return _status("VmHWM")
    except (OSError, LookupError):  # not Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _measure_memory(pipe: Connection, title: str, who: str, threads: int) -> None:
    from .rows import row_of

    try:
        _import_library(who, threads)
        before = _peak()
        contestant = Local(row_of(title), who)
    except ImportError:
        pipe.send(None)
        return
    for _ in range(3):
        contestant(1)
    pipe.send(_peak() - before)


def peak_memory(title: str, who: str, threads: int) -> int | None:
    """The bytes by which a contestant's set-up and three calls raise the peak of a fresh process.

    The library has been imported before, so that its own size does not count; None where it is missing.
    """
    here, there = _CONTEXT.Pipe()
    process: Any = _CONTEXT.Process(target=_measure_memory, args=(there, title, who, threads))
    process.start()
    there.close()
    try:
        found: int | None = here.recv()
    except EOFError:
        found = None
    process.join()
    return found
