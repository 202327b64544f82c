"""What an installation says of itself, and the environment variables that choose."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import fastnn
from fastnn import backends

needs_kernels = pytest.mark.skipif(
    "cpu" not in backends.available(), reason="this installation has no kernels"
)


def _run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", f"import fastnn; {code}"],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    fastnn.show_config()
    text = capsys.readouterr().out
    assert text.startswith(f"fastnn {fastnn.__version__}")
    assert f"backend: {backends.get_backend()}" in text
    assert "cuda: missing" in text


def test_backend_variable() -> None:
    assert _run("print(fastnn.backends.get_backend())", FASTNN_BACKEND="numpy").stdout == "numpy\n"
    result = _run("", FASTNN_BACKEND="gpu")
    assert result.returncode
    assert "unknown backend 'gpu'; known: numpy, cpu" in result.stderr


@needs_kernels
def test_isa_and_thread_variables() -> None:
    from fastnn import _cpu

    lowest = _cpu.isa_levels()[0]
    code = "print(fastnn._cpu.isa(), fastnn.get_num_threads())"
    result = _run(f"import fastnn._cpu; {code}", FASTNN_ISA=lowest, FASTNN_NUM_THREADS="3")
    assert result.stdout == f"{lowest} 3\n"
    for variable in ("FASTNN_ISA", "FASTNN_NUM_THREADS"):
        result = _run("", **{variable: "many"})
        assert result.returncode
        assert f"ValueError: {variable}" in result.stderr
        assert "got 'many'" in result.stderr


def test_threads_are_positive() -> None:
    with pytest.raises(RuntimeError, match="positive"):
        fastnn.set_num_threads(0)


def test_backends_are_chosen_by_name() -> None:
    with pytest.raises(ValueError, match="unknown backend 'gpu'"):
        backends.set_backend("gpu")
    before = backends.get_backend()
    with backends.use_backend("numpy"):
        assert backends.get_backend() == "numpy"
    assert backends.get_backend() == before
