"""Recurrent layers, cells and packed sequences against PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")

from .convert import to_fastnn  # noqa: E402
from .paired import compare, load  # noqa: E402

# A remark of PyTorch's on its own kernels
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")
T, N, IN, H = 5, 3, 4, 6
KINDS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("LSTM", {"proj_size": 2}), ("GRU", {})]  # fmt: skip


def _both(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    reference = getattr(torch.nn, name)(*args, **kwargs)
    module = getattr(fastnn.nn, name)(*args, **kwargs)
    load(reference, module)
    assert repr(module) == repr(reference)
    return reference, module


def _states(kind: str, options: dict[str, Any], layers: int, batch: tuple[int, ...]) -> Any:
    torch.manual_seed(1)
    h = torch.randn(layers, *batch, options.get("proj_size") or H, requires_grad=True)
    if kind != "LSTM":
        return h
    return (h, torch.randn(layers, *batch, H, requires_grad=True))


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize(
    ("layers", "bias", "batch_first", "bidirectional"),
    [(1, True, False, False), (2, True, True, True), (3, False, False, False), (1, False, True, True)],
)  # fmt: skip
def test_layers(
    kind: str, options: dict[str, Any], layers: int, bias: bool, batch_first: bool, bidirectional: bool
) -> None:  # fmt: skip
    reference, module = _both(
        kind, IN, H, layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional, **options
    )  # fmt: skip
    shape = (N, T, IN) if batch_first else (T, N, IN)
    x = torch.randn(*shape, requires_grad=True)
    compare(reference, module, (x,))
    count = layers * (2 if bidirectional else 1)
    compare(reference, module, (x, _states(kind, options, count, (N,))))
    single = torch.randn(T, IN, requires_grad=True)
    compare(reference, module, (single,))
    compare(reference, module, (single, _states(kind, options, count, ())))


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed(kind: str, options: dict[str, Any], enforce_sorted: bool) -> None:
    reference, module = _both(kind, IN, H, 2, bidirectional=True, **options)
    x = torch.randn(T, N, IN, requires_grad=True)
    lengths = [5, 3, 1] if enforce_sorted else [2, 5, 3]
    states = _states(kind, options, 4, (N,))

    def run(lib: Any, layer: Any, x: Any, states: Any) -> Any:
        rnn = lib.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
        y, h = layer(packed, states)
        padded, counts = rnn.pad_packed_sequence(y, total_length=6)
        return padded, counts, h

    compare(lambda *a: run(torch, reference, *a), lambda *a: run(fastnn, module, *a), (x, states))


@pytest.mark.parametrize(
    ("name", "options"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {"bias": False})],
)  # fmt: skip
def test_cells(name: str, options: dict[str, Any]) -> None:
    reference, module = _both(name, IN, H, **options)
    for batch in ((), (N,)):
        x = torch.randn(*batch, IN, requires_grad=True)
        compare(reference, module, (x,))
        h = torch.randn(*batch, H, requires_grad=True)
        c = torch.randn(*batch, H, requires_grad=True)
        compare(reference, module, (x, (h, c) if name == "LSTMCell" else h))


def test_functions() -> None:
    reference, module = _both("LSTM", IN, H, 2, batch_first=True)
    x = torch.randn(N, T, IN)
    states = (torch.zeros(2, N, H), torch.zeros(2, N, H))
    args = (True, 2, 0.0, False, False, True)
    expected = torch.lstm(x, states, [p for w in reference.all_weights for p in w], *args)
    weights = [p for w in module.all_weights for p in w]
    got = fastnn.lstm(to_fastnn(x), to_fastnn(states), weights, *args)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g.detach().numpy(), e.detach().numpy(), rtol=0, atol=1e-6)


def test_sequences() -> None:
    parts = [torch.randn(n, 2) for n in (2, 4, 1)]
    own = to_fastnn(parts)
    rnn, reference = fastnn.nn.utils.rnn, torch.nn.utils.rnn
    for first, side in itertools.product((True, False), ("left", "right")):
        e = reference.pad_sequence(parts, first, 2.5, side)
        np.testing.assert_array_equal(rnn.pad_sequence(own, first, 2.5, side).numpy(), e.numpy())
    packed, expected = rnn.pack_sequence(own, False), reference.pack_sequence(parts, False)
    for g, e in zip(packed, expected, strict=True):
        np.testing.assert_array_equal(g.numpy(), e.numpy())
    for g, e in zip(rnn.unpack_sequence(packed), parts, strict=True):
        np.testing.assert_array_equal(g.numpy(), e.numpy())
    lengths = torch.tensor([2, 4, 1])
    padded = reference.pad_sequence(parts)
    got = rnn.unpad_sequence(to_fastnn(padded), to_fastnn(lengths))
    for g, e in zip(got, reference.unpad_sequence(padded, lengths), strict=True):
        np.testing.assert_array_equal(g.numpy(), e.numpy())
    y, n = rnn.pad_packed_sequence(packed, True, -1.0, 6)
    ey, en = reference.pad_packed_sequence(expected, True, -1.0, 6)
    np.testing.assert_array_equal(y.numpy(), ey.numpy())
    np.testing.assert_array_equal(n.numpy(), en.numpy())
