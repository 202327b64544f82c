"""The bilinear map of two inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "bilinear",
]


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = sum over i and j of x1[..., i] * weight[o, i, j] * x2[..., j], plus bias[o].

    Args:
        input1: (..., I).
        input2: (..., J), of the same leading dims.
        weight: (O, I, J).
        bias: (O,) or None.

    Raises:
        RuntimeError: shapes that do not fit.
    """
    a, b, w = input1._data.shape, input2._data.shape, weight._data.shape
    if len(w) != 3 or a[:-1] != b[:-1] or not a or not b or a[-1] != w[1] or b[-1] != w[2]:
        raise RuntimeError(
            f"bilinear: expected inputs (..., I) and (..., J) with weight (O, I, J), got {tuple(a)}, {tuple(b)} and "
            f"{tuple(w)}"
        )
    o, i, j = w
    if bias is not None and bias._data.shape != (o,):
        raise RuntimeError(f"bilinear: bias must have shape ({o},), got {tuple(bias._data.shape)}")
    first = input1.reshape(-1, i) @ weight.permute(1, 0, 2).reshape(i, o * j)
    second = first.reshape(-1, o, j) @ input2.reshape(-1, j, 1)
    y = second.reshape(*a[:-1], o)
    return y if bias is None else y + bias
