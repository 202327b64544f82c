"""Adamax."""

from __future__ import annotations

from typing import Any

from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, check_betas, data_and_grads, non_negative, zeros_like


class Adamax(StepCounted):
    """Adamax: Adam with the largest gradient so far, decaying, in the denominator.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        betas: decay of the running mean and of the largest gradient.
        eps: added to the gradients' absolute values.
        weight_decay: the factor of the L2 penalty.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 2.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        non_negative("epsilon value", group["eps"])
        check_betas(group["betas"])
        non_negative("weight_decay value", group["weight_decay"])

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Mean and maximum of zero."""
        return {"exp_avg": zeros_like(p), "exp_inf": zeros_like(p)}

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        beta1, beta2 = group["betas"]
        by_type[type(params[0]._data)].adamax_step(
            *data_and_grads(params),
            self.arrays(params, "exp_avg"),
            self.arrays(params, "exp_inf"),
            step=step,
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
