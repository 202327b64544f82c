// What this machine can do at best: fused multiply-adds in registers, and copies through memory.
//
// The roofs that benchmarks put beside what a kernel reaches. Each runs for about `seconds` on all
// threads of the pool and gives the best of several spells, since a neighbour on the machine only
// slows.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastnn {

struct RooflineKernels {
    // `steps` multiply-adds in each of kChains independent vectors; the FLOPs done. *sum keeps the
    // compiler from leaving them out.
    double (*f32)(int64_t steps, float factor, float* sum);
    double (*f64)(int64_t steps, double factor, double* sum);
};
FASTNN_KERNEL_TABLE(RooflineKernels, roofline_kernels)

// FLOP/s of float or double at the active ISA level.
template <class T>
double peak_flops(double seconds);

// Bytes read and written a second by copies of `bytes` in all, cut among the threads.
double copy_bandwidth(int64_t bytes, double seconds);

} // namespace fastnn
