"""Recurrent layers: one layer, one direction, over a whole packed sequence.

A packed sequence holds the rows of all steps behind each other: step t has ``batch_sizes[t]`` rows, of the samples
0 .. batch_sizes[t] - 1, and sizes never grow. Every step is one slice of rows; running states hold a row for each
sample, so that one that has ended (or, in reverse, not yet begun) keeps its state untouched.
"""

from __future__ import annotations

import numpy as np

from fastnn.backends.numpy.elementwise import sigmoid
from fastnn.backends.numpy.gemm import linear
from fastnn.backends.protocol import Array


def _steps(batch_sizes: Array, reverse: bool) -> list[tuple[slice, int]]:
    """(rows, number of rows) of each step, in the order of computation."""
    sizes = batch_sizes.tolist()
    stops = np.cumsum(batch_sizes).tolist()
    steps = [(slice(stop - n, stop), n) for stop, n in zip(stops, sizes, strict=True)]
    return steps[::-1] if reverse else steps


def _previous(y: Array, first: Array, batch_sizes: Array, reverse: bool) -> Array:
    """Each row's state one step before (in the order of computation): rows of ``y``, or of ``first`` at the start."""
    out = np.empty_like(y)
    state = first.copy()
    for rows, n in _steps(batch_sizes, reverse):
        out[rows] = state[:n]
        state[:n] = y[rows]
    return out


def _sum(bias_ih: Array | None, bias_hh: Array | None) -> Array | None:
    if bias_ih is None or bias_hh is None:
        return bias_hh if bias_ih is None else bias_ih
    return bias_ih + bias_hh


def _start(gradient: Array | None, like: Array) -> Array:
    """A copy of a state's gradient, to be carried through the steps; zeros for None."""
    return np.zeros_like(like) if gradient is None else gradient.copy()


def _input_gradients(
    ggates: Array, x: Array, weight_ih: Array, x_wanted: bool
) -> tuple[Array | None, Array, Array]:
    """(gx, gweight_ih, gbias_ih)."""
    return ggates @ weight_ih if x_wanted else None, ggates.T @ x, ggates.sum(0)


# -- RNN -----------------------------------------------------------------------------------------------


