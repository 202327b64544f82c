"""``backends.cudnn``: cuDNN's switches; importing it gives the object of ``flags``."""

from __future__ import annotations

import sys

from .flags import cudnn

sys.modules[__name__] = cudnn
