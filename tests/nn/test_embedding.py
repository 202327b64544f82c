"""Embeddings and bags of them: values, gradients of both orders, padding, norms, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn
from fastnn.autograd import gradcheck, gradgradcheck

INDEX = fastnn.tensor([1, 0, 1, 3, 1])
OFFSETS = fastnn.tensor([0, 2, 2])


def _table(rows: int = 4, features: int = 2) -> fastnn.Tensor:
    values = np.random.default_rng(0).permutation(rows * features).reshape(rows, features)
    return fastnn.from_numpy(values / 4.0).requires_grad_()


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"scale_grad_by_freq": True}])
def test_embedding(options: dict[str, Any]) -> None:
    table = _table()
    y = F.embedding(INDEX.reshape(5, 1), table, **options)
    np.testing.assert_array_equal(
        y.detach().numpy(), table.detach().numpy()[INDEX.numpy()][:, None]
    )
    factors = np.arange(10.0).reshape(5, 1, 2)
    (g,) = fastnn.autograd.grad((y * fastnn.from_numpy(factors)).sum(), table)
    expected = np.zeros((4, 2))
    for i, row in enumerate(INDEX.tolist()):
        if row != options.get("padding_idx"):
            scale = 3 if "scale_grad_by_freq" in options and row == 1 else 1
            expected[row] += factors[i, 0] / scale
    np.testing.assert_allclose(g.numpy(), expected, rtol=0, atol=1e-14)
    if not options:  # else the gradient is not the derivative
        assert gradgradcheck(lambda t: F.embedding(INDEX, t) ** 2, (table,))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 1])
def test_bags(mode: str, padding_idx: int | None) -> None:
    table = _table()
    y = F.embedding_bag(INDEX, table, OFFSETS, mode=mode, padding_idx=padding_idx)
    bags = [[1, 0], [], [1, 3, 1]]
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    for row, bag in zip(y.detach().numpy(), bags, strict=True):
        kept = [i for i in bag if i != padding_idx]
        expected = reduce(table.detach().numpy()[kept], axis=0) if kept else np.zeros(2)
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-14)
    function = lambda t: F.embedding_bag(INDEX, t, OFFSETS, mode=mode, padding_idx=padding_idx)  # noqa: E731
    assert gradcheck(function, (table,))
    assert gradgradcheck(lambda t: function(t) ** 2, (table,))


def test_bag_weights_and_ends() -> None:
    table = _table()
    weights = fastnn.from_numpy(np.arange(1.0, 6)).requires_grad_()
    assert gradcheck(lambda t, w: F.embedding_bag(INDEX, t, OFFSETS, mode="sum", per_sample_weights=w), (table, weights))  # fmt: skip
    ends = fastnn.tensor([0, 2, 2, 5])
    a = F.embedding_bag(INDEX, table, ends, include_last_offset=True)
    assert fastnn.equal(a, F.embedding_bag(INDEX, table, OFFSETS))
    rows = F.embedding_bag(INDEX[:4].reshape(2, 2), table)
    assert fastnn.equal(rows, F.embedding_bag(INDEX[:4], table, fastnn.tensor([0, 2])))


def test_max_norm_writes_the_rows_that_are_used() -> None:
    layer = nn.Embedding(3, 4, max_norm=1.0)
    before = layer.weight.detach().clone()
    y = layer(fastnn.tensor([1]))
    assert y.detach().norm() <= 1 + 1e-6  # rounding of the scaled row
    assert fastnn.equal(layer.weight[0], before[0])
    (y * y).sum().backward()
    with pytest.raises(IndexError):
        layer(fastnn.tensor([5]))


def test_layers() -> None:
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    assert layer.weight[4].abs().sum() == 0
    assert repr(layer) == "Embedding(5, 3, padding_idx=4)"
    frozen = nn.Embedding.from_pretrained(fastnn.ones(2, 3))
    assert not frozen.weight.requires_grad
    assert nn.Embedding.from_pretrained(fastnn.ones(2, 3), freeze=False).weight.requires_grad
    bag = nn.EmbeddingBag.from_pretrained(fastnn.ones(2, 3), mode="sum")
    assert repr(bag) == "EmbeddingBag(2, 3, mode='sum')"
    assert bag(fastnn.tensor([[0, 1]])).tolist() == [[2.0, 2.0, 2.0]]


def test_errors() -> None:
    table = fastnn.ones(3, 2)
    with pytest.raises(IndexError, match="index 3 is out of range for 3 rows"):
        F.embedding(fastnn.tensor([0, 3]), table)
    with pytest.raises(IndexError, match="index -1"):
        F.embedding(fastnn.tensor([-1]), table)
    with pytest.raises(RuntimeError, match="int64 or int32"):
        F.embedding(fastnn.ones(2), table)
    with pytest.raises(ValueError, match="sparse=True is not supported"):
        F.embedding(INDEX, table, sparse=True)
    with pytest.raises(ValueError, match="sparse=True is not supported"):
        nn.EmbeddingBag(3, 2, sparse=True)
    with pytest.raises(AssertionError, match="within num_embeddings"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(AssertionError, match="does not match"):
        nn.Embedding(3, 2, _weight=fastnn.ones(2, 2))
    with pytest.raises(ValueError, match="offsets has to be None"):
        F.embedding_bag(fastnn.tensor([[0]]), table, OFFSETS)
    with pytest.raises(ValueError, match="1D Tensor but got None"):
        F.embedding_bag(fastnn.tensor([0]), table)
    with pytest.raises(ValueError, match="offsets must start at 0"):
        F.embedding_bag(fastnn.tensor([0, 1]), table, fastnn.tensor([1]))
    with pytest.raises(NotImplementedError, match="only supported for mode='sum'"):
        F.embedding_bag(fastnn.tensor([[0]]), table, per_sample_weights=fastnn.ones(1, 1))
    with pytest.raises(ValueError, match="mode has to be one of"):
        F.embedding_bag(fastnn.tensor([[0]]), table, mode="min")
