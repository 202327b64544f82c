"""The backend protocol: what every backend computes, on raw arrays.

A backend is a *module* with these functions (PEP 544: a module implements a protocol).
``fastnn.backends.numpy`` is the specification: the shortest clear statement of each algorithm, correct for
every dtype and stride. ``fastnn.backends.cpu`` starts from it and replaces what ``_cpu`` computes faster;
what a kernel does not cover (a dtype, a layout) goes back to the specification.

Conventions that hold for all of them:

* Arrays in, arrays out. No autograd, no dtype promotion, no argument checking that the operation above has
  already done. Floating arguments of one call share one dtype.
* Inputs are never written to, except by the functions whose name ends in ``_step`` (optimizers).
* An *image* has the logical shape (N, C, H, W). Its memory is NCHW (C-contiguous) or NHWC (channels last:
  ``x.transpose(0, 2, 3, 1)`` is C-contiguous). The result has the layout of the first argument; any other
  stride pattern counts as NCHW.
* Pairs such as ``stride`` are ``(height, width)``. ``padding`` is symmetric.
* A result may be a NumPy scalar where its shape is (); the caller wraps it.
* The same call gives the same bits, for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Triple = tuple[int, int, int]
Axis = int | tuple[int, ...] | None


class Backend(Protocol):
    """The functions of a backend, by family; each family is one file in every backend."""

    name: str

    # -- elementwise (elementwise.py) ------------------------------------------------------------------
    # Binary functions broadcast. Operands have the same dtype.
    def add(self, a: Array, b: Array, /) -> Array: ...
    def subtract(self, a: Array, b: Array, /) -> Array: ...
    def multiply(self, a: Array, b: Array, /) -> Array: ...
    def divide(self, a: Array, b: Array, /) -> Array: ...
    def maximum(self, a: Array, b: Array, /) -> Array: ...
    def minimum(self, a: Array, b: Array, /) -> Array: ...
    def power(self, a: Array, b: Array, /) -> Array: ...
    def negative(self, x: Array, /) -> Array: ...
    def absolute(self, x: Array, /) -> Array: ...
    def square(self, x: Array, /) -> Array: ...
    def sqrt(self, x: Array, /) -> Array: ...
    def exp(self, x: Array, /) -> Array: ...
    def log(self, x: Array, /) -> Array: ...
    def tanh(self, x: Array, /) -> Array: ...
    def tanh_backward(self, g: Array, y: Array) -> Array: ...
    def sigmoid(self, x: Array) -> Array: ...
    def sigmoid_backward(self, g: Array, y: Array) -> Array: ...
    def relu(self, x: Array) -> Array: ...

    def relu_backward(self, g: Array, y: Array) -> Array:
        """g where y > 0, else 0. ``y`` may be relu's input or its output: the sign is the same."""
        ...

    def leaky_relu(self, x: Array, negative_slope: float) -> Array: ...
    def leaky_relu_backward(self, g: Array, x: Array, negative_slope: float) -> Array: ...

    # -- special (special.py) --------------------------------------------------------------------------
    def erf(self, x: Array) -> Array: ...
    def erfc(self, x: Array) -> Array: ...
    def erfinv(self, x: Array) -> Array: ...
    def lgamma(self, x: Array) -> Array: ...
    def digamma(self, x: Array) -> Array: ...
    def i0(self, x: Array) -> Array: ...
    def i1(self, x: Array) -> Array: ...

    def zeta(self, s: Any, q: Array) -> Array:
        """Hurwitz's zeta(s, q) for an integer s > 1."""
        ...

    def gammainc(self, a: Array, x: Array) -> Array: ...
    def gammaincc(self, a: Array, x: Array) -> Array: ...

    def gelu(self, x: Array, approximate: bool) -> Array:
        """x * P(X <= x), X standard normal; ``approximate``: by tanh."""
        ...

    def gelu_backward(self, g: Array, x: Array, approximate: bool) -> Array: ...

    def silu(self, x: Array) -> Array:
        """x * sigmoid(x)."""
        ...

    def silu_backward(self, g: Array, x: Array) -> Array: ...

    # -- reduction (reduction.py) ----------------------------------------------------------------------
    # axis: None for all, one axis or several. Floating results have x's dtype.
    def sum(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array: ...
    def mean(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array: ...
    def amax(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array: ...
    def amin(self, x: Array, axis: Axis = None, keepdims: bool = False) -> Array: ...
    def argmax(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array: ...
    def argmin(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array: ...

    # -- gemm (gemm.py) --------------------------------------------------------------------------------
    def matmul(self, a: Array, b: Array, /) -> Array:
        """``a @ b`` with NumPy's rules: 1-d operands, broadcast batches, any strides (transposes are free)."""
        ...

    def linear(
        self, x: Array, weight: Array, bias: Array | None, activation: str | None = None
    ) -> Array:
        """activation(x @ weight.T + bias): x (..., K), weight (N, K), bias (N,); activation None or "relu"."""
        ...

    def linear_backward(
        self, g: Array, x: Array | None, weight: Array | None, y: Array | None, bias: bool, /
    ) -> tuple[Array | None, Array | None, Array | None]:
        """Gradients (of x, weight, bias) of ``linear``; y is its result where it ended in relu.

        Those not wanted are None: x is None without the weight's, weight without that of x, bias False.
        """
        ...

    def int_mm(self, a: Array, b: Array, /) -> Array:
        """a @ b of int8 matrices (M, K) and (K, N), in int32; sums wrap around."""
        ...

    # -- conv (conv.py) --------------------------------------------------------------------------------
    def conv2d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        activation: str | None = None,
    ) -> Array:
        """Cross-correlation: x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O,)."""
        ...

    def conv2d_input_grad(
        self,
        g: Array,
        weight: Array,
        input_shape: tuple[int, ...],
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array: ...

    def conv2d_weight_grad(
        self,
        g: Array,
        x: Array,
        weight_shape: tuple[int, ...],
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array: ...

    # -- conv and pool (conv_pool.py) -------------------------------------------------------------------
    def conv2d_max_pool2d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        activation: str | None,
        window: Pair,
        window_stride: Pair,
        window_dilation: Pair,
        indices_wanted: bool = True,
    ) -> tuple[Array, Array | None]:
        """max_pool2d (without padding) of conv2d: (y, indices)."""
        ...

    def conv2d_max_pool2d_backward(
        self,
        g: Array,
        indices: Array,
        x: Array | None,
        weight: Array | None,
        x_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> tuple[Array | None, Array | None]:
        """The gradients of the input (None without a weight) and of the weight (None without x)."""
        ...

    # -- volumes (volume.py) ----------------------------------------------------------------------------
    def conv3d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Triple,
        padding: Triple,
        dilation: Triple,
        groups: int,
    ) -> Array:
        """Cross-correlation: x (N, C, D, H, W), weight (O, C / groups, KD, KH, KW), bias (O,)."""
        ...

    def conv3d_input_grad(
        self,
        g: Array,
        weight: Array,
        input_shape: tuple[int, ...],
        stride: Triple,
        padding: Triple,
        dilation: Triple,
        groups: int,
    ) -> Array: ...

    def conv3d_weight_grad(
        self,
        g: Array,
        x: Array,
        weight_shape: tuple[int, ...],
        stride: Triple,
        padding: Triple,
        dilation: Triple,
        groups: int,
    ) -> Array: ...

    # -- pool (pool.py) --------------------------------------------------------------------------------
    def max_pool2d(
        self,
        x: Array,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        ceil_mode: bool,
        indices_wanted: bool = True,
    ) -> tuple[Array, Array | None]:
        """(y, indices): indices int32, each maximum's flat position h * W + w in its input plane.

        Those that are not wanted may be None. The first maximum in row-major order wins; a NaN in the window wins over
        everything (as in PyTorch).
        """
        ...

    def max_pool2d_backward(
        self, g: Array, indices: Array, input_shape: tuple[int, ...]
    ) -> Array: ...

    def avg_pool2d(
        self,
        x: Array,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Array: ...

    def avg_pool2d_backward(
        self,
        g: Array,
        input_shape: tuple[int, ...],
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Array: ...

    def adaptive_avg_pool2d(self, x: Array, output_size: Pair) -> Array: ...
    def adaptive_avg_pool2d_backward(self, g: Array, input_shape: tuple[int, ...]) -> Array: ...

    # -- softmax (softmax.py) --------------------------------------------------------------------------
    def softmax(self, x: Array, axis: int) -> Array: ...
    def softmax_backward(self, g: Array, y: Array, axis: int) -> Array: ...
    def log_softmax(self, x: Array, axis: int) -> Array: ...
    def log_softmax_backward(self, g: Array, y: Array, axis: int) -> Array: ...

    def cross_entropy(
        self,
        logits: Array,
        target: Array,
        weight: Array | None,
        ignore_index: int,
        label_smoothing: float,
        reduction: str,
        /,
    ) -> tuple[Array, Array, Array]:
        """(loss, lse, scale): logits (N, C), target int64 (N,), weight (C,); lse (N,), scale ().

        loss[n] = (1 - s) * w[t] * (lse - x[t]) + s / C * sum_c w[c] * (lse - x[c]); 0 where t == ignore_index.
        lse[n] = log(sum_c exp(logits[n, c])). loss is (N,) for "none", their sum () for "sum", and for "mean" () too:
        times scale, one over the sum of the targets' weights, ignored ones left out. Otherwise scale is 1.
        Raises IndexError for a target outside 0..C-1.
        """
        ...

    def cross_entropy_backward(
        self,
        g: Array,
        scale: Array,
        logits: Array,
        target: Array,
        lse: Array,
        weight: Array | None,
        ignore_index: int,
        label_smoothing: float,
        /,
    ) -> Array:
        """Gradient (N, C) with respect to the logits; g, (N,) or (), is that of the loss, lse and scale its results."""
        ...

    # -- norm (norm.py) --------------------------------------------------------------------------------
    def batch_norm(
        self, x: Array, weight: Array | None, bias: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """(y, mean, var) over all axes but 1: x (N, C, ...); mean and biased variance are (C,)."""
        ...

    def batch_norm_inference(
        self,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        mean: Array,
        var: Array,
        eps: float,
        activation: str | None = None,
    ) -> Array:
        """``batch_norm`` by a given mean and variance; activation is None or "relu"."""
        ...

    def batch_norm_backward(
        self, g: Array, x: Array, weight: Array | None, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        """(gx, gweight, gbias) of ``batch_norm``, through the batch statistics."""
        ...

    # Rows of a matrix (M, N), each normalised by itself; weight and bias are (N,), or both None.
    def layer_norm(
        self, x: Array, weight: Array | None, bias: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """(y, mean, invstd): y = (x - mean) * invstd * weight + bias; mean and invstd are (M,)."""
        ...

    def layer_norm_backward(
        self, g: Array, x: Array, weight: Array | None, mean: Array, invstd: Array
    ) -> tuple[Array, Array, Array]:
        """(gx, gweight, gbias) of ``layer_norm``."""
        ...

    def group_norm(
        self, x: Array, groups: int, weight: Array | None, bias: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """(y, mean, invstd): each sample's groups of channels normalised, then y * weight + bias for each channel.

        x is (N, C, ...), weight and bias (C,), mean and invstd (N * groups,).
        """
        ...

    def group_norm_backward(
        self, g: Array, x: Array, groups: int, weight: Array | None, mean: Array, invstd: Array
    ) -> tuple[Array, Array, Array]:
        """(gx, gweight, gbias) of ``group_norm``."""
        ...

    def rms_norm(self, x: Array, weight: Array | None, eps: float) -> tuple[Array, Array]:
        """(y, scale): y = x * scale * weight with scale = 1 / sqrt(mean(x**2) + eps), (M,)."""
        ...

    def rms_norm_backward(
        self, g: Array, x: Array, weight: Array | None, scale: Array
    ) -> tuple[Array, Array]:
        """(gx, gweight) of ``rms_norm``."""
        ...

    # -- rnn (rnn.py) ----------------------------------------------------------------------------------
    # One layer, one direction, over a packed sequence x (L, I): step t has batch_sizes[t] rows (int64 (T,), never
    # growing), of the samples 0 .. batch_sizes[t] - 1; L is their sum. The gates' sums are x @ weight_ih.T + bias_ih
    # + h @ weight_hh.T + bias_hh. `reverse` goes from the last step to the first. States are (N, H), N =
    # batch_sizes[0]. Without `keep` the results that only the gradient wants are None. Gradients that come in may be
    # None, for zeros; gx is None unless `x_wanted`.
    def rnn(
        self,
        x: Array,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None,
        bias_hh: Array | None,
        h0: Array,
        batch_sizes: Array,
        reverse: bool,
        nonlinearity: str,
    ) -> tuple[Array, Array]:
        """(y, hn): weight_ih (H, I), weight_hh (H, H); h = f(the sum), f "tanh" or "relu"."""
        ...

    def rnn_backward(
        self,
        gy: Array | None,
        ghn: Array | None,
        x: Array,
        weight_ih: Array,
        weight_hh: Array,
        h0: Array,
        y: Array,
        batch_sizes: Array,
        reverse: bool,
        nonlinearity: str,
        x_wanted: bool,
    ) -> tuple[Array | None, Array, Array, Array, Array]:
        """(gx, gweight_ih, gweight_hh, gbias, gh0) of ``rnn``; gbias is that of each of the biases."""
        ...

    def lstm(
        self,
        x: Array,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None,
        bias_hh: Array | None,
        weight_hr: Array | None,
        h0: Array,
        c0: Array,
        batch_sizes: Array,
        reverse: bool,
        keep: bool,
    ) -> tuple[Array, Array, Array, Array | None, Array | None]:
        """(y, hn, cn, activations, cells): weight_ih (4H, I), in the order i, f, g, o; weight_hh (4H, R).

        c = f * c + i * g; h = o * tanh(c), or (o * tanh(c)) @ weight_hr.T for weight_hr (R, H). y (L, R) holds every
        h, cells (L, H) every c, activations (L, 4H) every sigmoid(i), sigmoid(f), tanh(g), sigmoid(o).
        """
        ...

    def lstm_backward(
        self,
        gy: Array | None,
        ghn: Array | None,
        gcn: Array | None,
        x: Array,
        weight_ih: Array,
        weight_hh: Array,
        weight_hr: Array | None,
        h0: Array,
        c0: Array,
        y: Array,
        activations: Array,
        cells: Array,
        batch_sizes: Array,
        reverse: bool,
        x_wanted: bool,
    ) -> tuple[Array | None, Array, Array, Array, Array | None, Array, Array]:
        """(gx, gweight_ih, gweight_hh, gbias, gweight_hr, gh0, gc0) of ``lstm``."""
        ...

    def gru(
        self,
        x: Array,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None,
        bias_hh: Array | None,
        h0: Array,
        batch_sizes: Array,
        reverse: bool,
        keep: bool,
    ) -> tuple[Array, Array, Array | None, Array | None]:
        """(y, hn, activations, hidden): weight_ih (3H, I) in the order r, z, n; weight_hh (3H, H).

        h = (1 - z) * n + z * h, with n = tanh(x_n + r * hidden). hidden (L, H) is h @ weight_hn.T + bias_hn, x_n
        x @ weight_in.T + bias_in, activations (L, 3H) sigmoid(r), sigmoid(z) and n.
        """
        ...

    def gru_backward(
        self,
        gy: Array | None,
        ghn: Array | None,
        x: Array,
        weight_ih: Array,
        weight_hh: Array,
        h0: Array,
        y: Array,
        activations: Array,
        hidden: Array,
        batch_sizes: Array,
        reverse: bool,
        x_wanted: bool,
    ) -> tuple[Array | None, Array, Array, Array, Array, Array]:
        """(gx, gweight_ih, gweight_hh, gbias_ih, gbias_hh, gh0) of ``gru``."""
        ...

    # -- attention (attention.py) ----------------------------------------------------------------------
    def attention(
        self,
        query: Array,
        key: Array,
        value: Array,
        mask: Array | None,
        scale: float,
        causal: bool,
        dropout_p: float = 0.0,
        seed: int = 0,
        offset: int = 0,
    ) -> tuple[Array, Array, Array]:
        """(y, top, total): y = softmax(q k' * scale + mask) v; query (..., T, E), key (..., S, E), value (..., S, D).

        Leading axes are the same, but that key and value may have fewer heads (axis -3), each for a group of the
        query's that lie behind each other. mask broadcasts to (..., T, S): bool (True: seen) or added. causal: query t
        sees keys 0..t. top and total (..., T), float32 for 16-bit arrays, are each softmax's largest score and the sum
        of exp(score - top); a query that sees nothing has -inf and 0, and y 0. Where ``dropout_p`` > 0 the weights
        (..., T, S) go through ``dropout`` with that seed and offset; top and total are of all weights.
        """
        ...

    def attention_backward(
        self,
        g: Array,
        query: Array,
        key: Array,
        value: Array,
        mask: Array | None,
        y: Array,
        top: Array,
        total: Array,
        scale: float,
        causal: bool,
        mask_grad: bool,
        dropout_p: float = 0.0,
        seed: int = 0,
        offset: int = 0,
    ) -> tuple[Array, Array, Array, Array | None]:
        """(gquery, gkey, gvalue, gmask) of ``attention``; gmask, (..., T, S), only where ``mask_grad``."""
        ...

    # -- embedding (embedding.py) ----------------------------------------------------------------------
    def embedding(self, weight: Array, indices: Array) -> Array:
        """weight[indices]: (..., D) for indices (...), int64. Raises IndexError for an index outside 0..rows-1."""
        ...

    def embedding_backward(
        self, g: Array, indices: Array, rows: int, padding_idx: int, scale_grad_by_freq: bool
    ) -> Array:
        """The gradient (rows, D) of the table: row r sums g (n, D) over indices (n,) == r.

        Row ``padding_idx`` (-1: none) stays 0; ``scale_grad_by_freq`` divides by how often a row occurs.
        """
        ...

    # -- random (random.py) ----------------------------------------------------------------------------
    def philox(self, seed: int, offset: int, n: int) -> npt.NDArray[np.uint32]:
        """n words of Philox 4x32-10: word j is lane j % 4 of the block with counter offset + j // 4.

        Counter (lo, hi, 0, 0), key (seed's low 32 bits, its high 32 bits).
        """
        ...

    def uniform(
        self, seed: int, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> Array:
        """In [0, 1). float32: word j >> 8, times 2**-24. float64: words 2j and 2j+1, 27 and 26 bits."""
        ...

    def dropout(self, x: Array, p: float, seed: int, offset: int) -> tuple[Array, Array]:
        """(y, mask): element j (C order) is kept where its float32 uniform >= p; y = x * mask / (1 - p)."""
        ...

    def dropout_backward(self, g: Array, mask: Array, p: float) -> Array: ...

    # -- optim (optim.py) ------------------------------------------------------------------------------
    # Lists of equal length, one entry a parameter; parameters and state are updated in place.
    def sgd_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        momentum_buffers: Sequence[Array] | None,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
        first: bool,
    ) -> None:
        """torch.optim.SGD's step. ``first``: the buffers are new, and take the gradient undampened."""
        ...

    def adam_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        exp_avgs: Sequence[Array],
        exp_avg_sqs: Sequence[Array],
        max_exp_avg_sqs: Sequence[Array] | None,
        *,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        """torch.optim.Adam's step (AdamW's where ``decoupled``); ``step`` counts from 1."""
        ...

    def adagrad_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        sums: Sequence[Array],
        *,
        step: int,
        lr: float,
        lr_decay: float,
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        """torch.optim.Adagrad's step; ``step`` counts from 1."""
        ...

    def adadelta_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        square_avgs: Sequence[Array],
        acc_deltas: Sequence[Array],
        *,
        lr: float,
        rho: float,
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        """torch.optim.Adadelta's step."""
        ...

    def adamax_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        exp_avgs: Sequence[Array],
        exp_infs: Sequence[Array],
        *,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        """torch.optim.Adamax's step; ``step`` counts from 1."""
        ...

    def nadam_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        exp_avgs: Sequence[Array],
        exp_avg_sqs: Sequence[Array],
        *,
        mu_products: Sequence[float],
        mu: float,
        mu_next: float,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        """torch.optim.NAdam's step; ``mu_products`` include this step's ``mu``."""
        ...

    def radam_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        exp_avgs: Sequence[Array],
        exp_avg_sqs: Sequence[Array],
        *,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
    ) -> None:
        """torch.optim.RAdam's step; ``step`` counts from 1."""
        ...

    def rmsprop_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        square_avgs: Sequence[Array],
        grad_avgs: Sequence[Array] | None,
        momentum_buffers: Sequence[Array] | None,
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        maximize: bool,
    ) -> None:
        """torch.optim.RMSprop's step; centered where there are ``grad_avgs``."""
        ...

    def rprop_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        prevs: Sequence[Array],
        step_sizes: Sequence[Array],
        *,
        eta_minus: float,
        eta_plus: float,
        step_size_min: float,
        step_size_max: float,
        maximize: bool,
    ) -> None:
        """torch.optim.Rprop's step."""
        ...

    def asgd_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        axs: Sequence[Array],
        *,
        etas: Sequence[float],
        mus: Sequence[float],
        lambd: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        """torch.optim.ASGD's step with the rates ``etas`` and weights of the mean ``mus``."""
        ...

    def adafactor_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        row_vars: Sequence[Array | None],
        col_vars: Sequence[Array | None],
        variances: Sequence[Array | None],
        *,
        step: int,
        lr: float,
        beta2_decay: float,
        eps1: float | None,
        eps2: float,
        d: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        """torch.optim.Adafactor's step; a parameter has row and column variances, or a variance."""
        ...

    def muon_step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        momentum_buffers: Sequence[Array],
        *,
        rates: Sequence[float],
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
        ns_coefficients: tuple[float, float, float],
        ns_steps: int,
        eps: float,
    ) -> None:
        """torch.optim.Muon's step on matrices; ``rates`` are the learning rates fit to their shapes."""
        ...
