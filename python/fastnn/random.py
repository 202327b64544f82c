"""Random numbers: generators over Philox 4x32-10, and the tensors drawn from them.

The stream is a function of (seed, offset) alone, the same on every backend and for any number of threads
(J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _dtype
from ._core import make
from ._device import CPU, of, place, place_beside, preserve_format, prototype, storage
from .autograd.output import accepts_out
from .backends import by_type
from .ops.creation import takes_size
from .ops.transfer import on_host

if TYPE_CHECKING:
    from .tensor import Tensor
else:
    from ._core import TensorBase as Tensor


class Generator:
    """A stream of random numbers; ``manual_seed`` starts it again.

    Args:
        device: of the tensors drawn; the stream is the same on every device.

    >>> import fastnn
    >>> g = fastnn.Generator().manual_seed(1)
    >>> a = fastnn.rand(2, generator=g)
    >>> bool((a == fastnn.rand(2, generator=g.manual_seed(1))).all())
    True
    """

    __slots__ = ("_offset", "_seed")

    def __init__(self, device: Any = "cpu") -> None:
        prototype(device, "Generator")
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
        seed, offset = np.ascontiguousarray(data, like=data).view("<u8")
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


@contextlib.contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, device_type: str = "cuda"
) -> Iterator[None]:
    """Inside, random numbers are drawn without moving the default generator on: its state is put back.

    Args:
        devices, device_type: the GPUs whose generators are kept too, of which there are none.
        enabled: False does nothing.
    """
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)


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


def _finish(
    array: Any, requires_grad: bool, like: Any, memory_format: Any = preserve_format
) -> Tensor:
    out = make(place_beside(array, like))
    if memory_format is not preserve_format:
        out = out.contiguous(memory_format)
    return out.requires_grad_() if requires_grad else out


@accepts_out
@takes_size
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Uniform random numbers in [0, 1) of shape ``size``."""
    like = storage("rand", device, layout, pin_memory)
    return _finish(
        uniform_array(_sizes(size), _floating(dtype, "rand"), generator), requires_grad, like
    )


@accepts_out
@takes_size
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Standard normal random numbers of shape ``size``."""
    like = storage("randn", device, layout, pin_memory)
    return _finish(
        normal_array(_sizes(size), _floating(dtype, "randn"), generator), requires_grad, like
    )


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """``rand`` of input's shape and dtype."""
    like = storage("rand_like", of(input._data) if device is None else device, layout, pin_memory)
    drawn = uniform_array(
        input._data.shape, _floating(dtype or input.dtype, "rand_like"), generator
    )
    return _finish(drawn, requires_grad, like, memory_format)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """``randn`` of input's shape and dtype."""
    like = storage("randn_like", of(input._data) if device is None else device, layout, pin_memory)
    drawn = normal_array(
        input._data.shape, _floating(dtype or input.dtype, "randn_like"), generator
    )
    return _finish(drawn, requires_grad, like, memory_format)


@accepts_out
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Random integers in [low, high); ``randint(high, size)`` starts at 0.

    Raises:
        RuntimeError: an empty range.
    """
    like = storage("randint", device, layout, pin_memory)
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None or not isinstance(high, (int, np.integer)):
        raise TypeError("randint: expected (high, size) or (low, high, size)")
    if high <= low:
        raise RuntimeError(f"randint expects 'from' < 'to', but got from={low} >= to={high}")
    shape = _sizes((size,))
    n = int(np.prod(shape, dtype=np.int64))
    span = np.uint64(int(high) - int(low))
    drawn = (_words64(n, generator) % span).astype(np.int64) + low
    return _finish(drawn.reshape(shape).astype((dtype or _dtype.int64).numpy), requires_grad, like)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """``randint`` of input's shape and dtype."""
    if high is None:
        low, high = 0, low
    drawn = randint(
        low,
        high,
        input._data.shape,
        generator=generator,
        dtype=dtype or input.dtype,
        layout=layout,
        device=of(input._data) if device is None else device,
        pin_memory=pin_memory,
    )
    return _finish(drawn._data, requires_grad, None, memory_format)


@accepts_out
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """A random order of 0 .. n - 1."""
    like = storage("randperm", device, layout, pin_memory)
    order = np.argsort(_words64(int(n), generator), kind="stable")
    return _finish(order.astype((dtype or _dtype.int64).numpy), requires_grad, like)


