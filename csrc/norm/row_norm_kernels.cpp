// Kernels of layer and RMS normalisation: see row_norm.h.
#include "norm/row_norm.h"

#include "norm/row_sums.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Short rows are worked on together: the latencies of their sums overlap, and a vector of weights
// is read once for all. (Of long ones one is enough, and several would not fit the L1 cache.) What
// a row's result is depends on its length alone.
constexpr int64_t kShortBytes = 2048;
constexpr int kForwardRows = 4;
constexpr int kBackwardRows = 2;

// Several sums over n elements at once. terms(i, k, value) gives the terms of each sum at i, with 0
// beside k lanes. `Chains` accumulators for each sum; blocks are summed in T, their sums in double.
template <class T, int Chains, int Sums, class Terms>
FASTNN_INLINE void sum_together(int64_t n, double (&total)[Sums], Terms terms) {
    constexpr int lanes = kLanes<T>;
    constexpr int64_t block = kSumBlock * Chains / kSums; // as many additions in T as sum_row's
#pragma GCC unroll 8
    for (int s = 0; s < Sums; ++s)
        total[s] = 0;
    for (int64_t at = 0; at < n; at += block) {
        const int64_t end = n - at < block ? n : at + block;
        Vec<T> acc[Chains][Sums] = {};
        const auto add = [&](Vec<T>(&to)[Sums], int64_t i, int64_t k)
                             __attribute__((always_inline)) {
                                 Vec<T> value[Sums];
                                 terms(i, k, value);
#pragma GCC unroll 8
                                 for (int s = 0; s < Sums; ++s)
                                     to[s] += value[s];
                             };
        int64_t i = at;
        for (; i + Chains * lanes <= end; i += Chains * lanes)
#pragma GCC unroll 4
            for (int c = 0; c < Chains; ++c)
                add(acc[c], i + c * lanes, lanes);
        for (; i < end; i += lanes)
            add(acc[0], i, end - i < lanes ? end - i : lanes);
#pragma GCC unroll 8
        for (int s = 0; s < Sums; ++s)
            total[s] += static_cast<double>(sum(
                Chains == 4 ? (acc[0][s] + acc[1][s]) + (acc[Chains - 2][s] + acc[Chains - 1][s])
                            : acc[0][s] + acc[1][s]));
    }
}

// `Rows` rows from row r on.
template <class T, int Rows, int Chains>
FASTNN_INLINE void forward_rows(const RowNorm& call, int64_t r) {
    const int64_t n = call.n;
    const double count = static_cast<double>(n);
    const T* x = static_cast<const T*>(call.x) + r * n;
    const T* weight = static_cast<const T*>(call.weight);
    const T* bias = static_cast<const T*>(call.bias);
    T* y = static_cast<T*>(call.y) + r * n;
    double total[Rows];
    T mean[Rows] = {}, scale[Rows];
    if (call.mean) {
        sum_together<T, Chains>(n, total, [&](int64_t i, int64_t k, Vec<T>(&value)[Rows]) {
#pragma GCC unroll 4
            for (int j = 0; j < Rows; ++j)
                value[j] = get(x + j * n + i, k);
        });
        for (int j = 0; j < Rows; ++j)
            static_cast<T*>(call.mean)[r + j] = mean[j] = static_cast<T>(total[j] / count);
    }
    sum_together<T, Chains>(n, total, [&](int64_t i, int64_t k, Vec<T>(&value)[Rows]) {
#pragma GCC unroll 4
        for (int j = 0; j < Rows; ++j) {
            const Vec<T> d = first_lanes<T>(get(x + j * n + i, k) - mean[j], k);
            value[j] = d * d;
        }
    });
    for (int j = 0; j < Rows; ++j)
        static_cast<T*>(call.scale)[r + j] = scale[j] =
            static_cast<T>(1 / __builtin_sqrt(total[j] / count + call.eps));
    const auto write = [&](auto weighted, auto shifted) {
        for_vectors<T>(n, [&](int64_t i, int64_t k) {
            Vec<T> w{}, b{};
            if constexpr (weighted.value)
                w = get(weight + i, k);
            if constexpr (shifted.value)
                b = get(bias + i, k);
#pragma GCC unroll 4
            for (int j = 0; j < Rows; ++j) {
                Vec<T> v = (get(x + j * n + i, k) - mean[j]) * scale[j];
                if constexpr (weighted.value)
                    v *= w;
                if constexpr (shifted.value)
                    v += b;
                put(y + j * n + i, v, k);
            }
        });
    };
    if (weight && bias)
        write(std::true_type{}, std::true_type{});
    else if (weight)
        write(std::true_type{}, std::false_type{});
    else if (bias)
        write(std::false_type{}, std::true_type{});
    else
        write(std::false_type{}, std::false_type{});
}

