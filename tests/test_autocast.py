"""autocast: which operation computes in which dtype, contexts in contexts, cast weights; and training with it.

On a GPU, or where CUDA kernels are emulated, on "cuda"; else on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn as nn
import fastnn.nn.functional as F

DEVICE = "cuda" if fastnn.cuda.is_available() else "cpu"
NARROW = [fastnn.float16, fastnn.bfloat16]


def ones(*shape: int, dtype: Any = fastnn.float32) -> Any:
    return fastnn.ones(shape, device=DEVICE, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(
    "operation",
    [
        lambda: ones(2, 3) @ ones(3, 2),
        lambda: F.linear(ones(2, 3), ones(4, 3), ones(4)),
        lambda: fastnn.addmm(ones(2, 2), ones(2, 3), ones(3, 2)),
        lambda: fastnn.bmm(ones(1, 2, 3), ones(1, 3, 2)),
        lambda: fastnn.einsum("ij,jk->ik", ones(2, 3), ones(3, 2)),
        lambda: F.conv2d(ones(1, 2, 4, 4), ones(3, 2, 3, 3), ones(3)),
        lambda: F.conv1d(ones(1, 2, 4), ones(3, 2, 3)),
        lambda: F.scaled_dot_product_attention(ones(1, 2, 4), ones(1, 3, 4), ones(1, 3, 4)),
        lambda: nn.LSTM(3, 2, device=DEVICE)(ones(2, 1, 3))[0],
        lambda: nn.GRUCell(3, 2, device=DEVICE)(ones(1, 3)),
        lambda: nn.MultiheadAttention(4, 2, device=DEVICE)(*[ones(2, 1, 4)] * 3)[0],
    ],
)
def test_in_the_narrow_dtype(operation: Any, dtype: Any) -> None:
    with fastnn.autocast(DEVICE, dtype=dtype):
        y = operation()
    assert y.dtype is dtype
    assert operation().dtype is fastnn.float32
    y.sum().backward()


TARGET = [0, 2]


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: F.cross_entropy(x, fastnn.tensor(TARGET, device=DEVICE)),
        lambda x: F.mse_loss(x, x.detach()),
        lambda x: F.binary_cross_entropy_with_logits(x, x.detach()),
        lambda x: fastnn.prod(x),
        lambda x: fastnn.cdist(x, x),
    ],
)
def test_in_float32(operation: Any) -> None:
    x = ones(2, 3, dtype=fastnn.bfloat16)
    with fastnn.autocast(DEVICE, dtype=fastnn.bfloat16):
        assert operation(x).dtype is fastnn.float32


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.softmax(1),
        lambda x: F.log_softmax(x, 1),
        lambda x: F.layer_norm(x, (3,)),
        lambda x: x.exp(),
        lambda x: x.pow(2),
        lambda x: x**2,
        lambda x: x.sum(),
        lambda x: x.norm(),
    ],
)
def test_in_float32_on_a_gpu_alone(operation: Any) -> None:
    x = ones(2, 3, dtype=fastnn.bfloat16)
    with fastnn.autocast(DEVICE, dtype=fastnn.bfloat16):
        assert operation(x).dtype is (fastnn.float32 if DEVICE == "cuda" else fastnn.bfloat16)
        assert x.softmax(1, dtype=fastnn.float64).dtype is fastnn.float64


def test_in_the_widest_dtype_and_in_the_given_one() -> None:
    x, narrow = ones(2, 2), ones(2, 2, dtype=fastnn.bfloat16)
    with fastnn.autocast(DEVICE, dtype=fastnn.bfloat16):
        assert fastnn.addcmul(x, narrow, narrow).dtype is fastnn.float32
        assert fastnn.addcmul(narrow, narrow, narrow).dtype is fastnn.bfloat16
        assert F.relu(x).dtype is fastnn.float32
        assert F.relu(narrow).dtype is fastnn.bfloat16
        assert (x + narrow).dtype is fastnn.float32
        wide = ones(2, 2, dtype=fastnn.float64)
        assert (wide @ wide).dtype is fastnn.float64


def test_contexts() -> None:
    x = ones(2, 2)
    with fastnn.autocast(DEVICE, dtype=fastnn.bfloat16):
        assert fastnn.is_autocast_enabled(DEVICE)
        assert fastnn.get_autocast_dtype(DEVICE) is fastnn.bfloat16
        with fastnn.autocast(DEVICE, enabled=False):
            assert (x @ x).dtype is fastnn.float32
            assert not fastnn.is_autocast_enabled(DEVICE)
            with fastnn.autocast(DEVICE, dtype=fastnn.float16):
                assert (x @ x).dtype is fastnn.float16
        assert (x @ x).dtype is fastnn.bfloat16
        with pytest.raises(ZeroDivisionError), fastnn.autocast(DEVICE, dtype=fastnn.float16):
            1 / 0  # noqa: B018
        assert (x @ x).dtype is fastnn.bfloat16
    assert (x @ x).dtype is fastnn.float32
    assert not fastnn.is_autocast_enabled(DEVICE)

    @fastnn.autocast(DEVICE, dtype=fastnn.bfloat16)
    def product(depth: int) -> Any:
        if depth:
            return product(depth - 1)
        return x @ x

    assert product(2).dtype is fastnn.bfloat16
    assert (x @ x).dtype is fastnn.float32


def test_other_devices_are_left_alone() -> None:
    x = fastnn.ones(2, 2)
    with fastnn.autocast("cpu", enabled=DEVICE == "cpu"):
        assert (x @ x).dtype is (fastnn.bfloat16 if DEVICE == "cpu" else fastnn.float32)
    if DEVICE == "cuda":
        with fastnn.autocast("cuda"):
            assert (x @ x).dtype is fastnn.float32


@pytest.mark.parametrize("caching", [True, False])
def test_a_weight_is_cast_once(caching: bool) -> None:
    w, x = ones(2, 2), ones(2, 2)
    with fastnn.autocast(DEVICE, fastnn.bfloat16, cache_enabled=caching):
        first, second = x @ w, x @ w
        assert fastnn.is_autocast_cache_enabled() is caching
    casts = [y.grad_fn.edges[1] for y in (first, second)]
    assert (casts[0] is casts[1]) is caching
    (first + second).sum().backward()
    assert w.grad.dtype is fastnn.float32
    np.testing.assert_array_equal(w.grad.cpu().numpy(), np.full((2, 2), 4.0))


def test_a_weight_written_to_is_cast_again() -> None:
    w, x = ones(2, 2), ones(2, 2)
    with fastnn.autocast(DEVICE, fastnn.bfloat16):
        x @ w
        with fastnn.no_grad():
            w.mul_(3)
        np.testing.assert_array_equal((x @ w).float().detach().cpu().numpy(), np.full((2, 2), 6.0))


def test_backward_inside() -> None:
    w = ones(2, 2)
    with fastnn.autocast(DEVICE, fastnn.bfloat16):
        loss = (w @ w).float().pow(2).sum()
        (g,) = fastnn.autograd.grad(loss, w, create_graph=True)
        g.sum().backward()
    assert g.dtype is fastnn.float32
    assert w.grad.dtype is fastnn.float32


def test_refusals() -> None:
    with pytest.warns(UserWarning, match="float16 or bfloat16"):
        fastnn.autocast(DEVICE, dtype=fastnn.float64)
    if DEVICE == "cuda":
        with fastnn.autocast("cuda"), pytest.raises(RuntimeError, match="unsafe to autocast"):
            F.binary_cross_entropy(ones(2) / 2, ones(2).detach())
    assert not fastnn.is_autocast_enabled(DEVICE)


def test_custom_functions() -> None:
    seen: list[Any] = []

    class Product(fastnn.autograd.Function):
        @staticmethod
        @fastnn.amp.custom_fwd(device_type=DEVICE)
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @fastnn.amp.custom_bwd(device_type=DEVICE)
        def backward(ctx: Any, g: Any) -> Any:
            a, b = ctx.saved_tensors
            seen.append((g @ b.t()).dtype)
            return g @ b.t(), a.t() @ g

    class Wide(Product):
        forward = staticmethod(
            fastnn.amp.custom_fwd(
                Product.forward.__wrapped__,  # type: ignore[attr-defined]
                device_type=DEVICE,
                cast_inputs=fastnn.float32,
            )
        )

    a, b = ones(2, 2), ones(2, 2)
    with fastnn.autocast(DEVICE, fastnn.bfloat16):
        y = Product.apply(a, b)
        z = Wide.apply(a.bfloat16(), b)
    assert y.dtype is fastnn.bfloat16
    assert z.dtype is fastnn.float32
    y.sum().backward()
    z.sum().backward()
    assert seen == [fastnn.bfloat16, fastnn.float32]
    assert a.grad.dtype is fastnn.float32


def _losses(dtype: Any, steps: int = 5) -> list[float]:
    fastnn.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3)).to(DEVICE)
    sgd = fastnn.optim.SGD(net.parameters(), lr=0.1)
    scaler = fastnn.amp.GradScaler(DEVICE, enabled=dtype is fastnn.float16)
    x = fastnn.randn(32, 6).to(DEVICE)
    t = fastnn.arange(32).remainder(3).to(DEVICE)
    found = []
    for _ in range(steps):
        sgd.zero_grad()
        with fastnn.autocast(DEVICE, dtype or fastnn.bfloat16, enabled=dtype is not None):
            loss = F.cross_entropy(net(x), t)
        assert loss.dtype is fastnn.float32
        scaler.scale(loss).backward()
        assert all(p.grad.dtype is fastnn.float32 for p in net.parameters())
        scaler.step(sgd)
        scaler.update()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("dtype", NARROW)
def test_training_follows_float32(dtype: Any) -> None:
    # Each product rounds its two operands and its result: three roundings in each of two layers, forward and again
    # backward, and every step adds its own to what the steps before it left.
    steps = 5
    unit = float(fastnn.finfo(dtype).eps) / 2
    tolerance = steps * 12 * unit
    wanted = _losses(None, steps)
    assert wanted[-1] < wanted[0]
    np.testing.assert_allclose(_losses(dtype, steps), wanted, rtol=0, atol=tolerance)
