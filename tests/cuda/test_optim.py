"""Optimizer steps on the CUDA kernels, each step against the specification in float64 from the same state."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.cuda import memory_use
from tests.cuda.common import DTYPES, assert_close, exact, normal
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters

from fastnn.backends import numpy as spec
from fastnn.backends.gpu._arrays import kernels


def tolerance(dtype: Any) -> tuple[float, float]:
    """(roundings, scale): the arithmetic of 16-bit dtypes is float32's, and only the result is rounded.

    Else a step is some ten operations, a square root and two divisions, on numbers of size one (RMSprop's: three).
    """
    return (1, 0.1) if np.dtype(dtype).itemsize == 2 else (16, 1)


# Empty, scalar, one, a tail, exactly a chunk of 4096, several chunks
SHAPES: list[tuple[int, ...]] = [(0,), (), (1,), (3, 5), (4096,), (9001,), (7, 64)]

COMMON = {"lr": 0.05, "maximize": False}
CASES: dict[str, tuple[str, list[bool], dict[str, Any]]] = {
    # name: function, state arrays (present or None), options
    "sgd": ("sgd_step", [False], {"momentum": 0.0, "weight_decay": 0.0}),
    "momentum": ("sgd_step", [True], {"momentum": 0.9, "weight_decay": 0.1}),
    "nesterov": ("sgd_step", [True], {"momentum": 0.9, "nesterov": True, "maximize": True}),
    "adam": ("adam_step", [True, True, False], {"weight_decay": 0.1}),
    "adamw": ("adam_step", [True, True, False], {"weight_decay": 0.1, "decoupled": True}),
    "amsgrad": ("adam_step", [True, True, True], {"maximize": True}),
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
    "radamw rectified": (
        "radam_step",
        [True, True],
        {"weight_decay": 0.1, "decoupled": True, "start": 9},
    ),
    "rprop": ("rprop_step", [True, True], {}),
    "asgd": ("asgd_step", [True], {"weight_decay": 0.1}),
}
MOMENTS = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.0}
DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd_step": {"dampening": 0.2, "weight_decay": 0.0, "nesterov": False},
    "adam_step": {**MOMENTS, "decoupled": False},
    "adagrad_step": {"eps": 1e-3},
    "adadelta_step": {"rho": 0.9, "eps": 1e-3},
    "adamax_step": MOMENTS,
    "nadam_step": {**MOMENTS, "decoupled": False, "mu": 0.8, "mu_next": 0.85},
    "radam_step": {**MOMENTS, "decoupled": False},
    "rmsprop_step": {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.0, "momentum": 0.0},
    "rprop_step": {"eta_minus": 0.5, "eta_plus": 1.2, "step_size_min": 0.01, "step_size_max": 0.02},
    "asgd_step": {"lambd": 0.1},
}
COUNTING = ("adam_step", "adagrad_step", "adamax_step", "nadam_step", "radam_step")


def options_of(case: str, step: int, n: int = 0) -> dict[str, Any]:
    """The options of a step over n parameters."""
    function, _, options = CASES[case]
    merged = {**COMMON, **DEFAULTS[function], **options}
    step += merged.pop("start", 0)
    if function == "sgd_step":
        merged["first"] = step == 1
    if function in COUNTING:
        merged["step"] = step
    if function == "nadam_step":  # parameters of two ages
        merged["mu_products"] = [0.8 ** (step + i % 2) for i in range(n)]
    if function == "asgd_step":
        merged["etas"] = [0.05 / (1 + i % 2) for i in range(n)]
        merged["mus"] = [1 / (step + i % 2) for i in range(n)]
    if function in ("rprop_step", "asgd_step"):
        del merged["lr"]
    return merged


def check_steps(case: str, params: list[Any], grads_of: Any, steps: int = 3) -> None:
    """Runs the steps in place, comparing after each: p, and every state array."""
    function, present, _ = CASES[case]
    state = [[np.zeros_like(p) for p in params] if there else None for there in present]
    for step in range(1, steps + 1):
        lists = [params, grads_of(step), *state]
        wanted = [None if a is None else [exact(x).copy() for x in a] for a in lists]
        before = [x.copy() for x in lists[1]]
        getattr(gpu, function)(*lists, **options_of(case, step, len(params)))
        getattr(spec, function)(*wanted, **options_of(case, step, len(params)))
        for got, kept in zip(lists[1], before, strict=True):
            np.testing.assert_array_equal(exact(got), exact(kept))  # gradients stay
        for arrays, values in zip(lists, wanted, strict=True):
            for x, y in zip(arrays or [], values or [], strict=True):
                assert_close(x, y, x.dtype, *tolerance(x.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_steps(case: str, dtype: Any) -> None:
    params = [normal(shape, dtype, seed=i) for i, shape in enumerate(SHAPES)]
    check_steps(
        case,
        params,
        lambda step: [normal(s, dtype, seed=100 * step + i) for i, s in enumerate(SHAPES)],
    )


@pytest.mark.parametrize("case", ["momentum", "amsgrad"])
def test_more_tensors_than_a_launch_takes(case: str) -> None:
    shapes = [(i % 7,) for i in range(150)]
    params = [normal(s, np.float32, seed=i) for i, s in enumerate(shapes)]
    check_steps(
        case, params, lambda step: [normal(s, np.float32, seed=step) for s in shapes], steps=2
    )


@pytest.mark.parametrize("case", ["momentum", "adamw", "nadam", "asgd", "rmsprop centered"])
def test_dtypes_mixed_and_memory_in_other_orders(case: str) -> None:
    image = normal((3, 5, 4, 6), np.float32)
    params = [
        normal((40,), np.float16),
        np.ascontiguousarray(image.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),  # channels last
        normal((12, 9), np.float32)[::2, 1:],  # not dense: the specification
        normal((33,), np.float64),
        normal((9, 4), ml_dtypes.bfloat16).T,
        normal((41,), np.float32)[1:],  # dense, but not aligned to 16 bytes
    ]
    check_steps(case, params, lambda step: [normal(p.shape, p.dtype, seed=step) for p in params])


def test_no_parameters() -> None:
    gpu.sgd_step([], [], None, **options_of("sgd", 1))


def test_infinite_parameter_without_weight_decay() -> None:
    p, g = np.array([np.inf, 1], np.float32), np.ones(2, np.float32)
    gpu.sgd_step([p], [g], None, **options_of("sgd", 1))
    np.testing.assert_array_equal(p, np.array([np.inf, 0.95], np.float32))


def test_lists_of_different_lengths() -> None:
    x = np.ones(2, np.float32)
    with pytest.raises(ValueError, match="shorter"):
        gpu.sgd_step([x, x], [x], None, **options_of("sgd", 1))


def test_errors() -> None:
    x = np.ones(3, np.float32)
    run = with_host_arrays(kernels.optimizer_step)

    def step(name: str, *arrays: Any, **options: Any) -> None:
        run(name, [list(arrays)], options, 0)

    with pytest.raises(ValueError, match="there is no optimizer lion"):
        step("lion", x, x)
    with pytest.raises(ValueError, match="there is no option rate"):
        step("sgd", x, x, rate=1.0)
    with pytest.raises(ValueError, match="sgd has 2 to 3 arrays a parameter, got 4"):
        step("sgd", x, x, x, x)
    with pytest.raises(ValueError, match="rmsprop has 4 to 5 arrays a parameter, got 3"):
        step("rmsprop", x, x, x, centered=True)
    with pytest.raises(ValueError, match="as the others"):
        run("sgd", [[x, x], [x, x, x]], {}, 0)
    with pytest.raises(ValueError, match="grads must have 3 elements"):
        step("sgd", x, x[:2])
    with pytest.raises(TypeError, match="params must be of a floating dtype, got int64"):
        step("sgd", np.arange(3), np.arange(3))
    run("sgd", [], {}, 0)


@needs_counters
@pytest.mark.parametrize("dtype", memory_use.DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_memory_is_used_well(case: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    function, present, _ = CASES[case]
    p = normal((64, 128), dtype)
    lists = [[p], [p.copy()], *([np.zeros_like(p)] if there else None for there in present)]
    with memory_used_well(monkeypatch, "optimizer_kernel"):
        getattr(gpu, function)(*lists, **options_of(case, 1, 1))
