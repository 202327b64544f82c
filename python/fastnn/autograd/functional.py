"""Jacobians, Hessians and their products with vectors, of functions of tensors.

All are computed in reverse mode, a backward pass for each row; ``vectorize`` carries all rows through one pass. The
forward-mode strategies give the same numbers by reverse mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _core
from . import engine
from .grad_mode import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tensors(value: Any, what: str, operation: str) -> tuple[bool, tuple[Any, ...]]:
    """Whether ``value`` is a tuple, and its tensors."""
    several = isinstance(value, tuple)
    items = value if several else (value,)
    for i, item in enumerate(items):
        if not isinstance(item, _core.TensorBase):
            if several:
                raise TypeError(
                    f"The {what} given to {operation} must be either a Tensor or a tuple of Tensors but the value at "
                    f"index {i} has type {type(item)}."
                )
            raise TypeError(
                f"The {what} given to {operation} must be either a Tensor or a tuple of Tensors but the given {what} "
                f"has type {type(item)}."
            )
    return several, items


def _fresh(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    """Inputs to differentiate by: the same values, recorded, part of the caller's graph where ``create_graph``."""
    return tuple(
        x.clone() if create_graph and x._requires_grad else x.detach().clone().requires_grad_()
        for x in inputs
    )


def _detached(values: Any, create_graph: bool) -> Any:
    if isinstance(values, tuple):
        return tuple(_detached(v, create_graph) for v in values)
    return values if create_graph else values.detach()


def _zeros(x: Any) -> Any:
    return _core.make(np.zeros_like(x._data))


def _outputs(func: Callable[..., Any], inputs: tuple[Any, ...], operation: str) -> Any:
    return _tensors(func(*inputs), "outputs of the user-provided function", operation)


def _check_outputs(outputs: tuple[Any, ...], strict: bool) -> None:
    for i, o in enumerate(outputs):
        if strict and not o._requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in "
                "a differentiable manner from the input when running in strict mode."
            )


def _gradients(
    outputs: tuple[Any, ...], inputs: tuple[Any, ...], g: Any, create_graph: bool, keep: bool = True
) -> list[Any]:
    """The gradients of ``inputs``; None where the outputs do not depend on them."""
    pairs = [(o, v) for o, v in zip(outputs, g, strict=True) if o._requires_grad]
    if not pairs:
        return [None] * len(inputs)
    outs, gs = zip(*pairs, strict=True)
    return list(
        engine.grad(outs, inputs, gs, create_graph=create_graph, retain_graph=keep, allow_unused=True)
    )  # fmt: skip


