"""Resizing, cropping, padding and warping, against definitions, and Pillow and PyTorch where they are installed."""

import numpy as np
import pytest

import fastnn
from fastnn.vision.transforms import InterpolationMode
from fastnn.vision.transforms import functional as F

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)
FLOATS = RNG.random((3, 13, 17)).astype(np.float32)
SIZES = [(7, 9), (30, 21), (13, 40), (5, 17)]


def pil(array):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: an optional extra")
    return image.fromarray(array)


def planes(image):
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_resize_floats_as_pytorch(size, mode, antialias):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")
    expected = torch.nn.functional.interpolate(
        torch.tensor(FLOATS)[None], size, mode=mode, antialias=antialias, align_corners=False
    )[0].numpy()
    found = F.resize(fastnn.from_numpy(FLOATS), size, mode, antialias=antialias)
    assert found.dtype == fastnn.float32
    # Sums of at most 12 × 12 terms whose weights' magnitudes sum to less than 2, in float32: 144 · 2⁻²⁴ at worst.
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=9e-6)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("size", SIZES)
def test_resize_nearest_as_pytorch(size, mode):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: an optional reference")
    expected = torch.nn.functional.interpolate(torch.tensor(FLOATS)[None], size, mode=mode)
    found = F.resize(fastnn.from_numpy(FLOATS), size, mode)
    np.testing.assert_array_equal(found.numpy(), expected[0].numpy())


@pytest.mark.parametrize("mode", [InterpolationMode.BILINEAR, InterpolationMode.BICUBIC])
@pytest.mark.parametrize("size", SIZES)
def test_resize_bytes_as_pillow(size, mode):
    mild = BYTES // 2 + 64  # no overshoot that Pillow would cut between its passes
    expected = np.asarray(F.resize(pil(mild), size, mode)).astype(int)
    found = F.resize(mild, size, mode)
    assert found.dtype == np.uint8
    # Pillow rounds to bytes after each of the two passes, here only the result is.
    assert np.abs(found - expected).max() <= 2


def test_resize_of_constants_and_float64():
    for mode in ("bilinear", "bicubic"):
        x = fastnn.full((1, 5, 6), 0.25, dtype=fastnn.float64)
        found = F.resize(x, (9, 3), mode)
        assert found.dtype == fastnn.float64
        np.testing.assert_allclose(found.numpy(), 0.25, rtol=1e-15)  # weights sum to 1


@pytest.mark.parametrize(
    ("size", "max_size", "expected"),
    [(6, None, (6, 7)), ([6], None, (6, 7)), (6, 7, (6, 7)), (12, 13, (10, 13)), (None, 34, (26, 34)), ((4, 3), None, (4, 3))],
)  # fmt: skip
def test_resize_sizes(size, max_size, expected):
    assert F.resize(BYTES, size, max_size=max_size).shape[:2] == expected
    turned = F.resize(BYTES.transpose(1, 0, 2), size, max_size=max_size).shape[:2]
    assert turned == (expected if size == (4, 3) else expected[::-1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": (4, 3), "max_size": 9}, ValueError, "max_size"),
        ({"size": 6, "max_size": 6}, ValueError, "strictly greater"),
        ({"size": None}, ValueError, "max_size"),
        ({"size": 0}, ValueError, "positive"),
        ({"size": "big"}, ValueError, "1 or 2 ints"),
        ({"size": 5, "interpolation": InterpolationMode.LANCZOS}, ValueError, "lanczos"),
        ({"size": 5, "interpolation": 2.5}, TypeError, "interpolation"),
    ],
)
def test_resize_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        F.resize(BYTES, **arguments)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize(("padding", "widths"), [(2, ((2, 2), (2, 2))), ((1, 3), ((3, 3), (1, 1))), ((1, 2, 3, 4), ((2, 4), (1, 3)))])  # fmt: skip
def test_pad(padding, widths, mode):
    found = F.pad(fastnn.from_numpy(FLOATS), padding, padding_mode=mode)
    np.testing.assert_array_equal(found.numpy(), np.pad(FLOATS, ((0, 0), *widths), mode=mode))


def test_pad_with_a_colour():
    found = F.pad(BYTES, 1, fill=(1, 2, 3))
    assert found[0, 0].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found[1:-1, 1:-1], BYTES)
    for fill, mode, message in (((1, 2), "constant", "fill"), (0, "wrap", "mode")):
        with pytest.raises(ValueError, match=message):
            F.pad(BYTES, 1, fill, mode)
    with pytest.raises(ValueError, match="negative"):
        F.pad(BYTES, -1)


def test_crops():
    np.testing.assert_array_equal(F.crop(BYTES, 2, 3, 4, 5), BYTES[2:6, 3:8])
    outside = F.crop(BYTES, -1, 15, 3, 4)
    assert not outside[0].any()
    assert not outside[:, 2:].any()
    np.testing.assert_array_equal(outside[1:, :2], BYTES[:2, 15:])
    np.testing.assert_array_equal(F.center_crop(BYTES, 5), BYTES[4:9, 6:11])
    wide = F.center_crop(BYTES, (3, 21))
    assert not wide[:, :2].any()
    np.testing.assert_array_equal(wide[:, 2:19], BYTES[5:8])
    five = F.five_crop(BYTES, (4, 5))
    for found, expected in zip(five, (BYTES[:4, :5], BYTES[:4, -5:], BYTES[-4:, :5], BYTES[-4:, -5:], BYTES[4:8, 6:11]), strict=True):  # fmt: skip
        np.testing.assert_array_equal(found, expected)
    ten = F.ten_crop(BYTES, 4, vertical_flip=True)
    np.testing.assert_array_equal(ten[5], BYTES[::-1][:4, :4])
    with pytest.raises(ValueError, match="bigger than input size"):
        F.five_crop(BYTES, 14)


