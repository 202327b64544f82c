"""Initial values: distributions, structured weights, and arguments that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn.nn import init


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 2, 2), (5, 5)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = init.orthogonal_(fastnn.empty(*shape, dtype=fastnn.float64), gain=2).reshape(shape[0], -1)
    gram = (w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w).numpy() / 4
    np.testing.assert_allclose(gram, np.eye(len(gram)), rtol=0, atol=1e-14)


def test_structured() -> None:
    assert init.eye_(fastnn.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    x = fastnn.randn(1, 4, 5, 5)
    for groups in (1, 2):
        w = init.dirac_(fastnn.empty(4, 4 // groups, 3, 3), groups)
        y = fastnn.nn.functional.conv2d(x, w, padding=1, groups=groups)
        assert fastnn.equal(y, x)
    w = init.sparse_(fastnn.empty(10, 4), 0.35, std=1.0)
    assert (w == 0).sum(0).tolist() == [4] * 4  # ceil(3.5)


def test_spread() -> None:
    fastnn.manual_seed(0)
    w = fastnn.empty(200, 300)
    # The deviation of a sample's deviation is about 1 / sqrt(2 n) = 0.3 %; 2 % is seven times that
    for function, std in (
        (lambda w: init.xavier_normal_(w, 2.0), 2 * (2 / 500) ** 0.5),
        (lambda w: init.xavier_uniform_(w), (2 / 500) ** 0.5),
        (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), (2 / 200) ** 0.5),
        (lambda w: init.kaiming_uniform_(w, a=1.0), (1 / 300) ** 0.5),
    ):
        assert abs(function(w).std().item() / std - 1) < 0.02
    assert init.trunc_normal_(w, std=1.0, a=-1.0, b=0.5).max() <= 0.5
    assert init.calculate_gain("leaky_relu", 0.0) == 2**0.5


def test_older_names_warn() -> None:
    with pytest.warns(FutureWarning, match="in favor of `nn.init.xavier_uniform_`"):
        init.xavier_uniform(fastnn.empty(2, 2))


def test_errors() -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        init.eye_(fastnn.empty(2))
    with pytest.raises(ValueError, match="3, 4, or 5"):
        init.dirac_(fastnn.empty(2, 2))
    with pytest.raises(ValueError, match="divisible by groups"):
        init.dirac_(fastnn.empty(3, 2, 1), 2)
    with pytest.raises(ValueError, match="2 or more"):
        init.orthogonal_(fastnn.empty(2))
    with pytest.raises(ValueError, match="2 dimensions"):
        init.sparse_(fastnn.empty(2, 2, 2), 0.5)
    with pytest.raises(ValueError, match="fewer than 2"):
        init.xavier_normal_(fastnn.empty(2))
    with pytest.raises(ValueError, match="not a valid number"):
        init.calculate_gain("leaky_relu", True)
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_uniform_(fastnn.empty(0, 2))
