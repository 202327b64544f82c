"""What to say of a name of PyTorch's that fastnn does not have."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

# What scripts use of PyTorch that is not here, and what to do instead
_ADVICE = {
    "jit": "there is no TorchScript; call the model itself, it has no tracing overhead to save",
    "fft": "Fourier transforms are not supported; use numpy.fft on x.numpy()",
    "sparse": "sparse tensors are not supported; use dense ones",
    "sparse_coo_tensor": "sparse tensors are not supported; use dense ones",
    "complex64": "complex numbers are not supported; keep real and imaginary parts as two tensors",
    "complex128": "complex numbers are not supported; keep real and imaginary parts as two tensors",
    "cfloat": "complex numbers are not supported; keep real and imaginary parts as two tensors",
    "complex": "complex numbers are not supported; keep real and imaginary parts as two tensors",
    "polar": "complex numbers are not supported; use r * cos(angle) and r * sin(angle)",
    "view_as_complex": "complex numbers are not supported; keep real and imaginary parts as two tensors",
    "view_as_real": "complex numbers are not supported; keep real and imaginary parts as two tensors",
    "imag": "tensors hold real numbers: their imaginary part is 0",
    "stft": "Fourier transforms are not supported; use scipy.signal.stft on x.numpy()",
    "quantize_per_tensor": "quantized tensors are not supported",
    "ao": "quantization by torch.ao is not supported",
    "onnx": "export to ONNX is not supported yet",
    "hub": "nothing is downloaded; build the model from vision.models and load its safetensors file",
    "distributed": "training on several processes is not supported yet",
    "multiprocessing": "use Python's multiprocessing; DataLoader(num_workers=...) has worker processes of its own",
    "export": "there is no graph export; save the state_dict",
    "fx": "there is no graph tracing; edit the module",
    "library": "custom operations are autograd.Function",
    "xpu": "the CPU is the only device",
    "mps": "the CPU is the only device",
    "mtia": "the CPU is the only device",
    "nested": "nested tensors are not supported; pad them (nn.utils.rnn.pad_sequence)",
    "SparseAdam": "gradients are dense here; use Adam",
    "LazyLinear": "lazy modules are not supported; give in_features (summary() shows the shapes)",
    "LazyConv2d": "lazy modules are not supported; give in_channels (summary() shows the shapes)",
    "DataParallel": "one process uses all cores of the CPU; use the module itself",
    "DistributedDataParallel": "training on several processes is not supported yet; use the module itself",
    "parallel": "one process uses all cores of the CPU; use the module itself",
    "uint16": "unsigned integers but uint8 are not supported; use int32",
    "uint32": "unsigned integers but uint8 are not supported; use int64",
    "uint64": "unsigned integers but uint8 are not supported; use int64",
    "complex32": "complex numbers are not supported; keep real and imaginary parts as two tensors",
    "_dynamo": "nothing is compiled; models run eagerly",
    "_inductor": "nothing is compiled; models run eagerly",
    "is_storage": "use x.numpy(), which shares the memory",
    "istft": "Fourier transforms are not supported; use scipy.signal.istft on x.numpy()",
    "hann_window": "use fastnn.signal.windows.hann",
    "hamming_window": "use fastnn.signal.windows.hamming",
    "bottleneck": "use fastnn.profiler",
    "cpp_extension": "kernels are built with the package; custom operations are autograd.Function",
    "SyncBatchNorm": "training on several processes is not supported yet; use BatchNorm2d",
    "ContinuousBernoulli": "use Beta or RelaxedBernoulli",
    "GeneralizedPareto": "use Pareto",
    "LKJCholesky": "use MultivariateNormal with a scale_tril of your own",
    "LowRankMultivariateNormal": "use MultivariateNormal with covariance_matrix",
    "VonMises": "not supported yet; a Normal wrapped to the circle is near it",
    "Wishart": "use MultivariateNormal: sums of outer products of its draws are Wishart distributed",
    "ldl_factor": "use linalg.lu_factor, or linalg.cholesky of positive definite matrices",
    "ldl_solve": "use linalg.lu_solve, or cholesky_solve of positive definite matrices",
    "record_stream": "there are no streams on the CPU",
    "share_memory_": "DataLoader(num_workers=...) shares its batches; for other processes use multiprocessing.shared_memory",
    "to_sparse": "sparse tensors are not supported; use dense ones",
    "storage": "use x.numpy(), which shares the memory",
    "untyped_storage": "use x.numpy(), which shares the memory",
}


def missing(owner: str, name: str, known: Iterable[str]) -> str:
    """The message for ``owner`` (such as "module 'fastnn'") that has no ``name``: with advice, or the nearest names.

    >>> from fastnn._help import missing
    >>> missing("module 'fastnn'", "sofmax", ["softmax", "relu"])
    "module 'fastnn' has no attribute 'sofmax'; the nearest that it has: softmax"
    """
    import difflib

    text = f"{owner} has no attribute {name!r}"
    advice = _ADVICE.get(name)
    if advice is not None:
        return f"{text}: {advice}"
    public = [k for k in known if not k.startswith("_")]
    folded = {k.lower(): k for k in sorted(public, reverse=True)}  # a class before its module
    near = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.75)
    if not near:
        return text
    return f"{text}; the nearest that it has: {', '.join(folded[n] for n in near)}"


def getattr_of(
    module: str, lazy: tuple[str, ...] = (), names: dict[str, str] | None = None
) -> Callable[[str], Any]:
    """A ``__getattr__`` for ``module``: imports ``lazy`` submodules and ``names`` of submodules, and raises with the nearest.

    Args:
        names: a name, and the submodule that has it.
    """

    def __getattr__(name: str) -> Any:
        if name in lazy:
            return importlib.import_module(f".{name}", module)
        if names is not None and name in names:
            return getattr(importlib.import_module(f".{names[name]}", module), name)
        owner = f"module {module!r}"
        if name.startswith("__"):  # Python's own questions
            raise AttributeError(f"{owner} has no attribute {name!r}")
        raise AttributeError(missing(owner, name, dir(sys.modules[module])))

    return __getattr__
