"""The CUDA kernels: under the emulator (with FASTNN_CUDA_EMULATOR=1, which wants `_cuda_emulated`), or on a GPU."""

from __future__ import annotations

from fastnn import cuda
from fastnn.backends import emulated

if not emulated():
    collect_ignore_glob = ["emulator/*"] if cuda.is_available() else ["*.py"]
