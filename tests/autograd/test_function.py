"""Custom functions."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import fastnn
from fastnn import autograd


class Product(autograd.Function):
    """x * y and x + y."""

    @staticmethod
    def forward(ctx: Any, x: fastnn.Tensor, y: fastnn.Tensor, scale: float) -> Any:
        ctx.save_for_backward(x, y)
        ctx.scale = scale
        return x * y * scale, x + y

    @staticmethod
    def backward(ctx: Any, g: fastnn.Tensor, h: fastnn.Tensor) -> Any:
        x, y = ctx.saved_tensors
        return g * y * ctx.scale + h, g * x * ctx.scale + h, None


class Exp(autograd.Function):
    """exp, by its result."""

    @staticmethod
    def forward(ctx: Any, x: fastnn.Tensor) -> fastnn.Tensor:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: fastnn.Tensor) -> fastnn.Tensor:
        (y,) = ctx.saved_tensors
        return g * y


def test_gradients() -> None:
    x = fastnn.rand(3, dtype=fastnn.float64, requires_grad=True)
    y = fastnn.rand(3, dtype=fastnn.float64, requires_grad=True)
    for f in (lambda a, b: Product.apply(a, b, 2.0), lambda a, b: Product.apply(a, b, 2.0)[0]):
        assert autograd.gradcheck(f, (x, y))
        assert autograd.gradgradcheck(f, (x, y))
    assert autograd.gradcheck(Exp.apply, (x,))
    assert autograd.gradgradcheck(Exp.apply, (x,))


def test_context() -> None:
    seen: list[Any] = []

    class Spy(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: fastnn.Tensor, y: fastnn.Tensor) -> Any:
            seen.append(ctx.needs_input_grad)
            index = x.argmax().reshape(1)
            ctx.mark_non_differentiable(index)
            ctx.set_materialize_grads(False)
            return x * 2, y * 2, index

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any, i: Any) -> Any:
            seen.append((g is None, h is None, i is None))
            return None, h

    x, y = fastnn.ones(2, requires_grad=True), fastnn.ones(2, requires_grad=True)
    _, b, index = Spy.apply(x, y.detach().requires_grad_())
    assert not index.requires_grad
    b.sum().backward()
    assert seen == [(True, True), (True, False, True)]
    assert x.grad is None


def test_mark_dirty() -> None:
    class Double(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: fastnn.Tensor) -> fastnn.Tensor:
            ctx.mark_dirty(x)
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx: Any, g: fastnn.Tensor) -> fastnn.Tensor:
            return g * 2

    x = fastnn.ones(2, requires_grad=True)
    y = x * 1
    z = Double.apply(y)
    assert z is y
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_wrong_gradients() -> None:
    def function(returned: Any) -> Any:
        class Bad(autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: fastnn.Tensor) -> fastnn.Tensor:
                return x * 2

            @staticmethod
            def backward(ctx: Any, g: fastnn.Tensor) -> Any:
                return returned

        return Bad.apply

    x = fastnn.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        function((fastnn.ones(2), fastnn.ones(2)))(x).sum().backward()
    with pytest.raises(RuntimeError, match="invalid gradient at index 0"):
        function(fastnn.ones(3))(x).sum().backward()


def test_saved_tensor_is_watched_and_freed() -> None:
    x = fastnn.ones(2, requires_grad=True)
    y = x * 1
    z = Product.apply(y, y, 1.0)[0].sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match="in-place"):
        z.backward()
    z = Exp.apply(x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()
    gc.disable()
    try:
        y = Exp.apply(x)
        node = weakref.ref(y.grad_fn.parent)
        del y
        assert node() is None
    finally:
        gc.enable()
