"""The operations as methods of ``Tensor``: tables of names, one file for each family of operations."""
