"""Rprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import make
from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, data_and_grads, non_negative, zeros_like


class Rprop(StepCounted):
    """Rprop: steps by the gradient's sign, longer while it stays and shorter when it turns; for whole batches.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        etas: the factors of a step's length, where the sign turned and where it stayed.
        step_sizes: the least and the greatest length.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    M. Riedmiller, H. Braun, "A direct adaptive method for faster backpropagation learning", 1993.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        minus, plus = group["etas"]
        if not 0.0 < minus < 1.0 < plus:
            raise ValueError(f"Invalid eta values: {minus}, {plus}")

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """No gradient yet, and steps of length lr."""
        return {
            "prev": zeros_like(p),
            "step_size": make(np.full_like(p._data, float(group["lr"]))),
        }

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        minus, plus = group["etas"]
        shortest, longest = group["step_sizes"]
        by_type[type(params[0]._data)].rprop_step(
            *data_and_grads(params),
            self.arrays(params, "prev"),
            self.arrays(params, "step_size"),
            eta_minus=minus,
            eta_plus=plus,
            step_size_min=shortest,
            step_size_max=longest,
            maximize=group["maximize"],
        )
