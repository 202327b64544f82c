"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, check_betas, data_and_grads, non_negative, zeros_like


class Adam(StepCounted):
    """Adam, all parameters in one kernel call.

    Args:
        params: tensors or groups.
        lr: the learning rate.
        betas: decay of the running means of gradient and squared gradient.
        eps: added to the denominator.
        weight_decay: the factor of the L2 penalty.
        amsgrad: divide by the largest mean square so far (S. Reddi et al., 2018).
        maximize: ascend.
        decoupled_weight_decay: shrink the parameters instead of adding to the gradient, as AdamW.
        foreach, fused: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        non_negative("epsilon value", group["eps"])
        non_negative("weight_decay value", group["weight_decay"])
        check_betas(group["betas"])

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Means of zero."""
        state = {"exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like(p)
        return state

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        beta1, beta2 = (float(beta) for beta in group["betas"])
        by_type[type(params[0]._data)].adam_step(
            *data_and_grads(params),
            self.arrays(params, "exp_avg"),
            self.arrays(params, "exp_avg_sq"),
            self.arrays(params, "max_exp_avg_sq") if group["amsgrad"] else None,
            step=step,
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: the parameters shrink by lr * weight_decay a step.

    Args, Raises: as ``Adam``.

    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
