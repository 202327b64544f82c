"""L-BFGS: a quasi-Newton method on all parameters as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._core import make
from ..autograd.grad_mode import enable_grad
from ..autograd.version import bump_all
from ..tensor import Tensor
from ._line_search import strong_wolfe
from .optimizer import Optimizer, non_negative

Vector = npt.NDArray[Any]


class LBFGS(Optimizer):
    """L-BFGS: up to ``max_iter`` quasi-Newton steps each ``step``, whose closure is called again for each.

    Args:
        params: tensors; one group alone.
        lr: the length of a step, in units of the quasi-Newton step.
        max_iter: the greatest number of iterations a ``step``.
        max_eval: the greatest number of calls of the closure a ``step`` (default: 1.25 * max_iter).
        tolerance_grad: stop where no gradient is larger.
        tolerance_change: stop where parameters or loss change less.
        history_size: the number of steps from which the curvature is estimated.
        line_search_fn: None, or "strong_wolfe": search each step's length (J. Nocedal, S. Wright, "Numerical
            optimization", 2006, algorithms 3.5 and 3.6).

    Raises:
        ValueError: an option out of range, or several groups.

    J. Nocedal, "Updating quasi-Newton matrices with limited storage", 1980; two loops: algorithm 7.4 of the book above.

    >>> import fastnn
    >>> w = fastnn.tensor([3., -2.], requires_grad=True)
    >>> optimizer = fastnn.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    13.0
    >>> fastnn.allclose(w, fastnn.ones(2))
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """The one group; another is a ValueError."""
        if self.param_groups:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        super().add_param_group(param_group)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options out of range."""
        non_negative("learning rate", group["lr"])
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                f"line_search_fn must be None or 'strong_wolfe', got {group['line_search_fn']!r}"
            )

    # -- all parameters as one vector ------------------------------------------------------------------

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    def _gradient(self) -> Vector:
        return np.concatenate(
            [
                np.zeros_like(p._data).ravel() if p._grad is None else p._grad._data.ravel()
                for p in self._params
            ]
        )

    def _position(self) -> list[Vector]:
        return [p._data.copy() for p in self._params]

    def _move(self, start: list[Vector] | None, t: float, direction: Vector) -> None:
        """Set the parameters to ``start`` (None: where they are) + t * direction."""
        offset = 0
        for i, p in enumerate(self._params):
            data = p._data
            part = direction[offset : offset + data.size].reshape(data.shape)
            np.add(data if start is None else start[i], t * part, out=data)
            offset += data.size
        bump_all([p._data for p in self._params])

    # -- the method ------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimize the loss that ``closure`` computes and differentiates; returns its value at the start.

        Raises:
            TypeError: no closure.
        """
        if closure is None:
            raise TypeError("LBFGS.step: a closure that computes the loss is required")

        def evaluate() -> Any:
            with enable_grad():
                return closure()

        group = self.param_groups[0]
        lr, history = float(group["lr"]), group["history_size"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = evaluate()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        g = self._gradient()
        if _largest(g) <= group["tolerance_grad"]:
            return first_loss

        memory = _Memory.of(state)
        t = float(state.get("t", 0.0))
        previous_loss = state.get("prev_loss")
        iteration = 0
        while iteration < group["max_iter"]:
            iteration += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                memory.restart(g)
            else:
                memory.turn(g, t, history)
            memory.g = g
            previous_loss = loss
            t = min(1.0, 1.0 / float(np.abs(g).sum())) * lr if state["n_iter"] == 1 else lr
            slope = float(g @ memory.d)
            if slope > -group["tolerance_change"]:
                break
            calls = 0
            if group["line_search_fn"] is not None:
                start, d = self._position(), memory.d

                def at(length: float, start: Any = start, d: Any = d) -> tuple[float, Vector]:
                    self._move(start, length, d)
                    return float(evaluate()), self._gradient()

                left = group["max_eval"] - evaluations
                loss, g, t, calls = strong_wolfe(at, t, d, loss, g, slope, most=left)
                self._move(start, t, d)
                done = _largest(g) <= group["tolerance_grad"]
            else:
                self._move(None, t, memory.d)
                done = False
                if iteration != group["max_iter"]:
                    loss = float(evaluate())
                    g = self._gradient()
                    done = _largest(g) <= group["tolerance_grad"]
                    calls = 1
            evaluations += calls
            state["func_evals"] += calls
            if (
                iteration == group["max_iter"]
                or evaluations >= group["max_eval"]
                or done
                or _largest(memory.d) * abs(t) <= group["tolerance_change"]
                or abs(loss - previous_loss) < group["tolerance_change"]
            ):
                break

        memory.keep(state, t, previous_loss, history)
        return first_loss


def _largest(x: Vector) -> float:
    return float(np.abs(x).max()) if x.size else 0.0


class _Memory:
    """The last steps and changes of the gradient, from which a direction is made; kept under PyTorch's names."""

    d: Vector
    g: Vector  # the gradient before the last step

    def __init__(self) -> None:
        self.changes: list[Vector] = []
        self.steps: list[Vector] = []
        self.ro: list[float] = []
        self.scale: float = 1.0

    @classmethod
    def of(cls, state: dict[str, Any]) -> _Memory:
        """What ``state`` kept of the step before."""
        self = cls()
        if state.get("d") is not None:
            self.d = state["d"]._data
            self.g = state["prev_flat_grad"]._data
            self.changes = [x._data for x in state["old_dirs"]]
            self.steps = [x._data for x in state["old_stps"]]
            self.ro = [float(x) for x in state["ro"]]
            self.scale = float(state["H_diag"])
        return self

    def keep(self, state: dict[str, Any], t: Any, previous_loss: Any, history: int) -> None:
        """Keep everything in ``state`` for the next step."""
        dtype = self.d.dtype
        state.update(
            d=make(self.d),
            t=t,
            old_dirs=[make(x) for x in self.changes],
            old_stps=[make(x) for x in self.steps],
            ro=[make(np.array(x, dtype)) for x in self.ro],
            H_diag=self.scale if not self.ro else make(np.array(self.scale, dtype)),
            prev_flat_grad=make(self.g.copy()),
            prev_loss=previous_loss,
            al=[None] * history,
        )

    def restart(self, g: Vector) -> None:
        """Steepest descent, and no memory."""
        self.d = -g
        self.changes, self.steps, self.ro, self.scale = [], [], [], 1.0

    def turn(self, g: Vector, t: float, history: int) -> None:
        """The direction -H @ g, H the inverse Hessian that the last ``history`` steps say."""
        y, s = g - self.g, self.d * t
        ys = float(y @ s)
        if ys > 1e-10:
            if len(self.changes) == history:
                for kept in (self.changes, self.steps, self.ro):
                    kept.pop(0)
            self.changes.append(y)
            self.steps.append(s)
            self.ro.append(1.0 / ys)
            self.scale = ys / float(y @ y)
        q = -g
        factors = []
        for y, s, r in zip(self.changes[::-1], self.steps[::-1], self.ro[::-1], strict=True):
            factors.append(float(s @ q) * r)
            q -= factors[-1] * y
        q *= self.scale
        for y, s, r, a in zip(self.changes, self.steps, self.ro, factors[::-1], strict=True):
            q += (a - float(y @ q) * r) * s
        self.d = q
