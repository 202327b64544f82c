// What happens to a score between the two products: scale, masks, dropout.
#pragma once

#include "attention/attention.h"
#include "core/device.cuh"
#include "core/dispatch.cuh"
#include "core/philox.cuh"

namespace fastnn::cuda::attention_detail {

constexpr float log2_e = 1.4426950408889634f;

// The scores of one head.
template <class T>
struct Scores {
    const Attention& a;
    int b, h;

    __device__ __forceinline__ int64_t row(int t) const {
        return (int64_t(b) * a.heads + h) * a.queries + t;
    }

    // (raw * scale) + mask of query t and key s, -inf where it is not seen. Reads nothing outside
    // of the mask.
    __device__ __forceinline__ float masked(float raw, int t, int s) const {
        if (s >= a.keys || (a.causal && s > t))
            return -INFINITY;
        float score = raw * a.scale;
        if (a.mask.kind == MaskKind::none || t >= a.queries)
            return score;
        const int64_t at = int64_t(b) * a.mask.batch_stride + int64_t(h) * a.mask.head_stride +
                           int64_t(t) * a.mask.query_stride + int64_t(s) * a.mask.key_stride;
        if (a.mask.kind == MaskKind::boolean)
            return static_cast<const uint8_t*>(a.mask.data)[at] ? score : -INFINITY;
        if (a.mask.kind == MaskKind::additive_float32)
            return score + static_cast<const float*>(a.mask.data)[at];
        return score + float(static_cast<const T*>(a.mask.data)[at]);
    }

    // Does dropout keep the weight of query t and key s?
    __device__ __forceinline__ bool kept(int t, int s) const {
        const uint64_t j = uint64_t(row(t)) * uint64_t(a.keys) + uint64_t(s);
        return philox_word(a.seed, a.offset, j) >> 8 >= a.threshold;
    }

    // ... and of keys s and s + 1, of one Philox block where it holds both.
    __device__ __forceinline__ void kept_pair(bool (&keep)[2], int t, int s) const {
        const uint64_t j = uint64_t(row(t)) * uint64_t(a.keys) + uint64_t(s);
        PhiloxBlock block = philox_block(a.seed, a.offset + j / 4);
        keep[0] = block.at(unsigned(j % 4)) >> 8 >= a.threshold;
        if (j % 4 == 3)
            block = philox_block(a.seed, a.offset + j / 4 + 1);
        keep[1] = block.at(unsigned((j + 1) % 4)) >> 8 >= a.threshold;
    }
};

// Masks and dropout, or a scale that turns the order of scores round.
inline bool is_general(const Attention& a) {
    return a.mask.kind != MaskKind::none || a.threshold != 0 || !(a.scale > 0);
}

inline bool aligned_rows(const AttentionOperand& x, int batch, int heads, int size, size_t item) {
    const auto whole = [&](int64_t n) { return n * int64_t(item) % 16 == 0; };
    return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && whole(x.row_stride) && whole(size) &&
           (batch == 1 || whole(x.batch_stride)) && (heads == 1 || whole(x.head_stride));
}

inline Attention with_alignment(Attention a) {
    const size_t item = size_of(a.dtype);
    a.query.aligned = aligned_rows(a.query, a.batch, a.heads, a.size, item);
    a.key.aligned = aligned_rows(a.key, a.batch, a.kv_heads, a.size, item);
    a.value.aligned = aligned_rows(a.value, a.batch, a.kv_heads, a.value_size, item);
    return a;
}

inline bool valid(const Attention& a) {
    const auto fits = [](int n) { return 0 < n && n <= max_attention_size; };
    return fits(a.size) && fits(a.value_size) && a.kv_heads > 0 && a.heads % a.kv_heads == 0 &&
           (a.dtype == DType::float32 || a.dtype == DType::float16 || a.dtype == DType::bfloat16);
}

template <class T>
__device__ __forceinline__ const T* matrix(const AttentionOperand& x, int b, int h) {
    return static_cast<const T*>(x.data) + b * x.batch_stride + h * x.head_stride;
}

template <int N>
struct Size {
    static constexpr int value = N;
};

// f(Type<T>{}, Size<D>{}): the element type, and the head sizes padded to 32, 64, 128 or 256.
template <class F>
cudaError_t dispatch_attention(const Attention& a, F&& f) {
    const auto by_size = [&](auto type) {
        const int size = a.size > a.value_size ? a.size : a.value_size;
        if (size <= 32)
            return f(type, Size<32>{});
        if (size <= 64)
            return f(type, Size<64>{});
        if (size <= 128)
            return f(type, Size<128>{});
        return f(type, Size<256>{});
    };
    switch (a.dtype) {
    case DType::float32:
        return by_size(Type<float>{});
    case DType::float16:
        return by_size(Type<float16>{});
    case DType::bfloat16:
        return by_size(Type<bfloat16>{});
    default:
        return cudaErrorInvalidValue;
    }
}

} // namespace fastnn::cuda::attention_detail
