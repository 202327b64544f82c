"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import make
from ..backends import by_type
from ..tensor import Tensor
from .optimizer import Optimizer, check_always_off, non_negative


class Adam(Optimizer):
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
        lr: float = 1e-3,
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
        check_always_off(capturable=capturable, differentiable=differentiable)
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
        for i, beta in enumerate(group["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

    def update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """One step. Parameters that were always updated together share one step counter, and one kernel call."""
        state = self.state
        fresh = None
        together: dict[int, list[Tensor]] = {}
        for p in params:
            s = state[p]
            if not s:
                if fresh is None:
                    fresh = make(np.zeros((), np.float32))
                s["step"] = fresh
                s["exp_avg"] = make(np.zeros_like(p._data))
                s["exp_avg_sq"] = make(np.zeros_like(p._data))
                if group["amsgrad"]:
                    s["max_exp_avg_sq"] = make(np.zeros_like(p._data))
            together.setdefault(id(s["step"]), []).append(p)
        for members in together.values():
            counter = state[members[0]]["step"]
            counter._data += np.float32(1)
            self._step(group, members, int(counter._data))

    def _step(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        states = [self.state[p] for p in params]
        beta1, beta2 = group["betas"]
        by_type[type(params[0]._data)].adam_step(
            [p._data for p in params],
            [p._grad._data for p in params],  # type: ignore[union-attr]
            [s["exp_avg"]._data for s in states],
            [s["exp_avg_sq"]._data for s in states],
            [s["max_exp_avg_sq"]._data for s in states] if group["amsgrad"] else None,
            step=step,
            lr=float(group["lr"]),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from a saved state; equal step counters are joined again."""
        super().load_state_dict(state_dict)
        counters: dict[float, Tensor] = {}
        for s in self.state.values():
            if "step" in s:
                value = float(s["step"])
                s["step"] = counters.setdefault(value, make(np.array(value, np.float32)))


class AdamW(Adam):
    """Adam with decoupled weight decay: the parameters shrink by lr * weight_decay a step.

    Args, Raises: as ``Adam``.

    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
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
