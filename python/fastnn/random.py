"""Random numbers: generators over Philox 4x32-10, and the tensors drawn from them.

The stream is a function of (seed, offset) alone, the same on every backend and for any number of threads
(J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _dtype
from ._core import make
from ._device import check_device
from .backends import by_type

if TYPE_CHECKING:
    from .tensor import Tensor
else:
    from ._core import TensorBase as Tensor


class Generator:
    """A stream of random numbers; ``manual_seed`` starts it again.

    Args:
        device: "cpu".

    >>> import fastnn
    >>> g = fastnn.Generator().manual_seed(1)
    >>> a = fastnn.rand(2, generator=g)
    >>> bool((a == fastnn.rand(2, generator=g.manual_seed(1))).all())
    True
    """

    __slots__ = ("_offset", "_seed")

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device, "Generator")
        self._seed = 67280421310721
        self._offset = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of ``seed`` (any int; its low 64 bits count)."""
        self._seed = int(seed) & 0xFFFFFFFFFFFFFFFF
        self._offset = 0
        return self

    def seed(self) -> int:
        """Start a stream of an unpredictable seed; returns the seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self._seed

    def get_state(self) -> Tensor:
        """The state, as 16 bytes (uint8): seed and position."""
        return make(np.array([self._seed, self._offset], "<u8").view(np.uint8).copy())

    def set_state(self, state: Tensor) -> Generator:
        """Go on from a state that ``get_state`` gave.

        Raises:
            RuntimeError: it is not such a state.
        """
        data = state._data
        if data.dtype != np.uint8 or data.shape != (16,):
            raise RuntimeError(
                f"set_state: expected a uint8 tensor of 16 elements, got {state.dtype} {tuple(state.shape)}"
            )
        seed, offset = np.ascontiguousarray(data).view("<u8")
        self._seed, self._offset = int(seed), int(offset)
        return self

    def advance(self, words: int) -> tuple[int, int]:
        """Reserve ``words`` numbers of the stream: (seed, offset) where they start."""
        start = self._offset
        self._offset = start + (words + 3) // 4
        return self._seed, start


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator; returns it."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator unpredictably; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state."""
    return default_generator.get_state()


def set_rng_state(state: Tensor) -> None:
    """Set the default generator's state."""
    default_generator.set_state(state)


def _backend() -> Any:
    return by_type[np.ndarray]


def uniform_array(
    shape: tuple[int, ...], dtype: np.dtype[Any], generator: Generator | None = None
) -> Any:
    """Uniform numbers in [0, 1) as an array of a floating dtype."""
    wide = np.dtype(np.float64) if dtype == np.float64 else np.dtype(np.float32)
    n = int(np.prod(shape, dtype=np.int64))
    seed, offset = (generator or default_generator).advance(n * (2 if wide.itemsize == 8 else 1))
    out = _backend().uniform(seed, offset, shape, wide)
    return out if wide == dtype else out.astype(dtype)


def normal_array(
    shape: tuple[int, ...], dtype: np.dtype[Any], generator: Generator | None = None
) -> Any:
    """Standard normal numbers, by Box and Muller's transform of pairs of words, in float64."""
    n = int(np.prod(shape, dtype=np.int64))
    pairs = (n + 1) // 2
    seed, offset = (generator or default_generator).advance(2 * pairs)
    words = _backend().philox(seed, offset, 2 * pairs).reshape(pairs, 2)
    radius = np.sqrt(-2.0 * np.log((words[:, 0] + 1.0) * 2.0**-32))
    angle = words[:, 1] * (2.0 * np.pi * 2.0**-32)
    out = np.empty((pairs, 2))
    np.multiply(radius, np.cos(angle), out=out[:, 0])
    np.multiply(radius, np.sin(angle), out=out[:, 1])
    return out.reshape(-1)[:n].reshape(shape).astype(dtype)


def _words64(n: int, generator: Generator | None) -> Any:
    seed, offset = (generator or default_generator).advance(2 * n)
    words = _backend().philox(seed, offset, 2 * n).astype(np.uint64).reshape(n, 2)
    return (words[:, 0] << np.uint64(32)) | words[:, 1]


def _sizes(size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and not isinstance(size[0], (int, np.integer)):
        size = tuple(size[0])
    return tuple(int(n) for n in size)


def _floating(dtype: _dtype.dtype | None, operation: str) -> np.dtype[Any]:
    d = dtype or _dtype.get_default_dtype()
    if not d.is_floating_point:
        raise RuntimeError(f"{operation}: expects a floating dtype, got {d}")
    return d.numpy


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers in [0, 1) of shape ``size``."""
    check_device(device, "rand")
    out = uniform_array(_sizes(size), _floating(dtype, "rand"), generator)
    return make(out).requires_grad_(requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal random numbers of shape ``size``."""
    check_device(device, "randn")
    out = normal_array(_sizes(size), _floating(dtype, "randn"), generator)
    return make(out).requires_grad_(requires_grad)


def rand_like(x: Tensor, dtype: _dtype.dtype | None = None) -> Tensor:
    """``rand`` of x's shape and dtype."""
    return rand(x.shape, dtype=dtype or x.dtype)


def randn_like(x: Tensor, dtype: _dtype.dtype | None = None) -> Tensor:
    """``randn`` of x's shape and dtype."""
    return randn(x.shape, dtype=dtype or x.dtype)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    device: Any = None,
) -> Tensor:
    """Random integers in [low, high); ``randint(high, size)`` starts at 0.

    Raises:
        RuntimeError: an empty range.
    """
    check_device(device, "randint")
    if size is None:
        low, high, size = 0, low, high
    if size is None or not isinstance(high, (int, np.integer)):
        raise TypeError("randint: expected (high, size) or (low, high, size)")
    if high <= low:
        raise RuntimeError(f"randint expects 'from' < 'to', but got from={low} >= to={high}")
    shape = _sizes((size,))
    n = int(np.prod(shape, dtype=np.int64))
    span = np.uint64(int(high) - int(low))
    out = (_words64(n, generator) % span).astype(np.int64) + low
    return make(out.reshape(shape).astype((dtype or _dtype.int64).numpy))


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    device: Any = None,
) -> Tensor:
    """A random order of 0 .. n - 1."""
    check_device(device, "randperm")
    order = np.argsort(_words64(int(n), generator), kind="stable")
    return make(order.astype((dtype or _dtype.int64).numpy))


def normal(
    mean: float = 0.0, std: float = 1.0, size: Any = (), *, generator: Generator | None = None
) -> Tensor:
    """Normal random numbers of the given mean and standard deviation.

    Raises:
        RuntimeError: a negative ``std``.
    """
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    d = _dtype.get_default_dtype().numpy
    return make(normal_array(_sizes((size,)), d, generator) * d.type(std) + d.type(mean))


def bernoulli(p: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability in ``p``, else 0, in p's dtype.

    Raises:
        RuntimeError: a probability outside [0, 1].
    """
    data = p._data
    if data.size and not (data.min() >= 0 and data.max() <= 1):
        raise RuntimeError("bernoulli expects all probabilities between 0 and 1")
    u = uniform_array(data.shape, np.dtype(np.float32), generator)
    return make((u < data).astype(data.dtype))
