"""``backends.mkldnn``: oneDNN's switches; importing it gives the object of ``flags``."""

from __future__ import annotations

import sys

from .flags import mkldnn

sys.modules[__name__] = mkldnn
