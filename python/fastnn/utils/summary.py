"""The layers of a model in a table: output shapes, parameters, operations and memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import nn
from .._core import make
from .._dtype import dtype as DType
from .._dtype import float32
from ..autograd.grad_mode import no_grad
from ..tensor import Tensor

__all__ = ["LayerInfo", "ModelSummary", "summary"]


@dataclass
class LayerInfo:
    """One call of one module.

    Attributes:
        name: the module's dotted name; "" for the model.
        kind: the name of its class.
        depth: how deep it is nested.
        input_shape, output_shape: of its first tensor; of its first output, or of each.
        parameters: of the module and all below it; those counted before are 0.
        trainable: how many of them require grad.
        flops: floating-point operations of this call (a multiply-add counts as 2), all below included.
        output_bytes: the memory of its outputs (leaves of the tree alone are summed).
    """

    name: str
    kind: str
    depth: int
    input_shape: tuple[int, ...] = ()
    output_shape: Any = ()
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    output_bytes: int = 0
    is_leaf: bool = True


@dataclass
class ModelSummary:
    """What ``summary`` found; ``str()`` of it is the table.

    Attributes:
        layers: a row for each call of a module, in order.
        total_params, trainable_params: numbers of parameters, each counted once.
        total_flops: floating-point operations of one forward pass.
        param_bytes, input_bytes, activation_bytes: memory of parameters and buffers, of the inputs, and of all layers'
            outputs; training keeps the outputs and their gradients, about twice that.
    """

    layers: list[LayerInfo] = field(default_factory=list)
    total_params: int = 0
    trainable_params: int = 0
    total_flops: int = 0
    param_bytes: int = 0
    input_bytes: int = 0
    activation_bytes: int = 0
    depth: int = 3

    def __str__(self) -> str:
        shown = [layer for layer in self.layers if layer.depth <= self.depth]
        rows = [("Layer (type)", "Output shape", "Parameters", "FLOPs")]
        for layer in shown:
            label = layer.name.rpartition(".")[2]
            text = f"{'  ' * layer.depth}{label + ' ' if label else ''}({layer.kind})"
            shape = str(layer.output_shape).replace("(", "[").replace(",)", "]").replace(")", "]")
            count = f"{layer.parameters:,}" if layer.parameters else "--"
            rows.append((text, shape, count, f"{layer.flops:,}" if layer.flops else "--"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        line = "=" * (sum(widths) + 6)
        lines = [line]
        for number, row in enumerate(rows):
            left = f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}"
            lines.append(f"{left}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}")
            if number == 0:
                lines.append(line)
        lines += [
            line,
            f"Parameters: {self.total_params:,} (trainable {self.trainable_params:,})",
            f"FLOPs of one forward pass: {self.total_flops:,}",
            f"Memory: parameters {_bytes(self.param_bytes)}, input {_bytes(self.input_bytes)}, outputs "
            f"{_bytes(self.activation_bytes)}; a training step about "
            f"{_bytes(2 * self.param_bytes + self.input_bytes + 2 * self.activation_bytes)}",
            line,
        ]
        return "\n".join(lines)


def _bytes(n: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.4g} {unit}"
        n = n / 1024  # type: ignore[assignment]
    return f"{n:.4g} GiB"


def _tensors(value: Any) -> list[Tensor]:
    """The tensors of an output: alone, or in tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in _tensors(v)]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _tensors(v)]
    return []


def _shape_of(value: Any) -> Any:
    found = [tuple(t.shape) for t in _tensors(value)]
    return found[0] if len(found) == 1 else found


# -- operations of a call ------------------------------------------------------------------------------


def _linear(module: Any, x: Tensor, y: Tensor) -> int:
    return 2 * y.numel() * int(module.weight.shape[-1]) + (
        y.numel() if module.bias is not None else 0
    )


def _convolution(module: Any, x: Tensor, y: Tensor) -> int:
    window = math.prod(module.weight.shape[1:])  # input channels of a group times the kernel
    return int(2 * y.numel() * window) + (y.numel() if module.bias is not None else 0)


def _transposed(module: Any, x: Tensor, y: Tensor) -> int:
    window = math.prod(module.weight.shape[1:])  # output channels of a group times the kernel
    return int(2 * x.numel() * window) + (y.numel() if module.bias is not None else 0)


def _recurrent(module: Any, x: Tensor, y: Tensor) -> int:
    """Each step multiplies by every weight matrix once."""
    steps = x.numel() // int(x.shape[-1])
    matrices = sum(p.numel() for p in module.parameters() if p.ndim == 2)
    return int(2 * steps * matrices)


def _cell(module: Any, x: Tensor, y: Tensor) -> int:
    return _recurrent(module, x, y)


def _attention(module: Any, x: Tensor, y: Tensor) -> int:
    """Projections, scores and their product with the values, of self-attention on ``x``."""
    width = int(x.shape[-1])
    places = x.numel() // width
    length = int(x.shape[1 if module.batch_first else 0]) if x.ndim == 3 else int(x.shape[0])
    return 2 * places * 4 * width * width + 2 * 2 * places * length * width


