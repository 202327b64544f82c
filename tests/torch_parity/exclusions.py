"""Operations of op_db that differ from PyTorch's, each with its reason."""

# name (or name:variant): reason
FORWARD: dict[str, str] = {
    "as_strided_scatter": "PyTorch's gradient for the input counts the replaced element of a (1,) input; the true one is 0",
    "histogramdd": "PyTorch's samples have edges that are not sorted, which are an error here as in NumPy",
    "nn.functional.fractional_max_pool2d": "not implemented: its windows are random; adaptive_max_pool2d has fixed ones",
    "nn.functional.fractional_max_pool3d": "not implemented: its windows are random; adaptive_max_pool3d has fixed ones",
}

# Operations whose gradient of the gradient does not exist here though it does in PyTorch
DOUBLE_BACKWARD: dict[str, str] = {
    "nn.functional.ctc_loss": "its gradient, a forward-backward pass, is not differentiable",
    "cov": "with correction=2 a sample divides by 0.06, a difference of float32 weights that PyTorch sums in another order",
}

# The other way about: PyTorch has no second gradient. tests/ops checks fastnn's against finite differences
DOUBLE_BACKWARD_OF_PYTORCH: dict[str, str] = {
    "nn.functional.linear_cross_entropy:chunked": "in chunks it computes its gradient in the forward pass",
    "nn.functional.linear_cross_entropy:chunked_none": "in chunks its gradient is not differentiable",
    "nn.functional.scaled_dot_product_attention": "its CPU kernel is differentiable once",
    "linalg.norm:subgradients_at_zero": "its second gradient at 0, where there is none, is NaN; here it is 0",
}
