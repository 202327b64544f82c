"""Colours and conversions, against definitions and Pillow."""

import numpy as np
import pytest

import fastnn
from fastnn.vision.transforms import functional as F

RNG = np.random.default_rng(1)
BYTES = RNG.integers(0, 256, (13, 17, 3), dtype=np.uint8)
TENSOR = fastnn.from_numpy(BYTES.transpose(2, 0, 1).copy())


def difference(a, b):
    return np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max()


def test_as_pillow():
    pytest.importorskip("PIL", reason="Pillow is not installed: an optional extra")
    from PIL import Image, ImageEnhance, ImageOps

    image = Image.fromarray(BYTES)
    assert difference(ImageOps.equalize(image), F.equalize(BYTES)) == 0
    assert difference(ImageOps.autocontrast(image), F.autocontrast(BYTES)) <= 1
    assert difference(ImageOps.posterize(image, 3), F.posterize(BYTES, 3)) == 0
    assert difference(ImageOps.solarize(image, 100), F.solarize(BYTES, 100)) == 0
    assert difference(ImageOps.invert(image), F.invert(BYTES)) == 0
    # Pillow's gray is made of integers: 1 of 255 apart.
    for enhancer, function in (
        (ImageEnhance.Brightness, F.adjust_brightness),
        (ImageEnhance.Contrast, F.adjust_contrast),
        (ImageEnhance.Color, F.adjust_saturation),
        (ImageEnhance.Sharpness, F.adjust_sharpness),
    ):
        for factor in (0.0, 0.6, 1.0, 1.8):
            assert difference(enhancer(image).enhance(factor), function(BYTES, factor)) <= 2
    assert difference(image.convert("L"), F.rgb_to_grayscale(BYTES)[:, :, 0]) <= 1
    assert F.rgb_to_grayscale(image).mode == "L"
    assert F.rgb_to_grayscale(image, 3).mode == "RGB"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.adjust_brightness(x, 1.4),
        lambda x: F.adjust_contrast(x, 0.7),
        lambda x: F.adjust_saturation(x, 1.5),
        lambda x: F.adjust_hue(x, 0.2),
        lambda x: F.adjust_gamma(x, 2.0),
        lambda x: F.adjust_sharpness(x, 1.5),
        lambda x: F.gaussian_blur(x, (3, 5), 1.2),
        lambda x: F.rgb_to_grayscale(x, 3),
        F.autocontrast,
        F.invert,
        lambda x: F.solarize(x, 0.5 if isinstance(x, fastnn.Tensor) and x.is_floating_point() else 128),
    ],
)  # fmt: skip
def test_kinds_and_dtypes_agree(function):
    of_bytes = function(TENSOR)
    assert of_bytes.dtype == fastnn.uint8
    np.testing.assert_array_equal(function(BYTES).transpose(2, 0, 1), of_bytes.numpy())
    for dtype in (fastnn.float32, fastnn.float64):
        of_floats = function(F.convert_image_dtype(TENSOR, dtype))
        assert of_floats.dtype == dtype
        # Bytes are rounded or cut once or twice.
        assert np.abs(of_floats.numpy() * 255 - of_bytes.numpy()).max() <= 2.001
    batch = fastnn.stack([TENSOR, TENSOR.flip(2)])
    np.testing.assert_array_equal(function(batch)[0].numpy(), of_bytes.numpy())
    np.testing.assert_array_equal(TENSOR.numpy(), BYTES.transpose(2, 0, 1))


def test_hue():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)
    assert F.adjust_hue(colours, 1 / 3)[0].tolist() == [[0, 255, 0], [0, 0, 255], [255, 0, 0], [9, 9, 9]]  # fmt: skip
    assert difference(F.adjust_hue(BYTES, 0), BYTES) == 0
    gray = BYTES[:, :, 0]
    assert F.adjust_hue(gray, 0.3) is gray


