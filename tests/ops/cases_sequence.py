"""Recurrent layers, attention and embeddings as cases; the references go element by element, as the equations do."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
import fastnn.nn.functional as F

from .harness import Case

T = fastnn.tensor
INDEX = np.array([[2, 0], [1, 2]])
SEEN = np.array(
    [[True, False, True, True], [False, False, False, False], [True, True, False, True]]
)
STEPS, BATCH, INPUTS, SIZE = 3, 2, 2, 2


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _lstm_step(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b: Any) -> tuple[Any, Any]:
    i, f, g, o = np.split(w_ih @ x + w_hh @ h + b, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _lstm(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    y = np.zeros((*x.shape[:2], SIZE))
    cells = np.zeros((x.shape[1], SIZE))
    for n in range(x.shape[1]):
        h = c = np.zeros(SIZE)
        for t in range(len(x)):
            h, c = _lstm_step(x[t, n], h, c, w_ih, w_hh, b_ih + b_hh)
            y[t, n] = h
        cells[n] = c
    return y, y[-1][None], cells[None]


def _gru(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    y = np.zeros((*x.shape[:2], SIZE))
    for n in range(x.shape[1]):
        h = np.zeros(SIZE)
        for t in range(len(x)):
            xr, xz, xn = np.split(w_ih @ x[t, n] + b_ih, 3)
            hr, hz, hn = np.split(w_hh @ h + b_hh, 3)
            z = _sigmoid(xz + hz)
            new = np.tanh(xn + _sigmoid(xr + hr) * hn)
            h = (1 - z) * new + z * h
            y[t, n] = h
    return y, y[-1][None]


def _rnn(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    y = np.zeros((*x.shape[:2], SIZE))
    for n in range(x.shape[1]):
        h = np.zeros(SIZE)
        for t in range(len(x)):
            h = np.tanh(w_ih @ x[t, n] + b_ih + w_hh @ h + b_hh)
            y[t, n] = h
    return y, y[-1][None]


def _layer(function: Any, states: int) -> Any:
    def run(x: Any, *weights: Any) -> Any:
        h = fastnn.zeros(1, x.shape[1], SIZE, dtype=x.dtype)
        first = h if states == 1 else (h, h)
        return function(x, first, list(weights), True, 1, 0.0, True, False, False)

    return run


def _shapes(gates: int) -> tuple[tuple[int, ...], ...]:
    rows = gates * SIZE
    return ((STEPS, BATCH, INPUTS), (rows, INPUTS), (rows, SIZE), (rows,), (rows,))


def _attention(q: Any, k: Any, v: Any, seen: Any) -> Any:
    y = np.zeros((*q.shape[:-1], v.shape[-1]))
    for b in range(len(q)):
        for t in range(q.shape[1]):
            keys = [s for s in range(k.shape[1]) if seen[t, s]]
            e = [np.exp(q[b, t] @ k[b, s] / np.sqrt(q.shape[-1])) for s in keys]
            for weight, s in zip(e, keys, strict=True):
                y[b, t] += weight / sum(e) * v[b, s]
    return y


# A recurrence of 3 steps sums 2 + 2 products a gate, and each step's rounding goes through the ones behind it
CASES = [
    Case("lstm", _layer(fastnn.lstm, 2), _lstm, _shapes(4), terms=16),
    Case("gru", _layer(fastnn.gru, 1), _gru, _shapes(3), terms=16),
    Case("rnn", _layer(fastnn.rnn_tanh, 1), _rnn, _shapes(1), terms=16),
    Case("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, T(SEEN)), lambda q, k, v: _attention(q, k, v, SEEN), ((2, 3, 2), (2, 4, 2), (2, 4, 3)), terms=8),
    Case("attention_causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), lambda q, k, v: _attention(q, k, v, np.tri(3, 4)), ((2, 3, 2), (2, 4, 2), (2, 4, 3)), terms=8),
    Case("embedding", lambda w: F.embedding(T(INDEX), w), lambda w: w[INDEX], ((3, 2),)),
    Case("embedding_bag", lambda w: F.embedding_bag(T(INDEX), w, mode="mean"), lambda w: w[INDEX].mean(1), ((3, 2),), terms=2),
    Case("embedding_bag_max", lambda w: F.embedding_bag(T(INDEX), w, mode="max"), lambda w: w[INDEX].max(1), ((3, 2),), distinct=True),
]  # fmt: skip
