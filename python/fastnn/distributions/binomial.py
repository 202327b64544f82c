"""The binomial and the negative binomial distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fastnn

from ..nn import functional as F
from ..ops.sampling import binomial, gamma_array
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, either, lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Binomial", "NegativeBinomial"]


class _Counts(Distribution):
    """What both have: a count, and a probability or its logarithmic odds."""

    _expands = {"total_count": 0, "probs": 0, "logits": 0}
    total_count: Tensor

    def _set(self, total_count: Any, probs: Any, logits: Any) -> Any:
        if either(probs, logits):
            self.total_count, self.probs = broadcast_all(total_count, probs)
            self.total_count = self.total_count.to(self.probs.dtype)
            return self.probs.shape
        self.total_count, self.logits = broadcast_all(total_count, logits)
        self.total_count = self.total_count.to(self.logits.dtype)
        return self.logits.shape

    @lazy_property
    def logits(self) -> Tensor:
        """The logarithmic odds of success."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probability of success."""
        return logits_to_probs(self.logits, is_binary=True)


class Binomial(_Counts):
    """The number of successes in ``total_count`` trials.

    Args:
        total_count: the number of trials.
        probs: the probability of success.
        logits: its logarithmic odds; give one of the two.
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(self._set(total_count, probs, logits), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        found = ((self.total_count + 1) * self.probs).floor()
        return fastnn.minimum(found, self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return binomial(self.total_count.expand(shape), self.probs.detach().expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        ways = fastnn.lgamma(n + 1) - fastnn.lgamma(value + 1) - fastnn.lgamma(n - value + 1)
        return ways + value * logits - n * F.softplus(logits)

    def entropy(self) -> Tensor:
        count = int(self.total_count.max().item())
        if int(self.total_count.min().item()) != count:
            raise NotImplementedError("Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(fastnn.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = int(self.total_count.max().item())
        if int(self.total_count.min().item()) != count:
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `enumerate_support`."
            )
        values = fastnn.arange(count + 1, dtype=self.total_count.dtype)
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


class NegativeBinomial(_Counts):
    """The number of successes, of probability ``probs``, before ``total_count`` failures.

    Args:
        total_count: the number of failures; it need not be whole.
        probs: the probability of success, in [0, 1).
        logits: its logarithmic odds; give one of the two.
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(self._set(total_count, probs, logits), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * fastnn.exp(self.logits)

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / fastnn.sigmoid(-self.logits)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with fastnn.no_grad():
            count = self.total_count.expand(shape)
            drawn = fastnn.from_numpy(gamma_array(count.cpu()._data)).to(count.device)
            return fastnn.poisson(drawn * fastnn.exp(self.logits)).to(self.total_count.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        outcome = n * F.logsigmoid(-self.logits) + value * F.logsigmoid(self.logits)
        ways = fastnn.lgamma(n + value) - fastnn.lgamma(value + 1) - fastnn.lgamma(n)
        return outcome + ways.masked_fill(n + value == 0.0, 0.0)
