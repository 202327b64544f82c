"""The backward pass: accumulation, hooks, modes, retained graphs, and what it must refuse."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import autograd
from fastnn.autograd import engine


def leaf(*values: float) -> fastnn.Tensor:
    return fastnn.tensor([float(v) for v in values], requires_grad=True)


def test_gradients_accumulate() -> None:
    x = leaf(1, 2)
    for times in (1, 2, 3):
        (x * x).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [2 * times, 4 * times]


def test_diamond_runs_each_node_once() -> None:
    calls = []

    class Count(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: fastnn.Tensor) -> fastnn.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: fastnn.Tensor) -> fastnn.Tensor:
            calls.append(g.tolist())
            return g * 2

    x = leaf(1)
    y = Count.apply(x)
    (y * 3 + y * 4 + y).sum().backward()
    assert calls == [[8.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [16]


def test_a_gradient_that_nothing_else_holds_is_not_copied(monkeypatch: Any) -> None:
    shared: dict[int, bool] = {}
    accumulate = engine._accumulate

    def watched(leaf: Any, g: Any, is_shared: bool, create_graph: bool) -> None:
        shared[id(leaf)] = is_shared
        accumulate(leaf, g, is_shared, create_graph)

    monkeypatch.setattr(engine, "_accumulate", watched)
    x, y, z = (fastnn.ones(3, 3, requires_grad=True) for _ in range(3))
    (x @ y + z).sum().backward()
    assert shared == {id(x): False, id(y): False, id(z): False}
    u, v = (fastnn.ones(3, 3, requires_grad=True) for _ in range(2))
    shared.clear()
    (u + v).sum().backward()  # both get the same array
    assert sorted(shared.values()) == [False, True]


def test_grad_is_not_shared() -> None:
    a, b = leaf(1), leaf(2)
    (a + b).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    a.grad.zero_()
    assert b.grad.tolist() == [1]
    seed = fastnn.ones(1)
    c = leaf(3)
    (c * 1).backward(seed)
    c.clone().backward(seed)
    assert seed.tolist() == [1]
    assert c.grad is not None
    assert c.grad.tolist() == [2]


def test_second_backward_needs_retain_graph() -> None:
    x = leaf(2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="second time.*retain_graph"):
        y.backward()


def test_backward_arguments() -> None:
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match=r"shape \(3,\).*\(2,\)"):
        (x * 2).backward(fastnn.ones(3))
    with pytest.raises(TypeError, match="Tensor or None"):
        (x * 2).backward([1, 2])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="does not require grad"):
        fastnn.ones(1).backward()
    y = leaf(5)
    (x.sum() * y).sum().backward(inputs=[y])
    assert x.grad is None
    assert y.grad is not None
    assert y.grad.tolist() == [3]


def test_autograd_grad() -> None:
    x, y, z = leaf(1, 2), leaf(3, 4), leaf(5)
    gx, gy = autograd.grad((x * y).sum(), [x, y])
    assert gx.tolist() == [3, 4]
    assert gy.tolist() == [1, 2]
    assert x.grad is None
    with pytest.raises(RuntimeError, match="not have been used"):
        autograd.grad((x * y).sum(), z)
    assert autograd.grad((x * y).sum(), z, allow_unused=True) == (None,)
    (gz,) = autograd.grad((x * y).sum(), z, allow_unused=True, materialize_grads=True)
    assert gz.tolist() == [0]
    middle = x * 3
    (gm,) = autograd.grad((middle * y).sum(), middle)
    assert gm.tolist() == [3, 4]


def test_higher_order() -> None:
    x = fastnn.tensor(2.0, dtype=fastnn.float64, requires_grad=True)
    y = x**4
    for expected in (32.0, 48.0, 48.0, 24.0):
        (y,) = autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected)
    x = leaf(3)
    (x * x * x).sum().backward(create_graph=True)
    assert x.grad is not None
    (second,) = autograd.grad(x.grad.sum(), x)
    assert second.tolist() == [18]


def test_hooks_on_leaf_and_result() -> None:
    x = leaf(1, 2)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    y = x * 2
    y.register_hook(lambda g: g + 1)
    (y * 3 + y).sum().backward()
    assert seen == [[10, 10]]
    assert x.grad is not None
    assert x.grad.tolist() == [100, 100]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]
    after = []
    x.register_post_accumulate_grad_hook(lambda p: after.append(p.grad.tolist()))
    (x * 2).sum().backward()
    assert after == [[4, 4]]


def test_retain_grad() -> None:
    x = leaf(1, 2)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    assert y.retains_grad
    assert y.grad is not None
    assert y.grad.tolist() == [4, 8]


def test_modes() -> None:
    x = leaf(1)
    with fastnn.no_grad():
        assert not fastnn.is_grad_enabled()
        assert not (x * 2).requires_grad
        with fastnn.enable_grad():
            assert (x * 2).requires_grad
    with fastnn.inference_mode():
        assert fastnn.is_inference_mode_enabled()
        assert not (x * 2).requires_grad
    with fastnn.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert fastnn.is_grad_enabled()
    fastnn.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        fastnn.set_grad_enabled(True)

    @fastnn.no_grad()
    def double(t: fastnn.Tensor, deep: bool) -> fastnn.Tensor:
        return double(t, False) if deep else t * 2

    assert not double(x, True).requires_grad
    assert fastnn.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), fastnn.no_grad():
        raise ZeroDivisionError
    assert fastnn.is_grad_enabled()
    other: list[bool] = []
    with fastnn.no_grad():
        thread = threading.Thread(target=lambda: other.append(fastnn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert other == [True]


def test_graph_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        x = leaf(1, 2)
        y = (x.exp() * x).relu().sigmoid().sum()
        node = weakref.ref(y.grad_fn)
        assert node() is not None
        del y
        assert node() is None
    finally:
        gc.enable()


def test_deep_graph() -> None:
    x = leaf(1)
    y = x
    for _ in range(20_000):
        y = y + 1
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1]
    del y


def test_unused_output_of_split() -> None:
    x = fastnn.arange(6.0).requires_grad_()
    a, _, c = x.split(2)
    (a * 2 + c * 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2, 0, 0, 3, 3]


def test_backward_in_threads() -> None:
    x = leaf(1, 2)
    grads: list[Any] = []

    def work() -> None:
        for _ in range(50):
            (g,) = autograd.grad(((x * x + x).relu() * x).sum(), x)
            grads.append(g.tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(grads) == 200
    assert all(g == [5, 16] for g in grads)


def test_gradcheck_finds_errors() -> None:
    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: fastnn.Tensor) -> fastnn.Tensor:
            return x * x

        @staticmethod
        def backward(ctx: Any, g: fastnn.Tensor) -> fastnn.Tensor:
            return g * 3

    x = fastnn.rand(3, dtype=fastnn.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        autograd.gradcheck(Wrong.apply, (x,))
    assert not autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(ValueError, match="at least one input"):
        autograd.gradcheck(lambda t: t, (fastnn.ones(1),))


def test_numpy_integer_gradient_of_wrong_dtype_is_cast() -> None:
    x = leaf(1, 2)
    (x * 2).backward(fastnn.tensor([1, 2]))
    assert x.grad is not None
    assert x.grad.dtype is fastnn.float32
    assert x.grad.tolist() == [2, 4]
    assert np.asarray(x.grad).dtype == np.float32


class Returns(fastnn.autograd.Function):
    """The identity of two inputs, whose gradients are what ``gradients`` makes."""

    gradients: Any = None

    @staticmethod
    def forward(ctx: Any, a: Any, b: Any) -> Any:
        return a + b

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return Returns.gradients(g)


def test_leaf_gradients_have_memory_of_their_own() -> None:
    """``grad`` is written in place: what others hold is copied, and nothing else is."""
    held: dict[str, Any] = {}

    def fresh(g: Any) -> Any:  # two arrays that only their views hold
        arrays = np.full((2, 3), 2.0, np.float32), np.full((6, 1), 3.0, np.float32)
        held["addresses"] = [a.ctypes.data for a in arrays]
        return tuple(fastnn.from_numpy(a.reshape(6)) for a in arrays)

    def same(g: Any) -> Any:  # two views of one array
        array = np.full((2, 3), 2.0, np.float32)
        return tuple(fastnn.from_numpy(array.reshape(6)) for _ in "ab")

    def kept(g: Any) -> Any:  # the array is held elsewhere
        held["array"] = np.full((2, 3), 2.0, np.float32)
        return fastnn.from_numpy(held["array"].reshape(6)), None

    def buffer(g: Any) -> Any:  # the array's own memory is another object's
        held["bytes"] = bytearray(24)
        array = np.frombuffer(held["bytes"], np.float32).reshape(2, 3)
        return fastnn.from_numpy(array.reshape(6)), None

    def part(g: Any) -> Any:
        return fastnn.from_numpy(np.full(600, 2.0, np.float32)[:6]), None

    def reversed_(g: Any) -> Any:
        return fastnn.from_numpy(np.arange(6, dtype=np.float32)[::-1]), None

    def gradients(function: Any) -> list[Any]:
        Returns.gradients = staticmethod(function)
        leaves = [fastnn.zeros(6, requires_grad=True) for _ in "ab"]
        Returns.apply(*leaves).sum().backward()
        return [None if x.grad is None else x.grad.numpy() for x in leaves]

    a, b = gradients(fresh)
    assert [a.ctypes.data, b.ctypes.data] == held["addresses"]
    a, b = gradients(same)
    assert not np.shares_memory(a, b)
    a, _ = gradients(kept)
    assert not np.shares_memory(a, held["array"])
    a, _ = gradients(buffer)
    assert not np.shares_memory(a, np.frombuffer(held["bytes"], np.float32))
    a, _ = gradients(part)
    assert a.base is None
    a, _ = gradients(reversed_)
    assert a.flags.c_contiguous
    assert a.tolist() == [5, 4, 3, 2, 1, 0]

    x, g = fastnn.zeros(2, 3, requires_grad=True), fastnn.ones(6)
    x.reshape(6).backward(g)
    assert x.grad is not None
    assert not np.shares_memory(x.grad.numpy(), g.numpy())
