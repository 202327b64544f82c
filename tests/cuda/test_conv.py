"""Convolution on the CUDA kernels, against the specification in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from tests.cuda.common import KINDS, exact, normal
from tests.cuda.hardware import gpu, with_host_arrays
from tests.cuda.memory_use import memory_used_well, needs_counters

import fastnn
from fastnn.backends import flags
from fastnn.backends import numpy as spec
from fastnn.backends.gpu import conv
from fastnn.backends.numpy._layout import is_channels_last, with_layout_of

kernels: Any = conv.kernels
forward, input_grad, weight_grad = (
    with_host_arrays(f) for f in (conv.forward, conv.input_grad, conv.weight_grad)
)
BFLOAT16 = ml_dtypes.bfloat16


class Case(NamedTuple):
    x: tuple[int, ...]
    o: int
    kernel: tuple[int, ...] = (3, 3)
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1

    @property
    def weight(self) -> tuple[int, ...]:
        return (self.o, self.x[1] // self.groups, *self.kernel)

    @property
    def geometry(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups


# Pixels and channels are more than one tile of 64, or of 128, or ragged; the sum of 16-bit products takes at least three
# steps of 32, so that the pipeline of four stages is filled. Channels are whole vectors, or not.
CASES = [
    Case((2, 16, 9, 11), 72, padding=(1, 1)),
    Case((2, 13, 9, 10), 37, padding=(1, 0), stride=(2, 1)),
    Case((3, 24, 9, 8), 40, kernel=(3, 2), stride=(2, 3), padding=(1, 2), dilation=(2, 1)),
    Case((2, 32, 8, 9), 48, groups=2, padding=(1, 1), stride=(2, 2)),
    Case((1, 10, 12, 8), 25, kernel=(2, 5), stride=(3, 2), padding=(2, 2), dilation=(1, 2), groups=5),
    Case((1, 136, 9, 16), 24, kernel=(1, 1)),
    Case((2, 136, 7, 9), 8, kernel=(1, 1), stride=(2, 2)),
    Case((3, 3, 13, 12), 70, kernel=(5, 4), stride=(2, 1), padding=(2, 1)),
    Case((2, 40, 10, 9), 8, kernel=(3, 3), stride=(2, 2), dilation=(2, 2)),  # phases without taps
]  # fmt: skip
DIRECT = [
    Case((2, 16, 11, 9), 16, padding=(1, 1), groups=16),
    Case((2, 24, 11, 9), 24, kernel=(5, 4), stride=(2, 2), padding=(2, 1), groups=24),
    Case((1, 6, 9, 40), 18, kernel=(3, 3), padding=(2, 2), dilation=(2, 3), groups=6),
    Case((2, 12, 9, 7), 8, kernel=(2, 3), stride=(1, 2), groups=4),
    Case((2, 40, 9, 8), 3, padding=(1, 1)),
    Case((2, 3, 9, 8), 5, kernel=(4, 4), stride=(2, 2), padding=(1, 1)),
    Case((2, 1, 12, 11), 37, padding=(1, 1)),
]


@pytest.fixture(autouse=True)
def _restore_precision() -> Any:
    before = fastnn.get_float32_matmul_precision()
    yield
    fastnn.set_float32_matmul_precision(before)


def stored(x: Any, last: bool) -> Any:
    """The same values, NCHW or channels last."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x


def check(got: Any, wanted: Any, size: Any, terms: int, dtype: Any, precision: str) -> None:
    """Sums of so many products, whose sizes add up to ``size``; the bound is that of test_gemm.check."""
    u = 2.0**-53 if dtype == np.float64 else 2.0**-24
    factors = {"highest": 0.0, "high": 2.0**-21, "medium": 2.0**-10}[precision]
    rounding = float(ml_dtypes.finfo(dtype).eps) / 2
    # 4 sqrt(K): roundings of random signs, with room; sums of few terms have a rounding or two more
    bound = ((4 * np.sqrt(terms) + 4) * u + factors) * size + rounding * np.abs(wanted)
    # results among the subnormal numbers of float16
    bound += 2.0**-25 if dtype == np.float16 else 0
    assert got.dtype == dtype
    assert got.shape == wanted.shape
    error = np.abs(exact(got) - wanted)
    assert np.all(error <= bound), f"{np.max(error / (bound + 1e-300))} of the bound"