template <class T>
void forward(const RowNorm& call) {
    int64_t r = 0;
    if (call.n * static_cast<int64_t>(sizeof(T)) > kShortBytes) {
        for (; r < call.rows; ++r)
            forward_rows<T, 1, 4>(call, r);
        return;
    }
    for (; r + kForwardRows <= call.rows; r += kForwardRows)
        forward_rows<T, kForwardRows, 2>(call, r);
    for (; r < call.rows; ++r)
        forward_rows<T, 1, 2>(call, r);
}

// gx = scale h - (scale mean of h xhat) xhat - scale mean of h, where the mean of h xhat is scale
// times that of h d, d = x - mean
template <class T, int Rows, int Chains, bool Weighted, bool Centered>
FASTNN_INLINE void backward_rows(const RowNormBackward& call, int64_t r) {
    const int64_t n = call.n;
    const double count = static_cast<double>(n);
    const T* g = static_cast<const T*>(call.g) + r * n;
    const T* x = static_cast<const T*>(call.x) + r * n;
    const T* weight = static_cast<const T*>(call.weight);
    T* gx = static_cast<T*>(call.gx) + r * n;
    T* gweight = static_cast<T*>(call.gweight);
    T* gbias = static_cast<T*>(call.gbias);
    T mean[Rows] = {}, scale[Rows], slope[Rows], shift[Rows] = {};
    for (int j = 0; j < Rows; ++j) {
        if constexpr (Centered)
            mean[j] = static_cast<const T*>(call.mean)[r + j];
        scale[j] = static_cast<const T*>(call.scale)[r + j];
    }
    double total[2 * Rows]; // of h d, of h
    sum_together<T, Chains>(n, total, [&](int64_t i, int64_t k, Vec<T>(&value)[2 * Rows]) {
        Vec<T> w{};
        if constexpr (Weighted)
            w = get(weight + i, k);
#pragma GCC unroll 4
        for (int j = 0; j < Rows; ++j) {
            Vec<T> h = get(g + j * n + i, k); // 0 in other lanes
            if constexpr (Weighted)
                h *= w;
            value[j] = h * (get(x + j * n + i, k) - mean[j]);
            value[Rows + j] = Centered ? h : Vec<T>{};
        }
    });
    for (int j = 0; j < Rows; ++j) {
        const double s = static_cast<double>(scale[j]);
        slope[j] = static_cast<T>(-s * s * total[j] / count);
        if constexpr (Centered)
            shift[j] = static_cast<T>(-s * total[Rows + j] / count);
    }
    for_vectors<T>(n, [&](int64_t i, int64_t k) {
        Vec<T> w{}, gw = get(gweight + i, k), gb{};
        if constexpr (Weighted)
            w = get(weight + i, k);
        if constexpr (Centered)
            gb = get(gbias + i, k);
#pragma GCC unroll 4
        for (int j = 0; j < Rows; ++j) {
            const Vec<T> vg = get(g + j * n + i, k), scaled = vg * scale[j];
            const Vec<T> xhat = (get(x + j * n + i, k) - mean[j]) * scale[j];
            gw += vg * xhat;
            Vec<T> v = xhat * slope[j];
            if constexpr (Centered) {
                gb += vg;
                v += shift[j];
            }
            if constexpr (Weighted)
                v += scaled * w;
            else
                v += scaled;
            put(gx + j * n + i, v, k);
        }
        put(gweight + i, gw, k);
        if constexpr (Centered)
            put(gbias + i, gb, k);
    });
}

template <class T, bool Weighted, bool Centered>
void backward_of(const RowNormBackward& call) {
    int64_t r = 0;
    if (call.n * static_cast<int64_t>(sizeof(T)) > kShortBytes) {
        for (; r < call.rows; ++r)
            backward_rows<T, 1, 4, Weighted, Centered>(call, r);
        return;
    }
    for (; r + kBackwardRows <= call.rows; r += kBackwardRows)
        backward_rows<T, kBackwardRows, 2, Weighted, Centered>(call, r);
    for (; r < call.rows; ++r)
        backward_rows<T, 1, 2, Weighted, Centered>(call, r);
}

template <class T>
void backward(const RowNormBackward& call) {
    if (call.weight && call.mean)
        backward_of<T, true, true>(call);
    else if (call.weight)
        backward_of<T, true, false>(call);
    else if (call.mean)
        backward_of<T, false, true>(call);
    else
        backward_of<T, false, false>(call);
}

} // namespace

const RowNormTable row_norm_table = {{forward<float>, forward<double>},
                                     {backward<float>, backward<double>}};

} // namespace fastnn::FASTNN_ISA
