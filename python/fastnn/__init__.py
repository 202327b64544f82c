"""Deep learning with PyTorch's names, hand-written kernels and a NumPy fallback."""
