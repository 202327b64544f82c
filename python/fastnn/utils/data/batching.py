"""The whole-batch protocol: how the DataLoader avoids Python work per sample.

PyTorch's loader calls ``dataset[i]`` for every sample and then collates. For data in memory that is slower
than the training step of a small model. Three optional methods let one call do the work of a batch or an
epoch; each must give exactly what the per-sample method gives. (Transforms that draw random numbers draw them for
each sample, as the per-sample method does, but in another order: one transform after the other.)

=================================  ==============================  ===========================================
object                             method                          replaces
=================================  ==============================  ===========================================
``Dataset``                        ``__getbatch__(indices)``       ``default_collate([self[i] for i in indices])``
``Sampler``                        ``index_array()``               ``np.array(list(self))``
transform                          ``batched()``                   ``lambda xs: stack([self(x) for x in xs])``
=================================  ==============================  ===========================================

* ``__getbatch__(indices)`` takes a 1-d int64 array and returns the collated batch, or ``NotImplemented``
  when it cannot at the moment (say, its transform has no batched form): the loader then goes sample by sample.
* ``index_array()`` returns the epoch's indices as a 1-d int64 array, in order.
* ``batched()`` returns a function over a stack of inputs (first axis: the samples), or ``None``.

A subclass that overrides only the per-sample method (``__getitem__``, ``__iter__``, ``forward``, ``get_params``) does not
inherit the whole-batch one: `whole_batch_method` sees that, so nobody gets the base class's data by surprise.
PyTorch's own ``__getitems__(indices) -> list of samples`` is honoured too, between the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["batched", "whole_batch_method"]


def whole_batch_method(obj: object, name: str, *per_sample: str) -> Callable[..., Any] | None:
    """obj's method ``name``, or None if it has none or a subclass overrides only a ``per_sample`` method.

    >>> class Squares:
    ...     def __getitem__(self, i): return i * i
    ...     def __getbatch__(self, indices): return indices * indices
    >>> class Cubes(Squares):
    ...     def __getitem__(self, i): return i ** 3
    >>> whole_batch_method(Squares(), "__getbatch__", "__getitem__") is not None
    True
    >>> whole_batch_method(Cubes(), "__getbatch__", "__getitem__") is None
    True
    """
    for cls in type(obj).__mro__:
        if name in cls.__dict__:
            method: Callable[..., Any] | None = getattr(obj, name)
            return method
        if any(plain in cls.__dict__ for plain in per_sample):
            return None
    return None


def batched(transform: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """The function that applies ``transform`` to a stack of samples at once; None if there is none.

    No transform at all is the identity.
    """
    if transform is None:
        return _identity
    method = whole_batch_method(transform, "batched", "__call__", "forward", "get_params")
    form: Callable[[Any], Any] | None = None if method is None else method()
    return form


def _identity(samples: Any) -> Any:
    return samples
