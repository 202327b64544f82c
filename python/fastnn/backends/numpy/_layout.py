"""Memory layouts of images: NCHW (C-contiguous) and NHWC (channels last), both with the logical shape (N, C, H, W)."""

from __future__ import annotations

import numpy as np

from fastnn.backends.protocol import Array


def is_channels_last(x: Array) -> bool:
    """Whether x, of logical shape (N, C, H, W), is stored as NHWC. What is both (C == 1, H == W == 1) is NCHW.

    >>> import numpy as np
    >>> is_channels_last(np.zeros((2, 5, 5, 3)).transpose(0, 3, 1, 2))
    True
    """
    if x.ndim != 4 or x.flags.c_contiguous:
        return False
    return bool(x.transpose(0, 2, 3, 1).flags.c_contiguous)


def with_layout_of(y: Array, like: Array) -> Array:
    """y stored in the layout of ``like``: NHWC where ``like`` is channels last, else NCHW."""
    if is_channels_last(like):
        stored: Array = np.ascontiguousarray(y.transpose(0, 2, 3, 1), like=y)
        image: Array = stored.transpose(0, 3, 1, 2)
        return image
    return np.ascontiguousarray(y, like=y)
