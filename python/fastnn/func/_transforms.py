"""Gradients and Jacobians as functions. They nest, and the results take part in the graph around them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import make
from ..autograd import engine
from ..autograd.grad_mode import enable_grad, mode
from ..ops.shape import stack
from ._nest import is_tensor, leaves, mapped

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp"]

Function = Callable[..., Any]
# Leaves that a transformation made and is done with: graphs that end there belong to nobody
_finished: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def _fresh(x: Any) -> Any:
    """A tensor of x's values to differentiate by; of x's graph, where it has one."""
    if not is_tensor(x):
        return x
    if x._requires_grad and x.is_floating_point():
        return x.clone()
    t = x.detach()
    return t.requires_grad_() if t.is_floating_point() else t


def _picked(args: tuple[Any, ...], argnums: int | tuple[int, ...], name: str) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"{name}: Got argnum={n}, but only {len(args)} positional inputs")
    return [n % len(args) for n in numbers]


def _called(func: Function, args: tuple[Any, ...], kwargs: Any, has_aux: bool, name: str) -> Any:
    """(output, aux) of ``func``."""
    result = func(*args, **kwargs)
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True, "
            f"got {type(result).__name__}"
        )
    return result


def _part_of_a_graph(outputs: list[Any], fresh: list[Any]) -> bool:
    """Whether ``outputs`` depend on anything that requires grad beside ``fresh``, or fresh ones do."""
    own = {id(x) for x in fresh}
    if any(x._node is not None for x in fresh):
        return True
    stack_, seen = [o._node or o for o in outputs if o._requires_grad], set()
    while stack_:
        vertex = stack_.pop()
        if id(vertex) in seen:
            continue
        seen.add(id(vertex))
        if not vertex.is_node:
            if id(vertex) not in own and _finished.get(id(vertex)) is not vertex:
                return True
            continue
        stack_ += [e for e in vertex.edges if e is not None]
    return False


def _pull_back(outputs: list[Any], gradients: list[Any], xs: list[Any], keep: bool) -> list[Any]:
    """The gradients of ``xs``, zeros where there are none."""
    pairs = [(o, g) for o, g in zip(outputs, gradients, strict=True) if o._requires_grad]
    wanted = [x for x in xs if x._requires_grad]
    found: dict[int, Any] = {}
    if pairs and wanted:
        outs, gs = zip(*pairs, strict=True)
        record = mode.enabled and (
            _part_of_a_graph(outputs, wanted) or any(g._requires_grad for g in gs)
        )
        grads = engine.grad(
            list(outs), wanted, list(gs), retain_graph=keep or record, create_graph=record, allow_unused=True
        )  # fmt: skip
        found = {id(x): g for x, g in zip(wanted, grads, strict=True)}
    return [make(np.zeros_like(x._data)) if found.get(id(x)) is None else found[id(x)] for x in xs]


def _finish(xs: list[Any]) -> None:
    _finished.update((id(x), x) for x in xs if is_tensor(x) and x._node is None)


def _out(value: Any, kept: bool) -> Any:
    """A result: a tensor outside of the graph that was made for it, unless that is part of another."""
    return value.detach() if is_tensor(value) and not kept else value


def grad_and_value(
    func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """The function that returns ``(gradient, value)`` of ``func``, which returns a tensor of no dims.

    Args: as ``grad``'s; with ``has_aux`` the value is the pair (value, aux).
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        numbers = _picked(args, argnums, "grad_and_value")
        recording = mode.enabled
        with enable_grad():
            fresh = list(args)
            for n in numbers:
                fresh[n] = mapped(_fresh, args[n])
            output, aux = _called(func, tuple(fresh), kwargs, has_aux, "grad_and_value")
            if not is_tensor(output) or output._data.ndim:
                got = f"tensor with {output._data.ndim} dims" if is_tensor(output) else type(output)
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got {got}. "
                    "Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            xs = [x for n in numbers for x in leaves(fresh[n]) if is_tensor(x)]
            kept = recording and _part_of_a_graph([output], [x for x in xs if x._requires_grad])
            one = make(np.ones((), output._data.dtype))
            mode.enabled = kept
            found = iter(_pull_back([output], [one], xs, False))
        grads = [
            mapped(lambda x: _out(next(found), kept) if is_tensor(x) else None, fresh[n])
            for n in numbers
        ]
        value = _out(output, kept)
        aux = mapped(lambda x: _out(x, kept), aux)
        _finish(xs)
        result = grads[0] if isinstance(argnums, int) else tuple(grads)
        return (result, (value, aux)) if has_aux else (result, value)

    return wrapper


