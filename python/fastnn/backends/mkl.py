"""``backends.mkl``: MKL's switches; importing it gives the object of ``flags``."""

from __future__ import annotations

import sys

from .flags import mkl

sys.modules[__name__] = mkl
