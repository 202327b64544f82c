"""``backends.mps``: Apple's GPU library's switches; importing it gives the object of ``flags``."""

from __future__ import annotations

import sys

from .flags import mps

sys.modules[__name__] = mps
