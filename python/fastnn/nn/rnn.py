"""Recurrent layers: RNN, LSTM and GRU over sequences, and their cells for one step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ops import rnn as ops
from ..ops.creation import empty, zeros
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: their weights, their arguments, and the run over all layers.

    Weights are named as PyTorch's: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0`` (and
    ``weight_hr_l0`` with a projection) for layer 0, with ``_reverse`` behind for the other direction.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed, "
                f"got {dropout!r}"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        for argument, value in (("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(value, int):
                raise TypeError(f"{argument} should be of type int, got: {type(value).__name__}")
            if value <= 0:
                raise ValueError(f"{argument} must be greater than zero, got {value}")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._weight_names: list[list[str]] = []
        rows = _GATES[mode] * hidden_size
        output = proj_size or hidden_size
        for layer in range(num_layers):
            size = input_size if layer == 0 else output * (2 if bidirectional else 1)
            for suffix in ("", "_reverse") if bidirectional else ("",):
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, size),
                    "weight_hh": (rows, output),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = []
                for kind, shape in shapes.items():
                    names.append(f"{kind}_l{layer}{suffix}")
                    self.register_parameter(
                        names[-1], Parameter(empty(*shape, device=device, dtype=dtype))
                    )
                self._weight_names.append(names)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, uniform in +-1 / sqrt(hidden_size)."""
        for weight in self.parameters():
            init.fan_in_uniform_(weight, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Nothing to do: weights need not lie behind each other in memory here."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._weight_names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [w for weights in self.all_weights for w in weights]

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raise where the input's dtype or shape does not fit."""
        weight = getattr(self, "weight_ih_l0")  # noqa: B009  its type is only known here
        if input.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype})"
            )
        wanted = 2 if batch_sizes is not None else 3
        if input.dim() != wanted:
            raise RuntimeError(f"input must have {wanted} dimensions, got {input.dim()}")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"{self.mode.lower()}: input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.size(-1)} of shape {tuple(input.shape)}"
            )

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """(layers * directions, N, size) of the hidden state h."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0 if self.batch_first else 1)
        return (*self._state_shape(batch), self.proj_size or self.hidden_size)

    def _state_shape(self, batch: int) -> tuple[int, int]:
        return self.num_layers * (2 if self.bidirectional else 1), batch

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Raise RuntimeError where a state has another shape than expected."""
        if hx._data.shape != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx._data.shape)))

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        text = f"{self.input_size}, {self.hidden_size}"
        shown = (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        )
        for name, default in shown:
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text

    def _weights(self) -> list[tuple[Any, ...]]:
        own = self._parameters  # without those that a parametrization computes
        flat = [own[n] if n in own else getattr(self, n) for ns in self._weight_names for n in ns]
        return ops.grouped(flat, self.bias, self.proj_size > 0)

    def _run(self, input: Any, hx: Any) -> tuple[Any, tuple[Tensor, ...]]:
        """The output and the last states, for a tensor or a packed sequence; ``hx`` is a tuple of states or None."""
        if isinstance(input, PackedSequence):
            x, batch_sizes, order, back = input
            self.check_input(x, batch_sizes)
            states = self._states(x, batch_sizes, hx, order)
            y, last = self._layers(x, np.ascontiguousarray(batch_sizes._data, np.int64), states)
            packed = PackedSequence(y, batch_sizes, order, back)
            return packed, tuple(s if back is None else s[:, back] for s in last)
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}: expected a Tensor or a PackedSequence, got {type(input).__name__}"
            )
        if input.dim() not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        single = input.dim() == 2
        if hx is not None and any(h.dim() != input.dim() for h in hx):
            dims = ", ".join(f"{h.dim()}-D" for h in hx)
            kind = "unbatched 2-D" if single else "batched 3-D"
            raise RuntimeError(
                f"For {kind} input, hx should also be {input.dim()}-D but got ({dims}) tensor"
            )
        batch_dim = 0 if self.batch_first else 1
        if single:
            input = input.unsqueeze(batch_dim)
            hx = None if hx is None else tuple(h.unsqueeze(1) for h in hx)
        self.check_input(input, None)
        states = self._states(input, None, hx, None)
        x = input.transpose(0, 1) if self.batch_first else input
        steps, batch = x._data.shape[:2]
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        sizes = np.full(steps, batch, np.int64)
        y, last = self._layers(x.reshape(steps * batch, self.input_size), sizes, states)
        y = y.reshape(steps, batch, y._data.shape[-1])
        if self.batch_first:
            y = y.transpose(0, 1)
        if single:
            return y.squeeze(batch_dim), tuple(s.squeeze(1) for s in last)
        return y, tuple(last)

    def _layers(self, x: Tensor, sizes: Any, states: Any) -> tuple[Tensor, list[Tensor]]:
        return ops.run_layers(
            self.mode, x, sizes, states, self._weights(), self.dropout, self.training, self.bidirectional
        )  # fmt: skip

    def _states(
        self, x: Tensor, batch_sizes: Tensor | None, hx: Any, order: Tensor | None
    ) -> tuple[Tensor, ...] | None:
        """The first states, checked and in the sequence's order; None, for zeros, where none are given."""
        if hx is None:
            return None
        hidden = self.get_expected_hidden_size(x, batch_sizes)
        shapes = [hidden]
        if self.mode == "LSTM":
            shapes.append((*hidden[:2], self.hidden_size))
        names = ("hidden[0]", "hidden[1]") if len(shapes) == 2 else ("hidden",)
        for h, shape, label in zip(hx, shapes, names, strict=True):
            self.check_hidden_size(h, shape, f"Expected {label} size {{}}, got {{}}")
            if h._data.dtype != x._data.dtype:
                raise RuntimeError(
                    f"{label} has dtype {h.dtype}, the input {x.dtype}; they must be the same"
                )
        return tuple(h if order is None else h[:, order] for h in hx)


