"""Recurrent layer kernels against the specification in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import assert_same_bits_for_any_threads, eps, kernel, layouts

from fastnn.backends import cpu
from fastnn.backends import numpy as spec

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
KINDS = [*GATES, "relu", "projected"]
# (input size, hidden size, batch sizes): one of everything; whole vectors and tiles; an odd batch with samples that end (in
# reverse: begin) one by one and many at once; sums of several pieces; a batch for several chunks of samples
SEQUENCES: list[tuple[int, int, list[int]]] = [
    (1, 1, [1]),
    (28, 80, [32, 32, 32]),
    (7, 13, [19, 19, 17, 17, 17, 16, 3, 3, 1, 1]),
    (33, 50, [5, 5, 2]),
    (700, 37, [2, 2, 1]),
    (5, 400, [4, 3]),
    (9, 33, [60, 60, 52, 48, 48, 7, 1]),
    (40, 24, [48] * 9),
]


def wide(arguments: Any) -> list[Any]:
    """The same arguments in float64."""
    return [
        a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for a in arguments
    ]


class Layer:
    """The arguments of one layer, random: numbers of size one, weights so that sums of products have size one."""

    def __init__(
        self,
        kind: str,
        size: int,
        hidden: int,
        sizes: list[int],
        dtype: Any,
        *,
        reverse: bool = False,
        biases: bool = True,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.name = {"relu": "rnn", "projected": "lstm"}.get(kind, kind)
        self.kind, self.reverse, self.rng, self.dtype = kind, reverse, rng, dtype
        self.rows, self.samples = sum(sizes), sizes[0]
        self.hidden = hidden
        self.output = (hidden + 1) // 2 if kind == "projected" and hidden > 1 else hidden
        self.sizes = np.array(sizes)
        gates = GATES[self.name] * hidden
        self.x = self.normal(self.rows, size)
        self.w_ih = self.normal(gates, size, scale=size**-0.5)
        self.w_hh = self.normal(gates, self.output, scale=self.output**-0.5)
        self.biases = [self.normal(gates) if biases else None for _ in range(2)]
        self.w_hr = None
        if self.output != hidden:
            self.w_hr = self.normal(self.output, hidden, scale=hidden**-0.5)
        self.h0 = self.normal(self.samples, self.output)
        self.c0 = self.normal(self.samples, hidden)

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (self.rng.standard_normal(shape) * scale).astype(self.dtype)

    def middle(self) -> list[Any]:
        """What both directions take."""
        if self.name == "lstm":
            return [self.w_hr, self.h0, self.c0]
        return [self.h0]

    def forward(self, keep: bool = True) -> list[Any]:
        last = keep if self.name != "rnn" else "relu" if self.kind == "relu" else "tanh"
        return [
            self.x, self.w_ih, self.w_hh, *self.biases, *self.middle(), self.sizes, self.reverse, last
        ]  # fmt: skip

    def backward(self, results: Any, gradients: Any, x_wanted: bool = True) -> list[Any]:
        y, *rest = results
        kept = {"rnn": [], "lstm": rest[2:], "gru": rest[1:]}[self.name]
        run = [self.sizes, self.reverse]
        if self.name == "rnn":
            run.append("relu" if self.kind == "relu" else "tanh")
        return [
            *gradients, self.x, self.w_ih, self.w_hh, *self.middle(), y, *kept, *run, x_wanted
        ]  # fmt: skip

    def gradients(self) -> list[Any]:
        states = [self.normal(self.samples, self.output)]
        if self.name == "lstm":
            states.append(self.normal(self.samples, self.hidden))
        return [self.normal(self.rows, self.output), *states]


def check(got: Any, wanted: Any, dtype: Any) -> None:
    """Numbers of size one, or a gradient's of ``scale``: functions of slope at most one of sums.

    A sum of n products of size n ** -0.5 is off by a few units; at each step its error is that of the step before, not
    enlarged, and some units more, over up to ten steps. ReLU's sums grow with the steps, and ``scale`` with them.
    """
    assert len(got) == len(wanted)
    for number, (a, b) in enumerate(zip(got, wanted, strict=True)):
        if b is None:
            assert a is None
            continue
        assert a.dtype == dtype
        scale = max(1.0, float(np.abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=64 * eps(dtype) * scale, err_msg=str(number))


def run_both(layer: Layer, gradients: Any, x_wanted: bool = True) -> None:
    arguments = layer.forward()
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    results = kernel(layer.name)(*arguments)
    check(results, getattr(spec, layer.name)(*wide(arguments)), layer.dtype)
    arguments_back = layer.backward(results, gradients, x_wanted)
    name = f"{layer.name}_backward"
    found = kernel(name)(*arguments_back)
    check(found, getattr(spec, name)(*wide(arguments_back)), layer.dtype)
    for a, b in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("size", "hidden", "sizes"), SEQUENCES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_layer(
    isa: str, dtype: Any, kind: str, reverse: bool, size: int, hidden: int, sizes: list[int]
) -> None:
    layer = Layer(kind, size, hidden, sizes, dtype, reverse=reverse)
    run_both(layer, layer.gradients())


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_be_missing(isa: str, dtype: Any, kind: str) -> None:
    layer = Layer(kind, 6, 21, [7, 7, 4], dtype, biases=False)
    gradients = layer.gradients()
    for missing in range(len(gradients)):
        given = [None if i == missing else g for i, g in enumerate(gradients)]
        run_both(layer, given, x_wanted=missing > 0)
    run_both(layer, [gradients[0], *[None] * (len(gradients) - 1)])
    layer.biases[1] = layer.normal(len(layer.w_ih))  # one of the two
    run_both(layer, gradients)
    if layer.name != "rnn":
        kept, bare = (kernel(layer.name)(*layer.forward(keep)) for keep in (True, False))
        number = len(kept) - 2
        assert bare[number:] == (None, None)
        for a, b in zip(kept[:number], bare[:number], strict=True):
            np.testing.assert_array_equal(a, b)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    size=st.integers(1, 40),
    hidden=st.integers(1, 40),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    reverse=st.booleans(),
)
def test_any_shape(kind: str, size: int, hidden: int, sizes: list[int], reverse: bool) -> None:
    layer = Layer(kind, size, hidden, sorted(sizes, reverse=True), np.float64, reverse=reverse)
    run_both(layer, layer.gradients())


@pytest.mark.parametrize("kind", KINDS)
def test_layouts(isa: str, dtype: Any, kind: str) -> None:
    layer = Layer(kind, 5, 9, [4, 4, 2], dtype)
    forward, backward = getattr(cpu, layer.name), getattr(cpu, f"{layer.name}_backward")
    arguments = layer.forward()
    wanted = forward(*arguments)
    arguments_back = layer.backward(wanted, layer.gradients())
    wanted_back = backward(*arguments_back)

    for function, inputs, results in (
        (forward, arguments, wanted),
        (backward, arguments_back, wanted_back),
    ):
        for place, argument in enumerate(inputs):
            if not isinstance(argument, np.ndarray):
                continue
            for name, other in layouts(argument):
                got = function(*inputs[:place], other, *inputs[place + 1 :])
                for a, b in zip(got, results, strict=True):
                    np.testing.assert_array_equal(a, b, f"argument {place}, {name}")


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_for_any_threads(kind: str) -> None:
    # chunks of samples, and weights so large that threads share their columns
    for sizes, hidden in (([64] * 6, 90), ([41, 40, 13, 2], 90), ([2] * 9, 730)):
        layer = Layer(kind, 60, hidden, sizes, np.float32)
        results = kernel(layer.name)(*layer.forward())
        arguments = layer.backward(results, layer.gradients())

        def forward(layer: Layer = layer) -> Any:
            return kernel(layer.name)(*layer.forward())

        def backward(layer: Layer = layer, arguments: Any = arguments) -> Any:
            return kernel(f"{layer.name}_backward")(*arguments)

        assert_same_bits_for_any_threads(forward)
        assert_same_bits_for_any_threads(backward)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_batch(isa: str, dtype: Any, kind: str) -> None:
    steps = 20  # so many that weights are packed for one sample as well
    layer = Layer(kind, 10, 30, [26] * steps, dtype)
    y = kernel(layer.name)(*layer.forward())[0].reshape(steps, 26, -1)
    layer.sizes = np.ones(steps, np.int64)
    layer.x = layer.x.reshape(steps, 26, 10)[:, 17].copy()
    layer.h0, layer.c0 = layer.h0[17:18], layer.c0[17:18]
    np.testing.assert_array_equal(kernel(layer.name)(*layer.forward())[0], y[:, 17])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_special_values_stay_in_their_sample(isa: str, dtype: Any, kind: str, value: float) -> None:
    layer = Layer(kind, 3, 20, [18, 18, 9], dtype)
    layer.x[4, 1] = value
    got = kernel(layer.name)(*layer.forward())
    with np.errstate(all="ignore"):
        wanted = getattr(spec, layer.name)(*wide(layer.forward()))
    for a, b in zip(got, wanted, strict=True):
        if b is not None:
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    assert np.isnan(got[0]).any() == np.isnan(value) or kind == "relu"
    assert np.isfinite(np.delete(got[0][:18], 4, 0)).all()


def test_accuracy_of_the_gates(isa: str, dtype: Any, rng: Any) -> None:
    """At most 3 ulp, as simd/math.h's functions, whose polynomials they share."""
    end = 87 if dtype == np.float32 else 708
    size = 10.0 ** rng.uniform(-30, np.log10(end), 20000)
    x = np.concatenate([size, -size, np.linspace(-20, 20, 20001), [0, end, -end]]).astype(dtype)
    one, zero = np.ones((1, 1), dtype), np.zeros((len(x), 1), dtype)
    sizes = np.array([len(x)])
    tanh = kernel("rnn")(x[:, None], one, 0 * one, None, None, zero, sizes, False, "tanh")[0][:, 0]
    gates = np.ones((4, 1), dtype)
    activations = kernel("lstm")(
        x[:, None], gates, 0 * gates, None, None, None, zero, zero, sizes, False, True
    )[3]
    exact = x.astype(np.longdouble)
    for got, wanted in (
        (tanh, np.tanh(exact)),
        (activations[:, 2], np.tanh(exact)),
        (activations[:, 0], 1 / (1 + np.exp(-exact))),
    ):
        ulp = np.spacing(np.abs(wanted).astype(dtype)).astype(np.longdouble)
        assert (np.abs(got - wanted) <= 3 * ulp).all()