@accepts_out
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: _dtype.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Normal random numbers; ``mean`` and ``std`` are numbers (with a ``size``) or tensors that broadcast.

    Raises:
        RuntimeError: a negative ``std``, or numbers without a size.
    """
    like = storage("normal", device, layout, pin_memory)
    tensors = [v for v in (mean, std) if isinstance(v, Tensor)]
    m, s = (v._data if isinstance(v, Tensor) else v for v in (mean, std))
    if bool((s < 0).any()) if hasattr(s, "any") else s < 0:
        raise RuntimeError(f"normal expects all elements of std >= 0.0, but found std {std}")
    if tensors:
        if size is not None:
            raise TypeError("normal: size goes with numbers; a tensor has a shape of its own")
        shape = np.broadcast_shapes(np.shape(m), np.shape(s))
        d = tensors[0]._data.dtype
    else:
        if size is None:
            raise TypeError("normal: numbers need a size")
        shape, d = _sizes((size,)), _floating(dtype, "normal")
    if tensors:
        like = tensors[0]._data
    drawn = place_beside(normal_array(shape, d, generator), like)
    m, s = (v.astype(d) if hasattr(v, "astype") else d.type(v) for v in (m, s))
    return _finish(drawn * s + m, requires_grad, None)


@accepts_out
def bernoulli(
    input: Tensor,
    p: float | None = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """1 with the probability in ``input`` (or ``p``, in input's shape), else 0, in input's dtype.

    Raises:
        RuntimeError: a probability outside [0, 1].
    """
    data = input._data
    chance: Any = data if p is None else np.float64(p)
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise RuntimeError("bernoulli expects all probabilities between 0 and 1")
    u = place_beside(uniform_array(data.shape, np.dtype(np.float32), generator), data)
    return make((u < chance).astype(data.dtype))


@accepts_out
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Category numbers drawn with the weights in each row of ``input``, a vector or a matrix.

    Without replacement, a row's order is that of independent exponential clocks (P. Efraimidis, P. Spirakis, "Weighted
    random sampling with a reservoir", 2006).

    Raises:
        RuntimeError: negative or not finite weights, a row of zeros, or more samples than weights above 0.

    >>> import fastnn
    >>> fastnn.multinomial(fastnn.tensor([0., 0., 3.]), 2, replacement=True)
    tensor([2, 2])
    """
    weights = np.atleast_2d(place(input._data, CPU).astype(np.float64))
    if input._data.ndim not in (1, 2) or input._data.dtype.kind in "iub":
        raise RuntimeError(
            f"multinomial: expects a floating vector or matrix, got {input.dtype} {tuple(input.shape)}"
        )
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise RuntimeError(
            "multinomial: probability tensor contains either `inf`, `nan` or element < 0"
        )
    if (weights.sum(1) <= 0).any():
        raise RuntimeError(
            "multinomial: invalid multinomial distribution (sum of probabilities <= 0)"
        )
    rows, n = weights.shape
    if replacement:
        u = uniform_array((rows, num_samples), np.dtype(np.float64), generator)
        total = np.cumsum(weights, 1)
        drawn = np.empty((rows, num_samples), np.int64)
        for i in range(rows):
            last = int(np.nonzero(weights[i])[0][-1])
            found = np.searchsorted(total[i], u[i] * total[i, -1], "right")
            drawn[i] = np.minimum(found, last)
    else:
        if num_samples > (weights > 0).sum(1).min():
            raise RuntimeError(
                f"multinomial: cannot draw {num_samples} samples without replacement from a row with fewer weights above 0"
            )
        u = 1.0 - uniform_array((rows, n), np.dtype(np.float64), generator)
        with np.errstate(divide="ignore"):
            clocks = -np.log(u) / weights
        clocks[weights == 0] = np.inf
        drawn = np.argsort(clocks, 1, kind="stable")[:, :num_samples]
    return make(
        place_beside(
            np.ascontiguousarray(drawn if input._data.ndim == 2 else drawn[0]), input._data
        )
    )


@on_host
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of events with the mean in ``input``, in its dtype: by inversion, of the normal approximation above 500.

    Raises:
        RuntimeError: a negative mean.
    """
    rate = input._data.astype(np.float64)
    if (rate < 0).any():
        raise RuntimeError("poisson: invalid Poisson rate, expected rate to be non-negative")
    u = uniform_array(rate.shape, np.dtype(np.float64), generator)
    small = np.minimum(rate, 500.0)
    term = np.exp(-small)
    below, count = term.copy(), np.zeros(rate.shape)
    for k in range(1, 2000):
        more = u > below
        if not more.any():
            break
        count += more
        term = term * small / k
        below = below + term
    z = normal_array(rate.shape, np.dtype(np.float64), generator)
    large = np.maximum(np.rint(rate + np.sqrt(rate) * z), 0)
    return make(np.where(rate > 500, large, count).astype(input._data.dtype))
