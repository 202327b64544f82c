"""What was recorded: events, their averages, the table, the trace."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Event:
    """One span of time.

    Attributes:
        name: of the operation, gradient node, module or user's block.
        kind: "operation", "backward", "module" or "user".
        start, end: in nanoseconds.
        thread: the number of the Python thread.
        module: the dotted path of the module that it ran in.
        children: the time of the spans inside it, in nanoseconds.
        shapes: of the tensors it was called with, where they were asked for.
        memory: bytes of its results, where they were asked for.
        depth: how many spans it lies in.
    """

    name: str
    kind: str
    start: int
    end: int = 0
    thread: int = 0
    module: str = ""
    children: int = 0
    shapes: tuple[Any, ...] = ()
    memory: int = 0
    depth: int = 0

    @property
    def cpu_time_total(self) -> float:
        """Its time, in microseconds."""
        return (self.end - self.start) / 1e3

    @property
    def self_cpu_time_total(self) -> float:
        """Its time without that of the spans inside it, in microseconds."""
        return (self.end - self.start - self.children) / 1e3


@dataclass
class EventAverage:
    """All events of one name (and shapes, where grouped by them).

    Attributes:
        key: the name.
        count: how many.
        cpu_time_total, self_cpu_time_total: in microseconds, summed.
        memory: bytes of results, summed.
        shapes: what they were grouped by.
        modules: the modules that they ran in.
    """

    key: str
    kind: str
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    memory: int = 0
    shapes: tuple[Any, ...] = ()
    modules: set[str] = field(default_factory=set)

    @property
    def cpu_time(self) -> float:
        """The mean time of one event, in microseconds."""
        return self.cpu_time_total / self.count


_SORT_KEYS = {
    "cpu_time": "cpu_time",
    "cpu_time_total": "cpu_time_total",
    "self_cpu_time_total": "self_cpu_time_total",
    "cpu_memory_usage": "memory",
    "self_cpu_memory_usage": "memory",
    "count": "count",
}


def _time(us: float) -> str:
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


class EventList(list[EventAverage]):
    """Averages by name, with a table."""

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """The averages as text.

        Args:
            sort_by: "cpu_time_total", "self_cpu_time_total", "cpu_time", "cpu_memory_usage" or "count"; None: as recorded.
            row_limit: rows at the most; -1: all.
            max_name_column_width, max_shapes_column_width: longer texts are cut.
            header: a line above.

        Raises:
            ValueError: another ``sort_by``, or ``top_level_events_only``, which is not supported.
        """
        if sort_by is not None and sort_by not in _SORT_KEYS:
            raise ValueError(
                f"table: sort_by must be one of {', '.join(_SORT_KEYS)} or None, got {sort_by!r}"
            )
        if top_level_events_only:
            raise ValueError(
                "table: top_level_events_only is not supported; sort by cpu_time_total"
            )
        rows = list(self)
        if sort_by is not None:
            rows.sort(key=lambda r: getattr(r, _SORT_KEYS[sort_by]), reverse=True)
        if row_limit >= 0:
            rows = rows[:row_limit]
        total = sum(r.self_cpu_time_total for r in self) or 1.0
        with_shapes = any(r.shapes for r in self)
        with_memory = any(r.memory for r in self)
        titles = ["Name", "Self CPU %", "Self CPU", "CPU total", "CPU time avg", "# of Calls"]
        titles += ["CPU Mem"] * with_memory + ["Input Shapes"] * with_shapes
        lines = [titles]
        for r in rows:
            line = [
                r.key[:max_name_column_width],
                f"{100 * r.self_cpu_time_total / total:.2f}%",
                _time(r.self_cpu_time_total),
                _time(r.cpu_time_total),
                _time(r.cpu_time),
                str(r.count),
            ]
            if with_memory:
                line.append(f"{r.memory / 1024:.2f} KiB")
            if with_shapes:
                line.append(str(list(r.shapes))[:max_shapes_column_width])
            lines.append(line)
        widths = [max(len(line[i]) for line in lines) for i in range(len(titles))]
        rule = "  ".join("-" * w for w in widths)
        text = [
            "  ".join(
                v.ljust(w) if i == 0 else v.rjust(w)
                for i, (v, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        head = [header] if header else []
        end = [rule, f"Self CPU time total: {_time(total)}"]
        return "\n".join([*head, rule, text[0], rule, *text[1:], *end]) + "\n"


def averages(events: list[Event], by_shape: bool) -> EventList:
    """The events summed by name (and shapes), in the order of first appearance."""
    found: dict[Any, EventAverage] = {}
    for event in sorted(events, key=lambda e: (e.start, e.depth)):
        key = (event.name, event.shapes if by_shape else ())
        row = found.get(key)
        if row is None:
            row = found[key] = EventAverage(event.name, event.kind, shapes=key[1])
        row.count += 1
        row.cpu_time_total += event.cpu_time_total
        row.self_cpu_time_total += event.self_cpu_time_total
        row.memory += event.memory
        row.modules.add(event.module)
    return EventList(found.values())


def write_trace(events: list[Event], path: str | os.PathLike[str]) -> None:
    """The events in Chrome's trace format (chrome://tracing, Perfetto)."""
    process = os.getpid()
    spans = []
    for e in sorted(events, key=lambda e: (e.start, e.depth)):
        details: dict[str, Any] = {"module": e.module} if e.module else {}
        if e.shapes:
            details["Input Dims"] = list(e.shapes)
        if e.memory:
            details["Bytes"] = e.memory
        spans.append(
            {
                "ph": "X",
                "cat": e.kind,
                "name": e.name,
                "pid": process,
                "tid": e.thread,
                "ts": e.start / 1e3,
                "dur": e.cpu_time_total,
                "args": details,
            }
        )
    document = {"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": spans}
    Path(path).write_text(json.dumps(document))
