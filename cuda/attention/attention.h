// Scaled dot-product attention, y = softmax(q k' * scale + mask) v, and its gradients.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/runtime.h"

namespace fastnn::cuda {

// (batch, heads, rows, size), strides in elements; the elements of a row lie side by side.
struct AttentionOperand {
    const void* data = nullptr;
    int64_t batch_stride = 0;
    int64_t head_stride = 0;
    int64_t row_stride = 0;
    bool aligned =
        false; // every 16 bytes of a row can be moved at once; filled in by the launchers
};

enum class MaskKind { none, boolean, additive, additive_float32 };

// Broadcast to (batch, heads, queries, keys) by strides of 0; boolean (one byte, not 0: seen) or of
// the operands' dtype.
struct AttentionMask {
    const void* data = nullptr;
    MaskKind kind = MaskKind::none;
    int64_t batch_stride = 0;
    int64_t head_stride = 0;
    int64_t query_stride = 0;
    int64_t key_stride = 0;
};

struct Attention {
    DType dtype = DType::float32; // float32, float16 or bfloat16
    int64_t batch = 0;
    int64_t heads = 0;
    int64_t kv_heads =
        0; // divides heads: head h of the query uses head h / (heads / kv_heads) of key and value
    int queries = 0;
    int keys = 0;
    int size = 0;       // of a query and a key: 1 to 256
    int value_size = 0; // of a value: 1 to 256
    AttentionOperand query, key, value;
    AttentionMask mask;
    float scale = 1;
    bool causal = false; // query t sees keys 0 to t
    // Dropout of the weights: weight (b, h, t, s) is kept where word ((b * heads + h) * queries +
    // t) * keys + s of the Philox stream, shifted right by 8, is >= threshold; then times
    // keep_scale.
    uint32_t threshold = 0; // 0: no dropout
    float keep_scale = 1;
    uint64_t seed = 0;
    uint64_t offset = 0;

    void drop(double p, uint64_t with_seed, uint64_t from_offset);
};

constexpr int max_attention_size = 256;

// y (batch, heads, queries, value_size), dense; top and total (batch, heads, queries), float32: the
// largest score of each row and the sum of exp(score - top).
cudaError_t attention(const Attention& a, void* y, float* top, float* total, cudaStream_t stream);

// What the backward pass takes besides, and gives.
struct AttentionGradients {
    AttentionOperand g, y; // (batch, heads, queries, value_size): the gradient of y, and y
    const float* top = nullptr;
    const float* total = nullptr;
    // dense, of the operands' dtype
    void* query = nullptr; // (batch, heads, queries, size)
    void* key = nullptr;   // (batch, kv_heads, keys, size)
    void* value = nullptr; // (batch, kv_heads, keys, value_size)
    // (batch, heads, queries, keys): the gradient of the scores, which is that of an additive mask;
    // where causal, keys that a query does not see may stay unwritten. nullptr: not wanted.
    void* mask = nullptr;
    void* workspace = nullptr; // attention_workspace(a) bytes, aligned to 16
};

size_t attention_workspace(const Attention& a);
cudaError_t attention_backward(const Attention& a, const AttentionGradients& d,
                               cudaStream_t stream);

} // namespace fastnn::cuda
