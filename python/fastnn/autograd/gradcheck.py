"""Gradients checked against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import engine

if TYPE_CHECKING:
    from ..tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient that differs from the finite differences."""


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _differentiable(outputs: Any) -> list[Tensor]:
    return [o for o in _as_tuple(outputs) if getattr(o, "_requires_grad", False)]


def _numerical_jacobian(
    function: Callable[..., Any], inputs: Sequence[Any], x: Tensor, eps: float, n_outputs: int
) -> list[Any]:
    """d output / d x for each output, (x.size, output.size), by central differences."""
    from .grad_mode import no_grad

    flat = x._data.reshape(-1)
    if flat.size and not np.shares_memory(flat, x._data):
        raise ValueError("gradcheck: inputs must be contiguous")
    rows: list[list[Any]] = [[] for _ in range(n_outputs)]

    def evaluate() -> list[Any]:
        with no_grad():
            outputs = _as_tuple(function(*inputs))
        return [o._data.astype(np.float64) for o in outputs if o._data.dtype.kind == "f"]

    for i in range(flat.size):
        old = flat[i]
        flat[i] = old + eps
        above = evaluate()
        flat[i] = old - eps
        below = evaluate()
        flat[i] = old
        for row, a, b in zip(rows, above, below, strict=False):
            row.append(((a - b) / (2 * eps)).reshape(-1))
    return [np.array(r) for r in rows]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    check_grad_dtypes: bool = False,
) -> bool:
    """Compare the gradients of ``func`` at ``inputs`` with central differences.

    Args:
        func: a function of tensors that returns a tensor or several.
        inputs: its arguments; those that require grad (use float64) are checked.
        eps: the step of the differences.
        atol, rtol: allowed error, absolute and relative.
        raise_exception: raise instead of returning False.
        check_grad_dtypes: gradients must also have their inputs' dtypes.

    Raises:
        GradcheckError: a gradient is wrong.
        ValueError: no input requires grad.

    >>> import fastnn
    >>> x = fastnn.rand(3, dtype=fastnn.float64, requires_grad=True)
    >>> fastnn.autograd.gradcheck(lambda t: (t * t).sin(), (x,))
    True
    """
    args = _as_tuple(inputs)
    checked = [a for a in args if getattr(a, "_requires_grad", False)]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient")
    for x in checked:
        if not x._data.flags.c_contiguous:
            raise ValueError("gradcheck: inputs must be contiguous")
    outputs = _differentiable(func(*args))

    def fail(message: str) -> bool:
        if raise_exception:
            raise GradcheckError(message)
        return False

    if not outputs:
        return fail("gradcheck: no output requires grad")
    for which, x in enumerate(checked):
        numerical = _numerical_jacobian(func, args, x, eps, len(outputs))
        for number, output in enumerate(outputs):
            analytical = np.zeros((x._data.size, output._data.size))
            for j in range(output._data.size):
                from .._core import make

                one = np.zeros(output._data.size, output._data.dtype)
                one[j] = 1
                (g,) = engine.grad(
                    output,
                    x,
                    make(one.reshape(output._data.shape)),
                    retain_graph=True,
                    allow_unused=True,
                )
                if g is not None:
                    if check_grad_dtypes and g._data.dtype != x._data.dtype:
                        return fail(
                            f"gradcheck: the gradient of input {which} is {g.dtype}, not {x.dtype}"
                        )
                    if g._data.shape != x._data.shape:
                        return fail(
                            f"gradcheck: the gradient of input {which} has shape {tuple(g.shape)}, not {tuple(x.shape)}"
                        )
                    analytical[:, j] = g._data.reshape(-1)
            expected = numerical[number].reshape(analytical.shape)
            if not np.allclose(analytical, expected, rtol, atol, equal_nan=True):
                worst = np.abs(analytical - expected).max()
                return fail(
                    f"gradcheck: Jacobian mismatch for output {number} with respect to input {which}, largest error "
                    f"{worst:.3g}\nnumerical:\n{expected}\nanalytical:\n{analytical}"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare the gradients of func's gradients with central differences.

    Args, Raises: as ``gradcheck``; ``grad_outputs`` are the outputs' gradients (random where None).
    """
    from .._core import make

    args = _as_tuple(inputs)
    outputs = _differentiable(func(*args))
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        gradients = [
            make(rng.standard_normal(o._data.shape).astype(o._data.dtype)).requires_grad_()
            for o in outputs
        ]
    else:
        gradients = list(_as_tuple(grad_outputs))
    n = len(args)

    def first_gradients(*all_args: Any) -> tuple[Any, ...]:
        from .grad_mode import enable_grad

        with enable_grad():
            outs = _differentiable(func(*all_args[:n]))
            wanted = [a for a in all_args[:n] if getattr(a, "_requires_grad", False)]
            found = engine.grad(
                outs, wanted, list(all_args[n:]), create_graph=True, allow_unused=True
            )
        return tuple(g for g in found if g is not None)

    return gradcheck(first_gradients, (*args, *gradients), eps, atol, rtol, raise_exception)
