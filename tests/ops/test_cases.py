"""Every case, on every backend and ISA level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from . import cases_math, cases_nn, cases_sequence, harness
from .cases import CASES, LARGE
from .harness import Case

ALL = CASES + cases_math.CASES + cases_nn.CASES + cases_sequence.CASES
every = pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
large = pytest.mark.parametrize("case", LARGE, ids=lambda c: c.name)


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward(case: Case, dtype: Any, computer: str) -> None:
    harness.check_forward(case, dtype)


@every
def test_strides(case: Case, computer: str) -> None:
    harness.check_strides(case)


@every
def test_gradient(case: Case, computer: str) -> None:
    if case.grad:
        harness.check_gradient(case)


@every
def test_double_gradient(case: Case, computer: str) -> None:
    if case.gradgrad:
        harness.check_double_gradient(case)


@every
def test_float32_gradient(case: Case, computer: str) -> None:
    if case.grad:
        harness.check_float32_gradient(case)


@large
def test_large_forward(case: Case, computer: str) -> None:
    harness.check_forward(case, np.float32)


@large
def test_large_gradient(case: Case, computer: str) -> None:
    harness.check_float32_gradient(case)
