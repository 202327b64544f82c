"""The C++ module. Kernels return NotImplemented for arrays that they do not serve (see backends/cpu)."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Function = TypeVar("Function", bound=Callable[..., Any])

# -- bindings/runtime.cpp
def isa() -> str: ...
def isa_levels() -> list[str]: ...
def set_isa(name: str) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def pool_stats() -> dict[str, int]: ...
def pool_trim() -> None: ...
def pool_set_limit(bytes: int) -> None: ...

# -- bindings/fast_call.cpp: the kernels of the other families, by the names of the protocol
def with_fallback(name: str, fallback: Function) -> Function: ...

# -- bindings/gemm.cpp
def matmul(a: Array, b: Array) -> Array: ...
def linear(x: Array, weight: Array, bias: Array | None, activation: str | None) -> Array: ...

# -- bindings/conv.cpp
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    activation: str | None,
) -> Array: ...
def conv2d_input_grad(
    g: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array: ...
def conv2d_weight_grad(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array: ...