class RNN(RNNBase):
    """Layers h_t = tanh(x_t @ weight_ih.T + bias_ih + h_(t-1) @ weight_hh.T + bias_hh) (J. Elman, 1990).

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: layers, each on the output of the one before.
        nonlinearity: "tanh" or "relu".
        bias: have biases.
        batch_first: input and output are (N, T, features) rather than (T, N, features).
        dropout: the probability of dropout between layers, in training.
        bidirectional: run a second layer from the end to the start; the output holds both.

    >>> import fastnn
    >>> y, h = fastnn.nn.RNN(3, 4, num_layers=2)(fastnn.ones(5, 1, 3))
    >>> y.shape, h.shape
    (fastnn.Size([5, 1, 4]), fastnn.Size([2, 1, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """(output, last state) for a tensor or a ``PackedSequence``, from state ``hx`` (zeros if None)."""
        y, (h,) = self._run(input, None if hx is None else (hx,))
        return y, h


class GRU(RNNBase):
    """Gated recurrent units (K. Cho et al., 2014), with PyTorch's reset gate after the product.

    Args: as ``RNN``, without ``nonlinearity``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )  # fmt: skip

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """(output, last state) for a tensor or a ``PackedSequence``, from state ``hx`` (zeros if None)."""
        y, (h,) = self._run(input, None if hx is None else (hx,))
        return y, h


class LSTM(RNNBase):
    """Long short-term memory (S. Hochreiter, J. Schmidhuber, 1997).

    Args: as ``RNN``, without ``nonlinearity``, and
        proj_size: project each hidden state to so many features (H. Sak et al., 2014); 0 for none.

    >>> import fastnn
    >>> y, (h, c) = fastnn.nn.LSTM(3, 4, bidirectional=True)(fastnn.ones(5, 2, 3))
    >>> y.shape, h.shape, c.shape
    (fastnn.Size([5, 2, 8]), fastnn.Size([2, 2, 4]), fastnn.Size([2, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype,
        )  # fmt: skip

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """(layers * directions, N, hidden_size): the shape of the cell state c."""
        layers, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return layers, batch, self.hidden_size

    def forward(
        self, input: Any, hx: Sequence[Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """(output, (h, c)) for a tensor or a ``PackedSequence``, from (h, c) = ``hx`` (zeros if None)."""
        if hx is not None and (isinstance(hx, Tensor) or len(hx) != 2):
            raise RuntimeError("LSTM: hx must be a tuple of two tensors, (h_0, c_0)")
        y, (h, c) = self._run(input, None if hx is None else tuple(hx))
        return y, (h, c)


# -- cells ---------------------------------------------------------------------------------------------


class RNNCellBase(Module):
    """What the cells share: weight_ih, weight_hh, bias_ih and bias_hh."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(
                name, Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, uniform in +-1 / sqrt(hidden_size)."""
        for weight in self.parameters():
            bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"

    def _zeros(self, input: Tensor) -> Tensor:
        sizes = (*input._data.shape[:-1], self.hidden_size)
        return zeros(sizes, dtype=input.dtype, device=input.device)

    def _check(self, input: Tensor, hx: Sequence[Tensor] | None) -> None:
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        for h in hx or ():
            if h.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected hidden to be 1D or 2D, got {h.dim()}D instead")

    def _step(self, cell: Callable[..., Any], input: Tensor, hx: Any) -> Any:
        return cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


class RNNCell(RNNCellBase):
    """One step of an ``RNN``: h' = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state, from ``hx`` (zeros if None)."""
        self._check(input, None if hx is None else (hx,))
        cells = {"tanh": ops.rnn_tanh_cell, "relu": ops.rnn_relu_cell}
        if self.nonlinearity not in cells:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        state = self._zeros(input) if hx is None else hx
        out: Tensor = self._step(cells[self.nonlinearity], input, state)
        return out


class LSTMCell(RNNCellBase):
    """One step of an ``LSTM``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next (h, c), from (h, c) = ``hx`` (zeros if None)."""
        self._check(input, hx)
        zero = self._zeros(input) if hx is None else None
        h, c = self._step(ops.lstm_cell, input, (zero, zero) if hx is None else hx)
        return h, c


class GRUCell(RNNCellBase):
    """One step of a ``GRU``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state, from ``hx`` (zeros if None)."""
        self._check(input, None if hx is None else (hx,))
        out: Tensor = self._step(ops.gru_cell, input, self._zeros(input) if hx is None else hx)
        return out
