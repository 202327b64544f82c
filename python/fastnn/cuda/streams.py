"""Streams and events: CuPy's, by PyTorch's names. Under the emulator all work is done when a call returns."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from . import _runtime


def _cupy() -> Any:
    """CuPy, or None under the emulator.

    Raises:
        RuntimeError: there is no GPU.
    """
    library = _runtime.arrays()
    return None if _runtime.emulated() else library


class Event:
    """A point in a stream.

    Args:
        enable_timing: whether ``elapsed_time`` is wanted.
        blocking: whether ``synchronize`` sleeps rather than spins.

    Raises:
        RuntimeError: there is no GPU.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        library = _cupy()
        self.enable_timing = enable_timing
        self._time: float | None = None
        self._event = (
            None
            if library is None
            else library.cuda.Event(block=blocking, disable_timing=not enable_timing)
        )

    def record(self, stream: Stream | None = None) -> None:
        """Mark this point of a stream (of the current one)."""
        self._time = time.perf_counter()
        if self._event is not None:
            self._event.record((stream or current_stream())._stream)

    def synchronize(self) -> None:
        """Wait until the work before this point is done."""
        if self._event is not None:
            self._event.synchronize()

    def query(self) -> bool:
        """Whether the work before this point is done."""
        return True if self._event is None else bool(self._event.done)

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream (the current one) wait for this point."""
        (stream or current_stream()).wait_event(self)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this point to another; under the emulator the host's clock.

        Raises:
            RuntimeError: timing is off, or one of the two was not recorded.
        """
        if not (self.enable_timing and end_event.enable_timing):
            raise RuntimeError("elapsed_time: both events need enable_timing=True")
        if self._time is None or end_event._time is None:
            raise RuntimeError("elapsed_time: both events must be recorded")
        if self._event is None:
            return (end_event._time - self._time) * 1e3
        return float(_cupy().cuda.get_elapsed_time(self._event, end_event._event))


class Stream:
    """A queue of work on the GPU.

    Args:
        device: the GPU; None: the current one.
        priority: smaller numbers first.

    Raises:
        RuntimeError: there is no GPU.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, _stream: Any = None) -> None:
        library = _cupy()
        if library is not None and _stream is None:
            from . import device as on_device

            with on_device(device):
                _stream = library.cuda.Stream(non_blocking=True, priority=priority)
        self._stream = _stream

    @property
    def cuda_stream(self) -> int:
        """The stream's address."""
        return 0 if self._stream is None else int(self._stream.ptr)

    def synchronize(self) -> None:
        """Wait until its work is done."""
        if self._stream is not None:
            self._stream.synchronize()

    def query(self) -> bool:
        """Whether its work is done."""
        return True if self._stream is None else bool(self._stream.done)

    def record_event(self, event: Event | None = None) -> Event:
        """Mark this point of the stream."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what comes later wait for an event."""
        if self._stream is not None:
            self._stream.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Let what comes later wait for what is in another stream now."""
        self.wait_event(stream.record_event())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def __enter__(self) -> Stream:
        if self._stream is not None:
            self._stream.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.__exit__(kind, value, traceback)


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to."""
    library = _cupy()
    return Stream(_stream=None if library is None else library.cuda.get_current_stream())


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to where no other is chosen."""
    library = _cupy()
    return Stream(_stream=None if library is None else library.cuda.Stream.null)


def stream(stream: Stream) -> Stream:
    """A context in which work goes to ``stream``."""
    return stream
