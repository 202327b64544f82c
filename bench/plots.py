"""Plots of a run: its roofline, its ratios, and its curves over sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .measure import Result
from .results import Run


def draw(run: Run, folder: Path) -> dict[str, str]:
    """Draw into ``folder``; the files by title."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    measured = [r for r in run.results if "fastnn" in r.seconds]
    figures: dict[str, Any] = {}
    if any(r.flops and r.bytes for r in measured):
        figures["Roofline"] = _roofline(run, measured)
    if any(r.best_peer() for r in measured):
        figures["Ratios to the best peer"] = _ratios(measured)
    for name in dict.fromkeys(r.series[0] for r in measured if r.series):
        points = [r for r in measured if r.series and r.series[0] == name]
        if len(points) > 1:
            figures[name] = _series(name, points)
    files = {}
    for title, figure in figures.items():
        files[title] = re.sub(r"\W+", "-", title.lower()).strip("-") + ".svg"
        # The same run gives the same file.
        with matplotlib.rc_context({"svg.hashsalt": "fastnn"}):
            figure.savefig(folder / files[title], metadata={"Date": None})
    return files


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _roofline(run: Run, results: list[Result]) -> Any:
    """FLOP/s over FLOPs a byte, under the roofs of memory and arithmetic."""
    figure, axes = _axes(8, 5)
    peak, bandwidth = run.machine.flops["float32"], run.machine.bandwidth
    edge = peak / bandwidth
    axes.plot([0.05, edge, 4096], [0.05 * bandwidth / 1e9, peak / 1e9, peak / 1e9], color="black")
    for group in dict.fromkeys(r.group for r in results):
        points = [
            (r.flops / r.bytes, r.flops / r.median("fastnn") / 1e9)
            for r in results
            if r.group == group and r.flops and r.bytes
        ]
        if points:
            axes.scatter(*zip(*points, strict=True), s=14, label=group)
    axes.set(xscale="log", yscale="log", xlabel="FLOPs a byte", ylabel="GFLOP/s")
    axes.legend()
    return figure


def _ratios(results: list[Result]) -> Any:
    """Every row's ratio to its best peer, a line for each group."""
    groups = list(dict.fromkeys(r.group for r in results))
    figure, axes = _axes(8, 0.4 * len(groups) + 1.2)
    for height, group in enumerate(reversed(groups)):
        found = [r.ratio(best) for r in results if r.group == group and (best := r.best_peer())]
        axes.scatter(found, [height] * len(found), s=14, alpha=0.6)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlabel="the best peer's time over fastnn's")
    axes.set_yticks(range(len(groups)), list(reversed(groups)))
    return figure


def _series(name: str, results: list[Result]) -> Any:
    """Times of all contestants over the size that the series varies."""
    figure, axes = _axes(6, 4)
    results = sorted(results, key=lambda r: r.series[1] if r.series else 0)
    for who in dict.fromkeys(w for r in results for w in r.seconds):
        points = [
            (r.series[1], r.median(who) * 1e3) for r in results if r.series and who in r.seconds
        ]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=who)
    title, _, size = name.partition(": ")
    axes.set(xscale="log", yscale="log", title=title, xlabel=size, ylabel="ms")
    axes.legend()
    return figure
