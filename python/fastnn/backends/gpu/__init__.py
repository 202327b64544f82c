"""The CUDA backend: hand-written kernels on device arrays; the rest is the NumPy backend, run by CuPy.

NumPy's functions hand an array that is not NumPy's to its own library (NEP 18), so that the specification serves CuPy
arrays as it is. The module is imported when the first device array is met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.backends.numpy import *  # noqa: F403
from fastnn.backends.gpu.attention import (
    attention as attention,
    attention_backward as attention_backward,
)
from fastnn.backends.gpu.conv import (
    conv2d as conv2d,
    conv2d_input_grad as conv2d_input_grad,
    conv2d_weight_grad as conv2d_weight_grad,
)
from fastnn.backends.gpu.conv_pool import (
    conv2d_max_pool2d as conv2d_max_pool2d,
    conv2d_max_pool2d_backward as conv2d_max_pool2d_backward,
)
from fastnn.backends.gpu.elementwise import (
    gelu as gelu,
    gelu_backward as gelu_backward,
    leaky_relu as leaky_relu,
    leaky_relu_backward as leaky_relu_backward,
    relu as relu,
    relu_backward as relu_backward,
    sigmoid as sigmoid,
    sigmoid_backward as sigmoid_backward,
    silu as silu,
    silu_backward as silu_backward,
    tanh_backward as tanh_backward,
)
from fastnn.backends.gpu.embedding import (
    embedding as embedding,
    embedding_backward as embedding_backward,
)
from fastnn.backends.gpu.gemm import (
    linear as linear,
    linear_backward as linear_backward,
    matmul as matmul,
)
from fastnn.backends.gpu.norm import (
    batch_norm as batch_norm,
    batch_norm_backward as batch_norm_backward,
    group_norm as group_norm,
    group_norm_backward as group_norm_backward,
    layer_norm as layer_norm,
    layer_norm_backward as layer_norm_backward,
    rms_norm as rms_norm,
    rms_norm_backward as rms_norm_backward,
)
from fastnn.backends.gpu.optim import (
    adadelta_step as adadelta_step,
    adagrad_step as adagrad_step,
    adam_step as adam_step,
    adamax_step as adamax_step,
    asgd_step as asgd_step,
    nadam_step as nadam_step,
    radam_step as radam_step,
    rmsprop_step as rmsprop_step,
    rprop_step as rprop_step,
    sgd_step as sgd_step,
)
from fastnn.backends.gpu.pool import (
    adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward as adaptive_avg_pool2d_backward,
    avg_pool2d as avg_pool2d,
    avg_pool2d_backward as avg_pool2d_backward,
    max_pool2d as max_pool2d,
    max_pool2d_backward as max_pool2d_backward,
)
from fastnn.backends.gpu.random import (
    dropout as dropout,
    dropout_backward as dropout_backward,
    philox as philox,
    uniform as uniform,
)
from fastnn.backends.gpu.reduction import (
    amax as amax,
    amin as amin,
    argmax as argmax,
    argmin as argmin,
    mean as mean,
    sum as sum,
)
from fastnn.backends.gpu.rnn import (
    gru as gru,
    gru_backward as gru_backward,
    lstm as lstm,
    lstm_backward as lstm_backward,
    rnn as rnn,
    rnn_backward as rnn_backward,
)
from fastnn.backends.gpu.softmax import (
    cross_entropy as cross_entropy,
    cross_entropy_backward as cross_entropy_backward,
    log_softmax as log_softmax,
    log_softmax_backward as log_softmax_backward,
    softmax as softmax,
    softmax_backward as softmax_backward,
)
from fastnn.backends.gpu.volume import (  # type: ignore[assignment]  # the specification has an option more
    conv3d as conv3d,
    conv3d_input_grad as conv3d_input_grad,
    conv3d_weight_grad as conv3d_weight_grad,
)

name = "cuda"

if TYPE_CHECKING:
    from fastnn.backends import gpu as _this
    from fastnn.backends.protocol import Backend

    _: Backend = _this  # the module satisfies the protocol
