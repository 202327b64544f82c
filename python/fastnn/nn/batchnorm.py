"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.creation import ones, tensor, zeros
from ..ops.norm import batch_norm
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


class _NormBase(Module):
    """What layers that normalise channels hold: parameters and running statistics."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        n = num_features
        self.register_parameter(
            "weight", Parameter(ones(n, device=device, dtype=dtype)) if affine else None
        )
        self.register_parameter(
            "bias", Parameter(zeros(n, device=device, dtype=dtype)) if affine and bias else None
        )
        track = track_running_stats
        self.register_buffer(
            "running_mean", zeros(n, device=device, dtype=dtype) if track else None
        )
        self.register_buffer("running_var", ones(n, device=device, dtype=dtype) if track else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if track else None)

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked = tensor(0, device=self.running_mean.device)

    def reset_parameters(self) -> None:
        """Forget the running statistics; weight 1, bias 0."""
        self.reset_running_stats()
        if self.weight is not None:
            self.weight.data.fill_(1)
        if self.bias is not None:
            self.bias.data.fill_(0)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    def _check_input(self, shape: tuple[int, ...]) -> None:
        raise NotImplementedError

    def forward(self, input: Tensor, activation: str | None = None) -> Tensor:
        """The normalised input; in training mode the running statistics move too.

        Args:
            input: what is normalised.
            activation: None or "relu".
        """
        self._check_input(input._data.shape)
        momentum, training = self.momentum, self.training
        buffers = self._buffers
        try:
            mean, var = buffers["running_mean"], buffers["running_var"]
        except KeyError:  # taken out, and set as plain attributes
            mean, var = self.running_mean, self.running_var
        if training:
            count = self.num_batches_tracked
            if count is not None:
                count._data += np.int64(1)
                if momentum is None:
                    momentum = 1.0 / float(count._data)
            if not self.track_running_stats:
                mean = var = None
        weight, bias = self._weight_and_bias()
        return batch_norm(
            input,
            mean,
            var,
            weight,
            bias,
            training or mean is None,
            0.0 if momentum is None else momentum,
            self.eps,
            activation,
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L).

    S. Ioffe, C. Szegedy, "Batch normalization", 2015.
    """

    def _check_input(self, shape: tuple[int, ...]) -> None:
        if len(shape) not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {len(shape)}D input)")


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W).

    S. Ioffe, C. Szegedy, "Batch normalization", 2015.
    """

    def _check_input(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 4:
            raise ValueError(f"expected 4D input (got {len(shape)}D input)")


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W).

    S. Ioffe, C. Szegedy, "Batch normalization", 2015.
    """

    def _check_input(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 5:
            raise ValueError(f"expected 5D input (got {len(shape)}D input)")
