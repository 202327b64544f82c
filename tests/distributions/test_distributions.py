"""Distributions by themselves: draws against moments, errors, gradients of draws, exact sums."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import distributions as D

T = fastnn.tensor
COUNT = 20000

CASES: dict[str, Any] = {
    "normal": lambda: D.Normal(0.5, 2.0),
    "laplace": lambda: D.Laplace(0.5, 2.0),
    "gumbel": lambda: D.Gumbel(0.5, 2.0),
    "log_normal": lambda: D.LogNormal(0.0, 0.4),
    "half_normal": lambda: D.HalfNormal(2.0),
    "uniform": lambda: D.Uniform(-1.0, 3.0),
    "exponential": lambda: D.Exponential(0.7),
    "gamma": lambda: D.Gamma(2.5, 1.5),
    "gamma_small": lambda: D.Gamma(0.3, 1.5),
    "inverse_gamma": lambda: D.InverseGamma(6.0, 1.5),
    "chi2": lambda: D.Chi2(4.0),
    "beta": lambda: D.Beta(0.5, 1.5),
    "kumaraswamy": lambda: D.Kumaraswamy(1.5, 2.5),
    "student": lambda: D.StudentT(8.0, 0.5, 2.0),
    "fisher": lambda: D.FisherSnedecor(5.0, 14.0),
    "pareto": lambda: D.Pareto(1.0, 7.0),
    "weibull": lambda: D.Weibull(2.0, 1.5),
    "poisson": lambda: D.Poisson(3.5),
    "geometric": lambda: D.Geometric(0.3),
    "bernoulli": lambda: D.Bernoulli(0.3),
    "binomial": lambda: D.Binomial(10, T(0.3)),
    "binomial_large": lambda: D.Binomial(1000, T(0.8)),
    "negative_binomial": lambda: D.NegativeBinomial(5.0, T(0.4)),
    "dirichlet": lambda: D.Dirichlet(T([0.5, 2.0, 1.5])),
    "one_hot": lambda: D.OneHotCategorical(T([0.5, 2.0, 1.5])),
    "multinomial": lambda: D.Multinomial(6, T([0.5, 2.0, 1.5])),
    "multivariate": lambda: D.MultivariateNormal(T([0.5, -1.0]), T([[2.0, 0.5], [0.5, 1.0]])),
    "mixture": lambda: D.MixtureSameFamily(
        D.Categorical(T([1.0, 3.0])), D.Normal(T([-2.0, 1.0]), T([0.5, 1.0]))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_moments(name: str) -> None:
    """Means and variances of 20000 draws: within 5 standard errors, which a right sampler leaves once in 10**6."""
    fastnn.manual_seed(0)
    d = CASES[name]()
    x = d.sample((COUNT,)).numpy().astype(np.float64)
    mean, variance = d.mean.numpy(), d.variance.numpy()
    assert np.all(np.abs(x.mean(0) - mean) <= 5 * np.sqrt(variance / COUNT))
    squares = (x - mean) ** 2
    assert np.all(np.abs(squares.mean(0) - variance) <= 5 * squares.std(0) / math.sqrt(COUNT))


@pytest.mark.parametrize(
    "name", ["normal", "laplace", "gumbel", "uniform", "exponential", "gamma", "gamma_small"]
)
def test_distribution_function(name: str) -> None:
    """Kolmogorov's distance to the distribution function: above 1.95 / sqrt(n) once in 1000 right samplers."""
    fastnn.manual_seed(1)
    d = CASES[name]()
    x = np.sort(d.sample((COUNT,)).numpy())
    steps = np.arange(1, COUNT + 1) / COUNT
    assert np.abs(d.cdf(fastnn.from_numpy(x)).numpy() - steps).max() < 1.95 / math.sqrt(COUNT)


@pytest.mark.parametrize("name", ["gamma", "beta", "dirichlet", "student"])
def test_draws_are_differentiable(name: str) -> None:
    """The mean of dx / d parameter is the derivative of the mean."""
    fastnn.manual_seed(2)
    a = T([2.5], requires_grad=True)
    d = {
        "gamma": lambda: D.Gamma(a, 1.0),
        "beta": lambda: D.Beta(a, T([1.5])),
        "dirichlet": lambda: D.Dirichlet(fastnn.cat([a, T([1.5])])),
        "student": lambda: D.StudentT(T([8.0]), a, 1.0),
    }[name]()
    x = d.rsample((COUNT,))
    first = x[..., 0].mean()
    first.backward()
    assert a.grad is not None
    expected = {"gamma": 1.0, "student": 1.0}.get(name, 1.5 / 4.0**2)
    # The slopes spread no wider than the draws do: 5 standard errors of those
    spread = float(x.std()) if name != "student" else 0.01
    assert abs(float(a.grad) - expected) < 5 * spread / math.sqrt(COUNT)


def test_categorical_frequencies() -> None:
    fastnn.manual_seed(3)
    d = D.Categorical(T([[1.0, 1.0, 2.0], [0.0, 1.0, 0.0]]))
    x = d.sample((COUNT,)).numpy()
    share = np.stack([(x == k).mean(0) for k in range(3)], -1)
    np.testing.assert_allclose(share, d.probs.numpy(), atol=5 * 0.5 / math.sqrt(COUNT))


def test_multinomial_entropy() -> None:
    p, n = np.array([0.2, 0.5, 0.3]), 4
    total = 0.0
    for counts in itertools.product(range(n + 1), repeat=3):
        if sum(counts) == n:
            ways = math.factorial(n) / math.prod(math.factorial(c) for c in counts)
            q = ways * float(np.prod(p ** np.array(counts)))
            total -= q * math.log(q)
    found = D.Multinomial(n, fastnn.from_numpy(p)).entropy().item()
    assert found == pytest.approx(total, rel=1e-12)


