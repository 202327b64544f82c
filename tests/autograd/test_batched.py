"""Batches of gradients through one backward pass: the same as one pass after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn
from fastnn.autograd.functional import hessian, jacobian

A = fastnn.linspace(0.2, 1.4, 6, dtype=fastnn.float64).reshape(2, 3)
B = fastnn.linspace(-1.0, 1.0, 12, dtype=fastnn.float64).reshape(3, 4)
ROW = fastnn.tensor([0.5, -2.0, 1.5], dtype=fastnn.float64)
IMAGE = fastnn.linspace(-1.0, 1.0, 32, dtype=fastnn.float64).reshape(1, 2, 4, 4)
KERNEL = fastnn.linspace(-0.5, 0.5, 36, dtype=fastnn.float64).reshape(2, 2, 3, 3)

FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "arithmetic": (lambda a, r: (a + r) * a - r / a, (A, ROW)),
    "scalars": (lambda a: 2 * a**2 + a.exp() - a.log() + 1 / a, (A,)),
    "matmul": (lambda a, b: a @ b, (A, B)),
    "matmul_vector": (lambda a, r: a @ r, (A, ROW)),
    "linear": (lambda a, b, r: F.linear(a, b.t(), fastnn.ones(4, dtype=a.dtype) * r[0]), (A, B, ROW)),
    "linear_relu": (lambda a, b: F.linear(a, b.t(), None, "relu"), (A, B)),
    "reductions": (lambda a: a.sum(0) + a.mean(1, keepdim=True).sum() + a.mean(), (A,)),
    "views": (lambda a: a.t().reshape(6).view(3, 2).unsqueeze(0).expand(2, 3, 2).contiguous(), (A,)),
    "activations": (lambda a: (a - 0.8).relu() + a.tanh() * a.sigmoid(), (A,)),
    "softmax": (lambda a: F.softmax(a, 1) + F.log_softmax(a, 0), (A,)),
    "clamp_cast": (lambda a: a.clamp(0.3, 1.1).float().double(), (A,)),
    "split": (lambda a: a.split(1)[1].sum() * a.unbind(1)[2], (A,)),
    "amax": (lambda a: a.amax(1) * a.max(0)[0].sum(), (A,)),
    "conv": (lambda x, k: F.conv2d(x, k, padding=1).relu(), (IMAGE, KERNEL)),
    "several": (lambda a, r: (a * r, (a.sum() * r).sin()), (A, ROW)),
    "unused": (lambda a, r: a * 2, (A, ROW)),
    "composed": (lambda a: fastnn.erf(a).cumsum(1).logsumexp(0), (A,)),
}  # fmt: skip


def _flat(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [t for v in value for t in _flat(v)]
    return [value]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobian(name: str, computer: str) -> None:
    function, inputs = FUNCTIONS[name]
    expected = _flat(jacobian(function, inputs))
    got = _flat(jacobian(function, inputs, vectorize=True))
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        assert g.dtype == e.dtype
        # Sums of up to 32 products of numbers up to 5, in another order
        np.testing.assert_allclose(g.numpy(), e.numpy(), rtol=0, atol=32 * 25 * 2.3e-16)


def test_hessian(computer: str) -> None:
    def energy(x: Any) -> Any:
        return (x @ B).tanh().square().sum() + x.prod()

    expected, got = hessian(energy, A), hessian(energy, A, vectorize=True)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=0, atol=32 * 25 * 2.3e-16)


def test_is_grads_batched_runs_each_node_once(computer: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    out = model(A)
    grads = fastnn.randn(5, 2, 2, dtype=fastnn.float64)
    parameters = list(model.parameters())
    rows = [fastnn.autograd.grad(out, parameters, g, retain_graph=True) for g in grads]
    calls = []
    kind = type(out.grad_fn)
    single = kind.backward
    kind.backward = lambda node, g: calls.append(g.shape) or single(node, g)  # type: ignore[method-assign, func-returns-value]
    try:
        batch = fastnn.autograd.grad(out, parameters, grads, is_grads_batched=True)
    finally:
        kind.backward = single  # type: ignore[method-assign]
    assert calls == []
    for i, b in enumerate(batch):
        expected = np.stack([r[i].numpy() for r in rows])
        np.testing.assert_allclose(b.numpy(), expected, rtol=0, atol=32 * 25 * 2.3e-16)


def test_hooks_see_one_gradient_at_a_time() -> None:
    x = A.clone().requires_grad_()
    seen = []
    x.register_hook(lambda g: seen.append(tuple(g.shape)) or g * 2)
    middle = x * 3
    grads = fastnn.ones(4, 2, 3, dtype=fastnn.float64)
    (found,) = fastnn.autograd.grad(middle, x, grads, retain_graph=True, is_grads_batched=True)
    assert seen == [(2, 3)] * 4
    assert (found == 6).all()
    handle = middle.register_hook(lambda g: seen.append(tuple(g.shape)) or g * 2)
    (found,) = fastnn.autograd.grad(middle, x, grads, retain_graph=True, is_grads_batched=True)
    assert seen == [(2, 3)] * 12
    assert (found == 12).all()
    handle.remove()


def test_errors() -> None:
    x = A.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="first dimension of each grad_output"):
        fastnn.autograd.grad(x * 2, x, A, is_grads_batched=True)
    y = ROW.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="not have been used"):
        fastnn.autograd.grad(x * 2, [x, y], A.unsqueeze(0), is_grads_batched=True)
    found = fastnn.autograd.grad(
        x * 2, [x, y], A.unsqueeze(0), is_grads_batched=True, materialize_grads=True
    )
    assert tuple(found[1].shape) == (1, 3)
