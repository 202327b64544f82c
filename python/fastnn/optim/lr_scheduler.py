"""Learning rates that change from step to step, by PyTorch's names.

Most schedulers compute the next rate from the present one, so that several may act on one optimizer; ``step(epoch)``
jumps by the closed form. Those that follow a cycle or watch a metric are in ``_lr_cycles`` and ``_lr_plateau``.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .._help import getattr_of
from ..tensor import Tensor
from .optimizer import Optimizer

__all__ = [
    "LRScheduler",
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "SequentialLR",
    "CosineAnnealingLR",
    "ChainedScheduler",
    "ReduceLROnPlateau",
    "CyclicLR",
    "CosineAnnealingWarmRestarts",
    "OneCycleLR",
    "PolynomialLR",
]


def set_option(group: dict[str, Any], name: str, value: Any) -> None:
    """Set an option of a group; a tensor's value is replaced in place."""
    held = group[name]
    if isinstance(held, Tensor):
        held.fill_(value)
    else:
        group[name] = value


def number(value: Any) -> Any:
    """A learning rate as a Python number."""
    return value.item() if isinstance(value, Tensor) else value


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError for what is not an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def per_group(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """``value`` for each group: a list of as many, or one for all."""
    n = len(optimizer.param_groups)
    if isinstance(value, (list, tuple)):
        if len(value) != n:
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
                f"param_groups has {n}."
            )
        return list(value)
    return [value] * n


