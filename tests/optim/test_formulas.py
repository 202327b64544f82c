"""The optimizers against their published formulas, one number at a time, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import optim

State = dict[str, float]
Rule = Callable[[float, float, int, State], float]  # (w, g, t, state) to the next w


def adagrad(w: float, g: float, t: int, s: State) -> float:
    s["sum"] = s.get("sum", 0.2) + g * g
    return w - 0.1 / (1 + (t - 1) * 0.3) * g / (sqrt(s["sum"]) + 1e-10)


def adadelta(w: float, g: float, t: int, s: State) -> float:
    s["v"] = 0.8 * s.get("v", 0) + 0.2 * g * g
    step = sqrt(s.get("u", 0) + 1e-3) / sqrt(s["v"] + 1e-3) * g
    s["u"] = 0.8 * s.get("u", 0) + 0.2 * step * step
    return w - 0.5 * step


def adamax(w: float, g: float, t: int, s: State) -> float:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = max(0.7 * s.get("u", 0), abs(g) + 1e-8)
    return w - 0.1 / (1 - 0.9**t) * s["m"] / s["u"]


def _moments(g: float, s: State) -> None:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.95 * s.get("v", 0) + 0.05 * g * g


def nadam(w: float, g: float, t: int, s: State) -> float:
    _moments(g, s)
    mu, after = (0.9 * (1 - 0.5 * 0.96 ** (k * 0.1)) for k in (t, t + 1))
    s["product"] = s.get("product", 1) * mu
    mean = after * s["m"] / (1 - s["product"] * after) + (1 - mu) * g / (1 - s["product"])
    return w - 0.1 * mean / (sqrt(s["v"] / (1 - 0.95**t)) + 1e-8)


def radam(w: float, g: float, t: int, s: State) -> float:
    _moments(g, s)
    top = 2 / (1 - 0.95) - 1
    rho = top - 2 * t * 0.95**t / (1 - 0.95**t)
    mean = s["m"] / (1 - 0.9**t)
    if rho <= 5:
        return w - 0.1 * mean
    r = sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))
    return w - 0.1 * mean * r * sqrt(1 - 0.95**t) / (sqrt(s["v"]) + 1e-8)


def rmsprop(w: float, g: float, t: int, s: State) -> float:
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g * g
    s["a"] = 0.9 * s.get("a", 0) + 0.1 * g
    s["b"] = 0.5 * s.get("b", 0) + g / (sqrt(s["v"] - s["a"] ** 2) + 1e-3)
    return w - 0.1 * s["b"]


def rprop(w: float, g: float, t: int, s: State) -> float:
    turn = g * s.get("g", 0)
    factor = 1.5 if turn > 0 else 0.4 if turn < 0 else 1
    s["step"] = min(max(s.get("step", 0.1) * factor, 1e-3), 0.3)
    s["g"] = 0 if turn < 0 else g
    return w - s["step"] * float(np.sign(s["g"]))


def asgd(w: float, g: float, t: int, s: State) -> float:
    eta = 0.1 / (1 + 0.05 * 0.1 * (t - 1)) ** 0.6
    w = (1 - 0.05 * eta) * w - eta * g
    s["ax"] = w if t <= 3 else s["ax"] + (w - s["ax"]) / (t - 1 - 2)
    return w


RULES: list[tuple[Rule, str, dict[str, Any]]] = [
    (adagrad, "Adagrad", {"lr_decay": 0.3, "initial_accumulator_value": 0.2}),
    (adadelta, "Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3}),
    (adamax, "Adamax", {"betas": (0.9, 0.7)}),
    (nadam, "NAdam", {"betas": (0.9, 0.95), "momentum_decay": 0.1}),
    (radam, "RAdam", {"betas": (0.9, 0.95)}),
    (rmsprop, "RMSprop", {"alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True}),
    (rprop, "Rprop", {"etas": (0.4, 1.5), "step_sizes": (1e-3, 0.3)}),
    (asgd, "ASGD", {"lambd": 0.05, "alpha": 0.6, "t0": 2}),
]


@pytest.mark.parametrize(("rule", "name", "options"), RULES, ids=[n for _, n, _ in RULES])
@pytest.mark.parametrize("maximize", [False, True])
def test_formula(rule: Rule, name: str, options: dict[str, Any], maximize: bool, computer: str) -> None:  # fmt: skip
    start, decay = [0.3, -1.7, 2.5], 0.0 if name == "Rprop" else 0.1
    w = fastnn.tensor(start, dtype=fastnn.float64, requires_grad=True)
    extra = {"weight_decay": decay} if decay else {}
    optimizer = getattr(optim, name)([w], **{"lr": 0.1, "maximize": maximize, **extra, **options})
    expected, states = list(start), [State() for _ in start]
    sign = -1 if maximize else 1
    for t in range(1, 13):
        optimizer.zero_grad()
        (sign * (w - 1).cosh()).sum().backward()
        optimizer.step()
        for i, value in enumerate(expected):
            g = float(np.sinh(value - 1)) + decay * value
            expected[i] = rule(value, g, t, states[i])
    # NAdam's product of momenta and ASGD's rate are kept in float32, as PyTorch keeps them
    tolerance = 1e-5 if name in ("NAdam", "ASGD") else 1e-12
    np.testing.assert_allclose(w.detach().numpy(), expected, rtol=tolerance, atol=tolerance)
    if name == "ASGD":
        means = [s["ax"] for s in states]
        np.testing.assert_allclose(optimizer.state[w]["ax"].numpy(), means, rtol=1e-5)


def test_adafactor_keeps_rows_and_columns(computer: str) -> None:
    w = fastnn.ones(2, 3, dtype=fastnn.float64, requires_grad=True)
    optimizer = optim.Adafactor([w], lr=0.5)
    g = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    w.grad = fastnn.from_numpy(g.copy())
    optimizer.step()
    row, column = (g * g).mean(1, keepdims=True), (g * g).mean(0, keepdims=True)
    u = g / np.sqrt(row * column / row.mean())
    u *= 0.5 / max(1, np.sqrt((u * u).mean()))  # the parameters' root mean square is 1
    np.testing.assert_allclose(w.detach().numpy(), 1 - u, rtol=1e-13)


def test_muon_steps_along_an_orthogonal_matrix(computer: str) -> None:
    w = fastnn.zeros(4, 2, requires_grad=True)
    rng = np.random.default_rng(0)
    w.grad = fastnn.from_numpy(rng.normal(size=(4, 2)).astype(np.float32))
    optim.Muon([w], lr=1.0, weight_decay=0.0).step()
    # of singular values about 1 (the iteration leaves them between 0.7 and 1.2), times sqrt(4 / 2)
    singular = np.linalg.svd(w.detach().numpy(), compute_uv=False) / sqrt(2)
    assert ((singular > 0.65) & (singular < 1.25)).all()


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_minimizes(search: str | None, computer: str) -> None:
    x = fastnn.tensor([-1.2, 1.0], dtype=fastnn.float64, requires_grad=True)
    lr = 1.0 if search else 0.1
    optimizer = optim.LBFGS([x], lr=lr, max_iter=200, max_eval=400, line_search_fn=search)

    def closure() -> fastnn.Tensor:  # H. Rosenbrock's valley
        optimizer.zero_grad()
        loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        loss.backward()
        return loss

    first = optimizer.step(closure).item()
    assert first == pytest.approx(24.2)
    if search:
        # It stops where the loss changes by less than 1e-9; along the valley its curvature is about 0.4
        np.testing.assert_allclose(x.detach().numpy(), 1, atol=sqrt(2 * 1e-9 / 0.4) * 2)
    else:
        assert closure().item() < first
