"""Activation layers."""

from __future__ import annotations

from typing import Any

from ..ops import activation as ops
from ..ops import activation_table as table
from ..ops.creation import empty
from ..tensor import Tensor
from . import _activation_functions as F
from .module import Module
from .parameter import Parameter


class _Plain(Module):
    """An activation without arguments; any are taken, as in PyTorch."""

    _operation: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        result: Tensor = self._operation(input)
        return result


class Sigmoid(_Plain):
    """1 / (1 + exp(-x))."""

    _operation = staticmethod(ops.sigmoid)


class Tanh(_Plain):
    """The hyperbolic tangent."""

    _operation = staticmethod(ops.tanh)


class LogSigmoid(_Plain):
    """log(sigmoid(x)), without overflow."""

    _operation = staticmethod(table.logsigmoid)


class Softsign(_Plain):
    """x / (1 + |x|)."""

    _operation = staticmethod(table.softsign)


class Tanhshrink(_Plain):
    """x - tanh(x)."""

    _operation = staticmethod(table.tanhshrink)


class _Inplace(Module):
    """An activation with ``inplace`` alone."""

    _operation: Any

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        result: Tensor = self._operation(input, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return "inplace=True" if self.inplace else ""


class ReLU(_Inplace):
    """max(x, 0)."""

    _operation = staticmethod(F.relu)


class SELU(_Inplace):
    """The scaled ELU that keeps mean 0 and variance 1.

    G. Klambauer et al., "Self-normalizing neural networks", 2017.
    """

    _operation = staticmethod(F.selu)


class SiLU(_Inplace):
    """x * sigmoid(x), also called swish."""

    _operation = staticmethod(F.silu)


class Mish(_Inplace):
    """x * tanh(softplus(x)).

    D. Misra, "Mish: a self regularized non-monotonic activation function", 2019.
    """

    _operation = staticmethod(F.mish)


class Hardswish(_Inplace):
    """x * hardsigmoid(x).

    A. Howard et al., "Searching for MobileNetV3", 2019.
    """

    _operation = staticmethod(F.hardswish)


class Hardsigmoid(_Inplace):
    """(x + 3) / 6 limited to [0, 1]."""

    _operation = staticmethod(F.hardsigmoid)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """x where x > 0, else alpha * (exp(x) - 1).

    D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2015.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """x where x > 0, else alpha * (exp(x / alpha) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x * P(X <= x), X standard normal; ``approximate`` is "none" or "tanh".

    D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return table.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"approximate={self.approximate!r}"


class Hardtanh(Module):
    """x limited to [min_val, max_val].

    Raises:
        ValueError: ``max_val`` is not greater than ``min_val``, or the old names ``min_value``, ``max_value``.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: None = None,
        max_value: None = None,
    ) -> None:
        super().__init__()
        if min_value is not None or max_value is not None:
            raise ValueError("Hardtanh: min_value and max_value are now min_val and max_val")
        if max_val <= min_val:
            raise ValueError(
                f"max_val must be larger than min_val, but got min_val={min_val} and max_val={max_val}"
            )
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (
            ", inplace=True" if self.inplace else ""
        )


class ReLU6(Hardtanh):
    """x limited to [0, 6]."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return table.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softshrink(Module):
    """x moved towards 0 by ``lambd``, and 0 where it is nearer."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return table.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return str(self.lambd)


class Hardshrink(Module):
    """x, and 0 within ``lambd`` of 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return table.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"{self.lambd}"


class Threshold(Module):
    """x where x > threshold, else ``value``."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"threshold={self.threshold}, value={self.value}" + (
            ", inplace=True" if self.inplace else ""
        )


class PReLU(Module):
    """x where x > 0, else weight * x, with a weight that is trained: one, or one a channel.

    K. He et al., "Delving deep into rectifiers", 2015.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to ``init``."""
        self.weight.data.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return table.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """x where x > 0, else slope * x, with a slope drawn for each element when training."""

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"lower={self.lower}, upper={self.upper}" + (
            ", inplace=True" if self.inplace else ""
        )


class GLU(Module):
    """The first half of ``dim`` times the sigmoid of the second."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        return table.glu(input, self.dim)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"dim={self.dim}"


class _AlongDim(Module):
    _operation: Any

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The activation."""
        result: Tensor = self._operation(input, self.dim)
        return result

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """exp(x) / sum(exp(x)) along ``dim``."""

    _operation = staticmethod(F.softmax)


class LogSoftmax(_AlongDim):
    """log(softmax(x)) along ``dim``."""

    _operation = staticmethod(F.log_softmax)


class Softmin(_AlongDim):
    """softmax(-x) along ``dim``."""

    _operation = staticmethod(F.softmin)


class Softmax2d(_Plain):
    """softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """The activation.

        Raises:
            ValueError: neither 3 nor 4 dims.
        """
        if input._data.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input._data.ndim}D")
        return F.softmax(input, -3)