def _per_output(n: int) -> Callable[[Any, Tensor, Tensor], int]:
    return lambda module, x, y: n * y.numel()


def _pooling(module: Any, x: Tensor, y: Tensor) -> int:
    return x.numel()


def _rule(module: Any) -> Callable[[Any, Tensor, Tensor], int] | None:
    """How to count a module's operations; None for containers, whose parts are counted."""
    kind = type(module)
    names = {base.__name__ for base in kind.__mro__}
    if "Linear" in names:
        return _linear
    if names & {"ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"}:
        return _transposed
    if names & {"Conv1d", "Conv2d", "Conv3d"}:
        return _convolution
    if names & {"RNN", "LSTM", "GRU"}:
        return _recurrent
    if names & {"RNNCell", "LSTMCell", "GRUCell"}:
        return _cell
    if "MultiheadAttention" in names:
        return _attention
    name = kind.__name__
    if "Norm" in name:
        return _per_output(5)
    if "Pool" in name:
        return _pooling
    if "oftmax" in name:
        return _per_output(5)
    if kind.__module__.startswith("fastnn.nn.activation") or "Dropout" in name:
        return _per_output(1)
    return None


def _inputs(input_size: Any, dtypes: Any) -> list[Tensor]:
    sizes = input_size
    if all(isinstance(n, int) for n in input_size):
        sizes = [input_size]
    kinds = [float32] * len(sizes) if dtypes is None else list(dtypes)
    if len(kinds) != len(sizes):
        raise ValueError(f"summary: got {len(sizes)} input sizes and {len(kinds)} dtypes")
    return [make(np.zeros(tuple(s), d.numpy)) for s, d in zip(sizes, kinds, strict=True)]


def summary(
    model: nn.Module,
    input_size: Sequence[int] | Sequence[Sequence[int]] | None = None,
    input_data: Any = None,
    dtypes: Sequence[DType] | None = None,
    depth: int = 3,
    verbose: int = 1,
) -> ModelSummary:
    """Run ``model`` once in evaluation mode and describe its layers.

    Args:
        model: any module.
        input_size: the shape of its input with the batch size, or one shape an argument; filled with zeros.
        input_data: inputs instead: a tensor, or a sequence with one an argument.
        dtypes: the dtypes of inputs made from ``input_size``; default: float32.
        depth: how deeply nested layers are shown.
        verbose: 0: only return the result; 1: print the table too.

    Returns:
        The rows and totals; ``str()`` of it is the table.

    Raises:
        ValueError: neither or both of ``input_size`` and ``input_data``.

    >>> import fastnn
    >>> from fastnn import nn
    >>> found = fastnn.summary(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (2, 4), verbose=0)
    >>> found.total_params, found.total_flops
    (15, 60)
    """
    if (input_size is None) == (input_data is None):
        raise ValueError("summary: expects input_size or input_data, one of them")
    if input_data is None:
        inputs: list[Any] = list(_inputs(input_size, dtypes))
    else:
        inputs = list(input_data) if isinstance(input_data, (list, tuple)) else [input_data]
    result = ModelSummary(depth=depth)
    names = {id(m): name for name, m in model.named_modules()}
    counted: set[int] = set()
    stack: list[LayerInfo] = []
    handles: list[Any] = []

    def before(module: Any, args: Any) -> None:
        name = names.get(id(module), "")
        row = LayerInfo(name, type(module).__name__, len(stack))
        found = _tensors(args)
        if found:
            row.input_shape = tuple(found[0].shape)
        for p in module.parameters():
            if id(p) not in counted:
                row.parameters += p.numel()
                row.trainable += p.numel() if p.requires_grad else 0
        if stack:
            stack[-1].is_leaf = False
        stack.append(row)
        result.layers.append(row)

    def after(module: Any, args: Any, output: Any) -> None:
        row = stack.pop()
        outputs = _tensors(output)
        row.output_shape = _shape_of(output)
        row.output_bytes = sum(t.numel() * t.element_size() for t in outputs)
        rule = _rule(module)
        ins = _tensors(args)
        if rule is not None and ins and outputs:
            row.flops = rule(module, ins[0], outputs[0])
        counted.update(id(p) for p in module.parameters())
        if stack:
            stack[-1].flops += row.flops

    for module in model.modules():
        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after))
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode

    result.total_params = sum(p.numel() for p in model.parameters())
    result.trainable_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    result.total_flops = result.layers[0].flops
    kept = [*model.parameters(), *model.buffers()]
    result.param_bytes = sum(t.numel() * t.element_size() for t in kept)
    result.input_bytes = sum(t.numel() * t.element_size() for t in _tensors(inputs))
    result.activation_bytes = sum(r.output_bytes for r in result.layers if r.is_leaf)
    if verbose:
        print(result)
    return result
