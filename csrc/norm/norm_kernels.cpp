// Batch normalisation kernels: see norm.h.
#include "norm/norm.h"

#include "simd/loops.h"

namespace fastnn::FASTNN_ISA {
namespace {

constexpr int64_t kBlock = 4096; // elements of a run that are summed in T

FASTNN_INLINE void merge(double count, double* mean, double* m2, double other_count,
                         double other_mean, double other_m2) {
    const double total = count + other_count, delta = other_mean - *mean;
    *mean += delta * (other_count / total);
    *m2 += other_m2 + delta * delta * (count * other_count / total);
}

// A block of m elements x: off = sum(x - near), square = sum((x - near)^2), where `near` is its
// mean, rounded.
FASTNN_INLINE void merge_block(double count, double* mean, double* m2, double m, double near,
                               double off, double square) {
    const double block_m2 = square - off * off / m;
    merge(count, mean, m2, m, near + off / m, block_m2 > 0 || block_m2 != block_m2 ? block_m2 : 0);
}

template <class T>
void moments_runs(const void* data, int64_t channels, int64_t n, const Moments& into) {
    const T* x = static_cast<const T*>(data);
    for (int64_t c = 0; c < channels; ++c, x += n) {
        double count = into.count;
        for (int64_t at = 0; at < n; at += kBlock) {
            const T* block = x + at;
            const int64_t size = n - at < kBlock ? n - at : kBlock;
            const double m = static_cast<double>(size);
            const T near = static_cast<T>(
                sum_vectors<T>(size, [&](int64_t i, int64_t k) { return get(block + i, k); }) / m);
            Vec<T> square[2] = {};
            const double off = sum_vectors<T>(size, [&](int64_t i, int64_t k) {
                const Vec<T> d = first_lanes<T>(get(block + i, k) - near, k);
                const Vec<T> other = square[1];
                square[1] = square[0] + d * d;
                square[0] = other;
                return d;
            });
            merge_block(count, into.mean + c, into.m2 + c, m, static_cast<double>(near), off,
                        static_cast<double>(sum(square[0] + square[1])));
            count += m;
        }
    }
}

template <class T, int Vectors>
FASTNN_INLINE void moments_tile(const T* x, int64_t rows, int64_t row_stride, int64_t lanes_used,
                                const Moments& into, int64_t c) {
    constexpr int lanes = kLanes<T>;
    const auto row = [&](int64_t r, int v) {
        return Vectors > 1 ? load(x + r * row_stride + v * lanes)
                           : get(x + r * row_stride, lanes_used);
    };
    const double m = static_cast<double>(rows);
    Vec<T> total[Vectors] = {}, square[Vectors] = {}, mean[Vectors];
    for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v)
            total[v] += row(r, v);
    for (int v = 0; v < Vectors; ++v)
        mean[v] = total[v] / static_cast<T>(rows);
    Vec<T> off[Vectors] = {};
    for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
            const Vec<T> d = row(r, v) - mean[v];
            off[v] += d;
            square[v] += d * d;
        }
    T offs[Vectors * lanes] = {}, squares[Vectors * lanes] = {}, means[Vectors * lanes] = {};
    for (int v = 0; v < Vectors; ++v) {
        store(offs + v * lanes, off[v]);
        store(squares + v * lanes, square[v]);
        store(means + v * lanes, mean[v]);
    }
    const int64_t used = Vectors > 1 ? Vectors * lanes : lanes_used;
    for (int i = 0; i < Vectors * lanes && i < used; ++i)
        merge_block(into.count, into.mean + c + i, into.m2 + c + i, m,
                    static_cast<double>(means[i]), static_cast<double>(offs[i]),
                    static_cast<double>(squares[i]));
}

template <class T>
void moments_columns(const void* data, int64_t rows, int64_t row_stride, int64_t channels,
                     const Moments& into) {
    constexpr int lanes = kLanes<T>;
    const T* x = static_cast<const T*>(data);
    int64_t c = 0;
    for (; c + 4 * lanes <= channels; c += 4 * lanes)
        moments_tile<T, 4>(x + c, rows, row_stride, lanes, into, c);
    for (; c + 2 * lanes <= channels; c += 2 * lanes)
        moments_tile<T, 2>(x + c, rows, row_stride, lanes, into, c);
    for_vectors<T>(channels - c, [&](int64_t i, int64_t k) {
        moments_tile<T, 1>(x + c + i, rows, row_stride, k, into, c + i);
    });
}

