"""The context manager, and schedules of which steps it records."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from ._events import Event, EventList, averages, write_trace
from ._recorder import Recorder, record_function


class ProfilerActivity(Enum):
    """What to record: the CPU's work."""

    CPU = 0


class ProfilerAction(Enum):
    """What happens in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0
) -> Callable[[int], ProfilerAction]:
    """Cycles of steps: ``wait`` without recording, ``warmup`` recorded and thrown away, ``active`` recorded.

    Args:
        repeat: how many cycles; 0: without end.
        skip_first: steps before the first cycle.

    Raises:
        ValueError: a negative number, or no active step.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError(
            f"schedule: expects numbers >= 0 and active >= 1, got wait={wait}, warmup={warmup}, active={active}, "
            f"repeat={repeat}, skip_first={skip_first}"
        )

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        cycle = wait + warmup + active
        if step < 0 or (repeat and step >= repeat * cycle):
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """An ``on_trace_ready`` that writes each trace into ``dir_name``.

    Raises:
        ValueError: ``use_gzip``, which is not supported.
    """
    if use_gzip:
        raise ValueError(
            "tensorboard_trace_handler: use_gzip=True is not supported; compress the files afterwards"
        )

    def write(prof: profile) -> None:
        folder = Path(dir_name)
        folder.mkdir(parents=True, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        prof.export_chrome_trace(folder / f"{worker}.{time.time_ns()}.pt.trace.json")

    return write


class profile:
    """Record what runs inside: operations, gradients, optimizer steps and modules.

    Args:
        activities: None or ``ProfilerActivity.CPU``.
        schedule: which steps to record (``step()`` ends one); default: all.
        on_trace_ready: called with this object when a cycle (or the whole) is recorded.
        record_shapes: keep the shapes of inputs.
        profile_memory: keep the bytes of results.
        with_stack, with_flops: not supported; ``summary`` counts FLOPs.
        with_modules: modules are always recorded.

    Raises:
        ValueError: something that is not supported.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
    ) -> None:
        for activity in activities or ():
            if activity is not ProfilerActivity.CPU:
                raise ValueError(
                    f"profile: activity {activity!r} is not supported; there is ProfilerActivity.CPU"
                )
        if with_stack:
            raise ValueError(
                "profile: with_stack=True is not supported; a sampling profiler shows Python's stack"
            )
        if with_flops:
            raise ValueError(
                "profile: with_flops=True is not supported; fastnn.summary counts FLOPs"
            )
        self._schedule = schedule
        self._ready = on_trace_ready
        self._shapes = record_shapes
        self._memory = profile_memory
        self._recorder: Recorder | None = None
        self._events: list[Event] = []
        self._step: record_function | None = None
        self.step_num = 0
        self.current_action = ProfilerAction.NONE

    def _action(self, step: int) -> ProfilerAction:
        return ProfilerAction.RECORD if self._schedule is None else self._schedule(step)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; ``with`` does it."""
        self._enter(self._action(0))

    def stop(self) -> None:
        """End; ``with`` does it."""
        self._leave_step()
        if self.current_action is ProfilerAction.WARMUP:
            self._take(keep=False)
        elif self._recorder is not None:
            self._take(keep=True)
            if self._ready is not None:
                self._ready(self)
        self.current_action = ProfilerAction.NONE

    def step(self) -> None:
        """The end of a step of training."""
        last = self.current_action
        self._leave_step()
        self.step_num += 1
        following = self._action(self.step_num)
        if last is ProfilerAction.RECORD_AND_SAVE:
            self._take(keep=True)
            if self._ready is not None:
                self._ready(self)
        elif last is ProfilerAction.WARMUP and following is not ProfilerAction.WARMUP:
            self._take(keep=False)
        self._enter(following)

    def _enter(self, action: ProfilerAction) -> None:
        self.current_action = action
        if action is ProfilerAction.NONE:
            self._take(keep=False)
            return
        if self._recorder is None:
            self._recorder = Recorder(self._shapes, self._memory)
            self._recorder.start()
        if self._schedule is not None:
            self._step = record_function(f"ProfilerStep#{self.step_num}").__enter__()

    def _leave_step(self) -> None:
        if self._step is not None:
            self._step.__exit__()
            self._step = None

    def _take(self, keep: bool) -> None:
        """Stop recording; keep what was recorded, or throw it away."""
        if self._recorder is None:
            return
        self._recorder.stop()
        if keep:
            self._events = self._recorder.events
        self._recorder = None

    def events(self) -> list[Event]:
        """All events of the last cycle, in the order of their ends."""
        return list(self._events if self._recorder is None else self._recorder.events)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """The events summed by name, and by input shapes where asked.

        Raises:
            ValueError: ``group_by_stack_n``, which is not supported.
        """
        if group_by_stack_n:
            raise ValueError(
                "key_averages: group_by_stack_n is not supported; stacks are not recorded"
            )
        return averages(self.events(), group_by_input_shape)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a trace for chrome://tracing or Perfetto."""
        write_trace(self.events(), path)
