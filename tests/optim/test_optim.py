"""Optimizers: their formulas, groups, state, and that all backends and threads agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import optim

CONFIGURATIONS: list[tuple[Any, dict[str, Any]]] = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.SGD, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    (optim.Adam, {"lr": 0.1}),
    (optim.Adam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True, "maximize": True}),
    (optim.AdamW, {"lr": 0.1}),
    (optim.AdamW, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
]
each = pytest.mark.parametrize(("make", "options"), CONFIGURATIONS)


def _reference(name: str, o: dict[str, Any], w: Any, steps: int) -> Any:
    """The published formulas, one step after another, for the loss sum((w - 1)**4)."""
    w = w.copy()
    b = m = v = top = np.zeros_like(w)
    momentum, decay = o.get("momentum", 0), o.get("weight_decay", 0.01 if name == "AdamW" else 0)
    beta1, beta2 = o.get("betas", (0.9, 0.999))
    for t in range(1, steps + 1):
        g = 4 * (w - 1) ** 3
        if o.get("maximize"):
            g = -g
        if name == "AdamW":
            w = w - o["lr"] * decay * w
        else:
            g = g + decay * w
        if name == "SGD":
            b = g if t == 1 else momentum * b + (1 - o.get("dampening", 0)) * g
            w = w - o["lr"] * (g + momentum * b if o.get("nesterov") else b if momentum else g)
        else:
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            top = np.maximum(top, v)
            second = top if o.get("amsgrad") else v
            mhat, vhat = m / (1 - beta1**t), second / (1 - beta2**t)
            w = w - o["lr"] * mhat / (np.sqrt(vhat) + o.get("eps", 1e-8))
    return w


@each
@pytest.mark.parametrize("shape", [(7,), (300, 400)])
def test_trajectory(make: Any, options: dict[str, Any], shape: Any, computer: str) -> None:
    start = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    w = fastnn.tensor(start, requires_grad=True)
    optimizer = make([w], **options)
    for _ in range(5):
        optimizer.zero_grad()
        ((w - 1) ** 4).sum().backward()
        optimizer.step()
    expected = _reference(make.__name__, options, start, 5)
    # about ten rounded operations a step, values below 10
    np.testing.assert_allclose(
        w.detach().numpy(), expected, rtol=0, atol=5 * 10 * 10 * 2.3e-16 * 100
    )


@each
def test_state_round_trip(make: Any, options: dict[str, Any], computer: str) -> None:
    def steps(optimizer: Any, params: list[Any], n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            sum(((p - 1) ** 4).sum() for p in params).backward()  # type: ignore[union-attr]
            optimizer.step()

    first = [fastnn.rand(3).requires_grad_(), fastnn.rand(2, 2).requires_grad_()]
    a = make(first, **options)
    steps(a, first, 3)
    second = [p.detach().clone().requires_grad_() for p in first]
    b = make(second, **options)
    b.load_state_dict(a.state_dict())
    steps(a, first, 2)
    steps(b, second, 2)
    for p, q in zip(first, second, strict=True):
        assert fastnn.equal(p, q)


def test_groups_and_missing_gradients(computer: str) -> None:
    a, b, c = (fastnn.ones(2, requires_grad=True) for _ in range(3))
    optimizer = optim.Adam([{"params": [a, c]}, {"params": b, "lr": 0.5}], lr=0.1)
    (a.sum() + b.sum()).backward()
    optimizer.step()
    np.testing.assert_allclose(a.detach().numpy(), 0.9, atol=1e-6)
    np.testing.assert_allclose(b.detach().numpy(), 0.5, atol=1e-6)
    assert c.tolist() == [1, 1]
    c.sum().backward()  # a latecomer: its own step counter
    optimizer.step()
    assert optimizer.state[c]["step"].item() == 1
    assert optimizer.state[a]["step"].item() == 2
    np.testing.assert_allclose(c.detach().numpy(), 0.9, atol=1e-6)
    text = repr(optimizer)
    assert "Parameter Group 1" in text
    assert "lr: 0.5" in text


def test_closure_and_zero_grad() -> None:
    w = fastnn.ones(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def closure() -> fastnn.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with fastnn.no_grad():
        assert optimizer.step(closure).item() == 1
    assert w.item() == pytest.approx(0.8)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is not None
    assert w.grad.tolist() == [0]


def test_step_is_a_write() -> None:
    w = fastnn.ones(2, requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="in-place"):
        loss.backward()


W = fastnn.ones(1, requires_grad=True)
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: optim.SGD([], lr=1), ValueError, "empty parameter list"),
    (lambda: optim.SGD(W, lr=1), TypeError, "iterable"),
    (lambda: optim.SGD([1], lr=1), TypeError, "can only optimize Tensors"),
    (lambda: optim.SGD([W * 1], lr=1), ValueError, "non-leaf"),
    (lambda: optim.SGD([{"params": [W]}, {"params": [W]}]), ValueError, "more than one"),
    (lambda: optim.SGD([W], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.SGD([W], nesterov=True), ValueError, "Nesterov"),
    (lambda: optim.Adam([W], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0"),
    (lambda: optim.Adam([W], capturable=True), ValueError, "capturable=True is not supported"),
    (lambda: optim.Adam([W]).load_state_dict({"state": {}, "param_groups": []}), ValueError, "number of parameter groups"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