def test_what_kernels_refuse(rng: Any) -> None:
    layer = Layer("lstm", 4, 6, [3, 2], np.float32)
    arguments = layer.forward()
    kernel("lstm")(*arguments)
    for sizes in ([2, 3], [3, 3], [3], [5, 0], [3, 2, 0], []):
        layer.sizes = np.array(sizes, np.int64)
        with pytest.raises(AssertionError, match="did not serve"):
            kernel("lstm")(*layer.forward())
    for place, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            for wrong in (argument[:-1], argument.astype(np.float16), argument[None], None, 3):
                if wrong is None and place in (3, 4):
                    continue
                with pytest.raises(AssertionError, match="did not serve"):
                    kernel("lstm")(*arguments[:place], wrong, *arguments[place + 1 :])
    with pytest.raises(AssertionError, match="did not serve"):
        kernel("lstm")(*arguments[:-1])
    half = [
        a.astype(np.float16) if getattr(a, "dtype", None) == np.float32 else a for a in arguments
    ]
    assert cpu.lstm(*half)[0].dtype == np.float16


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_do(dtype: Any, kind: str) -> None:
    name = {"relu": "rnn", "projected": "lstm"}.get(kind, kind)
    for samples, hidden in ((0, 3), (2, 0)):
        gates = GATES[name] * hidden
        x, h0 = np.zeros((samples, 4), dtype), np.zeros((samples, hidden), dtype)
        sizes = np.array([samples], np.int64)
        middle = [None, h0, h0] if name == "lstm" else [h0]
        last = True if name != "rnn" else "tanh"
        weights = [np.zeros((gates, 4), dtype), np.zeros((gates, hidden), dtype)]
        y, *_ = getattr(cpu, name)(x, *weights, None, None, *middle, sizes, False, last)
        assert y.shape == (samples, hidden)
