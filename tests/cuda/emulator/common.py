"""Runs kernels of `_cuda_emulator_tests`, which is built beside these tests."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def _load() -> Any:
    found = sorted(HERE.glob("_cuda_emulator_tests*.so"))
    if not found:
        return None
    spec = importlib.util.spec_from_file_location("_cuda_emulator_tests", found[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_cuda_emulator_tests"] = module
    spec.loader.exec_module(module)
    return module


module = _load()
hooks = module is not None and module.mode == "hooks"
sanitizers = module is not None and module.mode == "asan"


def launch(
    name: str,
    inputs: Any = b"",
    out: Any = 0,
    n: int = 0,
    blocks: int = 1,
    threads: int = 32,
    smem: int = 0,
) -> tuple[str, bytes]:
    """(error, output): ``out`` is the output's first content, or its size in bytes (of zeros)."""
    error, result = module.run(name, bytes(inputs), bytes(out), n, blocks, threads, smem)
    return error, result


def results(name: str, dtype: Any, inputs: Any = b"", out: Any = 0, **sizes: int) -> Any:
    """The output of a kernel that must not fail."""
    initial = out * np.dtype(dtype).itemsize if isinstance(out, int) else out.tobytes()
    error, data = launch(name, inputs, initial, **sizes)
    assert error == ""
    return np.frombuffer(data, dtype)


def line_of(name: str, source: str = "faults.cu") -> str:
    """file:line of the comment `BUG name`."""
    lines = (HERE / source).read_text().splitlines()
    (found,) = [i + 1 for i, line in enumerate(lines) if re.search(rf"// BUG {name}$", line)]
    return f"{source}:{found}"
