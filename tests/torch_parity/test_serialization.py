"""Files that PyTorch and safetensors wrote, read without them."""

from __future__ import annotations

import io
import warnings
from collections import Counter, OrderedDict
from typing import Any

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")

from .convert import array_of  # noqa: E402

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]  # fmt: skip


def saved(obj: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(obj, file, **options)
    return file.getvalue()


def loaded(obj: Any, **options: Any) -> Any:
    return fastnn.load(io.BytesIO(saved(obj, **options)))


def assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, fastnn.nn.Parameter) == isinstance(theirs, torch.nn.Parameter)
        assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
        assert tuple(ours.shape) == tuple(theirs.shape)
        if theirs.numel():
            assert ours.stride() == theirs.stride()
        assert ours.requires_grad == theirs.requires_grad
        assert ours.detach().numpy().tobytes() == np.ascontiguousarray(array_of(theirs)).tobytes()
    elif isinstance(theirs, torch.Size):
        assert ours == fastnn.Size(theirs)
        assert type(ours) is fastnn.Size
    elif isinstance(theirs, torch.dtype):
        assert ours is getattr(fastnn, str(theirs).removeprefix("torch."))
    elif isinstance(theirs, torch.device):
        assert ours == fastnn.device(theirs.type)
    elif isinstance(theirs, dict):
        assert type(ours) is type(theirs)
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            assert_equal(ours[key], value)
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_equal(a, b)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


def arrays(dtype: str) -> Any:
    values = torch.arange(24).reshape(2, 3, 4) % 7
    return values.to(getattr(torch, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_strides_and_sharing(dtype: str) -> None:
    x = arrays(dtype)
    obj = [x, x[:, 1:, ::2], x.transpose(0, 2), x[0, 0, 0], x[:0], x[:1].expand(3, 3, 4), x.clone()]
    result = loaded(obj)
    assert_equal(result, obj)
    result[0][0, 1, 0] = 1 if dtype == "bool" else 100
    assert result[1][0, 0, 0].item() == result[0][0, 1, 0].item()
    assert result[-1][0, 1, 0].item() == x[0, 1, 0].item()


NESTED = {
    "model": OrderedDict(w=torch.ones(2, 3), b=torch.zeros(3).requires_grad_()),
    "numbers": [1, -1, 2**31, -(2**40), 2**100, 1.5, float("inf"), True, None],
    "text": ("a", "Grüße", "x" * 300, b"bytes", ""),
    1: {(1, "a"): 2, None: 3, 2.5: 4},
    "parameter": torch.nn.Parameter(torch.ones(2), requires_grad=False),
    "size": torch.Size([1, 2]),
    "dtype": torch.bfloat16,
    "device": torch.device("cpu"),
    "set": {1, 2},
    "counter": Counter({3: 2}),
    "array": bytearray(b"xy"),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nested(protocol: int) -> None:
    assert_equal(loaded(NESTED, pickle_protocol=protocol), NESTED)


def test_parameter_with_an_attribute() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    p.is_bias = True
    result = loaded({"p": p})["p"]
    assert result.is_bias is True
    assert_equal(result, p)


def test_model_optimizer_scheduler(tmp_path: Any) -> None:
    def make(lib: Any) -> Any:
        nn = lib.nn
        model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))  # fmt: skip
        optimizer = lib.optim.AdamW(model.parameters(), lr=0.01)
        return model, optimizer, lib.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3])

    def step(lib: Any, model: Any, optimizer: Any, scheduler: Any) -> None:
        x = lib.tensor(np.linspace(-1, 1, 64, dtype=np.float32).reshape(4, 1, 4, 4).tolist())
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()
        scheduler.step()

    parts = make(torch)
    for _ in range(2):
        step(torch, *parts)
    path = tmp_path / "model.pt"
    torch.save([part.state_dict() for part in parts], path)
    for options in ({}, {"mmap": True}, {"map_location": "cpu", "weights_only": True}):
        own = make(fastnn)
        for part, state in zip(own, fastnn.load(path, **options), strict=True):
            part.load_state_dict(state)
        step(fastnn, *own)
        reference = make(torch)
        for part, state in zip(reference, torch.load(path), strict=True):
            part.load_state_dict(state)
        step(torch, *reference)
        for ours, theirs in zip(own[0].parameters(), reference[0].parameters(), strict=True):
            # float32; a step of Adam divides two sums of tens of terms
            np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=2e-4, atol=2e-6)  # fmt: skip
        assert own[2].get_last_lr() == reference[2].get_last_lr()


@pytest.mark.parametrize("dtype", DTYPES)
def test_mapped(tmp_path: Any, dtype: str) -> None:
    path = tmp_path / "x.pt"
    torch.save(arrays(dtype), path)
    assert_equal(fastnn.load(path, mmap=True), arrays(dtype))


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear, which is refused; save a model's"),
        ({"x": np.float64(1)}, "multiarray.scalar, which is refused; save NumPy"),
        (torch.zeros(1, dtype=torch.complex64), "complex64, which fastnn does not have"),
        (torch.zeros(1, dtype=torch.uint16), "uint16, which fastnn does not have"),
        (torch.zeros(1, dtype=torch.float8_e5m2), "float8_e5m2, which fastnn does not have"),
        (torch.eye(2).to_sparse(), "sparse"),
    ],
)
def test_what_is_refused(obj: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loaded(obj)


def test_other_formats() -> None:
    legacy = saved({"a": torch.ones(1)}, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"format before PyTorch 1\.6"):
        fastnn.load(io.BytesIO(legacy))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), file)
    with pytest.raises(ValueError, match="TorchScript"):
        fastnn.load(io.BytesIO(file.getvalue()))


def test_every_cut_is_an_error() -> None:
    content = saved({"a": torch.ones(3)})
    for length in range(4, len(content), 7):
        with pytest.raises(ValueError, match="load: "):
            fastnn.load(io.BytesIO(content[:length]))


@pytest.mark.parametrize("mmap", [False, True])
def test_safetensors_that_pytorch_wrote(tmp_path: Any, mmap: bool) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    state = {dtype: arrays(dtype) for dtype in DTYPES} | {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}  # fmt: skip
    path = tmp_path / "x.safetensors"
    safetensors.save_file(state, path, {"format": "pt"})
    result = fastnn.load(path, mmap=mmap)
    for key, value in state.items():
        assert_equal(result[key], value)
    model = fastnn.nn.Linear(3, 2)
    reference = torch.nn.Linear(3, 2)
    safetensors.save_file(reference.state_dict(), path)
    model.load_state_dict(fastnn.load(path, mmap=mmap))
    assert_equal(model.weight.detach(), reference.weight.detach())
    back = tmp_path / "back.safetensors"
    fastnn.save(model.state_dict(), back)
    reference.load_state_dict(safetensors.load_file(back))
