"""In-place writes: through views, in the graph, and those that would corrupt a gradient."""

from __future__ import annotations

from typing import Any

import pytest

import fastnn
from fastnn import autograd


def leaf(*values: float) -> fastnn.Tensor:
    return fastnn.tensor([float(v) for v in values], requires_grad=True)


CORRUPTIONS: list[Any] = [
    lambda x: (y := x * 1, (y * y).sum(), y.add_(1))[1],
    lambda x: (y := x.exp(), y.sum(), y.mul_(2))[1],
    lambda x: (y := x.sigmoid(), y.sum(), y.zero_())[1],
    lambda x: (y := x.tanh(), y.sum(), y[:1].fill_(3))[1],
    lambda x: (y := (x * 1).relu(), y.sum(), y.neg_())[1],
    lambda x: (y := x * 1, (y.view(2, 1) * y.view(1, 2)).sum(), y.sub_(1))[1],
    lambda x: (y := x * 1, y.log().sum(), y.detach().add_(1))[1],
    lambda x: (y := x * 1, (y / (y + 1)).sum(), y.copy_(fastnn.ones(2)))[1],
]


@pytest.mark.parametrize("program", CORRUPTIONS)
def test_corrupting_write_raises(program: Any) -> None:
    loss = program(leaf(1, 2))
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        loss.backward()


def test_harmless_write_does_not_raise() -> None:
    x, w = leaf(1, 2), leaf(3, 4)
    y = x + 1
    y.mul_(2)  # add keeps nothing
    z = y * w.detach()
    z.add_(1)  # mul kept its inputs only
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [6, 8]


def test_write_between_steps_is_harmless() -> None:
    w = leaf(1, 2)
    for _ in range(3):
        (w * w).sum().backward()
        with fastnn.no_grad():
            w -= 0.1 * w.grad
    assert w._version == 3


def test_leaf_and_its_views_are_protected() -> None:
    x = leaf(1, 2)
    for write in (lambda: x.add_(1), lambda: x[0].add_(1), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            write()
    with fastnn.no_grad():
        x.add_(1)
    assert x.tolist() == [2, 3]


def test_write_through_view_reaches_base() -> None:
    x = leaf(1, 2, 3, 4)
    w = leaf(10)
    y = x * 1
    v = y.view(2, 2)
    v[0].mul_(10).add_(w)
    y.sum().backward()
    assert x.grad is not None
    assert w.grad is not None
    assert x.grad.tolist() == [10, 10, 1, 1]
    assert w.grad.tolist() == [2]


def test_write_to_base_reaches_views() -> None:
    x = leaf(1, 2, 3, 4)
    y = x * 1
    v = y[1:3]
    t = y.view(2, 2).t()
    y.mul_(5)
    (v.sum() + (t * t).sum()).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [50, 105, 155, 200]


def test_sibling_views() -> None:
    x = leaf(1, 2, 3)
    y = x * 1
    a, b = y[:2], y[1:]
    a.mul_(3)
    b.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 3, 1]


def test_buffer_filled_by_rows() -> None:
    w = leaf(1, 2)
    out = fastnn.zeros(3, 2)
    for i in range(3):
        out[i] = w * i
    out[0].copy_(w)
    out.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [4, 4]


def test_setitem_gradients() -> None:
    def program(x: fastnn.Tensor, v: fastnn.Tensor) -> fastnn.Tensor:
        y = x * x
        y[1:, 0] = v * 2
        y[fastnn.tensor([0, 0]), fastnn.tensor([1, 2])] += 1
        return y.sin()

    x = fastnn.rand(3, 3, dtype=fastnn.float64, requires_grad=True)
    v = fastnn.rand(2, dtype=fastnn.float64, requires_grad=True)
    assert autograd.gradcheck(program, (x, v))
    assert autograd.gradgradcheck(program, (x, v))


def test_inplace_chain_gradients() -> None:
    def program(x: fastnn.Tensor) -> fastnn.Tensor:
        y = x.clone()
        y.mul_(2).add_(1).relu_()
        y[0].sub_(x[1])
        y.view(-1)[2:4].div_(3)
        y.clamp_(max=50).sigmoid_()
        return y.tanh_()

    x = fastnn.rand(2, 3, dtype=fastnn.float64, requires_grad=True)
    assert autograd.gradcheck(program, (x,))
    assert autograd.gradgradcheck(program, (x,))


def test_zero_and_fill_cut_history() -> None:
    x = leaf(1, 2)
    y = x * 2
    y.zero_()
    assert y.requires_grad
    (y + x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1]


def test_inplace_checks() -> None:
    x = fastnn.ones(2)
    with pytest.raises(RuntimeError, match=r"output with shape \(2,\)"):
        x.add_(fastnn.ones(3, 2))
    with pytest.raises(RuntimeError, match="can't be cast"):
        fastnn.ones(2, dtype=fastnn.int64).add_(1.5)
    with pytest.raises(RuntimeError, match="read-only"):
        fastnn.ones(1).expand(3).add_(1)
    assert x.add_(fastnn.ones(2, dtype=fastnn.float64)).dtype is fastnn.float32


def test_versions_are_shared_by_views() -> None:
    x = fastnn.zeros(4)
    v = x[1:]
    v.add_(1)
    x.add_(1)
    assert x._version == v._version == 2
    assert v._base is x


def test_views_of_a_leaf_that_is_itself_a_view() -> None:
    x = fastnn.arange(6.0).reshape(2, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        x[0].add_(1)
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        (x * 1)[0].detach_()
    assert not (x * 1).detach_().requires_grad
