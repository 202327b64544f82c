"""Counters of the emulator: how the kernels' requests use memory, for whole tiles and aligned rows."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from fastnn.backends import gpu
from fastnn.backends.gpu._arrays import kernels


@dataclass
class Use:
    """One kernel's requests: what they cost beside the least that would do."""

    kernel: str
    launches: int
    threads: int
    shared_bytes: int
    barriers: int
    sectors: int
    least_sectors: int
    turns: int
    least_turns: int


def _normal(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def _launches() -> dict[str, Callable[[], Any]]:
    """What is run, by the family that it stands for."""
    half, brain = np.float16, ml_dtypes.bfloat16
    x, image = _normal(256, 256), _normal(4, 16, 24, 24)
    heads = _normal(1, 2, 256, 64)
    one, zero = np.ones(16, np.float32), np.zeros(16, np.float32)
    labels = np.arange(256) % 256
    steps, (h, c) = (np.array([32, 32]), False), _normal(2, 32, 64)
    inputs, weight = _normal(64, 64), _normal(256, 64)
    return {
        "elementwise": lambda: gpu.gelu_backward(x, x, False),
        "softmax": lambda: gpu.softmax_backward(x, gpu.softmax(x, 1), 1),
        "cross_entropy": lambda: gpu.cross_entropy(x, labels, None, -100, 0.0),
        "norm": lambda: (
            gpu.layer_norm(x, None, None, 1e-5),
            gpu.batch_norm(image, one, zero, 1e-5),
        ),
        "pool": lambda: gpu.max_pool2d(image, (2, 2), (2, 2), (0, 0), (1, 1), False),
        "reduction": lambda: [gpu.sum(x, 0), gpu.amax(x, 1), gpu.argmax(x)],
        "embedding": lambda: gpu.embedding_backward(
            gpu.embedding(x, labels), labels, 256, -1, False
        ),
        "rnn": lambda: _lstm(inputs, weight, h, c, steps),
        "optim": lambda: gpu.sgd_step(
            [x.copy()],
            [x],
            None,
            lr=0.1,
            momentum=0.0,
            dampening=0.0,
            weight_decay=0.0,
            nesterov=False,
            maximize=False,
            first=False,
        ),
        "random": lambda: gpu.dropout(x, 0.5, 1, 0),
        "gemm": lambda: [gpu.matmul(a, a) for a in (x, x.astype(half), x.astype(brain))],
        "conv": lambda: [
            _conv(image.astype(dtype), groups, last)
            for dtype in (half, np.float32)
            for groups in (1, 16)
            for last in (False, True)
        ],
        "attention": lambda: [
            gpu.attention_backward(a, a, a, a, None, *saved, 0.125, causal, False)
            for a in (heads, heads.astype(brain))
            for causal in (False, True)
            for saved in [gpu.attention(a, a, a, None, 0.125, causal)]
        ],
    }


def _conv(image: Any, groups: int, last: bool) -> Any:
    """A convolution, dense or depthwise, and its gradients."""
    if last:
        image = np.ascontiguousarray(image.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    weight = _normal(64 if groups == 1 else 16, 16 // groups, 3, 3, dtype=image.dtype)
    geometry = ((1, 1), (0, 0), (1, 1), groups)
    y = gpu.conv2d(image, weight, None, *geometry)
    gpu.conv2d_input_grad(y, weight, image.shape, *geometry)
    return gpu.conv2d_weight_grad(y, image, weight.shape, *geometry)


def _lstm(x: Any, weight: Any, h: Any, c: Any, steps: tuple[Any, bool]) -> None:
    y, hn, cn, *kept = gpu.lstm(x, weight, weight, None, None, None, h, c, *steps, True)
    gpu.lstm_backward(y, hn, cn, x, weight, weight, None, h, c, y, *kept, *steps, True)


def measure() -> list[Use]:
    """Every kernel that the launches reach.

    Raises:
        RuntimeError: the emulator was not built with hooks.
    """
    if kernels.emulator_mode() != "hooks":
        raise RuntimeError("the counters need the emulator's build 'hooks'")
    os.environ["SIMT_COUNT"] = "1"
    kernels.emulator_reset_counters()
    for launch in _launches().values():
        launch()
    memory: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in kernels.emulator_counters():
        at = 0 if row["access"].startswith("global") else 2
        memory[row["kernel"]][at] += row["cost"]
        memory[row["kernel"]][at + 1] += row["ideal"]
    return [
        Use(name, k["launches"], k["threads"], k["shared_bytes"], k["barriers"], *memory[name])
        for name, k in kernels.emulator_kernels().items()
    ]