def absolute(*arrays: Any) -> list[Any]:
    return [None if a is None else np.abs(exact(a)) for a in arrays]


def settings(case: Case, precision: str, **chosen: Any) -> Any:
    return kernels.ConvSettings(*case.geometry, precision, **chosen)


def check_forward(case: Case, dtype: Any, precision: str, last: bool, **chosen: Any) -> None:
    x = stored(normal(case.x, dtype), last)
    weight = normal(case.weight, dtype, seed=1)
    bias = normal((case.o,), dtype, seed=2)
    wanted = spec.conv2d(exact(x), exact(weight), exact(bias), *case.geometry)
    size = spec.conv2d(*absolute(x, weight, bias), *case.geometry)
    terms = int(np.prod(case.weight[1:]))
    given = settings(case, precision, **chosen)
    got = forward(x, weight, bias, False, wanted.shape[2:], given)
    check(got, wanted, size, terms, dtype, precision)
    assert is_channels_last(got) == is_channels_last(with_layout_of(wanted, x))
    relu = forward(x, weight, None, True, wanted.shape[2:], given)
    wanted = spec.conv2d(exact(x), exact(weight), None, *case.geometry)
    check(relu, np.maximum(wanted, 0), size, terms, dtype, precision)


def output_gradient(case: Case, dtype: Any, last: bool) -> Any:
    of = zip(case.x[2:], case.kernel, case.stride, case.padding, case.dilation, strict=True)
    return stored(
        normal((case.x[0], case.o, *(spec.conv.output_size(*axis) for axis in of)), dtype, seed=3),
        last,
    )


def check_input_grad(case: Case, dtype: Any, precision: str, last: bool, **chosen: Any) -> None:
    g, weight = output_gradient(case, dtype, last), normal(case.weight, dtype, seed=1)
    wanted = spec.conv2d_input_grad(exact(g), exact(weight), case.x, *case.geometry)
    size = spec.conv2d_input_grad(*absolute(g, weight), case.x, *case.geometry)
    got = input_grad(g, weight, case.x, settings(case, precision, **chosen))
    terms = case.o // case.groups * int(np.prod(case.kernel))
    check(got, wanted, size, terms, dtype, precision)
    assert is_channels_last(got) == is_channels_last(with_layout_of(wanted, g))


def check_weight_grad(
    case: Case, dtype: Any, precision: str, last: tuple[bool, bool], **chosen: Any
) -> None:
    g, x = output_gradient(case, dtype, last[0]), stored(normal(case.x, dtype), last[1])
    wanted = spec.conv2d_weight_grad(exact(g), exact(x), case.weight, *case.geometry)
    size = spec.conv2d_weight_grad(*absolute(g, x), case.weight, *case.geometry)
    got = weight_grad(g, x, case.weight, settings(case, precision, **chosen))
    check(got, wanted, size, g.size // case.o, dtype, precision)
    assert got.flags.c_contiguous


@pytest.mark.parametrize(("dtype", "precision"), KINDS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_products(case: Case, last: bool, dtype: Any, precision: str) -> None:
    check_forward(case, dtype, precision, last, method="product")
    check_input_grad(case, dtype, precision, last, method="product")
    check_weight_grad(case, dtype, precision, (last, last), method="product")


@pytest.mark.parametrize(("dtype", "precision"), KINDS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("splits", [1, 3])
def test_large_tiles_and_splits(splits: int, last: bool, dtype: Any, precision: str) -> None:
    chosen = {"tile": "large", "splits": splits, "method": "product"}
    case = Case((2, 16, 9, 9), 136, padding=(1, 1))
    check_forward(case, dtype, precision, last, **chosen)
    check_weight_grad(case, dtype, precision, (last, last), **chosen)
    case = Case((2, 136, 9, 9), 16, padding=(1, 1))
    check_input_grad(case, dtype, precision, last, **chosen)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, BFLOAT16])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", DIRECT)
def test_direct(case: Case, last: bool, dtype: Any) -> None:
    check_forward(case, dtype, "highest", last, method="direct")
    check_input_grad(case, dtype, "highest", last, method="direct")
    for splits in (1, 3):
        check_weight_grad(case, dtype, "highest", (last, last), method="direct", splits=splits)
    check_weight_grad(case, dtype, "highest", (last, not last), method="direct")


@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16])
@pytest.mark.parametrize("method", ["product", "direct"])
def test_layouts_that_differ(method: str, dtype: Any) -> None:
    case = Case((2, 16, 7, 8), 24, padding=(1, 1))
    for last in ((False, True), (True, False)):
        check_weight_grad(case, dtype, "highest", last, method=method)


