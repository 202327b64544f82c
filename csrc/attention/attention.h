// Scaled dot-product attention, softmax(q k' * scale + mask) v, and its gradients, by blocks of
// queries and keys: the matrix of scores is never in memory (T. Dao, "FlashAttention-2", 2023).
//
// Forward: a task has 64 queries of a head, as panels of one tile's columns. For each block of up
// to 128 keys a panel works out its scores, exp(score - running maximum) and the sums, and adds
// weights times values; a new maximum rescales what was summed. Backward: a task has a head of keys
// (or a part of its keys, where heads are fewer than 16; the parts of q's gradient are then added
// in order) and goes over blocks of 64 queries and 64 keys, so that no sum is shared among tasks.
// Where causal, panels stop at the last key that they see. How a block lies: scores.h.
//
// Floor: 4 T S D FLOPs forward and 10 T S D backward (half where causal) at the peak of a product,
// and some 16 instructions a vector of exponentials, 6 to 8 cycles beside the D cycles of its
// products: a third for D = 16, a tenth for D = 64. Small heads also pay for the micro-kernel's
// entry and exit, about 100 instructions beside the 370 of a sum of 16 terms.
//
// Reached on one of 2 busy cores of a Zen 4, AVX2, float32, by CPU time, in GFLOP/s, where a
// product of 512 x 512 reaches 80 to 83 (batch, heads, length, size): (32, 4, 64, 16) forward 48,
// gradients 46 to 54; (8, 8, 256, 64) 63 and 66; (1, 8, 1024, 64) 69 and 69; (1, 4, 2048, 128) 74
// and 70. PyTorch 2.13 on the same core takes 1.6 times as long, the geometric mean of six shapes,
// plain and causal, forward alone and with gradients: 1.07 to 1.3 plain from (16, 4, 128, 32) on,
// where both are near the speed of their products, and 1.2 to 3 causal.
// - One exponential after the other fills the scheduler with a chain of dependent instructions:
//   (32, 4, 64, 16) forward 36; four at a time, step by step: 47.
// - q's and g's rows in place, not copied: the same shape's gradients 3 to 6 % quicker.
// - k's and v's rows copied where batch x heads x size lie between them: forward 5 to 12 % quicker;
//   no difference where heads x size do.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

// A stack of matrices whose rows are contiguous: matrix i begins offset[i] elements after data.
template <class T>
struct Rows {
    T* data;
    int64_t row; // distance of rows
    const int64_t* offset;

    __attribute__((always_inline)) T* at(int64_t matrix, int64_t i) const {
        return data + offset[matrix] + i * row;
    }
};

// bool (true: the query sees the key) or T (added to the scores); strides of 0 broadcast.
struct AttentionMask {
    const void* data; // null: none
    bool boolean;
    int64_t query, key; // strides in elements
    const int64_t* offset;
};

template <class T>
struct Attention {
    int64_t heads; // of the query, of all batches
    int64_t group; // how many of them behind each other share a head of key and value
    int64_t queries, keys, size, value_size;
    Rows<const T> query, key, value; // query: `heads` matrices; key and value: heads / group
    AttentionMask mask;              // `heads` matrices
    T scale;
    bool causal; // query t sees keys 0..t
    // Weight j of (heads, queries, keys) is kept, times keep_scale, where word j >> 8 >= threshold.
    bool dropout;
    uint32_t threshold;
    T keep_scale;
    uint64_t seed, offset;
};

// y, and the maximum and the sum of exponentials of each row of scores, (heads, queries).
template <class T>
struct AttentionResults {
    Rows<T> y;
    T *top, *total;
};

template <class T>
struct AttentionGradients {
    Rows<const T> g, y;
    const T *top, *total;
    Rows<T> query, key, value;
    T* mask; // (heads, queries, keys), contiguous; null: not wanted
    // Set by attention_gradients: the gradient of the query by parts of the keys, each (heads,
    // queries, size), where there are several.
    T* query_parts;
};

// Queries that a task of the forward pass goes through; it is a multiple of every panel.
inline constexpr int64_t kAttentionQueries = 64;

// Queries [begin, end), at most kAttentionQueries, of one head.
template <class T>
using AttentionForwardKernel = void (*)(const Attention<T>& a, const AttentionResults<T>& out,
                                        int64_t head, int64_t begin, int64_t end);
struct AttentionForward {
    AttentionForwardKernel<float> f32;
    AttentionForwardKernel<double> f64;
};
FASTNN_KERNEL_TABLE(AttentionForward, attention_forward)

// Keys [begin, end) of one head of keys: their gradients whole, and part `part` of the query's.
template <class T>
using AttentionBackwardKernel = void (*)(const Attention<T>& a, const AttentionGradients<T>& out,
                                         int64_t key_head, int64_t begin, int64_t end,
                                         int64_t part);
struct AttentionBackward {
    AttentionBackwardKernel<float> f32;
    AttentionBackwardKernel<double> f64;
};
FASTNN_KERNEL_TABLE(AttentionBackward, attention_backward)

template <class T>
void attention(const Attention<T>& a, const AttentionResults<T>& out);
template <class T>
void attention_gradients(const Attention<T>& a, const AttentionGradients<T>& out);

// Sets dropout's fields for probability p in (0, 1].
template <class T>
void set_dropout(Attention<T>& a, double p, uint64_t seed, uint64_t offset);

} // namespace fastnn