def grad(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """The function that returns the gradient of ``func``, which returns a tensor of no dims.

    Args:
        func: the function.
        argnums: the arguments (tensors, or nests of them) to differentiate by; several give a tuple.
        has_aux: ``func`` returns (value, aux), and the gradient's function (gradient, aux).

    Raises:
        RuntimeError: (when called) the value has dims, or there is no such argument.

    >>> import fastnn
    >>> from fastnn.func import grad
    >>> grad(grad(lambda x: x ** 3))(fastnn.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """``(func(*primals), pull_back)``, where ``pull_back(gradients)`` gives the gradients of the primals.

    Args:
        func: the function.
        primals: its arguments, tensors or nests.
        has_aux: ``func`` returns (output, aux); the aux comes third.

    >>> import fastnn
    >>> y, pull_back = fastnn.func.vjp(lambda x: x * x, fastnn.tensor([1., 2.]))
    >>> pull_back(fastnn.ones(2))
    (tensor([2., 4.]),)
    """
    with enable_grad():
        fresh = tuple(mapped(_fresh, p) for p in primals)
        output, aux = _called(func, fresh, {}, has_aux, "vjp")
    xs = [x for x in leaves(fresh) if is_tensor(x)]
    outputs = leaves(output)
    for o in outputs:
        if not is_tensor(o):
            raise RuntimeError(
                f"vjp(f, *primals): Expected f to return tensors or nests of them, got {type(o).__name__}"
            )
    kept = mode.enabled and _part_of_a_graph(outputs, [x for x in xs if x._requires_grad])

    def pull_back(
        *cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
    ) -> Any:
        nest = cotangents[0] if len(cotangents) == 1 else cotangents
        given = leaves(nest)
        if [tuple(g.shape) for g in given] != [tuple(o.shape) for o in outputs]:
            raise RuntimeError(
                f"vjp: expected cotangents of shapes {[tuple(o.shape) for o in outputs]}, "
                f"got {[tuple(g.shape) for g in given]}"
            )
        found = iter(_pull_back(outputs, given, xs, True))
        return mapped(lambda x: next(found) if is_tensor(x) else None, fresh)

    value, aux = mapped(lambda o: _out(o, kept), (output, aux))
    _finish(xs)
    return (value, pull_back, aux) if has_aux else (value, pull_back)


def jvp(
    func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> Any:
    """``(func(*primals), jacobian @ tangents)``; in reverse mode, twice.

    Args:
        func: the function.
        primals, tangents: tuples of as many tensors.
        strict: False: outputs that do not depend on the primals have tangents of zero.
        has_aux: ``func`` returns (output, aux); the aux comes third.

    Raises:
        RuntimeError: tangents of other shapes; or strict, and an output that does not depend on the primals.

    >>> import fastnn
    >>> x = fastnn.tensor([1., 2.])
    >>> fastnn.func.jvp(lambda x: x * x, (x,), (fastnn.ones(2),))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to be tuples")
    points, directions = leaves(primals), leaves(tangents)
    if [tuple(p.shape) for p in points] != [tuple(t.shape) for t in directions]:
        raise RuntimeError(
            f"jvp(f, primals, tangents): Expected tangents of shapes {[tuple(p.shape) for p in points]}, "
            f"got {[tuple(t.shape) for t in directions]}"
        )
    recording = mode.enabled
    with enable_grad():
        fresh = tuple(mapped(_fresh, p) for p in primals)
        output, aux = _called(func, fresh, {}, has_aux, "jvp")
        xs, outputs = leaves(fresh), leaves(output)
        if strict and not all(o._requires_grad for o in outputs):
            raise RuntimeError("jvp: an output does not depend on the primals, with strict=True")
        kept = recording and (
            _part_of_a_graph(outputs, [x for x in xs if x._requires_grad])
            or any(t._requires_grad for t in directions)
        )
        us = [make(np.zeros_like(o._data)).requires_grad_() for o in outputs]
        back = _pull_back(outputs, us, xs, True)
        pairs = [(g, t) for g, t in zip(back, directions, strict=True) if g._requires_grad]
        found: Any = [None] * len(us)
        if pairs:
            gs, ts = zip(*pairs, strict=True)
            found = engine.grad(list(gs), us, list(ts), create_graph=kept, allow_unused=True)
    columns = iter(
        make(np.zeros_like(o._data)) if g is None else _out(g, kept)
        for g, o in zip(found, outputs, strict=True)
    )
    value, aux = mapped(lambda o: _out(o, kept), (output, aux))
    _finish([*xs, *us])
    tangent = mapped(lambda o: next(columns), output)
    return (value, tangent, aux) if has_aux else (value, tangent)


def jacrev(
    func: Function,
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Function:
    """The function that returns the Jacobian of ``func``: for each output a tensor of shape (*output's, *input's).

    Args:
        func: the function, of tensors or nests of them.
        argnums: the arguments to differentiate by; several give a tuple.
        has_aux: ``func`` returns (output, aux), and the Jacobian's function (jacobian, aux).
        chunk_size: accepted for PyTorch's scripts: rows are computed one by one.

    >>> import fastnn
    >>> fastnn.func.jacrev(lambda x: x * x)(fastnn.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        numbers = _picked(args, argnums, "jacrev")
        picked = tuple(args[n] for n in numbers)

        def of_picked(*given: Any) -> Any:
            full = list(args)
            for n, g in zip(numbers, given, strict=True):
                full[n] = g
            return func(*full, **kwargs)

        value, pull_back, *aux = vjp(of_picked, *picked, has_aux=has_aux)
        outputs = leaves(value)
        blocks = []
        for k, o in enumerate(outputs):
            rows = []
            for j in range(o._data.size):
                seeds = [make(np.zeros_like(v._data, order="C")) for v in outputs]
                seeds[k]._data.reshape(-1)[j] = 1
                each = iter(seeds)
                rows.append(pull_back(mapped(lambda _, e=each: next(e), value)))
            blocks.append(_columns(rows, o, picked))
        if isinstance(argnums, int):
            blocks = [block[0] for block in blocks]
        each_block = iter(blocks)
        result = mapped(lambda _: next(each_block), value)
        return (result, aux[0]) if has_aux else result

    return wrapper


def _columns(rows: list[Any], output: Any, picked: tuple[Any, ...]) -> Any:
    """The rows, each a nest of the arguments' form, as that nest of (*output's, *input's)."""
    if not rows:
        return mapped(
            lambda x: make(np.zeros((*output._data.shape, *x._data.shape), x._data.dtype)), picked
        )
    return mapped(
        lambda *column: stack(list(column)).reshape(*output._data.shape, *column[0]._data.shape),
        *rows,
    )


def jacfwd(
    func: Function,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Function:
    """The same as ``jacrev``: derivatives are computed in reverse mode.

    Args:
        func, argnums, has_aux: as ``jacrev``'s.
        randomness: accepted for PyTorch's scripts: ``func`` is called once.
    """
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that returns the second derivatives of ``func``.

    Args: as ``jacrev``'s.

    >>> import fastnn
    >>> fastnn.func.hessian(lambda x: (x ** 3).sum())(fastnn.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
