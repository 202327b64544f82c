#include "gemm/gemm.h"

#include <algorithm>
#include <stdexcept>

#include "core/parallel.h"
#include "gemm/narrow.h"

namespace fastnn {
namespace {

// One product of this many multiplications or more is cut into chunks itself.
constexpr int64_t kLargeItem = 1 << 21;
// Products of a batch share a chunk up to this many multiplications.
constexpr int64_t kChunk = 1 << 18;

template <class T>
NarrowGemm<T, T> narrow(const GemmArgs<T>& g) {
    if (g.c_col != 1 || g.row_bias || g.accumulate)
        throw std::logic_error("gemm: narrow products take contiguous columns and a column bias");
    return {g.m,     g.n,     g.k, g.a,     g.a_row,       g.a_col, g.b,
            g.b_row, g.b_col, g.c, g.c_row, g.column_bias, g.relu};
}

void run(const GemmArgs<float>& args) {
    if (const int parts = args.may_split ? bfloat16_parts(args.m, args.n, args.k) : 0)
        narrow_kernels().split(narrow(args), parts);
    else
        gemm_kernels().f32(args);
}
void run(const GemmArgs<bfloat16>& args) {
    narrow_kernels().bf16(narrow(args));
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
void gemm(const GemmArgs<bfloat16>& args) {
    run(args);
}
void gemm_batch(const GemmBatch<float>& batch) {
    run_batch(batch);
}
void gemm_batch(const GemmBatch<double>& batch) {
    run_batch(batch);
}
void gemm_batch(const GemmBatch<bfloat16>& batch) {
    run_batch(batch);
}

} // namespace fastnn
