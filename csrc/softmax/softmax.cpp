#include "softmax/softmax.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "core/buffer_pool.h"
#include "core/parallel.h"
#include "reduction/reduction.h"

namespace fastnn {
namespace {

constexpr int64_t kGrain = 8192; // elements of one chunk

[[noreturn]] void wrong_target(const CrossEntropy& call, int64_t rows) {
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t t = call.target[row];
        if (t != call.ignore_index && (t < 0 || t >= call.classes))
            throw std::out_of_range("cross_entropy: target " + std::to_string(t) +
                                    " is out of bounds for " + std::to_string(call.classes) +
                                    " classes");
    }
    throw std::logic_error("cross_entropy: a target changed while it was read");
}

// The sum of the weights of the rows that count.
template <class T>
double sum_of_weights(const CrossEntropy& call, int64_t rows) {
    const T* const weight = static_cast<const T*>(call.weight);
    int64_t count = 0;
    double total = 0;
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t t = call.target[row]; // read once: it may change meanwhile
        const bool counts = t != call.ignore_index;
        count += counts;
        if (weight && counts && t >= 0 && t < call.classes)
            total += weight[t];
    }
    return weight ? total : static_cast<double>(count);
}

void divide(bool is_double, double divisor, void* value) {
    if (is_double)
        *static_cast<double*>(value) /= divisor;
    else
        *static_cast<float*>(value) /= static_cast<float>(divisor);
}

} // namespace

void softmax(Softmax function, bool is_double, const void* a, const void* b, int64_t outer,
             int64_t n, int64_t inner, void* out) {
    const auto kernel = softmax_table().kernels[is_double][static_cast<int>(function)];
    const int64_t item = is_double ? 8 : 4;
    parallel_range(
        outer, std::max<int64_t>(kGrain / (n * inner), 1), [&](int64_t begin, int64_t end) {
            const int64_t at = begin * n * inner * item;
            kernel(static_cast<const char*>(a) + at, b ? static_cast<const char*>(b) + at : nullptr,
                   end - begin, n, inner, static_cast<char*>(out) + at);
        });
}

double cross_entropy(const CrossEntropy& call, bool is_double, int64_t rows,
                     LossReduction reduction, void* loss, void* lse) {
    const auto kernel = softmax_table().loss[is_double];
    const bool whole = reduction == LossReduction::none;
    const Scratch scratch(whole ? 0 : static_cast<size_t>(rows) * (is_double ? 8 : 4));
    void* const of_rows = whole ? loss : scratch.as<void>();
    std::atomic<bool> fine{true};
    parallel_range(rows, std::max<int64_t>(kGrain / call.classes, 1),
                   [&](int64_t begin, int64_t end) {
                       if (!kernel(call, begin, end, of_rows, lse))
                           fine = false;
                   });
    if (!fine)
        wrong_target(call, rows);
    if (whole)
        return 1;
    reduce({Reduction::sum, is_double, false, 1, 1, rows, rows, rows, of_rows, loss});
    if (reduction == LossReduction::sum)
        return 1;
    const double total =
        is_double ? sum_of_weights<double>(call, rows) : sum_of_weights<float>(call, rows);
    divide(is_double, total, loss);
    return 1 / total;
}

void cross_entropy_backward(const CrossEntropy& call, bool is_double, int64_t rows, const void* g,
                            int64_t g_stride, double scale, const void* lse, void* gx) {
    const auto kernel = softmax_table().loss_backward[is_double];
    std::atomic<bool> fine{true};
    parallel_range(rows, std::max<int64_t>(kGrain / call.classes, 1),
                   [&](int64_t begin, int64_t end) {
                       if (!kernel(call, g, g_stride, scale, lse, begin, end, gx))
                           fine = false;
                   });
    if (!fine)
        wrong_target(call, rows);
}

} // namespace fastnn
