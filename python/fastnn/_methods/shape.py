"""Views, joining, splitting and indexing, as methods."""

from __future__ import annotations

from .._core import TensorBase
from ..ops import indexing
from ..ops import shape as shape_ops


class ShapeMethods(TensorBase):
    """Methods that move elements without computing with them."""

    __slots__ = ()

    reshape = shape_ops.reshape
    reshape_as = shape_ops.reshape_as
    view = shape_ops.view
    view_as = shape_ops.view_as
    flatten = shape_ops.flatten
    permute = shape_ops.permute
    transpose = swapaxes = swapdims = shape_ops.transpose
    t = shape_ops.t
    movedim = moveaxis = shape_ops.movedim
    squeeze = shape_ops.squeeze
    unsqueeze = shape_ops.unsqueeze
    expand = shape_ops.expand
    expand_as = shape_ops.expand_as
    split = shape_ops.split
    chunk = shape_ops.chunk
    unbind = shape_ops.unbind
    index_select = indexing.index_select
    gather = indexing.gather
    nonzero = indexing.nonzero
    flip = indexing.flip
