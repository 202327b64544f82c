"""What values a parameter or a sample may have: PyTorch's ``torch.distributions.constraints``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import as_array, make
from ..tensor import Tensor

__all__ = [
    "Constraint",
    "MixtureSameFamilyConstraint",
    "boolean",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A region of values.

    Attributes:
        is_discrete: whether it has isolated points only.
        event_dim: how many dims of a value are checked together.
    """

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """Where ``value`` is inside, without the event's dims."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return type(self).__name__.removeprefix("_") + "()"


class _Dependent(Constraint):
    """A region that depends on other parameters; it cannot be checked by itself."""

    def __init__(self, *, is_discrete: bool | None = None, event_dim: int | None = None) -> None:
        if is_discrete is not None:
            self.is_discrete = is_discrete
        if event_dim is not None:
            self.event_dim = event_dim

    def __call__(self, *, is_discrete: bool | None = None, event_dim: int | None = None) -> Any:
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)

    def check(self, value: Tensor) -> Tensor:
        raise ValueError("Cannot determine validity of dependent constraint")


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint cannot be checked by itself."""
    return isinstance(constraint, (_Dependent, dependent_property))


class dependent_property(property):
    """A property that gives a constraint of an instance: ``@constraints.dependent_property(is_discrete=..., event_dim=...)``."""

    def __init__(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        is_discrete: bool | None = None,
        event_dim: int | None = None,
    ) -> None:
        super().__init__(fn)
        self.is_discrete = is_discrete
        self.event_dim = event_dim

    def __call__(self, fn: Callable[..., Any]) -> dependent_property:
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


class _Independent(Constraint):
    """Another constraint, on ``reinterpreted_batch_ndims`` more dims at once."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        inside = self.base_constraint.check(value)
        count = self.reinterpreted_batch_ndims
        if inside.ndim < count:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return make(inside._data.reshape(*inside.shape[: inside.ndim - count], -1).all(-1))

    def __repr__(self) -> str:
        return f"Independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The support of a mixture: that of its components."""

    def __init__(self, base_constraint: Constraint) -> None:
        self.base_constraint = base_constraint
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim

    def check(self, value: Tensor) -> Tensor:
        data = value._data
        place = data.ndim - self.event_dim
        inside = self.base_constraint.check(make(np.expand_dims(data, place)))
        return make(inside._data.all(-1))


class _Boolean(Constraint):
    """0 or 1."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        found: Tensor = (value == 0) | (value == 1)
        return found


class _OneHot(Constraint):
    """Vectors of one 1 and else 0."""

    is_discrete = True
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        d = value._data
        return make(((d == 0) | (d == 1)).all(-1) & (d.sum(-1) == 1))


def _bound(v: Any) -> Any:
    return v.detach() if isinstance(v, Tensor) else v


class _Bounded(Constraint):
    """The base of regions between bounds, which are numbers or tensors."""

    names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        found = ", ".join(f"{n}={getattr(self, n)}" for n in self.names)
        return f"{type(self).__name__.removeprefix('_')}({found})"


class _IntegerInterval(_Bounded):
    """Integers from a lower to an upper bound, both in."""

    is_discrete = True
    names = ("lower_bound", "upper_bound")

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Tensor) -> Tensor:
        whole: Tensor = value % 1 == 0
        found: Tensor = (
            whole & (value >= _bound(self.lower_bound)) & (value <= _bound(self.upper_bound))
        )
        return found


class _IntegerGreaterThan(_Bounded):
    """Integers from a lower bound on."""

    is_discrete = True
    names = ("lower_bound",)

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Tensor) -> Tensor:
        whole: Tensor = value % 1 == 0
        found: Tensor = whole & (value >= _bound(self.lower_bound))
        return found


class _Real(Constraint):
    """Numbers that are not NaN."""

    def check(self, value: Tensor) -> Tensor:
        return make(as_array(value._data == value._data))


class _GreaterThan(_Bounded):
    """Numbers above a bound."""

    names = ("lower_bound",)

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Tensor) -> Tensor:
        found: Tensor = value > _bound(self.lower_bound)
        return found


class _GreaterThanEq(_GreaterThan):
    """Numbers from a bound on."""

    def check(self, value: Tensor) -> Tensor:
        found: Tensor = value >= _bound(self.lower_bound)
        return found


class _LessThan(_Bounded):
    """Numbers below a bound."""

    names = ("upper_bound",)

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        found: Tensor = value < _bound(self.upper_bound)
        return found


class _Interval(_Bounded):
    """Numbers between two bounds, both in."""

    names = ("lower_bound", "upper_bound")

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Tensor) -> Tensor:
        found: Tensor = (value >= _bound(self.lower_bound)) & (value <= _bound(self.upper_bound))
        return found


class _HalfOpenInterval(_Interval):
    """Numbers between two bounds, the upper one out."""

    def check(self, value: Tensor) -> Tensor:
        found: Tensor = (value >= _bound(self.lower_bound)) & (value < _bound(self.upper_bound))
        return found


class _Simplex(Constraint):
    """Vectors of numbers from 0 on that sum to 1 (to 1e-6)."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        d = value._data
        return make((d >= 0).all(-1) & (np.abs(d.sum(-1) - 1) < 1e-6))


class _Multinomial(Constraint):
    """Vectors of counts that sum to at most ``upper_bound``."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        d = value._data
        return make((d >= 0).all(-1) & (d.sum(-1) <= np.asarray(self.upper_bound)))


class _LowerTriangular(Constraint):
    """Lower triangular matrices."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        d = value._data
        return make((np.tril(d) == d).all((-2, -1)))


class _LowerCholesky(Constraint):
    """Lower triangular matrices with a positive diagonal."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        d = value._data
        diagonal = np.diagonal(d, 0, -2, -1)
        return make((np.tril(d) == d).all((-2, -1)) & (diagonal > 0).all(-1))


class _Square(Constraint):
    """Square matrices."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        d = value._data
        return make(np.full_like(d, d.shape[-2] == d.shape[-1], np.bool_, shape=d.shape[:-2]))


class _Symmetric(_Square):
    """Symmetric matrices (to 1e-6)."""

    def check(self, value: Tensor) -> Tensor:
        square_check = super().check(value)
        if not square_check._data.all():
            return square_check
        d = value._data
        return make(np.isclose(d, d.swapaxes(-1, -2), atol=1e-6).all((-2, -1)))


class _PositiveSemidefinite(_Symmetric):
    """Symmetric matrices without negative eigenvalues."""

    def check(self, value: Tensor) -> Tensor:
        symmetric_check = super().check(value)
        if not symmetric_check._data.all():
            return symmetric_check
        return make((np.linalg.eigvalsh(value._data) >= 0).all(-1))


class _PositiveDefinite(_Symmetric):
    """Symmetric matrices of positive eigenvalues."""

    def check(self, value: Tensor) -> Tensor:
        symmetric_check = super().check(value)
        if not symmetric_check._data.all():
            return symmetric_check
        return make((np.linalg.eigvalsh(value._data) > 0).all(-1))


dependent = _Dependent()
independent = _Independent
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
