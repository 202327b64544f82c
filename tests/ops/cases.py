"""Every operation as a ``Case``."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
import fastnn.nn.functional as F

from .harness import Case


def _softmax(x: Any, axis: int) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _conv(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Convolution by six loops, straight from its definition."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    n, _, h, width = x.shape
    o, c, kh, kw = w.shape
    oh = (h - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (width - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow))
    for k in range(o):
        first = k // (o // groups) * c
        for i in range(kh):
            for j in range(kw):
                top, left = i * dilation[0], j * dilation[1]
                rows = slice(top, top + stride[0] * (oh - 1) + 1, stride[0])
                cols = slice(left, left + stride[1] * (ow - 1) + 1, stride[1])
                patch = x[:, first : first + c, rows, cols]
                y[:, k] += np.einsum("nchw,c->nhw", patch, w[k, :, i, j])
    return y if b is None else y + b[:, None, None]


def _windows(x: Any, k: Any, s: Any, p: Any, fill: float, reduce: Any) -> Any:
    x = np.pad(x, ((0, 0), (0, 0), (p[0],) * 2, (p[1],) * 2), constant_values=fill)
    oh, ow = (x.shape[2] - k[0]) // s[0] + 1, (x.shape[3] - k[1]) // s[1] + 1
    rows = [
        [
            reduce(x[:, :, i * s[0] : i * s[0] + k[0], j * s[1] : j * s[1] + k[1]], (2, 3))
            for j in range(ow)
        ]
        for i in range(oh)
    ]
    return np.array(rows).transpose(2, 3, 0, 1)


def _logsumexp(x: Any) -> Any:
    top = x.max(1, keepdims=True)
    return (np.log(np.exp(x - top).sum(1, keepdims=True)) + top)[:, 0]


def _cross_entropy(x: Any, t: Any, w: Any, ignore: int, smoothing: float) -> Any:
    losses, weights = [], []
    lse = _logsumexp(x)
    for i, k in enumerate(t):
        if k == ignore:
            continue
        losses.append(
            (1 - smoothing) * w[k] * (lse[i] - x[i, k])
            + smoothing / x.shape[1] * (w * (lse[i] - x[i])).sum()
        )
        weights.append(w[k])
    return np.sum(losses) / np.sum(weights)


def _batch_norm(x: Any, w: Any, b: Any) -> Any:
    axes = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    centred = x - x.mean(axes, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)
    return normed * w.reshape(shape) + b.reshape(shape)


T = fastnn.tensor
TARGET = np.array([2, 0, 1, 2])
WEIGHT = np.array([0.5, 1.0, 2.0])
INDEX = np.array([2, 0, 0])
MASK = np.array([[True, False, True], [False, False, True]])
UNARY = {
    "neg": (fastnn.neg, np.negative, -2.0, 2.0),
    "abs": (fastnn.abs, np.abs, 0.1, 2.0),
    "exp": (fastnn.exp, np.exp, -2.0, 2.0),
    "expm1": (fastnn.expm1, np.expm1, -2.0, 2.0),
    "log": (fastnn.log, np.log, 0.5, 3.0),
    "log2": (fastnn.log2, np.log2, 0.5, 3.0),
    "log10": (fastnn.log10, np.log10, 0.5, 3.0),
    "log1p": (fastnn.log1p, np.log1p, -0.5, 2.0),
    "sqrt": (fastnn.sqrt, np.sqrt, 0.5, 3.0),
    "rsqrt": (fastnn.rsqrt, lambda x: x**-0.5, 0.5, 3.0),
    "reciprocal": (fastnn.reciprocal, lambda x: 1 / x, 0.5, 3.0),
    "square": (fastnn.square, lambda x: x * x, -2.0, 2.0),
    "sin": (fastnn.sin, np.sin, -2.0, 2.0),
    "cos": (fastnn.cos, np.cos, -2.0, 2.0),
    "tan": (fastnn.tan, np.tan, -1.0, 1.0),
    "sinh": (fastnn.sinh, np.sinh, -2.0, 2.0),
    "cosh": (fastnn.cosh, np.cosh, -2.0, 2.0),
    "asin": (fastnn.asin, np.arcsin, -0.8, 0.8),
    "acos": (fastnn.acos, np.arccos, -0.8, 0.8),
    "atan": (fastnn.atan, np.arctan, -2.0, 2.0),
    "sign": (fastnn.sign, np.sign, 0.1, 2.0),
    "floor": (fastnn.floor, np.floor, 0.1, 0.9),
    "ceil": (fastnn.ceil, np.ceil, 0.1, 0.9),
    "round": (fastnn.round, np.round, 0.6, 0.9),
    "trunc": (fastnn.trunc, np.trunc, 0.1, 0.9),
    "relu": (F.relu, lambda x: np.maximum(x, 0), 0.1, 2.0),
    "relu_negative": (F.relu, lambda x: np.maximum(x, 0), -2.0, -0.1),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), lambda x: x, 0.1, 2.0),
    "leaky_relu_negative": (lambda x: F.leaky_relu(x, 0.2), lambda x: 0.2 * x, -2.0, -0.1),
    "sigmoid": (fastnn.sigmoid, lambda x: 1 / (1 + np.exp(-x)), -3.0, 3.0),
    "tanh": (fastnn.tanh, np.tanh, -2.0, 2.0),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), lambda x: np.clip(x, -0.5, 0.5), -0.4, 0.4),
    "clamp_min": (lambda x: x.clamp(min=1.0), lambda x: np.maximum(x, 1), 0.1, 0.9),
    "pow_2": (lambda x: x**2, lambda x: x**2, -2.0, 2.0),
    "pow_half": (lambda x: x**0.5, lambda x: x**0.5, 0.5, 2.0),
    "rpow": (lambda x: 2.0**x, lambda x: 2.0**x, -2.0, 2.0),
    "scalars": (lambda x: 1 - (2 * x + 3) / 4, lambda x: 1 - (2 * x + 3) / 4, -2.0, 2.0),
    "rdiv": (lambda x: 2 / x, lambda x: 2 / x, 0.5, 2.0),
    "to_float64": (lambda x: x.double().to(x.dtype), lambda x: x, -2.0, 2.0),
}
BINARY = {
    "add": (lambda a, b: a + b, np.add),
    "add_alpha": (lambda a, b: fastnn.add(a, b, alpha=3), lambda a, b: a + 3 * b),
    "sub": (lambda a, b: a - b, np.subtract),
    "sub_alpha": (lambda a, b: fastnn.sub(a, b, alpha=3), lambda a, b: a - 3 * b),
    "mul": (lambda a, b: a * b, np.multiply),
    "div": (lambda a, b: a / b, np.divide),
    "pow": (lambda a, b: a**b, np.power),
    "maximum": (fastnn.maximum, np.maximum),
    "minimum": (fastnn.minimum, np.minimum),
    "remainder": (fastnn.remainder, np.remainder),
}
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((), (2, 3)),
    ((2, 3, 2, 2), (3, 1, 1)),
]

CASES = [
    Case(name, op, ref, ((2, 3),), low, high)
    for name, (op, ref, low, high) in UNARY.items()
    if name not in ("log1p",)
]
CASES.append(Case("log1p", *UNARY["log1p"][:2], ((2, 3),), -0.5, 2.0))
CASES += [
    Case(f"{name}{a}{b}", op, ref, (a, b), 0.3, 2.0, distinct=True, gradgrad=name != "remainder")
    for name, (op, ref) in BINARY.items()
    for a, b in SHAPES
    if name in ("add", "mul", "div") or (a, b) in (SHAPES[0], SHAPES[1])
]
CASES += [
    # reductions
    Case("sum", lambda x: x.sum(), lambda x: x.sum(), ((2, 3, 4),), terms=24),
    Case("sum_dim", lambda x: x.sum((0, 2)), lambda x: x.sum((0, 2)), ((2, 3, 4),), terms=8),
    Case("sum_keepdim", lambda x: x.sum(-1, True), lambda x: x.sum(-1, keepdims=True), ((2, 3),), terms=3),
    Case("mean", lambda x: x.mean(), lambda x: x.mean(), ((2, 3),), terms=6),
    Case("mean_dim", lambda x: x.mean(1), lambda x: x.mean(1), ((2, 3, 2),), terms=3),
    Case("amax", lambda x: x.amax(1), lambda x: x.max(1), ((2, 3, 2),), distinct=True),
    Case("amin", lambda x: x.amin((0, 2), True), lambda x: x.min((0, 2), keepdims=True), ((2, 3, 2),), distinct=True),
    Case("max_all", lambda x: x.max(), lambda x: x.max(), ((2, 3),), distinct=True),
    Case("max_dim", lambda x: x.max(1), lambda x: (x.max(1), x.argmax(1)), ((2, 3, 2),), distinct=True),
    Case("min_dim", lambda x: x.min(0, True), lambda x: (x.min(0, keepdims=True), x.argmin(0)[None]), ((2, 3),), distinct=True),
    Case("prod", lambda x: x.prod(), lambda x: x.prod(), ((2, 3),), 0.5, 1.5, gradgrad=False),
    Case("prod_dim", lambda x: x.prod(1), lambda x: x.prod(1), ((2, 3, 2),), 0.5, 1.5, gradgrad=False),
    Case("var", lambda x: x.var(1), lambda x: x.var(1, ddof=1), ((2, 4),), terms=8),
    Case("std", lambda x: x.std(unbiased=False), lambda x: x.std(), ((2, 4),), terms=16),
    Case("norm", lambda x: x.norm(), lambda x: np.sqrt((x * x).sum()), ((2, 3),), terms=6),
    Case("norm_1", lambda x: x.norm(1, 1), lambda x: np.abs(x).sum(1), ((2, 3),), 0.1, 2.0, terms=3),
    Case("norm_inf", lambda x: x.norm(np.inf, 1), lambda x: x.max(1), ((2, 3),), 0.1, 2.0, distinct=True),
    Case("norm_3", lambda x: x.norm(3, 1), lambda x: (x**3).sum(1) ** (1 / 3), ((2, 3),), 0.5, 2.0, terms=8),
    # matrix products
    Case("matmul", fastnn.matmul, np.matmul, ((3, 4), (4, 5)), terms=4),
    Case("matmul_vec", fastnn.matmul, np.matmul, ((3, 4), (4,)), terms=4),
    Case("vec_matmul", fastnn.matmul, np.matmul, ((4,), (4, 3)), terms=4),
    Case("dot", fastnn.matmul, np.matmul, ((4,), (4,)), terms=4),
    Case("matmul_batch", fastnn.matmul, np.matmul, ((2, 3, 4), (2, 4, 2)), terms=4),
    Case("matmul_broadcast", fastnn.matmul, np.matmul, ((2, 1, 3, 2), (3, 2, 2)), terms=2),
    Case("matmul_batch_2d", fastnn.matmul, np.matmul, ((2, 2, 3), (3, 2)), terms=3),
    Case("matmul_batch_vec", fastnn.matmul, np.matmul, ((2, 2, 3), (3,)), terms=3),
    Case("vec_matmul_batch", fastnn.matmul, np.matmul, ((3,), (2, 3, 2)), terms=3),
    Case("matmul_t", lambda a, b: a.t() @ b.t(), lambda a, b: a.T @ b.T, ((4, 3), (2, 4)), terms=4),
    Case("linear", F.linear, lambda x, w, b: x @ w.T + b, ((2, 2, 3), (4, 3), (4,)), terms=4),
    Case("linear_no_bias", F.linear, lambda x, w: x @ w.T, ((2, 3), (4, 3)), terms=3),
    Case("linear_relu", lambda x, w, b: F.linear(x, w, b, "relu"), lambda x, w, b: np.maximum(x @ w.T + b, 0), ((3, 3), (4, 3), (4,)), terms=4),
    # convolution
    Case("conv2d", F.conv2d, lambda x, w, b: _conv(x, w, b, (1, 1), (0, 0), (1, 1), 1), ((2, 2, 4, 5), (3, 2, 3, 3), (3,)), terms=19),
    Case("conv2d_stride", lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 2)), lambda x, w: _conv(x, w, None, (2, 1), (1, 2), (1, 1), 1), ((1, 2, 5, 4), (2, 2, 3, 2)), terms=12),
    Case("conv2d_dilation", lambda x, w, b: F.conv2d(x, w, b, 1, 1, 2), lambda x, w, b: _conv(x, w, b, (1, 1), (1, 1), (2, 2), 1), ((1, 1, 5, 5), (2, 1, 2, 3), (2,)), terms=7),
    Case("conv2d_groups", lambda x, w: F.conv2d(x, w, groups=2), lambda x, w: _conv(x, w, None, (1, 1), (0, 0), (1, 1), 2), ((2, 4, 3, 3), (4, 2, 2, 2)), terms=8),
    Case("conv2d_depthwise", lambda x, w: F.conv2d(x, w, padding="same", groups=3), lambda x, w: _conv(x, w, None, (1, 1), (1, 1), (1, 1), 3), ((1, 3, 4, 4), (3, 1, 3, 3)), terms=9),
    Case("conv2d_1x1", F.conv2d, lambda x, w: _conv(x, w, None, (1, 1), (0, 0), (1, 1), 1), ((2, 3, 3, 2), (2, 3, 1, 1)), terms=3),
    Case("conv2d_relu", lambda x, w, b: F.conv2d(x, w, b, activation="relu"), lambda x, w, b: np.maximum(_conv(x, w, b, (1, 1), (0, 0), (1, 1), 1), 0), ((1, 2, 4, 4), (2, 2, 3, 3), (2,)), terms=19),
    Case("conv2d_unbatched", F.conv2d, lambda x, w: _conv(x[None], w, None, (1, 1), (0, 0), (1, 1), 1)[0], ((2, 3, 3), (2, 2, 2, 2)), terms=8),
    Case("conv2d_max_pool2d", lambda x, w, b: F.conv2d_max_pool2d(x, w, b, activation="relu"), lambda x, w, b: _windows(np.maximum(_conv(x, w, b, (1, 1), (0, 0), (1, 1), 1), 0), (2, 2), (2, 2), (0, 0), -np.inf, np.max), ((2, 2, 6, 7), (3, 2, 3, 3), (3,)), terms=19),
    Case("conv2d_max_pool2d_geometry", lambda x, w: F.conv2d_max_pool2d(x, w, None, (2, 1), (1, 2), kernel_size=(2, 3), pool_stride=1), lambda x, w: _windows(_conv(x, w, None, (2, 1), (1, 2), (1, 1), 1), (2, 3), (1, 1), (0, 0), -np.inf, np.max), ((1, 2, 5, 4), (2, 2, 3, 2)), terms=12),
    Case("conv2d_max_pool2d_padded", lambda x, w: F.conv2d_max_pool2d(x, w, None, padding="same", kernel_size=3, pool_stride=2, pool_padding=1), lambda x, w: _windows(_conv(x, w, None, (1, 1), (1, 1), (1, 1), 1), (3, 3), (2, 2), (1, 1), -np.inf, np.max), ((1, 2, 4, 4), (2, 2, 3, 3)), terms=18),
    # pooling
    Case("max_pool2d", lambda x: F.max_pool2d(x, 2), lambda x: _windows(x, (2, 2), (2, 2), (0, 0), -np.inf, np.max), ((2, 2, 4, 5),), distinct=True),
    Case("max_pool2d_overlap", lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: _windows(x, (3, 3), (2, 2), (1, 1), -np.inf, np.max), ((1, 2, 5, 5),), distinct=True),
    Case("avg_pool2d", lambda x: F.avg_pool2d(x, (2, 3), 1), lambda x: _windows(x, (2, 3), (1, 1), (0, 0), 0, np.mean), ((1, 2, 4, 4),), terms=6),
    Case("avg_pool2d_pad", lambda x: F.avg_pool2d(x, 2, 2, 1), lambda x: _windows(x, (2, 2), (2, 2), (1, 1), 0, np.mean), ((1, 2, 4, 4),), terms=4),
    Case("avg_pool2d_no_pad_count", lambda x: F.avg_pool2d(x, 2, 2, 1, count_include_pad=False), lambda x: _windows(np.where(np.isnan(x), 0, x), (2, 2), (2, 2), (1, 1), np.nan, np.nanmean), ((1, 1, 4, 4),), terms=4),
    Case("avg_pool2d_divisor", lambda x: F.avg_pool2d(x, 2, divisor_override=3), lambda x: _windows(x, (2, 2), (2, 2), (0, 0), 0, np.sum) / 3, ((1, 1, 4, 4),), terms=4),
    Case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (2, 1)), lambda x: _windows(x, (2, 3), (2, 3), (0, 0), 0, np.mean), ((1, 2, 4, 3),), terms=6),
    # softmax and losses
    Case("softmax", lambda x: F.softmax(x, 1), lambda x: _softmax(x, 1), ((3, 4),), terms=4),
    Case("softmax_axis", lambda x: F.softmax(x, 0), lambda x: _softmax(x, 0), ((3, 2, 2),), terms=3),
    Case("log_softmax", lambda x: F.log_softmax(x, -1), lambda x: np.log(_softmax(x, -1)), ((3, 4),), terms=4),
    Case("log_softmax_axis", lambda x: F.log_softmax(x, 1), lambda x: np.log(_softmax(x, 1)), ((2, 3, 2),), terms=3),
    Case("cross_entropy", lambda x: F.cross_entropy(x, T(TARGET)), lambda x: _cross_entropy(x, [2, 0, 1, 2], np.ones(3), -1, 0.0), ((4, 3),), terms=12),
    Case("cross_entropy_weight", lambda x: F.cross_entropy(x, T(TARGET), T(WEIGHT).to(x.dtype), ignore_index=0, label_smoothing=0.1), lambda x: _cross_entropy(x, [2, 0, 1, 2], WEIGHT, 0, 0.1), ((4, 3),), terms=12),
    Case("cross_entropy_image", lambda x: F.cross_entropy(x, T([[0, 1], [2, 2]]), reduction="sum"), lambda x: 4 * _cross_entropy(x.transpose(0, 2, 1).reshape(4, 3), [0, 1, 2, 2], np.ones(3), -1, 0.0), ((2, 3, 2),), terms=12),
    Case("cross_entropy_none", lambda x: F.cross_entropy(x, T(TARGET), reduction="none"), lambda x: _logsumexp(x) - x[np.arange(4), [2, 0, 1, 2]], ((4, 3),), terms=3),
    Case("cross_entropy_soft", lambda x: F.cross_entropy(x, T(_softmax(np.arange(12.0).reshape(4, 3), 1)).to(x.dtype)), lambda x: -(_softmax(np.arange(12.0).reshape(4, 3), 1) * np.log(_softmax(x, 1))).sum() / 4, ((4, 3),), terms=12),
    Case("nll_loss", lambda x: F.nll_loss(x, T(TARGET), T(WEIGHT).to(x.dtype)), lambda x: -(WEIGHT[[2, 0, 1, 2]] * x[np.arange(4), [2, 0, 1, 2]]).sum() / WEIGHT[[2, 0, 1, 2]].sum(), ((4, 3),), terms=4),
    Case("mse_loss", F.mse_loss, lambda a, b: ((a - b) ** 2).mean(), ((2, 3), (2, 3)), terms=12),
    Case("l1_loss", F.l1_loss, lambda a, b: np.abs(a - b).mean(), ((2, 3), (2, 3)), distinct=True, terms=6),
    Case("bce", F.binary_cross_entropy, lambda x, t: -(t * np.log(x) + (1 - t) * np.log(1 - x)).mean(), ((2, 3), (2, 3)), 0.1, 0.9, terms=12),
    Case("bce_logits", F.binary_cross_entropy_with_logits, lambda x, t: -(t * np.log(1 / (1 + np.exp(-x))) + (1 - t) * np.log(1 - 1 / (1 + np.exp(-x)))).mean(), ((2, 3), (2, 3)), 0.1, 0.9, terms=24),
    # normalisation
    Case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), _batch_norm, ((3, 2, 2, 2), (2,), (2,)), terms=24),
    Case("batch_norm_2d", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), _batch_norm, ((6, 3), (3,), (3,)), terms=12),
    Case("batch_norm_eval", lambda x, w, b: F.batch_norm(x, T([0.5, -0.5]).to(x.dtype), T([2.0, 0.5]).to(x.dtype), w, b), lambda x, w, b: (x - np.array([0.5, -0.5])) / np.sqrt(np.array([2.0, 0.5]) + 1e-5) * w + b, ((3, 2), (2,), (2,)), terms=3),
    # shapes
    Case("reshape", lambda x: x.reshape(3, -1), lambda x: x.reshape(3, 2), ((2, 3),)),
    Case("permute", lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1), ((2, 3, 2),)),
    Case("transpose", lambda x: x.transpose(0, -1), lambda x: x.swapaxes(0, -1), ((2, 3, 2),)),
    Case("squeeze", lambda x: x.squeeze().unsqueeze(1), lambda x: x.reshape(2, 1, 3), ((2, 1, 3),)),
    Case("expand", lambda x: x.expand(2, -1, 3), lambda x: np.broadcast_to(x, (2, 2, 3)), ((2, 1),)),
    Case("flatten", lambda x: x.flatten(1), lambda x: x.reshape(2, 6), ((2, 3, 2),)),
    Case("split", lambda x: x.split(2, 1), lambda x: (x[:, :2], x[:, 2:4], x[:, 4:]), ((2, 5),)),
    Case("split_sizes", lambda x: x.split([1, 2])[1], lambda x: x[1:], ((3, 2),)),
    Case("chunk", lambda x: x.chunk(2), lambda x: (x[:2], x[2:]), ((3, 2),)),
    Case("unbind", lambda x: x.unbind(1)[1:], lambda x: (x[:, 1], x[:, 2]), ((2, 3),)),
    Case("cat", lambda a, b: fastnn.cat([a, b, a], 1), lambda a, b: np.concatenate([a, b, a], 1), ((2, 2), (2, 1))),
    Case("stack", lambda a, b: fastnn.stack([a, b], -1), lambda a, b: np.stack([a, b], -1), ((2, 3), (2, 3))),
    Case("clone", lambda x: x.clone(), lambda x: x, ((2, 3),)),
    Case("channels_last", lambda x: x.contiguous(memory_format=fastnn.channels_last) * 2, lambda x: x * 2, ((1, 2, 2, 3),)),
    Case("flip", lambda x: x.flip((0, 1)), lambda x: x[::-1, ::-1], ((2, 3),)),
    # indexing
    Case("slice", lambda x: x[1:, ::2], lambda x: x[1:, ::2], ((3, 4),)),
    Case("int_index", lambda x: x[1], lambda x: x[1], ((3, 4),)),
    Case("element", lambda x: x[1, 2], lambda x: x[1, 2], ((3, 4),)),
    Case("newaxis", lambda x: x[..., None, 1], lambda x: x[..., None, 1], ((3, 4),)),
    Case("advanced", lambda x: x[T(INDEX)], lambda x: x[[2, 0, 0]], ((3, 2),)),
    Case("advanced_pair", lambda x: x[T(INDEX), T([1, 1, 0])], lambda x: x[[2, 0, 0], [1, 1, 0]], ((3, 2),)),
    Case("boolean", lambda x: x[T(MASK)], lambda x: x[MASK], ((2, 3),)),
    Case("index_select", lambda x: x.index_select(1, T(INDEX)), lambda x: x[:, [2, 0, 0]], ((2, 3),)),
    Case("gather", lambda x: x.gather(1, T([[0, 2], [1, 1]])), lambda x: np.take_along_axis(x, np.array([[0, 2], [1, 1]]), 1), ((2, 3),)),
    Case("where", lambda a, b: fastnn.where(T(MASK), a, b), lambda a, b: np.where(MASK, a, b), ((2, 3), (3,))),
    Case("masked_fill", lambda x: x.masked_fill(T(MASK), 7.0), lambda x: np.where(MASK, 7, x), ((2, 3),)),
]  # fmt: skip

# Large enough for the kernels and their threads: float32 against float64 only.
LARGE = [
    Case(name, op, ref, ((70, 999),), low, high)
    for name, (op, ref, low, high) in UNARY.items()
    if name in ("exp", "log", "sqrt", "square", "relu", "sigmoid", "tanh", "neg", "abs", "leaky_relu")
] + [
    Case(f"{name}{b}", op, ref, ((16, 32, 15, 15), b), 0.3, 2.0)
    for name, (op, ref) in BINARY.items()
    for b in ((16, 32, 15, 15), (), (32, 1, 1), (15,))
    if name in ("add", "sub", "mul", "div")
] + [
    Case("sum", lambda x: x.sum(), lambda x: x.sum(), ((300, 301),), terms=300),
    Case("sum_bias", lambda x: x.sum((0, 2, 3)), lambda x: x.sum((0, 2, 3)), ((16, 32, 15, 15),), terms=300),
    Case("mean", lambda x: x.mean(0), lambda x: x.mean(0), ((300, 301),), terms=300),
    Case("amax", lambda x: x.amax(1), lambda x: x.max(1), ((300, 301),), distinct=True),
    Case("matmul", fastnn.matmul, np.matmul, ((130, 70), (70, 90)), terms=70),
    Case("linear", lambda x, w, b: F.linear(x, w, b, "relu"), lambda x, w, b: np.maximum(x @ w.T + b, 0), ((130, 70), (50, 70), (50,)), terms=70),
    Case("conv2d", F.conv2d, lambda x, w, b: _conv(x, w, b, (1, 1), (0, 0), (1, 1), 1), ((4, 8, 14, 13), (16, 8, 3, 3), (16,)), terms=73),
    Case("conv2d_first", F.conv2d, lambda x, w, b: _conv(x, w, b, (1, 1), (0, 0), (1, 1), 1), ((8, 1, 28, 28), (32, 1, 3, 3), (32,)), terms=10),
    Case("max_pool2d", lambda x: F.max_pool2d(x, 2), lambda x: _windows(x, (2, 2), (2, 2), (0, 0), -np.inf, np.max), ((16, 16, 26, 26),), distinct=True),
    Case("softmax", lambda x: F.softmax(x, 1), lambda x: _softmax(x, 1), ((200, 300),), terms=300),
    Case("log_softmax", lambda x: F.log_softmax(x, 1), lambda x: np.log(_softmax(x, 1)), ((200, 300),), terms=300),
    Case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), _batch_norm, ((16, 32, 15, 15), (32,), (32,)), terms=100),
]  # fmt: skip
