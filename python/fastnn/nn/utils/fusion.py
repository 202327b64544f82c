"""A convolution or linear layer and the batch normalization behind it, made one layer for evaluation."""

from __future__ import annotations

import copy
from typing import TypeVar

from ...ops.norm import folded
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def _scaled(
    weight: Tensor,
    bias: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    dim: int,
) -> tuple[Parameter, Parameter]:
    """As ``folded``, in parameters."""
    new_weight, new_bias = folded(weight, bias, bn_rm, bn_rv, bn_w, bn_b, bn_eps, dim)
    return (
        Parameter(new_weight.to(weight.dtype), weight.requires_grad),
        Parameter(new_bias, weight.requires_grad if bias is None else bias.requires_grad),
    )


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """(weight, bias) of the convolution that does the normalization's work too.

    Args:
        conv_w, conv_b: the convolution's.
        bn_rm, bn_rv, bn_eps, bn_w, bn_b: the normalization's running mean and variance, eps, weight and bias.
        transpose: the convolution is a transposed one, whose outputs are dim 1 of the weight.
    """
    return _scaled(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """(weight, bias) of the linear layer that does the normalization's work too; arguments as for convolutions."""
    return _scaled(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _evaluating(layer: Module, bn: Module, operation: str) -> None:
    if layer.training or bn.training:
        raise AssertionError(f"{operation}: fusion only for eval! Call eval() on both modules")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError(f"{operation}: the normalization has no running statistics")


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """A copy of ``conv`` that does the work of ``bn`` too; both in evaluation mode.

    Raises:
        AssertionError: one of them is training.
    """
    _evaluating(conv, bn, "fuse_conv_bn_eval")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )  # fmt: skip
    return fused


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """A copy of ``linear`` that does the work of ``bn`` too; both in evaluation mode.

    Raises:
        AssertionError: one of them is training, or their features differ.
    """
    _evaluating(linear, bn, "fuse_linear_bn_eval")
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "fuse_linear_bn_eval: linear.out_features must be bn.num_features, or bn.num_features 1, got "
            f"{linear.out_features} and {bn.num_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
