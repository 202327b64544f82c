"""Gradients checked against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _device
from . import engine
from .grad_mode import enable_grad, no_grad

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient that differs from the finite differences."""


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _host(array: Any) -> Any:
    return _device.place(array, _device.CPU)


def _differentiable(outputs: Any) -> list[Tensor]:
    return [o for o in _as_tuple(outputs) if getattr(o, "_requires_grad", False)]


def _refuse(operation: str, **options: Any) -> None:
    for name, (value, instead) in options.items():
        if value:
            raise ValueError(f"{operation}: {name}={value!r} is not supported: {instead}")


class _Check:
    """One function at one point: the differences and gradients that are compared."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], eps: float) -> None:
        self.func = func
        self.args = args
        self.eps = eps
        self.inputs = [a for a in args if getattr(a, "_requires_grad", False)]
        results = _as_tuple(func(*args))
        self.outputs = _differentiable(results)
        self.recorded = [getattr(o, "_requires_grad", False) for o in results]

    def values(self) -> list[Any]:
        """The differentiable outputs, as float64 arrays."""
        with no_grad():
            outputs = _as_tuple(self.func(*self.args))
        return [
            _host(o._data).astype(np.float64)
            for o, recorded in zip(outputs, self.recorded, strict=True)
            if recorded
        ]

    def difference(self, x: Tensor, direction: Any) -> list[Any]:
        """The central difference of each output as ``x`` moves along ``direction``."""
        data = x._data
        old = data.copy()
        step = _device.place_beside(self.eps * direction, data)
        try:
            data[...] = old + step
            above = self.values()
            data[...] = old - step
            below = self.values()
        finally:
            data[...] = old
        return [(a - b) / (2 * self.eps) for a, b in zip(above, below, strict=True)]

    def numerical(self, x: Tensor) -> list[Any]:
        """d output / d x for each output, (x.size, output.size)."""
        rows: list[list[Any]] = [[] for _ in self.outputs]
        for i in range(x._data.size):
            one = np.zeros(x._data.size)
            one[i] = 1
            for row, d in zip(rows, self.difference(x, one.reshape(x._data.shape)), strict=True):
                row.append(d.reshape(-1))
        return [
            np.array(r).reshape(x._data.size, o._data.size)
            for r, o in zip(rows, self.outputs, strict=True)
        ]

    def gradients(self, output: Tensor, g: Any) -> tuple[Any, ...]:
        """The gradients of all inputs from ``g``, that of ``output``."""
        from .._core import make

        data = output._data
        found: tuple[Any, ...] = engine.grad(
            output,
            self.inputs,
            make(_device.place_beside(g.astype(data.dtype), data)),
            retain_graph=True,
            allow_unused=True,
        )
        return found

    def analytical(self, number: int) -> list[Any]:
        """d output / d x of one output for each input, (x.size, output.size)."""
        output = self.outputs[number]
        jacobians = [np.zeros((x._data.size, output._data.size)) for x in self.inputs]
        for j in range(output._data.size):
            one = np.zeros(output._data.size)
            one[j] = 1
            found = self.gradients(output, one.reshape(output._data.shape))
            for jacobian, g in zip(jacobians, found, strict=True):
                if g is not None:
                    jacobian[:, j] = _host(g._data).reshape(-1)
        return jacobians


def _projected(check: _Check, atol: float, rtol: float) -> None:
    """Compare along random directions of inputs and outputs instead of element by element."""
    rng = np.random.default_rng(0)
    for number, output in enumerate(check.outputs):
        u = rng.uniform(0.5, 1.5, output._data.shape)
        found = check.gradients(output, u)
        for which, (x, g) in enumerate(zip(check.inputs, found, strict=True)):
            v = rng.uniform(0.5, 1.5, x._data.shape)
            analytical = 0.0 if g is None else float((_host(g._data) * v).sum())
            numerical = float((check.difference(x, v)[number] * u).sum())
            if not np.allclose(analytical, numerical, rtol, atol * max(1, x._data.size)):
                raise GradcheckError(
                    f"gradcheck: Jacobian mismatch in fast mode for output {number} with respect to input {which}: "
                    f"numerical {numerical}, analytical {analytical}; without fast_mode the elements are shown"
                )


def _elementwise(check: _Check, atol: float, rtol: float) -> None:
    numerical = [check.numerical(x) for x in check.inputs]
    for number in range(len(check.outputs)):
        for which, analytical in enumerate(check.analytical(number)):
            expected = numerical[which][number]
            if not np.allclose(analytical, expected, rtol, atol, equal_nan=True):
                worst = np.abs(analytical - expected).max()
                raise GradcheckError(
                    f"gradcheck: Jacobian mismatch for output {number} with respect to input {which}, largest error "
                    f"{worst:.3g}\nnumerical:\n{expected}\nanalytical:\n{analytical}"
                )


def _properties(check: _Check, nondet_tol: float, dtypes: bool, batched: bool) -> None:
    """Shapes and dtypes of the gradients; that they are the same again, and the same in a batch."""
    from .._core import make

    rng = np.random.default_rng(1)
    for number, output in enumerate(check.outputs):
        g = rng.normal(size=output._data.shape)
        first, again = check.gradients(output, g), check.gradients(output, g)
        for which, (x, a, b) in enumerate(zip(check.inputs, first, again, strict=True)):
            if a is None:
                continue
            if dtypes and a._data.dtype != x._data.dtype:
                raise GradcheckError(
                    f"gradcheck: the gradient of input {which} is {a.dtype}, not {x.dtype}"
                )
            if a._data.shape != x._data.shape:
                raise GradcheckError(
                    f"gradcheck: the gradient of input {which} has shape {tuple(a.shape)}, not {tuple(x.shape)}"
                )
            one, other = _host(a._data), _host(b._data)
            if not np.allclose(one, other, 0, nondet_tol, equal_nan=True):
                raise GradcheckError(
                    f"gradcheck: Backward is not reentrant: the gradient of output {number} with respect to input "
                    f"{which} differs from one call to the next, by up to {np.abs(one - other).max():.3g}"
                )
        if batched:
            both = make(
                _device.place_beside(np.stack([g, 2 * g]).astype(output._data.dtype), output._data)
            )
            rows = engine.grad(
                output, check.inputs, both, retain_graph=True, allow_unused=True, is_grads_batched=True
            )  # fmt: skip
            for which, (a, b) in enumerate(zip(first, rows, strict=True)):
                if a is not None and not np.allclose(_host(b._data)[1], 2 * _host(a._data)):
                    raise GradcheckError(
                        f"gradcheck: the batched gradient of output {number} with respect to input {which} differs"
                    )


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of ``func`` at ``inputs`` with central differences.

    Args:
        func: a function of tensors that returns a tensor or several.
        inputs: its arguments; those that require grad (use float64) are checked.
        eps: the step of the differences.
        atol, rtol: allowed error, absolute and relative.
        raise_exception: raise instead of returning False.
        nondet_tol: how far two backward passes may differ.
        check_undefined_grad: each output is differentiated alone, so that the others have no gradient.
        check_grad_dtypes: gradients must also have their inputs' dtypes.
        check_batched_grad: ``is_grads_batched`` must give the same.
        check_forward_ad, check_batched_forward_grad, masked: must be off: there is no forward mode.
        check_backward_ad: False: check nothing.
        fast_mode: compare along one random direction instead of element by element.

    Raises:
        GradcheckError: a gradient is wrong.
        ValueError: no input requires grad, or an option that is not supported.

    >>> import fastnn
    >>> x = fastnn.rand(3, dtype=fastnn.float64, requires_grad=True)
    >>> fastnn.autograd.gradcheck(lambda t: (t * t).sin(), (x,))
    True
    """
    _refuse(
        "gradcheck",
        check_forward_ad=(check_forward_ad, "derivatives are computed in reverse mode"),
        check_batched_forward_grad=(check_batched_forward_grad, "there is no forward mode"),
        masked=(masked, "there are no sparse tensors"),
    )
    args = _as_tuple(inputs)
    if not any(getattr(a, "_requires_grad", False) for a in args):
        raise ValueError("gradcheck expects at least one input tensor to require gradient")
    for a in args:
        if getattr(a, "_requires_grad", False) and 0 in a._data.strides and a._data.size > 1:
            raise ValueError(
                "gradcheck: an input is expanded: clone() it, its elements share memory"
            )
    if not check_backward_ad:
        return True
    try:
        check = _Check(func, args, eps)
        if not check.outputs:
            raise GradcheckError("gradcheck: no output requires grad")
        _properties(check, nondet_tol, check_grad_dtypes, check_batched_grad)
        (_projected if fast_mode else _elementwise)(check, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare the gradients of func's gradients with central differences.

    Args, Raises: as ``gradcheck``; ``grad_outputs`` are the outputs' gradients (random where None, with
    ``gen_non_contig_grad_outputs`` in memory with gaps).
    """
    from .._core import make

    _refuse("gradgradcheck", check_fwd_over_rev=(check_fwd_over_rev, "there is no forward mode"))
    if not check_rev_over_rev:
        return True
    args = _as_tuple(inputs)
    outputs: Sequence[Tensor] = _differentiable(func(*args))
    if grad_outputs is None:
        rng = np.random.default_rng(0)

        def random_like(o: Tensor) -> Tensor:
            values = rng.standard_normal(o._data.shape).astype(o._data.dtype)
            if gen_non_contig_grad_outputs and values.ndim:
                values = np.repeat(values, 2, axis=-1)[..., ::2]
            return make(_device.place_beside(values, o._data)).requires_grad_()

        gradients = [random_like(o) for o in outputs]
    else:
        gradients = list(_as_tuple(grad_outputs))
    n = len(args)

    def first_gradients(*all_args: Any) -> tuple[Any, ...]:
        with enable_grad():
            outs = _differentiable(func(*all_args[:n]))
            wanted = [a for a in all_args[:n] if getattr(a, "_requires_grad", False)]
            found = engine.grad(
                outs, wanted, list(all_args[n:]), create_graph=True, allow_unused=True
            )
        return tuple(g for g in found if g is not None)

    return gradcheck(
        first_gradients,
        (*args, *gradients),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        masked=masked,
    )
