"""Optimizer steps over all parameters in one call; parameters and state are updated in place."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from fastnn.backends.protocol import Array


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
    """Stochastic gradient descent with momentum, as torch.optim.SGD.

    g = grad + weight_decay * p;  b = momentum * b + (1 - dampening) * g  (at first b = g);
    p -= lr * (g + momentum * b if nesterov, else b).
    """
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        if maximize:
            g = -g
        if weight_decay:
            g = g + weight_decay * p
        if momentum_buffers is not None and momentum:
            b = momentum_buffers[i]
            if first:
                b[...] = g
            else:
                b *= momentum
                b += (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        p -= lr * g


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
    """Adam (Kingma and Ba 2015), AdamW where ``decoupled`` (Loshchilov and Hutter 2019), as torch.optim's.

    m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g**2;
    p -= lr / (1 - beta1**step) * m / (sqrt(v) / sqrt(1 - beta2**step) + eps).
    With ``max_exp_avg_sqs`` (AMSGrad; Reddi et al. 2018) the largest v so far stands in the denominator.
    """
    step_size = lr / (1 - beta1**step)
    correction = sqrt(1 - beta2**step)
    for i, (p, g, m, v) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, strict=True)):
        if maximize:
            g = -g
        if decoupled:
            p *= 1 - lr * weight_decay
        elif weight_decay:
            g = g + weight_decay * p
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * (g * g)
        top = v
        if max_exp_avg_sqs is not None:
            top = np.maximum(max_exp_avg_sqs[i], v, out=max_exp_avg_sqs[i])
        p -= step_size * m / (np.sqrt(top) / correction + eps)
