"""2-d convolution followed by max pooling, one kernel after the other."""

from __future__ import annotations

from fastnn.backends.gpu.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from fastnn.backends.gpu.pool import max_pool2d, max_pool2d_backward
from fastnn.backends.numpy.conv_pool import one_after_the_other

conv2d_max_pool2d, conv2d_max_pool2d_backward = one_after_the_other(
    conv2d, conv2d_input_grad, conv2d_weight_grad, max_pool2d, max_pool2d_backward
)