def test_kumaraswamy_mode() -> None:
    d = D.Kumaraswamy(T(1.5), T(2.5))
    grid = fastnn.linspace(0.001, 0.999, 999)
    best = grid[d.log_prob(grid).argmax()]
    assert abs(float(d.mode) - float(best)) <= 0.001


def test_exponential_family_entropy() -> None:
    """By the gradient of the log normalizer, as a user's own family would have it."""

    class Rate(D.ExponentialFamily):
        arg_constraints = {"rate": D.constraints.positive}  # noqa: RUF012
        support = D.constraints.positive

        def __init__(self, rate: Any) -> None:
            self.rate = rate
            super().__init__(rate.shape)

        @property
        def _natural_params(self) -> Any:
            return (-self.rate,)

        def _log_normalizer(self, x: Any) -> Any:
            return -(-x).log()

    rate = T([0.5, 3.0])
    np.testing.assert_allclose(
        Rate(rate).entropy().detach().numpy(), D.Exponential(rate).entropy().numpy(), rtol=1e-6
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda: D.Normal(0.0, -1.0),
        lambda: D.Normal("a", 1.0),
        lambda: D.Bernoulli(),
        lambda: D.Bernoulli(0.5, 0.1),
        lambda: D.Bernoulli(1.5),
        lambda: D.Uniform(1.0, 0.0),
        lambda: D.Categorical(T(0.5)),
        lambda: D.Categorical(T([-1.0, 2.0])),
        lambda: D.Geometric(0.0),
        lambda: D.MultivariateNormal(fastnn.zeros(2)),
        lambda: D.MultivariateNormal(fastnn.zeros(2), T([[1.0, 2.0], [2.0, 1.0]])),
        lambda: D.Independent(D.Normal(0.0, 1.0), 1),
        lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), "exp"),
        lambda: D.ExpTransform(cache_size=2),
        lambda: D.Normal(0.0, 1.0).log_prob(0.5),
        lambda: D.Normal(fastnn.zeros(2), 1.0).log_prob(fastnn.zeros(3)),
        lambda: D.Exponential(1.0).log_prob(T(-1.0)),
        lambda: D.Categorical(T([1.0, 2.0])).log_prob(T(2)),
    ],
)
def test_wrong_arguments(build: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (every case has a message of its own)
        build()


def test_unchecked() -> None:
    assert math.isnan(D.Normal(0.0, -1.0, validate_args=False).log_prob(T(0.0)).item())


@pytest.mark.parametrize(
    "call",
    [
        lambda: D.Poisson(1.0).rsample(),
        lambda: D.Gamma(1.0, 1.0).icdf(T(0.5)),
        lambda: D.Poisson(1.0).entropy(),
        lambda: D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0)),
    ],
)
def test_not_there(call: Any) -> None:
    with pytest.raises(NotImplementedError):
        call()


def test_names_that_are_missing_say_what_to_use() -> None:
    with pytest.raises(AttributeError, match="MultivariateNormal"):
        D.Wishart  # noqa: B018
    with pytest.raises(AttributeError, match="LogNormal"):
        D.Lognormal  # noqa: B018
    with pytest.raises(AttributeError, match="cholesky"):
        fastnn.linalg.choleski  # noqa: B018
    with pytest.raises(AttributeError, match="log_ndtr"):
        fastnn.special.log_ndt  # noqa: B018


def test_register_kl() -> None:
    class Mine(D.Normal):
        pass

    @D.register_kl(Mine, D.Normal)
    def rule(p: Any, q: Any) -> Any:
        return T(7.0)

    normal = D.Normal(0.0, 1.0)
    assert D.kl_divergence(Mine(0.0, 1.0), normal).item() == 7.0
    assert D.kl_divergence(normal, Mine(0.0, 1.0)).item() == 0.0
    with pytest.raises(TypeError):
        D.register_kl(int, Mine)


@pytest.mark.parametrize("table", [D.biject_to, D.transform_to])
@pytest.mark.parametrize(
    "constraint",
    [
        D.constraints.real,
        D.constraints.positive,
        D.constraints.greater_than(2.0),
        D.constraints.less_than(2.0),
        D.constraints.unit_interval,
        D.constraints.interval(-1.0, 3.0),
        D.constraints.simplex,
        D.constraints.real_vector,
    ],
)
def test_transforms_onto_regions(table: Any, constraint: Any) -> None:
    x = T([0.3, -1.0, 0.7])
    transform = table(constraint)
    y = transform(x)
    assert bool(constraint.check(y).all())
    assert bool(constraint.check(transform(transform.inv(y))).all())


def test_binomial() -> None:
    from fastnn.ops.sampling import binomial

    assert binomial(T([5.0, 0.0, 300.0]), T([1.0, 0.5, 0.0])).tolist() == [5.0, 0.0, 0.0]
    with pytest.raises(RuntimeError):
        binomial(T([5.0]), T([1.5]))
    with pytest.raises(RuntimeError):
        binomial(T([5]), T([0.5]))


@pytest.mark.parametrize("dtype", [fastnn.float16, fastnn.bfloat16])
def test_narrow_dtypes(dtype: Any) -> None:
    one = fastnn.ones(2, dtype=dtype)
    for d in (D.Normal(one, one), D.Gamma(one, one), D.Bernoulli(one * 0.5), D.Beta(one, one)):
        x = d.sample((3,))
        assert x.dtype is dtype
        assert d.log_prob(x).dtype is dtype
