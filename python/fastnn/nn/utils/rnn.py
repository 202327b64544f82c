"""Sequences of different lengths: padded, packed, and as a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._core import make
from ..._device import CPU, place, place_beside
from ...ops.creation import tensor
from ...ops.shape import cat
from ...tensor import Tensor


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences of different lengths without padding: the rows of step 0 of all of them, then those of step 1, ...

    Args:
        data: (L, ...), L the sum of all lengths.
        batch_sizes: int64 (T,), how many sequences have each step; never growing.
        sorted_indices: the order in which the sequences were taken (longest first); None: as they were.
        unsorted_indices: the inverse order.

    Made by ``pack_padded_sequence`` and ``pack_sequence``.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise TypeError("PackedSequence: expected data and batch_sizes")
            data, batch_sizes = data
        if sorted_indices is not None and unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence with its data converted (dtype, device); itself where nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def cpu(self) -> PackedSequence:
        """On the CPU: itself."""
        return self

    def pin_memory(self) -> PackedSequence:
        """In memory that a GPU reads faster: on the CPU, itself."""
        return self

    def double(self) -> PackedSequence:
        """The data cast to float64."""
        return self.to(self.data.double().dtype)

    def float(self) -> PackedSequence:
        """The data cast to float32."""
        return self.to(self.data.float().dtype)

    def half(self) -> PackedSequence:
        """The data cast to float16."""
        return self.to(self.data.half().dtype)

    def long(self) -> PackedSequence:
        """The data cast to int64."""
        return self.to(self.data.long().dtype)

    def int(self) -> PackedSequence:
        """The data cast to int32."""
        return self.to(self.data.int().dtype)

    @property
    def is_cuda(self) -> bool:
        """Whether the data lie on a GPU."""
        return self.data.device.type == "cuda"

    def is_pinned(self) -> bool:
        """Whether the data lie in pinned memory: never on the CPU."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The order that undoes ``permutation`` (None stays None)."""
    if permutation is None:
        return None
    order = permutation._data
    return make(np.argsort(order).astype(order.dtype, copy=False))


def _lengths_array(lengths: Any) -> Any:
    array = (
        place(lengths._data, CPU) if isinstance(lengths, Tensor) else np.asarray(lengths, np.int64)
    )
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise RuntimeError(
            f"lengths should be a 1-D tensor of integers, got {array.dtype} {tuple(array.shape)}"
        )
    return array.astype(np.int64)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Take the padding out of a batch.

    Args:
        input: (T, N, ...), or (N, T, ...) if ``batch_first``.
        lengths: the N lengths, a list or an integer tensor.
        enforce_sorted: the lengths must not grow; else they are sorted, and the order is remembered.

    Raises:
        RuntimeError: lengths that do not fit, or grow although ``enforce_sorted``.

    >>> import fastnn
    >>> from fastnn.nn.utils.rnn import pack_padded_sequence
    >>> packed = pack_padded_sequence(fastnn.tensor([[1, 2, 0], [3, 4, 5]]), [2, 3], True, False)
    >>> packed.data, packed.batch_sizes
    (tensor([3, 1, 4, 2, 5]), tensor([2, 2, 1]))
    """
    counts = _lengths_array(lengths)
    indices = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        counts = counts[order]
        indices = make(place_beside(order, input._data))
        input = input[indices] if batch_first else input[:, indices]
    x = input.transpose(0, 1) if batch_first else input
    steps, batch = x._data.shape[:2]
    if len(counts) != batch:
        raise RuntimeError(
            f"pack_padded_sequence: expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={batch})"
        )
    if batch == 0 or counts.min() <= 0:
        raise RuntimeError(
            "pack_padded_sequence: length of all samples has to be greater than 0, but found an element that is <= 0"
        )
    if (np.diff(counts) > 0).any():
        raise RuntimeError(
            "pack_padded_sequence: `lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "Pass enforce_sorted=False to have the sequences sorted"
        )
    if counts[0] > steps:
        raise RuntimeError(
            f"pack_padded_sequence: expected lengths of at most {steps}, the input's steps, got {counts[0]}"
        )
    # Row n of step t is there where counts[n] > t; in memory order this is step by step
    present = counts[None, :] > np.arange(counts[0])[:, None]
    step, sample = np.nonzero(present)
    data = x[make(place_beside(step, x._data)), make(place_beside(sample, x._data))]
    sizes = make(present.sum(1).astype(np.int64))
    return PackedSequence(data, sizes, indices)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(padded, lengths): the inverse of ``pack_padded_sequence``.

    Args:
        sequence: what is packed.
        batch_first: (N, T, ...) instead of (T, N, ...).
        padding_value: the value of the padding.
        total_length: T; by default the longest length.

    Raises:
        ValueError: ``total_length`` is less than the longest length.
    """
    sizes = sequence.batch_sizes._data
    longest = len(sizes)
    steps = longest
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                f"Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {longest}"
            )
        steps = total_length
    batch = int(sizes[0])
    counts = (sizes[:, None] > np.arange(batch)[None, :]).sum(0).astype(np.int64)
    present = np.zeros((steps, batch), bool)
    present[:longest] = sizes[:, None] > np.arange(batch)[None, :]
    data = sequence.data
    # Every place reads its row, or the one row of padding behind them
    index = np.full((steps, batch), len(data._data), np.int64)
    index[present] = np.arange(len(data._data))
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.cpu()._data
        index, counts = index[:, back], counts[back]
    shape = (1, *data._data.shape[1:])
    filler = make(np.full_like(data._data, padding_value, shape=shape))
    index = place_beside(index.T if batch_first else index, data._data)
    return cat([data, filler])[make(index)], make(counts)


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (T_i, ...) as one tensor (T, N, ...), T the longest, or (N, T, ...) if ``batch_first``.

    Raises:
        RuntimeError: no sequences, or sizes that differ beside the length.
        ValueError: ``padding_side`` is neither "right" nor "left".

    >>> import fastnn
    >>> from fastnn.nn.utils.rnn import pad_sequence
    >>> pad_sequence([fastnn.tensor([1, 2]), fastnn.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"padding_side must be 'right' or 'left', got {padding_side!r}")
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    items = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not items:
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    rest = items[0]._data.shape[1:]
    steps = max(len(s._data) for s in items)
    padded = []
    for s in items:
        if s._data.shape[1:] != rest:
            raise RuntimeError(
                f"pad_sequence: sizes must match beside the length, got {tuple(s.shape)} and {tuple(items[0].shape)}"
            )
        missing = steps - len(s._data)
        if missing:
            shape = (missing, *rest)
            filler = make(np.full_like(s._data, padding_value, shape=shape))
            s = cat([s, filler] if padding_side == "right" else [filler, s])
        padded.append(s.unsqueeze(0 if batch_first else 1))
    return cat(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded batch (T, N, ...), each cut to its length."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[i, : int(n)] for i, n in enumerate(_lengths_array(lengths))]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (T_i, ...) packed; longest first if ``enforce_sorted``.

    Raises:
        RuntimeError: as ``pad_sequence`` and ``pack_padded_sequence``.
    """
    lengths = tensor([len(s._data) for s in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed sequence, as a list."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
