"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import make
from ..backends import by_type
from ..tensor import Tensor
from .optimizer import StepCounted, data_and_grads, non_negative, zeros_like


class ASGD(StepCounted):
    """Gradient descent that also keeps the mean of its parameters, in ``state[p]["ax"]``.

    Args:
        params: tensors, named tensors or groups.
        lr: the learning rate.
        lambd: decay of the parameters.
        alpha: the rate of step t is lr / (1 + lambd * lr * t)**alpha.
        t0: the step from which on the mean is taken.
        weight_decay: the factor of the L2 penalty.
        maximize: ascend.
        foreach: accepted for PyTorch's scripts; the step is always fused.

    Raises:
        ValueError: an option out of range.

    B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    >>> import fastnn
    >>> w = fastnn.tensor([1., 2.], requires_grad=True)
    >>> optimizer = fastnn.optim.ASGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000, 1.6000], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
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
        non_negative("weight_decay value", group["weight_decay"])

    def new_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """The first rate, and a mean that is still the parameter itself."""
        return {
            "eta": make(np.array(float(group["lr"]), np.float32)),
            "mu": make(np.ones((), np.float32)),
            "ax": zeros_like(p),
        }

    def update_together(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Step number ``step`` of ``params``; then the rate and the mean's weight of the next."""
        etas, mus = self.arrays(params, "eta"), self.arrays(params, "mu")
        lr, lambd = float(group["lr"]), group["lambd"]
        by_type[type(params[0]._data)].asgd_step(
            *data_and_grads(params),
            self.arrays(params, "ax"),
            etas=[float(eta) for eta in etas],
            mus=[float(mu) for mu in mus],
            lambd=lambd,
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
        for eta, mu in zip(etas, mus, strict=True):
            eta[...] = lr / (1 + lambd * lr * step) ** group["alpha"]
            mu[...] = 1 / max(1, step - group["t0"])
