"""Versions of storages: how an in-place write that would corrupt a gradient is noticed.

A storage is known by its root array (the one that owns the memory), which all views share, so versions belong
to memory and a view needs no book-keeping. Only writers pay: a write stamps the storage with a clock; a graph
node remembers the clock at its birth, and what it saved must not carry a later stamp when backward reads it.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

_storages: dict[
    int, list[Any]
] = {}  # id of root array -> [stamp, number of writes, weak reference]
clock = [0]  # writes so far, of all storages


def storage_root(array: Any) -> Any:
    """The array that owns the memory that ``array`` looks at."""
    base = array.base
    while isinstance(base, np.ndarray):
        array, base = base, base.base
    return base if type(base) is type(array) else array  # CuPy's base is the root


def _forget(key: int, _: Any) -> None:
    _storages.pop(key, None)


def bump(array: Any) -> None:
    """Note an in-place write to ``array``'s memory."""
    bump_all((array,))


def bump_all(arrays: Iterable[Any]) -> None:
    """Note an in-place write to each of ``arrays``, all at once."""
    clock[0] = now = clock[0] + 1
    for array in arrays:
        root = array if array.base is None else storage_root(array)
        key = id(root)
        entry = _storages.get(key)
        if entry is None:
            _storages[key] = [now, 1, weakref.ref(root, functools.partial(_forget, key))]
        else:
            entry[0] = now
            entry[1] += 1


def writes(array: Any) -> int:
    """The number of in-place writes to ``array``'s memory so far (``Tensor._version``)."""
    entry = _storages.get(id(storage_root(array)))
    return 0 if entry is None else int(entry[1])


def written_after(array: Any, birth: int) -> bool:
    """True where ``array``'s memory was written to after the clock showed ``birth``."""
    entry = _storages.get(id(storage_root(array)))
    return entry is not None and entry[0] > birth
