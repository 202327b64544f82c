"""The list of exceptions that the tests of the kernels' memory use allow."""

from __future__ import annotations

from pathlib import Path

from tests.cuda.memory_use import exemptions_table

DOCS = Path(__file__).parents[2] / "docs/cuda.md"


def test_the_documentation_shows_every_exception() -> None:
    shown = DOCS.read_text(encoding="utf-8").splitlines()
    start = shown.index("| what | access | useful, at least | reason |") + 2
    assert shown[start : start + len(exemptions_table())] == exemptions_table()
