"""Matrix products: matmul with batches, and the fused linear layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import Node, edge_of
from ..autograd.output import into
from ..backends import by_type
from .promotion import same_device, unbroadcast

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "matmul",
]


def _t(x: Any) -> Any:
    """The last two axes exchanged (arrays and tensors)."""
    return x.swapaxes(-1, -2)


def _matmul_rule(
    matmul: Any, g: Any, a: Any, b: Any, shape_a: Any, shape_b: Any, edges: Any
) -> Any:
    """Gradients of a @ b; vectors are made matrices first. Works on arrays and on tensors."""
    vector_a, vector_b = len(shape_a) == 1, len(shape_b) == 1
    if vector_b:
        g = g.reshape((*g.shape, 1))
    if vector_a:
        g = g.reshape((*g.shape[:-1], 1, g.shape[-1]))
    ga = gb = None
    if edges[0] is not None:
        b2 = b.reshape((shape_b[0], 1)) if vector_b else b
        ga = matmul(g, _t(b2))
        ga = unbroadcast(ga, (1, shape_a[0]) if vector_a else shape_a).reshape(shape_a)
    if edges[1] is not None:
        a2 = a.reshape((1, shape_a[0])) if vector_a else a
        if len(shape_b) == 2 and a2.ndim > 2:
            # One product over all batches rather than a batch of products that is summed after
            rows = math.prod(a2.shape[:-1])
            gb = matmul(_t(a2.reshape((rows, a2.shape[-1]))), g.reshape((rows, g.shape[-1])))
        else:
            gb = matmul(_t(a2), g)
            gb = unbroadcast(gb, (shape_b[0], 1) if vector_b else shape_b).reshape(shape_b)
    return ga, gb


class MmBackward0(Node):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b, sa, sb = self.saved
        x = None if a is None else a._data
        y = None if b is None else b._data
        result: tuple[Any, ...] = _matmul_rule(by_type[type(g)].matmul, g, x, y, sa, sb, self.edges)
        return result

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        a, b, sa, sb = self.saved
        result: tuple[Any, ...] = _matmul_rule(matmul, g, a, b, sa, sb, self.edges)
        return result


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product ``a @ b``: vectors, matrices, and batches of matrices that broadcast.

    Raises:
        RuntimeError: inner sizes or dtypes that differ, or a zero-dimensional operand.

    >>> import fastnn
    >>> fastnn.matmul(fastnn.ones(2, 3), fastnn.ones(3, 4)).shape
    fastnn.Size([2, 4])
    """
    if out is not None:
        return into(out, matmul(input, other), "matmul")
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
        if isinstance(input, Tensor) and isinstance(other, np.ndarray):
            return matmul(input, make(other))
        if isinstance(other, Tensor) and isinstance(input, np.ndarray):
            return matmul(make(input), other)
        other = other if isinstance(input, Tensor) else input
        raise TypeError(f"matmul: expects two Tensors, got {type(other).__name__}")
    x, y = input._data, other._data
    if (x.dtype is not y.dtype and x.dtype != y.dtype) or type(x) is not type(y):
        raise _matmul_error(input, other)
    try:
        out = by_type[type(x)].matmul(x, y)
    except ValueError:
        raise _matmul_error(input, other) from None
    if (input._requires_grad or other._requires_grad) and mode.enabled:
        saved = (
            input if other._requires_grad else None,
            other if input._requires_grad else None,
            x.shape,
            y.shape,
        )
        return make(out, MmBackward0((edge_of(input), edge_of(other)), saved))
    return make(out)


def _matmul_error(input: Tensor, other: Tensor) -> RuntimeError:
    same_device(input, other)
    x, y = input._data, other._data
    if x.ndim == 0 or y.ndim == 0:
        return RuntimeError(
            f"matmul: both arguments need at least 1 dim, got {x.ndim}D and {y.ndim}D"
        )
    if x.dtype != y.dtype:
        return RuntimeError(
            f"matmul: expected operands of the same dtype, got {input.dtype} and {other.dtype}"
        )
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        return RuntimeError(
            f"matmul: mat1 and mat2 shapes cannot be multiplied ({tuple(x.shape)} and {tuple(y.shape)})"
        )
    return RuntimeError(
        f"matmul: batches of shapes {tuple(x.shape)} and {tuple(y.shape)} do not broadcast"
    )


