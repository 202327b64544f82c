// The multiply-adds of roofline.h.
#include "roofline/roofline.h"

#include "simd/vec.h"

namespace fastnn::FASTNN_ISA {
namespace {

// Two units of a latency of four or five cycles need ten chains; 12 and two operands fit 16
// registers.
constexpr int kChains = 12;

template <class T>
double fma_chains(int64_t steps, T factor, T* sum_of_all) {
    const Vec<T> x = broadcast(factor), y = broadcast(T(1) - factor);
    Vec<T> acc[kChains];
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j)
        acc[j] = broadcast(static_cast<T>(j) * factor);
    for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
        for (int j = 0; j < kChains; ++j)
            acc[j] = acc[j] * x + y; // goes to 1
    Vec<T> total{};
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j)
        total += acc[j];
    *sum_of_all = sum(total);
    return 2.0 * static_cast<double>(steps) * kChains * kLanes<T>;
}

} // namespace

const RooflineKernels roofline_kernels = {fma_chains<float>, fma_chains<double>};

} // namespace fastnn::FASTNN_ISA
