"""The benchmark suite: fastnn's kernels and training steps beside their peers.

python -m bench                              every row; writes docs/performance.md
python -m bench run 'gemm*' 'conv*'          the rows whose titles match; prints
python -m bench list                         all titles
python -m bench compare before.json after.json
python -m bench report results.json ...      writes docs/performance.md from a run, or from several of one machine
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

import fastnn
from fastnn import cuda

from . import report, results, roofline
from .measure import Contestant, Local, Result, Row, measure
from .rows import matching
from .worker import Remote, apart, library_of, peak_memory, set_threads

REPORT = Path(__file__).resolve().parents[1] / "docs/performance.md"


def _contestants(row: Row, peers: list[str], threads: int) -> dict[str, Callable[[], Contestant]]:
    """How each contestant of a row starts: fastnn, and the peers that were asked for."""
    chosen = [
        who
        for who in row.contestants
        if who == "fastnn"
        or not peers
        or any(fnmatch.fnmatch(who, p) or library_of(who) == p for p in peers)
    ]
    return {
        who: partial(Remote, row.title, who, threads) if apart(who) else partial(Local, row, who)
        for who in chosen
    }


def _tell(result: Result) -> str:
    times = [f"{who} {report.seconds(result.median(who))}" for who in result.seconds]
    best = result.best_peer() if "fastnn" in result.seconds else None
    lines = [f"{result.title}: {f'{result.ratio(best):.2f}' if best else '-'}", f"    {', '.join(times)}"]  # fmt: skip
    lines += [f"    {who}: not measured: {why}" for who, why in result.missing.items()]
    return "\n".join(lines)


def _measure(rows: list[Row], arguments: argparse.Namespace) -> results.Run:
    run = results.Run(
        roofline.describe(arguments.threads),
        arguments.rounds,
        datetime.datetime.now().isoformat(timespec="seconds"),
    )
    with tqdm(rows, disable=not sys.stderr.isatty()) as progress:
        for row in progress:
            threads = row.threads or arguments.threads
            set_threads(threads)
            starts = _contestants(row, arguments.peers, threads)
            result = measure(row, starts, arguments.rounds)
            if row.memory and arguments.memory:
                for who in result.seconds:
                    found = peak_memory(row.title, who, threads)
                    if found is not None:
                        result.memory[who] = found
            run.results.append(result)
            progress.write(_tell(result))
            if arguments.json:
                run.save(arguments.json)  # what is measured stays if a later row fails
    return run


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    rows = matching(arguments.patterns or ["*"])
    if not rows:
        parser.error(f"no row matches {' '.join(arguments.patterns)}; python -m bench list names them")  # fmt: skip
    if not cuda.is_available():
        rows = [r for r in rows if r.finish is None]
        if not rows:
            parser.error("these rows need a GPU")
    run = _measure(rows, arguments)
    output = arguments.report or (None if arguments.patterns else REPORT)
    if output:
        report.write(run, output)
        print(f"wrote {output}")


def _compare(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    found = results.compare(results.load(arguments.before), results.load(arguments.after))
    print(report.changes(*found))


def _report(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    report.write(results.merge([results.load(p) for p in arguments.results]), arguments.output)


def _list(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    print("\n".join(row.title for row in matching(arguments.patterns or ["*"])))


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="measure rows")
    run.add_argument("patterns", nargs="*", help="rows to run, such as 'training*' (all)")
    run.add_argument("--rounds", type=int, default=15, help="measurements of each contestant (15)")
    run.add_argument("--threads", type=int, default=fastnn.get_num_threads(), help="threads of each contestant")  # fmt: skip
    run.add_argument("--peers", nargs="+", default=[], metavar="PEER", help="only these, such as numpy or 'torch eager'")  # fmt: skip
    run.add_argument(
        "--no-memory", dest="memory", action="store_false", help="leave peak memory out"
    )
    run.add_argument("--json", type=Path, help="write all rounds to this file")
    run.add_argument("--report", type=Path, help="write the report to this file")
    run.set_defaults(do=_run)

    names = commands.add_parser("list", help="name the rows")
    names.add_argument("patterns", nargs="*")
    names.set_defaults(do=_list)

    two = commands.add_parser("compare", help="fastnn's times in two results")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    two.set_defaults(do=_compare)

    written = commands.add_parser("report", help="write a result as Markdown with plots")
    written.add_argument("results", type=Path, nargs="+")
    written.add_argument("--output", type=Path, default=REPORT)
    written.set_defaults(do=_report)

    arguments = parser.parse_args(sys.argv[1:] or ["run"])
    try:
        arguments.do(arguments, parser)
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
