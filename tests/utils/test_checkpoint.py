"""Checkpoints: the same gradients, less kept, the same random numbers, gradients of gradients, nesting, errors."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.autograd import engine
from fastnn.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

both = pytest.mark.parametrize("use_reentrant", [False, True])


def model() -> Any:
    fastnn.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)
    )


def gradients(call: Any) -> list[Any]:
    net = model()
    x = fastnn.ones(3, 4).requires_grad_()
    fastnn.manual_seed(2)
    out = call(net, x)
    out.square().sum().backward()
    return [x.grad, *(p.grad for p in net.parameters()), fastnn.rand(1)]


@both
def test_the_same_gradients(use_reentrant: bool) -> None:
    plain = gradients(lambda net, x: net(x))
    whole = gradients(lambda net, x: checkpoint(net, x, use_reentrant=use_reentrant))
    parts = gradients(lambda net, x: checkpoint_sequential(net, 3, x, use_reentrant=use_reentrant))
    nested = gradients(
        lambda net, x: checkpoint(
            lambda t: net[3:](checkpoint(net[:3], t, use_reentrant=use_reentrant)),
            x,
            use_reentrant=use_reentrant,
        )
    )
    for found in (whole, parts, nested):
        for a, b in zip(plain, found, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_nothing_is_kept() -> None:
    kept: list[Any] = []

    def part(x: fastnn.Tensor) -> fastnn.Tensor:
        middle = x.exp()
        kept.append(weakref.ref(middle._data))
        return middle * middle

    x = fastnn.ones(1000).requires_grad_()
    y = part(x)
    gc.collect()
    assert kept[0]() is not None
    z = checkpoint(part, x, use_reentrant=False)
    gc.collect()
    assert kept[1]() is None
    z.sum().backward()
    gc.collect()
    assert len(kept) == 3
    assert kept[2]() is None
    del y


def test_grad_and_second_order() -> None:
    x = fastnn.tensor([0.5, 1.5], dtype=fastnn.float64, requires_grad=True)
    w = fastnn.tensor([2.0, 3.0], dtype=fastnn.float64, requires_grad=True)

    def f(x: Any) -> Any:
        return ((x * w).sin() * x).exp()

    def g(x: Any) -> Any:
        return checkpoint(f, x, use_reentrant=False)

    assert fastnn.autograd.gradcheck(g, (x,))
    assert fastnn.autograd.gradgradcheck(g, (x,))
    ours, plain = (fastnn.autograd.grad(h(x).sum(), [x, w]) for h in (g, f))
    for a, b in zip(ours, plain, strict=True):
        assert fastnn.equal(a, b)
    assert w.grad is None


def test_retain_graph_and_second_backward() -> None:
    x = fastnn.ones(2).requires_grad_()
    y = checkpoint(lambda t: t.exp() * t, x, use_reentrant=False).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_several_results_and_keyword_arguments() -> None:
    x = fastnn.ones(2).requires_grad_()

    def part(t: Any, *, scale: float) -> Any:
        a, b = (t * scale).exp().split(1)
        return {"a": a, "rest": [b * b, 3]}

    out = checkpoint(part, x, scale=2.0, use_reentrant=False)
    (out["a"] + out["rest"][0]).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [2 * np.exp(2), 4 * np.exp(4)], rtol=1e-6)


def test_what_is_captured_from_outside() -> None:
    x = fastnn.ones(2).requires_grad_()
    outside = x.exp()
    y = checkpoint(lambda t: (t * outside).sin(), x, use_reentrant=False)
    (y * outside).sum().backward()
    got, x.grad = x.grad, None
    outside = x.exp()
    ((x * outside).sin() * outside).sum().backward()
    assert got is not None
    assert x.grad is not None
    assert fastnn.equal(got, x.grad)


def test_in_place_inside() -> None:
    x = fastnn.rand(4).requires_grad_()

    def part(t: Any) -> Any:
        y = t * 2
        y.mul_(t.detach())
        return (y.relu_() * t).exp()

    checkpoint(part, x, use_reentrant=False).sum().backward()
    got, x.grad = x.grad, None
    part(x).sum().backward()
    assert got is not None
    assert x.grad is not None
    assert fastnn.equal(got, x.grad)


def test_contexts() -> None:
    import contextlib

    seen: list[str] = []

    @contextlib.contextmanager
    def named(name: str) -> Any:
        seen.append(name)
        yield

    x = fastnn.ones(2).requires_grad_()
    y = checkpoint(
        lambda t: t.exp(), x, use_reentrant=False, context_fn=lambda: (named("first"), named("second"))
    )  # fmt: skip
    assert seen == ["first"]
    y.sum().backward()
    assert seen == ["first", "second"]


def test_other_operations_the_second_time() -> None:
    calls: list[int] = []

    def part(t: Any) -> Any:
        calls.append(1)
        return t.exp().sin() if len(calls) == 1 else t.exp().cos()

    x = fastnn.ones(2).requires_grad_()
    with pytest.raises(CheckpointError, match="must do the same each time"):
        checkpoint(part, x, use_reentrant=False).sum().backward()


def test_other_operations_that_save_nothing() -> None:
    calls: list[int] = []

    def part(t: Any) -> Any:
        calls.append(1)
        u = t.exp()
        return u + u if len(calls) == 1 else u - u

    x = fastnn.ones(2).requires_grad_()
    with pytest.raises(CheckpointError, match="SubBackward0 .* when computed again, AddBackward0"):
        checkpoint(part, x, use_reentrant=False).sum().backward()
    calls.clear()
    checkpoint(part, x, use_reentrant=False, determinism_check="none").sum().backward()


def test_graphs_are_freed_without_backward() -> None:
    x = fastnn.ones(2).requires_grad_()
    before = len(engine.recomputations)
    gc.disable()
    try:
        y = checkpoint(lambda t: t.exp().sin() * t, x, use_reentrant=False)
        assert len(engine.recomputations) > before
        del y
        assert len(engine.recomputations) == before
        nested = checkpoint(
            lambda t: checkpoint(lambda u: u.exp(), t, use_reentrant=False) * t,
            x,
            use_reentrant=False,
        )
        nested.sum().backward()
        del nested
        assert len(engine.recomputations) == before
    finally:
        gc.enable()


def test_arguments() -> None:
    x = fastnn.ones(2).requires_grad_()
    with pytest.warns(UserWarning, match="use_reentrant"):
        checkpoint(lambda t: t, x)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: b"):
        checkpoint(lambda t, b: t, x, b=1, use_reentrant=True)
    with pytest.raises(ValueError, match="only supported when use_reentrant=False"):
        checkpoint(lambda t: t, x, use_reentrant=True, context_fn=lambda: (None, None))
    with pytest.raises(ValueError, match="debug=True"):
        checkpoint(lambda t: t, x, use_reentrant=False, debug=True)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(lambda t: t, x, use_reentrant=False, determinism_check="x")
    with pytest.raises(ValueError, match="segments"):
        checkpoint_sequential([abs], 2, x, use_reentrant=False)
    with fastnn.no_grad():
        assert not checkpoint(lambda t: t * 2, x, use_reentrant=False).requires_grad
