#include "gemm/narrow.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace fastnn {
namespace {

std::atomic<Float32Precision> g_precision{Float32Precision::highest};

// Below, splitting the operands costs more than tiles gain.
constexpr int64_t kLeastExtent = 32;
constexpr double kLeastWork = 64.0 * 64 * 64;

} // namespace

void set_float32_matmul_precision(const std::string& name) {
    constexpr const char* names[] = {"highest", "high", "medium", "bfloat16_x6"};
    const auto* const found = std::find(std::begin(names), std::end(names), name);
    if (found == std::end(names))
        throw std::invalid_argument(
            "set_float32_matmul_precision: wants highest, high, medium or bfloat16_x6, got '" +
            name + "'");
    g_precision.store(static_cast<Float32Precision>(found - names), std::memory_order_relaxed);
}

int bfloat16_parts(int64_t m, int64_t n, int64_t k) noexcept {
    const Float32Precision precision = g_precision.load(std::memory_order_relaxed);
    if (precision == Float32Precision::highest)
        return 0;
    const int parts = precision == Float32Precision::medium ? 1
                      : precision == Float32Precision::high ? 2
                                                            : 3;
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    if (parts > narrow_kernels().most_parts || std::min({m, n, k}) < kLeastExtent ||
        work < kLeastWork)
        return 0;
    return parts;
}

} // namespace fastnn
