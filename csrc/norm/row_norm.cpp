#include "norm/row_norm.h"

#include <algorithm>

#include "core/buffer_pool.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kGrain = 8192; // elements of a task
constexpr int64_t kMaxParts = 16;

const void* moved(const void* p, int64_t elements, int64_t item) {
    return p ? static_cast<const char*>(p) + elements * item : nullptr;
}
void* moved(void* p, int64_t elements, int64_t item) {
    return p ? static_cast<char*>(p) + elements * item : nullptr;
}

template <class T>
void backward(const RowNormBackward& call) {
    const int64_t n = call.n;
    const auto kernel = row_norm_table().backward[sizeof(T) == 8];
    // A part sums the gradients of weight and bias of its rows.
    const int64_t part_rows =
        std::max<int64_t>({(call.rows + kMaxParts - 1) / kMaxParts, kGrain / n, 1});
    const int64_t parts = (call.rows + part_rows - 1) / part_rows;
    const auto values = static_cast<std::size_t>(2 * parts * n);
    const Scratch in_t(values * sizeof(T)), in_double(values * sizeof(double));
    parallel_for(parts, [&](int64_t part) {
        T* few = in_t.as<T>() + 2 * part * n; // gweight, gbias of a few rows
        double* sums = in_double.as<double>() + 2 * part * n;
        std::fill(sums, sums + 2 * n, 0.0);
        const int64_t end = std::min(call.rows, (part + 1) * part_rows);
        for (int64_t row = part * part_rows; row < end; row += kRowNormRows) {
            RowNormBackward some = call;
            some.rows = std::min(kRowNormRows, end - row);
            some.g = moved(call.g, row * n, sizeof(T));
            some.x = moved(call.x, row * n, sizeof(T));
            some.mean = moved(call.mean, row, sizeof(T));
            some.scale = moved(call.scale, row, sizeof(T));
            some.gx = moved(call.gx, row * n, sizeof(T));
            some.gweight = few;
            some.gbias = few + n;
            std::fill(few, few + 2 * n, T{});
            kernel(some);
            for (int64_t i = 0; i < 2 * n; ++i)
                sums[i] += static_cast<double>(few[i]);
        }
    });
    double* sums = in_double.as<double>(); // the first part's become the whole ones
    const auto write = [&](void* to, int64_t at, int64_t begin, int64_t end) {
        if (begin < end && to)
            std::transform(sums + begin, sums + end, static_cast<T*>(to) + begin - at,
                           [](double total) { return static_cast<T>(total); });
    };
    parallel_range(2 * n, kGrain / kMaxParts, [&](int64_t begin, int64_t end) {
        for (int64_t part = 1; part < parts; ++part) {
            const double* from = sums + 2 * part * n;
            for (int64_t i = begin; i < end; ++i)
                sums[i] += from[i];
        }
        write(call.gweight, 0, begin, std::min(end, n));
        write(call.gbias, n, std::max(begin, n), end);
    });
}

} // namespace

void row_norm(const RowNorm& call) {
    const auto kernel = row_norm_table().forward[call.is_double];
    const int64_t item = call.is_double ? 8 : 4;
    const auto grain = std::max<int64_t>(kGrain / call.n, 1);
    parallel_range(call.rows, grain, [&](int64_t begin, int64_t end) {
        RowNorm some = call;
        some.rows = end - begin;
        some.x = moved(call.x, begin * call.n, item);
        some.mean = moved(call.mean, begin, item);
        some.scale = moved(call.scale, begin, item);
        some.y = moved(call.y, begin * call.n, item);
        kernel(some);
    });
}

void row_norm_backward(const RowNormBackward& call) {
    if (call.is_double)
        backward<double>(call);
    else
        backward<float>(call);
}

} // namespace fastnn