@pytest.mark.parametrize("last", [False, True])
def test_images_of_one_channel(last: bool) -> None:
    """First layers, and what they give to the layer behind."""
    case = Case((2, 1, 12, 11), 24, padding=(1, 1))
    for dtype in (np.float32, BFLOAT16):
        check_forward(case, dtype, "highest", False)
        check_input_grad(case, dtype, "highest", last)
        check_weight_grad(case, dtype, "highest", (last, False))


THREE_DIMS: list[Case] = [
    Case((2, 8, 5, 6, 7), 24, (3, 2, 3), (1, 1, 1), (1, 0, 1), (1, 1, 1)),
    Case((1, 5, 7, 6, 5), 7, (2, 3, 2), (2, 1, 3), (1, 2, 0), (1, 2, 1)),
    Case((2, 8, 5, 6, 7), 8, (3, 3, 3), (2, 2, 1), (1, 1, 1), (1, 1, 1), groups=8),
    Case((0, 8, 5, 6, 7), 8, (3, 3, 3), (2, 2, 1), (1, 1, 1), (1, 1, 1)),
]


@pytest.mark.parametrize(("dtype", "precision"), KINDS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("case", THREE_DIMS)
def test_three_dims(case: Case, last: bool, dtype: Any, precision: str) -> None:
    fastnn.set_float32_matmul_precision(precision)
    x, weight = stored(normal(case.x, dtype), last), normal(case.weight, dtype, seed=1)
    bias = normal((case.o,), dtype, seed=2)
    wanted = spec.conv3d(exact(x), exact(weight), exact(bias), *case.geometry)
    y = gpu.conv3d(x, weight, bias, *case.geometry)
    size = spec.conv3d(*absolute(x, weight, bias), *case.geometry)
    terms = int(np.prod(case.weight[1:]))
    check(y, wanted, size, terms, dtype, precision)
    g = stored(normal(wanted.shape, dtype, seed=3), last)
    wanted = spec.conv3d_input_grad(exact(g), exact(weight), case.x, *case.geometry)
    size = spec.conv3d_input_grad(*absolute(g, weight), case.x, *case.geometry)
    gx = gpu.conv3d_input_grad(g, weight, case.x, *case.geometry)
    check(gx, wanted, size, terms * case.o, dtype, precision)
    wanted = spec.conv3d_weight_grad(exact(g), exact(x), case.weight, *case.geometry)
    size = spec.conv3d_weight_grad(*absolute(g, x), case.weight, *case.geometry)
    gw = gpu.conv3d_weight_grad(g, x, case.weight, *case.geometry)
    check(gw, wanted, size, max(g.size // case.o, 1), dtype, precision)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("case", [Case((0, 8, 7, 8), 4), Case((2, 8, 7, 8), 0), Case((2, 0, 7, 8), 4)])  # fmt: skip
def test_empty(case: Case, dtype: Any) -> None:
    x, weight = normal(case.x, dtype), normal(case.weight, dtype)
    bias = normal((case.o,), dtype)
    y = gpu.conv2d(x, weight, bias, *case.geometry)
    np.testing.assert_array_equal(y, spec.conv2d(x, weight, bias, *case.geometry))
    gx = gpu.conv2d_input_grad(y, weight, case.x, *case.geometry)
    np.testing.assert_array_equal(gx, np.zeros(case.x))
    gw = gpu.conv2d_weight_grad(y, x, case.weight, *case.geometry)
    np.testing.assert_array_equal(gw, np.zeros(case.weight))


def test_same_bits() -> None:
    case = Case((3, 8, 17, 18), 16, padding=(1, 1))
    g, x = output_gradient(case, np.float32, False), normal(case.x, np.float32)
    first = gpu.conv2d_weight_grad(g, x, case.weight, *case.geometry)  # in three parts
    again = gpu.conv2d_weight_grad(g, x, case.weight, *case.geometry)
    np.testing.assert_array_equal(first, again)
    depthwise = Case((3, 8, 40, 40), 8, padding=(1, 1), groups=8)
    g, x = output_gradient(depthwise, np.float32, False), normal(depthwise.x, np.float32)
    first = gpu.conv2d_weight_grad(g, x, depthwise.weight, *depthwise.geometry)
    again = gpu.conv2d_weight_grad(g, x, depthwise.weight, *depthwise.geometry)
    np.testing.assert_array_equal(first, again)


def test_views() -> None:
    """Strides that are neither NCHW nor NHWC; a weight that is stored channels last."""
    case = Case((2, 8, 9, 10), 12, padding=(1, 1))
    x = normal((4, 9, 16, 20), np.float32).transpose(0, 2, 1, 3)[::2, ::2, ::-1, ::2]
    weight = stored(normal(case.weight, np.float32, seed=1), True)
    wanted = spec.conv2d(exact(x), exact(weight), None, *case.geometry)
    size = spec.conv2d(*absolute(x, weight, None), *case.geometry)
    check(gpu.conv2d(x, weight, None, *case.geometry), wanted, size, 72, np.dtype("f4"), "highest")
    g = np.broadcast_to(normal((1, 12, 1, 10), np.float32), (2, 12, 9, 10))
    wanted = spec.conv2d_input_grad(exact(g), exact(weight), case.x, *case.geometry)
    size = spec.conv2d_input_grad(*absolute(g, weight), case.x, *case.geometry)
    got = gpu.conv2d_input_grad(g, weight, case.x, *case.geometry)
    check(got, wanted, size, 108, np.dtype("f4"), "highest")
    wanted = spec.conv2d_weight_grad(exact(g), exact(x), case.weight, *case.geometry)
    size = spec.conv2d_weight_grad(*absolute(g, x), case.weight, *case.geometry)
    got = gpu.conv2d_weight_grad(g, x, case.weight, *case.geometry)
    check(got, wanted, size, 180, np.dtype("f4"), "highest")


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 32])
def test_errors_of_16_bits(groups: int, last: bool, dtype: Any) -> None:
    """At most twice the errors of float32 sums of the same elements, rounded at the end."""
    case = Case((2, 32, 9, 10), 32, padding=(1, 1), groups=groups)
    x, weight = stored(normal(case.x, dtype), last), normal(case.weight, dtype, seed=1)
    g = output_gradient(case, dtype, last)

    def error(got: Any, name: str, a: Any, b: Any, *rest: Any) -> None:
        function = getattr(spec, name)
        wanted = function(exact(a), exact(b), *rest, *case.geometry)
        single = function(a.astype(np.float32), b.astype(np.float32), *rest, *case.geometry)
        rounded = np.abs(exact(single.astype(dtype)) - wanted)
        assert np.max(np.abs(exact(got) - wanted)) <= 2 * np.max(rounded)

    error(gpu.conv2d(x, weight, None, *case.geometry), "conv2d", x, weight, None)
    got = gpu.conv2d_input_grad(g, weight, case.x, *case.geometry)
    error(got, "conv2d_input_grad", g, weight, case.x)
    got = gpu.conv2d_weight_grad(g, x, case.weight, *case.geometry)
    error(got, "conv2d_weight_grad", g, x, case.weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 16])
