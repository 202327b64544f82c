"""``backends.openmp``: OpenMP's switches; importing it gives the object of ``flags``."""

from __future__ import annotations

import sys

from .flags import openmp

sys.modules[__name__] = openmp
