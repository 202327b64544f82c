"""Averages of a model's weights over training, and the learning rate that goes with them.

P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .._core import make
from .._device import prototype
from ..autograd.grad_mode import no_grad
from ..nn.module import Module
from ..tensor import Tensor
from .lr_scheduler import LRScheduler, number, per_group
from .optimizer import Optimizer

__all__ = [
    "AveragedModel",
    "SWALR",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Any]:
    """The function decay * average + (1 - decay) * parameter, for ``AveragedModel``'s avg_fn.

    Raises:
        ValueError: a decay outside [0, 1].
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(average: Tensor, param: Tensor, num_averaged: Any) -> Tensor:
        return decay * average + (1 - decay) * param

    return ema_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., Any]:
    """``get_ema_avg_fn`` on lists and in place, for ``AveragedModel``'s multi_avg_fn.

    Raises:
        ValueError: a decay outside [0, 1].
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(averages: Sequence[Tensor], params: Sequence[Tensor], num_averaged: Any) -> None:
        for average, param in zip(averages, params, strict=True):
            if average.is_floating_point():
                average.copy_(average + (1 - decay) * (param.detach() - average))
            else:
                average.copy_((decay * average + (1 - decay) * param).to(average.dtype))

    return ema_update


def get_swa_avg_fn() -> Callable[..., Any]:
    """The equal mean of all parameters so far, for ``AveragedModel``'s avg_fn."""

    @no_grad()
    def swa_update(average: Tensor, param: Tensor, num_averaged: Any) -> Tensor:
        step: Tensor = (param - average) / (number(num_averaged) + 1)
        return average + step

    return swa_update


def get_swa_multi_avg_fn() -> Callable[..., Any]:
    """``get_swa_avg_fn`` on lists and in place, for ``AveragedModel``'s multi_avg_fn."""

    @no_grad()
    def swa_update(averages: Sequence[Tensor], params: Sequence[Tensor], num_averaged: Any) -> None:
        n = number(num_averaged) + 1
        for average, param in zip(averages, params, strict=True):
            average.copy_((average + (param.detach() - average) / n).to(average.dtype))

    return swa_update


class AveragedModel(Module):
    """A copy of ``model`` whose parameters are averages of the model's at each ``update_parameters``.

    Args:
        model: the model that is trained.
        device: where the copy is: "cpu".
        avg_fn: ``avg_fn(average, parameter, num_averaged)`` returns the new average (default: the equal mean).
        multi_avg_fn: the same on lists, in place.
        use_buffers: average the buffers too, instead of copying them.

    >>> import fastnn
    >>> model = fastnn.nn.Linear(1, 1, bias=False)
    >>> averaged = fastnn.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 3.0):
    ...     _ = fastnn.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    2.0
    """

    n_averaged: Tensor
    module: Module

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[..., Any] | None = None,
        multi_avg_fn: Callable[..., Any] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            prototype(device, "AveragedModel")  # a model without parameters would not notice
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", make(np.zeros((), np.int64)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's output."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters that ``model`` has now into the average."""
        own: Iterable[Tensor] = self.module.parameters()
        given: Iterable[Tensor] = model.parameters()
        if self.use_buffers:
            own = itertools.chain(own, self.module.buffers())
            given = itertools.chain(given, model.buffers())
        averages = [a.detach() for a in own]
        params = [p.detach() for p in given]
        with no_grad():
            if self.n_averaged.item() == 0:
                for a, p in zip(averages, params, strict=True):
                    a.copy_(p)
            elif self.avg_fn is not None:
                for a, p in zip(averages, params, strict=True):
                    a.copy_(self.avg_fn(a, p, self.n_averaged))
            else:
                together = self.multi_avg_fn or get_swa_multi_avg_fn()
                together(averages, params, self.n_averaged)
            if not self.use_buffers:
                pairs = zip(self.module.buffers(), model.buffers(), strict=True)
                for a, p in pairs:
                    a.detach().copy_(p.detach())
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute anew the running mean and variance of all batch normalizations of ``model`` from the data of ``loader``.

    Args:
        loader: batches, or lists whose first item is the batch.
        model: the model, for example an ``AveragedModel``.
        device: where the batches are put: "cpu".
    """
    momenta: dict[Any, Any] = {}
    for module in model.modules():
        if hasattr(module, "running_mean") and hasattr(module, "momentum"):
            if module.running_mean is None:
                continue
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None  # the mean over all batches
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """The rate from where it is to ``swa_lr`` in ``anneal_epochs`` epochs, and constant from there.

    Args:
        optimizer: whose groups' "lr" is set.
        swa_lr: the last rate, for all groups or a list with one a group.
        anneal_epochs: how long the way is.
        anneal_strategy: "cos" or "linear".
        last_epoch: the epoch to go on from.

    Raises:
        ValueError: an unknown strategy, or a negative number of epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = per_group(optimizer, "swa_lr", swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _way(self, epoch: int) -> float:
        """The part of the way to swa_lr done by ``epoch``."""
        t = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        """The rate where it started, seen from where it is, moved on to this epoch's part of the way."""
        now = self._present()
        epoch = self._step_count - 1
        if self.anneal_epochs == 0:
            epoch = max(1, epoch)
        before, way = self._way(epoch - 1), self._way(epoch)
        rates = []
        for group, lr in zip(self.optimizer.param_groups, now, strict=True):
            last = group["swa_lr"]
            start = last if before == 1 else (lr - before * last) / (1 - before)
            rates.append(last * way + start * (1 - way))
        return rates
