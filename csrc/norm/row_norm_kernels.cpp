// Kernels of layer and RMS normalisation: see row_norm.h.
#include "norm/row_norm.h"

#include "norm/row_sums.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
void forward(const RowNorm& call) {
    const int64_t n = call.n;
    const T* x = static_cast<const T*>(call.x);
    const T* weight = static_cast<const T*>(call.weight);
    const T* bias = static_cast<const T*>(call.bias);
    T* y = static_cast<T*>(call.y);
    for (int64_t r = 0; r < call.rows; ++r, x += n, y += n) {
        T mean{};
        if (call.mean) {
            mean =
                static_cast<T>(sum_row<T>(n, [&](int64_t i, int64_t k) { return get(x + i, k); }) /
                               static_cast<double>(n));
            static_cast<T*>(call.mean)[r] = mean;
        }
        const double square = sum_row<T>(n, [&](int64_t i, int64_t k) {
            const Vec<T> d = first_lanes<T>(get(x + i, k) - mean, k);
            return d * d;
        });
        const T scale =
            static_cast<T>(1 / square_root<T>(square / static_cast<double>(n) + call.eps));
        static_cast<T*>(call.scale)[r] = scale;
        const auto write = [&](auto weighted, auto shifted) {
            for_vectors<T>(n, [&](int64_t i, int64_t k) {
                Vec<T> v = (get(x + i, k) - mean) * scale;
                if constexpr (weighted.value)
                    v *= get(weight + i, k);
                if constexpr (shifted.value)
                    v += get(bias + i, k);
                put(y + i, v, k);
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
}

template <class T>
void backward(const RowNormBackward& call) {
    const int64_t n = call.n;
    const T* g = static_cast<const T*>(call.g);
    const T* x = static_cast<const T*>(call.x);
    const T* weight = static_cast<const T*>(call.weight);
    T* gx = static_cast<T*>(call.gx);
    T* gweight = static_cast<T*>(call.gweight);
    T* gbias = static_cast<T*>(call.gbias);
    for (int64_t r = 0; r < call.rows; ++r, g += n, x += n, gx += n) {
        const T mean = call.mean ? static_cast<const T*>(call.mean)[r] : T{};
        const T scale = static_cast<const T*>(call.scale)[r];
        const auto row = [&](auto weighted, auto centered) {
            const auto h = [&](int64_t i, int64_t k) {
                if constexpr (weighted.value)
                    return get(g + i, k) * get(weight + i, k);
                else
                    return get(g + i, k);
            };
            const auto xhat = [&](int64_t i, int64_t k) { return (get(x + i, k) - mean) * scale; };
            T of_h{};
            if constexpr (centered.value)
                of_h = static_cast<T>(sum_row<T>(n, h) / static_cast<double>(n));
            const T of_product =
                static_cast<T>(sum_row<T>(n,
                                          [&](int64_t i, int64_t k) {
                                              const Vec<T> product =
                                                  h(i, k) * xhat(i, k); // 0 in other lanes
                                              return product;
                                          }) /
                               static_cast<double>(n));
            for_vectors<T>(n, [&](int64_t i, int64_t k) {
                const Vec<T> vg = get(g + i, k), vx = xhat(i, k);
                put(gweight + i, get(gweight + i, k) + vg * vx, k);
                Vec<T> v = h(i, k) - vx * of_product;
                if constexpr (centered.value) {
                    put(gbias + i, get(gbias + i, k) + vg, k);
                    v -= of_h;
                }
                put(gx + i, v * scale, k);
            });
        };
        if (weight && call.mean)
            row(std::true_type{}, std::true_type{});
        else if (weight)
            row(std::true_type{}, std::false_type{});
        else if (call.mean)
            row(std::false_type{}, std::true_type{});
        else
            row(std::false_type{}, std::false_type{});
    }
}

} // namespace

const RowNormTable row_norm_table = {{forward<float>, forward<double>},
                                     {backward<float>, backward<double>}};

} // namespace fastnn::FASTNN_ISA
