"""Tensor: creation, dtypes, promotion, views, indexing, conversion, printing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastnn


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, fastnn.int64),
        (1.5, fastnn.float32),
        (True, fastnn.bool),
        ([], fastnn.float32),
        ([[1, 2], [3, 4]], fastnn.int64),
        ([1, 2.5], fastnn.float32),
        (np.float64(2), fastnn.float64),
        (np.arange(3, dtype=np.uint8), fastnn.uint8),
        (np.arange(3, dtype=np.uint16), fastnn.int64),
        (np.arange(3, dtype=">f4"), fastnn.float32),
        ([np.ones(2), np.zeros(2)], fastnn.float64),
        ([fastnn.ones(2), fastnn.zeros(2)], fastnn.float32),
    ],
)
def test_tensor_dtype(data: Any, dtype: Any) -> None:
    t = fastnn.tensor(data)
    assert t.dtype is dtype
    expected = [np.asarray(d) for d in data] if isinstance(data, list) else data
    np.testing.assert_array_equal(t.numpy(), np.asarray(expected))


def test_tensor_copies_and_from_numpy_shares() -> None:
    a = np.zeros(3, np.float32)
    copied, shared = fastnn.tensor(a), fastnn.from_numpy(a)
    a[0] = 5
    assert copied[0].item() == 0
    assert shared[0].item() == 5
    shared[1] = 7
    assert a[1] == 7
    assert fastnn.as_tensor(a)._data is a


@pytest.mark.parametrize("data", ["text", [1, "a"], [[1, 2], [3]], object(), None, {"a": 1}])
def test_tensor_refuses(data: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="tensor"):
        fastnn.tensor(data)


PROMOTIONS = [
    (fastnn.ones(2), 1, fastnn.float32),
    (fastnn.ones(2, dtype=fastnn.int64), 1.5, fastnn.float32),
    (fastnn.ones(2, dtype=fastnn.int32), 1, fastnn.int32),
    (fastnn.ones(2, dtype=fastnn.bool), 1, fastnn.int64),
    (fastnn.ones(2, dtype=fastnn.float16), 1.5, fastnn.float16),
    (fastnn.ones(2, dtype=fastnn.int64), fastnn.ones(2), fastnn.float32),
    (fastnn.ones(2), fastnn.ones(2, dtype=fastnn.float64), fastnn.float64),
    (fastnn.ones(2), fastnn.tensor(1.0, dtype=fastnn.float64), fastnn.float32),
    (fastnn.ones(2, dtype=fastnn.int64), fastnn.tensor(1.5, dtype=fastnn.float64), fastnn.float64),
    (fastnn.ones(2, dtype=fastnn.uint8), fastnn.ones(2, dtype=fastnn.int8), fastnn.int16),
    (fastnn.ones(2, dtype=fastnn.float16), fastnn.ones(2, dtype=fastnn.bfloat16), fastnn.float32),
    (fastnn.tensor(1), fastnn.tensor(1.5), fastnn.float32),
]


@pytest.mark.parametrize(("a", "b", "dtype"), PROMOTIONS)
def test_promotion(a: Any, b: Any, dtype: Any) -> None:
    assert (a + b).dtype is dtype
    assert (b + a).dtype is dtype
    assert fastnn.result_type(a, b) is dtype


def test_integer_division_and_power() -> None:
    a = fastnn.tensor([7, -7])
    assert (a / 2).tolist() == [3.5, -3.5]
    assert (a // 2).tolist() == [3, -4]
    assert (a % 4).tolist() == [3, 1]
    assert fastnn.div(a, 2, rounding_mode="trunc").tolist() == [3, -3]
    assert (a**2).tolist() == [49, 49]
    with pytest.raises(RuntimeError, match="zero"):
        a // 0
    with pytest.raises(RuntimeError, match="negative integer powers"):
        a**-1


@pytest.mark.parametrize("dtype", [fastnn.float16, fastnn.bfloat16])
def test_half_types(dtype: Any) -> None:
    x = fastnn.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
    y = (x * x + 1).sum()
    y.backward()
    assert y.dtype is dtype
    assert y.item() == 17.0
    assert x.grad is not None
    assert x.grad.dtype is dtype
    assert x.grad.float().tolist() == [2.0, 4.0, 6.0]
    assert x.detach().numpy().dtype == dtype.numpy
    assert fastnn.bfloat16.numpy == ml_dtypes.bfloat16


def test_views_share_memory() -> None:
    x = fastnn.arange(24.0).view(2, 3, 4)
    views = [
        x.view(6, 4), x.reshape(-1), x.transpose(0, 1), x.permute(2, 0, 1), x[0], x[:, 1:], x.unsqueeze(0),
        x.flatten(), x.expand(2, 2, 3, 4), x.T, x.chunk(2, 1)[1], x.split(1)[0], x.unbind(2)[3], x.detach(),
    ]  # fmt: skip
    for v in views:
        assert np.shares_memory(v.numpy(), x.numpy())
    x[...] = 1
    for v in views:
        assert (v == 1).all()
    assert not np.shares_memory(x.clone().numpy(), x.numpy())


def test_view_of_incompatible_strides() -> None:
    with pytest.raises(RuntimeError, match="use .reshape"):
        fastnn.ones(2, 3).t().view(6)
    with pytest.raises(RuntimeError, match="invalid for input of size 6"):
        fastnn.ones(2, 3).view(4)


@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=4),
    data=st.data(),
)
def test_basic_indexing_like_numpy(shape: tuple[int, ...], data: Any) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    items = index if isinstance(index, tuple) else (index,)
    t = fastnn.from_numpy(array)
    if any(isinstance(i, slice) and i.step is not None and i.step < 0 for i in items):
        with pytest.raises(ValueError, match="step must be greater than zero"):
            t[index]
        return
    expected = np.asarray(array[index])
    got = t[index]
    assert tuple(got.shape) == expected.shape
    np.testing.assert_array_equal(got.numpy(), expected)
    assert expected.size == 0 or np.shares_memory(got.numpy(), array)


@given(shape=hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), data=st.data())
def test_advanced_indexing_like_numpy(shape: tuple[int, ...], data: Any) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    index = data.draw(
        hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3))
    )
    t = fastnn.from_numpy(array)
    wrapped = tuple(fastnn.from_numpy(np.asarray(i)) for i in index)
    np.testing.assert_array_equal(t[wrapped].numpy(), array[index])
    mask = array > array.mean()
    np.testing.assert_array_equal(t[fastnn.from_numpy(mask)].numpy(), array[mask])


def test_setitem() -> None:
    x = fastnn.zeros(3, 4)
    x[0] = 1
    x[1, 1:3] = fastnn.tensor([5, 6])
    x[fastnn.tensor([2, 2]), fastnn.tensor([0, 3])] = 7.5
    x[x == 0] = -1
    assert x.tolist() == [[1, 1, 1, 1], [-1, 5, 6, -1], [7.5, -1, -1, 7.5]]
    x[0, :3] = x[0, 1:]  # overlapping memory
    with pytest.raises(RuntimeError, match=r"shape mismatch.*\(2,\)"):
        x[0] = fastnn.ones(2)
    with pytest.raises(IndexError):
        x[5] = 1
    with pytest.raises(IndexError, match="integer or bool"):
        x[fastnn.ones(2)]


def test_conversions() -> None:
    x = fastnn.arange(6.0).view(2, 3)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.asarray(x).base is x.numpy().base or np.shares_memory(np.asarray(x), x.numpy())
    assert fastnn.from_dlpack(x)[1, 2].item() == 5
    assert np.shares_memory(np.from_dlpack(x), x.numpy())
    assert float(x[0, 1]) == 1.0
    assert [1, 2, 3][fastnn.tensor(1)] == 2
    assert len(x) == 2
    assert [r.tolist() for r in x] == x.tolist()
    assert 5.0 in x
    assert f"{x[1, 2]:.1f}" == "5.0"
    with pytest.raises(RuntimeError, match="6 elements"):
        x.item()
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(x)
    with pytest.raises(RuntimeError, match="requires grad"):
        x.clone().requires_grad_().numpy()


def test_copy_and_pickle() -> None:
    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.requires_grad
        assert other.tolist() == [1, 2]
        assert not np.shares_memory(other.detach().numpy(), x.detach().numpy())
    with pytest.raises(RuntimeError, match="only leaf"):
        copy.deepcopy(x * 2)


def test_memory_formats() -> None:
    x = fastnn.rand(2, 3, 4, 5)
    y = x.to(memory_format=fastnn.channels_last)
    assert y.is_contiguous(memory_format=fastnn.channels_last)
    assert not y.is_contiguous()
    assert y.stride() == (60, 1, 15, 3)
    assert fastnn.equal(x, y)
    assert y.contiguous().is_contiguous()
    with pytest.raises(RuntimeError, match="4 dims"):
        x[0].contiguous(memory_format=fastnn.channels_last)


def test_devices() -> None:
    x = fastnn.ones(2)
    assert x.to("cpu") is x
    assert x.device == fastnn.device("cpu")
    for make in (
        lambda: x.to("cuda"),
        lambda: fastnn.ones(2, device="cuda:0"),
        lambda: x.pin_memory(),
    ):
        with pytest.raises(RuntimeError, match="not available"):
            make()
    with pytest.raises(RuntimeError, match="'tpu' is not known"):
        fastnn.device("tpu")


def test_creation() -> None:
    assert fastnn.arange(5).dtype is fastnn.int64
    assert fastnn.arange(0, 1, 0.25).tolist() == [0, 0.25, 0.5, 0.75]
    assert fastnn.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert fastnn.eye(2).tolist() == [[1, 0], [0, 1]]
    assert fastnn.full((2,), 3).dtype is fastnn.int64
    assert fastnn.full((2,), 3.0).dtype is fastnn.float32
    assert fastnn.zeros_like(fastnn.ones(2, dtype=fastnn.int32)).dtype is fastnn.int32
    assert fastnn.empty(0, 3).shape == (0, 3)
    for call in (
        lambda: fastnn.zeros(-1),
        lambda: fastnn.arange(3, 0),
        lambda: fastnn.arange(0, 1, 0),
    ):
        with pytest.raises(RuntimeError):
            call()


def test_default_dtype() -> None:
    try:
        fastnn.set_default_dtype(fastnn.float64)
        assert fastnn.tensor(1.5).dtype is fastnn.float64
        assert fastnn.ones(2).dtype is fastnn.float64
        assert fastnn.nn.Linear(2, 2).weight.dtype is fastnn.float64
    finally:
        fastnn.set_default_dtype(fastnn.float32)
    with pytest.raises(TypeError):
        fastnn.set_default_dtype(fastnn.int64)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (fastnn.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (fastnn.tensor([1.0, -2.0]), "tensor([ 1., -2.])"),
        (fastnn.tensor([[1, -20], [3, 4]]), "tensor([[  1, -20],\n        [  3,   4]])"),
        (fastnn.tensor([True, False]), "tensor([ True, False])"),
        (fastnn.tensor([1e-6, 1.0]), "tensor([1.0000e-06, 1.0000e+00])"),
        (fastnn.tensor([float("nan"), float("inf")]), "tensor([nan, inf])"),
        (fastnn.tensor(3), "tensor(3)"),
        (fastnn.tensor([]), "tensor([])"),
        (fastnn.zeros(2, 0), "tensor([], size=(2, 0))"),
        (fastnn.tensor([1.0], dtype=fastnn.float64), "tensor([1.], dtype=fastnn.float64)"),
        (fastnn.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (fastnn.tensor([1.0], requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward0>)"),
        (fastnn.zeros(1001), "tensor([0., 0., 0.,  ..., 0., 0., 0.])"),
    ],
)
def test_repr(x: Any, text: str) -> None:
    assert repr(x) == text


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: fastnn.ones(2) + fastnn.ones(3), RuntimeError, r"add.*\(2,\) and \(3,\)"),
    (
        lambda: fastnn.ones(2, 3) @ fastnn.ones(2, 3),
        RuntimeError,
        r"cannot be multiplied.*\(2, 3\)",
    ),
    (lambda: fastnn.ones(2) @ fastnn.ones(2, dtype=fastnn.float64), RuntimeError, "same dtype"),
    (lambda: fastnn.ones(2).sum(1), IndexError, r"Dimension out of range.*got 1"),
    (lambda: fastnn.ones(2, 2).sum((0, 0)), RuntimeError, "several times"),
    (lambda: fastnn.ones(2, dtype=fastnn.int64).mean(), RuntimeError, "floating"),
    (lambda: fastnn.ones(0).max(), IndexError, "zero elements"),
    (lambda: fastnn.cat([fastnn.ones(2, 2), fastnn.ones(3, 3)]), RuntimeError, "cat"),
    (lambda: fastnn.cat([]), ValueError, "non-empty"),
    (lambda: fastnn.stack([fastnn.ones(2), fastnn.ones(3)]), RuntimeError, "stack"),
    (lambda: fastnn.ones(2).expand(3), RuntimeError, "expand"),
    (lambda: fastnn.ones(2, 2).permute(0), RuntimeError, "permute"),
    (lambda: fastnn.ones(4).split([1, 2]), RuntimeError, "sum to 4"),
    (lambda: fastnn.ones(2).clamp(), RuntimeError, "clamp"),
    (lambda: fastnn.where(fastnn.ones(2), 1.0, 0.0), RuntimeError, "bool condition"),
    (
        lambda: fastnn.ones(2, dtype=fastnn.bool) - fastnn.ones(2, dtype=fastnn.bool),
        RuntimeError,
        "bool",
    ),
    (lambda: fastnn.ones(2).gather(0, fastnn.tensor([3])), IndexError, "out of bounds"),
    (lambda: fastnn.ones(2, 3)[5], IndexError, "out of bounds"),
    (lambda: fastnn.ones(2, 3)[0, 0, 0], IndexError, "too many indices"),
    (lambda: fastnn.ones(2) + "a", TypeError, "str"),
    (lambda: fastnn.ones(2, dtype=fastnn.int64).requires_grad_(), RuntimeError, "floating point"),
    (lambda: fastnn.from_numpy([1]), TypeError, "from_numpy"),
    (lambda: fastnn.from_numpy(np.array(["a"])), TypeError, "cannot hold"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
