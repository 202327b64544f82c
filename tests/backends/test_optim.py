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

# Name: arrays of state (present or None), options
OTHERS: dict[str, tuple[str, list[bool], dict[str, Any]]] = {
    "adagrad": ("adagrad_step", [True], {"lr_decay": 0.1, "weight_decay": 0.1}),
    "rmsprop": ("rmsprop_step", [True, False, False], {"maximize": True, "weight_decay": 0.1}),
    "rmsprop centered": ("rmsprop_step", [True, True, False], {}),
    "rmsprop buffered": ("rmsprop_step", [True, False, True], {"momentum": 0.9}),
    "rmsprop both": ("rmsprop_step", [True, True, True], {"momentum": 0.9}),
    "adadelta": ("adadelta_step", [True, True], {"weight_decay": 0.1}),
    "adamax": ("adamax_step", [True, True], {"weight_decay": 0.1, "maximize": True}),
    "nadam": ("nadam_step", [True, True], {"weight_decay": 0.1}),
    "nadamw": ("nadam_step", [True, True], {"weight_decay": 0.1, "decoupled": True}),
    "radam": ("radam_step", [True, True], {"weight_decay": 0.1}),
    "radamw rectified": ("radam_step", [True, True], {"decoupled": True, "start": 9}),
    "rprop": ("rprop_step", [True, True], {}),
    "asgd": ("asgd_step", [True], {"weight_decay": 0.1}),
}
COMMON: dict[str, Any] = {"lr": 0.05, "maximize": False, "weight_decay": 0.0}
MOMENTS = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-3}
RPROP = {"eta_minus": 0.5, "eta_plus": 1.2, "step_size_min": 0.01, "step_size_max": 0.02}
DEFAULTS: dict[str, dict[str, Any]] = {
    "adagrad_step": {"eps": 1e-3},
    "adadelta_step": {"rho": 0.9, "eps": 1e-3},
    "adamax_step": MOMENTS,
    "nadam_step": {**MOMENTS, "decoupled": False, "mu": 0.8, "mu_next": 0.85},
    "radam_step": {**MOMENTS, "decoupled": False},
    "rmsprop_step": {"alpha": 0.9, "eps": 1e-3, "momentum": 0.0},
    "rprop_step": RPROP,
    "asgd_step": {"lambd": 0.1},
}
COUNTING = ("adagrad_step", "adamax_step", "nadam_step", "radam_step")


def other_options(case: str, step: int, n: int) -> dict[str, Any]:
    """The options of a step over n parameters."""
    function, _, options = OTHERS[case]
    merged = {**COMMON, **DEFAULTS[function], **options}
    step += merged.pop("start", 0)
    if function in COUNTING:
        merged["step"] = step
    if function == "nadam_step":  # parameters of two ages
        merged["mu_products"] = [0.8 ** (step + i % 2) for i in range(n)]
    if function == "asgd_step":
        merged["etas"] = [0.05 / (1 + i % 2) for i in range(n)]
        merged["mus"] = [1 / (step + i % 2) for i in range(n)]
    if function in ("rprop_step", "asgd_step"):
        del merged["lr"]
    if function == "rprop_step":
        del merged["weight_decay"]
    return merged


def other_step(
    backend: Any, case: str, params: Any, grads: Any, state: Any, step: int
) -> list[np.ndarray]:
    """A step in place; all that it wrote to."""
    function, _, _ = OTHERS[case]
    getattr(backend, function)(params, grads, *state, **other_options(case, step, len(params)))
    return [*params, *(x for arrays in state for x in arrays or [])]


def compare_others(case: str, params: Any, all_grads: Any) -> None:
    """Each step from the same state against the specification in float64."""
    state = [zeros(params) if there else None for there in OTHERS[case][1]]
    for step, grads in enumerate(all_grads, 1):
        wanted = [copies(a, np.float64) if a is not None else None for a in state]
        want = other_step(
            spec, case, copies(params, np.float64), copies(grads, np.float64), wanted, step
        )
        kept = copies(grads)
        got = other_step(cpu, case, params, grads, state, step)
        for a, b in zip(got, want, strict=True):
            # some ten operations, a square root and two divisions on numbers of size one; RMSprop's: about three
            assert_close(a, b, 48 * eps(a.dtype) * (np.abs(b) + 1), f"{case} {a.shape}")
        for a, b in zip(grads, kept, strict=True):
            np.testing.assert_array_equal(a, b)


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


@pytest.mark.parametrize("case", OTHERS)
def test_others(isa: str, dtype: Any, rng: Any, case: str) -> None:
    params, *grads = (random_arrays(rng, SHAPES, dtype) for _ in range(4))
    compare_others(case, params, grads)


@pytest.mark.parametrize("case", ["nadam", "asgd", "rmsprop both"])
def test_others_mixed(isa: str, rng: Any, case: str) -> None:
    def arrays() -> list[np.ndarray]:
        image = random_arrays(rng, [(3, 5, 4, 6)], np.float32)[0]
        return [
            random_arrays(rng, [(40,)], np.float64)[0],
            channels_last(image),
            random_arrays(rng, [(12, 9)], np.float32)[0][::2, 1:],  # not dense: the specification
            random_arrays(rng, [(33,)], np.float32)[0],
        ]

    compare_others(case, arrays(), [arrays() for _ in range(3)])


@pytest.mark.parametrize("case", ["adamax", "nadam", "rprop", "rmsprop both"])
def test_others_nan(isa: str, dtype: Any, case: str) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], dtype)
    state = [zeros([values]) if there else None for there in OTHERS[case][1]]
    wanted = [copies(a) if a is not None else None for a in state]
    with np.errstate(invalid="ignore"):
        for step in (1, 2):
            ones = [[np.ones(5, dtype)] for _ in range(2)]
            got = other_step(cpu, case, ones[0], [values.copy()], state, step)
            want = other_step(spec, case, ones[1], [values.copy()], wanted, step)
            for a, b in zip(got, want, strict=True):
                np.testing.assert_array_equal(np.isnan(a), np.isnan(b), f"{case} {step}")


@pytest.mark.parametrize("case", OTHERS)
def test_others_same_bits_for_any_threads(rng: Any, case: str) -> None:
    params, grads, *state = (random_arrays(rng, SHAPES, np.float32) for _ in range(5))

    def run() -> tuple[np.ndarray, ...]:
        fresh = [
            [np.asarray(np.abs(x)) for x in arrays] if there else None
            for there, arrays in zip(OTHERS[case][1], state, strict=False)
        ]
        with np.errstate(invalid="ignore"):
            return tuple(other_step(cpu, case, copies(params), grads, fresh, 2))

    assert_same_bits_for_any_threads(run)


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
