"""Operations of op_db that differ from PyTorch's, each with its reason."""

# name (or name:variant): reason
FORWARD: dict[str, str] = {}

# Operations whose gradient of the gradient does not exist here though it does in PyTorch
DOUBLE_BACKWARD: dict[str, str] = {}
