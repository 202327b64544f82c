"""Command line: ``python -m bench [PATTERN] [--list] [--rounds N] [--threads N] [--json FILE]``."""

from __future__ import annotations

import argparse
import fnmatch
import json
import platform
from pathlib import Path

import fastnn

from . import (
    conv,
    cuda,
    elementwise,
    gemm,
    norm,
    optim,
    overhead,
    pool,
    reduction,
    softmax,
    training,
)
from .measure import Result, Row, measure

FAMILIES = (
    overhead,
    gemm,
    conv,
    elementwise,
    reduction,
    pool,
    softmax,
    norm,
    optim,
    training,
    cuda,
)
ROWS: list[Row] = [row for family in FAMILIES for row in family.ROWS]


def _set_threads(n: int) -> None:
    fastnn.set_num_threads(n)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(n)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


def _report(result: Result) -> None:
    parts = [f"{who} {_time(result.median(who))}" for who in result.seconds]
    ratios = [f"{peer} {result.ratio(peer):.2f}x" for peer in result.seconds if peer != "fastnn"]
    print(f"{result.row.group}: {result.row.name}\n  median  {',  '.join(parts)}")
    print(f"  peer's time over fastnn's  {',  '.join(ratios) or 'no peer installed'}", flush=True)
    for who, why in result.missing.items():
        print(f"  {who}: not measured: {why}")


def main() -> None:
    """Measure the rows that match, print medians and ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="*", help="rows to run, such as 'training*'")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=fastnn.get_num_threads())
    parser.add_argument("--json", type=Path, help="write all rounds to this file")
    arguments = parser.parse_args()
    rows = [r for r in ROWS if fnmatch.fnmatch(f"{r.group}: {r.name}", f"{arguments.pattern}*")]
    if not rows:
        parser.error(f"no row matches {arguments.pattern!r}; --list names them")
    if arguments.list:
        print("\n".join(f"{r.group}: {r.name}" for r in rows))
        return
    fastnn.show_config()
    if not fastnn.cuda.is_available():
        rows = [r for r in rows if r.finish is None]
        if not rows:
            parser.error("these rows need a GPU")
    results = []
    for row in rows:
        _set_threads(row.threads or arguments.threads)
        results.append(measure(row, arguments.rounds))
        _report(results[-1])
    if arguments.json:
        data = {
            "fastnn": fastnn.__version__,
            "machine": platform.processor() or platform.machine(),
            "rows": [
                {
                    "group": r.row.group,
                    "name": r.row.name,
                    "seconds": r.seconds,
                    "missing": r.missing,
                }
                for r in results
            ],
        }
        arguments.json.write_text(json.dumps(data, indent=1))


if __name__ == "__main__":
    main()
