#include "gemm/gemm.h"

#include <algorithm>

#include "core/parallel.h"

namespace fastnn {
namespace {

// One product of this many multiplications or more is cut into chunks itself.
constexpr int64_t kLargeItem = 1 << 21;
// Products of a batch share a chunk up to this many multiplications.
constexpr int64_t kChunk = 1 << 18;

void run(const GemmArgs<float>& args) {
    gemm_kernels().f32(args);
}
void run(const GemmArgs<double>& args) {
    gemm_kernels().f64(args);
}

template <class T>
void run_batch(const GemmBatch<T>& batch) {
    const auto one = [&](int64_t i) {
        GemmArgs<T> args = batch.item;
        args.a += batch.a_offset[i];
        args.b += batch.b_offset[i];
        args.c += batch.c_offset[i];
        run(args);
    };
    const double work = static_cast<double>(batch.item.m) * static_cast<double>(batch.item.n) *
                        static_cast<double>(std::max<int64_t>(batch.item.k, 1));
    if (work >= kLargeItem) {
        for (int64_t i = 0; i < batch.count; ++i)
            one(i);
        return;
    }
    const int64_t grain =
        std::max<int64_t>(1, kChunk / std::max<int64_t>(1, static_cast<int64_t>(work)));
    parallel_range(batch.count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            one(i);
    });
}

} // namespace

void gemm(const GemmArgs<float>& args) {
    run(args);
}
void gemm(const GemmArgs<double>& args) {
    run(args);
}
void gemm_batch(const GemmBatch<float>& batch) {
    run_batch(batch);
}
void gemm_batch(const GemmBatch<double>& batch) {
    run_batch(batch);
}

} // namespace fastnn
