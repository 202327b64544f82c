"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import make
from ..backends import by_type
from ..tensor import Tensor
from .optimizer import Optimizer, non_negative


class SGD(Optimizer):
    """Gradient descent with momentum, all parameters in one kernel call.

    Args:
        params: tensors or groups.
        lr: the learning rate.
        momentum, dampening: buf = momentum * buf + (1 - dampening) * grad.
        weight_decay: the factor of the L2 penalty.
        nesterov: step along grad + momentum * buf (Y. Nesterov, 1983).
        maximize: ascend.
        foreach, fused: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000, 1.6000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        non_negative("momentum value", group["momentum"])
        non_negative("weight_decay value", group["weight_decay"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """One step; parameters that meet their first gradient start their buffers with it."""
        if not group["momentum"]:
            self._step(group, params, None, False)
            return
        fresh = [p for p in params if self.state[p].get("momentum_buffer") is None]
        for p in fresh:
            self.state[p]["momentum_buffer"] = make(np.empty_like(p._data))
        if fresh and len(fresh) < len(params):
            new = {id(p) for p in fresh}
            self._step(group, [p for p in params if id(p) not in new], "momentum_buffer", False)
            self._step(group, fresh, "momentum_buffer", True)
        else:
            self._step(group, params, "momentum_buffer", bool(fresh))

    def _step(
        self, group: dict[str, Any], params: list[Tensor], buffer: str | None, first: bool
    ) -> None:
        state = self.state
        by_type[type(params[0]._data)].sgd_step(
            [p._data for p in params],
            [p._grad._data for p in params],  # type: ignore[union-attr]
            None if buffer is None else [state[p][buffer]._data for p in params],
            lr=float(group["lr"]),
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=float(group["weight_decay"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first=first,
        )
