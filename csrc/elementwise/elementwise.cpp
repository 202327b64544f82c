#include "elementwise/elementwise.h"

#include <algorithm>

#include "core/parallel.h"

namespace fastnn {
namespace {

// Elements of one chunk, and the fewest that are worth waking a thread.
constexpr int64_t kGrain = 16384;
constexpr int64_t kGrainMath = 4096; // exp, log, tanh, sigmoid, and what is made of them

bool is_math(Elementwise f) {
    switch (f) {
    case Elementwise::silu_backward:
    case Elementwise::gelu_backward:
    case Elementwise::gelu_tanh_backward:
    case Elementwise::exp:
    case Elementwise::log:
    case Elementwise::tanh:
    case Elementwise::sigmoid:
    case Elementwise::erf:
    case Elementwise::silu:
    case Elementwise::gelu:
    case Elementwise::gelu_tanh:
        return true;
    default:
        return false;
    }
}

} // namespace

void elementwise(const ElementwiseCall& call) {
    const auto& table = elementwise_table();
    const int f = static_cast<int>(call.function);
    const ElementwiseKernel kernel = call.is_double ? table.of_double[f] : table.of_float[f];
    const int64_t item = call.is_double ? 8 : 4;
    const int n = call.ndim;
    const int64_t cols = n > 0 ? call.shape[n - 1] : 1;
    const int64_t rows = n > 1 ? call.shape[n - 2] : 1;
    const int64_t a_col = n > 0 ? call.a_stride[n - 1] : 0,
                  b_col = n > 0 ? call.b_stride[n - 1] : 0;
    const int64_t a_row = n > 1 ? call.a_stride[n - 2] : 0,
                  b_row = n > 1 ? call.b_stride[n - 2] : 0;
    int64_t outer = 1;
    for (int i = 0; i + 2 < n; ++i)
        outer *= call.shape[i];
    const char* a = static_cast<const char*>(call.a);
    const char* b = static_cast<const char*>(call.b);
    char* y = static_cast<char*>(call.y);

    // Rows [begin, end) of all outer * rows, and in each the columns [first, last).
    const auto run = [&](int64_t begin, int64_t end, int64_t first, int64_t last) {
        for (int64_t row = begin; row < end;) {
            int64_t block = row / rows;
            const int64_t inner = row - block * rows;
            const int64_t count = std::min(rows - inner, end - row);
            int64_t a_at = inner * a_row + first * a_col, b_at = inner * b_row + first * b_col;
            for (int i = n - 3; i >= 0; --i) {
                const int64_t index = block % call.shape[i];
                block /= call.shape[i];
                a_at += index * call.a_stride[i];
                b_at += index * call.b_stride[i];
            }
            kernel(count, last - first, a + a_at * item, a_row, a_col, b + b_at * item, b_row,
                   b_col, y + (row * cols + first) * item, call.parameter);
            row += count;
        }
    };

    const int64_t all_rows = outer * rows;
    const int64_t grain = is_math(call.function) ? kGrainMath : kGrain;
    const int64_t total = all_rows * cols;
    if (total <= 4 * grain) {
        run(0, all_rows, 0, cols);
    } else if (cols >= grain) { // pieces of rows
        const int64_t pieces = (cols + grain - 1) / grain;
        parallel_for(all_rows * pieces, [&](int64_t chunk) {
            const int64_t row = chunk / pieces, first = chunk % pieces * grain;
            run(row, row + 1, first, std::min(first + grain, cols));
        });
    } else { // groups of rows
        parallel_range(all_rows, grain / cols,
                       [&](int64_t begin, int64_t end) { run(begin, end, 0, cols); });
    }
}

} // namespace fastnn
