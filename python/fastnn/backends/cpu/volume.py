"""3-d convolution and its two gradients: the 2-d kernels on the slices of each volume."""

from __future__ import annotations

from functools import partial

from fastnn.backends.cpu import conv
from fastnn.backends.numpy import volume as spec

conv3d = partial(spec.conv3d, conv2d=conv.conv2d)
conv3d_input_grad = partial(spec.conv3d_input_grad, conv2d_input_grad=conv.conv2d_input_grad)
conv3d_weight_grad = partial(spec.conv3d_weight_grad, conv2d_weight_grad=conv.conv2d_weight_grad)
