// Rows of a table by their numbers, and the gradient of the table.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// out (n, row_bytes), dense, = table[indices]. *first_wrong, which holds n, becomes the first
// position whose index is outside 0 .. rows - 1, if any; nothing is written for those.
cudaError_t embedding(const void* table, int64_t rows, int64_t row_bytes, const int64_t* indices,
                      int64_t n, void* out, int32_t* first_wrong, cudaStream_t stream);

// Row r of out (rows, width) is the sum of the rows of g (n, width) over positions with index r, in
// the order of `order`; row `padding` is 0.
struct EmbeddingGradient {
    DType dtype;
    int64_t n, width, rows, padding;
    bool by_frequency;     // divided by how many positions have the index
    const int64_t* sorted; // the indices in rising order
    const int64_t* order;  // their positions
    const void* g;
    void* partial; // scratch: (2, embedding_tiles(n), width) of the accumulator's dtype
    void* out;
};
int64_t embedding_tiles(int64_t n);
cudaError_t embedding_backward(const EmbeddingGradient& call, cudaStream_t stream);

} // namespace fastnn::cuda
