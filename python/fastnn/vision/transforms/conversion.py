"""Transforms from one kind of image to another, and of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import fastnn

from . import functional as F
from ._base import Transform

__all__ = [
    "ConvertImageDtype",
    "LinearTransformation",
    "Normalize",
    "PILToTensor",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToTensor",
]


class ToTensor(Transform):
    """An image (a NumPy array or a PIL image) as a tensor (C, H, W); bytes become floats 0…1.

    >>> import numpy as np
    >>> ToTensor()(np.full((2, 2), 255, dtype=np.uint8)).numpy().tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    def forward(self, pic: Any) -> fastnn.Tensor:
        return F.to_tensor(pic)

    def batched(self) -> Callable[[Any], fastnn.Tensor]:
        """The function for a stack of images (N, H, W) or (N, H, W, C)."""
        return F.images_to_tensor


class Normalize(Transform):
    """(image - mean) / std, channel by channel.

    Args:
        mean, std: One number a channel.
        inplace: Write the result into the image that is given.

    >>> Normalize((0.5,), (0.25,))(fastnn.tensor([[[0.5, 1.0]]])).numpy().tolist()
    [[[0.0, 2.0]]]
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: fastnn.Tensor) -> fastnn.Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def batched(self) -> Callable[[fastnn.Tensor], fastnn.Tensor]:
        """The function for a stack of images (N, C, H, W): the same one."""
        return self.forward

    def extra_repr(self) -> str:
        return f"mean={self.mean}, std={self.std}"


class PILToTensor(Transform):
    """A PIL image as a tensor (C, H, W) of its own values."""

    def forward(self, pic: Any) -> fastnn.Tensor:
        return F.pil_to_tensor(pic)


class ToImage(Transform):
    """Any image as a tensor (C, H, W) of its own values: bytes stay bytes.

    >>> ToImage()(np.zeros((4, 6, 3), np.uint8)).shape
    fastnn.Size([3, 4, 6])
    """

    def forward(self, inpt: Any) -> fastnn.Tensor:
        return F.to_image(inpt)

    def batched(self) -> Callable[[Any], fastnn.Tensor]:
        """The function for a stack of arrays (N, H, W) or (N, H, W, C), or of tensors."""

        def convert(images: Any) -> fastnn.Tensor:
            if isinstance(images, fastnn.Tensor):
                return images.unsqueeze(1) if images.ndim == 3 else images
            planes = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
            return fastnn.from_numpy(np.array(planes, order="C"))

        return convert


class ToPILImage(Transform):
    """A PIL image of a tensor (C, H, W) or an array (H, W[, C]).

    Args:
        mode: PIL's name of the colour space; told from the channels and the dtype if None.
    """

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def extra_repr(self) -> str:
        return "" if self.mode is None else f"mode={self.mode}"


class ConvertImageDtype(Transform):
    """A tensor in another dtype, black and white kept: 255 of uint8 is 1.0 of floats."""

    def __init__(self, dtype: fastnn.dtype = fastnn.float32) -> None:
        super().__init__()
        if not isinstance(dtype, fastnn.dtype):
            raise TypeError("Argument dtype should be of type fastnn.dtype")
        self.dtype = dtype

    def forward(self, image: fastnn.Tensor) -> fastnn.Tensor:
        return F.convert_image_dtype(image, self.dtype)

    def batched(self) -> Callable[[fastnn.Tensor], fastnn.Tensor]:
        """The function for a stack of tensors: the same one."""
        return self.forward

    def extra_repr(self) -> str:
        return f"dtype={self.dtype}"


class ToDtype(Transform):
    """A tensor in another dtype.

    Args:
        dtype: The dtype.
        scale: Keep black and white, as `ConvertImageDtype` does; else the values as they are.

    Raises:
        NotImplementedError: ``dtype`` is a dict by type of input: there is only one type of image.
    """

    def __init__(self, dtype: fastnn.dtype, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, fastnn.dtype):
            raise NotImplementedError(
                f"ToDtype: dtype must be one fastnn.dtype, got {type(dtype).__name__}; images are the only inputs"
            )
        self.dtype = dtype
        self.scale = scale

    def forward(self, inpt: fastnn.Tensor) -> fastnn.Tensor:
        return F.to_dtype(inpt, self.dtype, self.scale)

    def batched(self) -> Callable[[fastnn.Tensor], fastnn.Tensor]:
        """The function for a stack of tensors: the same one."""
        return self.forward

    def extra_repr(self) -> str:
        return f"dtype={self.dtype}, scale={self.scale}"


class LinearTransformation(Transform):
    """(flattened image - mean) @ matrix, in the image's shape: whitening, for example.

    Args:
        transformation_matrix: Tensor (D, D), D = C·H·W.
        mean_vector: Tensor (D,).

    Raises:
        ValueError: Shapes that do not fit one another, or the image.
    """

    def __init__(self, transformation_matrix: fastnn.Tensor, mean_vector: fastnn.Tensor) -> None:
        super().__init__()
        shape = tuple(transformation_matrix.shape)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(
                f"transformation_matrix should be square. Got {list(shape)} rectangular matrix."
            )
        if tuple(mean_vector.shape) != (shape[0],):
            raise ValueError(
                f"mean_vector should have the same length {shape[0]} as any one of the dimensions of the "
                f"transformation_matrix, got shape {tuple(mean_vector.shape)}"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: fastnn.Tensor) -> fastnn.Tensor:
        shape = tensor.shape
        size = shape[-3] * shape[-2] * shape[-1]
        if size != self.transformation_matrix.shape[0]:
            raise ValueError(
                f"Input tensor and transformation matrix have incompatible shape. {tuple(shape[-3:])} makes "
                f"{size}, but the matrix has {self.transformation_matrix.shape[0]} rows"
            )
        flat = tensor.reshape(-1, size) - self.mean_vector
        return (flat @ self.transformation_matrix).reshape(shape)
