"""Products of matrices and vectors by their many names, sums with products, einsum, tensordot."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import Scalar, normalize_dim
from ..autograd.output import accepts_out
from . import shape, views
from .gemm import matmul
from .promotion import cast, result_type

if TYPE_CHECKING:
    from ..tensor import Tensor
else:
    from .._core import TensorBase as Tensor

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "chain_matmul",
    "cross",
    "dot",
    "einsum",
    "ger",
    "inner",
    "kron",
    "mm",
    "mv",
    "outer",
    "tensordot",
    "trace",
    "vdot",
]


def _check(name: str, dims: tuple[int, ...], *operands: Tensor) -> None:
    got = tuple(x._data.ndim for x in operands)
    if got != dims:
        shapes = ", ".join(str(tuple(x.shape)) for x in operands)
        wanted = ", ".join(f"{d}-d" for d in dims)
        raise RuntimeError(f"{name}: expects {wanted} tensors, got shapes {shapes}")
    if len({x._data.dtype for x in operands}) > 1:
        kinds = " and ".join(str(x.dtype) for x in operands)
        raise RuntimeError(f"{name}: expected both tensors to have the same dtype, got {kinds}")


@accepts_out
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices.

    Raises:
        RuntimeError: not matrices, or sizes or dtypes that do not fit.
    """
    _check("mm", (2, 2), input, mat2)
    return matmul(input, mat2)


@accepts_out
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The products of matrices in two batches of equal size: (B, N, K) and (B, K, M) give (B, N, M)."""
    _check("bmm", (3, 3), input, mat2)
    if input._data.shape[0] != mat2._data.shape[0]:
        raise RuntimeError(
            f"bmm: batch sizes differ, got shapes {tuple(input.shape)} and {tuple(mat2.shape)}"
        )
    return matmul(input, mat2)


@accepts_out
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of a matrix and a vector."""
    _check("mv", (2, 1), input, vec)
    return matmul(input, vec)


@accepts_out
def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sum of the products of two vectors' elements."""
    _check("dot", (1, 1), input, tensor)
    if input._data.shape != tensor._data.shape:
        raise RuntimeError(f"dot: sizes differ, got {tuple(input.shape)} and {tuple(tensor.shape)}")
    return matmul(input, tensor)


@accepts_out
def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``dot``, for real numbers."""
    return dot(input, other)


@accepts_out
def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The products of all last-dim vectors of both; with a 0-d operand, plain multiplication."""
    if input._data.ndim == 0 or other._data.ndim == 0:
        product: Tensor = input * other
        return product
    return tensordot(input, other, ([-1], [-1]))