def test_nan_and_infinities_stay_in_their_windows(groups: int, last: bool, dtype: Any) -> None:
    case = Case((1, 16, 9, 12), 16, padding=(1, 1), groups=groups)
    x, weight = normal(case.x, dtype), np.abs(normal(case.weight, dtype, seed=1)) + dtype(0.125)
    x[0, 3, 2, 5], x[0, 3, 6, 1] = np.nan, np.inf
    got = gpu.conv2d(stored(x, last), weight, None, *case.geometry, "relu")
    wanted = spec.conv2d(exact(x), exact(weight), None, *case.geometry, "relu")
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))


def test_precision_of_float32() -> None:
    """TF32 where set_float32_matmul_precision asks for it, unless cudnn.allow_tf32 forbids it for convolutions."""
    case = Case((1, 16, 8, 8), 16)
    x, weight = normal(case.x, np.float32), normal(case.weight, np.float32, seed=1)
    wanted = spec.conv2d(exact(x), exact(weight), None, *case.geometry)

    def error() -> float:
        return float(np.max(np.abs(gpu.conv2d(x, weight, None, *case.geometry) - wanted)))

    highest = error()
    fastnn.set_float32_matmul_precision("high")
    assert error() <= 4 * highest
    fastnn.set_float32_matmul_precision("medium")
    assert error() >= 100 * highest
    with flags.cudnn.flags(allow_tf32=False):
        assert error() == highest