def test_blur_is_a_convolution():
    dot = np.zeros((1, 9, 9), np.float64)
    dot[0, 4, 4] = 1.0
    found = F.gaussian_blur(fastnn.from_numpy(dot), 5, 1.3).numpy()[0]
    bell = np.exp(-0.5 * (np.arange(-2, 3) / 1.3) ** 2)
    bell /= bell.sum()
    np.testing.assert_allclose(found[2:7, 2:7], np.outer(bell, bell), rtol=1e-14)
    assert found.sum() == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.adjust_brightness(BYTES, -1), ValueError, "brightness_factor"),
        (lambda: F.adjust_hue(BYTES, 0.6), ValueError, "hue_factor"),
        (lambda: F.adjust_gamma(BYTES, -1), ValueError, "Gamma"),
        (lambda: F.gaussian_blur(BYTES, 4), ValueError, "odd"),
        (lambda: F.gaussian_blur(BYTES, 3, 0.0), ValueError, "sigma"),
        (lambda: F.gaussian_blur(BYTES, 31), ValueError, "too large"),
        (lambda: F.posterize(BYTES, 9), ValueError, "bits"),
        (lambda: F.posterize(TENSOR.float(), 2), TypeError, "uint8"),
        (lambda: F.equalize(TENSOR.float()), TypeError, "uint8"),
        (lambda: F.solarize(BYTES, 300), TypeError, "Threshold"),
        (lambda: F.rgb_to_grayscale(BYTES, 2), ValueError, "num_output_channels"),
        (lambda: F.rgb_to_grayscale(BYTES[:, :, :2]), ValueError, "channels"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_to_pil_and_back(mode):
    pytest.importorskip("PIL", reason="Pillow is not installed: an optional extra")
    channels = len(mode)
    array = RNG.integers(0, 256, (5, 4, channels), dtype=np.uint8)
    tensor = fastnn.from_numpy(array.transpose(2, 0, 1).copy())
    for picture in (array, tensor, F.convert_image_dtype(tensor, fastnn.float64)):
        image = F.to_pil_image(picture)
        assert image.mode == mode
        assert difference(F.pil_to_tensor(image).numpy(), tensor.numpy()) <= 1  # floats are cut
    assert F.to_tensor(image).dtype == fastnn.float32
    assert F.to_pil_image(array[:, :, 0]).mode == "L"


def test_to_pil_errors():
    pytest.importorskip("PIL", reason="Pillow is not installed: an optional extra")
    for value, error in (("x", TypeError), (np.zeros((2, 2, 5), np.uint8), ValueError), (np.zeros((2, 2, 3)), TypeError), (np.zeros(3), ValueError)):  # fmt: skip
        with pytest.raises(error):
            F.to_pil_image(value)
    with pytest.raises(ValueError, match="Only modes"):
        F.to_pil_image(BYTES, "L")
    assert F.to_pil_image(BYTES, "HSV").mode == "HSV"
    with pytest.raises(TypeError, match="PIL"):
        F.pil_to_tensor(BYTES)


def test_convert_image_dtype_as_defined():
    f, d, u, i16, i32, i64 = (fastnn.float32, fastnn.float64, fastnn.uint8, fastnn.int16, fastnn.int32, fastnn.int64)  # fmt: skip
    white = fastnn.tensor([[0, 255]], dtype=u)
    for dtype, expected in ((f, 1.0), (d, 1.0), (i16, 255 * 128), (i32, 255 * 2**23)):
        found = F.convert_image_dtype(white, dtype)
        assert found.dtype == dtype
        assert found.tolist() == [[0, expected]]
    one = fastnn.tensor([[0.0, 0.5, 1.0]])
    assert F.convert_image_dtype(one, u).tolist() == [[0, 127, 255]]
    assert F.convert_image_dtype(fastnn.tensor([32767], dtype=i16), u).tolist() == [255]
    for dtype in (i32, i64):
        with pytest.raises(RuntimeError, match="safely"):
            F.convert_image_dtype(one, dtype)
    assert F.to_dtype(white, f).tolist() == [[0, 255]]
    assert F.to_dtype(white, f, scale=True).tolist() == [[0, 1]]
