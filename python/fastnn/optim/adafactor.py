"""Adafactor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import make
from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, data_and_grads, zeros_like


class Adafactor(StepCounted):
    """Adafactor: Adam's second moment in a row and a column a matrix, and steps relative to the parameters.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        beta2_decay: step t has 1 - t**beta2_decay as decay of the second moment.
        eps: least root mean square of a gradient (None: the dtype's epsilon) and of a parameter.
        d: the greatest root mean square of a step, in units of its rate.
        weight_decay: shrinks the parameters by lr * weight_decay a step.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.Adafactor([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8419, 1.8419], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        eps1, eps2 = group["eps"]
        checks = (
            ("Learning rate", group["lr"] >= 0, ">= 0", group["lr"]),
            ("beta2_decay", group["beta2_decay"] <= 0, "<= 0", group["beta2_decay"]),
            ("epsilon1", eps1 is None or eps1 >= 0, ">= 0", eps1),
            ("epsilon2", eps2 >= 0, ">= 0", eps2),
            ("Clipping threshold d", group["d"] >= 1, ">= 1", group["d"]),
            ("weight_decay", group["weight_decay"] >= 0, ">= 0", group["weight_decay"]),
        )
        for name, holds, wanted, value in checks:
            if not holds:
                raise ValueError(f"{name} should be {wanted} but is: {value}")

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Second moments of zero."""
        if p._data.ndim < 2:
            return {"variance": zeros_like(p)}
        shape, dtype = p._data.shape, p._data.dtype
        return {
            "row_var": make(np.zeros((*shape[:-1], 1), dtype, like=p._data)),
            "col_var": make(np.zeros((*shape[:-2], 1, shape[-1]), dtype, like=p._data)),
        }

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        states = [self.state[p] for p in params]
        eps1, eps2 = group["eps"]
        by_type[type(params[0]._data)].adafactor_step(
            *data_and_grads(params),
            [s["row_var"]._data if "row_var" in s else None for s in states],
            [s["col_var"]._data if "col_var" in s else None for s in states],
            [s["variance"]._data if "variance" in s else None for s in states],
            step=step,
            lr=float(group["lr"]),
            beta2_decay=group["beta2_decay"],
            eps1=eps1,
            eps2=eps2,
            d=group["d"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
