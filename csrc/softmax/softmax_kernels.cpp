// Softmax kernels: see softmax.h.
#include "softmax/softmax.h"

#include "simd/loops.h"
#include "simd/math.h"

namespace fastnn::FASTNN_ISA {
namespace {

// v in the first n lanes, `other` in the rest.
template <class T>
FASTNN_INLINE Vec<T> only(Vec<T> v, int64_t n, T other) {
    using I = typename MathConstants<T>::Int;
    if (n == kLanes<T>)
        return v;
    IntVec<T> lane;
    for (int i = 0; i < kLanes<T>; ++i)
        lane[i] = i;
    return lane < static_cast<I>(n) ? v : broadcast(other);
}

// NaN is passed over: the exponentials of its row give a NaN sum anyhow.
template <class T>
FASTNN_INLINE T row_max(const T* x, int64_t n) {
    constexpr int lanes = kLanes<T>;
    constexpr T low = -static_cast<T>(__builtin_inf());
    Vec<T> top[4] = {broadcast(low), broadcast(low), broadcast(low), broadcast(low)};
    int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes)
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j)
            top[j] = max(load(x + i + j * lanes), top[j]);
    for_vectors<T>(n - i, [&](int64_t at, int64_t m) {
        top[0] = max(only(get(x + i + at, m), m, low), top[0]);
    });
    return max_lane(max(max(top[0], top[1]), max(top[2], top[3])));
}

inline constexpr int kTogether = 4; // exponentials whose latencies overlap

// The sum of exp(x - top); where out is not null, the terms are stored.
template <class T>
FASTNN_INLINE T row_exp_sum(const T* x, int64_t n, T top, T* out) {
    constexpr int lanes = kLanes<T>;
    Vec<T> total = {};
    int64_t at = 0;
    for (; at + kTogether * lanes <= n; at += kTogether * lanes) {
        Vec<T> e[kTogether];
#pragma GCC unroll 4
        for (int j = 0; j < kTogether; ++j)
            e[j] = load(x + at + j * lanes) - top;
        exp_flushed<T>(e);
#pragma GCC unroll 4
        for (int j = 0; j < kTogether; ++j) {
            if (out)
                store(out + at + j * lanes, e[j]);
            total += e[j];
        }
    }
    for_vectors<T>(n - at, [&](int64_t i, int64_t m) {
        Vec<T> e[1] = {get(x + at + i, m) - top};
        exp_flushed<T>(e);
        if (out)
            put(out + at + i, e[0], m);
        total += only(e[0], m, T(0));
    });
    return sum(total);
}

template <class T>
FASTNN_INLINE T scalar_log(T x) {
    return log<T>(broadcast(x))[0];
}

template <class T>
FASTNN_INLINE void softmax_row(const T* x, int64_t n, T* y) {
    const T inverse = T(1) / row_exp_sum(x, n, row_max(x, n), y);
    for_vectors<T>(n, [&](int64_t i, int64_t m) { put(y + i, get(y + i, m) * inverse, m); });
}

template <class T>
FASTNN_INLINE void log_softmax_row(const T* x, int64_t n, T* y) {
    const T top = row_max(x, n);
    const T log_sum = scalar_log(row_exp_sum<T>(x, n, top, nullptr));
    for_vectors<T>(n,
                   [&](int64_t i, int64_t m) { put(y + i, (get(x + i, m) - top) - log_sum, m); });
}

template <class T>
FASTNN_INLINE void softmax_backward_row(const T* g, const T* y, int64_t n, T* gx) {
    Vec<T> dot = {};
    for_vectors<T>(n, [&](int64_t i, int64_t m) { dot += get(g + i, m) * get(y + i, m); });
    const T total = sum(dot);
    for_vectors<T>(
        n, [&](int64_t i, int64_t m) { put(gx + i, get(y + i, m) * (get(g + i, m) - total), m); });
}

