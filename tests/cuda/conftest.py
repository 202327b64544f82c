"""The CUDA kernels under the emulator: run where `_cuda_emulated` was built and FASTNN_CUDA_EMULATOR is set."""

from __future__ import annotations

import os

if os.environ.get("FASTNN_CUDA_EMULATOR", "0") in ("", "0"):
    collect_ignore_glob = ["*.py"]