def test_too_many_elements_are_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case((5, 4, 6, 7), 8)
    x, weight = normal(case.x, np.float32), normal(case.weight, np.float32, seed=1)
    g = output_gradient(case, np.float32, False)
    sizes = []

    class Few:
        """Kernels that take two samples."""

        def __getattr__(self, name: str) -> Any:
            def call(*args: Any) -> bool:
                n = args[0].shape[0]
                sizes.append(n)
                return n <= 2 and bool(getattr(kernels, name)(*args))

            return call

    given = settings(case, "highest")
    whole = forward(x, weight, None, False, g.shape[2:], given)
    whole_input = input_grad(g, weight, case.x, given)
    wanted = weight_grad(g, x, case.weight, given)
    monkeypatch.setattr(conv, "kernels", Few())
    np.testing.assert_array_equal(forward(x, weight, None, False, g.shape[2:], given), whole)
    assert sizes == [5, 2, 3, 1, 2]
    np.testing.assert_array_equal(input_grad(g, weight, case.x, given), whole_input)
    # three sums in float32 instead of one
    np.testing.assert_allclose(weight_grad(g, x, case.weight, given), wanted, rtol=1e-5, atol=1e-5)


@needs_counters
@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(np.float16, "highest"), (np.float32, "medium"), (np.float32, "highest")],
)
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("tile", ["small", "large"])
def test_memory_is_used_well(
    tile: str, last: bool, dtype: Any, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without padding: lanes outside of the image are counted as requests of their own. So the input's gradient is one of 1 x 1."""
    case = Case((1, 64, 10, 18), 128)
    point = case._replace(x=(1, 64, 8, 16), kernel=(1, 1))
    x, weight = stored(normal(case.x, dtype), last), normal(case.weight, dtype, seed=1)
    g, gy = output_gradient(case, dtype, last), output_gradient(point, dtype, last)
    given = settings(case, precision, tile=tile, method="product", splits=1)
    kernel = "fma_kernel" if (dtype, precision) == (np.float32, "highest") else "mma_kernel"
    with memory_used_well(monkeypatch, kernel, "prepare_kernel", exempt=True) as rows:
        forward(x, weight, normal((128,), dtype), False, g.shape[2:], given)
        input_grad(gy, normal(point.weight, dtype), point.x, given)
        weight_grad(g, x, case.weight, given)
    assert any("WeightRows" in row["kernel"] for row in rows)


@needs_counters
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("last", [True, False])
def test_memory_is_used_well_by_direct_kernels(
    last: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case((1, 64, 10, 18), 64, groups=64)
    x, weight = stored(normal(case.x, dtype), last), normal(case.weight, dtype, seed=1)
    g = output_gradient(case, dtype, last)
    given = settings(case, "highest")
    with memory_used_well(monkeypatch, "direct_kernel", "direct_weight_kernel", exempt=True):
        forward(x, weight, None, False, g.shape[2:], given)
        input_grad(g, weight, case.x, given)
        weight_grad(g, x, case.weight, given)


def launched(function: Any) -> set[str]:
    """The kernels that a call starts."""
    kernels.emulator_reset_counters()
    function()
    return {name.split("<")[0].split("::")[-1] for name in kernels.emulator_kernels()}


@needs_counters
def test_operations_that_come_down_to_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMT_COUNT", "1")

    def train(operation: Any, x: Any, weight: Any, **given: Any) -> None:
        x, weight = (fastnn.randn(*size, device="cuda", requires_grad=True) for size in (x, weight))
        getattr(fastnn.nn.functional, operation)(x, weight, **given).sum().backward()
        assert x.grad is not None
        assert weight.grad is not None

    for operation, x, weight in [
        ("conv1d", (2, 6, 19), (8, 6, 3)),
        ("conv2d", (2, 6, 9, 8), (8, 6, 3, 2)),
        ("conv3d", (1, 6, 4, 5, 6), (8, 6, 2, 2, 2)),
        ("conv_transpose1d", (2, 8, 19), (8, 6, 3)),
        ("conv_transpose2d", (2, 8, 5, 6), (8, 6, 3, 2)),
        ("conv_transpose3d", (1, 8, 4, 5, 3), (8, 6, 2, 2, 2)),
    ]:
        found = launched(lambda o=operation, x=x, w=weight: train(o, x, w, stride=2))
        assert {"fma_kernel", "prepare_kernel"} <= found, operation


def test_errors() -> None:
    x, weight = np.ones((2, 4, 6, 7), np.float32), np.ones((8, 2, 3, 3), np.float32)
    y = np.empty((2, 8, 4, 5), np.float32)
    geometry = ((1, 1), (0, 0), (1, 1), 2)
    given = kernels.ConvSettings(*geometry, "highest")

    def scratch(size: int) -> Any:
        return np.empty(size, np.uint8)

    def run(x: Any, weight: Any, bias: Any, y: Any, given: Any = given, scratch: Any = scratch):
        kernels.conv(x, weight, bias, y, False, given, scratch, 0)

    run(x, weight, None, y)
    with pytest.raises(ValueError, match=r"x \(2, 4, 6, 7\), weight .* do not fit with groups=2"):
        run(x, weight, None, y[:, :, :3])
    with pytest.raises(ValueError, match="do not fit"):
        run(x[:, :3], weight, None, y)
    with pytest.raises(TypeError, match="weight must be float32, got float64"):
        run(x, weight.astype(np.float64), None, y)
    with pytest.raises(TypeError, match="floating"):
        run(x.astype(np.int32), weight.astype(np.int32), None, y.astype(np.int32))
    with pytest.raises(ValueError, match="bias must have 8 elements"):
        run(x, weight, np.ones(7, np.float32), y)
    with pytest.raises(ValueError, match="3 to 5 dims"):
        run(x[0, 0], weight, None, y)
    with pytest.raises(ValueError, match="y must have 4 dims"):
        run(x, weight, None, y[0])
    with pytest.raises(ValueError, match="workspace must have"):
        run(x, weight, None, y, kernels.ConvSettings(*geometry, "highest", method="product"), lambda size: np.empty(size - 1, np.uint8))  # fmt: skip
    for changed, message in [
        (((0, 1), (0, 0), (1, 1), 2), "stride must be at least 1"),
        (((1, 1), (0, -1), (1, 1), 2), "padding must be at least 0"),
        (((1, 1), (0, 0), (1,), 2), "dilation must have 2 numbers"),
        (((1, 1), (0, 0), (1, 1), 0), "groups must be positive"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(x, weight, None, y, kernels.ConvSettings(*changed, "highest"))
    with pytest.raises(ValueError, match="precision must be"):
        run(x, weight, None, y, kernels.ConvSettings(*geometry, "low"))
    with pytest.raises(ValueError, match="method must be"):
        run(x, weight, None, y, kernels.ConvSettings(*geometry, "highest", method="fft"))
    g = np.ones((2, 8, 5, 4), np.float32).swapaxes(2, 3)
    with pytest.raises(ValueError, match="g must be dense"):
        kernels.conv_weight_grad(g, x, weight, given, scratch, 0)
    with pytest.raises(ValueError, match="gweight must be contiguous"):
        kernels.conv_weight_grad(y, x, weight.swapaxes(2, 3), given, scratch, 0)
