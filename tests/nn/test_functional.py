"""Layers of images in one to three dims, norms, activations and losses: what they refuse, their modes, their sizes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn

ones, zeros = fastnn.ones, fastnn.zeros
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: F.conv1d(ones(3), ones(1, 3, 2)), RuntimeError, r"expected 2D .unbatched. or 3D"),
    (lambda: F.conv1d(ones(1, 3, 4), ones(1, 3, 2, 2)), RuntimeError, "weight must have 3 dims"),
    (lambda: F.conv1d(ones(1, 3, 4), ones(1, 3, 2), stride=2, padding="same"), ValueError, "strided"),
    (lambda: F.conv3d(ones(1, 2, 3, 3, 3), ones(4, 3, 2, 2, 2)), RuntimeError, "expects input of 3 channels"),
    (lambda: F.conv3d(ones(1, 2, 3, 3, 3), ones(4, 2, 4, 2, 2)), RuntimeError, "larger than the padded input"),
    (lambda: F.conv3d(ones(1, 2, 3, 3, 3), ones(4, 2, 2, 2, 2), ones(3)), RuntimeError, r"bias must have shape \(4,\)"),
    (lambda: F.conv3d(ones(1, 2, 3, 3, 3), ones(3, 1, 2, 2, 2), groups=2), RuntimeError, "2 groups"),
    (lambda: F.conv_transpose2d(ones(1, 2, 3, 3), ones(3, 2, 2, 2)), RuntimeError, "expects input of 3 channels"),
    (lambda: F.conv_transpose2d(ones(1, 2, 3, 3), ones(2, 2, 2, 2), output_padding=1), RuntimeError, "output padding must be smaller"),
    (lambda: F.conv_transpose2d(ones(1, 2, 1, 1), ones(2, 2, 2, 2), padding=2), RuntimeError, "too small"),
    (lambda: nn.ConvTranspose2d(2, 2, 3, padding_mode="reflect"), ValueError, 'Only "zeros" padding mode'),
    (lambda: nn.ConvTranspose2d(2, 2, 3, padding="same"), TypeError, "padding must be an int"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, 2)(ones(1, 1, 4, 4), output_size=(20, 9)), ValueError, "valid sizes range"),
    (lambda: nn.ConvTranspose2d(1, 1, 3, 2)(ones(1, 1, 4, 4), output_size=(9,)), ValueError, "must have 2 elements"),
    (lambda: F.max_pool1d(ones(4), 2), RuntimeError, "expected 2D"),
    (lambda: F.max_pool3d(ones(1, 1, 4, 4, 4).long(), 2), RuntimeError, "expects a floating tensor"),
    (lambda: F.avg_pool3d(ones(1, 1, 4, 4, 4), 2, divisor_override=0), RuntimeError, "divisor"),
    (lambda: F.adaptive_avg_pool1d(ones(1, 4), (2, 3)), ValueError, "an int or 1 ints"),
    (lambda: F.adaptive_max_pool2d(ones(1, 0, 4), 2) if False else F.adaptive_max_pool2d(ones(1, 1, 0, 4), 2), RuntimeError, "non-zero spatial"),
    (lambda: F.max_unpool2d(ones(1, 1, 1, 1), fastnn.tensor([[[[9]]]]), 2), RuntimeError, r"must be in 0..3"),
    (lambda: F.max_unpool2d(ones(1, 1, 1, 1), ones(1, 1, 1, 1), 2), RuntimeError, "must be int64"),
    (lambda: F.max_unpool2d(ones(1, 1, 1, 1), fastnn.tensor([[[[0]]]]), 2, output_size=(9, 9)), ValueError, "invalid output_size"),
    (lambda: F.pad(ones(2, 3), (1,)), RuntimeError, "divisible by 2"),
    (lambda: F.pad(ones(3), (1, 1, 1, 1)), RuntimeError, "at most twice"),
    (lambda: F.pad(ones(3), (-2, -2)), RuntimeError, "negative output size"),
    (lambda: F.pad(ones(1, 3), (3, 0), "reflect"), RuntimeError, "less than the corresponding input dimension"),
    (lambda: F.pad(ones(1, 3), (4, 0), "circular"), RuntimeError, "wrapping around more than once"),
    (lambda: F.pad(ones(3), (1, 0), "reflect"), NotImplementedError, "pads the last 1, 2 or 3 dims"),
    (lambda: F.pad(ones(1, 3), (1, 0), "mirror"), NotImplementedError, "unrecognised padding mode"),
    (lambda: F.pad(ones(1, 3), (1, 0), "reflect", 2.0), ValueError, "doesn't take in value"),
    (lambda: nn.ReflectionPad2d((1, 2)), ValueError, "an int or 4 ints"),
    (lambda: F.layer_norm(ones(2, 3), (4,)), RuntimeError, r"expected input with shape \[\*, 4\]"),
    (lambda: F.layer_norm(ones(2, 3), (3,), ones(2)), RuntimeError, "expected weight to be of same shape"),
    (lambda: F.layer_norm(ones(2, 3), (3,), ones(3).double()), RuntimeError, "weight is fastnn.float64"),
    (lambda: F.rms_norm(ones(2, 3), ()), RuntimeError, "at least 1-dimensional"),
    (lambda: F.group_norm(ones(2, 3), 2), RuntimeError, "divisible by num_groups"),
    (lambda: nn.GroupNorm(2, 3), ValueError, "must be divisible by num_groups"),
    (lambda: nn.InstanceNorm1d(3)(ones(2, 3, 1)), ValueError, "more than 1 spatial element"),
    (lambda: nn.InstanceNorm2d(3)(ones(2, 3)), ValueError, "expected 3D or 4D input"),
    (lambda: nn.InstanceNorm1d(4, affine=True)(ones(2, 3, 2)), ValueError, "to match num_features"),
    (lambda: F.local_response_norm(ones(2, 3), 2), ValueError, "3D or higher"),
    (lambda: F.gelu(ones(2), approximate="erf"), RuntimeError, 'either "none" or "tanh"'),
    (lambda: F.celu(ones(2), 0), RuntimeError, "alpha cannot be 0"),
    (lambda: F.softshrink(ones(2), -1), RuntimeError, "greater or equal to 0"),
    (lambda: F.hardtanh(ones(2), 2, 1), ValueError, "cannot be greater"),
    (lambda: nn.Hardtanh(1, 1), ValueError, "must be larger than"),
    (lambda: nn.Hardtanh(min_value=0), ValueError, "are now min_val"),
    (lambda: F.glu(ones(3)), RuntimeError, "must be even"),
    (lambda: F.prelu(ones(2, 3), ones(2)), RuntimeError, "parameter numbers = 2 and channel size = 3"),
    (lambda: nn.Softmax2d()(ones(2, 3)), ValueError, "3D or 4D"),
    (lambda: F.huber_loss(ones(2), ones(2), delta=0), ValueError, "non-positive values for delta"),
    (lambda: F.smooth_l1_loss(ones(2), ones(2), beta=-1), RuntimeError, "negative values for beta"),
    (lambda: F.gaussian_nll_loss(ones(2, 3), ones(2, 3), ones(3)), ValueError, "incorrect size"),
    (lambda: F.gaussian_nll_loss(ones(2), ones(2), -ones(2)), ValueError, "negative entry"),
    (lambda: F.cosine_embedding_loss(ones(3), ones(3), ones(3)), RuntimeError, "1D target tensor expects 2D"),
    (lambda: F.margin_ranking_loss(ones(3), ones(3), ones(1, 3)), RuntimeError, "same dimension"),
    (lambda: F.triplet_margin_loss(ones(3), ones(3), ones(1, 3)), RuntimeError, "same number of dimensions"),
    (lambda: nn.TripletMarginLoss(margin=0), ValueError, "greater than 0"),
    (lambda: F.multi_margin_loss(ones(1, 3), fastnn.tensor([3])), RuntimeError, "target out of range"),
    (lambda: F.multi_margin_loss(ones(1, 3), fastnn.tensor([0]), p=3), ValueError, "p == 1 and p == 2"),
    (lambda: F.dropout1d(ones(3)), RuntimeError, "expected 2D or 3D"),
    (lambda: F.dropout3d(ones(3)), RuntimeError, "expected 4D or 5D"),
    (lambda: F.alpha_dropout(ones(3), 2), ValueError, "between 0 and 1"),
    (lambda: F.interpolate(ones(1, 1, 3)), ValueError, "exactly one of size and scale_factor"),
    (lambda: F.interpolate(ones(1, 1, 3), 2, mode="bilinear"), NotImplementedError, "does not resize input of 3 dims"),
    (lambda: F.interpolate(ones(1, 1, 3), 2, mode="lanczos"), NotImplementedError, "mode must be one of"),
    (lambda: F.interpolate(ones(1, 1, 3), 2, align_corners=True), ValueError, "align_corners"),
    (lambda: F.interpolate(ones(1, 1, 3), 2, mode="linear", antialias=True), ValueError, "bilinear and bicubic"),
    (lambda: F.interpolate(ones(1, 1, 3), (2, 2)), ValueError, "1 spatial dims"),
    (lambda: F.unfold(ones(1, 1, 2, 2), 3), RuntimeError, "too small"),
    (lambda: F.fold(ones(1, 4, 3), 3, 2), RuntimeError, r"expected input of \(N, C \* 4, 4\)"),
    (lambda: F.pixel_shuffle(ones(1, 3, 2, 2), 2), RuntimeError, "square of upscale_factor"),
    (lambda: F.pixel_unshuffle(ones(1, 3, 3, 2), 2), RuntimeError, "divisible by downscale_factor"),
    (lambda: F.channel_shuffle(ones(1, 3, 2), 2), RuntimeError, "divisible by groups"),
    (lambda: F.grid_sample(ones(1, 1, 2, 2), ones(1, 2, 2, 3), align_corners=True), RuntimeError, "expected input"),
    (lambda: F.grid_sample(ones(1, 1, 2, 2), ones(1, 2, 2, 2), "cubic", align_corners=True), ValueError, "mode"),
    (lambda: F.affine_grid(ones(1, 2, 3), (1, 1, 2), True), ValueError, "expected theta"),
    (lambda: F.pdist(ones(3)), RuntimeError, "2D tensors"),
    (lambda: F.linear_cross_entropy(ones(2, 3), ones(4, 2), fastnn.tensor([0, 1])), RuntimeError, "in_features"),
    (lambda: F.bilinear(ones(2, 3), ones(2, 3), ones(1, 2, 3)), RuntimeError, "expected inputs"),
    (lambda: nn.Bilinear(0, 1, 1), ValueError, "in1_features must be > 0"),
    (lambda: nn.Unflatten("dim", (2, 3)), TypeError, "dim must be an int"),
    (lambda: nn.Unflatten(1, (4, 2))(ones(2, 6)), RuntimeError, "don't multiply up"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


INPLACE = [
    (F.relu_, F.relu, ()),
    (F.leaky_relu_, F.leaky_relu, (0.3,)),
    (F.elu_, F.elu, (0.7,)),
    (F.celu_, F.celu, (0.7,)),
    (F.selu_, F.selu, ()),
    (F.hardtanh_, F.hardtanh, (-0.5, 0.5)),
    (F.threshold_, F.threshold, (0.1, 2.0)),
    (F.rrelu_, F.rrelu, (0.1, 0.2)),
    (lambda x: F.silu(x, inplace=True), F.silu, ()),
    (lambda x: F.mish(x, inplace=True), F.mish, ()),
    (lambda x: F.hardswish(x, inplace=True), F.hardswish, ()),
    (lambda x: F.hardsigmoid(x, inplace=True), F.hardsigmoid, ()),
    (lambda x: F.relu6(x, inplace=True), F.relu6, ()),
]


@pytest.mark.parametrize(("inplace", "plain", "numbers"), INPLACE)
def test_activations_in_place(inplace: Any, plain: Any, numbers: Any) -> None:
    leaf = fastnn.linspace(-2, 2, 8).requires_grad_()
    other = leaf.detach().clone().requires_grad_()
    x = leaf * 1
    y = inplace(x, *numbers)
    assert y is x
    y.sum().backward()
    expected = plain(other, *numbers)
    expected.sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    np.testing.assert_array_equal(leaf.grad.numpy(), other.grad.numpy())


@pytest.mark.parametrize("dtype", [fastnn.float16, fastnn.bfloat16, fastnn.float64])
def test_results_keep_the_dtype(dtype: Any) -> None:
    x = fastnn.linspace(-2, 2, 24).reshape(1, 2, 3, 4).to(dtype).requires_grad_()
    functions: list[Any] = [
        F.elu, F.selu, F.gelu, F.silu, F.mish, F.hardswish, F.hardsigmoid, F.hardtanh, F.softplus, F.softshrink,
        F.hardshrink, F.logsigmoid, F.softsign, F.tanhshrink, F.relu6, F.glu,
        lambda x: F.layer_norm(x, (4,)), lambda x: F.rms_norm(x, (4,)), lambda x: F.group_norm(x, 2), F.instance_norm,
        lambda x: F.pad(x, (1, 1, 1, 1), "reflect"), lambda x: F.pad(x, (1, 1)),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.unfold(x, 2), lambda x: F.normalize(x), lambda x: F.pixel_unshuffle(x[:, :, :2], 2),
        lambda x: F.smooth_l1_loss(x, x.detach() * 2), lambda x: F.huber_loss(x, x.detach() * 2),
        lambda x: F.adaptive_max_pool2d(x, 2), lambda x: F.max_pool1d(x[0], 2),
    ]  # fmt: skip
    for function in functions:
        y = function(x)
        assert y.dtype == dtype, function
        (g,) = fastnn.autograd.grad(y.sum(), [x])
        assert g.dtype == dtype, function


def test_instance_norm_moves_its_statistics() -> None:
    layer = nn.InstanceNorm1d(2, momentum=0.5, track_running_stats=True)
    x = fastnn.tensor([[[1.0, 3.0], [0.0, 4.0]], [[5.0, 7.0], [2.0, 2.0]]])
    layer(x)
    # means of the samples' means, and of their unbiased variances, halfway from (0, 1)
    np.testing.assert_allclose(layer.running_mean.numpy(), [2.0, 1.0])
    np.testing.assert_allclose(layer.running_var.numpy(), [1.5, 2.5])
    layer.eval()
    y = layer(x)
    # x - running_mean over sqrt(running_var + eps): one rounding a step
    wanted = (x.numpy() - [[2.0], [1.0]]) / np.sqrt(np.array([[1.5], [2.5]]) + 1e-5)
    np.testing.assert_allclose(y.numpy(), wanted, rtol=8 * np.finfo(np.float32).eps)


def test_dropout_of_channels() -> None:
    x = ones(50, 40, 3, 2)
    for layer in (nn.Dropout2d(0.25), nn.FeatureAlphaDropout(0.25)):
        y = layer(x).numpy().reshape(2000, 6)
        assert (y == y[:, :1]).all()
        dropped = float((y[:, 0] < 0.5).mean())
        assert abs(dropped - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000)  # 5 standard deviations
        assert layer.eval()(x) is x
    with pytest.warns(UserWarning, match=r"taken as \(N, C, L\)"):
        lines = F.dropout2d(ones(50, 40, 6), 0.25).numpy()
    assert (lines == lines[:, :, :1]).all()
    assert not (lines == lines[:, :1, :1]).all()
    assert F.dropout1d(ones(4, 3, 5), 1.0).sum().item() == 0
    assert F.dropout3d(ones(4, 3, 2, 2, 2), 0.0).sum().item() == 96


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = fastnn.randn(200_000)
    y = nn.AlphaDropout(0.2)(x).numpy()
    # 5 standard deviations of a mean and of a variance of so many samples (of excess kurtosis below 2)
    assert abs(y.mean()) < 5 / np.sqrt(200_000)
    assert abs(y.var() - 1) < 5 * np.sqrt(4 / 200_000)
    assert F.alpha_dropout(x) is x


def test_rrelu_draws_slopes() -> None:
    x = -ones(10_000)
    slopes = -F.rrelu(x, 0.1, 0.3, training=True).numpy()
    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.3
    assert abs(slopes.mean() - 0.2) < 5 * 0.2 / np.sqrt(
        12 * 10_000
    )  # a uniform's standard deviation is width / sqrt(12)


def test_gumbel_softmax_samples_categories() -> None:
    logits = fastnn.tensor([0.2, 0.3, 0.5]).log().expand(20_000, 3)
    hard = F.gumbel_softmax(logits, hard=True).numpy()
    assert set(np.unique(hard.sum(1))) == {1.0}
    np.testing.assert_allclose(hard.mean(0), [0.2, 0.3, 0.5], atol=5 * np.sqrt(0.25 / 20_000))


def test_old_reduction_arguments() -> None:
    x, t = ones(2, 3), zeros(2, 3)
    with pytest.warns(UserWarning, match="please use reduction='sum'"):
        assert F.mse_loss(x, t, size_average=False).item() == 6
    with pytest.warns(UserWarning, match="please use reduction='none'"):
        assert nn.L1Loss(reduce=False)(x, t).shape == (2, 3)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes_of_convolution(mode: str) -> None:
    layer = nn.Conv2d(1, 1, 3, padding=(1, 2), padding_mode=mode)
    x = fastnn.randn(2, 1, 4, 5)
    padded = F.pad(x, (2, 2, 1, 1), "constant" if mode == "zeros" else mode)
    wanted = F.conv2d(padded, layer.weight, layer.bias)
    # 10 terms in another order
    np.testing.assert_allclose(layer(x).detach().numpy(), wanted.detach().numpy(), atol=20 * 2e-7)
    assert (mode in repr(layer)) == (mode != "zeros")


def test_unpooling_undoes_pooling() -> None:
    x = fastnn.arange(30.0).reshape(1, 1, 5, 6)
    y, at = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(y, at, output_size=x.shape)
    assert back.shape == x.shape
    assert back.sum().item() == y.sum().item()
    np.testing.assert_array_equal(back.numpy()[0, 0, 1::2, 1::2], y.numpy()[0, 0])


@pytest.mark.parametrize("shape", [(1, 4), (1, 1, 4), (2, 3, 4)])
def test_unbatched_lines(shape: tuple[int, ...]) -> None:
    x = ones(shape)
    assert F.avg_pool1d(x, 2).shape == (*shape[:-1], 2)
    assert F.max_pool1d(x, 2).shape == (*shape[:-1], 2)
    assert nn.Conv1d(shape[-2], 5, 3)(x).shape == (*shape[:-2], 5, 2)
    assert nn.ConvTranspose1d(shape[-2], 5, 3)(x).shape == (*shape[:-2], 5, 6)


def _probability(frames: np.ndarray, labels: list[int]) -> float:
    """The sum over all alignments, one by one."""
    steps, classes = frames.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=steps):
        merged = [c for i, c in enumerate(path) if (i == 0 or c != path[i - 1])]
        if [c for c in merged if c] == labels:
            total += float(np.prod(frames[range(steps), path]))
    return total


@pytest.mark.parametrize("labels", [[1, 2], [1, 1], [2], []])
def test_ctc_counts_every_alignment(labels: list[int]) -> None:
    x = fastnn.randn(4, 1, 3, dtype=fastnn.float64).requires_grad_()
    frames = x.log_softmax(2)
    targets = fastnn.tensor([labels], dtype=fastnn.int64)
    loss = F.ctc_loss(frames, targets, [4], [len(labels)], reduction="sum")
    wanted = -np.log(_probability(np.exp(frames.detach().numpy()[:, 0]), labels))
    # sums of 81 products of 4 factors, in float64
    assert abs(loss.item() - wanted) < 400 * np.finfo(np.float64).eps * max(1, abs(wanted))

    def function(x: Any) -> Any:
        return F.ctc_loss(x.log_softmax(2), targets, [4], [len(labels)], reduction="sum")

    assert fastnn.autograd.gradcheck(function, [x])


def test_ctc_of_targets_that_do_not_fit() -> None:
    frames = fastnn.randn(2, 2, 3).log_softmax(2).detach().requires_grad_()
    targets = fastnn.tensor([[1, 1], [1, 2]])
    losses = F.ctc_loss(frames, targets, [2, 2], [2, 2], reduction="none", zero_infinity=True)
    assert losses[0].item() == 0
    losses.sum().backward()
    assert not frames.grad.numpy()[:, 0].any()
    assert np.isinf(F.ctc_loss(frames, targets, [2, 2], [2, 2], reduction="none")[0].item())
    with pytest.raises(RuntimeError, match="value at most 2, but got value 3"):
        F.ctc_loss(frames, targets, [3, 2], [2, 2])
    with pytest.raises(RuntimeError, match="do not hold target_lengths"):
        F.ctc_loss(frames, targets, [2, 2], [3, 2])
    with pytest.raises(RuntimeError, match="blank must be in label range"):
        F.ctc_loss(frames, targets, [2, 2], [2, 2], blank=3)
