"""Distributions against PyTorch's: densities, entropies, moments, divergences, supports and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")

# Special functions of either library are good to a few roundings of float64, and their sums cancel a few digits
RTOL = 1e-9

PAIR = {"loc": [0.5, -1.0], "scale": [0.7, 2.0]}
CHANCE = {"probs": [0.2, 0.9]}
ODDS = {"logits": [0.3, -1.2]}
THREE = {"probs": [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]}
SCORES = {"logits": [[0.2, 0.5, -0.3], [0.6, -0.3, 1.1]]}
COVARIANCE = [[2.0, 0.5], [0.5, 1.0]]

# name, parameters, values
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("Normal", PAIR, [[0.1, 2.0], [-3.0, 0.4]]),
    ("Laplace", PAIR, [[0.1, 2.0], [-3.0, 0.4]]),
    ("Cauchy", PAIR, [[0.1, 2.0], [-3.0, 0.4]]),
    ("Gumbel", PAIR, [[0.1, 2.0], [-3.0, 0.4]]),
    ("LogNormal", PAIR, [[0.1, 2.0], [3.0, 0.4]]),
    ("HalfNormal", {"scale": [0.7, 2.0]}, [[0.1, 2.0], [3.0, 0.4]]),
    ("HalfCauchy", {"scale": [0.7, 2.0]}, [[0.1, 2.0], [3.0, 0.4]]),
    ("Uniform", {"low": [0.0, -1.0], "high": [1.0, 3.0]}, [[0.1, 2.0], [0.9, 0.4]]),
    ("Exponential", {"rate": [0.5, 2.0]}, [[0.1, 2.0], [3.0, 0.4]]),
    ("Gamma", {"concentration": [0.5, 3.0], "rate": [1.5, 0.7]}, [[0.1, 2.0], [3.0, 0.4]]),
    ("InverseGamma", {"concentration": [2.5, 3.0], "rate": [1.5, 0.7]}, [[0.1, 2.0], [3.0, 0.4]]),
    ("Chi2", {"df": [1.0, 5.0]}, [[0.1, 2.0], [3.0, 0.4]]),
    ("Beta", {"concentration1": [0.5, 2.0], "concentration0": [1.5, 3.0]}, [[0.1, 0.2], [0.3, 0.9]]),
    ("Kumaraswamy", {"concentration1": [1.5, 2.0], "concentration0": [1.5, 3.0]}, [[0.1, 0.2], [0.3, 0.9]]),
    ("Dirichlet", {"concentration": [[0.5, 2.0, 1.5], [3.0, 1.2, 2.0]]}, [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]),
    ("StudentT", {"df": [3.0, 7.5], **PAIR}, [[0.1, 2.0], [-3.0, 0.4]]),
    ("FisherSnedecor", {"df1": [3.0, 7.5], "df2": [5.0, 6.0]}, [[0.1, 2.0], [3.0, 0.4]]),
    ("Pareto", {"scale": [1.0, 0.5], "alpha": [3.0, 2.5]}, [[1.1, 2.0], [3.0, 0.6]]),
    ("Weibull", {"scale": [1.0, 0.5], "concentration": [3.0, 1.5]}, [[1.1, 2.0], [0.3, 0.6]]),
    ("Poisson", {"rate": [0.5, 4.0]}, [[0.0, 2.0], [3.0, 7.0]]),
    ("Geometric", CHANCE, [[0.0, 2.0], [3.0, 7.0]]),
    ("Geometric", ODDS, [[0.0, 2.0], [3.0, 7.0]]),
    ("Bernoulli", CHANCE, [[0.0, 1.0], [1.0, 0.0]]),
    ("Bernoulli", ODDS, [[0.0, 1.0], [1.0, 0.0]]),
    ("Binomial", {"total_count": 5, **CHANCE}, [[0.0, 5.0], [3.0, 4.0]]),
    ("Binomial", {"total_count": 5, **ODDS}, [[0.0, 5.0], [3.0, 4.0]]),
    ("NegativeBinomial", {"total_count": [2.5, 4.0], **CHANCE}, [[0.0, 5.0], [3.0, 4.0]]),
    ("NegativeBinomial", {"total_count": [2.5, 4.0], **ODDS}, [[0.0, 5.0], [3.0, 4.0]]),
    ("Categorical", THREE, [[0, 2], [1, 1]]),
    ("Categorical", SCORES, [[0, 2], [1, 1]]),
    ("OneHotCategorical", THREE, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("OneHotCategoricalStraightThrough", SCORES, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("Multinomial", {"total_count": 4, **THREE}, [[1.0, 2.0, 1.0], [4.0, 0.0, 0.0]]),
    ("LogisticNormal", {"loc": [[0.5, -1.0]], "scale": [[0.7, 2.0]]}, [[0.2, 0.5, 0.3]]),
    ("RelaxedBernoulli", {"temperature": 0.7, **CHANCE}, [[0.1, 0.2], [0.3, 0.9]]),
    ("RelaxedOneHotCategorical", {"temperature": 0.7, **SCORES}, [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]),
    ("MultivariateNormal", {"loc": [[0.5, -1.0]], "covariance_matrix": COVARIANCE}, [[0.1, 0.2], [0.3, 0.9]]),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "precision_matrix": COVARIANCE}, [[0.1, 0.2], [0.3, 0.9]]),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "scale_tril": [[1.0, 0.0], [0.5, 2.0]]}, [[0.1, 0.2], [0.3, 0.9]]),
]  # fmt: skip
OTHERWISE = {
    (
        "Multinomial",
        "entropy",
    ): "PyTorch rounds a part of it to float32; tests/distributions has the exact sum",
    (
        "Kumaraswamy",
        "mode",
    ): "PyTorch's is NaN; tests/distributions compares with the largest density",
}
IDS = [f"{name}-{'-'.join(parameters)}" for name, parameters, _ in CASES]


def _made(lib: Any, name: str, parameters: dict[str, Any]) -> tuple[Any, list[Any]]:
    given = {}
    for key, value in parameters.items():
        whole = isinstance(value, int)
        given[key] = value if whole else lib.tensor(value, dtype=lib.float64, requires_grad=True)
    leaves = [v for v in given.values() if not isinstance(v, int)]
    return getattr(lib.distributions, name)(**given), leaves


def _value(lib: Any, value: Any) -> Any:
    t = lib.tensor(value)
    return t if t.dtype == lib.int64 else lib.tensor(value, dtype=lib.float64)


def _same(got: Any, expected: Any) -> None:
    expected = expected.detach().numpy()
    got = got.detach().numpy()
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=RTOL, atol=RTOL)


def _compare(ours: Any, theirs: Any, ask: Any) -> None:
    """What ``ask`` computes of both distributions, and its gradients in the parameters."""
    (p, leaves), (q, others) = ours, theirs
    try:
        expected = ask(q)
    except NotImplementedError:
        with pytest.raises(NotImplementedError):
            ask(p)
        return
    got = ask(p)
    _same(got, expected)
    if not expected.requires_grad or not bool(torch.isfinite(expected).all()):
        return
    try:
        wanted = torch.autograd.grad(expected.sum(), others, allow_unused=True)
    except RuntimeError:  # the incomplete gamma function in its first argument
        with pytest.raises(RuntimeError, match="not implemented"):
            fastnn.autograd.grad(got.sum(), leaves, allow_unused=True)
        return
    found = fastnn.autograd.grad(got.sum(), leaves, allow_unused=True)
    for g, e in zip(found, wanted, strict=True):
        if g is None or e is None:
            other = g if e is None else e
            assert other is None or not other.any()
            continue
        _same(g, e)


@pytest.mark.parametrize(("name", "parameters", "value"), CASES, ids=IDS)
@pytest.mark.parametrize(
    "what", ["log_prob", "cdf", "entropy", "mean", "variance", "stddev", "mode"]
)
def test_as_in_pytorch(name: str, parameters: dict[str, Any], value: Any, what: str) -> None:
    if (name, what) in OTHERWISE:
        pytest.skip(OTHERWISE[name, what])
    ours, theirs = (_made(lib, name, parameters) for lib in (fastnn, torch))

    def ask(d: Any) -> Any:
        lib = fastnn if isinstance(d, fastnn.distributions.Distribution) else torch
        if what in ("log_prob", "cdf"):
            return getattr(d, what)(_value(lib, value))
        found = getattr(d, what)
        return found() if what == "entropy" else found

    _compare(ours, theirs, ask)


@pytest.mark.parametrize(("name", "parameters", "value"), CASES, ids=IDS)
def test_form(name: str, parameters: dict[str, Any], value: Any) -> None:
    (p, _), (q, _) = (_made(lib, name, parameters) for lib in (fastnn, torch))
    assert tuple(p.batch_shape) == tuple(q.batch_shape)
    assert tuple(p.event_shape) == tuple(q.event_shape)
    assert p.has_rsample == q.has_rsample
    assert p.has_enumerate_support == q.has_enumerate_support
    assert p.support.event_dim == q.support.event_dim
    assert p.support.is_discrete == q.support.is_discrete
    assert set(p.arg_constraints) == set(q.arg_constraints)
    assert tuple(p.sample((5, 2)).shape) == tuple(q.sample((5, 2)).shape)
    assert str(p.sample().dtype).split(".")[-1] == str(q.sample().dtype).split(".")[-1]
    assert bool(p.support.check(p.sample((7,))).all())
    wide = p.expand((2, *p.batch_shape))
    assert tuple(wide.batch_shape) == (2, *q.batch_shape)
    assert tuple(wide.sample((3,)).shape) == (3, 2, *q.batch_shape, *q.event_shape)
    _same(
        wide.log_prob(_value(fastnn, value)),
        q.expand((2, *q.batch_shape)).log_prob(_value(torch, value)),
    )
    if p.has_enumerate_support:
        _same(p.enumerate_support(), q.enumerate_support())
        _same(p.enumerate_support(False), q.enumerate_support(False))
    if p.has_rsample:
        assert p.rsample((2,)).requires_grad
    assert not p.sample((2,)).requires_grad


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Cauchy", "Gumbel", "LogNormal"])
def test_icdf(name: str) -> None:
    ours, theirs = (_made(lib, name, PAIR) for lib in (fastnn, torch))
    _compare(ours, theirs, lambda d: d.icdf(_value(fastnn if d is ours[0] else torch, [0.2, 0.7])))


KL = [
    ("Normal", PAIR, "Normal", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}),
    ("LogNormal", PAIR, "LogNormal", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}),
    ("Laplace", PAIR, "Laplace", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}),
    ("Laplace", PAIR, "Normal", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}),
    ("Cauchy", PAIR, "Cauchy", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}),
    ("Gumbel", PAIR, "Gumbel", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}),
    ("Gumbel", PAIR, "Normal", {"loc": [0.0, 1.0], "scale": [1.0, 0.5]}),
    ("HalfNormal", {"scale": [0.7, 2.0]}, "HalfNormal", {"scale": [1.0, 0.5]}),
    ("Uniform", {"low": [0.0], "high": [1.0]}, "Uniform", {"low": [-1.0], "high": [3.0]}),
    ("Uniform", {"low": [0.0], "high": [1.0]}, "Normal", PAIR),
    ("Exponential", {"rate": [0.5, 2.0]}, "Exponential", {"rate": [1.5, 0.2]}),
    ("Exponential", {"rate": [0.5, 2.0]}, "Gamma", {"concentration": [0.5, 3.0], "rate": [1.5, 0.7]}),
    ("Exponential", {"rate": [0.5, 2.0]}, "Normal", PAIR),
    ("Gamma", {"concentration": [0.5, 3.0], "rate": [1.5, 0.7]}, "Gamma", {"concentration": [1.5, 2.0], "rate": [0.5, 0.9]}),
    ("Gamma", {"concentration": [0.5, 3.0], "rate": [1.5, 0.7]}, "Exponential", {"rate": [0.5, 2.0]}),
    ("Gamma", {"concentration": [0.5, 3.0], "rate": [1.5, 0.7]}, "Normal", PAIR),
    ("Beta", {"concentration1": [0.5], "concentration0": [1.5]}, "Beta", {"concentration1": [2.0], "concentration0": [3.0]}),
    ("Beta", {"concentration1": [0.5], "concentration0": [1.5]}, "Normal", PAIR),
    ("Dirichlet", {"concentration": [0.5, 2.0, 1.5]}, "Dirichlet", {"concentration": [3.0, 1.2, 2.0]}),
    ("Bernoulli", CHANCE, "Bernoulli", {"probs": [0.4, 0.3]}),
    ("Bernoulli", CHANCE, "Poisson", {"rate": [0.5, 4.0]}),
    ("Binomial", {"total_count": 5, **CHANCE}, "Binomial", {"total_count": 5, "probs": [0.4, 0.3]}),
    ("Geometric", CHANCE, "Geometric", {"probs": [0.4, 0.3]}),
    ("Poisson", {"rate": [0.5, 4.0]}, "Poisson", {"rate": [1.5, 2.0]}),
    ("Pareto", {"scale": [1.0, 0.5], "alpha": [3.0, 2.5]}, "Pareto", {"scale": [0.5, 0.25], "alpha": [2.0, 1.5]}),
    ("Categorical", THREE, "Categorical", SCORES),
    ("OneHotCategorical", THREE, "OneHotCategorical", SCORES),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "covariance_matrix": COVARIANCE},
     "MultivariateNormal", {"loc": [0.0, 1.0], "scale_tril": [[1.0, 0.0], [0.5, 2.0]]}),
]  # fmt: skip


@pytest.mark.parametrize(("p", "first", "q", "second"), KL, ids=[f"{k[0]}-{k[2]}" for k in KL])
def test_kl(p: str, first: Any, q: str, second: Any) -> None:
    made = []
    for lib in (fastnn, torch):
        (a, leaves), (b, more) = _made(lib, p, first), _made(lib, q, second)
        made.append(((lib, a, b), leaves + more))
    _compare(*made, lambda x: x[0].distributions.kl_divergence(x[1], x[2]))


def _mixture(lib: Any) -> tuple[Any, list[Any]]:
    D = lib.distributions
    weights = lib.tensor([[0.3, 0.7], [0.5, 0.5]], dtype=lib.float64, requires_grad=True)
    loc = lib.tensor([[0.0, 1.0], [2.0, -1.0]], dtype=lib.float64, requires_grad=True)
    return D.MixtureSameFamily(D.Categorical(weights), D.Normal(loc, 1.0)), [weights, loc]


def _squashed(lib: Any) -> tuple[Any, list[Any]]:
    D = lib.distributions
    loc = lib.tensor([0.3, -0.2], dtype=lib.float64, requires_grad=True)
    base = D.Independent(D.Normal(loc, lib.tensor([0.5, 1.5], dtype=lib.float64)), 1)
    return D.TransformedDistribution(base, [D.TanhTransform(), D.AffineTransform(1.0, -2.0)]), [loc]


@pytest.mark.parametrize("build", [_mixture, _squashed])
def test_composed(build: Any) -> None:
    ours, theirs = build(fastnn), build(torch)
    value = [0.4, 0.9]

    def ask(d: Any) -> Any:
        return d.log_prob(_value(fastnn if d is ours[0] else torch, value))

    _compare(ours, theirs, ask)
    assert tuple(ours[0].sample((3,)).shape) == tuple(theirs[0].sample((3,)).shape)
    if build is _mixture:
        _compare(build(fastnn), build(torch), lambda d: d.mean)
        _compare(build(fastnn), build(torch), lambda d: d.variance)


TRANSFORMS = {
    "ExpTransform": ((), [0.3, -1.0]),
    "SigmoidTransform": ((), [0.3, -1.0]),
    "TanhTransform": ((), [0.3, -1.0]),
    "SoftplusTransform": ((), [0.3, -1.0]),
    "AffineTransform": ((1.0, -2.0), [0.3, -1.0]),
    "StickBreakingTransform": ((), [0.3, -1.0, 2.0]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    arguments, value = TRANSFORMS[name]
    found = []
    for lib in (fastnn, torch):
        t = getattr(lib.distributions, name)(*arguments)
        x = _value(lib, value)
        y = t(x)
        found.append((y, t.inv(y), t.log_abs_det_jacobian(x, y)))
    for got, expected in zip(*found, strict=True):
        _same(got, expected)


def test_gamma_slopes() -> None:
    """The gradient of a draw in the concentration: PyTorch's is accurate to about 1e-3 in places."""
    a = np.array([0.1, 0.5, 0.9, 1.5, 4.0, 30.0, 200.0])
    x = np.array([0.02, 0.3, 1.4, 1.1, 5.0, 25.0, 210.0])
    from fastnn.ops.sampling import gamma_slope

    expected = torch._standard_gamma_grad(torch.tensor(a), torch.tensor(x)).numpy()
    np.testing.assert_allclose(gamma_slope(a, x), expected, rtol=2e-3)
