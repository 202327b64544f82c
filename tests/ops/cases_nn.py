"""Operations of layers as ``Case``s, each with a reference by other means: loops, or NumPy's own functions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

import fastnn
import fastnn.nn.functional as F

from .harness import Case

T = fastnn.tensor


def _convolve(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int = 1) -> Any:
    """Convolution in any number of dims, output by output."""
    d = w.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in padding])
    sizes = [
        (n - e * (k - 1) - 1) // s + 1
        for n, e, k, s in zip(x.shape[2:], dilation, w.shape[2:], stride, strict=True)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *sizes))
    each = w.shape[0] // groups
    for o in range(w.shape[0]):
        first = o // each * w.shape[1]
        for at in np.ndindex(*sizes):
            window = tuple(
                slice(i * s, i * s + e * (k - 1) + 1, e)
                for i, s, e, k in zip(at, stride, dilation, w.shape[2:], strict=True)
            )
            patch = x[(slice(None), slice(first, first + w.shape[1]), *window)]
            y[(slice(None), o, *at)] = (patch * w[o]).sum(tuple(range(1, d + 2)))
    return y


def _transposed(x: Any, w: Any, stride: Any, padding: Any, extra: Any, groups: int = 1) -> Any:
    """Transposed convolution: every input adds its scaled kernel to the output."""
    sizes = [
        (n - 1) * s + k + e
        for n, s, k, e in zip(x.shape[2:], stride, w.shape[2:], extra, strict=True)
    ]
    y = np.zeros((x.shape[0], w.shape[1] * groups, *sizes))
    each = w.shape[0] // groups
    for c in range(w.shape[0]):
        first = c // each * w.shape[1]
        for at in np.ndindex(*x.shape[2:]):
            window = tuple(
                slice(i * s, i * s + k) for i, s, k in zip(at, stride, w.shape[2:], strict=True)
            )
            value = x[(slice(None), c, *at)].reshape(-1, *(1,) * (w.ndim - 1))
            y[(slice(None), slice(first, first + w.shape[1]), *window)] += value * w[c]
    cut = tuple(slice(p, n - p) for p, n in zip(padding, sizes, strict=True))
    return y[(slice(None), slice(None), *cut)]


def _pooled(x: Any, kernel: Any, stride: Any, reduce: Any) -> Any:
    """``reduce`` over every window of the axes after the first two."""
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    y = np.zeros((*x.shape[:2], *sizes))
    for at in np.ndindex(*sizes):
        window = tuple(slice(i * s, i * s + k) for i, s, k in zip(at, stride, kernel, strict=True))
        y[(..., *at)] = reduce(x[(..., *window)], axis=tuple(range(2, x.ndim)))
    return y


def _bins(x: Any, wanted: Any, reduce: Any) -> Any:
    """``reduce`` over the windows of adaptive pooling."""
    y = np.zeros((*x.shape[:2], *wanted))
    for at in np.ndindex(*wanted):
        window = tuple(
            slice(math.floor(i * n / o), math.ceil((i + 1) * n / o))
            for i, n, o in zip(at, x.shape[2:], wanted, strict=True)
        )
        y[(..., *at)] = reduce(x[(..., *window)], axis=tuple(range(2, x.ndim)))
    return y


def _normed(x: Any, axes: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _gelu(x: Any) -> Any:
    return np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)


def _gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _local_response(x: Any) -> Any:
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(c - 1, 0) : c + 2]  # 3 channels around
        y[:, c] = x[:, c] / (2 + 0.5 * (near**2).sum(1) / 3) ** 0.75
    return y


def _interpolated(x: Any, out: int, align: bool) -> Any:
    """Linear interpolation of the last axis, which NumPy has too."""
    n = x.shape[-1]
    at = np.arange(out) * (n - 1) / (out - 1) if align else (np.arange(out) + 0.5) * n / out - 0.5
    rows = [np.interp(at, np.arange(n), row) for row in x.reshape(-1, n)]
    return np.array(rows).reshape(*x.shape[:-1], out)


def _bilinear(x: Any, height: int, width: int, align: bool) -> Any:
    wide = _interpolated(x, width, align)
    return _interpolated(wide.swapaxes(-1, -2), height, align).swapaxes(-1, -2)


def _unfolded(x: Any) -> Any:
    """2 x 2 patches at stride 1, by loops."""
    n, c, h, w = x.shape
    columns = [
        x[:, :, i : i + 2, j : j + 2].reshape(n, c * 4)
        for i, j in itertools.product(range(h - 1), range(w - 1))
    ]
    return np.stack(columns, 2)


def _sampled(x: Any, grid: Any) -> Any:
    """Bilinear samples with zeros outside and aligned corners, point by point."""
    n, c, h, w = x.shape
    y = np.zeros((n, c, *grid.shape[1:3]))
    for b, i, j in np.ndindex(*grid.shape[:3]):
        px, py = (grid[b, i, j] + 1) / 2 * (w - 1, h - 1)
        left, top = math.floor(px), math.floor(py)
        for row, column in itertools.product((top, top + 1), (left, left + 1)):
            if 0 <= row < h and 0 <= column < w:
                weight = (1 - abs(py - row)) * (1 - abs(px - column))
                y[b, :, i, j] += weight * x[b, :, row, column]
    return y


ACTIVATIONS = {
    "elu": (lambda x: F.elu(x, 0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "celu": (lambda x: F.celu(x, 0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x / 0.7))),
    "selu": (F.selu, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    "gelu": (F.gelu, _gelu),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), _gelu_tanh),
    "silu": (F.silu, lambda x: x * _sigmoid(x)),
    "mish": (F.mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "hardswish": (F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "hardsigmoid": (F.hardsigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hardtanh": (lambda x: F.hardtanh(x, -0.9, 1.1), lambda x: np.clip(x, -0.9, 1.1)),
    "relu6": (F.relu6, lambda x: np.clip(x, 0, 6)),
    "softplus": (lambda x: F.softplus(x, 2, 3), lambda x: np.where(2 * x > 3, x, np.log1p(np.exp(2 * x)) / 2)),
    "softshrink": (F.softshrink, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    "hardshrink": (F.hardshrink, lambda x: x * (np.abs(x) > 0.5)),
    "tanhshrink": (F.tanhshrink, lambda x: x - np.tanh(x)),
    "softsign": (F.softsign, lambda x: x / (1 + np.abs(x))),
    "logsigmoid": (F.logsigmoid, lambda x: np.log(_sigmoid(x))),
    "threshold": (lambda x: F.threshold(x, 0.2, -3.0), lambda x: np.where(x > 0.2, x, -3.0)),
    "glu": (lambda x: F.glu(x, 0), lambda x: x[:2] * _sigmoid(x[2:])),
    "softmin": (lambda x: F.softmin(x, 1), lambda x: np.exp(-x) / np.exp(-x).sum(1, keepdims=True)),
    "rrelu": (F.rrelu, lambda x: np.where(x > 0, x, x * (1 / 8 + 1 / 3) / 2)),
}  # fmt: skip
REAL = np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])

CASES = [
    Case(name, op, ref, ((4, 3),), -2.5, 2.5, distinct=True)
    for name, (op, ref) in ACTIVATIONS.items()
]
CASES += [
    Case("prelu", F.prelu, lambda x, w: np.where(x > 0, x, w[:, None] * x), ((2, 3, 2), (3,)), -2.1, 2.0, distinct=True, terms=4),
    # convolution
    Case("conv1d", lambda x, w, b: F.conv1d(x, w, b, 2, 1), lambda x, w, b: _convolve(x, w, (2,), (1,), (1,)) + b[:, None], ((2, 2, 6), (3, 2, 3), (3,)), terms=7),
    Case("conv1d_same_even", lambda x, w: F.conv1d(x, w, padding="same"), lambda x, w: _convolve(np.pad(x, ((0, 0), (0, 0), (1, 2))), w, (1,), (0,), (1,)), ((1, 2, 5), (2, 2, 4)), terms=8),
    Case("conv3d", lambda x, w, b: F.conv3d(x, w, b, (2, 1, 1), (1, 0, 1), (1, 2, 1)), lambda x, w, b: _convolve(x, w, (2, 1, 1), (1, 0, 1), (1, 2, 1)) + b[:, None, None, None], ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), (2,)), terms=17),
    Case("conv3d_groups", lambda x, w: F.conv3d(x, w, groups=2), lambda x, w: _convolve(x, w, (1, 1, 1), (0, 0, 0), (1, 1, 1), 2), ((1, 2, 3, 2, 2), (2, 1, 2, 2, 1)), terms=4),
    Case("conv_transpose1d", lambda x, w: F.conv_transpose1d(x, w, stride=2, padding=1), lambda x, w: _transposed(x, w, (2,), (1,), (0,)), ((2, 2, 4), (2, 2, 3)), terms=6),
    Case("conv_transpose2d", lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, (1, 0)), lambda x, w, b: _transposed(x, w, (2, 2), (1, 1), (1, 0)) + b[:, None, None], ((1, 2, 3, 2), (2, 2, 3, 3), (2,)), terms=10),
    Case("conv_transpose2d_groups", lambda x, w: F.conv_transpose2d(x, w, groups=2), lambda x, w: _transposed(x, w, (1, 1), (0, 0), (0, 0), 2), ((1, 4, 2, 3), (4, 1, 2, 2)), terms=8),
    Case("conv_transpose2d_far", lambda x, w: F.conv_transpose2d(x, w, output_padding=1, dilation=2), lambda x, w: _transposed(x, np.stack([w[..., 0], 0 * w[..., 0], w[..., 1]], -1), (1, 1), (0, 0), (1, 1)), ((1, 1, 2, 3), (1, 1, 1, 2)), terms=4),
    Case("conv_transpose3d", lambda x, w: F.conv_transpose3d(x, w, stride=(2, 1, 1)), lambda x, w: _transposed(x, w, (2, 1, 1), (0, 0, 0), (0, 0, 0)), ((1, 2, 2, 2, 2), (2, 1, 2, 2, 2)), terms=16),
    # pooling
    Case("max_pool1d", lambda x: F.max_pool1d(x, 3, 2), lambda x: _pooled(x, (3,), (2,), np.max), ((2, 2, 7),), distinct=True),
    Case("max_pool3d", lambda x: F.max_pool3d(x, 2, 1), lambda x: _pooled(x, (2, 2, 2), (1, 1, 1), np.max), ((1, 2, 3, 3, 2),), distinct=True),
    Case("avg_pool1d", lambda x: F.avg_pool1d(x, 3, 2), lambda x: _pooled(x, (3,), (2,), np.mean), ((2, 2, 7),), terms=3),
    Case("avg_pool3d", lambda x: F.avg_pool3d(x, 2, 1), lambda x: _pooled(x, (2, 2, 2), (1, 1, 1), np.mean), ((1, 2, 3, 3, 2),), terms=8),
    Case("avg_pool3d_divisor", lambda x: F.avg_pool3d(x, (1, 2, 2), divisor_override=3), lambda x: _pooled(x, (1, 2, 2), (1, 2, 2), np.sum) / 3, ((1, 1, 2, 4, 2),), terms=4),
    Case("lp_pool2d", lambda x: F.lp_pool2d(x, 3, 2), lambda x: _pooled(x**3, (2, 2), (2, 2), np.sum) ** (1 / 3), ((1, 2, 4, 2),), 0.5, 2.0, terms=16),
    Case("adaptive_avg_pool1d", lambda x: F.adaptive_avg_pool1d(x, 3), lambda x: _bins(x, (3,), np.mean), ((2, 2, 5),), terms=3),
    Case("adaptive_avg_pool3d", lambda x: F.adaptive_avg_pool3d(x, (2, 1, 2)), lambda x: _bins(x, (2, 1, 2), np.mean), ((1, 2, 3, 2, 3),), terms=12),
    Case("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (2, 3)), lambda x: _bins(x, (2, 3), np.max), ((1, 2, 5, 4),), distinct=True),
    Case("max_unpool1d", lambda x: F.max_unpool1d(x, T([[[1, 2]]]), 2), lambda x: np.stack([0 * x[..., 0], x[..., 0], x[..., 1], 0 * x[..., 0]], -1), ((1, 1, 2),)),
    # padding
    Case("pad_constant", lambda x: F.pad(x, (1, -1, 2, 0), value=1.5), lambda x: np.pad(x[:, :-1], ((2, 0), (1, 0)), constant_values=1.5), ((3, 4),)),
    Case("pad_reflect", lambda x: F.pad(x, (2, 1, 0, 2), "reflect"), lambda x: np.pad(x, ((0, 0), (0, 2), (2, 1)), "reflect"), ((2, 3, 4),)),
    Case("pad_replicate", lambda x: F.pad(x, (2, 1, 0, 2), "replicate"), lambda x: np.pad(x, ((0, 0), (0, 2), (2, 1)), "edge"), ((2, 3, 4),)),
    Case("pad_circular", lambda x: F.pad(x, (2, 1, 0, 2), "circular"), lambda x: np.pad(x, ((0, 0), (0, 2), (2, 1)), "wrap"), ((2, 3, 4),)),
    # normalisation
    Case("layer_norm", lambda x, w, b: F.layer_norm(x, (3, 2), w, b), lambda x, w, b: _normed(x, (1, 2)) * w + b, ((4, 3, 2), (3, 2), (3, 2)), terms=12, distinct=True),
    Case("layer_norm_plain", lambda x: F.layer_norm(x, (4,)), lambda x: _normed(x, -1), ((2, 3, 4),), terms=12, distinct=True),
    Case("rms_norm", lambda x, w: F.rms_norm(x, (4,), w, 1e-6), lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w, ((3, 4), (4,)), terms=12, distinct=True),
    Case("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), lambda x, w, b: _normed(x.reshape(2, 2, 4), 2).reshape(x.shape) * w[:, None] + b[:, None], ((2, 4, 2), (4,), (4,)), terms=16, distinct=True),
    Case("instance_norm", lambda x, w, b: F.instance_norm(x, None, None, w, b), lambda x, w, b: _normed(x, 2) * w[:, None] + b[:, None], ((2, 3, 4), (3,), (3,)), terms=16, distinct=True),
    Case("local_response_norm", lambda x: F.local_response_norm(x, 3, 0.5, 0.75, 2.0), _local_response, ((2, 4, 3),), terms=4),
    Case("normalize", lambda x: F.normalize(x, 3, 1), lambda x: x / (np.abs(x) ** 3).sum(1, keepdims=True) ** (1 / 3), ((3, 4),), 0.5, 2.0, terms=16),
    # distances
    Case("cosine_similarity", fastnn.cosine_similarity, lambda a, b: (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1), ((3, 4), (3, 4)), terms=8),
    Case("pairwise_distance", fastnn.pairwise_distance, lambda a, b: np.linalg.norm(a - b + 1e-6, axis=1), ((3, 4), (3, 4)), terms=8),
    Case("pdist", lambda x: F.pdist(x, 3.0), lambda x: (np.abs(x[[0, 0, 1]] - x[[1, 2, 2]]) ** 3).sum(1) ** (1 / 3), ((3, 4),), distinct=True, terms=64),
    # losses
    Case("smooth_l1_loss", lambda a, b: F.smooth_l1_loss(a, b, beta=0.5), lambda a, b: np.where(np.abs(a - b) < 0.5, (a - b) ** 2, np.abs(a - b) - 0.25).mean(), ((2, 3), (2, 3)), distinct=True, terms=12),
    Case("huber_loss", lambda a, b: F.huber_loss(a, b, delta=0.5), lambda a, b: np.where(np.abs(a - b) <= 0.5, (a - b) ** 2 / 2, 0.5 * (np.abs(a - b) - 0.25)).mean(), ((2, 3), (2, 3)), distinct=True, terms=12),
    Case("kl_div", lambda x, t: F.kl_div(x, t, reduction="batchmean"), lambda x, t: (t * (np.log(t) - x)).sum() / 2, ((2, 3), (2, 3)), 0.1, 2.0, terms=12),
    Case("kl_div_log", lambda x, t: F.kl_div(x, t, reduction="sum", log_target=True), lambda x, t: (np.exp(t) * (t - x)).sum(), ((2, 3), (2, 3)), terms=24),
    Case("poisson_nll_loss", lambda x, t: F.poisson_nll_loss(x, t, full=True), lambda x, t: (np.exp(x) - t * x + np.where(t > 1, t * np.log(t) - t + np.log(2 * np.pi * t) / 2, 0)).mean(), ((2, 3), (2, 3)), 1.1, 2.0, terms=12),
    Case("gaussian_nll_loss", lambda x, t, v: F.gaussian_nll_loss(x, t, v, full=True), lambda x, t, v: ((np.log(v) + (x - t) ** 2 / v) / 2 + np.log(2 * np.pi) / 2).mean(), ((2, 3), (2, 3), (2, 1)), 0.5, 2.0, terms=24),
    Case("hinge_embedding_loss", lambda x: F.hinge_embedding_loss(x, T(REAL).to(x.dtype)), lambda x: np.where(REAL == 1, x, np.maximum(0, 1 - x)).mean(), ((2, 3),), distinct=True, terms=6),
    Case("cosine_embedding_loss", lambda a, b: F.cosine_embedding_loss(a, b, T([1, -1]), 0.1), lambda a, b: np.where([True, False], 1 - (c := (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)), np.maximum(0, c - 0.1)).mean(), ((2, 3), (2, 3)), 0.5, 2.0, terms=12),
    Case("margin_ranking_loss", lambda a, b: F.margin_ranking_loss(a, b, T(REAL).to(a.dtype), 0.3), lambda a, b: np.maximum(0, 0.3 - REAL * (a - b)).mean(), ((2, 3), (2, 3)), distinct=True, terms=6),
    Case("soft_margin_loss", lambda x: F.soft_margin_loss(x, T(REAL).to(x.dtype)), lambda x: np.log1p(np.exp(-REAL * x)).mean(), ((2, 3),), terms=6),
    Case("triplet_margin_loss", F.triplet_margin_loss, lambda a, p, n: np.maximum(0, 1 + np.linalg.norm(a - p + 1e-6, axis=1) - np.linalg.norm(a - n + 1e-6, axis=1)).mean(), ((3, 4), (3, 4), (3, 4)), distinct=True, terms=24),
    Case("multi_margin_loss", lambda x: F.multi_margin_loss(x, T([2, 0]), p=2), lambda x: sum(max(0, 1 - x[i, t] + x[i, c]) ** 2 for i, t in enumerate((2, 0)) for c in range(3) if c != t) / 6, ((2, 3),), distinct=True, terms=24),
    Case("multilabel_soft_margin_loss", lambda x: F.multilabel_soft_margin_loss(x, T((REAL + 1) / 2).to(x.dtype)), lambda x: np.log1p(np.exp(-REAL * x)).mean(), ((2, 3),), terms=12),
    Case("linear_cross_entropy", lambda x, w: F.linear_cross_entropy(x, w, T([1, 0])), lambda x, w: (np.log(np.exp(x @ w.T).sum(1)) - (x @ w.T)[[0, 1], [1, 0]]).mean(), ((2, 3), (4, 3)), -1.0, 1.0, terms=24),
    Case("bilinear", F.bilinear, lambda a, b, w: np.einsum("ni,oij,nj->no", a, w, b), ((3, 2), (3, 4), (2, 2, 4)), terms=16),
    # resizing, patches, sampling
    Case("interpolate_nearest", lambda x: F.interpolate(x, scale_factor=2), lambda x: x.repeat(2, 2).repeat(2, 3), ((1, 2, 2, 3),), terms=4),
    Case("interpolate_linear", lambda x: F.interpolate(x, 5, mode="linear"), lambda x: _interpolated(x, 5, False), ((2, 2, 3),), terms=4),
    Case("interpolate_bilinear", lambda x: F.interpolate(x, (3, 5), mode="bilinear", align_corners=True), lambda x: _bilinear(x, 3, 5, True), ((1, 2, 2, 3),), terms=8),
    Case("interpolate_area", lambda x: F.interpolate(x, (2, 3), mode="area"), lambda x: _bins(x, (2, 3), np.mean), ((1, 1, 4, 5),), terms=4),
    Case("unfold", lambda x: F.unfold(x, 2), _unfolded, ((2, 2, 3, 4),), terms=4),
    Case("fold", lambda x: F.fold(x, (2, 3), 2), lambda x: np.stack([np.stack([x[:, 0, 0], x[:, 1, 0] + x[:, 0, 1], x[:, 1, 1]], 1), np.stack([x[:, 2, 0], x[:, 3, 0] + x[:, 2, 1], x[:, 3, 1]], 1)], 1)[:, None], ((2, 4, 2),), terms=2),
    Case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), lambda x: x.reshape(1, 2, 2, 2, 2, 3).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 4, 6), ((1, 8, 2, 3),)),
    Case("pixel_unshuffle", lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), lambda x: x, ((1, 8, 2, 3),)),
    Case("channel_shuffle", lambda x: F.channel_shuffle(x, 2), lambda x: x[:, [0, 2, 1, 3]], ((2, 4, 2),)),
    Case("grid_sample", lambda x, g: F.grid_sample(x, g, align_corners=True), _sampled, ((1, 2, 3, 3), (1, 2, 2, 2)), -0.9, 1.2, distinct=True, terms=16),
    Case("affine_grid", lambda t: F.affine_grid(t, (2, 1, 2, 3), align_corners=False), lambda t: np.einsum("nij,hwj->nhwi", t, np.stack([*reversed(np.meshgrid([-0.5, 0.5], [-2 / 3, 0, 2 / 3], indexing="ij")), np.ones((2, 3))], -1)), ((2, 2, 3),), terms=6),
]  # fmt: skip
