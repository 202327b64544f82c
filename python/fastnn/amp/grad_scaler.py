"""GradScaler: the loss multiplied, so that narrow gradients do not underflow, and gradients divided again."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .._core import TensorBase
from .autocast_mode import gpu_is_available


class GradScaler:
    """Scales losses and gradients, and skips the steps whose gradients are not finite.

    Args:
        device: "cuda" (where there is none it warns and does nothing) or "cpu".
        init_scale: the first factor.
        growth_factor: multiplies the factor after ``growth_interval`` good steps.
        backoff_factor: multiplies the factor after a step with inf or NaN.
        growth_interval: steps.
        enabled: False makes all methods pass their work through.

    Raises:
        ValueError: a factor on the wrong side of 1.

    The algorithm is that of Micikevicius et al., "Mixed Precision Training" (ICLR 2018), section 3.2.

    >>> import fastnn
    >>> scaler = fastnn.amp.GradScaler("cpu", init_scale=8.0)
    >>> w = fastnn.ones(1, requires_grad=True)
    >>> sgd = fastnn.optim.SGD([w], lr=0.5)
    >>> scaler.scale((w * w).sum()).backward()
    >>> scaler.step(sgd)
    >>> scaler.update()
    >>> w
    tensor([0.], requires_grad=True)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        kind = str(device).partition(":")[0]
        if kind not in ("cpu", "cuda"):
            raise RuntimeError(f"GradScaler: device must be 'cpu' or 'cuda', got {device!r}")
        if enabled and kind == "cuda" and not gpu_is_available():
            warnings.warn(
                "GradScaler: there is no GPU, so GradScaler('cuda') is off",
                UserWarning,
                stacklevel=2,
            )
            enabled = False
        if enabled and growth_factor <= 1:
            raise ValueError(f"GradScaler: growth_factor must be above 1, got {growth_factor}")
        if enabled and backoff_factor >= 1:
            raise ValueError(f"GradScaler: backoff_factor must be below 1, got {backoff_factor}")
        self._device = kind
        self._enabled = enabled
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good_steps = 0
        self._found_inf: dict[int, bool] = {}  # the optimizers unscaled since the last update
        self._stepped: set[int] = set()

    def is_enabled(self) -> bool:
        """True where scaling is on."""
        return self._enabled

    def scale(self, outputs: Any) -> Any:
        """A loss, or a list or tuple of losses, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, TensorBase):
            loss: Any = outputs
            return loss * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)([self.scale(loss) for loss in outputs])
        raise ValueError(
            f"GradScaler.scale: expected a Tensor or a list or tuple of them, got {type(outputs).__name__}"
        )

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of ``optimizer``'s parameters by the factor, as for clipping before ``step``.

        Raises:
            RuntimeError: called twice between updates, or after ``step``.
        """
        if not self._enabled:
            return
        key = id(optimizer)
        if key in self._stepped:
            raise RuntimeError("GradScaler.unscale_: called after step()")
        if key in self._found_inf:
            raise RuntimeError(
                "GradScaler.unscale_: already called on this optimizer since the last update()"
            )
        found = False
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.grad.mul_(1.0 / self._scale)
                values = p.grad._data
                if values.dtype.kind == "V":
                    values = values.astype(np.float32)
                found = found or not bool(np.isfinite(values).all())
        self._found_inf[key] = found

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()`` with unscaled gradients, unless one of them is inf or NaN; what it returned.

        Raises:
            RuntimeError: called twice between updates, or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs or args:
            raise RuntimeError("GradScaler.step: a closure is not supported while scaling is on")
        key = id(optimizer)
        if key in self._stepped:
            raise RuntimeError("GradScaler.step: already called since the last update()")
        if key not in self._found_inf:
            self.unscale_(optimizer)
        self._stepped.add(key)
        return None if self._found_inf[key] else optimizer.step(**kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Move the factor (or set it to ``new_scale``) after all steps of an iteration.

        Raises:
            RuntimeError: there was no step.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found_inf:
            raise RuntimeError(
                "GradScaler.update: no optimizer has stepped since the last update()"
            )
        elif any(self._found_inf.values()):
            self._scale *= self._backoff_factor
            self._good_steps = 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                self._scale *= self._growth_factor
                self._good_steps = 0
        self._found_inf.clear()
        self._stepped.clear()

    def get_scale(self) -> float:
        """The factor; 1 while scaling is off."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What multiplies the factor after good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what multiplies the factor after good steps."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What multiplies the factor after a step with inf or NaN."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what multiplies the factor after a step with inf or NaN."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """The good steps before the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the good steps before the factor grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The factor and what moves it; empty while scaling is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state.

        Raises:
            RuntimeError: an empty one, of a scaler that was off.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("GradScaler.load_state_dict: the state is that of a disabled scaler")
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good_steps = state_dict["_growth_tracker"]
