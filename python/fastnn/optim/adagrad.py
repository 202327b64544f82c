"""Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import make
from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, data_and_grads, non_negative


class Adagrad(StepCounted):
    """Adagrad: each element's rate falls with the sum of its squared gradients.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        lr_decay: step t goes lr / (1 + (t - 1) * lr_decay).
        weight_decay: the factor of the L2 penalty.
        initial_accumulator_value: where the sums start.
        eps: added to the denominator.
        maximize: ascend.
        foreach, fused: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning", 2011, figure 1.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        non_negative("lr_decay value", group["lr_decay"])
        non_negative("weight_decay value", group["weight_decay"])
        non_negative("initial_accumulator_value value", group["initial_accumulator_value"])
        non_negative("epsilon value", group["eps"])

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; the sums of its parameters start at once, as PyTorch's."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        counter = make(np.zeros((), np.float32))
        for p in group["params"]:
            self.state[p].update(step=counter, **self.new_state(group, p))

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """The sums at their start."""
        return {"sum": make(np.full_like(p._data, group["initial_accumulator_value"]))}

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        by_type[type(params[0]._data)].adagrad_step(
            *data_and_grads(params),
            self.arrays(params, "sum"),
            step=step,
            lr=float(group["lr"]),
            lr_decay=group["lr_decay"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
