"""The base of exponential families."""

from __future__ import annotations

from typing import Any

from ..autograd import enable_grad, grad
from ..tensor import Tensor
from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution with density h(x) exp(<natural parameters, t(x)> - log normalizer).

    A subclass may define ``_natural_params`` (a tuple of tensors), ``_log_normalizer`` (a function of them) and
    ``_mean_carrier_measure`` (the mean of log h); ``entropy`` then follows from the log normalizer's gradient (F. Nielsen,
    R. Nock, "Entropies and cross-entropies of exponential families", 2010).
    """

    _mean_carrier_measure: Any = 0.0

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy, from the natural parameters."""
        with enable_grad():
            params = [p.detach().requires_grad_() for p in self._natural_params]
            normalizer = self._log_normalizer(*params)
            slopes = grad([normalizer.sum()], params, create_graph=True)
        result: Tensor = normalizer - self._mean_carrier_measure
        for p, slope in zip(params, slopes, strict=True):
            assert slope is not None
            events = p.ndim - len(self.batch_shape)
            product = p * slope
            result = result - (product.sum(tuple(range(-events, 0))) if events else product)
        return result
