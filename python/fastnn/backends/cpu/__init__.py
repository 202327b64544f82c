"""The C++ backend: what `fastnn._cpu` computes; the rest comes from the NumPy backend.

The module itself is the backend; `fastnn.backends.protocol.Backend` says what each function does. The functions are
built by `_cpu.with_fallback`: a kernel that calls the NumPy function itself for a dtype, byte order, alignment or layout
that it does not serve, and for keyword arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# What the kernels do not serve stays NumPy's; the imports below replace the rest, family by family.
from fastnn.backends.numpy import *  # noqa: F403
from fastnn.backends.cpu.elementwise import (
    absolute as absolute,
    add as add,
    divide as divide,
    exp as exp,
    leaky_relu as leaky_relu,
    leaky_relu_backward as leaky_relu_backward,
    log as log,
    maximum as maximum,
    minimum as minimum,
    multiply as multiply,
    negative as negative,
    relu as relu,
    relu_backward as relu_backward,
    sigmoid as sigmoid,
    sigmoid_backward as sigmoid_backward,
    sqrt as sqrt,
    square as square,
    subtract as subtract,
    tanh as tanh,
    tanh_backward as tanh_backward,
)
from fastnn.backends.cpu.attention import (
    attention as attention,
    attention_backward as attention_backward,
)
from fastnn.backends.cpu.conv import (
    conv2d as conv2d,
    conv2d_input_grad as conv2d_input_grad,
    conv2d_weight_grad as conv2d_weight_grad,
)
from fastnn.backends.cpu.conv_pool import (
    conv2d_max_pool2d as conv2d_max_pool2d,
    conv2d_max_pool2d_backward as conv2d_max_pool2d_backward,
)
from fastnn.backends.cpu.volume import (
    conv3d as conv3d,
    conv3d_input_grad as conv3d_input_grad,
    conv3d_weight_grad as conv3d_weight_grad,
)
from fastnn.backends.cpu.gemm import (
    int_mm as int_mm,
    linear as linear,
    linear_backward as linear_backward,
    matmul as matmul,
)
from fastnn.backends.cpu.reduction import (
    amax as amax,
    amin as amin,
    argmax as argmax,
    argmin as argmin,
    mean as mean,
    sum as sum,
)
from fastnn.backends.cpu.pool import (
    adaptive_avg_pool2d as adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward as adaptive_avg_pool2d_backward,
    avg_pool2d as avg_pool2d,
    avg_pool2d_backward as avg_pool2d_backward,
    max_pool2d as max_pool2d,
    max_pool2d_backward as max_pool2d_backward,
)
from fastnn.backends.cpu.softmax import (
    cross_entropy as cross_entropy,
    cross_entropy_backward as cross_entropy_backward,
    log_softmax as log_softmax,
    log_softmax_backward as log_softmax_backward,
    softmax as softmax,
    softmax_backward as softmax_backward,
)
from fastnn.backends.cpu.norm import (
    batch_norm as batch_norm,
    batch_norm_backward as batch_norm_backward,
    batch_norm_inference as batch_norm_inference,
    group_norm as group_norm,
    group_norm_backward as group_norm_backward,
    layer_norm as layer_norm,
    layer_norm_backward as layer_norm_backward,
    rms_norm as rms_norm,
    rms_norm_backward as rms_norm_backward,
)
from fastnn.backends.cpu.activation import (
    erf as erf,
    gelu as gelu,
    gelu_backward as gelu_backward,
    silu as silu,
    silu_backward as silu_backward,
)
from fastnn.backends.cpu.embedding import (
    embedding as embedding,
    embedding_backward as embedding_backward,
)
from fastnn.backends.cpu.rnn import (
    gru as gru,
    gru_backward as gru_backward,
    lstm as lstm,
    lstm_backward as lstm_backward,
    rnn as rnn,
    rnn_backward as rnn_backward,
)
from fastnn.backends.cpu.random import (
    dropout as dropout,
    dropout_backward as dropout_backward,
    philox as philox,
    uniform as uniform,
)
from fastnn.backends.cpu.optim import (
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

name = "cpu"

if TYPE_CHECKING:
    from fastnn.backends import cpu as _this
    from fastnn.backends.protocol import Backend

    _: Backend = _this  # the module satisfies the protocol
