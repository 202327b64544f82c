"""Optimizer steps on the CUDA kernels: all parameters of a dtype in few launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

from fastnn.backends.gpu._arrays import contiguous, is_float, kernels, stream
from fastnn.backends.numpy import optim as spec
from fastnn.backends.protocol import Array

_Lists = list[Sequence[Array] | None]


def _dense(arrays: Sequence[Array]) -> list[Array] | None:
    """(p, g, state...) as C-contiguous views in the order of p's memory, or None; g may be copied to it."""
    p = arrays[0]
    if not is_float(p) or any(a.dtype != p.dtype or a.shape != p.shape for a in arrays):
        return None
    views = list(arrays)
    if not p.flags.c_contiguous:
        order = sorted(range(p.ndim), key=lambda axis: -p.strides[axis])
        views = [a.transpose(order) for a in arrays]
    views[1] = contiguous(views[1])
    return views if all(v.flags.c_contiguous for v in views) else None


def _step(
    lists: _Lists,
    kernel: Callable[[list[list[Array]]], None],
    specification: Callable[..., None],
    **options: Any,
) -> None:
    """Runs ``kernel`` over the parameters of each dtype, and the specification over those that are not dense."""
    groups: dict[str, list[list[Array]]] = {}
    others: list[int] = []
    for i, arrays in enumerate(zip(*(a for a in lists if a is not None), strict=True)):
        views = _dense(arrays)
        if views is None:
            others.append(i)
        else:
            groups.setdefault(views[0].dtype.name, []).append(views)
    for group in groups.values():
        kernel(group)
    if others:
        specification(
            *(None if a is None else [a[i] for i in others] for a in lists),
            **options,
        )


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    momentum_buffers: Sequence[Array] | None,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> None:
    """Stochastic gradient descent with momentum."""
    buffers = momentum_buffers if momentum else None
    if buffers is None:
        momentum = 0.0

    def kernel(group: list[list[Array]]) -> None:
        kernels.sgd_step(
            group, lr, momentum, dampening, weight_decay, nesterov, maximize, first, stream()
        )

    _step(
        [params, grads, buffers],
        kernel,
        spec.sgd_step,
        lr=lr,
        momentum=momentum,
        dampening=dampening,
        weight_decay=weight_decay,
        nesterov=nesterov,
        maximize=maximize,
        first=first,
    )


def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array] | None,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    """Adam, AdamW where ``decoupled``, AMSGrad with ``max_exp_avg_sqs``."""

    def kernel(group: list[list[Array]]) -> None:
        kernels.adam_step(
            group,
            lr / (1 - beta1**step),
            sqrt(1 - beta2**step),
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
            decoupled,
            maximize,
            max_exp_avg_sqs is not None,
            stream(),
        )

    _step(
        [params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs],
        kernel,
        spec.adam_step,
        step=step,
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        weight_decay=weight_decay,
        decoupled=decoupled,
        maximize=maximize,
    )


def adagrad_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    sums: Sequence[Array],
    *,
    step: int,
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adagrad."""

    def kernel(group: list[list[Array]]) -> None:
        rate = lr / (1 + (step - 1) * lr_decay)
        kernels.adagrad_step(group, rate, eps, weight_decay, maximize, stream())

    _step(
        [params, grads, sums],
        kernel,
        spec.adagrad_step,
        step=step,
        lr=lr,
        lr_decay=lr_decay,
        eps=eps,
        weight_decay=weight_decay,
        maximize=maximize,
    )


def rmsprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    grad_avgs: Sequence[Array] | None,
    momentum_buffers: Sequence[Array] | None,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    """RMSprop, centered with ``grad_avgs``."""
    centered, buffered = grad_avgs is not None, momentum_buffers is not None

    def kernel(group: list[list[Array]]) -> None:
        kernels.rmsprop_step(
            group,
            lr,
            alpha,
            eps,
            weight_decay,
            momentum,
            maximize,
            centered,
            buffered,
            stream(),
        )

    _step(
        [params, grads, square_avgs, grad_avgs, momentum_buffers],
        kernel,
        spec.rmsprop_step,
        lr=lr,
        alpha=alpha,
        eps=eps,
        weight_decay=weight_decay,
        momentum=momentum,
        maximize=maximize,
    )