template <class T>
FASTNN_INLINE void log_softmax_backward_row(const T* g, const T* y, int64_t n, T* gx) {
    Vec<T> all = {};
    for_vectors<T>(n, [&](int64_t i, int64_t m) { all += get(g + i, m); });
    const T total = sum(all);
    for_vectors<T>(n, [&](int64_t i, int64_t m) {
        put(gx + i, get(g + i, m) - exp<T>(get(y + i, m)) * total, m);
    });
}

// One vector of inner positions; m lanes in use; n elements, `step` apart.
template <class T, Softmax Function>
FASTNN_INLINE void column(const T* a, const T* b, int64_t n, int64_t step, int64_t m, T* out) {
    if constexpr (Function == Softmax::forward || Function == Softmax::log_forward) {
        Vec<T> top = broadcast(-static_cast<T>(__builtin_inf()));
        for (int64_t i = 0; i < n; ++i)
            top = max(get(a + i * step, m), top);
        Vec<T> total = {};
        const auto exponentials = [&]<int N>(int64_t i) __attribute__((always_inline)) {
            Vec<T> e[N];
#pragma GCC unroll 4
            for (int j = 0; j < N; ++j)
                e[j] = get(a + (i + j) * step, m) - top;
            exp_flushed<T>(e);
#pragma GCC unroll 4
            for (int j = 0; j < N; ++j) {
                if constexpr (Function == Softmax::forward)
                    put(out + (i + j) * step, e[j], m);
                total += e[j];
            }
        };
        int64_t first = 0;
        for (; first + kTogether <= n; first += kTogether)
            exponentials.template operator()<kTogether>(first);
        for (; first < n; ++first)
            exponentials.template operator()<1>(first);
        if constexpr (Function == Softmax::forward) {
            const Vec<T> inverse = T(1) / total;
            for (int64_t i = 0; i < n; ++i)
                put(out + i * step, get(out + i * step, m) * inverse, m);
        } else {
            const Vec<T> log_sum = log<T>(total);
            for (int64_t i = 0; i < n; ++i)
                put(out + i * step, (get(a + i * step, m) - top) - log_sum, m);
        }
    } else {
        Vec<T> total = {};
        for (int64_t i = 0; i < n; ++i) {
            const Vec<T> g = get(a + i * step, m);
            total += Function == Softmax::backward ? g * get(b + i * step, m) : g;
        }
        for (int64_t i = 0; i < n; ++i) {
            const Vec<T> g = get(a + i * step, m), y = get(b + i * step, m);
            put(out + i * step,
                Function == Softmax::backward ? y * (g - total) : g - exp<T>(y) * total, m);
        }
    }
}

// Short rows: as many as a vector has lanes are turned to columns, and the result back.
inline constexpr int kShortVectors = 4;

// Rows of n elements to[i * lanes + row] = from[row * n + i]; rows from `count` on are 0.
template <class T>
FASTNN_INLINE void turn_rows(const T* from, int64_t count, int64_t n, T* to) {
    constexpr int lanes = kLanes<T>;
    for_vectors<T>(n, [&](int64_t i, int64_t m) {
        Vec<T> square[lanes];
#pragma GCC unroll 16
        for (int row = 0; row < lanes; ++row)
            square[row] = row < count ? get(from + row * n + i, m) : Vec<T>{};
        transpose(square);
#pragma GCC unroll 16
        for (int row = 0; row < lanes; ++row)
            store(to + (i + row) * lanes, square[row]);
    });
}

template <class T>
FASTNN_INLINE void turn_columns(const T* from, int64_t count, int64_t n, T* to) {
    constexpr int lanes = kLanes<T>;
    for_vectors<T>(n, [&](int64_t i, int64_t m) {
        Vec<T> square[lanes];
#pragma GCC unroll 16
        for (int row = 0; row < lanes; ++row)
            square[row] = load(from + (i + row) * lanes);
        transpose(square);
#pragma GCC unroll 16
        for (int row = 0; row < lanes; ++row)
            if (row < count)
                put(to + row * n + i, square[row], m);
    });
}

