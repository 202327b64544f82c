"""Results of a run as JSON, and the comparison of two runs."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .measure import Result
from .roofline import Machine

FORMAT = 1


@dataclass
class Run:
    """What one command measured."""

    machine: Machine
    rounds: int
    date: str
    results: list[Result] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the run, every round of it, as JSON."""
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1), encoding="utf-8")


def load(path: Path) -> Run:
    """A run from a file that save() wrote.

    Raises:
        ValueError: the file is not of this format.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"is of format {data['format']}, not {FORMAT}")
        results = [Result(**r) for r in data["results"]]
        for r in results:
            r.series = r.series and (r.series[0], r.series[1])
            r.floors = tuple(r.floors)
        return Run(Machine(**data["machine"]), data["rounds"], data["date"], results)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a result of python -m bench run: {error}") from error


def merge(runs: list[Run]) -> Run:
    """One run of the rows of all; of a row measured twice the last.

    Raises:
        ValueError: the runs are not of one machine with the same versions and threads.
    """
    first = runs[0]
    for run in runs[1:]:
        for name, value in asdict(run.machine).items():
            if name not in ("flops", "copies", "sizes") and value != getattr(first.machine, name):
                raise ValueError(f"runs of different machines: {name} is {getattr(first.machine, name)!r} and {value!r}")  # fmt: skip
        if run.rounds != first.rounds:
            raise ValueError(f"runs of {first.rounds} and of {run.rounds} rounds")
    rows = {r.title: r for run in runs for r in run.results}
    return Run(first.machine, first.rounds, runs[-1].date, list(rows.values()))


@dataclass
class Change:
    """How fastnn's time of a row changed from one run to another.

    Attributes:
        title: the row.
        before, after: medians in seconds.
        certain: whether the middle halves of the rounds lie apart.
    """

    title: str
    before: float
    after: float
    certain: bool

    @property
    def ratio(self) -> float:
        """How many times as long it took before."""
        return self.before / self.after


def compare(before: Run, after: Run) -> tuple[list[Change], list[str], list[str]]:
    """The rows of both runs, the titles of those only in the first, and only in the second."""
    old = {r.title: r for r in before.results if "fastnn" in r.seconds}
    new = {r.title: r for r in after.results if "fastnn" in r.seconds}
    changes = []
    for title in old:
        if title in new:
            a, b = old[title].seconds["fastnn"], new[title].seconds["fastnn"]
            low_a, high_a = _middle(a)
            low_b, high_b = _middle(b)
            changes.append(
                Change(
                    title,
                    statistics.median(a),
                    statistics.median(b),
                    high_a < low_b or high_b < low_a,
                )
            )
    return changes, [t for t in old if t not in new], [t for t in new if t not in old]


def _middle(rounds: list[float]) -> tuple[float, float]:
    if len(rounds) < 2:
        return rounds[0], rounds[0]
    low, _, high = statistics.quantiles(rounds, n=4)
    return low, high