class LinearBackward0(Node):
    """linear, with the gradient of its fused activation."""

    __slots__ = ()

    def name(self) -> str:
        return "AddmmBackward0" if self.saved is None or self.saved[2] is None else "ReluBackward0"

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight, y = self.saved
        gradients: tuple[Any, ...] = by_type[type(g)].linear_backward(
            g,
            None if x is None else x._data,
            None if weight is None else weight._data,
            y,
            self.edges[2] is not None,
        )
        return gradients

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        x, weight, y = self.saved
        if y is not None:
            g = g * make((y > 0).astype(y.dtype))
        to_x, to_weight, to_bias = self.edges
        rows = g.reshape(-1, g.shape[-1])
        return (
            None if to_x is None else matmul(g, weight),
            None if to_weight is None else matmul(rows.t(), x.reshape(-1, x.shape[-1])),
            None if to_bias is None else rows.sum(0),
        )


def _int_mm(self: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two int8 matrices in int32, as quantized layers need it. (PyTorch's name.)

    Args:
        self: (M, K), int8.
        mat2: (K, N), int8.
        out: an int32 tensor (M, N) for the result.

    Raises:
        RuntimeError: other dtypes, or shapes that do not fit.

    >>> import fastnn
    >>> a = fastnn.full((2, 3), 100, dtype=fastnn.int8)
    >>> fastnn._int_mm(a, a.t())
    tensor([[30000, 30000],
            [30000, 30000]], dtype=fastnn.int32)
    """
    if out is not None:
        return into(out, _int_mm(self, mat2), "_int_mm")
    a, b = self._data, mat2._data
    if type(a) is not type(b):
        same_device(self, mat2)
    if a.dtype != np.int8 or b.dtype != np.int8:
        raise RuntimeError(
            f"_int_mm: expected two int8 matrices, got {self.dtype} and {mat2.dtype}"
        )
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"_int_mm: expected shapes (M, K) and (K, N), got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    return make(by_type[type(a)].int_mm(a, b))


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None
) -> Tensor:
    """activation(x @ weight.T + bias), in one kernel.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,) or None.
        activation: None or "relu".

    Raises:
        RuntimeError: shapes or dtypes that do not fit.

    >>> import fastnn
    >>> fastnn.nn.functional.linear(fastnn.ones(5, 3), fastnn.ones(2, 3)).shape
    fastnn.Size([5, 2])
    """
    data, w = input._data, weight._data
    b = None if bias is None else bias._data
    kind = data.dtype
    if (
        (w.dtype is not kind and w.dtype != kind)
        or type(data) is not type(w)
        or (b is not None and ((b.dtype is not kind and b.dtype != kind) or type(b) is not type(w)))
    ):
        raise _linear_error(input, weight, bias)
    try:
        out = by_type[type(data)].linear(data, w, b, activation)
    except ValueError:
        if activation not in (None, "relu"):
            raise
        raise _linear_error(input, weight, bias) from None
    if (
        input._requires_grad or weight._requires_grad or (bias is not None and bias._requires_grad)
    ) and mode.enabled:
        edges = (edge_of(input), edge_of(weight), None if bias is None else edge_of(bias))
        saved = (
            input if edges[1] is not None else None,
            weight if edges[0] is not None else None,
            None if activation is None else out,
        )
        return make(out, LinearBackward0(edges, saved))
    return make(out)


def _linear_error(x: Tensor, weight: Tensor, bias: Tensor | None) -> RuntimeError:
    same_device(x, weight, bias)
    data, w = x._data, weight._data
    if w.ndim != 2:
        return RuntimeError(
            f"linear: weight must be (out_features, in_features), got {tuple(w.shape)}"
        )
    if data.ndim == 0 or data.shape[-1] != w.shape[1]:
        return RuntimeError(
            f"linear expects input of {w.shape[1]} features, got {tuple(data.shape)}"
        )
    if data.dtype != w.dtype:
        return RuntimeError(
            f"linear: input is {x.dtype}, weight is {weight.dtype}; they must be the same"
        )
    assert bias is not None
    if bias._data.dtype != w.dtype:
        return RuntimeError(
            f"linear: bias is {bias.dtype}, weight is {weight.dtype}; they must be the same"
        )
    return RuntimeError(
        f"linear: bias must have shape ({w.shape[0]},), got {tuple(bias._data.shape)}"
    )
