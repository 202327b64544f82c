"""Adadelta."""

from __future__ import annotations

from typing import Any

from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, data_and_grads, non_negative, zeros_like


class Adadelta(StepCounted):
    """Adadelta: steps in the units of the parameters, from running means of squared gradients and squared steps.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        rho: decay of the running means.
        eps: added under both roots.
        weight_decay: the factor of the L2 penalty.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.Adadelta([w], lr=1.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9968, 1.9968], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "capturable": capturable,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        if not 0.0 <= group["rho"] <= 1.0:
            raise ValueError(f"Invalid rho value: {group['rho']}")
        non_negative("epsilon value", group["eps"])
        non_negative("weight_decay value", group["weight_decay"])

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Running means of zero."""
        return {"square_avg": zeros_like(p), "acc_delta": zeros_like(p)}

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        by_type[type(params[0]._data)].adadelta_step(
            *data_and_grads(params),
            self.arrays(params, "square_avg"),
            self.arrays(params, "acc_delta"),
            lr=float(group["lr"]),
            rho=group["rho"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
