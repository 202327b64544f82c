"""Batch normalisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd import version
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..backends import by_type
from .activation import relu

if TYPE_CHECKING:
    from ..tensor import Tensor


class NativeBatchNormBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight, mean, var, eps = self.saved
        backend = by_type[type(g)]
        w = None if weight is None else weight._data
        grads: tuple[Any, ...] = backend.batch_norm_backward(g, x._data, w, mean, var, eps)
        return grads[: len(self.edges)]

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, weight, _, _, eps = self.saved
        axes = (0, *range(2, x._data.ndim))
        per_channel = (1, -1) + (1,) * (x._data.ndim - 2)
        centred = x - x.mean(axes, keepdim=True)
        invstd = ((centred * centred).mean(axes, keepdim=True) + eps).rsqrt()
        normed = centred * invstd
        gx = g if weight is None else g * weight.reshape(per_channel)
        gx = invstd * (
            gx - gx.mean(axes, keepdim=True) - normed * (gx * normed).mean(axes, keepdim=True)
        )
        return (gx, (g * normed).sum(axes), g.sum(axes))[: len(self.edges)]


def _check(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
) -> int:
    data = x._data
    if data.ndim < 2:
        raise RuntimeError(
            f"batch_norm: expected at least 2 dims (N, C, ...), got {tuple(data.shape)}"
        )
    channels = int(data.shape[1])
    shape, dtype = (channels,), data.dtype
    if (
        (weight is None or (weight._data.shape == shape and weight._data.dtype == dtype))
        and (bias is None or (bias._data.shape == shape and bias._data.dtype == dtype))
        and (running_mean is None or running_mean._data.shape == shape)
        and (running_var is None or running_var._data.shape == shape)
    ):
        return channels
    given = {
        "weight": weight,
        "bias": bias,
        "running_mean": running_mean,
        "running_var": running_var,
    }
    for name, t in given.items():
        if t is not None and t._data.shape != shape:
            raise RuntimeError(
                f"batch_norm: {name} must have shape ({channels},) for input {tuple(data.shape)}, got {tuple(t.shape)}"
            )
        if t is not None and name in ("weight", "bias") and t._data.dtype != dtype:
            raise RuntimeError(
                f"batch_norm: input is {x.dtype}, {name} is {t.dtype}; they must be the same"
            )
    return channels


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> Tensor:
    """Normalise each channel of (N, C, ...): by its batch's statistics (training) or by the running ones.

    Args:
        running_mean, running_var: (C,), moved by ``momentum`` towards the batch's statistics when training.
        weight, bias: (C,) or None: y = normalised * weight + bias.
        activation: None or "relu".

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
        ValueError: one value a channel when training.

    S. Ioffe, C. Szegedy, "Batch normalization", 2015, algorithm 1.
    """
    if input._data.shape == (0,):  # no samples of no channels: nothing to normalise
        return input.clone()
    channels = _check(input, weight, bias, running_mean, running_var)
    data = input._data
    w = None if weight is None else weight._data
    b = None if bias is None else bias._data
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "batch_norm: expected running_mean and running_var when training=False"
            )
        if mode.enabled and any(
            t is not None and t._requires_grad
            for t in (input, weight, bias, running_mean, running_var)
        ):
            y = _by_running(input, running_mean, running_var, weight, bias, eps)
            return y if activation is None else relu(y)
        backend = by_type[type(data)]
        mean, var = running_mean._data, running_var._data
        return make(backend.batch_norm_inference(data, w, b, mean, var, eps, activation))
    count = math.prod(data.shape) // channels if channels else 0
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {tuple(data.shape)}"
        )
    y, mean, var = by_type[type(data)].batch_norm(data, w, b, eps)
    if running_mean is not None and running_var is not None and count:
        for running, new in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
            old = running._data
            old *= old.dtype.type(1.0 - momentum)
            old += (new * momentum).astype(old.dtype)
            version.bump(old)
    result = make(y)
    if mode.enabled:
        wants = [t is not None and t._requires_grad for t in (weight, bias)]
        if input._requires_grad or any(wants):
            edges = (
                edge_of(input),
                None if weight is None else edge_of(weight),
                None if bias is None else edge_of(bias),
            )
            result = make(y, NativeBatchNormBackward0(edges, (input, weight, mean, var, eps)))
    return result if activation is None else relu(result)


def _by_running(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """Normalised by given statistics, as differentiable operations."""
    shape = (1, -1) + (1,) * (x._data.ndim - 2)
    scale = (var.to(x.dtype) + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -(mean.to(x.dtype) * scale)
    if bias is not None:
        shift = shift + bias
    return x * scale.reshape(shape) + shift.reshape(shape)


def folded(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    eps: float,
    dim: int = 0,
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the layer that normalises its result by ``mean`` and ``var``, too; without gradients.

    w * s and (bias - mean) * s + beta with s = gamma / sqrt(var + eps), along dim ``dim`` of w.
    """
    w = weight._data
    scale = 1 / np.sqrt(var._data + eps)
    if gamma is not None:
        scale *= gamma._data
    shift = (-mean._data if bias is None else bias._data - mean._data) * scale
    if beta is not None:
        shift += beta._data
    per_output = scale.reshape((1,) * dim + (-1,) + (1,) * (w.ndim - 1 - dim))
    return make(by_type[type(w)].multiply(w, per_output)), make(shift)
