"""Layers that normalise every sample by its own statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops import norm_rows
from ..ops.creation import ones, zeros
from ..tensor import Tensor
from .batchnorm import _NormBase
from .module import Module
from .parameter import Parameter


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, int):
        return (normalized_shape,)
    return tuple(int(n) for n in normalized_shape)


class LayerNorm(Module):
    """Normalisation over the last dims, with a weight and a bias for each element.

    Args:
        normalized_shape: the last dims of the input; an int is one dim.
        eps: added to the variance.
        elementwise_affine: have a weight, and with ``bias`` a bias.

    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.

    >>> import fastnn
    >>> fastnn.nn.LayerNorm(2)(fastnn.tensor([1., 3.]).detach()).detach()
    tensor([-1.0000,  1.0000])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        affine = elementwise_affine
        self.register_parameter(
            "weight", Parameter(ones(shape, device=device, dtype=dtype)) if affine else None
        )
        self.register_parameter(
            "bias", Parameter(zeros(shape, device=device, dtype=dtype)) if affine and bias else None
        )

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            self.weight.data.fill_(1)
        if self.bias is not None:
            self.bias.data.fill_(0)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        weight, bias = self._weight_and_bias()
        return norm_rows.layer_norm(input, self.normalized_shape, weight, bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Division by the root of the mean square over the last dims, with a weight for each element.

    Args:
        normalized_shape: the last dims of the input; an int is one dim.
        eps: added to the mean square; None: the dtype's machine epsilon.
        elementwise_affine: have a weight.

    B. Zhang, R. Sennrich, "Root mean square layer normalization", 2019.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter(
            "weight",
            Parameter(ones(self.normalized_shape, device=device, dtype=dtype))
            if elementwise_affine
            else None,
        )

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            self.weight.data.fill_(1)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return norm_rows.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Normalisation of groups of channels of (N, C, ...), with a weight and a bias for each channel.

    Raises:
        ValueError: channels that the groups do not divide.

    Y. Wu, K. He, "Group normalization", 2018.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups <= 0 or num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        n = num_channels
        self.register_parameter(
            "weight", Parameter(ones(n, device=device, dtype=dtype)) if affine else None
        )
        self.register_parameter(
            "bias", Parameter(zeros(n, device=device, dtype=dtype)) if affine and bias else None
        )

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            self.weight.data.fill_(1)
        if self.bias is not None:
            self.bias.data.fill_(0)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return norm_rows.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(_NormBase):
    _spatial: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input; in training mode the running statistics, where there are any, move too."""
        ndim = input._data.ndim
        n = self._spatial
        if ndim not in (n + 1, n + 2):
            raise ValueError(f"expected {n + 1}D or {n + 2}D input (got {ndim}D input)")
        x = input.unsqueeze(0) if ndim == n + 1 else input
        if self.affine and x._data.shape[1] != self.num_features:
            raise ValueError(
                f"expected input's size at dim={ndim - n - 1} to match num_features ({self.num_features}), but got: "
                f"{x._data.shape[1]}."
            )
        y = norm_rows.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y.squeeze(0) if ndim == n + 1 else y


class InstanceNorm1d(_InstanceNorm):
    """Normalisation of each channel of each sample of (N, C, L) or (C, L).

    D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization", 2016.
    """

    _spatial = 1


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of each channel of each sample of (N, C, H, W) or (C, H, W).

    D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization", 2016.
    """

    _spatial = 2


class InstanceNorm3d(_InstanceNorm):
    """Normalisation of each channel of each sample of (N, C, D, H, W) or (C, D, H, W).

    D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization", 2016.
    """

    _spatial = 3


class LocalResponseNorm(Module):
    """Division by a power of the mean square over ``size`` neighbouring channels of (N, C, ...).

    A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return norm_rows.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