template <class T>
void sums_runs(const void* g_data, const void* x_data, const void* mean_data, int64_t channels,
               int64_t n, double* sum_g, double* sum_gx) {
    const T* g = static_cast<const T*>(g_data);
    const T* x = static_cast<const T*>(x_data);
    for (int64_t c = 0; c < channels; ++c, g += n, x += n) {
        const T mean = static_cast<const T*>(mean_data)[c];
        for (int64_t at = 0; at < n; at += kBlock) {
            const int64_t size = n - at < kBlock ? n - at : kBlock;
            sum_g[c] +=
                sum_vectors<T>(size, [&](int64_t i, int64_t k) { return get(g + at + i, k); });
            sum_gx[c] += sum_vectors<T>(size, [&](int64_t i, int64_t k) {
                return get(g + at + i, k) * (get(x + at + i, k) - mean); // g is 0 in other lanes
            });
        }
    }
}

template <class T>
void sums_columns(const void* g_data, const void* x_data, const void* mean_data, int64_t rows,
                  int64_t row_stride, int64_t channels, double* sum_g, double* sum_gx) {
    const T* g = static_cast<const T*>(g_data);
    const T* x = static_cast<const T*>(x_data);
    const T* means = static_cast<const T*>(mean_data);
    for_vectors<T>(channels, [&](int64_t c, int64_t k) {
        const Vec<T> mean = get(means + c, k);
        Vec<T> a = {}, b = {};
        for (int64_t r = 0; r < rows; ++r) {
            const Vec<T> vg = get(g + r * row_stride + c, k);
            a += vg;
            b += vg * (get(x + r * row_stride + c, k) - mean);
        }
        T sums[kLanes<T>] = {}, products[kLanes<T>] = {};
        store(sums, a);
        store(products, b);
        for (int i = 0; i < kLanes<T> && i < k; ++i) {
            sum_g[c + i] += static_cast<double>(sums[i]);
            sum_gx[c + i] += static_cast<double>(products[i]);
        }
    });
}

template <class T, bool Relu>
FASTNN_INLINE Vec<T> activated(Vec<T> v) {
    if constexpr (Relu)
        v = v < 0 ? Vec<T>{} : v; // keeps NaN
    return v;
}

template <class T, bool Relu>
void apply(const void* x_data, const void* g_data, const void* mean_data, const void* scale_data,
           const void* shift_data, const void* g_scale_data, int64_t rows, int64_t channels,
           int64_t n, void* y_data) {
    const T* x = static_cast<const T*>(x_data);
    const T* g = static_cast<const T*>(g_data);
    const T* mean = static_cast<const T*>(mean_data);
    const T* scale = static_cast<const T*>(scale_data);
    const T* shift = static_cast<const T*>(shift_data);
    const T* g_scale = static_cast<const T*>(g_scale_data);
    T* y = static_cast<T*>(y_data);
    if (n == 1) {
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t row = r * channels;
            for_vectors<T>(channels, [&](int64_t c, int64_t k) {
                Vec<T> v = (get(x + row + c, k) - get(mean + c, k)) * get(scale + c, k) +
                           get(shift + c, k);
                if (g)
                    v += get(g + row + c, k) * get(g_scale + c, k);
                put(y + row + c, activated<T, Relu>(v), k);
            });
        }
        return;
    }
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t run = (r * channels + c) * n;
            const Vec<T> m = broadcast(mean[c]), a = broadcast(scale[c]), b = broadcast(shift[c]);
            if (g) {
                const Vec<T> d = broadcast(g_scale[c]);
                for_vectors<T>(n, [&](int64_t i, int64_t k) {
                    const Vec<T> v = (get(x + run + i, k) - m) * a + b + get(g + run + i, k) * d;
                    put(y + run + i, activated<T, Relu>(v), k);
                });
            } else {
                for_vectors<T>(n, [&](int64_t i, int64_t k) {
                    put(y + run + i, activated<T, Relu>((get(x + run + i, k) - m) * a + b), k);
                });
            }
        }
}

} // namespace

const NormTable norm_table = {
    {moments_runs<float>, moments_runs<double>}, {moments_columns<float>, moments_columns<double>},
    {sums_runs<float>, sums_runs<double>},       {sums_columns<float>, sums_columns<double>},
    {apply<float, false>, apply<double, false>}, {apply<float, true>, apply<double, true>},
};

} // namespace fastnn::FASTNN_ISA
