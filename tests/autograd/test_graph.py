"""autograd.graph, gradcheck's options, and the names of older programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import autograd
from fastnn.autograd import graph


def test_multi_grad_hook_waits_for_all_that_are_reached() -> None:
    a, b, c = (fastnn.ones(1, requires_grad=True) for _ in range(3))
    seen: list[Any] = []
    handle = graph.register_multi_grad_hook([a, b, c], seen.append)
    (a * 2 + b * 3).sum().backward()
    assert [None if g is None else g.item() for g in seen[0]] == [2, 3, None]
    c.sum().backward()
    assert [None if g is None else g.item() for g in seen[1]] == [None, None, 1]
    with handle:
        pass
    a.sum().backward()
    assert len(seen) == 2


def test_node_hooks_with_several_results() -> None:
    x = fastnn.arange(4.0).requires_grad_()
    a, b = x.split(2)
    assert a.grad_fn is not None
    seen: list[Any] = []
    a.grad_fn.register_prehook(lambda g: seen.append([t is None for t in g]))
    a.grad_fn.register_hook(lambda gi, go: (gi[0] * 10,))
    (a * 2).sum().backward(create_graph=True)
    assert seen == [[False, True]]
    assert x.grad is not None
    assert x.grad.tolist() == [20, 20, 0, 0]
    a.grad_fn.metadata["note"] = 1
    assert b.grad_fn is not None
    assert b.grad_fn.metadata == {"note": 1}


def test_versions_and_modes() -> None:
    x = fastnn.ones(2, requires_grad=True)
    y = x.exp()
    version = y._version
    graph.increment_version(y)
    assert y._version == version + 1
    with pytest.raises(RuntimeError, match="in-place"):
        y.sum().backward()
    with graph.save_on_cpu(), graph.disable_saved_tensors_hooks("no"):
        x.exp().sum().backward()
    with autograd.set_multithreading_enabled(True):
        pass
    for call in (lambda: graph.saved_tensors_hooks(id, id), graph.allow_mutation_on_saved_tensors):
        with pytest.raises(NotImplementedError, match="is not supported"):
            call()
    with pytest.raises(ValueError, match="pin_memory"):
        graph.save_on_cpu(pin_memory=True)
    assert isinstance(x, autograd.Variable)
    with pytest.raises(ValueError, match="volatile"):
        autograd.Variable(x, volatile=True)


class Wrong(autograd.Function):
    """x**2 whose gradient is 3x."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 3 * ctx.saved_tensors[0] * g


def test_gradcheck_options() -> None:
    x = fastnn.rand(3, 2, dtype=fastnn.float64).requires_grad_()

    def good(t: Any) -> Any:
        return t.sin(), (t * t).sum(1), 3

    assert autograd.gradcheck(good, (x,), fast_mode=True, check_batched_grad=True, check_grad_dtypes=True)  # fmt: skip
    assert autograd.gradgradcheck(lambda t: t.sin() * t, (x,), fast_mode=True)
    assert autograd.gradgradcheck(lambda t: t.sin() * t, (x,), gen_non_contig_grad_outputs=True)
    assert autograd.gradcheck(lambda t: t.t().sin(), (x.detach().t().requires_grad_(),))
    assert autograd.gradcheck(good, (x,), check_backward_ad=False)
    for fast in (False, True):
        with pytest.raises(RuntimeError, match="Jacobian mismatch"):  # fmt: skip
            autograd.gradcheck(Wrong.apply, (x,), fast_mode=fast)
        assert not autograd.gradcheck(Wrong.apply, (x,), fast_mode=fast, raise_exception=False)
    calls: list[int] = []

    class Unsteady(autograd.Function):
        @staticmethod
        def forward(ctx: Any, t: Any) -> Any:
            return t * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            calls.append(1)
            return g * (2 + 1e-7 * len(calls))

    with pytest.raises(RuntimeError, match="not reentrant"):
        autograd.gradcheck(Unsteady.apply, (x,))
    assert autograd.gradcheck(Unsteady.apply, (x,), nondet_tol=1e-6)
    for option in ("check_forward_ad", "check_batched_forward_grad", "masked"):
        with pytest.raises(ValueError, match=f"{option}=True is not supported"):
            autograd.gradcheck(good, (x,), **{option: True})
    with pytest.raises(ValueError, match="check_fwd_over_rev"):
        autograd.gradgradcheck(good, (x,), check_fwd_over_rev=True)
    with pytest.raises(ValueError, match="expanded"):
        autograd.gradcheck(good, (x.detach()[:1].expand(3, 2).requires_grad_(),))
    with pytest.raises(RuntimeError, match="no output requires grad"):
        autograd.gradcheck(lambda t: t.detach(), (x,))


def test_functions_that_are_refused() -> None:
    x = fastnn.ones(2, requires_grad=True)

    class Both(Wrong):
        @staticmethod
        def vjp(ctx: Any, g: Any) -> Any:
            return g

    with pytest.raises(RuntimeError, match="both 'backward' and 'vjp'"):
        Both.apply(x)

    class NoTensor(Wrong):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 3.0

    with pytest.raises(TypeError, match="returned a float as the gradient at index 0"):
        NoTensor.apply(x).sum().backward()

    class Vjp(autograd.Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * 2

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            assert np.array_equal(output.numpy(), 2 * inputs[0].detach().numpy())

        @staticmethod
        def vjp(ctx: Any, g: Any) -> Any:
            return g * 2

    Vjp.apply(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(NotImplementedError, match="forward-mode"):
        Vjp.jvp(None)  # type: ignore[arg-type]