template <class T, Softmax Function>
void short_rows(const T* a, const T* b, int64_t outer, int64_t n, T* out) {
    constexpr int lanes = kLanes<T>;
    constexpr bool reads_b = Function == Softmax::backward || Function == Softmax::log_backward;
    T ta[kShortVectors * lanes * lanes], tb[kShortVectors * lanes * lanes],
        tout[kShortVectors * lanes * lanes];
    for (int64_t o = 0; o < outer; o += lanes) {
        const int64_t count = outer - o < lanes ? outer - o : lanes, at = o * n;
        turn_rows(a + at, count, n, ta);
        if (reads_b)
            turn_rows(b + at, count, n, tb);
        column<T, Function>(ta, tb, n, lanes, lanes, tout);
        turn_columns(tout, count, n, out + at);
    }
}

// Columns of few rows, in strips of whole cache lines: rows that lie a power of two apart share a
// few sets of the cache, and would be read from memory again at every pass.
inline constexpr int64_t kStripRows = 64; // at most

template <class T, Softmax Function>
void strips(const T* a, const T* b, int64_t n, int64_t inner, T* out) {
    constexpr int lanes = kLanes<T>;
    constexpr bool reads_b = Function == Softmax::backward || Function == Softmax::log_backward;
    constexpr int64_t line = 64 / sizeof(T), width = (reads_b ? 4 : 8) * line;
    T strip_a[kStripRows * width], strip_b[reads_b ? kStripRows * width : 1];
    const auto fetch = [&](const T* from, int64_t some, T* to) {
        for (int64_t row = 0; row < n; ++row) {
            for (int64_t i = 0; i < width; i += line)
                __builtin_prefetch(from + row * inner + width + i);
            for_vectors<T>(some, [&](int64_t i, int64_t m) {
                store(to + row * width + i, get(from + row * inner + i, m));
            });
        }
    };
    for (int64_t first = 0; first < inner; first += width) {
        const int64_t some = inner - first < width ? inner - first : width;
        fetch(a + first, some, strip_a);
        if constexpr (reads_b)
            fetch(b + first, some, strip_b);
        for (int64_t i = 0; i < some; i += lanes)
            column<T, Function>(strip_a + i, strip_b + (reads_b ? i : 0), n, width, lanes,
                                strip_a + i);
        for (int64_t row = 0; row < n; ++row)
            for_vectors<T>(some, [&](int64_t i, int64_t m) {
                put(out + first + row * inner + i, load(strip_a + row * width + i), m);
            });
    }
}

template <class T, Softmax Function>
void kernel(const void* pa, const void* pb, int64_t outer, int64_t n, int64_t inner, void* pout) {
    const T* a = static_cast<const T*>(pa);
    const T* b = static_cast<const T*>(pb);
    T* out = static_cast<T*>(pout);
    if (inner == 1 && n <= kShortVectors * kLanes<T>)
        return short_rows<T, Function>(a, b, outer, n, out);
    for (int64_t o = 0; o < outer; ++o) {
        const int64_t at = o * n * inner;
        if (inner > 1 && n <= kStripRows)
            strips<T, Function>(a + at, b + at, n, inner, out + at);
        else if (inner > 1)
            for_vectors<T>(inner, [&](int64_t i, int64_t m) {
                column<T, Function>(a + at + i, b + at + i, n, inner, m, out + at + i);
            });
        else if constexpr (Function == Softmax::forward)
            softmax_row(a + at, n, out + at);
        else if constexpr (Function == Softmax::log_forward)
            log_softmax_row(a + at, n, out + at);
        else if constexpr (Function == Softmax::backward)
            softmax_backward_row(a + at, b + at, n, out + at);
        else
            log_softmax_backward_row(a + at, b + at, n, out + at);
    }
}

