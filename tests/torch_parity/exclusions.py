"""Operations of op_db that differ from PyTorch's, each with its reason."""

# name (or name:variant): reason
FORWARD: dict[str, str] = {}

# Operations whose gradient of the gradient does not exist here though it does in PyTorch
DOUBLE_BACKWARD: dict[str, str] = {}

# The other way about: PyTorch has no second gradient. tests/ops checks fastnn's against finite differences
DOUBLE_BACKWARD_OF_PYTORCH: dict[str, str] = {
    "nn.functional.scaled_dot_product_attention": "its CPU kernel is differentiable once",
}
