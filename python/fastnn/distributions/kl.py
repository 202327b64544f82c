"""The Kullback-Leibler divergence, by pairs of types."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import fastnn

from ..tensor import Tensor
from .bernoulli import Bernoulli
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .dirichlet import Beta, Dirichlet
from .distribution import Distribution
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .multivariate_normal import MultivariateNormal
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .poisson import Poisson
from .powers import Pareto
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import euler_constant, finite_sum

__all__ = ["kl_divergence", "register_kl"]

Rule = Callable[[Any, Any], Tensor]
_REGISTRY: dict[tuple[type, type], Rule] = {}
_FOUND: dict[tuple[type, type], Rule | None] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Register a function of (p, q) for these types and their subclasses, as a decorator.

    Raises:
        TypeError: not subclasses of ``Distribution``.
    """
    for t in (type_p, type_q):
        if not (isinstance(t, type) and issubclass(t, Distribution)):
            raise TypeError(f"Expected a Distribution subclass but got {t}")

    def decorator(function: Rule) -> Rule:
        _REGISTRY[type_p, type_q] = function
        _FOUND.clear()
        return function

    return decorator


def _distance(types: tuple[type, type], p: type, q: type) -> int:
    return p.__mro__.index(types[0]) + q.__mro__.index(types[1])


def _find(p: type, q: type) -> Rule | None:
    """The rule of the nearest registered pair of base classes."""
    matches = [t for t in _REGISTRY if issubclass(p, t[0]) and issubclass(q, t[1])]
    if not matches:
        return None
    return _REGISTRY[min(matches, key=lambda t: _distance(t, p, q))]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The Kullback-Leibler divergence of ``p`` from ``q``: the mean under p of log p - log q.

    Raises:
        NotImplementedError: there is no rule for these types; add one by ``register_kl``.

    >>> import fastnn
    >>> D = fastnn.distributions
    >>> D.kl_divergence(D.Normal(1.0, 1.0), D.Normal(0.0, 1.0))
    tensor(0.5000)
    """
    key = type(p), type(q)
    if key not in _FOUND:
        _FOUND[key] = _find(*key)
    rule = _FOUND[key]
    if rule is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {key[0].__name__} and q type {key[1].__name__}"
        )
    return rule(p, q)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    a, b = p.probs, q.probs
    softplus = fastnn.nn.functional.softplus
    first = a * (softplus(-q.logits) - softplus(-p.logits))
    first = first.masked_fill(b == 0, math.inf).masked_fill(a == 0, 0.0)
    second = (1 - a) * (softplus(q.logits) - softplus(p.logits))
    second = second.masked_fill(b == 1, math.inf).masked_fill(a == 1, 0.0)
    return first + second


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    found = p.total_count * (
        p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    )
    return found.masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    t = p.probs * (p.logits - q.logits)
    t = t.masked_fill(q.probs.expand(t.shape) == 0, math.inf)
    return t.masked_fill(p.probs.expand(t.shape) == 0, 0.0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    # F. Chyzak, F. Nielsen, "A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions", 2019
    first = (p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2
    return first.log() - (4 * p.scale * q.scale).log()


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    first = fastnn.lgamma(total) - fastnn.lgamma(b.sum(-1))
    second = (fastnn.lgamma(a) - fastnn.lgamma(b)).sum(-1)
    slope = fastnn.digamma(a) - fastnn.digamma(total).unsqueeze(-1)
    return first - second + ((a - b) * slope).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    first = b * (p.rate / q.rate).log()
    second = fastnn.lgamma(b) - fastnn.lgamma(a)
    third = (a - b) * fastnn.digamma(a)
    return first + second + third + (q.rate - p.rate) * (a / p.rate)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio = q.rate / p.rate
    b = q.concentration
    return -b * ratio.log() + ratio + fastnn.lgamma(b) + b * euler_constant - (1 + euler_constant)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio = p.scale / q.scale
    moved = (p.loc - q.loc) / q.scale
    return (
        -ratio.log()
        - (1 + euler_constant)
        + moved
        + ratio * euler_constant
        + (fastnn.lgamma(ratio + 1) - moved).exp()
    )


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio = p.scale / q.scale
    apart = (p.loc - q.loc).abs()
    return -ratio.log() + apart / q.scale + ratio * (-apart / p.scale).exp() - 1


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be computed"
        )
    a, b = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    scaled = fastnn.linalg.solve_triangular(b, a, upper=False)
    moved = fastnn.linalg.solve_triangular(b, (q.loc - p.loc).unsqueeze(-1), upper=False)
    squares = (scaled**2).sum((-2, -1)) + (moved**2).sum((-2, -1))
    found: Tensor = q._half_log_det() - p._half_log_det() + 0.5 * (squares - p.event_shape[0])
    return found


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    moved = ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + moved - 1 - ratio.log())


@register_kl(Laplace, Normal)
def _laplace_normal(p: Laplace, q: Normal) -> Tensor:
    variance = q.scale**2
    ratio = p.scale**2 / variance
    moved = (p.loc - q.loc) ** 2 / variance
    return -0.5 * (2 * ratio / math.pi).log() + ratio + 0.5 * moved - 1


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    width = p.high - p.low
    first = (math.sqrt(2 * math.pi) * q.scale / width).log()
    second = width**2 / 12
    third = ((p.high + p.low - 2 * q.loc) / 2) ** 2
    return first + 0.5 * (second + third) / q.scale**2


@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Beta, Normal)
@register_kl(Gumbel, Normal)
def _moments_normal(p: Any, q: Normal) -> Tensor:
    """A normal q takes no more of p than its entropy, mean and variance."""
    variance = q.scale**2
    apart = p.variance + (p.mean - q.loc) ** 2
    found: Tensor = 0.5 * (2 * math.pi * variance).log() + 0.5 * apart / variance - p.entropy()
    return found


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = p.scale / q.scale
    share = q.alpha / p.alpha
    found = q.alpha * ratio.log() - share.log() + share - 1
    return found.masked_fill(p.scale < q.scale, math.inf)


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return fastnn.xlogy(p.rate, p.rate) - fastnn.xlogy(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return found.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            "KL of Independents that take different numbers of batch dims is not implemented"
        )
    return finite_sum(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL of differently transformed distributions is not implemented")
    return kl_divergence(p.base_dist, q.base_dist)
