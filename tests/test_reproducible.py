"""The same numbers on every backend, and the same bits for any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn


def _model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10),
    )  # fmt: skip


def _train(steps: int, optimizer: str) -> tuple[list[float], list[Any]]:
    """Losses and final weights of a small CNN."""
    fastnn.manual_seed(7)
    model = _model()
    x = fastnn.rand(32, 1, 28, 28)
    y = fastnn.randint(10, (32,))
    make = {
        "sgd": lambda p: fastnn.optim.SGD(p, lr=0.05, momentum=0.9),
        "adam": lambda p: fastnn.optim.Adam(p, lr=1e-3),
    }[optimizer]
    opt = make(model.parameters())
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_bits_do_not_depend_on_threads(optimizer: str, computer: str) -> None:
    if computer == "numpy":
        pytest.skip("the NumPy backend has no threads of its own")
    before = fastnn.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            fastnn.set_num_threads(n)
            assert fastnn.get_num_threads() == n
            results.append(_train(20, optimizer))
    finally:
        fastnn.set_num_threads(before)
    for losses, weights in results[1:]:
        assert losses == results[0][0]
        for a, b in zip(weights, results[0][1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_backends_agree_on_the_first_step(computer: str) -> None:
    with fastnn.backends.use_backend("numpy"):
        expected, _ = _train(1, "sgd")
    got, _ = _train(1, "sgd")
    # float32 sums of up to 400 terms, five layers deep: far below 1e-5 of a loss near 2.3
    assert got[0] == pytest.approx(expected[0], abs=1e-5)


def test_backends_agree_on_random_numbers(computer: str) -> None:
    def draw() -> list[Any]:
        fastnn.manual_seed(123)
        x = fastnn.ones(50, 401)
        return [
            nn.functional.dropout(x, 0.4).numpy(),
            nn.functional.dropout(x.double(), 0.4).numpy(),
            nn.functional.dropout2d(fastnn.ones(5, 7, 2, 2), 0.4).numpy(),
            fastnn.rand(1001).numpy(),
            fastnn.rand(1001, dtype=fastnn.float64).numpy(),
            fastnn.randn(1001).numpy(),
            fastnn.randperm(1001).numpy(),
            fastnn.randint(-5, 5, (1001,)).numpy(),
        ]

    got = draw()
    with fastnn.backends.use_backend("numpy"):
        expected = draw()
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e)


def test_generator_state() -> None:
    g = fastnn.Generator().manual_seed(5)
    fastnn.rand(10, generator=g)
    state = g.get_state()
    a = fastnn.rand(10, generator=g)
    assert fastnn.equal(a, fastnn.rand(10, generator=fastnn.Generator().set_state(state)))
    assert g.initial_seed() == 5
    with pytest.raises(RuntimeError, match="uint8 tensor of 16"):
        g.set_state(fastnn.ones(3))
    fastnn.manual_seed(9)
    state = fastnn.get_rng_state()
    b = fastnn.randn(3)
    fastnn.set_rng_state(state)
    assert fastnn.equal(b, fastnn.randn(3))


def test_distributions() -> None:
    n = 200_000
    u, z = fastnn.rand(n).numpy(), fastnn.randn(n).numpy()
    # standard errors: 1 / sqrt(12 n) = 0.0006 and 1 / sqrt(n) = 0.0022
    assert u.mean() == pytest.approx(0.5, abs=0.003)
    assert 0 <= u.min() < u.max() < 1
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    assert sorted(fastnn.randperm(1000).tolist()) == list(range(1000))
    k = np.bincount(fastnn.randint(6, (60_000,)).numpy())
    assert abs(k - 10_000).max() < 500  # five standard deviations of 91
