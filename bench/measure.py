"""Measuring fairly on a shared machine: all contestants in turns, many rounds, medians.

Each round runs every contestant once, in an order that rotates, so that a slow spell of the machine hits all
alike; the ratio of a round is between neighbours in time. Page faults are counted beside the seconds.

A library's threads wait for work by spinning, OpenMP's for some milliseconds, OpenBLAS's and ONNX Runtime's for tens, and
would take a CPU from the next contestant: there is a pause before each measurement, and one more after theirs. Then calls
that do not count wake the threads, one at least, and for long enough that the scheduler has spread them.
"""

from __future__ import annotations

import fnmatch
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

PAUSE = 0.015  # seconds
# What more a contestant's threads need to fall asleep (ONNX Runtime's spun for 60 ms when this was measured), in seconds
RESTS = {"numpy": 0.045, "onnxruntime": 0.06}
WARM = 0.03  # seconds

Maker = Callable[[], Callable[[], object]]


@dataclass
class Row:
    """One line of the suite: how to make fastnn's contestant and those of its peers.

    Attributes:
        group, name: what ``list`` shows and patterns match.
        contestants: a maker for each contestant, "fastnn" among them; a maker returns the function to time, and may
            raise ImportError where its library is missing.
        repeat: calls a measurement (more for what takes microseconds).
        threads: the number of threads for all.
        finish: called at the end of each measurement, within its time: waits for a device.
        flops: multiplications and additions of a call.
        bytes: the least that a call reads and writes: each operand once, each result once.
        series: the curve that the row is a point of, and where: ("square matrices: n", 256).
        memory: whether the report tells the peak memory of a call.
        floors: contestants that do less than fastnn must, and are no peers.
    """

    group: str
    name: str
    contestants: dict[str, Maker]
    repeat: int = 1
    threads: int | None = None
    finish: Callable[[], object] | None = None
    flops: float | None = None
    bytes: float | None = None
    series: tuple[str, float] | None = None
    memory: bool = False
    floors: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The group and the name."""
        return f"{self.group}: {self.name}"


@dataclass
class Sample:
    """One measurement: seconds and page faults of a call."""

    seconds: float
    faults: float


class Contestant(Protocol):
    """What measure() runs: here, or in a process of its own (bench/worker.py)."""

    def __call__(self, repeat: int) -> Sample:
        """The mean of ``repeat`` calls."""

    def close(self) -> None:
        """End what belongs to it."""


class Local:
    """A contestant in this process."""

    def __init__(self, row: Row, who: str) -> None:
        self._function, self._finish = row.contestants[who](), row.finish
        self._rest = RESTS.get(who, 0.0)

    def __call__(self, repeat: int) -> Sample:
        """The mean of ``repeat`` calls."""
        function = self._function
        time.sleep(PAUSE)
        until = time.perf_counter() + WARM
        while True:
            function()
            if self._finish is not None:
                self._finish()
            if time.perf_counter() >= until:
                break
        faults = _page_faults()
        start = time.perf_counter()
        for _ in range(repeat):
            function()
        if self._finish is not None:
            self._finish()
        seconds = time.perf_counter() - start
        sample = Sample(seconds / repeat, (_page_faults() - faults) / repeat)
        time.sleep(self._rest)
        return sample

    def close(self) -> None:
        """Nothing belongs to it."""


def _page_faults() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt + usage.ru_majflt


@dataclass
class Result:
    """Seconds and page faults a call, of each round, and the bytes that a contestant needs at most."""

    group: str
    name: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    faults: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    flops: float | None = None
    bytes: float | None = None
    series: tuple[str, float] | None = None
    floors: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The group and the name."""
        return f"{self.group}: {self.name}"

    def median(self, who: str) -> float:
        """The median of a contestant's rounds."""
        return statistics.median(self.seconds[who])

    def spread(self, who: str) -> float:
        """Half the distance between the quartiles of a contestant's rounds, as a part of the median."""
        if len(self.seconds[who]) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds[who], n=4)
        return (high - low) / 2 / self.median(who)

    def best_peer(self, pattern: str = "*") -> str | None:
        """The peer with the smallest median, of those whose names match."""
        peers = [
            w
            for w in self.seconds
            if w != "fastnn" and w not in self.floors and fnmatch.fnmatch(w, pattern)
        ]
        return min(peers, key=self.median) if peers else None

    def ratios(self, peer: str) -> list[float]:
        """How many times as long ``peer`` takes, in each round."""
        pairs = zip(self.seconds[peer], self.seconds["fastnn"], strict=True)
        return [p / f for p, f in pairs]

    def ratio(self, peer: str) -> float:
        """How many times as long ``peer`` takes: the median over the rounds."""
        return statistics.median(self.ratios(peer))


def measure(row: Row, make: dict[str, Callable[[], Contestant]], rounds: int) -> Result:
    """Run ``row`` for ``rounds`` rounds, after three of warming up.

    Args:
        row: what to run.
        make: how to start each contestant; one that raises ImportError is told as missing.
        rounds: how many measurements of each.
    """
    result = Result(
        row.group,
        row.name,
        flops=row.flops,
        bytes=row.bytes,
        series=row.series,
        floors=row.floors,
    )
    running: dict[str, Contestant] = {}
    try:
        for who, start in make.items():
            try:
                running[who] = start()
            except ImportError as error:
                result.missing[who] = str(error)
        names = list(running)
        result.seconds = {who: [] for who in names}
        result.faults = {who: [] for who in names}
        for number in range(-3, rounds):
            turn = number % len(names) if names else 0
            for who in names[turn:] + names[:turn]:
                sample = running[who](row.repeat)
                if number >= 0:
                    result.seconds[who].append(sample.seconds)
                    result.faults[who].append(sample.faults)
    finally:
        for contestant in running.values():
            contestant.close()
    return result
