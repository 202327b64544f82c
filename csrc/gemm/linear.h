// Gradients of y = activation(x weight^T + bias), by the kernels of products, sums and ReLU.
#pragma once

#include <cstdint>

namespace fastnn {

// Dense arrays of float, or of double. Null: gx, gweight or gbias, and then weight or x, where not
// wanted; y where there was no ReLU.
struct LinearBackward {
    bool is_double;
    int64_t rows, n, k;
    const void* g;      // (rows, n)
    const void* x;      // (rows, k)
    const void* weight; // (n, k)
    const void* y;      // (rows, n)
    void* gx;           // (rows, k)
    void* gweight;      // (n, k)
    void* gbias;        // (n,)
};
void linear_backward(const LinearBackward& call);

} // namespace fastnn
