// Arithmetic of sizes, for kernel files too: inlined always, so that levels share no symbol.
#pragma once

#include <cstdint>

#include "core/parallel.h" // FASTNN_INLINE

namespace fastnn {

FASTNN_INLINE constexpr int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
FASTNN_INLINE constexpr int64_t max64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
// a / b rounded up, for a >= 0 and b > 0.
FASTNN_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

} // namespace fastnn
