"""Containers of modules and of parameters."""

from __future__ import annotations

from typing import Any

import pytest

import fastnn
from fastnn import nn


def _sizes(row: Any) -> list[int]:
    return [m.out_features for m in row]


def _linears(*sizes: int) -> list[nn.Linear]:
    return [nn.Linear(1, n) for n in sizes]


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_rows_change(kind: Any) -> None:
    row = kind(*_linears(1, 2)) if kind is nn.Sequential else kind(_linears(1, 2))
    row.append(nn.Linear(1, 3)).extend(_linears(4, 5))
    row.insert(1, nn.Linear(1, 9))
    assert _sizes(row) == [1, 9, 2, 3, 4, 5]
    assert row.pop(-2).out_features == 4
    del row[0]
    row[0] = nn.Linear(1, 8)
    assert _sizes(row) == [8, 2, 3, 5]
    assert list(row._modules) == ["0", "1", "2", "3"]
    del row[1:3]
    assert _sizes(row) == [8, 5]
    assert _sizes(row[1:]) == [5]
    assert type(row[:1]) is kind
    assert row[0] in row
    with pytest.raises(IndexError, match="out of range"):
        row[2]
    with pytest.raises(TypeError, match="called with an iterable"):
        row.extend(3)


def test_sums_and_products_of_rows() -> None:
    a, b = nn.Sequential(*_linears(1, 2)), nn.Sequential(*_linears(3))
    assert _sizes(a + b) == [1, 2, 3]
    assert _sizes(b * 3) == _sizes(3 * b) == [3, 3, 3]
    a += b
    assert _sizes(a) == [1, 2, 3]
    b *= 2
    assert len(b) == 2
    assert b[0] is b[1]
    with pytest.raises(ValueError, match="Non-positive"):
        b * 0
    with pytest.raises(IndexError, match="Index out of range"):
        b.insert(5, nn.ReLU())
    held = nn.ModuleList(_linears(1)) + _linears(2)
    held += _linears(3)
    assert _sizes(held) == [1, 2, 3]


def test_module_dict() -> None:
    held = nn.ModuleDict([("a", nn.ReLU()), ("b", nn.Tanh())])
    held.update({"c": nn.Sigmoid()})
    assert list(held) == ["a", "b", "c"]
    held.update(nn.ModuleDict({"a": nn.Tanh()}))
    assert type(held["a"]) is nn.Tanh
    assert type(held.pop("b")) is nn.Tanh
    assert "b" not in held
    held.clear()
    assert len(held) == 0
    with pytest.raises(TypeError, match="key/value pairs"):
        held.update(3)


def test_parameter_list() -> None:
    held = nn.ParameterList([fastnn.ones(2), nn.Parameter(fastnn.ones(3)), "text"])
    assert [n for n, _ in held.named_parameters()] == ["0", "1"]
    assert held[2] == "text"
    held[0] = fastnn.zeros(4)
    assert isinstance(held[0], nn.Parameter)
    held += [fastnn.ones(5)]
    assert len(held) == 4
    assert held[-1].shape == (5,)
    assert [p.shape for p in held[:2]] == [(4,), (3,)]
    assert "Parameter containing: [fastnn.float32 of size 4]" in repr(held)
    with pytest.raises(IndexError, match="out of range"):
        held[4]
    with pytest.raises(TypeError, match="iterable"):
        held.extend(fastnn.ones(2))
    twin = nn.ParameterList([fastnn.zeros(4), fastnn.zeros(3), "text", fastnn.zeros(5)])
    twin.load_state_dict(held.state_dict())
    assert twin[1].sum().item() == 3


def test_parameter_dict() -> None:
    held = nn.ParameterDict({"a": fastnn.ones(2), "b": 3})
    assert isinstance(held["a"], nn.Parameter)
    assert held["b"] == 3
    assert list(held.state_dict()) == ["a"]
    assert held.get("c", 7) == 7
    assert held.setdefault("c", fastnn.ones(1)).shape == (1,)
    assert list(reversed(held)) == ["c", "b", "a"]
    assert held.pop("b") == 3
    both = held | nn.ParameterDict({"d": fastnn.ones(4)})
    assert list(both.keys()) == ["a", "c", "d"]
    assert list(held.keys()) == ["a", "c"]
    assert held.popitem()[0] == "c"
    held |= nn.ParameterDict({"e": fastnn.ones(4)})
    assert [k for k, _ in held.items()] == ["a", "e"]
    assert [v.shape for v in held.values()] == [(2,), (4,)]
    assert list(held.fromkeys(["x", "y"], 1)) == ["x", "y"]
    held.clear()
    assert len(held) == 0
    with pytest.raises(TypeError, match="not a string"):
        held[3] = fastnn.ones(1)
    with pytest.raises(KeyError):
        held["a"]
    with pytest.raises(TypeError, match="key/value pairs"):
        held.update(3)
