// Gradients of y = activation(x weight^T + bias), by the kernels of products, sums and ReLU: one
// call for a layer's backward pass, where small layers spend most of their time between calls. The
// backward pass of an MLP 784-128-64-10 at batch 1, two threads of a Zen 3: 56 us with a call for
// each of them, 44 with one for a layer (and one for the loss's mean and its gradient).
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
