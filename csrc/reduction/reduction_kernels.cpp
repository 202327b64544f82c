// Reduction kernels: see reduction.h.
#include "reduction/reduction.h"

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

struct Sum {
    static constexpr bool kIsSum = true;
    template <class V>
    static FASTNN_INLINE V combine(V a, V b) {
        return a + b;
    }
};

// A NaN in either operand is the result.
struct Max {
    static constexpr bool kIsSum = false;
    template <class V>
    static FASTNN_INLINE V combine(V a, V b) {
        return ((a > b) | (a != a)) ? a : b;
    }
};

struct Min {
    static constexpr bool kIsSum = false;
    template <class V>
    static FASTNN_INLINE V combine(V a, V b) {
        return ((a < b) | (a != a)) ? a : b;
    }
};

// The larger (smaller) lanes of two vectors without regard to NaN; what one instruction does.
template <class Op, class V>
FASTNN_INLINE V extreme(V a, V b) {
    if constexpr (std::is_same_v<Op, Max>)
        return max(a, b);
    else
        return min(a, b);
}

// A mask of the lanes where either is NaN.
template <class V>
FASTNN_INLINE auto unordered(V a, V b) {
#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(FASTNN_EMULATED_ISA)
    if constexpr (std::is_same_v<LaneOf<V>, float>)
        return (decltype(a != a))_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_UNORD_Q);
    else
        return (decltype(a != a))_mm256_cmp_pd((__m256d)a, (__m256d)b, _CMP_UNORD_Q);
#else
    return (a != a) | (b != b);
#endif
}

// What changes nothing when it is combined: 0, or the element x itself.
template <class Op, class T>
FASTNN_INLINE T neutral(T x) {
    return Op::kIsSum ? T(0) : x;
}

// x[n - left ..n-1], the last elements of x[0..n-1], with neutral lanes beside them. (left <
// lanes.)
template <class Op, class T>
FASTNN_INLINE Vec<T> load_tail(const T* x, int64_t n, int64_t left, Vec<T> start) {
    constexpr int lanes = kLanes<T>;
    if constexpr (Op::kIsSum) {
        return load_partial(x + n - left, left);
    } else {
        if (n >= lanes)
            return load(x + n - lanes); // some of them twice: a maximum does not mind
        const Vec<T> v = load_partial(x, n);
        for (int i = 0; i < lanes; ++i)
            start[i] = i < n ? v[i] : start[i];
        return start;
    }
}

// At most kSumSteps additions to each lane of each accumulator.
constexpr int kAccumulators = 8;

template <class T, class Op>
FASTNN_INLINE double reduce_block(const T* x, int64_t n) {
    constexpr int lanes = kLanes<T>;
    const Vec<T> start = broadcast(neutral<Op>(x[0]));
    Vec<T> all = start;
    int64_t i = 0;
    if (n >= kAccumulators * lanes) {
        Vec<T> acc[kAccumulators];
#pragma GCC unroll 8
        for (int j = 0; j < kAccumulators; ++j)
            acc[j] = load(x + j * lanes);
        if constexpr (Op::kIsSum) {
            for (i = kAccumulators * lanes; i + kAccumulators * lanes <= n;
                 i += kAccumulators * lanes)
#pragma GCC unroll 8
                for (int j = 0; j < kAccumulators; ++j)
                    acc[j] += load(x + i + j * lanes);
        } else {
            // NaN are only looked for, two vectors at a time: half of the instructions.
            auto nan = acc[0] != acc[0];
            for (int j = 1; j < kAccumulators; ++j)
                nan |= acc[j] != acc[j];
            for (i = kAccumulators * lanes; i + kAccumulators * lanes <= n;
                 i += kAccumulators * lanes)
#pragma GCC unroll 4
                for (int j = 0; j < kAccumulators; j += 2) {
                    const Vec<T> v = load(x + i + j * lanes), w = load(x + i + (j + 1) * lanes);
                    nan |= unordered(v, w);
                    acc[j] = extreme<Op>(v, acc[j]);
                    acc[j + 1] = extreme<Op>(w, acc[j + 1]);
                }
            acc[0] = nan ? broadcast(static_cast<T>(__builtin_nan(""))) : acc[0];
        }
#pragma GCC unroll 3
        for (int width = kAccumulators / 2; width > 0; width /= 2)
#pragma GCC unroll 4
            for (int j = 0; j < width; ++j)
                acc[j] = Op::combine(acc[j], acc[j + width]);
        all = acc[0];
    }
    Vec<T> rest = start;
    for (; i + lanes <= n; i += lanes)
        rest = Op::combine(load(x + i), rest);
    if (i < n)
        rest = Op::combine(load_tail<Op>(x, n, n - i, start), rest);
    all = Op::combine(all, rest);
    return static_cast<double>(fold(all, [](auto a, auto b) { return Op::combine(a, b); }));
}

