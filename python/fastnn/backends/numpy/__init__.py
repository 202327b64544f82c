"""The NumPy backend: the specification of every function, and what runs where nothing faster is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.backends.numpy.elementwise import (
    add,
    subtract,
    multiply,
    divide,
    maximum,
    minimum,
    power,
    negative,
    absolute,
    square,
    sqrt,
    exp,
    log,
    tanh,
    tanh_backward,
    sigmoid,
    sigmoid_backward,
    relu,
    relu_backward,
    leaky_relu,
    leaky_relu_backward,
)
from fastnn.backends.numpy.activation import (
    gelu,
    gelu_backward,
    silu,
    silu_backward,
)
from fastnn.backends.numpy.special import (
    digamma,
    erf,
    erfc,
    erfinv,
    gammainc,
    gammaincc,
    i0,
    i1,
    lgamma,
    zeta,
)
from fastnn.backends.numpy.reduction import (
    sum,
    mean,
    amax,
    amin,
    argmax,
    argmin,
)
from fastnn.backends.numpy.gemm import (
    matmul,
    linear,
)
from fastnn.backends.numpy.conv import (
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
)
from fastnn.backends.numpy.conv_pool import conv2d_max_pool2d, conv2d_max_pool2d_backward
from fastnn.backends.numpy.volume import (
    conv3d,
    conv3d_input_grad,
    conv3d_weight_grad,
)
from fastnn.backends.numpy.pool import (
    max_pool2d,
    max_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
)
from fastnn.backends.numpy.softmax import (
    softmax,
    softmax_backward,
    log_softmax,
    log_softmax_backward,
    cross_entropy,
    cross_entropy_backward,
)
from fastnn.backends.numpy.norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    group_norm,
    group_norm_backward,
    layer_norm,
    layer_norm_backward,
    rms_norm,
    rms_norm_backward,
)
from fastnn.backends.numpy.rnn import (
    rnn,
    rnn_backward,
    lstm,
    lstm_backward,
    gru,
    gru_backward,
)
from fastnn.backends.numpy.attention import (
    attention,
    attention_backward,
)
from fastnn.backends.numpy.embedding import (
    embedding,
    embedding_backward,
)
from fastnn.backends.numpy.random import (
    philox,
    uniform,
    dropout,
    dropout_backward,
)
from fastnn.backends.numpy.optim import (
    sgd_step,
    adam_step,
    adagrad_step,
    adadelta_step,
    adamax_step,
    nadam_step,
    radam_step,
    rmsprop_step,
    rprop_step,
    asgd_step,
    adafactor_step,
    muon_step,
)

name = "numpy"

if TYPE_CHECKING:
    from fastnn.backends import numpy as _this
    from fastnn.backends.protocol import Backend

    _: Backend = _this  # the module satisfies the protocol

__all__ = [
    "name",
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "minimum",
    "power",
    "negative",
    "absolute",
    "square",
    "sqrt",
    "exp",
    "log",
    "tanh",
    "tanh_backward",
    "sigmoid",
    "sigmoid_backward",
    "relu",
    "relu_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "gelu",
    "gelu_backward",
    "silu",
    "silu_backward",
    "sum",
    "mean",
    "erf",
    "erfc",
    "erfinv",
    "lgamma",
    "digamma",
    "i0",
    "i1",
    "zeta",
    "gammainc",
    "gammaincc",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "matmul",
    "linear",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_max_pool2d",
    "conv2d_max_pool2d_backward",
    "conv2d_weight_grad",
    "conv3d",
    "conv3d_input_grad",
    "conv3d_weight_grad",
    "max_pool2d",
    "max_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "softmax",
    "softmax_backward",
    "log_softmax",
    "log_softmax_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "group_norm",
    "group_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
    "rnn",
    "rnn_backward",
    "lstm",
    "lstm_backward",
    "gru",
    "gru_backward",
    "attention",
    "attention_backward",
    "embedding",
    "embedding_backward",
    "philox",
    "uniform",
    "dropout",
    "dropout_backward",
    "sgd_step",
    "adam_step",
    "adagrad_step",
    "adadelta_step",
    "adamax_step",
    "nadam_step",
    "radam_step",
    "rmsprop_step",
    "rprop_step",
    "asgd_step",
    "adafactor_step",
    "muon_step",
]
