"""Mixtures of distributions of one family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fastnn

from ..autograd.grad_mode import no_grad
from ..nn import functional as F
from ..tensor import Tensor
from . import constraints
from .categorical import Categorical
from .distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A draw of a component that a ``Categorical`` chooses.

    Args:
        mixture_distribution: the choice, of batch shape (..., or none) over k components.
        component_distribution: the components, in the last batch dim, of size k.

    Raises:
        ValueError: not such distributions, or shapes that do not fit.

    >>> import fastnn
    >>> D = fastnn.distributions
    >>> two = D.Normal(fastnn.tensor([-1.0, 1.0]), fastnn.ones(2))
    >>> D.MixtureSameFamily(D.Categorical(fastnn.ones(2)), two).mean
    tensor(0.)
    """

    arg_constraints: Any = {}
    has_rsample = False

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                "The Mixture distribution needs to be an instance of torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution need to be an instance of torch.distributions.Distribution"
            )
        batch = component_distribution.batch_shape
        mixed = mixture_distribution.batch_shape
        for a, b in zip(reversed(mixed), reversed(batch[:-1]), strict=False):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixed}) is not compatible with "
                    f"`component_distribution.batch_shape` ({batch})"
                )
        count = mixture_distribution._num_events
        if batch[-1] != count:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({batch[-1]})"
            )
        self._num_component = count
        event = component_distribution.event_shape
        self._event_ndims = len(event)
        super().__init__(batch[:-1], event, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        grown = (*batch_shape, self._num_component)
        new._component_distribution = self._component_distribution.expand(grown)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        return new

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The choice of a component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    def _weights(self) -> Tensor:
        probs: Tensor = self._mixture_distribution.probs
        return probs.reshape((*probs.shape, *(1,) * self._event_ndims))

    def _sum(self, x: Tensor) -> Tensor:
        return (self._weights() * x).sum(-1 - self._event_ndims)

    @property
    def mean(self) -> Tensor:
        return self._sum(self._component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        centre = self.mean.unsqueeze(-1 - self._event_ndims)
        apart = (self._component_distribution.mean - centre) ** 2
        return self._sum(self._component_distribution.variance) + self._sum(apart)

    def cdf(self, value: Tensor) -> Tensor:
        found = self._component_distribution.cdf(self._pad(value))
        return (found * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        each = self._component_distribution.log_prob(self._pad(value))
        weights = F.log_softmax(self._mixture_distribution.logits, dim=-1)
        return fastnn.logsumexp(each + weights, -1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            place = len(sample_shape) + len(self._batch_shape)
            index = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            index = index.reshape((*index.shape, *(1,) * (self._event_ndims + 1)))
            index = index.expand((*index.shape[: place + 1], *self._event_shape))
            return drawn.gather(place, index).squeeze(place)

    def _pad(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - self._event_ndims)

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily({self._mixture_distribution!r}, {self._component_distribution!r})"
        )
