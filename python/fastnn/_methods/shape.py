"""Views, joining, splitting and indexing, as methods."""

from __future__ import annotations

from .._core import TensorBase
from ..ops import arrange, indexing, views, windows
from ..ops import scatter as scatter_ops
from ..ops import select as select_ops
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
    sum_to_size = shape_ops.sum_to_size
    split = unsafe_split = shape_ops.split
    chunk = unsafe_chunk = shape_ops.chunk
    unbind = shape_ops.unbind
    index_select = indexing.index_select
    gather = indexing.gather
    nonzero = indexing.nonzero
    flip = indexing.flip
    as_strided = views.as_strided
    as_strided_scatter = views.as_strided_scatter
    broadcast_to = views.broadcast_to
    diag = views.diag
    diag_embed = views.diag_embed
    diagflat = views.diagflat
    diagonal = views.diagonal
    diagonal_scatter = views.diagonal_scatter
    dsplit = views.dsplit
    hsplit = views.hsplit
    narrow = views.narrow
    ravel = views.ravel
    select = views.select
    select_scatter = views.select_scatter
    slice_scatter = views.slice_scatter
    split_with_sizes = views.split_with_sizes
    tensor_split = views.tensor_split
    unflatten = views.unflatten
    vsplit = views.vsplit
    fliplr = arrange.fliplr
    flipud = arrange.flipud
    repeat_interleave = arrange.repeat_interleave
    roll = arrange.roll
    rot90 = arrange.rot90
    tile = arrange.tile
    tril = arrange.tril
    triu = arrange.triu
    argwhere = scatter_ops.argwhere
    index_add = scatter_ops.index_add
    index_copy = scatter_ops.index_copy
    index_fill = scatter_ops.index_fill
    index_put = scatter_ops.index_put
    index_reduce = scatter_ops.index_reduce
    masked_scatter = scatter_ops.masked_scatter
    masked_select = scatter_ops.masked_select
    put = scatter_ops.put
    scatter = scatter_ops.scatter
    scatter_add = scatter_ops.scatter_add
    scatter_reduce = scatter_ops.scatter_reduce
    take = scatter_ops.take
    take_along_dim = scatter_ops.take_along_dim
    repeat = arrange.repeat
    unfold = windows.unfold
    where = select_ops.where_method
