"""From one kind of image and number to another: tensors, arrays, PIL images; bytes and floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import fastnn

from .._images import is_pil, largest_value, pil_image, planes

__all__ = [
    "convert_image_dtype",
    "normalize",
    "pil_to_tensor",
    "to_dtype",
    "to_image",
    "to_pil_image",
    "to_tensor",
]

Array = npt.NDArray[Any]


def to_tensor(pic: Any) -> fastnn.Tensor:
    """An image as a tensor: (H, W) or (H, W, C) becomes (C, H, W), and bytes 0…255 become floats 0…1.

    Args:
        pic: A NumPy array, or a PIL image. Arrays of another dtype than uint8 keep dtype and values.

    Raises:
        TypeError: ``pic`` is neither.
        ValueError: ``pic`` has not 2 or 3 dimensions.

    >>> to_tensor(np.array([[0, 51], [102, 255]], dtype=np.uint8)).numpy().tolist()
    [[[0.0, 0.20000000298023224], [0.4000000059604645, 1.0]]]
    """
    array = _as_array(pic)
    if array.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    return images_to_tensor(array[None])[0]


def images_to_tensor(images: Array) -> fastnn.Tensor:
    """`to_tensor` of a stack of images: (N, H, W) or (N, H, W, C) becomes (N, C, H, W).

    >>> images_to_tensor(np.zeros((5, 4, 6, 3), np.uint8)).shape
    fastnn.Size([5, 3, 4, 6])
    """
    planes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    if planes.dtype != np.uint8:
        return fastnn.from_numpy(np.array(planes, order="C"))
    dtype = fastnn.get_default_dtype().numpy
    scaled = np.empty(planes.shape, dtype)
    np.divide(planes, dtype.type(255), out=scaled, dtype=dtype)
    return fastnn.from_numpy(scaled)


def pil_to_tensor(pic: Any) -> fastnn.Tensor:
    """A PIL image as a tensor (C, H, W) of its own values: bytes stay bytes.

    Raises:
        TypeError: ``pic`` is no PIL image.
    """
    if not is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array, _ = planes(pic, "pil_to_tensor")
    return fastnn.from_numpy(np.array(array, order="C"))


def to_image(inpt: Any) -> fastnn.Tensor:
    """Any image as a tensor (C, H, W) of its own values.

    >>> to_image(np.zeros((4, 6, 3), np.uint8)).shape
    fastnn.Size([3, 4, 6])
    """
    if isinstance(inpt, fastnn.Tensor):
        return inpt.unsqueeze(0) if inpt.ndim == 2 else inpt
    array, _ = planes(inpt, "to_image")
    return fastnn.from_numpy(np.array(array, order="C"))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A PIL image of a tensor (C, H, W) or an array (H, W[, C]).

    Args:
        pic: Floats of a tensor, 0 to 1, become bytes; bytes and others stay as they are.
        mode: PIL's name of the colour space; told from the channels and the dtype if None.

    Raises:
        TypeError: ``pic`` is neither, or PIL has no mode for its dtype.
        ValueError: Not 2 or 3 dimensions, more than 4 channels, or a mode that does not fit them.
    """
    if isinstance(pic, fastnn.Tensor):
        values, name = pic.detach().numpy(), "tensor"
        if values.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {values.ndim} dimensions.")
        array = values if values.ndim == 2 else values.transpose(1, 2, 0)
        if array.dtype.kind == "f" and mode != "F":
            array = (array.astype(np.float32) * np.float32(255)).astype(np.uint8)
    elif isinstance(pic, np.ndarray):
        array, name = pic, "ndarray"
        if array.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    channels = 1 if array.ndim == 2 else array.shape[2]
    known = {1: ["L", "1", "I", "I;16", "F"], 2: ["LA"], 3: ["RGB", "YCbCr", "HSV"], 4: ["RGBA", "CMYK", "RGBX"]}  # fmt: skip
    if channels not in known:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if mode is not None and mode not in known[channels]:
        raise ValueError(
            f"Only modes {known[channels]} are supported for {channels}-channel inputs, got {mode!r}"
        )
    dtypes = ("uint8", "int16", "uint16", "int32", "float32") if channels == 1 else ("uint8",)
    if array.dtype.name not in dtypes:
        raise TypeError(
            f"Input {name} of dtype {array.dtype} is not supported: use one of {dtypes}"
        )
    image = pil_image(array)
    # Colour spaces of as many channels name the same bytes in another way.
    if mode is not None and mode != image.mode:
        from PIL import Image

        image = Image.frombytes(mode, image.size, image.tobytes()) if channels > 1 else image.convert(mode)  # fmt: skip
    return image


