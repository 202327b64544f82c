"""What scripts written for PyTorch say outside of the mathematics: switches, old types, arrays as operands."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn._config import build_info


@pytest.mark.skipif(fastnn.cuda.is_available(), reason="there is a GPU")
def test_cuda_answers_no() -> None:
    cuda = fastnn.cuda
    assert not cuda.is_available()
    assert cuda.device_count() == cuda.memory_allocated() == cuda.max_memory_allocated() == 0
    cuda.manual_seed(1)
    cuda.manual_seed_all(1)
    cuda.empty_cache()
    for call in (cuda.synchronize, cuda.Event, cuda.Stream, cuda.get_device_name, cuda.init):
        with pytest.raises(RuntimeError, match="device 'cuda' is not available"):
            call()
    with pytest.raises(AttributeError, match="is_available"):
        _ = cuda.is_availble


def test_backends_are_switches() -> None:
    cudnn: Any = importlib.import_module("fastnn.backends.cudnn")
    backends: Any = fastnn.backends
    assert cudnn is backends.cudnn
    with cudnn.flags(benchmark=True):
        assert backends.cudnn.benchmark
    assert not cudnn.benchmark
    assert not backends.mps.is_available()
    backends.cuda.matmul.allow_tf32 = True
    assert backends.cuda.matmul.allow_tf32
    backends.cuda.matmul.allow_tf32 = False
    with pytest.raises(AttributeError, match="no switch 'benchmrk'"):
        cudnn.benchmrk = True
    with pytest.raises(AttributeError, match="nope"):
        _ = cudnn.nope


def test_autocast() -> None:
    @fastnn.autocast("cpu", enabled=False)
    def product(x: Any) -> Any:
        return x @ x

    assert product(fastnn.ones(2, 2)).dtype is fastnn.float32
    with pytest.raises(RuntimeError, match="device_type"):
        fastnn.amp.autocast("tpu")
    with pytest.warns(UserWarning, match="no GPU"):
        fastnn.amp.autocast("cuda", dtype=fastnn.float16)
    with pytest.warns(UserWarning, match="no GPU"):
        assert not fastnn.cuda.amp.GradScaler().is_enabled()
    assert not fastnn.is_autocast_enabled()


def _step(scaler: Any, gradient: float) -> tuple[float, float]:
    w = fastnn.ones(1, requires_grad=True)
    sgd = fastnn.optim.SGD([w], lr=0.5)
    scaler.scale((w * gradient).sum()).backward()
    scaler.step(sgd)
    scaler.update()
    return w.item(), scaler.get_scale()


def test_grad_scaler() -> None:
    scaler = fastnn.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    assert _step(scaler, 1.0) == (0.5, 8.0)
    assert _step(scaler, float("inf")) == (1.0, 4.0)  # skipped, and the factor halved
    assert _step(scaler, 1.0) == (0.5, 4.0)
    assert _step(scaler, 1.0) == (0.5, 8.0)  # grown after two good steps
    other = fastnn.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    with pytest.raises(RuntimeError, match="no optimizer has stepped"):
        scaler.update()
    sgd = fastnn.optim.SGD([fastnn.ones(1, requires_grad=True)], lr=1)
    scaler.unscale_(sgd)
    with pytest.raises(RuntimeError, match="already called"):
        scaler.unscale_(sgd)
    off = fastnn.amp.GradScaler("cuda", enabled=False)
    assert _step(off, 1.0) == (0.5, 1.0)
    assert off.state_dict() == {}


def test_settings() -> None:
    fastnn.use_deterministic_algorithms(True, warn_only=True)
    assert fastnn.are_deterministic_algorithms_enabled()
    assert fastnn.get_deterministic_debug_mode() == 1
    fastnn.use_deterministic_algorithms(False)
    assert fastnn.get_deterministic_debug_mode() == 0
    fastnn.set_float32_matmul_precision("high")
    assert fastnn.get_float32_matmul_precision() == "high"
    fastnn.set_float32_matmul_precision("bfloat16_x6")
    product = fastnn.ones(64, 64) @ fastnn.ones(64, 64)  # exact in every precision
    assert (product == 64).all()
    fastnn.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match="medium"):
        fastnn.set_float32_matmul_precision("low")
    fastnn.set_default_device("cpu")
    assert str(fastnn.get_default_device()) == "cpu"
    with pytest.raises(RuntimeError, match="cuda"):
        fastnn.set_default_device("cuda")

    @fastnn.compile(mode="reduce-overhead")
    def twice(x: Any) -> Any:
        return x * 2

    assert twice(3) == 6
    with pytest.raises(TypeError, match="compile"):
        fastnn.compile(3)  # type: ignore[arg-type]
    fastnn.set_default_tensor_type("fastnn.DoubleTensor")
    assert fastnn.tensor(1.0).dtype is fastnn.float64
    fastnn.set_default_tensor_type(fastnn.FloatTensor)
    assert fastnn.tensor(1.0).dtype is fastnn.float32


def test_old_types() -> None:
    assert fastnn.FloatTensor([1, 2]).dtype is fastnn.float32
    assert fastnn.LongTensor(2, 3).shape == (2, 3)
    assert isinstance(fastnn.ones(1), fastnn.FloatTensor)
    assert not isinstance(fastnn.ones(1), fastnn.LongTensor)
    x = fastnn.ones(2)
    assert x.type() == "fastnn.FloatTensor"
    assert x.type(fastnn.LongTensor).dtype is x.type("fastnn.LongTensor").dtype is fastnn.int64
    with pytest.raises(ValueError, match="invalid type"):
        x.type("fastnn.QuiteLongTensor")
    assert fastnn.Tensor(2, 3).shape == (2, 3)
    assert fastnn.Tensor(np.ones(2)).dtype is fastnn.float32
    with pytest.raises(TypeError, match="got float"):
        fastnn.Tensor(1.5)
    with pytest.raises(TypeError, match="use to"):
        fastnn.LongTensor(x)


def test_arrays_as_operands() -> None:
    a = np.arange(4, dtype=np.float32).reshape(2, 2)
    x = fastnn.from_numpy(a.copy())
    for result in (x + a, a + x, x * a, x - a, x / (a + 1), x @ a, np.float32(2) * x, np.exp(x)):
        assert isinstance(result, fastnn.Tensor)
        assert result.dtype is fastnn.float32
    assert (x == a).all()
    np.testing.assert_array_equal((x @ a).numpy(), a @ a)


def test_sizes_stay_sizes() -> None:
    size = fastnn.ones(2, 3, 4).shape
    assert isinstance(size[1:], fastnn.Size)
    longer = size[:1].__add__((5,))
    assert repr(longer) == "fastnn.Size([2, 5])"
    assert fastnn.ones(size=(2,)).shape == fastnn.rand(size=(2,)).shape == (2,)
    assert fastnn.randint(5, size=(2, 2)).shape == (2, 2)
    assert fastnn.zeros(fastnn.tensor(3)).shape == (3,)
    with pytest.raises(TypeError, match="twice"):
        fastnn.ones(2, size=(2,))


def test_dtypes_of_python() -> None:
    assert fastnn.zeros(1, dtype=float).dtype is fastnn.float64
    assert fastnn.tensor([fastnn.tensor(1.0), 2.0]).dtype is fastnn.float32
    wrapped = fastnn.tensor([1], dtype=fastnn.uint8) + 300
    assert (wrapped.dtype, wrapped.item()) == (fastnn.uint8, 45)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.clamp(0.1, 0.5),
        lambda x: x @ x,
        lambda x: fastnn.nn.functional.linear(x, x, x[0]),
        lambda x: fastnn.addmm(x, x, x),
        lambda x: x.rsqrt(),
        lambda x: fastnn.maximum(x, x * 2),
        lambda x: x * 1.5 + 2.0**x,
    ],
)
def test_bfloat16_stays(operation: Any) -> None:
    x = fastnn.full((2, 2), 0.3, dtype=fastnn.bfloat16, requires_grad=True)
    y = operation(x)
    assert y.dtype is fastnn.bfloat16
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype is fastnn.bfloat16


def test_printing() -> None:
    assert str(fastnn.tensor([1.0, float("inf"), -2.0])) == "tensor([ 1., inf, -2.])"
    assert str(fastnn.tensor([1.5, float("nan")])) == "tensor([1.5000,    nan])"
    try:
        fastnn.set_printoptions(precision=2, sci_mode=True)
        assert str(fastnn.tensor([1.5])) == "tensor([1.50e+00])"
        fastnn.set_printoptions(threshold=5, edgeitems=1)
        assert str(fastnn.arange(9)) == "tensor([0,  ..., 8])"
        with pytest.raises(ValueError, match="profile"):
            fastnn.set_printoptions(profile="long")
    finally:
        fastnn.set_printoptions(profile="default")
    assert str(fastnn.device("cpu")) == "cpu"
    assert str(fastnn.ones(1, 2).max(1)).startswith("fastnn.return_types")


def test_fork_rng() -> None:
    fastnn.manual_seed(3)
    with fastnn.random.fork_rng():
        first = fastnn.rand(3)
    assert fastnn.equal(first, fastnn.rand(3))


def test_assert_close() -> None:
    close = fastnn.testing.assert_close
    x = fastnn.tensor([1.0, 2.0])
    close({"a": [x, 1]}, {"a": [x + 1e-7, 1]})
    close(fastnn.tensor(float("nan")), fastnn.tensor(float("nan")), equal_nan=True)
    with pytest.raises(AssertionError, match=r"Mismatched elements: 1 / 2 \(50.0%\)"):
        close(x, fastnn.tensor([1.0, 2.5]))
    with pytest.raises(AssertionError, match=r"failure is at \['a'\]\[1\]"):
        close({"a": [x, 1]}, {"a": [x, 2]})
    with pytest.raises(AssertionError, match="dtype"):
        close(x, x.double())
    with pytest.raises(AssertionError, match="shape"):
        close(x, x[:1])
    with pytest.raises(AssertionError, match="^mine$"):
        close(x, x + 1, msg="mine")
    with pytest.raises(ValueError, match="both"):
        close(x, x, rtol=1.0)
    with pytest.raises(TypeError, match="cannot compare"):
        close(x, "text")


def test_small_modules() -> None:
    built = build_info()
    assert (fastnn.version.cuda is not None) == built["cuda"]
    assert built["nvcc"].startswith(fastnn.version.cuda or "")
    assert not fastnn.compiler.is_compiling()
    assert fastnn.types.Tensor is fastnn.Tensor
    parallel: Any = importlib.import_module("fastnn.nn.parallel")
    with pytest.raises(AttributeError, match="the module itself"):
        _ = parallel.DistributedDataParallel
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastnn.amp.GradScaler("cuda", enabled=False)


def test_a_list_of_parameters_prints_in_lines() -> None:
    shown = repr(fastnn.nn.ParameterList([fastnn.ones(1), fastnn.ones(2)])).splitlines()
    assert shown[0] == "ParameterList("
    assert shown[1].startswith("    (0): Parameter containing")
    assert shown[3] == ")"


@pytest.mark.skipif(fastnn.cuda.is_available(), reason="there is one")
def test_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.cuda import _runtime

    if importlib.util.find_spec("fastnn._cuda"):  # the kernels are there: a driver is not
        module = importlib.import_module("fastnn._cuda")
        assert _runtime.why_unavailable() == module.device_error() != ""
    else:
        assert build_info()["cuda_missing"] in _runtime.why_unavailable()
    reasons = {"no driver": True, "": False}
    for reason, fails in reasons.items():
        kernels = type("kernels", (), {"device_error": staticmethod(lambda reason=reason: reason)})
        monkeypatch.setattr(_runtime, "_kernels", lambda kernels=kernels: kernels)
        assert (_runtime.why_unavailable() == "no driver") is fails

    def broken() -> None:
        raise ImportError("_cuda.so: undefined symbol")

    monkeypatch.setattr(_runtime, "_kernels", broken)
    assert "cannot be loaded: _cuda.so: undefined symbol" in _runtime.why_unavailable()
