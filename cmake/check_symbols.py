"""Fail if a per-ISA object defines a mergeable (weak) symbol that baseline code could end up using."""

from __future__ import annotations

import argparse
import subprocess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--levels", nargs="+", required=True)
    parser.add_argument("--objects", nargs="+", required=True)
    args = parser.parse_args()

    names = [f"fastnn::{level}::" for level in args.levels]
    shared = []
    for path in args.objects:
        command = [args.nm, "--demangle", "--defined-only", path]
        for line in subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.splitlines():
            kind, symbol = line.split(maxsplit=2)[-2:]
            # DW.ref.* points at the C++ personality routine: data, the same in every object.
            if (
                kind in "WVu"
                and not symbol.startswith("DW.ref.")
                and not any(n in symbol for n in names)
            ):
                shared.append(f"{path}: {kind} {symbol}")
    if shared:
        raise SystemExit("symbols outside the ISA namespaces:\n" + "\n".join(shared))
    print(f"{len(args.objects)} kernel objects define no shared symbols")


if __name__ == "__main__":
    main()