def convert_image_dtype(
    image: fastnn.Tensor, dtype: fastnn.dtype = fastnn.float32
) -> fastnn.Tensor:
    """The image in another dtype, black and white kept: 255 of uint8 is 1.0 of floats.

    Raises:
        TypeError: ``image`` is no tensor.
        RuntimeError: From floats to an integer dtype that they cannot fill (float32 to int32 or int64).

    >>> convert_image_dtype(fastnn.tensor([[0, 255]], dtype=fastnn.uint8)).tolist()
    [[0.0, 1.0]]
    """
    if not isinstance(image, fastnn.Tensor):
        raise TypeError("Input img should be Tensor Image")
    old, new = image.numpy().dtype, dtype.numpy
    if old == new:
        return image
    if old.kind not in "biu":
        if new.kind not in "biu":
            return image.to(dtype)
        if (old == np.float32 and new in (np.int32, np.int64)) or (
            old == np.float64 and new == np.int64
        ):
            raise RuntimeError(f"The cast from {image.dtype} to {dtype} cannot be performed safely")
        # A little less than the number of values, so that 1.0 becomes the largest one.
        scaled = image.numpy() * old.type(largest_value(new) + 1.0 - 1e-3)
        return fastnn.from_numpy(scaled.astype(new))
    most_old, most_new = int(largest_value(old)), largest_value(new)
    values = image.numpy()
    if new.kind not in "biu":
        return fastnn.from_numpy((values.astype(new) / new.type(most_old)).astype(new, copy=False))
    if most_old > most_new:
        factor = (most_old + 1) // (int(most_new) + 1)
        return fastnn.from_numpy((values // old.type(factor)).astype(new))
    factor = (int(most_new) + 1) // (most_old + 1)
    return fastnn.from_numpy(values.astype(new) * new.type(factor))


def to_dtype(
    inpt: fastnn.Tensor, dtype: fastnn.dtype = fastnn.float32, scale: bool = False
) -> fastnn.Tensor:
    """The tensor in another dtype; with ``scale`` by `convert_image_dtype`, else its values as they are."""
    if not isinstance(inpt, fastnn.Tensor):
        raise TypeError(f"to_dtype: expected a Tensor, got {type(inpt)}; use to_image first")
    return convert_image_dtype(inpt, dtype) if scale else inpt.to(dtype)


def normalize(
    tensor: fastnn.Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> fastnn.Tensor:
    """(tensor - mean) / std, channel by channel.

    Args:
        tensor: Floating-point image (…, C, H, W).
        mean, std: One number a channel, or one for all.
        inplace: Write the result into ``tensor``.

    Raises:
        TypeError: ``tensor`` is not a floating-point tensor.
        ValueError: Fewer than 3 dimensions, a std of 0, or means that do not fit the channels.

    >>> normalize(fastnn.tensor([[[0.5, 1.0]]]), mean=[0.5], std=[0.25]).numpy().tolist()
    [[[0.0, 2.0]]]
    """
    if not isinstance(tensor, fastnn.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if len(tensor.shape) < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). "
            f"Got tensor.size() = {tuple(tensor.shape)}"
        )
    array = tensor.detach().numpy()
    channels = array.shape[-3]
    means = _per_channel("mean", mean, channels, array.dtype)
    stds = _per_channel("std", std, channels, array.dtype)
    if (stds == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero."
        )
    if inplace:
        return tensor.sub_(fastnn.from_numpy(means)).div_(fastnn.from_numpy(stds))
    if tensor.requires_grad:
        return (tensor - fastnn.from_numpy(means)) / fastnn.from_numpy(stds)
    centred = np.subtract(array, means)
    return fastnn.from_numpy(np.divide(centred, stds, out=centred))


def _as_array(pic: Any) -> Array:
    if isinstance(pic, np.ndarray):
        return pic
    if not is_pil(pic):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    array = np.asarray(pic)
    return array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array


def _per_channel(name: str, values: Sequence[float], channels: int, dtype: Any) -> Array:
    array: Array = np.array(values, dtype=dtype).reshape(-1, 1, 1)
    if array.shape[0] not in (1, channels):
        raise ValueError(
            f"normalize: {name} has {array.shape[0]} values, but the image has {channels} channels"
        )
    return array
