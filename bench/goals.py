"""What fastnn wants to reach against the best peer, and why rows fall short of it."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from .measure import Result


@dataclass(frozen=True)
class Goal:
    """Ratios of the best peer's time to fastnn's: the geometric mean of a group, and the least of its rows."""

    mean: float | None = None
    least: float | None = None


GOALS = {
    "gemm": Goal(least=1.0),
    "conv": Goal(mean=2.0, least=1.0),
    "pool": Goal(mean=5.0),
    "norm": Goal(least=1.0),
    "softmax": Goal(least=1.0),
    "elementwise": Goal(least=1.0),
    "reduction": Goal(least=1.0),
    "rnn": Goal(mean=1.5, least=1.0),
    "attention": Goal(mean=1.5),
    "training": Goal(mean=3.0, least=1.5),
    "inference": Goal(mean=3.0, least=1.0),
}

# Of rows whose titles begin as the pattern says; the first that matches.
CAUSES: list[tuple[str, str]] = []


def short(result: Result) -> bool:
    """Whether a row is below its group's least, or slower than a peer."""
    best = result.best_peer()
    least = GOALS.get(result.group, Goal()).least or 1.0
    return "fastnn" in result.seconds and best is not None and result.ratio(best) < least


def cause(result: Result) -> str:
    """Why the row falls short, as far as known."""
    for pattern, why in CAUSES:
        if fnmatch.fnmatch(result.title, pattern + "*"):
            return why
    return "not known yet"
