"""All rows of the suite, and how they are found by pattern."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from . import (
    attention,
    conv,
    conv_pool,
    cuda,
    data,
    elementwise,
    embedding,
    gemm,
    inference,
    norm,
    optim,
    overhead,
    pool,
    reduction,
    rnn,
    softmax,
    training,
)
from .measure import Row

FAMILIES = (
    overhead,
    gemm,
    conv,
    conv_pool,
    elementwise,
    reduction,
    pool,
    softmax,
    norm,
    rnn,
    attention,
    embedding,
    optim,
    training,
    inference,
    data,
    cuda,
)
ROWS: list[Row] = [row for family in FAMILIES for row in family.ROWS]


def row_of(title: str) -> Row:
    """The row of that title."""
    return next(row for row in ROWS if row.title == title)


def matching(patterns: Sequence[str]) -> list[Row]:
    """The rows whose titles begin as one of the patterns (as of a shell) says."""
    return [r for r in ROWS if any(fnmatch.fnmatch(r.title, f"{p}*") for p in patterns)]
