"""Recurrent layers: one graph node for one layer and direction of a whole sequence, and the stacks made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import make
from ..autograd.grad_mode import mode
from ..autograd.node import MultiNode, Output, edge_of
from ..backends import by_type
from . import rnn_graph
from .dropout import dropout
from .promotion import cast
from .shape import cat, stack

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]


# -- one layer, one direction --------------------------------------------------------------------------


class _LayerNode(MultiNode):
    """A layer's node: it saves its inputs, the results, and what else the backend wants back."""

    __slots__ = ("run",)

    def __init__(
        self, inputs: tuple[Any, ...], results: tuple[Any, ...], kept: tuple[Any, ...], run: Any
    ) -> None:
        edges = tuple(None if x is None else edge_of(x) for x in inputs)
        super().__init__(edges, (*inputs, *results, *kept), len(results))
        self.run = run

    def inputs(self) -> tuple[Any, ...]:
        """The input tensors."""
        inputs: tuple[Any, ...] = self.saved[: len(self.edges)]
        return inputs

    def whole(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients of the results (arrays or tensors), with zeros where none flowed in."""
        results = self.saved[len(self.edges) :]
        tensors = any(hasattr(g, "_data") for g in gradients)
        filled = [
            np.zeros_like(r) if g is None else g for g, r in zip(gradients, results, strict=False)
        ]
        return [make(g) if tensors and not hasattr(g, "_data") else g for g in filled]

    def wanted(self) -> tuple[bool, ...]:
        """Which inputs want a gradient."""
        return tuple(e is not None for e in self.edges)


def _outputs(node: MultiNode | None, arrays: tuple[Any, ...]) -> tuple[Tensor, ...]:
    if node is None:
        return tuple(make(a) for a in arrays)
    return tuple(make(a, Output(node, i)) for i, a in enumerate(arrays))


def _recorded(inputs: tuple[Any, ...]) -> bool:
    return mode.enabled and any(x is not None and x._requires_grad for x in inputs)


def _in_float32(layer: Callable[..., Any]) -> Callable[..., Any]:
    """``layer``, computed in float32 for float16 and bfloat16: a state is rounded once, not at every sum."""

    @functools.wraps(layer)
    def computed(inputs: tuple[Any, ...], *run: Any) -> Any:
        dtype = inputs[0]._data.dtype
        if dtype.itemsize >= 4:
            return layer(inputs, *run)
        wide = tuple(None if x is None else cast(x, np.dtype(np.float32)) for x in inputs)
        return tuple(cast(y, dtype) for y in layer(wide, *run))

    return computed


class RnnBackward0(_LayerNode):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, w_ih, w_hh, _, _, h0, y, _ = self.saved
        gx, gw_ih, gw_hh, gb, gh0 = by_type[type(y)].rnn_backward(
            *g, x._data, w_ih._data, w_hh._data, h0._data, y, *self.run, self.edges[0] is not None
        )
        return gx, gw_ih, gw_hh, gb, gb, gh0

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        return rnn_graph.rnn_gradients(self.whole(g), self.inputs(), self.wanted(), self.run)


@_in_float32
def rnn_layer(inputs: tuple[Any, ...], batch_sizes: Any, reverse: bool, nonlinearity: str) -> Any:
    """(y, hn) for inputs (x (L, I), weight_ih, weight_hh, bias_ih, bias_hh, h0)."""
    arrays = [None if x is None else x._data for x in inputs]
    run = (batch_sizes, reverse, nonlinearity)
    results = by_type[type(arrays[0])].rnn(*arrays, *run)
    return _outputs(RnnBackward0(inputs, results, (), run) if _recorded(inputs) else None, results)


class LstmBackward0(_LayerNode):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, w_ih, w_hh, _, _, w_hr, h0, c0, y, _, _, activations, cells = self.saved
        gx, gw_ih, gw_hh, gb, gw_hr, gh0, gc0 = by_type[type(y)].lstm_backward(
            *g,
            x._data,
            w_ih._data,
            w_hh._data,
            None if w_hr is None else w_hr._data,
            h0._data,
            c0._data,
            y,
            activations,
            cells,
            *self.run,
            self.edges[0] is not None,
        )
        return gx, gw_ih, gw_hh, gb, gb, gw_hr, gh0, gc0

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        return rnn_graph.lstm_gradients(self.whole(g), self.inputs(), self.wanted(), self.run)


@_in_float32
def lstm_layer(inputs: tuple[Any, ...], batch_sizes: Any, reverse: bool) -> Any:
    """(y, hn, cn) for inputs (x (L, I), weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, h0, c0)."""
    arrays = [None if x is None else x._data for x in inputs]
    recorded = _recorded(inputs)
    run = (batch_sizes, reverse)
    *found, activations, cells = by_type[type(arrays[0])].lstm(*arrays, *run, recorded)
    results = tuple(found)
    kept = (activations, cells)
    return _outputs(LstmBackward0(inputs, results, kept, run) if recorded else None, results)


class GruBackward0(_LayerNode):
    __slots__ = ()

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, w_ih, w_hh, _, _, h0, y, _, activations, hidden = self.saved
        weights = (w_ih._data, w_hh._data)
        gradients: tuple[Any, ...] = by_type[type(y)].gru_backward(
            *g, x._data, *weights, h0._data, y, activations, hidden, *self.run, self.edges[0] is not None
        )  # fmt: skip
        return gradients

    def backward_graph(self, g: Any) -> tuple[Any, ...]:
        return rnn_graph.gru_gradients(self.whole(g), self.inputs(), self.wanted(), self.run)


@_in_float32
def gru_layer(inputs: tuple[Any, ...], batch_sizes: Any, reverse: bool) -> Any:
    """(y, hn) for inputs (x (L, I), weight_ih, weight_hh, bias_ih, bias_hh, h0)."""
    arrays = [None if x is None else x._data for x in inputs]
    recorded = _recorded(inputs)
    run = (batch_sizes, reverse)
    y, hn, activations, hidden = by_type[type(arrays[0])].gru(*arrays, *run, recorded)
    node = GruBackward0(inputs, (y, hn), (activations, hidden), run) if recorded else None
    return _outputs(node, (y, hn))


# -- layers and directions -----------------------------------------------------------------------------

Layer = Callable[[Any, Sequence[Any], Sequence[Any], Any, bool], Any]


def _rnn_step(nonlinearity: str) -> Layer:
    def layer(
        x: Any, weights: Sequence[Any], states: Sequence[Any], sizes: Any, reverse: bool
    ) -> Any:
        w_ih, w_hh, b_ih, b_hh, _ = weights
        return rnn_layer((x, w_ih, w_hh, b_ih, b_hh, *states), sizes, reverse, nonlinearity)

    return layer


def _gru_step(
    x: Any, weights: Sequence[Any], states: Sequence[Any], sizes: Any, reverse: bool
) -> Any:
    w_ih, w_hh, b_ih, b_hh, _ = weights
    return gru_layer((x, w_ih, w_hh, b_ih, b_hh, *states), sizes, reverse)


def _lstm_step(
    x: Any, weights: Sequence[Any], states: Sequence[Any], sizes: Any, reverse: bool
) -> Any:
    return lstm_layer((x, *weights, *states), sizes, reverse)


LAYERS: dict[str, Layer] = {
    "RNN_TANH": _rnn_step("tanh"),
    "RNN_RELU": _rnn_step("relu"),
    "LSTM": _lstm_step,
    "GRU": _gru_step,
}


def _zero_states(kind: str, x: Any, samples: int, weights: Sequence[Any]) -> list[list[Tensor]]:
    """Zeros for each state of each layer and direction: they are only read, so one array serves all of a shape."""
    output = weights[0][1]._data.shape[1]
    h = make(np.zeros((samples, output), x.dtype, like=x))
    found = [[h] * len(weights)]
    if kind == "LSTM":
        hidden = weights[0][1]._data.shape[0] // 4
        c = h if hidden == output else make(np.zeros((samples, hidden), x.dtype, like=x))
        found.append([c] * len(weights))
    return found


def run_layers(
    kind: str,
    x: Tensor,
    batch_sizes: Any,
    states: Sequence[Tensor] | None,
    weights: Sequence[Sequence[Any]],
    p: float,
    training: bool,
    bidirectional: bool,
) -> tuple[Tensor, list[Tensor]]:
    """All layers and directions over a packed sequence.

    Args:
        kind: a key of ``LAYERS``.
        x: (L, input size).
        batch_sizes: int64 array (T,), the rows of each step.
        states: the first states, each (layers * directions, N, size); None for zeros.
        weights: (weight_ih, weight_hh, bias_ih, bias_hh, weight_hr) of each layer and direction; None for none.
        p: the dropout probability between layers, when ``training``.
        bidirectional: two directions a layer.

    Returns:
        The last layer's output (L, directions * size), and the last states.
    """
    layer = LAYERS[kind]
    directions = 2 if bidirectional else 1
    first: Sequence[Sequence[Tensor]]
    if states is None:
        first = _zero_states(kind, x._data, int(batch_sizes[0]), weights)
    else:
        first = [s.unbind(0) for s in states]
    last: list[list[Tensor]] = [[] for _ in first]
    for k in range(0, len(weights), directions):
        if k and p and training:
            x = dropout(x, p, True)
        outputs = []
        for d in range(directions):
            y, *ends = layer(x, weights[k + d], [s[k + d] for s in first], batch_sizes, d == 1)
            outputs.append(y)
            for held, end in zip(last, ends, strict=True):
                held.append(end)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
    return x, [held[0].unsqueeze(0) if len(held) == 1 else stack(held) for held in last]


def grouped(params: Sequence[Any], has_biases: bool, projected: bool) -> list[tuple[Any, ...]]:
    """A flat list of weights as (weight_ih, weight_hh, bias_ih, bias_hh, weight_hr), for each layer and direction."""
    per = 2 + 2 * has_biases + projected
    if not params or len(params) % per:
        raise RuntimeError(f"expected a multiple of {per} weights, got {len(params)}")
    out = []
    for i in range(0, len(params), per):
        part = list(params[i : i + per])
        w_hr = part.pop() if projected else None
        biases = part[2:] if has_biases else [None, None]
        out.append((*part[:2], *biases, w_hr))
    return out


def _functional(
    kind: str,
    args: tuple[Any, ...],
) -> tuple[Tensor, list[Tensor]]:
    """PyTorch's two forms: (input, hx, params, ..., batch_first), and (data, batch_sizes, hx, params, ...), packed."""
    packed = hasattr(args[1], "_data") and args[1]._data.ndim == 1
    if packed:
        data, sizes, hx, params, has_biases, num_layers, p, train, bidirectional = args
        x, counts, shape = data, sizes._data, None
        batch_first = False
    else:
        source, hx, params, has_biases, num_layers, p, train, bidirectional, batch_first = args
        if batch_first:
            source = source.transpose(0, 1)
        shape = source._data.shape
        if len(shape) != 3:
            raise RuntimeError(f"{kind.lower()}: expected an input of 3 dims, got {tuple(shape)}")
        x = source.reshape(shape[0] * shape[1], shape[2])
        counts = np.full(shape[0], shape[1], np.int64)
    states = tuple(hx) if kind == "LSTM" else (hx,)
    projected = kind == "LSTM" and states[0]._data.shape[2] != states[1]._data.shape[2]
    weights = grouped(params, has_biases, projected)
    directions = 2 if bidirectional else 1
    if len(weights) != num_layers * directions:
        raise RuntimeError(
            f"{kind.lower()}: expected weights of {num_layers * directions} layers and directions, got {len(weights)}"
        )
    y, last = run_layers(kind, x, counts, states, weights, p, train, bidirectional)
    if shape is not None:
        y = y.reshape(shape[0], shape[1], y._data.shape[-1])
        if batch_first:
            y = y.transpose(0, 1)
    return y, last


def lstm(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(output, hn, cn) of a stack of LSTM layers.

    Args:
        args: (input, (h0, c0), params, has_biases, num_layers, dropout, train, bidirectional, batch_first), or for a
            packed sequence (data, batch_sizes, (h0, c0), params, has_biases, num_layers, dropout, train,
            bidirectional), as PyTorch's ``torch.lstm``.

    S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997.
    """
    y, (hn, cn) = _functional("LSTM", args)
    return y, hn, cn


def gru(*args: Any) -> tuple[Tensor, Tensor]:
    """(output, hn) of a stack of GRU layers; arguments as ``lstm`` with one state h0.

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.
    """
    y, (hn,) = _functional("GRU", args)
    return y, hn


def rnn_tanh(*args: Any) -> tuple[Tensor, Tensor]:
    """(output, hn) of a stack of layers h = tanh(...); arguments as ``gru``."""
    y, (hn,) = _functional("RNN_TANH", args)
    return y, hn


def rnn_relu(*args: Any) -> tuple[Tensor, Tensor]:
    """(output, hn) of a stack of layers h = relu(...); arguments as ``gru``."""
    y, (hn,) = _functional("RNN_RELU", args)
    return y, hn


# -- cells: one step -----------------------------------------------------------------------------------


def _cell(kind: str, x: Tensor, states: Sequence[Tensor], weights: tuple[Any, ...]) -> list[Tensor]:
    vector = x._data.ndim == 1
    if vector:
        x, states = x.unsqueeze(0), [s.unsqueeze(0) for s in states]
    w_ih = weights[0]._data
    if x._data.ndim != 2 or x._data.shape[1] != w_ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {tuple(x.shape)}, expected (N, {w_ih.shape[1]})"
        )
    wanted = (len(x._data), weights[1]._data.shape[1])
    for s in states:
        if s._data.shape != wanted:
            raise RuntimeError(
                f"hidden has inconsistent shape: got {tuple(s.shape)}, expected {wanted}"
            )
    sizes = np.array([len(x._data)], np.int64)
    _, *last = LAYERS[kind](x, (*weights, None), states, sizes, False)
    return [s.squeeze(0) for s in last] if vector else last


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(h, c) after one step of an LSTM from (h, c) = ``hx``."""
    h, c = _cell("LSTM", input, tuple(hx), (w_ih, w_hh, b_ih, b_hh))
    return h, c


def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """h after one step of a GRU from h = ``hx``."""
    return _cell("GRU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """tanh(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh), h = ``hx``."""
    return _cell("RNN_TANH", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """relu(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh), h = ``hx``."""
    return _cell("RNN_RELU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]
