"""Recurrent layers: gradients of both orders, packed sequences, arguments and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.autograd import gradcheck, gradgradcheck
from fastnn.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
)

KINDS: list[tuple[type[nn.RNNBase], dict[str, Any]]] = [
    (nn.RNN, {}),
    (nn.RNN, {"nonlinearity": "relu"}),
    (nn.LSTM, {}),
    (nn.LSTM, {"proj_size": 1}),
    (nn.GRU, {}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_of_both_orders(
    kind: type[nn.RNNBase], options: dict[str, Any], bias: bool
) -> None:
    layer: Any = kind(1, 2, bidirectional=True, bias=bias, dtype=fastnn.float64, **options)
    names = list(dict(layer.named_parameters()))
    fastnn.manual_seed(3)
    x = fastnn.randn(2, 2, 1, dtype=fastnn.float64, requires_grad=True)
    h = fastnn.randn(2, 2, options.get("proj_size", 2), dtype=fastnn.float64, requires_grad=True)
    c = fastnn.randn(2, 2, 2, dtype=fastnn.float64, requires_grad=True)

    def function(x: Any, h: Any, c: Any, *weights: Any) -> Any:
        for name, w in zip(names, weights, strict=True):
            layer._parameters[name] = w
        packed = pack_padded_sequence(x, [2, 1])
        y, last = layer(packed, (h, c) if kind is nn.LSTM else h)
        out = (y.data, *last) if kind is nn.LSTM else (y.data, last)
        return out if kind is nn.LSTM else (*out, c * c)

    weights = [p.detach().requires_grad_() for p in layer.parameters()]
    assert gradcheck(function, (x, h, c, *weights))
    assert gradgradcheck(function, (x, h, c, *weights))


def test_one_output_alone_has_a_gradient() -> None:
    layer = nn.LSTM(2, 3)
    for pick in range(3):
        y, (h, c) = layer(fastnn.ones(4, 1, 2))
        layer.zero_grad()
        (y, h, c)[pick].sum().backward()
        assert layer.weight_hh_l0.grad is not None
        (g,) = fastnn.autograd.grad(
            layer(fastnn.ones(4, 1, 2))[1][0].sum(), layer.weight_ih_l0, create_graph=True
        )
        assert g.requires_grad


def test_packed_is_each_sequence_alone() -> None:
    layer = nn.GRU(2, 3, 2, bidirectional=True)
    parts = [fastnn.randn(n, 2) for n in (2, 4, 3)]
    packed, h = layer(pack_sequence(parts, enforce_sorted=False))
    padded, lengths = pad_packed_sequence(packed)
    assert lengths.tolist() == [2, 4, 3]
    for i, part in enumerate(parts):
        y, last = layer(part)
        # The same sums in the same order, but of matrices of other sizes: a few roundings
        np.testing.assert_allclose(padded[: len(part), i].tolist(), y.tolist(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(h[:, i].tolist(), last.tolist(), rtol=0, atol=1e-6)
        assert padded[len(part) :, i].abs().sum() == 0


def test_dropout_between_layers() -> None:
    layer = nn.LSTM(2, 3, 2, dropout=1.0)
    x = fastnn.randn(4, 1, 2)
    trained = layer(x)[0]
    zero = layer.eval()(x)[0]
    assert not fastnn.allclose(trained, zero)
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.GRU(2, 3, dropout=0.5)


def test_names_and_weights() -> None:
    layer = nn.LSTM(2, 3, 2, bidirectional=True, proj_size=1)
    assert layer.weight_hr_l1_reverse.shape == (1, 3)
    assert layer.weight_ih_l1.shape == (12, 2)
    assert [len(w) for w in layer.all_weights] == [5] * 4
    layer.flatten_parameters()
    assert layer.double()(fastnn.zeros(1, 1, 2).double())[0].dtype is fastnn.float64


@pytest.mark.parametrize("dtype", [fastnn.float16, fastnn.bfloat16])
def test_low_precision(dtype: Any) -> None:
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        layer = kind(2, 3).to(dtype)
        y = layer(fastnn.ones(4, 1, 2).to(dtype))[0]
        y.sum().backward()
        assert y.dtype is dtype
        assert layer.weight_hh_l0.grad.dtype is dtype


def test_packed_sequence() -> None:
    packed = pack_padded_sequence(fastnn.ones(2, 2), fastnn.tensor([1, 2]), True, False)
    assert packed.to(fastnn.float64).data.dtype is fastnn.float64
    assert packed.to(fastnn.float32) is packed
    assert packed.half().data.dtype is fastnn.float16
    assert isinstance(packed, tuple)
    assert invert_permutation(None) is None
    assert PackedSequence(packed.data, packed.batch_sizes).sorted_indices is None


def test_errors() -> None:
    layer = nn.LSTM(2, 3)
    x = fastnn.ones(4, 1, 2)
    with pytest.raises(RuntimeError, match="input_size. Expected 2, got 5"):
        layer(fastnn.ones(4, 1, 5))
    with pytest.raises(ValueError, match="2D or 3D, got 4D"):
        layer(fastnn.ones(1, 4, 1, 2))
    with pytest.raises(ValueError, match="does not match weight dtype"):
        layer(x.double())
    with pytest.raises(RuntimeError, match="tuple of two tensors"):
        layer(x, fastnn.zeros(1, 1, 3))
    with pytest.raises(RuntimeError, match=r"hidden\[0\] size \(1, 1, 3\), got \[1, 2, 3\]"):
        layer(x, (fastnn.zeros(1, 2, 3), fastnn.zeros(1, 1, 3)))
    with pytest.raises(RuntimeError, match="hx should also be 3-D"):
        nn.GRU(2, 3)(x, fastnn.zeros(1, 3))
    with pytest.raises(RuntimeError, match="sequence length"):
        layer(fastnn.ones(0, 1, 2))
    with pytest.raises(ValueError, match="Unknown nonlinearity"):
        nn.RNN(2, 3, nonlinearity="gelu")
    with pytest.raises(ValueError, match="smaller than hidden_size"):
        nn.LSTM(2, 3, proj_size=3)
    with pytest.raises(ValueError, match="hidden_size must be greater"):
        nn.GRU(2, 0)
    with pytest.raises(TypeError, match="num_layers should be of type int"):
        nn.GRU(2, 3, 1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="range \\[0, 1\\]"):
        nn.GRU(2, 3, 2, dropout=2.0)
    with pytest.raises(RuntimeError, match="inconsistent input_size"):
        nn.LSTMCell(2, 3)(fastnn.ones(1, 4))
    with pytest.raises(RuntimeError, match="hidden has inconsistent"):
        nn.GRUCell(2, 3)(fastnn.ones(1, 2), fastnn.ones(1, 4))
    with pytest.raises(ValueError, match="1D or 2D, got 3D"):
        nn.RNNCell(2, 3)(fastnn.ones(1, 1, 2))
    with pytest.raises(RuntimeError, match="sorted in decreasing order"):
        pack_padded_sequence(fastnn.ones(3, 2), [1, 3])
    with pytest.raises(RuntimeError, match="greater than 0"):
        pack_padded_sequence(fastnn.ones(3, 2), [1, 0])
    with pytest.raises(RuntimeError, match="equal to batch_size"):
        pack_padded_sequence(fastnn.ones(3, 2), [1])
    with pytest.raises(ValueError, match="total_length"):
        pad_packed_sequence(pack_padded_sequence(fastnn.ones(3, 1), [3]), total_length=2)
    with pytest.raises(RuntimeError, match="empty list"):
        pad_sequence([])
    with pytest.raises(ValueError, match="padding_side"):
        pad_sequence([fastnn.ones(1)], padding_side="up")
