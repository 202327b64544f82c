"""Counter-based random numbers: Philox 4x32-10.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Each block of four 32-bit words
is a function of a 128-bit counter and a 64-bit key, so any part of a stream can be computed alone: by any thread,
in any order, on any device.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from fastnn.backends.protocol import Array

_U64 = np.uint64
_MASK = _U64(0xFFFFFFFF)
_SHIFT = _U64(32)
_MULTIPLIERS = _U64(0xD2511F53), _U64(0xCD9E8D57)
_WEYL = (
    0x9E3779B9,
    0xBB67AE85,
)  # added to the key after each round: golden ratio and sqrt(3) - 1, times 2**32


def philox(seed: int, offset: int, n: int) -> npt.NDArray[np.uint32]:
    """n words of Philox 4x32-10: word j is lane j % 4 of the block with counter offset + j // 4.

    Counter (lo, hi, 0, 0), key (seed's low 32 bits, its high 32 bits).

    >>> [hex(word) for word in philox(0, 0, 4)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    blocks = -(-n // 4)
    counter = np.arange(blocks, dtype=_U64) + _U64(offset & 0xFFFFFFFFFFFFFFFF)
    c0, c1 = counter & _MASK, counter >> _SHIFT
    c2 = c3 = np.zeros(blocks, _U64)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ _U64(k0),
            p1 & _MASK,
            (p0 >> _SHIFT) ^ c3 ^ _U64(k1),
            p0 & _MASK,
        )
        k0, k1 = k0 + _WEYL[0] & 0xFFFFFFFF, k1 + _WEYL[1] & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3), 1).astype(np.uint32).reshape(-1)[:n]


def uniform(seed: int, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """In [0, 1). float32: word j >> 8, times 2**-24. float64: words 2j and 2j+1, 27 and 26 bits."""
    n = prod(shape)
    if np.dtype(dtype) == np.float32:
        u: Array = (philox(seed, offset, n) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    elif np.dtype(dtype) == np.float64:
        word = philox(seed, offset, 2 * n).reshape(n, 2).astype(_U64)
        high, low = word[:, 0] >> _U64(5), word[:, 1] >> _U64(6)
        u = (high << _U64(26) | low).astype(np.float64) * 2.0**-53
    else:
        raise TypeError(f"uniform: dtype must be float32 or float64, got {np.dtype(dtype)}")
    return u.reshape(shape)


def _scale(p: float) -> float:
    return 1 / (1 - p) if p < 1 else 0.0


def dropout(x: Array, p: float, seed: int, offset: int) -> tuple[Array, Array]:
    """(y, mask): element j (C order) is kept where its float32 uniform >= p; y = x * mask / (1 - p)."""
    mask = np.asarray(uniform(seed, offset, x.shape, np.float32) >= np.float32(p), like=x)
    return dropout_backward(x, mask, p), mask


def dropout_backward(g: Array, mask: Array, p: float) -> Array:
    gx: Array = g * (mask * g.dtype.type(_scale(p)))
    return gx
