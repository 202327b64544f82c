"""Optimizer kernels against NumPy in float64, and that against PyTorch where it is installed."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from support import assert_close, assert_same_bits_for_any_threads, channels_last, eps

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

SHAPES: list[tuple[int, ...]] = [
    (), (1,), (0, 3), (10,), (16,), (17,), (32, 1, 3, 3), (64, 33), (300, 400), (5,), (70_001,),
]  # fmt: skip

SGD = [
    {"momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x}
    for m, d, w, n, x in product((0.0, 0.9), (0.0, 0.1), (0.0, 0.01), (False, True), (False, True))
    if not n or (m and not d)
]
ADAM = [
    {"weight_decay": w, "decoupled": d, "maximize": x, "amsgrad": a}
    for w, d, x, a in product((0.0, 0.01), (False, True), (False, True), (False, True))
]


def random_arrays(rng: Any, shapes: Any, dtype: Any) -> list[np.ndarray]:
    return [np.asarray(rng.standard_normal(s)).astype(dtype) for s in shapes]


def copies(arrays: list[np.ndarray], dtype: Any = None) -> list[np.ndarray]:
    return [np.array(a, dtype, order="K") for a in arrays]


def zeros(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [np.zeros_like(a) for a in arrays]


def sgd_steps(
    backend: Any, params: Any, grads: Any, config: Any, steps: int = 3
) -> list[np.ndarray]:
    buffers = zeros(params)
    for i in range(steps):
        backend.sgd_step(
            params, grads, buffers if config["momentum"] else None, lr=0.1, first=i == 0, **config
        )
    return [*params, *buffers]


def adam_steps(
    backend: Any, params: Any, grads: Any, config: Any, steps: int = 3
) -> list[np.ndarray]:
    m, v, top = zeros(params), zeros(params), zeros(params)
    config = dict(config)
    maxima = top if config.pop("amsgrad") else None
    for i in range(steps):
        backend.adam_step(
            params, grads, m, v, maxima,
            step=i + 1, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-3, **config,
        )  # fmt: skip
    return [*params, *m, *v, *top]


def compare(run: Any, params: Any, grads: Any, config: Any) -> None:
    dtype = params[0].dtype
    want = run(spec, copies(params, np.float64), copies(grads, np.float64), config)
    kept = copies(grads)
    got = run(cpu, params, grads, config)
    for a, b in zip(got, want, strict=True):
        # 3 steps of at most a dozen roundings; lr is 0.1 and Adam's quotient is at most 1 / (1 - beta1)
        assert_close(a, b, 36 * eps(dtype) * (np.abs(b) + 1), str(a.shape))
    for a, b in zip(grads, kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("config", SGD, ids=lambda c: "-".join(f"{v:g}" for v in c.values()))
def test_sgd(isa: str, dtype: Any, rng: Any, config: Any) -> None:
    arrays = [random_arrays(rng, SHAPES, dtype) for _ in range(2)]
    compare(sgd_steps, *arrays, config)


@pytest.mark.parametrize("config", ADAM, ids=lambda c: "-".join(f"{v:g}" for v in c.values()))
def test_adam(isa: str, dtype: Any, rng: Any, config: Any) -> None:
    arrays = [random_arrays(rng, SHAPES, dtype) for _ in range(2)]
    compare(adam_steps, *arrays, config)


@pytest.mark.parametrize(("run", "config"), [(sgd_steps, SGD[-1]), (adam_steps, ADAM[-1])])
def test_layouts(isa: str, dtype: Any, rng: Any, run: Any, config: Any) -> None:
    images = random_arrays(rng, [(4, 3, 5, 5)] * 5, dtype)
    grads = random_arrays(rng, [(4, 3, 5, 5)] * 5, dtype)
    params = [
        images[0],
        channels_last(images[1]),
        channels_last(images[2]),
        images[3][:, :, ::2],
        images[4][::-1],
    ]
    grads = [
        channels_last(grads[0]),
        channels_last(grads[1]),
        grads[2],
        grads[3][:, :, ::2],
        grads[4],
    ]
    compare(run, params, grads, config)


def test_mixed_and_other_dtypes(rng: Any) -> None:
    params = [np.ones(5, d) for d in (np.float32, np.float64, np.float16)]
    grads = [np.full(5, 0.5, p.dtype) for p in params]
    sgd_steps(cpu, params, grads, SGD[0], steps=1)
    for p in params:
        np.testing.assert_allclose(p, 0.95, rtol=1e-3)


def test_no_parameters_and_read_only() -> None:
    sgd_steps(cpu, [], [], SGD[0])
    adam_steps(cpu, [], [], ADAM[0])
    frozen = np.ones(3, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        sgd_steps(cpu, [frozen], [np.ones(3, np.float32)], SGD[0])
    np.testing.assert_array_equal(frozen, 1)


def test_many_small_parameters(isa: str, dtype: Any, rng: Any) -> None:
    shapes = [(int(n),) for n in rng.integers(0, 700, 200)]
    compare(sgd_steps, random_arrays(rng, shapes, dtype), random_arrays(rng, shapes, dtype), SGD[3])


@pytest.mark.parametrize(("run", "config"), [(sgd_steps, SGD[-1]), (adam_steps, ADAM[-1])])
def test_same_bits_for_any_threads(rng: Any, run: Any, config: Any) -> None:
    params, grads = (random_arrays(rng, SHAPES, np.float32) for _ in range(2))
    assert_same_bits_for_any_threads(lambda: tuple(run(cpu, copies(params), grads, config)))


@pytest.mark.parametrize("backend", [spec, cpu], ids=["numpy", "cpu"])
def test_against_pytorch(rng: Any, backend: Any) -> None:
    torch = pytest.importorskip("torch")
    shapes = [(3, 4), (5,), ()]
    for kind, config in [("sgd", c) for c in SGD] + [("adam", c) for c in ADAM]:
        params, grads = (random_arrays(rng, shapes, np.float64) for _ in range(2))
        theirs = [torch.tensor(p, requires_grad=True) for p in params]
        if kind == "sgd":
            optimizer = torch.optim.SGD(theirs, 0.1, **config)
        else:
            keep = {k: v for k, v in config.items() if k != "decoupled"}
            cls = torch.optim.AdamW if config["decoupled"] else torch.optim.Adam
            optimizer = cls(theirs, 0.1, eps=1e-3, **keep)
        for _ in range(3):
            for p, g in zip(theirs, grads, strict=True):
                p.grad = torch.tensor(g)
            optimizer.step()
        (sgd_steps if kind == "sgd" else adam_steps)(backend, params, grads, config)
        for p, q in zip(params, theirs, strict=True):
            np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12, atol=1e-13)
