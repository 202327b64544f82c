"""default_collate and default_convert, type by type."""

from collections import OrderedDict, UserDict, defaultdict, namedtuple

import numpy as np
import pytest

import fastnn
from fastnn.utils.data import default_collate, default_convert

Point = namedtuple("Point", ["x", "y"])


def check(tensor, values, dtype):
    assert isinstance(tensor, fastnn.Tensor)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), values)


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([1, 2, 3], "int64"),
        ([0.5, 0.25], "float64"),
        ([True, False], "bool"),
        ([np.float32(1), np.float32(2)], "float32"),
        ([np.int16(1), np.int16(2)], "int16"),
        ([np.ones(2, np.float32), np.zeros(2, np.float32)], "float32"),
        ([np.ones((), np.uint8), np.zeros((), np.uint8)], "uint8"),
    ],
)
def test_numbers_and_arrays(samples, dtype):
    check(default_collate(samples), np.stack(samples), getattr(fastnn, dtype))


def test_tensors_are_stacked():
    batch = default_collate([fastnn.tensor([1.0, 2.0]), fastnn.tensor([3.0, 4.0])])
    check(batch, [[1, 2], [3, 4]], fastnn.float32)


def test_text_stays():
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([b"a"]) == [b"a"]


def test_tuples_become_a_list_of_columns():
    batch = default_collate([(1, "a"), (2, "b")])
    assert type(batch) is list
    check(batch[0], [1, 2], fastnn.int64)
    assert list(batch[1]) == ["a", "b"]


def test_namedtuples_keep_their_type():
    batch = default_collate([Point(1, 2.0), Point(3, 4.0)])
    assert type(batch) is Point
    check(batch.x, [1, 3], fastnn.int64)
    check(batch.y, [2, 4], fastnn.float64)


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict])
def test_mappings_keep_their_type(kind):
    batch = default_collate([kind(a=1), kind(a=2)])
    assert type(batch) is kind
    check(batch["a"], [1, 2], fastnn.int64)


def test_default_dict_keeps_its_factory():
    batch = default_collate([defaultdict(list, a=1), defaultdict(list, a=2)])
    assert batch["missing"] == []


def test_nesting():
    batch = default_collate([{"p": [(1, 2)]}, {"p": [(3, 4)]}])
    check(batch["p"][0][1], [2, 4], fastnn.int64)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([[1], [1, 2]], RuntimeError, "equal size"),
        ([object()], TypeError, "found <class 'object'>"),
        ([None], TypeError, "NoneType"),
        ([np.array(["a"])], TypeError, "dtype <U1"),
        ([np.zeros(2), np.zeros(3)], RuntimeError, r"\(2,\), \(3,\)"),
    ],
)
def test_what_cannot_be_collated(samples, error, message):
    with pytest.raises(error, match=message):
        default_collate(samples)


def test_tensors_of_different_shapes():
    with pytest.raises(RuntimeError):
        default_collate([fastnn.zeros(2), fastnn.zeros(3)])


def test_convert_shares_memory_and_keeps_the_rest():
    array = np.arange(3.0)
    converted = default_convert({"a": (array, "text", 7), "p": Point(array, [array])})
    assert converted["a"][1:] == ["text", 7]
    assert np.shares_memory(converted["a"][0].numpy(), array)
    assert isinstance(converted["p"].y[0], fastnn.Tensor)
    check(default_convert(np.float32(2)), 2, fastnn.float32)
