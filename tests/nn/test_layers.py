"""Layers and losses: what they refuse, their modes, and their statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn

ones = fastnn.ones
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: nn.Linear(3, 2)(ones(2, 3, dtype=fastnn.float64)), RuntimeError, "input is fastnn.float64, weight is"),
    (lambda: F.linear(ones(2, 3), ones(4, 3), ones(5)), RuntimeError, r"bias must have shape \(4,\), got \(5,\)"),
    (lambda: nn.Conv2d(3, 4, 3)(ones(1, 2, 8, 8)), RuntimeError, r"expects input of 3 channels, got \(1, 2, 8, 8\)"),
    (lambda: nn.Conv2d(3, 4, 3)(ones(8, 8)), RuntimeError, "expected 3D .unbatched. or 4D"),
    (lambda: nn.Conv2d(1, 4, 5)(ones(1, 1, 4, 8)), RuntimeError, "larger than the padded input"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "divisible by groups"),
    (lambda: nn.Conv2d(2, 4, 3, padding_mode="mirror"), ValueError, "padding_mode must be one of"),
    (lambda: nn.Conv2d(2, 4, 3, stride=0), ValueError, "stride must be at least 1"),
    (lambda: nn.Conv2d(2, 4, (3, 3, 3)), ValueError, "must be an int or 2 ints"),
    (lambda: F.conv2d(ones(1, 2, 4, 4), ones(3, 2, 3, 3), ones(4)), RuntimeError, r"bias must have shape \(3,\)"),
    (lambda: F.conv2d(ones(1, 1, 4, 4), ones(1, 1, 2, 2), padding="full"), ValueError, '"same" or "valid", got \'full\''),
    (lambda: F.max_pool2d(ones(1, 1, 4, 4), 5), RuntimeError, "larger than the input"),
    (lambda: F.max_pool2d(ones(1, 1, 4, 4), 2, padding=2), RuntimeError, "half of kernel size"),
    (lambda: F.max_pool2d(ones(4, 4), 2), RuntimeError, r"expected \(N, C, H, W\)"),
    (lambda: F.max_pool2d(ones(1, 1, 4, 4), 2, stride=0), ValueError, "stride must be at least 1"),
    (lambda: F.avg_pool2d(ones(1, 1, 4, 4), 2, divisor_override=0), RuntimeError, "divisor"),
    (lambda: F.cross_entropy(ones(2, 3), fastnn.tensor([0, 3])), IndexError, "3 is out of bounds"),
    (lambda: F.cross_entropy(ones(2, 3), fastnn.tensor([0, -1])), IndexError, "-1 is out of bounds"),
    (lambda: F.cross_entropy(ones(2, 3), fastnn.tensor([0, 1, 2])), ValueError, "batch_size .2. to match target"),
    (lambda: F.cross_entropy(ones(2, 3), ones(2)), RuntimeError, "class indices"),
    (lambda: F.cross_entropy(ones(2, 3), fastnn.tensor([0, 1]), ones(4)), RuntimeError, r"weight must have shape \(3,\)"),
    (lambda: F.cross_entropy(ones(2, 3), fastnn.tensor([0, 1]), reduction="max"), ValueError, "not a valid value for reduction"),
    (lambda: F.cross_entropy(ones(2, 3), fastnn.tensor([0, 1]), label_smoothing=2.0), ValueError, "label_smoothing"),
    (lambda: F.nll_loss(ones(2, 3), fastnn.tensor([0, 3])), IndexError, "Target 3 is out of bounds for 3 classes"),
    (lambda: nn.BCELoss()(ones(2) * 2, ones(2)), RuntimeError, "between 0 and 1"),
    (lambda: nn.BCEWithLogitsLoss()(ones(2), ones(3)), ValueError, "must be the same as input size"),
    (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1"),
    (lambda: nn.BatchNorm2d(3)(ones(2, 3)), ValueError, "expected 4D input"),
    (lambda: nn.BatchNorm1d(3)(ones(2, 4)), RuntimeError, r"must have shape \(4,\)"),
    (lambda: nn.BatchNorm1d(3)(ones(1, 3)), ValueError, "more than 1 value per channel"),
    (lambda: F.softmax(fastnn.tensor([1, 2]), 0), RuntimeError, "floating"),
    (lambda: nn.init.calculate_gain("sine"), ValueError, "Unsupported nonlinearity"),
    (lambda: nn.init.kaiming_uniform_(ones(3)), ValueError, "fewer than 2 dimensions"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call: Any, error: type[Exception], message: str, computer: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_dropout_modes(computer: str) -> None:
    layer = nn.Dropout(0.25)
    x = ones(40, 1000)
    y = layer(x)
    kept = (y != 0).float().mean().item()
    # 40,000 draws: the share kept has a standard deviation of 0.0022
    assert kept == pytest.approx(0.75, abs=0.01)
    assert y.max().item() == pytest.approx(1 / 0.75)
    layer.eval()
    assert layer(x) is x
    assert (nn.Dropout(1.0)(x) == 0).all()


def test_dropout2d_drops_channels(computer: str) -> None:
    y = nn.Dropout2d(0.5)(ones(8, 16, 3, 3))
    means = y.mean((2, 3))
    assert ((means == 0) | (means == 2)).all()
    assert 0 < (means == 0).sum().item() < 128


def test_dropout_gradient_uses_the_same_mask(computer: str) -> None:
    x = ones(100, 300).requires_grad_()
    y = F.dropout(x, 0.3)
    y.sum().backward()
    assert fastnn.equal(x.grad, y)


def test_batch_norm_running_statistics(computer: str) -> None:
    layer = nn.BatchNorm2d(3)
    x = fastnn.randn(8, 3, 5, 5) * 2 + 1
    layer(x)
    array = x.numpy().astype(np.float64)
    mean, var = array.mean((0, 2, 3)), array.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * var, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    before = layer.running_mean.tolist()
    layer(x)
    assert layer.running_mean.tolist() == before
    average = nn.BatchNorm2d(3, momentum=None)
    average(x)
    np.testing.assert_allclose(average.running_mean.numpy(), mean, rtol=1e-5)
    assert nn.BatchNorm2d(3, affine=False, track_running_stats=False)(x).shape == x.shape


def test_max_pool_indices(computer: str) -> None:
    x = fastnn.rand(2, 3, 6, 6)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    assert indices.dtype is fastnn.int64
    flat = x.view(2, 3, 36)
    assert fastnn.equal(flat.gather(2, indices.view(2, 3, 9)).view(2, 3, 3, 3), y)


def test_channels_last_gives_the_same(computer: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3, 2)
    )
    x = fastnn.rand(4, 3, 20, 20)
    expected = net(x)
    got = net(x.to(memory_format=fastnn.channels_last))
    assert got.is_contiguous(memory_format=fastnn.channels_last)
    # at most 8 * 9 = 72 products a value, two convolutions deep
    np.testing.assert_allclose(
        got.detach().numpy(), expected.detach().numpy(), atol=72 * 2 * 1.2e-7 * 4
    )


def test_empty_batches(computer: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3)
    )
    out = net(fastnn.zeros(0, 1, 8, 8))
    assert out.shape == (0, 3)
    out.sum().backward()
    assert net[0].weight.grad is not None
    assert (net[0].weight.grad == 0).all()


def test_initial_values_are_reproducible(computer: str) -> None:
    fastnn.manual_seed(3)
    a = nn.Conv2d(2, 4, 3).weight.tolist()
    with fastnn.backends.use_backend("numpy"):
        fastnn.manual_seed(3)
        assert nn.Conv2d(2, 4, 3).weight.tolist() == a
    bound = 1 / np.sqrt(18)
    assert np.abs(a).max() <= bound
    assert np.abs(a).max() > 0.9 * bound


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (nn.init.xavier_uniform_, np.sqrt(2 / 500)),
        (nn.init.xavier_normal_, np.sqrt(2 / 500)),
        (lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu"), np.sqrt(2 / 200)),
        (
            lambda t: nn.init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
            np.sqrt(2 / 300),
        ),
        (lambda t: nn.init.normal_(t, 0, 0.5), 0.5),
        (lambda t: nn.init.uniform_(t, -1, 1), np.sqrt(1 / 3)),
        (lambda t: nn.init.trunc_normal_(t, std=2.0, a=-2.0, b=2.0), 2 * 0.5396),
        (nn.init.zeros_, 0.0),
    ],
)
def test_init(fill: Any, std: float) -> None:
    w = fastnn.empty(300, 200)
    assert fill(w) is w
    # 60,000 draws: the deviation's own relative deviation is 1 / sqrt(120,000) = 0.3 %
    assert w.std().item() == pytest.approx(std, rel=0.02)
    assert abs(w.mean().item()) <= 5 * max(std, 1e-9) / np.sqrt(60_000)


def test_sequential_fuses_unseen(computer: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(inplace=True),
    )  # fmt: skip
    x = fastnn.randn(3, 2, 20, 20)
    results = []
    for fused in (True, False):
        net.zero_grad()
        inner = x.detach().requires_grad_()
        y = inner
        if fused:
            y = net(inner)
        else:
            for module in net:
                y = module(y)
        y.sum().backward()
        results.append([y, inner.grad, *(p.grad for p in net.parameters())])
    for a, b in zip(*results, strict=True):
        # the same sums of at most 3 * 18 * 18 products below 1, perhaps in another kernel or order
        np.testing.assert_allclose(
            a.detach().cpu().numpy(), b.detach().cpu().numpy(), rtol=0, atol=972 * 1.2e-7
        )
    seen = []
    net[0].register_forward_hook(lambda m, args, out: seen.append(out))
    net[2].register_forward_hook(lambda m, args, out: seen.append(args[0]))
    net(x)
    assert seen[0].shape == seen[1].shape == (3, 3, 18, 18)
    assert seen[0].min().item() < 0 <= seen[1].min().item()


@pytest.mark.parametrize("size", [6, 40])  # the weights are folded where the map is larger
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_sequential_normalises_by_weights(
    computer: str, size: int, affine: bool, mode: str
) -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1, bias=not affine, padding_mode=mode)
    norm = nn.BatchNorm2d(8, affine=affine)
    net = nn.Sequential(conv, norm, nn.ReLU(), nn.MaxPool2d(2))
    x = fastnn.randn(2, 3, size, size)
    for _ in range(3):
        net(fastnn.randn(8, 3, 9, 9))  # running statistics
    net.eval()

    def check() -> None:
        want = net[3](net[2](norm(conv(x)))).detach()  # with gradients: one after the other
        with fastnn.no_grad():
            got = net(x)
        # sums of 28 products, of about 1 and 0.2, scaled by less than 10
        np.testing.assert_allclose(got.tolist(), want.tolist(), rtol=0, atol=28 * 10 * 1.2e-7)

    check()
    with fastnn.no_grad():
        conv.weight.mul_(2)  # nothing is kept from call to call
        norm.running_mean.add_(1)
        norm.running_var.mul_(3)
    check()
    seen = []
    handle = norm.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    check()
    assert len(seen) == 2
    handle.remove()
    net.train()
    with fastnn.no_grad():
        before = norm.running_mean.clone()
        net(x)
    assert not fastnn.equal(before, norm.running_mean)
    one = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU())
    y = one(fastnn.randn(5, 4).requires_grad_())
    assert y.min().item() == 0
    y.sum().backward()


def test_init_is_a_write() -> None:
    w = fastnn.ones(4, requires_grad=True)
    loss = (w * w).sum()
    nn.init.trunc_normal_(w)
    with pytest.raises(RuntimeError, match="in-place"):
        loss.backward()
    with pytest.raises(ValueError, match="empty"):
        nn.init.trunc_normal_(w.detach(), a=2.0, b=1.0)