template <class T, class Op>
void runs(const void* x, int64_t r, int64_t r_stride, int64_t k, int64_t k_stride, int64_t n,
          double* acc) {
    constexpr int64_t block = kSumSteps * kAccumulators * kLanes<T>;
    for (int64_t j = 0; j < r; ++j) {
        const T* row = static_cast<const T*>(x) + j * r_stride;
        for (int64_t i = 0; i < k; ++i, row += k_stride)
            for (int64_t at = 0; at < n; at += block)
                acc[i] = Op::combine(
                    acc[i], reduce_block<T, Op>(row + at, n - at < block ? n - at : block));
    }
}

// `Vectors` vectors of columns, accumulated over at most kSumSteps rows at a time.
template <class T, class Op, int Vectors>
FASTNN_INLINE void column_tile(const T* x, int64_t rows, int64_t row_stride, double* acc) {
    constexpr int lanes = kLanes<T>;
    for (int64_t first = 0; first < rows; first += kSumSteps) {
        const int64_t last = rows - first < kSumSteps ? rows : first + kSumSteps;
        Vec<T> sum[Vectors];
        const T* row = x + first * row_stride;
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v)
            sum[v] = load(row + v * lanes);
        for (int64_t j = first + 1; j < last; ++j) {
            row += row_stride;
#pragma GCC unroll 16
            for (int v = 0; v < Vectors; ++v)
                sum[v] = Op::combine(load(row + v * lanes), sum[v]);
        }
        T lane[Vectors * lanes];
        for (int v = 0; v < Vectors; ++v)
            store(lane + v * lanes, sum[v]);
        for (int c = 0; c < Vectors * lanes; ++c)
            acc[c] = Op::combine(acc[c], static_cast<double>(lane[c]));
    }
}

template <class T, class Op>
FASTNN_INLINE void column_tail(const T* x, int64_t rows, int64_t row_stride, int64_t cols,
                               double* acc) {
    constexpr int lanes = kLanes<T>;
    for (int64_t first = 0; first < rows; first += kSumSteps) {
        const int64_t last = rows - first < kSumSteps ? rows : first + kSumSteps;
        Vec<T> sum = load_partial(x + first * row_stride, cols);
        for (int64_t j = first + 1; j < last; ++j)
            sum = Op::combine(sum, load_partial(x + j * row_stride, cols));
        T lane[lanes];
        store(lane, sum);
        for (int64_t c = 0; c < cols; ++c)
            acc[c] = Op::combine(acc[c], static_cast<double>(lane[c]));
    }
}

template <class T, class Op>
void columns(const void* data, int64_t rows, int64_t row_stride, int64_t cols, double* acc) {
    constexpr int lanes = kLanes<T>;
    const T* x = static_cast<const T*>(data);
    int64_t c = 0;
    constexpr int wide = kVectorBytes == 64 ? 16 : 8; // accumulators in registers
    for (; c + wide * lanes <= cols; c += wide * lanes)
        column_tile<T, Op, wide>(x + c, rows, row_stride, acc + c);
    for (; c + 2 * lanes <= cols; c += 2 * lanes)
        column_tile<T, Op, 2>(x + c, rows, row_stride, acc + c);
    for (; c + lanes <= cols; c += lanes)
        column_tile<T, Op, 1>(x + c, rows, row_stride, acc + c);
    if (c < cols)
        column_tail<T, Op>(x + c, rows, row_stride, cols - c, acc + c);
}

template <class T, class Op>
void position(const void* data, int64_t k, int64_t k_stride, int64_t n, int64_t* out) {
    constexpr int lanes = kLanes<T>;
    const T* x = static_cast<const T*>(data);
    for (int64_t i = 0; i < k; ++i, x += k_stride) {
        const T best = static_cast<T>(reduce_block<T, Op>(x, n)); // a maximum: any length will do
        const Vec<T> wanted = broadcast(best);
        int64_t at = 0;
        for (; at + lanes <= n; at += lanes) {
            const Vec<T> v = load(x + at);
            const auto hit = (v == wanted) | (v != v);
            if (fold(hit, [](auto a, auto b) { return a | b; }))
                break;
        }
        while (!(x[at] == best || x[at] != x[at]))
            ++at;
        out[i] = at;
    }
}

} // namespace

#define FASTNN_OPS(function, T) {function<T, Sum>, function<T, Max>, function<T, Min>}

const ReductionTable reduction_table = {
    {FASTNN_OPS(runs, float), FASTNN_OPS(runs, double)},
    {FASTNN_OPS(columns, float), FASTNN_OPS(columns, double)},
    {{position<float, Max>, position<float, Min>}, {position<double, Max>, position<double, Min>}},
};

} // namespace fastnn::FASTNN_ISA
