"""Batches between processes: small ones as bytes through a pipe, large arrays through shared memory.

The memory has no name in any file system, only descriptors: when the processes that hold it are gone, however
they ended, the kernel frees it, and nothing can leak or need a tracker.
"""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from typing import Any

import numpy as np

import fastnn

__all__ = ["Segment", "decode", "encode"]

INLINE_BYTES = (
    1 << 16
)  # up to here two copies through a pipe cost less than a segment's bookkeeping
_ALIGNMENT = 64

Layout = list[tuple[int, int]]  # (offset, bytes) of each buffer in a segment
Message = tuple[bytes, "list[bytes] | None", "Layout | None"]


class Segment:
    """Anonymous shared memory that grows on demand; used by one process at a time.

    Args:
        descriptor: An open file descriptor of it; a new segment if None.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _anonymous_file() if descriptor is None else descriptor
        self._map: mmap.mmap | None = None

    def view(self, size: int, grow: bool) -> memoryview:
        """Its first ``size`` bytes, more room being made for them if ``grow``."""
        if self._map is None or len(self._map) < size:
            if grow and os.fstat(self.descriptor).st_size < size:
                # Half as much again: batches of texts or boxes differ in size.
                os.ftruncate(self.descriptor, size + size // 2)
            self._map = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
        return memoryview(self._map)[:size]

    def close(self) -> None:
        """Give up the descriptor; mapped memory goes with its last user."""
        self._map = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def encode(value: Any, segment: Segment | None) -> Message:
    """A value as (pickle, buffers) or as (pickle, places of its buffers in ``segment``)."""
    buffers: list[pickle.PickleBuffer] = []
    payload = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    layout, end = [], 0
    for view in raw:
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        layout.append((start, view.nbytes))
        end = start + view.nbytes
    if segment is None or end <= INLINE_BYTES:
        return payload, [bytes(view) for view in raw], None
    memory = segment.view(end, grow=True)
    for (start, size), view in zip(layout, raw, strict=True):
        memory[start : start + size] = view
    return payload, None, layout


def decode(message: Message, segment: Segment | None) -> Any:
    """The value of a message, in memory of this process: the segment is free afterwards."""
    payload, inline, layout = message
    if inline is not None:
        return pickle.loads(payload, buffers=[_copy(part) for part in inline])
    assert layout is not None
    assert segment is not None
    memory = segment.view(layout[-1][0] + layout[-1][1], grow=False)
    parts = [_copy(memory[start : start + size]) for start, size in layout]
    return pickle.loads(payload, buffers=parts)


def _copy(part: bytes | memoryview) -> Any:
    """An array of these bytes in a buffer of the library's pool."""
    if not len(part):
        return bytearray()
    array = fastnn.empty(len(part), dtype=fastnn.uint8).numpy()
    array[:] = np.frombuffer(part, dtype=np.uint8)
    return array


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("fastnn-batch", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # has lost its name already
        return os.dup(file.fileno())
