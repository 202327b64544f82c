"""Gradients of recurrent layers by differentiable operations, for gradients of gradients.

Each function computes a layer again, step by step, and then goes back through the steps with the equations of the
NumPy backend's ``*_backward``; all of it on tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .activation import relu, sigmoid, tanh
from .gemm import linear, matmul
from .shape import cat, chunk

if TYPE_CHECKING:
    from ..tensor import Tensor

Steps = list[tuple[slice, int]]


def steps_of(batch_sizes: Any, reverse: bool) -> Steps:
    """(rows, number of rows) of each step of a packed sequence, in the order of computation."""
    stops = np.cumsum(batch_sizes).tolist()
    sizes = batch_sizes.tolist()
    steps = [(slice(stop - n, stop), n) for stop, n in zip(stops, sizes, strict=True)]
    return steps[::-1] if reverse else steps


def _update(state: Tensor, new: Tensor, n: int) -> Tensor:
    """``state`` with its first n rows replaced."""
    return new if n == state._data.shape[0] else cat([new, state[n:]])


def _joined(parts: list[Any], reverse: bool) -> Tensor:
    """Parts in the order of computation, as a packed sequence."""
    return cat(parts[::-1] if reverse else parts)


def _input_grads(ggates: Tensor, x: Tensor, w_ih: Tensor, wanted: tuple[bool, ...]) -> Any:
    """Gradients of x, weight_ih and bias_ih through the product before the first step."""
    return (
        matmul(ggates, w_ih) if wanted[0] else None,
        matmul(ggates.t(), x) if wanted[1] else None,
        ggates.sum(0) if wanted[3] else None,
    )


def rnn_gradients(
    gs: list[Any], inputs: tuple[Any, ...], wanted: tuple[bool, ...], run: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Gradients of (x, weight_ih, weight_hh, bias_ih, bias_hh, h0)."""
    x, w_ih, w_hh, b_ih, b_hh, h0 = inputs
    batch_sizes, reverse, nonlinearity = run
    steps = steps_of(batch_sizes, reverse)
    gates = linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
    h = h0
    before, slopes = [], []
    for rows, n in steps:
        before.append(h[:n])
        z = gates[rows] + linear(h[:n], w_hh)
        new = tanh(z) if nonlinearity == "tanh" else relu(z)
        slopes.append(1 - new * new if nonlinearity == "tanh" else (z > 0).to(z.dtype))
        h = _update(h, new, n)
    gy, gh = gs
    parts: list[Any] = []
    for (rows, n), slope in zip(reversed(steps), reversed(slopes), strict=True):
        g = (gh[:n] + gy[rows]) * slope
        parts.append(g)
        gh = _update(gh, matmul(g, w_hh), n)
    ggates = _joined(parts, not reverse)
    gx, gw_ih, gb = _input_grads(ggates, x, w_ih, wanted)
    gw_hh = matmul(ggates.t(), _joined(before, reverse)) if wanted[2] else None
    return gx, gw_ih, gw_hh, gb, gb, gh


def lstm_gradients(
    gs: list[Any], inputs: tuple[Any, ...], wanted: tuple[bool, ...], run: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Gradients of (x, weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, h0, c0)."""
    x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0 = inputs
    batch_sizes, reverse = run
    steps = steps_of(batch_sizes, reverse)
    gates = linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
    h, c = h0, c0
    before, states, outputs = [], [], []
    for rows, n in steps:
        before.append(h[:n])
        i, f, g, o = chunk(gates[rows] + linear(h[:n], w_hh), 4, 1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        cell = f * c[:n] + i * g
        t = tanh(cell)
        states.append((i, f, g, o, c[:n], t))
        m = o * t
        outputs.append(m)
        c = _update(c, cell, n)
        h = _update(h, m if w_hr is None else linear(m, w_hr), n)
    gy, gh, gc = gs
    parts: list[Any] = []
    totals: list[Any] = []
    for (rows, n), (i, f, g, o, c_before, t) in zip(reversed(steps), reversed(states), strict=True):
        total = gh[:n] + gy[rows]
        totals.append(total)
        gm = total if w_hr is None else matmul(total, w_hr)
        gcell = gc[:n] + gm * o * (1 - t * t)
        gi = gcell * g * i * (1 - i)
        gf = gcell * c_before * f * (1 - f)
        gg = gcell * i * (1 - g * g)
        part = cat([gi, gf, gg, gm * t * o * (1 - o)], 1)
        parts.append(part)
        gc = _update(gc, gcell * f, n)
        gh = _update(gh, matmul(part, w_hh), n)
    ggates = _joined(parts, not reverse)
    gx, gw_ih, gb = _input_grads(ggates, x, w_ih, wanted)
    gw_hh = matmul(ggates.t(), _joined(before, reverse)) if wanted[2] else None
    gw_hr = None
    if w_hr is not None and wanted[5]:
        gw_hr = matmul(_joined(totals, not reverse).t(), _joined(outputs, reverse))
    return gx, gw_ih, gw_hh, gb, gb, gw_hr, gh, gc


def gru_gradients(
    gs: list[Any], inputs: tuple[Any, ...], wanted: tuple[bool, ...], run: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Gradients of (x, weight_ih, weight_hh, bias_ih, bias_hh, h0)."""
    x, w_ih, w_hh, b_ih, b_hh, h0 = inputs
    batch_sizes, reverse = run
    steps = steps_of(batch_sizes, reverse)
    gates = linear(x, w_ih, b_ih)
    h = h0
    before, states = [], []
    for rows, n in steps:
        before.append(h[:n])
        xr, xz, xn = chunk(gates[rows], 3, 1)
        hr, hz, hidden = chunk(linear(h[:n], w_hh, b_hh), 3, 1)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        new = tanh(xn + r * hidden)
        states.append((r, z, new, hidden, h[:n]))
        h = _update(h, new + z * (h[:n] - new), n)
    gy, gh = gs
    parts: list[Any] = []
    hidden_parts: list[Any] = []
    for (rows, n), (r, z, new, hidden, h_before) in zip(
        reversed(steps), reversed(states), strict=True
    ):
        total = gh[:n] + gy[rows]
        gnew = total * (1 - z) * (1 - new * new)
        gz = total * (h_before - new) * z * (1 - z)
        gr = gnew * hidden * r * (1 - r)
        parts.append(cat([gr, gz, gnew], 1))
        to_hidden = cat([gr, gz, gnew * r], 1)
        hidden_parts.append(to_hidden)
        gh = _update(gh, total * z + matmul(to_hidden, w_hh), n)
    gx, gw_ih, gb_ih = _input_grads(_joined(parts, not reverse), x, w_ih, wanted)
    ghidden = _joined(hidden_parts, not reverse)
    gw_hh = matmul(ghidden.t(), _joined(before, reverse)) if wanted[2] else None
    return gx, gw_ih, gw_hh, gb_ih, ghidden.sum(0) if wanted[4] else None, gh
