"""Devices and memory formats, by PyTorch's names."""

from __future__ import annotations

from typing import Any


class device:
    """Where a tensor lives: "cpu".

    Raises:
        RuntimeError: a device that this build does not have.

    >>> import fastnn
    >>> fastnn.device("cpu")
    device(type='cpu')
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        name: str = type.type if isinstance(type, device) else str(type)
        kind, _, number = name.partition(":")
        if kind != "cpu":
            raise RuntimeError(
                f"device {name!r} is not available: this version of fastnn computes on 'cpu'"
            )
        self.type = kind
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}')"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and other.type == self.type

    def __hash__(self) -> int:
        return hash(self.type)

    def __enter__(self) -> device:
        return self  # new tensors are made on the CPU anyway

    def __exit__(self, *exc: object) -> None:
        return None


CPU = device("cpu")


def check_device(wanted: Any, operation: str) -> None:
    """Raise RuntimeError unless ``wanted`` (None or a device) is the CPU."""
    if wanted is not None and wanted is not CPU:
        try:
            device(wanted)
        except RuntimeError as error:
            raise RuntimeError(f"{operation}: {error}") from None


class memory_format:
    """How an image's axes lie in memory."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fastnn.{self.name}"


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
preserve_format = memory_format("preserve_format")


class layout:
    """How a tensor's elements are stored: ``fastnn.strided`` is the only way."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fastnn.{self.name}"


strided = layout("strided")


def check_storage(operation: str, device: Any, layout: Any, pin_memory: bool) -> None:
    """Raise RuntimeError for a place or a way of storing that this build does not have."""
    check_device(device, operation)
    if layout is not None and layout is not strided:
        raise RuntimeError(
            f"{operation}: layout {layout!r} is not supported; tensors are fastnn.strided"
        )
    if pin_memory:
        raise RuntimeError(f"{operation}: pin_memory=True needs an accelerator, and there is none")
