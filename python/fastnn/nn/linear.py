"""Linear, Identity, Flatten and Unflatten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .._core import normalize_dim
from ..ops.creation import empty
from ..ops.gemm import linear
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Identity(Module):
    """The input as it is; any arguments are taken, as in PyTorch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Linear(Module):
    """y = x @ weight.T + bias.

    Args:
        in_features: the size of the input's last dim.
        out_features: the size of the output's last dim.
        bias: have a bias.

    Raises:
        RuntimeError: (forward) an input of another size or dtype.

    >>> import fastnn
    >>> fastnn.nn.Linear(3, 2)(fastnn.ones(4, 3)).shape
    fastnn.Size([4, 2])
    """

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, uniform in +-1 / sqrt(in_features)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.fan_in_uniform_(self.bias, self.in_features)

    def forward(self, input: Tensor, activation: str | None = None) -> Tensor:
        """(..., in_features) to (..., out_features); ``activation`` is None or "relu"."""
        weight, bias = self._weight_and_bias()
        return linear(input, weight, bias, activation)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Make the dims from ``start_dim`` to ``end_dim`` one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The flattened input."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Make one dim several.

    Args:
        dim: which.
        unflattened_size: the sizes of the new dims, one of which may be -1.

    >>> import fastnn
    >>> fastnn.nn.Unflatten(1, (2, 3))(fastnn.ones(4, 6)).shape
    fastnn.Size([4, 2, 3])
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError(
                f"Unflatten: dim must be an int (named dims are not supported), got {dim!r}"
            )
        if not isinstance(unflattened_size, (tuple, list)) or not all(
            isinstance(n, int) for n in unflattened_size
        ):
            raise TypeError(
                f"Unflatten: unflattened_size must be a tuple of ints, got {unflattened_size!r}"
            )
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """The unflattened input."""
        shape = input._data.shape
        axis = normalize_dim(self.dim, len(shape))
        return input.reshape(*shape[:axis], *self._sizes(shape[axis]), *shape[axis + 1 :])

    def _sizes(self, size: int) -> tuple[int, ...]:
        given = self.unflattened_size
        known = math.prod(n for n in given if n != -1)
        if -1 in given and known and size % known == 0:
            return tuple(size // known if n == -1 else n for n in given)
        if known != size or -1 in given:
            raise RuntimeError(
                f"unflatten: provided sizes {list(given)} don't multiply up to the size of dim {self.dim} ({size}) "
                "in the input tensor"
            )
        return given

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
