"""RAdam."""

from __future__ import annotations

from typing import Any

from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, check_betas, data_and_grads, non_negative, zeros_like


class RAdam(StepCounted):
    """RAdam: Adam that waits, by plain momentum, until its second moment can be trusted.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        betas: decay of the running means of gradient and squared gradient.
        eps: added to the denominator.
        weight_decay: the factor of the L2 penalty.
        decoupled_weight_decay: shrink the parameters instead of adding to the gradient, as AdamW.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    L. Liu et al., "On the variance of the adaptive learning rate and beyond", 2020, algorithm 2.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000, 1.6000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        non_negative("epsilon value", group["eps"])
        check_betas(group["betas"])
        non_negative("weight_decay value", group["weight_decay"])

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Means of zero."""
        return {"exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        beta1, beta2 = group["betas"]
        by_type[type(params[0]._data)].radam_step(
            *data_and_grads(params),
            self.arrays(params, "exp_avg"),
            self.arrays(params, "exp_avg_sq"),
            step=step,
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )
