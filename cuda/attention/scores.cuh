// What happens to scores between the two products: scale, masks, dropout.
//
// A thread has the accumulators of mma.sync: element i of tile (m, j) lies m * 16 + i / 2 * 8 rows
// and j * 8 + i % 2 columns from the thread's first. Rows are queries and columns keys, or, where
// `transposed`, the other way round.
#pragma once

#include "attention/attention.h"
#include "core/device.cuh"
#include "core/dispatch.cuh"
#include "core/philox.cuh"

namespace fastnn::cuda::attention_detail {

constexpr float log2_e = 1.4426950408889634f;

// Of a thread's first element.
template <bool transposed>
struct Place {
    int row, column;

    __device__ __forceinline__ int query(int m, int j, int i) const {
        return transposed ? column + j * 8 + i % 2 : row + m * 16 + i / 2 * 8;
    }
    __device__ __forceinline__ int key(int m, int j, int i) const {
        return transposed ? row + m * 16 + i / 2 * 8 : column + j * 8 + i % 2;
    }
};

// f(m, j, i) for each element.
template <int MT, int NT, class F>
__device__ __forceinline__ void for_each(F&& f) {
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                f(m, j, i);
}

// The scores of one head.
template <class T>
struct Scores {
    const Attention& a;
    int b, h;

    __device__ __forceinline__ int64_t row(int t) const {
        return (int64_t(b) * a.heads + h) * a.queries + t;
    }

    // s = s * scale + mask. A loop that stays one, so that it needs few registers; these have no
    // index, and so the tiles move up by one place a turn.
    template <bool transposed, int MT, int NT>
    __device__ __forceinline__ void mask(float (&s)[MT][NT][4], Place<transposed> at) const {
#pragma unroll 1
        for (int turn = 0; turn < NT; turn++, at.column += 8)
            for_each<MT, 1>([&](int m, int, int i) {
                const float x = masked(s[m][0][i] * a.scale, at.query(m, 0, i), at.key(m, 0, i));
#pragma unroll
                for (int j = 1; j < NT; j++)
                    s[m][j - 1][i] = s[m][j][i];
                s[m][NT - 1][i] = x;
            });
    }

    // -inf for keys that do not exist, or that the query does not see where causal.
    template <bool transposed, int MT, int NT>
    __device__ __forceinline__ void hide(float (&s)[MT][NT][4], Place<transposed> at) const {
        for_each<MT, NT>([&](int m, int j, int i) {
            const int key = at.key(m, j, i);
            if (key >= a.keys || (a.causal && key > at.query(m, j, i)))
                s[m][j][i] = -INFINITY;
        });
    }

    // Bit 4 * j + i of word m: whether dropout keeps the weight. The loops stay loops: a Philox
    // block has some 60 instructions.
    template <int NT, bool transposed, int MT>
    __device__ __forceinline__ void kept(uint32_t (&bits)[MT], Place<transposed> at) const {
        static_assert(NT <= 8);
        const int lane = int(threadIdx.x) % 32;
#pragma unroll
        for (int m = 0; m < MT; m++) {
            uint32_t word = 0;
            if (a.keys % 4 == 0) { // a block is of four keys, which lie in 2 or 4 lanes: each makes
                                   // the block of one i, and gets its bits of the others
                const int i = transposed ? lane / 4 % 4 : lane % 2 * 2;
#pragma unroll 1
                for (int j = 0; j < NT; j++) {
                    const auto t = uint64_t(row(at.query(m, j, i)));
                    const auto s = uint64_t(at.key(m, j, i));
                    const PhiloxBlock block =
                        philox_block(a.seed, a.offset + (t * uint64_t(a.keys) + s) / 4);
#pragma unroll
                    for (int c = 0; c < 4; c++)
                        word |= uint32_t(block.word[c] >> 8 >= a.threshold) << (j * 4 + c);
                }
                bits[m] = transposed ? from_four_lanes(word) : from_two_lanes(word);
            } else {
#pragma unroll 1
                for (int e = 0; e < NT * 4; e++) {
                    const auto t = uint64_t(row(at.query(m, e / 4, e % 4)));
                    const auto s = uint64_t(at.key(m, e / 4, e % 4));
                    const uint32_t drawn = philox_word(a.seed, a.offset, t * uint64_t(a.keys) + s);
                    word |= uint32_t(drawn >> 8 >= a.threshold) << e;
                }
                bits[m] = word;
            }
        }
    }

  private:
    __device__ __forceinline__ float masked(float score, int query, int key) const {
        if (a.mask.kind == MaskKind::none || query >= a.queries || key >= a.keys)
            return score;
        const int64_t at = int64_t(b) * a.mask.batch_stride + int64_t(h) * a.mask.head_stride +
                           int64_t(query) * a.mask.query_stride + int64_t(key) * a.mask.key_stride;
        if (a.mask.kind == MaskKind::boolean)
            return static_cast<const uint8_t*>(a.mask.data)[at] ? score : -INFINITY;
        if (a.mask.kind == MaskKind::additive_float32)
            return score + static_cast<const float*>(a.mask.data)[at];
        return score + float(static_cast<const T*>(a.mask.data)[at]);
    }

    // Lane t of four has row 8 * (t % 2) and the columns from t / 2 * 4 on, and wants its two
    // columns of both rows.
    static __device__ __forceinline__ uint32_t from_two_lanes(uint32_t word) {
        const uint32_t other = __shfl_xor_sync(~0u, word, 1);
        return threadIdx.x % 2 ? (other >> 2 & 0x33333333u) | (word & 0xccccccccu)
                               : (word & 0x33333333u) | (other & 0x33333333u) << 2;
    }
    // Lane c of four (8 rows apart in threads: g % 4) has the keys 0 to 3 of element c, and wants
    // key c of each element.
    static __device__ __forceinline__ uint32_t from_four_lanes(uint32_t word) {
        const int lane = int(threadIdx.x) % 32, c = lane / 4 % 4;
        uint32_t bits = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint32_t theirs = __shfl_sync(~0u, word, (lane & ~12) | i << 2);
            bits |= (theirs >> c & 0x11111111u) << i;
        }
        return bits;
    }
};

// Scores are scaled, and masked, before their maximum is taken; else the scale comes with the
// exponential, and must not turn their order round.
__host__ __device__ __forceinline__ bool scaled_first(const Attention& a) {
    return a.mask.kind != MaskKind::none || !(a.scale > 0);
}

inline bool aligned_rows(const AttentionOperand& x, int64_t batch, int64_t heads, int size,
                         size_t item) {
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

// The forward pass by the kernel for compute capability 9.0; cudaErrorNotSupported where that does
// not serve.
cudaError_t attention_sm90(const Attention& a, void* y, float* top, float* total,
                           cudaStream_t stream);

template <class T>
__device__ __forceinline__ const T* matrix(const AttentionOperand& x, int b, int h) {
    return static_cast<const T*>(x.data) + b * x.batch_stride + h * x.head_stride;
}

template <int N>
struct Size {
    static constexpr int value = N;
};

// f(Type<T>{}, Size<D>{}): the element type, and the head sizes padded to 64, 128 or 256.
template <class F>
cudaError_t dispatch_attention(const Attention& a, F&& f) {
    const auto by_size = [&](auto type) {
        const int size = a.size > a.value_size ? a.size : a.value_size;
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
