#include "random/random.h"

#include <cmath>

#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kGrain = 16384; // elements of one chunk, a multiple of the words of a block

double scale_of(double p) {
    return p < 1 ? 1 / (1 - p) : 0.0;
}

} // namespace

void philox(uint64_t seed, uint64_t offset, int64_t n, uint32_t* out) {
    const auto kernel = random_table().philox;
    parallel_range(n, kGrain, [&](int64_t begin, int64_t end) {
        kernel(seed, offset + static_cast<uint64_t>(begin), end - begin, out + 4 * begin);
    });
}

void uniform(bool is_double, uint64_t seed, uint64_t offset, int64_t n, void* out) {
    const auto kernel = random_table().uniform[is_double];
    parallel_range(n, kGrain, [&](int64_t begin, int64_t end) {
        kernel(seed, offset + static_cast<uint64_t>(begin / (is_double ? 2 : 4)), end - begin,
               static_cast<char*>(out) + begin * (is_double ? 8 : 4));
    });
}

void dropout(bool is_double, double p, uint64_t seed, uint64_t offset, int64_t n, const void* x,
             void* y, bool* mask) {
    const auto kernel = random_table().dropout[is_double];
    // word * 2^-24 >= float(p), both exact
    const auto threshold =
        static_cast<uint32_t>(std::ceil(static_cast<double>(static_cast<float>(p)) * 0x1p24));
    const int64_t item = is_double ? 8 : 4;
    parallel_range(n, kGrain, [&](int64_t begin, int64_t end) {
        kernel(seed, offset + static_cast<uint64_t>(begin / 4), threshold, scale_of(p), end - begin,
               static_cast<const char*>(x) + begin * item, static_cast<char*>(y) + begin * item,
               mask + begin);
    });
}

void dropout_backward(bool is_double, double p, int64_t n, const void* g, const bool* mask,
                      void* gx) {
    const auto kernel = random_table().dropout_backward[is_double];
    const int64_t item = is_double ? 8 : 4;
    parallel_range(n, 2 * kGrain, [&](int64_t begin, int64_t end) {
        kernel(scale_of(p), end - begin, static_cast<const char*>(g) + begin * item, mask + begin,
               static_cast<char*>(gx) + begin * item);
    });
}

} // namespace fastnn
