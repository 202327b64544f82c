"""The multivariate normal distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import fastnn

from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import lazy_property

__all__ = ["MultivariateNormal"]


def squared_distance(scale_tril: Tensor, difference: Tensor) -> Tensor:
    """Mahalanobis' squared distance: the squared length of scale_tril**-1 difference, over broadcast batches."""
    column = difference.unsqueeze(-1)
    solved: Tensor = fastnn.linalg.solve_triangular(scale_tril, column, upper=False)
    return (solved.squeeze(-1) ** 2).sum(-1)


def precision_to_scale_tril(precision: Tensor) -> Tensor:
    """The Cholesky factor of a precision matrix's inverse: the flipped factor of the flipped matrix, inverted."""
    flipped = fastnn.linalg.cholesky(precision.flip((-2, -1)))
    upper = flipped.flip((-2, -1)).mT
    eye = fastnn.eye(precision.shape[-1], dtype=precision.dtype)
    found: Tensor = fastnn.linalg.solve_triangular(upper, eye, upper=False)
    return found


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: (..., n): the mean.
        covariance_matrix: (..., n, n), positive definite.
        precision_matrix: its inverse.
        scale_tril: its Cholesky factor; give one of the three. This one costs least.

    Raises:
        ValueError: no dims, or not one of the three.

    >>> import fastnn
    >>> d = fastnn.distributions.MultivariateNormal(fastnn.zeros(2), fastnn.eye(2))
    >>> d.log_prob(fastnn.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _expands = {
        "loc": 1,
        "covariance_matrix": 2,
        "precision_matrix": 2,
        "scale_tril": 2,
        "_unbroadcasted_scale_tril": 2,
    }

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        named = [(k, v) for k, v in given.items() if v is not None]
        if len(named) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        name, matrix = named[0]
        if matrix.ndim < 2:
            raise ValueError(
                f"{name} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch = fastnn.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        event = loc.shape[-1:]
        self.loc = loc.expand((*batch, *event))
        setattr(self, name, matrix.expand((*batch, *matrix.shape[-2:])))
        super().__init__(batch, event, validate_args=validate_args)
        if scale_tril is not None:
            self._unbroadcasted_scale_tril = scale_tril
        elif covariance_matrix is not None:
            self._unbroadcasted_scale_tril = fastnn.linalg.cholesky(covariance_matrix)
        else:
            assert precision_matrix is not None
            self._unbroadcasted_scale_tril = precision_to_scale_tril(precision_matrix)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance matrix."""
        n = self._event_shape[0]
        return self._unbroadcasted_scale_tril.expand((*self._batch_shape, n, n))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        lower, n = self._unbroadcasted_scale_tril, self._event_shape[0]
        return (lower @ lower.mT).expand((*self._batch_shape, n, n))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        n = self._event_shape[0]
        found: Tensor = fastnn.cholesky_inverse(self._unbroadcasted_scale_tril)
        return found.expand((*self._batch_shape, n, n))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        found = (self._unbroadcasted_scale_tril**2).sum(-1)
        return found.expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = fastnn.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self._unbroadcasted_scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Tensor:
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = squared_distance(self._unbroadcasted_scale_tril, value - self.loc)
        n = self._event_shape[0]
        density: Tensor = -0.5 * (n * math.log(2 * math.pi) + distance) - self._half_log_det()
        return density

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        found = 0.5 * n * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        expanded: Tensor = found.expand(self._batch_shape)
        return expanded
