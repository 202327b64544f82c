"""Optimizer steps on the C++ kernels: one call for all parameters.

The kernels update the float32 and float64 parameters whose arrays are all dense in one layout, and name the others,
which the specification updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import _cpu
from fastnn.backends.numpy import optim as spec
from fastnn.backends.protocol import Array


def _all_left(params: Sequence[Array], *_: Any) -> list[int]:
    return list(range(len(params)))


_sgd_step = _cpu.with_fallback("sgd_step", _all_left)
_adam_step = _cpu.with_fallback("adam_step", _all_left)


def _pick(arrays: Sequence[Array] | None, positions: list[int]) -> list[Array] | None:
    return None if arrays is None else [arrays[i] for i in positions]


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
    left = _sgd_step(
        params, grads, momentum_buffers,
        lr, momentum, dampening, weight_decay, nesterov, maximize, first,
    )  # fmt: skip
    if left:
        spec.sgd_step(
            [params[i] for i in left],
            [grads[i] for i in left],
            _pick(momentum_buffers, left),
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
    left = _adam_step(
        params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs,
        step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize,
    )  # fmt: skip
    if left:
        spec.adam_step(
            [params[i] for i in left],
            [grads[i] for i in left],
            [exp_avgs[i] for i in left],
            [exp_avg_sqs[i] for i in left],
            _pick(max_exp_avg_sqs, left),
            step=step,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            weight_decay=weight_decay,
            decoupled=decoupled,
            maximize=maximize,
        )
