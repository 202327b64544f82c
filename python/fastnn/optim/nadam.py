"""NAdam."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import make
from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, check_betas, data_and_grads, non_negative, zeros_like


class NAdam(StepCounted):
    """NAdam: Adam with Nesterov's momentum.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        betas: decay of the running means of gradient and squared gradient.
        eps: added to the denominator.
        weight_decay: the factor of the L2 penalty.
        momentum_decay: how fast the momentum rises to betas[0].
        decoupled_weight_decay: shrink the parameters instead of adding to the gradient, as AdamW.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    T. Dozat, "Incorporating Nesterov momentum into Adam", 2016, algorithm 2.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.NAdam([w], lr=0.05)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9472, 1.9472], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
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
        non_negative("momentum_decay value", group["momentum_decay"])

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Means of zero, and the product of no momenta."""
        return {
            "mu_product": make(np.ones((), np.float32)),
            "exp_avg": zeros_like(p),
            "exp_avg_sq": zeros_like(p),
        }

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        beta1, beta2 = group["betas"]
        mu, mu_next = (
            beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1)
        )
        products = self.arrays(params, "mu_product")
        for product in products:
            product *= product.dtype.type(mu)
        by_type[type(params[0]._data)].nadam_step(
            *data_and_grads(params),
            self.arrays(params, "exp_avg"),
            self.arrays(params, "exp_avg_sq"),
            mu_products=[float(product) for product in products],
            mu=mu,
            mu_next=mu_next,
            step=step,
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )
