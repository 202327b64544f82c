"""Ready parametrizations: weight and spectral normalization, and orthogonal matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._core import make
from ..._device import CPU, place, place_beside
from ...autograd.grad_mode import mode
from ...autograd.node import ComposedNode, edge_of
from ...ops.creation import eye
from ...ops.shape import cat
from ...ops.transfer import on_host
from ...random import normal_array
from ...tensor import Tensor
from ..module import Module
from ._spectral_norm import as_matrix, default_dim, overwrite, power_iterations, unit
from ._weight_norm import norm_except_dim, weight_of
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """original0 is the length g, original1 the direction v."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """g * v / |v|."""
        return weight_of(weight_g, weight_v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(|weight|, weight)."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Parametrize ``name`` by its length (``original0``) and direction (``original1``).

    Args:
        module: the module.
        name: its parameter.
        dim: the dim that has a length of its own for each index; None: one length.

    T. Salimans, D. Kingma, "Weight normalization", 2016.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        ndim = weight.dim()
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if ndim > 1:
            matrix = as_matrix(weight.detach(), self.dim)._data
            u, v = (
                place_beside(unit(normal_array((n,), matrix.dtype), eps), matrix)
                for n in matrix.shape
            )
            u, v = power_iterations(matrix, u, v, 15, eps)  # PyTorch's number of first iterations
            self.register_buffer("_u", make(u))
            self.register_buffer("_v", make(v))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight over its largest singular value (a vector over its norm)."""
        if weight.dim() == 1:
            length = (weight * weight).sum().sqrt()
            return weight / length.clamp(min=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            new = power_iterations(matrix._data, self._u._data, self._v._data, self.n_power_iterations, self.eps)  # fmt: skip
            overwrite(self._u, new[0])
            overwrite(self._v, new[1])
        # Copies: the next forward writes to the buffers, and backward may still be to come
        u, v = make(self._u._data.copy()), make(self._v._data.copy())
        return weight / (u * (matrix @ v)).sum()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: it may be scaled in any way."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide ``name`` by its largest singular value, which power iterations in training estimate.

    Args:
        module: the module.
        name: its parameter.
        n_power_iterations: iterations a call.
        eps: the least norm that is divided by.
        dim: the dim of the outputs; by default 1 for transposed convolutions, else 0.

    T. Miyato et al., "Spectral normalization for generative adversarial networks", 2018.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    chosen = default_dim(module) if dim is None else dim
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, chosen, eps)
    )


# -- orthogonal matrices -------------------------------------------------------------------------------


def _exp_series(a: Tensor, order: int) -> Tensor:
    """sum of a**k / k! for k up to ``order``, by Horner's rule."""
    identity = eye(a._data.shape[-1], dtype=a.dtype, device=a.device)
    total = identity
    for k in range(order, 0, -1):
        total = identity + (a @ total) / float(k)
    return total


def _matrix_exp(a: Tensor) -> Tensor:
    """exp(a): the series of a / 2**s, squared s times (C. Moler, C. Van Loan, 2003, method 3)."""
    size = float(np.abs(a._data).sum(-1).max()) if a._data.size else 0.0
    squarings = max(0, int(np.ceil(np.log2(size))) + 1) if size > 0.5 else 0
    # |a| <= 1/2: the term of order 18 is below 0.5**18 / 18! = 6e-22, less than a rounding of float64
    out = _exp_series(a / float(2**squarings), 18)
    for _ in range(squarings):
        out = out @ out
    return out


def _householder(a: Tensor) -> Tensor:
    """The product of the reflections I - tau v v', v below the diagonal of ``a`` with a one on it: (n, k).

    tau = 2 / |v|**2, so that every reflection is orthogonal whatever ``a`` holds.
    """
    rows, columns = a._data.shape[-2:]
    dtype = a._data.dtype
    q = make(np.broadcast_to(np.eye(rows, columns, dtype=dtype), a._data.shape).copy())
    for j in reversed(range(columns)):
        below = make((np.arange(rows) > j).astype(dtype))
        one = make((np.arange(rows) == j).astype(dtype))
        v = (a[..., j] * below + one).unsqueeze(-1)
        tau = 2.0 / (v * v).sum((-2, -1), keepdim=True)
        q = q - v @ (v.transpose(-1, -2) @ q) * tau
    return q


def _reflections(q: Any) -> tuple[Any, Any]:
    """(a, signs): ``_householder(a) * signs`` is the matrix ``q`` (n, k) of orthonormal columns."""
    q = q.astype(np.float64)
    rows, columns = q.shape
    a = np.zeros_like(q)
    signs = np.ones(columns)
    rest = q.copy()
    for j in range(columns):
        x = rest[:, j].copy()
        x[:j] = 0
        # The reflection that takes x to alpha e_j; alpha's sign is the one that does not cancel
        alpha = -np.linalg.norm(x) if x[j] >= 0 else np.linalg.norm(x)
        v = x.copy()
        v[j] -= alpha
        v /= v[j]
        a[j + 1 :, j] = v[j + 1 :]
        rest = rest - np.outer(v, v @ rest) * (2 / (v @ v))
        signs[j] = np.sign(rest[j, j])
    return a, signs


