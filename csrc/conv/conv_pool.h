// A convolution and the max pooling of its result, which is never stored as a whole.
//
// Of a batch of images the map between the two is 4 to 9 times the pooled result, and the largest
// thing that a small CNN touches: written, pooled, and in the backward pass written and read again.
// Here blocks of images pass through both operations while their maps lie in the second-level
// cache; the gradient of a block's map is made from the pooled one where it is consumed.
//
// A training step of bench's MNIST CNN (28 x 28 to 32 channels, to 64) against the two operations
// one after the other, on a busy 2-core Zen 4 (AVX2): 1.14 times as fast at batch 128, 1.09 at 32;
// its forward pass 1.2 times.
#pragma once

#include <cstdint>

#include "conv/conv.h"
#include "pool/pool.h"

namespace fastnn {

// `pool` describes the pooling of the convolution's result (pool.n images); its padding is 0 and no
// window leaves the image.
struct ConvPool {
    ConvShape conv;
    PoolShape pool;
};

// y and indices (N, O, PH, PW), in the layout that pool.channels_last says; indices may be null.
template <class T>
void conv2d_max_pool2d(const Image<const T>& x, const T* weight, const T* bias, bool relu,
                       const ConvPool& shape, T* y, int32_t* indices);

// The gradients from g (N, O, PH, PW), of y; gx and gweight may be null (then weight, or x.data,
// may be null too). Throws std::out_of_range for an index outside the map.
template <class T>
void conv2d_max_pool2d_backward(const T* g, const int32_t* indices, const Image<const T>& x,
                                const T* weight, const ConvPool& shape, const Image<T>* gx,
                                T* gweight);

} // namespace fastnn
