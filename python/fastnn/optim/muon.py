"""Muon: momentum made orthogonal, for the matrices of a model."""

from __future__ import annotations

from math import sqrt
from typing import Any

from ..backends import by_type
from ..tensor import Tensor
from .optimizer import Optimizer, data_and_grads, zeros_like

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Muon: gradient descent whose momentum is replaced by the nearest orthogonal matrix; for 2-d parameters alone.

    Args:
        params: matrices, named matrices or groups.
        lr: the learning rate.
        weight_decay: the parameters shrink by lr * weight_decay a step.
        momentum: decay of the running mean of the gradient.
        nesterov: step along the gradient moved towards the mean.
        ns_coefficients: the coefficients of x, x**3 and x**5 in Newton and Schulz's iteration.
        eps: the least norm that a matrix is divided by.
        ns_steps: the number of iterations, below 100; they are done in bfloat16.
        adjust_lr_fn: how a matrix of A rows and B columns changes the rate: "original" (as None) by
            sqrt(max(1, A / B)), "match_rms_adamw" by 0.2 * sqrt(max(A, B)).

    Raises:
        ValueError: an option out of range, or a parameter that is not a matrix.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.

    >>> import fastnn
    >>> w = fastnn.tensor([[2., 0.], [0., 1.]], requires_grad=True)
    >>> optimizer = fastnn.optim.Muon([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w[0, 0].item() < 2 and w[1, 1].item() < 1
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range and parameters that are no matrices."""
        names = {
            "lr": "Learning rate",
            "momentum": "momentum",
            "weight_decay": "weight decay",
        }
        for key, name in names.items():
            if not group[key] >= 0:
                raise ValueError(f"{name} should be >= 0 but is: {group[key]}")
        if group["adjust_lr_fn"] not in _ADJUSTMENTS:
            raise ValueError(
                f"Adjust learning rate function {group['adjust_lr_fn']} is not supported; it is one of {_ADJUSTMENTS}"
            )
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(
                f"ns_coefficients must be three numbers, got {group['ns_coefficients']}"
            )
        if group["ns_steps"] >= 100:
            raise ValueError(f"ns_steps must be below 100, got {group['ns_steps']}")
        for p in group["params"]:
            if p._data.ndim != 2:
                raise ValueError(
                    f"Muon only supports 2D parameters whereas we found a parameter with size: {p.shape}"
                )

    def update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """One step of ``params``."""
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = zeros_like(p)
        lr = float(group["lr"])
        by_type[type(params[0]._data)].muon_step(
            *data_and_grads(params),
            [self.state[p]["momentum_buffer"]._data for p in params],
            rates=[lr * _adjustment(p._data.shape, group["adjust_lr_fn"]) for p in params],
            lr=lr,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            ns_coefficients=group["ns_coefficients"],
            ns_steps=group["ns_steps"],
            eps=group["eps"],
        )


def _adjustment(shape: tuple[int, ...], kind: str | None) -> float:
    """What the learning rate of a matrix of ``shape`` is multiplied by."""
    rows, columns = shape
    if kind == "match_rms_adamw":
        return 0.2 * sqrt(max(rows, columns))
    return sqrt(max(1.0, rows / columns))