@accepts_out
def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of the elements of two vectors."""
    if input._data.ndim != 1 or vec2._data.ndim != 1:
        raise RuntimeError(
            f"outer: expects vectors, got shapes {tuple(input.shape)} and {tuple(vec2.shape)}"
        )
    product: Tensor = input.unsqueeze(1) * vec2
    return product


ger = outer


def _sum_with(name: str, input: Tensor, product: Tensor, beta: Scalar, alpha: Scalar) -> Tensor:
    """beta * input + alpha * product; with beta 0 input counts not at all, even where it is NaN."""
    if input._data.dtype.kind in "iub" and (isinstance(beta, float) or isinstance(alpha, float)):
        raise RuntimeError(
            f"{name}: for integral input tensors, beta and alpha must not be floating point numbers"
        )
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    try:
        np.broadcast_to(input._data, product._data.shape)
    except ValueError:
        raise RuntimeError(
            f"{name}: input of shape {tuple(input.shape)} does not broadcast to {tuple(product.shape)}"
        ) from None
    scaled = input if beta == 1 else input * beta
    total: Tensor = scaled + product
    return total


@accepts_out
def addmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    return _sum_with("addmm", input, mm(mat1, mat2), beta, alpha)


@accepts_out
def addmv(
    input: Tensor,
    mat: Tensor,
    vec: Tensor,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    return _sum_with("addmv", input, mv(mat, vec), beta, alpha)


@accepts_out
def addr(
    input: Tensor,
    vec1: Tensor,
    vec2: Tensor,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    return _sum_with("addr", input, outer(vec1, vec2), beta, alpha)


@accepts_out
def baddbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2)."""
    return _sum_with("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@accepts_out
def addbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: Scalar = 1,
    alpha: Scalar = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * the sum of bmm(batch1, batch2) over the batch."""
    return _sum_with("addbmm", input, bmm(batch1, batch2).sum(0), beta, alpha)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices, from the left."""
    product = matrices[0]
    for m in matrices[1:]:
        product = mm(product, m)
    return product


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal.

    Raises:
        RuntimeError: not a matrix.
    """
    if input._data.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input._data.ndim}")
    return views.diagonal(input).sum()


@accepts_out
def kron(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Kronecker's product: each element of ``input`` times the whole of ``other``, as blocks."""
    n = max(input._data.ndim, other._data.ndim)
    a, b = ((1,) * (n - x._data.ndim) + x._data.shape for x in (input, other))
    left = shape.reshape(input, tuple(v for m in a for v in (m, 1)))
    right = shape.reshape(other, tuple(v for m in b for v in (1, m)))
    return shape.reshape(left * right, tuple(p * q for p, q in zip(a, b, strict=True)))


@accepts_out
def cross(
    input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The cross product of vectors of three elements along ``dim`` (None: the first dim of size 3).

    Raises:
        RuntimeError: no dim of size 3.
    """
    a, b = shape.broadcast_tensors(input, other)
    if dim is None:
        dim = next((i for i, n in enumerate(a._data.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"cross: no dimension of size 3 in shape {tuple(a.shape)}")
    axis = normalize_dim(dim, a._data.ndim)
    if a._data.shape[axis] != 3:
        raise RuntimeError(f"cross: dim {dim} has size {a._data.shape[axis]}, not 3")
    x, y = (shape.unbind(v, axis) for v in (a, b))
    return shape.stack(
        [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]], axis
    )


@accepts_out
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """The sum of products over pairs of dims: the last ``dims`` of ``a`` and first of ``b``, or two lists of dims.

    Raises:
        RuntimeError: the dims' sizes differ.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        first = list(range(a._data.ndim - dims, a._data.ndim))
        second = list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    first = [normalize_dim(d, a._data.ndim) for d in first]
    second = [normalize_dim(d, b._data.ndim) for d in second]
    # A dim of size 1 stands for any size: the other operand is summed over its partner
    for d, e in zip(first, second, strict=True):
        if a._data.shape[d] == 1 != b._data.shape[e]:
            b = b.sum(e, keepdim=True)
        elif b._data.shape[e] == 1 != a._data.shape[d]:
            a = a.sum(d, keepdim=True)
    sizes = [a._data.shape[d] for d in first]
    if sizes != [b._data.shape[d] for d in second]:
        raise RuntimeError(
            f"tensordot: contracted dimensions need to match, got {tuple(a.shape)} over {first} and {tuple(b.shape)} over "
            f"{second}"
        )
    rest_a = [d for d in range(a._data.ndim) if d not in first]
    rest_b = [d for d in range(b._data.ndim) if d not in second]
    k = int(np.prod(sizes))
    left = shape.reshape(
        shape.permute(a, rest_a + first), (int(np.prod([a._data.shape[d] for d in rest_a])), k)
    )
    right = shape.reshape(
        shape.permute(b, second + rest_b), (k, int(np.prod([b._data.shape[d] for d in rest_b])))
    )
    result = [a._data.shape[d] for d in rest_a] + [b._data.shape[d] for d in rest_b]
    return shape.reshape(matmul(left, right), result)


# -- einsum --------------------------------------------------------------------------------------------


def _parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The subscripts of each operand and of the result; the dims of an ellipsis become letters of their own."""
    text = equation.replace(" ", "")
    given, arrow, result = text.partition("->")
    terms = given.split(",")
    if len(terms) != len(operands):
        raise RuntimeError(
            f"einsum: the equation {equation!r} has {len(terms)} operands, got {len(operands)} tensors"
        )
    spare = [c for c in string.ascii_letters + "αβγδεζηθικλμ" if c not in text]
    widest = 0
    for term, x in zip(terms, operands, strict=True):
        if "..." in term:
            widest = max(widest, x._data.ndim - len(term.replace("...", "")))
    ellipsis = spare[:widest]
    found = []
    for term, x in zip(terms, operands, strict=True):
        before, dots, after = term.partition("...")
        letters = list(before + after)
        if not all(c in string.ascii_letters for c in letters):
            raise RuntimeError(
                f"einsum: invalid subscript {term!r} in {equation!r}; letters [a-zA-Z] and ... only"
            )
        wide = x._data.ndim - len(letters)
        if wide < 0 or (wide and not dots):
            raise RuntimeError(
                f"einsum: the subscripts {term!r} do not match the {x._data.ndim} dims of an operand of shape "
                f"{tuple(x.shape)}"
            )
        found.append([*before, *ellipsis[widest - wide :], *after] if dots else letters)
    if arrow:
        before, dots, after = result.partition("...")
        output = [*before, *ellipsis, *after] if dots else list(before)
    else:
        counts: dict[str, int] = {}
        for letters in found:
            for c in letters:
                counts[c] = counts.get(c, 0) + 1
        output = [*ellipsis, *sorted(c for c, n in counts.items() if n == 1 and c not in ellipsis)]
    known = {c for letters in found for c in letters}
    for c in output:
        if c not in known or output.count(c) > 1:
            raise RuntimeError(
                f"einsum: output subscript {c!r} of {equation!r} must appear once, and in an operand"
            )
    return found, output


def _diagonalised(x: Tensor, letters: list[str]) -> tuple[Tensor, list[str]]:
    """Repeated subscripts of one operand taken on the diagonal."""
    for c in sorted(set(letters)):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            if x._data.shape[i] != x._data.shape[j]:
                raise RuntimeError(
                    f"einsum: subscript {c!r} is repeated for dims of sizes {tuple(x.shape)}"
                )
            x = views.diagonal(x, 0, i, j)
            letters = [v for k, v in enumerate(letters) if k not in (i, j)] + [c]
    return x, letters


def _contract(
    a: Tensor, la: list[str], b: Tensor, lb: list[str], keep: set[str]
) -> tuple[Tensor, list[str]]:
    """The product of two operands, summed over the shared subscripts that nothing later needs, as one batched matmul."""
    # What only one has, and nobody needs, is summed first
    for c in [c for c in la if c not in lb and c not in keep]:
        a, la = a.sum(la.index(c)), [v for v in la if v != c]
    for c in [c for c in lb if c not in la and c not in keep]:
        b, lb = b.sum(lb.index(c)), [v for v in lb if v != c]
    sizes: dict[str, int] = {}
    for x, letters in ((a, la), (b, lb)):
        for c, n in zip(letters, x._data.shape, strict=True):
            if sizes.get(c, 1) != 1 and n not in (1, sizes[c]):
                raise RuntimeError(
                    f"einsum: subscript {c!r} has size {n} for an operand and {sizes[c]} for another"
                )
            sizes[c] = max(sizes.get(c, 1), n) if n else 0
    batch = [c for c in la if c in lb and c in keep]
    summed = [c for c in la if c in lb and c not in keep]
    rows = [c for c in la if c not in lb]
    columns = [c for c in lb if c not in la]

    def arranged(x: Tensor, letters: list[str], order: list[str]) -> Tensor:
        x = shape.permute(x, [letters.index(c) for c in order])
        return shape.expand(x, [sizes[c] for c in order])

    def count(letters: list[str]) -> int:
        return int(np.prod([sizes[c] for c in letters]))

    lead = [sizes[c] for c in batch]
    left = shape.reshape(
        arranged(a, la, batch + rows + summed), (*lead, count(rows), count(summed))
    )
    right = shape.reshape(
        arranged(b, lb, batch + summed + columns), (*lead, count(summed), count(columns))
    )
    product = matmul(left, right) if summed else left * right
    done = batch + rows + columns
    return shape.reshape(product, [sizes[c] for c in done]), done


def einsum(equation: Any, *operands: Any) -> Tensor:
    """The sum of products that Einstein's notation names; operands are contracted from left to right.

    Args:
        equation: such as "ij,jk->ik"; "..." stands for broadcast dims. Or, as NumPy's other form, operands and lists of
            subscript numbers in turn.
        operands: a tensor for each part of the equation.

    Raises:
        RuntimeError: subscripts that do not fit the operands.

    >>> import fastnn
    >>> fastnn.einsum("i,i->", fastnn.tensor([1., 2.]), fastnn.tensor([3., 4.]))
    tensor(11.)
    """
    if not isinstance(equation, str):
        return _numbered([equation, *operands])
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum: at least one operand is required")
    letters, output = _parse(equation, operands)
    kind = result_type(*operands).numpy
    parts = [
        _diagonalised(cast(x, kind), names) for x, names in zip(operands, letters, strict=True)
    ]
    x, names = parts[0]
    for i, (y, others) in enumerate(parts[1:], 1):
        later = {c for _, n in parts[i + 1 :] for c in n}
        x, names = _contract(x, names, y, others, later | set(output))
    extra = tuple(i for i, c in enumerate(names) if c not in output)
    if extra:
        x, names = x.sum(extra), [c for c in names if c in output]
    return shape.permute(x, [names.index(c) for c in output])


def _numbered(items: list[Any]) -> Tensor:
    """The form einsum(a, [0, 1], b, [1, 2], [0, 2]); an Ellipsis among the numbers is "..."."""

    def term(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else string.ascii_letters[n] for n in numbers)

    output = items.pop() if len(items) % 2 else None
    equation = ",".join(term(n) for n in items[1::2])
    if output is not None:
        equation += "->" + term(output)
    return einsum(equation, *items[0::2])
