"""The transforms as functions: ``to_tensor`` and ``normalize``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import fastnn

__all__ = ["normalize", "to_tensor"]

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
    # A PIL image can only exist where PIL has been imported: no need to import it here.
    image = getattr(sys.modules.get("PIL.Image"), "Image", ())
    if not isinstance(pic, image):
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
