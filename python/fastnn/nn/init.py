"""Initial values of parameters, written in place."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from .._device import place_beside
from .._help import getattr_of
from ..autograd.grad_mode import no_grad
from ..random import Generator, normal_array
from ..tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through ``nonlinearity``.

    Raises:
        ValueError: an unknown nonlinearity.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    shape = tensor._data.shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _is_empty(tensor: Tensor) -> bool:
    """Whether there is nothing to draw; warns, as PyTorch does."""
    if 0 in tensor._data.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _fans(tensor)
    return fan_in if mode == "fan_in" else fan_out


@no_grad()
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, drawn again outside [a, b]."""
    if not a < b or math.erf((b - mean) / std) <= math.erf((a - mean) / std):
        raise ValueError(f"trunc_normal_: the interval [{a}, {b}] is empty")
    values = normal_array(tensor._data.shape, np.dtype(np.float64), generator) * std + mean
    while (outside := (values < a) | (values > b)).any():
        again = normal_array((int(outside.sum()),), np.dtype(np.float64), generator)
        values[outside] = again * std + mean
    return tensor.copy_(make(values))


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """All elements ``val``."""
    return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """All elements 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """All elements 1."""
    return constant_(tensor, 1.0)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform with variance 2 / (fan_in + fan_out) (X. Glorot, Y. Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance 2 / (fan_in + fan_out) (X. Glorot, Y. Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance gain**2 / fan (K. He et al., 2015); ``a`` is leaky_relu's slope."""
    if _is_empty(tensor):
        return tensor
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain**2 / fan (K. He et al., 2015); ``a`` is leaky_relu's slope."""
    if _is_empty(tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def fan_in_uniform_(tensor: Any, fan_in: int) -> Tensor:
    """Uniform in +-1 / sqrt(fan_in): how PyTorch's layers start their biases."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
    return uniform_(tensor, -bound, bound)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix.

    Raises:
        ValueError: the tensor is no matrix.
    """
    if tensor._data.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return tensor.copy_(
        make(place_beside(np.eye(*tensor._data.shape, dtype=tensor._data.dtype), tensor._data))
    )


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The weight (O, I, ...) of a convolution that passes on as many channels of each group as it can.

    Raises:
        ValueError: the tensor has not 3, 4 or 5 dims, or ``groups`` does not divide its outputs.
    """
    shape = tensor._data.shape
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(shape, tensor._data.dtype, like=tensor._data)
    rows = shape[0] // groups
    middle = tuple(n // 2 for n in shape[2:])
    for group in range(groups):
        for channel in range(min(rows, shape[1])):
            at = (group * rows + channel, channel, *middle)
            values[at] = 1
    return tensor.copy_(make(values))


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random orthogonal matrix, times ``gain``: (n, ...) flattened to (n, m) has orthonormal rows or columns.

    Raises:
        ValueError: fewer than 2 dims.

    A. Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2013.
    """
    shape = tensor._data.shape
    if len(shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor._data.size == 0:
        return tensor
    rows = shape[0]
    columns = tensor._data.size // rows
    drawn = normal_array((rows, columns), np.dtype(np.float64), generator)
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # makes the distribution uniform
    if rows < columns:
        q = q.T
    return tensor.copy_(make((q * gain).reshape(shape)))


@no_grad()
def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """A matrix whose columns have a fraction ``sparsity`` of zeros, the rest normal with deviation ``std``.

    Raises:
        ValueError: the tensor is no matrix.

    J. Martens, "Deep learning via Hessian-free optimization", 2010.
    """
    if tensor._data.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor._data.shape
    zeros = math.ceil(sparsity * rows)
    values = normal_array((rows, columns), np.dtype(np.float64), generator) * std
    order = np.argsort(normal_array((rows, columns), np.dtype(np.float64), generator), axis=0)
    np.put_along_axis(values, order[:zeros], 0.0, axis=0)
    return tensor.copy_(make(values))


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``function`` under its older name, which ends without an underscore."""
    old = function.__name__[:-1]

    def renamed(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{function.__name__}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    renamed.__name__ = old
    renamed.__doc__ = f"The older name of ``{function.__name__}``."
    return renamed


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(inputs, outputs) that one element of a weight meets; scripts call it by this name."""
    return _fans(tensor)


if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(__name__)
