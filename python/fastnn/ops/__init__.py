"""Operations on tensors, a file for each family; each calls one method of the array's backend."""
