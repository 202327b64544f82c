"""``backends.cuda``: CUDA's switches; importing it gives the object of ``flags``."""

from __future__ import annotations

import sys

from .flags import cuda

sys.modules[__name__] = cuda