class _Orthogonal(Module):
    base: Tensor
    signs: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = tuple(weight.shape)
        self.orthogonal_map = orthogonal_map
        # The trivialization: the map is taken around a base, the matrix that was last assigned
        self.use_trivialization = use_trivialization and orthogonal_map != "householder"
        n, k = max(self.shape[-2:]), min(self.shape[-2:])
        lead = self.shape[:-2]
        if self.use_trivialization:
            self.register_buffer("base", None)
        if orthogonal_map == "householder":
            self.register_buffer("signs", make(np.ones_like(weight._data, shape=(*lead, k))))
        self.size = (n, k)

    def forward(self, x: Tensor) -> Tensor:
        """An orthogonal matrix (orthonormal columns or rows, if it is not square)."""
        rows, columns = x._data.shape[-2:]
        wide = columns > rows
        if wide:
            x = x.transpose(-1, -2)
        n, k = self.size
        if self.orthogonal_map == "householder":
            q = _householder(x) * self.signs.unsqueeze(-2)
        else:
            below = make(np.tri(n, k, -1, dtype=x._data.dtype, like=x._data))
            a = x * below
            if n != k:
                filler = make(np.zeros_like(a._data, shape=(*a._data.shape[:-1], n - k)))
                a = cat([a, filler], -1)
            a = a - a.transpose(-1, -2)
            q = _matrix_exp(a) if self.orthogonal_map == "matrix_exp" else _cayley(a)
            if self.use_trivialization and self.base is not None:
                q = self.base @ q
            q = q[..., :k]
        return q.transpose(-1, -2) if wide else q

    def right_inverse(self, q: Tensor) -> Tensor:
        """What ``forward`` takes to ``q``, or to the orthogonal matrix of its QR decomposition."""
        if tuple(q.shape) != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {tuple(q.shape)}."
            )
        array = place(q._data, CPU)  # the decomposition is the host's
        wide = array.shape[-1] > array.shape[-2]
        if wide:
            array = array.swapaxes(-1, -2)
        full, r = np.linalg.qr(array, mode="complete")
        n, k = self.size
        diagonal = np.where(np.diagonal(r, 0, -2, -1) < 0, -1, 1).astype(array.dtype)
        full = full.copy()
        full[..., :k] *= diagonal[..., None, :]
        if self.orthogonal_map == "householder":
            found = [_reflections(m) for m in full[..., :k].reshape(-1, n, k)]
            signs = np.array([s for _, s in found]).reshape(self.signs._data.shape)
            overwrite(self.signs, place_beside(signs, q._data))
            out = np.array([a for a, _ in found]).reshape(array.shape).astype(array.dtype)
        elif self.use_trivialization:
            self.base = make(place_beside(full, q._data))
            out = np.zeros_like(array)
        else:
            raise NotImplementedError(
                "orthogonal: a matrix can be assigned with use_trivialization=True or orthogonal_map='householder' only"
            )
        out = out.swapaxes(-1, -2).copy() if wide else out
        return make(place_beside(out, q._data))


def _cayley(a: Tensor) -> Tensor:
    """(I + a / 2) inverse(I - a / 2), for a skew-symmetric ``a``."""
    half = a / 2.0
    identity = eye(a._data.shape[-1], dtype=a.dtype, device=a.device)
    return (identity + half) @ _inverse(identity - half)


class _InverseBackward0(ComposedNode):
    __slots__ = ()

    def backward_graph(self, g: Tensor) -> tuple[Any, ...]:
        turned = self.output(self.saved[0]).transpose(-1, -2)
        return (-(turned @ g @ turned),)


@on_host
def _inverse(x: Tensor) -> Tensor:
    """The inverse matrix."""
    out = np.linalg.inv(x._data)
    if x._requires_grad and mode.enabled:
        return make(out, _InverseBackward0((edge_of(x),), (out,)))
    return make(out)


_MAPS = ("matrix_exp", "cayley", "householder")


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a matrix orthogonal: its columns (or rows, if there are fewer) orthonormal.

    Args:
        module: the module.
        name: its parameter, a matrix or a batch of matrices.
        orthogonal_map: "matrix_exp" (the default for square matrices), "cayley", or "householder" (else).
        use_trivialization: take the map around the matrix that was last assigned, which makes assignments possible.

    Raises:
        ValueError: no such parameter or map, or less than two dims.

    M. Lezcano Casado, "Trivializations for gradient-based optimization on manifolds", 2019.

    >>> import fastnn
    >>> from fastnn import nn
    >>> w = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)).weight
    >>> bool((w @ w.T - fastnn.eye(3)).abs().max() < 1e-5)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        square = weight._data.shape[-1] == weight._data.shape[-2]
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, parametrization, unsafe=True)
