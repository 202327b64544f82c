"""A run as Markdown: a table for each group, and the geometric means of the ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from tabulate import tabulate

from . import goals, plots
from .measure import Result
from .results import Change, Run


def seconds(value: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def table(headers: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    text: str = tabulate(
        [[str(c) for c in row] for row in rows],
        headers=list(headers),
        tablefmt="github",
        disable_numparse=True,
    )
    return text


def groups(results: list[Result]) -> dict[str, list[Result]]:
    """The results by group, in their order."""
    found: dict[str, list[Result]] = {}
    for r in results:
        found.setdefault(r.group, []).append(r)
    return found


def _of_peak(r: Result, run: Run) -> list[str]:
    time = r.median("fastnn")
    flops = f"{r.flops / time / 1e9:.0f} ({r.flops / time / run.machine.flops['float32']:.0%})" if r.flops else ""  # fmt: skip
    moved = f"{r.bytes / time / 1e9:.1f}" if r.bytes else ""
    return [flops, moved]


def _megabytes(r: Result, who: str | None) -> str:
    return f"{r.memory[who] / 1e6:.0f}" if who in r.memory else ""


def _group(results: list[Result], run: Run) -> str:
    headers = ["", "fastnn", "±", "best peer", "", "ratio", "GFLOP/s (of peak)", "GB/s", "faults", "MB", "peer's MB"]  # fmt: skip
    rows: list[list[str]] = []
    for r in results:
        if "fastnn" not in r.seconds:
            rows.append([r.name, f"not measured: {r.missing.get('fastnn', '')}"] + [""] * 9)
            continue
        best = r.best_peer()
        peer = [seconds(r.median(best)), best, f"{r.ratio(best):.2f}"] if best else ["", "", ""]
        faults = statistics.median(r.faults["fastnn"])
        row = [r.name, seconds(r.median("fastnn")), f"{r.spread('fastnn'):.0%}", *peer]
        row += [*_of_peak(r, run), f"{faults:.0f}", _megabytes(r, "fastnn"), _megabytes(r, best)]
        rows.append(row)
    used = [i for i in range(len(headers)) if i < 2 or any(row[i] for row in rows)]
    return table([headers[i] for i in used], [[row[i] for i in used] for row in rows])


def summary(run: Run) -> str:
    """The geometric mean of each group, with its goals."""
    rows = []
    for name, results in groups(run.results).items():
        for goal in goals.of(name):
            if found := goal.ratios(results):
                mean = f"{statistics.geometric_mean(found):.2f}"
                wanted = ["" if g is None else f"{g:.1f}" for g in (goal.mean, goal.least)]
                rows.append([goal.title or name, len(found), mean, wanted[0], f"{min(found):.2f}", wanted[1], f"{max(found):.2f}"])  # fmt: skip
    return table(["", "rows", "geometric mean", "goal", "least", "goal", "most"], rows)


def short_groups(run: Run) -> str:
    """The groups whose mean, or whose least to some peers, is below its goal, and why."""
    rows = []
    for name, results in groups(run.results).items():
        for i, goal in enumerate(goals.of(name)):
            if not (found := goal.ratios(results)):
                continue
            reached = [("geometric mean", statistics.geometric_mean(found), goal.mean)]
            if i > 0:  # (rows below the group's own least have a table of their own)
                reached.append(("least", min(found), goal.least))
            for what, ratio, wanted in reached:
                if wanted and ratio < wanted:
                    why = goal.why or "not known yet"
                    rows.append([goal.title or name, what, f"{ratio:.2f}", f"{wanted:.1f}", why])
    return table(["", "", "ratio", "goal", "cause"], rows) if rows else "None."


def _short(run: Run) -> str:
    rows = [
        [r.title, f"{r.ratio(best):.2f}", best, goals.cause(r)]
        for r in run.results
        if goals.short(r) and (best := r.best_peer())
    ]
    return table(["", "ratio", "to", "cause"], rows) if rows else "None."


def _roofs(run: Run) -> str:
    machine = run.machine
    rows = [[f"{dtype} multiply-adds", f"{v / 1e9:.0f} GFLOP/s"] for dtype, v in machine.flops.items()]  # fmt: skip
    rows += [[f"copies of {int(size) >> 10} KiB", f"{v / 1e9:.0f} GB/s"] for size, v in machine.copies.items()]  # fmt: skip
    return table(["on all threads", ""], rows)


def _sizes(run: Run) -> str:
    rows = [[name, f"{size / 1e6:.1f} MB"] for name, size in run.machine.sizes.items()]
    return table(["installed", ""], rows)


def write(run: Run, path: Path) -> None:
    """Write the report, and its plots in a folder of its name beside it."""
    machine = run.machine
    versions = ", ".join(f"{k} {v}" for k, v in machine.versions.items())
    parts = [
        "# Performance",
        f"Written by `python -m bench run` on {run.date[:10]}: {machine.cpu}, {machine.cores} CPUs, {machine.threads} threads for"
        f" each contestant, ISA level {machine.isa}, {machine.system}, Python {machine.python}; {versions}; built by"
        f" {', '.join(machine.build.values())}.",
        f"Medians of {run.rounds} rounds in which all contestants of a row take turns. ± is half the distance of the quartiles."
        " The ratio is the best peer's time over fastnn's, the median over the rounds: over 1, fastnn is faster. The best peer"
        " is the fastest of what is installed, in all its settings. GFLOP/s and GB/s count the arithmetic of the definition"
        " and each operand and result once; of the peak of float32 multiply-adds. Page faults are fastnn's of a call. MB is"
        " what three calls in a process of their own add to its peak memory.",
        "## Summary",
        summary(run),
        "## Groups below their goal",
        short_groups(run),
        "## Rows below their goal, or slower than a peer",
        _short(run),
        "## The machine's roofs",
        _roofs(run),
        "## Sizes",
        _sizes(run),
    ]
    for title, file in plots.draw(run, path.with_suffix("")).items():
        parts.append(f"![{title}]({path.stem}/{file})")
    for name, results in groups(run.results).items():
        parts += [f"## {name[0].upper()}{name[1:]}", _group(results, run)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def changes(found: list[Change], only_before: list[str], only_after: list[str]) -> str:
    """The comparison of two runs as Markdown."""
    rows = [
        [c.title, seconds(c.before), seconds(c.after), f"{c.ratio:.2f}", "" if c.certain else "within the spread"]
        for c in found
    ]  # fmt: skip
    text = table(["", "before", "after", "before / after", ""], rows)
    if found:
        text += f"\n\nGeometric mean: {statistics.geometric_mean(c.ratio for c in found):.2f}"
    for when, titles in (("before", only_before), ("after", only_after)):
        if titles:
            text += f"\n\nOnly {when}: {'; '.join(titles)}"
    return text
