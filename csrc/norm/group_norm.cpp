#include "norm/group_norm.h"

#include <algorithm>

#include "core/buffer_pool.h"
#include "core/parallel.h"

namespace fastnn {
namespace {

constexpr int64_t kGrain = 8192; // elements of a task

int64_t grain(const GroupShape& s) {
    return std::max<int64_t>(kGrain / (s.channels * s.inner), 1);
}

template <class T>
void add_samples(const double* sums, int64_t samples, int64_t channels, void* to) {
    for (int64_t c = 0; c < channels; ++c) {
        double total = 0;
        for (int64_t n = 0; n < samples; ++n)
            total += sums[n * channels + c];
        static_cast<T*>(to)[c] = static_cast<T>(total);
    }
}

} // namespace

void group_norm(const GroupNorm& call, bool is_double) {
    const auto kernel = group_norm_table().forward[is_double];
    const GroupShape& s = call.shape;
    parallel_range(s.samples * s.groups, grain(s),
                   [&](int64_t begin, int64_t end) { kernel(call, begin, end); });
}

void group_norm_backward(const GroupNormBackward& call, bool is_double, void* gweight,
                         void* gbias) {
    const auto kernel = group_norm_table().backward[is_double];
    const GroupShape& s = call.shape;
    const int64_t channels = s.groups * s.channels;
    const Scratch sums(static_cast<std::size_t>(2 * s.samples * channels) * sizeof(double));
    GroupNormBackward all = call;
    all.gweight = sums.as<double>();
    all.gbias = all.gweight + s.samples * channels;
    parallel_range(s.samples * s.groups, grain(s),
                   [&](int64_t begin, int64_t end) { kernel(all, begin, end); });
    const auto add = is_double ? add_samples<double> : add_samples<float>;
    add(all.gweight, s.samples, channels, gweight);
    add(all.gbias, s.samples, channels, gbias);
}

} // namespace fastnn
