"""The command line: ``python -m fastnn demo``, ``python -m fastnn config``, ``python -m fastnn --version``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import fastnn

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "config":
        fastnn.show_config()
        return 0
    from fastnn import demo

    try:
        demo.run(
            data=options.data,
            epochs=options.epochs,
            batch_size=options.batch_size,
            seed=options.seed,
            out=options.out,
        )
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # missing or damaged data, an unwritable folder
        print(f"python -m fastnn demo: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fastnn", description="fastnn: deep learning on the machine that you have"
    )
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("config", help="show version, backends, instruction set and threads")
    demo = commands.add_parser(
        "demo",
        help="train a CNN on handwritten digits",
        description="Trains a CNN on the digits inside fastnn, or on all of MNIST, and draws the results.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument(
        "--data", type=Path, metavar="DIR", help="train on the full MNIST in DIR/MNIST/raw"
    )
    demo.add_argument(
        "--epochs", type=_positive, metavar="N", help="8, or 5 on the full MNIST, if not given"
    )
    demo.add_argument("--batch-size", type=_positive, default=64, metavar="N", help="images a step")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all random numbers")
    demo.add_argument(
        "--out", type=Path, default=Path("fastnn-demo"), metavar="DIR", help="folder of the results"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
