"""Optimizer steps over all parameters in one call; parameters and state are updated in place."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import ml_dtypes
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


def _descent(p: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    """The gradient to descend along: negated where ``maximize``, plus weight_decay * p; at most one new array."""
    if weight_decay:
        out = np.multiply(p, weight_decay, out=np.empty_like(p))
        return np.subtract(out, g, out=out) if maximize else np.add(out, g, out=out)
    return np.negative(g, out=np.empty_like(p)) if maximize else g


def _running_mean(mean: Array, value: Array, decay: float, scratch: Array) -> None:
    """mean += (1 - decay) * (value - mean)."""
    np.subtract(value, mean, out=scratch)
    scratch *= 1 - decay
    mean += scratch


def _running_square(mean: Array, value: Array, decay: float, scratch: Array) -> None:
    """mean = decay * mean + (1 - decay) * value**2."""
    mean *= decay
    np.multiply(value, value, out=scratch)
    scratch *= 1 - decay
    mean += scratch


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
    """Adagrad (Duchi, Hazan and Singer 2011, figure 1), as torch.optim's.

    s += g**2;  p -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(s) + eps).
    """
    rate = lr / (1 + (step - 1) * lr_decay)
    for p, grad, s in zip(params, grads, sums, strict=True):
        g = _descent(p, grad, weight_decay, maximize)
        t = np.multiply(g, g, out=np.empty_like(p))
        s += t
        np.sqrt(s, out=t)
        t += eps
        np.divide(g, t, out=t)
        t *= rate
        p -= t


def adadelta_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    acc_deltas: Sequence[Array],
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adadelta (Zeiler 2012, algorithm 1), as torch.optim's.

    v = rho * v + (1 - rho) * g**2;  d = sqrt(u + eps) / sqrt(v + eps) * g;  u = rho * u + (1 - rho) * d**2;
    p -= lr * d.
    """
    for p, grad, v, u in zip(params, grads, square_avgs, acc_deltas, strict=True):
        g = _descent(p, grad, weight_decay, maximize)
        t, d = np.empty_like(p), np.empty_like(p)
        _running_square(v, g, rho, t)
        np.add(v, eps, out=t)
        np.sqrt(t, out=t)
        np.add(u, eps, out=d)
        np.sqrt(d, out=d)
        d /= t
        d *= g
        _running_square(u, d, rho, t)
        d *= lr
        p -= d


