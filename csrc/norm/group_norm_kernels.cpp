// Kernels of group normalisation: see group_norm.h.
#include "norm/group_norm.h"

#include "norm/row_sums.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
void forward(const GroupNorm& call, int64_t begin, int64_t end) {
    const GroupShape& s = call.shape;
    const int64_t n = s.channels * s.inner;
    const T* const weight = static_cast<const T*>(call.weight);
    const T* const bias = static_cast<const T*>(call.bias);
    for (int64_t row = begin; row < end; ++row) {
        const T* x = static_cast<const T*>(call.x) + row * n;
        T* y = static_cast<T*>(call.y) + row * n;
        const T mean =
            static_cast<T>(sum_row<T>(n, [&](int64_t i, int64_t k) { return get(x + i, k); }) /
                           static_cast<double>(n));
        const double square = sum_row<T>(n, [&](int64_t i, int64_t k) {
            const Vec<T> d = first_lanes<T>(get(x + i, k) - mean, k);
            return d * d;
        });
        const T scale =
            static_cast<T>(1 / square_root<T>(square / static_cast<double>(n) + call.eps));
        static_cast<T*>(call.mean)[row] = mean;
        static_cast<T*>(call.scale)[row] = scale;
        for (int64_t i = 0; i < s.channels; ++i, x += s.inner, y += s.inner) {
            const int64_t channel = row % s.groups * s.channels + i;
            const T w = weight ? weight[channel] : T(1), b = bias ? bias[channel] : T{};
            for_vectors<T>(s.inner, [&](int64_t at, int64_t k) {
                put(y + at, (get(x + at, k) - mean) * scale * w + b, k);
            });
        }
    }
}

template <class T>
void backward(const GroupNormBackward& call, int64_t begin, int64_t end) {
    const GroupShape& s = call.shape;
    const int64_t n = s.channels * s.inner;
    const T* const weight = static_cast<const T*>(call.weight);
    for (int64_t row = begin; row < end; ++row) {
        const T* const x = static_cast<const T*>(call.x) + row * n;
        const T* const g = static_cast<const T*>(call.g) + row * n;
        T* const gx = static_cast<T*>(call.gx) + row * n;
        const T mean = static_cast<const T*>(call.mean)[row];
        const T scale = static_cast<const T*>(call.scale)[row];
        const T* const own = weight ? weight + row % s.groups * s.channels : nullptr;
        double* const gweight = call.gweight + row * s.channels; // [sample][group][channel]
        double* const gbias = call.gbias + row * s.channels;
        double of_h = 0, of_product = 0;
        for (int64_t i = 0; i < s.channels; ++i) {
            const int64_t first = i * s.inner;
            gbias[i] =
                sum_row<T>(s.inner, [&](int64_t at, int64_t k) { return get(g + first + at, k); });
            gweight[i] = sum_row<T>(s.inner, [&](int64_t at, int64_t k) {
                return get(g + first + at, k) * ((get(x + first + at, k) - mean) * scale);
            });
            const double w = own ? static_cast<double>(own[i]) : 1.0;
            of_h += w * gbias[i];
            of_product += w * gweight[i];
        }
        const T mean_h = static_cast<T>(of_h / static_cast<double>(n));
        const T mean_product = static_cast<T>(of_product / static_cast<double>(n));
        for (int64_t i = 0; i < s.channels; ++i) {
            const int64_t first = i * s.inner;
            const T w = own ? own[i] : T(1);
            for_vectors<T>(s.inner, [&](int64_t at, int64_t k) {
                const Vec<T> xhat = (get(x + first + at, k) - mean) * scale;
                const Vec<T> h = get(g + first + at, k) * w;
                put(gx + first + at, (h - mean_h - xhat * mean_product) * scale, k);
            });
        }
    }
}

} // namespace

const GroupNormTable group_norm_table = {{forward<float>, forward<double>},
                                         {backward<float>, backward<double>}};

} // namespace fastnn::FASTNN_ISA