def _filled(found: list[Any], inputs: tuple[Any, ...], strict: bool, message: str) -> list[Any]:
    """Zeros for None, or an error where ``strict``."""
    for i, g in enumerate(found):
        if strict and g is None:
            raise RuntimeError(message.format(i=i) + " This is not allowed in strict mode.")
    return [_zeros(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


_INDEPENDENT = "Output {n} of the user-provided function is independent of input {{i}}."
_NO_JACOBIAN = (
    "While computing the {name}, found that the jacobian of the user-provided function with respect to input {{i}} is "
    "independent of the input."
)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of each output's elements with respect to each input's.

    Args:
        func: a function of tensors that returns a tensor or a tuple.
        inputs: its argument, or a tuple of them.
        create_graph: record, so that the result can be differentiated.
        strict: raise where an output does not depend on an input, instead of zeros.
        vectorize: one backward pass for all rows instead of one each (with ``create_graph``: one each all the same).
        strategy: "reverse-mode"; "forward-mode", which needs ``vectorize``, gives the same by reverse mode.

    Returns:
        A tensor of shape (*output's, *input's); a tuple over inputs, over outputs, or over outputs of tuples over inputs.

    Raises:
        RuntimeError: strict, and an output that does not depend on an input.
        TypeError: something that is not a tensor.

    >>> import fastnn
    >>> fastnn.autograd.functional.jacobian(lambda x: x ** 2, fastnn.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    _check_strategy("jacobian", strict, vectorize, strategy)
    several_in, given = _tensors(inputs, "inputs", "jacobian")
    with enable_grad():
        xs = _fresh(given, create_graph)
        several_out, outputs = _outputs(func, xs, "jacobian")
        _check_outputs(outputs, strict)
        result = []
        for n, o in enumerate(outputs):
            if vectorize and not create_graph and o._data.size:
                result.append(_all_rows(o, xs))
                continue
            rows: list[list[Any]] = [[] for _ in xs]
            for j in range(o._data.size):
                one = np.zeros(o._data.size, o._data.dtype)
                one[j] = 1
                found = _gradients(
                    (o,), xs, (_core.make(one.reshape(o._data.shape)),), create_graph
                )
                for row, g in zip(
                    rows, _filled(found, xs, strict, _INDEPENDENT.format(n=n)), strict=True
                ):
                    row.append(g)
            from ..ops.shape import stack

            result.append(
                tuple(
                    stack(row).reshape(*o._data.shape, *x._data.shape)
                    if row
                    else _core.make(np.zeros((*o._data.shape, *x._data.shape), x._data.dtype))
                    for row, x in zip(rows, xs, strict=True)
                )
            )
        if strict and create_graph:
            for blocks in result:
                for i, block in enumerate(blocks):
                    if not block._requires_grad:
                        raise RuntimeError(
                            _NO_JACOBIAN.format(name="jacobian").format(i=i)
                            + " This is not allowed in strict mode when create_graph=True."
                        )
    kept = _detached(tuple(result), create_graph)
    nested = kept if several_in else tuple(blocks[0] for blocks in kept)
    return nested if several_out else nested[0]


def _all_rows(o: Any, xs: Sequence[Any]) -> tuple[Any, ...]:
    """The derivatives of all elements of ``o`` by one backward pass of a batch of unit gradients."""
    size = o._data.size
    units = _core.make(np.eye(size, dtype=o._data.dtype).reshape(size, *o._data.shape))
    if not o._requires_grad:
        found: Sequence[Any] = [None] * len(xs)
    else:
        found = engine.grad(
            o, list(xs), units, retain_graph=True, allow_unused=True, is_grads_batched=True
        )
    return tuple(
        _core.make(np.zeros((*o._data.shape, *x._data.shape), x._data.dtype))
        if g is None
        else g.reshape(*o._data.shape, *x._data.shape)
        for g, x in zip(found, xs, strict=True)
    )


def _check_strategy(operation: str, strict: bool, vectorize: bool, strategy: str) -> None:
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            f'Expected strategy to be either "forward-mode" or "reverse-mode", got {strategy!r}'
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(f"{operation}: the forward-mode strategy needs vectorize=True")
    if strict and vectorize:
        raise RuntimeError(
            f"{operation}: `strict=True` and `vectorized=True` are not supported together. "
            "Please either set `strict=False` or `vectorize=False`."
        )


def _scalar(func: Callable[..., Any], xs: tuple[Any, ...], name: str) -> Any:
    several, (out, *more) = _outputs(func, xs, name)
    if several or more:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if out._data.size != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )
    return out.reshape(())


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function of one element.

    Args:
        func: a function of tensors that returns a tensor of one element.
        inputs, create_graph, strict, vectorize: as ``jacobian``'s; ``outer_jacobian_strategy`` is its strategy.

    Returns:
        A tensor of shape (*input's, *input's), or a tuple of tuples of them.

    Raises:
        RuntimeError: more elements; or strict, and a gradient that does not depend on an input.

    >>> import fastnn
    >>> fastnn.autograd.functional.hessian(lambda x: (x ** 3).sum(), fastnn.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _check_strategy("hessian", strict, vectorize, outer_jacobian_strategy)
    several, given = _tensors(inputs, "inputs", "hessian")

    def gradient(*xs: Any) -> Any:
        out = _scalar(func, xs, "hessian")
        _check_outputs((out,), strict)
        found = _gradients((out,), xs, (_core.make(np.ones((), out._data.dtype)),), True)
        filled = _filled(found, xs, strict, _INDEPENDENT.format(n=0))
        for i, g in enumerate(filled):
            if strict and not g._requires_grad:
                raise RuntimeError(
                    _NO_JACOBIAN.format(name="hessian").format(i=i)
                    + " This is not allowed in strict mode."
                )
        return tuple(filled)

    result = jacobian(gradient, given, create_graph, strict, vectorize)
    return result if several else result[0][0]


def _vector(v: Any, like: tuple[Any, ...], what: str, operation: str) -> tuple[Any, ...]:
    """``v`` checked against ``like``; ones where it is None and there is one element."""
    if v is None:
        if len(like) != 1 or like[0]._data.size != 1:
            raise RuntimeError(
                f"The vector v can only be None if the {what} is a single Tensor with a single element."
            )
        return (_core.make(np.ones_like(like[0]._data)),)
    _, vs = _tensors(v, "v", operation)
    if len(vs) != len(like):
        wanted = "a single Tensor" if len(like) == 1 else f"{len(like)} Tensors"
        raise RuntimeError(f"The given v should contain {wanted}, got {len(vs)}.")
    for i, (a, b) in enumerate(zip(vs, like, strict=True)):
        if a._data.shape != b._data.shape:
            at = f"Entry {i} in " if len(like) > 1 else ""
            raise RuntimeError(f"{at}v has invalid size: should be {b.shape} but got {a.shape}.")
    return vs


def _as_given(values: Any, several: bool, create_graph: bool) -> Any:
    kept = _detached(tuple(values), create_graph)
    return kept if several else kept[0]


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(inputs), v @ jacobian).

    Args:
        func, inputs, create_graph, strict: as ``jacobian``'s.
        v: of the outputs' shapes; None for one output of one element.

    Raises:
        RuntimeError: ``v`` has another shape; or strict, and an output that does not depend on an input.

    >>> import fastnn
    >>> x = fastnn.tensor([1., 2.])
    >>> fastnn.autograd.functional.vjp(lambda x: x ** 2, x, fastnn.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    several_in, given = _tensors(inputs, "inputs", "vjp")
    with enable_grad():
        xs = _fresh(given, create_graph)
        several_out, outputs = _outputs(func, xs, "vjp")
        _check_outputs(outputs, strict)
        vs = _vector(v, outputs, "output of the user-provided function", "vjp")
        found = _gradients(outputs, xs, vs, create_graph)
        grads = _filled(
            found,
            xs,
            strict,
            "The output of the user-provided function is independent of input {i}.",
        )
    return (
        _as_given(outputs, several_out, create_graph),
        _as_given(grads, several_in, create_graph),
    )


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(inputs), jacobian @ v), by differentiating ``vjp`` with respect to its vector.

    Args:
        func, inputs, create_graph, strict: as ``jacobian``'s.
        v: of the inputs' shapes; None for one input of one element.

    Raises:
        RuntimeError: ``v`` has another shape; or strict, and an output that does not depend on the inputs.

    >>> import fastnn
    >>> x = fastnn.tensor([1., 2.])
    >>> fastnn.autograd.functional.jvp(lambda x: x ** 2, x, fastnn.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    _, given = _tensors(inputs, "inputs", "jvp")
    vs = _vector(v, given, "input to the user-provided function", "jvp")
    with enable_grad():
        xs = _fresh(given, create_graph)
        several_out, outputs = _outputs(func, xs, "jvp")
        _check_outputs(outputs, strict)
        us = tuple(_core.make(np.zeros_like(o._data)).requires_grad_() for o in outputs)
        back = _gradients(outputs, xs, us, True)
        if strict and any(g is None for g in back):
            i = next(i for i, g in enumerate(back) if g is None)
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {i}. "
                "This is not allowed in strict mode."
            )
        pairs = [
            (g, w) for g, w in zip(back, vs, strict=True) if g is not None and g._requires_grad
        ]
        if pairs:
            gs, ws = zip(*pairs, strict=True)
            found = engine.grad(
                gs, us, ws, create_graph=create_graph, retain_graph=True, allow_unused=True
            )
        else:
            found = (None,) * len(us)
        result = [_zeros(o) if g is None else g for g, o in zip(found, outputs, strict=True)]
    return (
        _as_given(outputs, several_out, create_graph),
        _as_given(result, several_out, create_graph),
    )


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(inputs), v @ hessian), of a function of one element.

    Args, Raises: as ``jvp``'s.

    >>> import fastnn
    >>> x = fastnn.tensor([1., 2.])
    >>> fastnn.autograd.functional.vhp(lambda x: (x ** 3).sum(), x, fastnn.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _second(func, inputs, v, create_graph, strict, "vhp")


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(func(inputs), hessian @ v): the same as ``vhp``, a Hessian being symmetric.

    Args, Raises: as ``jvp``'s.
    """
    return _second(func, inputs, v, create_graph, strict, "hvp")


def _second(
    func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool, name: str
) -> tuple[Any, Any]:
    several, given = _tensors(inputs, "inputs", name)
    vs = _vector(v, given, "input to the user-provided function", name)
    with enable_grad():
        xs = _fresh(given, create_graph)
        out = _scalar(func, xs, name)
        _check_outputs((out,), strict)
        first = _gradients((out,), xs, (_core.make(np.ones((), out._data.dtype)),), True)
        first = _filled(first, xs, strict, _INDEPENDENT.format(n=0))
        found = _gradients(tuple(first), xs, vs, create_graph)
        result = _filled(found, xs, strict, _NO_JACOBIAN.format(name=name))
    return _detached(out, create_graph), _as_given(result, several, create_graph)
