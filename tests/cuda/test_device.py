"""Tensors, modules and training on device="cuda", where host arrays stand in for device arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn as nn
import fastnn.nn.functional as F


def test_device_of_new_tensors() -> None:
    for x in (
        fastnn.zeros(2, device="cuda"),
        fastnn.full((2,), 3.0, device="cuda:0"),
        fastnn.randn(2, 3, device="cuda"),
        fastnn.arange(5, device="cuda"),
        fastnn.tensor([1, 2], device="cuda"),
        fastnn.ones(2).cuda().new_zeros(3),
        fastnn.rand_like(fastnn.ones(3, device="cuda")),
    ):
        assert x.device == fastnn.device("cuda:0")
        assert x.is_cuda
        assert not x.is_cpu
    with fastnn.device("cuda"):
        assert fastnn.ones(2).is_cuda
    assert fastnn.ones(2).is_cpu


def test_the_same_numbers_on_every_device() -> None:
    fastnn.manual_seed(3)
    host = fastnn.randn(5, 7)
    fastnn.manual_seed(3)
    np.testing.assert_array_equal(fastnn.randn(5, 7, device="cuda").cpu().numpy(), host.numpy())


def test_moving_is_differentiable() -> None:
    x = fastnn.randn(3, 4, requires_grad=True)
    y = (x.to("cuda") * 2).sum()
    assert y.is_cuda
    y.backward()
    assert x.grad is not None
    assert x.grad.is_cpu
    np.testing.assert_array_equal(x.grad.numpy(), np.full((3, 4), 2.0))


def test_what_does_not_mix() -> None:
    x = fastnn.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="found at least two devices, cuda:0 and cpu"):
        x + fastnn.ones(3)
    np.testing.assert_array_equal((x + fastnn.tensor(2.0)).cpu().numpy(), np.full(3, 3.0))
    with pytest.raises(TypeError, match="Use Tensor.cpu"):
        x.numpy()
    with pytest.raises(RuntimeError, match="cuda:7"):
        fastnn.ones(3).to("cuda:7")
    with pytest.raises(RuntimeError, match="gpu"):
        fastnn.device("gpu")


def test_printing_copying_and_saving(tmp_path: Any) -> None:
    import copy
    import pickle

    x = fastnn.ones(2, device="cuda")
    assert repr(x) == "tensor([1., 1.], device='cuda:0')"
    assert x.tolist() == [1.0, 1.0]
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.is_cuda
        assert twin.tolist() == [1.0, 1.0]
    fastnn.save({"x": x}, tmp_path / "x.fastnn")
    assert fastnn.load(tmp_path / "x.fastnn")["x"].tolist() == [1.0, 1.0]


def test_module_moves() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model.to("cuda")
    assert all(p.is_cuda for p in model.parameters())
    assert all(b.is_cuda for b in model.buffers())
    assert nn.Linear(3, 4, device="cuda").weight.is_cuda
    model.cpu()
    assert all(p.is_cpu for p in model.parameters())


def test_questions() -> None:
    assert fastnn.cuda.is_available()
    assert fastnn.cuda.device_count() == 1
    assert fastnn.accelerator.current_accelerator() == fastnn.device("cuda")
    fastnn.cuda.synchronize()
    start, end = (fastnn.cuda.Event(enable_timing=True) for _ in range(2))
    with fastnn.cuda.stream(fastnn.cuda.Stream()):
        start.record()
        fastnn.ones(3, device="cuda").pow(2)
        end.record()
    assert start.elapsed_time(end) > 0
    assert fastnn.ones(3).pin_memory().tolist() == [1.0, 1.0, 1.0]


class MnistCNN(nn.Module):
    """Two convolutions, pooling, dropout and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.fc1 = nn.Linear(16 * 25, 32)
        self.fc2 = nn.Linear(32, 10)
        self.dropout = nn.Dropout(0.25)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(F.relu(self.fc1(x.flatten(1))))
        return self.fc2(x)


def losses(device: str, optimizer: str, steps: int = 4) -> list[float]:
    fastnn.manual_seed(0)
    model = MnistCNN().to(device)
    step = getattr(fastnn.optim, optimizer)(model.parameters(), lr=0.01)
    digits = fastnn.randn(16, 1, 28, 28).to(device)
    labels = fastnn.arange(16).remainder(10).to(device)
    found = []
    for _ in range(steps):
        step.zero_grad()
        loss = F.cross_entropy(model(digits), labels)
        loss.backward()
        step.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_training_gives_the_losses_of_the_cpu(optimizer: str) -> None:
    # float32 sums in another order: a few roundings a step, which training triples at each
    np.testing.assert_allclose(losses("cuda", optimizer), losses("cpu", optimizer), rtol=2e-4)