def rnn(
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
    """(y, hn): h = tanh(gates + h @ weight_hh.T) at each step, or relu."""
    gates = linear(x, weight_ih, _sum(bias_ih, bias_hh))
    y = np.empty_like(gates)
    h = h0.copy()
    for rows, n in _steps(batch_sizes, reverse):
        z = gates[rows] + h[:n] @ weight_hh.T
        y[rows] = h[:n] = np.tanh(z) if nonlinearity == "tanh" else np.maximum(z, 0)
    return y, h


def rnn_backward(
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
    """(gx, gweight_ih, gweight_hh, gbias, gh0) of ``rnn``."""
    ggates = np.empty_like(y)
    gh = _start(ghn, h0)
    slope = 1 - y * y if nonlinearity == "tanh" else (y > 0).astype(y.dtype)
    for rows, n in _steps(batch_sizes, not reverse):
        total = gh[:n] if gy is None else gh[:n] + gy[rows]
        ggates[rows] = total * slope[rows]
        gh[:n] = ggates[rows] @ weight_hh
    gx, gweight_ih, gbias = _input_gradients(ggates, x, weight_ih, x_wanted)
    return gx, gweight_ih, ggates.T @ _previous(y, h0, batch_sizes, reverse), gbias, gh


# -- LSTM ----------------------------------------------------------------------------------------------


def lstm(
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
    """(y, hn, cn, activations, cells): i, f, o = sigmoid, g = tanh; c = f * c + i * g; h = o * tanh(c)."""
    gates = linear(x, weight_ih, _sum(bias_ih, bias_hh))
    size = c0.shape[1]
    y = np.empty((len(gates), h0.shape[1]), gates.dtype, like=gates)
    activations = np.empty_like(gates)
    cells = np.empty((len(gates), size), gates.dtype, like=gates)
    h, c = h0.copy(), c0.copy()
    for rows, n in _steps(batch_sizes, reverse):
        z = gates[rows] + h[:n] @ weight_hh.T
        a = activations[rows]
        a[:] = sigmoid(z)
        a[:, 2 * size : 3 * size] = np.tanh(z[:, 2 * size : 3 * size])
        i, f, g, o = np.split(a, 4, axis=1)
        c[:n] = f * c[:n] + i * g
        cells[rows] = c[:n]
        m = o * np.tanh(c[:n])
        y[rows] = h[:n] = m if weight_hr is None else m @ weight_hr.T
    return (y, h, c, activations, cells) if keep else (y, h, c, None, None)


def lstm_backward(
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
    ggates = np.empty_like(activations)
    gh, gc = _start(ghn, h0), _start(gcn, c0)
    tanh_c = np.tanh(cells)
    before = _previous(cells, c0, batch_sizes, reverse)
    gy_total = np.empty_like(y)
    for rows, n in _steps(batch_sizes, not reverse):
        i, f, g, o = np.split(activations[rows], 4, axis=1)
        t = tanh_c[rows]
        gy_total[rows] = gh[:n] if gy is None else gh[:n] + gy[rows]
        gm = gy_total[rows] if weight_hr is None else gy_total[rows] @ weight_hr
        gcell = gc[:n] + gm * o * (1 - t * t)
        gi, gf, gg, go = np.split(ggates[rows], 4, axis=1)  # views to be written
        gi[:] = gcell * g * i * (1 - i)
        gf[:] = gcell * before[rows] * f * (1 - f)
        gg[:] = gcell * i * (1 - g * g)
        go[:] = gm * t * o * (1 - o)
        gc[:n] = gcell * f
        gh[:n] = ggates[rows] @ weight_hh
    gweight_hr = None
    if weight_hr is not None:
        size = cells.shape[1]
        gweight_hr = gy_total.T @ (activations[:, 3 * size :] * tanh_c)
    gx, gweight_ih, gbias = _input_gradients(ggates, x, weight_ih, x_wanted)
    gweight_hh = ggates.T @ _previous(y, h0, batch_sizes, reverse)
    return gx, gweight_ih, gweight_hh, gbias, gweight_hr, gh, gc


# -- GRU -----------------------------------------------------------------------------------------------


def gru(
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
    """(y, hn, activations, hidden): r, z = sigmoid; n = tanh(x_n + r * hidden_n); h = n + z * (h - n)."""
    gates = linear(x, weight_ih, bias_ih)
    size = h0.shape[1]
    y = np.empty((len(gates), size), gates.dtype, like=gates)
    activations = np.empty_like(gates)
    hidden = np.empty_like(y)
    h = h0.copy()
    for rows, n in _steps(batch_sizes, reverse):
        inputs, a = gates[rows], activations[rows]
        z = h[:n] @ weight_hh.T
        if bias_hh is not None:
            z += bias_hh
        a[:, : 2 * size] = sigmoid(inputs[:, : 2 * size] + z[:, : 2 * size])
        hidden[rows] = z[:, 2 * size :]
        a[:, 2 * size :] = np.tanh(inputs[:, 2 * size :] + a[:, :size] * hidden[rows])
        _, update, new = np.split(a, 3, axis=1)
        y[rows] = h[:n] = new + update * (h[:n] - new)
    return (y, h, activations, hidden) if keep else (y, h, None, None)


def gru_backward(
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
    ggates = np.empty_like(activations)
    ghidden = np.empty_like(activations)  # with respect to h @ weight_hh.T + bias_hh
    gh = _start(ghn, h0)
    before = _previous(y, h0, batch_sizes, reverse)
    size = y.shape[1]
    for rows, n in _steps(batch_sizes, not reverse):
        r, z, new = np.split(activations[rows], 3, axis=1)
        total = gh[:n] if gy is None else gh[:n] + gy[rows]
        gr, gz, gnew = np.split(ggates[rows], 3, axis=1)  # views to be written
        gnew[:] = total * (1 - z) * (1 - new * new)
        gz[:] = total * (before[rows] - new) * z * (1 - z)
        gr[:] = gnew * hidden[rows] * r * (1 - r)
        ghidden[rows] = ggates[rows]
        ghidden[rows, 2 * size :] *= r
        gh[:n] = total * z + ghidden[rows] @ weight_hh
    gx, gweight_ih, gbias_ih = _input_gradients(ggates, x, weight_ih, x_wanted)
    return gx, gweight_ih, ghidden.T @ before, gbias_ih, ghidden.sum(0), gh
