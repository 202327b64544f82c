"""RMSprop."""

from __future__ import annotations

from typing import Any

from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, data_and_grads, non_negative, zeros_like


class RMSprop(StepCounted):
    """RMSprop: the gradient over the root of the running mean of its square.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        alpha: decay of the running mean.
        eps: added to the denominator.
        weight_decay: the factor of the L2 penalty.
        momentum: decay of the running sum of steps.
        centered: divide by the deviation: the mean square less the squared mean.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    T. Tieleman, G. Hinton, lecture 6.5 of "Neural networks for machine learning", 2012; centered: A. Graves,
    "Generating sequences with recurrent neural networks", 2013, equations 38 to 45.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.RMSprop([w], lr=0.01)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        non_negative("epsilon value", group["eps"])
        non_negative("momentum value", group["momentum"])
        non_negative("weight_decay value", group["weight_decay"])
        non_negative("alpha value", group["alpha"])

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Means and sums of zero."""
        state = {"square_avg": zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = zeros_like(p)
        return state

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``."""
        by_type[type(params[0]._data)].rmsprop_step(
            *data_and_grads(params),
            self.arrays(params, "square_avg"),
            self.arrays(params, "grad_avg") if group["centered"] else None,
            self.arrays(params, "momentum_buffer") if group["momentum"] > 0 else None,
            lr=float(group["lr"]),
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
        )