def test_kinds_of_images_agree():
    tensor = fastnn.from_numpy(BYTES.transpose(2, 0, 1).copy())
    for function in (
        F.hflip,
        F.vflip,
        lambda image: F.pad(image, 2),
        lambda image: F.center_crop(image, 6),
        lambda image: F.rotate(image, 30, InterpolationMode.BILINEAR, expand=True, fill=9),
        lambda image: F.perspective(image, [[0, 0], [16, 0], [16, 12], [0, 12]], [[2, 1], [15, 0], [14, 12], [0, 10]]),
        lambda image: F.erase(image, 1, 2, 3, 4, 7),
    ):  # fmt: skip
        of_array, of_tensor, of_pil = function(BYTES), function(tensor), function(pil(BYTES))
        np.testing.assert_array_equal(planes(of_array), of_tensor.numpy())
        np.testing.assert_array_equal(of_array, np.asarray(of_pil))
        assert of_pil.mode == "RGB"
    np.testing.assert_array_equal(tensor.numpy(), BYTES.transpose(2, 0, 1))  # never written to


@pytest.mark.parametrize("angle", [0, 90, 180, 270, -90])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_quarter_turns_are_exact(angle, mode):
    found = F.rotate(BYTES, angle, mode, expand=True)
    np.testing.assert_array_equal(found, np.rot90(BYTES, angle // 90))


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("angle", [30, -45, 100])
def test_rotate_as_pillow(angle, expand):
    smooth = np.add.outer(np.arange(60) * 2, np.arange(80)).astype(np.uint8)
    expected = np.asarray(pil(smooth).rotate(angle, 2, expand=expand)).astype(int)
    found = F.rotate(smooth, angle, 2, expand=expand).astype(int)
    if expand:  # half a pixel at most lies between the two rules for the new middle: 3 values at slopes of 2 and 1
        assert max(abs(a - b) for a, b in zip(found.shape, expected.shape, strict=True)) <= 1
        return
    # Inside; along the border Pillow has no blend with the fill value.
    inside = F.rotate(np.full((60, 80), 255, np.uint8), angle, "bilinear") == 255
    assert np.abs(found - expected)[inside].max() <= 1


def test_rotate_about_a_point():
    dot = np.zeros((9, 9), np.uint8)
    dot[2, 3] = 1
    found = F.rotate(dot, 90, center=(2.5, 2.5))  # the middle of the pixel (2, 2)
    assert np.argwhere(found).tolist() == [[1, 2]]  # from the right of it to above it


def test_affine():
    shifted = F.affine(BYTES, 0, (2, -1), 1.0, 0, fill=5)
    np.testing.assert_array_equal(shifted[:-1, 2:], BYTES[1:, :-2])
    assert (shifted[-1] == 5).all()
    assert (shifted[:, :2] == 5).all()
    np.testing.assert_array_equal(F.affine(BYTES, 180, (0, 0), 1.0, 0), BYTES[::-1, ::-1])
    large = F.affine(BYTES[:12, :16], 0, (0, 0), 2.0, 0)
    np.testing.assert_array_equal(large[::2, ::2], BYTES[3:9, 4:12])
    # Shear along x by 45°: rows move by their distance from the middle.
    sheared = F.affine(BYTES[:, :, 0], 0, (0, 0), 1.0, 45)
    np.testing.assert_array_equal(sheared[4, 2:], BYTES[4, :-2, 0])
    for arguments, message in (((0, (1,), 1, 0), "translate"), ((0, (0, 0), 0, 0), "scale"), ((0, (0, 0), 1, (1, 2, 3)), "Shear")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            F.affine(BYTES, *arguments)


def test_perspective():
    corners = [[0, 0], [17, 0], [17, 13], [0, 13]]
    np.testing.assert_array_equal(F.perspective(BYTES, corners, corners), BYTES)
    mirrored = [[17, 0], [0, 0], [0, 13], [17, 13]]
    np.testing.assert_array_equal(F.perspective(BYTES, corners, mirrored), BYTES[:, ::-1])
    with pytest.raises(ValueError, match="no map"):
        F.perspective(BYTES, corners, [[0, 0], [1, 1], [2, 2], [3, 3]])
    with pytest.raises(ValueError, match="four points"):
        F.perspective(BYTES, corners[:3], corners[:3])


def test_no_images():
    for value in ("text", 3, None):
        with pytest.raises(TypeError, match="hflip: img should be"):
            F.hflip(value)
    with pytest.raises(RuntimeError, match="gradients"):
        F.hflip(fastnn.ones(1, 2, 2).requires_grad_())
    with pytest.raises(ValueError, match="palette"):
        F.hflip(pil(BYTES).convert("P"))
    binary = pil(BYTES[:, :, 0]).convert("1")
    assert F.hflip(binary).mode == "1"
