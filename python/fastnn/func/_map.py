"""``vmap``: a function of one sample, over a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import random
from .._core import normalize_dim
from ..ops.shape import stack
from ._nest import is_tensor, leaves, mapped

__all__ = ["vmap"]


def _spread(dims: Any, nest: Any, name: str) -> Any:
    """``dims`` for each leaf of ``nest``: one for all of them, or a nest of the same form (or the top of it)."""
    if dims is None or isinstance(dims, int):
        return mapped(lambda _: dims, nest)
    if isinstance(nest, dict) and isinstance(dims, dict) and dims.keys() == nest.keys():
        return type(nest)((k, _spread(dims[k], v, name)) for k, v in nest.items())
    if (
        isinstance(nest, (list, tuple))
        and isinstance(dims, (list, tuple))
        and len(dims) == len(nest)
    ):
        items = [_spread(d, v, name) for d, v in zip(dims, nest, strict=True)]
        return type(nest)(*items) if hasattr(nest, "_fields") else type(nest)(items)
    raise ValueError(
        f"vmap: {name}={dims!r} does not fit {type(nest).__name__} of {len(leaves(nest))} values"
    )


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that applies ``func`` to each entry of a batch and stacks the results.

    ``func`` is called for each entry in turn (PyTorch runs one call whose operations are batched): the results are the
    same, but there is no gain of speed over a loop. Where speed counts, write ``func`` for batches.

    Args:
        func: a function of tensors (or nests of them) without the batch's dim; keyword arguments are the same for all.
        in_dims: the batch's dim of the arguments: an int, None for arguments that are the same for all, or a nest.
        out_dims: where the batch's dim goes in the results.
        randomness: "error" (no random numbers), "different" or "same" ones for each entry.
        chunk_size: accepted for PyTorch's scripts: entries are taken one by one.

    Raises:
        ValueError: (when called) dims that do not fit, batches of different sizes, or results that are no tensors.
        RuntimeError: random numbers were drawn where ``randomness`` is "error".

    >>> import fastnn
    >>> x, y = fastnn.arange(6.).reshape(2, 3), fastnn.ones(3)
    >>> fastnn.func.vmap(fastnn.dot, in_dims=(0, None))(x, y)
    tensor([ 3., 12.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}"
        )
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0, got {chunk_size}")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not args:
            raise ValueError(f"vmap({_name(func)}): needs at least one positional argument")
        dims = _spread(in_dims, args, "in_dims")
        size = _batch_size(args, dims)
        state = random.get_rng_state()
        results = []
        for i in range(size):
            if randomness == "same":
                random.set_rng_state(state)

            def entry(x: Any, d: Any, i: int = i) -> Any:
                return x if d is None or not is_tensor(x) else x.select(d, i)

            results.append(func(*mapped(entry, args, dims), **kwargs))
            if randomness == "error" and (random.get_rng_state()._data != state._data).any():
                raise RuntimeError(
                    "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                    "'different' randomness flags on vmap or perform the randomness operation out of vmap"
                )
        return _stacked(results, out_dims, _name(func))

    return wrapper


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", type(func).__name__)


def _batch_size(args: Any, dims: Any) -> int:
    sizes = set()
    for x, d in zip(leaves(args), leaves(dims), strict=True):
        if d is None or not is_tensor(x):
            if d is not None:
                raise ValueError(
                    f"vmap: Got in_dim={d} for an input of type {type(x).__name__}, which has no dims: "
                    "use None for it"
                )
            continue
        sizes.add(x._data.shape[normalize_dim(d, x._data.ndim)] if x._data.ndim else -1)
    if -1 in sizes:
        raise ValueError("vmap: an input to be mapped over has no dims")
    if len(sizes) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sorted(sizes)} for the mapped dimension"
        )
    if not sizes:
        raise ValueError("vmap: no input has a dim to map over (all in_dims are None)")
    (found,) = sizes
    if found == 0:
        raise ValueError("vmap: the batch is empty: the results' shapes cannot be known")
    return int(found)


def _stacked(results: list[Any], out_dims: Any, name: str) -> Any:
    dims = _spread(out_dims, results[0], "out_dims")

    def one(d: Any, *column: Any) -> Any:
        if d is None:
            return column[0]
        for x in column:
            if not is_tensor(x):
                raise ValueError(
                    f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(x)}. "
                    "Did you mean to set out_dims= to None for output?"
                )
        return stack(list(column), d)

    return mapped(one, dims, *results)
