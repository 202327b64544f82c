"""The multinomial distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fastnn

from .._core import Size
from ..nn import functional as F
from ..tensor import Tensor
from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """How often each of n categories came in ``total_count`` draws.

    Args:
        total_count: the number of draws, an int.
        probs: (..., n), not negative; made to sum to 1.
        logits: (..., n), logarithms of such; give one of the two.

    Raises:
        NotImplementedError: a ``total_count`` that is no number.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._categorical = self._categorical.expand(batch_shape)
        return new

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def probs(self) -> Tensor:
        """Normalized probabilities."""
        found: Tensor = self._categorical.probs
        return found

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        found: Tensor = self._categorical.logits
        return found

    @property
    def param_shape(self) -> Any:
        """The parameter's shape."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs) * self.total_count

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = Size(sample_shape)
        index = self._categorical.sample(Size((self.total_count, *shape)))
        return F.one_hot(index, self._event_shape[0]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = fastnn.broadcast_tensors(self.logits, value)
        # 0 times a logarithm of 0 is 0
        logits = logits.masked_fill((value == 0) & (logits == -float("inf")), 0.0)
        ways = fastnn.lgamma(value.sum(-1) + 1) - fastnn.lgamma(value + 1).sum(-1)
        return ways + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        n = fastnn.tensor(self.total_count, dtype=self.probs.dtype)
        counts = Binomial(self.total_count, probs=self.probs)
        support = counts.enumerate_support(expand=False)[1:]
        weights = fastnn.exp(counts.log_prob(support))
        last = (weights * fastnn.lgamma(support + 1)).sum((0, -1))
        return n * self._categorical.entropy() - fastnn.lgamma(n + 1) + last