_EPOCH_WARNING = "The epoch parameter in `scheduler.step()` is deprecated: call `scheduler.step()`, which goes to the next epoch"
_ORDER_WARNING = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`: call them in the opposite order, "
    "`optimizer.step()` first, or the first value of the learning rate schedule is skipped"
)


class LRScheduler:
    """The base of schedulers: define ``get_lr``, the rates at ``last_epoch``, one a group.

    Args:
        optimizer: whose groups' "lr" is set.
        last_epoch: the epoch to go on from; -1 starts, and notes each group's rate as its "initial_lr".

    Raises:
        TypeError: ``optimizer`` is none.
        KeyError: going on, but a group has no "initial_lr".

    >>> import fastnn
    >>> optimizer = fastnn.optim.SGD([fastnn.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fastnn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", number(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming a scheduler with "
                    f"last_epoch={last_epoch}: load the optimizer's state first, or start with last_epoch=-1"
                )
        self.base_lrs: list[Any] = [number(g["initial_lr"]) for g in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The rate of each group at ``last_epoch``; every scheduler defines its own."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr")

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch (or to ``epoch``, deprecated) and set its rates."""
        if self._step_count == 1 and not self._is_initial and not self.optimizer._opt_called:
            warnings.warn(_ORDER_WARNING, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(_EPOCH_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                values = getattr(self, "_get_closed_form_lr", self.get_lr)()
        finally:
            self._get_lr_called_within_step = False
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            set_option(group, "lr", number(value))
        self._last_lr: list[Any] = [number(g["lr"]) for g in self.optimizer.param_groups]

    def _present(self) -> list[Any]:
        """The groups' rates now; for ``get_lr``, which is not for others to call."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )
        return [number(g["lr"]) for g in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.__dict__.update(state_dict)


_LRScheduler = LRScheduler  # the name in older programs


class _OfFunctions(LRScheduler):
    """A scheduler with a function for each group. Functions are not saved; objects that can be called are."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        n = len(optimizer.param_groups)
        if isinstance(lr_lambda, (list, tuple)):
            if len(lr_lambda) != n:
                raise ValueError(f"Expected {n} lr_lambdas, but got {len(lr_lambda)}")
            self.lr_lambdas: list[Callable[[int], Any]] = list(lr_lambda)
        else:
            self.lr_lambdas = [lr_lambda] * n
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and plain functions (None in their place)."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            None if not hasattr(f, "__dict__") or hasattr(f, "__code__") else dict(f.__dict__)
            for f in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state, with the functions that there are."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                function.__dict__.update(saved)


class LambdaLR(_OfFunctions):
    """The initial rate times a function of the epoch.

    Args:
        lr_lambda: the function, or a list with one a group.
    """

    def get_lr(self) -> list[Any]:
        """base_lr * lr_lambda(epoch)."""
        self._present()
        return [
            base * f(self.last_epoch)
            for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)
        ]


class MultiplicativeLR(_OfFunctions):
    """The rate times a function of the epoch, each epoch.

    Args:
        lr_lambda: the function, or a list with one a group.
    """

    def get_lr(self) -> list[Any]:
        """lr * lr_lambda(epoch)."""
        now = self._present()
        if self._is_initial:
            return now
        return [lr * f(self.last_epoch) for lr, f in zip(now, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """The rate times ``gamma`` every ``step_size`` epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """lr, times gamma where step_size divides the epoch."""
        now = self._present()
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return now
        return [lr * self.gamma for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """The rate times ``gamma`` at each epoch of ``milestones``."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """lr, times gamma for each time that the epoch is a milestone."""
        now = self._present()
        if self.last_epoch not in self.milestones:
            return now
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """The rate times ``factor`` for the first ``total_iters`` epochs.

    Raises:
        ValueError: a factor outside [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1.0:
            raise ValueError(
                f"Constant multiplicative factor expected to be between 0 and 1, got {factor}"
            )
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """lr * factor at first, lr / factor at the end."""
        now = self._present()
        if self.last_epoch == 0:
            return [lr * self.factor for lr in now]
        if self.last_epoch != self.total_iters:
            return now
        return [lr * (1.0 / self.factor) for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        factor = self.factor if self.last_epoch < self.total_iters else 1.0
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The rate times a factor that goes from ``start_factor`` to ``end_factor`` in ``total_iters`` epochs.

    Raises:
        ValueError: a factor outside [0, 1], or a start of 0.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1.0:
            raise ValueError(
                "Starting multiplicative factor expected to be greater than 0 and less or equal to 1, "
                f"got {start_factor}"
            )
        if not 0 <= end_factor <= 1.0:
            raise ValueError(
                f"Ending multiplicative factor expected to be between 0 and 1, got {end_factor}"
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """lr times the quotient of this epoch's factor and the last one's."""
        now = self._present()
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in now]
        if self._is_initial or self.last_epoch > self.total_iters:
            return now
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [lr * (1.0 + rise / before) for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * done
        return [base * factor for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """The rate times ``gamma`` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """lr * gamma."""
        now = self._present()
        return now if self._is_initial else [lr * self.gamma for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """The rate times (1 - epoch / total_iters)**power, 0 from ``total_iters`` on."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """lr times the quotient of this epoch's factor and the last one's."""
        now = self._present()
        if self._is_initial or self.last_epoch == 0 or self.last_epoch > self.total_iters:
            return now
        left, before = (1.0 - e / self.total_iters for e in (self.last_epoch, self.last_epoch - 1))
        return [lr * (left / before) ** self.power for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        done = min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * (1.0 - done) ** self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """The rate along half a cosine, from the initial one to ``eta_min`` in ``T_max`` epochs (and back).

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """lr's distance from eta_min times the quotient of this epoch's height and the last one's."""
        now = self._present()
        if self.last_epoch == 0 or self._is_initial:
            return now
        low, bases = self.eta_min, self.base_lrs
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the bottom
            up = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - low) * up for lr, base in zip(now, bases, strict=True)]
        height, before = (
            1 + math.cos(math.pi * e / self.T_max) for e in (self.last_epoch, self.last_epoch - 1)
        )
        return [height / before * (lr - low) + low for lr in now]

    def _get_closed_form_lr(self) -> list[Any]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


# -- of several schedulers -----------------------------------------------------------------------------


def _check_same_optimizer(
    kind: str, schedulers: Sequence[Any], optimizer: Any, refuse_metric: bool
) -> None:
    for i, scheduler in enumerate(schedulers):
        if not hasattr(scheduler, "optimizer"):
            raise TypeError(
                f"{kind} at index {i} should have `optimizer` as its attribute, got {type(scheduler).__name__}"
            )
        if refuse_metric and isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                f"{kind} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be "
                f"specified when calling `step`, but got one at index {i}"
            )
        if scheduler.optimizer is not optimizer:
            raise ValueError(
                f"{kind} expects all schedulers to belong to the same optimizer, but scheduler "
                f"{type(scheduler).__name__} at index {i} has another"
            )


class _OfSchedulers(LRScheduler):
    """A scheduler made of others, whose states it saves."""

    _schedulers: list[Any]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the states of the schedulers."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, saved in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(saved)


class SequentialLR(_OfSchedulers):
    """One scheduler after another: the next one takes over, from its start, at each of ``milestones``.

    Raises:
        ValueError: not one milestone less than schedulers, or schedulers of several optimizers or of a metric.

    >>> import fastnn
    >>> from fastnn.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR
    >>> optimizer = fastnn.optim.SGD([fastnn.ones(1, requires_grad=True)], lr=1.0)
    >>> warm, fall = ConstantLR(optimizer, 0.5, 2), ExponentialLR(optimizer, 0.9)
    >>> scheduler, rates = SequentialLR(optimizer, [warm, fall], [2]), []
    >>> for _ in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [0.5, 0.5, 1.0, 0.9]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
        _check_same_optimizer("SequentialLR", schedulers, optimizer, refuse_metric=True)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of "
                f"milestone points, but got {len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        self._schedulers = list(schedulers)
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            set_option(group, "lr", number(group["initial_lr"]))
        for scheduler in self._schedulers:  # undo their first steps
            _rewind(scheduler)
        self._schedulers[0]._initial_step()
        self._last_lr = self._schedulers[0].get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = 0 if epoch is None else epoch
        scheduler = self._schedulers[bisect_right(self._milestones, self.last_epoch)]
        scheduler._update_lr(epoch)
        self._last_lr = scheduler.get_last_lr()

    def _initial_step(self) -> None:
        self._schedulers[0]._initial_step()


def _rewind(scheduler: Any) -> None:
    for inner in getattr(scheduler, "_schedulers", ()):
        _rewind(inner)
    if hasattr(scheduler, "last_epoch"):
        scheduler.last_epoch -= 1


class ChainedScheduler(_OfSchedulers):
    """Several schedulers, each stepped every epoch.

    Raises:
        ValueError: no schedulers, or of several optimizers.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError(
                "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler."
            )
        optimizer = optimizer or schedulers[0].optimizer
        _check_same_optimizer("ChainedScheduler", schedulers, optimizer, refuse_metric=True)
        self._schedulers = list(schedulers)
        self.optimizer = optimizer
        self._last_lr = [number(g["lr"]) for g in optimizer.param_groups]

    def step(self) -> None:  # type: ignore[override]
        """Step each scheduler."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [number(g["lr"]) for g in self.optimizer.param_groups]

    def _update_lr(self, epoch: int | None = None) -> None:
        for scheduler in self._schedulers:
            scheduler._update_lr(epoch)
        self._last_lr = [number(g["lr"]) for g in self.optimizer.param_groups]

    def _initial_step(self) -> None:
        for scheduler in self._schedulers:
            scheduler._initial_step()


from ._lr_cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR  # noqa: E402
from ._lr_plateau import ReduceLROnPlateau  # noqa: E402

if not TYPE_CHECKING:  # a checker must see that a name is missing
    __getattr__ = getattr_of(__name__)