template <class T>
bool loss(const CrossEntropy& call, int64_t begin, int64_t end, void* loss_out, void* lse_out) {
    const int64_t n = call.classes;
    const T* weight = static_cast<const T*>(call.weight);
    const T smoothing = static_cast<T>(call.smoothing);
    for (int64_t row = begin; row < end; ++row) {
        const T* x = static_cast<const T*>(call.logits) + row * n;
        const int64_t t = call.target[row];
        const bool counts = t != call.ignore_index;
        if (counts && (t < 0 || t >= n))
            return false;
        const T top = row_max(x, n);
        const T lse = top + scalar_log(row_exp_sum<T>(x, n, top, nullptr));
        static_cast<T*>(lse_out)[row] = lse;
        T value = 0;
        if (counts) {
            value = (weight ? weight[t] : T(1)) * (lse - x[t]);
            if (smoothing != 0) {
                Vec<T> total = {};
                for_vectors<T>(n, [&](int64_t i, int64_t m) {
                    Vec<T> nll = only(lse - get(x + i, m), m, T(0));
                    total += weight ? get(weight + i, m) * nll : nll;
                });
                value = (T(1) - smoothing) * value + smoothing / static_cast<T>(n) * sum(total);
            }
        }
        static_cast<T*>(loss_out)[row] = value;
    }
    return true;
}

template <class T>
bool loss_backward(const CrossEntropy& call, const void* g_in, int64_t g_stride, double scale,
                   const void* lse_in, int64_t begin, int64_t end, void* gx_out) {
    const int64_t n = call.classes;
    const T* weight = static_cast<const T*>(call.weight);
    const T smoothing = static_cast<T>(call.smoothing);
    const T even = smoothing / static_cast<T>(n);
    T weight_sum = static_cast<T>(n);
    if (weight && smoothing != 0) {
        Vec<T> all = {};
        for_vectors<T>(n, [&](int64_t i, int64_t m) { all += get(weight + i, m); });
        weight_sum = sum(all);
    }
    for (int64_t row = begin; row < end; ++row) {
        const T* x = static_cast<const T*>(call.logits) + row * n;
        T* gx = static_cast<T*>(gx_out) + row * n;
        const int64_t t = call.target[row];
        if (t == call.ignore_index) {
            __builtin_memset(gx, 0, static_cast<std::size_t>(n) * sizeof(T));
            continue;
        }
        if (t < 0 || t >= n)
            return false;
        const T g = static_cast<const T*>(g_in)[row * g_stride] * static_cast<T>(scale);
        const T lse = static_cast<const T*>(lse_in)[row];
        const T onehot = (T(1) - smoothing) * (weight ? weight[t] : T(1));
        const T total = onehot + even * weight_sum; // of the target distribution
        for_vectors<T>(n, [&](int64_t i, int64_t m) {
            Vec<T> v = exp<T>(get(x + i, m) - lse) * total;
            if (smoothing != 0)
                v -= weight ? get(weight + i, m) * even : broadcast(even);
            put(gx + i, v * g, m);
        });
        T at = exp<T>(broadcast(x[t] - lse))[0] * total - onehot;
        if (smoothing != 0)
            at -= even * (weight ? weight[t] : T(1));
        gx[t] = at * g;
    }
    return true;
}

} // namespace

#define FASTNN_KERNELS(T)                                                                          \
    {kernel<T, Softmax::forward>, kernel<T, Softmax::log_forward>, kernel<T, Softmax::backward>,   \
     kernel<T, Softmax::log_backward>}

const SoftmaxTable softmax_table = {
    {FASTNN_KERNELS(float), FASTNN_KERNELS(double)},
    {loss<float>, loss<double>},
    {loss_backward<float>, loss_backward<double>},
};

} // namespace fastnn::FASTNN_ISA
