"""Measuring fairly on a shared machine: all contestants in one process, in turns, many rounds, medians.

Each round runs every contestant once, in an order that rotates, so that a slow spell of the machine hits all
alike; the ratio of a round is between neighbours in time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Row:
    """One line of the suite: how to make fastnn's contestant and those of its peers.

    Attributes:
        group, name: what ``--list`` shows and patterns match.
        contestants: a maker for each contestant, "fastnn" among them; a maker returns the function to time, and may
            raise ImportError where its library is missing.
        repeat: calls a measurement (more for what takes microseconds).
        threads: the number of threads for all.
        finish: called at the end of each measurement, within its time: waits for a device.
    """

    group: str
    name: str
    contestants: dict[str, Callable[[], Callable[[], object]]]
    repeat: int = 1
    threads: int | None = None
    finish: Callable[[], object] | None = None


@dataclass
class Result:
    """Seconds a call, of each round."""

    row: Row
    seconds: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def median(self, who: str) -> float:
        """The median of a contestant's rounds."""
        return statistics.median(self.seconds[who])

    def best_peer(self) -> str | None:
        """The peer with the smallest median."""
        peers = [w for w in self.seconds if w != "fastnn"]
        return min(peers, key=self.median) if peers else None

    def ratio(self, peer: str) -> float:
        """How many times as long ``peer`` takes: the median over the rounds."""
        pairs = zip(self.seconds[peer], self.seconds["fastnn"], strict=True)
        return statistics.median(p / f for p, f in pairs)


def measure(row: Row, rounds: int) -> Result:
    """Run ``row`` for ``rounds`` rounds, after three of warming up."""
    result = Result(row)
    functions: dict[str, Callable[[], object]] = {}
    for who, make in row.contestants.items():
        try:
            functions[who] = make()
        except ImportError as error:
            result.missing[who] = str(error)
    names = list(functions)
    result.seconds = {who: [] for who in names}
    for number in range(-3, rounds):
        turn = number % len(names)
        for who in names[turn:] + names[:turn]:
            function = functions[who]
            start = time.perf_counter()
            for _ in range(row.repeat):
                function()
            if row.finish is not None:
                row.finish()
            if number >= 0:
                result.seconds[who].append((time.perf_counter() - start) / row.repeat)
    return result