def adamax_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_infs: Sequence[Array],
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adamax (Kingma and Ba 2015, algorithm 2), as torch.optim's: eps stands inside the maximum.

    m = beta1 * m + (1 - beta1) * g;  u = max(beta2 * u, |g| + eps);  p -= lr / (1 - beta1**step) * m / u.
    """
    rate = lr / (1 - beta1**step)
    for p, grad, m, u in zip(params, grads, exp_avgs, exp_infs, strict=True):
        g = _descent(p, grad, weight_decay, maximize)
        t = np.empty_like(p)
        _running_mean(m, g, beta1, t)
        np.absolute(g, out=t)
        t += eps
        u *= beta2
        np.maximum(u, t, out=u)
        np.divide(m, u, out=t)
        t *= rate
        p -= t


def nadam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    *,
    mu_products: Sequence[float],
    mu: float,
    mu_next: float,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    """NAdam (Dozat 2016, algorithm 2), as torch.optim's; ``mu_products`` are the products of all mu up to this step.

    m, v as Adam's;  d = sqrt(v / (1 - beta2**step)) + eps;
    p -= lr * (1 - mu) / (1 - mu_product) * g / d + lr * mu_next / (1 - mu_product * mu_next) * m / d.
    """
    for p, grad, m, v, product in zip(
        params, grads, exp_avgs, exp_avg_sqs, mu_products, strict=True
    ):
        if decoupled:
            p *= 1 - lr * weight_decay
        g = _descent(p, grad, 0 if decoupled else weight_decay, maximize)
        t, d = np.empty_like(p), np.empty_like(p)
        _running_mean(m, g, beta1, t)
        _running_square(v, g, beta2, t)
        np.divide(v, 1 - beta2**step, out=d)
        np.sqrt(d, out=d)
        d += eps
        np.divide(g, d, out=t)
        t *= lr * (1 - mu) / (1 - product)
        p -= t
        np.divide(m, d, out=t)
        t *= lr * mu_next / (1 - product * mu_next)
        p -= t


def radam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
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
    """RAdam (Liu et al. 2020, algorithm 2), as torch.optim's: eps is added to sqrt(v).

    m, v as Adam's;  rho_inf = 2 / (1 - beta2) - 1;  rho = rho_inf - 2 * step * beta2**step / (1 - beta2**step);
    p -= lr * m / (1 - beta1**step), times r * sqrt(1 - beta2**step) / (sqrt(v) + eps) where rho > 5, with
    r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)).
    """
    left = 1 - beta2**step
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * step * beta2**step / left
    rate = lr / (1 - beta1**step)
    rectified = rho > 5
    if rectified:
        r = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        rate *= sqrt(r * left)
    for p, grad, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        if decoupled:
            p *= 1 - lr * weight_decay
        g = _descent(p, grad, 0 if decoupled else weight_decay, maximize)
        t = np.empty_like(p)
        _running_mean(m, g, beta1, t)
        _running_square(v, g, beta2, t)
        if rectified:
            np.sqrt(v, out=t)
            t += eps
            np.divide(m, t, out=t)
            t *= rate
        else:
            np.multiply(m, rate, out=t)
        p -= t


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
    """RMSprop (Tieleman and Hinton 2012; centered: Graves 2013, equations 38 to 45), as torch.optim's.

    v = alpha * v + (1 - alpha) * g**2;  d = sqrt(v) + eps, or sqrt(v - a**2) + eps with the running mean a of g;
    p -= lr * g / d, or with momentum b = momentum * b + g / d, p -= lr * b.
    """
    for i, (p, grad, v) in enumerate(zip(params, grads, square_avgs, strict=True)):
        g = _descent(p, grad, weight_decay, maximize)
        t = np.empty_like(p)
        _running_square(v, g, alpha, t)
        if grad_avgs is None:
            np.sqrt(v, out=t)
        else:
            a = grad_avgs[i]
            _running_mean(a, g, alpha, t)
            np.multiply(a, a, out=t)
            np.subtract(v, t, out=t)
            np.sqrt(t, out=t)
        t += eps
        np.divide(g, t, out=t)
        if momentum_buffers is not None:
            b = momentum_buffers[i]
            b *= momentum
            b += t
            np.multiply(b, lr, out=t)
        else:
            t *= lr
        p -= t


def rprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    prevs: Sequence[Array],
    step_sizes: Sequence[Array],
    *,
    eta_minus: float,
    eta_plus: float,
    step_size_min: float,
    step_size_max: float,
    maximize: bool,
) -> None:
    """Rprop (Riedmiller and Braun 1993), as torch.optim's: a change of sign skips the step.

    s = clip(s * (eta_plus where g * prev > 0, eta_minus where < 0)), g = 0 where g * prev < 0;
    p -= sign(g) * s;  prev = g.
    """
    for p, grad, prev, s in zip(params, grads, prevs, step_sizes, strict=True):
        g = _descent(p, grad, 0, maximize)
        prev *= g
        turned = prev < 0
        np.copyto(s, s * eta_plus, where=prev > 0)
        np.copyto(s, s * eta_minus, where=turned)
        np.minimum(np.maximum(s, step_size_min, out=s), step_size_max, out=s)
        np.copyto(prev, g)
        np.copyto(prev, 0, where=turned)
        t = np.sign(prev, out=np.empty_like(p))
        t *= s
        p -= t


def asgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    axs: Sequence[Array],
    *,
    etas: Sequence[float],
    mus: Sequence[float],
    lambd: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Averaged gradient descent (Polyak and Juditsky 1992; its schedule: Bottou 2010), as torch.optim's.

    p = (1 - lambd * eta) * p - eta * g;  ax += mu * (p - ax).
    """
    for p, grad, ax, eta, mu in zip(params, grads, axs, etas, mus, strict=True):
        g = _descent(p, grad, weight_decay, maximize)
        t = np.multiply(g, eta, out=np.empty_like(p))
        p *= 1 - lambd * eta
        p -= t
        if mu == 1:
            np.copyto(ax, p)
        else:
            np.subtract(p, ax, out=t)
            t *= mu
            ax += t


