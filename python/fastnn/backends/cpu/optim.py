"""Optimizer steps on the C++ kernels: one call for all parameters.

The kernels update the float32 and float64 parameters whose arrays are all dense in one layout, and name the others,
which the specification updates.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from fastnn import _cpu
from fastnn.backends.numpy import optim as spec
from fastnn.backends.protocol import Array

Step = TypeVar("Step", bound=Callable[..., None])


def _all_left(*arguments: Any) -> list[int]:
    return list(range(len(arguments[0])))


def _step(function: Step) -> Step:
    """The kernel of that name, and the specification ``function`` for the parameters that it leaves."""
    code = function.__code__
    names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    in_order = operator.itemgetter(*names)
    kernel = _cpu.with_fallback(code.co_name, _all_left)

    @functools.wraps(function)
    def step(*lists: Sequence[Array] | None, **options: Any) -> None:
        left = kernel(*lists, *in_order(options))
        if left:
            function(
                *(None if arrays is None else [arrays[i] for i in left] for arrays in lists),
                **{
                    # some options are a number for each parameter
                    name: [value[i] for i in left] if isinstance(value, list) else value
                    for name, value in options.items()
                },
            )

    return cast(Step, step)


sgd_step = _step(spec.sgd_step)
adam_step = _step(spec.adam_step)
adagrad_step = _step(spec.adagrad_step)
adadelta_step = _step(spec.adadelta_step)
adamax_step = _step(spec.adamax_step)
nadam_step = _step(spec.nadam_step)
radam_step = _step(spec.radam_step)
rmsprop_step = _step(spec.rmsprop_step)
rprop_step = _step(spec.rprop_step)
asgd_step = _step(spec.asgd_step)
