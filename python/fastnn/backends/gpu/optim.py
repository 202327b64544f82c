"""Optimizer steps on the CUDA kernels: all parameters of a dtype in few launches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.backends.gpu._arrays import contiguous, is_float, kernels, stream
from fastnn.backends.numpy import optim as spec
from fastnn.backends.protocol import Array


def _dense(arrays: Sequence[Array]) -> list[Array] | None:
    """(p, g, state...) as C-contiguous views in the order of p's memory, or None; g may be copied to it."""
    p = arrays[0]
    if not is_float(p) or any(a.dtype != p.dtype or a.shape != p.shape for a in arrays):
        return None
    views = list(arrays)
    if not p.flags.c_contiguous:
        order = sorted(range(p.ndim), key=lambda axis: -p.strides[axis])
        views = [a.transpose(order) for a in arrays]
    views[1] = contiguous(views[1])
    return views if all(v.flags.c_contiguous for v in views) else None


def _step(
    name: str,
    lists: list[Sequence[Array] | None],
    options: dict[str, Any],
    each: tuple[str, ...] = (),
    **more: Any,
) -> None:
    """Runs the kernel over the parameters of each dtype, and the specification over those that are not dense.

    Args:
        each: names of options that are lists with a number for each parameter; to the kernel they are one number,
            without the "s" at the end, so that parameters of different numbers take several launches.
        more: options of the kernel alone.
    """
    common = {key: value for key, value in options.items() if key not in each}
    groups: dict[tuple[Any, ...], list[list[Array]]] = {}
    others: list[int] = []
    for i, arrays in enumerate(zip(*(a for a in lists if a is not None), strict=True)):
        views = _dense(arrays)
        if views is None:
            others.append(i)
        else:
            key = (views[0].dtype.name, *(options[e][i] for e in each))
            groups.setdefault(key, []).append(views)
    for (_, *own), group in groups.items():
        numbers = {e[:-1]: value for e, value in zip(each, own, strict=True)}
        kernels.optimizer_step(name, group, {**common, **numbers, **more}, stream())
    if others:
        getattr(spec, f"{name}_step")(
            *(None if a is None else [a[i] for i in others] for a in lists),
            **common,
            **{e: [options[e][i] for i in others] for e in each},
        )


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    momentum_buffers: Sequence[Array] | None,
    **options: Any,
) -> None:
    """Stochastic gradient descent; the buffers count only where there is momentum."""
    _step("sgd", [params, grads, momentum_buffers if options["momentum"] else None], options)


def adam_step(*lists: Sequence[Array] | None, **options: Any) -> None:
    """Adam, AdamW where ``decoupled``, AMSGrad with ``max_exp_avg_sqs``."""
    _step("adam", [*lists], options)


def adagrad_step(*lists: Sequence[Array], **options: Any) -> None:
    """Adagrad."""
    _step("adagrad", [*lists], options)


def adadelta_step(*lists: Sequence[Array], **options: Any) -> None:
    """Adadelta."""
    _step("adadelta", [*lists], options)


def adamax_step(*lists: Sequence[Array], **options: Any) -> None:
    """Adamax."""
    _step("adamax", [*lists], options)


def nadam_step(*lists: Sequence[Array], **options: Any) -> None:
    """NAdam; parameters that began together have one of the ``mu_products``."""
    _step("nadam", [*lists], options, each=("mu_products",))


def radam_step(*lists: Sequence[Array], **options: Any) -> None:
    """RAdam."""
    _step("radam", [*lists], options)


def rmsprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    grad_avgs: Sequence[Array] | None,
    momentum_buffers: Sequence[Array] | None,
    **options: Any,
) -> None:
    """RMSprop, centered with ``grad_avgs``."""
    lists = [params, grads, square_avgs, grad_avgs, momentum_buffers]
    _step("rmsprop", lists, options, centered=grad_avgs is not None)


def rprop_step(*lists: Sequence[Array], **options: Any) -> None:
    """Rprop."""
    _step("rprop", [*lists], options)


def asgd_step(*lists: Sequence[Array], **options: Any) -> None:
    """Averaged gradient descent; parameters that began together have one of the ``etas`` and ``mus``."""
    _step("asgd", [*lists], options, each=("etas", "mus"))