def adafactor_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    row_vars: Sequence[Array | None],
    col_vars: Sequence[Array | None],
    variances: Sequence[Array | None],
    *,
    step: int,
    lr: float,
    beta2_decay: float,
    eps1: float | None,
    eps2: float,
    d: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Adafactor (Shazeer and Stern 2018, algorithms 4 and 5), as torch.optim's.

    Parameters of two dims and more keep the mean squares of their gradients by row (..., n, 1) and column (..., 1, m);
    v = row @ col / mean(row). Others keep v itself. u = g / sqrt(max(v, eps1**2)), divided by max(1, rms(u) / d);
    p -= max(eps2, rms(p)) * min(lr, 1 / sqrt(step)) * u. ``eps1`` None: the dtype's machine epsilon.
    """
    new = float(step) ** beta2_decay
    rate = min(lr, 1 / sqrt(step))
    for p, grad, row, col, variance in zip(
        params, grads, row_vars, col_vars, variances, strict=True
    ):
        tiny = _epsilon(p) if eps1 is None else eps1
        scale = max(eps2, _rms(p)) * rate
        if weight_decay:
            p *= 1 - lr * weight_decay
        g = _descent(p, grad, 0, maximize)
        u = np.multiply(g, g, out=np.empty_like(p))
        if row is not None and col is not None:
            _running_mean(row, u.mean(axis=-1, keepdims=True), 1 - new, np.empty_like(row))
            _running_mean(col, u.mean(axis=-2, keepdims=True), 1 - new, np.empty_like(col))
            np.multiply(row, col, out=u)
            u /= np.maximum(row.mean(axis=-2, keepdims=True), tiny)
        elif variance is not None:
            _running_mean(variance, u, 1 - new, np.empty_like(u))
            np.copyto(u, variance)
        np.maximum(u, tiny * tiny, out=u)
        np.sqrt(u, out=u)
        np.divide(g, u, out=u)
        u *= scale / max(1.0, _rms(u) / d)
        p -= u


def _epsilon(x: Array) -> float:
    """The distance from 1 to the next number of x's dtype."""
    return float(ml_dtypes.finfo(x.dtype).eps)  # type: ignore[no-untyped-call]


def _rms(x: Array) -> float:
    """The root of the mean square."""
    flat = x.reshape(-1).astype(np.float64, copy=False)
    return sqrt(float(flat @ flat) / max(flat.size, 1))


def muon_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    momentum_buffers: Sequence[Array],
    *,
    rates: Sequence[float],
    lr: float,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    ns_steps: int,
    eps: float,
) -> None:
    """Muon (Jordan 2024), as torch.optim's: momentum, its direction made orthogonal; ``rates`` are each matrix's.

    b = momentum * b + (1 - momentum) * g;  u = g + momentum * (b - g) if nesterov, else b;
    p = (1 - lr * weight_decay) * p - rate * orthogonal(u).
    """
    for p, g, b, rate in zip(params, grads, momentum_buffers, rates, strict=True):
        t = np.empty_like(p)
        _running_mean(b, g, momentum, t)
        if nesterov:
            np.subtract(b, g, out=t)
            t *= momentum
            t += g
        else:
            np.copyto(t, b)
        p *= 1 - lr * weight_decay
        p -= (rate * _orthogonal(t, ns_coefficients, ns_steps, eps)).astype(p.dtype, copy=False)


def _orthogonal(
    x: Array, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Array:
    """About U @ V.T of x = U @ S @ V.T, float32, by Newton and Schulz's iteration with every result in bfloat16."""

    def rounded(y: Array) -> Array:
        return y.astype(ml_dtypes.bfloat16).astype(np.float32)

    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    y = rounded(x.T if tall else x)
    y = rounded(y / max(float(rounded(np.sqrt(np.sum(y * y)))), eps))
    for _ in range(steps):
        gram = rounded(y @ y.T)
        y = rounded(a * y + rounded(b * gram + c * (gram @ gram)) @ y)
    return y.T if tall else y
